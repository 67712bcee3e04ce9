"""Clips that are there twice under two names: what is trained on must not be scored, nor one sound have two truths."""

import numpy as np
import pandas as pd

_COLUMNS = {"row": np.int64, "group": np.int64, "across_splits": bool, "other_labels": bool, "detail": str}


def find_duplicates(
    digests: np.ndarray, considered: np.ndarray, splits: np.ndarray, labels: dict[str, np.ndarray]
) -> pd.DataFrame:
    """Groups of clips that have one digest.

    Args:
        digests: shape (clips,), of each clip's samples.
        considered: bool, shape (clips,); the others have no duplicates.
        splits: shape (clips,), the number of each clip's split.
        labels: by task, shape (clips,) with -1 for missing, or (clips, labels) with NaN for missing; a clip without a
            task's label contradicts nobody.

    Returns:
        one row per clip that has a duplicate: ``row``, its place; ``group``, 1 and up; ``across_splits`` and
        ``other_labels``, whether its group has clips of two splits, or of different labels; ``detail`` in words.

    >>> one, two = np.array([7, 8, 7, 7]), np.array([0, 0, 0, 1])
    >>> found = find_duplicates(one, np.ones(4, bool), two, {"country": np.array([2, 2, 2, -1])})
    >>> found[["row", "across_splits", "other_labels"]].to_numpy().tolist()
    [[0, True, False], [2, True, False], [3, True, False]]
    """
    rows = np.flatnonzero(considered)
    rows = rows[np.argsort(digests[rows], kind="stable")]
    alike = digests[rows][1:] == digests[rows][:-1]
    rows = rows[(np.append(alike, False) | np.append(False, alike))[: len(rows)]]  # those with an equal neighbour
    groups = np.split(rows, np.flatnonzero(digests[rows][1:] != digests[rows][:-1]) + 1) if len(rows) else []
    groups = sorted(groups, key=lambda group: group[0])
    found = []
    for number, group in enumerate(groups, start=1):
        across = len(np.unique(splits[group])) > 1
        other = any(_differ(values[group]) for values in labels.values())
        traits = ["across splits"] * across + ["other labels"] * other
        detail = ", ".join([f"group {number} of {len(group)} clips", *traits])
        found += [(row, number, across, other, detail) for row in group]
    return pd.DataFrame(found, columns=list(_COLUMNS)).astype(_COLUMNS)


def _differ(values: np.ndarray) -> bool:
    """Whether two known labels of a group are not the same."""
    known = values[values >= 0] if values.ndim == 1 else values[~np.isnan(values).all(axis=1)]
    return len(known) > 1 and not np.array_equal(known, np.broadcast_to(known[:1], known.shape), equal_nan=True)
