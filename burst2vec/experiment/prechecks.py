"""Checks of a run's settings before a clip is decoded, a weight loaded or a file written."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import Trainer, get_scheduler
from transformers.integrations.integration_utils import (
    get_available_reporting_integrations,
    get_reporting_integration_callbacks,
)

from ..audio import apply_transforms, read_transforms
from ..configuration_burst2vec import Burst2VecConfig
from ..data.clip_batches import speakers_of
from ..data.collating import corpus_labels
from ..data.episodes import EpisodeBatchSampler
from ..data.sampling import labels_present, streams_of
from ..errors import RunError, TransformError
from ..modeling_burst2vec import Burst2VecForMultiTask
from ..scoring import baseline_predictions, score_tasks
from ..shipped_models import place_of
from ..tasks import Task
from ..training.arguments import (
    Burst2VecTrainingArguments,
    check_episodes,
    check_selection,
    refuse_several_gpus,
)
from ..waveforms import SAMPLING_RATE
from .building import build_model, resume_from
from .inputs import selection_split, tasks_of
from .model_inputs import FeatureVectors, Recordings, asked_of_clips, model_inputs
from .recipes import Run

MOST_WEIGHTS = 10**10  # 40 GB; the largest speech encoders have a tenth of it
ANY_ENCODER = {"kind": "vector", "features": 1}  # stands for one whose configuration is not on this machine yet


def check_run(run: Run) -> tuple[tuple[Task, ...], Recordings | FeatureVectors]:
    """Refuse settings that are wrong whatever the corpus holds.

    Returns:
        The tasks of the run's model, and its input.

    Raises:
        RunError, CorpusError, TransformError: the message names the key, its value, and what mends it.
    """
    _refuse_untrained(run)
    _check_places(run)
    tasks = tasks_of(run)
    _check_steps(run.data.preprocess)
    takes = _check_model(run)
    if run.training.do_train:
        _check_training(run.training, tasks)
    return tasks, takes


def check_splits(run: Run, corpus: Mapping[str, Dataset], chosen: Mapping[str, Dataset], tasks: Sequence[Task]) -> None:
    """Refuse a corpus that lacks the splits or the labels that the run needs.

    Args:
        run: the run.
        corpus: its splits.
        chosen: the clips that it will use, by split; only labels are read.
        tasks: of its model.

    Raises:
        RunError: names the split, and what mends it.
    """
    try:
        labels = {split: corpus_labels(clips, tasks) for split, clips in chosen.items()}
    except ValueError as error:
        raise RunError(
            f"the corpus has other labels than the tasks of the model: {error}; --mix goes by their names"
        ) from error
    if not run.training.do_train:
        if not chosen:
            raise RunError(
                f"no split is left to predict: the corpus has the splits {list(corpus)}, and do_eval is "
                f"{run.training.do_eval}, do_predict {run.training.do_predict}; give clips to test by --splits"
            )
        return
    if "train" not in chosen:
        raise RunError(
            "the corpus has no clips to train on, no split train; give some by --splits, or by its column of splits; "
            "or predict with a saved model by --do_train false --model_path FOLDER"
        )
    if unlabelled := [name for name, values in labels["train"].items() if not labels_present(values).any()]:
        raise RunError(
            f"split train: no clip has a label of the task {unlabelled[0]!r}; name its column with --columns, or leave "
            "the task out of --tasks"
        )
    if run.training.episode_support is not None:
        _check_speakers(run.training, labels["train"], chosen["train"])
    if run.training.eval_strategy != "no":
        _check_evaluation(run.training, labels, selection_split(run.data), tasks)


def _check_speakers(training: Burst2VecTrainingArguments, labels: dict, clips: Dataset) -> None:
    """Refuse clips of which no episode can be made, before they are read."""
    EpisodeBatchSampler(
        streams_of({name: labels_present(values) for name, values in labels.items()}, training.task_schedule),
        lengths=np.ones(len(clips)),
        clips_a_batch=training.per_device_train_batch_size,
        speakers=speakers_of(clips),
        support=training.episode_support,
        query=training.episode_query,
    )


def _check_evaluation(
    training: Burst2VecTrainingArguments, labels: dict[str, dict], split: str, tasks: Sequence[Task]
) -> None:
    """Refuse a split to evaluate in training that is not there, or gives no score to select by."""
    without = "or train without by --eval_strategy no --save_strategy no"
    if split not in labels:
        raise RunError(
            f"the corpus has no split {split}; give it clips by --splits or its column, hold out training speakers by "
            f"--held_out 0.1, {without}"
        )
    present = {name: labels_present(values) for name, values in labels[split].items()}
    scores = {}
    if any(found.any() for found in present.values()):
        constant = baseline_predictions(tasks, labels["train"], len(next(iter(present.values()))))
        scores = {"loss": 0.0, **score_tasks(tasks, constant, labels[split])}
    wanted = (training.metric_for_best_model or "loss").removeprefix("eval_")
    if wanted not in scores:
        raise RunError(
            f"split {split}: its clips have no labels for metric_for_best_model {wanted!r}; they give "
            f"{[name for name in scores if '/' not in name] or 'no score at all'}; choose another score, {without}"
        )


def _refuse_untrained(run: Run) -> None:
    if run.training.do_train:
        return
    if run.model.model_path is None:
        raise RunError(
            "do_train false: there is no model to evaluate or to predict with, only one with random weights; give a "
            "saved one with --model_path FOLDER, or train"
        )
    if resume_from(run.training.resume_from_checkpoint):
        raise RunError(
            f"do_train false, with resume_from_checkpoint {run.training.resume_from_checkpoint}: only training "
            "resumes from a checkpoint; leave it out, and give the folder of the saved model with --model_path"
        )


def _check_places(run: Run) -> None:
    for key, place in (("output_dir", run.training.output_dir), ("cache_dir", run.data.cache_dir)):
        if place is not None:
            _refuse_unwritable(key, Path(place).expanduser())


def _refuse_unwritable(key: str, folder: Path) -> None:
    """Write a temporary file where the folder is or will be."""
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    try:
        if not there.is_dir():
            raise NotADirectoryError(f"{there} is no folder")
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"written")
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"{key} {folder}: nothing can be written there ({reason}); give another with --{key}") from error


def _check_steps(preprocess: list | str | None) -> None:
    """Apply each transform that has arguments to noise once: their values are checked where they are used."""
    noise = np.random.default_rng(0).normal(0.0, 0.1, SAMPLING_RATE).astype(np.float32)
    for asked, step in zip(preprocess or (), read_transforms(preprocess or ()), strict=True):
        if asked == step.name:
            continue
        try:
            apply_transforms(noise, SAMPLING_RATE, [step], "preprocess")
        except TransformError as error:
            if "left nothing" not in str(error):  # which it may do of noise
                raise


def _check_model(run: Run) -> Recordings | FeatureVectors:
    """Build the model on the meta device, without memory for weights; of a saved model all but the weights are read."""
    takes = model_inputs(run)
    if run.model.model_path is None:
        encoder = run.model.encoder
        try:
            with torch.device("meta"):
                if isinstance(encoder, str) and not run.model.features:
                    place_of(encoder)  # a name that would be of the package, and is not
                    config = Burst2VecConfig(encoder_config=ANY_ENCODER, **run.model.for_config())
                    config.encoder_layer = config.freeze_encoder = None  # of layers that are not known yet
                    model = Burst2VecForMultiTask(config)
                else:
                    model, _ = build_model(run.model, *asked_of_clips(run.data))
        except RunError:
            raise
        except Exception as error:  # an encoder's class may raise anything
            raise RunError(f"the recipe's model: {error}") from error
        if (size := sum(weights.numel() for weights in model.parameters())) > MOST_WEIGHTS:
            raise RunError(f"the recipe's model would have {size:,} weights; up to {MOST_WEIGHTS:,} work")
        if run.training.do_train:
            check_episodes(run.training, model.config)
    takes.refuse_settings(run)
    return takes


def _check_training(training: Burst2VecTrainingArguments, tasks: Sequence[Task]) -> None:
    """Create optimiser, schedule and loader once for a model of one weight: what is missing or refused is found now."""
    weights = torch.nn.Linear(1, 1)
    try:
        check_selection(training, tasks)
        refuse_several_gpus(training)
        get_reporting_integration_callbacks(training.report_to)
        if absent := set(training.report_to) - set(get_available_reporting_integrations()):
            raise RunError(f"report_to {sorted(absent)}: its package is not installed")
    except ValueError as error:
        raise RunError(str(error)) from error
    compiled = {"backend": training.torch_compile_backend, "mode": training.torch_compile_mode}
    for keys, make in (
        (
            "torch_compile_backend, torch_compile_mode",
            lambda: training.torch_compile and torch.compile(weights, **compiled),
        ),
        ("optim, optim_args", lambda: _optimizer(training, weights)),
        (
            "lr_scheduler_type, lr_scheduler_kwargs",
            lambda: get_scheduler(
                training.lr_scheduler_type,
                torch.optim.SGD(weights.parameters(), lr=training.learning_rate),
                num_warmup_steps=1,
                num_training_steps=10,
                scheduler_specific_kwargs=training.lr_scheduler_kwargs,
            ),
        ),
        (
            "dataloader_num_workers, dataloader_prefetch_factor, dataloader_persistent_workers, "
            "dataloader_multiprocessing_context",
            lambda: DataLoader(
                [0],
                num_workers=training.dataloader_num_workers,
                persistent_workers=training.dataloader_persistent_workers,
                prefetch_factor=training.dataloader_prefetch_factor,
                multiprocessing_context=training.dataloader_multiprocessing_context,
            ),
        ),
    ):
        try:
            make()
        except (ValueError, TypeError, KeyError, ImportError, RuntimeError) as error:
            given = ", ".join(f"{key} {_written(getattr(training, key))}" for key in keys.split(", "))
            raise RunError(f"{given}: {error}") from error


def _written(value):
    return value.value if isinstance(value, Enum) else value


def _optimizer(training: Burst2VecTrainingArguments, weights: torch.nn.Module):
    made, settings = Trainer.get_optimizer_cls_and_kwargs(training, weights)
    return made(weights.parameters(), **settings)
