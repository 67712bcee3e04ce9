"""A folder of short clips with a table of three tasks, for the tests of a corpus of one's own."""

import csv

from burst2vec import Task, load_bursts
from tests.data.corpora_on_disk import write_wav

MOOD = Task("mood", "regression", ("Awe", "Fear"))
AGE = Task("age", "regression", ("age",), unit="years", span=(0, 100), loss="mae", metric="mae")
CALL = Task("call", "classification", ("laugh", "cry"), loss="cross_entropy", metric="uar")
TASKS = (MOOD, AGE, CALL)

HEADER = ["file", "speaker", "split", "Awe", "Fear", "age", "call"]
ROWS = [
    ["a.wav", "A", "train", "0.1", "1", "30", "laugh"],
    ["b.wav", "A", "train", "", "0.5", "", ""],
    ["c.wav", "B", "validation", "", "", "41.5", "cry"],
]


def write_folder(folder, rows=ROWS, header=HEADER, files=("a.wav", "b.wav", "c.wav"), table="metadata.csv"):
    """A folder with a table and short clips, each of another length."""
    for seed, file in enumerate(files):
        write_wav(folder / file, samples=2_000 + seed, seed=seed)
    with open(folder / table, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return folder


def with_field(column, value, line=2, rows=ROWS):
    rows = [list(row) for row in rows]
    rows[line - 2][HEADER.index(column)] = value
    return rows


def load(folder, tasks=TASKS, **settings):
    return load_bursts("folder", folder, tasks=tasks, cache_dir=folder.parent / "cache", **settings)


def ids(splits):
    return {split: [row["file_id"] for row in rows] for split, rows in splits.items()}
