"""Corpora by name: what is cached, what is read anew, and what the errors tell to do."""

import functools
from dataclasses import fields
from pathlib import Path

import pytest
from datasets import Audio, IterableDatasetDict

from burst2vec import load_bursts
from burst2vec.data.corpora import CORPORA, corpus_tasks
from burst2vec.data.corpora.columns import burst_features
from burst2vec.errors import CorpusError
from burst2vec.tasks import TASK_PRESETS

from ..corpora_on_disk import AVB_ROWS, with_field, write_avb, write_emogator, write_hume_vb, write_wav


def test_audio_is_not_decoded_so_that_torchcodec_is_not_needed(tmp_path):
    corpus = load_bursts("hume_vb", data_dir=write_hume_vb(tmp_path / "hume"), cache_dir=tmp_path / "cache")
    assert corpus["train"].features["audio"] == Audio(sampling_rate=16_000, decode=False)


def test_a_corpus_is_read_once(tmp_path, monkeypatch):
    folder = write_hume_vb(tmp_path / "hume")
    before = load_bursts("hume_vb", data_dir=folder, cache_dir=tmp_path / "cache")
    monkeypatch.setattr("burst2vec.data.corpora.hume_vb.read_hume_vb", lambda *args: pytest.fail("read again"))
    monkeypatch.chdir(tmp_path)
    for same in (folder, str(folder), "hume", tmp_path / "x" / ".." / "hume"):
        after = load_bursts("hume_vb", data_dir=same, cache_dir=tmp_path / "cache")
        assert str(after["train"][:]) == str(before["train"][:])


def test_a_changed_table_is_read_anew(tmp_path):
    folder = write_hume_vb(tmp_path / "hume")
    load_bursts("hume_vb", data_dir=folder, cache_dir=tmp_path / "cache")
    write_hume_vb(folder, with_field(2, "Age", "31.5"))
    assert load_bursts("hume_vb", data_dir=folder, cache_dir=tmp_path / "cache")["train"][0]["age"] == 31.5
    write_hume_vb(folder, with_field(2, "Age", "31.5")[:2])
    assert len(load_bursts("hume_vb", data_dir=folder, cache_dir=tmp_path / "cache")["train"]) == 2


def test_audio_of_another_size_makes_another_fingerprint(tmp_path):
    folder = write_hume_vb(tmp_path / "hume")
    before = load_bursts("hume_vb", data_dir=folder, cache_dir=tmp_path / "cache")
    write_wav(folder / "wav/00001.wav", samples=9_000)
    after = load_bursts("hume_vb", data_dir=folder, cache_dir=tmp_path / "cache")
    assert before["train"]._fingerprint != after["train"]._fingerprint


def test_other_splits_of_one_corpus_are_cached_apart(tmp_path):
    folder = write_emogator(tmp_path / "mp3")
    sizes = [
        {
            split: len(rows)
            for split, rows in load_bursts("emogator", folder, splits=splits, cache_dir=tmp_path / "cache").items()
        }
        for splits in (None, {"train": 1, "test": 1}, None)
    ]
    assert sizes == [{"train": 6, "validation": 3}, {"train": 3, "test": 3}, {"train": 6, "validation": 3}]


def test_each_label_table_counts_and_so_does_where_the_audio_is(tmp_path):
    folder = write_avb(write_hume_vb(tmp_path / "hume", wavs=0))
    load = functools.partial(load_bursts, "hume_vb", data_dir=folder, labels="all", cache_dir=tmp_path / "cache")
    load()
    (folder / "wav").mkdir()
    (folder / "wav/00001.wav").touch()
    load()
    (folder / "audio").mkdir()
    (folder / "wav").rename(folder / "audio/wav")
    assert load()["train"][0]["audio"]["path"] == f"{folder}/audio/wav/00001.wav"
    two = [["[00001]", "Train", "0.5", "0.5"], *AVB_ROWS["two"][1:]]
    write_avb(folder, {"two": two})
    assert load()["train"][0]["two"] == [0.5, 0.5]
    (folder / "labels/type_info.csv").unlink()
    assert "type" not in load()["train"].column_names


def test_options_are_cached_apart(tmp_path):
    folder = write_avb(write_hume_vb(tmp_path / "hume"))
    (folder / "raw").mkdir()
    (folder / "raw/00001.webm").touch()
    load = functools.partial(load_bursts, "hume_vb", data_dir=folder, cache_dir=tmp_path / "cache")
    load(allow_shared_speakers=True)
    found = [
        (load(audio=audio, labels=labels)) for audio in ("processed", "raw", "processed") for labels in ("exvo", "all")
    ]
    assert [Path(corpus["train"][0]["audio"]["path"]).suffix for corpus in found] == [
        *[".wav"] * 2,
        *[".webm"] * 2,
        *[".wav"] * 2,
    ]
    assert ["high" in corpus["train"].column_names for corpus in found] == [False, True] * 3
    write_hume_vb(folder, with_field(5, "Subject_ID", "A"))
    load(allow_shared_speakers=True)
    with pytest.raises(CorpusError, match="of one split"):  # what was allowed before is not found in the cache now
        load()


@pytest.mark.parametrize(
    ("name", "settings"),
    [("hume_vb", {}), ("hume_vb", {"labels": "all"}), ("emogator", {}), ("synthetic", {"clips": 36, "speakers": 12})],
)
def test_streamed_rows_are_the_same_in_the_same_order(tmp_path, name, settings):
    if name == "hume_vb":
        settings = {**settings, "data_dir": write_avb(write_hume_vb(tmp_path / "hume"))}
    if name == "emogator":
        settings = {"data_dir": write_emogator(tmp_path / "mp3")}
    plain = load_bursts(name, cache_dir=tmp_path, **settings)
    streamed = load_bursts(name, cache_dir=tmp_path, streaming=True, **settings)
    assert isinstance(streamed, IterableDatasetDict) and list(streamed) == list(plain)
    for split, rows in plain.items():
        assert streamed[split].features == rows.features
        assert str(list(streamed[split])) == str(list(rows))  # as text, because NaN is not equal to itself


