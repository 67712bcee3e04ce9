"""Vectors of clips: openSMILE's own numbers, every clip accounted for, and tables that a kill leaves whole."""

import builtins
import io
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
import soundfile
from datasets import Dataset

from burst2vec import load_bursts
from burst2vec.data.clips import read_clip
from burst2vec.errors import AudioError, CorpusError, TableError
from burst2vec.features import (
    FEATURE_FAMILIES,
    FEATURE_SETS,
    FeatureFamily,
    FeatureSet,
    clip_store,
    extract_features,
    extraction,
    find_feature_set,
    fit_feature_set,
    fitted_file,
    folder_name,
    functionals,
    read_challenge_features,
    read_features,
    write_features,
)
from burst2vec.features import (
    challenge_tables as challenge,
)
from burst2vec.features import (
    vector_tables as tables,
)
from tests.data.corpora_on_disk import EMOGATOR, write_hume_vb

STANDARDS = {"compare": opensmile.FeatureSet.ComParE_2016, "egemaps": opensmile.FeatureSet.eGeMAPSv02}


def smile(feature_set):
    return opensmile.Smile(STANDARDS[feature_set], opensmile.FeatureLevel.Functionals)


def noise(samples=4_000, seed=0, level=0.1):
    return (level * np.random.default_rng(seed).normal(size=samples)).astype(np.float32)


