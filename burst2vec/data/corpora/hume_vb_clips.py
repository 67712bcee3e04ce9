"""HUME-VB's label tables joined by File_ID: what they say of each clip."""

import logging
import re
from array import array
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import TableError
from .hume_vb_tables import EXVO, LabelTable
from .label_tables import Lost, Row, read_table
from .splits import SpeakersSeen

logger = logging.getLogger(__name__)

SPLITS = {"Train": "train", "Val": "validation", "Test": "test"}
_FILE_ID = re.compile(r"\[([0-9A-Za-z_-]+)\]|([0-9A-Za-z_-]+)")  # no dot and no slash: it can name no other folder


class Clips(NamedTuple):
    """One entry per clip, in numbers where possible: there are tens of thousands."""

    file_ids: np.ndarray  # of str
    speakers: np.ndarray  # of str, "" where unknown
    splits: np.ndarray  # place in SPLITS
    labels: dict[str, np.ndarray]  # by task: float32 (clips, labels), NaN where missing; int64 (clips,), -1
    lost: list[Lost]  # labels of test rows that could not be read


def join_tables(folder: Path, tables: tuple[LabelTable, ...], allow_shared_speakers: bool = False) -> Clips:
    """Read ``tables``, and in data_info.csv, where it is there, who each clip's speaker is.

    Labels of a clip that a table does not list are missing. Clips that none of ``tables`` lists are left out. They
    stand in the order of data_info.csv, or else of the first table; those that only a later table lists, behind.

    Raises:
        TableError: see ``read_hume_vb``.
    """
    join = _Join(folder, allow_shared_speakers)
    if EXVO not in tables and (folder / EXVO.path).is_file():
        join.read_lines(EXVO, labels=False)
    entries = [(table, *join.read_lines(table)) for table in tables]
    join.warn_of_shared_speakers()
    join.warn_of_lost_labels()

    labels = {}
    listed = np.zeros(len(join.row_of), dtype=bool)
    for table, rows, values in entries:
        rows = np.asarray(rows)
        for task, numbers in zip(table.tasks, values, strict=True):
            absent, width = (-1, 1) if task.kind == "classification" else (np.nan, len(task.labels))
            columns = np.full((len(listed), width), absent, np.float32)
            columns[rows] = np.frombuffer(numbers, np.float32).reshape(len(rows), width)
            labels[task.name] = columns[:, 0].astype(np.int64) if absent == -1 else columns
        listed[rows] = True
    return Clips(
        np.array(list(join.row_of), dtype=object)[listed],
        np.array(join.speakers, dtype=object)[listed],
        np.frombuffer(join.splits, np.int8)[listed],
        {name: columns[listed] for name, columns in labels.items()},
        join.lost,
    )


class _Join:
    def __init__(self, folder: Path, allow_shared_speakers: bool):
        self.folder = folder
        self.allow_shared_speakers = allow_shared_speakers
        self.row_of: dict[str, int] = {}  # by File_ID
        self.speakers: list[str] = []
        self.splits = array("b")
        self.paths: list[str] = []  # of the tables read so far
        self.seen_in = array("b")  # the last of them that lists the clip …
        self.seen_at = array("l")  # … and on which line
        self.speakers_seen = SpeakersSeen()
        self.lost: list[Lost] = []

    def read_lines(self, table: LabelTable, labels: bool = True) -> tuple[array, list[array]]:
        """The rows that a table lists, and for each of its tasks their numbers, row after row."""
        is_exvo = table is EXVO
        columns = ("File_ID", "Split", *(("Subject_ID",) if is_exvo else ()), *(table.columns if labels else ()))
        missing = [[-1] if task.kind == "classification" else [np.nan] * len(task.labels) for task in table.tasks]
        rows, values = array("l"), [array("f") for _ in table.tasks]
        self.paths.append(str(self.folder / table.path))
        for row in read_table(self.paths[-1], columns):
            clip = self._clip(row)
            split = row.fields["Split"]
            if is_exvo:
                self.speakers[clip] = self._speaker(row, split)
            if not labels:
                continue
            try:
                entries = table.read(row)
            except TableError as error:
                if split != "Test":
                    raise
                entries = missing
                if table.has_labels(row):
                    name = row.fields["File_ID"].strip("[]")
                    self.lost.append(Lost(SPLITS[split], name, "labels dropped", str(error)))
            rows.append(clip)
            for numbers, entry in zip(values, entries, strict=True):
                numbers.extend(entry)
        return rows, values

    def _clip(self, row: Row) -> int:
        """The row's clip by number, found or added."""
        match = _FILE_ID.fullmatch(row.fields["File_ID"])
        if not match:
            raise row.error("File_ID", "made of letters, digits, - and _, such as [00001]")
        file_id = match[1] or match[2]
        split = list(SPLITS).index(row.choice("Split", SPLITS))
        table = len(self.paths) - 1
        clip = self.row_of.get(file_id)
        if clip is None:
            if table > 0 and self.paths[0] == str(self.folder / EXVO.path):
                advice = "; in a folder without that file, labels='avb' reads A-VB's clips alone"
                raise row.error("File_ID", f"a clip of {self.paths[0]}{advice}")
            clip = self.row_of[file_id] = len(self.speakers)
            self.speakers.append("")
            self.splits.append(split)
            self.seen_in.append(table)
            self.seen_at.append(row.line)
            return clip
        if self.seen_in[clip] == table:
            raise row.error("File_ID", f"new: line {self.seen_at[clip]} has it already")
        if self.splits[clip] != split:
            there = f"{self.paths[self.seen_in[clip]]}, line {self.seen_at[clip]}"
            raise row.error("Split", f"{list(SPLITS)[self.splits[clip]]!r}, as {there} has it for clip {file_id}")
        self.seen_in[clip], self.seen_at[clip] = table, row.line
        return clip

    def _speaker(self, row: Row, split: str) -> str:
        speaker = row.fields["Subject_ID"].strip()
        if not speaker and split != "Test":
            raise row.error("Subject_ID", "the name of a speaker")
        fault = self.speakers_seen.see(speaker, split) if speaker else None
        if fault and not self.allow_shared_speakers:
            raise row.error("Subject_ID", f"{fault}; allow_shared_speakers=True lets it be")
        return speaker

    def warn_of_lost_labels(self):
        if self.lost:
            logger.warning(
                "%s: %d test rows have labels that cannot all be read, and lose those of their table; the first: %s",
                self.folder,
                len(self.lost),
                self.lost[0].detail,
            )

    def warn_of_shared_speakers(self):
        if self.speakers_seen.shared:
            logger.warning(
                "%s: %d of %d speakers are in more than one split, such as %s: scores may be for knowing their voices",
                self.folder / EXVO.path,
                len(self.speakers_seen.shared),
                len(self.speakers_seen),
                min(self.speakers_seen.shared),
            )
