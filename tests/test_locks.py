"""One living program writes into a folder at a time."""

import os
import re
import signal
import socket
import threading
import time

import pytest

from burst2vec import locks
from burst2vec.errors import FolderInUseError, WriteError
from burst2vec.locks import LOCK, check_lock, lock_folder


class Holder:
    """A process that holds a folder's lock until it is ended; with ``forks``, it has a child that outlives it."""

    def __init__(self, folder, forks=False):
        told, tell = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            with lock_folder(folder):
                child = os.fork() if forks else 0
                os.write(tell, b"%d\n" % child)
                time.sleep(60)
            os._exit(0)
        os.close(tell)
        with os.fdopen(told) as lines:
            self.child = int(lines.readline())

    def kill(self):
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


@pytest.fixture
def hold():
    """Start holders, and end those that still live, with their children."""
    holders = []

    def start(*args, **kwargs):
        holders.append(Holder(*args, **kwargs))
        return holders[-1]

    yield start
    for holder in holders:
        for process in (holder.process, holder.child):
            if process:
                try:
                    os.kill(process, signal.SIGKILL)
                    os.waitpid(process, 0)
                except (ProcessLookupError, ChildProcessError):
                    pass


def test_a_second_program_is_refused_with_the_folder_the_process_and_the_computer(tmp_path, hold):
    holder = hold(tmp_path / "run")
    who = f"{tmp_path}/run: process {holder.process} on {socket.gethostname()} is writing into it"
    with pytest.raises(FolderInUseError, match=re.escape(who)), lock_folder(tmp_path / "run"):
        pytest.fail("two at once")
    assert "\n" not in str(pytest.raises(FolderInUseError, lock_folder(tmp_path / "run").__enter__).value)


def test_a_holder_that_has_not_said_yet_who_it_is_is_waited_for(tmp_path, hold):
    holder = hold(tmp_path)
    said = (tmp_path / LOCK).read_text()
    (tmp_path / LOCK).write_text("")
    threading.Timer(0.1, (tmp_path / LOCK).write_text, [said]).start()
    with pytest.raises(FolderInUseError, match=f"process {holder.process} on"), lock_folder(tmp_path):
        pytest.fail("two at once")


def test_a_killed_program_holds_nothing(tmp_path, hold):
    hold(tmp_path).kill()
    assert (tmp_path / LOCK).exists()
    with lock_folder(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"


def test_a_worker_that_outlives_its_killed_program_holds_nothing(tmp_path, hold):
    holder = hold(tmp_path, forks=True)
    holder.kill()
    os.kill(holder.child, 0)  # lives
    with lock_folder(tmp_path):
        pass


def test_an_orphan_that_still_lives_holds_its_folder(tmp_path):
    told, tell = os.pipe()
    launcher = os.fork()
    if launcher == 0:
        if os.fork() == 0:
            with lock_folder(tmp_path):
                os.write(tell, b"%d\n" % os.getpid())
                time.sleep(60)
            os._exit(0)
        time.sleep(60)
        os._exit(0)
    os.close(tell)
    with os.fdopen(told) as lines:
        orphan = int(lines.readline())
    os.kill(launcher, signal.SIGKILL)
    os.waitpid(launcher, 0)
    try:
        with pytest.raises(FolderInUseError, match=f"process {orphan} on"), lock_folder(tmp_path):
            pytest.fail("two at once")
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_the_folder_is_as_it_was_after_the_lock(tmp_path):
    (tmp_path / "old").mkdir()
    for folder in (tmp_path / "old", tmp_path / "new"):
        with lock_folder(folder):
            assert [path.name for path in folder.iterdir()] == [LOCK]
    assert [path.name for path in tmp_path.iterdir()] == ["old"] and not list((tmp_path / "old").iterdir())
    with lock_folder(tmp_path / "new"):
        (tmp_path / "new" / "metrics.json").touch()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["metrics.json"]


def test_an_error_inside_frees_the_folder(tmp_path, hold):
    with pytest.raises(ZeroDivisionError), lock_folder(tmp_path):
        raise ZeroDivisionError
    hold(tmp_path)


def test_a_training_inside_a_run_is_part_of_it_by_whatever_name_of_the_folder(tmp_path, hold):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with lock_folder(tmp_path / "run"):
        with lock_folder(tmp_path / "link"):
            pass
        assert (tmp_path / "run" / LOCK).exists()
        child = os.fork()
        if child == 0:  # the inner block freed nothing
            try:
                with lock_folder(tmp_path / "run"):
                    os._exit(0)
            except FolderInUseError:
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_another_thread_is_refused(tmp_path):
    found = []

    def try_it():
        try:
            with lock_folder(tmp_path):
                found.append("two at once")
        except FolderInUseError as error:
            found.append(str(error))

    with lock_folder(tmp_path):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert len(found) == 1 and "another thread of this process is writing into it" in found[0]


def test_of_many_programs_at_once_one_at_a_time_is_let_in(tmp_path):
    folder, inside = tmp_path / "run", tmp_path / "inside"
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            won = 0
            for _ in range(60):
                try:
                    with lock_folder(folder):
                        os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # an error where another is inside too
                        won = 1
                        inside.unlink()
                except FolderInUseError:
                    pass
                except BaseException:
                    os._exit(9)
            os._exit(won)
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert 9 not in ends and 1 in ends, ends
    assert not (folder / LOCK).exists()


@pytest.mark.parametrize("lost", ["lock", "folder"])
def test_a_run_whose_folder_was_deleted_and_taken_by_another_sees_it(tmp_path, hold, lost):
    folder = tmp_path / "run"
    with lock_folder(folder):
        check_lock(folder)
        (folder / LOCK).unlink()
        if lost == "folder":
            folder.rmdir()
        with pytest.raises(FolderInUseError, match="run: was deleted or emptied while this run wrote into it"):
            check_lock(folder)
        hold(folder)
        with pytest.raises(FolderInUseError, match="was deleted or emptied"):
            check_lock(folder)
    assert (folder / LOCK).exists()  # the other's
    check_lock(folder)  # holds nothing, so nothing was lost


def test_where_the_file_system_has_no_locks_a_warning_says_so(tmp_path, monkeypatch, caplog):
    def no_locks(descriptor):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks, "try_lock", no_locks)
    with lock_folder(tmp_path / "run"):
        pass
    assert f"{tmp_path}/run: cannot be locked (Operation not supported); let no other run write there" in caplog.text


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="file/run could not be written: Not a directory"):
        lock_folder(tmp_path / "file" / "run").__enter__()
