"""check_corpus from the command line: what it prints, writes and refuses, and with which exit status."""

import json
import os
import runpy
import shutil
from pathlib import Path

import pytest
import yaml

from tests.data.corpora_on_disk import EMOGATOR, write_hume_vb, write_wav

pytestmark = pytest.mark.slow  # whole commands and runs

SCRIPT = Path(__file__).parents[2] / "examples" / "check_corpus.py"
COUNTRIES = ("China", "South Africa", "United States", "Venezuela")


@pytest.fixture(scope="module")
def main():
    return runpy.run_path(str(SCRIPT))["main"]


def rows(shared=False):
    """Eight clips to train with and eight to validate with, two of each country; nobody twice but where ``shared``."""
    return [
        [
            f"[{8 * half + clip + 1:05d}]",
            split,
            "T0" if shared and clip == 0 else f"{split[0]}{clip}",
            COUNTRIES[clip % 4],
            f"{20 + clip}",
            *[f"{(clip + 1) * (label + 1) / 100:.2f}" for label in range(10)],
        ]
        for half, split in enumerate(("Train", "Val"))
        for clip in range(8)
    ]


def command(folder, *more):
    return ["hume_vb", "--data_dir", str(folder), "--cache_dir", str(folder.parent / "cache"), *map(str, more)]


def test_a_good_corpus_ends_with_0_and_a_report_where_it_was_asked_for(main, tmp_path, capsys):
    folder = write_hume_vb(tmp_path / "hume", rows(), wavs=16)
    assert main(command(folder)) == 0
    printed = capsys.readouterr().out
    assert "train: 8 clips" in printed and "Country: Venezuela" in printed and "wrote" not in printed
    assert "train lacks 19,982 of 19,990 clips" in printed and "305:266" in printed
    assert main(command(folder, "--out", tmp_path / "report", "--format", "html")) == 0
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "flagged_clips.csv",
        "report.html",
        "report.json",
    ]
    assert "hume_vb" in (tmp_path / "report" / "report.html").read_text()


def test_problems_that_a_run_survives_end_with_1(main, tmp_path, capsys):
    folder = write_hume_vb(tmp_path / "hume", rows(), wavs=16)
    (folder / "wav" / "00003.wav").write_bytes(b"")
    write_wav(folder / "wav" / "00009.wav", level=0.0)
    assert main(command(folder, "--out", tmp_path / "report")) == 1
    printed = capsys.readouterr().out
    assert "problem: train: 1 of 8 clips cannot be read: 00003 (" in printed and "1 of 16 clips are silent" in printed
    listed = (tmp_path / "report" / "flagged_clips.csv").read_text()
    assert "train,00003,unreadable" in listed and "validation,00009,silent" in listed
    assert (tmp_path / "report" / "report.md").is_file() and (tmp_path / "report" / "report.html").is_file()


def test_a_speaker_in_two_splits_ends_with_2_and_a_report_unless_forced(main, tmp_path, capsys):
    folder = write_hume_vb(tmp_path / "hume", rows(shared=True), wavs=16)
    assert main(command(folder, "--out", tmp_path / "report", "--format", "md")) == 2
    printed = capsys.readouterr()
    assert "error: 1 speaker is in more than one split" in printed.err and "T0 (train, validation)" in printed.err
    assert "**refused**" in (tmp_path / "report" / "report.md").read_text()
    assert main(command(folder, "--allow_shared_speakers")) == 1


def test_a_recipe_says_what_to_read_and_which_tasks(main, tmp_path, capsys):
    folder = write_hume_vb(tmp_path / "hume", rows(shared=True), wavs=16)
    data = {"corpus": "hume_vb", "data_dir": str(folder), "cache_dir": str(tmp_path / "cache")}
    tasks = [{"name": "age", "kind": "regression", "labels": ["age"], "unit": "years", "span": [15, 45]}]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"data": data, "model": {"tasks": tasks}}))
    assert main(["--recipe", str(recipe)]) == 2
    printed = capsys.readouterr().out
    assert "train: 8 clips" in printed and "Country" not in printed
    recipe.write_text(yaml.safe_dump({"data": {**data, "allow_shared_speakers": True}}))
    assert main(["--recipe", str(recipe)]) == 1
    assert "Country: China" in capsys.readouterr().out
    places = {key: data[key] for key in ("corpus", "data_dir")}
    recipe.write_text(yaml.safe_dump({"data": {"mix": [places]}}))
    assert main(["--recipe", str(recipe), "--cache_dir", data["cache_dir"]]) == 2


