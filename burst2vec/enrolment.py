"""What a user gives of a new speaker: a few clips with their labels, in the words of the pipeline's answers."""

from collections.abc import Mapping, Sequence

from .errors import SupportError
from .tasks import Task

EXAMPLE = "[('laugh.wav', {'age': 31.0}), ('sigh.wav', {'age': 31.0})]"


def read_enrolment(tasks: Mapping[str, Task], enrolment: Sequence) -> tuple[list, dict[str, list]]:
    """The clips of an enrolment, and their labels by task.

    Args:
        tasks: of the model, by name.
        enrolment: pairs (clip, labels). Labels are a mapping of regressions' names: a number where the task has one
            label, else a mapping with each label's value, or the values in the order of ``task.labels``; in the task's
            unit. Every clip has labels of the same tasks.

    Returns:
        The clips as they were given, and of each task a row for each clip, in the order of ``task.labels``; numbers and
        ranges are not checked yet.

    Raises:
        SupportError: no pairs, an unknown task or label, a label that is missing, or a classification, whose answers an
            enrolment does not change; the place of the clip is named.

    >>> read_enrolment({"two": Task("two", "regression", ("Valence", "Arousal"))},
    ...                [("a.wav", {"two": {"Arousal": 0.2, "Valence": 0.9}})])
    (['a.wav'], {'two': [[0.9, 0.2]]})
    """
    pairs = enrolment if isinstance(enrolment, (list, tuple)) else ()
    for place, pair in enumerate(pairs):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[1], Mapping) or not pair[1]:
            raise SupportError(
                f"{_named(place)}: must be a pair of a clip and a mapping of its labels, as in {EXAMPLE}, got "
                f"{type(pair).__name__}"
            )
    if not pairs:
        raise SupportError(f"enrolment must be one or more pairs of a clip and its labels, as in {EXAMPLE}")
    first = list(pairs[0][1])
    for place, (_, labels) in enumerate(pairs):
        if set(labels) != set(first):
            raise SupportError(
                f"{_named(place)} has labels of {list(labels)}, and clip 0 of {first}; give all clips labels of the "
                "same tasks"
            )
    rows = {name: [_row(tasks, name, labels[name], place) for place, (_, labels) in enumerate(pairs)] for name in first}
    return [clip for clip, _ in pairs], rows


def _row(tasks: Mapping[str, Task], name: str, values, place: int) -> list:
    """A clip's labels of a task, in the task's order."""
    if name not in tasks:
        raise SupportError(f"{_named(place)}: the model does not have the task {name!r}; it has {list(tasks)}")
    task = tasks[name]
    if task.kind == "classification":
        changed = [other for other, of_task in tasks.items() if of_task.kind == "regression"]
        raise SupportError(
            f"{_named(place)}: {name!r} is a classification, whose answers an enrolment does not change; leave it out, "
            f"and give labels of {changed}"
        )
    if not isinstance(values, Mapping):
        return [values] if len(task.labels) == 1 else values
    if set(values) != set(task.labels):
        unknown = [label for label in values if label not in task.labels]
        missing = [label for label in task.labels if label not in values]
        raise SupportError(
            f"{_named(place)}: the task {name!r} has the labels {list(task.labels)}; unknown are {unknown}, missing "
            f"are {missing}"
        )
    return [values[label] for label in task.labels]


def _named(place: int) -> str:
    return f"enrolment clip {place} (counted from 0)"
