"""Fuse finished runs into one system: by a recipe, or runs by folder; weights by hand, even, or chosen on validation.

    python examples/fuse.py RECIPE [--runs_dir runs] [--data_dir FOLDER] [--seed N]
    python examples/fuse.py RUN_A RUN_B … [--out FOLDER] [--data_dir FOLDER] [--mean | --hybrid | --weights W …]
    python examples/fuse.py --tasks '{"emotion": ["RUN_A"], "country": {"RUN_A": 0.5, "RUN_B": 0.5}}' …

A recipe, such as burst2vec/ensemble_a, names recipes: their finished runs are found under --runs_dir and fused seed by
seed. A run is a folder that run_exvo.py, or this command, finished. Runs may predict different tasks, and a run of one
task is fused with others to one submission. The corpus is read again for its labels; a run's recipe keeps no places, so
say where it is with --data_dir, or for a mixture --data_dir NAME=FOLDER NAME=FOLDER.

It writes predictions, fusion.json, fusion.md, fusion.png, metrics.json and, for ExVo's tasks, the challenge's file.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from burst2vec.errors import Burst2VecError, RecipeError, refused

if TYPE_CHECKING:
    from burst2vec.comparison.fusion_plan import FusionPlan
    from burst2vec.experiment.finished import FinishedRun


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    options.add_argument("runs", nargs="*", help="a recipe of a fusion, or folders of finished runs")
    options.add_argument("--runs_dir", default="runs", help="where a recipe's runs are searched; default runs")
    options.add_argument("--seed", type=int, help="of a recipe, the runs with this seed only")
    options.add_argument("--out", help="folder of the fusion; default runs/fusion, or of a recipe RUNS_DIR/<its name>")
    way = options.add_mutually_exclusive_group()
    way.add_argument("--mean", dest="way", action="store_const", const="mean", help="the plain mean; chooses nothing")
    way.add_argument(
        "--hybrid", dest="way", action="store_const", const="hybrid", help="for each task the best single system"
    )
    way.add_argument(
        "--weights", type=float, nargs="+", metavar="W", help="weights by hand, one per run, of every task"
    )
    way.add_argument("--tasks", metavar="JSON", help="by task its runs' folders: a list, evenly, or folders to weights")
    options.add_argument(
        "--folds",
        type=int,
        help="score validation held out, in so many folds of speakers; default 5 without test labels",
    )
    options.add_argument(
        "--data_dir", nargs="+", default=[], help="the corpus's folder; for a mixture NAME=FOLDER each"
    )
    options.add_argument("--cache_dir", help="where datasets keeps its cache")
    options.add_argument("--team", help="team in the submission files' names; default the first run's")
    options.add_argument("--submission", type=int, help="number in the submission files' names, 1 to 5")
    return options


def main(arguments=None) -> int:
    args = parser().parse_args(arguments)
    try:
        if len(args.runs) == 1 and not Path(args.runs[0]).is_dir():
            written = fuse_recipe(args)
        else:
            written = [Path(args.out or "runs/fusion")]
            plan, systems = given_runs(args)
            fuse_runs(args, plan, systems, written[0])
    except Burst2VecError as error:
        return refused(error)
    print(f"\neverything is in {', '.join(map(str, written))}")
    return 0


def fuse_recipe(args: argparse.Namespace) -> list[Path]:
    """Fuse what a recipe names, seed by seed; the folders that were written."""
    if given := [key for key in ("way", "weights", "tasks") if getattr(args, key) is not None]:
        raise RecipeError(f"the recipe says how to fuse; leave out {'--' + (args.way or given[0])}")
    from burst2vec.comparison.fusion_recipes import load_fusion, runs_by_seed

    recipe = load_fusion(args.runs[0])
    by_seed, notes = runs_by_seed(recipe, args.runs_dir, args.seed)
    print("\n".join(notes))
    above = Path(args.out or Path(args.runs_dir, recipe.name))
    folders = {seed: above / f"seed-{seed}" if len(by_seed) > 1 else above for seed in by_seed}
    for seed, systems in by_seed.items():
        fuse_runs(args, recipe.plan, systems, folders[seed], recipe.to_dict())
    return list(folders.values())


def given_runs(args: argparse.Namespace) -> "tuple[FusionPlan, dict[str, FinishedRun]]":
    """The plan and the runs that the command line gives, under short names."""
    from burst2vec.comparison.aligning import read_systems
    from burst2vec.comparison.fusion_plan import FusionPlan, read_plan
    from burst2vec.experiment.finished import names_of
    from burst2vec.experiment.recipe_files import from_json

    if args.tasks is not None:
        if args.runs:
            raise RecipeError(f"--tasks names the runs of each task; leave out {args.runs[0]}")
        by_folder = read_plan({"tasks": from_json(args.tasks, "--tasks")}, "command line")
        systems = read_systems(by_folder.runs)
        short = dict(zip(by_folder.runs, systems, strict=True))
        tasks = {task: {short[run]: one for run, one in of_task.items()} for task, of_task in by_folder.tasks.items()}
        return FusionPlan(tuple(systems), tasks=tasks), systems
    systems = read_systems(args.runs)
    if args.weights is None:
        return FusionPlan(tuple(systems), args.way or "weights"), systems
    if len(args.weights) != len(systems):
        raise RecipeError(f"--weights: {len(systems)} runs need {len(systems)} weights, got {len(args.weights)}")
    return read_plan({"runs": dict(zip(names_of(args.runs), args.weights, strict=True))}, "--weights"), systems


def fuse_runs(
    args: argparse.Namespace,
    plan: "FusionPlan",
    systems: "dict[str, FinishedRun]",
    out: Path,
    recipe: dict | None = None,
) -> None:
    """Fuse the runs as the plan says and write everything into ``out``."""
    from burst2vec.comparison.aligning import align, data_of, label_splits
    from burst2vec.comparison.fusing import fuse
    from burst2vec.comparison.fusion_files import write_fusion
    from burst2vec.comparison.pictures import plot_fusion
    from burst2vec.experiment.building import claim_folder

    tasks, answer, given = plan.resolve(systems, "fusion")
    first = next(iter(systems.values()))
    data = data_of(first, args.data_dir, cache_dir=args.cache_dir, team=args.team, submission=args.submission)
    having = {
        split: [name for name, run in systems.items() if split in run.splits()] for split in ("validation", "test")
    }
    with claim_folder(out, resume=None, option="--out", resumed_by=None):
        splits = {split: align(systems, split, answer) for split, names in having.items() if len(names) == len(systems)}
        for split, names in having.items():
            if split not in splits and names:
                lacking = ", ".join(name for name in systems if name not in names)
                print(f"{split} is left out: no predictions_{split}.csv of {lacking}")
        labelled = label_splits(splits, systems, data, tasks)
        fusion = fuse(list(systems), tasks, labelled, plan.way, args.folds, given)
        plot_fusion(fusion, out / "fusion.png")
        print("\n" + write_fusion(fusion, systems, labelled, out, data, recipe))


if __name__ == "__main__":
    sys.exit(main())
