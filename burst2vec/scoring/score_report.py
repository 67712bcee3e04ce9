"""From predictions to named scores, and from scores to a table a reader can weigh."""

import numpy as np

from ..markdown import markdown_table
from ..tasks import TASK_PRESETS, Task
from .scores import (
    as_numbers,
    concordance_cc_per_label,
    mean_absolute_error_per_label,
    pearson_correlation_per_label,
    s_mtl,
    unweighted_average_recall,
    weighted_average_recall,
)

PER_LABEL = {
    "ccc": concordance_cc_per_label,
    "mae": mean_absolute_error_per_label,
    "pearson": pearson_correlation_per_label,
}
BESIDE = {"ccc": "pearson", "uar": "war"}  # by a task's metric, what is reported beside it
EXVO_NAMES = {task.name for task in TASK_PRESETS["exvo"]}


def score_tasks(tasks, predictions: dict, references: dict) -> dict[str, float]:
    """Every task's score by its name, such as ``emotion_ccc``, ``emotion_ccc/Awe``, ``age_mae`` and ``country_uar``.

    Beside the recall of a classification stands its accuracy, the weighted average recall, as ``country_war``; beside a
    ``ccc`` Pearson's correlation, as ``emotion_pearson`` and ``emotion_pearson/Awe``.
    ``s_mtl`` is among them where the tasks have ExVo's three names, whatever else they are, or where exactly one is
    scored by ``ccc``, one by ``uar`` and one by ``mae``.

    Args:
        tasks: the :class:`~burst2vec.tasks.Task` records.
        predictions: by task name: (n, labels) in the task's unit, or (n, classes) probabilities.
        references: by task name: (n, labels) with NaN where missing, or (n,) class indices with -1 where missing; a
            task of one label may also give (n,).

    Returns:
        Numbers only. A label, or a whole task, without one valid reference has no score and therefore no key.

    Raises:
        ValueError: a task without predictions or references, shapes that disagree with the task or with each other,
            a prediction that is not finite, or no task with a valid reference.

    >>> age = Task("age", kind="regression", labels=("age",), unit="years", span=(15, 45), loss="mae", metric="mae")
    >>> score_tasks([age], {"age": np.array([[20.0], [31.0]])}, {"age": np.array([22.0, 30.0])})
    {'age_mae': 1.5}
    """
    scores = {}
    for task in tasks:
        for name, values in (("predictions", predictions), ("references", references)):
            if task.name not in values:
                raise ValueError(f"task {task.name!r}: no {name}; there are some for {sorted(values)}")
        try:
            scores.update(_score_task(task, predictions[task.name], references[task.name]))
        except ValueError as error:
            raise ValueError(f"task {task.name!r}: {error}") from error
    if not scores:
        raise ValueError(f"nothing to score: no task of {[task.name for task in tasks]} has a valid reference")
    of_exvo = [task for task in tasks if task.name in EXVO_NAMES]  # A-VB's four may stand beside them
    counted = of_exvo if len(of_exvo) == len(EXVO_NAMES) else tasks
    parts = {
        metric: [scores.get(task.score_name) for task in counted if task.metric == metric]
        for metric in ("ccc", "uar", "mae")
    }
    if all(len(found) == 1 and found[0] is not None for found in parts.values()):
        scores["s_mtl"] = s_mtl(**{metric: found[0] for metric, found in parts.items()})
    return scores


def _score_task(task: Task, predictions, references) -> dict[str, float]:
    predictions = as_numbers(predictions, "predictions")
    references = as_numbers(references, "references")
    if predictions.ndim != 2 or predictions.shape[1] != len(task.labels):
        raise ValueError(
            f"predictions have shape {predictions.shape}; expected (n, {len(task.labels)}), one column for each label"
        )
    if task.kind == "classification":
        missing = np.isnan(references) | (references == -1)
        if missing.all():
            return {}
        return {
            task.score_name: unweighted_average_recall(predictions, references),
            beside_name(task): weighted_average_recall(predictions, references),
        }
    if references.ndim == 1 and len(task.labels) == 1:
        references = references[:, None]
    if np.isnan(references).all():
        return {}
    scores = {}
    for metric in filter(None, (task.metric, BESIDE.get(task.metric))):
        per_label = PER_LABEL[metric](predictions, references)
        scores[f"{task.name}_{metric}"] = float(np.nanmean(per_label))
        if len(task.labels) > 1:
            named = zip(task.labels, per_label.tolist(), strict=True)
            scores.update({f"{task.name}_{metric}/{label}": score for label, score in named if not np.isnan(score)})
    return scores


def beside_name(task: Task) -> str | None:
    """Key of a task's second score: the weighted average recall beside a UAR, Pearson's correlation beside a CCC; None
    where there is none.

    >>> [beside_name(task) for task in TASK_PRESETS["exvo"]]
    ['emotion_pearson', None, 'country_war']
    """
    return f"{task.name}_{BESIDE[task.metric]}" if task.metric in BESIDE else None


def format_report(tasks, scores: dict, baseline_scores: dict, clips: int | None = None) -> str:
    """A Markdown table, aligned for the console, of each score beside that of the constant baseline.

    Pearson's correlation stands there as its mean over labels; ``scores`` has each label's.

    Args:
        tasks: the :class:`~burst2vec.tasks.Task` records; they give the order of the rows and the units.
        scores: from :func:`score_tasks`, on the model's predictions.
        baseline_scores: from :func:`score_tasks`, on :func:`~burst2vec.scoring.baseline_predictions`.
        clips: how many clips were scored; named above the table.

    Returns:
        Lines without a final newline; a score that is not defined is shown as ``-``.

    >>> age = Task("age", kind="regression", labels=("age",), unit="years", span=(15, 45), loss="mae", metric="mae")
    >>> print(format_report([age], {"age_mae": 3.709}, {"age_mae": 4.02}, clips=7))
    Clips scored: 7
    <BLANKLINE>
    | score           | model | baseline | better | what it predicts |
    | :-------------- | ----: | -------: | :----- | :--------------- |
    | age_mae (years) | 3.709 |    4.020 | lower  | median           |
    """
    guesses = {"ccc": "mean of each label", "mae": "median", "uar": "most frequent class"}
    rows = [("score", "model", "baseline", "better", "what it predicts")]
    for task in tasks:
        unit = f" ({task.unit})" if task.metric == "mae" and task.unit else ""
        better = "lower" if task.metric == "mae" else "higher"
        keys = [task.score_name, beside_name(task)] + [f"{task.score_name}/{label}" for label in task.labels]
        for key in keys:
            if key in scores or key == task.score_name:
                guess = "" if "/" in key else guesses[task.metric]
                rows.append(
                    (key + unit, _three_places(scores, key), _three_places(baseline_scores, key), better, guess)
                )
    if "s_mtl" in scores:
        rows.append(("s_mtl", _three_places(scores, "s_mtl"), _three_places(baseline_scores, "s_mtl"), "higher", ""))
    heading = [] if clips is None else [f"Clips scored: {clips:,}", ""]
    return "\n".join([*heading, markdown_table(rows, "<>><<")])


def _three_places(scores: dict, key: str) -> str:
    return f"{scores[key]:.3f}" if key in scores else "-"
