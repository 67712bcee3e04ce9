"""A file is written whole or not at all, whatever happens on the way."""

import errno
import os
import pickle
import signal
from pathlib import Path

import pytest

from burst2vec import files
from burst2vec.errors import WriteError
from burst2vec.files import draft_of, drafts_of, remove_drafts, write_whole


@pytest.fixture
def full_disk(monkeypatch):
    """Half of a file fits."""

    def write_half(path, content):
        with open(path, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_text_is_written_as_utf_8_with_its_line_ends(tmp_path):
    write_whole(tmp_path / "a.txt", "Ärger\r\nFreude\n")
    assert (tmp_path / "a.txt").read_bytes() == "Ärger\r\nFreude\n".encode()
    assert names_in(tmp_path) == ["a.txt"]


def test_a_file_gets_the_rights_that_any_new_file_gets(tmp_path):
    write_whole(tmp_path / "ours", b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_full_disk_leaves_the_old_file_and_the_error_names_it(tmp_path, full_disk):
    path = tmp_path / "metrics.json"
    with open(path, "w") as file:
        file.write("old")
    with pytest.raises(WriteError, match=r"metrics\.json could not be written: No space left on device \(\d") as error:
        write_whole(path, "something new")
    assert error.value.errno == errno.ENOSPC and error.value.filename == str(path)
    assert path.read_text() == "old" and names_in(tmp_path) == ["metrics.json"]


def test_a_full_disk_leaves_no_new_file(tmp_path, full_disk):
    with pytest.raises(WriteError):
        write_whole(tmp_path / "metrics.json", "something new")
    assert names_in(tmp_path) == []


def test_an_error_of_the_writer_leaves_nothing_and_keeps_its_kind(tmp_path):
    with pytest.raises(ZeroDivisionError), draft_of(tmp_path / "table") as draft:
        draft.write_text("half")
        raise ZeroDivisionError
    assert names_in(tmp_path) == []


def test_a_process_killed_while_it_writes_leaves_the_old_file(tmp_path):
    path = tmp_path / "table"
    path.write_text("old")
    child = os.fork()
    if child == 0:
        with draft_of(path) as draft:
            draft.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(names_in(tmp_path)) == 2
    remove_drafts(tmp_path)
    assert names_in(tmp_path) == ["table"]


def test_a_link_is_replaced_and_its_target_stays(tmp_path):
    (tmp_path / "target").write_text("another's")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_whole(tmp_path / "link", "ours")
    assert (tmp_path / "target").read_text() == "another's" and (tmp_path / "link").read_text() == "ours"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "fifo"])
def test_what_is_not_a_file_is_not_replaced(tmp_path, make):
    make(tmp_path / "place")
    with pytest.raises(WriteError, match="place could not be written: there is something that is not a file"):
        write_whole(tmp_path / "place", "text")
    assert names_in(tmp_path) == ["place"] and not (tmp_path / "place").is_file()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WriteError, match="none/a could not be written: No such file or directory"):
        write_whole(tmp_path / "none" / "a", "text")


def test_several_files_come_together_the_last_one_last(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("old")
    (tmp_path / "metrics.json").write_text("another file")
    moved, replace = [], os.replace
    there = []

    def watch(source, target):
        there.append((tmp_path / "config.json").exists())
        moved.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", watch)
    with drafts_of(tmp_path, last="config.json") as drafts:
        for name in ("weights", "config.json", "a"):
            (drafts / name).write_text("new")
    assert moved == ["a", "weights", "config.json"] and there == [False, False, False]
    assert names_in(tmp_path) == ["a", "config.json", "metrics.json", "weights"]
    assert (tmp_path / "config.json").read_text() == "new"


def test_of_several_files_none_comes_when_one_fails(tmp_path):
    (tmp_path / "config.json").write_text("old")
    with (
        pytest.raises(WriteError, match="could not be written: No space left"),
        drafts_of(tmp_path, "config.json") as drafts,
    ):
        (drafts / "config.json").write_text("new")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names_in(tmp_path) == ["config.json"] and (tmp_path / "config.json").read_text() == "old"


def test_the_error_of_a_worker_process_reaches_its_parent_as_it_is():
    error = pickle.loads(pickle.dumps(WriteError("/data/a.wav", OSError(errno.EDQUOT, "Disk quota exceeded"))))
    assert str(error) == "/data/a.wav could not be written: Disk quota exceeded"
    assert error.errno == errno.EDQUOT and error.filename == "/data/a.wav"
