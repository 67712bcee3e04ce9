"""The audio files below a folder: which there are, and which of them a name in a table means."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ...errors import CorpusError
from .inside import leads_out

ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".webm", ".m4a")  # in capitals too
PLACES = ("", "audio/", "wav/")  # where a file is looked for that its table does not place


def without_ending(name: str) -> str:
    """A path without the ending of an audio file; any other ending is part of the name.

    >>> without_ending("laugh/001.WAV"), without_ending("laugh.take2")
    ('laugh/001', 'laugh.take2')
    """
    stem, ending = os.path.splitext(name)  # ten times as fast as pathlib
    return stem if ending.lower() in ENDINGS else name


def has_ending(name: str) -> bool:
    """Whether a path ends as audio files do."""
    return os.path.splitext(name)[1].lower() in ENDINGS


def plain_path(text: str) -> str | None:
    """A relative path as a table has it, without ``./`` and doubled strokes; None where it can lead out of its folder,
    or into what is hidden there.

    >>> plain_path("./laugh//001.wav"), plain_path("../001.wav"), plain_path("/001.wav"), plain_path("laugh\\\\001.wav")
    ('laugh/001.wav', None, None, None)
    >>> plain_path(".trash/001.wav")
    """
    path = PurePosixPath(text)
    hidden = any(part.startswith(".") for part in path.parts)  # ".." among them
    if path.is_absolute() or not path.parts or hidden or "\\" in text or "\0" in text:
        return None
    return str(path)


def shown(path: str) -> str:
    """A path as text: of a name that is not UTF-8, the bytes that are not stand as ``\\xe9`` and the like.

    >>> print(shown(os.fsdecode(b"laugh/caf\\xe9.wav")), shown("laugh/café.wav"))
    laugh/caf\\xe9.wav laugh/café.wav
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class AudioFiles:
    """Every audio file below a folder, by its path relative to it, with ``/`` between the parts.

    Hidden files and folders are let be. Links to folders are not followed and links to files only within the folder:
    what they hold is named in an error when a table asks for it.

    Attributes:
        folder: absolute.
        sizes: bytes of each file, by path, sorted.
        links: paths of the links that are not followed.
        others: paths of what else is there, sorted: files of other endings or none, what no file can be read of (broken
            links, pipes), and files whose names are no UTF-8 text, which no table and no dataset can hold.
    """

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self.links: list[str] = []
        self.others: list[str] = []
        self.sizes: dict[str, int] = dict(sorted(self._walk(self.folder, "")))
        self.others.sort()
        self._named: dict[str, list[str]] = {}
        for path in self.sizes:
            self._named.setdefault(without_ending(path), []).append(path)

    def _walk(self, place, below: str) -> Iterator[tuple[str, int]]:
        with os.scandir(place) as entries:
            for entry in entries:
                path = below + entry.name
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():  # asked through os.path, which a link in a circle does not stop
                    if os.path.isdir(entry.path) or leads_out(entry.path, self.folder):
                        self.links.append(path)
                        continue
                elif entry.is_dir():
                    yield from self._walk(entry.path, path + "/")
                    continue
                if has_ending(path) and os.path.isfile(entry.path) and shown(path) == path:
                    yield path, os.path.getsize(entry.path)
                else:
                    self.others.append(path)

    def meant_by(self, name: str) -> list[str]:
        """The files that a name can mean, as paths relative to the folder; none where there is no such file.

        A name with an ending is that file, or the file of that name in ``audio/`` or ``wav/``; one without is any file
        that is called so but for its ending, in the folder itself, in ``audio/`` or in ``wav/``.

        Args:
            name: as ``plain_path`` gives it.

        Raises:
            CorpusError: the name leads through a link that is not followed.
        """
        if name in self.sizes:
            return [name]
        if has_ending(name):
            found = [place + name for place in PLACES if place + name in self.sizes]
        else:
            found = [path for place in PLACES for path in self._named.get(place + name, ())]
        for link in self.links if not found else ():
            for place in PLACES:
                if (place + name + "/").startswith(link + "/") or without_ending(link) == place + name:
                    raise CorpusError(
                        f"{link} is a link to {os.path.realpath(self.folder / link)}: links to folders, and out of the "
                        f"corpus, are not followed; put the files themselves below {self.folder}"
                    )
        return found
