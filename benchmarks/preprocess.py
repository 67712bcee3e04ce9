"""How fast recordings are cleaned: decoding, resampling, highpass, MMSE-STSA and level, without voice activity.

    python benchmarks/preprocess.py FOLDER_OF_MP3S      # default: two-second bursts that it writes itself

By turns in one run: the whole chain in one thread of this process, step by step, its speed per core taken from the
processor's time, so that other programs on the machine hardly count; and ``preprocess_folder`` with one process and
with two, the ratio taken from the clock on the wall, which needs two idle cores.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import threadpoolctl
import torch
from read_audio import write_bursts
from rounds import describe, ratio, time_by_turns

from burst2vec.audio import apply_transforms, read_audio, read_transforms
from burst2vec.audio.encode import encode_wav
from burst2vec.data.preprocessing import preprocess_folder

CHAIN = read_transforms(["mono", "resample", "highpass", "mmse_stsa", "normalise_level"])


def in_one_thread(paths: list[Path]) -> tuple[dict[str, float], float, float]:
    """Processor's seconds of each step over all clips; seconds on the wall; seconds of sound."""
    took = dict.fromkeys(["decode", *map(str, CHAIN), "encode"], 0.0)
    sound_seconds, started = 0.0, time.perf_counter()
    for path in paths:
        before = time.process_time()
        waveform, rate = read_audio(path)
        sound_seconds += waveform.size / rate
        took["decode"] += (now := time.process_time()) - before
        for step in CHAIN:
            before = now
            waveform, rate = apply_transforms(waveform, rate, [step])
            took[str(step)] += (now := time.process_time()) - before
        encode_wav(waveform, rate)
        took["encode"] += time.process_time() - now
    return took, time.perf_counter() - started, sound_seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="MP3 files, searched below this folder")
    parser.add_argument("--clips", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    threadpoolctl.threadpool_limits(1)
    with tempfile.TemporaryDirectory() as place:
        source = Path(place, "source")
        source.mkdir()
        if arguments.folder is None:
            write_bursts(source, arguments.clips)
        else:
            for path in sorted(arguments.folder.rglob("*.mp3"))[: arguments.clips]:
                shutil.copy(path, source)
        paths = sorted(source.iterdir())
        if not paths:
            parser.error(f"no .mp3 below {arguments.folder}")
        alone = []

        def folder(num_proc):
            target = Path(place, "target")
            done = preprocess_folder(source, target, CHAIN, num_proc)
            assert done.made == len(paths), done.failures
            shutil.rmtree(target)

        contestants = {
            "one thread": lambda: alone.append(in_one_thread(paths)),
            "1 process": lambda: folder(1),
            "2 processes": lambda: folder(2),
        }
        seconds = time_by_turns(contestants, arguments.rounds)

    alone = alone[1:]  # the first is the warm-up
    sound_seconds = alone[0][2]
    print(f"{len(paths)} clips, {sound_seconds:.0f} s of sound")
    speeds = sorted(sound_seconds / sum(took.values()) for took, _, _ in alone)
    middle, walls = statistics.median(speeds), sorted(sound_seconds / wall for _, wall, _ in alone)
    print(
        f"one core, processor's time: {middle:.0f} times real time (lowest {speeds[0]:.0f}, highest {speeds[-1]:.0f}; "
        f"wanted at least 100); on the wall {statistics.median(walls):.0f}"
    )
    for step in alone[0][0]:
        took = statistics.median(took[step] for took, _, _ in alone)
        print(f"  {step}: {1000 * took / len(paths):.2f} ms a clip")
    print(describe("1 process / 2 processes, on the wall", ratio(seconds, "1 process", "2 processes"), "at least 1.8"))


if __name__ == "__main__":
    main()
