"""Waveforms → frames, by a self-supervised speech encoder.

It is used as its authors published it, weights and all, but for three things that a burst
needs: it is short, it comes in batches of unequal lengths, and its answer must not depend on its neighbours.
"""

import contextlib
import errno
import math
import os
import pickle

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel

from .graphs import becomes_a_graph
from .waveforms import MAX_SAMPLES, MIN_SAMPLES
from .weights import MASK_EMBEDDING, refuse_mismatched, refuse_missing, refuse_not_finite

# The model types of transformers that are accepted: of each a test shows that a clip's frames do not depend on padding.
SPEECH_FAMILIES = (
    "data2vec-audio",
    "hubert",
    "sew",
    "sew-d",
    "unispeech",
    "unispeech-sat",
    "wav2vec2",
    "wav2vec2-conformer",
    "wavlm",
)

# Families whose layers do not take the frames themselves, but groups of them: between their layers there are none.
GROUPED_FAMILIES = ("sew", "sew-d")

# What finds and reads a checkpoint, as ``AutoModel.from_pretrained`` has it.
FINDING_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")
HUB_ARGUMENTS = (*FINDING_ARGUMENTS, "attn_implementation", "dtype", "use_safetensors", "variant")


def load_speech_model(checkpoint, **hub_arguments) -> PreTrainedModel:
    """A published encoder as its authors saved it, whole, in evaluation mode; nothing that comes with it is run.

    Weights are read from safetensors; where there are none, from ``pytorch_model.bin`` (one file or several), of which
    torch reads tensors alone (``weights_only=True``).

    Args:
        checkpoint: name on the Hub, or a folder; of one with a head, such as ForCTC, the encoder is taken.
        hub_arguments: any of ``HUB_ARGUMENTS``; ``dtype`` is float32 unless given.

    Raises:
        ValueError: another model type than ``SPEECH_FAMILIES``; weights that are missing, not finite, of another shape
            than the configuration says, damaged, or no tensors.
        OSError: no such checkpoint, or none with weights.
    """
    place = {name: value for name, value in hub_arguments.items() if name in FINDING_ARGUMENTS}
    config = AutoConfig.from_pretrained(checkpoint, trust_remote_code=False, **place)
    refuse_unaccepted(config)  # before the weights are fetched
    arguments = {"dtype": torch.float32, **hub_arguments}
    try:
        with _no_conversion_asked():
            model, found = AutoModel.from_pretrained(
                checkpoint,
                config=config,
                weights_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **arguments,
            )
    except (pickle.UnpicklingError, EOFError, RuntimeError, OSError) as error:  # what torch.load raises
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise  # no such checkpoint, no network, a full disk
        raise ValueError(
            f"{checkpoint}: its weights are damaged, or a pickle that holds more than tensors; nothing of it was run. "
            f"Give a checkpoint saved as safetensors ({type(error).__name__}: {str(error).partition('. ')[0]})"
        ) from error
    refuse_mismatched(found["mismatched_keys"])
    refuse_missing(found["missing_keys"], spared=MASK_EMBEDDING)
    refuse_not_finite(model)
    return model


@contextlib.contextmanager
def _no_conversion_asked():
    """transformers would have a service of the Hub convert weights that are no safetensors, and wait for them."""
    switch = "DISABLE_SAFETENSORS_CONVERSION"
    before = os.environ.get(switch)
    os.environ[switch] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[switch]
        else:
            os.environ[switch] = before


