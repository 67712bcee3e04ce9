"""Steps of ``burst2vec.audio`` over many clips: a folder into another, or a corpus into datasets' cache."""

from .corpus import preprocess_corpus
from .folders import FAILURES, Failure, Preprocessed, preprocess_folder

__all__ = ["FAILURES", "Failure", "Preprocessed", "preprocess_corpus", "preprocess_folder"]
