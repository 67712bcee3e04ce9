"""What a run reads: the corpora that its recipe names, mixed, checked and preprocessed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from datasets import Dataset, DatasetDict

from ..data import load_bursts
from ..data.clips import check_clips
from ..data.corpora import CORPORA, corpus_tasks
from ..data.corpora.derived import derive_classes, derived_tasks
from ..data.corpora.mixing import mix_corpora
from ..data.corpora.splits import clips_of_speakers, held_out_clips
from ..data.preprocessing import preprocess_corpus
from ..errors import RunError
from ..tasks import TASK_PRESETS, Task
from .building import saved_tasks
from .corpus_keys import settings_of
from .recipes import Run
from .sections import CorpusArguments, DataArguments

logger = logging.getLogger(__name__)


HELD_OUT = "held_out"  # the split of the training speakers that a run does not train on, see ``hold_out``


@dataclass(frozen=True)
class Clips:
    """The clips of one split that a run uses, and those that it could not read, with the reasons."""

    dataset: Dataset
    skipped: list

    @property
    def counts(self) -> dict[str, int]:
        return {"used": len(self.dataset), "skipped": len(self.skipped)}


def tasks_of(run: Run) -> tuple[Task, ...]:
    """What a run predicts: the recipe's tasks; where it names none, those of its saved model, or ExVo's.

    Raises:
        RunError: no saved model.
    """
    model = run.model
    if model.task_records is not None:
        return model.task_records
    return TASK_PRESETS["exvo"] if model.model_path is None else saved_tasks(model.model_path)


def read_corpora(arguments: DataArguments, tasks: Sequence[Task], for_prediction: bool = False) -> DatasetDict:
    """The corpus that the recipe names, or several as one; a synthetic one is written first if it is not there yet.

    A classification that a corpus lacks is derived where it has the intensities: emotion_class from emotion.

    Args:
        arguments: what to read.
        tasks: of the model.
        for_prediction: the clips are only predicted: they may lack labels, and a folder or EmoGator without splits
            is one split, test.

    Raises:
        RunError: a corpus without its folder, or no label of a task.
    """
    corpora, tasks_of = {}, {}
    for name, described in arguments.corpora.items():
        corpora[name], tasks_of[name] = _read(described, arguments, tasks, for_prediction)
    if arguments.mix is not None:
        return mix_corpora(corpora, tasks_of, tasks, for_prediction)
    ((name, corpus),) = corpora.items()
    (names, *_) = corpus.column_names.values()
    columns = [column for column in names if column not in ("file_id", "audio", "speaker")]
    if not for_prediction and (missing := [task.name for task in tasks if task.name not in columns]):
        raise RunError(
            f"the corpus {name} has no labels for the tasks {missing}; it has {columns}; change --tasks or --corpus"
        )
    return corpus


def _read(
    corpus: CorpusArguments, arguments: DataArguments, tasks: Sequence[Task], for_prediction: bool
) -> tuple[DatasetDict, tuple[Task, ...]]:
    """A corpus, and the tasks that its columns hold, derived ones too."""
    if CORPORA[corpus.corpus].write is None and corpus.data_dir is None:
        raise RunError(f"the corpus {corpus.corpus} is read from a folder; give it with --data_dir FOLDER")
    settings = settings_of(corpus, tasks=tasks, for_prediction=for_prediction)
    bursts = load_bursts(
        corpus.corpus,
        data_dir=corpus.data_dir,
        cache_dir=arguments.cache_dir,
        num_proc=arguments.preprocessing_num_workers,
        **settings,
    )
    own = corpus_tasks(corpus.corpus, **settings)
    return derive_classes(bursts, own, tasks), own + derived_tasks(own, tasks)


def hold_out(corpus: DatasetDict, fraction: float | None, seed: int) -> DatasetDict:
    """The corpus with some training speakers' clips in a split of their own, ``held_out``, and no longer in train.

    Args:
        corpus: as ``read_corpora`` gives it.
        fraction: of the training speakers; None for none.
        seed: of the draw, see ``held_out_clips``.

    Raises:
        CorpusError: fewer than two speakers to train on.
    """
    if fraction is None or "train" not in corpus:
        return corpus
    train = corpus["train"]
    speakers = train["speaker"][:]
    if unknown := sum(not speaker for speaker in speakers):
        logger.warning(
            "held_out: %s of %s training clips have no speaker and count as one each; a voice may be on both sides",
            f"{unknown:,}",
            f"{len(speakers):,}",
        )
    held = held_out_clips(speakers, fraction, seed)
    parts = {"train": train.select(np.flatnonzero(~held)), HELD_OUT: train.select(np.flatnonzero(held))}
    return DatasetDict({**corpus, **parts})


def draw_speakers(corpus: DatasetDict, most: int | None, seed: int) -> DatasetDict:
    """The corpus with the clips of so many training speakers in train, None for all; see ``clips_of_speakers``.

    Raises:
        CorpusError: fewer speakers to train on, or clips without one.
    """
    if most is None or "train" not in corpus:
        return corpus
    drawn = clips_of_speakers(corpus["train"]["speaker"][:], most, seed)
    return DatasetDict({**corpus, "train": corpus["train"].select(np.flatnonzero(drawn))})


def selection_split(arguments: DataArguments) -> str:
    """The split that is evaluated during training, by which a run stops, lowers its rate and chooses its weights."""
    return "validation" if arguments.held_out is None else HELD_OUT


def choose_clips(corpus: DatasetDict, wanted: dict[str, int | None], seed: int) -> dict[str, Dataset]:
    """The wanted splits that the corpus has, each limited to a number of clips.

    Args:
        wanted: for each split the largest number of clips, None for all.
        seed: of the draw.
    """
    return {split: draw_clips(corpus[split], most, seed) for split, most in wanted.items() if split in corpus}


def draw_clips(dataset: Dataset, most: int | None, seed: int) -> Dataset:
    """At most ``most`` clips, drawn at random by ``seed``: the first clips of a sorted corpus lack whole classes."""
    if most is None or most >= len(dataset):
        return dataset
    return dataset.select(np.sort(np.random.default_rng(seed).permutation(len(dataset))[:most]))


def prepare_clips(chosen: dict[str, Dataset], arguments: DataArguments, steps: Sequence) -> dict[str, Clips]:
    """The chosen clips without those that cannot be read, and after preprocessing; both are cached.

    With ``decode_once`` clips without any step are kept decoded too.

    Where vectors are read from tables (``features_dir``), no clip is read: preprocessing was done before those were
    computed.
    """
    if arguments.features_dir is not None:
        return {split: Clips(dataset, []) for split, dataset in chosen.items()}
    num_proc = arguments.preprocessing_num_workers
    prepared = {}
    for split, dataset in chosen.items():
        readable, skipped = check_clips(dataset, arguments.on_bad_clip, num_proc)
        kept = steps or arguments.decode_once
        prepared[split] = Clips(preprocess_corpus(readable, steps, num_proc) if kept else readable, skipped)
    return prepared
