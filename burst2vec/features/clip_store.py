"""Vectors that were computed before, by clip: in whatever split or corpus a clip comes again, it is not computed again.

CACHE/burst2vec/features/compare-1f0c2b…/    of one feature set, its version and its settings
    3be1….parquet                            clip, features, note: up to a thousand clips, written whole

A clip is known by the digest of the bytes that it carries, or else by its file's place, size and date.
"""

import json
import logging
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import xxhash
from datasets import Dataset

from ..files import draft_of

logger = logging.getLogger(__name__)

CLIPS_PER_FILE = 1_000  # 25 MB of ComParE; what a kill can cost
_ROWS_AT_A_TIME = 256  # so that clips that carry their bytes are not all in memory at once


def clip_keys(clips: Dataset) -> list[bytes]:
    """16 bytes for each clip, the same wherever it comes, until its content or its file's size or date changes."""
    keys = []
    for rows in clips.select_columns("audio").with_format("arrow").iter(_ROWS_AT_A_TIME):
        audio = rows["audio"].combine_chunks()
        for content, path in zip(audio.field("bytes"), audio.field("path").to_pylist(), strict=True):
            keys.append(_key(content.as_buffer() if content.is_valid else _file_state(path)))
    return keys


def _key(content) -> bytes:
    return xxhash.xxh3_128_digest(content)


def _file_state(path: str | None) -> bytes:
    try:
        state = os.stat(path or "")
    except OSError:
        return f"{path} absent".encode("utf-8", "surrogateescape")
    place = os.path.abspath(path)
    return f"{place} {state.st_size} {state.st_mtime_ns}".encode("utf-8", "surrogateescape")


class ClipStore:
    """The vectors of one feature set.

    Several processes may add to it at once: each writes files of its own.

    Args:
        cache_dir: of the datasets library.
        name: what the set's folder is called.
        made_by: what decides its values, as ``FeatureSet`` has it.
        size: numbers in a vector.
    """

    def __init__(self, cache_dir: str | Path, name: str, made_by: dict, size: int):
        made = xxhash.xxh3_64_hexdigest(json.dumps([made_by, size], sort_keys=True).encode())
        self.folder = Path(cache_dir).expanduser() / "burst2vec" / "features" / f"{name}-{made}"
        self.size = size

    def vectors_of(
        self, keys: Sequence[bytes], compute: Callable[[list[int]], Dataset]
    ) -> tuple[np.ndarray, list[str]]:
        """The vectors of clips; those that are not there are computed, and kept, a thousand at a time.

        Args:
            keys: of the clips, as ``clip_keys`` gives them.
            compute: places among the keys → ``features`` and ``note`` of these clips, in that order.

        Returns:
            float32 (clips, size), and each clip's note, in the order of the keys.
        """
        places_of: dict[bytes, list[int]] = {}
        for place, key in enumerate(keys):
            places_of.setdefault(key, []).append(place)
        vectors, notes = np.empty((len(keys), self.size), np.float32), [""] * len(keys)

        def take(table: pa.Table) -> None:
            taken = [row for row, key in enumerate(table["clip"].to_pylist()) if key in places_of]
            rows = table.take(taken)
            values = rows["features"].combine_chunks().flatten().to_numpy().reshape(-1, self.size)
            for key, vector, note in zip(rows["clip"].to_pylist(), values, rows["note"].to_pylist(), strict=True):
                for place in places_of.pop(key, ()):
                    vectors[place], notes[place] = vector, note

        for path in sorted(self.folder.glob("*.parquet")):
            if places_of:
                self._read(path, take, places_of)
        missing = [places[0] for places in places_of.values()]
        for start in range(0, len(missing), CLIPS_PER_FILE):
            places = missing[start : start + CLIPS_PER_FILE]
            take(self._add([keys[place] for place in places], compute(places)))
        return vectors, notes

    def _read(self, path: Path, take: Callable[[pa.Table], None], wanted: dict) -> None:
        try:
            with parquet.ParquetFile(path, page_checksum_verification=True) as file:
                known = file.read(columns=["clip"])["clip"].to_pylist()
                if any(key in wanted for key in known):
                    take(file.read())
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:  # a disk's fault: it is computed again
            logger.warning("%s: is damaged and is removed: %s", path, error)
            path.unlink(missing_ok=True)

    def _add(self, keys: list[bytes], computed: Dataset) -> pa.Table:
        table = computed.select_columns(["features", "note"]).with_format("arrow")[:]
        table = table.add_column(0, "clip", pa.array(keys, pa.binary(16)))
        self.folder.mkdir(parents=True, exist_ok=True)
        with draft_of(self.folder / f"{uuid.uuid4().hex}.parquet") as draft:
            parquet.write_table(table, draft, use_dictionary=False, compression="zstd", write_page_checksum=True)
        return table
