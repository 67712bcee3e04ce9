"""EmoGator (Buhl 2023, arXiv 2301.00508): 32,130 vocal bursts of 357 speakers, thirty categories, known by file name.

    data/mp3/NNNNNN-EE-I.mp3        NNNNNN the speaker, EE the category (01 to 30), I the take

It has no age, no country and no intensities, and none is invented: ``emotion`` says which of the ExVo emotions a clip's
category names, with 1, and 0 for the rest; a category that names none of them has nine zeros.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import datasets

from ..tasks import EMOGATOR_CATEGORIES, TASK_PRESETS
from .columns import burst_features, burst_table
from .tables import CorpusError

TASKS = TASK_PRESETS["emogator"]
SPLITS = ("train", "validation", "test")
DEFAULT_SPLITS = {"train": 2 / 3, "validation": 1 / 3}

EMOTION_OF_CATEGORY = {
    "Amusement": "Amusement",
    "Awe": "Awe",
    "Distress": "Distress",
    "Elation": "Excitement",
    "Embarrassment": "Awkwardness",
    "Fear": "Fear",
    "Sadness": "Sadness",
    "Surprise (Negative)": "Surprise",
    "Surprise (Positive)": "Surprise",
    "Triumph": "Triumph",
}

_CLIP = re.compile(r"([0-9]{6})-(0[1-9]|[12][0-9]|30)-([0-9])\.mp3")


@dataclass
class EmoGatorConfig(datasets.BuilderConfig):
    """``speakers`` of each split, and ``fingerprint`` of the corpus's content (see ``HumeVBConfig``)."""

    fingerprint: str = ""
    speakers: dict = field(default_factory=dict)


class EmoGator(datasets.ArrowBasedBuilder):
    """Reads the folder ``data_dir``; one row a clip, sorted by file name."""

    VERSION = datasets.Version("1.0.0")  # raise it when the same files are read to other rows: it keys the cache
    BUILDER_CONFIG_CLASS = EmoGatorConfig

    def _info(self):
        return datasets.DatasetInfo(features=burst_features(TASKS))

    def _split_generators(self, dl_manager):
        clips = find_clips(self.config.data_dir)
        return [
            datasets.SplitGenerator(
                name=split, gen_kwargs={"rows": [clip for clip in clips if clip["speaker"] in set(speakers)]}
            )
            for split, speakers in self.config.speakers.items()
        ]

    def _generate_tables(self, rows):
        yield 0, burst_table(rows, self.info.features)


def find_clips(folder) -> list[dict]:
    """One row a clip, sorted by file name; ``folder`` holds the MP3 files, or ``data/mp3/`` with them.

    Raises:
        CorpusError: no MP3 file, or one of another name than speaker-category-take.
    """
    folder = Path(folder).resolve()
    if (folder / "data" / "mp3").is_dir():
        folder = folder / "data" / "mp3"
    names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(".mp3")) if folder.is_dir() else []
    if not names:
        raise CorpusError(f"{folder}: holds no MP3 file; give the folder that has data/mp3/, or that folder itself")
    emotion, _ = TASKS
    clips = []
    for name in names:
        match = _CLIP.fullmatch(name)
        if not match:
            raise CorpusError(f"{folder / name}: not a name like 000001-16-1.mp3: speaker, category 01 to 30, take")
        category = int(match[2]) - 1
        named = EMOTION_OF_CATEGORY.get(EMOGATOR_CATEGORIES[category])
        clips.append(
            {
                "file_id": name.removesuffix(".mp3"),
                "audio": {"bytes": None, "path": str(folder / name)},
                "speaker": match[1],
                "emotion": [float(label == named) for label in emotion.labels],
                "category": category,
            }
        )
    return clips


def split_speakers(speakers, splits: dict | None = None) -> dict[str, list[str]]:
    """Who is in which split: sorted by id, the first go to train, the next to validation, the next to test.

    Args:
        speakers: ids there are.
        splits: for each of "train", "validation", "test" a list of ids, a fraction of all speakers, or how many; a
            split that is left out is not made. By default two thirds train and one third validation.

    Raises:
        CorpusError: a speaker in two splits or not there, a split unknown or empty, more speakers than there are.

    >>> split_speakers(["000003", "000001", "000002"])
    {'train': ['000001', '000002'], 'validation': ['000003']}
    >>> split_speakers(["000001", "000002", "000003"], {"train": 1, "test": ["000001"]})
    {'train': ['000002'], 'test': ['000001']}
    """
    speakers = sorted(set(speakers))
    splits = DEFAULT_SPLITS if splits is None else splits
    unknown = [split for split in splits if split not in SPLITS]
    if unknown or not splits:
        raise CorpusError(
            f"splits {list(splits)}: allowed are {', '.join(SPLITS)}, such as {{'train': 0.8, 'test': 0.2}}"
        )

    chosen = {}
    split_of = {}
    for split, wanted in splits.items():
        if isinstance(wanted, (int, float)):
            continue
        chosen[split] = sorted({f"{speaker:06d}" if isinstance(speaker, int) else speaker for speaker in wanted})
        for speaker in chosen[split]:
            if speaker not in speakers:
                raise CorpusError(f"split {split}: no speaker {speaker!r} here; {_range_of(speakers)}")
            if split_of.setdefault(speaker, split) != split:
                raise CorpusError(
                    f"speaker {speaker} is in {split_of[speaker]} and in {split}; a speaker has one split"
                )

    free = [speaker for speaker in speakers if speaker not in split_of]
    fractions = 0.0
    for split in SPLITS:
        wanted = splits.get(split)
        if isinstance(wanted, float):  # rounded where the parts meet, so that parts that sum to 1 use everyone
            before, fractions = fractions, fractions + wanted
            wanted = round(fractions * len(speakers)) - round(before * len(speakers))
        if isinstance(wanted, int):
            if wanted > len(free):
                raise CorpusError(f"split {split}: {splits[split]} asks for {wanted} speakers, {len(free)} are left")
            chosen[split], free = free[: max(wanted, 0)], free[max(wanted, 0) :]
        if split in splits and not chosen[split]:
            raise CorpusError(f"split {split}: {splits[split]} leaves it without a speaker; {_range_of(speakers)}")
    return {split: chosen[split] for split in SPLITS if split in chosen}


def _range_of(speakers: list[str]) -> str:
    return f"the corpus has {len(speakers)} speakers, {speakers[0]} to {speakers[-1]}"
