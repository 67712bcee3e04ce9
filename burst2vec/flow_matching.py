"""One generator for all emotions: noise → a log-mel image of a burst, along a flow that the asked emotions steer.

Flow matching on the straight path of optimal transport (Lipman et al. 2023, section 4.1, with σ_min = 0; Liu et al.
2023): an image x and noise ε are joined by z_t = (1 - t) ε + t x, whose velocity is x - ε. The network is a transformer
over overlapping groups of frames whose layers are modulated by time and labels (DiT, Peebles and Xie 2023). It answers
with the image, from which the velocity follows: the noise of a group has more dimensions than a layer has features, the
image fewer (Li and He 2025). Labels are intensities of the emotions, 0..1; without any, all are 0, it makes any burst,
and classifier-free guidance (Ho and Salimans 2022) leads away from these.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .parts import check_names, check_size, is_number

NEAREST = 0.05  # to the image: 1 - t is taken for no less where it divides, as Li and He do
TIME_FEATURES = 128


class BurstFlowConfig(PreTrainedConfig):
    """Configuration of [`BurstFlow`].

    Args:
        emotions: what it generates, in the order of the labels.
        mels, frames: of an image; a frame is 8 ms, and a shorter burst ends in silence.
        frames_per_token: frames in a group, of which ``frames`` is a multiple; the network takes and gives each with
            half of its neighbours.
        hidden_size: features of a group; a multiple of twice ``num_attention_heads``.
        num_hidden_layers, num_attention_heads: of the transformer.
        image_mean, image_deviation: of the images that it learnt from; it sees them with mean 0 and deviation 1.
        profiles: for each emotion, the mean labels of clips in which it is the strongest, over its own; by default 1
            for itself and 0 for the others.
        guidance: by default, when it generates; 1 is none.
        steps: of the flow's integration, by default.
        shift: how much shorter its first steps are than its last: an image of many alike numbers is decided in its
            large features near the noise (Esser et al. 2024, section 5.3.2). 1: all are of one length.
        sampling_rate: of the bursts, Hz.
        kwargs: what every configuration of transformers has.

    Raises:
        ValueError: sizes that are none or do not fit; emotions that are no different names; no such profiles.
    """

    model_type = "burst2vec_flow"

    def __init__(
        self,
        emotions=("burst",),
        mels=128,
        frames=512,
        frames_per_token=4,
        hidden_size=256,
        num_hidden_layers=8,
        num_attention_heads=4,
        image_mean=-6.0,
        image_deviation=2.0,
        profiles=None,
        guidance=1.5,
        steps=16,
        shift=6.0,
        sampling_rate=16_000,
        **kwargs,
    ):
        check_names("emotions", emotions)
        sizes = {
            "mels": mels,
            "frames": frames,
            "frames_per_token": frames_per_token,
            "hidden_size": hidden_size,
            "num_hidden_layers": num_hidden_layers,
            "num_attention_heads": num_attention_heads,
            "steps": steps,
        }
        for name, size in sizes.items():
            check_size(name, size)
            setattr(self, name, size)
        if frames % frames_per_token:
            raise ValueError(f"frames must be a multiple of frames_per_token, got {frames} and {frames_per_token}")
        if hidden_size % (2 * num_attention_heads):
            raise ValueError(
                f"hidden_size must be a multiple of twice num_attention_heads, got {hidden_size} and "
                f"{num_attention_heads}"
            )
        if not is_number(image_mean) or not is_number(image_deviation) or image_deviation <= 0:
            raise ValueError(
                f"image_mean {image_mean!r} and image_deviation {image_deviation!r}: no mean and deviation"
            )
        if profiles is not None and torch.tensor(profiles).shape != (len(emotions), len(emotions)):
            raise ValueError(f"profiles must have {len(emotions)} numbers for each of {len(emotions)} emotions")
        self.emotions, self.profiles = list(emotions), profiles
        self.image_mean, self.image_deviation = image_mean, image_deviation
        if not is_number(shift) or shift < 1:
            raise ValueError(f"shift must be 1 or more, got {shift!r}")
        self.guidance, self.shift, self.sampling_rate = guidance, shift, sampling_rate
        super().__init__(**kwargs)

    @property
    def image_size(self) -> tuple[int, int]:
        """Mel channels and frames of an image."""
        return self.mels, self.frames

    def labels_of(self, asked: str | Mapping[str, float], intensity: float = 1.0) -> torch.Tensor:
        """The labels of a request, (emotions,) in 0..1: the profiles of its emotions, mixed and made weaker.

        Args:
            asked: an emotion; or for each of several its part, 0..1, of 1 together at most: ``{"Awe": 0.5, "Fear":
                0.5}``.
            intensity: 0 (any burst) to 1.

        Raises:
            ValueError: an emotion that it does not know, parts that are none, an intensity out of range.

        >>> BurstFlowConfig(["Awe", "Fear"], profiles=[[1.0, 0.25], [0.5, 1.0]]).labels_of("Awe", intensity=0.5)
        tensor([0.5000, 0.1250])
        """
        parts = {asked: 1.0} if isinstance(asked, str) else asked
        if not isinstance(parts, Mapping) or not parts:
            raise ValueError(f"ask for an emotion, or for {{emotion: part, …}}, not for {asked!r}")
        if unknown := [name for name in parts if name not in self.emotions]:
            raise ValueError(f"the model generates {', '.join(self.emotions)}, not {unknown[0]!r}")
        if not all(is_number(part) and 0 <= part <= 1 for part in parts.values()) or sum(parts.values()) > 1 + 1e-6:
            raise ValueError(f"parts must be in 0..1, and 1 together at most, got {dict(parts)}")
        if not is_number(intensity) or not 0 <= intensity <= 1:
            raise ValueError(f"intensity must be in 0..1, got {intensity!r}")
        profiles = torch.eye(len(self.emotions)) if self.profiles is None else torch.tensor(self.profiles)
        rows = [part * profiles[self.emotions.index(name)] for name, part in parts.items()]
        return intensity * torch.stack(rows).sum(dim=0).clamp(0, 1)


@dataclass
class BurstFlowOutput(ModelOutput):
    """Where the flow goes.

    Attributes:
        velocity: float (batch, 1, mels, frames).
        images: the image that it goes to from here, of mean 0 and deviation 1, of the same shape.
    """

    velocity: torch.Tensor | None = None
    images: torch.Tensor | None = None


class FlowLayer(nn.Module):
    """Attention, then two linear layers; both are scaled, shifted and let through by what time and labels say."""

    def __init__(self, config: BurstFlowConfig):
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_attention_heads
        self.before_attention = nn.LayerNorm(size, elementwise_affine=False)
        self.before_linear = nn.LayerNorm(size, elementwise_affine=False)
        self.queries_keys_values = nn.Linear(size, 3 * size)
        self.attended = nn.Linear(size, size)
        self.linear = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU("tanh"), nn.Linear(4 * size, size))
        self.modulation = nn.Linear(size, 6 * size)

    def forward(self, tokens, condition):
        """(batch, tokens, features) and (batch, features)."""
        scale, shift, gate, scale_2, shift_2, gate_2 = self.modulation(condition)[:, None].chunk(6, dim=-1)
        tokens = tokens + gate * self._attend(self.before_attention(tokens) * (1 + scale) + shift)
        return tokens + gate_2 * self.linear(self.before_linear(tokens) * (1 + scale_2) + shift_2)

    def _attend(self, tokens):
        parts = self.queries_keys_values(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.attended(F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


class BurstFlow(PreTrainedModel):
    """Noise and labels → log-mel images of bursts.

    >>> config = BurstFlowConfig(["Awe", "Fear"], mels=8, frames=16, hidden_size=16, num_hidden_layers=1)
    >>> model = BurstFlow(config).eval()
    >>> model.sample(model.draw(2), config.labels_of({"Awe": 0.5, "Fear": 0.5}).repeat(2, 1)).shape
    torch.Size([2, 1, 8, 16])
    """

    config_class = BurstFlowConfig
    main_input_name = "images"
    base_model_prefix = "burst2vec_flow"

    def __init__(self, config: BurstFlowConfig):
        super().__init__(config)
        size, group = config.hidden_size, config.frames_per_token
        self.from_image = nn.Linear(2 * config.mels * group, size)
        self.places = nn.Parameter(torch.zeros(config.frames // group, size))
        self.of_time = nn.Sequential(nn.Linear(TIME_FEATURES, size), nn.SiLU(), nn.Linear(size, size))
        self.of_labels = nn.Linear(len(config.emotions), size, bias=False)  # none: 0
        self.layers = nn.ModuleList(FlowLayer(config) for _ in range(config.num_hidden_layers))
        self.last = nn.LayerNorm(size, elementwise_affine=False)
        self.modulation = nn.Linear(size, 2 * size)
        self.to_image = nn.Linear(size, 2 * config.mels * group)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module):
        """Xavier's; at first every layer passes its input on and the image is 0, as of DiT.

        What is 0 is set with the whole model, the last: transformers skips modules that have no weights of their own.
        """
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        if isinstance(module, BurstFlow):
            for part in (*module.layers, module):
                init.zeros_(part.modulation.weight)
            init.copy_(module.places, _waves(*module.places.shape))
            init.normal_(module.of_labels.weight, std=0.5)
            init.zeros_(module.to_image.weight)

    def draw(self, number: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Noise of so many bursts, (number, 1, mels, frames), from N(0, 1).

        Args:
            generator: of random numbers, on the CPU: the same numbers for every device.
        """
        return torch.randn(number, 1, *self.config.image_size, generator=generator).to(self.device, self.dtype)

    def forward(self, images, times, labels=None, return_dict=None, **kwargs) -> BurstFlowOutput:
        """Where the flow goes.

        Args:
            images: float (batch, 1, mels, frames), on the way from noise to images of mean 0 and deviation 1; float32
                also where the weights are of half precision.
            times: float (batch,), 0 of noise to 1 of images.
            labels: float (batch, emotions), 0..1; all 0, or None: any burst.
        """
        condition = self.of_time(time_features(times).to(self.dtype))
        if labels is not None:
            condition = condition + self.of_labels(labels.to(self.dtype))
        condition = F.silu(condition)
        tokens = self.from_image(_windows_of(images.to(self.dtype), self.config.frames_per_token)) + self.places
        for layer in self.layers:
            tokens = layer(tokens, condition)
        scale, shift = self.modulation(condition)[:, None].chunk(2, dim=-1)
        windows = self.to_image(self.last(tokens) * (1 + scale) + shift)
        clean = _image_of_windows(windows, self.config.mels, self.config.frames_per_token).to(images.dtype)
        velocity = (clean - images) / (1 - times).clamp_min(NEAREST)[:, None, None, None]
        output = BurstFlowOutput(velocity=velocity, images=clean)
        return output if return_dict is not False else output.to_tuple()

    @torch.no_grad()
    def sample(self, latents, labels=None, guidance: float | None = None, steps: int | None = None) -> torch.Tensor:
        """Log-mel images, float32 (batch, 1, mels, frames).

        Args:
            latents: noise, as ``draw`` gives it.
            labels: float (batch, emotions), 0..1, see ``config.labels_of``; None: any bursts.
            guidance: how far to lead away from any burst; 1 is not at all, 0 is any burst. By default the
                configuration's.
            steps: of the integration, each of two passes, of four with guidance. By default the configuration's.

        Raises:
            ValueError: no such guidance or number of steps.
        """
        guidance = self.config.guidance if guidance is None else guidance
        steps = self.config.steps if steps is None else steps
        if not is_number(guidance) or guidance < 0:
            raise ValueError(f"guidance must be 0 or more, got {guidance!r}")
        check_size("steps", steps)

        def velocity(images, time):
            times = torch.full((len(images),), time, device=images.device)
            if labels is None or guidance == 1:
                return self(images, times, labels).velocity
            twice = torch.cat([labels, torch.zeros_like(labels)])
            both = self(torch.cat([images, images]), torch.cat([times, times]), twice).velocity
            return guided(*both.chunk(2), guidance)

        return (
            integrate(velocity, latents.float(), shifted_times(steps, self.config.shift)) * self.config.image_deviation
            + self.config.image_mean
        )


