"""A paper's table is printed in its layout: all rows in the paper's order, printed scores, ours, corpus and seeds."""

import numpy as np
import pytest

from burst2vec.command_line.shipped import recipe_names, shipped_recipe
from burst2vec.comparison.fusion_recipes import is_fusion, load_fusion, said_by
from burst2vec.comparison.paper_tables import format_table, load_tables, papers_order
from burst2vec.comparison.report import find_runs, rows_of
from burst2vec.experiment.finished import read_run
from burst2vec.experiment.recipes import load_recipe
from tests.comparison.finished_runs import exvo_labels, write_run

IDS = [f"{number:05}" for number in range(60)]
TABLES = load_tables()
TABLE_2 = next(table for table in TABLES if table.paper.startswith("Burst2Vec") and table.number == 2)
ROWS = [row for row in TABLE_2.rows if row.recipe is not None]


def write_row(folder, recipe, seed=0, noise=0.2, corpora=("hume_vb",), tasks="exvo", **changes):
    """A finished run of a shipped recipe, with predictions that no network made."""
    file = shipped_recipe(recipe)
    said = (load_fusion(file) if is_fusion(file) else load_recipe(file)).to_dict()
    recipe = {**said, "data": said.get("data", {}), "training": {**said.get("training", {}), "seed": seed}, **changes}
    splits = {"validation": (IDS, exvo_labels(60)), "test": ([f"9{clip}" for clip in IDS], exvo_labels(60, seed=1))}
    model = {"model": {**said.get("model", {}), "tasks": "exvo"}} if "model" not in changes else {}
    return write_run(folder, splits, noise, seed, {**recipe, **model}, tasks, corpora=corpora)


