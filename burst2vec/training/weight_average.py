"""A moving average of a model's weights over the steps of its training, which often predicts better than the last."""

from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

LEARNT = "learnt.safetensors"  # in a checkpoint: the weights that training continues from, beside the averaged ones


class WeightAverage:
    """The exponential moving average of what a model learns (Polyak averaging).

    a ← d · a + (1 − d) · w after each step, for every weight that is trained and every statistic of a batch norm. After
    step n, d is the smaller of ``decay`` and (1 + n) / (10 + n), so that the first weights, which are chance, are soon
    forgotten.

    Args:
        model: whose weights are averaged from now on.
        decay: in 0..1; 0.999 averages over the last thousand steps or so.

    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> average = WeightAverage(model, decay=0.9)
    >>> with torch.no_grad():
    ...     start = model.weight.clone()
    ...     model.weight += 11.0
    >>> average.update(step=1)  # d = 2 / 11
    >>> with average.in_place():
    ...     round((model.weight - start).item(), 4)
    9.0
    """

    def __init__(self, model: torch.nn.Module, decay: float):
        self.decay = decay
        trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        statistics = {name: values for name, values in model.named_buffers() if values.is_floating_point()}
        self._learnt = trained | statistics
        self._averaged = {name: values.detach().clone() for name, values in self._learnt.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights as they are after a step, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, values in self._learnt.items():
            self._averaged[name].lerp_(values, 1 - decay)

    @contextmanager
    def in_place(self):
        """The model has the averaged weights in here, and those it learns by again afterwards."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for name, values in self._learnt.items():
            values.data, self._averaged[name].data = self._averaged[name].data, values.data

    def keep(self) -> None:
        """Give the model the averaged weights for good."""
        self._exchange()

    def save(self, folder: str | Path) -> None:
        """Write the weights that training continues from; the averaged ones are the folder's model."""
        values = {name: values.detach().contiguous() for name, values in self._learnt.items()}
        save_file(values, Path(folder, LEARNT))

    @torch.no_grad()
    def restore(self, folder: str | Path) -> None:
        """Continue from a checkpoint, whose model, the averaged weights, has been read already."""
        for name, values in load_file(Path(folder, LEARNT)).items():
            self._averaged[name].copy_(self._learnt[name])
            self._learnt[name].copy_(values)
