"""Temperatures and quantiles of a finished run, from its validation clips, which are predicted again."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datasets import Dataset, DatasetDict

from ..data.corpora.splits import speaker_key
from ..errors import RunError
from ..files import write_json, write_whole
from ..locks import lock_folder
from ..tasks import Task
from ..training.trainer import Burst2VecTrainer
from .baseline import from_record
from .building import build_model
from .calibration import Calibration, calibration_lines
from .finished import FinishedRun, read_predictions, read_run
from .inputs import choose_clips, read_corpora
from .model_card import model_card, pictures_of
from .model_inputs import asked_of_clips
from .prechecks import check_run
from .recipes import Run, parse_run
from .results import Outcome

CONFIG = "config.json"


@dataclass(frozen=True)
class Calibrated:
    """What a calibration was of, and the sentences about its result.

    Attributes:
        clips, speakers: validation clips of speakers whom the model was not trained on.
        left_out: validation clips of others.
        lines: for the console.
    """

    clips: int
    speakers: int
    left_out: int
    lines: list[str]


def calibrate_run(folder: str | Path, keys: Sequence[str] = ()) -> Calibrated:
    """Give a finished run's model temperatures and quantiles, as training with validation clips gives them.

    Its predictions, pictures, record and card then are of the calibrated model. Weights and scores stay.

    Args:
        folder: of the run.
        keys: of its recipe, as on the command line of ``burst2vec train``, such as ``["--data_dir", "CORPUS"]``.

    Raises:
        RunError: no finished run with a model; a corpus without validation clips, without the run's training clips, or
            with other validation clips than the run's; clips that were trained on, or of unknown speakers.
    """
    folder = Path(folder)
    finished = read_run(folder)
    for name in ("recipe.yaml", CONFIG):
        if not (folder / name).is_file():
            raise RunError(f"{folder} holds no {name}: give the folder of a run that trained a model")
    with lock_folder(folder), tempfile.TemporaryDirectory() as place:
        as_saved = ["--do_train", "false", "--model_path", str(folder), "--output_dir", place]
        run = parse_run([str(folder / "recipe.yaml"), *keys, *as_saved])
        tasks, takes = check_run(run)
        corpus = read_corpora(run.data, tasks)
        trained_on = _trained_on(corpus)
        most = {"validation": run.data.max_eval_samples, "test": run.data.max_predict_samples}
        wanted = {split: most[split] for split in dict.fromkeys(["validation", *finished.splits()])}
        clips = takes.prepare(choose_clips(corpus, wanted, run.training.seed), Path(place))
        validation = clips["validation"].dataset
        _refuse_other_clips(finished, run, len(corpus["train"]), validation)
        new = _count_new(validation, trained_on)
        model, extractor = build_model(run.model, *asked_of_clips(run.data), takes.vector_size(clips))
        model.config.conformal = model.config.temperatures = None
        trainer = Burst2VecTrainer(model=model, args=run.training, processing_class=extractor)
        calibration = Calibration(tasks, model.config, trained_on)
        constant = from_record(finished.record.constant, tasks)
        outcome = Outcome(folder, tasks, constant, calibration, submits=False)
        for split, chosen in clips.items():
            outcome.add(split, chosen, trainer.predict(chosen.dataset).predictions, run.data, corpus[split]["file_id"])
        if not calibration.conformal:
            raise RunError(f"{folder}: none of its {len(validation):,} validation clips has a label to calibrate by")
        lines = _write(finished, tasks, outcome)
    return Calibrated(*new, lines)


def _trained_on(corpus: DatasetDict) -> frozenset[str]:
    """The speakers of the training clips."""
    for split in ("validation", "train"):
        if split not in corpus:
            raise RunError(
                f"the corpus has no split {split}; it has {list(corpus)}. Give the corpus of the run, with its splits: "
                "its validation clips calibrate, where their speakers were not trained on"
            )
    train = corpus["train"]
    named = train["speaker"][:] if "speaker" in train.column_names else []
    return frozenset(speaker_key(speaker) for speaker in named if speaker)


def _refuse_other_clips(finished: FinishedRun, run: Run, train_clips: int, validation: Dataset) -> None:
    """Refuse validation clips that are not those of the run, because it may have trained on them.

    Of a run that did not predict them only the number of its training clips is known.
    """
    path = finished.predictions_file("validation")
    if not path.is_file():
        count = sum(finished.record.clips["train"].values())  # used and skipped
        if run.data.max_train_samples is None and run.data.held_out is None and train_clips != count:
            raise RunError(
                f"{finished.folder}: was trained on a corpus of {count:,} training clips, and this one has "
                f"{train_clips:,}, so its validation clips may be among them; give the run's own corpus and splits"
            )
        return
    its_own = set(read_predictions(path, finished.tasks)[0])
    if others := [file_id for file_id in validation["file_id"] if file_id not in its_own]:
        raise RunError(
            f"{finished.folder}: {len(others):,} of the corpus's {len(validation):,} validation clips, such as "
            f"{others[0]!r}, are not validation clips of the run, which may have trained on them; give its own corpus "
            "and splits"
        )


def _count_new(validation: Dataset, trained_on: frozenset[str]) -> tuple[int, int, int]:
    """Clips and speakers that were not trained on, and clips that were.

    Raises:
        RunError: there is none.
    """
    named = validation["speaker"][:] if "speaker" in validation.column_names else []
    speakers = [key for speaker in named if (key := speaker_key(speaker or ""))]
    if not speakers:
        raise RunError(
            f"none of the {len(validation):,} validation clips names its speaker, and only clips of speakers whom the "
            "model was not trained on can calibrate it; name them in the corpus's table"
        )
    new = [speaker for speaker in speakers if speaker not in trained_on]
    if not new:
        raise RunError(
            f"the {len(validation):,} validation clips are of {len(set(speakers)):,} speakers whom the model was "
            "trained on, on whose clips its errors are too small; split the corpus by speakers, and train again"
        )
    return len(new), len(set(new)), len(validation) - len(new)


def _write(finished: FinishedRun, tasks: Sequence[Task], outcome: Outcome) -> list[str]:
    """Write configuration, card and record of the calibrated model; what to say of it."""
    folder, path, calibration = finished.folder, finished.folder / CONFIG, outcome.calibration
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"conformal": calibration.conformal, "temperatures": calibration.temperatures}
    write_json(path, config)
    measured = {"coverage": calibration.coverage, "calibration": calibration.errors, "by_speaker": outcome.by_speaker}
    record = replace(finished.record, **measured)
    card = model_card(folder.resolve().name, record, tasks, pictures_of(folder))
    write_whole(folder / "README.md", str(card))
    record.write(folder)
    return [
        line
        for split in ("validation", "test")
        for line in calibration_lines(split, record.coverage, record.calibration, tasks)
    ]
