"""A folder of your own bursts, with whatever labels you have.

    folder/metadata.csv                      a line per clip: its file and what is known of it; see ``label_columns``
    folder/001.wav, folder/any/place/2.mp3   and the clips

or, without a table, clips in sub-folders that name their class, with or without folders of splits above them:

    folder/laugh/001.wav
    folder/train/laugh/001.wav
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import datasets
import pyarrow as pa

from ...errors import CorpusError, TableError
from ...losses import LOSSES
from ...tasks import METRICS, Task, resolve_tasks
from .audio_files import AudioFiles, has_ending, plain_path, shown, without_ending
from .columns import burst_features, burst_table, parts_of
from .inside import leads_out, refuse_links_out
from .label_columns import RESERVED, TableColumns, choose_columns
from .label_tables import Lost, Row, read_table
from .record import SHARED_SPEAKERS_HELP, SPLITS_HELP, Corpus, given_settings, setting, settings
from .splits import SPELLINGS, SPLITS, SpeakersSeen, speaker_key, split_speakers
from .sub_folders import guess_task, lost_files, rows_of_sub_folders

logger = logging.getLogger(__name__)

TABLE = "metadata.csv"


@settings
class FolderSettings:
    """What a folder of your own bursts can be asked for."""

    tasks: str | list | tuple | None = setting(
        None,
        "Whose labels to read, a preset's name or a list of tasks; an empty list reads clips, speakers and splits.",
        of_run=True,
    )
    table: str | None = setting(
        None,
        "The table of labels, a path in data_dir; by default metadata.csv, else the only .csv there. Without any, each "
        "clip's sub-folder names its class.",
        filled=True,
    )
    columns: dict | None = setting(
        None,
        "Which column is what, where the table does not use the usual names: file, speaker, split, and each task or "
        "label.",
        example="{file: filename, speaker: who}",
    )
    splits: dict | None = setting(None, SPLITS_HELP, example="{train: 0.8, test: 0.2}")
    allow_shared_speakers: bool = setting(False, SHARED_SPEAKERS_HELP)
    for_prediction: bool = setting(
        False,
        "Nothing learns from the clips: labels and their columns may be missing, and where nothing says otherwise "
        "every clip is in test.",
        of_run=True,
    )


@dataclass
class FolderConfig(datasets.BuilderConfig, FolderSettings):
    """The settings, their tasks as plain records, and ``fingerprint`` of the folder's content."""

    fingerprint: str = ""


class Folder(datasets.ArrowBasedBuilder):
    """Reads the folder ``data_dir``; one row per clip, in the order of the table, or sorted by path."""

    VERSION = datasets.Version("1.1.0")  # raise it when the same files are read to other rows: it keys the cache
    BUILDER_CONFIG_CLASS = FolderConfig

    def _info(self):
        return datasets.DatasetInfo(features=burst_features(tasks_or_none(self.config.tasks)))

    def _split_generators(self, dl_manager):
        asked = {entry.name: getattr(self.config, entry.name) for entry in fields(FolderSettings)}
        rows = read_folder(self.config.data_dir, **{**asked, "tasks": tasks_or_none(self.config.tasks)})
        clips = {split: burst_table(rows[split], self.info.features) for split in rows}
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"clips": table, "parts": parts_of(len(table))})
            for split, table in clips.items()
        ]

    def _generate_tables(self, clips: pa.Table, parts: list[range]):
        for part in parts:
            yield part.start, clips.slice(part.start, len(part))


def folder_config(folder, tasks, table=None, **settings) -> dict:
    """The keyword arguments of ``Folder`` for a folder as it is now; the settings are those of ``read_folder``.

    Of the tasks only what decides the rows: another loss or weight finds what was read before.
    """
    path = find_table(folder, table)
    state = hashlib.sha256(b"" if path is None else path.read_bytes())
    files = AudioFiles(folder)  # and links, of which a row without a file may meanwhile name one
    state.update(json.dumps([list(files.sizes.items()), files.links, files.others]).encode())
    records = [
        Task(task.name, task.kind, task.labels, task.unit, task.span, [*LOSSES[task.kind]][0], METRICS[task.kind][0])
        for task in tasks_or_none(tasks)
    ]
    return {
        "fingerprint": state.hexdigest()[:32],
        "tasks": [task.to_dict() for task in records],
        "table": None if table is None else os.fspath(table),
        **settings,
    }


