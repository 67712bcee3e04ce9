"""How a file is written: whole, or not at all.

What is being written lies in a hidden draft beside its place, is forced to disk, and one rename puts it there. So a
reader, and a run that was killed or met a full disk, finds the file as it was before or as it should be, never half.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import WriteError

DRAFT = ".draft-"  # hidden, and never published; what a killed program leaves of them is removed by remove_drafts


@contextmanager
def draft_of(path: str | Path, force: bool = True) -> Iterator[Path]:
    """A hidden file beside ``path`` to write into, which takes its place when the ``with`` block ends without an error.

    For writers that want a path of their own; what is in memory is written by :func:`write_whole`. A link at ``path``
    is replaced by the file, not followed.

    Args:
        path: of the file.
        force: False where another file, written later, says whether this one is finished: ten milliseconds less.

    Raises:
        WriteError: an ``OSError`` on the way, such as a full disk; the draft is removed, what was at ``path`` stays.
    """
    path = Path(path)
    draft = path.with_name(f"{DRAFT}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        if path.exists() and not path.is_file():
            raise OSError(None, "there is something that is not a file")
        yield draft
        if force:
            force_to_disk(draft)
        os.replace(draft, path)
    except BaseException as error:
        draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, WriteError):
            raise WriteError(path, error) from error
        raise


def write_whole(path: str | Path, content: str | bytes, force: bool = True) -> None:
    """Write a file, text as UTF-8 with its line ends as they are; one that is there is replaced; see :func:`draft_of`.

    Raises:
        WriteError: an ``OSError`` on the way, such as a full disk; what was at ``path`` stays.
    """
    with draft_of(path, force) as draft:
        draft.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def write_json(path: str | Path, record: dict) -> None:
    """Write a record as JSON, whole or not at all.

    Raises:
        ValueError: a number that is not finite, because JSON has none.
        WriteError: as :func:`write_whole`.
    """
    write_whole(path, json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def drafts_of(folder: str | Path, last: str | None = None) -> Iterator[Path]:
    """A hidden folder in ``folder`` to write several files into, which are moved to ``folder`` when all are written.

    Args:
        folder: where the files go; made where there is none.
        last: the name of the file without which the others are nothing: it is removed first and comes last, so that a
            program killed between two moves leaves no mixture of old and new files that could be taken for whole.

    Raises:
        WriteError: an ``OSError`` on the way; what was in ``folder`` stays.
    """
    folder = Path(folder)
    drafts = folder / f"{DRAFT}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        drafts.mkdir(parents=True)
        yield drafts
        files = sorted(drafts.iterdir(), key=lambda path: (path.name == last, path.name))
        for file in files:
            force_to_disk(file)
        if last is not None:
            (folder / last).unlink(missing_ok=True)
        for file in files:
            os.replace(file, folder / file.name)
        force_to_disk(folder)
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(folder, error) from error
    finally:
        shutil.rmtree(drafts, ignore_errors=True)


def remove_drafts(folder: str | Path) -> None:
    """Remove the drafts that killed programs left in a folder, which nobody else may be writing into."""
    for draft in Path(folder).glob(f"{DRAFT}*"):
        if draft.is_dir() and not draft.is_symlink():
            shutil.rmtree(draft)
        else:
            draft.unlink(missing_ok=True)


def force_to_disk(path: str | Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk and would outlast a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
