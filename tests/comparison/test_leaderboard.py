"""A leaderboard says what the runs recorded and what their predictions show, and no more."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from burst2vec.comparison import leaderboard as board
from burst2vec.comparison.aligning import Split
from burst2vec.comparison.leaderboard import among_top, find_row, write_leaderboard
from burst2vec.comparison.report import find_runs, rows_of
from burst2vec.errors import RunError
from burst2vec.experiment.finished import read_predictions
from burst2vec.experiment.run_record import RunRecord
from burst2vec.scoring import score_tasks
from burst2vec.tasks import TASK_PRESETS
from tests.comparison.finished_runs import exvo_labels, write_run

EMOTION, AGE, COUNTRY = EXVO = TASK_PRESETS["exvo"]
IDS = [str(clip) for clip in range(60)]
LABELS = exvo_labels(60)
SPEAKERS = [f"speaker{row % 6}" for row in range(60)]
COST = {"train_seconds": 1_234.5, "megabytes": 9.4}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Two systems: a good one of two seeds with its costs, and a poor one of an earlier version, without."""
    place = tmp_path_factory.mktemp("runs")
    for name, noise, seed in (("good_1", 0.1, 1), ("good_2", 0.12, 2), ("poor", 0.6, 1)):
        described = {"description": f"the {name.partition('_')[0]} one"}
        folder = write_run(place / name, {"validation": (IDS, LABELS)}, noise=noise, seed=seed, recipe=described)
        if name != "poor":
            said = RunRecord.read(folder)
            recipe = {**said.recipe, "training": {"seed": seed}}
            replace(said, recipe=recipe, speakers={"train": 40, "validation": 6}, cost=COST).write(folder)
    return rows_of(find_runs([place])[0])["validation"]


@pytest.fixture
def labelled(rows, monkeypatch):
    """The corpus's labels, which the runs were scored by."""

    def read(runs, data_dirs, cache_dir, split):
        found = [read_predictions(run.predictions_file(split), EXVO)[1] for run in runs.values()]
        return EXVO, Split(IDS, found, LABELS, SPEAKERS)

    monkeypatch.setattr(board, "read_labelled", read)


def of_speakers(row, task):
    """The row's score of each speaker's clips alone, the mean of its runs, by the package's own scores."""
    scores = []
    for name in sorted(set(SPEAKERS)):
        own = np.array([speaker == name for speaker in SPEAKERS])
        of_runs = []
        for run in row.finished:
            answers = read_predictions(run.predictions_file("validation"), EXVO)[1][task.name]
            of_runs.append(score_tasks([task], {task.name: answers[own]}, {task.name: LABELS[task.name][own]}))
        scores.append(np.mean([score[task.score_name] for score in of_runs]))
    return scores


def test_the_best_stands_first_with_what_it_recorded_and_what_it_did_not_stays_empty(rows, labelled, tmp_path):
    tasks, standings = board.leaderboard(rows, ["corpus"])
    lines = write_leaderboard(tasks, standings, tmp_path).splitlines()
    cells = [dict(zip(lines[0].split("|"), line.split("|"), strict=True)) for line in lines[2:5]]
    cells = [{key.strip(): cell.strip() for key, cell in line.items()} for line in cells]
    good, poor, constant = cells
    assert [line["system"] for line in cells] == ["the good one", "the poor one", "constant baseline"]
    assert good["seeds"] == "2" and good["speakers"] == "40" and good["s to train"] in ("1,234", "1,235")
    assert good["MB"] == "9.4" and good["ms per clip"] == "" and good["country_uar"].count("±") == 1
    assert (poor["seeds"], poor["speakers"], poor["clips"], poor["MB"]) == ("1", "", "7", "")
    assert constant["country_uar"] == "0.250" and "6 speakers drawn anew" in lines[-1]
    said = json.loads((tmp_path / "leaderboard.json").read_text())
    assert [system["train_seconds"] for system in said["systems"]] == [1_234.5, None]


def test_an_interval_holds_the_score_and_one_of_a_single_run_is_of_its_speakers(rows, labelled):
    _, standings = board.leaderboard(rows, ["corpus"])
    for standing in standings:
        for task in EXVO:
            low, high = standing.intervals[task.score_name]
            assert low < np.mean(standing.row.scores[task.score_name]) < high


def test_a_row_is_tested_against_another_by_each_speakers_own_score(rows, labelled):
    good, poor = (find_row(rows, name) for name in ("the good one", "poor"))
    _, (first, second) = board.leaderboard(rows, ["corpus"], poor)
    assert not second.paired
    for task in EXVO:
        ours, theirs = (of_speakers(row, task) for row in (good, poor))
        assert first.paired[task.score_name].p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue, rel=1e-6)
        assert first.paired[task.score_name].difference == pytest.approx(np.mean(ours) - np.mean(theirs))


def test_without_the_corpus_there_are_scores_and_costs_alone(rows, tmp_path):
    tasks, standings = board.leaderboard(rows)
    assert tasks == EXVO and not any(standing.intervals or standing.top for standing in standings)
    assert " p, " not in write_leaderboard(tasks, standings, tmp_path)
    told = {"age": {"score": "age_mae", "interval": [3.5, 4.5]}}
    (poor,) = find_row(rows, "poor").finished
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(poor.record.by_speaker, "validation", told)
        _, standings = board.leaderboard(rows)
    assert [standing.intervals for standing in standings] == [{}, {"age_mae": (3.5, 4.5)}], "of one run, as recorded"
    with pytest.raises(RunError, match="a test takes labels; say where the corpus is with --data_dir"):
        board.leaderboard(rows, reference=rows[0])


def test_of_a_run_whose_predictions_are_gone_the_scores_stand_alone(rows, labelled, tmp_path):
    good, poor = (find_row(rows, name) for name in ("the good one", "poor"))
    folder = tmp_path / "poor"
    shutil.copytree(poor.finished[0].folder, folder)
    (folder / "predictions_validation.csv").unlink()
    lost = rows_of(find_runs([folder])[0])["validation"][0]
    _, standings = board.leaderboard([lost, good], ["corpus"])
    assert [bool(standing.intervals) for standing in standings] == [True, False]
    assert "the poor one" in write_leaderboard(EXVO, standings, tmp_path / "out")
    with pytest.raises(RunError, match="--against the poor one: a test takes predictions in its runs' folders"):
        board.leaderboard([lost, good], ["corpus"], lost)


def test_a_row_is_found_by_its_name_and_by_its_runs_and_an_unknown_one_is_refused_with_all(rows):
    good = find_row(rows, "the good one")
    assert find_row(rows, "good_2") is good and find_row(rows, str(good.finished[0].folder)) is good
    with pytest.raises(RunError, match=r"--against best: 0 rows are called so(.|\n)*the good one: good_1, good_2"):
        find_row(rows, "best")


def test_top_three_of_four_countries(rows, labelled):
    _, standings = board.leaderboard(rows, ["corpus"])
    for standing in standings:
        found = []
        for run in standing.row.finished:
            answers = read_predictions(run.predictions_file("validation"), EXVO)[1]["country"]
            found += [place in np.argsort(of)[1:] for of, place in zip(answers, LABELS["country"], strict=True)]
        assert standing.top["country"] == pytest.approx(np.mean(found))
    assert among_top(np.eye(4), np.array([0, 1, 2, -1]), top=1) == 1.0
