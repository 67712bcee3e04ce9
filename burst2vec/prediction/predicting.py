"""What a model says of many clips, as one table: by several processes, in batches of about the same length."""

import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm
from transformers import AutoConfig

from ..configuration_burst2vec import Burst2VecConfig
from ..data.processes import usable_cores
from ..data.vectors import normalise_per_speaker
from ..errors import CLIP_FAULTS, AudioError, RunError
from ..feature_extraction_burst2vec import Burst2VecFeatureExtractor
from ..features.embeddings import digest_of
from ..length_batches import batches_by_length
from ..locks import lock_folder
from ..modeling_burst2vec import Burst2VecForMultiTask
from ..pipeline_burst2vec import Burst2VecPipeline
from ..shipped_models import DEFAULT_MODEL, place_of
from ..tasks import prediction_columns
from ..version import __version__
from ..waveforms import check_waveform
from .clip_sources import Source, fingerprint, sources_of
from .coverage_columns import with_coverage
from .finished_parts import Parts
from .prediction_tables import check_table_path, save_table

ON_BAD = ("report", "skip", "raise")
BATCH_SIZE_CPU = 8
BATCH_SIZE_ACCELERATOR = 64
CLIPS_PER_JOB = 32  # of a process: these are batched by their lengths


def predict(
    clips,
    model=DEFAULT_MODEL,
    out: str | Path | None = None,
    *,
    on_bad_clip: str = "report",
    batch_size: int | None = None,
    num_proc: int | None = None,
    features: list[str] | None = None,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Predict clips, one row each.

    Stopped or killed, the same call with the same ``out`` resumes; its table is the same as that of a call that was
    not.

    Args:
        clips: a folder, of which every audio file at any depth is a clip, labelled or not; a file; a list of these, or
            of whatever the pipeline takes; or a ``datasets.Dataset`` with ``audio``, and perhaps ``file_id``.
        model: a folder, a name on the Hub or of a model in the package, or a ``Burst2VecPipeline``; of one with a
            ``coverage`` the table has intervals and sets of classes too, see ``load_pipeline``.
        out: the table to write, ``.csv``, ``.parquet`` or ``.json``; what is finished lies beside it in
            ``OUT.parts`` until then. None writes nothing.
        on_bad_clip: ``"report"`` gives a bad clip its row without numbers, and the reason; ``"skip"`` no row;
            ``"raise"`` stops at the first.
        batch_size: clips in a batch, at most; fewer where they are long. Default 8, 64 on an accelerator.
        num_proc: processes, each of one thread, that decode, and, where there is no accelerator, predict; by default as
            many as there are cores. 0 is this one, with torch's threads.
        features: of a model that takes vectors, its feature sets with their places on this machine, as the pipeline
            takes them.
        overwrite: whether ``out`` may be there already.

    Returns:
        The table: ``file``; for each task ``task/label``, or ``task`` where it has one label, float32 in the task's
        unit; of a classification its most probable class in ``task``, before the probabilities; and ``problem``, why a
        clip has no numbers, or "". With a coverage also ``…/lower`` and ``…/upper`` behind each regressed number, in
        its unit, and of a classification ``task/set``, a list of classes (in CSV as JSON).

    Raises:
        RunError: a model that is none of burst2vec's; an ``out`` that is there or that others write; parts of another
            model or of other clips; answers that are not finite.
        CorpusError: no clips, or feature sets that are not found.
        AudioError: the first bad clip under ``"raise"``.
    """
    if on_bad_clip not in ON_BAD:
        raise RunError(f"on_bad_clip {on_bad_clip!r} is not one of {', '.join(ON_BAD)}")
    if num_proc is not None and num_proc < 0 or batch_size is not None and batch_size < 1:
        raise RunError(f"num_proc {num_proc} must be 0 or more, batch_size {batch_size} 1 or more")
    folder = None if out is None else Path(f"{out}.parts")
    if out is not None:
        out = check_table_path(out, overwrite or folder.is_dir())
    analyse = model if isinstance(model, Burst2VecPipeline) else load_pipeline(model)
    sources = sources_of(clips, analyse.feature_extractor.normalise_per_speaker)
    with nullcontext() if folder is None else lock_folder(folder):
        heading = {} if folder is None else {"model": identity_of(analyse), "clips": fingerprint(sources)}
        parts = Parts(folder, heading, len(sources))
        predictor = _Predictor(analyse, sources, batch_size, features)
        for number, part in predictor.parts(parts, on_bad_clip, usable_cores() if num_proc is None else num_proc):
            parts.add(number, part)
        table = predictor.finished(parts.whole())
        if (coverage := analyse._postprocess_params.get("coverage")) is not None:  # not in the parts: another resumes
            config = analyse.model.config
            table = with_coverage(table, config.task_records, config.conformal, coverage)
        if on_bad_clip == "skip":
            table = table[table["problem"] == ""].reset_index(drop=True)
        if out is not None:
            save_table(table, out)
            parts.remove()
    return table


def load_pipeline(model: str | Path = DEFAULT_MODEL, coverage: float | None = None) -> Burst2VecPipeline:
    """The pipeline of a saved model; without an argument, that of the model which comes with the package.

    Args:
        model: a folder, a name on the Hub, or that of a model in the package.
        coverage: such as 0.9: also intervals and sets of classes that hold the label of that many clips of new
            speakers, as measured on the validation clips; see ``burst2vec.scoring.conformal``.

    Raises:
        RunError: no such model, one of another kind, or one that lacks weights, or quantiles for the coverage.
    """
    try:
        model = str(place_of(model))
    except FileNotFoundError as error:
        raise RunError(str(error)) from error
    if not Path(model).expanduser().is_dir() and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model):
        raise RunError(f"{model}: there is no such folder, and a name on the Hub is OWNER/NAME")
    try:
        config = AutoConfig.from_pretrained(model, trust_remote_code=False)
        if not isinstance(config, Burst2VecConfig):
            raise RunError(f"{model}: is a {config.model_type}, not a model that burst2vec has trained")
        loaded = Burst2VecForMultiTask.from_pretrained(model, config=config)
        extractor = Burst2VecFeatureExtractor.from_pretrained(model)
    except RunError:
        raise
    except (OSError, ValueError) as error:
        raise RunError(f"the model {model} cannot be loaded: {error}") from error
    return Burst2VecPipeline(model=loaded, feature_extractor=extractor, coverage=coverage)


def identity_of(analyse: Burst2VecPipeline) -> dict:
    """What a model's answers depend on, as JSON: parts of a table by another are never mixed in."""
    extractor = analyse.feature_extractor.to_dict()
    return {
        "digest": digest_of(analyse._forward_params.get("personal", analyse.model), analyse.model.config),
        "temperatures": analyse.model.config.temperatures,
        "dtype": str(analyse.model.dtype),
        "preprocess": extractor["preprocess"],
        "target_rms_dbfs": extractor["target_rms_dbfs"],
        "trim_below_db": extractor["trim_below_db"],
        "features": extractor["features"],
        "burst2vec": __version__,
    }


class _Inputs(Dataset):
    """What the model takes of each clip, or why it cannot be used; made in the decoding processes."""

    def __init__(self, analyse: Burst2VecPipeline, sources: Sequence[Source], features: list[str] | None):
        self.extractor, self.values_of, self.sources = analyse.feature_extractor, analyse.values_of, sources
        self.sets = analyse.feature_sets(features) if self.extractor.features else None

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, place: int) -> tuple[int, np.ndarray | None, str]:
        source = self.sources[place]
        try:
            values, name = self.values_of(source.clip, place, self.sets)
            if self.sets is None:
                return place, check_waveform(values, name), ""
            return place, self.extractor([values], names=[name])["input_values"][0], ""
        except CLIP_FAULTS as fault:
            return place, None, _without_name(str(fault), source)


