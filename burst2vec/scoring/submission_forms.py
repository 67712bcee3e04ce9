"""The challenges' official prediction files: what each is called, and what stands in its columns.

``ExVo-Multi`` is of ExVo-MultiTask and ``ExVo-Few`` of ExVo-FewShot (Baird et al. 2022, arXiv 2205.01780), the others
of A-VB's four tasks (Baird et al. 2022, arXiv 2207.03572), with the headers that their organisers published:
github.com/HumeAI/competitions, A-VB2022/README.md.

>>> FORMS["A-VB-Two"].header
('File_ID', 'Valence', 'Arousal')
"""

import re
from dataclasses import dataclass

import numpy as np

from ..tasks import EXVO_COUNTRIES, EXVO_EMOTIONS, TASK_PRESETS, Task, resolve_tasks

AGE_YEARS = (1.0, 120.0)  # our choice: an age under 1 is a fraction that was never turned into years
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Column:
    """A column of an official file behind File_ID.

    Attributes:
        heading: as published.
        task: the record whose prediction stands there, of the challenge's own task set.
        label: of a regression: the one of the task's labels; None of a classification, whose most probable class
            stands there.
        span: of a regression: the least and the largest number, in the task's unit.
        classes: of a classification: how the task's labels are written, in their order.
        also_read: other headings that a file may have there.
    """

    heading: str
    task: Task
    label: str | None = None
    span: tuple[float, float] = (0.0, 1.0)
    classes: tuple[str, ...] = ()
    also_read: tuple[str, ...] = ()

    def texts(self, values: np.ndarray) -> list[str]:
        """What stands there for predictions of shape (clips, labels), in the order of ``task.labels``."""
        if self.label is None:
            return [self.classes[place] for place in values.argmax(axis=1)]
        return [f"{value:.6f}" for value in values[:, self.task.labels.index(self.label)]]

    def problem(self, text: str) -> str:
        """What is wrong with a field; "" of one that may stand there."""
        low, high = self.span
        if self.label is not None:
            allowed = NUMBER.fullmatch(text) and low <= float(text) <= high
            must = f"a number in {low:g}..{high:g}" + (f" {self.task.unit}" if self.task.unit else "")
        else:
            allowed = text in self.classes
            must = f"one of {', '.join(self.classes)}"
            if self.classes != self.task.labels:
                pairs = zip(self.classes, self.task.labels, strict=True)
                must = "a class index: " + ", ".join(f"{written} {label}" for written, label in pairs)
        return "" if allowed else f", column {self.heading}: {text!r}; it must be {must}"


@dataclass(frozen=True)
class Form:
    """An official file, ``<name>_<team>_<1..5>.csv``.

    Attributes:
        name: what the file's name begins with.
        columns: those behind File_ID, in their order.
        personal: whether its predictions are of models personalised on each speaker's support clips.
    """

    name: str
    columns: tuple[Column, ...]
    personal: bool = False

    @property
    def header(self) -> tuple[str, ...]:
        """The published header, field by field."""
        return ("File_ID", *(column.heading for column in self.columns))

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks whose predictions fill it, as the challenge's task set has them."""
        return tuple({column.task.name: column.task for column in self.columns}.values())

    def is_header(self, fields: list[str]) -> bool:
        """Whether the first line of a file is this form's."""
        read = [("File_ID",), *((column.heading, *column.also_read) for column in self.columns)]
        return len(fields) == len(read) and all(found in one for found, one in zip(fields, read, strict=True))


def _culture_columns(task: Task) -> list[Column]:
    """Country by country nine emotions, and behind all of them the four of Surprise. The README that publishes the
    header lacks a blank in South Africa's Sadness; the organisers' label table and baseline code have it. Files are
    written as published, and read with either."""
    countries = ("China", "United States", "South Africa", "Venezuela")
    *emotions, last = EXVO_EMOTIONS
    labels = [f"{country}_{emotion}" for country in countries for emotion in emotions]
    labels += [f"{country}_{last}" for country in countries]
    as_published = {"South Africa_Sadness": "SouthAfrica_Sadness"}
    return [Column(as_published.get(label, label), task, label, also_read=(label,)) for label in labels]


def _forms() -> dict[str, Form]:
    emotion, age, country = TASK_PRESETS["exvo"]
    high, two, culture, voc_type = TASK_PRESETS["avb"]
    columns = {
        "ExVo-Multi": [
            Column("Country", country, classes=tuple(str(place) for place in range(len(EXVO_COUNTRIES)))),
            Column("Age", age, "age", AGE_YEARS),
            *(Column(label, emotion, label) for label in EXVO_EMOTIONS),
        ],
        "ExVo-Few": [Column(label, emotion, label) for label in EXVO_EMOTIONS],
        "A-VB-High": [Column(label, high, label) for label in EXVO_EMOTIONS],
        "A-VB-Two": [Column(label, two, label) for label in ("Valence", "Arousal")],
        "A-VB-Culture": _culture_columns(culture),
        "A-VB-Type": [Column("Voc_Type", voc_type, classes=voc_type.labels)],
    }
    return {name: Form(name, tuple(of_form), personal=name == "ExVo-Few") for name, of_form in columns.items()}


FORMS = _forms()


def answered_forms(tasks, personal: bool = False) -> list[str]:
    """The official files that the predictions of a task set fill, however they were trained.

    Args:
        tasks: as ``resolve_tasks`` takes them.
        personal: those that take predictions of models personalised on each speaker; else the others.

    Compared are names, kinds, labels in any order, and units (an age in years); losses, weights, spans and metrics are
    not, and there may be further tasks.

    >>> from burst2vec.tasks import AGE
    >>> answered_forms("avb"), answered_forms([{"preset": "avb", "name": "two", "loss": "mse"}]), answered_forms([AGE])
    (['A-VB-High', 'A-VB-Two', 'A-VB-Culture', 'A-VB-Type'], ['A-VB-Two'], [])
    >>> squared = [{"preset": "exvo", "name": name, "loss": "mse"} for name in ("emotion", "age")]
    >>> answered_forms([*squared, {"preset": "exvo", "name": "country"}])
    ['ExVo-Multi']
    >>> answered_forms("exvo", personal=True)
    ['ExVo-Few']
    """
    given = _meanings(resolve_tasks(tasks))
    return [name for name, form in FORMS.items() if form.personal is personal and _meanings(form.tasks) <= given]


def _meanings(tasks) -> set[tuple]:
    return {(task.name, task.kind, frozenset(task.labels), task.unit) for task in tasks}
