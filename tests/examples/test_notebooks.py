"""The notebooks of examples/notebooks run from top to bottom in an empty folder, and lie here without outputs.

A cell runs in this process, which has the imports already; a line ``!burst2vec …`` is the command itself.
"""

import ast
import json
import shlex
import sys
from pathlib import Path

import datasets
import pytest

from burst2vec import command_line

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def code_of(path):
    """The sources of its cells that are code."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run_cell(source, names, monkeypatch):
    """Run a cell; the value of its last line, as a notebook shows it."""
    if source.startswith("!"):
        program, *words = shlex.split(source[1:])
        assert program == "burst2vec" and "\n" not in source
        monkeypatch.setattr(sys, "argv", [])
        assert command_line.main(words) == 0
        return None
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    return None if last is None else eval(ast.unparse(last), names)


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Runs a notebook in an empty folder, and gives what its cells show."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def run(name):
        names = {"__name__": "__main__"}
        path = ROOT / "examples" / "notebooks" / f"{name}.ipynb"
        return [run_cell(source, names, monkeypatch) for source in code_of(path)]

    return run


@each_notebook
def test_a_notebook_lies_here_without_outputs(path):
    read = json.loads(path.read_text(encoding="utf-8"))
    assert (read["nbformat"], read["nbformat_minor"]) == (4, 5) and read["metadata"]["kernelspec"]["name"] == "python3"
    code = [cell for cell in read["cells"] if cell["cell_type"] == "code"]
    assert code and all((cell["outputs"], cell["execution_count"]) == ([], None) for cell in code)
    assert len({cell["id"] for cell in read["cells"]}) == len(read["cells"])
    assert all(set(cell) >= {"id", "metadata", "source"} for cell in read["cells"])


@pytest.mark.slow
def test_own_data_becomes_a_model_with_scores_intervals_and_a_table(shown, tmp_path):
    *_, scores, answer, table = [value for value in shown("own_data") if value is not None]
    assert {"place_uar", "awe_ccc"} <= set(scores.index) and scores.loc["place_uar", "model"] > 0.25
    low, high = answer["conformal"]["awe"]
    assert low <= answer["awe"] <= high and answer["place"]["label"] in answer["conformal"]["place"]
    assert set(table["problem"]) == {""} and len((tmp_path / "table.csv").read_text().splitlines()) == 1 + 96


@pytest.mark.slow
def test_recordings_become_a_published_model_that_anybody_can_load(shown, tmp_path):
    *_, published, answer = [value for value in shown("publish") if value is not None]
    assert published == "hub/you/kinds" and answer["kind"]["label"] == "squeal"
    there = {path.name for path in (tmp_path / published).iterdir()}
    assert {"README.md", "model.safetensors", "metrics.json"} <= there and "predictions_validation.csv" not in there
    assert 'model="you/kinds"' in (tmp_path / published / "README.md").read_text().replace("'", '"')


def test_every_notebook_has_a_test_that_runs_it():
    assert [path.stem for path in NOTEBOOKS] == ["own_data", "publish"]
