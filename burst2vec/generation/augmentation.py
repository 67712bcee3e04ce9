"""Random changes to real bursts while a generator learns, as in the code that the challenge published."""

import librosa
import numpy as np

from ..audio import change_speed
from ..waveforms import SAMPLING_RATE

MOST_CHANGES = 3  # of the four at once
SPEED = 0.2  # as a fraction: 0.8 to 1.2 times as fast
SEMITONES = 3.0
SHIFT_SECONDS = 0.2
NOISE_DEVIATION = 0.01


def augment(waveform: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """None to three of four changes, in random order: speed, pitch, a shift to the right, and noise.

    Speed changes tempo and pitch together, as of a tape; the paper does not say which; our choice because nothing is
    smeared. Pitch keeps the tempo.

    Args:
        waveform: float32 (samples,) at 16 kHz.
        random: draws what is done.

    Returns:
        float32, of another length where the speed or the start changed.
    """
    chosen = random.permutation(list(CHANGES))[: random.integers(MOST_CHANGES + 1)]
    for name in chosen:
        waveform = CHANGES[name](waveform, random)
    return waveform.astype(np.float32, copy=False)


def _speed(waveform, random):
    return change_speed(waveform, random.uniform(1 - SPEED, 1 + SPEED))


def _pitch(waveform, random):
    return librosa.effects.pitch_shift(waveform, sr=SAMPLING_RATE, n_steps=random.uniform(-SEMITONES, SEMITONES))


def _shift(waveform, random):
    return np.pad(waveform, (random.integers(int(SHIFT_SECONDS * SAMPLING_RATE) + 1), 0))


def _noise(waveform, random):
    return waveform + random.normal(scale=NOISE_DEVIATION, size=waveform.shape).astype(np.float32)


CHANGES = {"speed": _speed, "pitch": _pitch, "shift": _shift, "noise": _noise}
