"""Clips of named emotions in a folder: those to learn from, those that were generated, and people's ratings of them.

folder/Amusement/001.wav                 each clip in a sub-folder that is called after its emotion, or
folder/metadata.csv, folder/any/1.wav    a table with the columns file and emotion
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import Dataset, concatenate_datasets

from ..data.clips import BadClip, check_clips
from ..data.corpora import load_bursts
from ..data.corpora.audio_files import without_ending
from ..data.corpora.folder import find_table
from ..data.corpora.label_columns import FILE_COLUMNS
from ..data.corpora.label_tables import read_table
from ..errors import CorpusError, TableError
from ..tasks import Task

EMOTION = "emotion"  # the table's column


class EmotionClips(NamedTuple):
    """Clips that can be read, and the emotion of each.

    Attributes:
        folder: that they lie in, or the corpus.
        clips: ``file_id`` (the path below the folder without its ending) and ``audio``, not decoded.
        emotions: names, (clips,).
        bad: clips that cannot be read.
        empty: sub-folders without a clip.
    """

    folder: Path | str
    clips: Dataset
    emotions: np.ndarray
    bad: list[BadClip]
    empty: list[str]

    @property
    def names(self) -> list[str]:
        """The emotions that have clips, sorted."""
        return sorted(set(self.emotions.tolist()))

    def refuse_too_few(self, fewest: int, why: str, emotions: Sequence[str] | None = None) -> None:
        """
        Args:
            fewest: clips that each emotion needs.
            why: what for.
            emotions: that are needed; by default those that the folder has.

        Raises:
            CorpusError: emotions with fewer clips; says of each how many there are and how many it needs.
        """
        counts = Counter(self.emotions.tolist())
        wanted = dict.fromkeys([*self.names, *self.empty]) if emotions is None else emotions
        if short := [f"{name} has {counts[name]:,}" for name in wanted if counts[name] < fewest]:
            raise CorpusError(
                f"{self.folder}: {', '.join(short)} of the {fewest:,} clips that each emotion needs {why}; add clips, "
                "or take these emotions out of both folders"
            )


def read_emotion_clips(folder: str | Path, cache_dir=None, num_proc: int | None = None) -> EmotionClips:
    """The clips of a folder that can be read, with their emotions; sub-folders or a table name these.

    Args:
        folder: as above; folders or columns of splits do not matter here, all are read.
        cache_dir: of the datasets library.
        num_proc: processes to decode with.

    Raises:
        CorpusError: no such folder, no clips, clips beside the folders of emotions; TableError: a table without a
            column ``emotion``, or a line without one.
        AudioError: more than half of the clips cannot be read.
    """
    folder = Path(folder).expanduser()
    table = find_table(folder) if folder.is_dir() else None
    tasks, only = ((), None) if table is None else _emotions_of_table(table)
    corpus = load_bursts("folder", folder, cache_dir=cache_dir, tasks=list(tasks), for_prediction=True)
    clips = concatenate_datasets([*corpus.values()])
    names = clips["file_id"][:]
    if table is None:
        emotions = [_folder_of(name, folder) for name in names]
    elif tasks:
        emotions = [tasks[0].labels[label] for label in clips[EMOTION]]
    else:
        emotions = [only] * len(names)
    place = {name: row for row, name in enumerate(names)}
    readable, bad = check_clips(clips.select_columns(["file_id", "audio"]), "skip", num_proc)
    kept = [emotions[place[name]] for name in readable["file_id"]]
    return EmotionClips(folder, readable, np.array(kept), bad, _empty_folders(folder) if table is None else [])


def read_ratings(path: str | Path, generated: EmotionClips) -> tuple[dict[str, np.ndarray], list[str]]:
    """People's mean ratings of generated clips, from a table: a column file, and one of intensities for each emotion.

    Args:
        path: of the table; files are paths below the generated clips' folder, intensities are in 0..1.

    Returns:
        for each emotion that has rated clips, their ratings (clips, columns); and the columns' names.

    Raises:
        TableError: an unreadable table, a file that is no generated clip or is named twice, a rating that is none, an
            emotion that has no column.
    """
    emotion_of = dict(zip(generated.clips["file_id"], generated.emotions.tolist(), strict=True))
    ratings: dict[str, list] = {}
    seen: set[str] = set()
    columns: list[str] = []
    for row in read_table(path, ()):
        file = next((name for name in FILE_COLUMNS if name in row.fields), None)
        if file is None:
            raise TableError(f"{path}, line 1: no column of files; call one {', '.join(FILE_COLUMNS)}")
        columns = [name for name in row.fields if name != file]
        clip = without_ending(row.fields[file])
        if clip not in emotion_of:
            raise row.error(file, f"a clip of {generated.folder}, such as {next(iter(emotion_of))}")
        if clip in seen:
            raise row.error(file, "new: a line above rates it already")
        seen.add(clip)
        emotion = emotion_of[clip]
        if emotion not in columns:
            raise TableError(f"{path}, line 1: no column {emotion}, which {clip} is of; found: {', '.join(row.fields)}")
        ratings.setdefault(emotion, []).append([row.number(name, 0, 1) for name in columns])
    return {emotion: np.array(rows) for emotion, rows in ratings.items()}, columns


def _emotions_of_table(table: Path) -> tuple[tuple[Task, ...], str | None]:
    """The task of a table's emotions; or, where it names one alone, which is no task, its name."""
    names = set()
    for row in read_table(table, (EMOTION,)):
        if not row.fields[EMOTION].strip():
            raise row.error(EMOTION, "the name of an emotion; leave clips without one out of the table")
        names.add(row.fields[EMOTION])
    labels = tuple(sorted(names))
    if len(labels) == 1:
        return (), labels[0]
    return (Task(EMOTION, "classification", labels, loss="cross_entropy", metric="uar"),), None


def _folder_of(name: str, folder: Path) -> str:
    above = name.split("/")[:-1]
    if not above:
        raise CorpusError(
            f"{folder / name}: lies in no sub-folder; put each clip in one called after its emotion, such as "
            f"{folder}/Amusement/{name}, or put a metadata.csv there with the columns file and emotion"
        )
    return above[-1]


def _empty_folders(folder: Path) -> list[str]:
    return sorted(
        place.name
        for place in folder.iterdir()
        if place.is_dir() and not place.name.startswith(".") and not any(each.is_file() for each in place.rglob("*"))
    )
