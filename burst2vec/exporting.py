"""A saved model as a graph, ONNX's or TorchScript's, that was seen to answer as torch does."""

import itertools
import logging
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from tqdm.auto import tqdm

from .data.corpora.synthetic import draw_clip
from .errors import CorpusError, MissingPackageError, RunError
from .files import write_json, write_whole
from .onnx_inference import MODEL_FILE, RECORD_FILE, start_session
from .pipeline_burst2vec import Burst2VecPipeline
from .version import __version__
from .waveforms import MIN_SAMPLES

FORMATS = {"onnx": MODEL_FILE, "torchscript": "model.pt"}
TOLERANCE = 1e-4  # of a prediction as a fraction of its span
SYNTHETIC_CLIPS = 24
BATCH_SIZES = (3, 1, 4, 2)  # of the check, in turn
CODE_FOLDER = "burst2vec_onnx"
CODE = ["answers.py", "errors.py", "waveforms.py", "onnx_inference.py"]
CODE += [f"audio/{name}.py" for name in ("decode", "channels", "mpeg", "resampling", "samples", "whole")]
LARGEST_ONE_FILE = 1_500_000_000  # bytes of weights; a protobuf holds 2 GB, more lies beside it


@dataclass(frozen=True)
class Difference:
    """What a check found: the greatest difference from torch, as a fraction of each task's span, in ``clips``.

    ``int8`` is what a graph with weights of 8 bits changes, see [`measure_int8`]; None of one without.
    """

    clips: int
    greatest: float
    int8: dict | None = None


