"""Finished runs of one corpus in one Markdown table, the best first: scores, 95 % intervals over speakers, and costs.

    python examples/leaderboard.py FOLDER … --data_dir CORPUS [--against RUN] [--out FOLDER]

The folders are searched for the metrics.json that run_exvo.py and fuse.py write; runs of one recipe that differ in
their seed are one row. Of several folders of a corpus give all after --data_dir. Without --data_dir there are no top-3,
no tests, and intervals of single runs alone. --against tests all others against one row, with speakers as the unit. It
writes leaderboard.md and leaderboard.json; what a run did not record stays empty.
"""

import argparse
import sys

from burst2vec.errors import Burst2VecError, RunError, refused


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folders", nargs="+", help="folders with finished runs, however deep")
    parser.add_argument("--data_dir", nargs="+", default=[], help="the corpus's folder, or several of one corpus")
    parser.add_argument("--against", help="the row to test all others against: its name, or a run's name or folder")
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="default validation")
    parser.add_argument("--cache_dir", help="where datasets keeps its cache")
    parser.add_argument("--out", default="reports/leaderboard", help="folder of the table; default reports/leaderboard")
    args = parser.parse_args(arguments)
    from burst2vec.comparison.leaderboard import find_row, leaderboard, write_leaderboard
    from burst2vec.comparison.report import find_runs, rows_of

    try:
        runs, skipped = find_runs(args.folders)
        for name, reason in skipped.items():
            print(f"skipped {name}: {reason}")
        rows = rows_of(runs).get(args.split)
        if not rows:
            raise RunError(f"no finished run with scores of {args.split} in {', '.join(args.folders)}")
        reference = None if args.against is None else find_row(rows, args.against)
        tasks, standings = leaderboard(rows, args.data_dir, reference, args.cache_dir)
        print(write_leaderboard(tasks, standings, args.out, reference))
    except (Burst2VecError, OSError) as error:
        return refused(error)
    print(f"\neverything is in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
