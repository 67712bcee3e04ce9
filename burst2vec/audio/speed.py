"""Speed perturbation: the same burst, faster and higher, or slower and lower."""

import numpy as np

from ..waveforms import MAX_SAMPLES, MIN_SAMPLES
from .resampling import convert_rate
from .samples import check_samples

MIN_FACTOR, MAX_FACTOR = 0.5, 2.0  # an octave down or up
STEPS_PER_UNIT = 1_000  # finer ratios cost soxr up to twice the time, and make no audible difference


def change_speed(waveform, factor: float) -> np.ndarray:
    """Play a clip ``factor`` times as fast: tempo and pitch change together, as those of a tape (Ko et al., "Audio
    augmentation for speech recognition", Interspeech 2015, which trains on factors 0.9, 1.0 and 1.1).

    x(t) becomes x(factor * t), by resampling, whatever the sampling rate.

    Args:
        waveform: float, shape (samples,).
        factor: 0.5 to 2, taken to three decimals; 1.1 makes the clip 1/1.1 as long, and 1.1 times as high.

    Returns:
        float32, shape (samples / factor rounded,). Factor 1 gives the clip back unchanged, and so does any factor that
        would leave it with fewer than 400 samples or more than 60 s at 16 kHz, which no model here takes: as an
        augmentation it changes clips, and never loses one.

    Raises:
        WaveformError: not one channel of finite floats.
        ValueError: a factor outside its range.

    >>> change_speed(np.zeros(16_500), 1.1).shape
    (15000,)
    """
    waveform = check_samples(waveform)
    if not MIN_FACTOR <= factor <= MAX_FACTOR:
        raise ValueError(f"factor={factor}; allowed: {MIN_FACTOR} to {MAX_FACTOR}, where 1 changes nothing")
    steps = round(factor * STEPS_PER_UNIT)
    if not MIN_SAMPLES <= waveform.size * STEPS_PER_UNIT // steps <= MAX_SAMPLES:
        return waveform
    return convert_rate(waveform, steps, STEPS_PER_UNIT)
