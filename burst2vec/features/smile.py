"""openSMILE, given samples and never files, and kept from making something of a bad clip without a word.

openSMILE (Eyben, Wöllmer and Schuller, 2010) dies of a header that names an absurd sampling rate, so it never sees one.
Its licence allows research, not commerce.
"""

import functools

import numpy as np

from ..errors import CorpusError, MissingPackageError
from ..waveforms import SAMPLING_RATE

LEAST_SAMPLES = 960  # 60 ms, one frame of its pitch tracker; below it openSMILE gives nothing but NaN
HIGHEST = np.float32(32767 / 32768)  # of what 16 bits hold


def process(waveform: np.ndarray, standard: str, *levels: str) -> tuple[np.ndarray, str]:
    """What openSMILE gives for a clip, made safe.

    Three things are mended, and noted, because openSMILE would make something of them without a word. A clip under 960
    samples, of which it makes NaN, is padded with zeros at its end. It casts samples to 16 bits, where 1.0 becomes
    -1.0: samples beyond -1 to 32767/32768 are set to the nearer of these, as a recorder of 16 bits would. A clip at
    -3 dBFS RMS has many; ``normalise_peak`` leaves none. Values that are not finite become 0.

    Args:
        waveform: float32, shape (samples,) at 16 kHz, from ``read_clip``. Silence is processed like any other clip.
        standard: openSMILE's name of a set, such as ``"ComParE_2016"``.
        levels: its names of what to give, such as ``"Functionals"``; of several, the values of a frame stand one after
            the other, and frames that one of them alone has are left out.

    Returns:
        float32 (frames, values), one frame of functionals; and what was mended, "" where nothing was.

    Raises:
        CorpusError: no value is finite.
        MissingPackageError: openSMILE is not installed.
    """
    notes = []
    if waveform.size < LEAST_SAMPLES:
        waveform = np.pad(waveform, (0, LEAST_SAMPLES - waveform.size))
        notes.append(f"padded to {LEAST_SAMPLES} samples")
    if waveform.max() > HIGHEST or waveform.min() < -1:
        waveform = waveform.clip(-1, HIGHEST)
        notes.append("clipped at full scale")
    given = [smile(standard, level).process_signal(waveform, SAMPLING_RATE).to_numpy(np.float32) for level in levels]
    frames = np.concatenate([values[: min(map(len, given))] for values in given], axis=1)
    finite = np.isfinite(frames)
    if not finite.any():
        raise CorpusError(f"openSMILE's {standard} has no finite value of {waveform.size} samples")
    if not finite.all():
        frames = np.where(finite, frames, np.float32(0))
        notes.append("values not finite set to 0")
    return frames, ", ".join(notes)


@functools.cache
def smile(standard: str, level: str):
    """openSMILE set up for one standard and level; it reads its settings once."""
    opensmile = _opensmile()
    return opensmile.Smile(opensmile.FeatureSet[standard], opensmile.FeatureLevel[level])


def version() -> str:
    """openSMILE's own."""
    return _opensmile().__version__


def _opensmile():
    try:
        import opensmile  # two seconds, and an extra
    except ImportError as error:
        raise MissingPackageError("computing features needs openSMILE: pip install 'burst2vec[features]'") from error
    return opensmile
