"""The clips of a run, read, checked and prepared before the model is built."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets import DatasetDict

from ..data.checking import check_corpus
from ..tasks import Task
from .baseline import Constant, constant_of
from .inputs import HELD_OUT, Clips, choose_clips, draw_speakers, hold_out, read_corpora, selection_split
from .model_inputs import FeatureVectors, Recordings
from .prechecks import check_splits
from .recipe_by_size import few_for_scratch, said_of
from .recipes import Run


@dataclass(frozen=True)
class RunInputs:
    """
    Attributes:
        tasks: what is predicted.
        corpus: all splits, as they were read, and the held-out part of train as one of them.
        clips: by split those that the run uses, prepared, and those that cannot be used.
        vector_size: numbers in a vector; None where the model takes recordings.
        constant: the constant baseline's prediction; None where it is unknown.
        summary: of the check of the clips, for the console.
    """

    tasks: tuple[Task, ...]
    corpus: DatasetDict
    clips: dict[str, Clips]
    vector_size: int | None
    constant: Constant | None
    summary: str


def read_inputs(run: Run, tasks: tuple[Task, ...], takes: Recordings | FeatureVectors, folder: Path) -> RunInputs:
    """Read, check and prepare the clips of a run, in every process, the main one first.

    Args:
        run: the run.
        tasks: of its model.
        takes: the input of its model.
        folder: of the run, for what feature sets learn of training clips.

    Raises:
        RunError, CorpusError, AudioError: the corpus lacks what the run needs, or cannot be read.
    """
    training = run.training
    with training.main_process_first(desc="reading the corpus"):
        corpus = read_corpora(run.data, tasks, for_prediction=not training.do_train)
        if training.do_train:
            corpus = hold_out(corpus, run.data.held_out, training.seed)
        corpus = draw_speakers(corpus, run.data.train_speakers, training.seed)
        chosen = choose_clips(corpus, _wanted(run), training.seed)
        check_splits(run, corpus, chosen, tasks)
    needs_sound, num_proc = run.data.features_dir is None, run.data.preprocessing_num_workers
    with training.main_process_first(desc="reading the clips"):
        check = check_corpus(chosen, tasks, num_proc, _shares_speakers(run), sound=needs_sound)
        check.raise_if_refused()
        clips = takes.prepare(chosen, folder)
    few = few_for_scratch(run.model, len(clips["train"].dataset)) if training.do_train else []
    chose = [f"  {said_of(run.choice)}"] if run.choice else []
    summary = "\n".join([check.summary(), *chose, *_not_predicted(run, corpus), *_left_out(clips), *few])
    constant = constant_of(run, corpus, clips["train"].dataset if training.do_train else None, tasks)
    return RunInputs(tasks, corpus, clips, takes.vector_size(clips), constant, summary)


def _not_predicted(run: Run, corpus: DatasetDict) -> Iterator[str]:
    """A line for each split that is left unpredicted, which is easily overlooked on new clips."""
    if not run.training.do_train:
        for split in [split for split in corpus if split not in _wanted(run)]:
            yield (
                f"  {split}: its {len(corpus[split]):,} clips are not predicted; to predict all clips of a folder as "
                "one split, leave out --splits, and its column of splits by --columns '{\"split\": null}'"
            )


def _left_out(clips: dict[str, Clips]) -> Iterator[str]:
    if count := sum(len(prepared.skipped) for prepared in clips.values()):
        yield f"  the {count:,} clips that cannot be used are left out"


def _shares_speakers(run: Run) -> bool:
    return any(corpus.allow_shared_speakers for corpus in run.data.corpora.values())


def _wanted(run: Run) -> dict[str, int | None]:
    """The splits whose clips the run needs, and how many of each at most."""
    training, data = run.training, run.data
    selects_by = selection_split(data) if training.do_train and training.eval_strategy != "no" else None
    needed = {
        "train": (training.do_train, data.max_train_samples),
        HELD_OUT: (selects_by == HELD_OUT, data.max_eval_samples),
        "validation": (training.do_eval or selects_by == "validation", data.max_eval_samples),
        "test": (training.do_predict, data.max_predict_samples),
    }
    return {split: most for split, (is_needed, most) in needed.items() if is_needed}
