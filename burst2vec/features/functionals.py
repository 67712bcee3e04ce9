"""openSMILE's functionals of a clip: statistics of its low-level descriptors, always as many, whatever its length."""

import numpy as np

from .smile import process, smile, version

COMPARE = "ComParE_2016"  # 6,373 (Schuller et al., 2016)
EGEMAPS = "eGeMAPSv02"  # 88 (Eyben et al., 2016)
VERSION = 1  # raise it with every change that alters a value: no folder or cache of another version is reused
LEVEL = "Functionals"


def functionals(waveform: np.ndarray, standard: str) -> tuple[np.ndarray, str]:
    """The functionals of a clip: what ``opensmile.Smile(standard).process_signal(waveform, 16000)`` gives, made safe.

    Args:
        waveform: float32, shape (samples,) at 16 kHz, from ``read_clip``; what ``process`` changes of it is noted.
        standard: ``"ComParE_2016"`` or ``"eGeMAPSv02"``.

    Returns:
        float32, shape (features,), in each feature's own unit; and what was mended, "" where nothing was.

    Raises:
        CorpusError: no value is finite.
    """
    frames, note = process(waveform, standard, LEVEL)
    return frames[0], note


def names(standard: str) -> tuple[str, ...]:
    """The features' names, in the order of the vector."""
    return tuple(smile(standard, LEVEL).feature_names)


def made_by(standard: str) -> dict:
    """What decides the values, for whoever asks whether two tables may be mixed."""
    return {"opensmile": version(), "standard": standard, "version": VERSION}
