"""The challenges' official prediction files: written from predictions, and checked as strictly as they are read.

    File_ID,Country,Age,Awe,Excitement,Amusement,Awkwardness,Fear,Horror,Distress,Triumph,Sadness,Surprise
    [58712],1,32.200000,0.109000,0.258000,…

A team hands in five files of each form at most, such as ``ExVo-Multi_<team>_<1..5>.csv``; the forms are in
``submission_forms``.
"""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import SubmissionError
from ..files import write_whole
from ..tasks import resolve_tasks
from .scores import as_numbers
from .submission_forms import FORMS, Form

SUBMISSIONS = 5  # of each team and form
NAME = re.compile(r"[A-Za-z-]+_[A-Za-z0-9-]+_[1-5]\.csv")
FILE_ID = re.compile(r"[A-Za-z0-9_-]+")


def submission_name(team: str, number: int, form: str = "ExVo-Multi") -> str:
    """The official name of a team's n-th file of a form.

    Raises:
        SubmissionError: a team name that is not letters, digits and hyphens, or a number outside 1..5.

    >>> submission_name("burst2vec", 1), submission_name("burst2vec", 2, "A-VB-High")
    ('ExVo-Multi_burst2vec_1.csv', 'A-VB-High_burst2vec_2.csv')
    """
    name = f"{FORMS[form].name}_{team}_{number}.csv"
    if not NAME.fullmatch(name):
        raise SubmissionError(
            [f"team {team!r}, number {number!r}: a team is A-Z, a-z, 0-9 and '-', a number 1 to {SUBMISSIONS}"]
        )
    return name


