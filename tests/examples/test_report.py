"""report.py gathers what run_exvo.py and fuse.py leave, and says what it skipped."""

import errno
import importlib.util
import re
import runpy
import sys
from pathlib import Path

import pytest

from burst2vec.command_line.shipped import shipped_recipe
from burst2vec.comparison.fusion_recipes import said_by
from tests.comparison.finished_runs import exvo_labels, write_run

pytestmark = pytest.mark.slow  # whole commands and runs

SCRIPT = Path(__file__).parents[2] / "examples" / "report.py"
RECIPE = {
    **dict(zip(("paper", "description"), said_by(shipped_recipe("burst2vec/v2_no_adversary")), strict=True)),
    "reported_scores": {"validation": {"emotion_ccc": 0.645}},
}


@pytest.fixture(scope="module")
def report():
    spec = importlib.util.spec_from_file_location("report", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_runs_of_several_seeds_become_one_row_and_the_files_are_written(report, tmp_path, capsys):
    splits = {split: ([str(clip) for clip in range(20)], exvo_labels(20)) for split in ("validation", "test")}
    for seed in (0, 1):
        write_run(tmp_path / "runs" / f"seed_{seed}", splits, seed=seed, recipe=RECIPE)
    (tmp_path / "runs" / "killed" / "checkpoint-3").mkdir(parents=True)
    assert report.main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "| Table 2, row V2 (WL −Adv) | synthetic, 20 clips | 2 | " in shown
    assert "emotion_ccc, printed, on HUME-VB" in shown and "| 0.645 |" in shown
    assert "## Burst2Vec (Anuchitanukul and Specia, 2022), Table 2" in shown and "| 0.645 ♣ | " in shown
    assert "| V1 | Burst2Vec WL ♣ | 0.653 |  | 0.672 |" in shown, "a row that was not run is there, and empty"
    assert "- killed: unfinished: checkpoints and no metrics.json" in shown
    names = {"report.md", "report.csv", "report_validation.png", "report_test.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names


def test_nothing_finished_is_an_error_that_says_why(report, tmp_path, capsys):
    assert report.main([str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_told_in_one_line_and_the_report_that_was_there_stays(report, tmp_path, capsys, monkeypatch):
    write_run(tmp_path / "run", {"validation": ([str(clip) for clip in range(20)], exvo_labels(20))}, recipe=RECIPE)
    assert report.main([str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert report.main([str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 2
    told = r"error: .*/out/report\.\w+ could not be written: No space left on device \(.* GiB free\)\n"
    assert re.fullmatch(told, capsys.readouterr().err)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_it_is_a_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["report.py", "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert end.value.code == 0 and "metrics.json" in capsys.readouterr().out
