"""pipeline("vocal-burst-generation"): names in, waveforms out."""

import numpy as np
import pytest
import torch
from transformers import pipeline

from burst2vec import BurstGenerator, BurstGeneratorConfig


@pytest.fixture(scope="module")
def generate(tmp_path_factory):
    place = tmp_path_factory.mktemp("generator")
    torch.manual_seed(0)
    config = BurstGeneratorConfig(["Amusement"], channels=[4, 4, 4, 4, 4, 4, 4], latent_size=6)
    BurstGenerator(config).save_pretrained(place)
    return pipeline("vocal-burst-generation", model=str(place))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Of Griffin-Lim: what is tested here is not how good it is."""
    monkeypatch.setattr("burst2vec.generation.mel_images.ROUNDS", 1)
    monkeypatch.setattr("burst2vec.generation.mel_images.UPDATES", 1)


def test_a_name_gives_as_many_waveforms_as_are_asked_for(generate):
    bursts = generate("Amusement", num_return_sequences=3, seed=1)
    assert len(bursts) == 3 and all(burst["sampling_rate"] == 16_000 for burst in bursts)
    for burst in bursts:
        assert burst["audio"].dtype == np.float32 and burst["audio"].ndim == 1
        assert 400 <= burst["audio"].size <= 65_536 and np.abs(burst["audio"]).max() <= 1
    assert len(generate("Amusement")) == 1
    assert [len(each) for each in generate(["Amusement", "Amusement"], num_return_sequences=2)] == [2, 2]


def test_equal_seeds_give_equal_bursts_and_others_others(generate):
    first, again, other = (generate("Amusement", seed=seed)[0]["audio"] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_an_emotion_that_the_model_does_not_know_is_refused(generate):
    with pytest.raises(ValueError, match="the model generates Amusement, not 'Awe'"):
        generate("Awe")
    with pytest.raises(ValueError, match="num_return_sequences must be 1 or more"):
        generate("Amusement", num_return_sequences=0)
    with pytest.raises(ValueError, match="the model is of one emotion, and takes no guidance; a BurstFlow does"):
        generate("Amusement", guidance=2.0)
    with pytest.raises(TypeError, match="this pipeline takes"):
        generate("Amusement", temperature=2)
