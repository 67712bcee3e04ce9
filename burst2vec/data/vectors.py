"""Clips as vectors: a column of a corpus, and their normalisation per speaker."""

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from datasets import Dataset, List, Value

from ..errors import CorpusError
from .corpora.splits import speaker_key

logger = logging.getLogger(__name__)

VECTOR = "vector"


def has_vectors(corpus) -> bool:
    """Whether a corpus holds a vector of each clip, as ``with_vectors`` puts it there."""
    return VECTOR in getattr(corpus, "column_names", ())


def with_vectors(corpus: Dataset, vectors: np.ndarray) -> Dataset:
    """The corpus with a column ``vector`` instead of ``audio``; the vectors stay where they are in memory.

    Args:
        corpus: with ``file_id``, labels and the rest.
        vectors: float32 (clips, features), in the corpus's order.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if len(vectors) != len(corpus):
        raise CorpusError(f"{len(vectors)} vectors for {len(corpus)} clips")
    if "audio" in corpus.column_names:
        corpus = corpus.remove_columns("audio")
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return corpus.add_column(VECTOR, column, feature=List(Value("float32"), length=vectors.shape[1]))


def vectors_of(corpus: Dataset, column: str = VECTOR) -> np.ndarray:
    """A column of vectors as one array, float32 (clips, features); not copied where it lies in one piece.

    Raises:
        CorpusError: vectors of several lengths, or with a value missing.
    """
    pieces = []
    for chunk in corpus.select_columns(column).with_format("arrow")[:][column].chunks:
        values = chunk.flatten()
        width, rest = divmod(len(values), max(1, len(chunk)))
        lengths = chunk.value_lengths() if hasattr(chunk, "value_lengths") else None
        if rest or chunk.null_count or values.null_count or (lengths is not None and len(lengths.unique()) > 1):
            raise CorpusError(f"column {column!r}: every clip needs a vector of the same length, with no value missing")
        pieces.append(values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False).reshape(len(chunk), width))
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def normalise_per_speaker(vectors: np.ndarray, speakers: Sequence[str]) -> np.ndarray:
    """Each speaker's vectors, centred and scaled by that speaker's own mean and standard deviation, which divides by N.

    No label is used, but it is transductive: it takes all clips of a speaker at once, and one clip alone has no such
    statistics. A feature that is constant over a speaker's clips is centred, not scaled: it becomes 0. So a speaker of
    one clip gets zeros throughout, the average burst; such speakers are counted in a warning.

    Args:
        vectors: float32 (clips, features).
        speakers: one name a clip; spellings that the corpora take for one speaker's are one.

    Returns:
        float32 (clips, features).

    >>> normalise_per_speaker(np.array([[1.0, 7.0], [3.0, 7.0], [5.0, 9.0]], "f"), ["A", "A", "B"]).tolist()
    [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]
    """
    _, speaker_of = np.unique([speaker_key(speaker) for speaker in speakers], return_inverse=True)
    counts = np.bincount(speaker_of)
    if alone := int((counts == 1).sum()):
        logger.warning("%d of %d speakers have one clip: its vector becomes zeros", alone, len(counts))
    normalised = np.empty_like(vectors)
    for rows in np.split(np.argsort(speaker_of, kind="stable"), np.cumsum(counts)[:-1]):
        own = vectors[rows].astype(np.float64)
        centred = own - own.mean(axis=0)
        variance = np.square(centred).mean(axis=0)
        varies = variance > 1e-12 * np.square(own).mean(axis=0)  # more than float64 leaves of a constant
        normalised[rows] = np.where(varies, centred / np.sqrt(np.where(varies, variance, 1.0)), 0.0)
    return normalised
