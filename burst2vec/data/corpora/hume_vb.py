"""HUME-VB, the corpus of the ExVo and A-VB challenges, as its organisers hand it out.

    data_info.csv           ExVo's labels, and who speaks
    labels/*_info.csv       A-VB's labels; see ``hume_vb_tables`` for all five
    wav/00001.wav           processed audio, 16 kHz; audio/wav/ in A-VB
    raw/00001.webm          raw audio, 48 kHz; also searched: webm/, wav/, audio/raw/ and audio/webm/, because no paper
                            says where it lies

Emotions are intensities from 0 to 1, of a scale from 1 to 100, averaged over 85.2 raters' responses on average (white
paper, section 2; Burst2Vec, section 2, calls them self-annotated by the speakers; the white paper is the corpus's own).

The synthetic corpus has ExVo's layout.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import datasets
import pyarrow as pa

from ...errors import CorpusError
from .columns import burst_features, label_column, parts_of
from .hume_vb_clips import SPLITS, join_tables
from .hume_vb_tables import EXVO, label_tables, label_tasks
from .inside import scan_inside
from .label_tables import Lost
from .record import SHARED_SPEAKERS_HELP, Corpus, PrintedCounts, setting, settings
from .source_hash import corpus_fingerprint

logger = logging.getLogger(__name__)

COLUMNS = ("File_ID", "Split", "Subject_ID", *EXVO.columns)  # of data_info.csv
AUDIO_PLACES = {  # the first that has the clip
    "processed": (("wav", ".wav"), ("audio/wav", ".wav")),
    "raw": (("raw", ".webm"), ("webm", ".webm"), ("wav", ".webm"), ("audio/raw", ".webm"), ("audio/webm", ".webm")),
}


@settings
class HumeVBSettings:
    """What HUME-VB can be asked for."""

    audio: Literal["processed", "raw"] = setting(
        "processed", "The organisers' 16 kHz wav files (processed, the default), or the raw webm recordings, 48 kHz."
    )
    labels: Literal["exvo", "avb", "all"] = setting(
        "exvo",
        "ExVo's labels: emotion, age, country (exvo, the default); those of A-VB's four tables that are there: high, "
        "two, culture, type (avb); or all of them.",
    )
    allow_shared_speakers: bool = setting(False, SHARED_SPEAKERS_HELP)


@dataclass
class HumeVBConfig(datasets.BuilderConfig, HumeVBSettings):
    """The settings, and ``fingerprint`` of the files: without it, changed ones would be read from the old cache."""

    fingerprint: str = ""


class HumeVB(datasets.ArrowBasedBuilder):
    """Reads the folder ``data_dir``; one row per clip, in the order of the tables."""

    VERSION = datasets.Version("2.1.0")  # raise it when the same files are read to other rows: it keys the cache
    BUILDER_CONFIG_CLASS = HumeVBConfig

    def _info(self):
        tables = label_tables(Path(self.config.data_dir), self.config.labels)
        tasks = tuple(task for table in tables for task in table.tasks)
        if absent := [task.name for task in label_tasks(self.config.labels) if task not in tasks]:
            logger.warning(
                "%s: has no tables for the columns %s; those there are: %s",
                self.config.data_dir,
                ", ".join(absent),
                ", ".join(task.name for task in tasks),
            )
        return datasets.DatasetInfo(features=burst_features(tasks))

    def _split_generators(self, dl_manager):
        config = self.config
        splits = read_hume_vb(config.data_dir, config.labels, config.audio, config.allow_shared_speakers)
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"clips": clips, "parts": parts_of(len(clips))})
            for split, clips in splits.items()
            if len(clips)
        ]

    def _generate_tables(self, clips: pa.Table, parts: list[range]):
        for part in parts:
            yield part.start, clips.slice(part.start, len(part))


def files_of(folder: Path, labels: str, audio: str) -> tuple[list[Path], list[Path]]:
    """The tables and the audio folders that are read, whether or not those folders are there.

    Raises:
        CorpusError: no such labels or audio, or not in this folder.
    """
    tables = [folder / table.path for table in label_tables(folder, labels)]
    if (folder / EXVO.path).is_file():
        tables.append(folder / EXVO.path)  # for the speakers, whatever the labels
    return sorted(set(tables)), sorted({folder / place for place, _ in _places(audio)})


def read_hume_vb(
    folder, labels: str = "exvo", audio: str = "processed", allow_shared_speakers: bool = False
) -> dict[str, pa.Table]:
    """The rows of each split, checked.

    Tables are joined by File_ID. A clip has the labels that there are: those of a table that does not list it are
    missing, NaN or -1; where data_info.csv is not there (A-VB may come without it), its speaker is "", unknown. With
    ``labels="avb"``, a clip that none of A-VB's tables lists is left out. The test rows of the challenges have no
    labels: a test row whose labels are not all as they should be has none of that table; where it has some, that is
    counted in a warning.

    A clip whose audio is not there keeps its row, with the path where it should be: whether clips can be decoded is
    ``check_clips``' business.

    Args:
        labels: ``"exvo"`` for data_info.csv, ``"avb"`` for those of labels/*_info.csv that are there, or ``"all"``.
        audio: ``"processed"`` or ``"raw"``.
        allow_shared_speakers: speakers in two splits are counted in a warning, instead of an error at the first. Names
            that differ in capitals, blanks or the width of letters alone count as one speaker's.

    Raises:
        TableError: a column missing, a File_ID twice or not made of letters, digits, - and _, an unknown split or
            class, a number out of its span, a label missing in Train or Val, a speaker in two splits, a clip that
            data_info.csv does not have, or whose split differs from another table's.
        CorpusError: no such labels or audio; says which there are.
    """
    folder = Path(folder).resolve()
    tables = label_tables(folder, labels)
    clips = join_tables(folder, tables, allow_shared_speakers)
    schema = burst_features(tuple(task for table in tables for task in table.tasks)).arrow_schema
    paths = audio_paths(folder, audio, clips.file_ids)
    rows = pa.table(
        {
            "file_id": pa.array(clips.file_ids, pa.string()),
            "audio": pa.StructArray.from_arrays([pa.nulls(len(paths), pa.binary()), paths], ["bytes", "path"]),
            "speaker": pa.array(clips.speakers, pa.string()),
            **{name: label_column(values) for name, values in clips.labels.items()},
        }
    ).cast(schema)
    return {split: rows.filter(pa.array(clips.splits == place)) for place, split in enumerate(SPLITS.values())}


def audio_paths(folder: Path, audio: str, file_ids: Iterable[str]) -> pa.Array:
    """Where each clip's audio is, or, if it is not there, where it should be.

    Raises:
        CorpusError: not "processed" or "raw"; or the folder has none of it, and some of the other.
    """
    places = _places(audio)
    found = _audio_files(folder, places)
    if not any(found.values()):
        (other,) = set(AUDIO_PLACES) - {audio}
        if there := [place for place, names in _audio_files(folder, _places(other)).items() if names]:
            searched = ", ".join(f"{place}/*{suffix}" for place, suffix in places)
            raise CorpusError(
                f"{folder}: has no {audio} audio ({searched}), but {other} audio in {there[0]}/; "
                f"audio={other!r} reads it"
            )
    (usual, suffix), *_ = [entry for entry in places if entry[0] in found] or places
    paths = []
    for file_id in file_ids:
        name = file_id + suffix
        place = next((place for place, names in found.items() if name in names), usual)
        paths.append(f"{folder}/{place}/{name}")
    return pa.array(paths, pa.string())


def _places(audio: str) -> tuple[tuple[str, str], ...]:
    if audio not in AUDIO_PLACES:
        raise CorpusError(f"audio {audio!r} is not one of {', '.join(AUDIO_PLACES)}")
    return AUDIO_PLACES[audio]


def _audio_files(folder: Path, places: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """By place, those that are there, the names of its files of the right suffix."""
    files = {}
    for place, suffix in places:
        if (folder / place).is_dir():
            with scan_inside(folder / place, folder) as entries:
                files[place] = {entry.name for entry in entries if entry.name.endswith(suffix)}
    return files


def open_hume_vb(folder: Path, asked: HumeVBSettings, cache_dir) -> HumeVB:
    """The builder of a folder in HUME-VB's layout."""
    return HumeVB(
        data_dir=str(folder),
        cache_dir=cache_dir,
        fingerprint=corpus_fingerprint(folder, *files_of(folder, asked.labels, asked.audio)),
        **vars(asked),
    )


def _lost(folder: Path, asked: HumeVBSettings) -> list[Lost]:
    return join_tables(folder, label_tables(folder, asked.labels), asked.allow_shared_speakers).lost


TABLE_1 = PrintedCounts(
    source="Baird et al. 2022, arXiv:2205.01780, Table 1",
    splits={
        "train": {
            "duration": "12:19:06",
            "clips": 19_990,
            "speakers": 571,
            "female_male": "305:266",
            "classes": {"country": {"United States": 206, "China": 79, "South Africa": 244, "Venezuela": 42}},
        },
        "validation": {
            "duration": "12:05:45",
            "clips": 19_396,
            "speakers": 568,
            "female_male": "324:244",
            "classes": {"country": {"United States": 206, "China": 76, "South Africa": 244, "Venezuela": 42}},
        },
        "test": {"duration": "12:22:12", "clips": 19_815, "speakers": 563},
    },
)

CORPUS = Corpus(
    name="hume_vb",
    settings=HumeVBSettings,
    builder=open_hume_vb,
    tasks=lambda asked: label_tasks(asked.labels),
    how_to_get="HUME-VB is handed out by its makers against a signed agreement; with its data_info.csv and wav/ "
    "(or A-VB's labels/ and audio/wav/) in a folder: load_bursts('hume_vb', data_dir='path/to/folder')",
    card="HUME-VB, the corpus of the ExVo 2022 challenge; its licence agreement binds this model too",
    licence="other",
    public=False,
    in_challenge=True,
    lost=_lost,
    printed=TABLE_1,
)
