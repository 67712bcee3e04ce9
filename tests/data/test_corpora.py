"""Corpora by name: what is cached, what is read anew, and what the errors tell to do."""

import pytest
from datasets import Audio

from burst2vec import load_bursts
from burst2vec.data.tables import CorpusError

from .corpora_on_disk import with_field, write_emogator, write_hume_vb, write_wav


def test_audio_is_not_decoded_so_that_torchcodec_is_not_needed(tmp_path):
    corpus = load_bursts("hume_vb", data_dir=write_hume_vb(tmp_path / "hume"), cache_dir=tmp_path / "cache")
    assert corpus["train"].features["audio"] == Audio(sampling_rate=16_000, decode=False)


def test_a_corpus_is_read_once(tmp_path, monkeypatch):
    folder = write_hume_vb(tmp_path / "hume")
    before = load_bursts("hume_vb", data_dir=folder, cache_dir=tmp_path / "cache")
    monkeypatch.setattr("burst2vec.data.hume_vb.read_hume_vb", lambda *args: pytest.fail("read again"))
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


def test_the_synthetic_corpus_is_written_to_the_cache_and_found_there(tmp_path, monkeypatch):
    settings = {"clips": 24, "speakers": 12, "seed": 3}
    before = load_bursts("synthetic", cache_dir=tmp_path, **settings)
    assert set(before) == {"train", "validation", "test"} and sum(map(len, before.values())) == 24
    monkeypatch.setattr("burst2vec.data.synthetic.write_clip", lambda *args, **kwargs: pytest.fail("written again"))
    after = load_bursts("synthetic", cache_dir=tmp_path, **settings)
    assert after["train"][:] == before["train"][:]
    folder = next((tmp_path / "burst2vec").iterdir())
    again = load_bursts("synthetic", data_dir=folder, cache_dir=tmp_path)  # as it is, whatever made it
    assert again["train"][:] == before["train"][:]


def test_the_synthetic_corpus_is_written_where_it_is_wanted(tmp_path):
    load_bursts("synthetic", data_dir=tmp_path / "here", cache_dir=tmp_path / "cache", clips=12, speakers=12)
    assert (tmp_path / "here/data_info.csv").is_file()
    with pytest.raises(FileExistsError, match="here"):
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


def test_calls_that_cannot_be_meant_are_refused(tmp_path):
    with pytest.raises(CorpusError, match="unknown corpus 'hume'; known: hume_vb, emogator, synthetic"):
        load_bursts("hume")
    with pytest.raises(CorpusError, match="clips, seed: only the synthetic corpus is made to order"):
        load_bursts("emogator", data_dir=tmp_path, clips=3, seed=1)
    with pytest.raises(CorpusError, match="hume_vb has its own, in its data_info.csv"):
        load_bursts("hume_vb", data_dir=tmp_path, splits={"train": 1})
