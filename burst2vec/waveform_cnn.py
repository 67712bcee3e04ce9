"""Waveforms → frames, by convolutions alone: a small network learns its own filters from a quarter of a second."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from .frontends import valid_lengths
from .parts import check_layers
from .waveforms import SAMPLING_RATE, check_samples_of

MAX_PASSES = 100  # over each clip


class WaveformCNN(nn.Module):
    """Each window of a clip, 250 ms of it, becomes the values of ``hidden_size`` units: a frame.

    The networks of Purohit, Ben Mahmoud, Vlasenko and Magimai-Doss (2022, arXiv:2206.11968), on the waveform as it is
    or after the zero-frequency filter. For each layer a convolution without padding, max pooling and ReLU; then the
    mean over the steps of the window and a linear layer. A frame is that layer's output before its ReLU, as the paper
    takes its embeddings; the model applies ``activation`` before anything learns from it. Known of theirs: windows of
    250 ms, and four convolutions with ten hidden units, or ten convolutions with 1,024 on phones. The rest of the
    defaults is our choice: what the same group publishes for such windows (idiap/RawSpeechClassification on GitHub,
    "subseg").

    No layer pads. So where windows start at steps of the network the convolutions run once over the clip and not once
    for each window, where every sample would pass through them several times; the results are equal. Windows between
    its steps take a pass for each of their offsets from a step: every 10 ms with the defaults, 15.

    A clip shorter than a window is followed by silence up to one. The end of a clip that fills no window any more, up
    to one hop, is left out. Nothing is normalised in the network: the level is the feature extractor's work.

    Initial weights are Keras' defaults, as the paper's: Glorot and Bengio's (2010) uniform ones, and biases of 0.

    Args:
        window_seconds: of the clip in a frame.
        hop_seconds: from one window to the next. A multiple of the network's step, the product of all strides and
            pools, costs one pass over the clip: 37.5 ms with the defaults. None: one step.
        conv_dim: channels of each convolution.
        conv_kernel: taps of each; of the first at 16 kHz, so 30 are 1.9 ms.
        conv_stride: steps of each.
        pools: steps in a maximum, which do not overlap, after each; 1 for none.
        hidden_size: units, and so features of a frame: pooled by mean and standard deviation ten give 20.

    Raises:
        ValueError: lists of unequal lengths, a window that some layer finds too short, a hop that takes more than 100
            passes.

    >>> cnn = WaveformCNN()
    >>> cnn.step_samples, cnn.window_samples  # 10·2 · 5·3 · 2 · 1; the window makes 3 steps of it
    (600, 4000)
    >>> frames, frame_mask = cnn(torch.randn(2, 16000))
    >>> frames.shape, frame_mask  # (16000 − 4000) // 600 + 1
    (torch.Size([2, 21, 10]), None)
    """

    def __init__(
        self,
        *,
        window_seconds: float = 0.25,
        hop_seconds: float | None = None,
        conv_dim=(128, 256, 512, 512),
        conv_kernel=(30, 10, 4, 3),
        conv_stride=(10, 5, 2, 1),
        pools=(2, 3, 1, 1),
        hidden_size: int = 10,
    ):
        super().__init__()
        check_layers(conv_dim=conv_dim, conv_kernel=conv_kernel, conv_stride=conv_stride, pools=pools)
        if type(hidden_size) is not int or hidden_size < 1:
            raise ValueError(f"hidden_size is {hidden_size!r}; it must be a whole number from 1")
        self.pools = tuple(pools)
        self.window_samples = check_samples_of("window_seconds", window_seconds)
        self.step_samples = 1
        self.window_steps = self.window_samples
        for layer, (kernel, stride, pool) in enumerate(zip(conv_kernel, conv_stride, pools, strict=True), start=1):
            self.step_samples *= stride * pool
            self.window_steps = ((self.window_steps - kernel) // stride + 1) // pool
            if self.window_steps < 1:
                raise ValueError(
                    f"a window of {window_seconds:g} s leaves nothing after convolution {layer} of conv_kernel "
                    f"{list(conv_kernel)}, conv_stride {list(conv_stride)} and pools {list(pools)}; give a longer "
                    "window_seconds, or smaller ones"
                )
        self.hop_samples = self.step_samples if hop_seconds is None else check_samples_of("hop_seconds", hop_seconds)
        self.passes = math.lcm(self.hop_samples, self.step_samples) // self.hop_samples
        if self.passes > MAX_PASSES:
            raise ValueError(
                f"hop_seconds is {hop_seconds:g}; conv_stride {list(conv_stride)} and pools {list(pools)} make a step "
                f"every {self.step_samples / SAMPLING_RATE:g} s, and windows at {self.passes} offsets from a step "
                f"take as many passes, {MAX_PASSES} at most: give a hop that has a larger divisor in common with it"
            )
        self.convolutions = nn.ModuleList(
            GlorotConvolution(before, width, kernel, stride)
            for before, width, kernel, stride in zip([1, *conv_dim], conv_dim, conv_kernel, conv_stride, strict=False)
        )
        self.hidden = GlorotLinear(conv_dim[-1], hidden_size)
        self.activation = nn.ReLU()
        self.size = hidden_size

    def count_frames(self, samples):
        """Windows of ``samples``, a number or an integer tensor: one even where they do not fill it."""
        longest = (
            samples.clamp(min=self.window_samples) if torch.is_tensor(samples) else max(samples, self.window_samples)
        )
        return (longest - self.window_samples) // self.hop_samples + 1

    def forward(self, waveforms, attention_mask=None):
        """Encode a batch.

        Args:
            waveforms: float (batch, samples) at 16 kHz, padded on the right.
            attention_mask: integer (batch, samples), 1 where there is sound; None: every sample is.

        Returns:
            frames (batch, windows, hidden_size) before their activation, 0 in windows that reach into padding, and a
            boolean mask of the others (batch, windows), or None where all are valid. The first window of a clip is
            always valid.

        Raises:
            ValueError: a clip of under 400 samples or over 60 s; a mask that is not ones and then zeros.
        """
        lengths = valid_lengths(waveforms, attention_mask)
        windows = self.count_frames(waveforms.shape[1])
        if lengths is not None:  # a short clip's window holds silence after it, whatever the batch is padded with
            waveforms = waveforms.masked_fill(attention_mask == 0, 0.0)
        each = -(-windows // self.passes)
        reach = (self.passes * each - 1) * self.hop_samples + self.window_samples
        waveforms = F.pad(waveforms, (0, max(0, reach - waveforms.shape[1])))  # as many windows in each pass
        passes = [self._pass(waveforms[:, start * self.hop_samples :])[..., :each] for start in range(self.passes)]
        means = torch.stack(passes, dim=-1).flatten(2)[..., :windows]
        frames = self.hidden(means.transpose(1, 2))
        if lengths is None:
            return frames, None
        frame_mask = torch.arange(windows, device=frames.device) < self.count_frames(lengths)[:, None]
        return frames.masked_fill(~frame_mask[..., None], 0.0), frame_mask

    def _pass(self, waveforms):
        """The last convolution's means (batch, filters, windows) over the windows from the first sample on."""
        steps = waveforms[:, None]
        for convolution, pool in zip(self.convolutions, self.pools, strict=True):
            steps = convolution(steps)
            if pool > 1:
                steps = F.max_pool1d(steps, pool)
            steps = F.relu(steps)
        return F.avg_pool1d(steps, self.window_steps, self.passes * self.hop_samples // self.step_samples)


class GlorotConvolution(nn.Conv1d):
    """A convolution with Keras' initial values."""

    def initialise(self) -> None:
        """Weights of Glorot and Bengio (2010), Eq. 16, whose fans count taps; biases 0."""
        init.xavier_uniform_(self.weight)
        init.zeros_(self.bias)


class GlorotLinear(nn.Linear):
    """A linear layer with Keras' initial values."""

    def initialise(self) -> None:
        """Weights of Glorot and Bengio (2010), Eq. 16; biases 0."""
        init.xavier_uniform_(self.weight)
        init.zeros_(self.bias)
