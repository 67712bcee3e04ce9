"""Mixup: sound and labels move together, and chance is the run's own."""

import pytest
import torch

from burst2vec.tasks import resolve_tasks
from burst2vec.training.mixup import mix_batch
from tests.training.tiny_run import tiny_trainer

TASKS = resolve_tasks([{"preset": "exvo", "name": "age"}, {"preset": "exvo", "name": "country"}])
NAN = float("nan")


def batch():
    """Three clips, each a constant that is also its age; the last has no country."""
    ages = torch.tensor([[20.0], [30.0], [40.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 0]])
    labels = {"age": ages.clone(), "country": torch.tensor([0, 3, -1])}
    return {"input_values": ages * mask, "attention_mask": mask, "labels": labels, "task": "age"}


def test_a_label_moves_as_its_sound_does():
    torch.manual_seed(0)
    mixed = mix_batch(batch(), TASKS, alpha=1.0)
    assert mixed["input_values"][:, 0].tolist() == pytest.approx(mixed["labels"]["age"][:, 0].tolist())
    assert (mixed["labels"]["age"] != batch()["labels"]["age"]).any() and mixed["task"] == "age"


def test_a_clip_stays_mostly_itself_and_its_classes_sum_to_one():
    for seed in range(20):
        torch.manual_seed(seed)
        shares = mix_batch(batch(), TASKS, alpha=0.5)["labels"]["country"]
        known = ~torch.isnan(shares).any(dim=1)
        assert torch.allclose(shares[known].sum(dim=1), torch.ones(int(known.sum())))
        assert not known[2], "a clip whose own country is missing has none, whoever it is mixed with"
        for clip, country in ((0, 0), (1, 3)):
            assert not known[clip] or shares[clip, country] >= 0.5


def test_what_one_of_two_clips_holds_is_in_the_mixture():
    torch.manual_seed(1)
    plain, mixed = batch(), mix_batch(batch(), TASKS, alpha=1.0)
    silent = mixed["attention_mask"] == 0
    assert (mixed["attention_mask"] >= plain["attention_mask"]).all() and (mixed["input_values"][silent] == 0).all()


def test_vectors_without_a_mask_are_mixed_too():
    torch.manual_seed(0)
    vectors = {"input_values": torch.eye(3), "labels": batch()["labels"]}
    mixed = mix_batch(vectors, TASKS, alpha=1.0)
    assert torch.allclose(mixed["input_values"].sum(dim=1), torch.ones(3)) and "attention_mask" not in mixed


def test_a_run_mixes_in_training_and_not_in_evaluation(tmp_path, monkeypatch):
    alphas = []
    monkeypatch.setattr("burst2vec.training.trainer.mix_batch", lambda *given: alphas.append(given[2]) or given[0])
    trainer = tiny_trainer(tmp_path, max_steps=3, mixup_alpha=0.3, eval_strategy="no", load_best_model_at_end=False)
    trainer.train()
    trainer.evaluate()
    assert alphas == [0.3] * 3


def test_a_mixed_run_learns(tmp_path):
    trainer = tiny_trainer(tmp_path, max_steps=3, mixup_alpha=0.3, task_schedule="joint")
    assert 0 < trainer.train().training_loss < 20


def test_an_alpha_of_zero_is_refused(tmp_path):
    with pytest.raises(ValueError, match="mixup_alpha must be a number above 0, up to 1000000, or null, got 0.0"):
        tiny_trainer(tmp_path, mixup_alpha=0.0)
