"""Waveforms → frames, by a small residual network over a log-mel spectrum: it learns from a few thousand clips."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from .frontends import ENERGY_FLOOR, LogMel, random_spans
from .graphs import becomes_a_graph


class SpectrogramCNN(nn.Module):
    """Residual convolutions over the log-mel spectrum, read as an image of frames by channels (ours, of no paper).

    A 5 × 5 convolution of ``width`` maps that halves time and frequency, then residual ``blocks``. By default there are
    four of ``width``, 2, 4 and 8 × ``width`` maps, each halving frequency and all but the last halving time: a frame of
    the output is 160 ms of the clip. What is left of frequency is averaged, or, with ``frame_size``, kept: a frame is a
    projection of all its maps at all places of the frequency axis.

    With ``squeeze`` each block weighs its maps by what the clip has in them (squeeze-and-excitation, Hu et al., 2018).

    In training the spectrum may be masked, as in SpecAugment (Park et al., 2019), and moved up or down by a few
    channels, which changes a voice's pitch and size. What is masked is 0, the mean. All chance is torch's.

    Args:
        channels: of the log-mel spectrum.
        width: maps of the first convolution.
        blocks: of each its maps, in multiples of ``width``, and its strides in time and in frequency.
        masks: spans of channels, and as many of frames, that are masked in training.
        mask_ratio: the widest span of channels as a share of all, and the longest of frames of the clip's, 0..1.
        shift: the most channels that a clip's spectrum is moved by in training, up or down.
        squeeze: how many times more maps a block has than units that weigh them; 0: they are not weighed.
        energy_floor: of the log-mel spectrum, see [`LogMel`].
        frame_size: of a frame that keeps frequency; 0: frequency is averaged, and a frame has the last block's maps.

    >>> encoder = SpectrogramCNN(channels=32, width=4).eval()
    >>> frames, frame_mask = encoder(torch.randn(2, 16000))
    >>> frames.shape, frame_mask  # 98 frames of 10 ms, halved four times
    (torch.Size([2, 7, 32]), None)
    """

    def __init__(  # noqa: PLR0913 each is a setting of its own
        self,
        *,
        channels: int = 64,
        width: int = 16,
        blocks=((1, 2, 2), (2, 2, 2), (4, 2, 2), (8, 1, 2)),
        masks: int = 0,
        mask_ratio: float = 0.2,
        shift: int = 0,
        squeeze: int = 0,
        energy_floor: float = ENERGY_FLOOR,
        frame_size: int = 0,
    ):
        super().__init__()
        for name, value, fits, allowed in (
            ("width", width, width >= 1, "1 or more"),
            ("masks", masks, masks >= 0, "0 or more"),
            (
                "blocks",
                blocks,
                _are_blocks(blocks),
                "lists of maps, stride in time and in frequency, such as [[1, 2, 2]]",
            ),
            ("mask_ratio", mask_ratio, 0 <= mask_ratio <= 1, "in 0..1"),
            ("shift", shift, 0 <= shift < channels, f"0 or more, and less than {channels}"),
            ("squeeze", squeeze, squeeze >= 0, "0 or more"),
            ("frame_size", frame_size, frame_size >= 0, "0 or more"),
        ):
            if not fits:
                raise ValueError(f"{name} is {value}; it must be {allowed}")
        self.masks, self.mask_ratio, self.shift = masks, mask_ratio, shift
        self.log_mel = LogMel(channels, energy_floor)
        self.stem = NormalisedConvolution(1, width, kernel=5, stride=(2, 2))
        sizes = [width, *(width * maps for maps, _, _ in blocks)]
        self.blocks = nn.ModuleList(
            ResidualBlock(before, size, strides, squeeze)
            for before, size, (_, *strides) in zip(sizes, sizes[1:], blocks, strict=False)
        )
        places = channels
        for stride in (2, *(stride for _, _, stride in blocks)):
            places = -(-places // stride)
        self.join = JoinedFrequencies(sizes[-1], places, frame_size) if frame_size else None
        self.size = frame_size or sizes[-1]

    def estimate_statistics(self, clips) -> None:
        """Set mean and variance of the log-mel spectrum; see [`LogMel.estimate_statistics`]."""
        self.log_mel.estimate_statistics(clips)

    def forward(self, waveforms, attention_mask=None):
        """Encode a batch; arguments, mask and errors are those of [`LogMel.forward`], with longer frames.

        In training the batch norms count padding as silence of the mean spectrum; clips of a batch are of like length.
        In evaluation padding changes nothing.
        """
        spectrum, mask = self.log_mel(waveforms, attention_mask)  # (batch, frames, channels)
        if mask is not None and not becomes_a_graph() and not mask.is_cuda and mask.all():
            mask = None  # there is nothing past a clip's end
        if self.training:
            spectrum = self._shift(self._mask(spectrum, mask))
        image = spectrum[:, None]
        image, mask = self.stem(image, mask)
        # A third of the time on a processor, where the maps of a place lie side by side.
        image = F.relu(image).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            image, mask = block(image, mask)
        return image.mean(dim=3).transpose(1, 2) if self.join is None else self.join(image), mask

    def _mask(self, spectrum, mask):
        """Spans of random length at random places set to 0, other ones for each clip."""
        batch, frames, channels = spectrum.shape
        device = spectrum.device
        lengths = torch.full((batch,), frames, device=device) if mask is None else mask.sum(dim=1)
        for _ in range(self.masks):
            of_all = torch.full((batch,), channels, device=device)
            channel_spans = random_spans(of_all, channels, self.mask_ratio)
            frame_spans = random_spans(lengths, frames, self.mask_ratio)
            spectrum = spectrum.masked_fill(channel_spans[:, None, :] | frame_spans[:, :, None], 0.0)
        return spectrum

    def _shift(self, spectrum):
        """Each clip's spectrum moved by up to ``shift`` channels; what comes in from outside is 0."""
        if not self.shift:
            return spectrum
        channels = spectrum.shape[2]
        steps = torch.randint(-self.shift, self.shift + 1, (len(spectrum), 1, 1), device=spectrum.device)
        places = (torch.arange(channels, device=spectrum.device) + self.shift + steps).expand_as(spectrum)
        return F.pad(spectrum, (self.shift, self.shift)).gather(2, places)


