"""The clips of a corpus through steps: processed once, named when they fail, and as lasting as the cache."""

import os

import numpy as np
import pytest
from datasets import Audio, Dataset

from burst2vec import load_bursts
from burst2vec.audio import TRANSFORMS, apply_transforms, read_audio
from burst2vec.data.clips import check_clips, read_clip
from burst2vec.data.preprocessing import corpus as clips
from burst2vec.data.preprocessing import preprocess_corpus
from burst2vec.errors import AudioError, TransformError

from .corpora_on_disk import write_hume_vb

CHAIN = ["mono", "resample", "highpass", "normalise_level"]


@pytest.fixture
def corpus(tmp_path):
    """A function that loads five clips, three of them to train with, and the folder of their wav files."""
    folder = write_hume_vb(tmp_path / "hume")
    return lambda: load_bursts("hume_vb", data_dir=folder, cache_dir=tmp_path / "cache"), folder / "wav"


def test_clips_of_a_corpus_go_through_the_steps(corpus):
    load, wav = corpus
    clips, _ = check_clips(load()["train"])
    steps = ["highpass", "resample:new_rate=8000", "normalise_level:dbfs=-10"]
    processed = preprocess_corpus(clips, steps)
    assert processed.column_names == clips.column_names and processed.features == clips.features
    for row, before in zip(processed, clips, strict=True):
        expected, rate = apply_transforms(*read_audio(before["audio"]["path"]), steps)
        expected, rate = apply_transforms(expected, rate, ["resample"])
        np.testing.assert_array_equal(read_clip(row["audio"], row["file_id"]), expected)
        assert row["audio"]["path"] == f"{row['file_id']}.wav" and row["samples"] == expected.size
        others = [name for name in row if name not in ("audio", "samples")]
        assert [row[name] for name in others] == [before[name] for name in others]


def test_a_corpus_is_processed_once_until_files_or_steps_change(corpus, monkeypatch):
    load, wav = corpus
    first = preprocess_corpus(load()["train"], ["highpass"])
    processed = []

    def count(*args):
        processed.append(args[-1])
        return np.ones(500, dtype=np.float32), 16_000, 1.0

    monkeypatch.setattr(clips, "process_recording", count)
    again = preprocess_corpus(load()["train"], [{"highpass": {}}])
    assert not processed and again._fingerprint == first._fingerprint and again[:] == first[:]
    other = preprocess_corpus(load()["train"], ["normalise_level"])
    assert len(processed) == 3 and other._fingerprint != first._fingerprint
    state = os.stat(wav / "00002.wav")
    os.utime(wav / "00002.wav", ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000))
    preprocess_corpus(load()["train"], ["highpass"])
    assert len(processed) == 6
    monkeypatch.setattr(clips, "VERSION", 99)
    preprocess_corpus(load()["train"], ["highpass"])
    assert len(processed) == 9


def test_two_processes_make_what_one_makes(corpus, tmp_path):
    load, _ = corpus
    alone = preprocess_corpus(load()["train"], CHAIN)[:]
    folder = tmp_path / "hume"
    elsewhere = load_bursts("hume_vb", data_dir=folder, cache_dir=tmp_path / "other cache")["train"]
    assert preprocess_corpus(elsewhere, CHAIN, num_proc=2)[:] == alone


def test_a_corpus_of_bytes_and_in_part_is_processed(corpus):
    load, wav = corpus
    content = (wav / "00001.wav").read_bytes()
    held = Dataset.from_dict({"file_id": ["a", "b"], "audio": [{"bytes": content, "path": None}] * 2})
    held = held.cast_column("audio", Audio(sampling_rate=16_000, decode=False))
    processed = preprocess_corpus(held, ["normalise_level"])
    assert processed[0]["audio"]["path"] is None and processed.column_names == ["file_id", "audio"]
    part = preprocess_corpus(load()["train"].select([2, 0]), ["normalise_level"])
    assert part["file_id"][:] == ["00003", "00001"]
    assert part[1]["audio"]["bytes"] == processed[0]["audio"]["bytes"]


def test_processed_clips_outlive_their_recordings(corpus, tmp_path):
    load, wav = corpus
    processed = preprocess_corpus(load()["train"], ["normalise_level"])
    for path in wav.iterdir():
        path.unlink()
    checked, bad = check_clips(processed, on_bad_clip="raise")
    assert not bad and checked["samples"][:] == [4_001, 4_002, 4_003]
    processed.save_to_disk(tmp_path / "saved")
    assert Dataset.load_from_disk(tmp_path / "saved")[:] == processed[:]


def test_a_clip_of_a_corpus_that_fails_is_named(corpus, monkeypatch):
    load, wav = corpus
    monkeypatch.setitem(TRANSFORMS, "behead", lambda waveform: waveform[-100:])
    with pytest.raises(TransformError, match=r"00001 \(.*00001\.wav\): the steps leave 0\.006 s"):
        preprocess_corpus(load()["train"], ["behead"])
    (wav / "00003.wav").write_bytes(b"")
    with pytest.raises(AudioError, match=r"00003 \(.*00003\.wav\): the file is empty"):
        preprocess_corpus(load()["train"], CHAIN)
    nothing = Dataset.from_dict({"file_id": ["a"], "audio": [{"bytes": None, "path": None}]})
    with pytest.raises(AudioError, match="a: has neither bytes nor a path"):
        preprocess_corpus(nothing, CHAIN)
