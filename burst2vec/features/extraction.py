"""The vector of every clip of a dataset, on all cores, cached by clip.

A feature set is named: one of ``FEATURE_SETS``, or ``family:argument`` with a family of ``FEATURE_FAMILIES``. Whatever
makes one vector of a clip can be tabled, openSMILE's functionals or a frozen encoder's embedding.
"""

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, List, Value

from ..command_line.shipped import recipe_names
from ..data.clips import read_clip
from ..data.processes import usable_cores
from ..errors import CorpusError
from . import functionals, spectra
from .bags import BAG_OF_AUDIO_WORDS
from .clip_store import ClipStore, clip_keys
from .deep_spectrum import DEEP_SPECTRUM, DEEP_SPECTRUM_MEL
from .embeddings import EMBEDDING
from .feature_set import FeatureFamily, FeatureSet


def _of_opensmile(standard: str, size: int) -> FeatureSet:
    return FeatureSet(
        size,
        vector=partial(functionals.functionals, standard=standard),
        names=partial(functionals.names, standard),
        made_by=partial(functionals.made_by, standard),
    )


def _of_spectra(spectrum: str, size: int, vector: Callable, names: Callable) -> FeatureSet:
    def one_by_one(waveforms):  # in this process: torch, which they compute with, may hang in one forked from it
        return np.stack([vector(waveform)[0] for waveform in waveforms])

    return FeatureSet(size, vector, names, partial(spectra.made_by, spectrum), one_by_one, batch_size=32)


FEATURE_SETS = {
    "compare": _of_opensmile(functionals.COMPARE, 6_373),
    "egemaps": _of_opensmile(functionals.EGEMAPS, 88),
    "log_mel": _of_spectra("log_mel", spectra.LOG_MEL_SIZE, spectra.log_mel_statistics, spectra.log_mel_names),
    "strf": _of_spectra("strf", spectra.STRF_SIZE, spectra.strf_statistics, spectra.strf_names),
}
FEATURE_FAMILIES: dict[str, FeatureFamily] = {
    "embedding": EMBEDDING,
    "bag_of_audio_words": BAG_OF_AUDIO_WORDS,
    "deep_spectrum": DEEP_SPECTRUM,
    "deep_spectrum_mel": DEEP_SPECTRUM_MEL,
}
CLIPS_AT_ONCE = 128  # in memory, for sets that take several: 0.5 GB where each is 60 s long


def find_feature_set(name: str, fitted: str | Path | None = None) -> FeatureSet:
    """The feature set of that name.

    Args:
        name: ``"compare"``, or of a family ``"family:argument"``.
        fitted: of a set that is fitted on training clips, the folder that ``fit_feature_set`` wrote; others ignore it.

    Raises:
        CorpusError: there is none, and lists the known; a set that is to be fitted first; what the family says of its
            argument.
    """
    if name in FEATURE_SETS:
        return FEATURE_SETS[name]
    family, argument = _family_of(name)
    if family.fitted_file is None:
        return family.find(argument)
    if fitted is None or not (Path(fitted) / family.fitted_file).is_file():
        where = "no folder is given" if fitted is None else f"{fitted} holds no {family.fitted_file}"
        raise CorpusError(
            f"{name} learns from training clips before it has values, and {where}; fit it with "
            f"fit_feature_set({name!r}, clips, folder), then give that folder as fitted"
        )
    return family.find(argument, Path(fitted))


def fit_feature_set(name: str, clips: Dataset, folder: str | Path) -> None:
    """Let a feature set learn from clips what it learns; most learn nothing, and write nothing.

    Args:
        name: as ``find_feature_set`` takes it.
        clips: of the training split alone, with ``file_id`` and ``audio`` (not decoded), of clips that can be read.
        folder: gets the family's ``fitted_file``; what is there of it is overwritten.

    Raises:
        CorpusError: an unknown name; what the family says of its argument or of the clips.
    """
    if name in FEATURE_SETS:
        return
    family, argument = _family_of(name)
    if family.fit is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        family.fit(argument, clips, Path(folder))


