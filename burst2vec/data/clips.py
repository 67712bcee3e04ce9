"""Clips one by one: read one, and find those that cannot be read before a training run does."""

import logging
import os
from typing import NamedTuple

import numpy as np
from datasets import Dataset, Features, Value
from datasets.fingerprint import Hasher

from ..audio import AudioError, load_audio
from ..waveforms import SAMPLING_RATE, WaveformError, check_waveform

logger = logging.getLogger(__name__)

ON_BAD_CLIP = ("skip", "raise")
_FINDINGS = Features({"samples": Value("int32"), "silent": Value("bool"), "problem": Value("string")})


class BadClip(NamedTuple):
    """A clip that cannot be used, and why."""

    file_id: str
    reason: str


def read_clip(audio: dict, name: str) -> np.ndarray:
    """The clip of an ``audio`` column that is not decoded: ``{"bytes": …, "path": …}``, either of them None.

    Returns:
        float32, shape (samples,) at 16 kHz, as recorded: its level is the feature extractor's business.

    Raises:
        AudioError, WaveformError: names the clip, what was found and what is allowed.
    """
    source = audio["bytes"] if audio["bytes"] is not None else audio["path"]
    if source is None:
        raise AudioError(f"{name}: has neither bytes nor a path")
    where = f"{name} ({audio['path']})" if audio["path"] else name
    return check_waveform(load_audio(source, SAMPLING_RATE, name=where), name=where)


def check_clips(
    dataset: Dataset, on_bad_clip: str = "skip", num_proc: int | None = None
) -> tuple[Dataset, list[BadClip]]:
    """Decode every clip once, add its length, and drop or refuse those that cannot be read.

    The findings are cached beside the dataset, and found again as long as no audio file changes its size or date.
    Silent clips stay: they are counted in a warning.

    Args:
        dataset: with columns ``file_id`` and ``audio``.
        on_bad_clip: ``"skip"`` drops bad clips and logs how many, ``"raise"`` raises at the first.
        num_proc: processes to decode with.

    Returns:
        the dataset with an int32 column ``samples``, the clip's length at 16 kHz; and the clips that were dropped.

    Raises:
        AudioError: the first bad clip under ``"raise"``; under ``"skip"`` when more than half of the clips are bad,
            because then the fault is rarely the clips'. A dataset of no clips, always.
    """
    if on_bad_clip not in ON_BAD_CLIP:
        raise ValueError(f"on_bad_clip {on_bad_clip!r} is not one of {', '.join(ON_BAD_CLIP)}")
    if not len(dataset):
        raise AudioError("there are no clips to check: the dataset has no rows")
    clips = dataset.select_columns(["file_id", "audio"])
    findings = clips.map(
        _examine,
        input_columns=["file_id", "audio"],
        remove_columns=["file_id", "audio"],
        fn_kwargs={"raise_if_bad": on_bad_clip == "raise"},
        features=_FINDINGS,
        num_proc=num_proc,
        new_fingerprint=Hasher.hash([dataset._fingerprint, "check_clips 1", _file_states(clips)]),
        desc="Checking clips",
    )
    problems = findings["problem"]
    bad = [BadClip(file_id, reason) for file_id, reason in zip(clips["file_id"], problems, strict=True) if reason]
    silent = sum(findings["silent"])
    if silent:
        logger.warning("%d of %d clips are silent (all zeros); they are kept", silent, len(dataset))
    dataset = dataset.add_column("samples", findings["samples"][:], feature=Value("int32"))
    if bad and on_bad_clip == "raise":  # found by an earlier pass that skipped it
        raise AudioError(f"{bad[0].reason}; on_bad_clip='skip' drops and counts such clips instead")
    if bad:
        first = "; ".join(clip.reason for clip in bad[:3]) + ("; …" if len(bad) > 3 else "")
        if 2 * len(bad) > len(dataset):
            raise AudioError(f"{len(bad)} of {len(dataset)} clips cannot be used, too many to skip: {first}")
        logger.warning("%d of %d clips cannot be used and are skipped: %s", len(bad), len(dataset), first)
        dataset = dataset.select([row for row, reason in enumerate(problems) if not reason])
    return dataset, bad


def _examine(file_id: str, audio: dict, raise_if_bad: bool) -> dict:
    try:
        waveform = read_clip(audio, file_id)
    except (AudioError, WaveformError) as error:
        if raise_if_bad:
            raise AudioError(f"{error}; on_bad_clip='skip' drops and counts such clips instead") from error
        return {"samples": 0, "silent": False, "problem": str(error)}
    return {"samples": waveform.size, "silent": not waveform.any(), "problem": ""}


def _file_states(clips: Dataset) -> list:
    """Size and date of each audio file; a clip that carries its bytes is known by the dataset's own fingerprint."""
    states = []
    for audio in clips["audio"]:
        if audio["bytes"] is None and audio["path"] is not None:
            try:
                state = os.stat(audio["path"])
                states.append((state.st_size, state.st_mtime_ns))
            except OSError:
                states.append(None)
    return states
