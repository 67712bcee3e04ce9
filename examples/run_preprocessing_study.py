"""The effect of each preprocessing step: one model, trained on every stage of a chain, over several seeds.

    python examples/run_preprocessing_study.py --data_dir HUME_VB_FOLDER
    python examples/run_preprocessing_study.py RECIPE.yaml [--seeds 0 1 2] [--out FOLDER] [--stages STAGES.yaml]
                                               [--key value …]

Without a recipe it makes Table 1 of Sharma et al. (2022): ComParE's features and the organisers' network on the
provided audio, the raw recordings, these without offset and at one level, denoised, and trimmed by voice activity: the
recipes strf_conformer/compare_*.yaml. With a recipe it does the same to the clips of that model, of any corpus. It
writes a run for each stage and seed, and study.md, study.csv, study.json and study.png; started again, it resumes where
it was interrupted.

A file of stages of your own has one line for each, with any keys of a recipe:

    raw: {preprocess: [], target_rms_dbfs: "off"}
    denoised: {preprocess: [mmse_stsa]}
    pauses cut: {preprocess: [mmse_stsa, {trim_silence: {cut_pauses: true}}]}

Every other option is a key of the recipe, for all stages.
"""

import argparse
import sys
from pathlib import Path

from burst2vec.errors import Burst2VecError, RunError, refused


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        usage="%(prog)s [RECIPE] [--seeds N …] [--out FOLDER] [--stages FILE] [--split NAME] [--key value …]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", help="folder of the study; default runs/study-<recipe>")
    parser.add_argument("--stages", help="YAML file of stages")
    parser.add_argument("--split", default="validation", help="whose scores are compared")
    given = list(sys.argv[1:] if arguments is None else arguments)
    # First or not at all: argparse would take the value of a recipe's key for it.
    recipe = given.pop(0) if given and not given[0].startswith("-") else None
    args, options = parser.parse_known_args(given)
    from burst2vec.comparison.study import read_stages, run_study, stages_for, table_1, write_study
    from burst2vec.experiment.plots import plot_study
    from burst2vec.experiment.recipes import load_recipe

    try:
        if recipe is None and args.stages:
            raise RunError("--stages needs the model's recipe, as the first argument")
        name = "table_1" if recipe is None else load_recipe(recipe).name
        out = Path(args.out or Path("runs", f"study-{name}"))
        if recipe is None:
            stages = table_1()
        else:
            stages = read_stages(args.stages, recipe) if args.stages else stages_for(recipe, options)
        study = run_study(stages, args.seeds, out, options, args.split)
        print("\n" + write_study(study, out, f"{name}, {args.split}"))
        plot_study(study, out / "study.png")
    except Burst2VecError as error:
        return refused(error)
    print(f"\neverything is in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
