"""Splits in memory, of which a test says what is not as it usually is."""

import io

import numpy as np
import soundfile
from datasets import Dataset

from burst2vec import Task

TASKS = (
    Task("emotion", kind="regression", labels=("Awe", "Fear", "Joy")),
    Task("age", kind="regression", labels=("age",), unit="years", span=(15, 45), loss="mae", metric="mae"),
    Task("country", kind="classification", labels=("China", "Venezuela"), loss="cross_entropy", metric="uar"),
)
NAN = float("nan")


def wav(seed=0, samples=1_600, level=0.1):
    file = io.BytesIO()
    sound = level * np.random.default_rng(seed).standard_normal(samples)
    soundfile.write(file, sound.clip(-1, 1), 16_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


def split(*clips, **left_out):
    """A split in memory; a clip is a dictionary of what is not as it usually is."""
    rows = []
    for number, clip in enumerate(clips):
        row = {"file_id": f"clip{number}", "sound": wav(clip.get("seed", 100 + number)), "speaker": f"S{number}"}
        row |= {
            "emotion": [0.1 * number, 0.5 + 0.05 * number, 1.0 - 0.1 * number],
            "age": 20.0 + number,
            "country": number % 2,
            **clip,
        }
        row["audio"] = {"bytes": row.pop("sound"), "path": None}
        row.pop("seed", None)
        rows.append(row)
    dataset = Dataset.from_list(rows)
    return dataset.remove_columns([name for name in left_out if left_out[name]])


def sentences(check):
    return [f"{remark.severity}: {remark.text}" for remark in check.remarks]


def constant(level, samples=1_600):
    file = io.BytesIO()
    soundfile.write(file, np.full(samples, level), 16_000, format="WAV", subtype="FLOAT")
    return file.getvalue()
