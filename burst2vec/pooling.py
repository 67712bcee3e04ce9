"""Frames → one vector a clip, over the frames that hold sound."""

from torch import nn


class MeanPooling(nn.Module):
    """Masked average over time (Burst2Vec, section 3): Σ_t m_t · h_t / Σ_t m_t."""

    def forward(self, frames, frame_mask=None):
        """Pool ``frames`` (batch, frames, features) to (batch, features), in float32.

        ``frame_mask`` is boolean (batch, frames), True where there is sound; None: everywhere.
        """
        if frame_mask is None:
            return frames.float().mean(dim=1)
        weights = frame_mask[..., None].float()  # (batch, frames, 1)
        return (frames.float() * weights).sum(dim=1) / weights.sum(dim=1)


POOLINGS = {"mean": MeanPooling}
