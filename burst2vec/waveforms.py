"""Waveforms: what a burst must be before a model takes it, its level, and several padded to one length.

Numpy only, because this file travels with the weights: training, the pipeline and a model loaded from the Hub all
refuse and level a clip by the same lines.
"""

from collections.abc import Sequence

import numpy as np

from .errors import WaveformError

SAMPLING_RATE = 16_000  # Hz, of every encoder this package drives
MIN_SAMPLES = 400  # 25 ms: the receptive field of the encoders' convolutions; below it they have no frame
MAX_SAMPLES = 60 * SAMPLING_RATE  # 60 s; attention grows with the square of the length, and no burst is longer
TARGET_RMS_DBFS = -3.0  # Burst2Vec, section 4.1
UNIT_VARIANCE = "unit variance"  # instead of a level: see the functions
PEAK = "peak"
TRIM_WINDOW = SAMPLING_RATE // 50  # 20 ms
TRIM_MARGIN = SAMPLING_RATE // 10  # 0.1 s


def check_waveform(waveform, name: str = "waveform") -> np.ndarray:
    """Return ``waveform`` as float32 of shape (samples,), or say why it cannot be a burst.

    Args:
        waveform: one channel at 16 kHz, any real number type; integers are scaled to -1..1 by their type's range.
        name: what to call it in an error: a file name, or its place in a batch.

    Raises:
        WaveformError: not one axis, under 400 samples, over 60 s, or a sample that is NaN or infinite.
    """
    waveform = np.asarray(waveform)
    if waveform.ndim != 1:
        raise WaveformError(
            f"{name}: expected one channel of shape (samples,), got shape {waveform.shape}; "
            "mix down first, for example with waveform.mean(axis=channels)"
        )
    waveform = real_samples(waveform, name)
    if not MIN_SAMPLES <= waveform.size <= MAX_SAMPLES:
        raise WaveformError(
            f"{name}: {waveform.size} samples at {SAMPLING_RATE} Hz; a burst has {MIN_SAMPLES} "
            f"({1000 * MIN_SAMPLES // SAMPLING_RATE} ms) to {MAX_SAMPLES} ({MAX_SAMPLES // SAMPLING_RATE} s)"
        )
    waveform = waveform.astype(np.float32, copy=False)
    if not np.isfinite(waveform).all():
        where = int(np.flatnonzero(~np.isfinite(waveform))[0])
        raise WaveformError(f"{name}: sample {where} is {waveform[where]}; every sample must be a finite number")
    return waveform


def real_samples(waveform: np.ndarray, name: str = "waveform") -> np.ndarray:
    """Samples as floats: integers are scaled to -1..1 by their type's range, floats stay.

    Raises:
        WaveformError: neither the one nor the other.

    >>> real_samples(np.array([16384, -32768], dtype="int16")).tolist()
    [0.5, -1.0]
    """
    if waveform.dtype.kind == "i":
        return waveform.astype(np.float32) / -float(np.iinfo(waveform.dtype).min)
    if waveform.dtype.kind != "f":
        raise WaveformError(f"{name}: expected real samples, got {waveform.dtype}")
    return waveform


def normalise_level(waveform: np.ndarray, dbfs: float = TARGET_RMS_DBFS) -> np.ndarray:
    """Scale a waveform to a root-mean-square level, in float and never clipped (Burst2Vec, section 4.1).

    Args:
        waveform: float32, shape (samples,).
        dbfs: target level in dB relative to full scale, where a constant 1.0 has 0 dB.

    Returns:
        float32, shape (samples,); peaks may exceed 1. A silent clip (all zeros) stays silent: there is no gain that
        would bring it to a level.

    >>> normalise_level(np.array([0.5, -0.5], dtype=np.float32), dbfs=-20).round(4).tolist()
    [0.10000000149011612, -0.10000000149011612]
    """
    rms = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))) if waveform.size else 0.0
    if rms == 0.0:
        return waveform.astype(np.float32)
    gain = np.float64(10.0 ** (dbfs / 20.0) / rms)  # beyond float32 for a level under -760 dBFS
    return (waveform * gain).astype(np.float32)


