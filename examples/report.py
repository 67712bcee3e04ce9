"""Every finished run in one report: a row per recipe, over its seeds, beside what its paper printed.

    python examples/report.py FOLDER … [--out FOLDER]

The folders are searched for the metrics.json that run_exvo.py writes. It writes report.md, report.csv and a picture for
each split; runs that are unfinished or cannot be read are named and skipped.
"""

import argparse
import sys
from pathlib import Path

from burst2vec.comparison.pictures import plot_report
from burst2vec.comparison.report import find_runs, rows_of, write_report


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folders", nargs="+", help="folders with finished runs, however deep")
    parser.add_argument("--out", default="reports/runs", help="folder of the report; default reports/runs")
    args = parser.parse_args(arguments)
    out = Path(args.out)
    runs, skipped = find_runs(args.folders)
    if not runs:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in skipped.items())
        print(f"error: no finished run in {', '.join(args.folders)}{reasons}", file=sys.stderr)
        return 2
    rows = rows_of(runs)
    try:
        print(write_report(rows, skipped, out))
        for split, of_split in rows.items():
            plot_report(of_split, out / f"report_{split}.png")
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\neverything is in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
