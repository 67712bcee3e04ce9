"""Recipes learn: one of each kind of system, made small, ends beyond the constant baseline on synthetic bursts."""

import json
import math

import pytest

from burst2vec.data.corpora.synthetic import write_synthetic_corpus
from burst2vec.experiment.execute import execute
from burst2vec.experiment.recipes import load_recipe, parse_run
from tests.examples.test_example_recipes import RECIPES

pytestmark = pytest.mark.slow  # whole runs

SMALL_CONFORMER = {
    "channels": 20,
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_depthwise_kernel_size": 7,
}
SMALL_HUBERT = {
    "conv_dim": [8, 16, 16, 16],
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}
FEW_KERNELS = {"rates": [4, 8], "scales": [-0.25, 0.25], "channel_hop": 4}
CORPUS_AS_IT_IS = {"synthetic_clips": "null", "synthetic_speakers": "null", "synthetic_seed": "null"}
SMALL_TRUNK = {"projection_size": 24, "hidden_size": 24}
# One recipe of each kind: what makes it small, and a rate for so few steps.
KINDS = {
    "burst2vec/quickstart": {"encoder": SMALL_HUBERT, "trunk": SMALL_TRUNK, "learning_rate": 3e-3, **CORPUS_AS_IT_IS},
    "strf_conformer/log_mel_joint": {
        "encoder": SMALL_CONFORMER,
        "audio": "processed",
        "learning_rate": 5e-3,
        "max_steps": 60,
    },
    "strf_conformer/strf_joint": {
        "encoder": {**SMALL_CONFORMER, **FEW_KERNELS},
        "audio": "processed",
        "learning_rate": 5e-3,
    },
    "emogator/log_mel_cnn": {"encoder": {"channels": 20, "width": 4}, "corpus": "synthetic", "tasks": "exvo"},
    "exvo_baselines/compare": {"features": '["log_mel"]'},
    "exvo_baselines/fewshot_64": {
        "encoder": {"conv_dim": [8, 16, 32]},
        "recurrent": {"hidden_size": 32},
        "tasks": "exvo",
        "learning_rate": 5e-3,
    },
}
NARROW = {"conv_dim": [16, 32, 64, 64]}  # an eighth of the published widths


@pytest.fixture(scope="module")
def bursts(tmp_path_factory):
    return write_synthetic_corpus(tmp_path_factory.mktemp("corpora") / "bursts", clips=320, speakers=80)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run_of(bursts, cache, tmp_path):
    """Execute a recipe on the synthetic bursts, with other values of some keys, of a part by its arguments."""

    def run(name, **changes):
        recipe = load_recipe(RECIPES / f"{name}.yaml")
        options = {"data_dir": bursts, "cache_dir": cache, "output_dir": tmp_path / "run", "do_predict": "false"}
        for key, value in changes.items():
            options[key] = json.dumps({**recipe.model[key], **value}) if isinstance(value, dict) else value
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        return execute(parse_run([str(RECIPES / f"{name}.yaml"), *words]))

    return run


@pytest.mark.parametrize("name", ["raw_emotion_class", "raw_country", "zff_emotion_class", "zff_country"])
def test_a_network_over_waveforms_learns(name, run_of, tmp_path):
    """Its loss on training falls below 0.9 ln C; a constant has about ln C."""
    task, classes, least = ("country", 4, 0.35) if name.endswith("country") else ("emotion_class", 10, 0.2)
    epochs = {"raw_country": 3, "zff_emotion_class": 7}.get(name, 6)  # the filter leaves little to learn from
    last = {"load_best_model_at_end": "false", "early_stopping_patience": "null"}  # few speakers choose by chance
    whole = {"num_train_epochs": epochs, "logging_strategy": "epoch", **last}
    record = run_of(f"frozen_embeddings/{name}", encoder=NARROW, **whole)
    state = json.loads((tmp_path / "run" / f"checkpoint-{record.steps}" / "trainer_state.json").read_text())
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    assert losses[-1] < 0.9 * math.log(classes), losses
    assert record.scores["validation"][f"{task}_uar"] > least


@pytest.mark.parametrize("name", KINDS)
def test_a_recipe_of_each_kind_beats_the_constant_baseline_within_200_steps(name, run_of):
    short = {"max_steps": 200, "per_device_train_batch_size": 8, "eval_strategy": "no", "save_strategy": "no"}
    record = run_of(name, **{**short, **KINDS[name]}, early_stopping_patience="null")
    scores, baseline = record.scores["validation"], record.baseline["validation"]
    assert max(scores[name] - baseline[name] for name in ("emotion_ccc", "country_uar")) > 0.1
