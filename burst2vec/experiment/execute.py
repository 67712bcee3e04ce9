"""One run, from a recipe to its files: load, check, train, evaluate, predict, save."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from transformers import ProgressCallback, set_seed

from ..command_line import recipe_list
from ..command_line.train_help import HELP_ALL, USAGE
from ..data.corpora.splits import speaker_key
from ..errors import Burst2VecError, refused
from ..files import write_whole
from ..locks import check_lock
from ..tasks import Task
from ..training.arguments import Burst2VecTrainingArguments
from ..training.progress import OneLineProgress
from ..training.trainer import Burst2VecTrainer
from ..training.training_time import TrainingTime
from .answer_time import answer_time
from .baseline import to_record
from .building import build_model, checkpoint_to_resume, claim_folder, refuse_other_tasks, resume_from
from .calibration import Calibration
from .inputs import selection_split
from .model_card import model_card, pictures_of
from .model_inputs import asked_of_clips
from .normalisation_statistics import estimate_statistics
from .plots import plot_losses
from .prechecks import check_run
from .recipe_by_size import choose_by_size, keep_choice
from .recipes import Run, argument_parser, parse_run
from .results import Outcome, versions
from .run_inputs import RunInputs, read_inputs
from .run_record import RunRecord


def main(arguments: list[str]) -> int:
    """The command line ``burst2vec train``, which is examples/run_exvo.py.

    Args:
        arguments: without the program's name.

    Returns:
        0; 2 where the command line, the recipe, the corpus or the output folder is refused: the reason is on stderr.
    """
    if not arguments:
        print(USAGE)
        print("recipes that come with burst2vec:")
        print("\n".join(f"  {line}" for line in recipe_list()))
        return 2
    if HELP_ALL in arguments:
        print(f"{USAGE}\n{argument_parser().format_help()}")
        return 0
    try:
        execute(parse_run(arguments))
    except Burst2VecError as error:
        return refused(error)
    return 0


def execute(run: Run) -> RunRecord:
    """Do what a recipe says, and write everything into its ``output_dir``.

    Returns:
        The run's record; on other processes than the main one it has no scores.

    Raises:
        RunError: an output folder in use, a model or checkpoint of another task set, a corpus without labels.
    """
    run = choose_by_size(run)
    tasks, takes = check_run(run)
    with hold_folder(run.training, tasks) as place:
        inputs = read_inputs(run, tasks, takes, place.folder)
        trainer = build_trainer(run, inputs, place)
        train(trainer, place)
        outcome = score(trainer, inputs, run, place)
        return write_run(run, trainer, inputs, outcome)


@dataclass(frozen=True)
class Place:
    """Where a run writes, and where it starts.

    Attributes:
        folder: the output folder; this run's alone.
        resume: True for its newest whole checkpoint, a checkpoint's folder, or None to start at the beginning.
        checkpoint: the whole checkpoint that ``resume`` means; None where there is none.
    """

    folder: Path
    resume: str | bool | None
    checkpoint: Path | None


@contextmanager
def hold_folder(training: Burst2VecTrainingArguments, tasks: tuple[Task, ...]) -> Iterator[Place]:
    """Hold the output folder for this run alone, and check that the checkpoint to resume is of these tasks."""
    folder, resume = Path(training.output_dir), resume_from(training.resume_from_checkpoint)
    with claim_folder(folder, resume):
        checkpoint = checkpoint_to_resume(folder, resume, training.load_best_model_at_end)
        if checkpoint is not None:
            refuse_other_tasks(checkpoint, tasks)
        yield Place(folder, resume, checkpoint)


def build_trainer(run: Run, inputs: RunInputs, place: Place) -> Burst2VecTrainer:
    """Build or load the model, and the trainer for it."""
    training, clips, evaluated = run.training, inputs.clips, selection_split(run.data)
    train_clips = clips["train"].dataset if training.do_train else None
    set_seed(training.seed)  # for weights that start from scratch
    model, extractor = build_model(run.model, *asked_of_clips(run.data), inputs.vector_size)
    if training.do_train and run.model.measures_clips and place.checkpoint is None:
        estimate_statistics(model, extractor, train_clips, training.seed)
    trainer = Burst2VecTrainer(
        model=model,
        args=training,
        train_dataset=train_clips,
        eval_dataset=clips[evaluated].dataset if evaluated in clips else None,
        processing_class=extractor,
    )
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(TrainingTime())
    trainer.add_callback(OneLineProgress(inputs.tasks, evaluated))
    if trainer.is_world_process_zero():
        place.folder.mkdir(parents=True, exist_ok=True)
        keep_choice(run.choice, place.folder)
        print(inputs.summary)
    return trainer


def train(trainer: Burst2VecTrainer, place: Place) -> None:
    """Train and save the model; does nothing where the run does not train."""
    if not trainer.args.do_train:
        return
    trainer.model.config.conformal = trainer.model.config.temperatures = None  # of a model that it starts from
    trainer.train(resume_from_checkpoint=place.resume)
    if trainer.is_world_process_zero():
        print(f"the model has the weights of step {trainer.step_of_weights} of {trainer.state.global_step}")
        check_lock(place.folder)
        RunRecord.discard(place.folder)  # of other weights than those saved now
    trainer.save_model(place.folder)


def score(trainer: Burst2VecTrainer, inputs: RunInputs, run: Run, place: Place) -> Outcome:
    """Predict the splits that the recipe asks for; the main process writes and scores the predictions."""
    calibration = Calibration(inputs.tasks, trainer.model.config, _trained_on(run, inputs))
    outcome = Outcome(place.folder, inputs.tasks, inputs.constant, calibration)
    for split, asked in (("validation", trainer.args.do_eval), ("test", trainer.args.do_predict)):
        if asked and split in inputs.clips:
            predictions = trainer.predict(inputs.clips[split].dataset).predictions
            if trainer.is_world_process_zero():
                table = inputs.corpus[split]["file_id"][:]
                print(outcome.add(split, inputs.clips[split], predictions, run.data, table))
    if trainer.args.do_train and calibration.conformal and trainer.is_world_process_zero():
        trainer.model.config.conformal = calibration.conformal
        trainer.model.config.temperatures = calibration.temperatures
        write_whole(place.folder / "config.json", trainer.model.config.to_json_string())
    return outcome


def _trained_on(run: Run, inputs: RunInputs) -> frozenset[str] | None:
    """The training speakers; None where the run does not train."""
    if not run.training.do_train:
        return None
    train_clips = inputs.clips["train"].dataset
    named = train_clips["speaker"][:] if "speaker" in train_clips.column_names else []
    return frozenset(speaker_key(speaker) for speaker in named if speaker)


def _speakers(inputs: RunInputs) -> dict[str, int]:
    """How many speakers each split's clips have; of clips that all have one."""
    found = {}
    for split, of_split in inputs.clips.items():
        named = of_split.dataset["speaker"][:] if "speaker" in of_split.dataset.column_names else []
        keys = {speaker_key(speaker or "") for speaker in named}
        if keys and "" not in keys:
            found[split] = len(keys)
    return found


