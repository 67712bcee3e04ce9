"""The command score-generated: from two folders and a model to a table, and refusals in one line."""

import json

import numpy as np
import pytest

from burst2vec import Burst2VecFeatureExtractor
from burst2vec.audio.encode import encode_wav
from burst2vec.command_line import main
from tests.conftest import tiny_model


def write_clips(folder, clips, seed, emotions=("Awe", "Fear")):
    random = np.random.default_rng(seed)
    for emotion in emotions:
        (folder / emotion).mkdir(parents=True)
        for clip in range(clips):
            noise = random.normal(scale=0.1, size=random.integers(500, 900)).astype(np.float32)  # of unequal lengths
            (folder / emotion / f"{clip}.wav").write_bytes(encode_wav(noise, 16_000))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("generated")
    tiny_model(pooling="last").save_pretrained(place / "model")
    Burst2VecFeatureExtractor().save_pretrained(place / "model")
    write_clips(place / "real", 20, seed=0)
    write_clips(place / "fake", 20, seed=1)
    (place / "fake" / "Fear" / "0.wav").write_bytes((place / "real" / "Fear" / "7.wav").read_bytes())
    return place


def score(place, fake="fake", *more):
    folders = [str(place / "real"), str(place / fake), "--out", str(place / "report"), "--cache_dir", str(place / "c")]
    return main(["score-generated", *folders, "--model", str(place / "model"), "--num_proc", "1", *more])


def test_a_table_with_floors_and_copies_is_printed_and_written(place, capsys):
    assert score(place) == 0
    shown = capsys.readouterr().out
    assert (
        "floor" in shown and "Fear/0 of Fear/7" in shown and str(place) not in (place / "report/scores.md").read_text()
    )
    scores = json.loads((place / "report" / "scores.json").read_text())["emotions"]
    assert scores["Awe"]["copies"] == 0 and scores["Fear"]["copies"] == 1
    assert scores["Awe"]["generated"] == scores["Awe"]["real"] == 20


@pytest.mark.parametrize(
    "emotions, clips, said",
    [
        (("Awe",), 19, "Awe has 19 of the 20 clips that each emotion needs to be scored"),
        (("Awe", "Joy"), 20, "has no clips of Joy"),
    ],
)
def test_emotions_that_cannot_be_scored_are_refused_in_one_line(emotions, clips, said, place, capsys, tmp_path):
    write_clips(tmp_path / "fake", clips, seed=2, emotions=emotions)
    assert score(place, tmp_path / "fake") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and said in errors[0]


def test_a_model_that_is_not_there_is_refused_before_clips_are_read(place, capsys):
    assert main(["score-generated", "nowhere", "nowhere", "--model", str(place / "no_model")]) == 2
    assert "no_model: no such folder" in capsys.readouterr().err
