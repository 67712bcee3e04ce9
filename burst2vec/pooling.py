"""Frames → one vector per clip, over the frames that hold sound: padding never changes a value.

Every pooling takes the frames' width and tells its own as ``output_size``; what it computes stands in ``pool``.
"""

import torch
from torch import nn

from .parts import check_size


class Pooling(nn.Module):
    """What all poolings share: float32, the mask, and what becomes of a clip without any frame.

    Args:
        input_size: features of a frame.

    Attributes:
        output_size: features of a pooled clip.
        per_task: the model holds one for each task, because it learns which frames tell a task's answer.
    """

    per_task = False

    def __init__(self, input_size: int):
        super().__init__()
        self.output_size = input_size

    def forward(self, frames, frame_mask=None):
        """Pool ``frames`` (batch, frames, input_size) to (batch, output_size), in float32.

        ``frame_mask`` is boolean (batch, frames), True where there is sound; None: everywhere. A clip with no frame of
        sound has no vector: all its features are NaN. The encoders refuse such clips.
        """
        if frame_mask is None:
            frame_mask = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
        sounds = frame_mask[..., None]
        # Filled, not multiplied by 0: an encoder may leave NaN in the padding.
        pooled = self.pool(frames.float().masked_fill(~sounds, 0.0), sounds)
        return pooled.masked_fill(~sounds.any(dim=1), float("nan"))

    def pool(self, frames, sounds):
        """``frames`` (batch, frames, input_size), 0 where ``sounds`` (batch, frames, 1) is False."""
        raise NotImplementedError


class FirstPooling(Pooling):
    """The first frame with sound.

    >>> FirstPooling(1)(torch.tensor([[[1.0], [3.0], [8.0]]])).tolist()
    [[1.0]]
    """

    def pool(self, frames, sounds):
        places = torch.arange(frames.shape[1], device=frames.device)
        first = torch.where(sounds[..., 0], places, frames.shape[1] - 1).amin(dim=1)
        return frames[torch.arange(frames.shape[0], device=frames.device), first]


class LastPooling(Pooling):
    """The last frame with sound: what a recurrent network knows at the end.

    >>> LastPooling(1)(torch.tensor([[[1.0], [3.0], [8.0]]]), torch.tensor([[True, True, False]])).tolist()
    [[3.0]]
    """

    def pool(self, frames, sounds):
        places = torch.arange(frames.shape[1], device=frames.device)
        last = torch.where(sounds[..., 0], places, 0).amax(dim=1)
        return frames[torch.arange(frames.shape[0], device=frames.device), last]


class MaxPooling(Pooling):
    """The greatest value of each feature over time.

    >>> MaxPooling(2)(torch.tensor([[[1.0, 5.0], [3.0, -1.0]]])).tolist()
    [[3.0, 5.0]]
    """

    def pool(self, frames, sounds):
        return frames.masked_fill(~sounds, float("-inf")).amax(dim=1)


class MeanPooling(Pooling):
    """Masked average over time (Burst2Vec, section 3.1): Σ_t m_t · h_t / Σ_t m_t.

    >>> MeanPooling(1)(torch.tensor([[[1.0], [3.0], [8.0]]]), torch.tensor([[True, True, False]])).tolist()
    [[2.0]]
    """

    def pool(self, frames, sounds):
        return frames.sum(dim=1) / sounds.sum(dim=1)


class StatisticsPooling(Pooling):
    """Mean and standard deviation of each feature over time, one after the other: 2 × ``input_size`` features.

    σ = √(Σ_t m_t · (h_t − mean)² / Σ_t m_t + ε), the population form, which a clip of one frame has too. ε = 1e-8 keeps
    the root's gradient finite where nothing varies; there σ is 1e-4.

    >>> StatisticsPooling(1)(torch.tensor([[[1.0], [3.0]]])).tolist()
    [[2.0, 1.0]]
    """

    epsilon = 1e-8

    def __init__(self, input_size: int):
        super().__init__(input_size)
        self.output_size = 2 * input_size

    def pool(self, frames, sounds):
        count = sounds.sum(dim=1)
        mean = frames.sum(dim=1) / count
        deviations = (frames - mean[:, None]).masked_fill(~sounds, 0.0)
        variance = deviations.square().sum(dim=1) / count
        return torch.cat([mean, (variance + self.epsilon).sqrt()], dim=-1)


