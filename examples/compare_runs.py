"""Whether finished runs differ: each against the first, by Burst2Vec's tests, and paired with speakers as the unit.

    python examples/compare_runs.py RUN_A RUN_B … [--data_dir FOLDER] [--split validation] [--out FOLDER]

A run is a folder that run_exvo.py or fuse.py finished; the tasks that all predict are compared, on the clips that all
predicted. The corpus is read again for its labels and speakers; for a mixture give --data_dir NAME=FOLDER NAME=FOLDER.
It writes comparison.md and comparison.json.
"""

import argparse
import sys

from burst2vec.errors import Burst2VecError, refused


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("runs", nargs="+", help="folders of finished runs; the others are compared with the first")
    parser.add_argument("--data_dir", nargs="+", default=[], help="the corpus's folder, of a mixture NAME=FOLDER each")
    parser.add_argument("--cache_dir", help="where datasets keeps its cache")
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="default validation")
    parser.add_argument("--out", default="reports/comparison", help="folder of the report; default reports/comparison")
    args = parser.parse_args(arguments)
    from burst2vec.comparison.aligning import read_systems
    from burst2vec.comparison.comparing import compare_runs, write_comparison

    try:
        systems = read_systems(args.runs)
        print(write_comparison(*compare_runs(systems, args.data_dir, args.cache_dir, args.split), args.split, args.out))
    except Burst2VecError as error:
        return refused(error)
    print(f"\neverything is in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
