"""A corpus as arrays, one row per clip, and what can be counted of them: nothing grows by more than its numbers."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from ...tasks import Task
from ...waveforms import SAMPLING_RATE

# A square wave at full scale has 0 dBFS, and no recorder leaves more; lossy codecs and gains add little to a burst's.
LOUDEST_DBFS = 3.0


def clip_table(corpus: dict[str, Dataset], findings: pa.Table) -> pd.DataFrame:
    """One row per clip, all splits in their order.

    Args:
        corpus: splits with a column ``speaker``, or without.
        findings: of ``examine_clips``, of all splits in their order.

    Returns:
        ``split`` and ``speaker``, categories, ``speaker`` missing where nobody is named; ``readable``, ``silent``,
        ``doubtful`` (its header contradicts itself), bool; ``seconds``; ``level_dbfs``, of the root mean square, NaN
        for a clip of zeros; ``peak``, ``clipped``, ``silent_ratio``. A clip that is unreadable, or was not examined,
        has NaN for all that is measured.
    """
    examined = findings["samples"].to_numpy() > 0
    readable = pc.equal(findings["problem"], "").to_numpy()
    split = np.repeat(np.arange(len(corpus)), [len(dataset) for dataset in corpus.values()])
    rms = findings["rms"].to_numpy()
    measured = {
        "seconds": findings["samples"].to_numpy() / SAMPLING_RATE,
        "level_dbfs": 20 * np.log10(rms, where=rms > 0, out=np.full(len(rms), np.nan)),
        **{name: findings[name].to_numpy() for name in ("peak", "clipped", "silent_ratio")},
    }
    return pd.DataFrame(
        {
            "split": pd.Categorical.from_codes(split, list(corpus)),
            "speaker": _speakers(corpus),
            "readable": readable,
            "silent": findings["silent"].to_numpy(),
            "doubtful": pc.not_equal(findings["doubt"], "").to_numpy(),
            **{name: np.where(examined, column, np.nan) for name, column in measured.items()},
        }
    )


def _speakers(corpus: dict[str, Dataset]) -> pd.Series:
    columns = [
        column_of(dataset, "speaker") if "speaker" in dataset.column_names else pa.nulls(len(dataset))
        for dataset in corpus.values()
    ]
    parts = [column.cast(pa.string()) for column in columns]
    chunks = [chunk for part in parts for chunk in (part.chunks if isinstance(part, pa.ChunkedArray) else [part])]
    # Codes, and each name once: not a Python text for each clip.
    names = pa.concat_arrays(chunks).dictionary_encode().to_pandas()
    return names.cat.remove_categories([name for name in names.cat.categories if not name.strip()])


def column_of(dataset: Dataset, name: str) -> pa.ChunkedArray:
    """A column as Arrow holds it: on disk, where the dataset is."""
    return dataset.select_columns(name).with_format("arrow")[:][name]


def labels_of(dataset: Dataset, task: Task) -> np.ndarray:
    """The labels of a task, all missing where the dataset has no such column.

    Returns:
        a regression's float32, shape (clips, labels), NaN where missing; a classification's integers, shape (clips,),
        -1 where missing.
    """
    there = task.name in dataset.column_names
    if task.kind == "classification":
        if not there:
            return np.full(len(dataset), -1)
        return pc.fill_null(column_of(dataset, task.name), -1).to_numpy()
    values = np.full((len(dataset), len(task.labels)), np.nan, dtype=np.float32)
    if there:
        column = column_of(dataset, task.name).combine_chunks()
        given = column.is_valid().to_numpy(zero_copy_only=False)
        flat = column.drop_null() if len(task.labels) == 1 else column.flatten()  # flatten leaves out what is null
        values[given] = flat.to_numpy(zero_copy_only=False).reshape(-1, len(task.labels))
    return values


def split_facts(clips: pd.DataFrame, labels: dict[str, np.ndarray], tasks: tuple[Task, ...]) -> dict:
    """What can be counted of some rows of ``clip_table``, ready for JSON: None where nothing defines it.

    Returns:
        ``clips``, ``duration`` and ``duration_seconds`` of what can be read, ``speakers``, ``unnamed`` (clips without
        a speaker's name), ``unreadable``, ``silent``, ``clipped`` (clips with a sample at full scale), ``too_loud``
        (clips of more than ``LOUDEST_DBFS``), ``doubtful`` (clips whose header contradicts itself), ``seconds`` (min,
        median, mean, max), ``level_dbfs`` (5 %, median, 95 %), and ``labels``: of a regression min, mean, max and
        missing of each label; of a classification clips and speakers of each class, and missing.
    """
    seconds = clips["seconds"].dropna().to_numpy(dtype=np.float64)
    levels = clips["level_dbfs"].dropna().to_numpy(dtype=np.float64)
    levels = np.percentile(levels, [5, 50, 95]).tolist() if len(levels) else None
    return {
        "clips": len(clips),
        "duration": hours_minutes_seconds(seconds.sum()),
        "duration_seconds": float(seconds.sum()),
        "speakers": int(clips["speaker"].nunique()),
        "unnamed": int(clips["speaker"].isna().sum()),
        "unreadable": int((~clips["readable"]).sum()),
        "silent": int(clips["silent"].sum()),
        "clipped": int((clips["clipped"] > 0).sum()),
        "too_loud": int((clips["level_dbfs"] > LOUDEST_DBFS).sum()),
        "doubtful": int(clips["doubtful"].sum()),
        "seconds": _with_median(seconds) if len(seconds) else None,
        "level_dbfs": levels and dict(zip(("5 %", "median", "95 %"), levels, strict=True)),
        "labels": {task.name: _label_facts(task, labels[task.name], clips["speaker"]) for task in tasks},
    }


def _label_facts(task: Task, values: np.ndarray, speaker: pd.Series) -> dict:
    if task.kind == "regression":
        return {label: _range_of(column) for label, column in zip(task.labels, values.T, strict=True)}
    speakers = speaker.cat.codes.to_numpy()
    classes = {}
    for place, label in enumerate(task.labels):
        here = values == place
        named = np.unique(speakers[here & (speakers >= 0)])
        classes[label] = {"clips": int(here.sum()), "speakers": len(named)}
    return {"classes": classes, "missing": int((values < 0).sum())}


def _range_of(values: np.ndarray) -> dict:
    known = values[np.isfinite(values)].astype(np.float64)
    missing = {"missing": len(values) - len(known)}
    if not len(known):
        return {"min": None, "mean": None, "max": None, **missing}
    return {"min": float(known.min()), "mean": float(known.mean()), "max": float(known.max()), **missing}


def _with_median(values: np.ndarray) -> dict:
    found = {"min": values.min(), "median": np.median(values), "mean": values.mean(), "max": values.max()}
    return {name: float(value) for name, value in found.items()}


def hours_minutes_seconds(seconds: float) -> str:
    """A duration as HH:MM:SS, to the nearest second.

    >>> hours_minutes_seconds(7_384.6)
    '02:03:05'
    """
    seconds = round(seconds)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
