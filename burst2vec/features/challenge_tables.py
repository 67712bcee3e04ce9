"""The feature files that the ExVo challenge handed out: ``feats/<set>/``, CSV files, one for each clip or for many.

A line of names, which openXBOW leaves out, and a line of numbers for each clip, between them ``,`` or ``;``. Each set's
size is known, so what stands in front of the features, such as the clip's name or a time, is cut off by its place.
"""

import csv
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict
from tqdm.auto import tqdm

from ..data.corpora.inside import scan_inside
from ..errors import CorpusError, TableError
from .extraction import vector_features
from .vector_tables import FeatureTables

# Columns that say of what, and when, a vector is; of an index, pandas leaves the name empty.
IN_FRONT = ("", "id", "file_id", "name", "file", "filename", "frametime", "frameindex", "start", "end")
SIZES = {"compare": 6_373, "egemaps": 88, "deepspectrum": 4_096}  # of feats/<set>; of feats/openXBOW/<n> it is n
_ENDINGS = (".wav", ".webm", ".mp3", ".csv")  # of a clip's name in a file


def read_challenge_features(folder) -> FeatureTables:
    """Read the vectors of a folder of CSV files.

    A file of one line of numbers is called by its clip, ``00001.csv`` or ``[00001].csv``; in a file of several, the
    first column names each one's. All in memory: 4 bytes a value, 1.5 GB for ComParE of HUME-VB's 59,201 clips.

    Args:
        folder: ``feats/<set>``; its name is taken for the feature set's. Files that are not ``.csv`` are let be.

    Returns:
        The vectors in one split, "all", sorted by ``file_id``; features without names are called "0", "1" and so on.

    Raises:
        CorpusError: no such folder, no CSV files in it, two vectors of one clip, a link that leads out of the folder.
        TableError: a file without a line of finite numbers, whose names are not those of the first file, or that has
            another number of features than the set; names the file, the line, the column, the value.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; give the one that holds the challenge's <id>.csv files")
    with scan_inside(folder, folder) as entries:
        found = [entry.name for entry in entries if not entry.name.startswith(".")]
    paths = sorted(folder / name for name in found if name.lower().endswith(".csv"))
    if not paths:
        below = sorted(path.name for path in folder.iterdir() if path.is_dir())
        raise CorpusError(f"{folder}: holds no .csv file" + (f"; it has folders: {', '.join(below)}" if below else ""))
    names, rows = None, []
    for path in tqdm(paths, desc=f"Reading {folder.name}", unit=" files", mininterval=0.5):
        table = _read_file(path, known_size(folder))
        names = names or table.names
        if table.names != names:
            raise _other_names(path, table.names, paths[0], names)
        rows.append((path, table.clips, list(table.vectors)))
    vector_of = _by_clip(rows)
    file_ids = sorted(vector_of)
    vectors = np.empty((len(file_ids), len(names)), np.float32)
    for row, file_id in enumerate(file_ids):
        vectors[row] = vector_of.pop(file_id)
    table = pa.table(
        {
            "file_id": pa.array(file_ids, pa.string()),
            "features": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), len(names)),
            "note": pa.array([""] * len(file_ids), pa.string()),
        }
    )
    splits = DatasetDict({"all": Dataset(table.cast(vector_features(len(names)).arrow_schema))})
    return FeatureTables(folder.name, names, {"challenge": folder.name}, splits)


def known_size(folder: Path) -> int | None:
    """How many features the challenge's set in a folder of that name has.

    >>> known_size(Path("feats/eGeMAPS")), known_size(Path("feats/openXBOW/500")), known_size(Path("feats/mine"))
    (88, 500, None)
    """
    if folder.parent.name.lower() == "openxbow" and folder.name.isdecimal():
        return int(folder.name)
    return SIZES.get(folder.name.lower())


def _by_clip(rows: list[tuple[Path, list[str], list[np.ndarray]]]) -> dict[str, np.ndarray]:
    of_several = any(len(vectors) > 1 for _, _, vectors in rows)
    vector_of: dict[str, np.ndarray] = {}
    path_of: dict[str, Path] = {}
    for path, clips, vectors in rows:
        for clip, vector in zip(clips, vectors, strict=True):
            file_id = clip if of_several and clip else clip_of(path.stem)
            if file_id in vector_of:
                where = f"{path_of[file_id]} and {path} are" if path_of[file_id] != path else f"{path}: two rows are"
                raise CorpusError(f"{where} both of the clip {file_id}; keep one of them")
            vector_of[file_id], path_of[file_id] = vector, path
    return vector_of


def clip_of(name: str) -> str:
    """The clip that a field or a file's name means.

    >>> clip_of("[00001]"), clip_of("'wav/00001.wav'"), clip_of("00001")
    ('00001', '00001', '00001')
    """
    name = name.strip().strip("'\"").replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    name = stem if dot + ending.lower() in _ENDINGS else name
    return name[1:-1] if name[:1] == "[" and name[-1:] == "]" else name


class _File(NamedTuple):
    names: tuple[str, ...]
    clips: list[str]  # that the first column names, "" without one
    vectors: list[np.ndarray]


def _read_file(path: Path, size: int | None) -> _File:
    lines = _lines(path)
    head = list(itertools.islice(lines, 3))
    first = head[0][1] if head else []
    front, has_names = _cut(path, [fields for _, fields in head], size)
    names = tuple(first[front:]) if has_names else tuple(map(str, range(len(first) - front)))
    if not names:
        raise TableError(f"{path}, line 1: no names of features; found: {', '.join(first) or 'nothing'}")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise TableError(f"{path}, line 1: column {twice[0]!r} stands there {names.count(twice[0])} times")
    clips, vectors = [], []
    for line, fields in itertools.chain(head[has_names:], lines):
        if len(fields) != len(first):
            above = "the header" if has_names else "line 1"
            raise TableError(f"{path}, line {line}: {len(fields)} fields where {above} has {len(first)}")
        clips.append(clip_of(fields[0]) if front else "")
        vectors.append(_numbers(path, line, names, fields[front:]))
    if not vectors or (len(vectors) > 1 and not all(clips)):
        unnamed = ", and no column in front that names the clip of each" if vectors else ""
        raise TableError(f"{path}: {len(vectors)} rows below its header{unnamed}; a clip has one")
    return _File(names, clips, vectors)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty, each with its number."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            separator = ";" if first.count(";") > first.count(",") else ","
            reader = csv.reader(itertools.chain([first], file), delimiter=separator, strict=True)
            for fields in reader:
                if fields:
                    yield reader.line_num, fields
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise TableError(f"{path}: not well-formed CSV ({error})") from error
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error


def _cut(path: Path, head: list[list[str]], size: int | None) -> tuple[int, bool]:
    """How many columns stand in front of the features, and whether the first line names them."""
    first = head[0] if head else []
    named = len(list(itertools.takewhile(lambda name: name.strip().lower() in IN_FRONT, first)))
    if size is not None:
        front = len(first) - size
        if front != named and (named, front) != (0, 1):  # one column that is called something else is a clip's name too
            behind = f" behind {', '.join(first[:named])}" if named else ""
            raise TableError(
                f"{path}, line 1: {len(first) - named:,} features{behind}, where {path.parent.name} has {size:,}"
            )
        return front, _are_names(first[front:])
    has_names = _are_names(first[named or 1 :] or first)
    if named:
        return named, has_names
    rows = [fields[0] for fields in head[has_names:]]
    return int(bool(rows) and all(_is_clip(row, path) for row in rows)), has_names


def _is_clip(field: str, path: Path) -> bool:
    """Whether a field names a clip: the file's own, or one in brackets or quotes or with an ending."""
    return not _is_number(field) and clip_of(field) != field.strip() or clip_of(field) == clip_of(path.stem)