class LengthAwareGroupNorm(nn.GroupNorm):
    """GroupNorm over the part of each row that holds sound; same parameters as ``nn.GroupNorm``.

    Base-style encoders (``feat_extract_norm="group"``) normalise each channel over all time steps, so zero padding
    would move every value of a short clip in a long batch. With one group per channel, for row i of n_i valid steps:

        y = weight · (x − mean_i) / √(var_i + eps) + bias,   mean and variance over the first n_i steps.

    Steps past n_i come out as 0 and are masked further on. ``lengths`` (batch,) is set by the encoder before each pass;
    None means that every step is valid. Row by row it takes 1.0 to 1.4 times as long as ``nn.GroupNorm`` does;
    in one piece, with masked sums, it would take 3 to 5 times as long.
    """

    lengths: torch.Tensor | None = None

    def forward(self, hidden):  # (batch, channels, steps)
        if self.lengths is None:
            return super().forward(hidden)
        if becomes_a_graph():
            return self._in_one_piece(hidden)
        longest = hidden.shape[-1]
        rows = [
            F.pad(super(LengthAwareGroupNorm, self).forward(row[None, :, :length]), (0, longest - length))
            for row, length in zip(hidden, self.lengths.tolist(), strict=True)
        ]
        return torch.cat(rows)

    def _in_one_piece(self, hidden):
        steps = torch.arange(hidden.shape[-1], device=hidden.device)
        sounds = (steps < self.lengths[:, None])[:, None]  # (batch, 1, steps)
        counts = self.lengths[:, None, None].to(torch.float32)
        values = hidden.float().masked_fill(~sounds, 0.0)
        mean = values.sum(-1, keepdim=True) / counts
        apart = (values - mean).masked_fill(~sounds, 0.0)
        deviation = (apart.square().sum(-1, keepdim=True) / counts + self.eps).sqrt()
        result = apart / deviation * self.weight[:, None] + self.bias[:, None]
        return result.masked_fill(~sounds, 0.0).to(hidden.dtype)


class PaddingSilencer:
    """A forward pre-hook of convolutions over frames: what comes in is 0 in the padded frames, as behind a clip's end.

    Published encoders zero the padding once, before their first positional convolution. Of convolutions in a row
    (data2vec-audio), of those in each layer (wav2vec2-conformer) and of one behind a batch norm (HuBERT with
    ``conv_pos_batch_norm``) the later ones would take up what the layers before have made of it.

    Attributes:
        frame_mask: boolean (batch, frames), True where there is sound, set before each pass; None: everywhere.
    """

    frame_mask: torch.Tensor | None = None

    def __call__(self, convolution, inputs):
        hidden = inputs[0]  # (batch, channels, frames)
        return None if self.frame_mask is None else hidden.masked_fill(~self.frame_mask[:, None], 0.0)


def refuse_unaccepted(config) -> None:
    """Refuse an encoder of which it is not known that a clip gives the same answer alone and in a batch.

    Raises:
        ValueError: a model type that is not one of ``SPEECH_FAMILIES``, or an adapter behind the encoder.
    """
    if config.model_type not in SPEECH_FAMILIES:
        raise ValueError(
            f"model_type {config.model_type!r} is not a speech encoder over waveforms that gives a clip the same "
            f"answer alone and in a batch; choose a checkpoint of one of {list(SPEECH_FAMILIES)}"
        )
    if getattr(config, "add_adapter", False):
        raise ValueError(
            f"this {config.model_type} encoder has add_adapter=true, convolutions behind its last layer that leave "
            "fewer frames; set add_adapter to false in its config.json to use the encoder without them"
        )


