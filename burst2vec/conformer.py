"""Waveforms → frames by a conformer over log-mel or learnable receptive fields: an encoder that starts from scratch.

The conformer is Gulati et al.'s (2020), "Conformer: convolution-augmented transformer for speech recognition",
Interspeech: 2-D convolutions that leave a frame each 40 ms, then blocks of half a feed-forward network, self-attention
with relative positions, a convolution module and the other half. Blocks are transformers' Wav2Vec2-Conformer's, but for
the convolution module, which there reads padding.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Wav2Vec2ConformerConfig
from transformers import initialization as init
from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import (
    Wav2Vec2ConformerEncoderLayer,
    Wav2Vec2ConformerSelfAttention,
)

from .frontends import FRONTENDS, GaborSTRF, random_spans


class ConformerEncoder(nn.Module):
    """Front end → two strided convolutions → conformer blocks; the defaults are the sizes of Gulati's Conformer S.

    A frame of the encoder is four of the front end, 40 ms: n of those give ⌈n/4⌉, so that the shortest burst has one.
    Padding never changes a value: what it reaches is 0 before each convolution, and nobody attends to it. In training
    spans of time and of channels can be hidden, as in Park et al.'s SpecAugment (2019); all widths are shares, so a
    short burst loses no more of itself than a long one.

    Of the front end ``strf`` rates (Hz) and scales (cycles a channel) learn at the encoder's one learning rate. Adam
    moves both by about that much a step, so a scale crosses its range some fifty times as fast as a rate does; and
    weight decay draws both to 0. We leave that as it is.

    Args:
        frontend: ``"log_mel"`` or ``"strf"``, see ``burst2vec.frontends``.
        channels: of the log-mel spectrum, also of that below ``strf``.
        rates, scales: of ``strf`` only, its initial ripples; None: its defaults.
        channel_hop: of ``strf`` only, the channels from one place of a map to the next; None: its default, every one.
        hidden_size: features of a frame, a multiple of ``num_attention_heads``, and even; also the planes of the two
            convolutions.
        num_hidden_layers: conformer blocks.
        num_attention_heads: of the self-attention.
        intermediate_size: hidden width of the feed-forward networks.
        conv_depthwise_kernel_size: of the convolution module, in frames of 40 ms; odd.
        dropout: everywhere in the blocks, and before them.
        time_masks: how many spans of time training hides in a clip.
        time_mask_ratio: the longest of them as a share of the clip, 0..1.
        channel_masks: how many spans of channels (of ``strf``: of its places) training hides in a clip.
        channel_mask_ratio: the widest of them as a share of all channels, 0..1.

    Raises:
        ValueError: an argument out of its range, by name.

    >>> small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    >>> encoder = ConformerEncoder(**small, conv_depthwise_kernel_size=3).eval()
    >>> frames, frame_mask = encoder(torch.randn(2, 16000))  # one second is 98 frames of the front end
    >>> frames.shape, frame_mask
    (torch.Size([2, 25, 8]), None)
    """

    def __init__(
        self,
        *,
        frontend: str = "log_mel",
        channels: int = 80,
        rates=None,
        scales=None,
        channel_hop: int | None = None,
        hidden_size: int = 144,
        num_hidden_layers: int = 16,
        num_attention_heads: int = 4,
        intermediate_size: int = 576,
        conv_depthwise_kernel_size: int = 31,
        dropout: float = 0.1,
        time_masks: int = 0,
        time_mask_ratio: float = 0.1,
        channel_masks: int = 0,
        channel_mask_ratio: float = 0.2,
    ):
        super().__init__()
        if frontend not in FRONTENDS:
            raise ValueError(f"frontend {frontend!r} is not one of {sorted(FRONTENDS)}")
        ripples = {"rates": rates, "scales": scales, "channel_hop": channel_hop}
        ripples = {name: value for name, value in ripples.items() if value is not None}
        if ripples and frontend != "strf":
            raise ValueError(f"{sorted(ripples)} are of the front end 'strf'; {frontend!r} has none")
        for name, number, least in (
            ("hidden_size", hidden_size, 2),
            ("num_hidden_layers", num_hidden_layers, 1),
            ("num_attention_heads", num_attention_heads, 1),
            ("intermediate_size", intermediate_size, 1),
            ("conv_depthwise_kernel_size", conv_depthwise_kernel_size, 1),
            ("time_masks", time_masks, 0),
            ("channel_masks", channel_masks, 0),
        ):
            if type(number) is not int or number < least:
                raise ValueError(f"{name} is {number!r}; give a whole number of {least} or more")
        for name, share in (
            ("dropout", dropout),
            ("time_mask_ratio", time_mask_ratio),
            ("channel_mask_ratio", channel_mask_ratio),
        ):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is {share}; give a number in 0..1")
        if hidden_size % num_attention_heads or hidden_size % 2:
            raise ValueError(
                f"hidden_size is {hidden_size} with {num_attention_heads} heads; it must be even, and a multiple of "
                "num_attention_heads"
            )
        if conv_depthwise_kernel_size % 2 == 0:
            raise ValueError(
                f"conv_depthwise_kernel_size is {conv_depthwise_kernel_size}; a kernel has a middle, so take an odd "
                f"number such as {conv_depthwise_kernel_size + 1}"
            )
        self.size = hidden_size
        self.time_masks, self.time_mask_ratio = time_masks, time_mask_ratio
        self.channel_masks, self.channel_mask_ratio = channel_masks, channel_mask_ratio
        self.frontend = FRONTENDS[frontend](channels=channels, **ripples)
        self.maps = 2 * len(self.frontend.rate) if isinstance(self.frontend, GaborSTRF) else 1
        places = self.frontend.size // self.maps
        self.subsampling = nn.ModuleList(
            nn.Conv2d(planes, hidden_size, kernel_size=3, stride=2, padding=1) for planes in (self.maps, hidden_size)
        )
        self.projection = nn.Linear(hidden_size * -(-places // 4), hidden_size)  # ⌈⌈p/2⌉/2⌉ = ⌈p/4⌉ places are left
        self.dropout = nn.Dropout(dropout)
        config = Wav2Vec2ConformerConfig(
            hidden_size=hidden_size,
            num_attention_heads=num_attention_heads,
            intermediate_size=intermediate_size,
            hidden_act="silu",
            hidden_dropout=dropout,
            activation_dropout=dropout,
            attention_dropout=dropout,
            conformer_conv_dropout=dropout,
            conv_depthwise_kernel_size=conv_depthwise_kernel_size,
            position_embeddings_type="relative",
            attn_implementation="eager",  # a bias for each pair of frames; and bursts are short
        )
        self.blocks = nn.ModuleList(ConformerBlock(config) for _ in range(num_hidden_layers))

    def estimate_statistics(self, clips) -> None:
        """Set the front end's mean and variance; see ``burst2vec.frontends.LogMel.estimate_statistics``."""
        self.frontend.estimate_statistics(clips)

    def count_frames(self, samples):
        """Frames of ``samples``, a number or an integer tensor: 400 to 1,039 give 1, 1,040 give 2, one second 25."""
        return (self.frontend.count_frames(samples) + 3) // 4

    def forward(self, waveforms, attention_mask=None):
        """Encode a batch.

        Args:
            waveforms: float (batch, samples) at 16 kHz, padded on the right.
            attention_mask: integer (batch, samples), 1 where there is sound; None: every sample is.

        Returns:
            frames (batch, frames, size), of any value in the padding, and a boolean mask of the others (batch, frames),
            or None where all are valid.

        Raises:
            ValueError: as the front end's: a clip of under 400 samples or over 60 s, or a mask with holes.
        """
        spectrum, frame_mask = self.frontend(waveforms, attention_mask)
        planes = spectrum.unflatten(2, (self.maps, -1)).transpose(1, 2)  # (batch, maps, frames, places)
        if self.training:
            planes = self._hide(planes, frame_mask)
        for convolution in self.subsampling:
            planes = F.relu(convolution(planes))
            if frame_mask is not None:
                frame_mask = frame_mask[:, ::2]
                planes = planes.masked_fill(~frame_mask[:, None, :, None], 0.0)
        frames = self.dropout(self.projection(planes.transpose(1, 2).flatten(2)))
        positions = relative_positions(frames)
        for block in self.blocks:
            frames = block(frames, frame_mask, positions)
        return frames, frame_mask

    def _hide(self, planes, frame_mask):
        """``planes`` with 0, a channel's mean, in random spans of each clip's frames and of its places."""
        batch, _, frames, places = planes.shape
        lengths = torch.full((batch,), frames, device=planes.device) if frame_mask is None else frame_mask.sum(dim=1)
        for _ in range(self.time_masks):
            hidden = random_spans(lengths, frames, self.time_mask_ratio)
            planes = planes.masked_fill(hidden[:, None, :, None], 0.0)
        for _ in range(self.channel_masks):
            hidden = random_spans(torch.full_like(lengths, places), places, self.channel_mask_ratio)
            planes = planes.masked_fill(hidden[:, None, None, :], 0.0)
        return planes


