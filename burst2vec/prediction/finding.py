"""The bursts of long recordings: where they are and, where a model is given, what they are."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..audio.burst_regions import regions_of
from ..audio.streaming import stream_recording
from ..data.corpora.audio_files import AudioFiles
from ..errors import CLIP_FAULTS, CorpusError, RunError
from ..pipeline_burst2vec import Burst2VecPipeline
from ..tasks import prediction_columns
from ..waveforms import SAMPLING_RATE
from .predicting import load_pipeline

REGION_COLUMNS = ["file", "start", "end", "confidence"]


def find_bursts(recordings, model=None, *, features: list[str] | None = None, **arguments) -> pd.DataFrame:
    """Find the bursts of recordings of any length, in memory that does not grow with them.

    Without a model, a burst is whatever stands out of its background for long enough: see
    ``burst2vec.audio.find_burst_regions``, and measurements in ``benchmarks/find_bursts.py``.

    Args:
        recordings: a path, a folder, of which every audio file is one, or a list of these; or a list of whatever
            ``burst2vec.audio.stream_recording`` takes.
        model: a folder or a name on the Hub, or a ``Burst2VecPipeline``: it says what each burst is.
        features: of a model that takes vectors, its feature sets with their places on this machine.
        arguments: of ``burst2vec.audio.find_burst_regions``, such as ``threshold``.

    Returns:
        A row per burst: ``file``; ``start`` and ``end`` in seconds; ``confidence``, 0 to 1; the model's columns, as
        ``predict`` has them; and ``problem``, "". A recording that cannot be read has one row, whose ``problem`` says
        why, and a burst that the model cannot take has it too. A recording without bursts has none.

    Raises:
        CorpusError: no recording.
        RunError: a model that is none of burst2vec's, or one that takes vectors on their speakers' scale.
        ValueError: an argument out of its range.
    """
    analyse = model if model is None or isinstance(model, Burst2VecPipeline) else load_pipeline(model)
    if analyse is not None and analyse.feature_extractor.normalise_per_speaker:
        raise RunError(
            "this model takes vectors on their speakers' scale, and who is in a recording is not known; give another"
        )
    regions_of([], **arguments)  # arguments out of range are refused before a recording is read
    rows = []
    for name, recording in named_recordings(recordings):
        with tqdm(desc=Path(name).name, unit="s", unit_scale=True) as bar:
            try:
                if analyse is None:
                    blocks = _watched(bar)(stream_recording(recording, name=name))
                    found = [asdict(each) for each in regions_of(blocks, **arguments)]
                else:
                    found = analyse.bursts_of(
                        recording, name, arguments, watch=_watched(bar), on_error="nan", features=features
                    )
            except CLIP_FAULTS as fault:
                rows.append({"file": name, "problem": str(fault).removeprefix(f"{name}: ")})
                continue
        rows += [_row(name, each, analyse) for each in found]
    columns = [*REGION_COLUMNS, *(columns_of(analyse) if analyse is not None else []), "problem"]
    return pd.DataFrame(rows, columns=columns)


def columns_of(analyse: Burst2VecPipeline) -> list[str]:
    """The columns of what a model says of a burst, as ``predict`` has them."""
    columns = []
    for task in analyse.model.config.task_records:
        columns += [task.name] if task.kind == "classification" else []
        columns += prediction_columns(task)
    return columns


def _row(name: str, burst: dict, analyse: Burst2VecPipeline | None) -> dict:
    row = {"file": name, **{key: burst[key] for key in REGION_COLUMNS[1:]}, "problem": burst.get("error", "")}
    for task in () if analyse is None else analyse.model.config.task_records:
        said = burst[task.name]
        if task.kind == "classification":
            row[task.name], said = said["label"], said["probabilities"]
        values = [said[label] for label in task.labels] if isinstance(said, dict) else [said]
        row |= dict(zip(prediction_columns(task), values, strict=True))
    return row


def named_recordings(recordings) -> Iterator[tuple[str, object]]:
    """Each recording with the name that its bursts have in the table."""
    alone = not isinstance(recordings, (list, tuple))
    recordings = [recordings] if alone else recordings
    if not len(recordings):
        raise CorpusError("there are no recordings: the list is empty")
    for place, recording in enumerate(recordings):
        if not isinstance(recording, (str, os.PathLike)):
            path = recording.get("path") if isinstance(recording, dict) else None
            yield path or f"recording {place}", recording
        elif Path(recording).is_dir():
            files = AudioFiles(recording)
            if not files.sizes:
                raise CorpusError(f"{recording}: holds no audio file; {len(files.others):,} other files are there")
            yield from ((os.fspath(Path(recording, name)), files.folder / name) for name in files.sizes)
        else:
            yield os.fspath(recording), recording


def _watched(bar: tqdm) -> Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]:
    """Blocks → the same blocks, whose seconds move a bar; how long a recording is, is not known before it is read."""

    def watch(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for block in blocks:
            bar.update(round(block.size / SAMPLING_RATE, 2))
            yield block

    return watch