class SpeechEncoder(nn.Module):
    """A self-supervised speech encoder: wav2vec 2.0, HuBERT, WavLM and their kin, base and large.

    Args:
        model: the transformers model of one of ``SPEECH_FAMILIES``, as ``AutoModel`` builds it; it is changed in place
            (group norm, convolutions over frames, SpecAugment), its weights and their names are not.
        frozen_convolutions: train all but the convolutions in front.
        layer: whose outputs are the frames, from 1 on, as ``output_hidden_states[layer]`` has them: no norm that stands
            behind the last layer is applied. The layers above are removed. None: what the whole encoder gives.
        frozen: train only what lies above the first so many layers; ``"all"``: nothing.

    Raises:
        ValueError: see [`refuse_unaccepted`]; convolutions that make no frame of the shortest burst; or a layer that
            the encoder does not have, or any of one of ``GROUPED_FAMILIES``.
    """

    def __init__(
        self, model, frozen_convolutions: bool = False, layer: int | None = None, frozen: int | str | None = None
    ):
        super().__init__()
        refuse_unaccepted(model.config)
        self.model = model
        if layer is not None:
            keep_layers(model, layer)
        self.size = model.config.hidden_size
        if self.count_frames(MIN_SAMPLES) < 1:
            kernels, strides = list(model.config.conv_kernel), list(model.config.conv_stride)
            raise ValueError(
                f"conv_kernel {kernels} with conv_stride {strides} makes no frame of the shortest burst, "
                f"{MIN_SAMPLES} samples; choose smaller kernels or strides"
            )
        if frozen_convolutions:
            model.feature_extractor._freeze_parameters()  # not every family has a public name for it
        if frozen is not None:
            freeze_layers(model, frozen)
        # transformers' default of at least two masked spans hides 71 % of a 0.3-second burst; 0 keeps the asked share.
        model.config.mask_time_min_masks = 0
        self.padding = PaddingSilencer()
        for module in model.encoder.modules():
            if isinstance(module, nn.Conv1d) and module.kernel_size[0] > 1:
                module.register_forward_pre_hook(self.padding)
        # SEW averages frames in groups before its layers. A group that a clip fills in part is filled up with padding.
        self.group = getattr(model.config, "squeeze_factor", 1)
        first = model.feature_extractor.conv_layers[0]
        self.length_aware = isinstance(getattr(first, "layer_norm", None), nn.GroupNorm)
        if self.length_aware:
            plain = first.layer_norm
            first.layer_norm = LengthAwareGroupNorm(plain.num_groups, plain.num_channels, plain.eps)
            first.layer_norm.load_state_dict(plain.state_dict())
            for name, parameter in plain.named_parameters():
                getattr(first.layer_norm, name).requires_grad_(parameter.requires_grad)

    @classmethod
    def from_config(cls, config, *arguments, **named) -> "SpeechEncoder":
        """A fresh encoder with random weights; the other arguments are as of the class."""
        refuse_unaccepted(config)
        return cls(AutoModel.from_config(config), *arguments, **named)

    def count_frames(self, samples, layers: int | None = None):
        """Frames that ``samples`` (a number or an integer tensor) give after ``layers`` convolutions, or after all.

        With the usual kernels (10, 3, 3, 3, 3, 2, 2) and strides (5, 2, 2, 2, 2, 2, 2), 400 samples give 1 frame
        and one second gives 49.
        """
        config = self.model.config
        for kernel, stride in list(zip(config.conv_kernel, config.conv_stride, strict=True))[:layers]:
            samples = (samples - kernel) // stride + 1
        return samples

    def forward(self, waveforms, attention_mask=None):
        """Encode a batch.

        Args:
            waveforms: float (batch, samples) at 16 kHz, zero-padded on the right.
            attention_mask: integer (batch, samples), 1 where there is sound; None: every sample is.

        Returns:
            frames (batch, frames, features) in the weights' precision, and a boolean mask (batch, frames), or None
            where all are valid.

        Raises:
            ValueError: a clip of under 400 samples or over 60 s.
        """
        lengths = frame_mask = first_layer_steps = None
        if attention_mask is None:
            check_lengths(torch.tensor([waveforms.shape[1]]))
        else:
            lengths = attention_mask.sum(-1)
            if not torch.compiler.is_compiling() and not becomes_a_graph():
                check_lengths(lengths)
                if int(lengths.min()) == waveforms.shape[1]:
                    attention_mask = lengths = None  # attention without a mask is faster, and equal
        waveforms, attention_mask, lengths = self._fill_group(waveforms, attention_mask, lengths)
        if lengths is not None:
            frame_count = self.count_frames(waveforms.shape[1])
            frame_mask = torch.arange(frame_count, device=waveforms.device) < self.count_frames(lengths)[:, None]
            first_layer_steps = self.count_frames(lengths, layers=1)
        if self.length_aware:
            self.model.feature_extractor.conv_layers[0].layer_norm.lengths = first_layer_steps
        self.padding.frame_mask = frame_mask
        masking = self._masking(waveforms.shape, waveforms.device)
        waveforms = waveforms.to(self.model.dtype)
        frames = self.model(waveforms, attention_mask=attention_mask, **masking).last_hidden_state
        return frames, frame_mask

    def _fill_group(self, waveforms, attention_mask, lengths):
        """Pad until the frames make whole groups: alone, a clip's last group would be dropped, and its frames 0."""
        missing = -self.count_frames(waveforms.shape[1]) % self.group
        if missing == 0:
            return waveforms, attention_mask, lengths
        if lengths is None:
            attention_mask = torch.ones(waveforms.shape, dtype=torch.long, device=waveforms.device)
            lengths = attention_mask.sum(-1)
        more = (0, missing * math.prod(self.model.config.conv_stride))
        return F.pad(waveforms, more), F.pad(attention_mask, more), lengths

    def _masking(self, shape, device) -> dict:
        """SpecAugment raises on a batch shorter than one span; such a batch goes unmasked."""
        config = self.model.config
        frame_count = self.count_frames(shape[1])
        masks = self.training and getattr(config, "apply_spec_augment", True) and config.mask_time_prob > 0
        if not masks or frame_count >= config.mask_time_length:
            return {}
        return {"mask_time_indices": torch.zeros(shape[0], frame_count, dtype=torch.bool, device=device)}


