"""Fuse finished runs into one system: weights for each task, chosen on validation and applied to test.

    python examples/fuse.py RUN_A RUN_B … [--out FOLDER] [--data_dir FOLDER] [--mean | --hybrid] [--folds N]

A run is a folder that run_exvo.py finished. All must predict the same tasks for the same clips. The corpus is read
again for its labels; a run's recipe keeps no places, so say where it is with --data_dir, or for a mixture
--data_dir NAME=FOLDER NAME=FOLDER.

It writes predictions, fusion.json, fusion.md, fusion.png and, for ExVo's tasks, the challenge's submission file.
"""

import argparse
import sys
from pathlib import Path

from burst2vec.comparison.fusing import align, data_of, fuse, label_splits, read_systems, write_fusion
from burst2vec.comparison.pictures import plot_fusion
from burst2vec.errors import Burst2VecError
from burst2vec.experiment.building import claim_folder
from burst2vec.experiment.execute import refused


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("runs", nargs="+", help="folders of finished runs")
    parser.add_argument("--out", default="runs/fusion", help="folder of the fusion; default runs/fusion")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--mean", dest="way", action="store_const", const="mean", help="the plain mean; chooses nothing")
    way.add_argument(
        "--hybrid", dest="way", action="store_const", const="hybrid", help="for each task the best single system"
    )
    parser.add_argument(
        "--folds",
        type=int,
        help="score validation held out, in so many folds of speakers; default 5 without test labels",
    )
    parser.add_argument("--data_dir", nargs="+", default=[], help="the corpus's folder; for a mixture NAME=FOLDER each")
    parser.add_argument("--cache_dir", help="where datasets keeps its cache")
    parser.add_argument("--team", help="team in the submission file's name; default the first run's")
    parser.add_argument("--submission", type=int, help="number in the submission file's name, 1 to 5")
    args = parser.parse_args(arguments)
    out = Path(args.out)
    try:
        with claim_folder(out, resume=None):
            fuse_runs(args, out)
    except Burst2VecError as error:
        return refused(error)
    print(f"\neverything is in {out}")
    return 0


def fuse_runs(args: argparse.Namespace, out: Path) -> None:
    """Read the runs, fuse them and write everything into ``out``."""
    systems = read_systems(args.runs)
    first = next(iter(systems.values()))
    data = data_of(first, args.data_dir, cache_dir=args.cache_dir, team=args.team, submission=args.submission)
    having = {
        split: [name for name, run in systems.items() if split in run.splits()] for split in ("validation", "test")
    }
    splits = {split: align(systems, split) for split, names in having.items() if len(names) == len(systems)}
    for split, names in having.items():
        if split not in splits and names:
            lacking = ", ".join(name for name in systems if name not in names)
            print(f"{split} is left out: no predictions_{split}.csv of {lacking}")
    labelled = label_splits(splits, systems, data)
    fusion = fuse(list(systems), first.tasks, labelled, args.way or "weights", args.folds)
    print("\n" + write_fusion(fusion, systems, labelled, out, data))
    plot_fusion(fusion, out / "fusion.png")


if __name__ == "__main__":
    sys.exit(main())