def clips_of(folder, waveforms):
    """A dataset of clips that lie as files of 32-bit floats in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, waveform in waveforms.items():
        soundfile.write(folder / f"{name}.wav", waveform, 16_000, subtype="FLOAT")
    audio = [{"bytes": None, "path": str(folder / f"{name}.wav")} for name in waveforms]
    return Dataset.from_dict({"file_id": list(waveforms), "audio": audio})


def five(folder):
    return clips_of(folder, {f"c{clip}": noise(seed=clip) for clip in range(5)})


def vectors(dataset):
    return np.array(dataset["features"][:], dtype=np.float32)


@pytest.fixture
def counted(monkeypatch):
    """A small feature set, computed in this process, and how often a clip was; a third file is one clip."""
    lengths = []

    def vector(waveform):
        lengths.append(waveform.size)
        return np.array([waveform.size, waveform.max()], np.float32), ""

    made = FeatureSet(2, vector, lambda: ("samples", "peak"), lambda: {"version": 1})
    monkeypatch.setitem(FEATURE_SETS, "counted", made)
    monkeypatch.setattr(tables, "CLIPS_PER_FILE", 2)
    # Of processes that are forked, what they append stays there.
    monkeypatch.setattr(extraction, "_processes", lambda num_proc, clips: None)
    return lengths


# The numbers


@pytest.mark.parametrize("feature_set", STANDARDS)
def test_the_values_are_those_of_opensmile_bit_for_bit(feature_set, tmp_path):
    waveforms = {"noise": noise(8_000), "short": noise(960), "silent": np.zeros(4_000, np.float32)}
    found = extract_features(clips_of(tmp_path, waveforms), feature_set, num_proc=2)
    assert found["file_id"][:] == list(waveforms) and found["note"][:] == [""] * 3
    expected = np.concatenate(
        [smile(feature_set).process_signal(clip, 16_000).to_numpy() for clip in waveforms.values()]
    )
    np.testing.assert_array_equal(vectors(found), expected)
    assert np.isfinite(expected).all() and expected.shape[1] == FEATURE_SETS[feature_set].size
    assert FEATURE_SETS[feature_set].names() == tuple(smile(feature_set).feature_names)
    assert (
        found.features["features"].length == expected.shape[1] and found.features["features"].feature.dtype == "float32"
    )


@pytest.mark.parametrize("standard", [functionals.COMPARE, functionals.EGEMAPS])
def test_960_samples_are_the_least_that_opensmile_takes(standard):
    extractor = opensmile.Smile(opensmile.FeatureSet[standard], opensmile.FeatureLevel.Functionals)
    assert np.isfinite(extractor.process_signal(noise(960), 16_000)).all(axis=None)
    with pytest.warns(UserWarning, match="too short"):
        assert np.isnan(extractor.process_signal(noise(959), 16_000)).all(axis=None)


def test_a_clip_that_is_too_short_is_padded_at_its_end_and_noted():
    vector, note = functionals.functionals(noise(400), functionals.EGEMAPS)
    padded = np.concatenate([noise(400), np.zeros(560, np.float32)])
    np.testing.assert_array_equal(vector, smile("egemaps").process_signal(padded, 16_000).to_numpy()[0])
    assert note == "padded to 960 samples"


def test_samples_beyond_full_scale_are_clipped_and_not_wrapped_around():
    loud = noise()
    loud[[100, 200, 300]] = 1.2, 1.0, -1.5
    vector, note = functionals.functionals(loud, functionals.EGEMAPS)
    clipped = loud.copy()
    clipped[[100, 200, 300]] = 32767 / 32768, 32767 / 32768, -1
    np.testing.assert_array_equal(vector, smile("egemaps").process_signal(clipped, 16_000).to_numpy()[0])
    assert note == "clipped at full scale" and loud[100] == np.float32(1.2)
    assert functionals.functionals(clipped, functionals.EGEMAPS)[1] == ""


class Broken:
    """In place of openSMILE: a frame with the given values."""

    def __init__(self, *values):
        self.values = np.array([values], np.float32)

    def process_signal(self, waveform, rate):
        return self

    def to_numpy(self, dtype):
        return self.values.astype(dtype)


def test_values_that_are_not_finite_become_0_and_are_noted(monkeypatch):
    monkeypatch.setattr("burst2vec.features.smile.smile", lambda standard, level: Broken(1.0, np.inf, np.nan))
    vector, note = functionals.functionals(noise(400), functionals.EGEMAPS)
    assert vector.tolist() == [1, 0, 0] and vector.dtype == np.float32
    assert note == "padded to 960 samples, values not finite set to 0"


def test_a_clip_without_any_finite_value_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("burst2vec.features.smile.smile", lambda standard, level: Broken(np.nan, np.nan))
    monkeypatch.setattr(extraction.functionals, "made_by", lambda standard: {})
    dataset = clips_of(tmp_path, {"odd": noise()})
    with pytest.raises(CorpusError, match="odd: openSMILE's eGeMAPSv02 has no finite value of 4000 samples"):
        extraction._extract(dataset[0]["file_id"], dataset[0]["audio"], FEATURE_SETS["egemaps"].vector, 88)


def test_without_opensmile_the_error_says_what_to_install(monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *arguments, **settings):
        if name == "opensmile":
            raise ImportError(name)
        return real(name, *arguments, **settings)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'burst2vec\[features\]'"):
        extract_features(five(tmp_path), "egemaps")


# A dataset


# Each clip once


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


# Sets that learn


@pytest.fixture
def learning(counted, monkeypatch):
    """A family whose sets subtract the training clips' mean number of samples; and from which clips it learnt."""
    learnt_from = []

    def fit(argument, clips, folder):
        sizes = [read_clip(audio, "clip").size for audio in clips["audio"]]
        learnt_from.append(sizes)
        (folder / "mean.json").write_text(json.dumps(sum(sizes) / len(sizes)))

    def find(argument, folder):
        mean = json.loads((folder / "mean.json").read_text())
        return FeatureSet(
            1,
            lambda waveform: (np.array([float(argument) * (waveform.size - mean)], np.float32), ""),
            lambda: ("centred",),
            lambda: {"mean": mean},
        )

    family = FeatureFamily("FACTOR", find, lambda argument: f"centred-{argument}", fit, "mean.json")
    monkeypatch.setitem(FEATURE_FAMILIES, "centred", family)
    return learnt_from


def test_a_set_learns_from_the_training_clips_before_it_has_values(learning, tmp_path):
    dataset = clips_of(tmp_path / "wav", {"a": noise(400), "b": noise(600)})
    with pytest.raises(CorpusError, match=r"no folder is given; fit it with fit_feature_set\('centred:2', clips"):
        find_feature_set("centred:2")
    with pytest.raises(CorpusError, match="out holds no mean.json"):
        extract_features(dataset, "centred:2", fitted=tmp_path / "out")
    fit_feature_set("centred:2", dataset, tmp_path / "out")
    found = extract_features(dataset, "centred:2", fitted=tmp_path / "out")
    assert vectors(found).tolist() == [[-200], [200]]
    assert fitted_file("centred:2") == "mean.json" and folder_name("centred:2") == "centred-2"


