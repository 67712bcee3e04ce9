"""The feature files that the ExVo challenge handed out: ``feats/<set>/<id>.csv``, one a clip, as openSMILE writes them.

A line of names and a line of numbers, between them ``,`` or ``;``, in front perhaps ``name`` and ``frameTime``.
"""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict
from tqdm.auto import tqdm

from ..corpora import CorpusError, TableError
from ..corpora.inside import scan_inside
from .extraction import vector_features
from .tables import FeatureTables

IN_FRONT = ("name", "file", "filename", "frameTime", "frameIndex", "start", "end")  # of the clip, not heard in it


def read_challenge_features(folder) -> FeatureTables:
    """Read the vectors of a folder of CSV files, each called by its clip: ``00001.csv`` or ``[00001].csv``.

    All in memory: 4 bytes a value, 1.5 GB for ComParE of HUME-VB's 59,201 clips.

    Args:
        folder: ``feats/<set>``; its name is taken for the feature set's. Files that are not ``.csv`` are let be.

    Returns:
        The vectors in one split, "all", sorted by ``file_id``.

    Raises:
        CorpusError: no such folder, no CSV files in it, two of one clip, a link that leads out of the folder.
        TableError: a file that is not one header and one row of as many finite numbers, or whose names are not those of
            the first file; names the file, the column, the value.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; give the one that holds the challenge's <id>.csv files")
    with scan_inside(folder, folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    paths = sorted(folder / name for name in names if name.lower().endswith(".csv"))
    if not paths:
        below = sorted(path.name for path in folder.iterdir() if path.is_dir())
        raise CorpusError(f"{folder}: holds no .csv file" + (f"; it has folders: {', '.join(below)}" if below else ""))
    path_of = {}
    for path in paths:
        file_id = path.stem[1:-1] if path.stem.startswith("[") and path.stem.endswith("]") else path.stem
        if file_id in path_of:
            raise CorpusError(f"{path_of[file_id]} and {path} are both of the clip {file_id}; keep one of them")
        path_of[file_id] = path
    names, vectors = None, None
    file_ids = sorted(path_of)
    for row, file_id in enumerate(tqdm(file_ids, desc=f"Reading {folder.name}", unit=" clips", mininterval=0.5)):
        found, vector = _read_vector(path_of[file_id])
        if names is None:
            names, vectors = found, np.empty((len(file_ids), len(found)), np.float32)
        elif found != names:
            raise _other_names(path_of[file_id], found, path_of[file_ids[0]], names)
        vectors[row] = vector
    table = pa.table(
        {
            "file_id": pa.array(file_ids, pa.string()),
            "features": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), len(names)),
            "note": pa.array([""] * len(file_ids), pa.string()),
        }
    )
    splits = DatasetDict({"all": Dataset(table.cast(vector_features(len(names)).arrow_schema))})
    return FeatureTables(folder.name, names, {"challenge": folder.name}, splits)


def _read_vector(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            separator = ";" if first.count(";") > first.count(",") else ","
            header = next(csv.reader([first], delimiter=separator, strict=True), [])
            rows = [row for row in csv.reader(file, delimiter=separator, strict=True) if row]
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise TableError(f"{path}: not well-formed CSV ({error})") from error
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
    front = 0
    while front < len(header) and header[front] in IN_FRONT:
        front += 1
    names = tuple(header[front:])
    if not names:
        raise TableError(f"{path}, line 1: no names of features; found: {', '.join(header) or 'nothing'}")
    if len(set(header)) < len(header):
        twice = sorted({name for name in header if header.count(name) > 1})
        raise TableError(f"{path}, line 1: column {twice[0]!r} stands there {header.count(twice[0])} times")
    if len(rows) != 1:
        raise TableError(f"{path}: {len(rows)} rows below its header; a clip has one")
    if len(rows[0]) != len(header):
        raise TableError(f"{path}, line 2: {len(rows[0])} fields where the header has {len(header)}")
    return names, _numbers(path, names, rows[0][front:])


def _numbers(path: Path, names: tuple[str, ...], fields: list[str]) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            vector = np.array(fields, dtype=np.float64).astype(np.float32)
    except ValueError:
        vector = np.full(len(fields), np.nan, np.float32)
    if not np.isfinite(vector).all():
        name, field = next(pair for pair in zip(names, fields, strict=True) if not _is_number(pair[1]))
        raise TableError(f"{path}, line 2, column {name}: {field!r} is not a finite number of 32 bits")
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
