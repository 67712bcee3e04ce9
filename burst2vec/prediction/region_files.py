"""Bursts of recordings as other programs read them: Audacity's labels, and the JSON of Hume's vocal burst model."""

import hashlib
import json
import mimetypes
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..errors import RunError
from ..files import write_whole
from ..tasks import Task, prediction_columns


def file_names(names: Sequence[str], folder: Path, ending: str) -> dict[str, Path]:
    """A file in a folder for each recording, by its own name.

    Raises:
        RunError: two recordings would have one file.
    """
    places: dict[Path, str] = {}
    for name in names:
        place = folder / f"{Path(name).stem}{ending}"
        if places.setdefault(place, name) != name:
            raise RunError(f"{places[place]} and {name} would both become {place}; give them one after the other")
    return {name: place for place, name in places.items()}


def write_audacity(bursts: pd.DataFrame, names: Sequence[str], folder: str | Path) -> list[Path]:
    """A label track of each recording, ``NAME.txt``: File, Import, Labels in Audacity shows it.

    A line is start, end and text, with tabs between them: the most probable class or the strongest label of the first
    task, or where nothing is predicted ``burst``, and the confidence.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    places = file_names(names, folder, ".txt")
    for name, place in places.items():
        of_file = bursts[(bursts["file"] == name) & bursts["start"].notna()]
        lines = [
            f"{row['start']:.3f}\t{row['end']:.3f}\t{short_label(row)} {row['confidence']:.2f}\n"
            for row in of_file.to_dict("records")
        ]
        write_whole(place, "".join(lines))
    return list(places.values())


def short_label(row: dict) -> str:
    """What a burst is, in a word: the first class that is predicted of it, or the strongest label of its first task."""
    said = {key: value for key, value in row.items() if key not in ("file", "start", "end", "confidence", "problem")}
    for column, value in said.items():
        if isinstance(value, str):
            return value
        if "/" in column and pd.notna(value):
            task = column.split("/")[0]
            of_task = {key: number for key, number in said.items() if key.startswith(f"{task}/")}
            return max(of_task, key=of_task.get).split("/", 1)[1]
    return "burst"


def hume_json(bursts: pd.DataFrame, recordings: dict[str, Path], tasks: Sequence[Task]) -> list[dict]:
    """What Hume's batch service answered for the model ``burst``: one element per source, as its predictions were read.

    ``emotions`` are the labels of the regressions that have several, such as the ten emotions; where there is none,
    classes. ``descriptions`` are the probabilities of the classifications otherwise. The names are the model's own, not
    Hume's 48 and 67, and regressions of one label, such as age, have no place in it. Everybody is "unknown".

    Args:
        bursts: as ``find_bursts`` gives them with a model.
        recordings: by name where each lies.
        tasks: the model's.
    """
    regressed = [task for task in tasks if task.kind == "regression" and len(task.labels) > 1]
    classes = [task for task in tasks if task.kind == "classification"]
    if not regressed:
        regressed, classes = classes, []
    return [
        _of_source(bursts[bursts["file"] == name].to_dict("records"), name, place, regressed, classes)
        for name, place in recordings.items()
    ]


def _of_source(rows: list[dict], name: str, place: Path, regressed, classes) -> dict:
    errors = [{"message": row["problem"], "file": Path(name).name} for row in rows if row["problem"]]
    bursts = [
        {
            "time": {"begin": row["start"], "end": row["end"]},
            "emotions": _scores(row, regressed),
            "descriptions": _scores(row, classes),
        }
        for row in rows
        if not row["problem"]
    ]
    groups = [{"id": "unknown", "predictions": bursts}] if bursts else []
    models = {"burst": {"metadata": None, "grouped_predictions": groups}}
    predictions = [{"file": Path(name).name, "models": models}] if bursts or not errors else []
    source = {
        "type": "file",
        "filename": Path(name).name,
        "content_type": mimetypes.guess_type(name)[0],
        "md5sum": _md5(place),
    }
    return {"source": source, "results": {"predictions": predictions, "errors": errors}}


def _scores(row: dict, tasks: Sequence[Task]) -> list[dict]:
    return [
        {"name": label, "score": float(row[column])}
        for task in tasks
        for label, column in zip(task.labels, prediction_columns(task), strict=True)
    ]


def _md5(path: Path) -> str:
    """Of a file's content, "" where it cannot be read."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()


def write_hume(path: Path, found: list[dict]) -> None:
    write_whole(path, json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