def test_a_set_that_learns_nothing_writes_nothing(counted, monkeypatch, tmp_path):
    monkeypatch.setitem(
        FEATURE_FAMILIES, "same", FeatureFamily("NAME", FEATURE_SETS.get, lambda argument: f"same-{argument}")
    )
    for name in ("counted", "same:counted"):
        fit_feature_set(name, None, tmp_path / "out")
        assert not (tmp_path / "out").exists() and fitted_file(name) is None
    assert find_feature_set("same:counted") is FEATURE_SETS["counted"]


def test_tables_of_a_set_that_learns_hold_what_it_learnt_from_train_alone(learning, tmp_path):
    clips = {name: noise(samples) for name, samples in {"a": 400, "b": 600, "c": 900}.items()}
    dataset = clips_of(tmp_path / "wav", clips)
    corpus = {"train": dataset.select([0, 1]), "test": dataset.select([2])}
    with pytest.raises(CorpusError, match="centred:1 learns from training clips, and the corpus has no split train, o"):
        write_features({"test": corpus["test"]}, "centred:1", tmp_path)
    done = write_features(corpus, "centred:1", tmp_path)
    assert learning == [[400, 600]] and (done.folder / "mean.json").is_file()
    read = read_features(done.folder, tmp_path / "cache")
    assert vectors(read.splits["test"]).tolist() == [[400]] and read.feature_set == "centred-1"
    assert write_features({"test": corpus["test"]}, "centred:1", tmp_path).kept == 1
    assert len(learning) == 1
    (done.folder / "mean.json").unlink()  # lost: learnt again, and found to be the same
    assert write_features(corpus, "centred:1", tmp_path).kept == 3
    assert learning == [[400, 600]] * 2


def test_what_was_learnt_for_no_tables_is_learnt_anew(learning, tmp_path):
    dataset = clips_of(tmp_path / "wav", {"a": noise(400), "b": noise(600)})
    fit_feature_set("centred:1", dataset.select([0]), tmp_path / "centred-1")
    write_features({"train": dataset}, "centred:1", tmp_path)
    assert learning == [[400], [400, 600]]
    (tmp_path / "centred-2").mkdir()
    (tmp_path / "centred-2/notes.txt").write_text("mine")
    with pytest.raises(CorpusError, match="centred-2: is there, and holds no features.json"):
        write_features({"train": dataset}, "centred:2", tmp_path)


# Tables


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


# The challenge's own


def csv_files(folder, **contents):
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "content",
    [
        "F0,loudness\n1.5,-2e-3\n",
        "F0;loudness\r\n1.5;-2e-3\r\n",
        "\ufeffname;frameTime;F0;loudness\n'unknown';0.000000;1.500000e+00;-2.0e-03\n",
        "name,F0,loudness\n00001.wav,1.5,-0.002",
    ],
)
def test_the_challenges_files_are_read_with_either_separator_and_with_what_stands_in_front(content, tmp_path):
    read = read_challenge_features(csv_files(tmp_path / "two", **{"00002": content, "[00001]": content}))
    assert (read.feature_set, read.names, read.made_by) == ("two", ("F0", "loudness"), {"challenge": "two"})
    assert read.splits["all"]["file_id"][:] == ["00001", "00002"]
    np.testing.assert_array_equal(vectors(read.splits["all"]), np.array([[1.5, -0.002]] * 2, np.float32))
    assert read.splits["all"].features["features"].length == 2


