"""Several corpora as one: each clip trains the tasks that it has labels for, and no other."""

import json

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict, Features, concatenate_datasets
from datasets.fingerprint import Hasher

from ...errors import CorpusError
from ...tasks import Task, resolve_tasks
from ..collating import label_array
from ..sampling import labels_present
from .columns import burst_features, label_column
from .splits import SPLITS


def mix_corpora(
    corpora: dict[str, DatasetDict], tasks_of: dict[str, tuple[Task, ...]], tasks, for_prediction: bool = False
) -> DatasetDict:
    """Bring corpora of different labels to one set of tasks, and put them behind one another.

    Labels go by name: EmoGator's nine emotions into ExVo's ten leave Horror missing, in whatever order either has them.
    A task or a label that a corpus lacks is missing, NaN or -1, which losses and scores leave out; a label of a
    regression that the wanted task lacks is dropped. Labels are carried over as they are, bit for bit.

    The audio column stays where it is on disk, and the label columns are cached beside it, so the same mixture is found
    again. Choose rows (``select``, ``filter``) after mixing rather than before, which would copy the audio.

    Args:
        corpora: by name, as ``load_bursts`` gives them. ``hume_vb/`` and so on goes before each ``file_id`` and each
            known ``speaker``; nobody is taken for the same speaker in two corpora.
        tasks_of: for each corpus, the tasks that its columns hold, see ``corpus_tasks``.
        tasks: what is wanted, as ``resolve_tasks`` takes it.
        for_prediction: nothing learns from the clips; a task may be one that no clip has a label for.

    Returns:
        the splits that there are, with the columns of ``burst_features(tasks)``; in each, the corpora in their order.

    Raises:
        CorpusError: two tasks of one name differ in kind or unit, or have no label in common; clips of a class that the
            wanted task lacks, or with a label outside its span; a task that no clip has a label for; a name that
            cannot stand before a file_id.

    >>> age = Task("age", "regression", ("age",), unit="years", span=(15, 45), loss="mae")
    >>> clip = {"file_id": ["1"], "audio": [{"bytes": None, "path": "1.wav"}], "speaker": ["A"]}
    >>> aged = DatasetDict({"train": Dataset.from_dict({**clip, "age": [20.0]})})
    >>> bare = DatasetDict({"train": Dataset.from_dict(clip)})
    >>> mixed = mix_corpora({"one": aged, "two": bare}, {"one": (age,), "two": ()}, [age])
    >>> [list(mixed["train"][column]) for column in ("file_id", "speaker", "age")]
    [['one/1', 'two/1'], ['one/A', 'two/A'], [20.0, nan]]
    """
    tasks = resolve_tasks(tasks)
    if set(corpora) != set(tasks_of) or not corpora:
        raise CorpusError(f"corpora {list(corpora)} and tasks_of {list(tasks_of)} must name the same, one or more")
    for name in corpora:
        if not name or "/" in name:
            raise CorpusError(f"corpus name {name!r}: give one without a stroke, it goes before each file_id")
        for task in tasks:
            if (own := _own(task, tasks_of[name])) is not None:
                _check_kinship(task, own, name)
    parts: dict[str, list[Dataset]] = {}
    for name, corpus in corpora.items():
        for split, clips in corpus.items():
            if len(clips):
                parts.setdefault(split, []).append(_brought_to(tasks, clips, name, tasks_of[name]))
    for task in tasks:
        if not for_prediction and not any(_has_labels(clips, task) for split in parts.values() for clips in split):
            has = "; ".join(f"{name}: {', '.join(task.name for task in own)}" for name, own in tasks_of.items())
            raise CorpusError(f"task {task.name!r}: no clip has a label for it; the corpora have {has}")
    order = [split for split in SPLITS if split in parts] + [split for split in parts if split not in SPLITS]
    return DatasetDict({split: concatenate_datasets(parts[split]) for split in order})


def _own(task: Task, own: tuple[Task, ...]) -> Task | None:
    return next((other for other in own if other.name == task.name), None)


def _check_kinship(task: Task, own: Task, corpus: str) -> None:
    """Whether the labels of a corpus's task mean the same as those of the wanted task."""
    for field in ("kind", "unit"):
        if getattr(own, field) != getattr(task, field):
            raise CorpusError(
                f"task {task.name!r}: its {field} is {getattr(task, field)!r}, and {getattr(own, field)!r} in the "
                f"corpus {corpus}; call one of them otherwise"
            )
    if not set(own.labels) & set(task.labels):
        raise CorpusError(
            f"task {task.name!r}: has {', '.join(task.labels)}; the corpus {corpus} has none of them, but "
            f"{', '.join(own.labels)}; labels go by name"
        )


