"""The journal of a folder whose files are made from recordings: which steps, and for each file the recording's state.

``preprocessing.jsonl``: the first line says how the folder is made, each further line one file. Only the run that holds
the lock writes to it, a line at a time, so that a run killed at any moment leaves whole lines and at most one part of a
line, which is taken off by the next.
"""

import errno
import json
import os
from pathlib import Path
from typing import NamedTuple

from ...errors import CorpusError, WriteError
from ...locks import try_lock

JOURNAL = "preprocessing.jsonl"


class Recording(NamedTuple):
    """A recording, and the state that tells whether it has changed."""

    file: str  # below its folder, with /
    size: int  # bytes
    mtime_ns: int


class Journal:
    """The journal in ``target``, locked while the ``with`` block lasts.

    Args:
        target: the folder; it is made where there is none.
        version: of what makes the files.
        steps: as texts.

    Raises:
        CorpusError: on entering: the folder holds something else, was made by other steps or another version, or is
            being written by another run.
    """

    def __init__(self, target: Path, version: int, steps: list[str]):
        self.target = target
        self.heading = {"version": version, "steps": steps}
        self.lines: dict[str, dict] = {}  # by the recording's name, the newest

    def __enter__(self):
        if self.target.exists() and not self.target.is_dir():
            raise CorpusError(f"{self.target}: is a file; give a folder to write into")
        path = self.target / JOURNAL
        if not path.is_file() and self.target.exists() and any(self.target.iterdir()):
            raise CorpusError(f"{self.target}: is not empty and has no {JOURNAL}; give a new folder to write into")
        self.target.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            self._lock()
            self._read()
        except BaseException:
            os.close(self._descriptor)
            raise
        return self

    def __exit__(self, *error):
        os.close(self._descriptor)

    def has(self, recording: Recording, made: str) -> bool:
        """Whether the file ``made`` was made from this very state of the recording, and is there as it was written."""
        line = self.lines.get(recording.file)
        if line is None or (line["size"], line["mtime_ns"]) != recording[1:]:
            return False
        try:
            return os.path.getsize(self.target / made) == line["made_size"]  # less after a power failure
        except OSError:
            return False

    def add(self, recording: Recording, made: dict) -> None:
        """Note that a file was made: ``made`` has its ``made_size`` in bytes and whatever else is worth knowing."""
        line = {**recording._asdict(), **made}
        self._write(line)
        self.lines[recording.file] = line

    def _write(self, line: dict) -> None:
        content = json.dumps(line).encode() + b"\n"
        if os.write(self._descriptor, content) < len(content):  # the next run takes the part of a line off
            raise WriteError(self.target / JOURNAL, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _lock(self) -> None:
        if not try_lock(self._descriptor):
            raise CorpusError(f"{self.target}: another run is writing into it; wait for it, or end it")

    def _read(self) -> None:
        content = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        whole = content.rfind(b"\n") + 1
        if not whole and not (json.dumps(self.heading).encode() + b"\n").startswith(content):
            raise self._foreign()
        os.ftruncate(self._descriptor, whole)
        if not whole:
            self._write(self.heading)
            return
        try:
            heading, *lines = (json.loads(line) for line in content[:whole].splitlines())
            version, steps = heading["version"], heading["steps"]
            self.lines = {line["file"]: line for line in lines if (line["size"], line["mtime_ns"], line["made_size"])}
        except (ValueError, KeyError, TypeError) as error:
            raise self._foreign() from error
        if version != self.heading["version"]:
            raise CorpusError(
                f"{self.target}: was made by version {version} of the steps, this is {self.heading['version']}; give a "
                "new folder, or delete this one"
            )
        if steps != self.heading["steps"]:
            raise CorpusError(
                f"{self.target}: was made with other steps than {self.heading['steps']}; give a new folder for these, "
                f"or resume it with preprocess_folder(source, {str(self.target)!r}, steps={steps})"
            )

    def _foreign(self) -> CorpusError:
        return CorpusError(f"{self.target / JOURNAL}: is not what preprocess_folder writes; give a new folder")
