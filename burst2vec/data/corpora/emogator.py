"""EmoGator (Buhl 2023, arXiv 2301.00508): 32,130 vocal bursts of 357 speakers, thirty categories, known by file name.

    data/mp3/NNNNNN-EE-I.mp3        NNNNNN the speaker, EE the category (01 to 30), I the take

It has no age, no country and no intensities, and none is invented: ``emotion`` says which of the ExVo emotions a clip's
category names, with 1, and 0 for the rest; a category that names none of them has nine zeros.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import datasets

from ...errors import CorpusError
from ...tasks import EMOGATOR_CATEGORIES, TASK_PRESETS
from .columns import burst_features, burst_table
from .inside import scan_inside
from .record import SPLITS_HELP, Corpus, setting, settings
from .source_hash import corpus_fingerprint
from .splits import ALL_TEST, split_speakers

TASKS = TASK_PRESETS["emogator"]

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
    """Reads the folder ``data_dir``; one row per clip, sorted by file name."""

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
    """One row per clip, sorted by file name; ``folder`` holds the MP3 files, or ``data/mp3/`` with them.

    Raises:
        CorpusError: no MP3 file, or one of another name than speaker-category-take.
    """
    corpus = folder = Path(folder).resolve()
    if (folder / "data" / "mp3").is_dir():
        folder = folder / "data" / "mp3"
    names = []
    if folder.is_dir():
        with scan_inside(folder, corpus) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(".mp3"))
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


@settings
class EmoGatorSettings:
    """What EmoGator can be asked for."""

    splits: dict | None = setting(None, SPLITS_HELP, example="{train: 0.8, test: 0.2}")
    for_prediction: bool = setting(
        False, "Nothing learns from the clips: without splits, every clip is in test.", of_run=True
    )


def _builder(folder: Path, asked: EmoGatorSettings, cache_dir) -> EmoGator:
    splits = ALL_TEST if asked.splits is None and asked.for_prediction else asked.splits
    found = find_clips(folder)
    return EmoGator(
        data_dir=str(folder),
        cache_dir=cache_dir,
        fingerprint=corpus_fingerprint(folder, [], [Path(found[0]["audio"]["path"]).parent]),
        speakers=split_speakers({clip["speaker"] for clip in found}, splits),
    )


CORPUS = Corpus(
    name="emogator",
    settings=EmoGatorSettings,
    builder=_builder,
    tasks=lambda asked: TASKS,
    how_to_get="EmoGator is public: clone its repository (it is named in arXiv 2301.00508), then "
    "load_bursts('emogator', data_dir='path/to/repository')",
    card="EmoGator, vocal bursts by category",
    licence="apache-2.0",
)