def write_official_file(path, file_ids: Sequence[str], predictions: dict, tasks=None) -> Path:
    """Write predictions as an official file; one that would not validate is never written.

    Args:
        path: where to; its name must be official, see :func:`submission_name`, and says which form it is. A file that
            is there is replaced whole.
        file_ids: one id a clip, without brackets, such as ``"58712"``.
        predictions: by task name (n, labels): a regression in the task's unit, such as ``emotion`` in 0..1 and ``age``
            in years; of a classification probabilities, of which the largest is written.
        tasks: what the columns of ``predictions`` mean, as :func:`~burst2vec.tasks.resolve_tasks` takes it; by default
            the challenge's own. Labels are matched by name, so their order is free.

    Returns:
        The path written.

    Raises:
        SubmissionError: tasks or predictions that do not fill the official columns, or values that may not stand there.
    """
    path = Path(path)
    form = _form_of(path.name)
    tasks = form.tasks if tasks is None else resolve_tasks(tasks)
    values = _in_official_order(path.name, form, tasks, predictions, len(file_ids))
    columns = [column.texts(values[column.task.name]) for column in form.columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(form.header)
    writer.writerows(zip([f"[{file_id}]" for file_id in file_ids], *columns, strict=True))
    content = text.getvalue().encode("utf-8")
    _check(path.name, content, file_ids)
    write_whole(path, content)
    return path


def _form_of(name: str) -> Form:
    """The form that a file's name says."""
    if (start := name.partition("_")[0]) not in FORMS:
        raise SubmissionError([f"{name}: the name must be {_official_names()}"])
    return FORMS[start]


def _official_names() -> str:
    return f"<form>_<team>_<1..{SUBMISSIONS}>.csv, the form one of {', '.join(FORMS)}, see submission_name"


def _in_official_order(name: str, form: Form, tasks, predictions: dict, clips: int) -> dict[str, np.ndarray]:
    """By task (clips, labels), the labels in the order of the form's own task."""
    records, ordered = {task.name: task for task in tasks}, {}
    for asked in form.tasks:
        if asked.name not in records or asked.name not in predictions:
            names = ", ".join(task.name for task in form.tasks)
            raise SubmissionError([f"{name}: needs predictions of {names}; {asked.name!r} is not there"])
        given = records[asked.name].labels
        if set(given) != set(asked.labels):
            raise SubmissionError(
                [f"{name}: task {asked.name!r} has labels {list(given)}; needed: {list(asked.labels)}"]
            )
        values = as_numbers(predictions[asked.name], f"{name}: {asked.name}")
        if values.shape != (clips, len(given)):
            raise SubmissionError([f"{name}: {asked.name} has shape {values.shape}; expected {(clips, len(given))}"])
        wrong = ~np.isfinite(values).all(axis=1)
        if asked.kind == "classification" and wrong.any():  # argmax would make a class of it
            row = int(wrong.argmax())
            raise SubmissionError(
                [f"{name}: {asked.name} of row {row} is {values[row].tolist()}; it must be finite numbers"]
            )
        ordered[asked.name] = values[:, [given.index(label) for label in asked.labels]]
    return ordered


def validate_official_file(path, file_ids: Sequence[str] | None = None) -> int:
    """Check a file against the official form that its name says, and against the clips it must answer for.

    Args:
        path: the file.
        file_ids: the ids it must hold, each once, in any order, without brackets; None checks the format only.

    Returns:
        How many clips the file answers for.

    Raises:
        SubmissionError: all problems at once, each naming file, line, column, value and what is allowed.
    """
    path = Path(path)
    if not path.is_file():
        raise SubmissionError([f"{path}: no such file; write_official_file(path, file_ids, predictions) makes one"])
    return _check(path.name, path.read_bytes(), file_ids)


def _check(name: str, content: bytes, file_ids: Sequence[str] | None) -> int:
    form, problems = _form_of(name), []
    if not NAME.fullmatch(name):
        problems.append(f"{name}: the name must be {_official_names()}")
    try:
        lines = _read(content)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SubmissionError([*problems, f"{name}: not a UTF-8 CSV file: {error}"]) from error
    if not lines or not form.is_header(lines[0][1]):
        found, must = ",".join(lines[0][1]) if lines else "", ",".join(form.header)
        raise SubmissionError([*problems, f"{name}, line 1: the header is {found!r}; it must be {must!r}"])
    first_lines = {}
    for line, fields in lines[1:]:
        problems.extend(f"{name}, line {line}{problem}" for problem in _problems_of_row(form, fields))
        if len(fields) == len(form.header):
            if fields[0] in first_lines:
                first = first_lines[fields[0]]
                problems.append(f"{name}, line {line}, column File_ID: {fields[0]!r} already stands in line {first}")
            first_lines.setdefault(fields[0], line)
    if not first_lines and not problems:
        problems.append(f"{name}: no clip; after the header there must be one line for each")
    if file_ids is not None:
        expected = {f"[{file_id}]" for file_id in file_ids}
        problems.extend(
            f"{name}, line {line}, column File_ID: {found!r} is not among the {len(expected)} clips to answer for"
            for found, line in first_lines.items()
            if found not in expected
        )
        problems.extend(f"{name}: no line for clip {missing!r}" for missing in sorted(expected - set(first_lines)))
    if problems:
        raise SubmissionError(problems)
    return len(first_lines)


def _read(content: bytes) -> list[tuple[int, list[str]]]:
    """Each record with the number of its line, as text; a byte order mark stays in the header, where it is refused."""
    reader = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
    return [(reader.line_num, fields) for fields in reader]


def _problems_of_row(form: Form, fields: list[str]) -> list[str]:
    if len(fields) != len(form.header):
        return [f": {len(fields)} fields; there must be {len(form.header)}: {','.join(form.header)}"]
    file_id, *answers = fields
    problems = [column.problem(text) for column, text in zip(form.columns, answers, strict=True)]
    if not (file_id[:1] == "[" and file_id[-1:] == "]" and FILE_ID.fullmatch(file_id[1:-1])):
        problems.insert(0, f", column File_ID: {file_id!r}; it must be an id in brackets, such as '[58712]'")
    return [problem for problem in problems if problem]
