"""The bursts of long recordings: where they are and, where a model is given, what they are."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..audio.burst_regions import regions_of
from ..audio.streaming import stream_recording
from ..data.corpora.audio_files import AudioFiles
from ..errors import CLIP_FAULTS, CorpusError, RunError
from ..locks import lock_folder
from ..pipeline_burst2vec import Burst2VecPipeline
from ..tasks import prediction_columns
from ..version import __version__
from ..waveforms import SAMPLING_RATE
from .clip_sources import Source, fingerprint
from .finished_parts import Parts
from .predicting import identity_of, load_pipeline
from .prediction_tables import check_table_path, save_table

REGION_COLUMNS = ["file", "start", "end", "confidence"]


def find_bursts(
    recordings,
    model=None,
    out: str | Path | None = None,
    *,
    features: list[str] | None = None,
    overwrite: bool = False,
    **arguments,
) -> pd.DataFrame:
    """Find the bursts of recordings of any length, in memory that does not grow with them.

    Stopped or killed, the same call with the same ``out`` resumes behind the last recording that it finished.

    Without a model, a burst is whatever stands out of its background for long enough: see
    ``burst2vec.audio.find_burst_regions``, and measurements in ``benchmarks/find_bursts.py``.

    Args:
        recordings: a path, a folder, of which every audio file is one, or a list of these; or a list of whatever
            ``burst2vec.audio.stream_recording`` takes.
        model: a folder or a name on the Hub, or a ``Burst2VecPipeline``: it says what each burst is.
        out: the table to write, ``.csv``, ``.parquet`` or ``.json``; what is finished lies beside it in
            ``OUT.parts`` until then. None writes nothing.
        features: of a model that takes vectors, its feature sets with their places on this machine.
        overwrite: whether ``out`` may be there already.
        arguments: of ``burst2vec.audio.find_burst_regions``, such as ``threshold``.

    Returns:
        A row per burst: ``file``; ``start`` and ``end`` in seconds; ``confidence``, 0 to 1; the model's columns, as
        ``predict`` has them; and ``problem``, "". A recording that cannot be read has one row, whose ``problem`` says
        why, and a burst that the model cannot take has it too. A recording without bursts has none.

    Raises:
        CorpusError: no recording.
        RunError: a model that is none of burst2vec's, or one that takes vectors on their speakers' scale; an ``out``
            that is there or that others write; parts by another model, or of other recordings or arguments.
        ValueError: an argument out of its range.
    """
    folder = parts_of(out, overwrite)
    with finding(recordings, model, folder, features, **arguments) as table:
        if out is not None:
            save_table(table, Path(out))
    return table


def parts_of(out: str | Path | None, overwrite: bool = False) -> Path | None:
    """The folder of what is finished of a table, which may be there from a call that was killed; None of no table.

    Raises:
        RunError: a path that no table can be written to.
    """
    if out is None:
        return None
    folder = Path(f"{out}.parts")
    check_table_path(out, overwrite or folder.is_dir())
    return folder


@contextmanager
def finding(
    recordings, model, folder: Path | None, features: list[str] | None = None, **arguments
) -> Iterator[pd.DataFrame]:
    """The table of :func:`find_bursts`, whose finished recordings lie in ``folder`` until the ``with`` block ends well.

    So a caller that is killed while it writes what it makes of the table finds it again.
    """
    analyse = model if model is None or isinstance(model, Burst2VecPipeline) else load_pipeline(model)
    if analyse is not None and analyse.feature_extractor.normalise_per_speaker:
        raise RunError(
            "this model takes vectors on their speakers' scale, and who is in a recording is not known; give another"
        )
    regions_of([], **arguments)  # arguments out of range are refused before a recording is read
    named = list(named_recordings(recordings))
    with nullcontext() if folder is None else lock_folder(folder):
        heading = {} if folder is None else _heading(named, analyse, {"features": features, **arguments})
        parts = Parts(folder, heading, len(named), recordings=True)
        for number in parts.missing():
            parts.add(number, _table(_rows_of(*named[number], analyse, features, arguments), analyse))
        yield parts.whole()
        parts.remove()


def _heading(named: list, analyse: Burst2VecPipeline | None, settings: dict) -> dict:
    return {
        "model": None if analyse is None else identity_of(analyse),
        "recordings": fingerprint([Source(name, recording) for name, recording in named]),
        "setting": {**settings, "burst2vec": __version__},
    }


def _rows_of(name: str, recording, analyse, features: list[str] | None, arguments: dict) -> list[dict]:
    """The rows of one recording."""
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
            return [{"file": name, "problem": str(fault).removeprefix(f"{name}: ")}]
    return [_row(name, each, analyse) for each in found]


def _table(rows: list[dict], analyse: Burst2VecPipeline | None) -> pd.DataFrame:
    """Rows as a table whose columns have the same types whatever the rows."""
    numbers, texts = [*REGION_COLUMNS[1:]], ["file", "problem"]
    for task in () if analyse is None else analyse.model.config.task_records:
        numbers += prediction_columns(task)
        texts += [task.name] if task.kind == "classification" else []
    columns = [*REGION_COLUMNS, *(columns_of(analyse) if analyse is not None else []), "problem"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({**dict.fromkeys(numbers, "float64"), **dict.fromkeys(texts, "object")})


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
