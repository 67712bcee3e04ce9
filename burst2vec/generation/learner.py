"""What the training of every generator has: steps, an average of its weights, checkpoints that a killed run resumes."""

import copy
import json
import math
from abc import ABC, abstractmethod
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from ..errors import DivergenceError
from ..training.checkpoints import begin_checkpoint, checkpoint_steps, keep_newest, seal_checkpoint
from ..weights import weights_not_finite
from .generation_recipes import GenerationTraining

OPTIMISERS, HISTORY = "optimizer.pt", "history.json"
Batch = tuple[torch.Tensor, torch.Tensor]  # real images (batch, 1, mels, frames), labels (batch, emotions) in 0..1


class Learner(ABC):
    """Networks that learn, their optimisers, and the average of the generator's weights, which generates.

    All randomness is of the seed and the step, so that a resumed training goes as it would have gone.

    Args:
        generator: what generates.
        others: by name, networks that it learns with.
        training: how they learn.
        device: where.

    Attributes:
        rates: the keys of the learning rates.
        batches_per_step: that ``learn`` takes.
        networks: by name, with the generator.
        optimisers: by name; a subclass makes them.
        step: done so far.
        average: moving average of the generator.
        history: of each step, the losses.
    """

    rates: tuple[str, ...]
    batches_per_step = 1

    def __init__(
        self, generator: PreTrainedModel, others: dict[str, nn.Module], training: GenerationTraining, device="cpu"
    ):
        self.training, self.device = training, torch.device(device)
        self.networks = {name: each.to(device).train() for name, each in {"generator": generator, **others}.items()}
        self.average = copy.deepcopy(generator).eval().requires_grad_(False)
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.step, self.history = 0, []

    @property
    def generator(self) -> PreTrainedModel:
        return self.networks["generator"]

    @property
    def checkpoint_files(self) -> list[str]:
        """What a whole checkpoint has."""
        networks = [f"{name}.safetensors" for name in self.networks]
        return ["config.json", "model.safetensors", *networks, OPTIMISERS, HISTORY]

    def learn(self, batches: list[Batch]) -> dict[str, float]:
        """One step; returns the losses.

        Args:
            batches: ``batches_per_step`` of them.

        Raises:
            DivergenceError: a loss that is not finite; nothing has learnt from it.
        """
        self.step += 1
        losses = self._learn([tuple(each.to(self.device) for each in batch) for batch in batches])
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                kept.lerp_(new, 1 - self.training.average_decay)
        self.history.append({"step": self.step, **losses})
        return losses

    @abstractmethod
    def _learn(self, batches: list[Batch]) -> dict[str, float]:
        """A step of every network; returns the losses by network."""

    def _backward(self, name: str, loss: torch.Tensor) -> float:
        """The gradient of a loss in the network that it is of."""
        value = loss.item()
        if not math.isfinite(value):
            rates = " or ".join(f"--{rate} ({getattr(self.training, rate):g})" for rate in self.rates)
            raise DivergenceError(f"step {self.step}: the {name}'s loss is {value}; lower {rates}")
        self.networks[name].zero_grad(set_to_none=True)
        loss.backward()
        return value

    def _random(self, part: int = 0) -> torch.Generator:
        """Random numbers of this step, on the CPU; a step may take two lots."""
        return torch.Generator().manual_seed((self.training.seed * 1_000_003 + self.step) * 2 + part)

    def write_checkpoint(self, folder: str | Path, run: dict) -> Path:
        """Write a checkpoint, whole or not at all; older ones beyond ``save_total_limit`` are deleted.

        Its folder loads by ``AutoModel.from_pretrained``: the averaged generator.

        Args:
            folder: of the run.
            run: its fingerprint, with ``checkpoint_files`` under that name.

        Raises:
            DivergenceError: weights that are not finite.
            CheckpointError, OSError: it could not be written.
        """
        if wrong := [name for each in self.networks.values() for name in weights_not_finite(each)]:
            raise DivergenceError(f"step {self.step}: {len(wrong)} weights are not finite, the first {wrong[0]!r}")
        drafts = begin_checkpoint(folder, self.step)
        self.average.save_pretrained(drafts)
        for name, network in self.networks.items():
            weights = {key: values.contiguous() for key, values in network.state_dict().items()}
            save_file(weights, drafts / f"{name}.safetensors")
        torch.save({name: each.state_dict() for name, each in self.optimisers.items()}, drafts / OPTIMISERS)
        (drafts / HISTORY).write_text(json.dumps(self.history), encoding="utf-8")
        place = seal_checkpoint(folder, self.step, run)
        keep_newest(folder, self.training.save_total_limit, None, self.step)
        return place

    def resume(self, checkpoint: str | Path) -> None:
        """Continue from a whole checkpoint; ``training.checkpoints.choose_checkpoint`` verifies it."""
        checkpoint = Path(checkpoint)
        for name, network in self.networks.items():
            network.load_state_dict(load_file(checkpoint / f"{name}.safetensors"))
        self.average.load_state_dict(load_file(checkpoint / "model.safetensors"))
        states = torch.load(checkpoint / OPTIMISERS, map_location=self.device, weights_only=True)
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(states[name])
        self.history = json.loads((checkpoint / HISTORY).read_text(encoding="utf-8"))
        self.step = self.history[-1]["step"]


def last_good_checkpoint(folder: str | Path) -> str:
    """The end of a message: where a run that diverged can be resumed."""
    steps = checkpoint_steps(folder)
    return f"the last good checkpoint is {list(steps.values())[-1]}" if steps else "there is no checkpoint yet"
