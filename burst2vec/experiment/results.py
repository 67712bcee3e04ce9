"""The results of a run as files: predictions as CSV, plots; without any path of the machine."""

import csv
import io
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ..data.cells import as_cell
from ..data.collating import corpus_labels
from ..data.corpora import corpus_named
from ..data.corpora.splits import speaker_key
from ..data.sampling import labels_present
from ..errors import RunError, SubmissionError
from ..files import write_whole
from ..scoring import answered_forms, format_report, score_tasks
from ..tasks import Task, prediction_columns
from ..version import __version__
from .baseline import Constant
from .breakdown import by_speaker
from .calibration import Calibration
from .inputs import Clips
from .plots import plot_predictions, plot_reliability
from .sections import DataArguments
from .submitting import write_submission

PACKAGES = ("torch", "transformers", "datasets", "accelerate")


class Outcome:
    """Scores split by split, and the files that go with them.

    Args:
        folder: where to write.
        tasks: the model's task records.
        constant: the constant baseline's prediction; None where it is unknown.
        calibration: of the model's errors.
        submits: whether test predictions give the challenges' files.
    """

    def __init__(
        self,
        folder: Path,
        tasks: Sequence[Task],
        constant: Constant | None,
        calibration: Calibration,
        submits: bool = True,
    ):
        self.folder, self.tasks, self.constant = folder, tasks, constant
        self.calibration, self.submits = calibration, submits
        self.scores: dict[str, dict[str, float]] = {}
        self.by_speaker: dict[str, dict] = {}
        self.baseline: dict[str, dict[str, float]] = {}
        self.labelled: dict[str, dict[str, int]] = {}
        self.submissions: list[dict] = []

    def add(self, split: str, clips: Clips, predictions: dict, arguments: DataArguments, table: Sequence[str]) -> str:
        """Write the predictions of a split; where it has labels, score and draw them.

        Args:
            split: its name.
            clips: those that were predicted, and those that could not be read.
            predictions: by task (clips, labels), as the model of ``calibration`` gives them.
            arguments: what was read.
            table: the ids of all clips of the split.

        Returns:
            The report for the console.
        """
        dataset = clips.dataset
        file_ids = list(dataset["file_id"])
        labels = corpus_labels(dataset, self.tasks)
        predictions = self.calibration.apply(split, dataset, predictions, labels)
        write_predictions(self.folder / f"predictions_{split}.csv", self.tasks, file_ids, predictions)
        lines = [f"\n{split.capitalize()}"]
        if split == "test" and self.submits:
            lines += self._submit(clips, file_ids, predictions, arguments, table)
        labelled = int(np.any([labels_present(of_task) for of_task in labels.values()], axis=0).sum())
        if not labelled:
            return "\n".join([*lines, f"{len(dataset):,} clips predicted; they have no labels to score"])
        self.labelled[split] = {"scored": labelled}
        self.scores[split] = score_tasks(self.tasks, predictions, labels)
        if self.constant is not None:
            answers = {name: np.tile(answer, (len(dataset), 1)) for name, answer in self.constant.items()}
            self.baseline[split] = score_tasks(self.tasks, answers, labels)
        plot_predictions(self.tasks, self.scores[split], predictions, labels, self.folder / "plots", split)
        self._break_down(split, dataset, predictions, labels, arguments)
        report = format_report(self.tasks, self.scores[split], self.baseline.get(split, {}), clips=labelled)
        return "\n".join([*lines, report, *self.calibration.add(split, dataset, predictions, labels)])

    def _break_down(self, split: str, dataset, predictions: dict, labels: dict, arguments: DataArguments) -> None:
        """Scores by speaker, and a picture of how often probabilities are right, before and after a temperature."""
        named = dataset["speaker"][:] if "speaker" in dataset.column_names else []
        speakers = np.array([speaker_key(speaker or "") for speaker in named], dtype=str)
        if (known := speakers != "").any():
            public = all(corpus_named(corpus.corpus).public for corpus in arguments.corpora.values())
            of_known = [
                {name: np.asarray(values)[known] for name, values in each.items()} for each in (predictions, labels)
            ]
            if found := by_speaker(self.tasks, *of_known, speakers[known], named=public):
                self.by_speaker[split] = found
        for name, temperature in (self.calibration.temperatures or {}).items():
            there = labels[name] >= 0
            if there.any():
                task = next(task for task in self.tasks if task.name == name)
                path = self.folder / "plots" / f"{split}_{name}_reliability.png"
                plot_reliability(task, np.asarray(predictions[name])[there], labels[name][there], temperature, path)

    def _submit(self, clips: Clips, file_ids, predictions: dict, arguments: DataArguments, table) -> list[str]:
        unreadable = [clip.file_id for clip in clips.skipped]
        lines = []
        for form in answered_forms(self.tasks):
            try:
                written = write_submission(
                    self.folder, self.tasks, arguments, (file_ids, predictions), table, unreadable, self.constant, form
                )
            except SubmissionError as error:  # the trained model and the predictions are kept
                self.submissions.append({"form": form, "problem": str(error)})
                lines.append(f"no {form} file is written: {error}")
                continue
            if written is not None:
                self.submissions.append(asdict(written))
                lines.append(written.summary())
        return lines


def write_predictions(path: str | Path, tasks: Sequence[Task], file_ids: Sequence[str], predictions: dict) -> None:
    """Per clip: ``file_id``, each regressed label, of a classification the most probable class and each probability.

    Columns are ``<task>/<label>``; a task of one label, and the most probable class, are ``<task>`` alone. Names that a
    spreadsheet would read as formulas get an apostrophe in front, see ``data.cells``.

    Raises:
        RunError: a prediction that is not finite; names task and clip. Nothing is written then.
    """
    header, columns = ["file_id"], [[as_cell(file_id) for file_id in file_ids]]
    for task in tasks:
        values = np.asarray(predictions[task.name])
        if (wrong := ~np.isfinite(values).all(axis=1)).any():
            row = int(wrong.argmax())
            raise RunError(
                f"{Path(path).name} is not written: the task {task.name!r} has the prediction {values[row].tolist()} "
                f"for the clip {file_ids[row]!r}, and {wrong.sum():,} of {len(values):,} are not finite; the weights "
                "are damaged, or the clips' values are far too large: train it again, with bf16 off"
            )
        if task.kind == "classification":
            header.append(task.name)
            columns.append([as_cell(task.labels[place]) for place in values.argmax(axis=1)])
        header += prediction_columns(task)
        columns += [[f"{value:.6f}" for value in column] for column in values.T]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    write_whole(path, table.getvalue())


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that the run used."""
    packages = {package: version(package) for package in PACKAGES}
    return {"burst2vec": __version__, "python": platform.python_version(), **packages}
