"""The constant baseline beside every score: the same prediction for every clip, learnt from training labels."""

import numpy as np

from .scores import as_numbers


def baseline_predictions(tasks, train_references: dict, n: int) -> dict[str, np.ndarray]:
    """The same answer for every clip, learnt from the training references alone.

    A task scored by CCC gets the mean of each label (mean intensity), one scored by MAE the median (median age), a
    classification its most frequent class (majority country), the first among equals. Without one valid training
    reference nothing is known: a label gets the middle of the task's span, a classification equal probabilities.

    Args:
        tasks: the :class:`~burst2vec.tasks.Task` records.
        train_references: by task name: (clips, labels) with NaN where missing, or (clips,) class indices with -1 where
            missing; a task of one label may also give (clips,).
        n: how many clips to answer for.

    Returns:
        By task name: float64 (n, labels) in the task's unit, or (n, classes) probabilities.

    Raises:
        ValueError: a task without references, or references whose shape or classes are not the task's.

    >>> from burst2vec.tasks import AGE
    >>> baseline_predictions([AGE], {"age": np.array([20.0, 22.0, 39.0])}, n=2)["age"].tolist()
    [[22.0], [22.0]]
    """
    predictions = {}
    for task in tasks:
        if task.name not in train_references:
            raise ValueError(
                f"task {task.name!r}: no training references; there are some for {sorted(train_references)}"
            )
        references = as_numbers(train_references[task.name], f"task {task.name!r}: training references")
        guess = _majority(task, references) if task.kind == "classification" else _middle(task, references)
        predictions[task.name] = np.tile(guess, (n, 1))
    return predictions


def _majority(task, references: np.ndarray) -> np.ndarray:
    classes = len(task.labels)
    known = references[(references != -1) & ~np.isnan(references)]
    if references.ndim != 1 or not np.isin(known, np.arange(classes)).all():
        raise ValueError(
            f"task {task.name!r}: training references must be class indices of shape (clips,), 0 to {classes - 1} "
            f"or -1 where missing; got shape {references.shape}, values {np.unique(known)[:10].tolist()}"
        )
    if not known.size:
        return np.full(classes, 1.0 / classes)
    return np.eye(classes)[np.bincount(known.astype(np.int64), minlength=classes).argmax()]


def _middle(task, references: np.ndarray) -> np.ndarray:
    if references.ndim == 1 and len(task.labels) == 1:
        references = references[:, None]
    if references.ndim != 2 or references.shape[1] != len(task.labels) or np.isinf(references).any():
        raise ValueError(
            f"task {task.name!r}: training references must be finite or NaN, of shape (clips, {len(task.labels)}); "
            f"got shape {references.shape}"
        )
    middle = np.median if task.metric == "mae" else np.mean
    columns = [column[~np.isnan(column)] for column in references.T]
    return np.array([middle(column) if column.size else task.to_unit(0.5) for column in columns])
