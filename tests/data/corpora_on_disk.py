"""Small corpora on disk, in the layouts of the real ones."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from burst2vec.data.corpora.hume_vb import COLUMNS
from burst2vec.tasks import AVB_CULTURES, EXVO_EMOTIONS

EMOGATOR = Path(os.environ.get("EMOGATOR_DIR", Path(__file__).parents[2].parent / "shared/emogator"))

ROWS = [  # three clips to train with by two speakers, one to validate with, one to test with
    ["[00001]", "Train", "A", "China", "25.5", *["0.1"] * 10],
    ["[00002]", "Train", "A", "China", "25.5", *["0.2"] * 10],
    ["[00003]", "Train", "B", "South Africa", "39.5", "1.0", *["0"] * 9],
    ["[00004]", "Val", "C", "Venezuela", "20", *["0.5"] * 10],
    ["[00005]", "Test", "", "", "", *[""] * 10],
]


AVB_ROWS = {  # of the same clips; type lists them in another order
    "high": [
        ["[00001]", "Train", *["0.1"] * 10],
        ["[00002]", "Train", *["0.2"] * 10],
        ["[00003]", "Train", "1.0", *["0"] * 9],
        ["[00004]", "Val", *["0.5"] * 10],
        ["[00005]", "Test", *[""] * 10],
    ],
    "two": [
        ["[00001]", "Train", "0.1", "0.9"],
        ["[00002]", "Train", "0.2", "0.8"],
        ["[00003]", "Train", "0.3", "0.7"],
        ["[00004]", "Val", "0.4", "0.6"],
        ["[00005]", "Test", "", ""],
    ],
    "culture": [
        ["[00001]", "Train", *["0.01"] * 10, *["0.02"] * 10, *["0.03"] * 10, *["0.04"] * 10],
        ["[00002]", "Train", *["0.25"] * 40],
        ["[00003]", "Train", *["0"] * 39, "1"],
        ["[00004]", "Val", *["0.5"] * 40],
        ["[00005]", "Test", *[""] * 40],
    ],
    "type": [
        ["[00005]", "Test", ""],
        ["[00004]", "Val", "Other"],
        ["[00003]", "Train", "Gasp"],
        ["[00002]", "Train", "Laugh"],
        ["[00001]", "Train", "Laugh"],
    ],
}
AVB_COLUMNS = {
    "high": EXVO_EMOTIONS,
    "two": ("Valence", "Arousal"),
    "culture": AVB_CULTURES,
    "type": ("Voc_Type",),
}


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


COLUMNS_16 = (*COLUMNS[:4], "Country_string", *COLUMNS[4:])  # the layout whose column Country holds numbers


def rows_16(rows=ROWS, number="{}.0"):
    """``rows`` in the layout of 16 columns; ``number`` is how a country's place is written."""
    places = {"China": 0, "South Africa": 1, "United States": 2, "Venezuela": 3}
    return [[*row[:3], number.format(places[row[3]]) if row[3] in places else row[3], row[3], *row[4:]] for row in rows]


def write_avb(folder, rows=AVB_ROWS, columns=AVB_COLUMNS, wavs=0):
    """A-VB's label tables, those that ``rows`` has; ``rows`` and ``columns`` may be wrong on purpose."""
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    for clip in range(1, wavs + 1):
        write_wav(folder / "audio/wav" / f"{clip:05d}.wav", samples=4_000 + clip, seed=clip)
    for name, lines in rows.items():
        with open(folder / "labels" / f"{name}_info.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([["File_ID", "Split", *columns[name]], *lines])
    return folder


def write_webm(path, seconds=0.25, seed=0):
    """A raw recording as HUME-VB's: Opus in webm, 48 kHz; needs PyAV."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    waveform = 0.1 * np.random.default_rng(seed).normal(size=(1, int(48_000 * seconds)))
    with av.open(str(path), "w", format="webm") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(waveform.astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        context = stream.codec_context
        cut = av.AudioResampler(format=context.format, rate=48_000, frame_size=context.frame_size or 1024)
        for piece in [*cut.resample(frame), *cut.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


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


def write_vector(path, values, size):
    """A clip's vector as the challenge hands them out: a name in front, then ``size`` features, 0.5 where not given."""
    features = [*values, *[0.5] * (size - len(values))]
    lines = [["name", *(f"feature_{number}" for number in range(size))], ["1", *map(str, features)]]
    path.write_text("".join(",".join(line) + "\n" for line in lines))
