"""extract_features from the command line: tables, what it prints, what it leaves out, and what it refuses."""

import runpy
from pathlib import Path

import pytest
import yaml

from burst2vec.features import read_features
from tests.data.corpora_on_disk import write_hume_vb, write_wav
from tests.features.test_embeddings import save_encoder

pytestmark = pytest.mark.slow  # whole commands and runs

SCRIPT = Path(__file__).parents[2] / "examples" / "extract_features.py"


@pytest.fixture(scope="module")
def main():
    return runpy.run_path(str(SCRIPT))["main"]


@pytest.fixture
def folder(tmp_path):
    return write_hume_vb(tmp_path / "hume")


def command(folder, *more):
    places = ["--data_dir", folder, "--cache_dir", folder.parent / "cache", "--out", folder.parent / "out"]
    return list(map(str, ["hume_vb", *places, "--num_proc", 1, *more]))


def test_a_corpus_becomes_tables_and_the_same_command_keeps_them(main, folder, capsys):
    assert main(command(folder)) == 0
    printed = capsys.readouterr().out
    assert "compare: 5 made, 0 kept from before" in printed and "egemaps: 5 made" in printed
    assert "clips a second" in printed and "0 clips cannot be read" in printed
    read = read_features(folder.parent / "out/compare", folder.parent / "cache")
    assert read.splits["train"]["file_id"][:] == ["00001", "00002", "00003"] and len(read.names) == 6_373
    assert main(command(folder, "--features", "egemaps")) == 0
    printed = capsys.readouterr().out
    assert "egemaps: 0 made, 5 kept from before; " in printed and "compare" not in printed.splitlines()[0]


def test_a_clip_that_cannot_be_read_is_left_out_and_named(main, folder, capsys):
    (folder / "wav/00002.wav").write_bytes(b"")
    write_wav(folder / "wav/00003.wav", samples=700)
    assert main(command(folder, "--features", "egemaps")) == 0
    printed = capsys.readouterr().out
    assert "egemaps: 4 made" in printed and "1 clips: padded to 960 samples" in printed
    assert "1 clips cannot be read and are left out\nfailed: 00002 (" in printed


def test_a_recipe_says_what_to_read_and_how_to_clean_it(main, folder, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    data = {"corpus": "hume_vb", "data_dir": str(folder), "cache_dir": str(tmp_path / "cache")}
    words = ["--recipe", str(recipe), "--features", "egemaps", "--num_proc", "1", "--out"]
    found = []
    for steps in ([], ["highpass"]):
        recipe.write_text(yaml.safe_dump({"data": {**data, "preprocess": steps}, "model": {"tasks": "exvo"}}))
        assert main([*words, str(tmp_path / f"out{len(steps)}")]) == 0
        found.append(read_features(tmp_path / f"out{len(steps)}/egemaps", tmp_path / "cache").splits["train"])
    assert found[0]["file_id"][:] == found[1]["file_id"][:] and found[0]["features"][0] != found[1]["features"][0]
    assert "egemaps: 5 made" in capsys.readouterr().out


def test_a_family_of_sets_is_named_with_its_argument(main, folder, capsys):
    save_encoder(folder.parent / "tiny")
    name = f"embedding:{folder.parent / 'tiny'}"
    assert main(command(folder, "--features", name)) == 0
    assert f"{name}: 5 made, 0 kept from before" in capsys.readouterr().out
    (tables,) = (folder.parent / "out").iterdir()
    assert tables.name.startswith("embedding-tiny-")
    assert len(read_features(tables, folder.parent / "cache").names) == 64


def test_an_unknown_set_is_refused_before_the_corpus_is_read(main, folder, capsys):
    assert main(command(folder / "nowhere", "--features", "egemaps", "mfcc")) == 2
    assert (
        "unknown feature set 'mfcc'; known: compare, egemaps, log_mel, strf, embedding:CHECKPOINT, "
        in capsys.readouterr().err
    )


def test_what_cannot_be_done_ends_with_2_and_a_line(main, folder, tmp_path, capsys):
    assert main(command(tmp_path / "nowhere")) == 2
    (tmp_path / "out").mkdir()
    (tmp_path / "out/egemaps").write_text("a file")
    assert main(command(folder, "--features", "egemaps")) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "nowhere: no such folder" in errors[0] and "give a new folder to write features into" in errors[1]


@pytest.mark.parametrize(
    "words", [["--out", "o"], ["hume_vb"], ["hume_vb", "--recipe", "r", "--out", "o"], ["hume_vb", "--out", "o"]]
)
def test_one_corpus_a_folder_and_one_process_or_more_are_needed(main, words, capsys):
    with pytest.raises(SystemExit) as ending:
        main([*words, "--num_proc", "0"])
    assert ending.value.code == 2 and "usage" in capsys.readouterr().err
