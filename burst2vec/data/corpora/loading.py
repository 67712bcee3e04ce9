"""Corpora by name: a folder on disk to a ``DatasetDict`` of one shape.

A corpus is one function here, from its folder and the settings that it takes to a ``datasets`` builder, and a line in
``CORPORA``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import datasets

from ...errors import CorpusError
from ...tasks import TASK_PRESETS, Task
from . import emogator, hume_vb
from .audio_files import shown
from .folder import Folder, folder_config, guess_tasks, lost_in_folder, tasks_or_none
from .hume_vb_clips import join_tables
from .hume_vb_tables import EXVO, label_tables, label_tasks
from .label_tables import Lost
from .source_hash import corpus_fingerprint
from .splits import ALL_TEST, split_speakers


def load_bursts(
    name: str,
    data_dir=None,
    *,
    audio: str | None = None,
    labels: str | None = None,
    tasks=None,
    table=None,
    columns: dict | None = None,
    splits: dict | None = None,
    allow_shared_speakers: bool = False,
    for_prediction: bool = False,
    streaming: bool = False,
    cache_dir=None,
    num_proc: int | None = None,
    clips: int | None = None,
    speakers: int | None = None,
    seed: int | None = None,
) -> datasets.DatasetDict | datasets.IterableDatasetDict:
    """Load a corpus of vocal bursts: ``file_id``, ``audio`` (not decoded), ``speaker``, and a column for each task.

    What was read is cached under a fingerprint of the tables' bytes and of each audio file's name and size, so a
    changed corpus is read anew. A setting that a corpus does not take is refused.

    Everything that is read lies in ``data_dir``, which may itself be a link. A link in it that leads elsewhere, such as
    ``wav/`` on another disk, is refused by name: mount that disk there (``mount --bind``), copy, or give the folder
    that holds all of it.

    Args:
        name: ``"hume_vb"``, ``"emogator"``, ``"folder"``: bursts of your own, or ``"synthetic"``: bursts that this
            package makes, to try everything with.
        data_dir: the corpus's folder. The synthetic corpus is written there if it is not there yet, by default in the
            datasets cache.
        audio: HUME-VB: ``"processed"`` (wav, 16 kHz; the default) or ``"raw"`` (webm, 48 kHz).
        labels: HUME-VB: ``"exvo"`` (emotion, age, country; the default), ``"avb"`` (high, two, culture, type; those
            whose tables are there) or ``"all"`` seven.
        tasks: folder: whose labels to read, a preset's name or a list; see ``burst2vec.tasks``. An empty list reads
            clips, speakers and splits, and no labels.
        table: folder: the table of labels, a path below the folder; by default ``metadata.csv``, else the only
            ``.csv`` there. Without any, each clip's sub-folder names its class.
        columns: folder: which column is what, where the table does not use the usual names, such as
            ``{"file": "filename", "speaker": "who", "emotion": {"Awe": "awe_rating"}, "age": "Age"}``; see
            ``burst2vec.data.corpora.label_columns.choose_columns``.
        splits: EmoGator, and a folder without a column of splits: for each of "train", "validation", "test" a list of
            speakers, a fraction of them or how many; by default the first two thirds of the speakers train and the rest
            validate.
        allow_shared_speakers: HUME-VB and folder: let a speaker be in two splits, with a warning: it makes scores too
            good.
        for_prediction: EmoGator and folder: of clips that nothing learns from. Labels may then be missing, with their
            columns, and where neither the corpus nor ``splits`` says otherwise every clip is in "test".
        streaming: read rows as they are asked for, from the same files and in the same order, and cache nothing.
        cache_dir: of the datasets library.
        num_proc: processes that write the synthetic corpus, and the cache of any. Of tables alone one is sooner done.
        clips: synthetic: how many clips.
        speakers: synthetic: how many speakers.
        seed: synthetic: of the corpus; one seed gives one corpus.

    Returns:
        splits "train", "validation" and "test", those that there are. Regressions are in the task's unit, NaN where
        there is no label; classes are indices, -1 where there is none.

    Raises:
        CorpusError, TableError: names the file, the line and what is allowed.
    """
    settings = {
        "audio": audio,
        "labels": labels,
        "tasks": tasks,
        "table": table,
        "columns": columns,
        "splits": splits,
        "allow_shared_speakers": allow_shared_speakers or None,
        "for_prediction": for_prediction or None,
        "clips": clips,
        "speakers": speakers,
        "seed": seed,
    }
    settings = {setting: value for setting, value in settings.items() if value is not None}
    corpus = _corpus(name)
    if refused := [setting for setting in settings if setting not in corpus.takes]:
        alike = [setting for setting in refused if _ONLY[setting] == _ONLY[refused[0]]]
        raise CorpusError(f"{', '.join(alike)}: {_ONLY[refused[0]].format(name=name)}")
    if name == "synthetic":
        data_dir = _synthetic_folder(data_dir, cache_dir, num_proc, settings)
    builder = corpus.builder(_existing_folder(corpus, data_dir), cache_dir, **settings)
    if streaming:
        return builder.as_streaming_dataset()
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset()


def corpus_tasks(name: str, labels: str | None = None, tasks=None) -> tuple[Task, ...]:
    """The tasks whose labels the columns of ``load_bursts(name, labels=labels, tasks=tasks)`` hold, in their order.

    >>> [task.name for task in corpus_tasks("emogator")]
    ['emotion', 'category']
    """
    return _corpus(name).tasks(labels, tasks)


def known_tasks(name: str, data_dir=None, labels: str | None = None) -> tuple[Task, ...]:
    """The tasks of a corpus as far as it tells them itself: a folder's sub-folders name classes, a table tells none.

    >>> [task.name for task in known_tasks("hume_vb", labels="exvo")]
    ['emotion', 'age', 'country']
    """
    corpus = _corpus(name)
    return guess_tasks(_existing_folder(corpus, data_dir)) if name == "folder" else corpus.tasks(labels, None)


def lost_in_reading(name: str, data_dir=None, **settings) -> list[Lost]:
    """What stands in a corpus's folder and not in the rows of ``load_bursts(name, data_dir, **settings)``.

    Of HUME-VB: labels of test rows that cannot all be read. Of a folder: files that are no clips of it. The rest has
    nothing to lose: what it does not expect is an error.
    """
    corpus = _corpus(name)
    given = {setting: value for setting, value in settings.items() if value is not None}
    return corpus.lost(_existing_folder(corpus, data_dir), **given) if corpus.lost else []


class Corpus(NamedTuple):
    """How a corpus is opened, and what can be said about it."""

    builder: Callable  # (folder, cache_dir, **settings) → its datasets builder
    tasks: Callable  # (labels, tasks) → the tasks that its columns hold
    takes: tuple[str, ...]  # the settings of load_bursts that it has a use for
    how_to_get: str
    lost: Callable | None = None  # (folder, **settings) → what stands there and is not read


def _corpus(name: str) -> Corpus:
    if name not in CORPORA:
        raise CorpusError(f"unknown corpus {name!r}; known: {', '.join(CORPORA)}")
    return CORPORA[name]


def _existing_folder(corpus: Corpus, data_dir) -> Path:
    if data_dir is None:
        raise CorpusError(corpus.how_to_get)
    folder = Path(data_dir).expanduser().resolve()
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder. {corpus.how_to_get}")
    if shown(str(folder)) != str(folder):
        raise CorpusError(f"{shown(str(folder))}: the folder's path is no UTF-8 text, which datasets need; rename it")
    return folder


def _hume_vb(
    folder: Path, cache_dir, audio="processed", labels="exvo", allow_shared_speakers=False
) -> datasets.DatasetBuilder:
    files = hume_vb.files_of(folder, labels, audio)
    return hume_vb.HumeVB(
        data_dir=str(folder),
        cache_dir=cache_dir,
        fingerprint=corpus_fingerprint(folder, *files),
        labels=labels,
        audio=audio,
        allow_shared_speakers=allow_shared_speakers,
    )


def _lost_in_hume_vb(folder: Path, labels="exvo", allow_shared_speakers=False, **_) -> list[Lost]:
    return join_tables(folder, label_tables(folder, labels), allow_shared_speakers).lost


def _emogator(folder: Path, cache_dir, splits=None, for_prediction=False) -> datasets.DatasetBuilder:
    splits = ALL_TEST if splits is None and for_prediction else splits
    found = emogator.find_clips(folder)
    return emogator.EmoGator(
        data_dir=str(folder),
        cache_dir=cache_dir,
        fingerprint=corpus_fingerprint(folder, [], [Path(found[0]["audio"]["path"]).parent]),
        speakers=split_speakers({clip["speaker"] for clip in found}, splits),
    )


def _folder(folder: Path, cache_dir, tasks=None, **settings) -> datasets.DatasetBuilder:
    return Folder(data_dir=str(folder), cache_dir=cache_dir, **folder_config(folder, _given(tasks), **settings))


def _given(tasks) -> tuple[Task, ...]:
    if tasks is None:
        raise CorpusError(
            "a folder does not say what its labels are: give tasks, such as load_bursts('folder', data_dir=…, "
            "tasks='exvo') or a list of burst2vec.Task"
        )
    return tasks_or_none(tasks)


def _synthetic(folder: Path, cache_dir, **settings) -> datasets.DatasetBuilder:
    return _hume_vb(folder, cache_dir)  # written in its layout, with the settings, before it is opened


def _synthetic_folder(data_dir, cache_dir, num_proc, settings: dict) -> Path:
    """The folder of the synthetic corpus, written if it is not there yet."""
    from .synthetic import VERSION, write_synthetic_corpus

    if data_dir is None:
        made_with = "-".join([f"v{VERSION}", *(f"{setting}{value}" for setting, value in settings.items())])
        data_dir = Path(cache_dir or datasets.config.HF_DATASETS_CACHE) / "burst2vec" / f"synthetic-{made_with}"
    folder = Path(data_dir).expanduser()
    if (folder / EXVO.path).is_file() and not settings:
        return folder  # whatever it was made with
    return write_synthetic_corpus(folder, num_proc=num_proc, **settings)


CORPORA = {
    "hume_vb": Corpus(
        _hume_vb,
        tasks=lambda labels, tasks: label_tasks(labels or "exvo"),
        takes=("audio", "labels", "allow_shared_speakers"),
        how_to_get="HUME-VB is handed out by its makers against a signed agreement; with its data_info.csv and wav/ "
        "(or A-VB's labels/ and audio/wav/) in a folder: load_bursts('hume_vb', data_dir='path/to/folder')",
        lost=_lost_in_hume_vb,
    ),
    "emogator": Corpus(
        _emogator,
        tasks=lambda labels, tasks: TASK_PRESETS["emogator"],
        takes=("splits", "for_prediction"),
        how_to_get="EmoGator is public: clone its repository (it is named in arXiv 2301.00508), then "
        "load_bursts('emogator', data_dir='path/to/repository')",
    ),
    "synthetic": Corpus(
        _synthetic,
        tasks=lambda labels, tasks: TASK_PRESETS["exvo"],
        takes=("clips", "speakers", "seed"),
        how_to_get="The synthetic corpus needs no folder: load_bursts('synthetic')",
    ),
    "folder": Corpus(
        _folder,
        tasks=lambda labels, tasks: _given(tasks),
        takes=("tasks", "table", "columns", "splits", "allow_shared_speakers", "for_prediction"),
        how_to_get="A corpus of your own is a folder of clips, with a metadata.csv of their labels: "
        "load_bursts('folder', data_dir='path/to/folder', tasks=…)",
        lost=lost_in_folder,
    ),
}

# What a corpus that does not take a setting says to it.
_ONLY = {
    "audio": "only hume_vb comes processed and raw; {name} has one kind of audio, leave it out",
    "labels": "only hume_vb has the labels of two challenges; {name} has one set, leave it out",
    "tasks": "only a folder of your own is told what its columns mean; {name} has its own tasks, leave it out",
    "table": "only a folder of your own is told where its labels are; {name} knows, leave it out",
    "columns": "only a folder of your own is told what its columns mean; {name} knows, leave it out",
    "splits": "{name} has its own, in its data_info.csv; leave splits out",
    "for_prediction": "{name} says itself which clips have no labels; leave it out",
    "allow_shared_speakers": "{name} has no speaker in two splits; leave it out",
    **dict.fromkeys(("clips", "speakers", "seed"), "only the synthetic corpus is made to order; {name} is what it is"),
}
