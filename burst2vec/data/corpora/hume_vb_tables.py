"""HUME-VB's five label tables: ExVo's own (Baird et al. 2022, arXiv 2205.01780) and A-VB's four (arXiv 2207.03572).

    data_info.csv               File_ID,Split,Subject_ID,Country,Age,Awe,…,Surprise
                                or, with numbers of countries, …,Country,Country_string,Age,…
    labels/high_info.csv        File_ID,Split,Awe,…,Surprise                        0..1
    labels/two_info.csv         File_ID,Split,Valence,Arousal                       0..1
    labels/culture_info.csv     File_ID,Split,China_Awe,…,Venezuela_Surprise        0..1, ten emotions in four countries
    labels/type_info.csv        File_ID,Split,Voc_Type                              Gasp, Laugh, …, Other

A reader here turns one line into one entry per task, and raises ``TableError`` at a field that is wrong.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ...errors import CorpusError, TableError
from ...tasks import EXVO_COUNTRIES, TASK_PRESETS, Task
from .inside import refuse_links_out
from .label_tables import Row

_EMOTION, _AGE, _ = TASK_PRESETS["exvo"]
_HIGH, _TWO, _CULTURE, _TYPE = TASK_PRESETS["avb"]
_RATED_IN = [[label for label in _CULTURE.labels if label.startswith(f"{country}_")] for country in EXVO_COUNTRIES]
_PLACE = re.compile(r"[0-3](\.0*)?")  # of a country


class LabelTable(NamedTuple):
    """A table that some corpus folder holds, and how its lines are read."""

    path: str  # from the corpus's folder
    columns: tuple[str, ...]  # beside File_ID and Split
    tasks: tuple[Task, ...]
    read: Callable[[Row], tuple[list, ...]]  # a line → for each task its numbers, or its class index alone

    def has_labels(self, row: Row) -> bool:
        """Whether any field looks like a label. The organisers' test rows have none, and no paper says what stands
        there instead: blanks, -1 and words that are no class are taken for that."""
        return any(row.fields[column].strip() in _CLASSES or _is_count(row, column) for column in self.columns)


_CLASSES = {*EXVO_COUNTRIES, "USA", *_TYPE.labels}


def _is_count(row: Row, column: str) -> bool:
    try:
        row.number(column, 0.0, math.inf)
    except TableError:
        return False
    return True


def _country(row: Row) -> int:
    """The country's place among the four, in alphabetical order.

    ``Country`` holds its name or, as text of an integer or a float, its place; then ``Country_string`` may stand beside
    it with the name. Names were seen with blanks at their ends, and "USA".
    """
    place = _country_named(row.fields["Country"])
    if place is None and _PLACE.fullmatch(row.fields["Country"].strip()):
        place = int(float(row.fields["Country"]))
    if place is None:
        raise row.error("Country", f"one of {', '.join(EXVO_COUNTRIES)}, nor its number, 0 to 3 in this order")
    if "Country_string" in row.fields and _country_named(row.fields["Country_string"]) != place:
        found = row.fields["Country"]
        raise row.error("Country_string", f"{EXVO_COUNTRIES[place]!r}, which is what column Country says by {found!r}")
    return place


def _country_named(text: str) -> int | None:
    name = text.strip()
    name = "United States" if name == "USA" else name
    return EXVO_COUNTRIES.index(name) if name in EXVO_COUNTRIES else None


def _read_exvo(row: Row) -> tuple[list, ...]:
    emotions = [row.number(label, *_EMOTION.span) for label in _EMOTION.labels]
    age = row.number("Age", *_AGE.span)
    return emotions, [age], [_country(row)]


def _read_high(row: Row) -> tuple[list, ...]:
    return ([row.number(label, *_HIGH.span) for label in _HIGH.labels],)


def _read_two(row: Row) -> tuple[list, ...]:
    return ([row.number(label, *_TWO.span) for label in _TWO.labels],)


def _read_culture(row: Row) -> tuple[list, ...]:
    """Forty numbers; ten of them NaN where all ten fields of a country are empty, as of a clip that nobody there rated.

    No paper says whether the official table has such clips. Some empty fields of ten, or all forty, are a fault.
    """
    intensities = []
    for labels in _RATED_IN:
        rated = any(row.fields[label] for label in labels)
        intensities += [row.number(label, *_CULTURE.span) if rated else float("nan") for label in labels]
    if not any(row.fields[label] for label in _CULTURE.labels):
        raise row.error(_CULTURE.labels[0], "a number from 0 to 1, and no country has any")
    return (intensities,)


def _read_type(row: Row) -> tuple[list, ...]:
    return ([_TYPE.labels.index(row.choice("Voc_Type", _TYPE.labels))],)


EXVO = LabelTable("data_info.csv", ("Country", "Age", *_EMOTION.labels), TASK_PRESETS["exvo"], _read_exvo)
AVB = (
    LabelTable("labels/high_info.csv", _HIGH.labels, (_HIGH,), _read_high),
    LabelTable("labels/two_info.csv", _TWO.labels, (_TWO,), _read_two),
    LabelTable("labels/culture_info.csv", _CULTURE.labels, (_CULTURE,), _read_culture),
    LabelTable("labels/type_info.csv", ("Voc_Type",), (_TYPE,), _read_type),
)
LABELS = {"exvo": (EXVO,), "avb": AVB, "all": (EXVO, *AVB)}


def label_tables(folder: Path, labels: str) -> tuple[LabelTable, ...]:
    """The tables that ``labels`` asks for, those that ``folder`` holds.

    data_info.csv must be there where it is asked for, and one of A-VB's four where they are.

    Raises:
        CorpusError: an unknown set of labels, or a folder without them; says which other set it holds.
    """
    asked = _tables_of(labels)
    present = [table for table in LABELS["all"] if refuse_links_out(folder / table.path, folder).is_file()]
    if EXVO in asked and EXVO not in present:
        instead = "; labels='avb' reads those in its labels/" if present else ""
        raise CorpusError(f"{folder}: holds no {EXVO.path}; give the folder that has it beside wav/{instead}")
    if asked != LABELS["exvo"] and not set(AVB) & set(present):
        names = ", ".join(table.path for table in AVB)
        instead = f"; labels='exvo' reads its {EXVO.path}" if present else ""
        raise CorpusError(f"{folder}: holds none of {names}; give the folder that has labels/{instead}")
    return tuple(table for table in asked if table in present)


def label_tasks(labels: str) -> tuple[Task, ...]:
    """The tasks of a set of labels, in the order of their columns.

    >>> [task.name for task in label_tasks("all")]
    ['emotion', 'age', 'country', 'high', 'two', 'culture', 'type']
    """
    return tuple(task for table in _tables_of(labels) for task in table.tasks)


def _tables_of(labels: str) -> tuple[LabelTable, ...]:
    if labels not in LABELS:
        raise CorpusError(f"labels {labels!r} is not one of {', '.join(LABELS)}")
    return LABELS[labels]
