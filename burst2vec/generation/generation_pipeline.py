"""``pipeline("vocal-burst-generation", model=…)``: the name of an emotion in, waveforms out."""

import numpy as np
import torch
from transformers import Pipeline

from ..weights import refuse_not_finite


class BurstGenerationPipeline(Pipeline):
    """Generates vocal bursts of an emotion.

    Inputs: an emotion's name, one of ``model.config.emotions``, or a list of them.

    For each name a list of dictionaries ``{"audio": waveform, "sampling_rate": 16000}``, a waveform float32 (samples,)
    of up to 4.1 s within -1..1.

    Args of a call:
        num_return_sequences: bursts of each name. Default 1.
        seed: of the noise; equal seeds give equal bursts. By default torch's own random state draws one.

    Raises:
        ValueError: an emotion that the model does not generate, or a number below 1; a model with a weight that is not
            finite.
    """

    _load_feature_extractor = False
    _load_tokenizer = False
    _load_image_processor = False
    _load_processor = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        refuse_not_finite(self.model)

    def _sanitize_parameters(self, num_return_sequences=None, seed=None, **kwargs):
        if kwargs:
            raise TypeError(f"unknown arguments {sorted(kwargs)}; this pipeline takes num_return_sequences and seed")
        given = {"num_return_sequences": num_return_sequences, "seed": seed}
        return {name: value for name, value in given.items() if value is not None}, {}, {}

    def preprocess(self, emotion, num_return_sequences=1, seed=None):
        known = self.model.config.emotions
        if emotion not in known:
            raise ValueError(f"the model generates {', '.join(known)}, not {emotion!r}; load one of {emotion!r}")
        if not isinstance(num_return_sequences, int) or num_return_sequences < 1:
            raise ValueError(f"num_return_sequences must be 1 or more, got {num_return_sequences!r}")
        seed = int(torch.randint(2**31, ())) if seed is None else seed
        random = torch.Generator().manual_seed(seed)
        return {"latents": self.model.draw(num_return_sequences, random).cpu(), "seed": seed}

    def _forward(self, drawn):
        return {"images": self.model(drawn["latents"].to(self.model.dtype)).images[:, 0], "seed": drawn["seed"]}

    def postprocess(self, made):
        from .mel_images import image_waveform  # librosa, whose import takes long

        images = made["images"].float().cpu().numpy()
        if not np.isfinite(images).all():
            raise ValueError("the model generates numbers that are not finite; load it in float32")
        rate = self.model.config.sampling_rate
        return [
            {"audio": image_waveform(image, made["seed"] + place), "sampling_rate": rate}
            for place, image in enumerate(images)
        ]
