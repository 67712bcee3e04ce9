"""Corpora by name: a folder on disk to a ``DatasetDict`` of one shape.

A corpus is a file here that ends in its record, see ``record``, and a line in ``NAMES``.
"""

from importlib import import_module

import datasets

from ...errors import CorpusError
from ...tasks import Task
from .label_tables import Lost
from .record import Corpus

NAMES = (  # of the corpora, and of their files
    "hume_vb",
    "emogator",
    "synthetic",
    "folder",
)
CORPORA: dict[str, Corpus] = {name: import_module(f".{name}", __package__).CORPUS for name in NAMES}


def load_bursts(
    name: str, data_dir=None, *, streaming: bool = False, cache_dir=None, num_proc: int | None = None, **settings
) -> datasets.DatasetDict | datasets.IterableDatasetDict:
    """Load a corpus of vocal bursts: ``file_id``, ``audio`` (not decoded), ``speaker``, and a column for each task.

    What was read is cached under a fingerprint of the tables' bytes and of each audio file's name and size, so a
    changed corpus is read anew.

    Everything that is read lies in ``data_dir``, or EmoGator's also in ``more_dirs``; these may be links. A link in one
    that leads elsewhere, such as ``wav/`` on another disk, is refused by name: mount that disk there (``mount
    --bind``), copy, or give the folder that holds all of it.

    Args:
        name: ``"hume_vb"``, ``"emogator"``, ``"folder"``: bursts of your own, or ``"synthetic"``: bursts that this
            package makes, to try everything with.
        data_dir: the corpus's folder. The synthetic corpus is written there if it is not there yet, by default in the
            datasets cache.
        streaming: read rows as they are asked for, from the same files and in the same order, and cache nothing.
        cache_dir: of the datasets library.
        num_proc: processes that write the synthetic corpus, and the cache of any. Of tables alone one is sooner done.
        settings: of the corpus: the fields of ``HumeVBSettings``, ``EmoGatorSettings``, ``SyntheticSettings`` or
            ``FolderSettings``, each in the corpus's file, which ``help(CORPORA[name].settings)`` prints.

    Returns:
        splits "train", "validation" and "test", those that there are. Regressions are in the task's unit, NaN where
        there is no label; classes are indices, -1 where there is none.

    Raises:
        CorpusError, TableError: a setting that the corpus does not take; or names the file, the line and what is
            allowed.
    """
    corpus = corpus_named(name)
    asked = corpus.asked(settings)
    if corpus.write is not None:
        data_dir = corpus.write(data_dir, asked, cache_dir, num_proc)
    builder = corpus.builder(corpus.existing_folder(data_dir), asked, cache_dir)
    if streaming:
        return builder.as_streaming_dataset()
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset()


def corpus_tasks(name: str, **settings) -> tuple[Task, ...]:
    """The tasks whose labels the columns of ``load_bursts(name, **settings)`` hold, in their order.

    >>> [task.name for task in corpus_tasks("emogator")]
    ['emotion', 'category']
    """
    corpus = corpus_named(name)
    return corpus.tasks(corpus.asked(settings))


def known_tasks(name: str, data_dir=None, **settings) -> tuple[Task, ...]:
    """The tasks of a corpus as far as it tells them itself: a folder's sub-folders name classes, a table tells none.

    >>> [task.name for task in known_tasks("hume_vb", labels="exvo")]
    ['emotion', 'age', 'country']
    """
    corpus = corpus_named(name)
    if corpus.guess_tasks is None:
        return corpus_tasks(name, **settings)
    return corpus.guess_tasks(corpus.existing_folder(data_dir))


def lost_in_reading(name: str, data_dir=None, **settings) -> list[Lost]:
    """What stands in a corpus's folder and not in the rows of ``load_bursts(name, data_dir, **settings)``.

    Of HUME-VB: labels of test rows that cannot all be read. Of a folder: files that are no clips of it. The rest has
    nothing to lose: what it does not expect is an error.
    """
    corpus = corpus_named(name)
    return [] if corpus.lost is None else corpus.lost(corpus.existing_folder(data_dir), corpus.asked(settings))


def corpus_named(name: str) -> Corpus:
    """The record of a corpus.

    Raises:
        CorpusError: no corpus of this name; says which there are.
    """
    if name not in CORPORA:
        raise CorpusError(f"unknown corpus {name!r}; known: {', '.join(CORPORA)}")
    return CORPORA[name]
