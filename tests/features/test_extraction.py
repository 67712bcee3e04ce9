"""Vectors of a dataset: each clip is computed once, whoever asks, and those at fault are named."""

import io
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import soundfile
from datasets import Dataset

from burst2vec import load_bursts
from burst2vec.errors import AudioError, CorpusError
from burst2vec.features import FEATURE_SETS, clip_store, extract_features, extraction, find_feature_set
from tests.data.corpora_on_disk import write_hume_vb
from tests.features.made_clips import clips_of, five, noise, vectors


def test_vectors_are_found_again_until_a_file_changes_and_that_one_alone_is_computed(counted, tmp_path):
    write_hume_vb(tmp_path / "hume")

    def extract():
        clips = load_bursts("hume_vb", data_dir=tmp_path / "hume", cache_dir=tmp_path / "cache")["train"]
        return extract_features(clips, "counted", cache_dir=tmp_path / "cache")

    first = extract()
    assert counted == [4_001, 4_002, 4_003] and vectors(first)[:, 0].tolist() == counted
    again = extract()
    assert len(counted) == 3 and again["file_id"][:] == first["file_id"][:]
    np.testing.assert_array_equal(vectors(again), vectors(first))
    soundfile.write(tmp_path / "hume/wav/00002.wav", noise(500), 16_000)
    assert vectors(extract())[:, 0].tolist() == [4_001, 500, 4_003] and counted[3:] == [500]
    os.utime(tmp_path / "hume/wav/00002.wav", (1, 1))
    assert vectors(extract())[:, 0].tolist() == [4_001, 500, 4_003] and counted[4:] == [500]


def test_clips_in_another_order_and_split_are_not_computed_again(counted, tmp_path):
    dataset = clips_of(tmp_path / "wav", {f"c{size}": noise(size) for size in (500, 900, 400, 800)})
    extract_features(dataset.select([0, 1]), "counted", cache_dir=tmp_path)
    extract_features(dataset.select([2]), "counted", cache_dir=tmp_path)
    found = extract_features(dataset.select([3, 2, 1, 0, 2]), "counted", cache_dir=tmp_path)
    assert counted == [500, 900, 400, 800]
    assert found["file_id"][:] == ["c800", "c400", "c900", "c500", "c400"]
    assert vectors(found)[:, 0].tolist() == [800, 400, 900, 500, 400]
    assert found.features == extract_features(dataset, "counted").features


def test_a_clip_that_carries_its_bytes_is_known_by_them_under_any_name(counted, tmp_path):
    content = [Path(audio["path"]).read_bytes() for audio in five(tmp_path)["audio"]]

    def carried(*names):
        audio = [{"bytes": content[int(name[-1])], "path": name} for name in names]
        return Dataset.from_dict({"file_id": names, "audio": audio})

    extract_features(carried("a0", "a1"), "counted", cache_dir=tmp_path)
    found = extract_features(carried("b1", "c2", "d2"), "counted", cache_dir=tmp_path)
    assert len(counted) == 3 and found["file_id"][:] == ["b1", "c2", "d2"]


def test_another_version_or_another_set_is_computed(counted, monkeypatch, tmp_path):
    dataset = five(tmp_path / "wav")
    extract_features(dataset, "counted", cache_dir=tmp_path)
    monkeypatch.setitem(FEATURE_SETS, "other", FEATURE_SETS["counted"])
    extract_features(dataset, "other", cache_dir=tmp_path)
    monkeypatch.setitem(FEATURE_SETS, "counted", FEATURE_SETS["counted"]._replace(made_by=lambda: {"version": 2}))
    extract_features(dataset, "counted", cache_dir=tmp_path)
    assert len(counted) == 15


@pytest.mark.parametrize("num_proc", [1, 2])
def test_kept_vectors_and_notes_are_bit_for_bit_those_that_were_computed(tmp_path, num_proc):
    dataset = clips_of(tmp_path / "wav", {"a": noise(400), "b": noise(seed=1), "c": noise(seed=2)})
    computed = extract_features(dataset, "egemaps", num_proc)
    for rows in ([1], [2, 0], [0, 1, 2]):  # the last is found
        kept = extract_features(dataset.select(rows), "egemaps", num_proc, cache_dir=tmp_path)
        np.testing.assert_array_equal(vectors(kept), vectors(computed)[rows])
        assert kept["note"][:] == [computed["note"][row] for row in rows]
    assert computed["note"][:] == ["padded to 960 samples", "", ""]


def test_what_was_finished_before_a_run_ended_is_kept(counted, monkeypatch, tmp_path):
    monkeypatch.setattr(clip_store, "CLIPS_PER_FILE", 2)
    dataset = five(tmp_path / "wav")
    content = (tmp_path / "wav/c3.wav").read_bytes()
    (tmp_path / "wav/c3.wav").write_bytes(b"")
    with pytest.raises(AudioError, match="c3"):
        extract_features(dataset, "counted", cache_dir=tmp_path)
    (tmp_path / "wav/c3.wav").write_bytes(content)
    counted.clear()
    assert len(extract_features(dataset, "counted", cache_dir=tmp_path)) == 5 and len(counted) == 3


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: flipped(content), lambda _: b""])
def test_a_damaged_file_of_vectors_is_removed_and_its_clips_are_computed(counted, tmp_path, caplog, damage):
    dataset = five(tmp_path / "wav")
    expected = vectors(extract_features(dataset, "counted", cache_dir=tmp_path))
    (path,) = tmp_path.rglob("*.parquet")
    path.write_bytes(damage(path.read_bytes()))
    np.testing.assert_array_equal(vectors(extract_features(dataset, "counted", cache_dir=tmp_path)), expected)
    assert len(counted) == 10 and "is damaged" in caplog.text and not path.exists()


