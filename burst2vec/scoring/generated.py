"""The scores of ExVo-Generate (Baird et al. 2022, arXiv 2205.01780, section 5.2): how near generated clips are to real.

A set of clips is known by the mean and the covariance of its clips' vectors (:class:`Gaussian`). What a formula leaves
undefined is settled here, once:

- Covariances divide by N - 1, as ``np.cov`` of the published statistics does.
- A Fréchet distance below what float64 can tell from 0 is 0.0.
- S_GEN of a distance of 0 would be infinite: it is an error, since only the real clips themselves have it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from .scores import as_numbers, pearson_correlation

EMOTIONS_OF_EXVO = 10  # over which S_GEN is averaged
_ROUNDING = np.finfo(np.float64).eps
_WELL_CONDITIONED = 1e-12  # smallest to largest eigenvalue, from where each root is exact to 1e-10 of the largest


class Gaussian(NamedTuple):
    """Mean (features,) and covariance (features, features) of a set of vectors, both float64."""

    mean: np.ndarray
    covariance: np.ndarray


class Estimate(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def gaussian_of(vectors) -> Gaussian:
    """Mean and covariance of vectors, in float64; the covariance divides by N - 1.

    Args:
        vectors: (clips, features), two clips or more, finite.

    Raises:
        ValueError: another shape, fewer clips, or a number that is not finite (its row is named).

    >>> gaussian_of([[0.0, 1.0], [2.0, 1.0]]).covariance.tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    vectors = _finite(vectors, "vectors")
    if vectors.ndim != 2 or len(vectors) < 2 or not vectors.shape[1]:
        raise ValueError(f"vectors must be (clips, features) of two clips or more, got shape {vectors.shape}")
    return Gaussian(vectors.mean(axis=0), np.cov(vectors, rowvar=False).reshape(2 * vectors.shape[1:]))


def frechet_distance(mean_1, covariance_1, mean_2, covariance_2) -> float:
    r"""Fréchet distance between two normal distributions (white paper, Eq. 3): FID, where the vectors are Inception's.

    .. math:: d = \|\mu_1 - \mu_2\|^2 + \mathrm{Tr}\left(C_1 + C_2 - 2 (C_1 C_2)^{1/2}\right)

    With factors C = L Lᵀ the trace of the root is the sum of the singular values of L₁ᵀ L₂: no root of a matrix is
    taken, and it is real and finite for covariances of any rank.

    Args:
        mean_1, mean_2: (features,).
        covariance_1, covariance_2: (features, features), symmetric and positive semi-definite but for rounding.

    Returns:
        A number of 0 or more, in the squared unit of the features; 0.0 for equal distributions.

    Raises:
        ValueError: shapes that do not fit, a number that is not finite, or a matrix that is no covariance.

    In one dimension it is (μ₁ − μ₂)² + (σ₁ − σ₂)²: means 1 and 3, deviations 2 and 3.

    >>> frechet_distance([1.0], [[4.0]], [3.0], [[9.0]])
    5.0
    """
    mean_1, mean_2 = _finite(mean_1, "mean_1"), _finite(mean_2, "mean_2")
    covariance_1, covariance_2 = _finite(covariance_1, "covariance_1"), _finite(covariance_2, "covariance_2")
    square = 2 * mean_1.shape
    if mean_1.ndim != 1 or not mean_1.size or mean_2.shape != mean_1.shape:
        raise ValueError(f"means must both be (features,), got shapes {mean_1.shape} and {mean_2.shape}")
    if covariance_1.shape != square or covariance_2.shape != square:
        raise ValueError(
            f"covariances must be {square} beside means of {mean_1.shape}, got shapes {covariance_1.shape} and "
            f"{covariance_2.shape}"
        )
    root = _trace_of_root(covariance_1, covariance_2)
    traces = np.trace(covariance_1) + np.trace(covariance_2)
    spread = traces - 2.0 * root
    if spread < 10 * len(mean_1) * _ROUNDING * traces:
        spread = 0.0
    return float(np.square(mean_1 - mean_2).sum() + spread)


def frechet_interval(generated, real, groups: int = 10, seed: int = 0) -> Estimate:
    """The Fréchet distance between two sets of vectors, with the 95 % interval of a jackknife over groups of clips.

    Each set is cut at random into groups, and the distance taken again without each of them. Unlike a bootstrap, which
    draws clips twice and so makes covariances of lower rank, this leaves the distance's own bias alone. The interval
    tells the chance of the clips drawn; that few clips make every distance too large it does not tell.

    Args:
        generated, real: (clips, features), each of ``groups`` clips or more.
        groups: of each set; the interval is of Student's t with one degree of freedom fewer.
        seed: of the cut.

    Raises:
        ValueError: fewer clips than groups, or as :func:`gaussian_of`.
    """
    generated, real = _finite(generated, "generated vectors"), _finite(real, "real vectors")
    if min(len(generated), len(real)) < groups:
        raise ValueError(f"{len(generated)} generated and {len(real)} real clips; {groups} groups need so many of each")
    whole = gaussian_of(generated), gaussian_of(real)
    value = frechet_distance(*whole[0], *whole[1])
    random, variance = np.random.default_rng(seed), 0.0
    for place, vectors in enumerate((generated, real)):
        without = []
        for rows in np.array_split(random.permutation(len(vectors)), groups):
            pair = list(whole)
            pair[place] = gaussian_of(np.delete(vectors, rows, axis=0))
            without.append(frechet_distance(*pair[0], *pair[1]))
        variance += (groups - 1) * np.var(without)
    half = float(stats.t.ppf(0.975, groups - 1) * np.sqrt(variance))
    return Estimate(value, max(0.0, value - half), value + half)


