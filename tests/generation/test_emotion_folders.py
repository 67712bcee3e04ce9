"""Clips of named emotions: from sub-folders or a table, counted, and refused by name."""

import numpy as np
import pytest

from burst2vec.audio.encode import encode_wav
from burst2vec.errors import CorpusError, TableError
from burst2vec.generation.emotion_folders import read_emotion_clips, read_ratings

CLIP = encode_wav(np.full(800, 0.1, dtype=np.float32), 16_000)


def make(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(CLIP)
    return folder


@pytest.fixture
def read(tmp_path):
    return lambda folder: read_emotion_clips(folder, cache_dir=tmp_path / "cache", num_proc=1)


def test_sub_folders_name_the_emotions(tmp_path, read):
    clips = read(make(tmp_path / "clips", "Awe/1.wav", "Awe/2.wav", "Fear/1.wav"))
    assert dict(zip(clips.clips["file_id"], clips.emotions, strict=True)) == {
        "Awe/1": "Awe",
        "Awe/2": "Awe",
        "Fear/1": "Fear",
    }


@pytest.mark.parametrize("emotions", [("Awe", "Fear"), ("Awe", "Awe")])
def test_a_table_names_the_emotions_also_one_alone(emotions, tmp_path, read):
    folder = make(tmp_path / "clips", "1.wav", "deep/2.wav")
    (folder / "metadata.csv").write_text(f"file,emotion\n1.wav,{emotions[0]}\ndeep/2.wav,{emotions[1]}\n")
    clips = read(folder)
    assert tuple(clips.emotions) == emotions and list(clips.clips["file_id"]) == ["1", "deep/2"]


def test_too_few_clips_are_counted_beside_how_many_are_needed(tmp_path, read):
    folder = make(tmp_path / "clips", "Awe/1.wav", "Awe/2.wav", "Fear/1.wav")
    (folder / "Horror").mkdir()
    with pytest.raises(
        CorpusError, match="Fear has 1, Horror has 0 of the 2 clips that each emotion needs to be scored"
    ):
        read(folder).refuse_too_few(2, "to be scored")
    read(folder).refuse_too_few(2, "to be scored", ["Awe"])


def test_a_clip_that_cannot_be_read_is_left_out_and_named(tmp_path, read):
    folder = make(tmp_path / "clips", "Awe/1.wav", "Awe/2.wav", "Fear/1.wav")
    (folder / "Awe" / "3.wav").write_bytes(b"no")
    clips = read(folder)
    assert clips.emotions.tolist() == ["Awe", "Awe", "Fear"] and [bad.file_id for bad in clips.bad] == ["Awe/3"]


@pytest.mark.parametrize(
    "paths, table, said",
    [
        (["1.wav", "Awe/1.wav"], None, "lies in no sub-folder; put each clip in one called after its emotion"),
        (["1.wav"], "file,mood\n1.wav,Awe\n", "no column emotion"),
        (["1.wav"], "file,emotion\n1.wav,\n", "line 2, column emotion: '' is not the name of an emotion"),
        ([], None, "holds neither a table nor an audio file"),
    ],
)
def test_a_folder_that_does_not_say_the_emotions_is_refused(paths, table, said, tmp_path, read):
    folder = make(tmp_path / "clips", *paths)
    folder.mkdir(exist_ok=True)
    if table is not None:
        (folder / "metadata.csv").write_text(table)
    with pytest.raises(CorpusError, match=said):
        read(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path, read):
    with pytest.raises(CorpusError, match="nowhere: no such folder"):
        read(tmp_path / "nowhere")


RATED = "file,Awe,Fear\nAwe/1.wav,0.9,0.1\nFear/1,0.25,0.5\n"


def test_ratings_are_of_the_emotion_that_a_clip_was_generated_for(tmp_path, read):
    clips = read(make(tmp_path / "clips", "Awe/1.wav", "Awe/2.wav", "Fear/1.wav"))
    (tmp_path / "ratings.csv").write_text(RATED)
    ratings, columns = read_ratings(tmp_path / "ratings.csv", clips)
    assert columns == ["Awe", "Fear"]
    assert {name: values.tolist() for name, values in ratings.items()} == {"Awe": [[0.9, 0.1]], "Fear": [[0.25, 0.5]]}


@pytest.mark.parametrize(
    "table, said",
    [
        (RATED.replace("0.9", "90"), "column Awe: '90' is not a number from 0 to 1"),
        (RATED.replace("Fear/1", "Awe/1"), "line 3, column file: 'Awe/1' is not new"),
        (RATED.replace("Fear/1", "Fear/9"), "'Fear/9' is not a clip of"),
        (RATED.replace("Fear\n", "Joy\n"), "no column Fear, which Fear/1 is of"),
        (RATED.replace("file", "clip"), "no column of files"),
    ],
)
def test_ratings_that_do_not_fit_the_clips_are_refused(table, said, tmp_path, read):
    clips = read(make(tmp_path / "clips", "Awe/1.wav", "Fear/1.wav"))
    (tmp_path / "ratings.csv").write_text(table)
    with pytest.raises(TableError, match=said):
        read_ratings(tmp_path / "ratings.csv", clips)