def keep_layers(model, layer: int) -> None:
    """Remove from ``model`` the layers above ``layer``, and the norm behind the last where the family has one there."""
    _refuse_layer("encoder_layer", model, layer)
    model.encoder.layers = model.encoder.layers[:layer]
    if _norm_is_last(model.config):
        model.encoder.layer_norm = nn.Identity()


def freeze_layers(model, frozen: int | str) -> None:
    """Let nothing of ``model`` learn but what lies above its first ``frozen`` layers; ``"all"``: nothing at all."""
    if frozen == "all":
        model.requires_grad_(False)
        return
    _refuse_layer("freeze_encoder", model, frozen)
    above = [*model.encoder.layers[frozen:], *([model.encoder.layer_norm] if _norm_is_last(model.config) else [])]
    model.requires_grad_(False)
    for module in above:
        module.requires_grad_(True)


def _norm_is_last(config) -> bool:
    """Whether the encoder's layer norm stands behind its last layer (pre-norm), not before the first (post-norm)."""
    if config.model_type == "data2vec-audio":  # which has post-norm layers only
        return False
    return config.model_type == "wav2vec2-conformer" or getattr(config, "do_stable_layer_norm", False)


def _refuse_layer(key: str, model, layer: int) -> None:
    family = model.config.model_type
    if family in GROUPED_FAMILIES:
        raise ValueError(
            f"{key} is {layer}, but the layers of a {family} encoder take frames in groups, which become frames again "
            f"behind the last; leave {key} out, or choose an encoder of another family"
        )
    if not 1 <= layer <= len(model.encoder.layers):
        raise ValueError(f"{key} is {layer}, but this {family} encoder has the layers 1 to {len(model.encoder.layers)}")


def check_lengths(lengths) -> None:
    """Refuse a batch with a clip that has no frame, or that no burst is as long as; names its row.

    Raises:
        ValueError: a clip of under 400 samples or over 60 s.
    """
    wrong = (lengths < MIN_SAMPLES) | (lengths > MAX_SAMPLES)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise ValueError(
            f"clip {row} of the batch has {int(lengths[row])} samples; {MIN_SAMPLES} to {MAX_SAMPLES} work"
        )