def tasks_or_none(tasks) -> tuple[Task, ...]:
    """The tasks' records; an empty list is none: clips, speakers and splits are read, and no labels.

    >>> tasks_or_none([])
    ()
    """
    return resolve_tasks(tasks) if len(tasks) else ()


def read_folder(
    folder,
    tasks,
    table=None,
    columns: dict | None = None,
    splits: dict | None = None,
    allow_shared_speakers: bool = False,
    for_prediction: bool = False,
) -> dict[str, list[dict]]:
    """The rows of each split that there is, checked.

    A clip whose audio is not there keeps its row, with the path where it should be: whether clips can be decoded is
    ``check_clips``' business. What is missing (labels, speakers, files) is counted in the log.

    Args:
        folder: what holds the clips and the table.
        tasks: whose labels to read, as ``resolve_tasks`` takes them; an empty list reads none.
        table: the table's path below the folder; by default ``metadata.csv``, else the only ``.csv`` there.
        columns: which column is what, where the table does not use the usual names; see ``choose_columns``.
        splits: where no column says it, see ``split_speakers``. Where a clip has no speaker, each clip counts as a
            speaker of its own, in an order that a hash of its name decides: one voice may then be in two splits.
        allow_shared_speakers: let a speaker be in two splits, with a warning. Names that differ in capitals, blanks or
            the width of letters alone count as one speaker's.
        for_prediction: nothing learns from the clips. Columns of labels and splits may be missing, also such as
            ``columns`` names, and so may folders of classes; where nothing says otherwise, every clip is in "test".

    Raises:
        CorpusError: no table and no classes of sub-folders, several tables and none named, no audio file at all, names
            that are reserved, splits that cannot be made.
        TableError: a column that is not there, a file that is no path below the folder, named twice or found twice, a
            label that is none, an unknown split, a speaker in two splits. The file, line, column and value are named.
    """
    tasks = tasks_or_none(tasks)
    if reserved := [task.name for task in tasks if task.name in RESERVED]:
        raise CorpusError(f"task {reserved[0]!r}: the names {', '.join(RESERVED)} are taken; call the task otherwise")
    files = AudioFiles(folder)
    path = find_table(folder, table)
    if path is None:
        if columns:
            raise CorpusError(f"{files.folder}: columns are given, and there is no table; put a {TABLE} there")
        rows = list(rows_of_sub_folders(files, tasks, for_prediction))
        if lost := lost_files(files):
            logger.warning("%s: %d files are left out, such as %s: %s", folder, len(lost), lost[0].name, lost[0].detail)
        if odd := [shown(path) for path in files.others if shown(path) != path]:
            logger.warning("%s: %d names are no UTF-8 text, such as %s; rename the files", folder, len(odd), odd[0])
    else:
        choose = partial(choose_columns, tasks=tasks, columns=columns, for_prediction=for_prediction)
        rows = _rows_of_table(files, path, tasks, choose, splits, allow_shared_speakers)
    if rows[0]["split"] is None and splits is None and for_prediction:
        in_split = ["test"] * len(rows)
    elif rows[0]["split"] is None:
        in_split = _split_of_each(rows, splits, path or files.folder)
    elif splits is None:
        in_split = [row["split"] for row in rows]
    else:
        raise CorpusError(f"splits: {files.folder} has folders of splits, {SPLITS[0]} and so on; leave splits out")
    read = {split: [] for split in SPLITS}
    for row, split in zip(rows, in_split, strict=True):
        del row["split"]
        if split is not None:
            read[split].append(row)
    return {split: rows for split, rows in read.items() if rows}


