"""The columns that every corpus is read into: the clip, who made it, and one column a task."""

import numpy as np
import pyarrow as pa
from datasets import Audio, ClassLabel, Features, Sequence, Value

from ...tasks import Task
from ...waveforms import SAMPLING_RATE


def burst_features(tasks: tuple[Task, ...]) -> Features:
    """``file_id``, ``audio`` (not decoded), ``speaker``, and for each task a column of its name.

    A regression of several labels is a list of float32 in the order of ``task.labels``, of one label a float32, in the
    task's unit, NaN where missing. A classification is a ``ClassLabel``, -1 where missing.

    >>> from burst2vec.tasks import TASK_PRESETS
    >>> list(burst_features(TASK_PRESETS["exvo"]))
    ['file_id', 'audio', 'speaker', 'emotion', 'age', 'country']
    """
    features = {
        "file_id": Value("string"),
        "audio": Audio(sampling_rate=SAMPLING_RATE, decode=False),
        "speaker": Value("string"),
    }
    for task in tasks:
        if task.kind == "classification":
            features[task.name] = ClassLabel(names=list(task.labels))
        elif len(task.labels) == 1:
            features[task.name] = Value("float32")
        else:
            features[task.name] = Sequence(Value("float32"), length=len(task.labels))
    return Features(features)


def burst_table(rows: list[dict], features: Features) -> pa.Table:
    """Rows as an Arrow table of the features' schema, which ``datasets`` takes without encoding any audio."""
    return pa.Table.from_pylist(rows, schema=features.arrow_schema)


def label_column(values: np.ndarray) -> pa.Array:
    """A task's labels, (clips, labels) numbers or (clips,) class indices, as the Arrow column of ``burst_features``.

    >>> label_column(np.array([[0.5, 0.25]], dtype=np.float32)).type
    FixedSizeListType(fixed_size_list<item: float>[2])
    """
    width = 1 if values.ndim == 1 else values.shape[1]
    column = pa.array(values.ravel())
    return column if width == 1 else pa.FixedSizeListArray.from_arrays(column, width)


def parts_of(rows: int, most: int = 16) -> list[range]:
    """A split's rows in at most so many runs, for workers to share out: a builder's ``gen_kwargs`` takes the list.

    >>> parts_of(5, most=2)
    [range(0, 2), range(2, 5)]
    """
    parts = min(rows, most)
    return [range(part * rows // parts, (part + 1) * rows // parts) for part in range(parts)]