def cells(text):
    """By the first cell, the others of each line."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    return lines[0], lines[2:]


def table_of(folder):
    return cells(format_table(TABLE_2, rows_of(find_runs([folder])[0])))


def test_table_2_of_burst2vec_has_every_row_in_the_papers_order_with_printed_scores(tmp_path):
    for number, row in enumerate(ROWS):
        write_row(tmp_path / f"{number}", row.recipe, noise=0.1 + 0.02 * number)
    header, lines = table_of(tmp_path)
    assert header[:4] == ["Code", "Model(s)", "Validation: Emo-CCC", "ours"] and header[-2:] == ["measured on", "seeds"]
    names = ["Baseline", *(f"V{number}" for number in range(1, 8)), *(f"Ensemble {letter}" for letter in "ABC")]
    assert [line[0] for line in lines] == names
    printed = {line[0]: line[2:10:2] + [line[10]] for line in lines}
    assert printed["V2"] == ["0.645 ♣", "0.676 ♣", "3.709 ♣", "0.445", "-"]
    assert printed["V7"] == ["0.669 ◇◇", "0.630", "4.233 ◇◇", "0.410", "-"]
    assert printed["Ensemble C"] == ["0.711 ♣ ◇◇", "0.682 ♣ ◇◇", "3.586", "0.464", "0.432"]
    for number, line in enumerate(lines):
        assert line[-2:] == ["hume_vb, 60 clips", "0"]
        record = read_run(tmp_path / str(number)).record
        assert line[3] == f"{record.scores['validation']['emotion_ccc']:.3f}"
        assert line[11] == f"{record.scores['test']['s_mtl']:.3f}"


def test_rows_that_were_not_run_are_there_and_empty_and_seeds_and_corpora_are_told_apart(tmp_path):
    for seed in (1, 2):
        write_row(tmp_path / "hume" / str(seed), ROWS[4].recipe, seed)
    write_row(tmp_path / "other", ROWS[4].recipe, corpora=("synthetic",))
    _, lines = table_of(tmp_path)
    v4 = [line for line in lines if line[0] == "V4"]
    assert [line[-2:] for line in v4] == [["hume_vb, 60 clips", "1, 2"], ["synthetic, 60 clips", "0"]]
    assert " ± " in v4[0][3] and " ± " not in v4[1][3]
    v5 = next(line for line in lines if line[0] == "V5")
    assert v5[2:] == ["0.675 ◇", "", "0.631 ◇", "", "3.694 ◇", "", "0.444", "", "-", "", "", ""]


def test_the_white_papers_table_has_the_best_seed_on_validation_and_the_deviation_over_all(tmp_path):
    table = next(table for table in TABLES if table.paper.startswith("ExVo white paper") and table.number == 2)
    for seed, noise in enumerate((0.3, 0.15, 0.2)):
        write_row(tmp_path / str(seed), "exvo_baselines/egemaps", seed, noise)
    rows = rows_of(find_runs([tmp_path])[0])
    _, lines = cells(format_table(table, rows))
    line = next(line for line in lines if line[0] == "eGeMAPS")
    runs = [read_run(tmp_path / str(seed)).record.scores for seed in range(3)]
    best = max(range(3), key=lambda seed: runs[seed]["validation"]["s_mtl"])
    for place, split, score in ((3, "validation", "emotion_ccc"), (9, "validation", "s_mtl"), (11, "test", "s_mtl")):
        values = [run[split][score] for run in runs]
        assert line[place] == f"{values[best]:.3f} ± {np.std(values):.3f}"


def test_the_few_shot_table_has_a_column_for_each_emotion_printed_and_ours(tmp_path):
    table = next(table for table in TABLES if table.paper.startswith("ExVo white paper") and table.number == 4)
    write_row(tmp_path / "run", "exvo_baselines/fewshot_128")
    header, lines = cells(format_table(table, rows_of(find_runs([tmp_path])[0])))
    printed = {line[0]: [float(score) for score in line[1:-2:2]] for line in lines}
    assert printed == {
        "64": [0.478, 0.591, 0.260, 0.377, 0.262, 0.493, 0.447, 0.400, 0.563, 0.237, 0.421],
        "128": [0.551, 0.587, 0.287, 0.376, 0.314, 0.523, 0.478, 0.388, 0.594, 0.297, 0.442],
        "256": [0.554, 0.581, 0.282, 0.420, 0.311, 0.544, 0.490, 0.383, 0.561, 0.315, 0.444],
    }
    scores = read_run(tmp_path / "run").record.scores["test"]
    for title, ours in zip(header[1:-2:2], lines[1][2:-2:2], strict=True):
        emotions = [name for name in scores if "/" in name and name.split("/")[1].startswith(title.rstrip("."))]
        assert ours == f"{scores[emotions[0] if emotions else 'emotion_ccc']:.3f}", title
    means = {hidden: round(sum(scores[:10]) / 10, 4) for hidden, scores in printed.items()}
    assert means == {"64": 0.4108, "128": 0.4395, "256": 0.4441}, "the paper's own slips, as the recipes say"


def test_runs_with_other_keys_than_the_recipes_are_named(tmp_path):
    for row in ROWS[1:3]:
        model = {**load_recipe(shipped_recipe(row.recipe)).model, "encoder": {"layers": 1}}
        write_row(tmp_path / row.name, row.recipe, model=model)
    text = format_table(TABLE_2, rows_of(find_runs([tmp_path])[0]))
    assert "Other than the recipe's are encoder: V1 (hume_vb, 60 clips), V2 (hume_vb, 60 clips)." in text


def test_a_table_of_which_nothing_was_run_is_left_out(tmp_path):
    write_run(tmp_path / "own", {"validation": (IDS, exvo_labels(60))}, recipe={"description": "my own"})
    rows = rows_of(find_runs([tmp_path])[0])
    assert [format_table(table, rows) for table in TABLES] == [None] * len(TABLES)


def test_other_tables_of_the_report_have_the_papers_order_too(tmp_path):
    for number in (10, 3, 8):
        write_row(tmp_path / str(number), ROWS[number].recipe)
    rows = rows_of(find_runs([tmp_path])[0], papers_order(TABLES))
    assert [row.name.split(" (")[0].removeprefix("Table 2, row ") for row in rows["validation"]] == [
        "V3",
        "Ensemble A",
        "Ensemble C",
    ]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.paper} {table.number}")
def test_a_tables_rows_are_shipped_recipes_with_scores_and_marks_of_its_own_rows(table):
    scores = {name for columns in table.columns.values() for name in columns.values()}
    names = [row.name for row in table.rows]
    for row in table.rows:
        assert len(row.row) <= len(table.head)
        heading = row.recipe is None and len(row.row) == 1
        assert heading or row.printed, f"{row.row}: nothing was printed"
        assert set(row.marked) <= scores
        for other in [*row.compared_with, *(other for of_score in row.marked.values() for other in of_score)]:
            assert names.count(other) == 1 and other in table.marks and other in row.compared_with


def test_every_recipe_of_a_printed_table_has_its_row():
    there = {row.recipe for table in TABLES for row in table.rows}
    folders = {recipe.partition("/")[0] for recipe in there if recipe}
    of_a_table = [name for name in recipe_names() if ", Table" in (said_by(shipped_recipe(name))[0] or "")]
    assert not [name for name in of_a_table if name.partition("/")[0] in folders and name not in there]
