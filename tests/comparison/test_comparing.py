"""Runs are compared on the same clips: the paper's tests and the paired one, against independent computations."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from burst2vec.comparison import paper_marks
from burst2vec.comparison.aligning import Split
from burst2vec.comparison.comparing import all_at_once, compare_pair, format_tested, write_comparison
from burst2vec.comparison.paper_marks import mark_table
from burst2vec.comparison.paper_tables import format_table
from burst2vec.comparison.report import find_runs, rows_of
from burst2vec.errors import RunError
from burst2vec.tasks import TASK_PRESETS
from tests.comparison.finished_runs import exvo_labels, noisy_predictions
from tests.comparison.test_paper_tables import IDS, ROWS, TABLE_2, cells, write_row

EMOTION, AGE, COUNTRY = EXVO = TASK_PRESETS["exvo"]
LABELS = exvo_labels(60)
SPEAKERS = [f"speaker{row % 7}" for row in range(60)]
NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def split():
    systems = [noisy_predictions(EXVO, LABELS, noise, seed) for seed, noise in enumerate((0.1, 0.3, 0.35))]
    return Split(IDS, systems, LABELS, SPEAKERS)


def speakers_means(errors):
    return [
        np.mean([error for error, who in zip(errors, SPEAKERS, strict=True) if who == name])
        for name in dict.fromkeys(SPEAKERS)
    ]


def test_emotions_and_ages_have_the_t_test_of_predictions_and_a_paired_one_of_speakers(split):
    for task, error in ((EMOTION, np.square), (AGE, np.abs)):
        found = compare_pair(task, split, NAMES, "a", "c")
        first, third = (split.predictions[place][task.name] for place in (0, 2))
        expected = stats.ttest_ind(third.ravel(), first.ravel())
        assert found.of_paper == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)
        truth = LABELS[task.name]
        means = [speakers_means(error(system - truth).mean(axis=1)) for system in (first, third)]
        assert found.paired.difference == pytest.approx(np.mean(means[1]) - np.mean(means[0]))
        assert found.paired.p == pytest.approx(stats.ttest_rel(means[1], means[0]).pvalue) and found.speakers == 7


def test_countries_have_cochrans_q_of_two_systems_which_is_mcnemars_test(split):
    found = compare_pair(COUNTRY, split, NAMES, "a", "b")
    right = [system["country"].argmax(axis=1) == LABELS["country"] for system in split.predictions]
    only_a, only_b = (right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()
    assert found.of_paper.statistic == pytest.approx((only_a - only_b) ** 2 / (only_a + only_b))
    assert found.of_paper.p == pytest.approx(stats.chi2.sf(found.of_paper.statistic, 1))
    assert found.paired.difference == pytest.approx(
        np.mean(speakers_means(right[1])) - np.mean(speakers_means(right[0]))
    )
    assert all_at_once(COUNTRY, split).p < found.of_paper.p, "the third system is worse still"


def test_clips_without_a_label_are_left_out_and_too_few_are_refused(split):
    few = {**LABELS, "age": np.where(np.arange(60)[:, None] < 59, np.nan, 30.0)}
    with pytest.raises(RunError, match="task 'age': 1 labelled clips are too few"):
        compare_pair(AGE, replace(split, references=few), NAMES, "a", "b")
    half = {**LABELS, "country": np.where(np.arange(60) < 30, LABELS["country"], -1)}
    assert compare_pair(COUNTRY, replace(split, references=half), NAMES, "a", "b").speakers == 7


def test_a_comparison_is_written_with_every_number(split, tmp_path):
    tested = [compare_pair(task, split, NAMES, "a", other) for other in "bc" for task in EXVO]
    text = write_comparison(tested, {"country": all_at_once(COUNTRY, split)}, 60, "validation", tmp_path / "out")
    assert text.startswith("# a and others, validation, 60 clips") and "all systems together" in text
    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [pair["p"] for pair in record["pairs"]] == [one.of_paper.p for one in tested]
    header, lines = cells(format_tested(tested))
    assert header[-2:] == ["p, paired", "p, Holm"] and len(lines) == 6
    assert lines[1][:4] == ["b", "a", "age_mae", "independent t"] and lines[1][6] == "absolute error, 7 speakers"


@pytest.fixture
def table_2(tmp_path, monkeypatch):
    """Runs of V1, V2, V6 and Ensemble A, of which V2 is far worse and Ensemble A as V1; the labels are known."""
    for name, noise, seed in (("V1", 0.1, 0), ("V2", 0.6, 0), ("V6", 0.1, 0), ("Ensemble A", 0.1, 0)):
        (row,) = (row for row in ROWS if row.name == name)
        write_row(tmp_path / name, row.recipe, seed, noise)

    def label(splits, systems, data, tasks):
        return {name: replace(one, references=LABELS, speakers=SPEAKERS) for name, one in splits.items()}

    monkeypatch.setattr("burst2vec.comparison.comparing.label_splits", label)
    return rows_of(find_runs([tmp_path])[0])


def test_the_rows_that_the_paper_compares_are_marked_where_they_differ(table_2):
    marks, tests = mark_table(TABLE_2, table_2, ["corpora/HUME"])
    _, lines = cells(format_table(TABLE_2, table_2, marks))
    ours = {line[0]: line[3:9:2] for line in lines}
    first, second = (noisy_predictions(EXVO, LABELS, noise, 0) for noise in (0.1, 0.6))
    for cell, task in zip(ours["V2"][::2], ("emotion", "age"), strict=True):
        differs = stats.ttest_ind(second[task].ravel(), first[task].ravel()).pvalue <= 0.05
        assert cell.endswith(" ♣") == differs
    assert ours["V2"][1].endswith(" ♣") and not any("♣" in cell for cell in (*ours["V1"], *ours["Ensemble A"]))
    assert "hume_vb, 60 clips" in tests and "the runs of seed 0" in tests and "Marks: p ≤ 0.05" in tests
    assert {tuple(line[:2]) for line in cells(tests)[1]} == {("V2", "V1"), ("Ensemble A", "V1"), ("Ensemble A", "V6")}


def test_without_the_corpus_nothing_is_marked_and_the_report_says_what_it_takes(table_2, monkeypatch):
    marks, tests = mark_table(TABLE_2, table_2, [])
    assert not marks and "give its folder with --data_dir" in tests

    def refuse(*_, **__):
        raise RunError("validation: the corpus has no clip '1' there")

    monkeypatch.setattr(paper_marks, "read_labelled", refuse)
    marks, tests = mark_table(TABLE_2, table_2, ["elsewhere"])
    assert not marks and "Left out: validation: the corpus has no clip '1' there." in tests


def test_a_table_that_compares_nothing_has_no_tests(table_2):
    white_paper = replace(TABLE_2, rows=tuple(replace(row, compared_with=[]) for row in TABLE_2.rows))
    assert mark_table(white_paper, table_2, ["corpora/HUME"]) == ({}, "")
