"""What every step of this room asks of its input, said once."""

import numpy as np

from ..errors import WaveformError

MIN_RATE, MAX_RATE = 4_000, 192_000  # Hz
MAX_CHANNELS = 8


def check_samples(waveform, name: str = "waveform") -> np.ndarray:
    """Return ``waveform`` as float32 of shape (samples,), or say why no step can work on it.

    Unlike ``check_waveform``, which stands before the encoder, it knows no sampling rate and so no shortest or longest
    clip, and it refuses integers: a step gives back what it was given, and would not know their full scale.

    Raises:
        WaveformError: not one axis, no samples, integers, or a sample that is NaN or infinite.

    >>> check_samples([0.5, -0.5]).dtype
    dtype('float32')
    >>> check_samples(np.zeros((2, 100)))
    Traceback (most recent call last):
    burst2vec.errors.WaveformError: waveform: expected one channel of shape (samples,), got shape (2, 100);
    mix down first: mono(waveform) takes (samples, channels)
    """
    waveform = np.asarray(waveform)
    if waveform.ndim != 1:
        raise WaveformError(
            f"{name}: expected one channel of shape (samples,), got shape {waveform.shape}; "
            "mix down first: mono(waveform) takes (samples, channels)"
        )
    return check_values(waveform, name)


def check_values(waveform: np.ndarray, name: str = "waveform") -> np.ndarray:
    """Return an array of any shape as float32, if it holds samples and each is a finite number."""
    if waveform.dtype.kind != "f":
        raise WaveformError(
            f"{name}: expected float samples, full scale 1, got {waveform.dtype}; "
            "16-bit integers become so by waveform.astype('float32') / 32768"
        )
    if waveform.size == 0:
        raise WaveformError(f"{name}: no samples, shape {waveform.shape}")
    waveform = waveform.astype(np.float32, copy=False)
    finite = np.isfinite(waveform)
    if not finite.all():
        where = int(np.argmin(finite.reshape(len(waveform), -1).all(axis=1)))
        raise WaveformError(f"{name}: sample {where} is {waveform[where]}; every sample must be a finite number")
    return waveform


def check_rate(sampling_rate, name: str = "sampling_rate"):
    """Return a sampling rate in Hz, or refuse what is no rate of sound: 4 to 192 kHz, as in the files we read."""
    if not MIN_RATE <= sampling_rate <= MAX_RATE:
        raise ValueError(f"{name}={sampling_rate}; allowed: {MIN_RATE} to {MAX_RATE} Hz")
    return sampling_rate
