"""What a run stands on before its first step: an output folder of its own, a model, and clips that can be heard."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelerate import PartialState
from datasets import Dataset, DatasetDict

from ..configuration_burst2vec import Burst2VecConfig
from ..data import load_bursts
from ..data.clips import check_clips
from ..feature_extraction_burst2vec import Burst2VecFeatureExtractor
from ..modeling_burst2vec import Burst2VecForMultiTask
from ..tasks import Task, resolve_tasks
from .sections import DataArguments, ModelArguments


class RunError(ValueError):
    """A run that cannot start; the message says what stands in the way and which call mends it."""


@dataclass(frozen=True)
class Clips:
    """The clips of one split that a run uses, and the names and reasons of those that it could not hear."""

    dataset: Dataset
    skipped: list

    @property
    def counts(self) -> dict[str, int]:
        return {"used": len(self.dataset), "skipped": len(self.skipped)}

    def describe(self, split: str) -> str:
        """One line for the console, and one for each of the first unreadable clips.

        >>> Clips(range(100), []).describe("train")
        'train: 100 clips'
        """
        first = [f"  {clip.reason}" for clip in self.skipped[:3]] + ["  …"] * (len(self.skipped) > 3)
        skipped = f", {len(self.skipped):,} unreadable left out:" if self.skipped else ""
        return "\n".join([f"{split}: {len(self.dataset):,} clips{skipped}", *first])


def resume_from(asked: str | None) -> str | bool | None:
    """``--resume_from_checkpoint true`` is the newest checkpoint of the output folder; else a checkpoint's folder."""
    return {"true": True, "false": None, "": None}.get((asked or "").lower(), asked)


def claim_folder(folder: Path, resume: str | bool | None) -> None:
    """Refuse to mix two runs in one folder; every process looks before any writes.

    Raises:
        RunError: the folder holds files and the run does not resume.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; give a folder with --output_dir")
    if not resume and folder.exists() and any(folder.iterdir()):
        raise RunError(
            f"output folder {folder} is not empty; go on with its run by --resume_from_checkpoint true, or give "
            "another folder with --output_dir"
        )
    PartialState().wait_for_everyone()


def build_model(arguments: ModelArguments) -> tuple[Burst2VecForMultiTask, Burst2VecFeatureExtractor]:
    """The model that the recipe describes, or the saved one at ``model_path``, and what prepares its clips.

    Raises:
        RunError: no encoder, or a saved model with other tasks or knobs than the recipe's.
    """
    levels = {} if arguments.level_dbfs is None else {"level_dbfs": arguments.level_dbfs}
    if arguments.model_path is not None:
        refuse_other_tasks(arguments.model_path, arguments.tasks)
        model = Burst2VecForMultiTask.from_pretrained(arguments.model_path, use_safetensors=True)
        _refuse_other_knobs(model.config, arguments)
        return model, Burst2VecFeatureExtractor.from_pretrained(arguments.model_path, **levels)
    if arguments.encoder is None:
        raise RunError(
            'no encoder is named; give --encoder facebook/hubert-base-ls960, or --encoder \'{"model_type": "hubert"}\' '
            "to start from scratch, or --model_path with a saved model"
        )
    if isinstance(arguments.encoder, dict):
        model = Burst2VecForMultiTask(Burst2VecConfig(encoder_config=arguments.encoder, **arguments.knobs()))
    else:
        model = Burst2VecForMultiTask.from_encoder_pretrained(arguments.encoder, **arguments.knobs())
        if Path(arguments.encoder).exists():  # a place of this machine, which must not travel with the configuration
            model.config.encoder_config._name_or_path = Path(arguments.encoder).name
    return model, Burst2VecFeatureExtractor(**levels)


def refuse_other_tasks(saved: str | Path, tasks) -> None:
    """Compare the recipe's tasks with those of a saved model or checkpoint, before its weights are read.

    Raises:
        RunError: there is no model, or it has another task set; both are named.
    """
    file = Path(saved) / "config.json"
    if not file.is_file():
        raise RunError(f"{saved} holds no config.json: give the folder of a saved Burst2Vec model")
    found = resolve_tasks(json.loads(file.read_text(encoding="utf-8")).get("tasks", ()) or "exvo")
    if tasks is not None and found != resolve_tasks(tasks):
        raise RunError(
            f"{saved} was trained on the tasks {_named(found)}, and the recipe asks for "
            f"{_named(resolve_tasks(tasks))}; take the recipe that it was trained with (its folder has it as "
            "recipe.yaml), or train a new model"
        )


def _named(tasks: Sequence[Task]) -> str:
    return "[" + ", ".join(f"{task.name} ({task.kind}, {len(task.labels)})" for task in tasks) + "]"


def _refuse_other_knobs(saved: Burst2VecConfig, arguments: ModelArguments) -> None:
    knobs = {name: value for name, value in arguments.knobs().items() if name != "tasks"}
    other = [
        f"{name} {getattr(saved, name)}, not {value}" for name, value in knobs.items() if getattr(saved, name) != value
    ]
    if other:
        raise RunError(
            f"{arguments.model_path} was saved with {', '.join(other)} as the recipe asks; take the recipe that it was "
            "trained with (its folder has it as recipe.yaml)"
        )


def read_corpus(arguments: DataArguments, tasks: Sequence[Task]) -> DatasetDict:
    """The corpus that the recipe names; the synthetic one is written first if it is not there yet.

    Raises:
        RunError: the corpus has no label of a task.
    """
    if arguments.corpus != "synthetic" and arguments.data_dir is None:
        raise RunError(f"the corpus {arguments.corpus} is read from a folder; give it with --data_dir FOLDER")
    corpus = load_bursts(
        arguments.corpus,
        data_dir=arguments.data_dir,
        splits=arguments.splits,
        cache_dir=arguments.cache_dir,
        num_proc=arguments.preprocessing_num_workers,
        clips=arguments.synthetic_clips,
        speakers=arguments.synthetic_speakers,
        seed=arguments.synthetic_seed,
    )
    columns = [name for name in corpus["train"].column_names if name not in ("file_id", "audio", "speaker")]
    if missing := [task.name for task in tasks if task.name not in columns]:
        raise RunError(
            f"the corpus {arguments.corpus} has no labels for the tasks {missing}; it has {columns}; change --tasks "
            "or --corpus"
        )
    return corpus


def choose_clips(
    corpus: DatasetDict, wanted: dict[str, int | None], arguments: DataArguments, seed: int
) -> dict[str, Clips]:
    """The wanted splits, cut to so many clips and freed of unreadable ones.

    Args:
        wanted: for each split the most clips to take of it, None for all; which ones is drawn by ``seed``.
    """
    chosen = {}
    for split, most in wanted.items():
        if split in corpus:
            dataset = draw_clips(corpus[split], most, seed)
            chosen[split] = Clips(
                *check_clips(dataset, arguments.on_bad_clip, num_proc=arguments.preprocessing_num_workers)
            )
    return chosen


def draw_clips(dataset: Dataset, most: int | None, seed: int) -> Dataset:
    """At most so many clips, drawn by ``seed``, in the dataset's order: a sorted corpus must not lose whole classes."""
    if most is None or most >= len(dataset):
        return dataset
    return dataset.select(np.sort(np.random.default_rng(seed).permutation(len(dataset))[:most]))
