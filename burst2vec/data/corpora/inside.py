"""What a corpus reads lies in its own folder, wherever links lead.

A corpus may come from strangers: a link in it must not make a run read, show or publish what lies elsewhere on the
machine. Links within the folder are read as what they lead to; the folder itself may be given as a link.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import CorpusError


def leads_out(path, folder) -> bool:
    """Whether a path below ``folder`` is elsewhere once all links are followed; it need not exist."""
    real, root = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath([real, root]) != root


def refuse_links_out(path, folder):
    """Return a path below ``folder`` as it was given, if what it leads to is there too.

    Raises:
        CorpusError: names the link, where it leads, and what to do.
    """
    if leads_out(path, folder):
        raise CorpusError(
            f"{_first_link(path, folder)} is a link to {os.path.realpath(path)}, out of {os.path.realpath(folder)}: "
            "what a corpus reads lies in its own folder; copy or mount the files there, or give the folder that holds "
            "them all"
        )
    return path


@contextmanager
def scan_inside(place, folder) -> Iterator[Iterator[os.DirEntry]]:
    """``os.scandir`` of a place below ``folder``, where neither it nor one of its entries may lead out.

    Raises:
        CorpusError: see ``refuse_links_out``.
    """
    refuse_links_out(place, folder)
    with os.scandir(place) as entries:
        # A listing tells links without asking for each file.
        yield (refuse_links_out(entry, folder) if entry.is_symlink() else entry for entry in entries)


def _first_link(path, folder) -> str:
    """The link of a path that leads out: the first below the folder that does."""
    path, place = os.path.abspath(path), os.path.abspath(folder)
    for part in os.path.relpath(path, place).split(os.sep):
        place = os.path.join(place, part)
        if os.path.islink(place) and leads_out(place, folder):
            return place
    return path
