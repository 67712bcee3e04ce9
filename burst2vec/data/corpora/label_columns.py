"""Which column of a user's table is what, and what its fields say: any subset of labels, under any names."""

import difflib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import TableError
from ...tasks import Task
from .label_tables import Row

logger = logging.getLogger(__name__)

FILE_COLUMNS = ("file_id", "file_name", "file", "path")  # the first that is there
SPEAKER_COLUMNS = ("speaker", "Subject_ID")
SPLIT_COLUMNS = ("split", "Split")
RESERVED = ("file", "file_id", "audio", "speaker", "split", "samples", "task")  # what no task may be called


@dataclass(frozen=True)
class TableColumns:
    """The columns that are read: of the file, the speaker, the split (None: there is none), and of each task.

    ``labels`` has for a classification its one column, for a regression a column for each label that has one.
    """

    file: str
    speaker: str | None
    split: str | None
    labels: dict[str, str | dict[str, str]]

    def read_labels(self, row: Row, tasks: Sequence[Task]) -> dict:
        """The labels of one line, as ``burst_features`` has them: NaN and -1 for an empty field and without a column.

        Raises:
            TableError: a field that is no number of the task's span, or none of its classes; it is named.

        >>> age = Task("age", "regression", ("age",), span=(0, 100), loss="mae")
        >>> call = Task("call", "classification", ("laugh", "cry"), loss="cross_entropy", metric="uar")
        >>> row = Row("bursts.csv", 2, {"file": "1.wav", "Age": "31", "kind": "cry"})
        >>> TableColumns("file", None, None, {"age": {"age": "Age"}, "call": "kind"}).read_labels(row, [age, call])
        {'age': 31.0, 'call': 1}
        """
        labels = no_labels(tasks)
        for task in tasks:
            columns = self.labels.get(task.name)
            if not columns:
                continue
            if task.kind == "regression":
                values = [_number(row, columns.get(label), task) for label in task.labels]
                labels[task.name] = values if len(values) > 1 else values[0]
            elif row.fields[columns]:
                labels[task.name] = task.labels.index(row.choice(columns, task.labels))
        return labels


def no_labels(tasks: Sequence[Task]) -> dict:
    """The labels of a clip that has none: NaN and -1.

    >>> no_labels([Task("mood", "regression", ("Awe", "Fear")), Task("age", "regression", ("age",))])
    {'mood': [nan, nan], 'age': nan}
    """
    missing = {}
    for task in tasks:
        several = [math.nan] * len(task.labels)
        missing[task.name] = -1 if task.kind == "classification" else several if len(several) > 1 else math.nan
    return missing


def _number(row: Row, column: str | None, task: Task) -> float:
    if column is None or not row.fields[column]:
        return math.nan
    return row.number(column, *task.span)


def choose_columns(
    first: Row, tasks: Sequence[Task], columns: dict | None = None, for_prediction: bool = False
) -> TableColumns:
    """Find out which column is what.

    Args:
        first: any line of the table: it knows the header.
        tasks: what is wanted.
        columns: names where the table does not use the usual ones: for ``file``, ``speaker``, ``split``, a
            classification and a regression of one label the column; for a regression of several labels a mapping of
            labels to columns, which may leave some out. None says that there is no such column. By default the file is
            in ``file_id``, ``file_name``, ``file`` or ``path``, the speaker in ``speaker`` or ``Subject_ID``, the split
            in ``split`` or ``Split``, a task in a column of its name, a regression also in columns of its labels'
            names.
        for_prediction: labels and splits may be missing, also such as ``columns`` names, which the log then says.

    Raises:
        TableError: a name that the header, the tasks or a task's labels do not have letter for letter, no column of
            files, no column of any task.

    >>> task = Task("mood", "regression", ("Awe", "Fear"))
    >>> first = Row("bursts.csv", 2, {"file": "1.wav", "who": "A", "Awe": "0.5", "dread": "0.1"})
    >>> choose_columns(first, [task], {"speaker": "who", "mood": {"Awe": "Awe", "Fear": "dread"}})
    TableColumns(file='file', speaker='who', split=None, labels={'mood': {'Awe': 'Awe', 'Fear': 'dread'}})
    """
    header = _Header(first.path, list(first.fields))
    columns = {} if columns is None else columns
    known = ["file", "speaker", "split", *(task.name for task in tasks)]
    if not isinstance(columns, dict):
        raise TableError(f"columns {columns!r}: give a mapping with any of the keys {', '.join(known)}")
    for key in columns:
        if key not in known:
            raise TableError(
                f"columns: unknown key {key!r}{_alike(key, known)}; known keys: {', '.join(known)}; the header of "
                f"{first.path} has: {header}"
            )
    if for_prediction:
        columns = header.those_there(columns)
    found = {}
    for key, usual in (("file", FILE_COLUMNS), ("speaker", SPEAKER_COLUMNS), ("split", SPLIT_COLUMNS)):
        found[key] = header.named(columns[key], key) if key in columns else header.usual(usual, key)
    if found["file"] is None:
        raise TableError(
            f"{first.path}, line 1: no column {', '.join(FILE_COLUMNS)}; found: {header}; name the column of the audio "
            "files with columns={'file': …}"
        )
    labels = {}
    for task in tasks:
        labels[task.name] = header.asked(task, columns[task.name]) if task.name in columns else header.expected(task)
    if tasks and not any(labels.values()) and not for_prediction:
        wanted = ", ".join(f"{task.name} ({', '.join(task.labels)})" for task in tasks)
        raise TableError(
            f"{first.path}, line 1: no column for any of the tasks {wanted}; found: {header}; name their columns with "
            f"columns={{{tasks[0].name!r}: …}}"
        )
    return TableColumns(**found, labels=labels)


