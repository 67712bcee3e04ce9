"""Corpora by name: a folder on disk to a ``DatasetDict`` of one shape."""

import hashlib
import json
import os
from pathlib import Path

import datasets

from . import emogator, hume_vb
from .tables import CorpusError

CORPORA = ("hume_vb", "emogator", "synthetic")


def load_bursts(
    name: str,
    data_dir=None,
    splits: dict | None = None,
    cache_dir=None,
    num_proc: int | None = None,
    clips: int | None = None,
    speakers: int | None = None,
    seed: int | None = None,
) -> datasets.DatasetDict:
    """Load a corpus of vocal bursts: ``file_id``, ``audio`` (not decoded), ``speaker``, and a column for each task.

    What was read is cached under a fingerprint of the tables' bytes and of each audio file's name and size, so a
    changed corpus is read anew.

    Args:
        name: ``"hume_vb"``, ``"emogator"``, or ``"synthetic"``: bursts that this package makes, to try everything with.
        data_dir: the corpus's folder. The synthetic corpus is written there if it is not there yet, by default in the
            datasets cache.
        splits: EmoGator only: for each of "train", "validation", "test" a list of speakers, a fraction of them or how
            many; by default the first two thirds of the speakers train and the rest validate.
        cache_dir: of the datasets library.
        num_proc: processes that write the synthetic corpus.
        clips: synthetic only: how many clips.
        speakers: synthetic only: how many speakers.
        seed: synthetic only: of the corpus; one seed gives one corpus.

    Returns:
        splits "train", "validation" and "test", those that there are. Regressions are in the task's unit, NaN where
        there is no label; classes are indices, -1 where there is none.

    Raises:
        CorpusError, TableError: names the file, the line and what is allowed.
    """
    if name not in CORPORA:
        raise CorpusError(f"unknown corpus {name!r}; known: {', '.join(CORPORA)}")
    settings = {"clips": clips, "speakers": speakers, "seed": seed}
    settings = {setting: value for setting, value in settings.items() if value is not None}
    if name != "synthetic" and settings:
        raise CorpusError(f"{', '.join(settings)}: only the synthetic corpus is made to order; {name} is what it is")
    if name != "emogator" and splits is not None:
        raise CorpusError(f"splits: {name} has its own, in its {hume_vb.TABLE}; leave splits out")
    if name == "synthetic":
        data_dir = _synthetic_corpus(data_dir, cache_dir, num_proc, settings)
    elif data_dir is None:
        raise CorpusError(_HOW_TO_GET[name])
    folder = Path(data_dir).expanduser().resolve()
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder. {_HOW_TO_GET.get(name, '')}".rstrip())

    if name == "emogator":
        found = emogator.find_clips(folder)
        in_splits = emogator.split_speakers({clip["speaker"] for clip in found}, splits)
        builder = emogator.EmoGator(
            data_dir=str(folder),
            cache_dir=cache_dir,
            fingerprint=_fingerprint([], {Path(found[0]["audio"]["path"]).parent}),
            speakers=in_splits,
        )
    else:
        table = folder / hume_vb.TABLE
        if not table.is_file():
            raise CorpusError(f"{folder}: holds no {hume_vb.TABLE}; give the folder that has it beside wav/")
        builder = hume_vb.HumeVB(
            data_dir=str(folder),
            cache_dir=cache_dir,
            fingerprint=_fingerprint([table], {folder / place for place, _ in hume_vb.AUDIO_PLACES}),
        )
    builder.download_and_prepare()
    return builder.as_dataset()


_HOW_TO_GET = {
    "hume_vb": (
        "HUME-VB is handed out by its makers against a signed agreement; with its data_info.csv and wav/ in a folder: "
        "load_bursts('hume_vb', data_dir='path/to/folder')"
    ),
    "emogator": (
        "EmoGator is public: clone its repository (it is named in arXiv 2301.00508), then "
        "load_bursts('emogator', data_dir='path/to/repository')"
    ),
}


def _fingerprint(tables: list[Path], audio_folders: set[Path]) -> str:
    """A hash of the tables' bytes and of the sorted names and sizes of the audio files."""
    digest = hashlib.sha256()
    for table in tables:
        digest.update(table.read_bytes())
    for folder in sorted(audio_folders):
        if folder.is_dir():
            files = sorted((entry.name, entry.stat().st_size) for entry in os.scandir(folder) if entry.is_file())
            digest.update(json.dumps([folder.name, files]).encode())
    return digest.hexdigest()[:32]


def _synthetic_corpus(data_dir, cache_dir, num_proc, settings: dict) -> Path:
    """The folder of the synthetic corpus, written if it is not there yet."""
    from .synthetic import VERSION, write_synthetic_corpus

    if data_dir is None:
        made_with = "-".join([f"v{VERSION}", *(f"{setting}{value}" for setting, value in settings.items())])
        data_dir = Path(cache_dir or datasets.config.HF_DATASETS_CACHE) / "burst2vec" / f"synthetic-{made_with}"
    folder = Path(data_dir).expanduser()
    if (folder / hume_vb.TABLE).is_file() and not settings:
        return folder  # whatever it was made with
    return write_synthetic_corpus(folder, num_proc=num_proc, **settings)