def guided(asked, unasked, guidance: float):
    """Classifier-free guidance (Ho and Salimans 2022, Eq. 6 with w = guidance - 1): from any burst through the asked.

    >>> guided(torch.tensor(3.0), torch.tensor(1.0), guidance=2.0)
    tensor(5.)
    """
    return unasked + guidance * (asked - unasked)


def integrate(velocity: Callable[[torch.Tensor, float], torch.Tensor], start: torch.Tensor, times: Sequence[float]):
    """Along the flow by the midpoint rule, which is exact where the velocity is linear in time.

    Its last pass is half a step before the end, where the velocity of an image would be 0 / 0.

    Args:
        velocity: of a place and a time.
        start: the place at the first of the times.
        times: between which the steps are.

    >>> integrate(lambda place, time: torch.tensor([2.0 + 6.0 * time]), torch.tensor([1.0]), [0.0, 0.2, 1.0])
    tensor([6.])
    """
    place = start
    for begin, end in pairwise(times):
        middle = (begin + end) / 2
        halfway = place + (middle - begin) * velocity(place, begin)
        place = place + (end - begin) * velocity(halfway, middle)
    return place


def shifted_times(steps: int, shift: float) -> list[float]:
    """From 0 to 1 in so many steps, at the noise ``shift`` times as short as in equal ones (Esser et al. 2024, Eq. 23).

    >>> shifted_times(2, 1.0), shifted_times(2, 3.0)
    ([0.0, 0.5, 1.0], [0.0, 0.25, 1.0])
    """
    even = [step / steps for step in range(steps + 1)]
    return [time / (time + shift * (1 - time)) for time in even]


