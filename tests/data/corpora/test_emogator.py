"""EmoGator: labels from file names."""

import pytest

from burst2vec import load_bursts
from burst2vec.data.corpora.emogator import find_clips
from burst2vec.errors import CorpusError
from burst2vec.tasks import EMOGATOR_CATEGORIES, TASK_PRESETS

from ..corpora_on_disk import EMOGATOR, write_emogator

EMOTIONS = TASK_PRESETS["emogator"][0].labels


def named_emotions(tmp_path):
    folder = tmp_path / "mp3"
    folder.mkdir()
    for category in range(1, 31):
        (folder / f"000001-{category:02d}-1.mp3").touch()
    return {
        EMOGATOR_CATEGORIES[clip["category"]]: [
            name for name, value in zip(EMOTIONS, clip["emotion"], strict=True) if value
        ]
        for clip in find_clips(folder)
    }


def test_ten_categories_name_an_emotion_and_twenty_name_none(tmp_path):
    emotions = named_emotions(tmp_path)
    assert {category: names for category, names in emotions.items() if names} == {
        "Amusement": ["Amusement"],
        "Awe": ["Awe"],
        "Distress": ["Distress"],
        "Elation": ["Excitement"],
        "Embarrassment": ["Awkwardness"],
        "Fear": ["Fear"],
        "Sadness": ["Sadness"],
        "Surprise (Negative)": ["Surprise"],
        "Surprise (Positive)": ["Surprise"],
        "Triumph": ["Triumph"],
    }
    assert len(emotions) == 30 and "Horror" not in EMOTIONS


def test_the_corpus_is_read_from_either_folder(tmp_path):
    mp3 = write_emogator(tmp_path / "EmoGator/data/mp3")
    whole = load_bursts("emogator", data_dir=tmp_path / "EmoGator", cache_dir=tmp_path / "cache")
    inner = load_bursts("emogator", data_dir=mp3, cache_dir=tmp_path / "cache")
    assert whole["train"][:] == inner["train"][:]
    assert whole["train"]["file_id"][:4] == ["000001-01-1", "000001-02-1", "000001-16-1", "000002-01-1"]
    assert whole["train"].column_names == ["file_id", "audio", "speaker", "emotion", "category"]
    row = whole["train"][1]
    assert whole["train"].features["category"].int2str(row["category"]) == "Amusement"
    assert (row["speaker"], sum(row["emotion"]), row["emotion"][EMOTIONS.index("Amusement")]) == ("000001", 1.0, 1.0)
    assert row["audio"]["path"] == str(mp3 / "000001-02-1.mp3")


@pytest.mark.parametrize(
    "name", ["burst.mp3", "000001-31-1.mp3", "000001-00-1.mp3", "1-01-1.mp3", "000001-01-1 (copy).mp3"]
)
def test_another_file_name_is_refused(tmp_path, name):
    write_emogator(tmp_path, speakers=1)
    (tmp_path / name).touch()
    with pytest.raises(CorpusError) as caught:
        find_clips(tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_files_that_are_no_mp3_are_let_be(tmp_path):
    write_emogator(tmp_path, speakers=1)
    (tmp_path / "LICENSE").touch()
    assert len(find_clips(tmp_path)) == 3


def test_a_folder_without_mp3_files_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CorpusError, match="holds no MP3 file"):
            find_clips(folder)


@pytest.mark.emogator
def test_the_real_files_are_read(tmp_path):
    if not EMOGATOR.is_dir():
        pytest.skip(f"EmoGator is not at {EMOGATOR}; set EMOGATOR_DIR")
    corpus = load_bursts("emogator", data_dir=EMOGATOR, cache_dir=tmp_path)
    for split, rows in corpus.items():
        speakers = set(rows["speaker"])
        assert len(rows) == 90 * len(speakers), split
        assert rows.features["category"].num_classes == 30
    assert not set(corpus["train"]["speaker"]) & set(corpus["validation"]["speaker"])


def test_clips_to_predict_are_one_split_unless_splits_say_otherwise(tmp_path):
    mp3 = write_emogator(tmp_path / "mp3")
    cache = tmp_path / "cache"
    learnt = load_bursts("emogator", mp3, cache_dir=cache)
    predicted = load_bursts("emogator", mp3, cache_dir=cache, for_prediction=True)
    assert list(predicted) == ["test"] and len(predicted["test"]) == sum(map(len, learnt.values()))
    chosen = load_bursts("emogator", mp3, cache_dir=cache, for_prediction=True, splits={"validation": 1})
    assert list(chosen) == ["validation"]
    with pytest.raises(CorpusError, match="for_prediction: no setting of hume_vb"):
        load_bursts("hume_vb", mp3, for_prediction=True)
