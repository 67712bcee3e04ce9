"""Waveforms → frames, each by itself: three convolutions over a tenth of a second, for a recurrent part behind them."""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from .frontends import valid_lengths
from .graphs import becomes_a_graph
from .parts import check_layers
from .waveforms import check_samples_of


class FrameCNN(nn.Module):
    """Each piece of a clip, 100 ms of it, goes through the same convolutions and becomes one frame.

    The convolutions of the ExVo challenge's few-shot baseline (Baird et al., 2022, arXiv:2205.01780, section 4), with
    what its published code adds: pieces of 0.1 s that do not overlap, a batch normalisation after each convolution, at
    most 20 s. For each layer a convolution of step 1, batch normalisation, max pooling and a leaky ReLU of slope 0.01;
    pooled before the ReLU, which is the same and less work. What the last layer leaves of a piece is its frame, all
    steps of a channel one after the other: with the defaults 256 · 2 numbers. They are those of Emo-18 in End2You
    (Tzirakis et al., 2018) too, the A-VB challenge's end-to-end baseline.

    The end of a clip that fills no piece is left out, as in the code; a clip shorter than one is followed by silence.
    Pieces that reach into the padding of a batch are not computed, so in training too no batch normalisation counts
    them, unlike the code's.

    Initial weights are He et al.'s (2015) uniform ones, and biases 0 (section 5.1).

    Args:
        frame_seconds: of the clip in a frame.
        max_seconds: what a clip has beyond them is left out.
        conv_dim: channels of each convolution.
        conv_kernel: taps of each; (taps − 1) // 2 zeros stand on either side of a piece.
        pools: steps in a maximum, which do not overlap, after each; 1 for none.

    Raises:
        ValueError: lists of unequal lengths, a piece that some layer finds too short, less than a piece in all.

    >>> cnn = FrameCNN()
    >>> frames, frame_mask = cnn(torch.randn(2, 16000))
    >>> frames.shape, frame_mask
    (torch.Size([2, 10, 512]), None)
    """

    def __init__(
        self,
        *,
        frame_seconds: float = 0.1,
        max_seconds: float = 20.0,
        conv_dim=(64, 128, 256),
        conv_kernel=(8, 6, 6),
        pools=(10, 8, 8),
    ):
        super().__init__()
        check_layers(conv_dim=conv_dim, conv_kernel=conv_kernel, pools=pools)
        self.pools = tuple(pools)
        self.frame_samples = check_samples_of("frame_seconds", frame_seconds)
        self.max_frames = check_samples_of("max_seconds", max_seconds) // self.frame_samples
        if self.max_frames < 1:
            raise ValueError(f"max_seconds is {max_seconds:g}, less than a frame of {frame_seconds:g} s")
        steps = self.frame_samples
        for layer, (kernel, pool) in enumerate(zip(conv_kernel, pools, strict=True), start=1):
            steps = (steps + 2 * padding_of(kernel) - kernel + 1) // pool
            if steps < 1:
                raise ValueError(
                    f"a frame of {frame_seconds:g} s leaves nothing after convolution {layer} of conv_kernel "
                    f"{list(conv_kernel)} and pools {list(pools)}; give a longer frame_seconds, or smaller ones"
                )
        self.convolutions = nn.ModuleList(
            FrameConvolution(before, width, kernel, padding=padding_of(kernel))
            for before, width, kernel in zip([1, *conv_dim], conv_dim, conv_kernel, strict=False)
        )
        self.norms = nn.ModuleList(map(nn.BatchNorm2d, conv_dim))
        self.size = conv_dim[-1] * steps

    def count_frames(self, samples):
        """Frames of ``samples``, a number or an integer tensor: those that it fills, but one at least."""
        if torch.is_tensor(samples):
            return (samples // self.frame_samples).clamp(1, self.max_frames)
        return min(max(samples // self.frame_samples, 1), self.max_frames)

    def forward(self, waveforms, attention_mask=None):
        """Encode a batch.

        Args:
            waveforms: float (batch, samples) at 16 kHz, padded on the right.
            attention_mask: integer (batch, samples), 1 where there is sound; None: every sample is.

        Returns:
            frames (batch, frames, size), 0 in those that reach into padding, and a boolean mask of the others (batch,
            frames), or None where all are valid. The first frame of a clip is always valid.

        Raises:
            ValueError: a clip of under 400 samples or over 60 s; a mask that is not ones and then zeros.
        """
        lengths = valid_lengths(waveforms, attention_mask)
        if lengths is not None:  # a short clip's frame holds silence after it, whatever the batch is padded with
            waveforms = waveforms.masked_fill(attention_mask == 0, 0.0)
        count = self.count_frames(waveforms.shape[1])
        samples = count * self.frame_samples
        waveforms = F.pad(waveforms, (0, max(0, samples - waveforms.shape[1])))
        pieces = waveforms[:, :samples].unflatten(1, (count, self.frame_samples))
        if lengths is None:
            return self._encode(pieces.flatten(0, 1)).unflatten(0, (-1, count)), None
        frame_mask = torch.arange(count, device=pieces.device) < self.count_frames(lengths)[:, None]
        if becomes_a_graph():
            frames = self._encode(pieces.flatten(0, 1)).unflatten(0, (-1, count))
            return frames.masked_fill(~frame_mask[..., None], 0.0), frame_mask
        encoded = self._encode(pieces[frame_mask])
        frames = encoded.new_zeros(*frame_mask.shape, self.size)
        frames[frame_mask] = encoded
        return frames, frame_mask

    def _encode(self, pieces):
        """``pieces`` (n, samples) → (n, size)."""
        steps = pieces[:, None, None]  # an image of one row: its poolings and normalisations are the faster ones
        for convolution, norm, pool in zip(self.convolutions, self.norms, self.pools, strict=True):
            steps = F.leaky_relu(F.max_pool2d(norm(convolution(steps)), (1, pool)), negative_slope=0.01)
        return steps.flatten(1)


class FrameConvolution(nn.Conv1d):
    """A convolution of step 1 with He et al.'s initial values, from (n, channels, 1, steps) to the same."""

    def initialise(self) -> None:
        """Uniform weights in ±√(6 / fan-in), He et al. (2015), Eq. 10, whose fan-in counts taps; biases 0."""
        init.kaiming_uniform_(self.weight)
        init.zeros_(self.bias)

    def forward(self, steps):
        (zeros,) = self.padding
        if self.in_channels > 1:
            return F.conv2d(steps, self.weight[:, :, None], self.bias, padding=(0, zeros))
        # Of one channel it is a matrix product; with the channels last, a training step takes two thirds of the time.
        windows = F.pad(steps.flatten(1), (zeros, zeros)).unfold(1, *self.kernel_size, 1)
        return F.linear(windows, self.weight[:, 0], self.bias)[:, None].permute(0, 3, 1, 2)


def padding_of(kernel: int) -> int:
    """Zeros on either side of a piece in front of a convolution of step 1: 3 for 8 taps, 2 for 6."""
    return (kernel - 1) // 2
