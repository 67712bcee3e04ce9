"""Whether one system is better than another over the same seeds, or by the luck of them."""

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
        raise ValueError(f"scores must be paired, one a seed, got shapes {before.shape} and {after.shape}")
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
