"""What is predicted: a task is a record of data, not a class of its own.

Everything downstream (heads, losses, scores, reports, cards) reads these records, so a new task set needs no new code:

>>> pain = Task("pain", kind="regression", labels=("pain",), unit="points", span=(0.0, 10.0), loss="mae", metric="mae")
>>> pain.to_unit(0.25)
2.5
"""

import math
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from numbers import Real

from .losses import LOSSES
from .parts import complete_part

KINDS = tuple(LOSSES)
OUTPUTS = ("sigmoid", "linear")
METRICS = {"regression": ("ccc", "mae"), "classification": ("uar",)}  # the first is the default
DEFAULT_LOSSES = {"regression": "ccc", "classification": "cross_entropy"}

# The order of the official submission file. The papers also print it alphabetically: match by name, never by place.
EXVO_EMOTIONS = (
    "Awe",
    "Excitement",
    "Amusement",
    "Awkwardness",
    "Fear",
    "Horror",
    "Distress",
    "Triumph",
    "Sadness",
    "Surprise",
)

# The class index of the official submission file.
EXVO_COUNTRIES = ("China", "South Africa", "United States", "Venezuela")

# The columns of A-VB's culture_info.csv, which stand there in another order: match by name.
AVB_CULTURES = tuple(f"{country}_{emotion}" for country in EXVO_COUNTRIES for emotion in EXVO_EMOTIONS)

AVB_TYPES = ("Gasp", "Laugh", "Cry", "Scream", "Grunt", "Groan", "Pant", "Other")

EMOGATOR_CATEGORIES = (
    "Adoration",
    "Amusement",
    "Anger",
    "Awe",
    "Confusion",
    "Contempt",
    "Contentment",
    "Desire",
    "Disappointment",
    "Disgust",
    "Distress",
    "Ecstasy",
    "Elation",
    "Embarrassment",
    "Fear",
    "Guilt",
    "Interest",
    "Neutral",
    "Pain",
    "Pride",
    "Realization",
    "Relief",
    "Romantic Love",
    "Sadness",
    "Serenity",
    "Shame",
    "Surprise (Negative)",
    "Surprise (Positive)",
    "Sympathy",
    "Triumph",
)


@dataclass(frozen=True)
class Task:
    """One thing to predict from a burst.

    Attributes:
        name: key of the task everywhere: dataset column, head, loss part, score.
        kind: ``"regression"`` (values in ``span``) or ``"classification"`` (one of ``labels``).
        labels: one name per output: the dimensions of a regression, the classes of a classification.
        unit: what a regressed value counts, such as ``"years"``; None for a bare intensity.
        span: the values, in ``unit``, that the head's 0 and 1 stand for; labels outside it are refused.
        output: of a regression's head: ``"sigmoid"``, 0 to 1 over the span; or ``"linear"``, any number, which is in
            ``unit`` itself, and so is the loss. A classification's head gives logits whatever it says.
        loss: ``"ccc"``, the default, ``"mae"`` or ``"mse"`` for a regression; ``"cross_entropy"`` for a classification;
            or a mapping with one of these as ``kind`` and its arguments, see ``burst2vec.losses``.
        metric: ``"ccc"``, the default, or ``"mae"`` for a regression; ``"uar"`` for a classification.
        loss_weight: factor of the task's loss in the total.

    Raises:
        ValueError: names the task, the field, the value and what is allowed.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    unit: str | None = None
    span: tuple[float, float] = (0.0, 1.0)
    loss: str | dict | None = field(default=None, hash=False)
    metric: str | None = None
    loss_weight: float = 1.0
    output: str = "sigmoid"

    def __post_init__(self):
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(f"task name {self.name!r} must be an identifier, such as 'emotion'")
        if not isinstance(self.labels, (list, tuple)) or not all(isinstance(label, str) for label in self.labels):
            raise ValueError(f"task {self.name!r}: labels must be a list of names in quotes, got {self.labels!r}")
        object.__setattr__(self, "labels", tuple(self.labels))
        metrics = METRICS.get(str(self.kind), ())
        if metrics and self.metric is None:
            object.__setattr__(self, "metric", metrics[0])
        for name, allowed in (("kind", KINDS), ("metric", metrics), ("output", OUTPUTS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"task {self.name!r}: {name} {getattr(self, name)!r} is not one of {list(allowed)}")
        given = DEFAULT_LOSSES[self.kind] if self.loss is None else self.loss
        loss = complete_part(f"task {self.name!r}: loss", LOSSES[self.kind], given)
        bare = isinstance(given, str) or len(loss) == 1
        object.__setattr__(self, "loss", loss["kind"] if bare else loss)
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"task {self.name!r}: labels must be one or more different names, got {list(self.labels)}")
        if self.kind == "classification" and len(self.labels) < 2:
            raise ValueError(f"task {self.name!r}: a classification needs two or more labels, got {list(self.labels)}")
        self._check_numbers()

    def _check_numbers(self):
        span = self.span if isinstance(self.span, (list, tuple)) else ()
        if len(span) != 2 or not all(map(_is_finite, span)) or not span[0] < span[1]:
            raise ValueError(f"task {self.name!r}: span {self.span!r} must rise, from one finite number to another")
        object.__setattr__(self, "span", (float(span[0]), float(span[1])))
        if not _is_finite(self.loss_weight) or self.loss_weight < 0:
            raise ValueError(f"task {self.name!r}: loss_weight {self.loss_weight!r} must be 0 or more, and finite")

    @property
    def score_name(self) -> str:
        """Key of the task's score, such as ``emotion_ccc``."""
        return f"{self.name}_{self.metric}"

    def to_unit(self, fractions):
        """Values in 0..1 (the head's) to values in the task's unit; works on numbers, arrays and tensors."""
        low, high = self.span
        return low + (high - low) * fractions

    def from_unit(self, values):
        """Values in the task's unit to 0..1, the inverse of ``to_unit``."""
        low, high = self.span
        return (values - low) / (high - low)

    def to_dict(self) -> dict:
        """A JSON-ready record; ``Task(**record)`` restores the task."""
        return {**asdict(self), "labels": list(self.labels), "span": list(self.span)}


