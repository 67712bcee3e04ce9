"""A saved model is used whole or not at all."""

import csv
import json
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import HubertModel

from burst2vec.training.runs import main
from tests.conftest import TINY, tiny_encoder_config
from tests.data.corpora_on_disk import write_wav

RECIPE = {
    "description": "Kind and strength of a few bursts of noise",
    "data": {"corpus": "folder"},
    "model": {
        "encoder": {"model_type": "hubert", "feat_extract_norm": "layer", "apply_spec_augment": False, **TINY},
        "projection_size": 8,
        "extractor_size": 8,
        "initializer_range": 0.3,
        "tasks": [
            {
                "name": "kind",
                "kind": "classification",
                "labels": ["gasp", "laugh"],
                "loss": "cross_entropy",
                "metric": "uar",
            },
            {"name": "strength", "kind": "regression", "labels": ["strength"], "loss": "mae", "metric": "mae"},
        ],
    },
    "training": {
        "max_steps": 2,
        "eval_steps": 2,
        "save_steps": 2,
        "metric_for_best_model": "strength_mae",
        "bf16": False,
    },
}
SPLITS = {"train": "ABC", "validation": "DE", "test": "FG"}  # speakers of two clips each


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A recipe, a corpus of seven speakers in three splits, and a finished run of them."""
    place = tmp_path_factory.mktemp("saved")
    (place / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    rows = []
    for split, speakers in SPLITS.items():
        for speaker in speakers:
            for take, kind in enumerate(("gasp", "laugh")):
                name, seed = f"{speaker}{take}.wav", len(rows)
                write_wav(place / "corpus" / name, samples=4_000 + 100 * seed, level=0.01 * (1 + seed), seed=seed)
                rows.append([name, speaker, split, kind, f"{seed / 20:.2f}"])
    write_table(place / "corpus", ["file", "speaker", "split", "kind", "strength"], rows)
    assert main(command(place, "run")) == 0
    return place


def write_table(folder, header, rows):
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def command(place, output, *more, recipe="recipe.yaml", corpus="corpus"):
    places = ["--data_dir", place / corpus, "--cache_dir", place / "cache", "--output_dir", place / output]
    return [str(text) for text in (place / recipe, *places, *more)]


def refusal(capsys, arguments):
    """The one line on stderr with which a command line is refused."""
    capsys.readouterr()
    assert main(arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line and "Loading weights" not in line]
    assert line.startswith("error: ")
    return line


def change_weights(run, change):
    weights = load_file(run / "model.safetensors")
    save_file(change(weights), run / "model.safetensors", metadata={"format": "pt"})


def encoder_alone(run):
    change_weights(run, lambda weights: {name: w for name, w in weights.items() if name.startswith("encoder.")})


def no_numbers(run):
    change_weights(run, lambda weights: {**weights, "heads.kind.output.bias": torch.tensor([0.0, float("nan")])})


def another_shape(run):
    change_weights(run, lambda weights: {**weights, "heads.kind.output.bias": torch.zeros(3)})


def cut_off(run):
    whole = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(whole[:-100])


def an_encoder(run):
    HubertModel(tiny_encoder_config(style="large")).save_pretrained(run)


DAMAGES = {
    "such as discriminator.bias; they would be random": encoder_alone,
    "not finite, such as heads.kind.output.bias": no_numbers,
    "such as heads.kind.output.bias: (3,) in the checkpoint, and (2,) here": another_shape,
    "cannot be used: ": cut_off,
    "it is of a hubert model, and not of a burst2vec model": an_encoder,
    "config.json cannot be used: JSONDecodeError": lambda run: (run / "config.json").write_text('{"model_type": "bur'),
    "model.safetensors": lambda run: (run / "model.safetensors").unlink(),
    "preprocessor_config.json": lambda run: (run / "preprocessor_config.json").unlink(),
}


@pytest.mark.parametrize("trains", ["false", "true"])
@pytest.mark.parametrize(("message", "damage"), DAMAGES.items(), ids=[made.__name__ for made in DAMAGES.values()])
def test_a_damaged_model_scores_nothing_and_trains_no_further(place, tmp_path, capsys, message, damage, trains):
    shutil.copytree(place / "run", tmp_path / "run", ignore=shutil.ignore_patterns("checkpoint-*"))
    damage(tmp_path / "run")
    more = ["--do_train", trains, "--model_path", tmp_path / "run", "--output_dir", tmp_path / "out"]
    line = refusal(capsys, command(place, "out", *more))
    assert str(tmp_path / "run") in line and message in line
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_an_untrained_model_is_not_scored(place, tmp_path, capsys):
    line = refusal(capsys, command(place, "untrained", "--do_train", "false"))
    assert "random weights" in line and "--model_path FOLDER" in line
    goes_on = ["--do_train", "false", "--model_path", place / "run", "--resume_from_checkpoint", "true"]
    assert "only a training goes on from a checkpoint" in refusal(capsys, command(place, "untrained", *goes_on))
    assert not (place / "untrained").exists()


def test_the_whole_model_is_scored_as_in_its_own_run(place):
    assert main(command(place, "again", "--do_train", "false", "--model_path", place / "run")) == 0
    first, again = (json.loads((place / run / "metrics.json").read_text()) for run in ("run", "again"))
    assert again["scores"] == first["scores"] and set(first["scores"]) == {"validation", "test"}
