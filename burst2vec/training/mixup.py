"""Mixup (Zhang et al., 2018): clips of a batch, and their labels, added in pairs."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ..tasks import Task


def mix_batch(batch: dict, tasks: Sequence[Task], alpha: float) -> dict:
    """Add to each clip of a training batch another one of it, drawn by chance, and to its labels the other's.

    x = λ · x_i + (1 − λ) · x_j and y = λ · y_i + (1 − λ) · y_j, with one λ a clip, drawn from Beta(α, α) and taken as
    max(λ, 1 − λ), so that a clip stays mostly itself. Waveforms are added as they are: the shorter one ends earlier.
    A label that either clip lacks is missing. Chance is torch's, which a resumed run takes up where it was.

    Args:
        batch: as ``BurstCollator`` gives it; ``input_values`` may be vectors.
        tasks: whose ``labels`` they are.
        alpha: above 0. Small values leave most clips nearly alone; 1 mixes by every share alike.

    Returns:
        The batch with ``input_values``, ``attention_mask`` and ``labels`` mixed; of a classification, the classes'
        shares, float32 (batch, classes), NaN where missing.
    """
    values = batch["input_values"]
    partners = torch.randperm(len(values)).to(values.device)
    shares = torch.distributions.Beta(alpha, alpha).sample((len(values), 1)).to(values.device)
    shares = torch.maximum(shares, 1 - shares)
    mixed = dict(batch, input_values=_mix(values, partners, shares))
    if "attention_mask" in batch:
        mixed["attention_mask"] = torch.maximum(batch["attention_mask"], batch["attention_mask"][partners])
    mixed["labels"] = {
        task.name: _mix(_as_numbers(task, batch["labels"][task.name]), partners, shares) for task in tasks
    }
    return mixed


def _mix(values: torch.Tensor, partners: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """
    >>> _mix(torch.tensor([[0.0], [4.0]]), torch.tensor([1, 1]), torch.tensor([[0.75], [0.5]])).tolist()
    [[1.0], [4.0]]
    """
    return shares * values + (1 - shares) * values[partners]


def _as_numbers(task: Task, labels: torch.Tensor) -> torch.Tensor:
    if task.kind == "regression":
        return labels
    shares = F.one_hot(labels.clamp(min=0), len(task.labels)).float()
    return shares.masked_fill((labels < 0)[:, None], float("nan"))
