"""Several finished runs clip by clip: each system's predictions of the same clips, and the corpus's labels beside them.

Systems may predict different tasks: each task is answered by those that predict it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..data.collating import corpus_labels
from ..data.corpora import corpus_named
from ..data.sampling import labels_present
from ..errors import RunError
from ..experiment.baseline import Constant, from_record, learn_constant
from ..experiment.finished import FinishedRun, names_of, read_predictions, read_run
from ..experiment.inputs import read_corpora
from ..experiment.recipes import FUSE
from ..experiment.sections import DataArguments
from ..scoring import score_tasks
from ..tasks import Task

AGREES = 1e-3  # between a run's own score and that of its file, which keeps six digits


@dataclass(frozen=True)
class Split:
    """The clips that every system predicted, and beside them those that only some did.

    Attributes:
        file_ids: of the common clips, in the order of the first system's file.
        predictions: of these, one dictionary per system, by those of the tasks that it answers.
        references: by task, see ``corpus_labels``; None where the split has no labels.
        speakers: of each common clip; "" where unknown.
        partial: ids of the other clips.
        partial_mean: of these, by task, the mean over the systems that answer it and predicted each, (clips, labels).
        table: the ids of all clips that the corpus has in this split.
        constant: the constant baseline's prediction, by task (1, labels); None where it is unknown.
    """

    file_ids: list[str]
    predictions: list[dict]
    references: dict | None = None
    speakers: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    partial_mean: dict[str, np.ndarray] = field(default_factory=dict)
    table: list[str] = field(default_factory=list)
    constant: dict[str, np.ndarray] | None = None


def read_systems(folders: Sequence[str | Path]) -> dict[str, FinishedRun]:
    """Finished runs by name.

    Raises:
        RunError: fewer than two, a folder twice or without a finished run, or runs that mean different things by a
            task.
    """
    if len(folders) < 2:
        raise RunError(f"fusion takes two runs or more, got {len(folders)}")
    systems = dict(zip(names_of(folders), map(read_run, folders), strict=True))
    tasks_of_all(systems)
    return systems


def tasks_of_all(systems: dict[str, FinishedRun]) -> tuple[Task, ...]:
    """Every task that some system predicts, each as the first of them has it.

    Raises:
        RunError: two systems define a task differently; names both.
    """
    tasks: dict[str, tuple[str, Task]] = {}
    for name, run in systems.items():
        for task in run.tasks:
            first, meant = tasks.setdefault(task.name, (name, task))
            if _meaning(task) != _meaning(meant):
                raise RunError(
                    f"{name} and {first} differ in the task {task.name!r}: {_meaning(task)} and {_meaning(meant)}; "
                    "what is put side by side must mean the same"
                )
    return tuple(task for _, task in tasks.values())


def answering(systems: dict[str, FinishedRun]) -> dict[str, tuple[str, ...]]:
    """By task, the names of all systems that predict it."""
    return {
        task.name: tuple(name for name, run in systems.items() if task.name in {own.name for own in run.tasks})
        for task in tasks_of_all(systems)
    }


def _meaning(task: Task) -> tuple:
    """What two systems must agree on; loss and span may differ, and labels are matched by name."""
    return task.kind, task.metric, task.unit, tuple(sorted(task.labels))


def align(systems: dict[str, FinishedRun], split: str, answer: dict[str, tuple[str, ...]] | None = None) -> Split:
    """The systems' predictions of a split, row by row for the same clips.

    Runs may have skipped different clips as unreadable: weights and scores are of the common ones. Of the
    others, those are kept that have an answer to every task.

    Args:
        systems: by name.
        split: whose.
        answer: by task the systems that answer it; by default all that predict it.

    Raises:
        RunError: a system without the file, or fewer than half of all clips in common.
    """
    answer = answering(systems) if answer is None else answer
    labels = {task.name: len(task.labels) for task in tasks_of_all(systems)}
    read = {name: read_predictions(run.predictions_file(split), run.tasks) for name, run in systems.items()}
    rows_of = {name: {file_id: row for row, file_id in enumerate(own_ids)} for name, (own_ids, _) in read.items()}
    clips = list(dict.fromkeys(file_id for own_ids, _ in read.values() for file_id in own_ids))
    lacking = {file_id: [name for name in systems if file_id not in rows_of[name]] for file_id in clips}
    common = [file_id for file_id in clips if not lacking[file_id]]
    if 2 * len(common) < len(clips):
        odd = next(file_id for file_id in clips if lacking[file_id])
        raise RunError(
            f"{split}: only {len(common):,} of {len(clips):,} clips were predicted by all runs; "
            f"{lacking[odd][0]} has no prediction of {odd!r}, for example; give runs that predict the same clips"
        )
    aligned = [
        {
            task: predictions[task][[rows_of[name][file_id] for file_id in common]]
            for task, members in answer.items()
            if name in members
        }
        for name, (_, predictions) in read.items()
    ]
    partial = [
        file_id
        for file_id in clips
        if lacking[file_id] and all(set(members) - set(lacking[file_id]) for members in answer.values())
    ]
    means = {task: np.empty((len(partial), labels[task])) for task in answer}
    for row, file_id in enumerate(partial):
        for task, values in means.items():
            having = [name for name in answer[task] if name not in lacking[file_id]]
            values[row] = np.mean([read[name][1][task][rows_of[name][file_id]] for name in having], axis=0)
    return Split(common, aligned, partial=partial, partial_mean=means)


def data_of(run: FinishedRun, data_dirs: Sequence[str] = (), **changes) -> DataArguments:
    """The data section of a run's recipe, with the folders that a published recipe leaves out.

    Args:
        data_dirs: one folder, or several of a corpus that takes ``more_dirs``; or for a mixture ``NAME=FOLDER`` for
            each corpus, named as in the clips' ids.
        changes: other keys of the section; None leaves the recipe's.

    Raises:
        RunError: a recipe of other keys, or a folder for no corpus of the run.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    try:
        data = DataArguments(**{**run.record.recipe.get("data", {}), **given})
        names = list(data.corpora)
    except (TypeError, ValueError) as error:
        raise RunError(f"{run.folder}: its recipe's data cannot be read: {error}") from error
    if data.mix is None and len(data_dirs) > 1 and "more_dirs" in corpus_named(data.corpus).takes:
        folder, *more = data_dirs
        return replace(data, data_dir=folder, more_dirs=more)
    folders = {}
    for text in data_dirs:
        name, equals, folder = text.partition("=")
        name, folder = (name, folder) if equals and name in names else (names[0], text)
        if name in folders or (data.mix is not None and folder is text):
            raise RunError(f"--data_dir {text}: the run reads {names}; give each as NAME=FOLDER, or one folder for one")
        folders[name] = folder
    if data.mix is None:
        return replace(data, data_dir=folders.get(names[0]))
    mix = [{**corpus, "data_dir": folders.get(name)} for name, corpus in zip(names, data.mix, strict=True)]
    return replace(data, mix=mix)