def find_table(folder, table=None) -> Path | None:
    """The table of a folder; None where it has none.

    Raises:
        CorpusError: the table is not there or not below the folder, or several could be meant.
    """
    folder = Path(folder).resolve()
    there = sorted(path.name for path in folder.glob("*.csv") if path.is_file())
    found = f"the folder has {', '.join(there) or 'no .csv file'}"
    if table is not None:
        name = plain_path(os.fspath(table))
        if name is None or leads_out(folder / name, folder):
            raise CorpusError(f"table {os.fspath(table)!r}: give its path below {folder}; {found}")
        if not (folder / name).is_file():
            raise CorpusError(f"{folder / name}: no such table; {found}")
        return folder / name
    if TABLE in there or len(there) == 1:
        return refuse_links_out(folder / (TABLE if TABLE in there else there[0]), folder)
    if there:
        raise CorpusError(f"{folder}: which table? {found}; name one with table={there[0]!r}, or call it {TABLE}")
    return None


def guess_tasks(folder, table=None) -> tuple[Task, ...]:
    """What can be said of a folder's labels without being told: sub-folders name classes; of a table, nothing."""
    return () if find_table(folder, table) else guess_task(AudioFiles(folder))


def lost_in_folder(folder, tasks, table=None, **settings) -> list[Lost]:
    """The files below a folder that are in none of its rows: of no clip's ending, or named in no line of the table."""
    files = AudioFiles(folder)
    if find_table(folder, table) is None:
        return lost_files(files)
    rows = [row for split in read_folder(folder, tasks, table, **settings).values() for row in split]
    read = {row["audio"]["path"] for row in rows}
    why = f"stands in no row of {find_table(folder, table).name}, or in one of no split that is made"
    return [Lost("", path, "not read", why) for path in files.sizes if f"{files.folder}/{path}" not in read]


def _rows_of_table(
    files: AudioFiles, path: Path, tasks: Sequence[Task], choose: Callable, splits, allow_shared_speakers: bool
) -> list[dict]:
    rows: list[dict] = []
    chosen: TableColumns | None = None
    line_of: dict[tuple, int] = {}
    seen, missing = SpeakersSeen(), []
    for row in read_table(path, ()):
        if chosen is None:
            chosen = choose(row)
            if chosen.split and splits is not None:
                raise TableError(
                    f"{path}, line 1: splits are given, and column {chosen.split!r} has them too; leave splits out, or "
                    "let the column be with columns={'split': None}"
                )
        file_id, audio, is_there = _locate(files, row, chosen.file)
        for key in (("id", file_id), ("path", audio)):
            if line_of.setdefault(key, row.line) != row.line:
                raise row.error(chosen.file, f"new: line {line_of[key]} has it already")
        if not is_there:
            missing.append(audio)
        split = _split_named(row, chosen.split) if chosen.split else None
        speaker = row.fields[chosen.speaker].strip() if chosen.speaker else ""
        fault = seen.see(speaker, split) if speaker and split else None
        if fault and not allow_shared_speakers:
            advice = "let it with allow_shared_speakers=True, which makes scores too good"
            raise row.error(chosen.speaker, f"{fault}; {advice}")
        labels = chosen.read_labels(row, tasks)
        audio = {"bytes": None, "path": f"{files.folder}/{audio}"}
        rows.append({"file_id": file_id, "audio": audio, "speaker": speaker, **labels, "split": split})
    if len(missing) == len(rows):
        raise CorpusError(
            f"{path}: none of its {len(rows)} files is there; the first is looked for as {files.folder / missing[0]}; "
            f"{len(files.sizes)} audio files are below the folder"
        )
    if missing:
        logger.warning("%s: %d of %d files are not there, first %s", path, len(missing), len(rows), missing[0])
    if seen.shared:
        logger.warning(
            "%s: %d of %d speakers are in two splits or more, which makes scores too good",
            path,
            len(seen.shared),
            len(seen),
        )
    _count_labels(path, rows, tasks, chosen)
    return rows