def _cost(trainer: Burst2VecTrainer, inputs: RunInputs, run: Run, folder: Path) -> dict[str, float]:
    """What the run took, the size of the weights that it saved, and how long their answer takes on one core."""
    if not trainer.args.do_train:
        return {}
    # Looked up, because resuming puts another in its place.
    seconds = next(each for each in trainer.callback_handler.callbacks if isinstance(each, TrainingTime)).seconds
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    cost = {"train_seconds": seconds, "megabytes": weights / 1e6 if weights else None}
    if (clips := inputs.corpus.get(selection_split(run.data))) is not None:
        model = trainer.accelerator.unwrap_model(trainer.model)
        cost["milliseconds_per_clip"] = answer_time(model, trainer.processing_class, clips)
    return {name: round(value, 3) for name, value in cost.items() if value is not None}


def write_run(run: Run, trainer: Burst2VecTrainer, inputs: RunInputs, outcome: Outcome) -> RunRecord:
    """Write recipe, plot of the losses and model card of a trained model; and last the record, which ends the run."""
    training, extractor, folder = run.training, trainer.processing_class, outcome.folder
    record = RunRecord(
        corpora=[corpus.corpus for corpus in run.data.corpora.values()],
        recipe=run.recipe.to_dict(),
        preprocess=extractor.preprocess,
        features=extractor.features,
        normalise_per_speaker=extractor.normalise_per_speaker,
        seed=training.seed,
        steps=trainer.state.global_step,
        step_of_weights=trainer.step_of_weights if training.do_train else None,
        clips={split: {**chosen.counts, **outcome.labelled.get(split, {})} for split, chosen in inputs.clips.items()},
        speakers=_speakers(inputs),
        cost=_cost(trainer, inputs, run, folder) if trainer.is_world_process_zero() else {},
        scores=outcome.scores,
        baseline=outcome.baseline,
        by_speaker=outcome.by_speaker,
        coverage=outcome.calibration.coverage,
        calibration=outcome.calibration.errors,
        constant=to_record(outcome.constant),
        submissions=outcome.submissions,
        versions=versions(),
        choice=run.choice,
    )
    if trainer.is_world_process_zero():
        if training.do_train:
            recipe = yaml.safe_dump(record.recipe, sort_keys=False, allow_unicode=True)
            write_whole(folder / "recipe.yaml", recipe)
            history, evaluated = trainer.state.log_history, selection_split(run.data).replace("_", " ")
            plot_losses(history, folder / "plots" / "losses.png", inputs.tasks, evaluated)
            card = model_card(folder.resolve().name, record, inputs.tasks, pictures_of(folder))
            write_whole(folder / "README.md", str(card))
        record.write(folder)
        print(f"\neverything is in {folder}")
    trainer.accelerator.wait_for_everyone()
    return record
