"""A-VB's own baselines have the published networks and settings; joint models add its tasks to Burst2Vec's trunk."""

import pytest
import torch

from burst2vec.experiment.building import build_model
from burst2vec.experiment.recipes import load_recipe, parse_run
from burst2vec.tasks import TASK_PRESETS, resolve_tasks
from tests.examples.test_example_recipes import RECIPES

BASELINES = RECIPES / "avb_baselines"
LABELS = {task.name: len(task.labels) for task in TASK_PRESETS["avb"]}
each_task = pytest.mark.parametrize("task", LABELS)


def weights_of(path, **changes):
    run = parse_run([str(path)])
    with torch.device("meta"):
        model, _ = build_model(run.model, **changes)
    return sum(parameter.numel() for parameter in model.parameters())


@each_task
@pytest.mark.parametrize("name, size", [("compare", 6373), ("egemaps", 88)])
def test_a_network_over_features_has_as_many_weights_as_the_published_one(name, size, task):
    hidden = (size + 1) * 128 + 2 * 128 + (128 + 1) * 64 + 2 * 64 + (64 + 1) * 32
    assert weights_of(BASELINES / f"{name}_{task}.yaml", vector_size=size) == hidden + (32 + 1) * LABELS[task]


@each_task
def test_the_loss_over_features_adds_up_the_labels_as_the_published_one(task):
    for name in ("compare", "egemaps"):
        recipe = load_recipe(BASELINES / f"{name}_{task}.yaml")
        assert recipe.model["features"] == [name] and not recipe.reported_scores
        (said,) = resolve_tasks(recipe.model["tasks"])
        assert (said.name, said.output) == (task, "sigmoid")
        assert (said.loss, said.loss_weight) == (("cross_entropy", 1) if task == "type" else ("mse", LABELS[task]))


def test_joint_models_are_the_fourth_system_with_more_tasks_and_as_strong_adversaries():
    v4 = load_recipe(RECIPES / "burst2vec" / "v4_hubert_large.yaml")
    emotion, age, country = resolve_tasks(v4.model["tasks"])
    joint = {"avb_four_tasks": [], "exvo_and_avb_seven_tasks": [emotion, age, country]}
    for name, of_exvo in joint.items():
        recipe = load_recipe(RECIPES / "burst2vec" / f"{name}.yaml")
        tasks = resolve_tasks(recipe.model["tasks"])
        assert list(tasks) == [*of_exvo, *TASK_PRESETS["avb"]]
        others = len(tasks) - 1  # whom Eq. 7 adds up
        weight = recipe.model["trunk"]["adversary_weight"]
        assert weight * others == pytest.approx(2 * v4.model["trunk"]["adversary_weight"], abs=1e-3)
        changed = {"tasks": recipe.model["tasks"], "trunk": {**v4.model["trunk"], "adversary_weight": weight}}
        assert recipe.model == {**v4.model, **changed}
        assert {**recipe.training, "metric_for_best_model": "emotion_ccc"} == v4.training
        assert recipe.data == {**v4.data, "labels": "all" if of_exvo else "avb"}
