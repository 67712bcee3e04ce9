"""Small corpora on disk, in the layouts of the real ones."""

import csv
import os
from pathlib import Path

import numpy as np
import soundfile

from burst2vec.data.hume_vb import COLUMNS

EMOGATOR = Path(os.environ.get("EMOGATOR_DIR", Path(__file__).parents[2].parent / "shared/emogator"))

ROWS = [  # three clips to train with by two speakers, one to validate with, one to test with
    ["[00001]", "Train", "A", "China", "25.5", *["0.1"] * 10],
    ["[00002]", "Train", "A", "China", "25.5", *["0.2"] * 10],
    ["[00003]", "Train", "B", "South Africa", "39.5", "1.0", *["0"] * 9],
    ["[00004]", "Val", "C", "Venezuela", "20", *["0.5"] * 10],
    ["[00005]", "Test", "", "", "", *[""] * 10],
]


def write_wav(path, samples=4_000, level=0.1, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, level * np.random.default_rng(seed).normal(size=samples), 16_000)


def write_hume_vb(folder, rows=ROWS, columns=COLUMNS, line_end="\n", encoding="utf-8", wavs=5):
    """A corpus folder; ``rows`` and ``columns`` may be wrong on purpose."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip in range(1, wavs + 1):
        write_wav(folder / "wav" / f"{clip:05d}.wav", samples=4_000 + clip, seed=clip)
    with open(folder / "data_info.csv", "w", newline="", encoding=encoding) as file:
        csv.writer(file, lineterminator=line_end).writerows([columns, *rows])
    return folder


def with_field(line, column, value, rows=ROWS):
    """``rows`` with one field changed: that of the file's ``line`` (the header is line 1) in ``column``."""
    rows = [list(row) for row in rows]
    rows[line - 2][COLUMNS.index(column)] = value
    return rows


def write_emogator(folder, speakers=3, categories=(1, 2, 16)):
    """Short MP3 files by ``speakers`` speakers, one take of each category."""
    folder.mkdir(parents=True, exist_ok=True)
    tone = 0.3 * np.sin(np.arange(9_600) / 20)
    for speaker in range(1, speakers + 1):
        for category in categories:
            soundfile.write(folder / f"{speaker:06d}-{category:02d}-1.mp3", tone, 48_000, format="MP3")
    return folder