def folder_name(name: str) -> str:
    """What the folder of a set's tables is called; a name like a path gives no part of it away but the last.

    >>> folder_name("compare")
    'compare'
    """
    if name in FEATURE_SETS:
        return name
    family, argument = _family_of(name)
    return family.folder(argument)


def fitted_file(name: str) -> str | None:
    """The file that ``fit_feature_set`` writes; None for a set that learns nothing.

    >>> fitted_file("compare") is None
    True
    """
    return None if name in FEATURE_SETS else _family_of(name)[0].fitted_file


def refuse_unplaced(names: Sequence[str], model: str, call: Callable[[list[str]], str]) -> None:
    """Refuse feature sets that are known by the last part of their place alone, as in a saved model, and not found.

    Args:
        names: of the model's feature sets.
        model: what to call the model.
        call: names with their places → the call that says so.

    Raises:
        CorpusError: names the sets and the call.
    """
    placed = []
    for name in names:
        if name not in FEATURE_SETS:
            family, argument = _family_of(name)
            if not family.at_hand(argument):
                name = f"{name.partition(':')[0]}:FOLDER/{Path(argument).name}"
        placed.append(name)
    if lost := [name for name in names if name not in placed]:
        ends = {Path(name.partition(":")[2]).name for name in lost}
        recipes = [recipe for recipe in recipe_names() if recipe.rpartition("/")[2] in ends]
        trained = "".join(f"; to train it: burst2vec train {recipe}" for recipe in recipes)
        raise CorpusError(
            f"{model} receives vectors of {list(names)}, and {', '.join(lost)} is not found: models and recipes are "
            f"saved without places on a machine{trained}; say where it lies: {call(placed)}"
        )


def _family_of(name: str) -> tuple[FeatureFamily, str]:
    family, colon, argument = str(name).partition(":")
    if family not in FEATURE_FAMILIES or not argument:
        known = [*FEATURE_SETS, *(f"{known}:{about.argument}" for known, about in FEATURE_FAMILIES.items())]
        raise CorpusError(f"unknown feature set {name!r}; known: {', '.join(known)}")
    return FEATURE_FAMILIES[family], argument


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
    fitted: str | Path | None = None,
    cache_dir: str | Path | None = None,
) -> Dataset:
    """Compute the vector of every clip that has none yet.

    Vectors are kept by clip, a thousand at a time, and found again in whatever split or corpus the clip comes, as long
    as the feature set's version and settings, and the clip's file, its size and date, or the bytes that it carries, are
    the same. The result itself is in memory: 25 kB per clip of ``"compare"``.

    Args:
        dataset: with columns ``file_id`` and ``audio`` (not decoded), of clips that can be read: see ``check_clips``.
        feature_set: a name, such as ``"compare"`` (6,373 values) or ``"egemaps"`` (88): see ``find_feature_set``.
        num_proc: processes; by default as many as there are cores. A set that takes several clips at once runs in this
            process, which uses the cores itself.
        desc: what the progress bar says.
        keep_in_memory: compute all vectors anew, and keep none on disk.
        fitted: of a set that is fitted on training clips, the folder that ``fit_feature_set`` wrote.
        cache_dir: where vectors are kept; by default the datasets library's cache, and for a dataset that is in memory
            only nowhere, as with ``keep_in_memory``.

    Returns:
        one row per clip, in the dataset's order: ``file_id``; ``features``, float32, shape (features,), whose names are
        ``find_feature_set(feature_set).names()``; and ``note``, what was mended of the clip, or "".

    Raises:
        CorpusError: an unknown feature set; a clip that has no vector. It is named.
        AudioError, WaveformError: a clip that cannot be read; names it.
        MissingPackageError: openSMILE is not installed.
    """
    made = find_feature_set(feature_set, fitted)
    made_by = made.made_by()  # imports openSMILE here, once, rather than in every process
    features = vector_features(made.size)
    if not len(dataset):
        return Dataset(pa.Table.from_pylist([], schema=features.arrow_schema))
    clips = dataset.select_columns(["file_id", "audio"])
    made.names()  # and reads its settings
    desc = desc or f"Computing {folder_name(feature_set)}"
    if cache_dir is None and dataset.cache_files:
        cache_dir = datasets.config.HF_DATASETS_CACHE
    if keep_in_memory or cache_dir is None:
        return _compute(clips, made, num_proc, desc)
    store = ClipStore(cache_dir, folder_name(feature_set), made_by, made.size)
    vectors, notes = store.vectors_of(
        clip_keys(clips),
        lambda places: _compute(clips.select(places), made, num_proc, f"{desc}, {len(places):,} clips"),
    )
    columns = [
        pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), made.size),
        pa.array(notes, pa.string()),
    ]
    file_ids = clips.select_columns("file_id").with_format("arrow")[:]["file_id"]
    table = pa.table([file_ids, *columns], names=list(features))
    return Dataset(table.cast(features.arrow_schema))


