"""Clips made for tests of feature sets, and openSMILE itself to compare with."""

import numpy as np
import opensmile
import soundfile
from datasets import Dataset

STANDARDS = {"compare": opensmile.FeatureSet.ComParE_2016, "egemaps": opensmile.FeatureSet.eGeMAPSv02}


def smile(feature_set):
    return opensmile.Smile(STANDARDS[feature_set], opensmile.FeatureLevel.Functionals)


def noise(samples=4_000, seed=0, level=0.1):
    return (level * np.random.default_rng(seed).normal(size=samples)).astype(np.float32)


def clips_of(folder, waveforms, speakers=None):
    """A dataset of clips that lie as files of 32-bit floats in ``folder``, with their speakers where they are given."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, waveform in waveforms.items():
        soundfile.write(folder / f"{name}.wav", waveform, 16_000, subtype="FLOAT")
    audio = [{"bytes": None, "path": str(folder / f"{name}.wav")} for name in waveforms]
    columns = {"file_id": list(waveforms), "audio": audio}
    return Dataset.from_dict(columns | ({"speaker": speakers} if speakers else {}))


def five(folder):
    return clips_of(folder, {f"c{clip}": noise(seed=clip) for clip in range(5)})


def vectors(dataset):
    return np.array(dataset["features"][:], dtype=np.float32)
