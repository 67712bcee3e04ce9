"""openSMILE's functionals of a clip: statistics of its low-level descriptors, always as many, whatever its length.

openSMILE (Eyben, Wöllmer and Schuller, 2010) is given samples, never files: it dies of a header that names an absurd
sampling rate. Its licence allows research, not commerce.
"""

import functools

import numpy as np

from ...waveforms import SAMPLING_RATE
from ..corpora import CorpusError

COMPARE = "ComParE_2016"  # 6,373 (Schuller et al., 2016)
EGEMAPS = "eGeMAPSv02"  # 88 (Eyben et al., 2016)
VERSION = 1  # raise it with every change that alters a value: no folder or cache of another version is gone on with
LEAST_SAMPLES = 960  # 60 ms, one frame of its pitch tracker; below it openSMILE gives nothing but NaN
HIGHEST = np.float32(32767 / 32768)  # of what 16 bits hold


def functionals(waveform: np.ndarray, standard: str) -> tuple[np.ndarray, str]:
    """The functionals of a clip: what ``opensmile.Smile(standard).process_signal(waveform, 16000)`` gives, made safe.

    Three things are mended, and noted, because openSMILE would make something of them without a word. A clip under 960
    samples, of which it makes NaN, is padded with zeros at its end. It casts samples to 16 bits, where 1.0 becomes
    -1.0: samples beyond -1 to 32767/32768 are set to the nearer of these, as a recorder of 16 bits would. A clip at
    -3 dBFS RMS has many; ``normalise_peak`` leaves none. Values that are not finite become 0.

    Args:
        waveform: float32, shape (samples,) at 16 kHz, from ``read_clip``. Silence has functionals like any other clip.
        standard: ``"ComParE_2016"`` or ``"eGeMAPSv02"``.

    Returns:
        float32, shape (features,), in each feature's own unit; and what was mended, "" where nothing was.

    Raises:
        CorpusError: no value is finite.
    """
    notes = []
    if waveform.size < LEAST_SAMPLES:
        waveform = np.pad(waveform, (0, LEAST_SAMPLES - waveform.size))
        notes.append(f"padded to {LEAST_SAMPLES} samples")
    if waveform.max() > HIGHEST or waveform.min() < -1:
        waveform = waveform.clip(-1, HIGHEST)
        notes.append("clipped at full scale")
    vector = _smile(standard).process_signal(waveform, SAMPLING_RATE).to_numpy()[0].astype(np.float32)
    finite = np.isfinite(vector)
    if not finite.any():
        raise CorpusError(f"openSMILE's {standard} has no finite value of {waveform.size} samples")
    if not finite.all():
        vector = np.where(finite, vector, np.float32(0))
        notes.append("values not finite set to 0")
    return vector, ", ".join(notes)


def names(standard: str) -> tuple[str, ...]:
    """The features' names, in the order of the vector."""
    return tuple(_smile(standard).feature_names)


def made_by(standard: str) -> dict:
    """What decides the values, for whoever asks whether two tables may be mixed."""
    return {"opensmile": _opensmile().__version__, "standard": standard, "version": VERSION}


@functools.cache
def _smile(standard: str):
    opensmile = _opensmile()
    return opensmile.Smile(opensmile.FeatureSet[standard], opensmile.FeatureLevel.Functionals)


def _opensmile():
    try:
        import opensmile  # two seconds, and an extra
    except ImportError as error:
        raise ImportError("computing features needs openSMILE: pip install 'burst2vec[features]'") from error
    return opensmile
