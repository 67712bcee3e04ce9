"""What a run found, as files: predictions as CSV, scores as JSON, plots; all without a trace of the machine."""

import csv
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from datasets import Dataset

from ..data.collating import corpus_labels
from ..data.sampling import labels_present
from ..scoring import format_report, score_tasks, trivial_predictions
from ..scoring.submission import submission_name, write_exvo_multi
from ..tasks import TASK_PRESETS, Task
from ..version import __version__
from .plots import plot_predictions
from .recipes import corpora_of
from .sections import DataArguments

IN_THE_CHALLENGE = ("hume_vb", "synthetic")
PACKAGES = ("torch", "transformers", "datasets", "accelerate")


class Outcome:
    """Scores split by split, and the files that go with them.

    Args:
        folder: where to write.
        tasks: the model's task records.
        train_clips: what the trivial baselines learn from.
    """

    def __init__(self, folder: Path, tasks: Sequence[Task], train_clips: Dataset):
        self.folder, self.tasks = folder, tasks
        self.train_labels = corpus_labels(train_clips, tasks)
        self.scores: dict[str, dict[str, float]] = {}
        self.trivial: dict[str, dict[str, float]] = {}

    def add(self, split: str, dataset: Dataset, predictions: dict, arguments: DataArguments) -> str:
        """Write the predictions of a split; where it has labels, score and draw them.

        Returns:
            The report for the console.
        """
        file_ids = list(dataset["file_id"])
        write_predictions(self.folder / f"predictions_{split}.csv", self.tasks, file_ids, predictions)
        lines = [f"\n{split.capitalize()}"]
        entered = entered_clips(file_ids, arguments) if split == "test" else {}
        if entered and tuple(self.tasks) == TASK_PRESETS["exvo"]:
            name = submission_name(arguments.team, arguments.submission)
            of_entered = {task: values[list(entered.values())] for task, values in predictions.items()}
            write_exvo_multi(self.folder / name, list(entered), of_entered)
            lines.append(f"{name} is written and valid")
        labels = corpus_labels(dataset, self.tasks)
        if not any(labels_present(of_task).any() for of_task in labels.values()):
            return "\n".join([*lines, f"{len(dataset):,} clips predicted; they have no labels to score"])
        guesses = trivial_predictions(self.tasks, self.train_labels, len(dataset))
        self.scores[split] = score_tasks(self.tasks, predictions, labels)
        self.trivial[split] = score_tasks(self.tasks, guesses, labels)
        plot_predictions(self.tasks, self.scores[split], predictions, labels, self.folder / "plots", split)
        report = format_report(self.tasks, self.scores[split], self.trivial[split], clips=len(dataset))
        return "\n".join([*lines, report])


def entered_clips(file_ids: Sequence[str], arguments: DataArguments) -> dict[str, int]:
    """The challenge's ids of the clips that are in HUME-VB, or in its synthetic likeness, and their places.

    >>> mixture = DataArguments(mix=[{"corpus": "emogator"}, {"corpus": "hume_vb"}])
    >>> entered_clips(["emogator/000001-01-1", "hume_vb/00007"], mixture)
    {'00007': 1}
    >>> entered_clips(["laughs/1"], DataArguments(corpus="folder"))
    {}
    """
    corpora = corpora_of(arguments)
    starts = [f"{name}/" for name, corpus in corpora.items() if corpus.corpus in IN_THE_CHALLENGE]
    if arguments.mix is None:
        starts = [""] * len(starts)
    return {
        file_id.removeprefix(start): place
        for start in starts[:1]
        for place, file_id in enumerate(file_ids)
        if file_id.startswith(start)
    }


def write_predictions(path: str | Path, tasks: Sequence[Task], file_ids: Sequence[str], predictions: dict) -> None:
    """One line a clip: ``file_id``, a column for each regressed label, and for classes the winner and each probability.

    Columns are ``<task>/<label>``; a task of one label, and the winning class, are ``<task>`` alone.
    """
    header, columns = ["file_id"], [file_ids]
    for task in tasks:
        values = np.asarray(predictions[task.name])
        if task.kind == "classification":
            header.append(task.name)
            columns.append([task.labels[place] for place in values.argmax(axis=1)])
        header += prediction_columns(task)
        columns += [[f"{value:.6f}" for value in column] for column in values.T]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(zip(*columns, strict=True))


def prediction_columns(task: Task) -> list[str]:
    """The columns of a task's numbers in a file of predictions.

    >>> from burst2vec.tasks import AGE
    >>> prediction_columns(AGE)
    ['age']
    """
    single = task.kind == "regression" and len(task.labels) == 1
    return [task.name] if single else [f"{task.name}/{label}" for label in task.labels]


def write_record(path: str | Path, record: dict) -> None:
    """``metrics.json``; a number that is not finite is refused, because JSON has none."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """What the run ran on."""
    packages = {package: version(package) for package in PACKAGES}
    return {"burst2vec": __version__, "python": platform.python_version(), **packages}
