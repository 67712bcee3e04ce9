"""Steps over one recording, and over every clip of a corpus, cached by ``datasets``."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from datasets import Dataset, Features, Value
from datasets.fingerprint import Hasher

from ...audio import Transform, apply_transforms, read_audio, read_transforms
from ...audio.encode import encode_wav
from ...errors import AudioError, TransformError
from ...waveforms import MAX_SAMPLES, MIN_SAMPLES, SAMPLING_RATE
from ..clips import file_states

VERSION = 1  # raise it with every change that alters a sample: no folder or cache of another version is reused
_CLIPS_PER_WRITE = 100  # 14 MB of 2 s clips, 384 MB of the longest; one piece of an Arrow column holds 2 GB at most


def process_recording(source, steps: tuple[Transform, ...], name: str) -> tuple[np.ndarray, int, float]:
    """Decode a recording, and do the steps at its own sampling rate.

    Returns:
        float32, shape (samples,); its rate in Hz; and how many seconds were recorded.

    Raises:
        AudioError, TransformError: names the recording.
    """
    recorded, rate = read_audio(source, name)
    waveform, new_rate = apply_transforms(recorded, rate, steps, name)
    if not MIN_SAMPLES * new_rate <= waveform.size * SAMPLING_RATE <= MAX_SAMPLES * new_rate:
        raise TransformError(
            f"{name}: the steps leave {waveform.size / new_rate:.3f} s of {recorded.size / rate:.3f} s; a burst has "
            f"{MIN_SAMPLES / SAMPLING_RATE:.3f} to {MAX_SAMPLES // SAMPLING_RATE} s"
        )
    return waveform, new_rate, recorded.size / rate


def preprocess_corpus(dataset: Dataset, steps: Iterable, num_proc: int | None = None) -> Dataset:
    """Apply steps to every clip of a corpus, and resample at the end where they leave another rate than 16 kHz.

    The clips are cached by ``datasets``, and found again as long as the dataset, the steps, and each audio file's size
    and date are the same. They take 64 kB a second on disk; memory does not grow with the corpus.

    Args:
        dataset: with ``file_id`` and ``audio`` (not decoded), of clips that can be read: see ``check_clips``.
        steps: as ``read_transforms`` takes them.
        num_proc: processes.

    Returns:
        The dataset with ``audio`` as the bytes of a WAV file of 32-bit floats at 16 kHz, under its bare name, and with
        the new length in ``samples``, where it has that column. All else stays.

    Raises:
        AudioError, TransformError: a clip that cannot be read, a step that fails or leaves less than 25 ms or more than
            60 s; names the clip.
    """
    steps = read_transforms(steps)
    of_steps = [step.to_dict() for step in steps]
    made_from = [dataset._fingerprint, "preprocess_corpus", VERSION, of_steps, file_states(dataset)]
    processed = dataset.map(
        _process_clip,
        input_columns=["file_id", "audio"],
        fn_kwargs={"steps": steps, "count_samples": "samples" in dataset.features},
        # A plain struct, because an Audio feature asks for torchcodec when it is written.
        features=Features({**dataset.features, "audio": {"bytes": Value("binary"), "path": Value("string")}}),
        num_proc=num_proc,
        writer_batch_size=_CLIPS_PER_WRITE,
        new_fingerprint=Hasher.hash(made_from),
        desc="Preprocessing clips",
    )
    return processed.cast_column("audio", dataset.features["audio"])


def _process_clip(file_id: str, audio: dict, steps: tuple[Transform, ...], count_samples: bool) -> dict:
    name = f"{file_id} ({audio['path']})" if audio["path"] else file_id
    source = audio["path"] if audio["bytes"] is None else audio["bytes"]
    if source is None:
        raise AudioError(f"{name}: has neither bytes nor a path")
    waveform, rate, _ = process_recording(source, steps, name)
    if rate != SAMPLING_RATE:
        waveform, rate = apply_transforms(waveform, rate, ["resample"], name)
    bare = Path(audio["path"]).with_suffix(".wav").name if audio["path"] else None
    processed = {"audio": {"bytes": encode_wav(waveform, rate), "path": bare}}
    return {**processed, "samples": waveform.size} if count_samples else processed
