"""One run, from a recipe to its files: load, check, train, evaluate, predict, save."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import yaml
from datasets import DatasetDict
from transformers import ProgressCallback, set_seed

from ..audio import read_transforms
from ..command_line import recipe_list
from ..data.checking import check_corpus
from ..data.vectors import VECTOR
from ..errors import AudioError, CheckpointError, CorpusError, RecipeError, RunError, TransformError
from ..files import WriteError, write_whole
from ..locks import FolderInUseError, check_lock
from ..tasks import Task
from ..training.progress import OneLineProgress
from ..training.trainer import Burst2VecTrainer
from .baseline import constant_of, to_record
from .building import build_model, checkpoint_to_resume, claim_folder, feature_names, refuse_other_tasks, resume_from
from .feature_inputs import feature_inputs
from .inputs import choose_clips, prepare_clips, read_corpora
from .model_card import model_card, pictures_of
from .normalisation_statistics import estimate_statistics
from .plots import plot_losses
from .prechecks import check_run, check_splits
from .recipes import Run, argument_parser, corpora_of, parse_run
from .results import Outcome, versions
from .run_record import RunRecord

# What a user can mend; anything else is a fault of the program and keeps its traceback.
REFUSALS = (
    RecipeError,
    RunError,
    CheckpointError,
    CorpusError,
    AudioError,
    TransformError,
    FileExistsError,
    FloatingPointError,
    FolderInUseError,
    WriteError,
)

USAGE = """usage: burst2vec train RECIPE [--key value …]

Trains, evaluates and predicts as the recipe says, and writes model, scores, predictions, plots and a model card into
--output_dir (default: runs/<recipe>). RECIPE is a file of yours, or the name of one that comes with burst2vec. Several
processes: accelerate launch -m burst2vec train RECIPE …, or accelerate launch examples/run_exvo.py RECIPE ….
Any key of a recipe can be given, for example:

  --data_dir FOLDER                         where the corpus is
  --max_train_samples 100 --max_steps 20    a quick trial
  --resume_from_checkpoint true             go on after an interruption
  --do_train false --model_path FOLDER      evaluate and predict with a saved model
  --do_train false --model_path RUN --corpus folder --splits null --data_dir NEW
                                            predict new clips: all in the folder NEW, which needs no table, or one of
                                            files and speakers; RUN/recipe.yaml is the recipe
  --help                                    every key
