"""The command that cleans a folder: what it prints, what it returns, what its help says."""

import importlib.util
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from burst2vec.audio import TRANSFORMS, load_audio

pytestmark = pytest.mark.slow  # whole commands and runs

SCRIPT = Path(__file__).parents[2] / "examples" / "preprocess.py"
FEW = ["--steps", "mono", "resample", "normalise_level:dbfs=-20", "--num_proc", "1"]


@pytest.fixture(scope="module")
def preprocess():
    spec = importlib.util.spec_from_file_location("preprocess", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recordings(tmp_path):
    """Three recordings of a burst between silences, and the command that cleans them into ``clean``."""
    folder = tmp_path / "raw"
    folder.mkdir()
    noise = np.random.default_rng(0).normal(size=48_000)
    burst = 0.2 * np.sin(np.arange(48_000) / 30) * np.hanning(48_000) + 0.001 * noise
    for clip in range(3):
        soundfile.write(folder / f"{clip}.wav", np.concatenate([0.001 * noise, burst, 0.001 * noise]), 48_000)
    return folder, [str(folder), str(tmp_path / "clean")]


def test_it_cleans_a_folder_and_says_what_it_did(preprocess, recordings, capsys):
    folder, command = recordings
    (folder / "notes.txt").touch()
    assert preprocess.main([*command, *FEW]) == 0
    said = capsys.readouterr().out
    assert "3 made, 0 kept from before, 0 failed" in said
    assert "left alone: 1 files that are not audio, 0 links that lead elsewhere" in said
    assert "9 s of sound in " in said and "times real time" in said
    waveform = load_audio(folder.parent / "clean" / "0.wav")
    assert np.sqrt(np.mean(waveform**2)) == pytest.approx(0.1, rel=1e-3)
    (folder / "0.wav").unlink()
    assert preprocess.main([*command, *FEW]) == 0
    said = capsys.readouterr().out
    assert "0 made, 2 kept from before, 0 failed" in said and "any more: 1" in said


def test_the_default_chain_trims_and_levels(preprocess, recordings):
    folder, command = recordings
    assert preprocess.main(command) == 0
    waveform = load_audio(folder.parent / "clean" / "1.wav")
    assert 8_000 < waveform.size < 40_000
    assert np.sqrt(np.mean(waveform.astype(float) ** 2)) == pytest.approx(10 ** (-3 / 20), rel=1e-3)


def test_failures_are_named_and_more_than_half_are_too_many(preprocess, recordings, capsys):
    folder, command = recordings
    (folder / "bad.mp3").touch()
    assert preprocess.main([*command, *FEW]) == 0
    said = capsys.readouterr().out
    assert "3 made, 0 kept from before, 1 failed" in said and "failures.csv" in said
    assert "failed: bad.mp3: the file is empty" in said and "bad.mp3: bad.mp3" not in said
    for clip in range(3):
        (folder / f"{clip}.wav").write_bytes(b"")
    assert preprocess.main([*command, *FEW]) == 1
    assert "more than half of the recordings failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({0: "nowhere"}, "nowhere: no such folder"),
        ({3: "monno"}, "unknown step 'monno': did you mean 'mono'?"),
        ({1: "raw/clean"}, "one is in the other"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(preprocess, recordings, capsys, monkeypatch, changes, message):
    folder, command = recordings
    monkeypatch.chdir(folder.parent)
    command = [*command, *FEW]
    for place, text in changes.items():
        command[place] = text
    assert preprocess.main(command) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and message in said and said.count("\n") == 1


def test_fewer_processes_than_one_are_refused(preprocess, recordings, capsys):
    with pytest.raises(SystemExit):
        preprocess.main([*recordings[1], "--num_proc", "0"])
    assert "--num_proc 0: give 1 or more" in capsys.readouterr().err


def test_help_lists_every_step_with_its_options_and_an_example(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["preprocess.py", "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert end.value.code == 0
    said = capsys.readouterr().out
    for step in TRANSFORMS:
        assert f"\n  {step}" in said
    assert "normalise_level:dbfs=-3.0\n" in said and "resample:new_rate=16000" in said
    assert "python examples/preprocess.py HUME-VB/raw HUME-VB-clean/wav" in said
    assert max(map(len, said.splitlines())) <= 120
