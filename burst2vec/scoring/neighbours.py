"""What one distance hides: whether generated clips are like real ones, whether they are as varied, and whether copies.

All is by the Euclidean distance between clips' vectors. A clip's neighbourhood is the ball that reaches to its k-th
nearest other clip of its own set.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from .scores import as_numbers

_ROWS_AT_A_TIME = 1024


class ManifoldScores(NamedTuple):
    """How generated clips lie among real ones.

    Attributes:
        precision: fraction of generated clips in the neighbourhood of a real one (Kynkäänniemi et al. 2019): quality.
        recall: fraction of real clips in the neighbourhood of a generated one: variety.
        density: mean number of real neighbourhoods that a generated clip is in, over k (Naeem et al. 2020, Eq. 3):
            unlike precision, a single real outlier with a wide neighbourhood does not raise it much. May exceed 1.
        coverage: fraction of real clips whose neighbourhood holds a generated one (Eq. 4).
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_scores(generated, real, k: int = 5) -> ManifoldScores:
    """Precision, recall, density and coverage.

    Args:
        generated, real: vectors (clips, features), more than k of each. Coverage and recall fall with fewer generated
            clips: compare scores of as many.
        k: which neighbour bounds a neighbourhood; Naeem et al. take 5, Kynkäänniemi et al. 3.

    Raises:
        ValueError: k below 1, or no more than k clips in a set.

    Real clips at 0, 1 and 3 and generated ones at 0.5 and 9, with k = 1: real neighbourhoods reach 1, 1 and 2, and hold
    0.5 at 0, and at 1; the one at 3 reaches to 1, so not to 0.5. Density is (1 + 1) / (1 · 2). Generated neighbourhoods
    reach 8.5: the one of 0.5 holds all real clips.

    >>> manifold_scores([[0.5], [9.0]], [[0.0], [1.0], [3.0]], k=1)
    ManifoldScores(precision=0.5, recall=1.0, density=1.0, coverage=0.6666666666666666)
    """
    generated, real = as_numbers(generated, "generated vectors"), as_numbers(real, "real vectors")
    if k < 1 or min(len(generated), len(real)) <= k:
        raise ValueError(
            f"k is {k} for {len(generated)} generated and {len(real)} real clips; it must be 1 or more, and below both"
        )
    apart = cdist(real, generated)
    in_real = apart <= _reach(real, k)[:, None]
    in_generated = apart <= _reach(generated, k)[None, :]
    return ManifoldScores(
        precision=float(in_real.any(axis=0).mean()),
        recall=float(in_generated.any(axis=1).mean()),
        density=float(in_real.sum(axis=0).mean() / k),
        coverage=float(in_real.any(axis=1).mean()),
    )


def nearest(vectors, others=None) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of other clips to each clip.

    Args:
        vectors: (clips, features).
        others: (others, features); None: the clips themselves, each without itself.

    Returns:
        its place among the others, int64 (clips,), and its distance, float64 (clips,).

    >>> places, distances = nearest([[0.0], [1.0], [3.0]])
    >>> places.tolist(), distances.tolist()
    ([1, 0, 1], [1.0, 1.0, 2.0])
    """
    vectors = as_numbers(vectors, "vectors")
    among = vectors if others is None else as_numbers(others, "others")
    if len(among) < (2 if others is None else 1):
        raise ValueError(f"{len(among)} clips are too few for any to have a nearest")
    places, distances = np.empty(len(vectors), np.int64), np.empty(len(vectors))
    for start in range(0, len(vectors), _ROWS_AT_A_TIME):
        apart = cdist(vectors[start : start + _ROWS_AT_A_TIME], among)
        rows = np.arange(len(apart))
        if others is None:
            apart[rows, start + rows] = np.inf
        places[start : start + len(apart)] = found = apart.argmin(axis=1)
        distances[start : start + len(apart)] = apart[rows, found]
    return places, distances


def _reach(vectors: np.ndarray, k: int) -> np.ndarray:
    """Of each clip, the distance to its k-th nearest other."""
    return np.partition(cdist(vectors, vectors), k, axis=1)[:, k]  # at 0 each is its own nearest
