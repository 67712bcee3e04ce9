"""Predictions and labels → one number, in float32, over the labels that are there.

A missing label is NaN in a regression and −1 among class indices. A batch without any gives 0, and no gradient.

``LOSSES`` has the losses of each kind of task by name: ``Task`` accepts these and no others. A loss is called as
``loss(outputs, targets)``; arguments after a ``*`` are what a task can set with ``loss: {kind: …, …}``.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

# Under it a variance is float32 rounding: 1 − CCC keeps a finite gradient on constant series.
CCC_EPSILON = 1e-8


def concordance_loss(predictions: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """1 − CCC, the mean over labels, each in population form (dividing by N).

    CCC = 2·cov(x, y) / (var(x) + var(y) + (mean(x) − mean(y))²), Lin (1989); Burst2Vec, Eq. 1 and 2.

    Args:
        predictions: float (batch, labels).
        references: float (batch, labels), NaN where missing.

    Returns:
        A scalar in 0..2. A label with fewer than two references in the batch says nothing and is left out.

    >>> round(float(concordance_loss(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[2.0], [2.0], [5.0]]))), 4)
    0.4545
    """
    present = ~torch.isnan(references)
    count = present.sum(dim=0)
    weights = present.float() / count.clamp(min=1)  # columns sum to 1
    x = predictions.float()
    y = torch.where(present, references.float(), 0.0)
    x_mean, y_mean = (weights * x).sum(dim=0), (weights * y).sum(dim=0)
    x_centred, y_centred = x - x_mean, y - y_mean
    covariance = (weights * x_centred * y_centred).sum(dim=0)
    spread = (weights * (x_centred.square() + y_centred.square())).sum(dim=0) + (x_mean - y_mean).square()
    losses = 1.0 - 2.0 * covariance / (spread + CCC_EPSILON)
    return _mean_of_present(losses, count >= 2)


def absolute_loss(predictions: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Mean absolute error over the labels present; both (batch, labels)."""
    return _mean_of_present(
        (predictions.float() - torch.nan_to_num(references).float()).abs(), ~torch.isnan(references)
    )


def squared_loss(predictions: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Mean squared error over the labels present; both (batch, labels)."""
    return _mean_of_present(
        (predictions.float() - torch.nan_to_num(references).float()).square(), ~torch.isnan(references)
    )


def class_loss(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of logits (batch, classes).

    Args:
        logits: float (batch, classes).
        classes: indices (batch,), −1 where missing; or each class's share in a clip, as mixed clips have them, float
            (batch, classes) of sum 1, NaN where missing.

    Even logits of two classes cost ln 2, whatever the shares:

    >>> round(float(class_loss(torch.zeros(1, 2), torch.tensor([[0.25, 0.75]]))), 4)
    0.6931
    """
    if classes.is_floating_point():
        present = ~torch.isnan(classes).any(dim=-1)
        return _mean_of_present(-(torch.nan_to_num(classes) * logits.float().log_softmax(dim=-1)).sum(dim=-1), present)
    losses = F.cross_entropy(logits.float(), classes, ignore_index=-1, reduction="none")
    return _mean_of_present(losses, classes != -1)


def _mean_of_present(values: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    return torch.where(present, values, 0.0).sum() / present.sum().clamp(min=1)


class UncertaintyWeights(nn.Module):
    """Task weights that are learnt: Σ_t L_t / (2 · exp(s_t)) + s_t / 2, with one number s_t for each task.

    Kendall, Gal and Cipolla (2018), "Multi-Task Learning Using Uncertainty to Weigh Losses": s is the logarithm of a
    variance. A task without a label in the batch adds nothing, or its s would fall without end.

    Args:
        task_names: the tasks, in order.
        log_variance: where every s starts.
    """

    def __init__(self, task_names: Sequence[str], log_variance: float):
        super().__init__()
        self.order, self.start = list(task_names), log_variance
        self.log_variances = nn.Parameter(torch.full((len(self.order),), float(log_variance)))

    def initialise(self) -> None:
        """Where training starts, and where a checkpoint without them goes on."""
        init.constant_(self.log_variances, self.start)

    def forward(self, losses: dict[str, torch.Tensor], labelled: dict[str, torch.Tensor]) -> torch.Tensor:
        """The weighed sum.

        Args:
            losses: a scalar for each task that the batch trains.
            labelled: for each of them boolean (batch,), the clips with a label.
        """
        total = 0.0
        for name, loss in losses.items():
            s = self.log_variances[self.order.index(name)]
            total = total + loss / (2 * s.exp()) + labelled[name].any() * s / 2
        return total


LOSSES = {
    "regression": {"ccc": concordance_loss, "mae": absolute_loss, "mse": squared_loss},
    "classification": {"cross_entropy": class_loss},
}
