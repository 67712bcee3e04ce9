"""Rows of a corpus → the batch that the model takes: audio decoded, labels as tensors, missing ones marked."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from ..audio import change_speed
from ..errors import CorpusError
from ..tasks import Task, resolve_tasks
from .clips import read_clip
from .sampling import Draw


class DrawnClips(Dataset):
    """A corpus as the batch sampler asks for it: by draws, whose task and speed go with the rows to the collator.

    With ``crop_samples`` the place of the draw goes too, as ``crop``: (place, samples).
    """

    def __init__(self, corpus, crop_samples: int | None = None):
        self.corpus = corpus
        self.crop_samples = crop_samples

    def __len__(self) -> int:
        return len(self.corpus)

    def __getitem__(self, draw: Draw) -> dict:
        return self.__getitems__([draw])[0]

    def __getitems__(self, draws: Sequence[Draw]) -> list[dict]:
        rows = self.corpus.__getitems__([draw.row for draw in draws])
        drawn = [{**row, "task": draw.task, "speed": draw.speed} for row, draw in zip(rows, draws, strict=True)]
        if self.crop_samples is not None:
            drawn = [{**row, "crop": (draw.place, self.crop_samples)} for row, draw in zip(drawn, draws, strict=True)]
        if draws[0].speaker is not None:
            drawn = [{**row, "episode": draw} for row, draw in zip(drawn, draws, strict=True)]
        return drawn


class BurstCollator:
    """Rows of a corpus to a batch for ``Burst2VecForMultiTask``.

    Args:
        feature_extractor: a ``Burst2VecFeatureExtractor``: checks each clip, levels it and pads with zeros.
        tasks: the task set, as ``resolve_tasks`` takes it.

    Called with rows that hold ``file_id``, ``audio`` (``{"bytes", "path"}``, not decoded), a column for each task,
    ``task`` where the batch trains one, ``speed`` where a clip is to be played faster or slower, ``crop`` where a part
    of it is to be taken (see :func:`cropped`), once the whole clip has its level, and ``episode``, its draw, where the
    batch is one. A batch that is ready, as ``VectorClips`` gives it, passes as it is. Returns

    - ``input_values`` float32 (batch, samples) and ``attention_mask`` int64 (batch, samples);
    - ``labels``: for every task, also where no clip has a label: float32 (batch, labels) in the task's unit, NaN where
      missing, or int64 (batch,), -1 where missing;
    - ``task``: the name of the one task that the batch trains; absent for all of them;
    - ``episode``: of an episode, see :func:`episode_of`.

    Raises:
        Burst2VecError: a clip that cannot be read or decoded, a label out of range, or rows of different tasks; the
            message names the clip.
    """

    def __init__(self, feature_extractor, tasks):
        self.feature_extractor = feature_extractor
        self.tasks = resolve_tasks(tasks)

    def __call__(self, rows: Sequence[dict] | dict) -> dict:
        if isinstance(rows, dict):
            return rows
        names = [str(row["file_id"]) for row in rows]
        clips = [
            change_speed(read_clip(row["audio"], name), row.get("speed", 1.0))
            for row, name in zip(rows, names, strict=True)
        ]
        inputs = self.feature_extractor(
            clips, sampling_rate=self.feature_extractor.sampling_rate, names=names, return_tensors="pt"
        )
        if "crop" in rows[0]:
            inputs = cropped(inputs, [row["crop"] for row in rows], self.feature_extractor.padding_value)
        labels = {task.name: label_array(task, [row.get(task.name) for row in rows], names) for task in self.tasks}
        batch = {**inputs, "labels": {name: torch.from_numpy(values) for name, values in labels.items()}}
        trained = {row.get("task") for row in rows}
        if len(trained) > 1:
            raise CorpusError(f"a batch trains one task, or all; its rows are drawn for {sorted(map(str, trained))}")
        if None not in trained:
            batch["task"] = trained.pop()
        if "episode" in rows[0]:
            batch["episode"] = episode_of([row["episode"] for row in rows])
        return batch


def episode_of(draws: Sequence[Draw]) -> dict[str, torch.Tensor]:
    """Of an episode, whose clip each is, ``speaker``, int64 (batch,), and which are ``support``, boolean (batch,)."""
    return {
        "speaker": torch.tensor([draw.speaker for draw in draws]),
        "support": torch.tensor([draw.support for draw in draws]),
    }


def cropped(inputs, crops: Sequence[tuple[float, int]], padding_value: float = 0.0) -> dict:
    """A part of each clip of a batch; a clip that is no longer than its part stays whole.

    Args:
        inputs: ``input_values`` (batch, samples) and ``attention_mask``, as the feature extractor gives them.
        crops: for each clip where the part lies, 0 for the start to just below 1 for the end, and its samples.

    Returns:
        Both, as long as the longest part, padded with ``padding_value``.

    >>> batch = {"input_values": torch.tensor([[1.0, 2.0, 3.0], [7.0, 0.0, 0.0]])}
    >>> batch["attention_mask"] = torch.tensor([[1, 1, 1], [1, 0, 0]])
    >>> cropped(batch, [(0.9, 2), (0.9, 2)])["input_values"].tolist()
    [[2.0, 3.0], [7.0, 0.0]]
    """
    parts = []
    for values, mask, (place, samples) in zip(inputs["input_values"], inputs["attention_mask"], crops, strict=True):
        length = int(mask.sum())
        start = int(place * (max(0, length - samples) + 1))
        parts.append(values[start : min(start + samples, length)])
    masks = [torch.ones(len(part), dtype=torch.int64) for part in parts]
    return {
        "input_values": pad_sequence(parts, batch_first=True, padding_value=padding_value),
        "attention_mask": pad_sequence(masks, batch_first=True),
    }


def label_array(task: Task, values: Sequence, names: Sequence[str] | None = None) -> np.ndarray:
    """A task's column as an array, missing values marked.

    Args:
        task: whose labels they are.
        values: one entry per clip: for a regression a number or a list of them in the task's unit, for a classification
            a class index; None, NaN or -1 where missing.
        names: what to call each clip in an error; default "row 0" and so on.

    Returns:
        float32 (clips, labels) with NaN where missing, or int64 (clips,) with -1.

    Raises:
        CorpusError: an entry of the wrong type or number of labels, or out of the task's span; the clip is named.

    >>> from burst2vec.tasks import AGE
    >>> label_array(AGE, [20.0, None, 39.5]).tolist()
    [[20.0], [nan], [39.5]]
    """
    missing = -1 if task.kind == "classification" else [np.nan] * len(task.labels)
    try:
        numbers = [np.asarray(missing if value is None else value, dtype=np.float32).ravel() for value in values]
        array = np.array(numbers, dtype=np.float32).reshape(len(values), -1 if len(values) else len(task.labels))
    except (TypeError, ValueError) as error:
        raise CorpusError(f"column {task.name!r}: expected {_expected(task)}: {error}") from error
    if task.kind == "classification":
        array = np.nan_to_num(array, nan=-1.0)
        low, high, width = -1, len(task.labels) - 1, 1
        wrong = (array < low) | (array > high) | (array != np.floor(array))
    else:
        (low, high), width = task.span, len(task.labels)
        wrong = (array < low) | (array > high)
    if len(values) and array.shape[1] != width:
        raise CorpusError(f"column {task.name!r}: expected {_expected(task)}, got {array.shape[1]} numbers per clip")
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        name = names[row] if names is not None else f"row {row}"
        what = "class" if task.kind == "classification" else task.labels[place]
        raise CorpusError(f"{name}: {what} of task {task.name!r} is {array[row, place]:g}; expected {_expected(task)}")
    return array[:, 0].astype(np.int64) if task.kind == "classification" else array


def corpus_labels(corpus, tasks: Sequence[Task]) -> dict[str, np.ndarray]:
    """The labels of a whole corpus, see :func:`label_array`; of a task without a column, all are missing.

    Raises:
        CorpusError: as ``label_array``, or a ``ClassLabel`` whose names are not the task's labels in their order: its
            indices would mean other classes.
    """
    labels = {}
    for task in tasks:
        classes = getattr(corpus.features.get(task.name), "names", None)
        if task.kind == "classification" and classes is not None and list(classes) != list(task.labels):
            raise CorpusError(
                f"column {task.name!r} numbers the classes {list(classes)}, the task {list(task.labels)}; "
                f"align them with dataset.cast_column({task.name!r}, datasets.ClassLabel(names={list(task.labels)}))"
            )
        known = task.name in corpus.column_names
        names = corpus["file_id"][:] if "file_id" in corpus.column_names else None
        labels[task.name] = label_array(task, corpus[task.name][:] if known else [None] * len(corpus), names)
    return labels


def _expected(task: Task) -> str:
    if task.kind == "classification":
        return f"a class index in 0..{len(task.labels) - 1}, or -1 where missing"
    unit = f" {task.unit}" if task.unit else ""
    count = "a number" if len(task.labels) == 1 else f"{len(task.labels)} numbers"
    return f"{count} in {task.span[0]:g}..{task.span[1]:g}{unit}, or NaN where missing"