def _is_finite(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


AGE = Task("age", kind="regression", labels=("age",), unit="years", span=(15.0, 45.0), loss="mae", metric="mae")
"""HUME-VB's speakers are 20 to 39.5 years old; the span leaves the sigmoid room at both ends."""

TASK_PRESETS: dict[str, tuple[Task, ...]] = {
    "exvo": (
        Task("emotion", kind="regression", labels=EXVO_EMOTIONS, loss="ccc", metric="ccc"),
        AGE,
        Task("country", kind="classification", labels=EXVO_COUNTRIES, loss="cross_entropy", metric="uar"),
    ),
    "exvo_classes": (
        # The class is the strongest of the ten intensities, see burst2vec.data.corpora.derived.
        Task("emotion_class", kind="classification", labels=EXVO_EMOTIONS, loss="cross_entropy", metric="uar"),
        Task("country", kind="classification", labels=EXVO_COUNTRIES, loss="cross_entropy", metric="uar"),
    ),
    "avb": (
        Task("high", kind="regression", labels=EXVO_EMOTIONS, loss="ccc", metric="ccc"),
        Task("two", kind="regression", labels=("Valence", "Arousal"), loss="ccc", metric="ccc"),
        Task("culture", kind="regression", labels=AVB_CULTURES, loss="ccc", metric="ccc"),
        Task("type", kind="classification", labels=AVB_TYPES, loss="cross_entropy", metric="uar"),
    ),
    "emogator": (
        Task(
            "emotion",
            kind="regression",
            labels=tuple(emotion for emotion in EXVO_EMOTIONS if emotion != "Horror"),  # no category of it names horror
            loss="ccc",
            metric="ccc",
        ),
        Task("category", kind="classification", labels=EMOGATOR_CATEGORIES, loss="cross_entropy", metric="uar"),
    ),
}


def prediction_columns(task: Task) -> list[str]:
    """The columns of a task's numbers in a table of predictions; a classification has one more, of its class.

    >>> prediction_columns(AGE)
    ['age']
    >>> prediction_columns(Task("kind", "classification", ("Laugh", "Cry"), loss="cross_entropy", metric="uar"))
    ['kind/Laugh', 'kind/Cry']
    """
    single = task.kind == "regression" and len(task.labels) == 1
    return [task.name] if single else [f"{task.name}/{label}" for label in task.labels]


def resolve_tasks(tasks) -> tuple[Task, ...]:
    """The records behind a preset's name, a list of records, or a list of dictionaries.

    A dictionary is a whole record, or has ``preset`` and ``name``: that task of the preset, other fields changed.

    >>> [task.name for task in resolve_tasks("exvo")]
    ['emotion', 'age', 'country']
    >>> (age,) = resolve_tasks([{"preset": "exvo", "name": "age", "loss": "mse"}])
    >>> age.loss, age.unit
    ('mse', 'years')

    Raises:
        ValueError: an unknown preset, task of it or field, a field that is missing, two tasks of one name, or what is
            no list of tasks.
    """
    if isinstance(tasks, str):
        return _preset(tasks)
    given = [] if isinstance(tasks, dict) or not isinstance(tasks, Iterable) else list(tasks)
    resolved = [_read(task) if isinstance(task, dict) else task for task in given]
    if strangers := [task for task in resolved if not hasattr(task, "score_name")]:  # a record may be of another copy
        raise ValueError(f"a task is a record, or a mapping with its fields, got {strangers[0]!r}")
    names = [task.name for task in resolved]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"a task set is one or more tasks of different names, got {names or tasks!r}")
    return tuple(resolved)


def _read(record: dict) -> Task:
    """The task that a dictionary describes."""
    given = {name: value for name, value in record.items() if name != "preset"}
    known = [field.name for field in fields(Task)]
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"unknown task fields {unknown}; known: {sorted(known)}, preset")
    if "preset" in record:
        return _changed(record["preset"], given)
    if missing := [field.name for field in fields(Task) if field.default is MISSING and field.name not in given]:
        raise ValueError(f"task {given.get('name')!r}: lacks {missing}; or give preset and name")
    return Task(**given)


def _preset(name: str) -> tuple[Task, ...]:
    if not isinstance(name, str) or name not in TASK_PRESETS:
        raise ValueError(f"unknown task preset {name!r}; known: {sorted(TASK_PRESETS)}, or give a list of tasks")
    return TASK_PRESETS[name]


def _changed(preset: str, fields: dict) -> Task:
    of_preset = {task.name: task for task in _preset(preset)}
    if fields.get("name") not in of_preset:
        raise ValueError(f"the preset {preset!r} has no task {fields.get('name')!r}; it has {list(of_preset)}")
    return replace(of_preset[fields["name"]], **fields)
