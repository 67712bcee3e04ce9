"""Predict clips with a saved model: a folder, labelled or not, or files; one row each, in one table.

    burst2vec predict CLIPS --out table.csv                               # every audio file below the folder
    burst2vec predict CLIPS --model runs/quickstart --out table.csv       # with a model of your own
    burst2vec predict a.mp3 b.wav --model you/model --out table.json

A clip that cannot be used has its row too, with the reason in the column problem. Stopped or killed, the same command
resumes: what is finished lies in TABLE.parts until the table is written. Long recordings are for burst2vec find.

Exit status: 0; 1 where more than half of the clips cannot be used; 2 refused.
"""

import argparse
import sys
import time

from burst2vec.command_line.declared import constants
from burst2vec.command_line.model_options import add_model_options
from burst2vec.errors import Burst2VecError, refused
from burst2vec.shipped_models import DEFAULT_MODEL


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("clips", nargs="+", metavar="FOLDER|FILE", help="wav, flac, ogg, mp3, webm or m4a, to 60 s")
    add_model_options(options, DEFAULT_MODEL)
    options.add_argument("--out", required=True, metavar="TABLE", help="a new file: .csv, .parquet or .json")
    options.add_argument(
        "--on_bad_clip",
        choices=constants("prediction/predicting.py")["ON_BAD"],
        default="report",
        help="a row with the reason, no row, or stop at the first (default: report)",
    )
    options.add_argument("--batch_size", type=int, help="clips at once (default: 8; 64 on an accelerator)")
    options.add_argument(
        "--num_proc",
        type=int,
        help="processes that decode and, without an accelerator, predict (default: one per core)",
    )
    options.add_argument(
        "--coverage",
        type=float,
        help="such as 0.9: also intervals (columns …/lower and …/upper) and sets of classes (…/set) that hold the "
        "label of that many clips of new speakers",
    )
    options.add_argument("--overwrite", action="store_true", help="replace a table that is there")
    return options


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    from burst2vec.prediction import load_pipeline, predict
    from burst2vec.prediction.clip_sources import left_alone

    clips = options.clips[0] if len(options.clips) == 1 else options.clips
    settings = {name: getattr(options, name) for name in ("on_bad_clip", "batch_size", "num_proc", "features")}
    started = time.monotonic()
    try:
        model = options.model if options.coverage is None else load_pipeline(options.model, options.coverage)
        table = predict(clips, model, options.out, overwrite=options.overwrite, **settings)
    except (Burst2VecError, OSError) as error:
        return refused(error)
    if others := left_alone(options.clips):
        print(f"left alone: {len(others):,} files that are not audio by their names, such as {others[0]}")
    bad = table[table["problem"] != ""]
    print(f"{len(table) - len(bad):,} clips predicted, {time.monotonic() - started:.0f} s; {options.out}")
    if not len(bad):
        return 0
    print(f"{len(bad):,} clips cannot be used:")
    for name, problem in bad[["file", "problem"]].head(5).itertuples(index=False):
        print(f"  {name}: {problem}".encode(errors="replace").decode())
    if 2 * len(bad) > len(table):
        print("error: more than half of the clips cannot be used", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
