"""Who may write into a folder: one living program at a time."""

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from .errors import FolderInUseError, WriteError

LOCK = ".lock"  # in the folder while it is held: the process and its computer
ATTEMPTS = 20  # at a lock file, or a folder, that its last holder has just removed

logger = logging.getLogger(__name__)


class _Held(NamedTuple):
    descriptor: int
    process: int  # a forked child has none of its parent's locks
    thread: int


_held: dict[Path, _Held] = {}  # by the folder's real path


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this process alone, until it closes the file or ends, in whatever way.

    A record lock and not ``flock``, which forked workers would hold on to when this process is killed. The process
    must not open and close the file elsewhere: that would unlock it.

    Returns:
        False where another living process has it.

    Raises:
        OSError: the file's system has no locks.
    """
    try:
        import fcntl
    except ImportError as error:  # of POSIX systems only
        raise OSError(errno.ENOSYS, "no locks on this system") from error
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        return False
    return True


@contextmanager
def lock_folder(folder: str | Path) -> Iterator[None]:
    """Be the only living program that writes into a folder while the ``with`` block lasts.

    A killed program holds nothing, an orphan that still lives holds its lock. A block inside another of the same
    folder, as a training inside a run, is part of it. Where the file system has no locks, a warning says so.

    Args:
        folder: made where there is none, and removed again if nothing was written into it.

    Raises:
        FolderInUseError: another program holds it.
        WriteError: a folder that cannot be written into.
    """
    folder = Path(folder)
    place = Path(os.path.realpath(folder))
    held = _held.get(place)
    if held is None or held.process != os.getpid():
        held, made = _acquire(folder, place)
        try:
            yield
        finally:
            _release(folder, place, made)
    elif held.thread != threading.get_ident():
        raise FolderInUseError(_refusal(folder, "another thread of this process"))
    else:
        yield


def check_lock(folder: str | Path) -> None:
    """Make sure that a folder locked by this process is still the one that it locked.

    Raises:
        FolderInUseError: the folder or its lock was deleted meanwhile, so that another program may be writing there.
    """
    held = _held.get(Path(os.path.realpath(folder)))
    if held is not None and held.process == os.getpid() and not _is_at(held.descriptor, Path(folder, LOCK)):
        raise FolderInUseError(
            f"{folder}: was deleted or emptied while this run wrote into it, and another run may be there by now; "
            "start again in another folder"
        )


def _acquire(folder: Path, place: Path) -> tuple[_Held, bool]:
    made = not folder.is_dir()
    failure = None
    for _ in range(ATTEMPTS):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except (FileNotFoundError, FileExistsError) as error:  # its last holder may just have removed the folder
            failure = error
            continue
        except OSError as error:
            raise WriteError(folder, error) from error
        if _lock_open(folder, descriptor):
            _held[place] = _Held(descriptor, os.getpid(), threading.get_ident())
            return _held[place], made
        os.close(descriptor)
    if failure is not None:
        raise WriteError(folder, failure) from failure
    raise FolderInUseError(_refusal(folder, "one program after the other"))


def _lock_open(folder: Path, descriptor: int) -> bool:
    """Whether the lock is ours; False where its last holder has just removed the file."""
    try:
        is_ours = try_lock(descriptor)
    except OSError as error:
        logger.warning("%s: cannot be locked (%s); let no other run write there", folder, error.strerror)
        is_ours = True
    if not is_ours:
        holder = _read_holder(descriptor)
        os.close(descriptor)
        raise FolderInUseError(_refusal(folder, holder))
    if not _is_at(descriptor, folder / LOCK):
        return False
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return True


def _read_holder(descriptor: int) -> str:
    for _ in range(ATTEMPTS):
        if holder := os.pread(descriptor, 300, 0).decode("utf-8", "replace").strip():
            return holder
        time.sleep(0.02)  # it has the lock, and is about to say so
    return "another program"


def _release(folder: Path, place: Path, made: bool) -> None:
    held = _held.pop(place)
    if held.process != os.getpid():
        return
    with suppress(OSError):
        if _is_at(held.descriptor, folder / LOCK):
            os.unlink(folder / LOCK)
    os.close(held.descriptor)
    if made:
        with suppress(OSError):  # there are files in it
            folder.rmdir()


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _refusal(folder: Path, holder: str) -> str:
    return f"{folder}: {holder} is writing into it; wait for it, end it, or give another folder"
