"""A view of a clip → a prediction, and the predictions a user reads."""

import torch
from torch import nn

from .tasks import Task


class TaskHead(nn.Module):
    """One linear layer on a view; where a trunk gives three (Burst2Vec, Eq. 5), the same head reads them all.

    A regression comes out in 0..1 by a sigmoid, a classification as logits; both in float32, whatever the view's type.
    """

    def __init__(self, task: Task, input_size: int, dropout: float):
        super().__init__()
        self.regression = task.kind == "regression"
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(input_size, len(task.labels))

    def forward(self, view):  # (batch, input_size) → (batch, labels)
        scores = self.output(self.dropout(view)).float()
        return torch.sigmoid(scores) if self.regression else scores


def read_out(task: Task, outputs: torch.Tensor) -> torch.Tensor:
    """A head's outputs as a user reads them: regressions in the task's unit, classes as probabilities; float32.

    Both keep the head's shape (batch, labels).
    """
    return task.to_unit(outputs) if task.kind == "regression" else outputs.softmax(dim=-1)