def flipped(content):
    """With one bit of the vectors other than it was."""
    column = parquet.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(1)
    last = column.data_page_offset + column.total_compressed_size - 1
    return content[:last] + bytes([content[last] ^ 1]) + content[last + 1 :]


def extract_in_a_process(dataset, cache_dir):
    assert len(extract_features(dataset, "egemaps", 1, cache_dir=cache_dir)) == len(dataset)


def test_runs_at_once_share_what_they_compute(tmp_path):
    dataset = clips_of(tmp_path / "wav", {f"c{clip}": noise(1_000, clip) for clip in range(6)})
    fork = multiprocessing.get_context("fork")
    runs = [
        fork.Process(target=extract_in_a_process, args=(dataset.select(rows), tmp_path))
        for rows in ([0, 1, 2, 3], [2, 3, 4, 5])
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    expected = vectors(extract_features(dataset, "egemaps", 1))
    before = set(tmp_path.rglob("*.parquet"))
    np.testing.assert_array_equal(vectors(extract_features(dataset, "egemaps", 1, cache_dir=tmp_path)), expected)
    assert set(tmp_path.rglob("*.parquet")) == before


def test_a_dataset_in_memory_leaves_nothing_on_disk_unless_a_place_is_given(counted, monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    dataset = five(tmp_path / "wav")
    extract_features(dataset, "counted")
    assert not (tmp_path / "cache").exists()
    dataset.save_to_disk(tmp_path / "saved")
    extract_features(Dataset.load_from_disk(tmp_path / "saved"), "counted")
    assert len(list((tmp_path / "cache").rglob("*.parquet"))) == 1


def test_a_clip_that_cannot_be_read_is_named(counted, tmp_path):
    dataset = five(tmp_path)
    (tmp_path / "c3.wav").write_bytes(b"")
    with pytest.raises(AudioError, match=r"c3 \(.*c3\.wav\): the file is empty"):
        extract_features(dataset, "counted")


def test_a_vector_of_another_size_is_refused(counted, monkeypatch, tmp_path):
    monkeypatch.setitem(FEATURE_SETS, "counted", FEATURE_SETS["counted"]._replace(size=3))
    with pytest.raises(CorpusError, match=r"c0: the feature set gave values of shape \(2,\), not \(3,\)"):
        extract_features(five(tmp_path), "counted")


def test_an_unknown_set_lists_the_known_ones(tmp_path):
    with pytest.raises(CorpusError, match="unknown feature set 'mfcc'; known: compare, egemaps"):
        extract_features(five(tmp_path), "mfcc")
    for name in ("compare:", "mfcc:13", ""):
        with pytest.raises(CorpusError, match=f"unknown feature set '{name}'; known: compare, egemaps"):
            find_feature_set(name)


def test_no_clips_have_no_vectors(counted, tmp_path):
    found = extract_features(five(tmp_path).select([]), "counted")
    assert len(found) == 0 and found.features["features"].length == 2


def test_processes_are_as_many_as_asked_for_or_as_there_are_cores_and_never_more_than_clips():
    assert extraction._processes(3, 5) == 3 and extraction._processes(3, 2) == 2
    assert extraction._processes(None, 1_000_000) == len(os.sched_getaffinity(0))


# Several clips at once


def test_clips_of_like_length_are_taken_together_and_answered_in_the_datasets_order(counted, monkeypatch, tmp_path):
    together = []

    def several(waveforms):
        together.append([waveform.size for waveform in waveforms])
        return np.stack([FEATURE_SETS["counted"].vector(waveform)[0] for waveform in waveforms])

    monkeypatch.setitem(FEATURE_SETS, "counted", FEATURE_SETS["counted"]._replace(vectors=several, batch_size=2))
    monkeypatch.setattr(extraction, "CLIPS_AT_ONCE", 4)
    sizes = [500, 900, 400, 800, 700]
    dataset = clips_of(tmp_path, {f"c{size}": noise(size) for size in sizes})
    found = extract_features(dataset, "counted", num_proc=2)
    assert together == [[900, 800], [500, 400], [700]]
    assert vectors(found)[:, 0].tolist() == sizes and found["file_id"][:] == [f"c{size}" for size in sizes]
    assert found["note"][:] == [""] * 5


def test_of_several_clips_the_one_at_fault_is_named(counted, monkeypatch, tmp_path):
    def refuses(waveform):
        if waveform.size == 700:
            raise CorpusError("too odd")
        return np.array([waveform.size, np.inf if waveform.size == 600 else 1], np.float32), ""

    def several(waveforms):
        return np.stack([refuses(waveform)[0] for waveform in waveforms])

    made = FEATURE_SETS["counted"]._replace(vector=refuses, vectors=several, batch_size=3)
    monkeypatch.setitem(FEATURE_SETS, "counted", made)
    dataset = clips_of(tmp_path, {"a": noise(400), "b": noise(700), "c": noise(600)})
    with pytest.raises(CorpusError, match="^b: too odd$"):
        extract_features(dataset, "counted")
    with pytest.raises(CorpusError, match="^c: the feature set gave values that are not finite numbers$"):
        extract_features(dataset.select([0, 2]), "counted")

    def never(waveforms):
        raise CorpusError("together only")

    monkeypatch.setitem(FEATURE_SETS, "counted", made._replace(vectors=never))
    with pytest.raises(CorpusError, match="^together only$"):
        extract_features(dataset.select([0]), "counted")
