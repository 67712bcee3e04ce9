"""How a run trains: transformers' own training arguments, with Burst2Vec's values for defaults (Table 3)."""

import json
import os
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Literal

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy, SchedulerType
from transformers.training_args import OptimizerNames, trainer_log_levels

from ..data.processes import bf16_is_native, usable_cores
from ..errors import RunError
from ..scoring.score_report import beside_name
from .ranges import Range, refuse_out_of_range

# "gradient_" until transformers 5.20, the last for Python 3.10; later releases deprecate that name.
CHECKPOINTING = (
    "activation_checkpointing" if hasattr(TrainingArguments, "activation_checkpointing") else ("gradient_checkpointing")
)
CHECKPOINTING_KWARGS = f"{CHECKPOINTING}_kwargs"


def _default(default: Any, about: str):
    return field(default=default, metadata={"help": about})


@dataclass
class Burst2VecTrainingArguments(TrainingArguments):
    """transformers' ``TrainingArguments`` with the defaults of Burst2Vec's Table 3, and settings of our own.

    What the paper states: Adam at 1e-5, batches of 32 clips of one task, validation every 800 steps, early stopping
    after 20 validations without a better emotion CCC, at most 100 epochs. The rest is our choice: a constant rate, bf16
    where the machine has it in hardware, gradients clipped at norm 1 (transformers' default), and the best and the
    newest checkpoint kept.

    >>> arguments = Burst2VecTrainingArguments(output_dir="runs/v1", bf16=False)
    >>> arguments.learning_rate, arguments.per_device_train_batch_size, arguments.metric_for_best_model
    (1e-05, 32, 'emotion_ccc')

    Raises:
        RunError: a value out of its range, or a setting that this trainer does not honour; the message names both and
            what to do instead.
    """

    per_device_train_batch_size: int = _default(32, "Clips per batch and process (Burst2Vec, Table 3).")
    per_device_eval_batch_size: int = _default(32, "Clips per batch and process in evaluation; it changes speed only.")
    num_train_epochs: float = _default(100.0, "Epochs at most; every task sees each of its clips once in one.")
    learning_rate: float = _default(1e-5, "Adam's rate (Burst2Vec, Table 3).")
    lr_scheduler_type: SchedulerType | str = _default("constant", "How the rate moves; the paper states one rate.")
    plateau_metric: str | None = _default(
        None, "What reduce_lr_on_plateau follows, such as loss, the mean over validation; null: metric_for_best_model."
    )
    optim: OptimizerNames | str = _default("adamw_torch_fused", "With weight_decay 0 this is Adam, in one kernel.")
    weight_decay: float = _default(0.0, "0 makes AdamW plain Adam (Burst2Vec, Table 3).")
    eval_strategy: IntervalStrategy | str = _default("steps", "When to validate: steps, epoch or no.")
    eval_steps: float | None = _default(800, "Steps between validations (Burst2Vec, Table 3).")
    save_strategy: SaveStrategy | str = _default("steps", "When to save a checkpoint: steps, epoch, best or no.")
    save_steps: float = _default(800, "Steps between checkpoints; a multiple of eval_steps.")
    save_total_limit: int | None = _default(2, "Checkpoints kept: the newest, and the best whatever its age.")
    load_best_model_at_end: bool = _default(True, "End with the weights of the best validation, not the last.")
    metric_for_best_model: str | None = _default("emotion_ccc", "The score that the best model is chosen by.")
    greater_is_better: bool | None = _default(None, "Default: true, unless the score is a loss or an error (mae).")
    restore_callback_states_from_checkpoint: bool = _default(True, "A resumed run remembers its patience.")
    logging_steps: float = _default(50, "Steps between logs of the loss and each of its parts.")
    logging_nan_inf_filter: bool = _default(False, "A loss that is not finite ends the run; it is never hidden.")
    report_to: None | str | list[str] = _default("none", "Trackers such as tensorboard or wandb.")
    remove_unused_columns: bool = _default(False, "The collator picks its columns itself.")
    label_names: list[str] | None = _default(None, "Always labels: the collator gives one tensor for each task there.")
    ddp_find_unused_parameters: bool | None = _default(
        True, "A batch of one task leaves other tasks' heads without gradient, which must not stop several processes."
    )
    bf16: bool | None = _default(None, "Mixed precision in bfloat16; default: where the machine has it in hardware.")
    dataloader_num_workers: int | None = _default(
        None, "Processes that read clips ahead; default: up to 4 beside a GPU, 0 where training itself needs the cores."
    )
    task_schedule: Literal["alternate", "joint"] = _default(
        "alternate",
        "alternate: each batch trains one task, in turns (Burst2Vec); joint: each batch trains all of them.",
    )
    oversample: bool = _default(False, "Draw clips of rare combinations of labels several times an epoch (V7).")
    oversample_strength: float = _default(
        1.0, "0..1, of oversample: 1 draws until every combination is as frequent as the commonest; 0 changes nothing."
    )
    speed_perturbation: list[float] | None = _default(
        None, "Play each drawn clip at one of these speeds, such as 0.9 1.0 1.1 (Ko et al. 2015); null: as recorded."
    )
    crop_seconds: float | None = _default(
        None,
        "Train on a random part of this length of each drawn clip, which is drawn as often as such parts cover it; "
        "validation and prediction take whole clips. null: whole clips.",
    )
    mixup_alpha: float | None = _default(
        None, "Mix each clip with another of its batch, labels too, by weights from Beta(alpha, alpha); null: unmixed."
    )
    teachers: list[str] | None = _default(
        None,
        "Saved models of the same tasks whose mean answers the labels are mixed with (distillation): folders, or names "
        "on the Hub; null: the labels as they are.",
    )
    teacher_share: float | None = _default(
        None, "Of the teachers' answers in the labels, above 0 and up to 1; default: 0.5 with teachers."
    )
    average_decay: float | None = _default(
        None,
        "Average the weights over the steps, each step keeping this share of the average, such as 0.999; the average "
        "is validated, saved and what the run ends with. null: the weights as they are.",
    )
    episode_support: int | None = _default(
        None,
        "Train in episodes: so many clips of each speaker in a batch are support, by which a bias and a scale of each "
        "regressed label are fitted before the loss on the speaker's other clips; 2 for two-shot. Validation has no "
        "support. null: no episodes.",
    )
    episode_query: int = _default(6, "Of episodes, the most clips of a speaker in a batch beside the support.")
    decoupled_weight_decay: bool = _default(
        True,
        "AdamW's: weights but biases and norms shrink by weight_decay apart from the gradient; false: it is added to "
        "the gradient of all weights, torch's Adam with L2.",
    )
    early_stopping_threshold: float = _default(
        0.0, "A validation counts as better only if its score is so much better than the best before."
    )
    early_stopping_patience: int | None = _default(
        20, "Validations without a better score before the run ends (Burst2Vec, Table 3); null never ends it early."
    )

    def __post_init__(self):
        if not torch.accelerator.is_available():
            self.use_cpu = True
            self.dataloader_pin_memory = False
        if self.bf16 is None:
            self.bf16 = not self.fp16 and bf16_is_native(self.use_cpu)
        if self.dataloader_num_workers is None:
            self.dataloader_num_workers = 0 if self.use_cpu else min(4, _cores_a_process() - 1)
        if self.teachers and self.teacher_share is None:
            self.teacher_share = 0.5
        if self.greater_is_better is None and self.metric_for_best_model is not None:
            self.greater_is_better = _more_is_better(self.metric_for_best_model)
        if IntervalStrategy(self.eval_strategy) == IntervalStrategy.NO:
            self.load_best_model_at_end = False  # there is no validation to choose by
        if isinstance(self.lr_scheduler_kwargs, str):
            self.lr_scheduler_kwargs = _read_mapping("lr_scheduler_kwargs", self.lr_scheduler_kwargs)
        if SchedulerType(self.lr_scheduler_type) == SchedulerType.REDUCE_ON_PLATEAU:
            self.lr_scheduler_kwargs = self._plateau_settings()
        self.label_names = ["labels"]
        if getattr(self, CHECKPOINTING_KWARGS) is None and self.gradient_checkpointing_kwargs is None:
            setattr(self, CHECKPOINTING_KWARGS, {"use_reentrant": False})  # reentrant fails on heads without gradient
        self._refuse_out_of_range()
        super().__post_init__()
        self._refuse_not_honoured()

    def _plateau_settings(self) -> dict:
        """The scheduler's settings with ``mode`` filled in; torch's default is ``min``, whatever the score."""
        followed = self.plateau_metric or self.metric_for_best_model
        more = _more_is_better(self.plateau_metric) if self.plateau_metric else bool(self.greater_is_better)
        settings = dict(self.lr_scheduler_kwargs or {})
        mode = settings.setdefault("mode", "max" if more else "min")
        if (mode == "max") != more:
            raise RunError(
                f"lr_scheduler_kwargs has mode {mode!r}, but of {followed} {'more' if more else 'less'} is better; "
                "leave mode out"
            )
        try:
            ReduceLROnPlateau(torch.optim.SGD([torch.zeros(1)]), **settings)
        except (TypeError, ValueError) as error:
            raise RunError(f"lr_scheduler_kwargs {settings}: {error}") from error
        return settings

    def _refuse_out_of_range(self):
        refuse_out_of_range(self)
        levels, mapping = list(trainer_log_levels), "a mapping of names to values, or null"
        for name, allowed, fits in (
            ("log_level", f"one of {levels}", self.log_level in levels),
            ("log_level_replica", f"one of {levels}", self.log_level_replica in levels),
            ("lr_scheduler_kwargs", mapping, isinstance(self.lr_scheduler_kwargs, (dict, NoneType))),
            (CHECKPOINTING_KWARGS, mapping, isinstance(getattr(self, CHECKPOINTING_KWARGS), (dict, NoneType))),
            ("task_schedule", "'alternate' or 'joint'", self.task_schedule in ("alternate", "joint")),
            (
                "speed_perturbation",
                "factors in 0.5..2, such as [0.9, 1.0, 1.1], or null",
                self.speed_perturbation is None
                or (self.speed_perturbation and all(Range(0.5, 2).holds(factor) for factor in self.speed_perturbation)),
            ),
        ):
            if not fits:
                raise RunError(f"{name} must be {allowed}, got {getattr(self, name)!r}")

    def _refuse_not_honoured(self):
        for name, asked, instead in (
            (
                "push_to_hub",
                self.push_to_hub,
                "it would upload training_args.bin, a pickle that holds hub_token; publish the finished model with "
                "burst2vec.experiment.publishing.publish(folder, repo_id)",
            ),
            ("save_on_each_node", self.save_on_each_node, "give all nodes one shared output_dir"),
            (
                "save_only_model",
                self.save_only_model,
                "such a checkpoint cannot resume; save the finished model with trainer.save_model(folder)",
            ),
            (
                "enable_jit_checkpoint",
                self.enable_jit_checkpoint,
                "a terminated run would look finished; lower save_steps and resume instead",
            ),
            (
                "auto_find_batch_size",
                self.auto_find_batch_size,
                "it changes the batch size unasked; lower per_device_train_batch_size and raise "
                "gradient_accumulation_steps",
            ),
            ("remove_unused_columns", self.remove_unused_columns, "the collator picks its columns itself"),
            ("use_liger_kernel", self.use_liger_kernel, "it has no kernels for these encoders"),
            ("label_smoothing_factor", self.label_smoothing_factor, "each task has the loss that its record names"),
            ("neftune_noise_alpha", self.neftune_noise_alpha, "there are no word embeddings; mixup_alpha mixes clips"),
            ("prediction_loss_only", self.prediction_loss_only, "scores and files need the predictions"),
            ("batch_eval_metrics", self.batch_eval_metrics, "scores are of the whole set, never means over batches"),
            ("ignore_data_skip", self.ignore_data_skip, "a resumed run trains on the clips that were still to come"),
            ("eval_do_concat_batches false", not self.eval_do_concat_batches, "scores are of the whole set"),
            (
                f"train_sampling_strategy {self.train_sampling_strategy!r}",
                self.train_sampling_strategy != "random",
                "batches are of one task, see task_schedule and oversample",
            ),
            (
                f"decoupled_weight_decay false with optim {OptimizerNames(self.optim).value}",
                not self.decoupled_weight_decay and not OptimizerNames(self.optim).value.startswith("adamw_torch"),
                "Adam with L2 is torch's own; leave optim out",
            ),
            (
                "fp16 on a processor",
                self.fp16 and self.use_cpu,
                "only a GPU multiplies in half precision; leave it out, or give bf16",
            ),
            (
                "mixup_alpha with episode_support",
                self.mixup_alpha is not None and self.episode_support is not None,
                "a mixture of two speakers is nobody's clip; leave one of them out",
            ),
            (
                "teachers with episode_support",
                bool(self.teachers) and self.episode_support is not None,
                "a teacher knows nothing of a speaker's other clips; leave one of them out",
            ),
            ("dataloader_drop_last", self.dataloader_drop_last, "every clip is drawn; limit the data set instead"),
            ("split_batches", self.accelerator_config.split_batches, "per_device_train_batch_size is for each process"),
            ("dispatch_batches", self.accelerator_config.dispatch_batches, "each process reads its own batches"),
        ):
            if asked:
                raise RunError(f"{name} is not honoured here: {instead}")


