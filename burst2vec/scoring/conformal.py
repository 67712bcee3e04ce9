r"""Split conformal prediction: intervals and sets of classes that cover a clip of a new speaker as often as asked.

A prediction's score says how far it is from its label: of a regression, label by label, the absolute residual |y - p|
(Vovk, Gammerman and Shafer 2005; Lei et al. 2018); of a classification 1 - p(y), the least ambiguous sets of Sadinle,
Lei and Wasserman (2019), whose mean size is the smallest where probabilities are right. Adaptive sets (Romano, Sesia
and Candès 2020) cover too much unless they are randomised, and the same clip should have the same answer.

A speaker's clips resemble each other, so clips are not exchangeable, but speakers are. Each of K speakers therefore
weighs the same, whatever the number n_k of their clips, as in the pooled distribution of Dunn, Wasserman and Ramdas
(2023). With F_k(s) the fraction of speaker k's scores up to s, and n as below, the quantile for a coverage c is

.. math:: q = \inf\Bigl\{s : \frac{1}{K} \sum_{k=1}^{K} F_k(s) \ge c \, \frac{n + 1}{n}\Bigr\}, \quad
    n = \frac{K c (1 - c)}{\mathrm{var}_k F_k(q_0)}, \quad K \le n \le \sum_k n_k

where q_0 is q without the correction, and infinite where c (n + 1)/n is above 1. n is the effective number of clips
(Kish 1965): independent ones that would tell the coverage as precisely; K where q_0 is the greatest score. Where all
clips of a speaker are equally far off, n = K and q is the textbook's quantile over speakers; where speakers do not
matter, that over clips.

Always n = K is the hierarchical conformal prediction of Lee, Barber and Willett (2023), who prove that a new speaker's
clip is covered with a probability of at least c, for any data. There is no such proof with n estimated, but of few
speakers theirs covers too much: calibrated for 90 % on 10 of EmoGator's validation speakers, in random halves, n = K
covers 98.9 % of the intensities of the 10 others and 98.8 % of their categories, and this 90.1 % and 89.8 %.

Coverage holds on average over speakers, not for each of them; and predictions must be of speakers whom the model was
not trained on. Clips that chose its weights or the step to stop at make q a little too small.
"""

from collections.abc import Sequence

import numpy as np

from ..answers import ROUNDING, bounds, quantile_at

LEVELS = np.arange(1, 100) / 100  # of coverage, whose quantiles are kept; a coverage between two takes the higher


