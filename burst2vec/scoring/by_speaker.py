"""Scores speaker by speaker, and how far a score might be off because there were these speakers and no others.

Clips of a speaker resemble each other, so what is drawn again in the bootstrap (Efron 1979) are speakers, with all of
their clips: an interval over clips would be too narrow.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2_000
INSIDE = 0.95


class SpeakerSums(NamedTuple):
    """What a task's score is made of, added up for each speaker.

    Attributes:
        speakers: their names, sorted.
        clips: of each with a known label, (speakers,).
        sums: (speakers, parts, columns), see ``score_of``.
        metric: of the task.
    """

    speakers: list[str]
    clips: np.ndarray
    sums: np.ndarray
    metric: str


def speaker_sums(task, predictions, labels, speakers: Sequence[str]) -> SpeakerSums:
    """A task's predictions and labels as sums by speaker, of speakers with a known label.

    Args:
        task: its record.
        predictions: (clips, labels), a regression in its unit, or probabilities.
        labels: (clips, labels) with NaN where missing, or classes (clips,) with -1.
        speakers: whose clip it is, (clips,).
    """
    names, speaker_of = np.unique(np.asarray(speakers).astype(str), return_inverse=True)
    predictions = np.asarray(predictions, dtype=np.float64)
    if task.kind == "classification":
        classes = np.asarray(labels).reshape(-1).astype(int)
        known = (classes >= 0)[:, None]
        truth = (classes[:, None] == np.arange(len(task.labels))) & known
        right = truth & (predictions.argmax(axis=1) == classes)[:, None]
        parts = [truth, right]
    else:
        labels = np.asarray(labels, dtype=np.float64).reshape(len(predictions), -1)
        known = ~np.isnan(labels)
        p, r = np.where(known, predictions, 0.0), np.where(known, labels, 0.0)
        parts = [known, np.abs(p - r)] if task.metric == "mae" else [known, p, r, p * p, r * r, p * r]
    sums = np.zeros((len(names), len(parts), len(task.labels)))
    for place, part in enumerate(parts):
        np.add.at(sums[:, place], speaker_of, part)
    clips = np.bincount(speaker_of, known.any(axis=1), minlength=len(names)).astype(int)
    there = clips > 0
    return SpeakerSums([str(name) for name in names[there]], clips[there], sums[there], task.metric)


def score_of(sums: np.ndarray, metric: str) -> np.ndarray:
    """The score of added sums, (…, parts, columns) → (…,): the mean over the columns that have labels.

    ``uar``: of each class, how many clips and how many right. ``mae``: of each label, how many and the sum of absolute
    errors. ``ccc`` and ``pearson``: how many, and the sums of p, r, p², r² and p·r.
    """
    count = sums[..., 0, :]
    there = count > 0
    n = np.where(there, count, 1.0)
    if metric in ("uar", "mae"):
        values = sums[..., 1, :] / n
    else:
        p, r, pp, rr, pr = np.moveaxis(sums[..., 1:, :] / n[..., None, :], -2, 0)
        variances = np.maximum(pp - p * p, 0.0), np.maximum(rr - r * r, 0.0)
        covariance = pr - p * r
        below = sum(variances) + (p - r) ** 2 if metric == "ccc" else np.sqrt(variances[0] * variances[1])
        varies = (variances[0] > 1e-12) & (variances[1] > 1e-12)
        values = np.where(varies, (2 if metric == "ccc" else 1) * covariance / np.where(varies, below, 1.0), 0.0)
    return np.where(there, values, 0.0).sum(axis=-1) / np.maximum(there.sum(axis=-1), 1)


def bootstrap_interval(sums: SpeakerSums, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float]:
    """The percentile interval that holds 95 % of the scores of as many speakers, drawn with replacement.

    Args:
        sums: as [`speaker_sums`] gives them.
        resamples: how many draws.
        seed: of the draws.

    Raises:
        ValueError: fewer than two speakers.
    """
    speakers = len(sums.speakers)
    if speakers < 2:
        raise ValueError(f"{speakers} speaker(s); an interval needs two or more")
    drawn = np.random.default_rng(seed).multinomial(speakers, np.full(speakers, 1 / speakers), size=resamples)
    added = np.tensordot(drawn.astype(np.float64), sums.sums, axes=1)
    low, high = np.quantile(score_of(added, sums.metric), [(1 - INSIDE) / 2, (1 + INSIDE) / 2])
    return float(low), float(high)
