"""An exported model answers clips by onnxruntime, without torch or transformers in memory.

``burst2vec export`` copies this file, with those that it imports, beside the model as the package ``burst2vec_onnx``:

    PYTHONPATH=FOLDER python -c "from burst2vec_onnx import OnnxModel; print(OnnxModel('FOLDER')('laugh.mp3'))"

needs numpy, soundfile, soxr and onnxruntime. ``burst2vec.onnx_inference`` is the same, but importing burst2vec imports
torch.
"""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from .answers import answers_of, check_coverage
from .audio.decode import load_audio
from .errors import MissingPackageError, RunError
from .waveforms import check_waveform, pad, scale_to, trim_quiet

MODEL_FILE, RECORD_FILE, EXTRACTOR_FILE = "model.onnx", "exported.json", "preprocessor_config.json"


class OnnxModel:
    """The answers of an exported model; of a clip the same as the package's pipeline gives, to about 1e-5.

    Args:
        folder: as ``burst2vec export --onnx`` has written it.
        threads: that onnxruntime computes with; None: as many as it chooses.

    Raises:
        RunError: no exported model, or one of clips that go through preprocessing steps or feature sets.
        MissingPackageError: onnxruntime is not installed.
    """

    def __init__(self, folder: str | os.PathLike, threads: int | None = None):
        folder = Path(folder)
        record, extractor = (_read(folder / name) for name in (RECORD_FILE, EXTRACTOR_FILE))
        if record["format"] != "onnx":
            raise RunError(f"{folder}: is exported to {record['format']}; give one of burst2vec export --onnx")
        for name in ("features", "preprocess"):
            if steps := extractor.get(name):
                raise RunError(
                    f"{folder}: the model's clips go through {name} {steps}, which needs the package; "
                    "pipeline('vocal-burst-analysis', model=…) does them"
                )
        self.tasks = [SimpleNamespace(**task) for task in record["tasks"]]
        self.conformal = record.get("conformal")
        self.sampling_rate, self.level = extractor["sampling_rate"], extractor["target_rms_dbfs"]
        self.trim_below_db = extractor.get("trim_below_db")  # not known to a model of before
        self.session = start_session(folder / MODEL_FILE, threads)

    def __call__(self, clips, coverage: float | None = None) -> list[dict]:
        """What the model says of each clip.

        Args:
            clips: a path, the bytes of a file or a waveform (samples,) at ``sampling_rate``; or a list of these, which
                go through the model as one batch.
            coverage: such as 0.9: also ``"conformal"``, what holds the label of that many clips of new speakers, by
                task ``[low, high]`` for each regressed label, and a list of classes.

        Returns:
            Per clip, by task: several regressed labels ``{"Awe": 0.71, …}``; one, its number in the task's unit;
            classes ``{"label": "China", "probabilities": {"China": 0.9, …}}``.

        Raises:
            RunError: a coverage that is not above 0 and up to 0.99, or that the model has no quantiles for.
            AudioError, WaveformError: a clip that cannot be read, or that is no burst, by its path or place.
        """
        clips = clips if isinstance(clips, (list, tuple)) else [clips]
        if coverage is not None:
            check_coverage(self.conformal, coverage)
        if not clips:
            return []
        predictions = self.predict([self._waveform(clip, f"clip {place}") for place, clip in enumerate(clips)])
        within = (self.conformal, coverage)
        return [
            answers_of(self.tasks, {name: of_task[row].tolist() for name, of_task in predictions.items()}, *within)
            for row in range(len(clips))
        ]

    def predict(self, waveforms: list[np.ndarray]) -> dict[str, np.ndarray]:
        """By task float32 (batch, labels), and ``embeddings`` (batch, size), of checked waveforms."""
        values, mask = pad([scale_to(trim_quiet(waveform, self.trim_below_db), self.level) for waveform in waveforms])
        names = [output.name for output in self.session.get_outputs()]
        found = self.session.run(None, {"input_values": values, "attention_mask": mask})
        return dict(zip(names, found, strict=True))

    def _waveform(self, clip, name: str) -> np.ndarray:
        if isinstance(clip, (str, os.PathLike)):
            return load_audio(clip, self.sampling_rate)
        if isinstance(clip, (bytes, bytearray, memoryview)):
            return load_audio(clip, self.sampling_rate, name)
        return check_waveform(clip, name)


def start_session(path: Path, threads: int | None = None):
    """An onnxruntime session of a graph, on the CPU."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError("an exported model needs onnxruntime: pip install 'burst2vec[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: cannot be read ({error}); burst2vec export MODEL --out FOLDER writes the folder"
        ) from error
