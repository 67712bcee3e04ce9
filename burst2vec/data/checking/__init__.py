"""What is in a corpus and what is wrong with it, before anything learns from it; as tables, pictures and a report."""

from .check import CorpusCheck, check_corpus

__all__ = ["CorpusCheck", "check_corpus"]