def _locate(files: AudioFiles, row: Row, column: str) -> tuple[str, str, bool]:
    """The clip's id, its path below the folder, and whether there is such a file."""
    name = plain_path(row.fields[column])
    if name is None:
        raise row.error(column, f"a path below {files.folder}, its parts joined by / and none of them hidden")
    try:
        found = files.meant_by(name)
        if not found:
            refuse_links_out(files.folder / name, files.folder)
    except CorpusError as error:
        raise row.error(column, f"a file below the folder: {error}") from error
    if len(found) > 1:
        raise row.error(column, f"one file: there are {' and '.join(found)}; write which")
    if found:
        return without_ending(name), found[0], True
    elsewhere = (files.folder / name).is_file()  # under an ending of no audio file that we know
    return without_ending(name), name if elsewhere or has_ending(name) else f"{name}.wav", elsewhere


def _split_named(row: Row, column: str) -> str:
    split = SPELLINGS.get(row.fields[column].lower())
    if split is None:
        raise row.error(column, f"one of {', '.join(SPELLINGS)}")
    return split


def _count_labels(path: Path, rows: list[dict], tasks: Sequence[Task], chosen: TableColumns) -> None:
    for task in tasks:
        columns = chosen.labels[task.name]
        if not columns:
            logger.warning("%s: no column for the task %s: no clip has its label", path, task.name)
            continue
        if task.kind == "regression" and (absent := [label for label in task.labels if label not in columns]):
            logger.warning("%s: task %s: no column for %s: no clip has it", path, task.name, ", ".join(absent))
        if task.kind == "classification":
            empty = sum(row[task.name] < 0 for row in rows)
        else:  # NaN is not itself
            values = [row[task.name] if len(task.labels) > 1 else [row[task.name]] for row in rows]
            empty = sum(all(value != value for value in labels) for labels in values)
        if empty:
            logger.warning("%s: %d of %d clips have no label of the task %s", path, empty, len(rows), task.name)


def _split_of_each(rows: list[dict], splits: dict | None, where) -> list[str | None]:
    """The split of each row: speakers are shared out, or, where they are not known, clips."""
    unknown = sum(not row["speaker"] for row in rows)
    if unknown:
        logger.warning(
            "%s: %d of %d clips have no speaker: each counts as a speaker of its own, so one voice may be in two "
            "splits and scores too good; name the speakers in a column, with columns={'speaker': …}",
            where,
            unknown,
            len(rows),
        )
    spelling: dict[str, str] = {}  # the first of each speaker
    units = [
        spelling.setdefault(speaker_key(row["speaker"]), row["speaker"]) if row["speaker"] else row["file_id"]
        for row in rows
    ]
    # Sorted by name, clips that one did not know apart would go by class or by recording; so by their names' hashes.
    chosen = split_speakers(units, splits, order=_scattered if unknown else None)
    split_of = {unit: split for split, chosen_units in chosen.items() for unit in chosen_units}
    return [split_of.get(unit) for unit in units]


def _scattered(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _builder(folder: Path, asked: FolderSettings, cache_dir) -> Folder:
    return Folder(data_dir=str(folder), cache_dir=cache_dir, **folder_config(folder, **_given(asked)))


def _given(asked: FolderSettings) -> dict:
    return {**given_settings(asked), "tasks": _tasks(asked)}


def _tasks(asked: FolderSettings) -> tuple[Task, ...]:
    if asked.tasks is None:
        raise CorpusError(
            "a folder does not say what its labels are: give tasks, such as load_bursts('folder', data_dir=…, "
            "tasks='exvo') or a list of burst2vec.Task"
        )
    return tasks_or_none(asked.tasks)


CORPUS = Corpus(
    name="folder",
    settings=FolderSettings,
    builder=_builder,
    tasks=_tasks,
    how_to_get="A corpus of your own is a folder of clips, with a metadata.csv of their labels: "
    "load_bursts('folder', data_dir='path/to/folder', tasks=…)",
    card="recordings of the author's own",
    licence="other",
    lost=lambda folder, asked: lost_in_folder(folder, **_given(asked)),
    guess_tasks=guess_tasks,
)
