"""A finished run, read back from its folder: its record, its tasks and its predictions, matched by name."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.cells import from_cell
from ..errors import RunError
from ..tasks import Task, prediction_columns, resolve_tasks
from .run_record import RunRecord


@dataclass(frozen=True)
class FinishedRun:
    """
    Attributes:
        folder: where it lies.
        record: its ``metrics.json``.
    """

    folder: Path
    record: RunRecord

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The recipe's tasks; else those of the saved configuration, else ExVo's.

        Raises:
            RunError: no task set.
        """
        given = self.record.recipe.get("model", {}).get("tasks")
        saved = self.folder / "config.json"
        if given is None and saved.is_file():
            given = json.loads(saved.read_text(encoding="utf-8")).get("tasks")
        try:
            return resolve_tasks("exvo" if given is None else given)
        except (TypeError, ValueError) as error:
            raise RunError(f"{self.folder}: its recipe names no tasks that are known: {error}") from error

    def splits(self) -> list[str]:
        """The splits that it wrote predictions for."""
        return [split for split in ("validation", "test") if self.predictions_file(split).is_file()]

    def predictions_file(self, split: str) -> Path:
        return self.folder / f"predictions_{split}.csv"


def read_run(folder: str | Path) -> FinishedRun:
    """A run by its folder.

    Raises:
        RunError: no ``metrics.json``, or one that is truncated or lacks a key.
    """
    folder = Path(folder)
    return FinishedRun(folder, RunRecord.read(folder))


def names_of(folders: Sequence[str | Path]) -> list[str]:
    """Short names for runs: the ends of their paths, as long as it takes to make them unique.

    >>> names_of(["runs/v1/seed_0", "runs/v2/seed_0"]), names_of(["runs/v1", "elsewhere/v2"])
    (['v1/seed_0', 'v2/seed_0'], ['v1', 'v2'])

    Raises:
        RunError: a folder given twice.
    """
    parts = [Path(folder).resolve().parts[1:] for folder in folders]
    for place, path in enumerate(parts):
        if path in parts[:place]:
            raise RunError(f"{folders[place]} is given twice")
    length = 1
    while len({path[-length:] for path in parts}) < len(parts):
        length += 1
    return ["/".join(path[-length:]) for path in parts]


def read_predictions(path: str | Path, tasks: Sequence[Task]) -> tuple[list[str], dict[str, np.ndarray]]:
    """Read what ``write_predictions`` wrote; columns may stand in any order and are returned in the tasks'.

    Returns:
        The clips' ids, and by task float64 (clips, labels).

    Raises:
        RunError: no such file, columns that are not the tasks', a clip twice, or a value that is no finite number; the
            file and the line are named.
    """
    path = Path(path)
    if not path.is_file():
        raise RunError(f"{path}: no such file; the run made no predictions of that split")
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = list(csv.reader(file)) or [[]]
    columns = {task.name: prediction_columns(task) for task in tasks}
    winners = [task.name for task in tasks if task.kind == "classification"]
    wanted = ["file_id", *winners, *(column for of_task in columns.values() for column in of_task)]
    if sorted(header) != sorted(wanted):
        odd = sorted(set(header) ^ set(wanted)) or header
        raise RunError(f"{path}: its columns are not those of the tasks {list(columns)}; these differ: {odd}")
    where = {column: header.index(column) for column in wanted}
    first_lines: dict[str, int] = {}
    predictions = {task: np.empty((len(lines), len(of_task))) for task, of_task in columns.items()}
    for row, line in enumerate(lines):
        if len(line) != len(header):
            raise RunError(f"{path}, line {row + 2}: {len(line)} fields; there must be {len(header)}")
        file_id = from_cell(line[where["file_id"]])
        if file_id in first_lines:
            raise RunError(
                f"{path}, line {row + 2}: the clip {file_id!r} already stands in line {first_lines[file_id]}"
            )
        first_lines[file_id] = row + 2
        for task, of_task in columns.items():
            for place, column in enumerate(of_task):
                predictions[task][row, place] = _number(line[where[column]], f"{path}, line {row + 2}, {column}")
    return list(first_lines), predictions


def _number(text: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise RunError(f"{where}: {text!r} is no finite number")
    return number