def _are_blocks(blocks) -> bool:
    sized = isinstance(blocks, (list, tuple)) and blocks and all(isinstance(block, (list, tuple)) for block in blocks)
    return bool(sized) and all(
        len(block) == 3 and all(isinstance(number, int) and 1 <= number <= 64 for number in block) for block in blocks
    )


class NormalisedConvolution(nn.Module):
    """Convolution and batch norm; frames past a clip's end are 0 afterwards, as they are beyond the image's edge.

    A convolution of 1 × 1 takes the places of its stride out of the image first, and then all of what is left: the same
    values. With a stride of its own, channels last and 2 to 7 maps, oneDNN's gradient of its weights on a processor
    with AVX2 but no AVX-512 writes past the end of its scratchpad and corrupts the heap (torch 2.11, oneDNN 3.10).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: tuple[int, int] = (1, 1)):
        super().__init__()
        self.stride, self.taken_first = stride, kernel == 1
        its_own = 1 if self.taken_first else stride
        self.convolution = nn.Conv2d(inputs, outputs, kernel, its_own, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, image, mask):  # (batch, maps, frames, channels) and (batch, frames) or None
        if self.taken_first:
            image = image[:, :, :: self.stride[0], :: self.stride[1]]
        image = self.norm(self.convolution(image))
        if mask is not None:
            mask = mask[:, :: self.stride[0]]  # a frame is where its kernel's middle is
            image = image * mask[:, None, :, None]
        return image, mask


class JoinedFrequencies(nn.Module):
    """A frame's maps at all places of the frequency axis, projected: Linear, batch norm, ReLU."""

    def __init__(self, maps: int, places: int, size: int):
        super().__init__()
        self.projection, self.norm = nn.Linear(maps * places, size, bias=False), nn.BatchNorm1d(size)

    def forward(self, image):  # (batch, maps, frames, places) → (batch, frames, size)
        frames = self.projection(image.permute(0, 2, 3, 1).flatten(2))
        return F.relu(self.norm(frames.flatten(0, 1)).view_as(frames))


class ResidualBlock(nn.Module):
    """Two convolutions, their maps weighed with ``squeeze``, beside one of 1 × 1, added (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: Sequence[int], squeeze: int = 0):
        super().__init__()
        self.first = NormalisedConvolution(inputs, outputs, stride=stride)
        self.second = NormalisedConvolution(outputs, outputs)
        self.beside = NormalisedConvolution(inputs, outputs, kernel=1, stride=stride)
        self.weigh = WeighedMaps(outputs, max(1, outputs // squeeze)) if squeeze else None

    def forward(self, image, mask):
        hidden, hidden_mask = self.first(image, mask)
        hidden, hidden_mask = self.second(F.relu(hidden), hidden_mask)
        if self.weigh is not None:
            hidden = self.weigh(hidden, hidden_mask)
        return F.relu(hidden + self.beside(image, mask)[0]), hidden_mask


class WeighedMaps(nn.Module):
    """Each map times a weight in 0..1, from the means of all maps over the clip (Hu et al., 2018, Eqs. 2 to 4)."""

    def __init__(self, maps: int, units: int):
        super().__init__()
        self.squeeze, self.excite = nn.Linear(maps, units), nn.Linear(units, maps)

    def forward(self, image, mask):  # (batch, maps, frames, channels), 0 past a clip's end
        means = image.mean(dim=(2, 3))
        if mask is not None:
            means = means * (mask.shape[1] / mask.sum(dim=1, keepdim=True))
        return image * self.excite(F.relu(self.squeeze(means))).sigmoid()[:, :, None, None]
