"""A model's temperatures: in its predictions, whatever reads them, and nowhere else."""

import numpy as np
import pytest
import torch

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, personalise
from tests.conftest import noise_clips, tiny_model

CLIPS = noise_clips(4000, 6000)


@pytest.mark.parametrize("heads_read", ["clip", "frames"])
def test_probabilities_are_tempered_and_nothing_else(extract, heads_read):
    model, batch = tiny_model(heads_read=heads_read), extract(CLIPS)
    with torch.no_grad():
        before = model(**batch)
        model.config.temperatures = {"country": 2.5}
        after = model(**batch)
    powers = before.predictions["country"].double() ** (1 / 2.5)
    wanted = (powers / powers.sum(dim=-1, keepdim=True)).float()
    torch.testing.assert_close(after.predictions["country"], wanted)
    assert not torch.allclose(after.predictions["country"], before.predictions["country"], atol=1e-3)
    for name in ("emotion", "age"):
        torch.testing.assert_close(after.predictions[name], before.predictions[name])
    torch.testing.assert_close(after.embeddings, before.embeddings)


def test_a_saved_model_keeps_them_and_a_personal_one_as_long_as_its_classes_stay(tmp_path):
    model, extractor = tiny_model(), Burst2VecFeatureExtractor()
    model.config.temperatures = {"country": 2.5}
    model.save_pretrained(tmp_path)
    assert type(model).from_pretrained(tmp_path).config.temperatures == {"country": 2.5}
    ages = {"age": np.array([[30.0], [31.0]])}
    assert personalise(model, extractor, CLIPS, ages).config.temperatures == {"country": 2.5}
    tuned = personalise(model, extractor, CLIPS, ages, tune=["head"], steps=1)
    assert tuned.config.temperatures is None and model.config.temperatures == {"country": 2.5}


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"age": 2.0}, r"temperatures: 'age' is not one of the classifications \['country'\]"),
        ({"country": 0.0}, r"temperatures of 'country' must be a number in 0.1..10, got 0.0"),
        ({"country": "2"}, "must be a number"),
    ],
)
def test_a_configuration_refuses_what_is_no_temperature(described, message):
    with pytest.raises(ValueError, match=message):
        Burst2VecConfig(temperatures=described)