class AttentivePooling(Pooling):
    """One or several weighted means over time whose weights are learnt, one set for each task.

    w = softmax_t(V tanh(W h_t)) over the frames with sound, for each row of V, and the clip is Σ_t w_t · h_t of each
    row, one after the other (Lin et al., 2017, Eqs. 5 to 8; for speech, with one row, Safari et al., 2020). With V = 0
    it is the mean.

    Args:
        input_size: features of a frame.
        attention_size: rows of W, Lin et al.'s d_a; 128 whatever the encoder is our choice, because there is one W for
            each task.
        hops: rows of V, Lin et al.'s r: so many places of a clip can be attended to at once.
    """

    per_task = True

    def __init__(self, input_size: int, *, attention_size: int = 128, hops: int = 1):
        super().__init__(input_size)
        check_size("attention_size", attention_size)
        check_size("hops", hops)
        self.output_size = hops * input_size
        self.hidden = nn.Linear(input_size, attention_size, bias=False)
        self.score = nn.Linear(attention_size, hops, bias=False)

    def pool(self, frames, sounds):
        scores = self.score(torch.tanh(self.hidden(frames))).float()  # (batch, frames, hops)
        weights = scores.masked_fill(~sounds, float("-inf")).softmax(dim=1)
        # A product and a sum, not a matrix product, which autocast would take in half precision.
        return (weights[..., None] * frames[:, :, None]).sum(dim=1).flatten(1)


class AttentiveStatisticsPooling(Pooling):
    """Weighted mean and standard deviation of each feature, whose weights over time are learnt for each feature.

    w = softmax_t(V tanh(W h_t)) over the frames with sound, for each feature; μ = Σ_t w_t · h_t and
    σ = √(Σ_t w_t · (h_t − μ)² + ε), one after the other (Okabe et al., 2018, Eqs. 4 to 6; weights of each feature as in
    ECAPA-TDNN, Desplanques et al., 2020). One for all tasks, so that a clip has one vector. ε as in
    [`StatisticsPooling`].

    Args:
        input_size: features of a frame.
        attention_size: rows of W; 128 is ECAPA-TDNN's.

    >>> pooling = AttentiveStatisticsPooling(1)
    >>> _ = nn.init.zeros_(pooling.score.weight), nn.init.zeros_(pooling.score.bias)  # even weights
    >>> pooling(torch.tensor([[[1.0], [3.0]]])).tolist()
    [[2.0, 1.0]]
    """

    epsilon = StatisticsPooling.epsilon

    def __init__(self, input_size: int, *, attention_size: int = 128):
        super().__init__(input_size)
        check_size("attention_size", attention_size)
        self.output_size = 2 * input_size
        self.hidden = nn.Linear(input_size, attention_size)
        self.score = nn.Linear(attention_size, input_size)

    def pool(self, frames, sounds):
        scores = self.score(torch.tanh(self.hidden(frames))).float()  # (batch, frames, input_size)
        weights = scores.masked_fill(~sounds, float("-inf")).softmax(dim=1)
        mean = (weights * frames).sum(dim=1)
        variance = (weights * (frames - mean[:, None]).square()).sum(dim=1)
        return torch.cat([mean, (variance + self.epsilon).sqrt()], dim=-1)


POOLINGS = {
    "first": FirstPooling,
    "last": LastPooling,
    "max": MaxPooling,
    "mean": MeanPooling,
    "statistics": StatisticsPooling,
    "attentive": AttentivePooling,
    "attentive_statistics": AttentiveStatisticsPooling,
}
