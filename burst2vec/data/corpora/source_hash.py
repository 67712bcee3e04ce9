"""What a corpus on disk holds, in one short text: it keys the cache, so that a changed corpus is read anew."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from .inside import refuse_links_out, scan_inside


def corpus_fingerprint(folder: Path, tables: Iterable[Path], audio_folders: Iterable[Path]) -> str:
    """A hash of the tables' paths and bytes, and of each audio folder's path and its files' names and sizes.

    Args:
        folder: of the corpus, which holds them all.
        tables: files; one that is not there counts as such.
        audio_folders: folders, not searched further down; one that is not there is passed over.

    Returns:
        32 hexadecimal digits.

    Raises:
        CorpusError: one of them lies elsewhere, behind a link. It is asked here because what is read from the cache
            has been read before, and links may have come since.
    """
    digest = hashlib.sha256()
    for table in sorted(tables):
        content = refuse_links_out(table, folder).read_bytes() if table.is_file() else b""
        digest.update(json.dumps([str(table), len(content)]).encode())
        digest.update(content)
    for audio_folder in sorted(audio_folders):
        if audio_folder.is_dir():
            with scan_inside(audio_folder, folder) as entries:
                files = sorted((entry.name, entry.stat().st_size) for entry in entries if entry.is_file())
            digest.update(json.dumps([str(audio_folder), files]).encode())
    return digest.hexdigest()[:32]
