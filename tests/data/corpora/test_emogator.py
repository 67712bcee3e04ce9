"""EmoGator: labels from file names."""

import pytest

from burst2vec import load_bursts
from burst2vec.data.corpora import CORPORA
from burst2vec.data.corpora.emogator import VALIDATION_SPEAKERS, find_clips
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
        for clip in find_clips([folder])
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
    "name", ["burst.mp3", "burst.opus", "000001-31-1.mp3", "000001-00-1.mp3", "1-01-1.mp3", "000001-01-1 (copy).mp3"]
)
def test_another_file_name_is_refused(tmp_path, name):
    write_emogator(tmp_path, speakers=1)
    (tmp_path / name).touch()
    with pytest.raises(CorpusError) as caught:
        find_clips([tmp_path])
    assert str(tmp_path / name) in str(caught.value)


def test_files_of_other_endings_are_let_be(tmp_path):
    write_emogator(tmp_path, speakers=1)
    (tmp_path / "LICENSE").touch()
    assert len(find_clips([tmp_path])) == 3


def test_a_folder_without_audio_files_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CorpusError, match="holds no MP3 or Opus file"):
            find_clips([folder])


def touch_clips(folder, speakers, ending=".mp3"):
    """Empty files of a clip of each speaker: enough to be found."""
    folder.mkdir(parents=True, exist_ok=True)
    for speaker in speakers:
        (folder / f"{speaker}-01-1{ending}").touch()
    return folder


def test_mp3_and_opus_files_of_several_folders_are_one_corpus_in_the_order_of_their_names(tmp_path):
    touch_clips(tmp_path / "one/data/mp3", ["000001", "000004"])
    touch_clips(tmp_path / "one/data/opus", ["000003"], ".opus")
    touch_clips(tmp_path / "two", ["000002"], ".opus")
    touch_clips(tmp_path / "two", ["000005"])
    one, two = tmp_path / "one", tmp_path / "two"
    clips = find_clips([one, two])
    assert [clip["speaker"] for clip in clips] == ["000001", "000002", "000003", "000004", "000005"]
    assert clips[1]["audio"]["path"] == str(two / "000002-01-1.opus")
    assert find_clips([two, one]) == clips


@pytest.mark.parametrize("second", ["one/000001-01-1.opus", "two/000001-01-1.mp3"])
def test_the_same_clip_twice_is_refused_with_both_files(tmp_path, second):
    touch_clips(tmp_path / "one", ["000001"])
    touch_clips(tmp_path / "two", ["000002"])
    (tmp_path / second).touch()
    with pytest.raises(CorpusError) as caught:
        find_clips([tmp_path / "one", tmp_path / "two"])
    assert str(tmp_path / second) in str(caught.value) and str(tmp_path / "one/000001-01-1.mp3") in str(caught.value)


def test_further_folders_come_by_the_setting_more_dirs_and_what_is_read_is_known_by_all_of_them(tmp_path):
    one, two = touch_clips(tmp_path / "one", ["000001", "000002"]), touch_clips(tmp_path / "two", ["000003"])
    cache = tmp_path / "cache"
    speakers = {}
    for more in (None, str(two), [str(two)]):
        corpus = load_bursts("emogator", one, cache_dir=cache, more_dirs=more, splits={"train": 1.0})
        speakers[str(more)] = corpus["train"]["speaker"][:]
    assert [*speakers.values()] == [["000001", "000002"], *[["000001", "000002", "000003"]] * 2]
    touch_clips(two, ["000004"])
    again = load_bursts("emogator", one, cache_dir=cache, more_dirs=[str(two)], splits={"train": 1.0})
    assert again["train"]["speaker"][-1] == "000004"


def test_categories_are_left_out_of_every_split(tmp_path):
    for speaker in ("000001", "000002"):
        for category in (1, 3, 22):
            (tmp_path / f"{speaker}-{category:02}-1.mp3").touch()
    asked = {"splits": {"train": 1, "validation": 1}, "cache_dir": tmp_path / "cache"}
    left = load_bursts("emogator", tmp_path, without_categories=["Anger"], **asked)
    assert [left[split]["category"][:] for split in ("train", "validation")] == [[0, 21]] * 2
    assert len(load_bursts("emogator", tmp_path, **asked)["train"]) == 3  # another entry of the cache
    with pytest.raises(CorpusError, match="without_categories: 'anger' is no category; there are Adoration, Amusement"):
        load_bursts("emogator", tmp_path, without_categories="anger")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        ([3], "more_dirs: 3 is no folder; give a list of folders"),
        (["  "], "more_dirs: '  ' is no folder"),
    ],
)
def test_a_further_folder_that_is_none_is_refused(tmp_path, more, message):
    with pytest.raises(CorpusError, match=message):
        load_bursts("emogator", touch_clips(tmp_path / "one", ["000001", "000002"]), more_dirs=more)


def split_of(folder, **asked):
    corpus = CORPORA["emogator"]
    return corpus.builder(folder, corpus.asked(asked), None).config.speakers


def test_the_same_speakers_validate_whatever_part_of_the_corpus_is_there(tmp_path):
    assert len(VALIDATION_SPEAKERS) == len(set(VALIDATION_SPEAKERS)) == 20
    others = ["000001", "000002", "000300", "000357"]
    whole = touch_clips(tmp_path / "whole", [*others, *VALIDATION_SPEAKERS])
    assert split_of(whole) == {"train": others, "validation": list(VALIDATION_SPEAKERS)}
    part = touch_clips(tmp_path / "part", [*others, "000255"])
    assert split_of(part) == {"train": others, "validation": ["000255"]}
    for without in (touch_clips(tmp_path / "none", others[:3]), touch_clips(tmp_path / "all", VALIDATION_SPEAKERS[:3])):
        assert [len(speakers) for speakers in split_of(without).values()] == [2, 1]
    assert split_of(part, splits={"train": "rest", "validation": [1, 2]}) == {
        "train": ["000255", "000300", "000357"],
        "validation": ["000001", "000002"],
    }


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
    assert sorted(set(corpus["validation"]["speaker"])) == list(VALIDATION_SPEAKERS)


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
