"""What must stay the same for a resumed run to end as the uninterrupted one would have."""

import hashlib
import json

import numpy as np

from .checkpoints import LENGTH

_PLACE = "names a place, or what is published from it"
_WATCHING = "what is written about the run, how often and where to"
_WHAT_TO_DO = "which parts of the recipe are run, not how"
_READING = "how clips are read ahead; the sampler alone decides which clips are in a batch"
_MEMORY = "saves memory; the same values are computed"
_PROCESSES = "how processes find and wait for one another"

# The only arguments that a resumed run may change, and why its weights at a step stay the same. An argument that is not
# here, also one that a later transformers adds, is part of the fingerprint.
CANNOT_CHANGE_THE_RESULT = {
    **dict.fromkeys(("output_dir", "run_name", "resume_from_checkpoint", "project"), _PLACE),
    **dict.fromkeys(("trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"), _PLACE),
    **dict.fromkeys(("push_to_hub", "hub_token", "hub_private_repo", "hub_model_id", "hub_strategy"), _PLACE),
    **dict.fromkeys(("hub_always_push", "hub_revision"), _PLACE),
    **dict.fromkeys(("logging_strategy", "logging_steps", "logging_first_step", "log_on_each_node"), _WATCHING),
    **dict.fromkeys(("log_level", "log_level_replica", "disable_tqdm", "report_to", "skip_memory_metrics"), _WATCHING),
    **dict.fromkeys(("do_train", "do_eval", "do_predict"), _WHAT_TO_DO),
    **dict.fromkeys(("dataloader_num_workers", "dataloader_pin_memory", "dataloader_persistent_workers"), _READING),
    **dict.fromkeys(("dataloader_prefetch_factor", "dataloader_multiprocessing_context"), _READING),
    **dict.fromkeys(("activation_checkpointing", "activation_checkpointing_kwargs"), _MEMORY),
    **dict.fromkeys(("gradient_checkpointing", "gradient_checkpointing_kwargs", "torch_empty_cache_steps"), _MEMORY),
    **dict.fromkeys(("local_rank", "ddp_backend", "ddp_timeout"), _PROCESSES),
    "save_strategy": "how often a checkpoint is written; the best one always is",
    "save_steps": "how often a checkpoint is written; the best one always is",
    "save_total_limit": "how many checkpoints are kept; the newest and the best always are",
    "load_best_model_at_end": "which of the weights that the run finds it ends with",
    "max_steps": "how long to train; in the fingerprint where the schedule stretches over it",
    "num_train_epochs": "how long to train; in the fingerprint where the schedule stretches over it",
    "per_device_eval_batch_size": "how fast validation is; a clip's prediction does not depend on the others",
    "eval_accumulation_steps": _MEMORY,
    "use_cpu": "the machine; the last bits differ between any two machines, whatever it says",
}
# All other schedules stretch over the steps that are planned, and so does a warmup that is a share of them.
NOT_STRETCHED = ("constant", "reduce_lr_on_plateau")
NOT_STRETCHED_BUT_BY_WARMUP = ("constant_with_warmup", "inverse_sqrt")

# Entries of a model's configuration that describe the file or the machine, not the model.
DESCRIPTIVE = (
    "transformers_version",
    "architectures",
    "auto_map",
    "custom_pipelines",
    "dtype",
    "torch_dtype",
    "use_cache",
    "return_dict",
)
DESCRIPTIVE += ("custom_pipelines", "feature_extractor_type", "processor_class", "image_processor_type")


def run_fingerprint(args, config, extractor, train_digest: str, eval_digest: str, adapters: dict | None = None) -> dict:
    """The settings of a run that may decide its weights, as plain JSON values by name: all but those known not to.

    Args:
        args: the run's ``Burst2VecTrainingArguments``.
        config: the model's ``Burst2VecConfig``; each entry comes as ``model.<name>``.
        extractor: the ``Burst2VecFeatureExtractor``, or None: how clips are preprocessed and levelled, as
            ``clips.<name>``.
        train_digest, eval_digest: see :func:`corpus_digest`.
        adapters: of a model that PEFT wraps, its configurations by name; an entry comes as ``adapter.<name>.<entry>``.
    """
    decisive = {name: value for name, value in args.to_dict().items() if name not in CANNOT_CHANGE_THE_RESULT}
    decisive["world_size"] = args.world_size
    share_of_steps = 0 < args.warmup_steps < 1
    warmed = args.lr_scheduler_type in NOT_STRETCHED_BUT_BY_WARMUP and not share_of_steps
    if args.lr_scheduler_type not in NOT_STRETCHED and not warmed:
        decisive |= {name: getattr(args, name) for name in LENGTH}
    if extractor is not None:
        decisive |= {f"clips.{name}": value for name, value in _flat(extractor.to_dict()).items()}
    decisive |= {"train_data": train_digest, "eval_data": eval_digest}
    decisive |= {f"model.{name}": value for name, value in _flat(config.to_dict()).items()}
    for name, adapter in (adapters or {}).items():
        decisive |= _flat(adapter.to_dict(), f"adapter.{name}.")
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
