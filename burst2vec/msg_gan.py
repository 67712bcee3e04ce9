"""The generator of ExVo-Generate's baseline: noise → a log-mel image of a burst, at seven scales at once.

MSG-GAN (Karnewar and Wang 2020) as the challenge's code has it (Baird et al. 2022, section 4, and HumeAI/competitions).
An image is 1 × 128 × 512: mel channels, low ones first, by frames of 8 ms; its values are half the natural logarithm of
a channel's power, so of an amplitude. What makes a waveform of it is in ``burst2vec.generation``.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .parts import check_names, check_size, check_sizes

NEGATIVE_SLOPE = 0.2
CHANNELS = (512, 512, 512, 512, 256, 128, 64)
SMALLEST_IMAGE = (2, 8)  # mel channels and frames; each further scale doubles both


class BurstGeneratorConfig(PreTrainedConfig):
    """Configuration of [`BurstGenerator`].

    Args:
        emotions: what it generates; of the baseline one, since it has a model for each.
        channels: features at each scale, from the smallest image to the largest; all but the last are even.
        latent_size: numbers of noise of a burst.
        sampling_rate: of the bursts, Hz.
        kwargs: what every configuration of transformers has.

    Raises:
        ValueError: sizes that are none; emotions that are no different names.
    """

    model_type = "burst2vec_generator"

    def __init__(self, emotions=("burst",), channels=CHANNELS, latent_size=512, sampling_rate=16_000, **kwargs):
        check_sizes("channels", channels, "one number for each scale")
        check_size("latent_size", latent_size)
        if any(size % 2 for size in channels[:-1]):
            raise ValueError(f"channels {list(channels)}: all but the last must be even, because half are of the image")
        check_names("emotions", emotions)
        self.emotions, self.channels = list(emotions), list(channels)
        self.latent_size, self.sampling_rate = latent_size, sampling_rate
        super().__init__(**kwargs)

    @property
    def image_size(self) -> tuple[int, int]:
        """Mel channels and frames of the largest image: (128, 512) of seven scales."""
        factor = 2 ** (len(self.channels) - 1)
        return SMALLEST_IMAGE[0] * factor, SMALLEST_IMAGE[1] * factor


@dataclass
class BurstGeneratorOutput(ModelOutput):
    """Generated images.

    Attributes:
        images: float (batch, 1, mels, frames), the largest scale.
        scales: the images of all scales, from (batch, 1, 2, 8) to ``images``.
    """

    images: torch.Tensor | None = None
    scales: tuple[torch.Tensor, ...] | None = None


class EqualisedConv2d(nn.Conv2d):
    """A convolution whose weights are of deviation 1, and scaled by √(2 / fan-in) where they are used (Karras 2018).

    So that Adam, whose steps do not know a weight's scale, teaches all layers at one rate.
    """

    def __init__(self, *sizes, **kwargs):
        super().__init__(*sizes, **kwargs)
        self.scale = math.sqrt(2 / (self.in_channels * math.prod(self.kernel_size)))
        self.initialise()

    def initialise(self) -> None:
        init.normal_(self.weight)
        init.zeros_(self.bias)

    def forward(self, images):
        return self._conv_forward(images, self.weight * self.scale, self.bias)


class EqualisedConvTranspose2d(nn.ConvTranspose2d):
    """As [`EqualisedConv2d`]; each output of the first layer is of every input once, so the fan-in is their number."""

    def __init__(self, *sizes, **kwargs):
        super().__init__(*sizes, **kwargs)
        self.scale = math.sqrt(2 / self.in_channels)
        self.initialise()

    def initialise(self) -> None:
        init.normal_(self.weight)
        init.zeros_(self.bias)

    def forward(self, images):
        return F.conv_transpose2d(images, self.weight * self.scale, self.bias)


def pixel_norm(features):
    """Each pixel's features (batch, channels, mels, frames) to a root-mean-square of 1.

    >>> pixel_norm(torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)).square().mean().round(decimals=6)
    tensor(1.)
    """
    return features * torch.rsqrt(features.square().mean(dim=1, keepdim=True) + 1e-8)


class GeneratorBlock(nn.Module):
    """One scale: the smaller one's features, twice as large, through two convolutions of 3 × 3.

    The first scale instead makes its 2 × 8 pixels of noise, by a transposed convolution.
    """

    def __init__(self, size: int, channels: int, is_first: bool):
        super().__init__()
        self.is_first = is_first
        if is_first:
            self.first = EqualisedConvTranspose2d(size, channels, SMALLEST_IMAGE)
        else:
            self.first = EqualisedConv2d(size, channels, 3, padding=1)
        self.second = EqualisedConv2d(channels, channels, 3, padding=1)

    def forward(self, features):
        if not self.is_first:
            features = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
        for layer in (self.first, self.second):
            features = pixel_norm(F.leaky_relu(layer(features), NEGATIVE_SLOPE))
        return features


class BurstGenerator(PreTrainedModel):
    """Noise → log-mel images of bursts; 23,039,303 weights at the published size.

    >>> generator = BurstGenerator(BurstGeneratorConfig(["Awe"], channels=[8, 8, 8, 8, 8, 4, 4], latent_size=16)).eval()
    >>> [tuple(image.shape[2:]) for image in generator(generator.draw(2)).scales]
    [(2, 8), (4, 16), (8, 32), (16, 64), (32, 128), (64, 256), (128, 512)]
    """

    config_class = BurstGeneratorConfig
    main_input_name = "latents"
    base_model_prefix = "burst2vec_generator"

    def __init__(self, config: BurstGeneratorConfig):
        super().__init__(config)
        before = [config.latent_size, *config.channels[:-1]]
        self.blocks = nn.ModuleList(
            GeneratorBlock(size, channels, is_first=scale == 0)
            for scale, (size, channels) in enumerate(zip(before, config.channels, strict=True))
        )
        self.to_image = nn.ModuleList(EqualisedConv2d(channels, 1, 1) for channels in config.channels)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module):
        if hasattr(module, "initialise"):
            module.initialise()

    def draw(self, number: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Noise of so many bursts, (number, latent_size), from N(0, 1).

        Args:
            generator: of random numbers, on the CPU: the same numbers for every device.
        """
        return torch.randn(number, self.config.latent_size, generator=generator).to(self.device, self.dtype)

    def sample(self, latents, labels=None) -> torch.Tensor:
        """Images, float (batch, 1, mels, frames); ``labels`` say nothing, since all are of one emotion."""
        return self(latents).images

    def forward(self, latents, return_dict=None, **kwargs) -> BurstGeneratorOutput:
        """Generate.

        Args:
            latents: float (batch, latent_size) of any length but 0; each is scaled to norm √latent_size.
        """
        features = pixel_norm(latents[:, :, None, None])
        scales = []
        for block, to_image in zip(self.blocks, self.to_image, strict=True):
            features = block(features)
            scales.append(to_image(features))
        output = BurstGeneratorOutput(images=scales[-1], scales=tuple(scales))
        return output if return_dict is not False else output.to_tuple()
