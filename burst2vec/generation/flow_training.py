"""A generator of all emotions learns the velocity along straight paths from noise to real images."""

import torch
import torch.nn.functional as F

from ..flow_matching import NEAREST, BurstFlow, BurstFlowConfig
from .generation_recipes import GenerationTraining
from .learner import Batch, Learner

BETAS = (0.9, 0.99)
LARGEST_GRADIENT = 1.0  # its norm; what is longer is cut


class FlowLearner(Learner):
    """One network by conditional flow matching (Lipman et al. 2023, Eq. 9 with the path of Eq. 20).

    Args:
        config: of the generator.
        training: how it learns.
        device: where.
    """

    rates = ("learning_rate",)

    def __init__(self, config: BurstFlowConfig, training: GenerationTraining, device: torch.device | str = "cpu"):
        torch.manual_seed(training.seed)
        super().__init__(BurstFlow(config), {}, training, device)
        self.optimisers = {"generator": torch.optim.Adam(self.generator.parameters(), training.learning_rate, BETAS)}

    def _learn(self, batches: list[Batch]) -> dict[str, float]:
        (images, labels), training, config = batches[0], self.training, self.generator.config
        images = (images - config.image_mean) / config.image_deviation
        random, number = self._random(), len(images)
        times = torch.randn(number, generator=random) * training.time_deviation + training.time_mean
        times = times.sigmoid().to(images)  # logit-normal (Esser et al. 2024): few of what is noise or image alone
        noise = self.generator.draw(number, random)
        asked = (torch.rand(number, 1, generator=random) >= training.label_dropout).to(labels)
        between, velocity = path(images, noise, times)
        loss = F.mse_loss(self.generator(between, times, labels * asked).velocity, velocity)
        value = self._backward("generator", loss)
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), LARGEST_GRADIENT)
        for group in self.optimisers["generator"].param_groups:
            group["lr"] = training.learning_rate * min(1.0, self.step / training.warmup_steps)
        self.optimisers["generator"].step()
        return {"generator": value}


def path(images, noise, times):
    """Where the straight path from noise to an image is at a time, and its velocity there (Lipman et al. 2023, Eq. 22).

    The velocity is x - ε, written as (x - z) / (1 - t): nearer than ``NEAREST`` to the image it is as much too small as
    the network's.

    Args:
        images, noise: (batch, 1, mels, frames).
        times: (batch,), in 0..1.

    An image of 4 and noise of 2, a quarter of the way:

    >>> path(torch.full((1, 1, 1, 1), 4.0), torch.full((1, 1, 1, 1), 2.0), torch.tensor([0.25]))
    (tensor([[[[2.5000]]]]), tensor([[[[2.]]]]))
    """
    times = times[:, None, None, None]
    between = (1 - times) * noise + times * images
    return between, (images - between) / (1 - times).clamp_min(NEAREST)