class ConformerBlock(Wav2Vec2ConformerEncoderLayer):
    """One block: half a feed-forward network, self-attention, convolution, the other half; each beside a residual."""

    def __init__(self, config):
        super().__init__(config)
        self.self_attn = RelativeAttention(config)
        self.conv_module = MaskedConvolution(
            config.hidden_size, config.conv_depthwise_kernel_size, config.conformer_conv_dropout
        )

    def forward(self, frames, frame_mask, positions):
        """``frames`` (batch, frames, size), ``frame_mask`` or None, ``positions`` of [`relative_positions`]."""
        bias = None
        if frame_mask is not None:  # added to the scores (batch, heads, queries, keys)
            bias = torch.zeros_like(frame_mask, dtype=frames.dtype).masked_fill(~frame_mask, float("-inf"))
            bias = bias[:, None, None]
        frames = frames + 0.5 * self.ffn1(self.ffn1_layer_norm(frames))
        attended = self.self_attn(
            self.self_attn_layer_norm(frames), attention_mask=bias, relative_position_embeddings=positions
        )[0]
        frames = frames + self.self_attn_dropout(attended)
        frames = frames + self.conv_module(frames, frame_mask)
        frames = frames + 0.5 * self.ffn2(self.ffn2_layer_norm(frames))
        return self.final_layer_norm(frames)


