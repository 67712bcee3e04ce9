"""Generator and discriminator learn in turns; their state goes into checkpoints that a killed run resumes from."""

import copy
import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ..errors import DivergenceError
from ..msg_gan import BurstGenerator, BurstGeneratorConfig
from ..training.checkpoints import begin_checkpoint, checkpoint_steps, keep_newest, seal_checkpoint
from ..weights import weights_not_finite
from .adversary import BurstDiscriminator, discriminator_loss, generator_loss, scales_of
from .extra_adam import ExtraAdam
from .generation_recipes import GenerationTraining

BETAS = (0.0, 0.99)  # of Adam; the challenge's code
GENERATOR, DISCRIMINATOR, OPTIMISERS, HISTORY = (
    "generator.safetensors",
    "discriminator.safetensors",
    "optimizer.pt",
    "history.json",
)
CHECKPOINT_FILES = ["config.json", "model.safetensors", GENERATOR, DISCRIMINATOR, OPTIMISERS, HISTORY]


class Game:
    """The two networks, their optimisers, and the average of the generator's weights, which generates.

    All randomness is of the seed and the step, so that a resumed game goes as it would have gone.

    Args:
        config: of the generator.
        training: how they learn.
        device: where.

    Attributes:
        step: done so far.
        average: moving average of the generator.
        history: of each step, the losses.
    """

    def __init__(self, config: BurstGeneratorConfig, training: GenerationTraining, device: torch.device | str = "cpu"):
        torch.manual_seed(training.seed)
        self.training, self.device = training, torch.device(device)
        self.generator = BurstGenerator(config).to(device).train()
        self.discriminator = BurstDiscriminator(config).to(device).train()
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        kind = ExtraAdam if training.optimiser == "extra_adam" else torch.optim.Adam
        self.optimisers = {
            "discriminator": kind(self.discriminator.parameters(), training.discriminator_learning_rate, BETAS),
            "generator": kind(self.generator.parameters(), training.generator_learning_rate, BETAS),
        }
        self.step, self.history = 0, []

    @property
    def batches_per_step(self) -> int:
        return 2 if self.training.optimiser == "extra_adam" else 1

    def learn(self, batches: list[torch.Tensor]) -> dict[str, float]:
        """One step of both; returns the losses.

        Args:
            batches: real images (batch, 1, mels, frames), ``batches_per_step`` of them.

        Raises:
            DivergenceError: a loss that is not finite; nothing has learnt from it.
        """
        self.step += 1
        if len(batches) == 2:  # at the extrapolated point both take the gradient with which they leave the first
            self._differentiate(batches[0], 0, together=True)
            for optimiser in self.optimisers.values():
                optimiser.extrapolate()
            losses = self._differentiate(batches[1], 1, together=True)
            for optimiser in self.optimisers.values():
                optimiser.step()
        else:
            losses = self._differentiate(batches[0], 0, together=False)
        self._average()
        self.history.append({"step": self.step, **losses})
        return losses

    def _differentiate(self, images: torch.Tensor, part: int, together: bool) -> dict[str, float]:
        """Both losses' gradients; unless ``together``, the discriminator takes its step before the generator's."""
        real = scales_of(images.to(self.device), len(self.generator.config.channels))
        latents = self.generator.draw(len(images), self._random(part))
        self.discriminator.requires_grad_(True)
        fake = self.generator(latents).scales
        loss = discriminator_loss(self.discriminator(real), self.discriminator([each.detach() for each in fake]))
        losses = {"discriminator": self._backward("discriminator", loss, self.discriminator)}
        if not together:
            self.optimisers["discriminator"].step()
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            of_real = self.discriminator(real)
        losses["generator"] = self._backward(
            "generator", generator_loss(of_real, self.discriminator(fake)), self.generator
        )
        if not together:
            self.optimisers["generator"].step()
        return losses

    def _backward(self, name: str, loss: torch.Tensor, network: nn.Module) -> float:
        value = loss.item()
        if not math.isfinite(value):
            raise DivergenceError(
                f"step {self.step}: the {name}'s loss is {value}; lower --generator_learning_rate "
                f"({self.training.generator_learning_rate:g}) or --discriminator_learning_rate "
                f"({self.training.discriminator_learning_rate:g})"
            )
        network.zero_grad(set_to_none=True)
        loss.backward()
        return value

    def _random(self, part: int) -> torch.Generator:
        return torch.Generator().manual_seed((self.training.seed * 1_000_003 + self.step) * 2 + part)

    @torch.no_grad()
    def _average(self) -> None:
        for kept, new in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            kept.lerp_(new, 1 - self.training.average_decay)

    def write_checkpoint(self, folder: str | Path, run: dict) -> Path:
        """Write a checkpoint, whole or not at all; older ones beyond ``save_total_limit`` are deleted.

        Its folder loads by ``AutoModel.from_pretrained``: the averaged generator.

        Args:
            folder: of the run.
            run: its fingerprint, with ``CHECKPOINT_FILES`` as ``checkpoint_files``.

        Raises:
            DivergenceError: weights that are not finite.
            CheckpointError, OSError: it could not be written.
        """
        if wrong := weights_not_finite(self.generator) + weights_not_finite(self.discriminator):
            raise DivergenceError(f"step {self.step}: {len(wrong)} weights are not finite, the first {wrong[0]!r}")
        drafts = begin_checkpoint(folder, self.step)
        self.average.save_pretrained(drafts)
        save_file(_contiguous(self.generator), drafts / GENERATOR)
        save_file(_contiguous(self.discriminator), drafts / DISCRIMINATOR)
        torch.save({name: each.state_dict() for name, each in self.optimisers.items()}, drafts / OPTIMISERS)
        (drafts / HISTORY).write_text(json.dumps(self.history), encoding="utf-8")
        place = seal_checkpoint(folder, self.step, run)
        keep_newest(folder, self.training.save_total_limit, None, self.step)
        return place

    def resume(self, checkpoint: str | Path) -> None:
        """Continue from a whole checkpoint; ``training.checkpoints.choose_checkpoint`` verifies it."""
        checkpoint = Path(checkpoint)
        self.generator.load_state_dict(load_file(checkpoint / GENERATOR))
        self.discriminator.load_state_dict(load_file(checkpoint / DISCRIMINATOR))
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


def _contiguous(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: values.contiguous() for name, values in network.state_dict().items()}
