"""Mixup (Zhang et al., 2018): clips of a batch, and their labels, added in pairs."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ..tasks import Task


def mix_batch(batch: dict, tasks: Sequence[Task], alpha: float) -> dict:
    """Mix each clip of a training batch with another one, drawn at random, and its labels with the other's.

    x = λ · x_i + (1 − λ) · x_j and y = λ · y_i + (1 − λ) · y_j, with one λ per clip, drawn from Beta(α, α) and taken as
    max(λ, 1 − λ), so that a clip stays mostly itself. Waveforms are added as they are: the shorter one ends earlier.
    A label that either clip lacks is missing. Random numbers are torch's, whose state a checkpoint holds.

    Args:
        batch: as ``BurstCollator`` gives it; ``input_values`` may be vectors.
        tasks: whose ``labels`` they are.
        alpha: above 0. Small values leave most clips nearly alone; 1 draws weights uniformly.

    Returns:
        The batch with ``input_values``, ``attention_mask`` and ``labels`` mixed; of a classification, the classes'
        weights, float32 (batch, classes), NaN where missing.
    """
    values = batch["input_values"]
    partners = torch.randperm(len(values)).to(values.device)
    weights = torch.distributions.Beta(alpha, alpha).sample((len(values), 1)).to(values.device)
    weights = torch.maximum(weights, 1 - weights)
    mixed = dict(batch, input_values=_mix(values, partners, weights))
    if "attention_mask" in batch:
        mixed["attention_mask"] = torch.maximum(batch["attention_mask"], batch["attention_mask"][partners])
    mixed["labels"] = {
        task.name: _mix(as_numbers(task, batch["labels"][task.name]), partners, weights) for task in tasks
    }
    return mixed


def _mix(values: torch.Tensor, partners: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """
    >>> _mix(torch.tensor([[0.0], [4.0]]), torch.tensor([1, 1]), torch.tensor([[0.75], [0.5]])).tolist()
    [[1.0], [4.0]]
    """
    return weights * values + (1 - weights) * values[partners]


def as_numbers(task: Task, labels: torch.Tensor) -> torch.Tensor:
    """Labels that can be added: of classes their weights, float32 (batch, classes), NaN where missing."""
    if task.kind == "regression" or labels.is_floating_point():
        return labels
    weights = F.one_hot(labels.clamp(min=0), len(task.labels)).float()
    return weights.masked_fill((labels < 0)[:, None], float("nan"))