"""


def main(arguments: list[str]) -> int:
    """The command line ``burst2vec train``, which is examples/run_exvo.py.

    Args:
        arguments: without the program's name.

    Returns:
        0; 2 where the command line, the recipe, the corpus or the output folder is refused: the reason is on stderr.
    """
    if not arguments or {"-h", "--help"} & set(arguments):
        print(USAGE)
        print("recipes that come with burst2vec:")
        print("\n".join(f"  {line}" for line in recipe_list()))
        if arguments:
            print("\n" + argument_parser().format_help())
        return 0 if arguments else 2
    try:
        execute(parse_run(arguments))
    except REFUSALS as error:
        return refused(error)
    return 0


def refused(error: Exception) -> int:
    """Say why a command line is refused, in one line on stderr; gives the exit status."""
    print("error:", *map(str.strip, str(error).splitlines()), file=sys.stderr)
    return 2


def execute(run: Run) -> RunRecord:
    """Do what a recipe says, and write everything into its ``output_dir``.

    Returns:
        The run's record; on other processes than the main one it has no scores.

    Raises:
        RunError: an output folder in use, a model or checkpoint of another task set, a corpus without labels.
    """
    tasks = check_run(run)
    folder, resume = Path(run.training.output_dir), resume_from(run.training.resume_from_checkpoint)
    with claim_folder(folder, resume):
        return _execute(run, folder, resume, tasks)


def _execute(run: Run, folder: Path, resume: str | bool | None, tasks: tuple[Task, ...]) -> RunRecord:
    training = run.training
    checkpoint = checkpoint_to_resume(folder, resume, training.load_best_model_at_end)
    if checkpoint is not None:
        refuse_other_tasks(checkpoint, tasks)
    with training.main_process_first(desc="reading the corpus"):
        corpus = read_corpora(run.data, tasks, for_prediction=not training.do_train)
        chosen = choose_clips(corpus, _wanted(run), training.seed)
        check_splits(run, corpus, chosen, tasks)
    set_seed(training.seed)  # for weights that start from scratch
    steps = read_transforms(run.data.preprocess) if run.data.preprocess else None
    model, extractor = build_model(run.model, steps, run.data.normalise_per_speaker)
    needs_sound, num_proc = run.data.features_dir is None, run.data.preprocessing_num_workers
    with training.main_process_first(desc="reading the clips"):
        check = check_corpus(chosen, tasks, num_proc, _shares_speakers(run), sound=needs_sound)
        check.raise_if_refused()
        clips = prepare_clips(chosen, run.data, extractor.preprocess)
        if extractor.features:
            names = feature_names(run.model.features) or extractor.features
            heard_as = replace(run.data, normalise_per_speaker=extractor.normalise_per_speaker)
            clips = feature_inputs(clips, names, heard_as, folder, run.model.model_path)
        train_clips = clips["train"].dataset if training.do_train else None
    if extractor.features and clips:
        size = len(next(iter(clips.values())).dataset[0][VECTOR])
        set_seed(training.seed)
        model, extractor = build_model(run.model, steps, run.data.normalise_per_speaker, size)
    if training.do_train and run.model.model_path is None and checkpoint is None:
        estimate_statistics(model, extractor, train_clips, training.seed)
    trainer = Burst2VecTrainer(
        model=model,
        args=training,
        train_dataset=train_clips,
        eval_dataset=clips["validation"].dataset if "validation" in clips else None,
        processing_class=extractor,
    )
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(OneLineProgress(tasks))
    is_main = trainer.is_world_process_zero()
    if is_main:
        folder.mkdir(parents=True, exist_ok=True)
        print(check.summary())
        print("".join(_not_predicted(run, corpus)), end="")
        if left_out := sum(len(prepared.skipped) for prepared in clips.values()):
            print(f"  the {left_out:,} clips that cannot be used are left out")
    if training.do_train:
        trainer.train(resume_from_checkpoint=resume)
        if is_main:
            print(f"the model has the weights of step {trainer.step_of_weights} of {trainer.state.global_step}")
            check_lock(folder)
            RunRecord.discard(folder)  # of other weights than those saved now
        trainer.save_model(folder)
    outcome = Outcome(folder, tasks, constant_of(run, corpus, train_clips, tasks))
    for split, asked in (("validation", training.do_eval), ("test", training.do_predict)):
        if asked and split in clips:
            predictions = trainer.predict(clips[split].dataset).predictions
            if is_main:
                print(outcome.add(split, clips[split], predictions, run.data, corpus[split]["file_id"][:]))
    record = RunRecord(
        corpora=[corpus.corpus for corpus in corpora_of(run.data).values()],
        recipe=run.recipe.to_dict(),
        preprocess=extractor.preprocess,
        features=extractor.features,
        normalise_per_speaker=extractor.normalise_per_speaker,
        seed=training.seed,
        steps=trainer.state.global_step,
        step_of_weights=trainer.step_of_weights if training.do_train else None,
        clips={split: {**chosen.counts, **outcome.labelled.get(split, {})} for split, chosen in clips.items()},
        scores=outcome.scores,
        baseline=outcome.baseline,
        constant=to_record(outcome.constant),
        submission=outcome.submission,
        versions=versions(),
    )
    if is_main:
        if training.do_train:
            recipe = yaml.safe_dump(record.recipe, sort_keys=False, allow_unicode=True)
            write_whole(folder / "recipe.yaml", recipe)
            plot_losses(trainer.state.log_history, folder / "plots" / "losses.png")
            card = model_card(folder.resolve().name, record, tasks, pictures_of(folder))
            write_whole(folder / "README.md", str(card))
        record.write(folder)  # last: with it the run is finished
        print(f"\neverything is in {folder}")
    trainer.accelerator.wait_for_everyone()
    return record


def _not_predicted(run: Run, corpus: DatasetDict) -> Iterator[str]:
    """A line for each split that a saved model could predict and does not: on new clips that is easily overlooked."""
    if not run.training.do_train:
        for split in [split for split in corpus if split not in _wanted(run)]:
            yield (
                f"  {split}: its {len(corpus[split]):,} clips are not predicted; to predict all clips of a folder as "
                "one split, leave out --splits, and its column of splits by --columns '{\"split\": null}'\n"
            )


def _shares_speakers(run: Run) -> bool:
    return any(corpus.allow_shared_speakers for corpus in corpora_of(run.data).values())


def _wanted(run: Run) -> dict[str, int | None]:
    """The splits that the run needs the sound of, and how many clips of each at most."""
    validates = run.training.do_eval or (run.training.do_train and run.training.eval_strategy != "no")
    needed = {
        "train": (run.training.do_train, run.data.max_train_samples),
        "validation": (validates, run.data.max_eval_samples),
        "test": (run.training.do_predict, run.data.max_predict_samples),
    }
    return {split: most for split, (is_needed, most) in needed.items() if is_needed}
