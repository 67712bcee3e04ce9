"""The ranges of a recipe's numeric keys, in one table; a test keeps it complete."""

import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from ..errors import RunError
from ..waveforms import PEAK, UNIT_VARIANCE

PROCESSES = 256  # more than any machine can use; catches a mistyped number
COUNT = 10**9
LEVEL_WORDS = ("off", UNIT_VARIANCE, PEAK, "checkpoint")  # what target_rms_dbfs may be but a number


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``.

    Attributes:
        low: the least.
        high: the most.
        without_low: whether ``low`` itself is out, and ``without_high`` whether ``high`` is.
        or_else: one number outside that is allowed too, such as -1.

    >>> Range(0, 1, without_high=True).holds(1.0), Range(0, 1).holds(float("nan")), str(Range(0, 100, without_low=True))
    (False, False, 'a number above 0, up to 100')
    >>> str(Range(1, 5, or_else=-1))
    'in 1..5, or -1'
    """

    low: float
    high: float
    without_low: bool = False
    without_high: bool = False
    or_else: float | None = None

    def holds(self, value) -> bool:
        """Whether a value is a number of this range; NaN and true are none."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return False
        above = value > self.low if self.without_low else value >= self.low
        below = value < self.high if self.without_high else value <= self.high
        return (above and below) or value == self.or_else

    def __str__(self):
        low, high = f"{self.low:.10g}", f"{self.high:.10g}"
        if self.without_low:
            text = f"a number above {low}, " + (f"below {high}" if self.without_high else f"up to {high}")
        else:
            text = f"from {low}, and below {high}" if self.without_high else f"in {low}..{high}"
        return text if self.or_else is None else f"{text}, or {self.or_else:g}"


SEED = Range(0, 2**32 - 1)  # as numpy takes it
RANGES = {
    # data; the corpora's records have the ranges of theirs
    "held_out": Range(0, 1, without_low=True, without_high=True),
    "max_train_samples": Range(1, COUNT),
    "train_speakers": Range(1, COUNT),
    "max_eval_samples": Range(1, COUNT),
    "max_predict_samples": Range(1, COUNT),
    "preprocessing_num_workers": Range(1, PROCESSES),
    "submission": Range(1, 5),
    # model; Burst2VecConfig and the encoders check their own
    "target_rms_dbfs": Range(-120, 20),
    "trim_below_db": Range(0, 120, without_low=True),
    "log_variance": Range(-10, 10),
    "encoder_layer": Range(1, 1000),
    # training
    "per_device_train_batch_size": Range(1, 2**16),
    "per_device_eval_batch_size": Range(1, 2**16),
    "num_train_epochs": Range(0, 10**6, without_low=True),
    "max_steps": Range(1, COUNT, or_else=-1),
    "learning_rate": Range(0, 100, without_low=True),
    "warmup_steps": Range(0, COUNT),
    "weight_decay": Range(0, 100),
    "adam_beta1": Range(0, 1, without_high=True),
    "adam_beta2": Range(0, 1, without_high=True),
    "adam_epsilon": Range(0, 1, without_low=True),
    "gradient_accumulation_steps": Range(1, 2**16),
    "max_grad_norm": Range(0, 10**9),
    "torch_empty_cache_steps": Range(1, COUNT),
    "logging_steps": Range(0, COUNT, without_low=True),
    "eval_steps": Range(0, COUNT, without_low=True),
    "eval_delay": Range(0, COUNT),
    "eval_accumulation_steps": Range(1, COUNT),
    "save_steps": Range(0, COUNT, without_low=True),
    "save_total_limit": Range(1, COUNT),
    "seed": SEED,
    "data_seed": SEED,
    "dataloader_num_workers": Range(0, PROCESSES),
    "dataloader_prefetch_factor": Range(1, 2**16),
    "ddp_bucket_cap_mb": Range(1, 2**16),
    "ddp_timeout": Range(1, COUNT),
    "oversample_strength": Range(0, 1),
    "crop_seconds": Range(0.025, 60),  # as long as a clip may be
    "episode_support": Range(1, 1000),
    "episode_query": Range(1, 1000),
    "average_decay": Range(0, 1, without_low=True, without_high=True),
    "teacher_share": Range(0, 1, without_low=True),
    "mixup_alpha": Range(0, 10**6, without_low=True),
    "early_stopping_patience": Range(1, COUNT),
    "early_stopping_threshold": Range(0, 10**6),
}


# Names and paths, which must not be empty: an empty path means the current folder.
NOT_EMPTY = (
    "data_dir",
    "features_dir",
    "cache_dir",
    "encoder",
    "model_path",
    "output_dir",
    "metric_for_best_model",
)


def refuse_out_of_range(arguments, ranges: Mapping[str, Range] = RANGES, not_empty: Sequence[str] = NOT_EMPTY) -> None:
    """Check each key of a section that has a range, or must not be empty; None is allowed.

    Args:
        arguments: a dataclass.
        ranges: by key.
        not_empty: keys of names and paths.

    Raises:
        RunError: a value out of its range; names the key, the range and the value.
    """
    for entry in fields(arguments):
        value, allowed = getattr(arguments, entry.name), ranges.get(entry.name)
        if entry.name in not_empty and isinstance(value, str) and not value.strip():
            raise RunError(f"{entry.name} is empty; fill it in, or null it")
        if allowed is not None and value not in (None, *LEVEL_WORDS) and not allowed.holds(value):
            hint = typing.get_type_hints(type(arguments))[entry.name]
            or_null = ", or null" if type(None) in typing.get_args(hint) else ""
            raise RunError(f"{entry.name} must be {allowed}{or_null}, got {value!r}")
