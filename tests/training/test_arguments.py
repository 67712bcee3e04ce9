"""The defaults are the paper's; what cannot be honoured is refused."""

import typing

import numpy as np
import pytest
import torch
from transformers import EarlyStoppingCallback, HfArgumentParser

from burst2vec.errors import RunError
from burst2vec.experiment import corpus_keys
from burst2vec.experiment.recipes import SECTIONS
from burst2vec.scoring import score_tasks
from burst2vec.tasks import TASK_PRESETS
from burst2vec.training.arguments import Burst2VecTrainingArguments, bf16_is_native, check_selection
from burst2vec.training.ranges import RANGES
from tests.training.tiny_run import tiny_trainer


def test_the_defaults_are_those_of_the_paper(tmp_path):
    arguments = Burst2VecTrainingArguments(output_dir=str(tmp_path))
    assert (arguments.learning_rate, arguments.lr_scheduler_type, arguments.weight_decay) == (1e-5, "constant", 0.0)
    assert (arguments.per_device_train_batch_size, arguments.num_train_epochs) == (32, 100)
    assert (arguments.eval_strategy, arguments.eval_steps, arguments.save_steps) == ("steps", 800, 800)
    assert (arguments.early_stopping_patience, arguments.metric_for_best_model) == (20, "emotion_ccc")
    assert arguments.load_best_model_at_end and arguments.greater_is_better
    assert arguments.task_schedule == "alternate" and not arguments.oversample


def test_adam_without_weight_decay_is_adam():
    def train(optimizer_class, **settings):
        torch.manual_seed(0)
        layer = torch.nn.Linear(4, 4)
        optimizer = optimizer_class(layer.parameters(), lr=1e-2, **settings)
        for _ in range(5):
            optimizer.zero_grad()
            layer(torch.ones(2, 4)).square().sum().backward()
            optimizer.step()
        return layer.weight

    assert torch.equal(train(torch.optim.Adam), train(torch.optim.AdamW, weight_decay=0.0))


def test_bf16_is_on_where_the_machine_has_it_and_can_be_turned_off(tmp_path):
    assert Burst2VecTrainingArguments(output_dir=str(tmp_path)).bf16 == bf16_is_native()
    for asked in (False, True):
        assert Burst2VecTrainingArguments(output_dir=str(tmp_path), bf16=asked).bf16 is asked