class _Header:
    """The names of a table's columns."""

    def __init__(self, path: str, names: list[str]):
        self.path, self.names = path, names

    def __str__(self):
        return ", ".join(self.names)

    def those_there(self, columns: dict) -> dict:
        """What the caller names, but for columns of labels and splits that the table does not have."""
        found, absent = {}, []
        for key, named in columns.items():
            if isinstance(named, dict):
                absent += [column for column in named.values() if column is not None and column not in self.names]
                found[key] = {label: column for label, column in named.items() if column in self.names}
            elif key in ("file", "speaker") or named is None or named in self.names:
                found[key] = named
            else:
                absent.append(named)
        if absent:
            logger.warning(
                "%s has no columns %s; its clips are predicted without", self.path, ", ".join(map(str, absent))
            )
        return found

    def named(self, column: str | None, key: str) -> str | None:
        """The column that the caller names; it must be there."""
        if column is None:
            return None
        if not isinstance(column, str):
            raise TableError(f"columns: {key} must be the name of one column, got {column!r}")
        if column not in self.names:
            known = _alike(column, self.names)
            raise TableError(f"{self.path}, line 1: no column {column!r} for {key}{known}; found: {self}")
        return column

    def usual(self, names: Sequence[str], key: str, label: str | None = None) -> str | None:
        """The first of the usual names that is there; a name that differs in capitals alone must be said by hand."""
        for name in names:
            if name in self.names:
                return name
        lower = {name.lower() for name in names}
        for column in self.names:
            if column.lower() in lower:
                mending = {key: column if label is None else {label: column}}
                raise TableError(
                    f"{self.path}, line 1: column {column!r} is not {' or '.join(map(repr, names))}, and names must "
                    f"match letter for letter; say columns={mending}, or None in the place of {column!r} to let it be"
                )
        return None

    def expected(self, task: Task) -> str | dict[str, str] | None:
        """The columns of a task under their usual names."""
        if task.kind == "classification":
            return self.usual([task.name], task.name)
        if len(task.labels) == 1:
            column = self.usual(list(dict.fromkeys([task.name, task.labels[0]])), task.name)
            return {task.labels[0]: column} if column else None
        columns = {label: self.usual([label], task.name, label) for label in task.labels}
        return {label: column for label, column in columns.items() if column}

    def asked(self, task: Task, columns) -> str | dict[str, str] | None:
        """The columns of a task as the caller names them."""
        if task.kind == "classification" or columns is None:
            return self.named(columns, task.name)
        if len(task.labels) == 1 and not isinstance(columns, dict):
            return {task.labels[0]: self.named(columns, task.name)}
        if not isinstance(columns, dict):
            raise TableError(
                f"columns: {task.name} has {len(task.labels)} labels; give a mapping of labels to columns, such as "
                f"{{{task.labels[0]!r}: 'a column'}}, got {columns!r}"
            )
        for label in columns:
            if label not in task.labels:
                known = _alike(label, task.labels)
                raise TableError(f"columns: {task.name} has no label {label!r}{known}; known: {', '.join(task.labels)}")
        named = {label: self.named(column, f"{task.name}, {label}") for label, column in columns.items()}
        return {label: column for label, column in named.items() if column}


def _alike(name, known: Sequence[str]) -> str:
    """A question that offers the known name most like this one, if any is."""
    by_lower = {entry.lower(): entry for entry in known}
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=1)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""