def _brought_to(tasks: tuple[Task, ...], clips: Dataset, name: str, own: tuple[Task, ...]) -> Dataset:
    """One split of one corpus, with the columns of the wanted tasks."""
    features = burst_features(tasks)
    audio = clips.select_columns("audio")
    if audio.features["audio"] != features["audio"]:
        audio = audio.cast_column("audio", features["audio"])
    if audio._indices is not None:
        audio = audio.flatten_indices()
    there = [task.name for task in tasks if _own(task, own) and task.name in clips.column_names]
    labels = clips.select_columns(["file_id", "speaker", *there])
    _check_classes(labels, own, name)
    key = json.dumps([[task.to_dict() for task in records] for records in (tasks, own)])
    labels = labels.with_format("arrow").map(
        _relabelled,
        batched=True,
        fn_kwargs={"tasks": tasks, "own": own, "name": name},
        remove_columns=labels.column_names,
        features=Features({column: feature for column, feature in features.items() if column != "audio"}),
        new_fingerprint=Hasher.hash([clips._fingerprint, "mix_corpora 1", name, key]),
        desc=f"Bringing {name} to the tasks",
    )
    labels = labels.with_format(None)
    columns = [labels.select_columns("file_id"), audio.with_format(None), labels.remove_columns("file_id")]  # in order
    return concatenate_datasets(columns, axis=1)


def _check_classes(labels: Dataset, own: tuple[Task, ...], corpus: str) -> None:
    for task in own:
        classes = getattr(labels.features.get(task.name), "names", None)
        if task.kind == "classification" and classes is not None and list(classes) != list(task.labels):
            raise CorpusError(
                f"corpus {corpus}: column {task.name!r} numbers the classes {', '.join(classes)}, its task "
                f"{', '.join(task.labels)}; give the tasks that corpus_tasks gives"
            )


def _relabelled(rows: pa.Table, tasks: tuple[Task, ...], own: tuple[Task, ...], name: str) -> pa.Table:
    """Rows of ``file_id``, ``speaker`` and the corpus's own labels, to those of the wanted tasks."""
    file_ids = [f"{name}/{file_id}" for file_id in rows["file_id"].to_pylist()]
    columns = {
        "file_id": pa.array(file_ids, pa.string()),
        "speaker": pa.array(
            [f"{name}/{speaker}" if speaker else "" for speaker in rows["speaker"].to_pylist()], pa.string()
        ),
    }
    for task in tasks:
        theirs = _own(task, own)
        if theirs is None:
            columns[task.name] = label_column(label_array(task, [None] * len(rows)))
        else:
            values = rows[task.name].to_pylist() if task.name in rows.column_names else [None] * len(rows)
            columns[task.name] = label_column(_by_name(task, theirs, label_array(theirs, values, file_ids), file_ids))
    return pa.table(columns)


def _by_name(task: Task, own: Task, values: np.ndarray, file_ids: list[str]) -> np.ndarray:
    """Labels of ``own``, as ``label_array`` gives them, in the places that ``task`` has for their names."""
    if task.kind == "regression":
        aligned = np.full((len(values), len(task.labels)), np.nan, dtype=np.float32)
        for place, label in enumerate(task.labels):
            if label in own.labels:
                aligned[:, place] = values[:, own.labels.index(label)]
        outside = (aligned < task.span[0]) | (aligned > task.span[1])
        if outside.any():
            row, place = np.argwhere(outside)[0]
            raise CorpusError(
                f"{file_ids[row]}: {task.labels[place]} is {aligned[row, place]:g}; the span of task {task.name!r} is "
                f"{task.span[0]:g}..{task.span[1]:g}, give one that holds the labels of all corpora"
            )
        return aligned
    place_of = [task.labels.index(label) if label in task.labels else -1 for label in own.labels]
    aligned = np.array([*place_of, -1], dtype=np.int64)[values]  # the last: of -1, missing
    if (lost := (aligned < 0) & (values >= 0)).any():
        row = int(np.argmax(lost))
        raise CorpusError(
            f"{file_ids[row]}: class {own.labels[values[row]]!r} is none of task {task.name!r}: "
            f"{', '.join(task.labels)}; add it to the task's labels, or leave such clips out"
        )
    return aligned


def _has_labels(clips: Dataset, task: Task) -> bool:
    values = clips.select_columns(task.name).with_format("numpy")[:][task.name]
    return bool(labels_present(values[:, None] if task.kind == "regression" and values.ndim == 1 else values).any())
