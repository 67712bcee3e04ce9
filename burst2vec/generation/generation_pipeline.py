"""``pipeline("vocal-burst-generation", model=…)``: the name of an emotion in, waveforms out."""

from collections.abc import Mapping

import numpy as np
import torch
from transformers import Pipeline

from ..flow_matching import BurstFlowConfig
from ..weights import refuse_not_finite

_SETTINGS = ("num_return_sequences", "seed", "intensity", "guidance", "steps")


class BurstGenerationPipeline(Pipeline):
    """Generates vocal bursts of an emotion.

    Inputs: an emotion's name, one of ``model.config.emotions``; of a [`BurstFlow`] also several with the part of each,
    ``{"Amusement": 0.5, "Awe": 0.5}``; or a list of these.

    For each a list of dictionaries ``{"audio": waveform, "sampling_rate": 16000}``, a waveform float32 (samples,) of up
    to 4.1 s within -1..1.

    Args of a call:
        num_return_sequences: bursts of each. Default 1.
        seed: of the noise; equal seeds give equal bursts. By default torch's own random state draws one.
        intensity: of the emotion, 0 (any burst) to 1, the default. This and the next two are a [`BurstFlow`]'s.
        guidance: 1 is none; more is more like what was asked for, and less varied. Default: the model's.
        steps: of the integration. Default: the model's.

    Raises:
        ValueError: an emotion that the model does not generate, or a number out of its range; a model with a weight
            that is not finite.
    """

    _load_feature_extractor = False
    _load_tokenizer = False
    _load_image_processor = False
    _load_processor = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        refuse_not_finite(self.model)

    def _sanitize_parameters(self, **kwargs):
        if unknown := sorted(kwargs.keys() - set(_SETTINGS)):
            raise TypeError(f"unknown arguments {unknown}; this pipeline takes {', '.join(_SETTINGS)}")
        return {name: value for name, value in kwargs.items() if value is not None}, {}, {}

    def preprocess(self, asked, num_return_sequences=1, seed=None, **of_flow):
        if not isinstance(num_return_sequences, int) or num_return_sequences < 1:
            raise ValueError(f"num_return_sequences must be 1 or more, got {num_return_sequences!r}")
        settings = self._settings_of(asked, **of_flow)
        seed = int(torch.randint(2**31, ())) if seed is None else seed
        random = torch.Generator().manual_seed(seed)
        latents = self.model.draw(num_return_sequences, random).cpu()
        if "labels" in settings:
            settings["labels"] = settings["labels"].repeat(num_return_sequences, 1)
        return {"latents": latents, "seed": seed, **settings}

    def _settings_of(self, asked: str | Mapping[str, float], **of_flow) -> dict:
        """What the model's ``sample`` takes beside noise."""
        config = self.model.config
        if isinstance(config, BurstFlowConfig):
            return {"labels": config.labels_of(asked, of_flow.pop("intensity", 1.0)), **of_flow}
        if of_flow:
            raise ValueError(f"the model is of one emotion, and takes no {' or '.join(of_flow)}; a BurstFlow does")
        if asked not in config.emotions:
            raise ValueError(f"the model generates {', '.join(config.emotions)}, not {asked!r}; load one of {asked!r}")
        return {}

    def _forward(self, drawn):
        seed, latents = drawn.pop("seed"), drawn.pop("latents").to(self.model.dtype)
        return {"images": self.model.sample(latents, **drawn)[:, 0], "seed": seed}

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
