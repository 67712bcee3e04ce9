"""Batches → weights: transformers' Trainer, with one task per batch, losses by name and verified checkpoints."""

import logging
from collections import defaultdict

import numpy as np
import torch
from accelerate.utils import gather_object
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, TrainerCallback, set_seed

from ..data.clip_batches import RecordedClips, VectorClips, clips_of, readable_clips
from ..data.collating import BurstCollator
from ..data.episodes import EpisodeBatchSampler
from ..data.sampling import (
    TaskAlternatingBatchSampler,
    cross_label_cells,
    labels_present,
    oversampled_copies,
    streams_of,
)
from ..errors import DivergenceError, RunError
from ..scoring import score_tasks
from ..waveforms import SAMPLING_RATE
from .arguments import Burst2VecTrainingArguments, check_episodes, check_selection, refuse_several_gpus
from .distillation import Teachers
from .mixup import mix_batch
from .resumable import ResumableTrainer
from .run_fingerprint import corpus_digest, run_fingerprint

logger = logging.getLogger(__name__)


class Burst2VecTrainer(ResumableTrainer):
    """Trains, evaluates and resumes a ``Burst2VecForMultiTask``.

    Args:
        model: the model; its configuration says the tasks. None where ``model_init`` makes it.
        args: ``Burst2VecTrainingArguments``.
        train_dataset: a ``datasets.Dataset`` with ``file_id``, ``audio`` (not decoded) and a column for each task. With
            ``vector`` instead of ``audio`` (``burst2vec.data.vectors.with_vectors``) batches are taken from memory.
        eval_dataset: the same, or a dictionary of them by name.
        processing_class: the ``Burst2VecFeatureExtractor``; saved with the weights.
        data_collator: default ``BurstCollator(processing_class, tasks)``.
        on_bad_clip: what to do with clips that cannot be read, where the data sets have no column ``samples`` yet (see
            ``burst2vec.data.clips.check_clips``): ``"skip"`` them and say how many, or ``"raise"``.
        kwargs: the remaining arguments of ``transformers.Trainer``. ``model_init``, a function of nothing or of a
            search's trial, makes the model anew for each training, as ``hyperparameter_search`` needs it; each trial's
            checkpoints lie in ``output_dir/run-<n>``. ``compute_metrics`` gives by default the scores of the whole set
            (``burst2vec.scoring.score_tasks``), which come as ``eval_emotion_ccc`` and so on.

    ``log_history`` holds, beside ``loss``, each part of it by name: the mean over the steps since the last log that had
    the part, and over the processes.

    Raises:
        RunError: several GPUs in one process, a ``metric_for_best_model`` that no task has, labels out of range, a data
            set that is streamed.
    """

    def __init__(
        self,
        model=None,
        args: Burst2VecTrainingArguments | None = None,
        train_dataset=None,
        eval_dataset=None,
        processing_class=None,
        data_collator=None,
        callbacks=(),
        on_bad_clip="skip",
        **kwargs,
    ):
        model_init = kwargs.pop("model_init", None)
        if not isinstance(args, Burst2VecTrainingArguments):
            raise RunError(f"args must be Burst2VecTrainingArguments, got {type(args).__name__}")
        refuse_several_gpus(args)
        if data_collator is None and processing_class is None:
            raise RunError("give processing_class=Burst2VecFeatureExtractor(), or a data_collator")
        if (model is None) == (model_init is None):
            raise RunError("give either the model, or model_init, a function that makes it")
        if model is None:
            model = self._first_model(model_init, args, kwargs)
        self.tasks = model.config.task_records
        check_selection(args, self.tasks)
        check_episodes(args, model.config)
        with args.main_process_first(desc="checking clips"):
            train_dataset = readable_clips(train_dataset, on_bad_clip)
            if isinstance(eval_dataset, dict):
                eval_dataset = {name: readable_clips(corpus, on_bad_clip) for name, corpus in eval_dataset.items()}
            else:
                eval_dataset = readable_clips(eval_dataset, on_bad_clip)
        callbacks = [*callbacks, FollowTraining(self)]
        if args.early_stopping_patience and args.eval_strategy != "no":
            callbacks.append(EarlyStoppingCallback(args.early_stopping_patience, args.early_stopping_threshold))
        if not args.decoupled_weight_decay:
            betas = (args.adam_beta1, args.adam_beta2)
            adam = {"lr": args.learning_rate, "betas": betas, "eps": args.adam_epsilon}
            kwargs.setdefault("optimizer_cls_and_kwargs", (torch.optim.Adam, adam))
        super().__init__(
            model=model,
            args=args,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            data_collator=data_collator or BurstCollator(processing_class, self.tasks),
            callbacks=callbacks,
            **{"compute_metrics": self.score, **kwargs},
        )
        self.model_init = model_init
        self.model_accepts_loss_kwargs = False  # its loss is a mean over the batch …
        self.loss_is_scaled_for_ga = False  # … so the Trainer divides it by the accumulation steps
        self.batch_sampler = None
        self._loss_parts = defaultdict(lambda: [0.0, 0])  # name → sum and count since the last log
        self.teachers = None
        if args.teachers and train_dataset is not None:
            self.teachers = Teachers(args.teachers, self.tasks, processing_class)
        self._clips = {}  # data set, by its identity → itself and its clips
        if train_dataset is not None:
            self.loadable(train_dataset)  # whose labels may be refused

    def _first_model(self, model_init, args, kwargs):
        """The model by whose tasks everything else is checked; each training makes another."""
        if any(kwargs.get("optimizers", ())):
            raise RunError("optimizers are of one model, and model_init makes several; give the training arguments")
        set_seed(args.seed)
        self.model_init = model_init
        return self.call_model_init()

    # ---- Training

    def get_train_dataloader(self) -> DataLoader:
        """Batches of one task each, dealt to the processes so that all of them train one task in a step.

        With ``episode_support`` each is an episode of several speakers.
        """
        if self.train_dataset is None:
            raise RunError("training needs a train_dataset")
        args, clips = self.args, self.loadable(self.train_dataset)
        clips.refuse_settings(args)
        lengths = self._lengths(clips)
        copies = np.ones(len(lengths), dtype=np.int64)
        seed = args.seed if args.data_seed is None else args.data_seed
        if args.oversample:
            copies = oversampled_copies(cross_label_cells(self.tasks, clips.labels), args.oversample_strength, seed)
        crop = None
        if args.crop_seconds is not None:
            crop = round(args.crop_seconds * SAMPLING_RATE)
            copies = copies * -(-lengths // crop)  # as many parts as cover the clip
            lengths = np.minimum(lengths, crop)
        drawn = {
            "labelled": streams_of(
                {name: labels_present(labels) for name, labels in clips.labels.items()}, args.task_schedule
            ),
            "lengths": lengths,
            "clips_a_batch": args.per_device_train_batch_size,
            "world_size": args.world_size,
            "seed": seed,
            "copies": copies,
            "speeds": args.speed_perturbation or (1.0,),
        }
        if args.episode_support is None:
            self.batch_sampler = TaskAlternatingBatchSampler(**drawn)
        else:
            self.batch_sampler = EpisodeBatchSampler(
                **drawn, speakers=clips.speakers, support=args.episode_support, query=args.episode_query
            )
            for line in self.batch_sampler.left_out if self.is_world_process_zero() else ():
                logger.warning("%s", line)
        loader = DataLoader(
            clips.drawn(crop),
            batch_sampler=self.batch_sampler,
            collate_fn=self.data_collator,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
            multiprocessing_context=args.dataloader_multiprocessing_context,
        )
        return self.accelerator.prepare(loader)

    def get_decay_parameter_names(self, model) -> list[str]:
        """The weights that weight decay shrinks: AdamW's without biases and norms, as transformers has it; those of
        torch's Adam all.
        """
        if self.args.decoupled_weight_decay:
            return super().get_decay_parameter_names(model)
        return [name for name, _ in model.named_parameters()]

    def loadable(self, dataset) -> RecordedClips | VectorClips:
        """The clips of a data set; those of one that was seen before are the same."""
        if id(dataset) not in self._clips:
            self._clips[id(dataset)] = dataset, clips_of(dataset, self.tasks)
        return self._clips[id(dataset)][1]

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The model's loss; in training labels may be softened and clips mixed, and its parts are kept for the log."""
        if model.training and self.teachers is not None:
            inputs = self.teachers.soften(inputs, self.args.teacher_share)
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
            DivergenceError: the loss is not finite. Nothing is saved from such a step: it would make every weight
                NaN silently.
        """
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            wrong = [
                name for name, (total, _) in self._loss_parts.items() if not torch.isfinite(torch.as_tensor(total))
            ]
            raise DivergenceError(
                f"step {self.state.global_step + 1}, task {inputs.get('task', 'all')!r}: the loss is {loss.item()} "
                f"(parts {wrong}); nothing was saved from this step. Check the labels of this task, or try a lower "
                "learning_rate, or bf16 off, in a new output_dir"
            )
        return loss

    def floating_point_ops(self, inputs) -> float:
        """0: transformers would count samples as tokens, and visit all parameters at each step."""
        return 0.0

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

    def plateau_score(self) -> str | None:
        """What ``plateau_metric`` names, where the rate falls by it."""
        followed = self.args.plateau_metric
        falls = followed is not None and isinstance(self.lr_scheduler, ReduceLROnPlateau)
        return f"eval_{followed.removeprefix('eval_')}" if falls else None

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        """Loss, predictions by task in float32 and in the task's unit, and labels."""
        inputs = self.on_device(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, outputs = self.compute_loss(model, inputs, return_outputs=True)
        if prediction_loss_only:
            return loss.detach(), None, None
        predictions = {name: values.detach().float() for name, values in outputs["predictions"].items()}
        return loss.detach(), predictions, inputs["labels"]

    def evaluation_order(self, dataset) -> list[int] | None:
        """From the longest clip to the shortest; None where lengths are not known."""
        lengths = self._lengths(dataset)
        return None if lengths is None else np.argsort(-lengths, kind="stable").tolist()

    def _lengths(self, clips) -> np.ndarray | None:
        """The samples of each clip that the model takes, so far as the Trainer knows the feature extractor."""
        return clips.lengths(getattr(self.processing_class, "trim_below_db", None))

    def evaluation_loop(self, dataloader, *args, **kwargs):
        """Predict the longest clips first, which saves padding; predictions are returned in the data set's order."""
        output = super().evaluation_loop(dataloader, *args, **kwargs)
        for name in [
            name for name in output.metrics if name.endswith("_loss") and not np.isfinite(output.metrics[name])
        ]:
            del output.metrics[name]
        order = self.evaluation_order(dataloader.dataset)
        if order is None:
            return output
        predictions, labels = (
            {name: values[np.argsort(order)] for name, values in of_task.items()} if of_task is not None else None
            for of_task in (output.predictions, output.label_ids)
        )
        return output._replace(predictions=predictions, label_ids=labels)

    # ---- Checkpoints

    def fingerprint(self) -> dict:
        """What must stay the same for a resumed run to end as the uninterrupted one."""
        return run_fingerprint(
            self.args,
            self.model.config,
            self.processing_class,
            self._digest(self.train_dataset),
            self._digest(self.eval_dataset),
            getattr(self.model, "peft_config", {}),
        )

    def _digest(self, corpus) -> str:
        if corpus is None:
            return "none"
        if isinstance(corpus, dict):
            return corpus_digest([f"{name} {self._digest(of_name)}" for name, of_name in sorted(corpus.items())])
        return corpus_digest(*self.loadable(corpus).identity)


class FollowTraining(TrainerCallback):
    """Starts each training's losses anew, tells the batch sampler the epoch, also when resuming in mid-epoch, and
    averages the weights after each step.
    """

    def __init__(self, trainer: Burst2VecTrainer):
        self.trainer = trainer

    def on_train_begin(self, args, state, control, **kwargs):
        self.trainer._loss_parts.clear()

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.trainer.batch_sampler.set_epoch(int(state.epoch))

    def on_step_end(self, args, state, control, **kwargs):
        if self.trainer.weight_average is not None:
            self.trainer.weight_average.update(state.global_step)