def _read_mapping(name: str, text: str) -> dict:
    try:
        mapping = json.loads(text)
    except ValueError:
        mapping = None
    if not isinstance(mapping, dict):
        raise RunError(f'{name} must be a mapping of names to values, such as {{"factor": 0.5}}, got {text!r}')
    return mapping


def _more_is_better(score: str) -> bool:
    return not score.split("/")[0].endswith(("loss", "mae"))


def _cores_a_process() -> int:
    return max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def check_selection(args, tasks) -> None:
    """Refuse, before the first step, a ``metric_for_best_model`` or ``plateau_metric`` that no validation will give.

    Raises:
        RunError: names the score and the known ones.
    """
    if args.eval_strategy == "no":
        return
    known = ["loss", "s_mtl"]
    for task in tasks:
        labels = task.labels if task.kind == "regression" and len(task.labels) > 1 else ()
        for score in filter(None, (task.score_name, beside_name(task))):
            known += [score, *(f"{score}/{label}" for label in labels)]
    for key in ("metric_for_best_model", "plateau_metric"):
        name = (getattr(args, key) or "loss").removeprefix("eval_")
        if name not in known and not any(name.endswith(f"_{score}") for score in known):  # eval sets: <set>_<score>
            scores = [task.score_name for task in tasks]
            raise RunError(f"{key} {name!r} is not a score of this task set; it has {scores}")


def check_episodes(args, config) -> None:
    """Refuse episodes for a model that learns nothing by them.

    Args:
        args: ``Burst2VecTrainingArguments``.
        config: the model's ``Burst2VecConfig``.

    Raises:
        RunError: no task is a regression, or each frame learns by itself.
    """
    if args.episode_support is None:
        return
    if config.heads_read == "frames":
        raise RunError(
            f"episode_support {args.episode_support} with heads_read frames: each frame learns by itself, and an "
            "episode is of clips' answers; give heads_read clip or frames_then_pooled"
        )
    tasks = config.task_records
    if not any(task.kind == "regression" for task in tasks):
        raise RunError(
            f"episode_support {args.episode_support}: the support gives regressions a bias and a scale, and the tasks "
            f"{[task.name for task in tasks]} are classifications; give null"
        )


def refuse_several_gpus(args) -> None:
    """One process drives one GPU: DataParallel would split the sampler's batches."""
    if args.n_gpu > 1:
        raise RunError(
            f"one process sees {args.n_gpu} GPUs, and DataParallel would split batches over them; start a process "
            f"for each: accelerate launch --num_processes {args.n_gpu} SCRIPT …, or hide all but one: "
            "CUDA_VISIBLE_DEVICES=0"
        )
