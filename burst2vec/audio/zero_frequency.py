"""The zero-frequency filter: what of a voice comes from the glottis, the vocal tract's resonances gone."""

import functools

import numpy as np

from ..waveforms import SAMPLING_RATE
from .samples import check_rate, check_samples

WINDOW_SECONDS = 0.010
MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS = 0.002, 0.050


def zero_frequency_filter(
    waveform, sampling_rate: int = SAMPLING_RATE, window_seconds: float = WINDOW_SECONDS
) -> np.ndarray:
    """Filter a voice to the slow swing of its excitation (Murty and Yegnanarayana, "Epoch extraction from speech
    signals", IEEE Transactions on Audio, Speech, and Language Processing 16(8), 2008).

    Their recipe: difference the signal, pass it twice through a resonator at 0 Hz, y[n] = 2 y[n-1] - y[n-2] + x[n],
    and take the trend away by subtracting the mean over about 10 ms around each sample. Here the trend goes once after
    each resonator. Run as it stands, the integration grows with the cube of the length and loses every digit. But
    1 - (mean over 2N+1 samples) has a double zero where the resonator has its double pole, so that each pair is finite:

        sum over |k| < N of -(N - |k|)(N - |k| + 1) / (2 (2N+1)) x[n+1-k]

    and the whole is a difference and two short symmetrical filters: the same numbers, exact for any length. The output
    is scaled by one constant, so that the filter's largest gain over all frequencies is 1: it is a fixed linear
    operation, and leaves a clip's level in.

    With 10 ms that gain is at 70 Hz; half of it is left at 23 and 135 Hz, 1/146 at 500 Hz and 1/1180 at 1 kHz, among
    the vocal tract's resonances. In a microphone signal of usual polarity the closing of the glottis is a negative
    peak, and the output crosses zero upwards there (on bare impulses, by the definition above, one to two samples
    before them).

    Before its first sample and after its last the clip is taken to stand still: an offset changes nothing.

    Args:
        waveform: float, shape (samples,), of any length.
        sampling_rate: in Hz, 4,000 to 192,000.
        window_seconds: over which the trend is taken, 0.002 to 0.05: one to two periods of the voice. 10 ms suits 100
            to 200 Hz. Much under one period the output crosses zero several times in each; far over two, as 10 ms are
            for a shriek of 300 Hz, slight differences between periods outweigh the periods themselves.

    Returns:
        float32, shape (samples,). Silence, like any constant, becomes zeros.

    Raises:
        WaveformError: not one channel of finite floats.
        ValueError: a rate or a window outside its range.

    >>> bool(zero_frequency_filter(np.full(400, 0.25)).any())
    False
    """
    waveform = check_samples(waveform)
    check_rate(sampling_rate)
    if not MIN_WINDOW_SECONDS <= window_seconds <= MAX_WINDOW_SECONDS:
        raise ValueError(
            f"window_seconds={window_seconds}; allowed: {MIN_WINDOW_SECONDS} to {MAX_WINDOW_SECONDS}, "
            "one to two periods of the voice"
        )
    from scipy.signal import oaconvolve  # here: its import takes half a second

    taps, gain = resonator_taps(round(window_seconds * sampling_rate / 2))
    change = np.diff(waveform.astype(np.float64), prepend=waveform[0])
    ahead = len(taps) // 2 + 2  # the middle of the taps, and a sample for each resonator
    filtered = oaconvolve(change, taps)[ahead : ahead + waveform.size]
    return (filtered / gain).astype(np.float32)


@functools.cache
def resonator_taps(half_window: int) -> tuple[np.ndarray, float]:
    """Two resonators with their trends removed, as one symmetrical filter, and the largest gain of difference and
    filter together.

    Args:
        half_window: N, where the trend is the mean over 2N+1 samples.

    Returns:
        The taps, float64, shape (4N - 3,), and the gain. With N = 1 each pair is one tap of -1/3:

    >>> resonator_taps(1)[0].round(4).tolist()
    [0.1111]
    """
    left = half_window - np.abs(np.arange(1 - half_window, half_window, dtype=np.float64))
    pair = -left * (left + 1) / (2 * (2 * half_window + 1))
    taps = np.convolve(pair, pair)
    gains = np.abs(np.fft.rfft(np.convolve([1.0, -1.0], taps), 1 << 18))
    return taps, float(gains.max())