def _without_name(problem: str, source: Source) -> str:
    """A problem without the clip's name, which stands in its row, and without its place on this machine."""
    for name in (source.clip, source.name):
        if isinstance(name, (str, Path)):
            problem = problem.removeprefix(f"{name}: ")
    return problem


class _Predictor:
    def __init__(self, analyse: Burst2VecPipeline, sources, batch_size: int | None, features):
        self.analyse, self.sources = analyse, sources
        self.inputs = _Inputs(analyse, sources, features)
        default = BATCH_SIZE_CPU if analyse.device.type == "cpu" else BATCH_SIZE_ACCELERATOR
        self.batch_size = batch_size or default
        self.tasks = analyse.model.config.task_records
        # Vectors on their speaker's scale wait for all clips of the speaker; the network over them takes no time.
        self.waits = analyse.feature_extractor.normalise_per_speaker

    def parts(self, parts: Parts, on_bad_clip: str, num_proc: int) -> Iterator[tuple[int, pd.DataFrame]]:
        """Each part that is missing, by its number."""
        missing = parts.missing()
        jobs = [
            list(rows)[start : start + CLIPS_PER_JOB]
            for rows in (parts.rows[number] for number in missing)
            for start in range(0, len(rows), CLIPS_PER_JOB)
        ]
        # A model on this processor runs in the processes that decode, one thread each: that scales with the cores, as
        # its own threads over small batches do not. Sets that compute with torch threads of their own stay here.
        here = any(each.vectors is not None for each in self.inputs.sets or ())
        in_workers = self.analyse.device.type == "cpu"
        made = DataLoader(
            self.inputs,
            batch_sampler=jobs,
            collate_fn=self.rows_of if in_workers else list,
            num_workers=0 if here else min(num_proc, len(jobs)),
        )
        rows = (job if in_workers else self.rows_of(job) for job in self._jobs_of(made))
        clips = sum(map(len, jobs))
        with tqdm(total=len(self.sources), initial=len(self.sources) - clips, unit="clip", desc="Predicting") as bar:
            for number in missing:
                part = []
                for job in itertools.islice(rows, -(-len(parts.rows[number]) // CLIPS_PER_JOB)):
                    self._refuse(job, on_bad_clip)
                    part.append(job)
                    bar.update(len(job))
                yield number, pd.concat(part, ignore_index=True)

    @staticmethod
    def _jobs_of(loader: DataLoader) -> Iterator:
        try:
            yield from loader
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise RunError(
                "a process was killed, most often because memory ran out; what is finished stays, and the same call "
                "with a smaller num_proc or batch_size resumes"
            ) from error

    def rows_of(self, job: list[tuple[int, np.ndarray | None, str]]) -> pd.DataFrame:
        """The rows of a few clips; of a model that waits for all clips of a speaker, with their vectors."""
        usable = [row for row, (_, values, _) in enumerate(job) if values is not None]
        if self.waits:
            columns = {"vector": [None if values is None else values for _, values, _ in job]}
        else:
            columns = self._columns(usable, [job[row][1] for row in usable], len(job))
        names = [self.sources[place].name for place, *_ in job]
        return pd.DataFrame({"file": names, **columns, "problem": [problem for *_, problem in job]})

    def _refuse(self, rows: pd.DataFrame, on_bad_clip: str) -> None:
        good = rows["problem"] == ""
        if on_bad_clip == "raise" and not good.all():
            name, problem = rows[~good][["file", "problem"]].iloc[0]
            raise AudioError(f"{name}: {problem}; on_bad_clip='report' or 'skip' predicts the others")
        numbers = rows[good].select_dtypes("number")
        wrong = ~np.isfinite(numbers).all(axis=1)
        if wrong.any():
            name = rows[good]["file"][wrong].iloc[0]
            raise RunError(
                f"{name}: the model answers {numbers[wrong].iloc[0].tolist()}; its weights are damaged, or the clip's "
                "values far too large: load it in float32, or train it again"
            )

    def finished(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table of predictions."""
        if not self.waits:
            return table
        usable = np.flatnonzero(table["problem"] == "")
        vectors = []
        if len(usable):
            vectors = np.stack(table["vector"].to_numpy()[usable]).astype(np.float32)
            vectors = normalise_per_speaker(vectors, [self.sources[int(row)].speaker.strip() for row in usable])
        columns = self._columns(usable, list(vectors), len(table))
        rows = pd.DataFrame({"file": table["file"], **columns, "problem": table["problem"]})
        self._refuse(rows, "report")
        return rows

    def _columns(self, usable: Sequence[int], values: list[np.ndarray], rows: int) -> dict:
        """The model's answers by column, of ``rows`` rows, of which those in ``usable`` have values."""
        answers = {task.name: np.full((rows, len(task.labels)), np.nan, np.float32) for task in self.tasks}
        for batch in batches_by_length([value.size for value in values], self.batch_size, self.analyse.device.type):
            found = self._forward([values[place] for place in batch])
            for name, of_task in found.items():
                answers[name][[usable[place] for place in batch]] = of_task
        columns = {}
        for task in self.tasks:
            found = answers[task.name]
            if task.kind == "classification":
                classes = np.full(rows, None, object)
                classes[usable] = np.array(task.labels, object)[found[usable].argmax(axis=1)] if len(usable) else None
                columns[task.name] = classes
            columns |= dict(zip(prediction_columns(task), found.T, strict=True))
        return columns

    def _forward(self, values: list[np.ndarray]) -> dict[str, np.ndarray]:
        extractor = self.analyse.feature_extractor
        rate = {} if extractor.features else {"sampling_rate": extractor.sampling_rate}
        batch = {**extractor(values, return_tensors="pt", **rate), "error": ""}
        output = self.analyse.forward(batch, **self.analyse._forward_params)  # of an enrolment, the speaker's own model
        return {task.name: output[task.name].float().numpy() for task in self.tasks}