EGEMAPS_NAMES = [f"feature_{number}" for number in range(88)]
EGEMAPS_VALUES = [f"{number}.5" for number in range(88)]


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize(
    ("header", "values"),
    [
        (EGEMAPS_NAMES, EGEMAPS_VALUES),
        (["", *EGEMAPS_NAMES], ["0", *EGEMAPS_VALUES]),  # pandas' index
        (["id", *EGEMAPS_NAMES], ["1", *EGEMAPS_VALUES]),
        (["clip no.", *EGEMAPS_NAMES], ["17", *EGEMAPS_VALUES]),
        (["name", "frameTime", *EGEMAPS_NAMES], ["'unknown'", "0.0", *EGEMAPS_VALUES]),
        (["file", "start", "end", *EGEMAPS_NAMES], ["a.wav", "0 days", "0 days 00:00:02", *EGEMAPS_VALUES]),
        (["", *map(str, range(88))], ["0", *EGEMAPS_VALUES]),
        (None, ["7", *EGEMAPS_VALUES]),
        (None, EGEMAPS_VALUES),
    ],
)
def test_of_a_known_set_what_stands_in_front_is_cut_by_its_place(separator, header, values, tmp_path):
    content = "".join(separator.join(line) + "\n" for line in (header, values) if line)
    read = read_challenge_features(csv_files(tmp_path / "eGeMAPS", **{"00001": content}))
    assert len(read.names) == 88 and read.names == tuple(header[-88:] if header else map(str, range(88)))
    assert vectors(read.splits["all"]).tolist() == [[number + 0.5 for number in range(88)]]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (EGEMAPS_NAMES[1:], "87 features, where eGeMAPS has 88"),
        (["one", "two", *EGEMAPS_NAMES], "90 features, where eGeMAPS has 88"),
        (["name", "frameTime", *EGEMAPS_NAMES[1:]], "87 features behind name, frameTime, where eGeMAPS has 88"),
        (["id", "other", *EGEMAPS_NAMES], "89 features behind id, where eGeMAPS has 88"),
    ],
)
def test_another_number_of_features_than_the_set_has_is_refused(header, message, tmp_path):
    content = f"{','.join(header)}\n{','.join('1' for _ in header)}\n"
    with pytest.raises(TableError, match=rf"00001\.csv, line 1: {message}"):
        read_challenge_features(csv_files(tmp_path / "eGeMAPS", **{"00001": content}))


def test_the_sizes_are_those_of_the_sets():
    sizes = {"ComParE": FEATURE_SETS["compare"].size, "eGeMAPS": FEATURE_SETS["egemaps"].size, "DeepSpectrum": 4_096}
    assert {name: challenge.known_size(Path("feats", name)) for name in sizes} == sizes


def test_bags_without_names_are_read_and_their_number_is_checked(tmp_path):
    bags = tmp_path / "openXBOW" / "3"
    bags.mkdir(parents=True)
    csv_files(bags, **{"00002": "4;5;6\n", "00001": "1;2;3\n"})
    read = read_challenge_features(bags)
    assert read.splits["all"]["file_id"][:] == ["00001", "00002"] and read.names == ("0", "1", "2")
    assert vectors(read.splits["all"]).tolist() == [[1, 2, 3], [4, 5, 6]]
    (bags / "00002.csv").write_text("4;5\n")
    with pytest.raises(TableError, match=r"00002\.csv, line 1: 2 features, where 3 has 3"):
        read_challenge_features(bags)


@pytest.mark.parametrize("size", [3, None])
@pytest.mark.parametrize("header", ["File_ID,a,b,c\n", ",a,b,c\n", "clip,a,b,c\n", ""])
def test_a_file_of_many_clips_names_each_in_its_first_column(header, size, tmp_path):
    folder = tmp_path / "openXBOW" / str(size) if size else tmp_path / "mine"
    folder.mkdir(parents=True)
    csv_files(folder, train=header + "[00003],3,3,3\n[00001],1,1,1\n", test=header + "[00002],2,2,2\n")
    read = read_challenge_features(folder)
    assert read.splits["all"]["file_id"][:] == ["00001", "00002", "00003"]
    assert vectors(read.splits["all"]).tolist() == [[1] * 3, [2] * 3, [3] * 3]
    csv_files(folder, more=header + "[00004],4,4,4\n00003.wav,5,5,5\n")
    with pytest.raises(CorpusError, match=r"more\.csv and .*train\.csv are both of the clip 00003"):
        read_challenge_features(folder)


def test_a_first_clip_is_never_taken_for_names(tmp_path):
    for number, first in enumerate(("[00001],1,nan,3", "[00001],,2,3")):
        folder = tmp_path / str(number) / "openXBOW" / "3"
        folder.mkdir(parents=True)
        csv_files(folder, train=f"{first}\n[00002],1,2,3\n")
        with pytest.raises(TableError, match=r"train\.csv, line 1, column [01]: '(nan)?' is not a finite number"):
            read_challenge_features(folder)