def heep(ratings, targets) -> float:
    r"""Human-evaluated expression precision (white paper, Eq. 4): Pearson's correlation of all ratings and targets.

    .. math:: HEEP = \frac{\sigma_{TH}}{\sqrt{\sigma_T^2 \sigma_H^2}}

    Args:
        ratings: mean human intensity of each generated clip and emotion, 0 to 1, (clips, emotions).
        targets: of the same shape, 1 for the emotion that a clip was generated for and 0 for the others.

    Returns:
        A number in -1..1; 0.0 where all ratings, or all targets, are the same.

    Raises:
        ValueError: shapes that differ, a rating or target outside 0..1 or not finite (its row is named).

    Two clips for two emotions, rated (0.5, 0) and (0.5, 1): the targets' deviations are ±1/2, the ratings' 0, −1/2, 0
    and 1/2; (0 + 1/4 + 0 + 1/4) / √(1 · 1/2).

    >>> round(heep([[0.5, 0.0], [0.5, 1.0]], [[1, 0], [0, 1]]), 4)
    0.7071
    """
    ratings, targets = _finite(ratings, "ratings"), _finite(targets, "targets")
    if ratings.shape != targets.shape or ratings.ndim != 2 or not ratings.size:
        raise ValueError(
            f"ratings have shape {ratings.shape} and targets {targets.shape}; both must be (clips, emotions)"
        )
    for name, values in (("rating", ratings), ("target", targets)):
        if ((values < 0) | (values > 1)).any():
            row, column = np.argwhere((values < 0) | (values > 1))[0]
            raise ValueError(f"row {row}, column {column}: the {name} is {values[row, column]:g}; it must be in 0..1")
    return pearson_correlation(ratings.ravel(), targets.ravel())


def s_gen(fid: float, heep: float) -> float:
    r"""The score of one emotion in ExVo-Generate (white paper, Eq. 5).

    .. math:: S_{GEN,e} = \frac{1 / FID_e + HEEP_e}{2}

    Args:
        fid: Fréchet distance of the emotion's generated clips to the real ones, above 0.
        heep: of the emotion's generated clips, in -1..1.

    Raises:
        ValueError: a part out of its range, or NaN.

    Amusement's, in Table 3:

    >>> round(s_gen(fid=4.92, heep=0.49), 3)
    0.347
    """
    if not (0 < fid < np.inf):
        raise ValueError(f"fid is {fid}; it must be a finite number above 0, and only the real clips themselves have 0")
    if not (-1 <= heep <= 1):
        raise ValueError(f"heep is {heep}; it must be a number in -1..1")
    return float((1.0 / fid + heep) / 2.0)


def s_gen_overall(of_emotions: Sequence[float], emotions: int = EMOTIONS_OF_EXVO) -> float:
    """The mean of S_GEN over all emotions; one without generated clips counts 0, as Triumph in Table 3.

    Args:
        of_emotions: S_GEN of each emotion that was generated.
        emotions: of the challenge.

    Raises:
        ValueError: more scores than emotions, or none.

    >>> s_gen_overall([0.5, 0.3], emotions=4)
    0.2
    """
    if not 0 < len(of_emotions) <= emotions:
        raise ValueError(f"{len(of_emotions)} scores; there must be one for each of up to {emotions} emotions")
    return float(np.sum(_finite(of_emotions, "scores")) / emotions)


def _trace_of_root(covariance_1: np.ndarray, covariance_2: np.ndarray) -> float:
    """Tr (C₁ C₂)^½: the sum of the roots of the eigenvalues of L₂ᵀ C₁ L₂."""
    for name, covariance in (("covariance_1", covariance_1), ("covariance_2", covariance_2)):
        if np.abs(covariance - covariance.T).max() > 1e-6 * np.abs(covariance).max():
            raise ValueError(f"{name} is not symmetric, so it is no covariance")
    try:
        factor = np.linalg.cholesky(covariance_2)
        values = np.linalg.eigvalsh(factor.T @ covariance_1 @ factor)
        if values[0] > _WELL_CONDITIONED * values[-1]:
            return float(np.sqrt(values).sum())
    except np.linalg.LinAlgError:  # of no full rank
        pass
    # The root of an eigenvalue near rounding is off by 1e-8; singular values are taken without squaring, in four times
    # the time.
    factors = _factor(covariance_1, "covariance_1"), _factor(covariance_2, "covariance_2")
    return float(np.linalg.svd(factors[0].T @ factors[1], compute_uv=False).sum())


def _factor(covariance: np.ndarray, name: str) -> np.ndarray:
    """L of C = L Lᵀ; what rounding leaves of directions without variance is taken for none."""
    scale = np.abs(covariance).max()
    values, directions = np.linalg.eigh(covariance)
    rounding = len(covariance) * _ROUNDING * values[-1]
    if values[0] < -1e-6 * scale:
        raise ValueError(f"{name} has a negative eigenvalue, {values[0]:g}, so it is no covariance")
    kept = values > rounding
    return directions[:, kept] * np.sqrt(values[kept])


def _finite(values, name: str) -> np.ndarray:
    values = as_numbers(values, name)
    if not np.isfinite(values).all():
        place = [int(axis[0]) for axis in np.nonzero(~np.isfinite(values))]
        raise ValueError(f"{name}: {values[tuple(place)]} at row {', column '.join(map(str, place))} is not finite")
    return values
