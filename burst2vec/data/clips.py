"""Clips one by one: read one, examine all, and find those that cannot be read before a training run does."""

import logging
import os
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from datasets import Dataset, Features, Value
from datasets.fingerprint import Hasher

from ..audio import load_audio
from ..audio.headers import contradiction
from ..errors import AudioError, CorpusError, WaveformError
from ..waveforms import SAMPLING_RATE, check_waveform, trim_quiet

logger = logging.getLogger(__name__)

ON_BAD_CLIP = ("skip", "raise")
RESCALED_FROM = 1.41  # lossy codecs overshoot full scale less: 5,400 clips of EmoGator reach 1.21
CLIPPED_FROM = 0.999  # |sample|, full scale 1: 16-bit recorders stop at 0.99997, and a resampler moves that a little
SILENT_BELOW = 1e-3  # root mean square of a frame, -60 dBFS: below the noise of any room and microphone
FRAME_SAMPLES = SAMPLING_RATE // 50  # 20 ms
FINDINGS = Features(
    {
        "samples": Value("int32"),
        "peak": Value("float32"),
        "rms": Value("float32"),
        "clipped": Value("int32"),
        "silent_ratio": Value("float32"),
        "silent": Value("bool"),
        "digest": Value("int64"),
        "doubt": Value("string"),
        "problem": Value("string"),
    }
)
_UNREADABLE = {name: 0 for name in FINDINGS} | {"silent": False, "doubt": ""}
_SQUARED_IN_FLOAT32 = 1e15  # the peak up to which the energy of 20 ms is no larger than a float32 can be
_ROWS_AT_A_TIME = 256  # so that clips that carry their bytes are not all in memory at once


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
    """Examine every clip (see ``examine_clips``), add its length, and drop or refuse those that cannot be read.

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
        raise CorpusError(f"on_bad_clip {on_bad_clip!r} is not one of {', '.join(ON_BAD_CLIP)}")
    if not len(dataset):
        raise AudioError("there are no clips to check: the dataset has no rows")
    findings = examine_clips(dataset, num_proc, raise_if_bad=on_bad_clip == "raise").with_format("arrow")[:]
    readable = pc.equal(findings["problem"], "").to_numpy()
    rows = np.flatnonzero(~readable)
    names = dataset.select_columns("file_id").select(rows)["file_id"][:]
    bad = [BadClip(*clip) for clip in zip(names, findings["problem"].take(rows).to_pylist(), strict=True)]
    silent = pc.sum(findings["silent"]).as_py()
    if silent:
        logger.warning("%d of %d clips are silent (all below -60 dBFS); they are kept", silent, len(dataset))
    dataset = dataset.add_column("samples", findings["samples"].to_numpy(), feature=Value("int32"))
    if bad and on_bad_clip == "raise":  # found by an earlier pass that skipped it
        raise AudioError(f"{bad[0].reason}; on_bad_clip='skip' drops and counts such clips instead")
    if bad:
        first = "; ".join(clip.reason for clip in bad[:3]) + ("; …" if len(bad) > 3 else "")
        if 2 * len(bad) > len(dataset):
            raise AudioError(f"{len(bad)} of {len(dataset)} clips cannot be used, too many to skip: {first}")
        logger.warning("%d of %d clips cannot be used and are skipped: %s", len(bad), len(dataset), first)
        dataset = dataset.select(np.flatnonzero(readable))
    return dataset, bad


def examine_clips(dataset: Dataset, num_proc: int | None = None, raise_if_bad: bool = False) -> Dataset:
    """Decode every clip once and say of each how long and loud it is, and whether it can be used at all.

    The findings are cached beside the dataset, and found again, whatever ``num_proc``, as long as no audio file changes
    its size or date. A dataset that is in memory only has no such place, and is decoded anew.

    Args:
        dataset: with columns ``file_id`` and ``audio``.
        num_proc: processes to decode with; None is this one.
        raise_if_bad: raise at the first clip that cannot be read.

    Returns:
        one row per clip, in the dataset's order, with the columns of ``FINDINGS``: what ``examine_waveform`` finds;
        ``doubt``, what its header contradicts itself in, or ""; and ``problem``, why the clip cannot be used, or "". A
        clip with a problem has 0 for the rest.

    Raises:
        AudioError: the first clip that cannot be read, where ``raise_if_bad``.
    """
    if not len(dataset):
        return Dataset(pa.Table.from_pylist([], schema=FINDINGS.arrow_schema))
    clips = dataset.select_columns(["file_id", "audio"])
    return clips.map(
        _examine,
        input_columns=["file_id", "audio"],
        remove_columns=["file_id", "audio"],
        fn_kwargs={"raise_if_bad": raise_if_bad},
        features=FINDINGS,
        num_proc=num_proc,
        # Findings of other columns, as an older version left them in the cache, are other findings.
        new_fingerprint=Hasher.hash([dataset._fingerprint, "examine_clips 5", list(FINDINGS), file_states(clips)]),
        desc="Checking clips",
    )


def unexamined(dataset: Dataset) -> Dataset:
    """Findings as ``examine_clips`` has them, of clips that nobody looks at: no problem, 0 for what is measured."""
    rows = [{**_UNREADABLE, "problem": ""}] * len(dataset)
    return Dataset(pa.Table.from_pylist(rows, schema=FINDINGS.arrow_schema))


def examine_waveform(waveform: np.ndarray) -> dict:
    """What can be measured of a clip without knowing what it is of.

    Args:
        waveform: float32, shape (samples,) at 16 kHz, one sample or more.

    Returns:
        ``samples``: how many.
        ``peak``: the largest absolute sample; full scale is 1, and lossy codecs decode to more.
        ``rms``: root mean square, linear; a constant 1.0 has 1.
        ``clipped``: how many samples have an absolute value of 0.999 or more; 0 where the peak is over 1.41 (3 dBFS),
        which no recorder leaves: such a clip was scaled since, and where it was clipped cannot be seen.
        ``silent_ratio``: 0 to 1, the fraction of 20 ms frames whose root mean square is below -60 dBFS; a last
        frame that is shorter counts as one.
        ``silent``: whether every frame is.
        ``digest``: xxHash (XXH3, 64 bits) of the samples, as a signed integer: equal for clips that sound the same.
        Among the 59,201 clips of HUME-VB two different ones share it with a chance of 1e-10.

    >>> found = examine_waveform(np.array([1.0] * 320 + [0.0] * 960, dtype=np.float32))
    >>> [found[name] for name in ("samples", "peak", "rms", "clipped", "silent_ratio", "silent")]
    [1280, 1.0, 0.5, 320, 0.75, False]
    """
    peak = max(float(waveform.max()), -float(waveform.min()))
    squarable = waveform if peak <= _SQUARED_IN_FLOAT32 else waveform.astype(np.float64)
    whole = waveform.size - waveform.size % FRAME_SAMPLES
    frames = squarable[:whole].reshape(-1, FRAME_SAMPLES)
    energies = np.einsum("fs,fs->f", frames, frames)  # not a dot product of the whole, which BLAS spreads over cores
    silent_frames = np.count_nonzero(energies < FRAME_SAMPLES * SILENT_BELOW**2)
    number_of_frames = len(frames)
    energy = float(energies.sum(dtype=np.float64))
    if rest := waveform.size - whole:
        tail = float(np.square(waveform[whole:], dtype=np.float64).sum())
        energy += tail
        silent_frames += tail < rest * SILENT_BELOW**2
        number_of_frames += 1
    may_be_clipped = CLIPPED_FROM <= peak <= RESCALED_FROM
    return {
        "samples": waveform.size,
        "peak": peak,
        "rms": (energy / waveform.size) ** 0.5,
        "clipped": int(np.count_nonzero(np.abs(waveform) >= CLIPPED_FROM)) if may_be_clipped else 0,
        "silent_ratio": silent_frames / number_of_frames,
        "silent": bool(silent_frames == number_of_frames),
        "digest": int.from_bytes(xxhash.xxh3_64_digest(np.ascontiguousarray(waveform)), "big", signed=True),
    }


def _examine(file_id: str, audio: dict, raise_if_bad: bool) -> dict:
    try:
        waveform = read_clip(audio, file_id)
    except (AudioError, WaveformError) as error:
        if raise_if_bad:
            raise AudioError(f"{error}; on_bad_clip='skip' drops and counts such clips instead") from error
        return {**_UNREADABLE, "problem": str(error)}
    source = audio["bytes"] if audio["bytes"] is not None else audio["path"]
    return {**examine_waveform(waveform), "doubt": contradiction(source), "problem": ""}


def trimmed_lengths(dataset: Dataset, below_db: float) -> np.ndarray:
    """The samples that ``trim_quiet`` leaves of each clip, (clips,); cached beside the dataset, like the findings.

    Args:
        dataset: with columns ``file_id`` and ``audio``, of clips that can be read.
        below_db: as ``trim_quiet`` takes it.
    """
    clips = dataset.select_columns(["file_id", "audio"])
    found = clips.map(
        lambda file_id, audio: {"samples": trim_quiet(read_clip(audio, file_id), below_db).size},
        input_columns=["file_id", "audio"],
        remove_columns=["file_id", "audio"],
        features=Features({"samples": Value("int32")}),
        new_fingerprint=Hasher.hash([dataset._fingerprint, "trimmed_lengths", below_db, file_states(clips)]),
        desc="Measuring trimmed clips",
    )
    return np.asarray(found["samples"][:])


def file_states(clips: Dataset) -> str:
    """A hash of each file's size and date; a clip that carries its bytes is known by the dataset's own fingerprint."""
    states = xxhash.xxh3_128()
    for rows in clips.select_columns("audio").with_format("arrow").iter(_ROWS_AT_A_TIME):
        audio = rows["audio"].combine_chunks()
        paths = pc.if_else(audio.field("bytes").is_valid(), None, audio.field("path")).drop_null()
        for path in paths.to_pylist():
            try:
                state = os.stat(path)
                states.update(b"%d %d\n" % (state.st_size, state.st_mtime_ns))
            except OSError:
                states.update(b"absent\n")
    return states.hexdigest()
