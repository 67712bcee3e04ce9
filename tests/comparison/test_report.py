"""A report has a row per recipe, means and spreads worked by hand, and nothing that no run measured."""

import csv
import json

import numpy as np
import pytest

from burst2vec.comparison.pictures import plot_report
from burst2vec.comparison.report import find_runs, format_rows, rows_of, write_report

V2 = {
    "paper": "Burst2Vec, Table 2, row V2",
    "reported_scores": {"validation": {"age_mae": 3.709}, "test": {"s_mtl": 0.421}},
    "model": {"tasks": "exvo"},
}


def write_record(
    folder, age_mae, seed=0, split="validation", recipe=V2, corpora=("synthetic",), clips=400, baseline=4.0
):
    folder.mkdir(parents=True)
    recipe = json.loads(json.dumps(recipe))
    recipe.setdefault("training", {})["seed"] = seed
    record = {
        "corpora": list(corpora),
        "recipe": recipe,
        "preprocess": [],
        "seed": seed,
        "clips": {split: {"used": clips, "skipped": 0}},
        "scores": {split: {"age_mae": age_mae, "emotion_ccc/Awe": 0.1}},
        "baseline": {split: {"age_mae": baseline}},
    }
    (folder / "metrics.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def table_of(folder, split="validation"):
    return format_rows(rows_of(find_runs([folder])[0])[split], split)


def test_seeds_of_one_recipe_are_one_row_with_mean_and_spread_worked_by_hand(tmp_path):
    for seed, age_mae in enumerate((3.0, 4.0, 5.0)):
        write_record(tmp_path / "v2" / f"seed_{seed}", age_mae, seed)
    table = table_of(tmp_path)
    assert "## Burst2Vec: validation" in table
    assert "| recipe | measured on | runs | age_mae | age_mae, printed, on HUME-VB |" in table
    assert "| Table 2, row V2 | synthetic, 400 clips | 3 | 4.000 ± 1.000 | 3.709 |" in table
    assert "| constant baseline | synthetic, 400 clips |  | 4.000 |  |" in table


def test_a_split_stands_beside_what_was_printed_of_it_and_of_no_other(tmp_path):
    write_record(tmp_path / "test", 3.0, split="test")
    table = table_of(tmp_path, "test")
    assert "| age_mae | s_mtl | s_mtl, printed, on HUME-VB |" in table
    assert "| 1 | 3.000 | - | 0.421 |" in table and "3.709" not in table
    write_record(tmp_path / "train", 3.0, split="train")
    assert "printed" not in table_of(tmp_path / "train", "train")


def test_a_score_that_was_printed_and_not_measured_is_a_hole(tmp_path):
    write_record(tmp_path / "a", 3.0, recipe={**V2, "reported_scores": {"validation": {"country_uar": 0.676}}})
    assert "| Table 2, row V2 | synthetic, 400 clips | 1 | 3.000 | - | 0.676 |" in table_of(tmp_path)


def test_recipes_alike_by_name_are_told_apart_by_the_keys_that_differ(tmp_path):
    slow, fast = ({**V2, "training": {"learning_rate": rate, "bf16": False}} for rate in (1e-5, 1e-3))
    write_record(tmp_path / "a", 3.0, recipe=slow)
    write_record(tmp_path / "b", 3.1, recipe={**fast, "data": {"preprocess": ["highpass"]}})
    table = table_of(tmp_path)
    assert "| Table 2, row V2 (preprocess [], learning_rate 1e-05) |" in table
    assert '| Table 2, row V2 (preprocess ["highpass"], learning_rate 0.001) |' in table


def test_other_corpora_or_other_clips_are_other_rows(tmp_path):
    write_record(tmp_path / "a", 3.0)
    write_record(tmp_path / "b", 3.5, corpora=("hume_vb",), clips=19_396, baseline=4.5)
    write_record(tmp_path / "c", 3.2, clips=100, baseline=4.1)
    table = table_of(tmp_path)
    for measured_on, score, guess in (
        ("synthetic, 400 clips", "3.000", "4.000"),
        ("hume_vb, 19,396 clips", "3.500", "4.500"),
        ("synthetic, 100 clips", "3.200", "4.100"),
    ):
        assert f"| {measured_on} | 1 | {score} | 3.709 |" in table
        assert f"| constant baseline | {measured_on} |  | {guess} |" in table


def test_guesses_that_learnt_from_different_clips_are_a_range(tmp_path):
    write_record(tmp_path / "a", 3.0, baseline=4.0)
    write_record(tmp_path / "b", 3.0, baseline=4.5, recipe={**V2, "paper": "Burst2Vec, row V3"})
    assert "| constant baseline | synthetic, 400 clips |  | 4.000 to 4.500 |" in table_of(tmp_path)


def test_each_paper_has_its_table_and_systems_of_none_come_last(tmp_path):
    write_record(tmp_path / "x", 3.0, recipe={"description": "A | tiny one"})
    write_record(tmp_path / "y", 3.0, recipe={})
    write_record(tmp_path / "z", 3.0, recipe={**V2, "paper": "Zebras <b>"})
    table = table_of(tmp_path)
    assert table.index("## Zebras &lt;b>: validation") < table.index("## Other systems: validation")
    assert "| A \\| tiny one |" in table and "| y |" in table


def test_bad_unfinished_and_doubled_runs_are_named_and_skipped(tmp_path):
    write_record(tmp_path / "good", 3.0)
    write_record(tmp_path / "good_again", 3.0)
    write_record(tmp_path / "luckier", 2.0)
    write_record(tmp_path / "cut", 3.0)
    (tmp_path / "cut" / "metrics.json").write_text('{"corpora": [')
    silent = write_record(tmp_path / "silent", 3.0, seed=1)
    record = json.loads((silent / "metrics.json").read_text())
    (silent / "metrics.json").write_text(json.dumps({**record, "scores": {}}))
    (tmp_path / "killed" / "checkpoint-10").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    runs, skipped = find_runs([tmp_path, tmp_path / "empty", tmp_path / "nowhere", tmp_path / "good"])
    assert list(runs) == ["good"]
    assert skipped["good_again"] == "same recipe, seed and clips as good; counted once"
    assert skipped["luckier"] == "same recipe, seed and clips as good, but other scores; counted once"
    assert "is not JSON" in skipped["cut"] and skipped["silent"] == "it has no scores: its corpus has no labels"
    assert skipped["killed"] == "unfinished: checkpoints and no metrics.json"
    assert skipped[str(tmp_path / "empty")] == "no metrics.json in it"
    assert skipped[str(tmp_path / "nowhere")] == "no such folder"


def test_runs_and_corpora_called_like_formulas_are_written_as_text(tmp_path):
    write_record(tmp_path / "=1+1", -3.0, corpora=("@mine",), recipe={**V2, "paper": "-1"})
    write_report(rows_of(find_runs([tmp_path])[0]), {}, tmp_path / "out")
    with open(tmp_path / "out" / "report.csv", encoding="utf-8") as file:
        (line,) = csv.DictReader(file)
    assert (line["paper"], line["run"], line["measured_on"], line["value"]) == ("'-1", "'=1+1", "'@mine", "-3.000000")


def test_a_finished_run_keeps_its_checkpoints_and_is_one_run(tmp_path):
    (write_record(tmp_path / "run", 3.0) / "checkpoint-10").mkdir()
    runs, skipped = find_runs([tmp_path])
    assert list(runs) == ["run"] and not skipped


def test_everything_is_written_and_drawn(tmp_path):
    for seed in (0, 1):
        write_record(tmp_path / "runs" / f"seed_{seed}", 3.0 + seed, seed)
    write_record(tmp_path / "runs" / "v3", np.pi, recipe={"paper": "Burst2Vec, row V3"})
    runs, _ = find_runs([tmp_path / "runs"])
    rows = rows_of(runs)
    text = write_report(rows, {"killed": "unfinished"}, tmp_path / "out")
    assert "- killed: unfinished" in text and (tmp_path / "out" / "report.md").read_text() == text + "\n"
    assert "Skipped" not in write_report(rows, {}, tmp_path / "out")
    with open(tmp_path / "out" / "report.csv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 and {line["recipe"] for line in lines} == {"Table 2, row V2", "row V3"}
    second = next(line for line in lines if line["run"] == "seed_1")
    assert (second["seed"], second["value"], second["printed"], second["measured_on"]) == (
        "1",
        "4.000000",
        "3.709",
        "synthetic",
    )
    assert plot_report(rows["validation"], tmp_path / "out" / "report.png").stat().st_size > 10_000


@pytest.mark.parametrize("missing", ["age_mae"])
def test_a_row_without_a_score_is_drawn_with_a_hole(tmp_path, missing):
    write_record(tmp_path / "a", 3.0)
    (row,) = rows_of(find_runs([tmp_path])[0])["validation"]
    other = type(row)(**{**vars(row), "scores": {"country_uar": [0.5]}, "printed": {}})
    assert plot_report([row, other], tmp_path / "report.png").is_file()
