"""One recipe on 40, 80, 160 and all training speakers: what more speakers are worth, as a table and a picture.

    python examples/run_learning_curve.py RECIPE [--speakers 40 80 160 all] [--seeds 1] [--beside RUN …] [--key value …]

The speakers are drawn by the seed, and those of a smaller number are among those of a larger one; validation clips are
the same for all. A run's folder is --output_dir/speakers-N/seed-S (default: runs/<recipe>/…). Started again, it reads
the runs that are finished, resumes one that was broken off, and makes the others. --beside draws finished runs of other
systems into the same picture. Every other option is a key of the recipe, for all runs. It writes learning_curve.md,
learning_curve.csv and learning_curve.png into --out.
"""

import argparse
import sys

from burst2vec.errors import Burst2VecError, RunError, refused


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("recipe", help="the learner")
    parser.add_argument("--speakers", nargs="+", default=["40", "80", "160", "all"], help="default 40 80 160 all")
    parser.add_argument("--seeds", type=int, default=1, help="how many; they count up from the recipe's; default 1")
    parser.add_argument("--beside", nargs="+", default=[], help="folders of finished runs of other systems")
    parser.add_argument("--out", default="reports/learning_curve", help="default reports/learning_curve")
    args, options = parser.parse_known_args(arguments)
    from burst2vec.comparison.learning_curve import common_scores, curves_of, stages_of, train_curve, write_curves
    from burst2vec.comparison.report import find_runs
    from burst2vec.experiment.inputs import tasks_of
    from burst2vec.experiment.recipes import parse_run

    try:
        if args.seeds < 1:
            raise RunError(f"--seeds {args.seeds}: give 1 or more")
        stages = stages_of(args.recipe, args.speakers)
        wanted = parse_run([args.recipe, *options])
        seeds = range(wanted.training.seed, wanted.training.seed + args.seeds)
        folders = train_curve(stages, seeds, wanted.training.output_dir, options)
        runs, skipped = find_runs([*folders, *args.beside])
        curves = curves_of(runs)
        scores = common_scores(curves, [task.score_name for task in tasks_of(wanted)])
        print("\n" + write_curves(curves, scores, args.out))
    except (Burst2VecError, OSError) as error:
        return refused(error)
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}")
    print(f"\neverything is in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
