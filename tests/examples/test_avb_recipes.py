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


@each_task
def test_emo_18_has_as_many_weights_as_its_layers_add_up_to(task):
    convolutions = (8 * 1 + 1) * 64 + (6 * 64 + 1) * 128 + (6 * 128 + 1) * 256
    norms = 2 * (64 + 128 + 256)
    frame = 256 * (1600 // 10 // 8 // 8)  # 512: what three poolings leave of a tenth of a second, all but the padding
    lstm = 4 * 256 * (frame + 256 + 2) + 4 * 256 * (256 + 256 + 2)
    assert weights_of(BASELINES / f"end2you_{task}.yaml") == convolutions + norms + lstm + 257 * LABELS[task]


def test_emo_18_is_the_network_of_the_few_shot_baseline():
    emo_18, few_shot = (
        load_recipe(RECIPES / f"{name}.yaml").model
        for name in ("avb_baselines/end2you_high", "exvo_baselines/fewshot_256")
    )
    longest = {"max_seconds": few_shot["encoder"]["max_seconds"]}
    assert {**emo_18["encoder"], **longest} == few_shot["encoder"]
    assert {**few_shot["recurrent"], **emo_18["recurrent"]} == few_shot["recurrent"]
    assert all(emo_18[key] == few_shot[key] for key in ("pooling", "trunk", "head"))


def test_emo_18_predicts_a_clip_alone_as_in_a_batch():
    torch.manual_seed(0)
    model, extractor = build_model(parse_run([str(BASELINES / "end2you_high.yaml")]).model)
    clips = [0.1 * torch.randn(samples).numpy() for samples in (1000, 16000, 3300, 1600, 25000)]
    model.eval()
    with torch.no_grad():
        together = model(**extractor(clips, sampling_rate=16000, return_tensors="pt")).predictions["high"]
        for clip, prediction in zip(clips, together, strict=True):
            alone = model(**extractor([clip], sampling_rate=16000, return_tensors="pt")).predictions["high"]
            assert torch.allclose(alone[0], prediction, rtol=0, atol=1e-5)
    assert together.std(dim=0).min() > 1e-4  # of different clips, different predictions


@each_task
def test_emo_18_is_trained_as_the_script_says(task):
    run = parse_run([str(BASELINES / f"end2you_{task}.yaml")])
    (said,) = resolve_tasks(run.model.tasks)
    training = run.training
    assert (said.name, said.loss) == (task, "cross_entropy" if task == "type" else "mse")
    assert training.metric_for_best_model == said.score_name and training.load_best_model_at_end
    assert (training.learning_rate, training.weight_decay, training.max_grad_norm) == (1e-4, 0.0, 0.0)
    assert (training.per_device_train_batch_size, training.num_train_epochs) == (8, 30)
    assert training.early_stopping_patience is None and training.lr_scheduler_type == "constant"
    assert (run.data.labels, run.data.audio, run.model.target_rms_dbfs) == ("avb", "processed", "off")


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
        steps = recipe.training["eval_steps"]
        assert steps / len(tasks) == pytest.approx(v4.training["eval_steps"] / 3, abs=0.2)  # of each task's batches
        changed = {"metric_for_best_model": f"{tasks[0].name}_ccc", "eval_steps": steps, "save_steps": steps}
        assert recipe.training == {**v4.training, **changed}
        assert recipe.data == {**v4.data, "labels": "all" if of_exvo else "avb"}
