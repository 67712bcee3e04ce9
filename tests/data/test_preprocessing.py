"""A folder through steps: every file whole, named when it fails, and never made twice."""

import csv
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
import soundfile

from burst2vec.audio import TRANSFORMS, apply_transforms, load_audio, read_audio, read_transforms
from burst2vec.audio.encode import encode_wav
from burst2vec.data.preprocessing import folders, preprocess_folder
from burst2vec.data.preprocessing.corpus import VERSION
from burst2vec.data.preprocessing.journal import JOURNAL, Journal
from burst2vec.errors import CorpusError, TransformError

CHAIN = ["mono", "resample", "highpass", "normalise_level"]
FORK = multiprocessing.get_context("fork")


def tone(seconds=0.2, rate=16_000, frequency=440.0):
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def write_recordings(folder, clips=4):
    """Clips in two folders: wav at 16 kHz and, every other one, mp3 at 48 kHz."""
    for clip in range(clips):
        path = folder / f"speaker{clip % 2}" / f"{clip:03d}{'.mp3' if clip % 2 else '.wav'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        rate = 48_000 if clip % 2 else 16_000
        soundfile.write(path, tone(0.2 + clip / 100, rate, 300 + 20 * clip), rate)
    return folder


def files_in(folder):
    """Every file by its name within the folder; a folder of drafts may vanish meanwhile, which os.walk passes over."""
    paths = [Path(place) / name for place, _, names in os.walk(folder) for name in names]
    return {path.relative_to(folder).as_posix(): path for path in paths}


def made_in(folder):
    """The bytes of every processed clip; drafts lie in hidden folders."""
    places = {name: path for name, path in files_in(folder).items() if name.endswith(".wav") and name[0] != "."}
    return {name: path.read_bytes() for name, path in places.items()}


@pytest.fixture
def source(tmp_path):
    return write_recordings(tmp_path / "raw")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "clean"


# What it becomes


def test_every_recording_becomes_a_wav_in_the_same_place(source, target):
    done = preprocess_folder(source, target, CHAIN, num_proc=2)
    wanted = {"speaker0/000.wav", "speaker0/002.wav", "speaker1/001.wav", "speaker1/003.wav"}
    assert set(files_in(target)) == wanted | {JOURNAL}
    assert (done.made, done.kept, done.failures, done.left_alone, done.links) == (4, 0, (), 0, 0)
    assert done.sound_seconds == pytest.approx(0.2 + 0.21 + 0.22 + 0.23, abs=0.05) and done.seconds > 0
    for name, path in files_in(source).items():
        expected, rate = apply_transforms(*read_audio(path), CHAIN)
        assert rate == 16_000
        np.testing.assert_array_equal(load_audio(target / name.replace(".mp3", ".wav")), expected)


def test_without_resample_a_file_keeps_its_rate(source, target):
    preprocess_folder(source, target, [], num_proc=1)
    assert soundfile.info(target / "speaker1/001.wav").samplerate == 48_000
    np.testing.assert_array_equal(
        read_audio(target / "speaker1/001.wav")[0], read_audio(source / "speaker1/001.mp3")[0]
    )


def test_samples_above_one_are_not_clipped(source, target):
    preprocess_folder(source, target, ["normalise_level:dbfs=0"], num_proc=1)
    samples, _ = soundfile.read(target / "speaker0/000.wav")
    assert samples.max() == pytest.approx(np.sqrt(2), rel=1e-3)


def test_a_wav_of_floats_is_read_back_bit_by_bit_by_libsndfile_too():
    samples = np.array([0.1, -3.5, 1e-30] * 1_000, dtype=np.float32)
    content = encode_wav(samples, 44_100)
    np.testing.assert_array_equal(read_audio(content)[0], samples)
    assert read_audio(content)[1] == 44_100
    assert content == encode_wav(samples, 44_100)


def test_files_that_are_not_audio_are_left_alone_and_counted(source, target):
    (source / "notes.txt").write_text("laughs")
    (source / "speaker0" / "000").write_text("no suffix")
    (source / "speaker1" / "001.mp3").rename(source / "speaker1" / "loud.one.MP3")
    done = preprocess_folder(source, target, CHAIN, num_proc=1)
    assert done.left_alone == 2 and done.made == 4
    assert "speaker1/loud.one.wav" in files_in(target) and "notes.txt" not in files_in(target)


