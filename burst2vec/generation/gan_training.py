"""Generator and discriminator of an MSG-GAN learn in turns."""

import torch

from ..msg_gan import BurstGenerator, BurstGeneratorConfig
from .adversary import BurstDiscriminator, discriminator_loss, generator_loss, scales_of
from .extra_adam import ExtraAdam
from .generation_recipes import GenerationTraining
from .learner import Batch, Learner

BETAS = (0.0, 0.99)  # of Adam; the challenge's code


class Game(Learner):
    """The two networks; real images' labels are not learnt, since all are of one emotion.

    Args:
        config: of the generator.
        training: how they learn.
        device: where.
    """

    rates = ("generator_learning_rate", "discriminator_learning_rate")

    def __init__(self, config: BurstGeneratorConfig, training: GenerationTraining, device: torch.device | str = "cpu"):
        torch.manual_seed(training.seed)
        generator = BurstGenerator(config)
        super().__init__(generator, {"discriminator": BurstDiscriminator(config)}, training, device)
        self.discriminator = self.networks["discriminator"]
        kind = ExtraAdam if training.optimiser == "extra_adam" else torch.optim.Adam
        self.optimisers = {
            "discriminator": kind(self.discriminator.parameters(), training.discriminator_learning_rate, BETAS),
            "generator": kind(self.generator.parameters(), training.generator_learning_rate, BETAS),
        }
        self.batches_per_step = 2 if training.optimiser == "extra_adam" else 1

    def _learn(self, batches: list[Batch]) -> dict[str, float]:
        if len(batches) == 1:
            return self._differentiate(batches[0][0], 0, together=False)
        self._differentiate(batches[0][0], 0, together=True)
        for optimiser in self.optimisers.values():
            optimiser.extrapolate()
        # At the extrapolated point both take the gradient with which they leave the first.
        losses = self._differentiate(batches[1][0], 1, together=True)
        for optimiser in self.optimisers.values():
            optimiser.step()
        return losses

    def _differentiate(self, images: torch.Tensor, part: int, together: bool) -> dict[str, float]:
        """Both losses' gradients; unless ``together``, the discriminator takes its step before the generator's."""
        real = scales_of(images, len(self.generator.config.channels))
        latents = self.generator.draw(len(images), self._random(part))
        self.discriminator.requires_grad_(True)
        fake = self.generator(latents).scales
        loss = discriminator_loss(self.discriminator(real), self.discriminator([each.detach() for each in fake]))
        losses = {"discriminator": self._backward("discriminator", loss)}
        if not together:
            self.optimisers["discriminator"].step()
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            of_real = self.discriminator(real)
        losses["generator"] = self._backward("generator", generator_loss(of_real, self.discriminator(fake)))
        if not together:
            self.optimisers["generator"].step()
        return losses
