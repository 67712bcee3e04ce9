"""A resumed run differs from the one that wrote its checkpoint in nothing that could change its weights."""

from dataclasses import fields

import pytest

from burst2vec import Burst2VecFeatureExtractor
from burst2vec.training import Burst2VecTrainingArguments
from burst2vec.training.run_fingerprint import CANNOT_CHANGE_THE_RESULT, run_fingerprint
from tests.training.tiny_run import tiny_arguments, tiny_model

# transformers 5.20 calls it gradient_checkpointing alone; 5.20 is the oldest that the tests run with, 5.23 the newest.
ONE_RELEASE_ONLY = {"activation_checkpointing", "activation_checkpointing_kwargs", "trackio_bucket_id"}
ONE_RELEASE_ONLY |= {"trackio_static_space_id", "local_rank", "torch_empty_cache_steps", "hub_revision"}


def fingerprint(extractor=None, **changes):
    arguments = tiny_arguments("folder", **changes)
    return run_fingerprint(arguments, tiny_model().config, extractor or Burst2VecFeatureExtractor(), "train", "eval")


def test_every_argument_is_in_the_fingerprint_or_named_with_the_reason_why_it_need_not_be():
    names = {entry.name for entry in fields(Burst2VecTrainingArguments) if entry.init}
    found = set(fingerprint())
    assert names - set(CANNOT_CHANGE_THE_RESULT) <= found, "an argument that nobody judged"
    assert not set(CANNOT_CHANGE_THE_RESULT) & found
    assert set(CANNOT_CHANGE_THE_RESULT) - names <= ONE_RELEASE_ONLY, "named, and no argument"
    assert all(len(reason.split()) > 3 for reason in CANNOT_CHANGE_THE_RESULT.values())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"mixup_alpha": 0.3}, "mixup_alpha"),
        ({"average_decay": 0.9}, "average_decay"),
        ({"oversample_strength": 0.5}, "oversample_strength"),
        ({"speed_perturbation": [0.9, 1.0]}, "speed_perturbation"),
        ({"crop_seconds": 0.25}, "crop_seconds"),
        ({"eval_delay": 3}, "eval_delay"),
        ({"early_stopping_patience": 3}, "early_stopping_patience"),
        ({"extractor": Burst2VecFeatureExtractor(target_rms_dbfs=-20.0)}, "clips.target_rms_dbfs"),
        ({"extractor": Burst2VecFeatureExtractor(trim_below_db=40.0)}, "clips.trim_below_db"),
        ({"extractor": Burst2VecFeatureExtractor(preprocess=["highpass"])}, "clips.preprocess"),
        ({"extractor": Burst2VecFeatureExtractor(padding_value=1.0)}, "clips.padding_value"),
    ],
)
def test_what_could_change_the_weights_changes_the_fingerprint(changes, name):
    before, after = fingerprint(), fingerprint(**changes)
    assert {key for key in before | after if before.get(key) != after.get(key)} == {name}


def test_who_teaches_and_how_much_counts_and_a_run_without_teachers_resumes_checkpoints_of_before():
    alone, one, other, more = (
        fingerprint(**given)
        for given in ({}, {"teachers": ["a"]}, {"teachers": ["b"]}, {"teachers": ["a"], "teacher_share": 0.7})
    )
    assert alone["teachers"] is None and alone["teacher_share"] is None and one["teacher_share"] == 0.5
    assert {key for key in one if one[key] != other[key]} == {"teachers"}
    assert {key for key in one if one[key] != more[key]} == {"teacher_share"}


def test_how_long_to_train_counts_where_the_schedule_stretches_over_it():
    assert fingerprint(max_steps=4) == fingerprint(max_steps=6)
    warmed = {"lr_scheduler_type": "inverse_sqrt", "warmup_steps": 2}
    assert fingerprint(max_steps=4, **warmed) == fingerprint(max_steps=6, **warmed)
    for stretched in ({"lr_scheduler_type": "linear"}, {**warmed, "warmup_steps": 0.1}):
        linear = [fingerprint(max_steps=steps, **stretched) for steps in (4, 6)]
        assert {key for key in linear[0] if linear[0][key] != linear[1][key]} == {"max_steps"}


def test_no_token_is_in_the_fingerprint():
    assert "hf_secret" not in str(fingerprint(hub_token="hf_secret"))
