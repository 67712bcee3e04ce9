"""Tables of vectors: a kill leaves them whole, and what is not theirs is refused."""

import json
import multiprocessing
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import opensmile
import pyarrow.parquet as parquet
import pytest
from datasets import Dataset

from burst2vec.data.clips import read_clip
from burst2vec.errors import AudioError, CorpusError
from burst2vec.features import FEATURE_SETS, extract_features, functionals, read_features, write_features
from burst2vec.features import vector_tables as tables
from tests.features.made_clips import clips_of, five, noise, smile, vectors


def test_tables_hold_what_was_computed_and_the_names(tmp_path):
    dataset = five(tmp_path / "wav")
    done = write_features({"train": dataset, "test": dataset.select([4])}, "egemaps", tmp_path / "out", num_proc=2)
    assert (done.made, done.kept, done.notes, done.folder) == (6, 0, {}, tmp_path / "out/egemaps")
    read = read_features(done.folder, cache_dir=tmp_path / "cache")
    assert read.feature_set == "egemaps" and read.names == tuple(smile("egemaps").feature_names)
    assert read.made_by == {"opensmile": opensmile.__version__, "standard": "eGeMAPSv02", "version": 1}
    assert read.splits["train"]["file_id"][:] == [f"c{clip}" for clip in range(5)]
    expected = vectors(extract_features(dataset, "egemaps"))
    np.testing.assert_array_equal(vectors(read.splits["train"]), expected)
    np.testing.assert_array_equal(vectors(read.splits["test"]), expected[4:])
    assert read.splits["train"].features["features"].length == 88


def test_finished_files_are_kept_and_the_rest_is_made(counted, tmp_path):
    corpus = {"train": five(tmp_path / "wav")}
    done = write_features(corpus, "counted", tmp_path)
    files = sorted(path.name for path in done.folder.iterdir())
    assert files == ["features.json", *(f"train-0000{number}-of-00003.parquet" for number in range(3))]
    assert len(counted) == 5
    before = {name: (done.folder / name).stat().st_mtime_ns for name in files[1:]}
    (done.folder / files[2]).unlink()
    (done.folder / files[3]).write_bytes((done.folder / files[3]).read_bytes()[:-9])
    (done.folder / ".draft-killed").write_bytes(b"half")
    with pytest.raises(CorpusError, match="2 of 3 files of train are missing or not whole, such as train-00001-of"):
        read_features(done.folder)
    done = write_features(corpus, "counted", tmp_path)
    assert (done.made, done.kept) == (3, 2) and len(counted) == 8
    after = {name: (done.folder / name).stat().st_mtime_ns for name in files[1:]}
    assert [before[name] == after[name] for name in files[1:]] == [True, False, False]
    assert sorted(path.name for path in done.folder.iterdir()) == files
    assert vectors(read_features(done.folder, tmp_path / "cache").splits["train"])[:, 0].tolist() == [4_000] * 5


def write_slowly(dataset, folder):
    """In a process group of its own, to be killed with its workers."""
    os.setsid()
    made = FEATURE_SETS["egemaps"]
    FEATURE_SETS["egemaps"] = made._replace(vector=lambda waveform: time.sleep(0.1) or made.vector(waveform))
    write_features({"train": dataset}, "egemaps", folder, 1)


def test_a_run_that_was_killed_is_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "CLIPS_PER_FILE", 2)
    dataset = clips_of(tmp_path / "wav", {f"c{clip:02d}": noise(1_000, clip) for clip in range(20)})
    run = multiprocessing.get_context("fork").Process(target=write_slowly, args=(dataset, tmp_path / "out"))
    run.start()
    target = tmp_path / "out/egemaps"
    give_up = time.monotonic() + 120
    while run.is_alive() and len(list(target.glob("train-*"))) < 2 and time.monotonic() < give_up:
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.join()
    kept = {path: path.stat().st_mtime_ns for path in target.glob("train-*")}
    assert 2 <= len(kept) < 10
    done = write_features({"train": dataset}, "egemaps", tmp_path / "out", 1)
    assert (done.made, done.kept) == (20 - 2 * len(kept), 2 * len(kept))
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in kept.items())
    assert not list(target.glob(".draft-*"))
    read = read_features(target, tmp_path / "cache").splits["train"]
    expected = functionals.functionals(read_clip(dataset[19]["audio"], "c19"), functionals.EGEMAPS)[0]
    np.testing.assert_array_equal(vectors(read)[19], expected)


def test_an_error_leaves_no_part_of_a_file(counted, tmp_path):
    dataset = five(tmp_path / "wav")
    (tmp_path / "wav/c2.wav").write_bytes(b"")
    with pytest.raises(AudioError, match="c2"):
        write_features({"train": dataset}, "counted", tmp_path)
    files = sorted(path.name for path in (tmp_path / "counted").iterdir())
    assert files == ["features.json", "train-00000-of-00003.parquet"]


