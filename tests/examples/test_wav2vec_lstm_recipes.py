"""The rows of Nguyen et al.'s Tables I to V are recipes with the printed scores and the settings of section IV."""

import torch

from burst2vec.comparison.paper_tables import load_tables
from burst2vec.experiment.building import build_model
from burst2vec.experiment.prechecks import check_run
from burst2vec.experiment.recipes import load_recipe, parse_run
from burst2vec.tasks import resolve_tasks
from tests.examples.test_example_recipes import RECIPES

FOLDER = RECIPES / "wav2vec_lstm"
PATHS = {path.stem: path for path in FOLDER.glob("*.yaml")}
TASKS = ("two", "high", "culture", "type")
CHECKPOINTS = {
    "BASE": "facebook/wav2vec2-base",
    "LARGE": "facebook/wav2vec2-large",
    "LARGE-LV60K": "facebook/wav2vec2-large-lv60",
    "XLSR53": "facebook/wav2vec2-large-xlsr-53",
}
# In per cent, as printed: by extractor, pooling, loss and recurrence, each task's score on validation.
TABLES_1_AND_4 = {
    ("BASE", True): (54.65, 58.69, 47.18, 41.65),
    ("LARGE", True): (55.42, 58.00, 47.12, 43.96),
    ("LARGE-LV60K", True): (61.59, 65.41, 53.39, 47.22),
    ("XLSR53", True): (61.94, 65.32, 52.50, 49.89),
    ("LARGE-LV60K", False): (47.38, 50.70, 40.20, 39.10),
}
TABLES_2_AND_3 = {  # of A-VB-HIGH: LARGE-LV60K, XLSR53
    ("first", "ccc"): (53.56, 58.20),
    ("max", "ccc"): (60.08, 61.41),
    ("mean", "ccc"): (61.49, 62.40),
    ("last", "ccc"): (65.41, 65.32),
    ("last", "mse"): (63.77, 63.94),
}
TABLE_5 = {
    "two": ("XLSR53", 61.94, 62.02),
    "high": ("LARGE-LV60K", 66.76, 66.77),
    "culture": ("LARGE-LV60K", 54.93, 54.95),
    "type": ("XLSR53", 49.89, 49.70),
}


def as_printed():
    """By what tells the systems apart, their scores on validation and, of the last four, test."""
    rows = {}
    for (extractor, recurrent), scores in TABLES_1_AND_4.items():
        for task, score in zip(TASKS, scores, strict=True):
            loss = "cross_entropy" if task == "type" else "ccc"
            rows[CHECKPOINTS[extractor], task, "last", loss, recurrent, 20] = (score,)
    for (pooling, loss), scores in TABLES_2_AND_3.items():
        for extractor, score in zip(("LARGE-LV60K", "XLSR53"), scores, strict=True):
            rows[CHECKPOINTS[extractor], "high", pooling, loss, True, 20] = (score,)
    for task, (extractor, *scores) in TABLE_5.items():
        loss = "cross_entropy" if task == "type" else "ccc"
        rows[CHECKPOINTS[extractor], task, "last", loss, True, 50] = tuple(scores)
    return rows


def test_every_printed_system_is_a_recipe_with_its_scores():
    found = {}
    for path in PATHS.values():
        recipe = load_recipe(path)
        (task,) = resolve_tasks(recipe.model["tasks"])
        recurrent, epochs = recipe.model["recurrent"] is not None, recipe.training["num_train_epochs"]
        row = (recipe.model["encoder"], task.name, recipe.model["pooling"], task.loss, recurrent, epochs)
        assert row not in found, f"{path.stem} is another recipe again"
        scores = [of_split[task.score_name] for of_split in recipe.reported_scores.values()]
        assert list(recipe.reported_scores) == ["validation", "test"][: len(scores)]
        found[row] = tuple(round(100 * score, 2) for score in scores)
    assert found == as_printed()


def test_every_recipe_has_the_papers_settings():
    for name, path in PATHS.items():
        run = parse_run([str(path)])
        training, model = run.training, run.model
        assert (training.learning_rate, training.weight_decay, training.decoupled_weight_decay) == (1e-4, 0.0625, False)
        assert training.per_device_train_batch_size == 16
        assert (training.early_stopping_patience is not None) == name.startswith("final")
        (task,) = resolve_tasks(model.tasks)
        assert training.metric_for_best_model == task.score_name
        assert (model.encoder_layer, model.heads_read) == (12, "frames_then_pooled")
        assert (run.data.labels, run.data.audio) == ("avb", "processed")


def test_the_largest_recipe_is_as_the_paper_describes_it(tmp_path):
    run = parse_run([str(PATHS["xlsr53_culture"]), "--data_dir", str(tmp_path), "--output_dir", str(tmp_path / "run")])
    run.model.encoder = {"model_type": "wav2vec2", "hidden_size": 1024, "num_attention_heads": 16}
    run.model.encoder |= {"num_hidden_layers": 24, "feat_extract_norm": "layer", "do_stable_layer_norm": True}
    with torch.device("meta"):
        model, _ = build_model(run.model)
    lstm = model.recurrent.layers
    assert (lstm.input_size, lstm.hidden_size, lstm.num_layers) == (1024, 512, 2)
    assert len(model.encoder.model.encoder.layers) == 12 and model.heads["culture"].output.out_features == 40


def test_a_layer_of_a_checkpoint_that_is_not_on_this_machine_yet_passes_the_checks_before_a_run(tmp_path):
    options = ["--output_dir", str(tmp_path / "run"), "--data_dir", str(tmp_path)]
    tasks, _ = check_run(parse_run([str(PATHS["base_two"]), *options]))
    assert [task.name for task in tasks] == ["two"]


def test_the_papers_tables_print_each_of_its_scores_once_more():
    tables = [table for table in load_tables() if table.paper.startswith("Nguyen")]
    assert [table.number for table in tables] == [1, 1, 1, 1, 2, 3, 4, 4, 4, 4, 5, 5, 5, 5]
    baselines = {f"avb_baselines/end2you_{task}" for task in TASKS}
    assert {row.recipe for table in tables for row in table.rows} == {f"wav2vec_lstm/{n}" for n in PATHS} | baselines
    printed = [
        round(100 * row.printed[split][name], 2)
        for table in tables
        for row in table.rows
        for split, names in table.columns.items()
        for name in names.values()
    ]
    end2you = (49.88, 56.38, 43.59, 41.66)
    expected = [score for scores in as_printed().values() for score in scores]
    # Last of Table 2, CCC of Table 3 and "With RNN" of Table 4 are Table 1's again.
    again = [65.41, 65.32] * 2 + list(TABLES_1_AND_4["LARGE-LV60K", True])
    assert sorted(printed) == sorted([*expected, *end2you, *again])
