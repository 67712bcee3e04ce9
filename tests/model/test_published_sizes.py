"""The encoders that recipes name are as large as their papers print."""

import importlib
import math
from pathlib import Path

import pytest
import torch
from transformers import HubertConfig, Wav2Vec2Config, WavLMConfig

from burst2vec.command_line.shipped import recipe_names, shipped_recipe
from burst2vec.comparison.fusion_recipes import is_fusion
from burst2vec.experiment.recipes import load_recipe
from burst2vec.experiment.sections import AUTO
from burst2vec.generation.generation_recipes import is_generation
from burst2vec.speech_encoder import SpeechEncoder

LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}


@pytest.mark.parametrize(
    ("config", "printed", "frame"),
    [
        (HubertConfig(), 95e6, 768),  # Hsu et al. 2021, Table I
        (HubertConfig(**LARGE), 317e6, 1024),
        (Wav2Vec2Config(), 95e6, 768),  # Baevski et al. 2020, section 4.2
        (Wav2Vec2Config(**LARGE), 317e6, 1024),
        (WavLMConfig(), 94.70e6, 768),  # Chen et al. 2022, Table I
        (WavLMConfig(**LARGE), 316.62e6, 1024),
    ],
    ids=["HuBERT base", "HuBERT large", "wav2vec 2.0 base", "wav2vec 2.0 large", "WavLM base", "WavLM large"],
)
def test_an_encoder_has_the_published_parameters_and_frames(config, printed, frame):
    with torch.device("meta"):
        encoder = SpeechEncoder.from_config(config)
    # What is printed counts the projections of pretraining too, which is under one per cent.
    assert sum(parameter.numel() for parameter in encoder.parameters()) == pytest.approx(printed, rel=0.01)
    assert encoder.size == frame


@pytest.fixture
def full_size(monkeypatch):
    """The benchmark of recipes at their full size."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("full_size")


def test_every_checkpoint_that_a_recipe_names_has_a_shape_that_is_known(full_size):
    named = set()
    for name in recipe_names():
        if not is_fusion(shipped_recipe(name)) and not is_generation(shipped_recipe(name)):
            model = load_recipe(name).model
            features = [feature.removeprefix("embedding:") for feature in model.get("features", ()) if "/" in feature]
            named |= {each for each in (model["encoder"], *features) if isinstance(each, str)}
    checkpoints = {name for name in named - {AUTO} if not name.startswith("./runs/") and "vgg" not in name}
    assert len(checkpoints) >= 5, checkpoints
    for name in checkpoints:
        assert full_size.published_shape(name).get("hidden_size", 768) == (768 if "base" in name else 1024)


def test_a_few_steps_of_a_recipe_are_measured(full_size):
    found = full_size.train("exvo_baselines/egemaps", batch=2, seconds=0.5, steps=2, options=[])
    assert found["finite"] and len(found["losses"]) == 2 and all(map(math.isfinite, found["losses"]))
    assert found["parameters"] > 88 * 128 and found["seconds"] > 0
    assert len(full_size.line_of(found)) == len(full_size.HEADER)