def test_what_was_mended_is_counted_of_kept_clips_too(tmp_path):
    dataset = clips_of(tmp_path / "wav", {"a": noise(400), "b": noise(), "c": noise(500)})
    for kept in (0, 3):
        done = write_features({"train": dataset}, "egemaps", tmp_path, num_proc=1)
        assert done.notes == {"padded to 960 samples": 2} and done.kept == kept
    assert parquet.read_table(done.folder / "train-00000-of-00001.parquet")["note"].to_pylist()[1] == ""


def test_a_split_can_be_added_and_an_empty_one_read(counted, tmp_path):
    dataset = five(tmp_path / "wav")
    write_features({"train": dataset}, "counted", tmp_path)
    done = write_features({"test": dataset.select([0]), "validation": dataset.select([])}, "counted", tmp_path)
    assert (done.made, done.kept) == (1, 0)
    read = read_features(done.folder, tmp_path / "cache").splits
    assert {split: len(clips) for split, clips in read.items()} == {"train": 5, "test": 1, "validation": 0}


def test_a_folder_of_something_else_is_refused(counted, monkeypatch, tmp_path):
    dataset = five(tmp_path / "wav")
    target = write_features({"train": dataset}, "counted", tmp_path).folder
    with pytest.raises(CorpusError, match="its features of train are of 5 other clips than these 4"):
        write_features({"train": dataset.select(range(4))}, "counted", tmp_path)
    monkeypatch.setitem(FEATURE_SETS, "counted", FEATURE_SETS["counted"]._replace(made_by=lambda: {"version": 2}))
    with pytest.raises(
        CorpusError, match=r"made_by \{'version': 1\}, this run would have \{'version': 2\}; give a new"
    ):
        write_features({"train": dataset}, "counted", tmp_path)
    os.utime(tmp_path / "wav/c1.wav", (1, 1))
    monkeypatch.setitem(FEATURE_SETS, "counted", FEATURE_SETS["counted"]._replace(made_by=lambda: {"version": 1}))
    with pytest.raises(CorpusError, match="or their files have changed since"):
        write_features({"train": dataset}, "counted", tmp_path)
    (target / "features.json").unlink()
    with pytest.raises(CorpusError, match="is there, and holds no features.json"):
        write_features({"train": dataset}, "counted", tmp_path)


def test_other_names_are_refused_without_printing_them_all(counted, monkeypatch, tmp_path):
    dataset = five(tmp_path / "wav")
    write_features({"train": dataset}, "counted", tmp_path)
    monkeypatch.setitem(FEATURE_SETS, "counted", FEATURE_SETS["counted"]._replace(names=lambda: ("samples", "rms")))
    with pytest.raises(CorpusError, match="have names others, this run would have these"):
        write_features({"train": dataset}, "counted", tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"splits": {"train": {"clips": 3}}}', '{"splits": {}}'])
def test_a_heading_that_is_not_ours_is_refused(content, tmp_path):
    (tmp_path / "features.json").write_text(content)
    with pytest.raises(CorpusError, match=r"features\.json: is not what write_features writes"):
        read_features(tmp_path)


def test_a_folder_above_the_tables_names_them(counted, tmp_path):
    write_features({"train": five(tmp_path / "wav")}, "counted", tmp_path)
    with pytest.raises(CorpusError, match=rf"so no feature tables; give one of {re.escape(str(tmp_path / 'counted'))}"):
        read_features(tmp_path)
    with pytest.raises(CorpusError, match=r"holds no features.json, so no feature tables$"):
        read_features(tmp_path / "nowhere")


def test_a_clip_twice_in_a_split_is_refused(counted, tmp_path):
    with pytest.raises(CorpusError, match="train: the clip 'c0' is there twice"):
        write_features({"train": five(tmp_path / "wav").select([0, 1, 0])}, "counted", tmp_path)


def test_clips_that_carry_their_bytes_are_known_by_them(counted, tmp_path):
    from_files = five(tmp_path / "wav")
    content = [Path(audio["path"]).read_bytes() for audio in from_files["audio"]]

    def carried(content):
        audio = [{"bytes": each, "path": None} for each in content]
        return {"train": Dataset.from_dict({"file_id": from_files["file_id"][:], "audio": audio})}

    assert write_features(carried(content), "counted", tmp_path).made == 5
    assert write_features(carried(content), "counted", tmp_path).kept == 5
    with pytest.raises(CorpusError, match="their files have changed since"):
        write_features(carried([*content[:4], content[0]]), "counted", tmp_path)


def test_the_heading_is_plain_json(counted, tmp_path):
    target = write_features({"train": five(tmp_path / "wav")}, "counted", tmp_path).folder
    heading = json.loads((target / "features.json").read_text())
    assert heading["names"] == ["samples", "peak"] and heading["splits"]["train"]["clips"] == 5
