"""run_seeds from the command line: a run a seed, each made once, and what is said of them."""

import runpy
from pathlib import Path

import pytest
import yaml

from burst2vec.comparison import study
from burst2vec.experiment.run_record import RunRecord

pytestmark = pytest.mark.slow  # whole commands and runs

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def main():
    return runpy.run_path(str(EXAMPLES / "run_seeds.py"))["main"]


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"model": {"tasks": "exvo"}, "training": {"seed": 7, "bf16": False}}))
    return path


@pytest.fixture
def made(monkeypatch):
    """Runs that write a record, their seed's score, and nothing else."""
    seeds = []

    def make(run):
        seed = run.training.seed
        seeds.append((seed, run.training.resume_from_checkpoint))
        scores = {"validation": {"emotion_ccc": seed / 100, "age_mae": seed / 10}}
        known = {"corpora": ["synthetic"], "recipe": run.recipe.to_dict(), "seed": seed}
        record = RunRecord(**known, clips={"validation": {"used": 3}}, scores=scores, baseline=scores)
        folder = Path(run.training.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        record.write(folder)
        return record

    monkeypatch.setattr(study.run_or_read, "__defaults__", ((), make))
    return seeds


def test_each_seed_has_a_run_and_the_table_says_mean_and_spread(main, recipe, made, tmp_path, capsys):
    assert main([str(recipe), "--seeds", "3", "--output_dir", str(tmp_path / "runs")]) == 0
    assert [seed for seed, _ in made] == [7, 8, 9]
    printed = capsys.readouterr().out
    assert "0.080 ± 0.010" in printed and "0.800 ± 0.100" in printed
    assert f"best emotion_ccc on validation: 0.090, in {tmp_path / 'runs' / 'seed-9'}" in printed


def test_the_least_error_is_the_best(main, recipe, made, tmp_path, capsys):
    more = ["--output_dir", str(tmp_path / "runs"), "--metric_for_best_model", "age_mae"]
    assert main([str(recipe), "--seeds", "2", *more]) == 0
    assert f"best age_mae on validation: 0.700, in {tmp_path / 'runs' / 'seed-7'}" in capsys.readouterr().out


def test_finished_runs_are_read_and_a_broken_one_goes_on(main, recipe, made, tmp_path):
    arguments = [str(recipe), "--seeds", "2", "--output_dir", str(tmp_path / "runs")]
    assert main(arguments) == 0
    (tmp_path / "runs/seed-8/metrics.json").rename(tmp_path / "runs/seed-8/left")
    made.clear()
    assert main(arguments) == 0
    assert made == [(8, "true")]


def test_a_score_that_no_run_has_is_said(main, recipe, made, tmp_path, capsys):
    more = ["--output_dir", str(tmp_path / "runs"), "--metric_for_best_model", "s_mtl"]
    assert main([str(recipe), "--seeds", "1", *more]) == 0
    assert "no run has s_mtl on validation" in capsys.readouterr().out


def test_what_cannot_run_is_refused(main, recipe, made, tmp_path, capsys):
    assert main([str(recipe), "--seeds", "0"]) == 2
    assert "--seeds 0: give 1 or more" in capsys.readouterr().err
    assert main([str(recipe), "--learning_rat", "1"]) == 2
    assert "did you mean 'learning_rate'" in capsys.readouterr().err
    assert main([str(recipe), "--seeds", "1", "--output_dir", str(tmp_path / "runs")]) == 0
    other = [str(recipe), "--seeds", "1", "--output_dir", str(tmp_path / "runs"), "--learning_rate", "1e-2"]
    assert main(other) == 2 and "holds a run of another recipe" in capsys.readouterr().err
