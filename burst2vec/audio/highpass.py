"""Away with the constant offset, and with what moves too slowly to be a voice."""

import functools

import numpy as np

from ..waveforms import SAMPLING_RATE
from .samples import check_rate, check_samples

CUTOFF_HZ = 20.0
HIGHEST_CUTOFF_HZ = 500.0  # three times as high, where all passes, is below half of every rate that is read
HALF_WIDTH = 0.36606  # u of sinc(u)^3 = 1/2: frequency times window length where three moving means halve a tone
MEANS = 3
PASSES_FROM = 3  # times the cutoff
RIPPLE_DB = 50.0  # of the Kaiser window; 40 are promised, and a gain of exactly 1 at 0 Hz takes 3 of these


def highpass(
    waveform, sampling_rate: int = SAMPLING_RATE, cutoff_hz: float = CUTOFF_HZ, stopband: bool = False
) -> np.ndarray:
    """Subtract from each sample a weighted mean of its surroundings: a linear-phase FIR high-pass against DC.

    The kernel is finite and symmetrical, so nothing is delayed; a constant is left no trace of, and what lies at
    ``3 * cutoff_hz`` or above is kept within 0.1 dB, at every rate. The two readings of "a cutoff of 20 Hz":

    * By default ``cutoff_hz`` is where half the amplitude (-6 dB) is left. The mean is a moving one, taken three times
      over L samples, 55 ms in all at 20 Hz; the gain at frequency f is

          H(f) = 1 - [sin(pi f L / rate) / (L sin(pi f / rate))]^3,    L = 0.36606 rate / cutoff_hz, made odd

      Our choice, because running sums make it three times as fast as a windowed sinc by FFT (0.4 against 1.2 ms for 2 s
      at 16 kHz), and because its kernel has no negative lobes, so that a step rings once and not on and on.
    * With ``stopband`` all from 0 Hz to ``cutoff_hz`` is 40 dB down or more, as Sharma et al. (2022), section 2, say of
      their filter: "a stopband of 20 Hz". How far down theirs is, and from where it passes, the paper does not say. The
      kernel is a sinc in a Kaiser window, 73 ms long at 20 Hz, and takes three times the time. Mains hum of 50 Hz lies
      above 20 Hz, and loses 1.3 dB; ``cutoff_hz=50`` takes it away, and some of what a voice has below 150 Hz.

    Beyond its ends the clip is mirrored (x[1] x[0] | x[0] x[1] …), as often as it takes: an offset vanishes wholly from
    a clip of any length, and a slow drift makes no step. A tone cut off at the end leaves an error there, by default
    gone after 28 ms: for 100 Hz at most 14 % of its amplitude.

    Args:
        waveform: float, shape (samples,), of any length, also shorter than the kernel.
        sampling_rate: in Hz, 4,000 to 192,000.
        cutoff_hz: 1 to 500 Hz.
        stopband: whether ``cutoff_hz`` is the upper edge of what is removed, not the middle of the slope.

    Returns:
        float32, shape (samples,). Silence, like any constant, becomes zeros.

    Raises:
        WaveformError: not one channel of finite floats.
        ValueError: a rate or cutoff outside its range.

    >>> bool(highpass(np.full(400, 0.25)).any())
    False
    >>> time = np.arange(16_000) / 16_000
    >>> rumble = highpass(np.sin(2 * np.pi * 20 * time), stopband=True)[4_000:12_000]
    >>> float(np.abs(rumble).max()) < 0.01  # -40 dB
    True
    """
    waveform = check_samples(waveform)
    check_rate(sampling_rate)
    if not 1.0 <= cutoff_hz <= HIGHEST_CUTOFF_HZ:
        raise ValueError(f"cutoff_hz={cutoff_hz}; allowed: 1 to {HIGHEST_CUTOFF_HZ:g} Hz")
    # The sums run on in float64; before them the first sample goes, so that a constant is zero to the last bit.
    waveform = waveform.astype(np.float64) - waveform[0]
    if stopband:
        from scipy.signal import oaconvolve  # here, as below: its import takes half a second

        kernel = lowpass_kernel(float(cutoff_hz), sampling_rate)
        mirrored = np.pad(waveform, kernel.size // 2, mode="symmetric")
        surroundings = oaconvolve(mirrored, kernel, mode="valid")
    else:
        from scipy.ndimage import uniform_filter1d

        window = moving_mean_samples(sampling_rate, cutoff_hz)
        surroundings = waveform
        for _ in range(MEANS):
            surroundings = uniform_filter1d(surroundings, window, mode="reflect")
    return (waveform - surroundings).astype(np.float32)


def moving_mean_samples(sampling_rate: float, cutoff_hz: float = CUTOFF_HZ) -> int:
    """Length of each moving mean, odd so that it has a middle.

    >>> moving_mean_samples(16_000)  # 0.36606 * 16000 / 20 = 292.8
    293
    """
    return 2 * round((HALF_WIDTH * sampling_rate / cutoff_hz - 1) / 2) + 1


@functools.lru_cache(maxsize=8)
def lowpass_kernel(cutoff_hz: float, sampling_rate: float) -> np.ndarray:
    """What ``highpass`` subtracts to have a stopband: a sinc in a Kaiser window, of gain 1 at 0 Hz, an odd length.

    >>> kernel = lowpass_kernel(20.0, 16_000)
    >>> kernel.size, float(kernel.sum().round(12))
    (1173, 1.0)
    """
    from scipy.signal import firwin, kaiserord

    passed = PASSES_FROM * cutoff_hz
    taps, beta = kaiserord(RIPPLE_DB, (passed - cutoff_hz) / (sampling_rate / 2))
    return firwin(taps | 1, (cutoff_hz + passed) / 2, window=("kaiser", beta), fs=sampling_rate)
