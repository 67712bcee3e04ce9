"""A run is read back as it was written, by name, and what is no run is refused."""

import csv
import json

import numpy as np
import pytest

from burst2vec.errors import RunError
from burst2vec.experiment.finished import names_of, read_predictions, read_run
from burst2vec.experiment.results import write_predictions
from burst2vec.tasks import TASK_PRESETS, Task
from tests.comparison.finished_runs import exvo_labels, noisy_predictions, write_run

EXVO = TASK_PRESETS["exvo"]
IDS = [f"{number:05}" for number in range(1, 9)]


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", {"validation": (IDS, exvo_labels(8))})


def test_predictions_come_back_as_they_were_written(tmp_path):
    predictions = noisy_predictions(EXVO, exvo_labels(8), 0.1, seed=0)
    write_predictions(tmp_path / "p.csv", EXVO, IDS, predictions)
    file_ids, found = read_predictions(tmp_path / "p.csv", EXVO)
    assert file_ids == IDS
    for task, values in predictions.items():
        np.testing.assert_allclose(found[task], values, atol=5.1e-7)


def test_names_that_are_formulas_are_written_as_text_and_come_back(tmp_path):
    file_ids = ['=HYPERLINK("http://x","y")', "+1", "-laugh", "@a", "\ttab", "'quoted", "''", "a=b-c,d"]
    call = Task("call", "classification", ("=1+1", "cry"), loss="cross_entropy", metric="uar")
    chill = Task("chill", "regression", ("chill",), span=(-1, 1))
    predictions = {"call": np.full((8, 2), 0.5), "chill": np.full((8, 1), -0.25)}
    write_predictions(tmp_path / "p.csv", [call, chill], file_ids, predictions)
    found, values = read_predictions(tmp_path / "p.csv", [call, chill])
    assert found == file_ids and values["chill"].tolist() == [[-0.25]] * 8
    with open(tmp_path / "p.csv", newline="", encoding="utf-8") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert {cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))} == {
        "-0.250000"
    }  # numbers alone
    assert "a=b-c,d" in cells and "'=1+1" in cells


@pytest.mark.parametrize(
    ("task", "value", "said"), [("age", np.nan, r"\[nan\]"), ("country", np.inf, r"\[.*, inf, .*\]")]
)
def test_a_prediction_that_is_no_number_is_never_written(tmp_path, task, value, said):
    predictions = noisy_predictions(EXVO, exvo_labels(8), 0.1, seed=0)
    predictions[task][2, -1 if task == "age" else 1] = value
    with pytest.raises(
        RunError, match=f"p.csv is not written: the task '{task}' has the prediction {said} for the clip '00003'"
    ):
        write_predictions(tmp_path / "p.csv", EXVO, IDS, predictions)
    assert not (tmp_path / "p.csv").exists()


def test_columns_are_matched_by_name_whatever_their_order(tmp_path):
    (tmp_path / "p.csv").write_text("pain/dull,file_id,pain/sharp\n0.1,a,0.9\n0.2,b,0.8\n")
    pain = Task("pain", kind="regression", labels=("sharp", "dull"))
    assert read_predictions(tmp_path / "p.csv", [pain])[1]["pain"].tolist() == [[0.9, 0.1], [0.8, 0.2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file; the run made no predictions of that split"),
        ("", r"these differ: \['age', 'file_id'\]"),
        ("file_id,age,pain\n", r"its columns are not those of the tasks \['age'\]; these differ: \['pain'\]"),
        ("file_id,age,age\n", r"these differ: \['file_id', 'age', 'age'\]"),
        ("file_id,age\na,1,2\n", "line 2: 3 fields; there must be 2"),
        ("file_id,age\na,1\nb,2\na,3\n", "line 4: the clip 'a' already stands in line 2"),
        ("file_id,age\na,old\n", "line 2, age: 'old' is no finite number"),
        ("file_id,age\na,nan\n", "line 2, age: 'nan' is no finite number"),
    ],
)
def test_a_file_that_is_no_predictions_is_refused_by_line(tmp_path, text, message):
    if text is not None:
        (tmp_path / "p.csv").write_text(text)
    with pytest.raises(RunError, match=message):
        read_predictions(tmp_path / "p.csv", EXVO[1:2])


def test_a_run_knows_its_tasks_and_its_splits(run):
    assert read_run(run).tasks == EXVO
    assert read_run(run).splits() == ["validation"]


def test_tasks_are_the_recipes_then_the_models_then_exvos(run):
    record = json.loads((run / "metrics.json").read_text())
    record["recipe"]["model"] = {}
    (run / "metrics.json").write_text(json.dumps(record))
    assert read_run(run).tasks == EXVO
    (run / "config.json").write_text(json.dumps({"tasks": "emogator"}))
    assert read_run(run).tasks == TASK_PRESETS["emogator"]
    (run / "config.json").write_text(json.dumps({"tasks": "singing"}))
    with pytest.raises(RunError, match="no tasks that are known: unknown task preset 'singing'"):
        _ = read_run(run).tasks


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"corpora": ["syn', "is not JSON"),
        ("[]", "is not a run's record: 'corpora' is missing or not of type list"),
        ('{"corpora": [], "recipe": 1}', "'recipe' is missing or not of type dict"),
    ],
)
def test_a_record_that_is_cut_off_or_of_something_else_is_refused(run, text, message):
    (run / "metrics.json").write_text(text)
    with pytest.raises(RunError, match=message):
        read_run(run)


def test_a_folder_without_a_record_is_refused(tmp_path):
    with pytest.raises(RunError, match="holds no metrics.json: give the folder of a finished run"):
        read_run(tmp_path)


def test_names_are_as_short_as_tells_runs_apart():
    assert names_of(["/runs/a/seed_0", "/runs/b/seed_0", "/c"]) == ["a/seed_0", "b/seed_0", "c"]
    with pytest.raises(RunError, match="/runs/a is given twice"):
        names_of(["/runs/a", "/runs/b", "/runs/a"])