class PlainOutputs(nn.Module):
    """A model that gives a tuple: each task's predictions in order, and the embeddings."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_values, attention_mask=None):
        output = self.model(input_values, attention_mask)
        return (*output.predictions.values(), output.embeddings)


def export(
    analyse: Burst2VecPipeline,
    out: str | Path,
    format: str = "onnx",
    clips: list | None = None,
    int8: bool = False,
) -> Difference:
    """Write a model as a graph for any number of clips of any length, and check it against torch.

    Args:
        analyse: the model's pipeline.
        out: a new folder: the graph, the feature extractor's settings, ``exported.json`` with tasks, outputs and what
            the check found, and for ONNX the code of ``OnnxModel``. It appears only when the check has passed.
        format: ``"onnx"`` or ``"torchscript"``.
        clips: to check with, as the pipeline takes them; None: synthetic ones.
        int8: of ONNX: the weights in 8 bits (onnxruntime's dynamic quantisation), when the graph of 32 bits has passed.
            What it changes in the predictions of the clips is measured, and refuses nothing.

    Raises:
        RunError: a folder that is there; int8 of TorchScript; a model on its speakers' scale, in half precision, or
            that no graph can hold; a graph that differs from torch by more than ``TOLERANCE`` of a span.
        MissingPackageError: ONNX's packages are not installed.
    """
    out = Path(out)
    _refuse(analyse, out, format)
    if int8 and format != "onnx":
        raise RunError(f"int8 is of ONNX, not of {format}; leave one of the two out")
    checked_on = "synthetic" if clips is None else "given"
    if clips is None:
        clips = [draw_clip(index, 8, seed=0)[1] for index in range(SYNTHETIC_CLIPS)]
    if len(clips) < 2:
        raise CorpusError(f"{len(clips)} clip to check the graph with; give two or more, or none for synthetic ones")
    batches = list(_batches(analyse, clips))
    plain = PlainOutputs(analyse.model.eval())
    with torch.no_grad():
        wanted = [plain(*batch.values()) for batch in batches]  # before the export: what is cached is real by then
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".draft-") as place:
        draft = Path(place, "folder")
        draft.mkdir()
        file = draft / FORMATS[format]
        names = [*(task.name for task in analyse.model.config.task_records), "embeddings"]
        try:
            (_write_onnx if format == "onnx" else _write_torchscript)(plain, batches[0], names, file)
        except (RuntimeError, ValueError, AssertionError) as error:
            reason = str(error.__cause__ or error).strip().splitlines()
            raise RunError(f"the model cannot be exported to {format}: {reason[0] if reason else error!r}") from error
        found = Difference(len(clips), _greatest_difference(analyse, _runner(file, format), batches, wanted))
        tasks = [task.to_dict() for task in analyse.model.config.task_records]
        checked = {"clips": found.clips, "greatest_difference": found.greatest, "on": checked_on}
        record = {"burst2vec": __version__, "format": format, "outputs": names, "tasks": tasks, "checked": checked}
        record["conformal"] = analyse.model.config.conformal
        if int8:
            found = replace(found, int8=measure_int8(analyse, file, batches, wanted))
            record["int8"] = {"clips": found.clips, "on": checked_on, **found.int8}
        write_json(draft / RECORD_FILE, record)
        analyse.feature_extractor.save_pretrained(draft)
        for path in draft.glob("*.py"):  # transformers' copy of the code for torch
            path.unlink()
        if format == "onnx":
            _copy_code(draft / CODE_FOLDER)
        draft.rename(out)
    return found


def _refuse(analyse: Burst2VecPipeline, out: Path, format: str) -> None:
    if format not in FORMATS:
        raise RunError(f"format {format!r} is not one of {list(FORMATS)}")
    if out.exists():
        raise RunError(f"{out} is there already; give --out a new folder")
    if analyse.feature_extractor.normalise_per_speaker:
        raise RunError(
            "the model takes vectors on their speakers' own scale, which a graph of single clips does not have; "
            "burst2vec predict does"
        )
    if {weights.dtype for weights in analyse.model.parameters()} != {torch.float32}:
        raise RunError("the model is in half precision; load it with dtype=torch.float32")
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if format == "onnx" and missing:
        raise MissingPackageError(f"exporting to ONNX needs {', '.join(missing)}: pip install 'burst2vec[onnx]'")


def _batches(analyse: Burst2VecPipeline, clips: list) -> Iterator[dict]:
    """What the model takes of the clips: first two, one of them cut so that it is padded, then all in batches."""
    prepared = [analyse.preprocess(clip) for clip in tqdm(clips, desc="reading", unit="clip")]
    names = [name for name in ("input_values", "attention_mask") if name in prepared[0]]
    inputs = [{name: each[name][0] for name in names} for each in prepared]
    if "attention_mask" in names:
        half = max(MIN_SAMPLES, len(inputs[0]["attention_mask"]) // 2)
        yield _batch([inputs[0], {name: values[:half] for name, values in inputs[0].items()}])
    else:
        yield _batch(inputs[:2])
    start = 0
    for size in itertools.cycle(BATCH_SIZES):
        if start >= len(inputs):
            return
        yield _batch(inputs[start : start + size])
        start += size


def _batch(inputs: list[dict]) -> dict:
    return {name: pad_sequence([each[name] for each in inputs], batch_first=True) for name in inputs[0]}


def _write_onnx(plain, example: dict, names: list[str], file: Path) -> None:
    any_number = torch.export.Dim.DYNAMIC
    axes = {0: any_number} if "attention_mask" not in example else {0: any_number, 1: any_number}
    large = sum(weights.nbytes for weights in plain.state_dict().values()) > LARGEST_ONE_FILE
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # of every operation that another opset has otherwise
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                plain,
                tuple(example.values()),
                str(file),
                input_names=list(example),
                output_names=names,
                dynamic_shapes=dict.fromkeys(example, axes),
                dynamo=True,
                external_data=large,
                verbose=False,
            )
    finally:
        logging.disable(level)


def _write_torchscript(plain, example: dict, names: list[str], file: Path) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.jit.trace(plain, tuple(example.values()), check_trace=False).save(str(file))


def _runner(file: Path, format: str):
    """The graph as a function from a batch to its outputs, torch's tensors both."""
    if format == "torchscript":
        graph = torch.jit.load(str(file))
        return lambda batch: graph(*batch.values())
    session = start_session(file)
    return lambda batch: [
        torch.from_numpy(values) for values in session.run(None, {name: part.numpy() for name, part in batch.items()})
    ]


def _greatest_difference(analyse, run, batches, wanted) -> float:
    tasks = analyse.model.config.task_records
    spans = [task.span[1] - task.span[0] if task.kind == "regression" else 1.0 for task in tasks]
    greatest = 0.0
    for batch, expected in zip(tqdm(batches, desc="checking", unit="batch"), wanted, strict=True):
        shape = tuple(batch["input_values"].shape)
        try:
            with torch.no_grad():
                answers = run(batch)
        except Exception as error:  # whatever the two runtimes raise of a graph that has a length built in
            raise RunError(f"the exported graph fails on a batch of shape {shape}: {error}") from error
        for task, span, answer, value in zip(tasks, spans, answers, expected, strict=False):
            apart = float((answer - value).abs().max()) / span
            if not apart <= TOLERANCE:
                raise RunError(
                    f"the exported graph differs from torch by {apart:.2g} of {task.name}'s span on a batch of shape "
                    f"{shape}; allowed: {TOLERANCE:g}; nothing was written"
                )
            greatest = max(greatest, apart)
    return greatest


def measure_int8(analyse: Burst2VecPipeline, file: Path, batches: list[dict], wanted: list[tuple]) -> dict:
    """Bring a graph's weights to 8 bits, in its place, and measure what that changes.

    Each matrix has one scale; what goes into a product is brought to 8 bits when it is computed, by its own range.
    Convolutions stay in 32 bits: with them, an untrained ``hubert_tiny`` answers EmoGator's clips 8 % of a span apart
    on average instead of 0.5 %, and takes twice as long (onnxruntime 1.31, one core).

    Args:
        analyse: the model's pipeline.
        file: the graph; it is replaced.
        batches: clips, of which the first batch holds some a second time, and is not counted.
        wanted: torch's outputs of each batch.

    Returns:
        ``bytes`` of both graphs, and by ``tasks`` the ``mean`` and ``greatest`` difference of a prediction, as a
        fraction of the task's span; of a classification also the fraction of clips whose most probable class changes,
        ``classes``.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    files = list(file.parent.glob(f"{file.name}*"))  # a large graph has its weights beside it
    before, draft = sum(each.stat().st_size for each in files), file.with_name("int8.onnx")
    graph = onnx.load(file)
    del graph.graph.value_info[:]  # shapes of weights too, which the quantiser turns about
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # of preparations that it would like, which need a graph of fixed lengths
    try:
        quantize_dynamic(graph, draft, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8)
    finally:
        logging.disable(level)
    for each in files:
        each.unlink()
    draft.rename(file)
    run = _runner(file, "onnx")
    answers = [run(batch) for batch in batches[1:]]
    tasks = {}
    for place, task in enumerate(analyse.model.config.task_records):
        span = task.span[1] - task.span[0] if task.kind == "regression" else 1.0
        found, expected = (torch.cat([each[place] for each in some]) for some in (answers, wanted[1:]))
        apart = (found - expected).abs() / span
        tasks[task.name] = {"mean": float(apart.mean()), "greatest": float(apart.max())}
        if task.kind == "classification":
            changed = found.argmax(dim=-1) != expected.argmax(dim=-1)
            tasks[task.name]["classes"] = float(changed.float().mean())
    return {"bytes": file.stat().st_size, "bytes_float32": before, "tasks": tasks}


def _copy_code(folder: Path) -> None:
    """The package of ``OnnxModel`` without torch: the same files as here."""
    (folder / "audio").mkdir(parents=True)
    for name in CODE:
        write_whole(folder / name, (Path(__file__).parent / name).read_bytes())
    write_whole(folder / "audio" / "__init__.py", "")
    write_whole(folder / "__init__.py", "from .onnx_inference import OnnxModel\n\n__all__ = ['OnnxModel']\n")