def test_any_number_of_processes_reads_the_same_rows_in_the_same_order(tmp_path):
    folder = write_avb(write_hume_vb(tmp_path / "hume"))
    one, two = (
        load_bursts("hume_vb", data_dir=folder, labels="all", cache_dir=tmp_path / str(num_proc), num_proc=num_proc)
        for num_proc in (None, 2)
    )
    assert all(str(two[split][:]) == str(rows[:]) for split, rows in one.items())


def test_streams_are_shared_out_among_workers(tmp_path):
    stream = load_bursts("synthetic", cache_dir=tmp_path, streaming=True, clips=36, speakers=12)["train"]
    halves = [list(stream.shard(2, half)["file_id"]) for half in (0, 1)]
    assert sorted(halves[0] + halves[1]) == list(stream["file_id"]) and min(map(len, halves)) > 4


@pytest.mark.parametrize("labels", ["exvo", "avb", "all"])
def test_the_tasks_of_a_corpus_are_its_columns(tmp_path, labels):
    folder = write_avb(write_hume_vb(tmp_path / "hume"))
    features = load_bursts("hume_vb", data_dir=folder, labels=labels, cache_dir=tmp_path / "cache")["train"].features
    assert features == burst_features(corpus_tasks("hume_vb", labels=labels))
    assert corpus_tasks("hume_vb") == corpus_tasks("synthetic") == TASK_PRESETS["exvo"]
    assert corpus_tasks("emogator") == TASK_PRESETS["emogator"]


def test_labels_that_there_are_not_have_no_tasks():
    with pytest.raises(CorpusError, match="labels 'few' is not one of exvo, avb, all"):
        corpus_tasks("hume_vb", labels="few")
    with pytest.raises(CorpusError, match="unknown corpus 'hume'"):
        corpus_tasks("hume")


def test_the_synthetic_corpus_is_written_to_the_cache_and_found_there(tmp_path, monkeypatch):
    settings = {"clips": 24, "speakers": 12, "seed": 3}
    before = load_bursts("synthetic", cache_dir=tmp_path, **settings)
    assert set(before) == {"train", "validation", "test"} and sum(map(len, before.values())) == 24
    monkeypatch.setattr(
        "burst2vec.data.corpora.synthetic.write_clip", lambda *args, **kwargs: pytest.fail("written again")
    )
    after = load_bursts("synthetic", cache_dir=tmp_path, **settings)
    assert after["train"][:] == before["train"][:]
    folder = next((tmp_path / "burst2vec").iterdir())
    again = load_bursts("synthetic", data_dir=folder, cache_dir=tmp_path)  # as it is, whatever made it
    assert again["train"][:] == before["train"][:]


def test_the_synthetic_corpus_is_written_where_it_is_wanted(tmp_path):
    load_bursts("synthetic", data_dir=tmp_path / "here", cache_dir=tmp_path / "cache", clips=12, speakers=12)
    assert (tmp_path / "here/data_info.csv").is_file()
    with pytest.raises(CorpusError, match="here"):
        load_bursts("synthetic", data_dir=tmp_path / "here", cache_dir=tmp_path / "cache", clips=13, speakers=12)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hume_vb", "against a signed agreement.*load_bursts\\('hume_vb', data_dir="),
        ("emogator", "its repository.*load_bursts\\('emogator', data_dir="),
    ],
)
def test_without_a_folder_the_error_says_how_to_get_the_corpus(tmp_path, name, message):
    with pytest.raises(CorpusError, match=message):
        load_bursts(name)
    with pytest.raises(CorpusError, match=f"nowhere: no such folder. .*{message}"):
        load_bursts(name, data_dir=tmp_path / "nowhere")


def test_an_unknown_corpus_is_refused():
    with pytest.raises(CorpusError, match="unknown corpus 'hume'; known: hume_vb, emogator, synthetic"):
        load_bursts("hume")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "emogator",
            {"clips": 3, "seed": 0},
            "^clips, seed: no setting of emogator; leave it out, or give any of sp",
        ),
        (
            "hume_vb",
            {"splits": {"train": 1}},
            "splits: no setting of hume_vb.* give any of audio, labels, allow",
        ),
        ("synthetic", {"audio": "raw"}, "audio: no setting of synthetic.* give any of clips, speakers, seed"),
        ("folder", {"colums": {}}, "colums: no setting of folder, did you mean 'columns'"),
        ("emogator", {"allow_shared_speakers": True}, "allow_shared_speakers: no setting of emogator"),
    ],
)
def test_a_setting_that_a_corpus_does_not_take_is_refused(tmp_path, name, settings, message):
    with pytest.raises(CorpusError, match=message):
        load_bursts(name, data_dir=tmp_path, **settings)


def test_a_setting_that_is_not_given_is_left_to_the_corpus(tmp_path):
    folder = write_emogator(tmp_path / "mp3")
    plain = load_bursts("emogator", folder, cache_dir=tmp_path / "cache")
    same = load_bursts("emogator", folder, cache_dir=tmp_path / "cache", labels=None, allow_shared_speakers=False)
    assert same["train"]._fingerprint == plain["train"]._fingerprint


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_every_setting_of_a_corpus_has_a_help_that_its_docstring_lists(corpus):
    for entry in fields(corpus.settings):
        assert f"{entry.name}: {entry.metadata['help']}" in corpus.settings.__doc__
