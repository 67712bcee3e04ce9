"""The level of a clip by its highest peak; its level by the mean square stands in waveforms.py, with the model."""

import numpy as np

from ..waveforms import TARGET_RMS_DBFS
from .samples import check_samples


def normalise_peak(waveform, dbfs: float = TARGET_RMS_DBFS) -> np.ndarray:
    """Scale a clip so that its highest absolute sample stands at a level: at 0 dB or below, none passes full scale.

    Args:
        waveform: float, shape (samples,).
        dbfs: level of the peak in dB relative to full scale: 0 is 1.0, -6.02 is 0.5. At most 0.

    Returns:
        float32, shape (samples,). A silent clip (all zeros) stays silent.

    Raises:
        WaveformError: not one channel of finite floats.
        ValueError: a level above 0 dB, or not a number.

    >>> normalise_peak(np.array([0.2, -0.4]), dbfs=-20).round(4).tolist()
    [0.05000000074505806, -0.10000000149011612]
    """
    waveform = check_samples(waveform)
    if not -np.inf < dbfs <= 0.0:
        raise ValueError(f"dbfs={dbfs}; allowed: numbers up to 0, where the peak is full scale")
    peak = float(np.abs(waveform).max())
    if peak == 0.0:
        return waveform.copy()
    # In float64: the gain of a clip of denormal numbers is beyond float32.
    return (waveform.astype(np.float64) * (10.0 ** (dbfs / 20.0) / peak)).astype(np.float32)
