"""The constant baseline of a run: learnt from training clips, and kept in its record for runs without any."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict

from ..data.collating import corpus_labels
from ..data.sampling import labels_present
from ..errors import RunError
from ..scoring import baseline_predictions
from ..tasks import Task
from .inputs import draw_clips
from .recipes import Run
from .run_record import RECORD, RunRecord

logger = logging.getLogger(__name__)

Constant = dict[str, np.ndarray]  # by task (1, labels), as a model predicts: a regression in its unit, or probabilities


def learn_constant(tasks: Sequence[Task], train_clips: Dataset) -> Constant:
    """The constant baseline of training clips; see ``burst2vec.scoring.baseline_predictions``."""
    return baseline_predictions(tasks, corpus_labels(train_clips, tasks), 1)


def to_record(constant: Constant | None) -> dict[str, list[float]] | None:
    """As ``metrics.json`` holds it under ``constant``."""
    return constant and {name: answer[0].tolist() for name, answer in constant.items()}


def from_record(given: dict | None, tasks: Sequence[Task]) -> Constant | None:
    """The constant baseline that a run's record holds under ``constant``; None where it has none for these tasks.

    >>> from burst2vec.tasks import AGE
    >>> from_record({"age": [27.5]}, [AGE]), from_record(None, [AGE])
    ({'age': array([[27.5]])}, None)
    """
    if not isinstance(given, dict):
        return None
    constant = {}
    for task in tasks:
        answer = given.get(task.name)
        if not isinstance(answer, list) or len(answer) != len(task.labels):
            return None
        constant[task.name] = np.array([answer], dtype=np.float64)
        if not np.isfinite(constant[task.name]).all():
            return None
    return constant


def constant_of(run: Run, corpus: DatasetDict, train_clips: Dataset | None, tasks: Sequence[Task]) -> Constant | None:
    """The constant baseline beside a run's scores.

    Args:
        run: the run.
        corpus: all that it read.
        train_clips: what it trains on; None where it does not train. The baseline is then of the clips that the saved
            model was trained on, as its run's record has it, else of those that the corpus has for training.
        tasks: of the model.

    Returns:
        None where there is neither.
    """
    trains = train_clips is not None
    if not trains:
        if (known := _saved_constant(run.model.model_path, tasks)) is not None:
            return known
        if "train" not in corpus:
            return None
        train_clips = draw_clips(corpus["train"], run.data.max_train_samples, run.training.seed)
    labels = corpus_labels(train_clips, tasks)
    learnable = trains or all(labels_present(values).any() for values in labels.values())
    return baseline_predictions(tasks, labels, 1) if learnable else None


def _saved_constant(model_path: str | Path, tasks: Sequence[Task]) -> Constant | None:
    """The constant baseline in the record of a saved model's run; None where there is none."""
    if not Path(model_path, RECORD).is_file():
        return None
    try:
        return from_record(RunRecord.read(model_path).constant, tasks)
    except (RunError, ValueError, TypeError) as error:  # predictions do not need it
        logger.warning("scores stand without a constant baseline: %s", error)
        return None
