"""What the generator learns against: the discriminator over all scales, and the loss of both."""

import torch
import torch.nn.functional as F
from torch import nn

from ..msg_gan import NEGATIVE_SLOPE, SMALLEST_IMAGE, BurstGeneratorConfig, EqualisedConv2d


class DiscriminatorBlock(nn.Module):
    """One scale: two convolutions of 3 × 3, and the mean of each 2 × 2 pixels."""

    def __init__(self, channels: int, smaller: int):
        super().__init__()
        self.first = EqualisedConv2d(channels, channels, 3, padding=1)
        self.second = EqualisedConv2d(channels, smaller, 3, padding=1)

    def forward(self, features):
        for layer in (self.first, self.second):
            features = F.leaky_relu(layer(features), NEGATIVE_SLOPE)
        return F.avg_pool2d(features, 2)


class LastDiscriminatorBlock(nn.Module):
    """The smallest scale: minibatch deviation, then convolutions of 3 × 3, of the whole image, and of 1 × 1."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = EqualisedConv2d(channels + 1, channels, 3, padding=1)
        self.second = EqualisedConv2d(channels, channels, SMALLEST_IMAGE)
        self.score = EqualisedConv2d(channels, 1, 1)

    def forward(self, features):
        features = torch.cat([features, minibatch_deviation(features)], dim=1)
        for layer in (self.first, self.second):
            features = F.leaky_relu(layer(features), NEGATIVE_SLOPE)
        return self.score(features).flatten()


class BurstDiscriminator(nn.Module):
    """The generator's mirror: images of all scales → one number per clip, higher for real ones.

    At each scale but the largest half of the features are of that scale's image, by a convolution of 1 × 1, and half of
    the scale above. 18,730,625 weights at the published size.
    """

    def __init__(self, config: BurstGeneratorConfig):
        super().__init__()
        channels = config.channels
        of_image = [size // 2 for size in channels[:-1]] + channels[-1:]
        self.from_image = nn.ModuleList(EqualisedConv2d(1, size, 1) for size in of_image)
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(size, smaller // 2) for size, smaller in zip(channels[1:], channels[:-1], strict=True)
        )
        self.last = LastDiscriminatorBlock(channels[0])

    def forward(self, scales):
        """
        Args:
            scales: images (batch, 1, mels, frames), from the smallest to the largest.

        Returns:
            (batch,)
        """
        features = self.from_image[-1](scales[-1])
        for scale in reversed(range(len(self.blocks))):
            features = self.blocks[scale](features)
            features = torch.cat([self.from_image[scale](scales[scale]), features], dim=1)
        return self.last(features)


def minibatch_deviation(features):
    """The mean over all positions of the batch's standard deviation, as one more channel: (batch, 1, mels, frames).

    A generator whose samples are all alike gives itself away by it (Karras 2018).

    >>> minibatch_deviation(torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)).flatten()
    tensor([1., 1.])
    """
    centred = features - features.mean(dim=0, keepdim=True)
    deviation = (centred.square().mean(dim=0) + 1e-8).sqrt().mean()
    return deviation.expand(features.shape[0], 1, *features.shape[2:])


def scales_of(images, number: int) -> list:
    """Real images (batch, 1, mels, frames) at so many scales, the smallest first, each of means of 2 × 2 pixels."""
    scales = [images]
    for _ in range(number - 1):
        scales.append(F.avg_pool2d(scales[-1], 2))
    return scales[::-1]


def discriminator_loss(real, fake):
    r"""Relativistic average hinge (Jolicoeur-Martineau 2018): real clips above the mean of generated ones, by 1.

    .. math:: L_D = E[\max(0, 1 - (D(r) - \overline{D(f)}))] + E[\max(0, 1 + (D(f) - \overline{D(r)}))]

    Args:
        real, fake: the discriminator's numbers, (batch,).

    Real 2 and 0, generated −1 and 1, whose means are 1 and 0: (0 + 1)/2 + (0 + 1)/2.

    >>> discriminator_loss(torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 1.0]))
    tensor(1.)
    """
    return F.relu(1 - (real - fake.mean())).mean() + F.relu(1 + (fake - real.mean())).mean()


def generator_loss(real, fake):
    r"""The same with the parts exchanged: generated clips above the mean of real ones, by 1.

    .. math:: L_G = E[\max(0, 1 + (D(r) - \overline{D(f)}))] + E[\max(0, 1 - (D(f) - \overline{D(r)}))]

    >>> generator_loss(torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 1.0]))
    tensor(4.)
    """
    return discriminator_loss(fake, real)