def test_links_that_lead_out_are_not_followed(source, target, tmp_path):
    outside = write_recordings(tmp_path / "outside")
    (source / "elsewhere.wav").symlink_to(outside / "speaker0" / "000.wav")
    (source / "folder").symlink_to(outside)
    (source / "inside.wav").symlink_to(source / "speaker0" / "000.wav")
    (source / "nowhere.wav").symlink_to(source / "gone.wav")
    done = preprocess_folder(source, target, CHAIN, num_proc=1)
    assert done.links == 2 and done.made == 5
    assert {"inside.wav"} == {path.name for path in target.glob("*.wav")}
    assert [(failure.file, "No such file" in failure.reason) for failure in done.failures] == [("nowhere.wav", True)]


# What fails


def test_recordings_that_cannot_be_read_are_named(source, target):
    (source / "bad.mp3").write_bytes(b"#EXTM3U\nhttp://localhost:1/\n")
    (source / "empty, or so.wav").touch()
    os.mkfifo(source / "pipe.wav")
    soundfile.write(source / "short.wav", np.ones(399) / 2, 16_000)
    done = preprocess_folder(source, target, CHAIN, num_proc=2)
    assert done.made == 4 and not done.mostly_failed
    with open(target / "failures.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file", "reason"] and [tuple(row) for row in rows[1:]] == list(done.failures)
    assert [row[0] for row in rows[1:]] == ["bad.mp3", "empty, or so.wav", "pipe.wav", "short.wav"]
    for row, reason in zip(rows[1:], ["not audio", "empty", "not a regular file", "399 samples"], strict=True):
        assert row[1].startswith(row[0]) and reason in row[1]


def test_a_recording_that_was_mended_is_tried_again(source, target):
    (source / "bad.mp3").touch()
    assert len(preprocess_folder(source, target, CHAIN, num_proc=1).failures) == 1
    soundfile.write(source / "bad.mp3", tone(rate=48_000), 48_000)
    done = preprocess_folder(source, target, CHAIN, num_proc=1)
    assert (done.made, done.kept, done.failures) == (1, 4, ())
    assert "failures.csv" not in files_in(target)


def test_what_was_made_of_a_recording_goes_when_the_recording_breaks(source, target):
    preprocess_folder(source, target, CHAIN, num_proc=1)
    (source / "speaker0" / "000.wav").write_bytes(b"broken")
    done = preprocess_folder(source, target, CHAIN, num_proc=1)
    assert done.failures[0].file == "speaker0/000.wav" and "speaker0/000.wav" not in files_in(target)


def test_steps_that_leave_too_little_are_a_failure(source, target, monkeypatch):
    monkeypatch.setitem(TRANSFORMS, "behead", lambda waveform: waveform[-100:])
    done = preprocess_folder(source, target, ["behead"], num_proc=1)
    assert len(done.failures) == 4 and done.mostly_failed
    assert "speaker0/000.wav: the steps leave 0.006 s of 0.200 s" in done.failures[0].reason


def test_more_than_half_must_fail_to_be_too_many(source, target):
    for number in range(4):
        (source / f"{number}.wav").touch()
    assert not preprocess_folder(source, target, CHAIN, num_proc=1).mostly_failed
    (source / "4.wav").touch()
    assert preprocess_folder(source, target, CHAIN, num_proc=1).mostly_failed


def test_a_name_that_is_no_text_is_named_in_part(source, target):
    (source / os.fsdecode(b"caf\xe9.wav")).touch()
    done = preprocess_folder(source, target, CHAIN, num_proc=1)
    assert len(done.failures) == 1 and "caf" in (target / "failures.csv").read_text()


def test_a_name_that_is_a_formula_is_listed_as_text(source, target):
    (source / "=1+1.wav").touch()
    done = preprocess_folder(source, target, CHAIN, num_proc=1)
    assert done.failures[0].file == "=1+1.wav"
    assert (target / "failures.csv").read_text().splitlines()[1].startswith("'=1+1.wav,\"'=1+1.wav: ")


