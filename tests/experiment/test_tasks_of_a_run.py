"""The check of a recipe's corpus, the extraction of its features and its run read the labels of the same tasks."""

import runpy
from pathlib import Path

import pytest
import yaml

from burst2vec import Burst2VecFeatureExtractor
from burst2vec.errors import RunError
from burst2vec.experiment import execute, inputs
from burst2vec.tasks import resolve_tasks
from tests.conftest import tiny_model

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def read_by(monkeypatch, tmp_path):
    """The tasks whose labels each command would read for a recipe's section ``model``."""
    read = []

    def stop(corpus, arguments, tasks, for_prediction):
        read.append(tasks)
        raise RunError("far enough")

    monkeypatch.setattr(inputs, "_read", stop)

    def commands(**model):
        read.clear()
        recipe = {"data": {"corpus": "emogator", "data_dir": str(tmp_path)}, "model": model}
        recipe["training"] = {"metric_for_best_model": "loss", "bf16": False}
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        words = ["--recipe", str(tmp_path / "recipe.yaml")]
        for name, more in (("check_corpus.py", []), ("extract_features.py", ["--out", str(tmp_path / "out")])):
            assert runpy.run_path(str(EXAMPLES / name))["main"]([*words, *more]) == 2
        assert execute.main([words[1], "--output_dir", str(tmp_path / "run")]) == 2
        return read

    return commands


SMALL = {"kind": "spectrogram_cnn"}


@pytest.mark.parametrize(
    ("model", "tasks"),
    [({"encoder": SMALL}, "exvo"), ({"encoder": SMALL, "tasks": "emogator"}, "emogator")],
    ids=["no tasks", "tasks"],
)
def test_a_recipes_tasks_are_the_same_for_every_command(read_by, model, tasks):
    assert read_by(**model) == [resolve_tasks(tasks)] * 3


def test_a_recipe_without_tasks_has_those_of_its_saved_model(read_by, tmp_path):
    tiny_model(tasks="emogator").save_pretrained(tmp_path / "saved")
    Burst2VecFeatureExtractor().save_pretrained(tmp_path / "saved")
    assert read_by(model_path=str(tmp_path / "saved")) == [resolve_tasks("emogator")] * 3
