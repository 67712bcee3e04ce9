"""What a prediction says, in words and numbers: for the pipelines and for an exported model, which has no torch.

A task is a record as ``burst2vec.tasks.Task``, or anything that has its ``name``, ``kind``, ``labels`` and ``span``.
"""

import math
from collections.abc import Sequence


def answer_of(task, values: Sequence[float]):
    """What a model says of a clip.

    Args:
        task: its record.
        values: the prediction, (labels,); NaN where there is none.

    Returns:
        Of several regressed labels ``{"Awe": 0.71, …}``; of one its number, in the task's unit; of classes
        ``{"label": "Venezuela", "probabilities": {"China": 0.05, …}}``, with None for a class that is not known.
    """
    by_label = dict(zip(task.labels, values, strict=True))
    if task.kind != "classification":
        return values[0] if len(values) == 1 else by_label
    known = not any(map(math.isnan, values))
    return {"label": max(by_label, key=by_label.get) if known else None, "probabilities": by_label}
