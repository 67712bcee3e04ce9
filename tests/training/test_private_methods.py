"""The trainer overrides private methods of transformers' Trainer: they must be there, and take what they took.

A release that renames one would not fail: our method would no longer be called, and a checkpoint, say, no longer be
whole. So they stand in one file, and here with what each takes in all releases tried.
"""

import ast
import inspect
import re
from pathlib import Path

import pytest
import transformers
from transformers import Trainer

from burst2vec.training.private_methods import HookedTrainer

ROOT = Path(__file__).parents[2]
TRIED = ("5.20.2", "5.23.0")
OVERRIDDEN = {
    "_init_training_state": (
        *("max_steps", "num_update_steps_per_epoch", "num_train_epochs", "resume_from_checkpoint", "trial"),
    ),
    "_run_epoch": (
        *("model", "epoch", "train_dataloader", "steps_in_epoch", "num_update_steps_per_epoch", "trial"),
        *("ignore_keys_for_eval", "start_time", "resume_from_checkpoint", "epochs_trained"),
        *("steps_trained_in_current_epoch",),
    ),
    "_determine_best_metric": ("metrics", "trial"),
    "_save_checkpoint": ("model", "trial"),
    "_save": ("output_dir", "state_dict"),
    "_load_best_model": (),
    "_load_scaler": ("checkpoint",),
    "_get_dataloader": ("dataset", "description", "batch_size", "sampler_fn", "is_training", "dataloader_key"),
    "_get_grad_norm": ("model", "grad_norm"),
    "_get_eval_sampler": ("eval_dataset",),
    "_evaluate": ("trial", "ignore_keys_for_eval", "skip_scheduler"),
}
CALLED = {
    "_save_optimizer_and_scheduler": ("output_dir",),
    "_save_scaler": ("output_dir",),
    "_save_rng_state": ("output_dir",),
    "_get_output_dir": ("trial",),
    "_prepare_inputs": ("inputs",),
}
PRIVATE = {name for name in vars(Trainer) if re.match("_[a-z]", name)} - {"_abc_impl"}


@pytest.mark.parametrize(("name", "parameters"), [*OVERRIDDEN.items(), *CALLED.items()])
def test_a_private_method_is_there_and_takes_what_it_took(name, parameters):
    found = tuple(inspect.signature(getattr(Trainer, name)).parameters)[1:]
    assert found == parameters, f"transformers {transformers.__version__}; tried are {TRIED}"


def test_every_private_method_that_is_overridden_is_named_here():
    assert {name for name in vars(HookedTrainer) if name in PRIVATE} == set(OVERRIDDEN)


def test_one_file_alone_names_private_methods_of_the_trainer():
    named = {}
    for path in (ROOT / "burst2vec" / "training").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                named.setdefault(path.name, set()).add(node.attr)
            elif isinstance(node, ast.FunctionDef):
                named.setdefault(path.name, set()).add(node.name)
    assert named.pop("private_methods.py") & PRIVATE == set(OVERRIDDEN) | set(CALLED)
    assert {file: names & PRIVATE for file, names in named.items() if names & PRIVATE} == {}


def test_the_versions_tried_are_those_that_the_constraints_name():
    constraints = (ROOT / "constraints.txt").read_text()
    assert sorted(set(re.findall(r"^transformers==(\S+)", constraints, flags=re.MULTILINE))) == list(TRIED)
