"""One vector per clip → one vector per task: shared and private networks, and the adversary between them.

Burst2Vec, sections 3.1 and 3.4: a shared extractor, one extractor per task, and their projected concatenation give
three views of a clip. A discriminator tries to tell the task from the shared view, through a gradient reversal: the
extractor unlearns what is of one task only. The other trunks give a task one view, and nobody plays against it.

Every trunk is built as ``trunk(input_size, task_names, **arguments)``, of which a configuration sets the arguments, and
called as ``trunk(clips, task_names)``: ``clips`` is one tensor (batch, input_size), or one for each task by name, where
each task has a pooling of its own.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from .parts import check_dropout, check_size, check_sizes, check_weight

LAYER_NORMS = ("all", "first", "none")
OF_THE_SIGN = "the reversal already makes Eq. 8's minus"


class Views(NamedTuple):
    """Three views of a batch of clips for one task, each (batch, hidden_size)."""

    shared: torch.Tensor
    private: torch.Tensor
    combined: torch.Tensor

    @property
    def embedding(self) -> torch.Tensor:
        """What the clip is, whatever is asked of it."""
        return self.shared


class OneView(NamedTuple):
    """The only view that a trunk without private extractors has of a batch of clips, (batch, output_size)."""

    combined: torch.Tensor

    @property
    def embedding(self) -> torch.Tensor:
        """What the clip is, whatever is asked of it."""
        return self.combined


class TaskModules(nn.Module):
    """A module for each task, by the task's name, also where torch has that name for itself, as A-VB's ``type``.

    It is called with the name first, which torch's ``ModuleDict`` cannot be: so PEFT can train and save it whole, as
    ``modules_to_save=["heads"]`` asks.

    >>> modules = TaskModules({"type": nn.Identity()})
    >>> modules["type"], modules("type", 3)
    (Identity(), 3)
    """

    def __init__(self, modules: dict[str, nn.Module]):
        super().__init__()
        for name, module in modules.items():
            self.add_module(_key_of(name), module)

    def __getitem__(self, name: str) -> nn.Module:
        return getattr(self, _key_of(name))

    def __iter__(self):
        return iter(self._modules)

    def forward(self, name: str, *inputs):
        """What the task's module says of the inputs."""
        return self[name](*inputs)


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


def for_each_task(layer: Callable, clips: torch.Tensor | dict[str, torch.Tensor], task_names) -> dict:
    """``layer`` of each task's clips; computed once where one tensor is every task's.

    >>> for_each_task(len, torch.zeros(3, 2), ["emotion", "age"])
    {'emotion': 3, 'age': 3}
    """
    if isinstance(clips, torch.Tensor):
        return dict.fromkeys(task_names, layer(clips))
    return {name: layer(clips[name]) for name in task_names}


class Trunk(nn.Module):
    """What the model reads of every trunk.

    Attributes:
        output_size: features of each view.
        discriminator_weight: α1 of Burst2Vec's Eq. 8; 0: there is no discriminator.
        adversary_weight: α2 of Eq. 8; 0: no task's head plays against the other tasks' private views.
    """

    output_size: int
    discriminator_weight = 0.0
    adversary_weight = 0.0


class SharedPrivateTrunk(Trunk):
    """The shared extractor, one per task, and the projected concatenation of the two.

    Args:
        input_size: features of a pooled clip.
        task_names: the tasks, in order.
        projection_size: width between the pooled clip and the extractors.
        hidden_size: width of each extractor, and of their combination.
        dropout: probability before each extractor.
        discriminator_weight: α1 of Burst2Vec's Eq. 8, of the task discriminator on the shared view; 0 removes the
            discriminator.
        adversary_weight: α2 of Eq. 8, of a task's head on the other tasks' private views; 0 removes them.

    Raises:
        ValueError: an argument out of its range, by name.
    """

    def __init__(
        self,
        input_size,
        task_names,
        *,
        projection_size: int = 256,
        hidden_size: int = 256,
        dropout: float = 0.1,
        discriminator_weight: float = 0.5,
        adversary_weight: float = 0.25,
    ):
        super().__init__()
        check_size("projection_size", projection_size)
        check_size("hidden_size", hidden_size)
        check_dropout("dropout", dropout)
        check_weight("discriminator_weight", discriminator_weight, OF_THE_SIGN)
        check_weight("adversary_weight", adversary_weight, OF_THE_SIGN)
        self.discriminator_weight, self.adversary_weight = discriminator_weight, adversary_weight
        self.projection = extractor(input_size, projection_size, dropout)
        self.shared = extractor(projection_size, hidden_size, dropout)
        self.private = TaskModules({name: extractor(projection_size, hidden_size, dropout) for name in task_names})
        self.combine = TaskModules({name: nn.Linear(2 * hidden_size, hidden_size) for name in task_names})
        self.output_size = hidden_size

    def forward(self, clips, task_names) -> dict[str, Views]:
        """Three views of the clips for each named task; the shared one is the same for all if the clips are."""
        views = {}
        for name, (projected, shared) in for_each_task(self._share, clips, task_names).items():
            private = self.private[name](projected)
            combined = self.combine[name](torch.cat([shared, private], dim=-1))
            views[name] = Views(shared, private, combined)
        return views

    def _share(self, clips):
        projected = self.projection(clips)
        return projected, self.shared(projected)


