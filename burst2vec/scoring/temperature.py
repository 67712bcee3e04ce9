r"""Temperature scaling: a classification's probabilities, made right as often as they say.

The probabilities p = softmax(z) of a network are mostly too sure. Guo et al. (2017, arXiv:1706.04599, section 4.2)
divide the logits z by one number, the temperature T, which gives

.. math:: q_i = \frac{\exp(z_i / T)}{\sum_j \exp(z_j / T)} = \frac{p_i^{1/T}}{\sum_j p_j^{1/T}}

with the T of the smallest mean negative log-likelihood of clips that the model was not trained on. The order of the
classes stays, and so do accuracy and recall. The second form takes a probability whatever it was made of, such as the
mean over frames.

How far probabilities are off is the expected calibration error (Naeini, Cooper and Hauskrecht 2015; Guo et al., Eq. 3):
clips in M = 15 bins of equal width by the probability of their most probable class,

.. math:: ECE = \sum_{m=1}^{M} \frac{|B_m|}{n} \bigl| acc(B_m) - conf(B_m) \bigr|

of the fraction of clips in a bin that are right, and their mean probability. Chance alone makes it larger than 0: of
1,800 clips whose probabilities are right it is about 0.025, of 200 about 0.08.

On the clips that gave T it would be too good. There, each half of the speakers, drawn once, takes the T of the other
half, and the error is that of all; the T that is kept is of all clips.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from ..answers import TEMPERATURES, temper

BINS = 15
_SMALLEST = float(np.finfo(np.float32).tiny)  # a probability of 0 is one that float32 could not tell from 0


def expected_calibration_error(probabilities, classes, bins: int = BINS) -> float:
    """How far the probabilities of the most probable classes are from how often these are right.

    Args:
        probabilities: (clips, classes).
        classes: the labels, (clips,), none missing.
        bins: of equal width over 0..1; a bin holds its upper end.

    Returns:
        A number in 0..1; 0 is best.

    Two clips at 0.8, one of them right, and two at 0.6, both right: (2/4) |0.5 - 0.8| + (2/4) |1 - 0.6|:

    >>> sure = [[0.8, 0.2], [0.8, 0.2], [0.6, 0.4], [0.4, 0.6]]
    >>> round(expected_calibration_error(sure, [0, 1, 0, 1]), 4)
    0.35
    """
    confidence, accuracy, clips = reliability_bins(probabilities, classes, bins)
    return float((clips * np.abs(accuracy - confidence)).sum() / clips.sum())


def reliability_bins(probabilities, classes, bins: int = BINS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each bin with clips, by the probability of the most probable class: its mean, how many are right, the clips.

    Args:
        probabilities, classes, bins: as [`expected_calibration_error`] takes them.

    >>> [values.tolist() for values in reliability_bins([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]], [0, 1, 0], bins=4)]
    [[0.5, 0.75], [0.0, 0.5], [1, 2]]
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == np.asarray(classes)
    of_bin = (np.ceil(confidence * bins).astype(int) - 1).clip(0, bins - 1)
    clips = np.bincount(of_bin, minlength=bins)
    there = clips > 0
    means = (np.bincount(of_bin, values, bins)[there] / clips[there] for values in (confidence, right))
    return (*means, clips[there])


def fit_temperature(probabilities, classes) -> float:
    """The temperature T of the smallest mean negative log-likelihood, within 0.1 to 10.

    Args:
        probabilities: (clips, classes).
        classes: the labels, (clips,), none missing.

    Three of four clips are right at odds of 9 to 1, which T makes 3 to 1: 9^(1/T) = 3:

    >>> round(fit_temperature([[0.9, 0.1]] * 4, [0, 0, 0, 1]), 3)
    2.0
    """
    logs = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _SMALLEST))
    logs -= logs.max(axis=1, keepdims=True)
    right = logs[np.arange(len(logs)), np.asarray(classes, dtype=int)]

    def loss(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        return float((np.log(np.exp(logs * inverse).sum(axis=1)) - right * inverse).mean())

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def fit_temperatures(tasks, predictions: dict, labels: dict, speakers: Sequence[str]) -> dict[str, float]:
    """What ``Burst2VecConfig.temperatures`` holds, from clips of speakers whom the model was not trained on.

    Args:
        tasks: the task records.
        predictions: by task (clips, classes), probabilities as the model gives them without a temperature.
        labels: by task classes (clips,), -1 where missing.
        speakers: whose clip it is, (clips,).

    Returns:
        By classification; without those of which fewer than two speakers have labels.
    """
    found = _classifications(tasks, predictions, labels, speakers)
    return {task.name: fit_temperature(sure, classes) for task, sure, classes, _ in found}


def with_temperatures(predictions: dict, temperatures: dict | None, inverse: bool = False) -> dict:
    """Predictions by task, of which those of ``temperatures`` are tempered, or made what they were without.

    >>> with_temperatures({"sound": np.array([[0.9, 0.1]])}, {"sound": 2.0})["sound"].round(2).tolist()
    [[0.75, 0.25]]
    """
    changed = {
        name: temper(np.asarray(predictions[name]), 1 / value if inverse else value)
        for name, value in (temperatures or {}).items()
    }
    return {**predictions, **changed}


def measure_calibration(tasks, temperatures: dict, labelled: tuple[dict, dict, Sequence[str]], crossed: bool) -> dict:
    """The expected calibration error of each classification, before and after its temperature.

    Args:
        tasks: the task records.
        temperatures: as [`fit_temperatures`] gives them.
        labelled: predictions, labels and speakers, as [`fit_temperatures`] takes them.
        crossed: whether these are the clips that gave the temperatures; each half of the speakers then takes that of
            the other half.

    Returns:
        By task ``clips``, ``temperature``, and the errors ``before`` and ``after``.
    """
    measured = {}
    for task, sure, classes, names in _classifications(tasks, *labelled):
        if task.name in temperatures:
            tempered = _crossed(sure, classes, names) if crossed else temper(sure, temperatures[task.name])
            measured[task.name] = {
                "clips": len(classes),
                "temperature": temperatures[task.name],
                "before": expected_calibration_error(sure, classes),
                "after": expected_calibration_error(tempered, classes),
            }
    return measured


def calibration_line(measured: dict, tasks) -> str:
    """What a run's record has under ``calibration`` for a split, in a sentence.

    >>> from burst2vec.tasks import Task
    >>> sound = Task("sound", kind="classification", labels=("Laugh", "Cry"))
    >>> of_task = {"clips": 1800, "temperature": 1.5, "before": 0.142, "after": 0.021}
    >>> measured = {"speakers": 20, "crossed": True, "tasks": {"sound": of_task}}
    >>> calibration_line(measured, [sound])  # doctest: +NORMALIZE_WHITESPACE
    'Expected calibration error (15 bins) of 20 new speakers, before and after a temperature: sound 0.142 and 0.021
    (1.5; 1,800 clips). After: each half of the speakers with the temperature of the other half.'
    """
    parts = []
    for task in (task for task in tasks if task.name in measured["tasks"]):
        of_task = measured["tasks"][task.name]
        parts.append(
            f"{task.name} {of_task['before']:.3f} and {of_task['after']:.3f} ({of_task['temperature']:.3g}; "
            f"{of_task['clips']:,} clips)"
        )
    crossed = " After: each half of the speakers with the temperature of the other half." if measured["crossed"] else ""
    return (
        f"Expected calibration error ({BINS} bins) of {measured['speakers']:,} new speakers, before and after a "
        f"temperature: {', '.join(parts)}.{crossed}"
    )


def _classifications(tasks, predictions: dict, labels: dict, speakers: Sequence[str]) -> Iterator[tuple]:
    """Each classification that two speakers or more have labels of: its record, and of its labelled clips
    probabilities, classes and speakers.
    """
    speakers = np.asarray(speakers).astype(str)
    for task in tasks:
        if task.kind == "classification":
            classes = np.asarray(labels[task.name])
            known = classes >= 0
            if len(set(speakers[known])) > 1:
                yield task, np.asarray(predictions[task.name])[known], classes[known].astype(int), speakers[known]


def _crossed(probabilities: np.ndarray, classes: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """The probabilities of each half of the speakers with the temperature of the other half."""
    names = np.random.default_rng(0).permutation(np.unique(speakers))
    first = np.isin(speakers, names[: len(names) // 2])
    tempered = np.empty_like(probabilities)
    for half, other in ((first, ~first), (~first, first)):
        tempered[half] = temper(probabilities[half], fit_temperature(probabilities[other], classes[other]))
    return tempered