def test_test_labels_that_are_lost_are_told_by_place(main, tmp_path, capsys):
    test = [[f"[{clip:05d}]", "Test", "T", "China", age, *["0.5"] * 10] for clip, age in ((17, "30"), (18, "old"))]
    folder = write_hume_vb(tmp_path / "hume", rows() + test, wavs=18)
    told = "problem: test: 1 of 2 clips have labels that cannot all be read, and lose those of their table"
    recipe = tmp_path / "recipe.yaml"
    data = {"corpus": "hume_vb", "data_dir": str(folder), "cache_dir": str(tmp_path / "cache")}
    for words in (command(folder), ["--recipe", str(recipe)]):
        recipe.write_text(yaml.safe_dump({"data": data}))
        assert main(words) == 1
        assert f"{told}: {folder}/data_info.csv, line 19, column Age: 'old'" in capsys.readouterr().out
    places = {key: data[key] for key in ("corpus", "data_dir")}
    recipe.write_text(yaml.safe_dump({"data": {"mix": [places]}}))
    assert main(["--recipe", str(recipe), "--cache_dir", data["cache_dir"]]) == 1
    assert told in capsys.readouterr().out


def test_a_folder_of_ones_own_is_checked_without_a_recipe(main, tmp_path, capsys):
    mine, report = tmp_path / "mine", tmp_path / "report"
    words = ["folder", "--data_dir", str(mine), "--cache_dir", str(tmp_path / "cache"), "--out", str(report)]
    for number in range(8):
        write_wav(mine / ("laugh", "cry")[number % 2] / f"{number}.wav", samples=4_000 + number, seed=number)
    os.rename(mine / "cry" / "7.wav", os.fsencode(mine / "cry") + b"/caf\xe9.wav")
    (mine / "laugh" / "gone.wav").symlink_to("nowhere.wav")
    (mine / "laugh" / "old.aiff").touch()
    os.mkfifo(mine / "cry" / "pipe.wav")
    assert main(words) == 1
    printed = capsys.readouterr().out
    assert "Class: cry" in printed and "note: 1 file in the corpus's folder is no clip of it: laugh/old.aiff" in printed
    for name in ("cry/caf\\xe9", "laugh/gone", "cry/pipe"):
        assert name in (report / "flagged_clips.csv").read_text()
    assert json.loads((report / "report.json").read_text())["splits"]["all"]["unreadable"] == 3


def test_a_table_of_ones_own_is_checked_without_a_recipe_but_for_its_labels(main, tmp_path, capsys):
    table = ["file,speaker,split,mood", *(f"{clip}.wav,S{clip % 2},train,{clip}" for clip in range(4))]
    for clip in range(5):
        write_wav(tmp_path / "mine" / f"{clip}.wav", seed=clip)
    (tmp_path / "mine" / "metadata.csv").write_text("\n".join([*table, "4.wav,s1,test,9"]))
    words = ["folder", "--data_dir", str(tmp_path / "mine"), "--cache_dir", str(tmp_path / "cache")]
    assert main(words) == 2
    printed = capsys.readouterr()
    assert "'S1' = 's1' (train, test)" in printed.err
    assert "labels were not looked at, for lack of tasks; name them in a recipe, check_corpus.py --re" in printed.out
    assert main([*words, "--allow_shared_speakers"]) == 1


def test_what_cannot_be_read_ends_with_2_and_a_line(main, tmp_path, capsys):
    assert main(["hume_vb", "--data_dir", str(tmp_path / "nowhere")]) == 2
    assert main(["--recipe", str(tmp_path / "none.yaml")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2 and "nowhere: no such folder" in errors[0] and "no such recipe" in errors[1]


@pytest.mark.parametrize("words", [[], ["hume_vb", "--recipe", "recipe.yaml"], ["nothing_known"], ["folder"]])
def test_one_corpus_or_one_recipe_must_be_named(main, words, capsys):
    with pytest.raises(SystemExit) as ending:
        main(words)
    assert ending.value.code == 2 and "usage" in capsys.readouterr().err


@pytest.mark.emogator
@pytest.mark.skipif(not (EMOGATOR / "data/mp3").is_dir(), reason="EmoGator is not there; name it in $EMOGATOR_DIR")
def test_real_recordings_have_a_report(main, tmp_path, capsys):
    folder = tmp_path / "emogator"
    folder.mkdir()
    for path in sorted((EMOGATOR / "data/mp3").glob("*-0[12]-1.mp3"))[:20]:
        shutil.copy(path, folder)
    words = [
        "emogator",
        "--data_dir",
        str(folder),
        "--cache_dir",
        str(tmp_path / "cache"),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(words) in (0, 1)
    assert "20" in capsys.readouterr().out
    assert "Left out: the labels of the task emotion take" in (tmp_path / "o" / "report.md").read_text()
