"""Batches → weights: transformers' Trainer, with one task a batch, losses by name and checkpoints to be trusted."""

import logging
import os
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from safetensors import SafetensorError
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback
from transformers.trainer_callback import ExportableState

from ..data.clips import check_clips
from ..data.collating import BurstCollator, DrawnClips, corpus_labels
from ..data.sampling import (
    TaskAlternatingBatchSampler,
    cross_label_cells,
    labels_present,
    oversampled_copies,
    streams_of,
)
from ..data.vectors import VectorClips, hears_vectors, vectors_of
from ..files import drafts_of
from ..scoring import score_tasks
from ..weights import weights_not_finite
from .arguments import Burst2VecTrainingArguments, check_selection, refuse_several_gpus
from .checkpoints import (
    CheckpointError,
    begin_checkpoint,
    checkpoint_folder,
    checkpoint_steps,
    choose_checkpoint,
    keep_newest,
    remove_leftovers,
    saving_folder,
    seal_checkpoint,
    verify_checkpoint,
)
from .fingerprints import corpus_digest, run_fingerprint
from .mixup import mix_batch

logger = logging.getLogger(__name__)


class Burst2VecTrainer(Trainer):
    """Trains, evaluates and resumes a ``Burst2VecForMultiTask``.

    Args:
        model: the model; its configuration says the tasks.
        args: ``Burst2VecTrainingArguments``.
        train_dataset: a ``datasets.Dataset`` with ``file_id``, ``audio`` (not decoded) and a column for each task. With
            ``vector`` instead of ``audio`` (``burst2vec.data.vectors.with_vectors``) batches are taken from memory.
        eval_dataset: the same, or a dictionary of them by name.
        processing_class: the ``Burst2VecFeatureExtractor``; saved with the weights.
        data_collator: default ``BurstCollator(processing_class, tasks)``.
        compute_metrics: default the scores of the task set on the whole set (``burst2vec.scoring.score_tasks``), which
            come as ``eval_emotion_ccc`` and so on.
        on_bad_clip: what to do with clips that cannot be heard, where the data sets have no column ``samples`` yet (see
            ``burst2vec.data.clips.check_clips``): ``"skip"`` them and say how many, or ``"raise"``.
        kwargs: the remaining arguments of ``transformers.Trainer``.

    ``log_history`` holds, beside ``loss``, each part of it by name: the mean over the steps since the last log that had
    the part, and over the processes.

    Raises:
        ValueError: several GPUs in one process, a score to select by that this task set has not, labels out of range.
    """

    def __init__(
        self,
        model,
        args: Burst2VecTrainingArguments,
        train_dataset=None,
        eval_dataset=None,
        processing_class=None,
        data_collator=None,
        compute_metrics=None,
        callbacks=(),
        on_bad_clip="skip",
        **kwargs,
    ):
        if not isinstance(args, Burst2VecTrainingArguments):
            raise ValueError(f"args must be Burst2VecTrainingArguments, got {type(args).__name__}")
        refuse_several_gpus(args)
        if data_collator is None and processing_class is None:
            raise ValueError("give processing_class=Burst2VecFeatureExtractor(), or a data_collator")
        self.tasks = model.config.task_records
        check_selection(args, self.tasks)
        with args.main_process_first(desc="checking clips"):
            train_dataset = _with_lengths(train_dataset, on_bad_clip)
            if isinstance(eval_dataset, dict):
                eval_dataset = {name: _with_lengths(corpus, on_bad_clip) for name, corpus in eval_dataset.items()}
            else:
                eval_dataset = _with_lengths(eval_dataset, on_bad_clip)
        callbacks = [*callbacks, FollowRun(self)]
        if args.early_stopping_patience and args.eval_strategy != "no":
            callbacks.append(EarlyStoppingCallback(args.early_stopping_patience))
        super().__init__(
            model=model,
            args=args,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            data_collator=data_collator or BurstCollator(processing_class, self.tasks),
            compute_metrics=compute_metrics or self.score,
            callbacks=callbacks,
            **kwargs,
        )
        self.model_accepts_loss_kwargs = False  # its loss is a mean over the batch …
        self.loss_is_scaled_for_ga = False  # … so the Trainer divides it by the accumulation steps
        self.batch_sampler = None
        self._train_labels = corpus_labels(train_dataset, self.tasks) if train_dataset is not None else {}
        self._loss_parts = defaultdict(lambda: [0.0, 0])  # name → sum and count since the last log
        self._resumed = False
        self._in_memory = {}  # data set of vectors, by its identity → itself and its tensors

    # ---- Training

    def get_train_dataloader(self) -> DataLoader:
        """Batches of one task each, dealt to the processes so that all of them train one task in a step."""
        if self.train_dataset is None:
            raise ValueError("training needs a train_dataset")
        args = self.args
        copies = None
        if args.oversample:
            copies = oversampled_copies(cross_label_cells(self.tasks, self._train_labels), args.oversample_most)
        vectors = hears_vectors(self.train_dataset)
        if vectors and args.speed_perturbation:
            raise ValueError(f"speed_perturbation {args.speed_perturbation}: a vector cannot be played; give null")
        self.batch_sampler = TaskAlternatingBatchSampler(
            streams_of(
                {name: labels_present(labels) for name, labels in self._train_labels.items()}, args.task_schedule
            ),
            lengths=np.ones(len(self.train_dataset)) if vectors else self.train_dataset["samples"][:],
            clips_a_batch=args.per_device_train_batch_size,
            world_size=args.world_size,
            seed=args.seed if args.data_seed is None else args.data_seed,
            copies=copies,
            speeds=args.speed_perturbation or (1.0,),
        )
        loader = DataLoader(
            self._tensors_of(self.train_dataset) if vectors else DrawnClips(self.train_dataset),
            batch_sampler=self.batch_sampler,
            collate_fn=self.data_collator,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
            multiprocessing_context=args.dataloader_multiprocessing_context,
        )
        return self.accelerator.prepare(loader)

    def _get_dataloader(self, dataset, *args, **kwargs) -> DataLoader:
        """Evaluation takes batches of vectors from memory too."""
        return super()._get_dataloader(
            self._tensors_of(dataset) if hears_vectors(dataset) else dataset, *args, **kwargs
        )

    def _tensors_of(self, corpus) -> VectorClips:
        if id(corpus) not in self._in_memory:
            self._in_memory[id(corpus)] = corpus, VectorClips(corpus, self.tasks)
        return self._in_memory[id(corpus)][1]

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The model's loss; in training its clips may be mixed, and its parts are kept for the log."""
        if model.training and self.args.mixup_alpha:
            inputs = mix_batch(inputs, self.tasks, self.args.mixup_alpha)
        outputs = model(**inputs)
        if model.training:
            for name, part in outputs["loss_parts"].items():
                self._loss_parts[name][0] += part
                self._loss_parts[name][1] += 1
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def training_step(self, model, inputs, num_items_in_batch=None):
        """One forward and backward pass.

        Raises:
            FloatingPointError: the loss is not finite. Nothing is saved from such a step: it would make every weight
                NaN, and the run would go on as if nothing had happened.
        """
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            wrong = [
                name for name, (total, _) in self._loss_parts.items() if not torch.isfinite(torch.as_tensor(total))
            ]
            raise FloatingPointError(
                f"step {self.state.global_step + 1}, task {inputs.get('task', 'all')!r}: the loss is {loss.item()} "
                f"(parts {wrong}); nothing was saved from this step. Look at the labels of this task, and try a lower "
                "learning_rate, or bf16 off, in a new output_dir"
            )
        return loss

    def floating_point_ops(self, inputs) -> float:
        """0: transformers would count samples as tokens, and walk over all parameters at each step to do it."""
        return 0.0

    def _get_grad_norm(self, model, grad_norm=None):
        """The norm that clipping found; none where nothing is clipped (``max_grad_norm`` 0).

        transformers would measure all gradients then, and multiply them by 1, at each step, for a number in the log.
        """
        return None if grad_norm is None else super()._get_grad_norm(model, grad_norm)

    def log(self, logs, start_time=None):
        """Add each part of the loss, by its name, to the log of the loss."""
        if "loss" in logs:
            logs.update(self._mean_loss_parts())
        super().log(logs, start_time)

    def _mean_loss_parts(self) -> dict[str, float]:
        sums = [(name, float(total), count) for name, (total, count) in self._loss_parts.items()]
        self._loss_parts.clear()
        totals = defaultdict(lambda: [0.0, 0])
        for name, total, count in gather_object(sums):
            totals[name][0] += total
            totals[name][1] += count
        return {name: total / count for name, (total, count) in totals.items()}

    # ---- Evaluation

    def score(self, evaluated) -> dict[str, float]:
        """The scores of the whole set, in float32; none where it has no labels."""
        labelled = any(labels_present(labels).any() for labels in evaluated.label_ids.values())
        return score_tasks(self.tasks, evaluated.predictions, evaluated.label_ids) if labelled else {}

    def _evaluate(self, trial, ignore_keys_for_eval, skip_scheduler=False):
        """Validate, and let the rate fall by what ``plateau_metric`` names: transformers has the model's score only."""
        followed = self.args.plateau_metric
        ours = followed is not None and isinstance(self.lr_scheduler, ReduceLROnPlateau) and not skip_scheduler
        metrics = super()._evaluate(trial, ignore_keys_for_eval, skip_scheduler=skip_scheduler or ours)
        if ours:
            self.lr_scheduler.step(metrics[f"eval_{followed.removeprefix('eval_')}"])
        return metrics

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        """Loss, predictions by task in float32 and in the task's unit, and labels."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, outputs = self.compute_loss(model, inputs, return_outputs=True)
        if prediction_loss_only:
            return loss.detach(), None, None
        predictions = {name: values.detach().float() for name, values in outputs["predictions"].items()}
        return loss.detach(), predictions, inputs["labels"]

    def _get_eval_sampler(self, eval_dataset):
        return longest_first(eval_dataset) or super()._get_eval_sampler(eval_dataset)

    def evaluation_loop(self, dataloader, *args, **kwargs):
        """Predict longest clips first, which saves padding, and give the predictions back in the data set's order."""
        output = super().evaluation_loop(dataloader, *args, **kwargs)
        for name in [
            name for name in output.metrics if name.endswith("_loss") and not np.isfinite(output.metrics[name])
        ]:
            del output.metrics[name]
        order = longest_first(dataloader.dataset)
        if order is None:
            return output
        predictions, labels = (
            {name: values[np.argsort(order)] for name, values in of_task.items()} if of_task is not None else None
            for of_task in (output.predictions, output.label_ids)
        )
        return output._replace(predictions=predictions, label_ids=labels)

    # ---- Checkpoints

    def train(self, resume_from_checkpoint=None, **kwargs):
        """Train, from the start or from a checkpoint.

        Args:
            resume_from_checkpoint: a checkpoint's folder; or True (or "true") for the newest whole one in
                ``args.output_dir``, and from the start where there is none yet.
            kwargs: as ``transformers.Trainer.train``.

        Raises:
            CheckpointError: the checkpoint is damaged, or was written by a run with other settings; or a new run was
                started where an old one left checkpoints.
            FloatingPointError: a loss that is not finite.
        """
        self._run = run_fingerprint(
            self.args,
            self.model.config,
            self.processing_class,
            self._digest(self.train_dataset),
            self._digest(self.eval_dataset),
        )
        folder = self._choose_checkpoint(resume_from_checkpoint)
        self._resumed = folder is not None
        self._loss_parts.clear()
        return super().train(resume_from_checkpoint=folder, **kwargs)

    def _choose_checkpoint(self, asked) -> str | None:
        """The main process looks and all processes hear the same answer, or raise the same error."""
        folder = error = None
        if self.accelerator.is_main_process:
            try:
                folder = self._look_for_checkpoint(asked)
            except CheckpointError as refused:
                error = str(refused)
        folder, error = broadcast_object_list([folder, error])
        if error is not None:
            raise CheckpointError(error)
        return folder

    def _look_for_checkpoint(self, asked) -> str | None:
        output_dir = self.args.output_dir
        for name in remove_leftovers(output_dir):
            logger.warning("%s: removed %s, which a killed run left unfinished", output_dir, name)
        if not asked:
            if checkpoint_steps(output_dir):
                raise CheckpointError(
                    f"{output_dir} holds checkpoints of an earlier run; resume it with resume_from_checkpoint=True, or "
                    "give this run another output_dir"
                )
            return None
        folder, skipped = choose_checkpoint(output_dir, True if str(asked).lower() == "true" else asked, self._run)
        for reason in skipped:
            logger.warning("%s: skipped %s", output_dir, reason)
        if folder is None:
            logger.warning("%s: there is no checkpoint yet; training starts at step 0", output_dir)
            return None
        logger.warning("resuming from %s", folder)
        return str(folder)

    def _digest(self, corpus) -> str:
        if corpus is None:
            return "none"
        if isinstance(corpus, dict):
            return corpus_digest([f"{name} {self._digest(of_name)}" for name, of_name in sorted(corpus.items())])
        names = [str(name) for name in corpus["file_id"]] if "file_id" in corpus.column_names else []
        heard = vectors_of(corpus) if hears_vectors(corpus) else corpus["samples"][:]
        return corpus_digest(names, heard, *corpus_labels(corpus, self.tasks).values())

    def _run_epoch(self, *args, **kwargs):
        """An epoch; none where the resumed checkpoint was the run's last: transformers would take a step more."""
        patience = [c for c in self.callback_handler.callbacks if isinstance(c, EarlyStoppingCallback)]
        out_of_patience = any(c.early_stopping_patience_counter >= c.early_stopping_patience for c in patience)
        if self.state.global_step >= self.state.max_steps or (self._resumed and out_of_patience):
            self.control.should_training_stop = True
            return
        self._resumed = False
        super()._run_epoch(*args, **kwargs)

    def _save_checkpoint(self, model, trial):
        """Write a checkpoint beside its place, and put it there whole; see ``checkpoints``."""
        run_dir, step = self._get_output_dir(trial), self.state.global_step
        if self.state.best_global_step:
            best = checkpoint_folder(run_dir, self.state.best_global_step)
            if best.exists() or self.state.best_global_step == step:
                self.state.best_model_checkpoint = str(best)
        try:
            if self.args.should_save:
                begin_checkpoint(run_dir, step)
            self.accelerator.wait_for_everyone()
            folder = str(saving_folder(run_dir, step))
            self.save_model(folder, _internal_call=True)
            self._save_optimizer_and_scheduler(folder)
            self._save_scaler(folder)
            self._save_rng_state(folder)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                for callback in (*self.callback_handler.callbacks, self.control):
                    if isinstance(callback, ExportableState):
                        self.state.stateful_callbacks[type(callback).__name__] = callback.state()
                self.state.save_to_json(os.path.join(folder, "trainer_state.json"))
                seal_checkpoint(run_dir, step, self._run)
                keep_newest(run_dir, self.args.save_total_limit, self.state.best_model_checkpoint)
        except (OSError, RuntimeError, SafetensorError) as error:  # a full disk comes as any of these
            free = shutil.disk_usage(run_dir).free / 2**30 if Path(run_dir).exists() else 0.0
            raise CheckpointError(
                f"checkpoint-{step} could not be written to {run_dir} ({free:.1f} GiB free): {error}. Older "
                "checkpoints are whole: make room, lower save_total_limit, and resume"
            ) from error
        self.accelerator.wait_for_everyone()

    def _save(self, output_dir=None, state_dict=None):
        """Save weights (safetensors), configuration and feature extractor, all of them or none.

        Not ``training_args.bin``: it is a pickle, and holds ``hub_token`` in clear.

        Raises:
            FloatingPointError: a parameter or buffer is not finite.
        """
        if not self.args.should_save:
            return
        model = self.accelerator.unwrap_model(self.model)
        if wrong := weights_not_finite(model):
            raise FloatingPointError(
                f"step {self.state.global_step}: {len(wrong)} weights are not finite, the first {wrong[0]!r}; the "
                "model was not saved. Earlier checkpoints are whole"
            )
        folder = self.args.output_dir if output_dir is None else output_dir
        with drafts_of(folder, last="config.json") as drafts:
            model.save_pretrained(drafts, state_dict=state_dict)
            if self.processing_class is not None:
                self.processing_class.save_pretrained(drafts)

    def _load_best_model(self):
        """End with the best weights, after a look at whether they are still as they were written."""
        try:
            verify_checkpoint(self.state.best_model_checkpoint)
        except CheckpointError as error:
            raise CheckpointError(f"the best checkpoint {self.state.best_model_checkpoint}: {error}") from error
        super()._load_best_model()


