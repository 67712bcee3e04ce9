"""EmoGator (Buhl 2023, arXiv 2301.00508): 32,130 vocal bursts of 357 speakers, thirty categories, known by file name.

    data/mp3/NNNNNN-EE-I.mp3        NNNNNN the speaker, EE the category (01 to 30), I the take
    data/opus/NNNNNN-EE-I.opus      the same of copies in Opus

The corpus may lie in several folders, one part as MP3 and another as Opus; a clip that is there twice is refused.
It has no official split: where they are there, ``VALIDATION_SPEAKERS`` validate and all others train.

It has no age, no country and no intensities, and none is invented: ``emotion`` says which of the ExVo emotions a clip's
category names, with 1, and 0 for the rest; a category that names none of them has nine zeros.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import datasets

from ...errors import CorpusError
from ...tasks import EMOGATOR_CATEGORIES, TASK_PRESETS
from .columns import burst_features, burst_table
from .inside import scan_inside
from .record import SPLITS_HELP, Corpus, setting, settings
from .source_hash import corpus_fingerprint
from .splits import ALL_TEST, DEFAULT_SPLITS, REST, split_speakers

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

# Who validates wherever the corpus is read, so that scores compare, whoever has how much of it: fixed before anything
# was trained on more than sixty speakers.
VALIDATION_SPEAKERS = (
    *("000255", "000257", "000261", "000264", "000270", "000272", "000275", "000280", "000282", "000284"),
    *("000286", "000290", "000292", "000293", "000298", "000301", "000330", "000347", "000350", "000354"),
)

_CLIP = re.compile(r"([0-9]{6})-(0[1-9]|[12][0-9]|30)-([0-9])\.(mp3|opus)")
_ENDINGS = (".mp3", ".opus")
_PLACES = ("data/mp3", "data/opus")


@dataclass
class EmoGatorConfig(datasets.BuilderConfig):
    """``more_dirs`` beside data_dir; categories ``without``; ``speakers`` of splits; ``fingerprint`` of the files."""

    more_dirs: tuple = ()
    without: tuple = ()
    fingerprint: str = ""
    speakers: dict = field(default_factory=dict)


class EmoGator(datasets.ArrowBasedBuilder):
    """Reads the folder ``data_dir`` and any others; one row per clip, sorted by file name."""

    VERSION = datasets.Version("1.0.0")  # raise it when the same files are read to other rows: it keys the cache
    BUILDER_CONFIG_CLASS = EmoGatorConfig

    def _info(self):
        return datasets.DatasetInfo(features=burst_features(TASKS))

    def _split_generators(self, dl_manager):
        left_out = set(map(EMOGATOR_CATEGORIES.index, self.config.without))
        clips = find_clips([self.config.data_dir, *self.config.more_dirs])
        clips = [clip for clip in clips if clip["category"] not in left_out]
        return [
            datasets.SplitGenerator(
                name=split, gen_kwargs={"rows": [clip for clip in clips if clip["speaker"] in set(speakers)]}
            )
            for split, speakers in self.config.speakers.items()
        ]

    def _generate_tables(self, rows):
        yield 0, burst_table(rows, self.info.features)


def audio_folders(folder: Path) -> list[Path]:
    """Where the audio files of a folder of the corpus lie: in ``data/mp3/`` and ``data/opus/``, else in itself."""
    return [folder / place for place in _PLACES if (folder / place).is_dir()] or [folder]


def find_clips(folders: Sequence) -> list[dict]:
    """One row per clip, sorted by file name, wherever it lies.

    Args:
        folders: of the corpus; each holds the audio files, or ``data/mp3/`` or ``data/opus/`` with them.

    Raises:
        CorpusError: a folder without MP3 or Opus files, a file of another name than speaker-category-take, or a clip
            that is there twice.
    """
    clips: dict[str, dict] = {}
    for folder in (Path(each).resolve() for each in folders):
        before = len(clips)
        for place in audio_folders(folder):
            for name in _audio_names(place, folder):
                clip = _clip(place / name)
                first = clips.setdefault(clip["file_id"], clip)
                if first is not clip:
                    raise CorpusError(
                        f"{place / name}: the same clip is {first['audio']['path']}; leave one of the two out"
                    )
        if len(clips) == before:
            raise CorpusError(
                f"{folder}: holds no MP3 or Opus file; give the folder that has data/mp3/ or data/opus/, or the folder "
                "of the files itself"
            )
    return [clips[file_id] for file_id in sorted(clips)]


def _audio_names(place: Path, corpus: Path) -> list[str]:
    if not place.is_dir():
        return []
    with scan_inside(place, corpus) as entries:
        return sorted(entry.name for entry in entries if entry.name.endswith(_ENDINGS))


def _clip(path: Path) -> dict:
    match = _CLIP.fullmatch(path.name)
    if not match:
        raise CorpusError(f"{path}: not a name like 000001-16-1.mp3: speaker, category 01 to 30, take")
    category = int(match[2]) - 1
    named = EMOTION_OF_CATEGORY.get(EMOGATOR_CATEGORIES[category])
    emotion, _ = TASKS
    return {
        "file_id": path.stem,
        "audio": {"bytes": None, "path": str(path)},
        "speaker": match[1],
        "emotion": [float(label == named) for label in emotion.labels],
        "category": category,
    }


@settings
class EmoGatorSettings:
    """What EmoGator can be asked for."""

    splits: dict | None = setting(None, SPLITS_HELP, example="{train: 0.8, test: 0.2}")
    more_dirs: list | str | None = setting(
        None,
        "Further folders that hold other parts of the corpus, read together with data_dir, such as [EmoGator_more].",
        filled=True,
    )
    without_categories: list | str | None = setting(
        None,
        "Categories whose clips are left out of every split, such as [Anger, Relief]: what a network is then that has "
        "never been given them.",
        filled=True,
    )
    for_prediction: bool = setting(
        False, "Nothing learns from the clips: without splits, every clip is in test.", of_run=True
    )


def default_splits(speakers: set[str]) -> dict:
    """``VALIDATION_SPEAKERS`` validate, those that are there, and all others train; else two thirds and one third.

    >>> default_splits({"000001", "000255", "000257"})
    {'train': 'rest', 'validation': ['000255', '000257']}
    >>> default_splits({"000001", "000002"}) == DEFAULT_SPLITS
    True
    """
    validating = sorted(speakers.intersection(VALIDATION_SPEAKERS))
    return {"train": REST, "validation": validating} if validating and speakers - set(validating) else DEFAULT_SPLITS


def _further_folders(given: list | str | None) -> list[Path]:
    folders = [given] if isinstance(given, str) else list(given or ())
    for folder in folders:
        if not isinstance(folder, (str, Path)) or not str(folder).strip():
            raise CorpusError(f"more_dirs: {folder!r} is no folder; give a list of folders, such as [EmoGator_more]")
    return [CORPUS.existing_folder(folder) for folder in folders]


def _left_out(given: list | str | None) -> tuple[str, ...]:
    names = [given] if isinstance(given, str) else list(given or ())
    if unknown := [name for name in names if name not in EMOGATOR_CATEGORIES]:
        raise CorpusError(
            f"without_categories: {unknown[0]!r} is no category; there are {', '.join(EMOGATOR_CATEGORIES)}"
        )
    if len(set(names)) > len(EMOGATOR_CATEGORIES) - 2:
        raise CorpusError(f"without_categories: {len(set(names))} of the thirty are left out; two at least must stay")
    return tuple(sorted(set(names)))


def _builder(folder: Path, asked: EmoGatorSettings, cache_dir) -> EmoGator:
    more = _further_folders(asked.more_dirs)
    clips = find_clips([folder, *more])
    speakers = {clip["speaker"] for clip in clips}
    splits = asked.splits
    if splits is None:
        splits = ALL_TEST if asked.for_prediction else default_splits(speakers)
    return EmoGator(
        data_dir=str(folder),
        more_dirs=tuple(map(str, more)),
        without=_left_out(asked.without_categories),
        cache_dir=cache_dir,
        fingerprint="-".join(corpus_fingerprint(each, [], audio_folders(each)) for each in [folder, *more]),
        speakers=split_speakers(speakers, splits),
    )


CORPUS = Corpus(
    name="emogator",
    settings=EmoGatorSettings,
    builder=_builder,
    tasks=lambda asked: TASKS,
    how_to_get="EmoGator is public: clone its repository (it is named in arXiv 2301.00508), then "
    "load_bursts('emogator', data_dir='path/to/repository'), where it lies in several folders with more_dirs=[…]",
    card="EmoGator, vocal bursts by category (Fred W. Buhl, 2023, arXiv:2301.00508; Apache-2.0)",
    licence="apache-2.0",
)