class RelativeAttention(Wav2Vec2ConformerSelfAttention):
    """transformers' attention with relative positions, which sets its own parameters where a checkpoint lacks them."""

    def initialise(self) -> None:
        """The biases of queries for content and for positions, as transformers' own models set them."""
        init.xavier_uniform_(self.pos_bias_u)
        init.xavier_uniform_(self.pos_bias_v)


class MaskedConvolution(nn.Module):
    """The block's convolution over time, which takes padding for 0.

    Layer norm, linear, gate, depthwise convolution, layer norm, SiLU, linear, dropout. Gulati et al. have a batch norm
    where the second layer norm is; in training it would average over padding, or need the other clips' lengths, and a
    batch of one short burst would have no variance.
    """

    def __init__(self, size: int, kernel: int, dropout: float):
        super().__init__()
        self.layer_norm = nn.LayerNorm(size)
        self.gated = nn.Linear(size, 2 * size)
        self.depthwise = nn.Conv1d(size, size, kernel, padding=kernel // 2, groups=size, bias=False)
        self.depthwise_norm = nn.LayerNorm(size)
        self.output = nn.Linear(size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames, frame_mask=None):
        """``frames`` (batch, frames, size) to as many, of any value in the padding."""
        frames = F.glu(self.gated(self.layer_norm(frames)))
        if frame_mask is not None:
            frames = frames.masked_fill(~frame_mask[..., None], 0.0)
        frames = self.depthwise(frames.transpose(1, 2)).transpose(1, 2)
        return self.dropout(self.output(F.silu(self.depthwise_norm(frames))))


def relative_positions(frames) -> torch.Tensor:
    """What distances look like to the attention (Dai et al., 2019): (1, 2 · frames − 1, size), from far past to future.

    Row i is of the distance d = frames − 1 − i, with sin(d / 10000^(2k/size)) in column 2k and the cosine in 2k + 1. It
    is computed, not kept: there is no longest clip, and no buffer that a checkpoint could lack.

    >>> relative_positions(torch.zeros(1, 2, 2)).round(decimals=3)  # sine and cosine of 1, 0, −1
    tensor([[[ 0.8410,  0.5400],
             [ 0.0000,  1.0000],
             [-0.8410,  0.5400]]])
    """
    count, size = frames.shape[1:]
    distances = torch.arange(count - 1, -count, -1, device=frames.device, dtype=torch.float32)
    steps = torch.arange(0, size, 2, device=frames.device, dtype=torch.float32)
    angles = distances[:, None] * torch.exp(steps * (-math.log(10000.0) / size))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[None].to(frames.dtype)
