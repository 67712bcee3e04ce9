"""What a prediction says, in words and numbers: for the pipelines and for an exported model, which has no torch.

A task is a record as ``burst2vec.tasks.Task``, or anything that has its ``name``, ``kind``, ``labels`` and ``span``.
"""

import math
from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np

from .errors import RunError

TEMPERATURES = (0.1, 10.0)  # allowed; outside, powers of probabilities leave float32's range
ROUNDING = 1e-9  # sums of fractions that are a level but for rounding reach it


def answers_of(tasks, predictions: Mapping, conformal: Mapping | None = None, coverage: float | None = None) -> dict:
    """What a model says of a clip.

    Args:
        tasks: their records.
        predictions: by task the prediction, (labels,); NaN where there is none.
        conformal: as ``Burst2VecConfig`` has it.
        coverage: above 0, up to 0.99, see [`check_coverage`]; None for no intervals.

    Returns:
        By task: several regressed labels ``{"Awe": 0.71, …}``; one, its number in the task's unit; classes
        ``{"label": "Venezuela", "probabilities": {"China": 0.05, …}}``, with None for a class that is not known. With a
        coverage also ``"conformal"``, by task as [`interval_or_set`] gives it, without tasks that are not calibrated.
    """
    answers = {task.name: _answer(task, predictions[task.name]) for task in tasks}
    if coverage is not None:
        answers["conformal"] = {
            task.name: interval_or_set(task, predictions[task.name], conformal[task.name], coverage)
            for task in tasks
            if task.name in conformal
        }
    return answers


def _answer(task, values: Sequence[float]):
    by_label = dict(zip(task.labels, values, strict=True))
    if task.kind != "classification":
        return values[0] if len(values) == 1 else by_label
    known = not any(map(math.isnan, values))
    return {"label": max(by_label, key=by_label.get) if known else None, "probabilities": by_label}


def temper(probabilities, temperature: float):
    """Probabilities (…, classes) at a temperature, as ``burst2vec.scoring.temperature`` has it: p^(1/T), to a sum of 1.

    Args:
        probabilities: an array or a tensor, which the answer is too.
        temperature: in 0.1..10; above 1 less sure.

    >>> temper(np.array([[0.9, 0.1]]), 2.0).round(2).tolist()
    [[0.75, 0.25]]
    """
    powers = probabilities ** (1 / temperature)
    return powers / powers.sum(-1)[..., None]


def check_coverage(conformal: Mapping | None, coverage: float) -> None:
    """Refuse a coverage that a model has no quantiles for, or that cannot be had.

    Raises:
        RunError: says what mends it.
    """
    if not conformal:
        raise RunError(
            f"coverage {coverage}: the model does not have the quantiles of its errors; burst2vec calibrate RUN "
            "--data_dir CORPUS saves them, from validation clips whose speakers are known, and others than those of "
            "training (an exported model is then exported again); or give your own: model.config.conformal = "
            "burst2vec.scoring.calibrate(model.tasks, predictions, labels, speakers)"
        )
    for quantiles in conformal.values():
        quantile_at(quantiles[0], coverage)


def quantile_at(quantiles: Sequence[float | None], coverage: float) -> float:
    """The quantile for a coverage, of those at 1/(n + 1), …, n/(n + 1); infinite for None.

    Raises:
        RunError: a coverage that is not above 0 and up to n/(n + 1).

    >>> quantile_at([0.1, 0.2, None], 0.3), quantile_at([0.1, 0.2, None], 0.75)
    (0.2, inf)
    """
    most = len(quantiles) / (len(quantiles) + 1)
    if isinstance(coverage, bool) or not isinstance(coverage, Real) or not 0 < coverage <= most:
        raise RunError(f"coverage must be a number above 0, up to {most:g}, such as 0.9, got {coverage!r}")
    found = quantiles[math.ceil(coverage * (len(quantiles) + 1) - ROUNDING) - 1]
    return math.inf if found is None else found


def interval_or_set(task, values: Sequence[float], quantiles: Sequence, coverage: float):
    """What holds a clip's label as often as asked; how, is in ``burst2vec.scoring.conformal``.

    Args:
        task: its record.
        values: the prediction, (labels,); NaN where there is none.
        quantiles: of the task, as ``burst2vec.scoring.calibrate`` gives them.
        coverage: above 0, up to 0.99.

    Returns:
        Of several regressed labels ``{"Awe": [low, high], …}``, of one ``[low, high]``, in the task's unit and within
        its span; of classes a list of names, the most probable first, which is always in it; None without a prediction.

    Raises:
        RunError: as [`quantile_at`].
    """
    radii = [quantile_at(of_label, coverage) for of_label in quantiles]
    if task.kind == "classification":
        if any(map(math.isnan, values)):
            return None
        by_probability = sorted(range(len(values)), key=lambda place: -values[place])
        return [
            task.labels[place]
            for number, place in enumerate(by_probability)
            if number == 0 or 1 - values[place] <= radii[0]
        ]
    low, high = bounds(task, np.asarray(values, dtype=np.float64), radii)
    within = [[float(least), float(most)] for least, most in zip(low, high, strict=True)]
    return within[0] if len(task.labels) == 1 else dict(zip(task.labels, within, strict=True))


def bounds(task, values: np.ndarray, radii: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The intervals' ends around values (…, labels), within the task's span, as all labels are."""
    return np.clip(values - radii, *task.span), np.clip(values + radii, *task.span)