def time_features(times):
    """Sines and cosines of 64 frequencies between 1 and 1,000 radians: (batch,) → (batch, 128)."""
    half = TIME_FEATURES // 2
    frequencies = torch.exp(torch.arange(half, device=times.device) * (math.log(1_000) / (half - 1)))
    angles = times[:, None] * frequencies.to(times.dtype)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _waves(places: int, size: int):
    """Sines and cosines of places, (places, size), as of Vaswani et al. (2017) but with waves of 2 to 10 · places."""
    half = size // 2
    lengths = torch.exp(torch.linspace(math.log(2.0), math.log(10.0 * places), half))
    angles = torch.arange(places)[:, None] * (2 * math.pi / lengths)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _windows_of(images, group: int):
    """Each group of frames with half a group to both sides, 0 beyond the ends.

    (batch, 1, mels, frames) → (batch, frames / group, mels · 2 · group)
    """
    padded = F.pad(images[:, 0], (group // 2, group - group // 2))
    return padded.unfold(-1, 2 * group, group).transpose(1, 2).flatten(2)


def _image_of_windows(windows, mels: int, group: int):
    """The windows of neighbouring groups faded into one another, so that no step is seen between them.

    A frame is the mean of its two windows' values, weighed by sin², which of two windows adds up to 1; of those at the
    ends it is the only window's value. The inverse of :func:`_windows_of`, whose windows agree.
    """
    places = torch.arange(2 * group, device=windows.device) + 0.5
    fade = (torch.pi * places / (2 * group)).sin().square().to(windows.dtype)
    faded = windows.unflatten(-1, (mels, 2 * group)) * fade  # (batch, groups, mels, 2 · group)
    return _overlapped(faded, group) / _overlapped(fade.expand(1, windows.shape[1], 1, -1), group)


def _overlapped(windows, group: int):
    """(batch, groups, mels, 2 · group) → their sum where they lie, (batch, 1, mels, groups · group)"""
    halves = windows.transpose(1, 2)  # (batch, mels, groups, 2 · group)
    image = F.pad(halves[..., :group], (0, 0, 0, 1)) + F.pad(halves[..., group:], (0, 0, 1, 0))
    first = group // 2
    return image.flatten(2)[:, None, :, first : first + windows.shape[1] * group]
