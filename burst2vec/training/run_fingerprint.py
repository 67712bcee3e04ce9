"""What must stay the same for a resumed run to end as the uninterrupted one would have."""

import hashlib
import json

import numpy as np

# Arguments that decide the weights. Not here: how often to log or save, and how long to go on at a constant rate.
DECISIVE = (
    "seed",
    "data_seed",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "learning_rate",
    "lr_scheduler_type",
    "lr_scheduler_kwargs",
    "plateau_metric",
    "warmup_steps",
    "optim",
    "optim_args",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
    "bf16",
    "fp16",
    "full_determinism",
    "task_schedule",
    "oversample",
    "max_repeats",
    "speed_perturbation",
    "mixup_alpha",
    "eval_strategy",
    "eval_steps",
    "early_stopping_patience",
    "metric_for_best_model",
    "greater_is_better",
)

# Entries of a model's configuration that describe the file or the machine, not the model.
DESCRIPTIVE = ("transformers_version", "architectures", "auto_map", "dtype", "torch_dtype", "use_cache", "return_dict")


def run_fingerprint(args, config, extractor, train_digest: str, eval_digest: str) -> dict:
    """The settings of a run that decide its weights, as plain JSON values by name.

    Args:
        args: the run's ``Burst2VecTrainingArguments``.
        config: the model's ``Burst2VecConfig``; each entry comes as ``model.<name>``.
        extractor: the ``Burst2VecFeatureExtractor``, or None: how clips were preprocessed and levelled.
        train_digest, eval_digest: see :func:`corpus_digest`.
    """
    settings = args.to_dict()
    decisive = {name: settings[name] for name in DECISIVE}
    decisive["world_size"] = args.world_size
    if decisive["lr_scheduler_type"] not in (
        "constant",
        "reduce_lr_on_plateau",
    ):  # the others stretch over the steps planned
        decisive |= {"max_steps": args.max_steps, "num_train_epochs": args.num_train_epochs}
    decisive |= {name: getattr(extractor, name, None) for name in ("preprocess", "target_rms_dbfs")}
    heard_as = {name: getattr(extractor, name, None) for name in ("features", "normalise_per_speaker")}
    decisive |= {name: value for name, value in heard_as.items() if value}  # of vectors; older checkpoints have neither
    decisive |= {"train_data": train_digest, "eval_data": eval_digest}
    decisive |= {f"model.{name}": value for name, value in _flat(config.to_dict()).items()}
    return json.loads(json.dumps(decisive, default=str))


def corpus_digest(*columns) -> str:
    """Sixteen hexadecimal digits that change with any value of the columns, or with their order.

    >>> corpus_digest(["00001", "00002"]) == corpus_digest(["00002", "00001"])
    False
    """
    digest = hashlib.sha256()
    for column in columns:
        array = np.asarray(column)
        digest.update(f"{array.dtype.kind}{array.shape}".encode())
        digest.update("\n".join(array).encode() if array.dtype.kind == "U" else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _flat(record: dict, prefix: str = "") -> dict:
    flat = {}
    for name, value in record.items():
        if name in DESCRIPTIVE or str(name).startswith("_"):
            continue
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
