"""The challenges' official files of a run or fusion, with a row for every test clip, else reported as incomplete."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..data.corpora import CORPORA
from ..scoring import answered_forms, submission_name, write_official_file
from ..tasks import Task
from .sections import DataArguments

FEW_SHOT = "ExVo-Few"
NAMED = 10  # clips named on the console; the record names all


@dataclass(frozen=True)
class Submission:
    """What a submission file contains.

    Attributes:
        file: its name.
        clips: its rows.
        constant_baseline: ids of the unreadable clips, whose rows are the constant baseline's answer.
        without_row: test clips of the table that were neither predicted nor filled in; the file lacks them.
    """

    file: str
    clips: int
    constant_baseline: list[str] = field(default_factory=list)
    without_row: int = 0

    def summary(self) -> str:
        """A line for the console."""
        filled = ""
        if self.constant_baseline:
            named = ", ".join(self.constant_baseline[:NAMED]) + (", …" if len(self.constant_baseline) > NAMED else "")
            filled = f"; unreadable, so answered by the constant baseline: {len(self.constant_baseline):,} ({named})"
        if self.without_row:
            return (
                f"{self.file} is written but incomplete: {self.without_row:,} of {self.clips + self.without_row:,} "
                f"test clips were not predicted and have no row{filled}"
            )
        return f"{self.file} is written and valid, with all {self.clips:,} test clips{filled}"


def write_submission(
    folder: str | Path,
    tasks: Sequence[Task],
    arguments: DataArguments,
    predictions: tuple[Sequence[str], dict],
    table: Sequence[str],
    unreadable: Sequence[str],
    constant: dict | None,
    form: str = "ExVo-Multi",
) -> Submission | None:
    """Write an official file where tasks and test clips are the challenge's.

    What a linear output says beyond its task's span stands there as the span's nearer end: the file knows no intensity
    below 0 or above 1.

    Args:
        folder: where to.
        tasks: the task records of the predictions.
        arguments: which corpora the clips are of, and the submission's team and number.
        predictions: the ids of the clips that were predicted, and by task (clips, labels).
        table: the ids of all test clips; rows stand in this order.
        unreadable: the ids of the clips that could not be read.
        constant: the constant baseline, by task (1, labels), which these clips get; None: they get no row.
        form: which official file, see ``burst2vec.scoring.answered_forms``.

    Returns:
        What was written; None where there is nothing to submit.

    Raises:
        SubmissionError: no official name, or values that may not stand in the file.
    """
    file_ids, values = predictions
    predicted = entered_clips(file_ids, arguments)
    if not predicted or form not in answered_forms(tasks, personal=form == FEW_SHOT):
        return None
    filled = set() if constant is None else set(entered_clips(unreadable, arguments)) - set(predicted)
    asked = list(entered_clips(table, arguments))
    answered = [clip for clip in asked if clip in predicted or clip in filled]
    rows = [len(file_ids) if clip in filled else predicted[clip] for clip in answered]  # the last is the constant
    if constant is not None:
        values = {task.name: np.concatenate([values[task.name], constant[task.name]]) for task in tasks}
    rows_of = {task.name: values[task.name][rows] for task in tasks}
    for task in tasks:
        if task.kind == "regression" and task.output == "linear":
            rows_of[task.name] = np.clip(rows_of[task.name], *task.span)
    name = submission_name(arguments.team, arguments.submission, form)
    write_official_file(Path(folder, name), answered, rows_of, tasks)
    return Submission(name, len(answered), [clip for clip in asked if clip in filled], len(asked) - len(answered))


def entered_clips(file_ids: Sequence[str], arguments: DataArguments) -> dict[str, int]:
    """The challenge's ids of the clips that are in HUME-VB, or in its synthetic counterpart, and their positions.

    >>> mixture = DataArguments(mix=[{"corpus": "emogator"}, {"corpus": "hume_vb"}])
    >>> entered_clips(["emogator/000001-01-1", "hume_vb/00007"], mixture)
    {'00007': 1}
    >>> entered_clips(["laughs/1"], DataArguments(corpus="folder"))
    {}
    """
    starts = [f"{name}/" for name, corpus in arguments.corpora.items() if CORPORA[corpus.corpus].in_challenge]
    if arguments.mix is None:
        starts = [""] * len(starts)
    return {
        file_id.removeprefix(start): place
        for start in starts[:1]
        for place, file_id in enumerate(file_ids)
        if file_id.startswith(start)
    }
