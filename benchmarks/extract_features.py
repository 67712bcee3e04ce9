"""How fast feature vectors are computed: clips a second, and two processes beside one.

    python benchmarks/extract_features.py FOLDER_OF_MP3S      # default: two-second bursts that it writes itself

By turns in one run, on the clock on the wall, which needs two idle cores: ``extract_features`` of the same clips with
one process and with two, nothing cached.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import datasets
from datasets import Dataset
from read_audio import write_bursts
from rounds import describe, ratio, time_by_turns

from burst2vec.features import FEATURE_SETS, extract_features


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="MP3 files, searched below this folder")
    parser.add_argument("--features", nargs="+", choices=list(FEATURE_SETS), default=["compare", "egemaps"])
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as own:
        if arguments.folder is None:
            write_bursts(Path(own), arguments.clips)
        paths = sorted((arguments.folder or Path(own)).rglob("*.mp3"))[: arguments.clips]
        if not paths:
            parser.error(f"no .mp3 below {arguments.folder}")
        audio = [{"bytes": None, "path": str(path)} for path in paths]
        clips = Dataset.from_dict({"file_id": [path.stem for path in paths], "audio": audio})
        for feature_set in arguments.features:
            contestants = {
                f"{processes} process{'es' if processes > 1 else ''}": (
                    lambda processes=processes, name=feature_set: extract_features(
                        clips, name, processes, keep_in_memory=True
                    )
                )
                for processes in (1, 2)
            }
            seconds = time_by_turns(contestants, arguments.rounds)
            speeds = [f"{len(paths) / statistics.median(seconds[name]):.1f} with {name}" for name in contestants]
            print(f"{feature_set}, {len(paths)} clips: clips a second: {', '.join(speeds)}")
            print(describe("1 process / 2 processes", ratio(seconds, "1 process", "2 processes"), "at least 1.8"))


if __name__ == "__main__":
    main()
