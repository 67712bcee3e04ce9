"""Corpora by name, each a folder on disk read into a ``DatasetDict`` of one shape, alone or mixed."""

from .loading import CORPORA, corpus_tasks, known_tasks, load_bursts, lost_in_reading
from .tables import CorpusError, TableError

__all__ = ["CORPORA", "CorpusError", "TableError", "corpus_tasks", "known_tasks", "load_bursts", "lost_in_reading"]
