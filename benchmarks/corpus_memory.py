"""What a corpus of HUME-VB's size costs in memory, beside one of a tenth of its clips.

    python benchmarks/corpus_memory.py [--clips 59201]

Writes two corpora of tenths of a second of noise in HUME-VB's layout (1,702 speakers, a fresh seed for each clip, so
that no two sound alike) into a temporary folder, and opens each in a fresh process that loads it, checks it with its
report, and reads every clip once. Printed is the peak resident memory after each of the three: of the process itself,
and of the largest of those that it started to decode with. The last lines are the ratios.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

# Nothing heavy here: a process starts with the peak memory of the one that started it.
import numpy as np
from tqdm.auto import tqdm

EMOTIONS = "Awe,Excitement,Amusement,Awkwardness,Fear,Horror,Distress,Triumph,Sadness,Surprise".split(",")
COUNTRIES = ("China", "South Africa", "United States", "Venezuela")
SPEAKERS = 1_702
SAMPLES = 1_600  # 0.1 s
WANTED = 1.5  # ten times the clips, at most so many times the memory


def write_corpus(folder: Path, clips: int) -> None:
    """``data_info.csv`` and ``wav/``; a third of the speakers in each split, the test split without labels."""
    (folder / "wav").mkdir(parents=True)
    with open(folder / "data_info.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["File_ID", "Split", "Subject_ID", "Country", "Age", *EMOTIONS])
        for clip in tqdm(range(1, clips + 1), desc=f"Writing {clips:,} clips", unit=" clips", mininterval=1):
            speaker = clip % SPEAKERS
            split = ("Train", "Val", "Test")[speaker % 3]
            rng = np.random.default_rng(clip)
            labels = [COUNTRIES[speaker % 4], 20 + speaker % 20, *rng.random(10).round(3)]
            labels = [""] * len(labels) if split == "Test" else labels
            table.writerow([f"[{clip:05d}]", split, f"S{speaker:04d}", *labels])
            with wave.open(str(folder / "wav" / f"{clip:05d}.wav"), "wb") as sound:
                sound.setnchannels(1)
                sound.setsampwidth(2)
                sound.setframerate(16_000)
                sound.writeframes(rng.integers(-3_000, 3_000, SAMPLES, dtype=np.int16).tobytes())


def peaks() -> tuple[float, float]:
    """Highest resident memory so far, in MB: of this process, and of the largest one that it started and saw end."""
    return tuple(resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def measure(folder: Path) -> dict[str, tuple[float, float]]:
    """In this process: import, load, check with report, read through; the peaks after each."""
    from burst2vec.data import load_bursts
    from burst2vec.data.checking import check_corpus
    from burst2vec.data.checking.check_report import write_report
    from burst2vec.data.clips import read_clip

    found = {"import": peaks()}
    corpus = load_bursts("hume_vb", folder, cache_dir=folder / "cache")
    found["load"] = peaks()
    check = check_corpus(corpus, "exvo")
    found["check"] = peaks()
    write_report(check, folder / "report", "noise")
    found["report"] = peaks()
    for split, clips in corpus.items():
        for clip in tqdm(clips.select_columns(["file_id", "audio"]), desc=f"Reading {split}", unit=" clips"):
            read_clip(clip["audio"], clip["file_id"])
    found["read"] = peaks()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=59_201)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # what the fresh process is started with
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure)))
        return
    few, many = arguments.clips // 10, arguments.clips
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for clips in (few, many):
            folder = Path(place) / str(clips)
            write_corpus(folder, clips)
            command = [sys.executable, __file__, "--measure", str(folder)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
            found[clips] = json.loads(lines.splitlines()[-1])
    print(f"{'peak resident memory (MB) after':34}{few:>10,} clips{many:>10,} clips     ratio")
    for stage in found[many]:
        for place, who in enumerate(("itself", "its largest child")):
            small, large = found[few][stage][place], found[many][stage][place]
            if small:  # a small corpus is decoded without other processes
                print(f"{stage + ', ' + who:34}{small:>16.0f}{large:>16.0f}{large / small:>10.2f}")
    worst = max(large / small for small, large in zip(found[few]["read"], found[many]["read"], strict=True) if small)
    print(f"ratio of the peaks: {worst:.2f} (wanted at most {WANTED})")


if __name__ == "__main__":
    main()
