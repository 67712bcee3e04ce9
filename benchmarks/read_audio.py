"""How fast recordings become a batch: MP3 at 48 kHz to 16 kHz, one core, beside what a user would run instead.

    python benchmarks/read_audio.py FOLDER_OF_MP3S      # default: two-second bursts that it writes itself

Contestants, in turns in one run, same files: ours (``load_audio`` and the feature extractor, 32 clips per batch),
librosa (``librosa.load`` to 16 kHz), and torchaudio's resampler behind soundfile.
"""

import argparse
import tempfile
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
import torchaudio
from rounds import describe, ratio, time_by_turns

from burst2vec import Burst2VecFeatureExtractor
from burst2vec.audio import load_audio

BATCH = 32


def write_bursts(folder: Path, count: int) -> None:
    """Two-second decaying tones in noise, as 48 kHz MP3."""
    rng = np.random.default_rng(0)
    time = np.arange(96_000) / 48_000
    for clip in range(count):
        tone = np.sin(2 * np.pi * rng.uniform(100, 800) * time) + 0.3 * rng.normal(size=time.size)
        soundfile.write(folder / f"{clip:04d}.mp3", (0.3 * tone * np.exp(-2 * time)).astype("f"), 48_000, format="MP3")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="MP3 files, searched below this folder")
    parser.add_argument("--clips", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as own:
        if arguments.folder is None:
            write_bursts(Path(own), arguments.clips)
        paths = sorted((arguments.folder or Path(own)).rglob("*.mp3"))[: arguments.clips]
        if not paths:
            parser.error(f"no .mp3 below {arguments.folder}")
        extract = Burst2VecFeatureExtractor()

        def in_batches(read):
            for start in range(0, len(paths), BATCH):
                extract([read(path) for path in paths[start : start + BATCH]], sampling_rate=16_000)

        def with_torchaudio(path):
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            return torchaudio.functional.resample(torch.from_numpy(samples.mean(axis=1)), rate, 16_000).numpy()

        contestants = {
            "ours": lambda: in_batches(load_audio),
            "librosa": lambda: in_batches(lambda path: librosa.load(path, sr=16_000)[0]),
            "torchaudio": lambda: in_batches(with_torchaudio),
        }
        seconds = time_by_turns(contestants, arguments.rounds)
    rates = sorted(len(paths) / second for second in seconds["ours"])
    print(f"{len(paths)} clips of MP3 at 48 kHz to batches of {BATCH} at 16 kHz, one core")
    low, median, high = rates[0], rates[len(rates) // 2], rates[-1]
    print(f"ours: {median:.0f} clips a second (lowest {low:.0f}, highest {high:.0f}; wanted at least 600)")
    for other in ("librosa", "torchaudio"):
        print(describe(f"{other} / ours", ratio(seconds, other, "ours"), "more than 1"))


if __name__ == "__main__":
    main()