def _are_names(fields: list[str]) -> bool:
    """Whether a first line is no clip's: it has words for the most part, or counts the columns."""
    words = sum(not _is_number(field) for field in fields)
    return 2 * words >= len(fields) or fields == list(map(str, range(len(fields))))


def _numbers(path: Path, line: int, names: tuple[str, ...], fields: list[str]) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            vector = np.array(fields, dtype=np.float64).astype(np.float32)
    except ValueError:
        vector = np.full(len(fields), np.nan, np.float32)
    if not np.isfinite(vector).all():
        name, field = next(pair for pair in zip(names, fields, strict=True) if not _is_number(pair[1]))
        raise TableError(f"{path}, line {line}, column {name}: {field!r} is not a finite number of 32 bits")
    return vector


def _is_number(field: str) -> bool:
    try:
        return abs(float(field)) <= float(np.finfo(np.float32).max)
    except ValueError:
        return False


def _other_names(path: Path, found: tuple, first: Path, names: tuple) -> TableError:
    if len(found) != len(names):
        return TableError(f"{path}, line 1: {len(found)} features, where {first} has {len(names)}")
    place = next(place for place, (one, other) in enumerate(zip(found, names, strict=True)) if one != other)
    return TableError(
        f"{path}, line 1: feature {place + 1} is {json.dumps(found[place])}, where {os.fspath(first)} has "
        f"{json.dumps(names[place])}"
    )