@pytest.mark.parametrize(("capabilities", "native"), [({"avx512_bf16": True}, True), ({"avx512_f": True}, False)])
def test_a_processor_without_bf16_instructions_stays_in_float32(monkeypatch, capabilities, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert bf16_is_native(use_cpu=True) is native


def test_the_command_line_sets_every_kind_of_value(tmp_path):
    (arguments,) = HfArgumentParser(Burst2VecTrainingArguments).parse_args_into_dataclasses(
        ["--output_dir", str(tmp_path), "--bf16", "false", "--task_schedule", "joint", "--eval_strategy", "epoch"]
        + [
            "--early_stopping_patience",
            "3",
            "--oversample",
            "--save_strategy",
            "epoch",
            "--dataloader_num_workers",
            "1",
        ]
    )
    assert (arguments.bf16, arguments.task_schedule, arguments.eval_strategy) == (False, "joint", "epoch")
    assert (arguments.early_stopping_patience, arguments.oversample) == (3, True)
    assert arguments.dataloader_num_workers == 1


def test_an_error_is_better_when_smaller(tmp_path):
    for metric, greater in (("age_mae", False), ("loss", False), ("s_mtl", True), ("emotion_ccc/Awe", True)):
        arguments = Burst2VecTrainingArguments(output_dir=str(tmp_path), metric_for_best_model=metric)
        assert arguments.greater_is_better is greater


def test_every_score_that_a_validation_gives_may_choose_and_no_other(tmp_path):
    exvo = TASK_PRESETS["exvo"]
    labels = {"emotion": np.eye(10), "age": np.arange(10.0)[:, None], "country": np.arange(10) % 4}
    scores = score_tasks(exvo, {**labels, "country": np.eye(4)[labels["country"]]}, labels)
    assert "emotion_pearson/Awe" in scores
    for name in scores:
        check_selection(Burst2VecTrainingArguments(output_dir=str(tmp_path), metric_for_best_model=name), exvo)
    for name in ("country_uar/China", "age_mae/age", "age_pearson"):
        arguments = Burst2VecTrainingArguments(output_dir=str(tmp_path), metric_for_best_model=name)
        with pytest.raises(RunError, match=f"{name!r} is not a score of this task set"):
            check_selection(arguments, exvo)


def test_without_validation_the_last_model_is_the_result(tmp_path):
    assert not Burst2VecTrainingArguments(output_dir=str(tmp_path), eval_strategy="no").load_best_model_at_end


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"task_schedule": "random"}, "task_schedule must be 'alternate' or 'joint', got 'random'"),
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size must be in 1..65536, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0, up to 100, got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0, up to 100, got nan"),
        ({"oversample_strength": 1.5}, "oversample_strength must be in 0..1, got 1.5"),
        ({"early_stopping_patience": 0}, "early_stopping_patience must be in 1..1000000000, or null, got 0"),
        (
            {"speed_perturbation": [1.0, 3.0]},
            r"speed_perturbation must be factors in 0.5..2, such as .* got \[1.0, 3.0\]",
        ),
        ({"seed": -1}, "seed must be in 0..4294967295, got -1"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps must be in 1..65536, got 0"),
        ({"weight_decay": -1.0}, "weight_decay must be in 0..100, got -1.0"),
        ({"num_train_epochs": -1}, "num_train_epochs must be a number above 0, up to 1000000, got -1"),
        ({"max_steps": 0}, "max_steps must be in 1..1000000000, or -1, got 0"),
        ({"adam_beta2": 1.0}, "adam_beta2 must be from 0, and below 1, got 1.0"),
        ({"dataloader_num_workers": 10**6}, "dataloader_num_workers must be in 0..256, or null, got 1000000"),
        ({"crop_seconds": 0.01}, "crop_seconds must be in 0.025..60, or null, got 0.01"),
        ({"mixup_alpha": float("inf")}, "mixup_alpha must be a number above 0, up to 1000000, or null, got inf"),
        ({"warmup_steps": float("nan")}, "warmup_steps must be in 0..1000000000, got nan"),
        ({"seed": "1"}, "seed must be in 0..4294967295, got '1'"),
        ({"output_dir": " "}, "output_dir is empty; fill it in"),
        ({"label_smoothing_factor": 0.1}, "label_smoothing_factor is not honoured here"),
        ({"prediction_loss_only": True}, "prediction_loss_only is not honoured here"),
        ({"train_sampling_strategy": "group_by_length"}, "train_sampling_strategy 'group_by_length' is not honoured"),
        ({"fp16": True, "use_cpu": True}, "fp16 on a processor is not honoured here: .*or give bf16"),
        ({"push_to_hub": True}, "push_to_hub is not honoured here: .*hub_token"),
        ({"save_only_model": True}, "save_only_model is not honoured here: such a checkpoint cannot resume"),
        ({"save_on_each_node": True}, "save_on_each_node is not honoured here"),
        ({"enable_jit_checkpoint": True}, "enable_jit_checkpoint is not honoured here"),
        ({"auto_find_batch_size": True}, "auto_find_batch_size is not honoured here"),
        ({"dataloader_drop_last": True}, "dataloader_drop_last is not honoured here"),
        ({"accelerator_config": {"split_batches": True}}, "split_batches is not honoured here"),
        ({"accelerator_config": {"dispatch_batches": True}}, "dispatch_batches is not honoured here"),
    ],
    ids=str,
)
def test_what_is_out_of_range_or_not_honoured_is_refused(tmp_path, setting, message):
    with pytest.raises(ValueError, match=message):
        Burst2VecTrainingArguments(**{"output_dir": str(tmp_path), **setting})


# Numbers that decide nothing here: set by the launcher, or of a setting that is refused.
WITHOUT_RANGE = {"local_rank", "label_smoothing_factor", "neftune_noise_alpha"}


def test_no_numeric_key_is_without_a_range():
    numeric = set()
    for section in SECTIONS.values():
        for name, hint in typing.get_type_hints(section).items():
            if {int, float} & {hint, *typing.get_args(hint)}:
                numeric.add(name)
    assert len(numeric) > 40
    words = {"initializer_range", "freeze_encoder"}  # which Burst2VecConfig refuses itself, as they may be words
    assert numeric - WITHOUT_RANGE - words == set(RANGES) | set(corpus_keys.RANGES)


def test_adam_with_l2_is_torchs_adam_and_a_validation_must_be_better_by_the_threshold(tmp_path):
    settings = {"decoupled_weight_decay": False, "weight_decay": 1e-4, "early_stopping_threshold": 0.1}
    trainer = tiny_trainer(tmp_path, **settings)
    optimizer = trainer.create_optimizer()
    assert type(optimizer) is torch.optim.Adam
    decayed = [len(group["params"]) for group in optimizer.param_groups if group["weight_decay"] == 1e-4]
    assert decayed == [sum(weights.requires_grad for weights in trainer.model.parameters())], "biases and norms too"
    adamw = tiny_trainer(tmp_path, weight_decay=1e-4).create_optimizer()
    assert [bool(group["params"]) for group in adamw.param_groups if group["weight_decay"] == 0.0] == [True]
    assert not any(group["decoupled_weight_decay"] for group in optimizer.param_groups)
    (patience,) = [c for c in trainer.callback_handler.callbacks if isinstance(c, EarlyStoppingCallback)]
    assert patience.early_stopping_threshold == 0.1
    with pytest.raises(RunError, match="decoupled_weight_decay false with optim sgd is not honoured here: Adam with"):
        Burst2VecTrainingArguments(output_dir=str(tmp_path), decoupled_weight_decay=False, optim="sgd")
