"""Personalise a finished run's model on a few clips of each speaker, and score it on the others, before and after.

    python examples/run_fewshot.py RUN [--tune bias_and_scale head …] [--support 2] [--draws 5] [--data_dir FOLDER]

RUN is a folder that run_exvo.py finished. A few labelled clips of each speaker of the split are the support, drawn anew
in each draw; the speaker's other clips are the query, and only they are scored. Where only the support clips of a
speaker are labelled, as in ExVo-FewShot's test split, these are the support of every draw, and the query is predicted.
Any key of the run's recipe can be given behind the others. A recipe does not hold the folders of its machine, so give
--data_dir FOLDER, and --features_dir FOLDER if the run has one.

It writes fewshot.md, fewshot.json, fewshot_speakers.csv, fewshot.png and, of HUME-VB's test split, the challenge's
file ExVo-Few_<team>_<n>.csv by the first draw and the first way. Speakers that are done are kept: after an
interruption, --resume computes the others alone.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from burst2vec.command_line.declared import constants
from burst2vec.errors import Burst2VecError, RunError, refused

if TYPE_CHECKING:
    from burst2vec.comparison.fewshot import Trial
    from burst2vec.experiment.finished import FinishedRun
    from burst2vec.experiment.recipes import Run
    from burst2vec.personalising import Tuning

PREDICTS = ("--do_train", "false")
TUNING = constants("personalising.py")
BIAS_AND_SCALE, STEPS = TUNING["BIAS_AND_SCALE"], TUNING["STEPS"]
RATES = "learning rate of tuning; default {LEARNING_RATE:g}, of the recurrent part {RECURRENT_RATE:g}".format(**TUNING)


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    options.add_argument("run", help="folder of a finished run, with its model")
    options.add_argument(
        "--tune",
        nargs="+",
        default=[BIAS_AND_SCALE, "head"],
        metavar="WAY",
        help="bias_and_scale, or what is tuned: head, trunk, recurrent, or several with commas, as head,recurrent; "
        "each is a way of its own; default bias_and_scale head",
    )
    options.add_argument("--steps", type=int, default=STEPS, help=f"steps of tuning; default {STEPS}")
    options.add_argument("--rate", type=float, help=RATES)
    options.add_argument("--support", type=int, default=2, help="labelled clips of each speaker; default 2")
    options.add_argument("--draws", type=int, default=5, help="times that the support is drawn; default 5")
    options.add_argument("--draw_seed", type=int, default=0, help="seed of the draws; default 0")
    options.add_argument(
        "--tasks",
        nargs="+",
        help="tasks whose labels the support has; default the regressions, or all tasks where there is none",
    )
    options.add_argument("--split", default="validation", help="of the corpus; default validation")
    options.add_argument("--out", help="folder of the result; default RUN/fewshot_<split>")
    options.add_argument("--resume", action="store_true", help="keep the speakers that are done in --out already")
    return options


def main(arguments=None) -> int:
    args, keys = parser().parse_known_args(arguments)
    from burst2vec.comparison.fewshot import Trial
    from burst2vec.experiment.building import claim_folder
    from burst2vec.experiment.finished import read_run
    from burst2vec.experiment.recipes import parse_run

    try:
        folder = Path(args.out or Path(args.run, f"fewshot_{args.split}"))
        trial = Trial(
            {way: tuning_of(way, args) for way in args.tune},
            *(args.support, args.draws, args.draw_seed),
            None if args.tasks is None else tuple(args.tasks),
        )
        finished = read_run(args.run)
        recipe = Path(args.run, "recipe.yaml")
        if not recipe.is_file():
            raise RunError(f"{args.run} holds no recipe.yaml: give the folder of a run that trained a model")
        run = parse_run([str(recipe), *keys, *PREDICTS, "--model_path", args.run, "--output_dir", str(folder)])
        with claim_folder(folder, args.resume, option="--out", resumed_by="--resume"):
            print(personalise_run(finished, run, trial, args.split, folder))
    except Burst2VecError as error:
        return refused(error)
    print(f"\neverything is in {folder}")
    return 0


def tuning_of(way: str, args: argparse.Namespace) -> "Tuning":
    """What a word behind ``--tune`` means."""
    from burst2vec.personalising import Tuning

    return Tuning(way if way == BIAS_AND_SCALE else way.split(","), args.steps, args.rate)


def personalise_run(finished: "FinishedRun", run: "Run", trial: "Trial", split: str, folder: Path) -> str:
    """Everything of one run and split, written into ``folder``; what the console says of it."""
    import torch

    from burst2vec.comparison.fewshot import answer_speakers, described, keep_trial, official_predictions, read_clips
    from burst2vec.comparison.fewshot_report import measure, write_report
    from burst2vec.experiment.baseline import from_record
    from burst2vec.experiment.building import load_extractor, load_model
    from burst2vec.experiment.submitting import FEW_SHOT, write_submission
    from burst2vec.scoring import answered_forms

    model, extractor = load_model(finished.folder).eval(), load_extractor(finished.folder)
    for tuning in trial.tunings.values():
        tuning.refuse_for(model)
    trial.chosen(tuple(model.tasks.values()))
    clips = read_clips(run, split, trial)
    print(clips.summary())
    keep_trial(folder, described(finished.folder, run.recipe.to_dict()["data"], split, clips, trial))
    if torch.cuda.is_available():
        model.cuda()
    tasks, lines = tuple(model.tasks.values()), []
    answers = list(answer_speakers(model, extractor, clips, trial, folder))
    if split == "test" and answered_forms(tasks, personal=True):
        way = next(iter(trial.tunings))
        predicted = official_predictions(model, extractor, clips, answers, way)
        constant = from_record(finished.record.constant, tasks)
        others = (clips.table, clips.unreadable, constant, FEW_SHOT)
        if (written := write_submission(folder, tasks, run.data, predicted, *others)) is not None:
            lines.append(f"{written.summary()}; by {way}, first draw")
    gains = measure(answers, tasks, trial)
    if gains:
        lines.insert(0, write_report(gains, trial, f"{finished.folder.resolve().name}, {split}", folder))
    else:
        lines.insert(0, "no query clip has labels, so nothing is scored")
    return "\n\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
