"""The official submission file of ExVo-MultiTask: written from predictions, and checked as strictly as it is read.

    File_ID,Country,Age,Awe,Excitement,Amusement,Awkwardness,Fear,Horror,Distress,Triumph,Sadness,Surprise
    [58712],1,32.200000,0.109000,0.258000,…

A team hands in five files at most, ``ExVo-Multi_<team>_<1..5>.csv`` (Baird et al. 2022, arXiv 2205.01780).
"""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import SubmissionError
from ..files import write_whole
from ..tasks import EXVO_COUNTRIES, EXVO_EMOTIONS, TASK_PRESETS, resolve_tasks
from .scores import as_numbers

HEADER = ("File_ID", "Country", "Age", *EXVO_EMOTIONS)
SUBMISSIONS = 5  # of each team
AGE_YEARS = (1.0, 120.0)  # our choice: an age under 1 is a fraction that was never turned into years
NAME = re.compile(r"ExVo-Multi_[A-Za-z0-9-]+_[1-5]\.csv")
FILE_ID = re.compile(r"[A-Za-z0-9_-]+")
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
SHOWN = 10  # problems in an error's message; all are in its ``problems``


def submission_name(team: str, number: int) -> str:
    """The official name of a team's n-th submission.

    Raises:
        SubmissionError: a team name that is not letters, digits and hyphens, or a number outside 1..5.

    >>> submission_name("burst2vec", 1)
    'ExVo-Multi_burst2vec_1.csv'
    """
    name = f"ExVo-Multi_{team}_{number}.csv"
    if not NAME.fullmatch(name):
        raise SubmissionError(
            [f"team {team!r}, number {number!r}: a team is A-Z, a-z, 0-9 and '-', a number 1 to {SUBMISSIONS}"]
        )
    return name


def answers_exvo_multi(tasks) -> bool:
    """Whether a task set predicts what the official file asks for, however it was trained.

    Compared are names, kinds, labels in any order, and units (an age in years); losses, weights, spans and metrics are
    not, and there may be further tasks.

    >>> from burst2vec.tasks import AGE
    >>> squared = [{"preset": "exvo", "name": name, "loss": "mse"} for name in ("emotion", "age")]
    >>> answers_exvo_multi([*squared, {"preset": "exvo", "name": "country"}]), answers_exvo_multi([AGE])
    (True, False)
    """
    given, asked = (
        {(task.name, task.kind, frozenset(task.labels), task.unit) for task in task_set}
        for task_set in (resolve_tasks(tasks), TASK_PRESETS["exvo"])
    )
    return asked <= given


def write_exvo_multi(path, file_ids: Sequence[str], predictions: dict, tasks="exvo") -> Path:
    """Write predictions as an official ExVo-MultiTask file; a file that would not validate is never written.

    Args:
        path: where to; its name must be official, see :func:`submission_name`. A file that is there is replaced whole.
        file_ids: one id a clip, without brackets, such as ``"58712"``.
        predictions: by task name: ``emotion`` (n, 10) in 0..1, ``age`` (n, 1) in years, ``country`` (n, 4)
            probabilities, of which the largest is written.
        tasks: what the columns of ``predictions`` mean, as :func:`~burst2vec.tasks.resolve_tasks` takes it. Emotions
            and countries are matched by label name, so their order is free.

    Returns:
        The path written.

    Raises:
        SubmissionError: tasks or predictions that do not fill the official columns, or values that may not stand there.
    """
    path = Path(path)
    emotions, ages, countries = _official_columns(path.name, resolve_tasks(tasks), predictions, len(file_ids))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for file_id, country, age, intensities in zip(file_ids, countries, ages, emotions, strict=True):
        writer.writerow([f"[{file_id}]", country, f"{age:.6f}", *(f"{intensity:.6f}" for intensity in intensities)])
    content = text.getvalue().encode("utf-8")
    _check(path.name, content, file_ids)
    write_whole(path, content)
    return path


def _official_columns(name: str, tasks, predictions: dict, clips: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Emotions (clips, 10), ages (clips,) and country indices (clips,), in the official order of labels."""
    records = {task.name: task for task in tasks}
    columns = []
    for task_name, labels in (("emotion", EXVO_EMOTIONS), ("age", ("age",)), ("country", EXVO_COUNTRIES)):
        if task_name not in records or task_name not in predictions:
            raise SubmissionError([f"{name}: needs the tasks emotion, age and country; {task_name!r} is not there"])
        given = records[task_name].labels
        if set(given) != set(labels):
            raise SubmissionError([f"{name}: task {task_name!r} has labels {list(given)}; needed: {list(labels)}"])
        values = as_numbers(predictions[task_name], f"{name}: {task_name}")
        if values.shape != (clips, len(labels)):
            raise SubmissionError([f"{name}: {task_name} has shape {values.shape}; expected {(clips, len(labels))}"])
        columns.append(values[:, [given.index(label) for label in labels]])
    emotions, ages, countries = columns
    if not np.isfinite(countries).all():  # argmax would make a country of it
        row = int(np.argwhere(~np.isfinite(countries))[0][0])
        raise SubmissionError([f"{name}: country of row {row} is {countries[row].tolist()}; it must be finite numbers"])
    return emotions, ages[:, 0], countries.argmax(axis=1)


def validate_exvo_multi(path, file_ids: Sequence[str] | None = None) -> int:
    """Check a file against the official format, and against the clips it must answer for.

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
        raise SubmissionError([f"{path}: no such file; write_exvo_multi(path, file_ids, predictions) makes one"])
    return _check(path.name, path.read_bytes(), file_ids)


def _check(name: str, content: bytes, file_ids: Sequence[str] | None) -> int:
    problems = []
    if not NAME.fullmatch(name):
        problems.append(f"{name}: the name must be ExVo-Multi_<team>_<1..{SUBMISSIONS}>.csv, see submission_name")
    try:
        lines = _read(content)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SubmissionError([*problems, f"{name}: not a UTF-8 CSV file: {error}"]) from error
    if not lines or tuple(lines[0][1]) != HEADER:
        found = ",".join(lines[0][1]) if lines else ""
        raise SubmissionError([*problems, f"{name}, line 1: the header is {found!r}; it must be {','.join(HEADER)!r}"])
    first_lines = {}
    for line, fields in lines[1:]:
        problems.extend(f"{name}, line {line}{problem}" for problem in _problems_of_row(fields))
        if len(fields) == len(HEADER):
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


def _problems_of_row(fields: list[str]) -> list[str]:
    if len(fields) != len(HEADER):
        return [f": {len(fields)} fields; there must be {len(HEADER)}: {','.join(HEADER)}"]
    file_id, country, age, *emotions = fields
    problems = []
    if not (file_id[:1] == "[" and file_id[-1:] == "]" and FILE_ID.fullmatch(file_id[1:-1])):
        problems.append(f", column File_ID: {file_id!r}; it must be an id in brackets, such as '[58712]'")
    if country not in {str(index) for index in range(len(EXVO_COUNTRIES))}:
        meaning = ", ".join(f"{index} {name}" for index, name in enumerate(EXVO_COUNTRIES))
        problems.append(f", column Country: {country!r}; it must be a class index: {meaning}")
    for column, text, (low, high) in (
        ("Age", age, AGE_YEARS),
        *((emotion, text, (0.0, 1.0)) for emotion, text in zip(EXVO_EMOTIONS, emotions, strict=True)),
    ):
        if not (NUMBER.fullmatch(text) and low <= float(text) <= high):
            unit = " years" if column == "Age" else ""
            problems.append(f", column {column}: {text!r}; it must be a number in {low:g}..{high:g}{unit}")
    return problems
