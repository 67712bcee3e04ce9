"""Whether one system is better than another, or by chance: over the same seeds, or over the same clips."""

from typing import NamedTuple

import numpy as np
from scipy import stats


class PairedComparison(NamedTuple):
    """The mean of the paired differences, its 95 % interval, and the p-value of their being 0 on average."""

    difference: float
    low: float
    high: float
    p: float


def compare_paired(before, after) -> PairedComparison:
    r"""Student's t-test on the differences of paired scores.

    .. math:: t = \frac{\bar d}{s_d / \sqrt{n}}, \quad n - 1 \text{ degrees of freedom}

    Args:
        before: a score of one system, one value a seed, (seeds,).
        after: the same score of the other system, in the same order of seeds.

    Returns:
        ``after - before``, two-sided. With one seed nothing is known of the spread: interval and p are NaN. Where all
        differences are the same number there is none: p is 1.0 for 0, else 0.0.

    Raises:
        ValueError: no seeds, different numbers of them, or a score that is not finite.

    Differences 1, 2 and 3: mean 2, standard deviation 1, t = 2·√3 = 3.4641 with 2 degrees of freedom.

    >>> difference, low, high, p = compare_paired([1, 1, 1], [2, 3, 4])
    >>> difference, round(low, 3), round(high, 3), round(p, 4)
    (2.0, -0.484, 4.484, 0.0742)
    """
    before, after = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if before.shape != after.shape or before.ndim != 1 or not before.size:
        raise ValueError(f"scores must be paired, one per seed, got shapes {before.shape} and {after.shape}")
    if not np.isfinite([before, after]).all():
        raise ValueError(f"every score must be a finite number, got {before.tolist()} and {after.tolist()}")
    differences = after - before
    mean = float(differences.mean())
    if differences.size == 1:
        return PairedComparison(mean, np.nan, np.nan, np.nan)
    if np.ptp(differences) <= 1e-12 * max(np.abs(before).max(), np.abs(after).max()):  # but for rounding the same
        return PairedComparison(mean, mean, mean, float(abs(mean) <= 1e-12))
    test = stats.ttest_rel(after, before)
    low, high = test.confidence_interval(0.95)
    return PairedComparison(mean, float(low), float(high), float(test.pvalue))


def holm(p_values) -> np.ndarray:
    """p-values corrected for being several (Holm 1979): the chance of one false finding among all stays what it says.

    In rising order the i-th of m, counted from 0, is multiplied by m − i; none becomes less than the one before it, nor
    more than 1. NaN (no test) stays NaN and is not counted.

    >>> holm([0.04, 0.01, 0.03]).round(4).tolist()
    [0.06, 0.03, 0.06]
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(p_values.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return corrected


class Comparison(NamedTuple):
    """A test's statistic, and the probability of one as large or larger where there is no difference."""

    statistic: float
    p: float


def cochrans_q(correct) -> Comparison:
    r"""Cochran's Q test (Cochran 1950; Burst2Vec, section 5): do k systems classify the same clips equally well?

    .. math:: Q = \frac{(k - 1) \left(k \sum_j G_j^2 - (\sum_j G_j)^2\right)}{k \sum_i L_i - \sum_i L_i^2}

    G_j is the number of clips that system j has right, L_i the number of systems that have clip i right. Without a
    difference Q follows a chi-squared distribution with k − 1 degrees of freedom. Clips that all systems have right,
    or none, change nothing.

    Args:
        correct: 0 or 1, or booleans, (clips, systems), of two systems or more.

    Returns:
        Q and its p-value. Where no clip tells the systems apart, Q is 0 and p is 1.

    Raises:
        ValueError: another shape, no clips, fewer than two systems, or a value that is neither 0 nor 1.

    Three systems right on 3, 2 and 0 of four clips, where L is 2, 2, 1 and 0: Q = 2·(3·13 − 25) / (15 − 9) = 28/6.

    >>> statistic, p = cochrans_q([[1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]])
    >>> round(statistic, 4), round(p, 4)
    (4.6667, 0.097)
    """
    correct = np.asarray(correct)
    if correct.ndim != 2 or not len(correct) or correct.shape[1] < 2:
        raise ValueError(f"correct must be (clips, systems) of two systems or more, got shape {correct.shape}")
    if not np.isin(correct, (0, 1)).all():
        odd = correct[~np.isin(correct, (0, 1))][0]
        raise ValueError(f"correct must be 0 or 1 for each clip and system, got {odd!r}")
    correct = correct.astype(np.int64)
    systems = correct.shape[1]
    of_system, of_clip = correct.sum(axis=0), correct.sum(axis=1)
    varies = int(systems * of_clip.sum() - np.square(of_clip).sum())
    if varies == 0:
        return Comparison(0.0, 1.0)
    between = int(systems * np.square(of_system).sum() - of_system.sum() ** 2)
    statistic = (systems - 1) * between / varies
    return Comparison(statistic, float(stats.chi2.sf(statistic, systems - 1)))


def compare_independent(first, second) -> Comparison:
    r"""Student's independent two-sample t-test with pooled variance (Student 1908; Burst2Vec, section 5), two-sided.

    .. math:: t = \frac{\bar y - \bar x}{s_p \sqrt{1/n + 1/m}}, \quad
        s_p^2 = \frac{\sum_i (x_i - \bar x)^2 + \sum_j (y_j - \bar y)^2}{n + m - 2}

    It takes the two samples for unrelated, which predictions of the same clips are not: [`compare_paired`] of the
    speakers' means is the test to trust. This one is what the paper's marks come from.

    Args:
        first, second: one number per clip, (n,) and (m,), each two or more.

    Returns:
        t, positive where ``second`` is larger, and its p-value with n + m − 2 degrees of freedom. Where neither sample
        varies there is no spread to test against: p is 1 for equal means, else 0.

    Raises:
        ValueError: fewer than two numbers, another shape, or a number that is not finite.

    Means 2 and 5, squares 2 and 2 about them, s_p² = 1: t = 3 / √(2/3) = 3.6742 with 4 degrees of freedom.

    >>> statistic, p = compare_independent([1, 2, 3], [4, 5, 6])
    >>> round(statistic, 4), round(p, 4)
    (3.6742, 0.0213)
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    for sample in (first, second):
        if sample.ndim != 1 or sample.size < 2 or not np.isfinite(sample).all():
            raise ValueError(f"a sample must be two or more finite numbers, (n,), got {sample.tolist()}")
    if not np.ptp(first) and not np.ptp(second):
        difference = float(second[0] - first[0])
        return Comparison(float(np.sign(difference)) * np.inf if difference else 0.0, float(difference == 0))
    test = stats.ttest_ind(second, first, equal_var=True)
    return Comparison(float(test.statistic), float(test.pvalue))
