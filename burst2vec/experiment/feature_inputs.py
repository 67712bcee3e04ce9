"""The input of models that take vectors: feature sets read from tables, or computed from the clips."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
from datasets import Dataset

from ..data.clips import BadClip
from ..data.corpora.inside import refuse_links_out
from ..data.vectors import normalise_per_speaker, vectors_of, with_vectors
from ..errors import RunError
from ..features import (
    FeatureTables,
    extract_features,
    fit_feature_set,
    fitted_file,
    folder_name,
    look_up,
    public_name,
    read_challenge_features,
    read_features,
)
from ..files import write_whole
from .inputs import Clips
from .sections import DataArguments

logger = logging.getLogger(__name__)

FITTED = "features"  # in a model's folder: what its feature sets have learnt, a folder for each

# What the challenge called its sets, in its folder feats.
CHALLENGE_FOLDERS = {"compare": "ComParE", "egemaps": "eGeMAPS", "deep_spectrum": "DeepSpectrum"}


def feature_inputs(
    clips: Mapping[str, Clips],
    features: Sequence[str],
    arguments: DataArguments,
    output_dir: Path,
    model_path: str | None = None,
) -> dict[str, Clips]:
    """The clips as vectors of one or several feature sets, one set's values after the other's.

    They are looked up by name in ``features_dir``, or computed and cached, each clip once whatever the splits. A set
    that learns from training clips has learnt where the tables lie or in the saved model, or learns now; what it learnt
    goes into the run's folder, for the pipeline.

    Args:
        clips: by split, readable and preprocessed; where vectors are read from tables, their sound is not needed.
        features: names of feature sets.
        arguments: what to read, and whether vectors are normalised per speaker.
        output_dir: of the run.
        model_path: of the saved model that the run starts from, if any.

    Raises:
        CorpusError: tables without more than half of the clips, or without one where ``on_bad_clip`` is ``"raise"``;
            tables that cannot be read; an unknown feature set.
        RunError: no tables of a set in ``features_dir``; a clip without a speaker, where vectors are normalised per
            speaker; a set that needs training clips or a package that are not there.
    """
    if arguments.normalise_per_speaker:  # before what takes long
        for split, of_split in clips.items():
            _speakers(of_split.dataset, split)
    tables = {}
    if arguments.features_dir is not None:
        tables = {name: _tables(name, arguments, output_dir) for name in features}
        clips = {split: _those_with_vectors(of_split, split, tables, arguments) for split, of_split in clips.items()}
    found = {split: [] for split in clips}
    for name in features:
        of_set = _look_up(*tables[name], clips) if tables else _compute(name, clips, arguments, output_dir, model_path)
        for split, vectors in of_set.items():
            found[split].append(vectors)
    inputs = {}
    for split, parts in found.items():
        vectors = np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
        if arguments.normalise_per_speaker:
            vectors = normalise_per_speaker(vectors, _speakers(clips[split].dataset, split))
        inputs[split] = replace(clips[split], dataset=with_vectors(clips[split].dataset, vectors))
    return inputs


def _tables(name: str, arguments: DataArguments, output_dir: Path) -> tuple[FeatureTables, Path]:
    folder = tables_folder(arguments.features_dir, name)
    own = (folder / "features.json").is_file()
    tables = read_features(folder, arguments.cache_dir) if own else read_challenge_features(folder)
    if (file := fitted_file(name)) is not None:
        refuse_links_out(folder / file, folder)
    _keep_fitted(name, folder, output_dir)
    return tables, folder


def _those_with_vectors(clips: Clips, split: str, tables: dict, arguments: DataArguments) -> Clips:
    """The clips that all tables have; the others could not be read when these were made, and are skipped and counted.

    Where clips may not be skipped, or more than half are missing, nothing changes: the look-up names a missing one.
    """
    missing: dict[int, BadClip] = {}
    file_ids = clips.dataset["file_id"][:]
    for of_set, folder in tables.values():
        known = {file_id for rows in of_set.splits.values() for file_id in rows["file_id"][:]}
        for row, file_id in enumerate(file_ids):
            if file_id not in known:
                missing.setdefault(row, BadClip(file_id, f"{file_id}: {folder} holds no vector of it"))
    if not missing or arguments.on_bad_clip == "raise" or 2 * len(missing) > len(file_ids):
        return clips
    first = next(iter(missing.values())).reason
    logger.warning("%s: %d of %d clips have no vector and are skipped: %s", split, len(missing), len(file_ids), first)
    kept = [row for row in range(len(file_ids)) if row not in missing]
    return Clips(clips.dataset.select(kept), [*clips.skipped, *missing.values()])


def _look_up(tables: FeatureTables, folder: Path, clips: Mapping[str, Clips]) -> dict[str, np.ndarray]:
    return {split: look_up(tables, split, of_split.dataset["file_id"][:], folder) for split, of_split in clips.items()}


def _compute(name: str, clips: Mapping[str, Clips], arguments: DataArguments, output_dir, model_path) -> dict:
    fitted = _fitted(name, clips, output_dir, model_path)
    try:
        tables = {
            split: extract_features(
                of_split.dataset,
                name,
                arguments.preprocessing_num_workers,
                f"Computing {public_name(name)}, {split}",
                fitted=fitted,
                cache_dir=arguments.cache_dir or datasets.config.HF_DATASETS_CACHE,
            )
            for split, of_split in clips.items()
        }
    except ImportError as error:
        raise RunError(str(error)) from error
    return {split: vectors_of(of_split, "features") for split, of_split in tables.items()}


def tables_folder(features_dir: str | Path, name: str) -> Path:
    """The folder of a set's tables in ``features_dir``: under its own name, or under the challenge's.

    Raises:
        RunError: there is none; names the folders that were looked for.
        CorpusError: behind a link that leads out of ``features_dir``.
    """
    above = Path(features_dir).expanduser()
    family, _, argument = name.partition(":")
    called = [CHALLENGE_FOLDERS.get(family, family)]
    if family == "bag_of_audio_words":
        called.append(f"openXBOW/{argument}")
    for folder in (above / name for name in called):
        if folder.is_dir():
            return refuse_links_out(folder, above)
    called.append(folder_name(name))  # last, because it may read a checkpoint, which the challenge's tables do without
    if (above / called[-1]).is_dir():
        return refuse_links_out(above / called[-1], above)
    there = sorted(path.name for path in above.iterdir() if path.is_dir()) if above.is_dir() else []
    wanted = " or ".join(dict.fromkeys(called))
    raise RunError(
        f"features_dir {above}: holds no folder {wanted} with the vectors of {name}; it has folders {there}. Write it "
        f"with examples/extract_features.py --features {name} --out {above}, or leave features_dir out to compute "
        "vectors in the run"
    )


def _fitted(name: str, clips: Mapping[str, Clips], output_dir: Path, model_path: str | None) -> Path | None:
    """The folder of what a set has learnt, in the run's folder; None for a set that learns nothing."""
    if (file := fitted_file(name)) is None:
        return None
    own = Path(output_dir, FITTED, folder_name(name))
    if not (own / file).is_file():
        if model_path is not None:
            _keep_fitted(name, Path(model_path, FITTED, folder_name(name)), output_dir)
        elif "train" in clips:
            fit_feature_set(name, clips["train"].dataset, own)
    if not (own / file).is_file():
        raise RunError(f"{name} learns from training clips, and {model_path or 'this run'} holds no {file} of it")
    return own


def _keep_fitted(name: str, folder: Path, output_dir: Path) -> None:
    """Copy what a set has learnt into the run's folder, whole or not at all."""
    file = fitted_file(name)
    if file is not None and (folder / file).is_file():
        own = Path(output_dir, FITTED, folder_name(name))
        own.mkdir(parents=True, exist_ok=True)
        write_whole(own / file, (folder / file).read_bytes())


def _speakers(dataset: Dataset, split: str) -> list[str]:
    speakers = dataset["speaker"][:] if "speaker" in dataset.column_names else [None] * len(dataset)
    unknown = [file_id for file_id, speaker in zip(dataset["file_id"][:], speakers, strict=True) if not speaker]
    if unknown:
        raise RunError(
            f"normalise_per_speaker needs each clip's speaker, and {len(unknown):,} clips of {split} have none, the "
            f"first is {unknown[0]!r}; say who speaks, in the table's column of speakers, or train a model without it"
        )
    return speakers
