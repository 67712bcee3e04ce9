"""Every finished run in one report: each paper's tables with all their rows, and a row per recipe, over its seeds.

    python examples/report.py FOLDER … [--out FOLDER] [--data_dir FOLDER]

The folders are searched for the metrics.json that run_exvo.py and fuse.py write. It writes report.md, report.csv and
a picture for each split; runs that are unfinished or cannot be read are named and skipped. The papers' marks of
significance take the corpus's labels: say where it is with --data_dir.
"""

import argparse
import sys
from pathlib import Path

from burst2vec.errors import Burst2VecError, refused


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folders", nargs="+", help="folders with finished runs, however deep")
    parser.add_argument("--out", default="reports/runs", help="folder of the report; default reports/runs")
    parser.add_argument("--data_dir", nargs="+", default=[], help="the corpus's folder, of a mixture NAME=FOLDER each")
    parser.add_argument("--cache_dir", help="where datasets keeps its cache")
    args = parser.parse_args(arguments)
    from burst2vec.comparison.paper_marks import mark_table
    from burst2vec.comparison.paper_tables import format_table, load_tables, papers_order
    from burst2vec.comparison.pictures import plot_report
    from burst2vec.comparison.report import find_runs, rows_of, write_report

    out = Path(args.out)
    runs, skipped = find_runs(args.folders)
    if not runs:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in skipped.items())
        print(f"error: no finished run in {', '.join(args.folders)}{reasons}", file=sys.stderr)
        return 2
    try:
        tables = load_tables()
        rows = rows_of(runs, papers_order(tables))
        shown = []
        for table in tables:
            marks, tests = mark_table(table, rows, args.data_dir, args.cache_dir)
            if (text := format_table(table, rows, marks)) is not None:
                shown += [text, *([tests] if tests else [])]
        print(write_report(rows, skipped, out, shown))
        for split, of_split in rows.items():
            plot_report(of_split, out / f"report_{split}.png")
    except (Burst2VecError, OSError) as error:
        return refused(error)
    print(f"\neverything is in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
