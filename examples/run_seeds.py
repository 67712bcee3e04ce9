"""One recipe over several seeds: a run for each, and their best, mean and spread.

    python examples/run_seeds.py RECIPE.yaml [--seeds 5] [--key value …]

The seeds count up from the recipe's; a run's folder is --output_dir/seed-N (default: runs/<recipe>/seed-N). Started
again, it reads the runs that are finished, resumes one that was broken off, and makes the others. Every other
option is a key of the recipe, for all seeds. Several runs at once, or several processes: start run_exvo.py with --seed
and --output_dir yourself; it reads them here as its own.
"""

import argparse
import sys
from pathlib import Path

from burst2vec.errors import Burst2VecError, RecipeError, refused

SPLIT = "validation"  # whose scores the best run has


def best_of(folders: list[Path], score: str, greater_is_better: bool) -> str:
    """A line that names the run with the best of a validation score."""
    from burst2vec.experiment.finished import read_run

    found = {folder: read_run(folder).record.scores.get(SPLIT, {}).get(score) for folder in folders}
    found = {folder: value for folder, value in found.items() if value is not None}
    if not found:
        return f"no run has {score} on {SPLIT}"
    best = (max if greater_is_better else min)(found, key=found.get)
    return f"best {score} on {SPLIT}: {found[best]:.3f}, in {best}"


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("recipe", help="the learner")
    parser.add_argument("--seeds", type=int, default=5, help="how many; default 5")
    args, options = parser.parse_known_args(arguments)
    from burst2vec.comparison.report import find_runs, format_rows, rows_of
    from burst2vec.comparison.study import Stage, run_or_read
    from burst2vec.experiment.recipes import parse_run

    try:
        if args.seeds < 1:
            raise RecipeError(f"--seeds {args.seeds}: give 1 or more")
        training = parse_run([args.recipe, *options]).training
        above = Path(training.output_dir)
        folders = []
        for seed in range(training.seed, training.seed + args.seeds):
            folders.append(above / f"seed-{seed}")
            run_or_read(Stage(args.recipe, {}), seed, folders[-1], options)
    except Burst2VecError as error:
        return refused(error)
    runs, skipped = find_runs(folders)
    for split, rows in rows_of(runs).items():
        print("\n" + format_rows(rows, split))
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}")
    score = (training.metric_for_best_model or "s_mtl").removeprefix("eval_")
    print("\n" + best_of(folders, score, training.greater_is_better is not False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
