"""A submission has a row for every test clip of the table, or is called incomplete."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset

from burst2vec import Burst2VecConfig
from burst2vec.comparison.fusion_recipes import is_fusion
from burst2vec.errors import SubmissionError
from burst2vec.experiment.calibration import Calibration
from burst2vec.experiment.inputs import Clips
from burst2vec.experiment.recipes import load_recipe
from burst2vec.experiment.results import Outcome
from burst2vec.experiment.sections import DataArguments
from burst2vec.experiment.submitting import write_submission
from burst2vec.generation.generation_recipes import is_generation
from burst2vec.scoring import answered_forms, validate_official_file
from burst2vec.scoring.submission_forms import FORMS
from burst2vec.tasks import TASK_PRESETS, Task, resolve_tasks
from tests.examples.test_run_exvo import RECIPES

EXVO = TASK_PRESETS["exvo"]
HUME_VB = DataArguments(corpus="hume_vb", team="us")
CONSTANT = {"emotion": np.full((1, 10), 0.25), "age": np.array([[26.0]]), "country": np.eye(4)[[2]]}


def predicted(clips):
    numbers = np.arange(1, len(clips) + 1)[:, None]
    emotion = np.tile(numbers / 10, (1, 10))
    return clips, {"emotion": emotion, "age": 20.0 + numbers, "country": np.eye(4)[(numbers[:, 0]) % 4]}


def rows_of(path):
    with path.open() as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == FORMS["ExVo-Multi"].header
    return {row[0]: (row[1], float(row[2]), float(row[3])) for row in rows}


def test_an_unreadable_clip_has_the_constant_baseline_and_rows_stand_in_the_tables_order(tmp_path):
    written = write_submission(tmp_path, EXVO, HUME_VB, predicted(["3", "1"]), ["1", "2", "3"], ["2"], CONSTANT)
    assert (written.clips, written.constant_baseline, written.without_row) == (3, ["2"], 0)
    expected = {"[1]": ("2", 22.0, 0.2), "[2]": ("2", 26.0, 0.25), "[3]": ("1", 21.0, 0.1)}
    assert rows_of(tmp_path / "ExVo-Multi_us_1.csv") == expected and list(expected) == ["[1]", "[2]", "[3]"]
    assert written.summary().startswith("ExVo-Multi_us_1.csv is written and valid, with all 3 test clips; unreadable, ")


def test_a_clip_that_is_neither_predicted_nor_unreadable_makes_it_incomplete(tmp_path):
    written = write_submission(tmp_path, EXVO, HUME_VB, predicted(["1"]), ["1", "2", "3"], ["2"], CONSTANT)
    assert (written.clips, written.without_row) == (2, 1) and "valid" not in written.summary()
    assert "incomplete: 1 of 3 test clips were not predicted" in written.summary()


def test_of_a_mixture_the_challenges_clips_alone_are_submitted(tmp_path):
    mixture = DataArguments(mix=[{"corpus": "emogator"}, {"corpus": "hume_vb"}])
    table = ["emogator/000001-01-1", "hume_vb/00007", "hume_vb/00008", "emogator/000001-01-2"]
    written = write_submission(tmp_path, EXVO, mixture, predicted(table[:2]), table, table[2:], CONSTANT)
    assert (written.clips, written.constant_baseline, written.without_row) == (2, ["00008"], 0)


def test_what_a_linear_output_says_beyond_the_span_stands_there_as_its_end(tmp_path):
    tasks = [replace(task, output="linear") for task in EXVO]
    clips, values = predicted(["1", "2"])
    values["emotion"], values["age"] = np.array([[-0.2] * 10, [1.2] * 10]), np.array([[3.0], [31.0]])
    write_submission(tmp_path, tasks, HUME_VB, (clips, values), clips, [], CONSTANT)
    low = EXVO[1].span[0]
    assert rows_of(tmp_path / "ExVo-Multi_us_1.csv") == {"[1]": ("1", low, 0.0), "[2]": ("2", 31.0, 1.0)}
    with pytest.raises(SubmissionError, match=r"-0\.2"):
        write_submission(tmp_path, EXVO, HUME_VB, (clips, values), clips, [], CONSTANT)


def test_labels_are_matched_by_name(tmp_path):
    countries = EXVO[2].labels[::-1]
    tasks = (*EXVO[:2], replace(EXVO[2], labels=countries))
    write_submission(tmp_path, tasks, HUME_VB, predicted(["1"]), ["1"], [], CONSTANT)
    assert rows_of(tmp_path / "ExVo-Multi_us_1.csv")["[1]"][0] == str(EXVO[2].labels.index(countries[1]))


@pytest.mark.parametrize("task", TASK_PRESETS["avb"], ids=lambda task: task.name)
def test_a_run_of_one_avb_task_writes_that_tasks_file(task, tmp_path):
    (form,) = answered_forms([replace(task, output="linear")])
    values = np.full((2, len(task.labels)), 0.25)
    values[:, 1], constant = 1.5, np.eye(len(task.labels))[[2 % len(task.labels)]]
    predictions = (["00009", "00007"], {task.name: values})
    table = ["00007", "00008", "00009"]
    answers = (predictions, table, ["00008"], {task.name: constant})
    written = write_submission(tmp_path, [replace(task, output="linear")], HUME_VB, *answers, form)
    assert written.file == f"{form}_us_1.csv" and (written.constant_baseline, written.without_row) == (["00008"], 0)
    assert validate_official_file(tmp_path / written.file, table) == 3
    header, first, second, _ = (tmp_path / written.file).read_text().splitlines()
    second_label, third = ["Laugh", "Cry"] if task.name == "type" else ["1.000000", "0.000000"]
    by_column = [dict(zip(header.split(","), line.split(","), strict=True)) for line in (first, second)]
    column = "Voc_Type" if task.name == "type" else task.labels[1]
    assert [row["File_ID"] for row in by_column] == ["[00007]", "[00008]"]
    assert [row[column] for row in by_column] == [second_label, third]


def test_a_file_that_may_not_be_written_does_not_keep_the_others(tmp_path):
    high, two, *_ = TASK_PRESETS["avb"]
    calibration = Calibration([high, two], Burst2VecConfig(tasks=[high, two]), None)
    outcome = Outcome(tmp_path, [high, two], None, calibration)
    given = {"high": np.full((1, 10), 1.5), "two": np.full((1, 2), 0.5)}
    blind = Dataset.from_dict({"file_id": ["7"], "high": [[np.nan] * 10], "two": [[np.nan] * 2]})
    said = outcome.add("test", Clips(blind, []), given, HUME_VB, ["7"])
    assert "no A-VB-High file is written: A-VB-High_us_1.csv, line 2, column Awe: '1.500000'" in said
    refused, written = outcome.submissions
    assert refused["form"] == "A-VB-High" and written["file"] == "A-VB-Two_us_1.csv"
    assert (tmp_path / "A-VB-Two_us_1.csv").is_file() and not (tmp_path / "A-VB-High_us_1.csv").exists()


def test_values_that_may_not_be_submitted_raise_and_leave_no_file(tmp_path):
    file_ids, values = predicted(["1"])
    with pytest.raises(SubmissionError, match="column Age: '0.500000'"):
        write_submission(tmp_path, EXVO, HUME_VB, (file_ids, {**values, "age": np.array([[0.5]])}), ["1"], [], CONSTANT)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("task", EXVO, ids=lambda task: task.name)
@pytest.mark.parametrize("change", ["labels", "name", "unit", "absent"])
def test_a_task_of_another_meaning_makes_no_submission(task, change, tmp_path):
    changes = {"labels": {"labels": [*task.labels, "More"]}, "name": {"name": "other"}, "unit": {"unit": "decades"}}
    others = [other for other in EXVO if other is not task]
    tasks = others if change == "absent" else [*others, replace(task, **changes[change])]
    assert answered_forms(tasks) == [] and answered_forms([*others, task]) == ["ExVo-Multi"]
    assert write_submission(tmp_path, tasks, HUME_VB, predicted(["1"]), ["1"], [], CONSTANT) is None


def test_every_recipe_of_the_challenges_three_tasks_writes_the_submission():
    files = [path for path in RECIPES.rglob("*.yaml") if not is_fusion(path) and not is_generation(path)]
    recipes = [load_recipe(path) for path in files]
    three = {
        recipe.name: "ExVo-Multi" in answered_forms(recipe.model["tasks"])
        for recipe in recipes
        if {task.name for task in resolve_tasks(recipe.model.get("tasks", "emogator"))} >= {"emotion", "age", "country"}
    }
    assert all(three.values()) and {"compare", "egemaps", "v1_wav2vec_large", "sys1_hubert_large"} <= three.keys()


def test_further_tasks_do_not_stand_in_the_way():
    assert answered_forms([*EXVO, Task("pain", kind="regression", labels=("pain",))]) == ["ExVo-Multi"]