def unit_variance(waveform: np.ndarray) -> np.ndarray:
    """(x − mean) / √(variance + 1e-7): what ``Wav2Vec2FeatureExtractor`` does where ``do_normalize`` is true.

    Silence stays silence.

    >>> unit_variance(np.array([0.5, -0.5, 0.5, -0.5], np.float32)).round(3).tolist()
    [1.0, -1.0, 1.0, -1.0]
    """
    exact = waveform.astype(np.float64)
    return ((exact - exact.mean()) / np.sqrt(exact.var() + 1e-7)).astype(np.float32)


def unit_peak(waveform: np.ndarray) -> np.ndarray:
    """x / max |x|, as the ExVo challenge's few-shot baseline is fed; silence stays silence.

    >>> unit_peak(np.array([0.25, -0.5], np.float32)).tolist()
    [0.5, -1.0]
    """
    exact = waveform.astype(np.float64)  # the inverse of a denormal peak is beyond float32
    return (exact / (np.abs(exact).max(initial=0.0) or 1.0)).astype(np.float32)


def trim_quiet(waveform: np.ndarray, below_db: float | None) -> np.ndarray:
    """Cut what is quiet before the first and after the last loud 20 ms of a clip, but for 0.1 s (ours, of no paper).

    Args:
        waveform: float32 (samples,), 400 or more.
        below_db: 20 ms are loud whose power is at most so many dB below that of the loudest; None: nothing is cut.

    Returns:
        A stretch of the clip, of 400 samples or more; of a silent one all.

    >>> trim_quiet(np.repeat(np.array([0, 1e-3, 0.5, 0], "f"), 8_000) * np.tile([1, -1], 16_000), 40.0).size
    11200
    """
    if below_db is None:
        return waveform
    centred = waveform - waveform.mean(dtype=np.float64)  # an offset is no sound
    windows = np.pad(centred, (0, -waveform.size % TRIM_WINDOW)).reshape(-1, TRIM_WINDOW)
    power = np.einsum("ws,ws->w", windows, windows)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-below_db / 10))
    return waveform[max(0, loud[0] * TRIM_WINDOW - TRIM_MARGIN) : (loud[-1] + 1) * TRIM_WINDOW + TRIM_MARGIN]


def scale_to(waveform: np.ndarray, level: float | str | None) -> np.ndarray:
    """A waveform at the level that a feature extractor's ``target_rms_dbfs`` says.

    Args:
        waveform: float32 (samples,).
        level: in dB of full scale, ``"unit variance"``, ``"peak"``, or None: as it is.

    >>> scale_to(np.array([0.25, -0.5], np.float32), "peak").tolist()
    [0.5, -1.0]
    """
    if level == UNIT_VARIANCE:
        return unit_variance(waveform)
    if level == PEAK:
        return unit_peak(waveform)
    return waveform if level is None else normalise_level(waveform, level)


def pad(waveforms: Sequence[np.ndarray], padding_value: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Waveforms (samples,) as one float32 array (clips, longest), and an int64 mask that is 1 where their samples are.

    >>> pad([np.array([0.5, -0.5], np.float32), np.array([1.0], np.float32)])[0].tolist()
    [[0.5, -0.5], [1.0, 0.0]]
    """
    longest = max(waveform.size for waveform in waveforms)
    values = np.full((len(waveforms), longest), padding_value, dtype=np.float32)
    mask = np.zeros((len(waveforms), longest), dtype=np.int64)
    for row, waveform in enumerate(waveforms):
        values[row, : waveform.size] = waveform
        mask[row, : waveform.size] = 1
    return values, mask


def check_samples_of(name: str, seconds: float) -> int:
    """Samples in ``seconds``, to the nearest; refuses what is none, or more than a clip may have, by ``name``."""
    samples = round(seconds * SAMPLING_RATE)
    if not 1 <= samples <= MAX_SAMPLES:
        raise ValueError(f"{name} is {seconds:g}; it must be in 1/{SAMPLING_RATE} to {MAX_SAMPLES // SAMPLING_RATE} s")
    return samples