class SharedTrunk(Trunk):
    """Hard sharing: a small network whose last vector every task's head reads.

    For each hidden size a linear layer, layer norm, leaky ReLU (slope 0.01) and dropout, as the baseline of the ExVo
    challenge's white paper (Baird et al., 2022). The last dropout is the heads', which have one in front.

    Args:
        input_size: features of a pooled clip.
        task_names: the tasks; they differ in their heads only.
        hidden_sizes: width of each layer.
        dropout: probability between the layers.
        layer_norm: which linear layers are followed by one: ``"all"``, ``"first"`` or ``"none"``.

    Raises:
        ValueError: an argument out of its range, by name.
    """

    def __init__(
        self, input_size, task_names, *, hidden_sizes=(128, 64), dropout: float = 0.1, layer_norm: str = "all"
    ):
        super().__init__()
        if layer_norm not in LAYER_NORMS:
            raise ValueError(f"layer_norm must be one of {list(LAYER_NORMS)}, got {layer_norm!r}")
        check_sizes("hidden_sizes", hidden_sizes, "the trunk without layers is identity")
        check_dropout("dropout", dropout)
        layers = []
        for width, before in zip(hidden_sizes, [input_size, *hidden_sizes], strict=False):
            has_norm = layer_norm == "all" or (layer_norm == "first" and not layers)
            layers += [nn.Dropout(dropout)] if layers else []
            layers += [nn.Linear(before, width), *([nn.LayerNorm(width)] if has_norm else []), nn.LeakyReLU()]
        self.layers = nn.Sequential(*layers)
        self.output_size = hidden_sizes[-1]

    def forward(self, clips, task_names) -> dict[str, OneView]:
        """One view of the clips for each named task, the same for all if the clips are."""
        views = for_each_task(self.layers, clips, task_names)
        return {name: OneView(view) for name, view in views.items()}


class PerTaskTrunk(Trunk):
    """Nothing shared: each task's own small network between its pooled clips and its head, layers as [`SharedTrunk`]'s.

    Args:
        input_size: features of a pooled clip.
        task_names: the tasks, in order.
        hidden_sizes: width of each layer, the same for every task.
        dropout: probability between the layers.
        layer_norm: as [`SharedTrunk`]'s.

    Raises:
        ValueError: an argument out of its range, by name.
    """

    def __init__(
        self, input_size, task_names, *, hidden_sizes=(128, 64), dropout: float = 0.1, layer_norm: str = "all"
    ):
        super().__init__()
        layers = {"hidden_sizes": hidden_sizes, "dropout": dropout, "layer_norm": layer_norm}
        networks = {name: SharedTrunk(input_size, [name], **layers) for name in task_names}
        self.networks = TaskModules(networks)
        self.output_size = hidden_sizes[-1]

    def forward(self, clips, task_names) -> dict[str, OneView]:
        """One view of the clips for each named task, by its own network."""
        clips = for_each_task(lambda pooled: pooled, clips, task_names)
        return {name: self.networks[name](clips[name], [name])[name] for name in task_names}


class IdentityTrunk(Trunk):
    """Nothing between pooling and heads; it has no parameters.

    >>> IdentityTrunk(2, ["age"])(torch.tensor([[1.0, 2.0]]), ["age"])["age"].combined.tolist()
    [[1.0, 2.0]]
    """

    def __init__(self, input_size, task_names):
        super().__init__()
        self.output_size = input_size

    def forward(self, clips, task_names) -> dict[str, OneView]:
        """The clips as they are, for each named task."""
        return for_each_task(OneView, clips, task_names)


TRUNKS = {
    "shared_private": SharedPrivateTrunk,
    "shared": SharedTrunk,
    "per_task": PerTaskTrunk,
    "identity": IdentityTrunk,
}