def test_what_opensmile_itself_writes_is_read_back(tmp_path):
    frame = smile("egemaps").process_signal(noise(), 16_000)
    frame.reset_index(drop=True).to_csv(tmp_path / "00001.csv", sep=";", index=False)
    frame.to_csv(tmp_path / "00002.csv")  # start and end in front
    read = read_challenge_features(tmp_path)
    assert read.names == tuple(frame.columns)
    np.testing.assert_array_equal(vectors(read.splits["all"]), np.repeat(frame.to_numpy(), 2, axis=0))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "line 1: no names of features; found: nothing"),
        ("name,frameTime\na,0\n", "line 1: no names of features; found: name, frameTime"),
        ("F0,F0\n1,2\n", "line 1: column 'F0' stands there 2 times"),
        ("F0,loudness\n", "0 rows below its header; a clip has one"),
        (
            "F0,loudness\n1,2\n3,4\n",
            "2 rows below its header, and no column in front that names the clip of each",
        ),
        ("F0,loudness\n1,2,\n", "line 2: 3 fields where the header has 2"),
        ("F0,loudness\n1,nan\n", "line 2, column loudness: 'nan' is not a finite number"),
        ("F0,loudness\n,2\n", "line 2, column F0: '' is not a finite number"),
        ("F0,loudness\n1,1e39\n", "line 2, column loudness: '1e39' is not a finite number"),
        ("F0,loudness\n1,high\n", "line 2, column loudness: 'high' is not a finite number"),
        ('F0,loudness\n1,"2\n', "not well-formed CSV"),
        ("F0,energy\n1,2\n", r'line 1: feature 2 is "energy", where .*00001\.csv has "loudness"'),
        ("F0\n1\n", r"line 1: 1 features, where .*00001\.csv has 2"),
    ],
)
def test_a_file_that_is_not_one_vector_is_named(content, error, tmp_path):
    csv_files(tmp_path, **{"00001": "F0,loudness\n1,2\n", "00002": content})
    with pytest.raises(TableError, match=rf"00002\.csv.*{error}"):
        read_challenge_features(tmp_path)


def test_a_file_that_is_no_text_or_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "00001.csv").write_bytes(b"F0\n\xff\n")
    with pytest.raises(TableError, match=r"00001\.csv: not UTF-8 text"):
        read_challenge_features(tmp_path)
    (tmp_path / "00001.csv").unlink()
    (tmp_path / "00001.csv").mkdir()
    with pytest.raises(TableError, match=r"00001\.csv: cannot be read: Is a directory"):
        read_challenge_features(tmp_path)


def test_a_folder_without_feature_files_is_named(tmp_path):
    with pytest.raises(CorpusError, match="nowhere: no such folder"):
        read_challenge_features(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match=r"holds no \.csv file$"):
        read_challenge_features(tmp_path)
    (tmp_path / "compare").mkdir()
    with pytest.raises(CorpusError, match=r"holds no \.csv file; it has folders: compare"):
        read_challenge_features(tmp_path)


def test_two_files_of_one_clip_are_refused(tmp_path):
    csv_files(tmp_path, **{"00001": "F0\n1\n", "[00001]": "F0\n1\n"})
    with pytest.raises(CorpusError, match=r"are both of the clip 00001"):
        read_challenge_features(tmp_path)


@pytest.mark.emogator
@pytest.mark.skipif(not (EMOGATOR / "data/mp3").is_dir(), reason="EmoGator is not there; name it in $EMOGATOR_DIR")
def test_real_bursts_have_finite_vectors(tmp_path):
    paths = sorted((EMOGATOR / "data/mp3").glob("*.mp3"))[::700]
    audio = [{"bytes": None, "path": str(path)} for path in paths]
    dataset = Dataset.from_dict({"file_id": [path.stem for path in paths], "audio": audio})
    for feature_set in FEATURE_SETS:
        found = extract_features(dataset, feature_set, num_proc=2)
        assert np.isfinite(vectors(found)).all()
        assert not any("finite" in note for note in found["note"])


def test_the_heading_is_plain_json(counted, tmp_path):
    target = write_features({"train": five(tmp_path / "wav")}, "counted", tmp_path).folder
    heading = json.loads((target / "features.json").read_text())
    assert heading["names"] == ["samples", "peak"] and heading["splits"]["train"]["clips"] == 5
