"""What a corpus on disk holds, in one short text: it keys the cache, so that a changed corpus is read anew."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path


def corpus_fingerprint(tables: Iterable[Path], audio_folders: Iterable[Path]) -> str:
    """A hash of the tables' paths and bytes, and of each audio folder's path and its files' names and sizes.

    Args:
        tables: files; one that is not there counts as such.
        audio_folders: folders, not searched further down; one that is not there is passed over.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for table in sorted(tables):
        content = table.read_bytes() if table.is_file() else b""
        digest.update(json.dumps([str(table), len(content)]).encode())
        digest.update(content)
    for folder in sorted(audio_folders):
        if folder.is_dir():
            with os.scandir(folder) as entries:
                files = sorted((entry.name, entry.stat().st_size) for entry in entries if entry.is_file())
            digest.update(json.dumps([str(folder), files]).encode())
    return digest.hexdigest()[:32]
