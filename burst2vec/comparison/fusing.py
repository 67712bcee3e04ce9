"""Fusion of several finished runs: each task's predictions weighted by hand, evenly or on validation, and scored.

Weights are chosen on the validation clips, so the fused score on the same clips is optimistic. The score to quote is
that on test, or on validation with the weights for each speaker chosen on the other speakers.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import RunError
from ..scoring import score_tasks
from ..scoring.fusion import choose_best, choose_weights, even_weights, weighted
from ..tasks import Task
from .aligning import Split

CHOOSING = {"weights": choose_weights, "hybrid": choose_best}  # the ways that look at validation's labels
WAYS = ("mean", *CHOOSING)
GIVEN = "given"  # weights by hand
FOLDS = 5  # where no test split is scored; our choice


@dataclass(frozen=True)
class Fusion:
    """The result of a fusion.

    Attributes:
        way: ``"weights"``, ``"hybrid"`` (the best single system of each task), ``"mean"`` or ``"given"``.
        systems: their names.
        tasks: the task records.
        weights: by task, one per system; 0 for one that does not predict the task.
        fused: by split and task, the fused predictions.
        scores: by split, then by system, and ``"fused"``; splits without labels are not in it. A system has the scores
            of the tasks that it answers.
        held_out: of the fused system on validation clips, each by weights chosen on other speakers' clips; or None.
        folds: how many groups of speakers that was done with; 0 for none.
    """

    way: str
    systems: tuple[str, ...]
    tasks: tuple[Task, ...]
    weights: dict[str, list[float]]
    fused: dict[str, dict]
    scores: dict[str, dict[str, dict[str, float]]]
    held_out: dict[str, float] | None
    folds: int


def fuse(
    systems: Sequence[str],
    tasks: Sequence[Task],
    splits: dict[str, Split],
    way: str = "weights",
    folds: int | None = None,
    given: dict[str, list[float]] | None = None,
) -> Fusion:
    """Find the weights of each task and apply them to every split.

    Args:
        systems: their names, in the order of each split's predictions.
        tasks: the task records.
        splits: ``"validation"``, with references where ``way`` chooses on it, and ``"test"`` where there is one.
        way: one of ``WAYS``; ignored where weights are given.
        folds: groups of speakers for the held-out score; 0 for none; by default 5 where test has no labels. Where
            nothing is chosen none are needed.
        given: by task the weights to apply, one per system.

    Raises:
        RunError: no labels to choose on, or folds that cannot be made.
    """
    if not splits:
        raise RunError("there is no split that all runs predicted; fuse runs with predictions of the same splits")
    scored = {name: split for name, split in splits.items() if split.references is not None}
    choose = CHOOSING.get(way) if given is None else None
    held_out = None
    if choose is None:
        folds = 0
        predictions = next(iter(splits.values())).predictions
        weights = given or {task.name: _spread(predictions, task, even_weights) for task in tasks}
    else:
        if "validation" not in scored:
            raise RunError(
                "weights are chosen on labelled validation clips, and there are none; --mean needs no labels"
            )
        folds = (0 if "test" in scored else FOLDS) if folds is None else folds
        weights = _chosen(choose, tasks, scored["validation"], slice(None), "validation")
        if folds:
            held_out, folds = _held_out(choose, tasks, scored["validation"], folds)
    fused = {name: _mixed(split.predictions, weights) for name, split in splits.items()}
    scores = {
        name: {
            row: score_tasks([task for task in tasks if task.name in predictions], predictions, split.references)
            for row, predictions in zip((*systems, "fused"), (*split.predictions, fused[name]), strict=True)
        }
        for name, split in scored.items()
    }
    way = way if given is None else GIVEN
    return Fusion(way, tuple(systems), tuple(tasks), weights, fused, scores, held_out, folds)


def _mixed(predictions: Sequence[dict], weights: dict[str, list[float]]) -> dict[str, np.ndarray]:
    """``scoring.fusion.weighted`` of systems that may predict different tasks."""
    fused = {}
    for task, of_task in weights.items():
        having = [place for place, system in enumerate(predictions) if task in system]
        systems = [{task: predictions[place][task]} for place in having]
        fused |= weighted(systems, {task: [of_task[place] for place in having]})
    return fused


def _spread(predictions: Sequence[dict], task: Task, weigh: Callable[[int], Sequence[float]]) -> list[float]:
    """Weights of the systems that predict a task, and 0 for each other one."""
    having = [place for place, system in enumerate(predictions) if task.name in system]
    weights = [0.0] * len(predictions)
    for place, weight in zip(having, weigh(len(having)), strict=True):
        weights[place] = weight
    return weights


def _chosen(choose: Callable, tasks, split: Split, clips, where: str) -> dict[str, list[float]]:
    references = {task: values[clips] for task, values in split.references.items()}
    weights = {}
    for task in tasks:
        systems = [{task.name: own[task.name][clips]} for own in split.predictions if task.name in own]
        try:
            chosen = choose([task], systems, references)[task.name]
        except ValueError as error:
            raise RunError(f"{where}: no weights can be chosen: {error}") from error
        weights[task.name] = _spread(split.predictions, task, lambda _, chosen=chosen: chosen)
    return weights


def _held_out(choose: Callable, tasks, split: Split, folds: int) -> tuple[dict[str, float], int]:
    """The score of all clips together, each fused by weights chosen without its speaker's fold; and how many folds."""
    fold_of = speaker_folds(split.speakers, split.file_ids, folds)
    fused = {task.name: np.empty((len(split.file_ids), len(task.labels))) for task in tasks}
    for fold in np.unique(fold_of):
        weights = _chosen(choose, tasks, split, fold_of != fold, f"without fold {fold} of the speakers (--folds 0)")
        for task, values in _mixed(split.predictions, weights).items():
            fused[task][fold_of == fold] = values[fold_of == fold]
    return score_tasks(tasks, fused, split.references), int(fold_of.max()) + 1


def speaker_folds(speakers: Sequence[str], file_ids: Sequence[str], folds: int) -> np.ndarray:
    """The fold of each clip: all of a speaker in one, each fold about as many clips; the same every time.

    A clip without a speaker counts as a speaker of its own, as in the corpora. Speakers fewer than folds make fewer.

    Raises:
        RunError: fewer than two folds or speakers.

    Anna has three clips and fills a fold; Ben's two and Cem's one fill the other:

    >>> speaker_folds(["Ben", "Anna", "Anna", "Anna", "Ben", "Cem"], list("123456"), 2).tolist()
    [1, 0, 0, 0, 1, 1]
    """
    units = [speaker or f"\0{file_id}" for speaker, file_id in zip(speakers, file_ids, strict=True)]
    clips = Counter(units)
    folds = min(folds, len(clips))
    if folds < 2:
        raise RunError(f"held-out scores need 2 folds and speakers or more, got {folds}; --folds 0 goes without")
    sizes, fold_of = [0] * folds, {}
    for unit in sorted(clips, key=lambda unit: (-clips[unit], unit)):
        fold_of[unit] = sizes.index(min(sizes))
        sizes[fold_of[unit]] += clips[unit]
    return np.array([fold_of[unit] for unit in units])
