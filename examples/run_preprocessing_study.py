"""The effect of each preprocessing step: one recipe, trained on every stage of a chain, over several seeds.

    python examples/run_preprocessing_study.py RECIPE.yaml [--seeds 0 1 2] [--out FOLDER] [--stages STAGES.yaml]
                                               [--key value …]

It writes a run for each stage and seed, and study.md, study.csv, study.json and study.png; started again, it
resumes. Without --stages the chain is: as recorded, high-pass, gain, denoised, trimmed. A file of your
own has one line per stage, with any keys of a recipe:

    as recorded: {preprocess: [], target_rms_dbfs: "off"}
    denoised: {preprocess: [mmse_stsa]}

Every other option is a key of the recipe, for all stages.
"""

import argparse
import sys
from pathlib import Path

from burst2vec.comparison.study import read_stages, run_study, write_study
from burst2vec.errors import Burst2VecError
from burst2vec.experiment.execute import refused
from burst2vec.experiment.plots import plot_study
from burst2vec.experiment.recipes import load_recipe


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("recipe", help="the learner")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", help="folder of the study; default runs/study-<recipe>")
    parser.add_argument("--stages", help="YAML file of stages")
    parser.add_argument("--split", default="validation", help="whose scores are compared")
    args, options = parser.parse_known_args(arguments)
    try:
        recipe = load_recipe(args.recipe)
        out = Path(args.out or Path("runs", f"study-{recipe.name}"))
        study = run_study(args.recipe, read_stages(args.stages), args.seeds, out, options, args.split)
        print("\n" + write_study(study, out, f"{recipe.name}, {args.split}"))
        plot_study(study, out / "study.png")
    except Burst2VecError as error:
        return refused(error)
    print(f"\neverything is in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
