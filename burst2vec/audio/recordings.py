"""A recording as it is handed over: by its path, its bytes or its samples, to one checked channel and its rate."""

import numbers
import os

import numpy as np

from ..errors import WaveformError
from ..waveforms import MAX_SAMPLES, MIN_SAMPLES, SAMPLING_RATE, real_samples
from .decode import read_audio
from .samples import MAX_CHANNELS, MAX_RATE, MIN_RATE, check_samples

FORMS = "a path, the bytes of a file, a waveform of shape (samples,), or {'array': waveform, 'sampling_rate': rate}"


def read_recording(clip, sampling_rate: int, name: str = "clip") -> tuple[np.ndarray, int, str]:
    """One channel of whatever stands for a recording.

    Args:
        clip: a path; the bytes of a file; a waveform (samples,), real numbers, integers being scaled by their type's
            range; or a dictionary of ``"array"`` or ``"raw"``, such a waveform, and ``"sampling_rate"``, or, as a
            corpus has it in its column ``audio``, of ``"bytes"`` and ``"path"``.
        sampling_rate: Hz, of a waveform that comes without one.
        name: what to call the clip in an error, if it has no path.

    Returns:
        float32, shape (samples,), finite; its rate in Hz; and what to call it in errors to come.

    Raises:
        AudioError: see ``load_audio``.
        WaveformError: something else than the above, several channels, samples that are not finite numbers, a rate
            outside 4 to 192 kHz, under 25 ms or over 60 s.

    >>> waveform, rate, name = read_recording({"raw": np.full(200, 16_384, "int16"), "sampling_rate": 8_000}, 16_000)
    >>> float(waveform[0]), rate, name
    (0.5, 8000, 'clip')
    """
    if isinstance(clip, dict):
        if "sampling_rate" in clip and ("array" in clip or "raw" in clip):
            rate = _rate(clip["sampling_rate"], name)
            return _waveform(clip["array"] if "array" in clip else clip["raw"], rate, name), rate, name
        if clip.get("bytes") is None and clip.get("path") is None:
            raise WaveformError(
                f"{name}: a clip given as a dictionary needs 'array' and 'sampling_rate' ('raw' does for 'array'), or "
                f"'bytes' or 'path', got {[str(key) for key in clip]}"
            )
        if clip.get("bytes") is not None and clip.get("path"):
            name = f"{name} ({clip['path']})"
        clip = clip["path"] if clip.get("bytes") is None else clip["bytes"]
    if isinstance(clip, (str, os.PathLike)):
        return *read_audio(clip), os.fspath(clip)
    if isinstance(clip, (bytes, bytearray, memoryview)):
        return *read_audio(clip, name), name
    return _waveform(clip, sampling_rate, name), sampling_rate, name


def _waveform(array, rate: float, name: str) -> np.ndarray:
    try:
        waveform = np.asarray(array)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of several lengths; tensors of another device
        raise WaveformError(f"{name}: is no array of samples ({error}); give {FORMS}") from error
    if waveform.dtype.kind not in "fi":
        raise WaveformError(f"{name}: is {type(array).__name__} of {waveform.dtype}; give {FORMS}")
    if waveform.ndim == 2 and min(waveform.shape) <= MAX_CHANNELS:
        turned = ".T" if waveform.shape[0] < waveform.shape[1] else ""
        raise WaveformError(
            f"{name}: shape {waveform.shape} is several channels, expected one channel of shape (samples,); mix down: "
            f"burst2vec.audio.mono(waveform{turned})"
        )
    waveform = check_samples(real_samples(waveform, name), name)
    if not MIN_SAMPLES * rate <= waveform.size * SAMPLING_RATE <= MAX_SAMPLES * rate:
        raise WaveformError(
            f"{name}: {waveform.size} samples at {rate} Hz are {waveform.size / rate:.3f} s; a burst has "
            f"{MIN_SAMPLES / SAMPLING_RATE} to {MAX_SAMPLES / SAMPLING_RATE:.0f} s"
        )
    return waveform


def _rate(rate, name: str):
    if isinstance(rate, numbers.Real) and not isinstance(rate, bool) and MIN_RATE <= rate <= MAX_RATE:
        return rate
    raise WaveformError(f"{name}: sampling_rate is {rate!r}; allowed: {MIN_RATE} to {MAX_RATE} Hz")
