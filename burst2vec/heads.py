"""A view of a clip → a prediction, the predictions a user reads, and the loss of a task on them."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from .losses import LOSSES
from .parts import check_dropout, check_size, split_part
from .tasks import Task


class LinearHead(nn.Module):
    """One linear layer on a view; where a trunk gives three (Burst2Vec, Eq. 5), the same head reads them all.

    A regression comes out in 0..1 by a sigmoid, or as it is where its task's ``output`` is linear, a classification as
    logits; all in float32, whatever the view's type.

    Args:
        task: what the head predicts.
        input_size: features of a view.
        dropout: probability in front of the layer.

    Raises:
        ValueError: a dropout out of its range.
    """

    def __init__(self, task: Task, input_size: int, *, dropout: float = 0.1):
        super().__init__()
        check_dropout("dropout", dropout)
        self.squashed = is_squashed(task)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(input_size, len(task.labels))
        if task.kind == "regression" and not self.squashed:
            self.output.initial_bias = task.to_unit(0.5)  # from 0 years it would take many steps to get to the ages

    def forward(self, view):  # (batch, input_size) → (batch, labels)
        scores = self.output(self.dropout(view)).float()
        return torch.sigmoid(scores) if self.squashed else scores


class MLPHead(LinearHead):
    """A hidden layer with a leaky ReLU (slope 0.01) before [`LinearHead`]'s, as in the ExVo challenge's own baseline.

    Args:
        task, input_size: as [`LinearHead`] has them.
        hidden_size: units of the hidden layer.
        dropout: probability between the two layers.

    Raises:
        ValueError: an argument out of its range, by name.
    """

    def __init__(self, task: Task, input_size: int, *, hidden_size: int = 32, dropout: float = 0.1):
        check_size("hidden_size", hidden_size)
        super().__init__(task, hidden_size, dropout=dropout)
        self.hidden = nn.Linear(input_size, hidden_size)

    def forward(self, view):  # (batch, input_size) → (batch, labels)
        return super().forward(F.leaky_relu(self.hidden(view)))


HEADS = {"linear": LinearHead, "mlp": MLPHead}


def is_squashed(task: Task) -> bool:
    """Whether a head's 0..1 stands for the task's span; else it gives values in the task's unit, or logits."""
    return task.kind == "regression" and task.output == "sigmoid"


def read_out(task: Task, outputs: torch.Tensor) -> torch.Tensor:
    """A head's outputs as a user reads them: regressions in the task's unit, classes as probabilities; float32.

    A squashed regression stays in its span. Both keep the head's shape (batch, labels).
    """
    if task.kind == "classification":
        return outputs.softmax(dim=-1)
    return task.to_unit(outputs).clamp(*task.span) if is_squashed(task) else outputs


def rescale(task: Task, outputs: torch.Tensor, bias: Sequence[float], scale: Sequence[float]) -> torch.Tensor:
    """A regression's outputs whose predictions p, in the task's unit, are ``scale`` · p + ``bias``.

    Args:
        outputs: of the head, (batch, labels).
        bias: in the task's unit, (labels,).
        scale: factors, (labels,).

    Returns:
        The same shape; of a squashed task beyond 0..1 where the prediction leaves the span, which ``read_out`` ends.

    >>> task = Task("pain", kind="regression", labels=("pain",), span=(0.0, 10.0))
    >>> read_out(task, rescale(task, torch.tensor([[0.25], [0.9]]), bias=[1.0], scale=[2.0])).tolist()
    [[6.0], [10.0]]
    """
    bias, scale = outputs.new_tensor(bias), outputs.new_tensor(scale)
    if not is_squashed(task):
        return scale * outputs + bias
    return task.from_unit(scale * task.to_unit(outputs) + bias)


def task_loss(task: Task, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss of one task on its head's outputs, times the task's weight: a float32 scalar.

    Args:
        outputs: a regression's in 0..1, or in its unit where its ``output`` is linear; or logits; (batch, labels).
        labels: as the corpus has them: in the task's unit (batch, labels), or class indices (batch,); or the fraction
            of each class in mixed clips (batch, classes).
    """
    targets = task.from_unit(labels) if is_squashed(task) else labels
    kind, arguments = split_part("loss", task.loss)
    return task.loss_weight * LOSSES[task.kind][kind](outputs, targets, **arguments)


def labels_of_frames(labels: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
    """The clips' labels given to each of their frames, for heads that learn from every frame.

    Args:
        labels: as [`task_loss`] takes them, of the clips.
        frame_mask: boolean (batch, frames), True where there is sound; the other frames' labels are missing.

    Returns:
        The same for ``batch · frames`` rows, clip after clip.

    >>> labels_of_frames(torch.tensor([3, 1]), torch.tensor([[True, True], [True, False]])).tolist()
    [3, 3, 1, -1]
    """
    missing = float("nan") if labels.is_floating_point() else -1
    rows = labels.repeat_interleave(frame_mask.shape[1], dim=0)
    absent = ~frame_mask.flatten()
    return rows.masked_fill(absent[:, None] if rows.ndim > 1 else absent, missing)
