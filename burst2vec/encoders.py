"""What a burst is given as → frames: the axis, and its smallest member.

An encoder is a module with ``size``, the features of a frame, and a forward ``encoder(input_values, attention_mask)``
that gives frames (batch, frames, size) and a boolean mask of those that hold sound (batch, frames), or None where all
do. One whose frames are a layer's outputs before its activation has that as ``activation``: the model applies it before
anything learns from the frames, and embeddings are taken without it. One that measures its training clips before it
learns has ``estimate_statistics(clips)``, called once with an iterable of what the model will be given of each clip.
Parameters and buffers are set, and set again where a checkpoint lacks them, by a method ``initialise`` of the module
that holds them; torch's own modules, which have none, by the model.
"""

import torch
from torch import nn
from transformers import initialization as init

from .configuration_burst2vec import OwnEncoderConfig
from .conformer import ConformerEncoder
from .frame_cnn import FrameCNN
from .parts import build_part
from .spectrogram_cnn import SpectrogramCNN
from .speech_encoder import SpeechEncoder
from .waveform_cnn import WaveformCNN


class VectorEncoder(nn.Module):
    """A clip that is a vector already, hand-made features or an embedding, is one frame: (x − mean) / √variance.

    The buffers ``mean`` and ``variance`` are 0 and 1 until [`VectorEncoder.estimate_statistics`] sets them; they are
    saved with the weights.

    Args:
        features: numbers in a vector.
        limit: what is further than so many deviations from the mean is brought to there; None leaves it.
        dropout: probability with which a feature is 0, the mean, in training.

    >>> VectorEncoder(features=2)(torch.tensor([[1.0, 5.0]]))
    (tensor([[[1., 5.]]]), None)
    """

    def __init__(self, *, features: int, limit: float | None = None, dropout: float = 0.0):
        super().__init__()
        if features < 1:
            raise ValueError(f"features is {features}; a vector needs at least one")
        if limit is not None and not limit > 0:
            raise ValueError(f"limit is {limit}; give deviations above 0, or null")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must be in 0..1")
        self.limit, self.dropout = limit, nn.Dropout(dropout)
        self.size = features
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("variance", torch.ones(features))

    def initialise(self) -> None:
        """Mean 0 and variance 1, as before any clip was measured."""
        init.zeros_(self.mean)
        init.ones_(self.variance)

    def forward(self, vectors, attention_mask=None):
        """``vectors`` float (batch, features) → frames float32 (batch, 1, features), and None: no clip is padded."""
        if vectors.ndim != 2 or vectors.shape[1] != self.size:
            raise ValueError(f"vectors are {tuple(vectors.shape)}, not (batch, {self.size})")
        deviations = (vectors.float() - self.mean) / self.variance.sqrt()
        if self.limit is not None:
            deviations = deviations.clamp(-self.limit, self.limit)
        return self.dropout(deviations)[:, None], None

    @torch.no_grad()
    def estimate_statistics(self, clips) -> None:
        """Set ``mean`` and ``variance`` from ``clips``, vectors (features,), in float64; the variance divides by N.

        A feature that never varies keeps variance 1: it is centred, not scaled.

        Raises:
            ValueError: no clip.
        """
        count, total, squares = 0, 0.0, 0.0
        for clip in clips:
            vector = torch.as_tensor(clip, device=self.mean.device).double()
            count, total, squares = count + 1, total + vector, squares + vector.square()
        if count == 0:
            raise ValueError("no clips to estimate mean and variance from; give the training clips")
        mean = total / count
        variance = squares / count - mean.square()
        self.mean.copy_(mean)
        rounding = 1e-12 * squares / count  # what float64 leaves of the difference of two large numbers
        self.variance.copy_(variance.where(variance > rounding, 1.0))


ENCODERS = {
    "conformer": ConformerEncoder,
    "frame_cnn": FrameCNN,
    "spectrogram_cnn": SpectrogramCNN,
    "vector": VectorEncoder,
    "waveform_cnn": WaveformCNN,
}


def build_encoder(
    config, frozen_convolutions: bool = False, layer: int | None = None, frozen: int | str | None = None
) -> nn.Module:
    """A fresh encoder with random weights: one of ``ENCODERS``, or the speech encoder that ``config`` describes.

    Args:
        config: of the encoder.
        frozen_convolutions, layer, frozen: as [`SpeechEncoder`] has them.

    Raises:
        ValueError: an unknown kind or argument, or a value out of its range; the known are listed. A ``layer`` of an
            encoder without numbered layers, or some of it frozen.
    """
    if config.model_type != OwnEncoderConfig.model_type:  # from the Hub, the class itself is another copy
        return SpeechEncoder.from_config(config, frozen_convolutions, layer, frozen)
    for key, value in (("encoder_layer", layer), ("freeze_encoder", frozen)):
        if value is not None:
            raise ValueError(
                f"{key} is {value!r}, which is of the layers of a pretrained speech encoder; the encoder "
                f"{config.kind!r} does not have any, so leave it out"
            )
    return build_part("encoder", ENCODERS, {"kind": config.kind, **config.arguments})