class FollowRun(TrainerCallback):
    """Brings along what a resume would lose."""

    def __init__(self, trainer: Burst2VecTrainer):
        self.trainer = trainer

    def on_train_begin(self, args, state, control, **kwargs):
        """A run whose folder was moved finds its best checkpoint where it is now."""
        if state.best_global_step:
            best = checkpoint_folder(args.output_dir, state.best_global_step)
            state.best_model_checkpoint = str(best) if best.exists() else state.best_model_checkpoint

    def on_epoch_begin(self, args, state, control, **kwargs):
        """The batch sampler hears its epoch: in mid-epoch, with several processes, nothing else tells it."""
        self.trainer.batch_sampler.set_epoch(int(state.epoch))


def longest_first(corpus) -> list[int] | None:
    """The rows of a corpus from its longest clip to its shortest; None where lengths are not known."""
    if "samples" not in getattr(corpus, "column_names", ()) or hears_vectors(corpus):
        return None
    return np.argsort(-np.asarray(corpus["samples"][:]), kind="stable").tolist()


def _with_lengths(corpus, on_bad_clip):
    """The corpus with its column ``samples``; where it is missing, clips are read once, and the bad ones counted."""
    if corpus is None or "samples" in corpus.column_names or hears_vectors(corpus):
        return corpus
    return check_clips(corpus, on_bad_clip=on_bad_clip)[0]