def _compute(clips: Dataset, made: FeatureSet, num_proc: int | None, desc: str) -> Dataset:
    several = made.vectors is not None
    return clips.map(
        partial(_extract_several, made=made) if several else partial(_extract, vector=made.vector, size=made.size),
        input_columns=["file_id", "audio"],
        remove_columns=["audio"],
        batched=several,
        batch_size=CLIPS_AT_ONCE,
        features=vector_features(made.size),
        num_proc=None if several else _processes(num_proc, len(clips)),
        new_fingerprint=uuid.uuid4().hex[:16],  # found again by clip or not at all; hashing a function takes long
        keep_in_memory=True,
        desc=desc,
    )


def _extract(file_id: str, audio: dict, vector: Callable, size: int) -> dict:
    values, note = _vector(read_clip(audio, file_id), vector, size, file_id)
    return {"file_id": file_id, "features": values, "note": note}


def _vector(waveform: np.ndarray, vector: Callable, size: int, file_id: str) -> tuple[np.ndarray, str]:
    try:
        values, note = vector(waveform)
    except CorpusError as error:
        raise CorpusError(f"{file_id}: {error}") from error
    return _checked(values, size, file_id), note


def _checked(values: np.ndarray, size: int, file_id: str) -> np.ndarray:
    if values.shape != (size,):
        raise CorpusError(f"{file_id}: the feature set gave values of shape {values.shape}, not ({size},)")
    if not np.isfinite(values).all():
        raise CorpusError(f"{file_id}: the feature set gave values that are not finite numbers")
    return values


def _extract_several(file_ids: list[str], audio: list[dict], made: FeatureSet) -> dict:
    waveforms = [read_clip(each, file_id) for file_id, each in zip(file_ids, audio, strict=True)]
    values = vectors_in_batches(made, waveforms, file_ids)
    return {"file_id": file_ids, "features": values, "note": [""] * len(file_ids)}


def vectors_in_batches(made: FeatureSet, waveforms: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
    """The vectors of waveforms in memory, by a set that takes several at once.

    Clips of about the same length go together, so that little is padded.

    Args:
        made: a set with ``vectors``.
        waveforms: float32, each of shape (samples,) at 16 kHz.
        names: what to call each in an error.

    Returns:
        float32 (clips, size), in the waveforms' order.

    Raises:
        CorpusError: a clip that has no vector; names it.
    """
    by_length = np.argsort([-waveform.size for waveform in waveforms], kind="stable")  # the most memory first
    values = np.empty((len(waveforms), made.size), np.float32)
    for start in range(0, len(waveforms), made.batch_size):
        rows = by_length[start : start + made.batch_size]
        try:
            found = made.vectors([waveforms[row] for row in rows])
        except CorpusError:
            for row in rows:  # one by one: the clip at fault is named
                _vector(waveforms[row], made.vector, made.size, names[row])
            raise
        for row, each in zip(rows, found, strict=True):
            values[row] = _checked(each, made.size, names[row])
    return values


def _processes(num_proc: int | None, clips: int) -> int:
    return min(num_proc or usable_cores(), clips)
