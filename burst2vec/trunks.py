"""One vector a clip → one vector a task: what tasks share, what each keeps, and who must not find out.

Burst2Vec, section 3: a shared extractor, one extractor per task, and their projected concatenation give three views of
a clip. A discriminator tries to tell the task from the shared view, through a gradient reversal: the extractor unlearns
what is of one task only.
"""

from typing import NamedTuple

import torch
from torch import nn


class Views(NamedTuple):
    """Three views of a batch of clips for one task, each (batch, extractor_size)."""

    shared: torch.Tensor
    specific: torch.Tensor
    combined: torch.Tensor


class TaskModules(nn.ModuleDict):
    """A module for each task, by the task's name, also where torch has that name for itself, as A-VB's ``type``.

    >>> TaskModules({"type": nn.Identity()})["type"]
    Identity()
    """

    def __setitem__(self, name, module):
        super().__setitem__(_key_of(name), module)

    def __getitem__(self, name):
        return super().__getitem__(_key_of(name))


def _key_of(name: str) -> str:
    return f"{name}_" if hasattr(nn.ModuleDict, name) else name


class GradientReversal(torch.autograd.Function):
    """Identity forward, minus the gradient backward (Ganin & Lempitsky, 2015)."""

    @staticmethod
    def forward(ctx, values):
        return values.view_as(values)

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


def reverse_gradient(values: torch.Tensor) -> torch.Tensor:
    """``values`` as they are; whatever learns from them teaches what lies before the opposite."""
    return GradientReversal.apply(values)


def extractor(input_size: int, output_size: int, dropout: float) -> nn.Sequential:
    """Dropout, linear, ReLU, layer norm: one extractor of the trunk.

    The norm is what keeps the game of Eq. 8 finite: an extractor is rewarded for the errors that others make on its
    view, cross-entropy has no upper bound, and without the norm the view grows until every head is saturated.
    """
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(input_size, output_size), nn.ReLU(), nn.LayerNorm(output_size))


class SharedPrivateTrunk(nn.Module):
    """The shared extractor, one per task, and the projected concatenation of the two.

    Args:
        input_size: features of a pooled clip.
        projection_size: width between the pooled clip and the extractors.
        extractor_size: width of each view.
        task_names: the tasks, in order.
        dropout: before each linear layer.
    """

    def __init__(self, input_size, projection_size, extractor_size, task_names, dropout):
        super().__init__()
        self.projection = extractor(input_size, projection_size, dropout)
        self.shared = extractor(projection_size, extractor_size, dropout)
        self.specific = TaskModules({name: extractor(projection_size, extractor_size, dropout) for name in task_names})
        self.combine = TaskModules({name: nn.Linear(2 * extractor_size, extractor_size) for name in task_names})

    def forward(self, clips, task_names) -> dict[str, Views]:
        """The views of ``clips`` (batch, input_size) for each named task."""
        projected = self.projection(clips)
        shared = self.shared(projected)
        views = {}
        for name in task_names:
            specific = self.specific[name](projected)
            combined = self.combine[name](torch.cat([shared, specific], dim=-1))
            views[name] = Views(shared, specific, combined)
        return views
