"""The encoders that recipes name are as large as their papers print."""

import pytest
import torch
from transformers import HubertConfig, Wav2Vec2Config, WavLMConfig

from burst2vec.speech_encoder import SpeechEncoder

LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}


@pytest.mark.parametrize(
    ("config", "printed", "frame"),
    [
        (HubertConfig(), 95e6, 768),  # Hsu et al. 2021, Table I
        (HubertConfig(**LARGE), 317e6, 1024),
        (Wav2Vec2Config(), 95e6, 768),  # Baevski et al. 2020, section 4.2
        (Wav2Vec2Config(**LARGE), 317e6, 1024),
        (WavLMConfig(), 94.70e6, 768),  # Chen et al. 2022, Table I
        (WavLMConfig(**LARGE), 316.62e6, 1024),
    ],
    ids=["HuBERT base", "HuBERT large", "wav2vec 2.0 base", "wav2vec 2.0 large", "WavLM base", "WavLM large"],
)
def test_an_encoder_has_the_published_parameters_and_frames(config, printed, frame):
    with torch.device("meta"):
        encoder = SpeechEncoder.from_config(config)
    # What is printed counts the projections of pretraining too, which is under one per cent.
    assert sum(parameter.numel() for parameter in encoder.parameters()) == pytest.approx(printed, rel=0.01)
    assert encoder.size == frame