def label_splits(
    splits: dict[str, Split], systems: dict[str, FinishedRun], data: DataArguments, tasks: Sequence[Task]
) -> dict[str, Split]:
    """The splits with the corpus's labels and speakers, where it has labels.

    Args:
        splits: by name, of ``align``.
        systems: by name.
        data: where the corpus is, see ``data_of``.
        tasks: those whose labels are asked for.

    Raises:
        RunError: a clip that the corpus does not have, or labels that give a system another score than its run
            recorded: they are not the labels of that run.
    """
    trained = any(run.record.recipe.get("training", {}).get("do_train", True) for run in systems.values())
    corpus = read_corpora(data, tasks, for_prediction=not trained)
    constant = learn_constant(tasks, corpus["train"]) if "train" in corpus else _recorded_constant(systems, tasks)
    labelled = {}
    for name, split in splits.items():
        dataset = corpus[name] if name in corpus else next(iter(corpus.values())).select([])
        table = dataset["file_id"][:]
        row_of = {file_id: row for row, file_id in enumerate(table)}
        for system, run in systems.items():
            own_ids, predictions = read_predictions(run.predictions_file(name), run.tasks)
            if lacking := [file_id for file_id in own_ids if file_id not in row_of]:
                raise RunError(
                    f"{name}: the corpus has no clip {lacking[0]!r} there, and lacks {len(lacking):,} of "
                    f"{len(own_ids):,} of {system}; give the corpus of the runs with --data_dir"
                )
            own_tasks = [task for task in tasks if task.name in predictions]
            own = _references(dataset.select([row_of[file_id] for file_id in own_ids]), own_tasks)
            if own is not None and not _scored_in_part(run, name):
                _refuse_other_labels(name, system, run, score_tasks(own_tasks, predictions, own))
        clips = dataset.select([row_of[file_id] for file_id in split.file_ids])
        speakers = [speaker or "" for speaker in clips["speaker"]]
        references = _references(clips, tasks)
        labelled[name] = replace(split, references=references, speakers=speakers, table=table, constant=constant)
    return labelled


def _recorded_constant(systems: dict[str, FinishedRun], tasks: Sequence[Task]) -> Constant | None:
    """Each task's constant from the first record that has it; None where a task has none."""
    answers: Constant = {}
    for task in tasks:
        known = (from_record(run.record.constant, [task]) for run in systems.values())
        answers |= next((answer for answer in known if answer is not None), {})
    return answers if len(answers) == len(tasks) else None


def _references(clips, tasks) -> dict | None:
    references = corpus_labels(clips, tasks)
    return references if any(labels_present(of_task).any() for of_task in references.values()) else None


def _scored_in_part(run: FinishedRun, split: str) -> bool:
    """Whether the run is a fusion that predicts more clips than it scored, because its runs skipped different ones."""
    counts = run.record.clips.get(split, {})
    return FUSE in run.record.recipe and counts.get("scored") != counts.get("used")


def _refuse_other_labels(split: str, system: str, run: FinishedRun, scores: dict[str, float]) -> None:
    own = run.record.scores.get(split, {})
    for name, value in scores.items():
        if name in own and abs(own[name] - value) > AGREES * max(1.0, abs(value)):
            raise RunError(
                f"{split}: {system} reached {name} {own[name]:.4f} in its run and {value:.4f} on these labels; it was "
                "another corpus, or the run's files were changed: give the corpus of the runs with --data_dir"
            )
