"""Intervals and sets of classes as columns of a table of predictions."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..answers import bounds, interval_or_set, quantile_at
from ..errors import RunError
from ..tasks import Task, prediction_columns


def with_coverage(table: pd.DataFrame, tasks: Sequence[Task], conformal: Mapping, coverage: float) -> pd.DataFrame:
    """The table with the columns of ``coverage`` behind those of each task.

    Args:
        table: of predictions; a row without numbers has no interval and no set.
        tasks: of the model.
        conformal: as ``Burst2VecConfig`` has it; tasks that are not in it have no such columns.
        coverage: above 0, up to 0.99.

    Returns:
        For each number of a regression two more, ``…/lower`` and ``…/upper``, in the task's unit; of a classification
        ``task/set``, a list of names, the most probable first.

    Raises:
        RunError: a label whose column has such a name already.
    """
    behind: dict[str, dict] = {}
    for task in (task for task in tasks if task.name in conformal):
        names, quantiles = prediction_columns(task), conformal[task.name]
        values = table[names].to_numpy(np.float64)
        if task.kind == "classification":
            sets = pd.Series([interval_or_set(task, row, quantiles, coverage) for row in values.tolist()], dtype=object)
            behind[names[-1]] = {f"{task.name}/set": sets}
        else:
            low, high = bounds(task, values, [quantile_at(of_label, coverage) for of_label in quantiles])
            for place, name in enumerate(names):
                behind[name] = {f"{name}/lower": low[:, place], f"{name}/upper": high[:, place]}
    columns = {}
    for name in table.columns:
        columns[name] = table[name]
        for added, values in behind.get(name, {}).items():
            if added in table.columns:
                raise RunError(f"the model's label {added!r} has the name of a column of the coverage; leave that out")
            columns[added] = values.astype(np.float32) if isinstance(values, np.ndarray) else values
    return pd.DataFrame(columns)
