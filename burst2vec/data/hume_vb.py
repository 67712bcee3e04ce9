"""HUME-VB, the corpus of the ExVo challenge, as its organisers hand it out; the synthetic corpus has the same layout.

data_info.csv       File_ID ([00001]), Split (Train, Val, Test), Subject_ID, Country, Age, ten emotions in 0..1
wav/00001.wav       16 kHz; or the raw recording wav/00001.webm, raw/00001.webm or webm/00001.webm
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import datasets

from ..tasks import TASK_PRESETS
from .columns import burst_features, burst_table
from .tables import Row, TableError, read_table

TASKS = TASK_PRESETS["exvo"]
TABLE = "data_info.csv"
SPLITS = {"Train": "train", "Val": "validation", "Test": "test"}
AUDIO_PLACES = (("wav", ".wav"), ("wav", ".webm"), ("raw", ".webm"), ("webm", ".webm"))  # the first that is there

_EMOTION, _AGE, _COUNTRY = TASKS
COLUMNS = ("File_ID", "Split", "Subject_ID", "Country", "Age", *_EMOTION.labels)
_FILE_ID = re.compile(r"\[([0-9A-Za-z_-]+)\]|([0-9A-Za-z_-]+)")  # no dot and no slash: it can name no other folder
_NO_LABELS = {"emotion": [float("nan")] * len(_EMOTION.labels), "age": float("nan"), "country": -1}


@dataclass
class HumeVBConfig(datasets.BuilderConfig):
    """``fingerprint`` stands for the corpus's content: without it a changed table would be read from the old cache."""

    fingerprint: str = ""


class HumeVB(datasets.ArrowBasedBuilder):
    """Reads the folder ``data_dir``; one row a clip, in the order of the table."""

    VERSION = datasets.Version("1.0.0")  # raise it when the same files are read to other rows: it keys the cache
    BUILDER_CONFIG_CLASS = HumeVBConfig

    def _info(self):
        return datasets.DatasetInfo(features=burst_features(TASKS))

    def _split_generators(self, dl_manager):
        rows = read_hume_vb(self.config.data_dir)
        return [datasets.SplitGenerator(name=split, gen_kwargs={"rows": rows[split]}) for split in rows if rows[split]]

    def _generate_tables(self, rows):
        yield 0, burst_table(rows, self.info.features)


def read_hume_vb(folder) -> dict[str, list[dict]]:
    """The rows of each split, checked.

    A clip whose audio is not there keeps its row, with the path where it should be: whether clips can be heard is
    ``check_clips``' business. The test rows of the challenge have no labels: a test row whose labels are not all as
    they should be has none at all, NaN and -1.

    Raises:
        TableError: a column missing, a File_ID twice or not made of letters, digits, - and _, an unknown split or
            country, an age or emotion that is no number in its span, a speaker in two splits.
    """
    folder = Path(folder).resolve()
    present = {
        place: {entry.name for entry in os.scandir(folder / place)}
        for place in {place for place, _ in AUDIO_PLACES}
        if (folder / place).is_dir()
    }
    rows = {split: [] for split in SPLITS.values()}
    line_of, split_of = {}, {}
    for row in read_table(folder / TABLE, COLUMNS):
        file_id = _file_id(row)
        if file_id in line_of:
            raise row.error("File_ID", f"new: line {line_of[file_id]} has it already")
        line_of[file_id] = row.line
        split = row.choice("Split", SPLITS)
        speaker = row.fields["Subject_ID"]
        if not speaker and split != "Test":
            raise row.error("Subject_ID", "the name of a speaker")
        if speaker and split_of.setdefault(speaker, split) != split:
            raise row.error("Subject_ID", f"of one split: it stands in {split_of[speaker]} and in {split}")
        audio = {"bytes": None, "path": str(_audio_path(folder, file_id, present))}
        try:
            labels = _labels(row)
        except TableError:
            if split != "Test":
                raise
            labels = _NO_LABELS
        rows[SPLITS[split]].append({"file_id": file_id, "audio": audio, "speaker": speaker, **labels})
    return rows


def _file_id(row: Row) -> str:
    match = _FILE_ID.fullmatch(row.fields["File_ID"])
    if not match:
        raise row.error("File_ID", "made of letters, digits, - and _, such as [00001]")
    return match[1] or match[2]


def _audio_path(folder: Path, file_id: str, present: dict[str, set[str]]) -> Path:
    for place, suffix in AUDIO_PLACES:
        if file_id + suffix in present.get(place, ()):
            return folder / place / (file_id + suffix)
    return folder / "wav" / f"{file_id}.wav"


def _labels(row: Row) -> dict:
    return {
        "emotion": [row.number(label, *_EMOTION.span) for label in _EMOTION.labels],
        "age": row.number("Age", *_AGE.span),
        "country": _COUNTRY.labels.index(row.choice("Country", _COUNTRY.labels)),
    }
