"""Corpora by name, each a folder on disk read into a ``DatasetDict`` of one shape, alone or mixed."""

from .loading import CORPORA, corpus_named, corpus_tasks, known_tasks, load_bursts, lost_in_reading

__all__ = ["CORPORA", "corpus_named", "corpus_tasks", "known_tasks", "load_bursts", "lost_in_reading"]