def test_a_full_disk_ends_the_run_and_leaves_no_drafts(source, target, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        OSError, match=r"clean/speaker0/000\.wav could not be written: No space left on device \(.* GiB free\)"
    ):
        preprocess_folder(source, target, CHAIN, num_proc=1)
    assert set(files_in(target)) == {JOURNAL} and not list(target.glob(".drafts-*"))


def test_a_line_that_does_not_fit_on_the_disk_ends_the_run_before_another_is_added_to_it(source, target, monkeypatch):
    expected = preprocess_folder(source, target, CHAIN, num_proc=1)
    shutil.rmtree(target)
    write = os.write
    monkeypatch.setattr(
        os, "write", lambda file, content: write(file, content[:30] if b"made_size" in content else content)
    )
    with pytest.raises(OSError, match=rf"{JOURNAL} could not be written: No space left on device"):
        preprocess_folder(source, target, CHAIN, num_proc=1)
    monkeypatch.undo()
    assert preprocess_folder(source, target, CHAIN, num_proc=1).made == expected.made


def test_without_pyav_a_webm_ends_the_run_with_what_to_install(source, target, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (source / "clip.webm").write_bytes(b"\x1aE\xdf\xa3" + b"\0" * 50)
    with pytest.raises(ImportError, match=r"clip\.webm: .*pip install 'burst2vec\[webm\]'"):
        preprocess_folder(source, target, CHAIN, num_proc=1)


def test_a_killed_worker_is_told_from_a_bad_clip(source, target, monkeypatch):
    monkeypatch.setitem(TRANSFORMS, "die", lambda waveform: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(BrokenProcessPool, match="a worker process was killed.*smaller num_proc resumes"):
        preprocess_folder(source, target, ["die"], num_proc=1)
    assert set(files_in(target)) == {JOURNAL}


# What is refused


def test_an_unknown_step_is_refused_before_anything_is_written(source, target):
    with pytest.raises(TransformError, match="did you mean 'highpass'"):
        preprocess_folder(source, target, ["hihgpass"])
    assert not target.exists()


def test_two_recordings_of_one_name_are_refused_up_front(source, target):
    soundfile.write(source / "speaker0" / "000.mp3", tone(rate=48_000), 48_000)
    with pytest.raises(
        CorpusError, match=r"speaker0/000\.mp3 and speaker0/000\.wav would both become speaker0/000\.wav"
    ):
        preprocess_folder(source, target, CHAIN)
    assert not target.exists()


def test_a_folder_without_recordings_is_refused(tmp_path, target):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").touch()
    with pytest.raises(CorpusError, match=r"holds no recording \(.wav, .*files of other kinds: 1"):
        preprocess_folder(tmp_path / "notes", target, CHAIN)
    with pytest.raises(CorpusError, match="nowhere: no such folder"):
        preprocess_folder(tmp_path / "nowhere", target, CHAIN)


def test_a_subfolder_that_may_not_be_read_is_not_passed_over(source, target, monkeypatch):
    def walk(folder, onerror):
        onerror(PermissionError(13, "Permission denied", "speaker0"))
        return ()

    monkeypatch.setattr("burst2vec.data.preprocessing.folders.os.walk", walk)
    with pytest.raises(PermissionError, match="speaker0"):
        preprocess_folder(source, target, CHAIN)


@pytest.mark.parametrize(("there", "where"), [("raw", "raw/clean"), ("raw/speaker0", "raw"), ("raw", "raw")])
def test_one_folder_inside_the_other_is_refused(source, tmp_path, there, where):
    with pytest.raises(CorpusError, match="one is in the other; give a target beside the source"):
        preprocess_folder(tmp_path / there, tmp_path / where, CHAIN)


def test_a_folder_with_something_else_in_it_is_refused(source, target, tmp_path):
    target.mkdir()
    (target / "thesis.txt").touch()
    with pytest.raises(CorpusError, match=f"is not empty and has no {JOURNAL}"):
        preprocess_folder(source, target, CHAIN)
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match="is a file"):
        preprocess_folder(source, tmp_path / "file", CHAIN)


def test_a_folder_of_other_steps_is_refused_with_the_call_that_goes_on(source, target):
    preprocess_folder(source, target, ["mono"], num_proc=1)
    with pytest.raises(CorpusError, match=r"made with other steps.*preprocess_folder\(source, .*, steps=\['mono'\]\)"):
        preprocess_folder(source, target, CHAIN)
    assert preprocess_folder(source, target, ["mono"], num_proc=1).kept == 4


def test_a_folder_of_another_version_is_refused(source, target, monkeypatch):
    preprocess_folder(source, target, CHAIN, num_proc=1)
    monkeypatch.setattr(folders, "VERSION", 99)
    with pytest.raises(CorpusError, match="made by version 1 of the steps, this is 99; give a new folder"):
        preprocess_folder(source, target, CHAIN)


@pytest.mark.parametrize(
    "content", ["no journal", "no journal\n", "[]\n", '{"version": 1}\n', '{"steps": []}\n{"a": 1}\n']
)
def test_a_journal_of_another_program_is_refused(source, target, content):
    target.mkdir()
    (target / JOURNAL).write_text(content)
    with pytest.raises(CorpusError, match="is not what preprocess_folder writes"):
        preprocess_folder(source, target, CHAIN)
    assert (target / JOURNAL).read_text() == content


def test_a_folder_that_another_run_writes_into_is_refused(source, target):
    locked, done = FORK.Event(), FORK.Event()

    def hold():
        with Journal(target, VERSION, [str(step) for step in read_transforms(CHAIN)]):
            locked.set()
            done.wait()

    other = FORK.Process(target=hold)
    other.start()
    locked.wait()
    with pytest.raises(CorpusError, match="another run is writing into it"):
        preprocess_folder(source, target, CHAIN, num_proc=1)
    done.set()
    other.join()
    assert preprocess_folder(source, target, CHAIN, num_proc=1).made == 4


# What is kept


def test_what_is_made_is_kept(source, target):
    preprocess_folder(source, target, CHAIN, num_proc=2)
    before = {name: path.stat().st_mtime_ns for name, path in files_in(target).items() if name != JOURNAL}
    done = preprocess_folder(str(source), str(target), read_transforms(CHAIN))
    assert (done.made, done.kept, done.sound_seconds) == (0, 4, 0.0)
    assert before == {name: path.stat().st_mtime_ns for name, path in files_in(target).items() if name != JOURNAL}


def test_a_changed_recording_is_made_anew_and_only_that(source, target):
    preprocess_folder(source, target, CHAIN, num_proc=1)
    soundfile.write(source / "speaker0" / "000.wav", tone(frequency=880), 16_000)  # as long as it was
    done = preprocess_folder(source, target, CHAIN, num_proc=1)
    assert (done.made, done.kept) == (1, 3)
    expected, _ = apply_transforms(*read_audio(source / "speaker0" / "000.wav"), CHAIN)
    np.testing.assert_array_equal(load_audio(target / "speaker0" / "000.wav"), expected)
    assert preprocess_folder(source, target, CHAIN, num_proc=1).kept == 4


def test_a_file_that_was_deleted_or_cut_is_made_anew(source, target):
    preprocess_folder(source, target, CHAIN, num_proc=1)
    before = made_in(target)
    (target / "speaker0" / "000.wav").unlink()
    (target / "speaker0" / "002.wav").write_bytes(b"")
    assert preprocess_folder(source, target, CHAIN, num_proc=1).made == 2
    assert made_in(target) == before


def test_files_whose_recording_is_gone_stay_and_are_counted(source, target):
    preprocess_folder(source, target, CHAIN, num_proc=1)
    (source / "speaker0" / "000.wav").unlink()
    done = preprocess_folder(source, target, CHAIN, num_proc=1)
    assert (done.kept, done.orphans) == (3, 1) and len(made_in(target)) == 4


def test_no_place_of_this_machine_is_written(source, target, tmp_path):
    (source / "bad.mp3").touch()
    preprocess_folder(source, target, CHAIN, num_proc=1)
    for name in (JOURNAL, "failures.csv"):
        assert str(tmp_path) not in (target / name).read_text()
    lines = [json.loads(line) for line in (target / JOURNAL).read_text().splitlines()]
    assert lines[0] == {"version": 1, "steps": [str(step) for step in read_transforms(CHAIN)]}
    assert sorted(line["file"] for line in lines[1:])[0] == "speaker0/000.wav"


@pytest.mark.parametrize("cut", [5, 1, 0])
def test_a_journal_cut_in_its_first_or_last_line_is_gone_on_with(source, target, cut):
    target.mkdir()
    (target / JOURNAL).write_text(
        json.dumps({"version": 1, "steps": [str(step) for step in read_transforms(CHAIN)]})[:cut]
    )
    assert preprocess_folder(source, target, CHAIN, num_proc=1).made == 4
    content = (target / JOURNAL).read_bytes()
    (target / JOURNAL).write_bytes(content[:-9])
    done = preprocess_folder(source, target, CHAIN, num_proc=1)
    assert (done.made, done.kept) == (1, 3)
    assert preprocess_folder(source, target, CHAIN, num_proc=1).kept == 4


# Killed


def states(folder):
    return {name: path.stat().st_mtime_ns for name, path in files_in(folder).items() if name in made_in(folder)}


def test_a_killed_run_resumes_whenever_it_is_killed(tmp_path, target, monkeypatch):
    source = write_recordings(tmp_path / "many", clips=60)
    permits = None  # the number of clips to process, so that no run ends before it is killed; None: all
    monkeypatch.setitem(TRANSFORMS, "wait", lambda waveform: waveform if permits is None or permits.acquire() else None)
    steps = ["resample", "wait", "normalise_level"]
    preprocess_folder(source, tmp_path / "uninterrupted", steps, num_proc=2)
    whole = made_in(tmp_path / "uninterrupted")

    finished = {}
    for more in (1, 5, 9):
        waiting = 2 * (folders._CLIPS_PER_JOB - 1)  # clips done in jobs that two workers have not finished
        permits = FORK.Semaphore(more + waiting)
        run = FORK.Process(target=preprocess_folder, args=(source, target, steps, 2))
        run.start()
        wanted = len(finished) + more
        while run.is_alive() and len(made_in(target)) < wanted:
            time.sleep(0.001)
        os.kill(run.pid, signal.SIGKILL)
        run.join()
        assert run.exitcode == -signal.SIGKILL
        found = states(target)
        assert wanted <= len(found) <= wanted + waiting
        assert {name: found[name] for name in finished} == finished, "a finished file was made again"
        assert all(content == whole[name] for name, content in made_in(target).items())
        finished = found

    permits = None
    done = preprocess_folder(source, target, steps, num_proc=2)
    assert done.kept == len(finished) and done.made == 60 - len(finished)
    assert {name: state for name, state in states(target).items() if name in finished} == finished
    assert made_in(target) == whole
    assert set(files_in(target)) == set(whole) | {JOURNAL} and not list(target.glob(".*"))


@pytest.mark.parametrize("moment", ["unlink", "add", "replace"])
def test_a_run_killed_between_journal_and_file_loses_nothing(source, target, monkeypatch, moment):
    preprocess_folder(source, target, CHAIN, num_proc=1)
    soundfile.write(source / "speaker0" / "002.wav", tone(0.22, frequency=880), 16_000)  # as long as it was

    def run():
        place = {"unlink": Path, "add": Journal, "replace": folders.os}[moment]
        run, act = os.getpid(), getattr(place, moment)

        def kill(*args, **kwargs):  # the run, not a worker that puts its draft in place
            return os.kill(run, signal.SIGKILL) if os.getpid() == run else act(*args, **kwargs)

        monkeypatch.setattr(place, moment, kill)
        preprocess_folder(source, target, CHAIN, num_proc=1)

    killed = FORK.Process(target=run)
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    done = preprocess_folder(source, target, CHAIN, num_proc=1)
    assert (done.made, done.kept) == (1, 3)
    expected, _ = apply_transforms(*read_audio(source / "speaker0" / "002.wav"), CHAIN)
    np.testing.assert_array_equal(load_audio(target / "speaker0" / "002.wav"), expected)


def test_the_workers_of_a_killed_run_end(source, target, monkeypatch, tmp_path):
    def report(waveform):
        (tmp_path / str(os.getpid())).touch()
        time.sleep(0.05)
        return waveform

    monkeypatch.setitem(TRANSFORMS, "report", report)
    run = FORK.Process(target=preprocess_folder, args=(source, target, ["report"], 2))
    run.start()
    while not (workers := [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]):
        assert run.is_alive()
        time.sleep(0.001)
    os.kill(run.pid, signal.SIGKILL)
    run.join()
    deadline = time.monotonic() + 20
    while any(is_running(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(is_running(worker) for worker in workers)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
