"""The vector of every clip of a dataset, on all cores, cached by ``datasets``.

A feature set is a ``FeatureSet`` and a line in ``FEATURE_SETS``: a function from a waveform to a vector, and what tells
its vectors from another's. Whatever has these can be tabled, openSMILE's functionals or a frozen encoder's embedding.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, List, Value
from datasets.fingerprint import Hasher

from ..clips import file_states, read_clip
from ..corpora import CorpusError
from ..processes import usable_cores
from . import functionals


class FeatureSet(NamedTuple):
    """What makes one vector of a clip."""

    size: int
    vector: Callable[[np.ndarray], tuple[np.ndarray, str]]  # waveform at 16 kHz → float32 (size,), and what was mended
    names: Callable[[], tuple[str, ...]]
    made_by: Callable[[], dict]  # JSON: versions and settings; vectors made by others are never mixed with these


def _of_opensmile(standard: str, size: int) -> FeatureSet:
    return FeatureSet(
        size,
        vector=partial(functionals.functionals, standard=standard),
        names=partial(functionals.names, standard),
        made_by=partial(functionals.made_by, standard),
    )


FEATURE_SETS = {
    "compare": _of_opensmile(functionals.COMPARE, 6_373),
    "egemaps": _of_opensmile(functionals.EGEMAPS, 88),
}


def find_feature_set(name: str) -> FeatureSet:
    """The feature set of that name.

    Raises:
        CorpusError: there is none; lists the names.
    """
    if name not in FEATURE_SETS:
        raise CorpusError(f"unknown feature set {name!r}; known: {', '.join(FEATURE_SETS)}")
    return FEATURE_SETS[name]


def vector_features(size: int) -> Features:
    """The columns of a table of vectors: ``note`` says what was mended of the clip, "" where nothing was.

    >>> list(vector_features(88))
    ['file_id', 'features', 'note']
    """
    return Features(
        {"file_id": Value("string"), "features": List(Value("float32"), length=size), "note": Value("string")}
    )


def extract_features(
    dataset: Dataset,
    feature_set: str,
    num_proc: int | None = None,
    desc: str | None = None,
    keep_in_memory: bool = False,
) -> Dataset:
    """Compute the vector of every clip.

    The vectors are cached beside the dataset, and found again, whatever ``num_proc``, as long as the dataset, the
    feature set's version, and each audio file's size and date are the same. A dataset that is in memory only has no
    such place: its vectors are in memory too, and computed anew.

    Args:
        dataset: with columns ``file_id`` and ``audio`` (not decoded), of clips that can be read: see ``check_clips``.
        feature_set: a name in ``FEATURE_SETS``: ``"compare"`` (6,373 values) or ``"egemaps"`` (88).
        num_proc: processes; by default as many as there are cores.
        desc: what the progress bar says.
        keep_in_memory: the vectors, rather than in the cache; 25 kB a clip of ``"compare"``.

    Returns:
        one row a clip, in the dataset's order: ``file_id``; ``features``, float32, shape (features,), whose names are
        ``FEATURE_SETS[feature_set].names()``; and ``note``, what was mended of the clip, or "".

    Raises:
        CorpusError: an unknown feature set; a clip that has no vector. It is named.
        AudioError, WaveformError: a clip that cannot be read; names it.
        ImportError: openSMILE is not installed.
    """
    made = find_feature_set(feature_set)
    made_by = made.made_by()  # imports openSMILE here, once, rather than in every process
    features = vector_features(made.size)
    if not len(dataset):
        return Dataset(pa.Table.from_pylist([], schema=features.arrow_schema))
    clips = dataset.select_columns(["file_id", "audio"])
    made.names()  # and reads its settings
    return clips.map(
        _extract,
        input_columns=["file_id", "audio"],
        remove_columns=["audio"],
        fn_kwargs={"feature_set": feature_set},
        features=features,
        num_proc=_processes(num_proc, len(clips)),
        new_fingerprint=Hasher.hash([clips._fingerprint, "extract_features", made_by, file_states(clips)]),
        keep_in_memory=keep_in_memory,
        desc=desc or f"Computing {feature_set}",
    )


def _extract(file_id: str, audio: dict, feature_set: str) -> dict:
    made = FEATURE_SETS[feature_set]
    waveform = read_clip(audio, file_id)
    try:
        vector, note = made.vector(waveform)
    except CorpusError as error:
        raise CorpusError(f"{file_id}: {error}") from error
    if vector.shape != (made.size,):
        raise CorpusError(f"{file_id}: {feature_set} gave a vector of shape {vector.shape}, not ({made.size},)")
    return {"file_id": file_id, "features": vector, "note": note}


def _processes(num_proc: int | None, clips: int) -> int:
    return min(num_proc or usable_cores(), clips)