def speaker_quantiles(scores, speakers, levels=LEVELS) -> list[float | None]:
    """The quantiles q of scores at levels of coverage, with the same weight for each speaker.

    Args:
        scores: (clips,), without NaN.
        speakers: whose clip it is, (clips,).
        levels: of coverage, rising, above 0 and below 1.

    Returns:
        A number for each level, never falling; None where it is infinite.

    One clip of each of three speakers: the quantiles are those of the ranks 1/4, 2/4 and 3/4:

    >>> speaker_quantiles([1.0, 2.0, 9.0], ["A", "B", "C"], levels=[0.25, 0.5, 0.75, 0.8])
    [1.0, 2.0, 9.0, None]
    """
    scores, levels = np.asarray(scores, dtype=np.float64), np.asarray(levels)
    if not scores.size:
        return [None] * len(levels)
    _, speaker_of, clips = np.unique(np.asarray(speakers), return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    mass = np.cumsum(1 / (len(clips) * clips[speaker_of[order]]))
    first = scores[order[np.searchsorted(mass, levels - ROUNDING).clip(max=len(order) - 1)]]
    effective = np.full(len(levels), float(len(clips)))
    if len(clips) > 1:
        inside = np.array([np.bincount(speaker_of, scores <= each) / clips for each in first])  # (levels, speakers)
        variance = np.maximum(inside.var(axis=1, ddof=1), ROUNDING)
        estimate = (len(clips) * levels * (1 - levels) / variance).clip(len(clips), len(scores))
        effective = np.where((inside == 1).all(axis=1), effective, estimate)
    corrected = np.maximum.accumulate(levels * (effective + 1) / effective)
    places = np.searchsorted(mass, corrected - ROUNDING)
    return [float(scores[order[place]]) if place < len(order) else None for place in places]


def calibrate(tasks, predictions: dict, labels: dict, speakers: Sequence[str]) -> dict[str, list]:
    """What ``Burst2VecConfig.conformal`` holds, from clips of speakers whom the model was not trained on.

    Args:
        tasks: the task records.
        predictions: by task (clips, labels), a regression in its unit, or probabilities.
        labels: by task (clips, labels) with NaN where missing, or classes (clips,) with -1.
        speakers: whose clip it is, (clips,), each a name.

    Returns:
        By task one list per label of a regression, or one in all of a classification, of the 99 quantiles at 0.01 to
        0.99, see [`speaker_quantiles`]. Tasks that no clip has a label of are not in it.

    Raises:
        ValueError: a clip without its speaker.
    """
    speakers = np.asarray(speakers, dtype=object)
    if unknown := sum(not speaker for speaker in speakers):
        raise ValueError(f"{unknown:,} of {len(speakers):,} clips have no speaker; intervals and sets are of speakers")
    speakers = speakers.astype(str)
    calibrated = {}
    for task in tasks:
        columns = _scores(task, predictions[task.name], labels[task.name]).T
        if np.isfinite(columns).any():
            known = [np.isfinite(column) for column in columns]
            calibrated[task.name] = [
                speaker_quantiles(column[there], speakers[there]) for column, there in zip(columns, known, strict=True)
            ]
    return calibrated


def measure_coverage(tasks, conformal: dict, labelled: tuple[dict, dict, Sequence[str]], coverage: float) -> dict:
    """How often intervals and sets hold the labels of clips, each speaker weighing the same, and how wide they are.

    Args:
        tasks: the task records.
        conformal: as [`calibrate`] gives it, of other speakers.
        labelled: predictions, labels and speakers, as [`calibrate`] takes them.
        coverage: that is asked for.

    Returns:
        By task ``covered``, 0 to 1, and ``size``, the intervals' mean width in the task's unit or the mean number of
        classes; the mean over the labels. Tasks that are not calibrated, or have no label here, are not in it.
    """
    predictions, labels, speakers = labelled
    _, speaker_of, clips = np.unique(np.asarray(speakers).astype(str), return_inverse=True, return_counts=True)
    weights = 1 / clips[speaker_of]
    measured = {}
    for task in (task for task in tasks if task.name in conformal):
        values = np.asarray(predictions[task.name], dtype=np.float64)
        scores = _scores(task, values, labels[task.name])
        radii = [quantile_at(of_label, coverage) for of_label in conformal[task.name]]
        inside, known = scores <= radii, np.isfinite(scores)
        if task.kind == "classification":
            chosen = (1 - values <= radii[0]) | (np.arange(values.shape[1]) == values.argmax(axis=1)[:, None])
            inside = np.take_along_axis(chosen, np.maximum(labels[task.name], 0).astype(int)[:, None], axis=1)
            sizes = chosen.sum(axis=1, keepdims=True)
        else:
            low, high = bounds(task, values, radii)
            sizes = high - low
        if known.any():
            weight = weights[:, None] * known
            covered, size = (float((weight * each).sum() / weight.sum()) for each in (inside, sizes))
            measured[task.name] = {"covered": covered, "size": size}
    return measured


def coverage_line(measured: dict, tasks) -> str:
    """What a run's record has under ``coverage`` for a split, in a sentence.

    Args:
        measured: the coverage ``asked``, of how many ``speakers``, and ``tasks``, as [`measure_coverage`] gives them.
        tasks: the task records.

    >>> from burst2vec.tasks import AGE
    >>> measured = {"asked": 0.9, "speakers": 12, "tasks": {"age": {"covered": 0.913, "size": 11.2}}}
    >>> coverage_line(measured, [AGE])
    'Of the labels of 12 new speakers, conformal intervals and sets for 90 % cover: age 91.3 % (11.2 years wide).'
    """
    parts = []
    for task in (task for task in tasks if task.name in measured["tasks"]):
        of_task = measured["tasks"][task.name]
        counted = "classes" if task.kind == "classification" else f"{task.unit or ''} wide".strip()
        parts.append(f"{task.name} {100 * of_task['covered']:.1f} % ({of_task['size']:.3g} {counted})")
    return (
        f"Of the labels of {measured['speakers']:,} new speakers, conformal intervals and sets for "
        f"{100 * measured['asked']:g} % cover: {', '.join(parts)}."
    )


def _scores(task, predictions, labels) -> np.ndarray:
    """How far predictions are from labels, (clips, labels) or of classes (clips, 1); NaN where a label is missing."""
    values, labels = np.asarray(predictions, dtype=np.float64), np.asarray(labels)
    if task.kind == "classification":
        of_label = np.take_along_axis(values, np.maximum(labels, 0).astype(int)[:, None], axis=1)
        return np.where(labels[:, None] >= 0, 1 - of_label, np.nan)
    return np.abs(labels.reshape(values.shape) - values)
