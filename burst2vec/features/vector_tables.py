"""Tables of vectors on disk: Parquet, every file written whole or not at all, resumed after a kill.

FOLDER/compare/
  features.json                   what the vectors are, of which clips, and their names
  train-00000-of-00020.parquet    file_id, features, note: a thousand clips

A set that is fitted on the training clips has what it learnt beside them.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet
import xxhash
from datasets import Dataset, DatasetDict

from ..data.clips import file_states
from ..data.corpora.inside import refuse_links_out
from ..data.vectors import vectors_of
from ..errors import CorpusError
from ..files import DRAFT, draft_of, remove_drafts, write_whole
from .extraction import extract_features, find_feature_set, fit_feature_set, fitted_file, folder_name, vector_features

HEADING = "features.json"
CLIPS_PER_FILE = 1_000  # 25 MB of ComParE; what a kill can cost
_KEYS = {"feature_set", "made_by", "clips_per_file", "splits", "names"}  # of the heading


@dataclass(frozen=True)
class FeatureTables:
    """Vectors of clips.

    Attributes:
        feature_set: their name, as ``folder_name`` gives it: of an embedding not the checkpoint's place.
        names: of the features, in the vectors' order.
        made_by: what decides the values: versions and settings.
        splits: for each split ``file_id``, ``features`` (float32, shape (features,)) and ``note``.
    """

    feature_set: str
    names: tuple[str, ...]
    made_by: dict
    splits: DatasetDict


@dataclass(frozen=True)
class WrittenFeatures:
    """What ``write_features`` did.

    Attributes:
        folder: of the tables, for ``read_features``.
        made: clips whose vectors were computed now.
        kept: clips whose vectors were there.
        notes: what was mended, and of how many clips, those from before too.
        seconds: what it took.
    """

    folder: Path
    made: int
    kept: int
    notes: dict[str, int]
    seconds: float


def write_features(
    corpus: Mapping[str, Dataset], feature_set: str, folder, num_proc: int | None = None
) -> WrittenFeatures:
    """Compute the vectors of every clip of a corpus and write them to ``folder/<feature_set>/``.

    What the folder is called says ``folder_name``. A set that is fitted learns from the corpus's ``train`` first.

    A run that was killed is resumed by the same call: finished files, of a thousand clips each, stay as they are.
    A split can be added to a folder later. One run at a time writes into a folder. Memory does not grow with the
    corpus.

    Args:
        corpus: for each split a dataset with ``file_id`` and ``audio`` (not decoded), of clips that can be read: see
            ``check_clips``.
        feature_set: a name, as ``find_feature_set`` takes it.
        folder: new, or written before.
        num_proc: processes; by default as many as there are cores.

    Raises:
        CorpusError: the folder holds something else: another version of the vectors, or those of other clips under the
            name of one of these splits; a clip twice in a split; an unknown feature set; a clip that has no vector; a
            set that is to be fitted, without a split ``train``.
        AudioError, WaveformError: a clip that cannot be read; names it.
        MissingPackageError: openSMILE is not installed.
    """
    started = time.monotonic()
    called = folder_name(feature_set)
    target = Path(folder).expanduser() / called
    learnt = _fit(feature_set, corpus, target)
    made = find_feature_set(feature_set, learnt)
    heading = {
        "feature_set": called,
        "made_by": made.made_by(),
        "clips_per_file": CLIPS_PER_FILE,
        "splits": {
            split: {"clips": len(clips), "fingerprint": _clips_fingerprint(clips, split)}
            for split, clips in corpus.items()
        },
        "names": list(made.names()),
    }
    heading["splits"] = _known_splits(target, heading, fitted_file(feature_set)) | heading["splits"]
    target.mkdir(parents=True, exist_ok=True)
    remove_drafts(target)  # of a run that was killed
    write_whole(target / HEADING, json.dumps(heading, indent=1) + "\n")
    written, notes = 0, Counter()
    for split, clips in corpus.items():
        for path, rows in _files(target, split, len(clips), CLIPS_PER_FILE).items():
            if not _is_whole(path, len(rows)):
                what = f"{called}, {split}, clips {rows.start + 1:,} to {rows.stop:,} of {len(clips):,}"
                vectors = extract_features(clips.select(rows), feature_set, num_proc, what, True, learnt)
                _write_file(vectors, made.size, path)
                written += len(rows)
            mended = pc.value_counts(parquet.read_table(path, columns=["note"])["note"])
            notes.update({count["values"]: count["counts"] for count in mended.to_pylist() if count["values"]})
    kept = sum(map(len, corpus.values())) - written
    return WrittenFeatures(target, written, kept, dict(notes), time.monotonic() - started)


def read_features(folder, cache_dir=None) -> FeatureTables:
    """Read what ``write_features`` wrote; the vectors stay on disk, mapped into memory.

    Args:
        folder: of one feature set: that in which ``features.json`` lies.
        cache_dir: of the datasets library, which keeps a copy there.

    Raises:
        CorpusError: no such tables, or unfinished ones, or links that lead out of the folder; names the folder and what
            is missing.
    """
    folder = Path(folder).expanduser()
    heading = _read_heading(folder)
    if heading is None:
        below = sorted(path.parent.name for path in folder.glob(f"*/{HEADING}"))
        advice = f"; give one of {', '.join(str(folder / name) for name in below)}" if below else ""
        raise CorpusError(f"{folder}: holds no {HEADING}, so no feature tables{advice}")
    features = vector_features(len(heading["names"]))
    splits = DatasetDict()
    for split, about in heading["splits"].items():
        files = _files(folder, split, about["clips"], heading["clips_per_file"])
        missing = [
            path.name for path, rows in files.items() if not _is_whole(refuse_links_out(path, folder), len(rows))
        ]
        if missing:
            raise CorpusError(
                f"{folder}: {len(missing)} of {len(files)} files of {split} are missing or not whole, such as "
                f"{missing[0]}; the call or command that began them resumes it"
            )
        if files:
            splits[split] = Dataset.from_parquet(list(map(str, files)), features=features, cache_dir=cache_dir)
        else:
            splits[split] = Dataset(pa.Table.from_pylist([], schema=features.arrow_schema))
    return FeatureTables(heading["feature_set"], tuple(heading["names"]), heading["made_by"], splits)


def _fit(feature_set: str, corpus: Mapping[str, Dataset], target: Path) -> Path | None:
    """The folder of what the set has learnt, now or for the tables that are there; None where it learns nothing."""
    file = fitted_file(feature_set)
    if file is None:
        return None
    begun = _read_heading(target) is not None
    if not begun:
        _refuse_other_files(target, file)
    if not begun or not (target / file).is_file():  # without tables the clips that it learnt from are unknown
        if "train" not in corpus:
            raise CorpusError(
                f"{feature_set} learns from training clips, and the corpus has no split train, only "
                f"{', '.join(corpus) or 'nothing'}; write the training clips' features first, into the same folder"
            )
        fit_feature_set(feature_set, corpus["train"], target)
    return target


def _refuse_other_files(target: Path, file: str | None) -> None:
    if target.exists() and (not target.is_dir() or any(path.name != file for path in _not_drafts(target))):
        raise CorpusError(f"{target}: is there, and holds no {HEADING}; give a new folder to write features into")


def _known_splits(target: Path, heading: dict, learnt: str | None) -> dict:
    """The splits that the folder has already, if it is one to resume."""
    before = _read_heading(target)
    if before is None:
        _refuse_other_files(target, learnt)
        return {}
    advice = "give a new folder, or delete this one"
    for key in ("feature_set", "made_by", "clips_per_file", "names"):
        if before[key] != heading[key]:
            was, now = ("others", "these") if key == "names" else (before[key], heading[key])
            raise CorpusError(f"{target}: its features have {key} {was}, this run would have {now}; {advice}")
    for split, about in heading["splits"].items():
        known = before["splits"].get(split, about)
        if known != about:
            raise CorpusError(
                f"{target}: its features of {split} are of {known['clips']:,} other clips than these "
                f"{about['clips']:,}, or their files have changed since; {advice}"
            )
    return before["splits"]


def _not_drafts(target: Path):
    return (path for path in target.iterdir() if not path.name.startswith(DRAFT))


def _read_heading(folder: Path) -> dict | None:
    path = refuse_links_out(folder / HEADING, folder)
    if not path.is_file():
        return None
    try:
        heading = json.loads(path.read_text(encoding="utf-8"))
        counts = [about["clips"] for about in heading["splits"].values() if about["fingerprint"]]
        if set(heading) == _KEYS and all(isinstance(count, int) for count in counts):
            return heading
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path}: is not what write_features writes ({error!r}); give a new folder") from error
    raise CorpusError(f"{path}: is not what write_features writes; give a new folder")


def _files(target: Path, split: str, clips: int, clips_per_file: int) -> dict[Path, range]:
    """Each file, and the rows of the split that it holds."""
    files = math.ceil(clips / clips_per_file)
    return {
        target / f"{split}-{number:05d}-of-{files:05d}.parquet": range(start, min(start + clips_per_file, clips))
        for number, start in enumerate(range(0, clips, clips_per_file))
    }


def _is_whole(path: Path, rows: int) -> bool:
    try:
        return parquet.read_metadata(path).num_rows == rows
    except (OSError, pa.ArrowInvalid):  # absent, or cut off by a power failure
        return False


def _write_file(vectors: Dataset, size: int, path: Path) -> None:
    table = vectors.with_format("arrow")[:].cast(vector_features(size).arrow_schema)
    with draft_of(path) as draft:
        parquet.write_table(table, draft, use_dictionary=False, compression="zstd")


def _clips_fingerprint(clips: Dataset, split: str) -> str:
    """A hash of the clips' names, and of each one's bytes, or its file's size and date; where the corpus lies is none
    of it, nor how it was read."""
    names = xxhash.xxh3_128()
    seen = set()
    for rows in clips.select_columns(["file_id", "audio"]).with_format("arrow").iter(256):
        for file_id in rows["file_id"].to_pylist():
            if file_id in seen:
                raise CorpusError(f"{split}: the clip {file_id!r} is there twice; vectors are found by their file_id")
            seen.add(file_id)
            names.update(json.dumps(file_id).encode() + b"\n")
        for content in rows["audio"].combine_chunks().field("bytes"):
            names.update(content.as_buffer() if content.is_valid else b"-")
    return f"{names.hexdigest()}-{file_states(clips)}"


def look_up(tables: FeatureTables, split: str, file_ids: Sequence[str], where) -> np.ndarray:
    """The vectors of clips in tables that may hold many more, in whatever split.

    Args:
        tables: of one feature set.
        split: of these clips; of two vectors by one name, the one of this split is theirs.
        file_ids: of the clips.
        where: the folder of the tables, for the error.

    Returns:
        float32 (clips, features), in the order of ``file_ids``.

    Raises:
        CorpusError: a clip has no vector; names it and the folder.
    """
    places = {}
    for name in sorted(tables.splits, key=lambda name: name == split):  # its own split last, so that it stands
        places.update((file_id, (name, row)) for row, file_id in enumerate(tables.splits[name]["file_id"][:]))
    missing = [file_id for file_id in file_ids if file_id not in places]
    if missing:
        raise CorpusError(
            f"{where}: holds no vector of {len(missing):,} of the {len(file_ids):,} clips of {split}, the first is "
            f"{missing[0]!r}; the tables are of other clips, or of clips under other names"
        )
    vectors = np.empty((len(file_ids), len(tables.names)), np.float32)
    for name, of_split in tables.splits.items():
        wanted = np.array([place for place, file_id in enumerate(file_ids) if places[file_id][0] == name], np.int64)
        if len(wanted):
            rows = [places[file_ids[place]][1] for place in wanted]
            vectors[wanted] = vectors_of(of_split.select(rows), "features")
    return vectors
