"""The layer of a speech encoder whose outputs are the frames, and the layers that keep their weights."""

import copy

import pytest
import torch
from transformers import AutoModel

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.speech_encoder import GROUPED_FAMILIES, SPEECH_FAMILIES, SpeechEncoder
from tests.conftest import tiny_encoder_config

LAYERED = [
    (family, style) for family in SPEECH_FAMILIES if family not in GROUPED_FAMILIES for style in ("base", "large")
]


def shaken_encoder(family="wav2vec2", style="large", layers=4):
    """A whole encoder whose norms are no identities."""
    torch.manual_seed(0)
    model = AutoModel.from_config(tiny_encoder_config(family, style, num_hidden_layers=layers)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize(("family", "style"), LAYERED)
def test_the_frames_are_the_layers_hidden_states_in_the_whole_encoder(family, style):
    whole = shaken_encoder(family, style)
    waveforms = torch.randn(2, 6000)
    with torch.no_grad():
        expected = whole(waveforms, output_hidden_states=True).hidden_states
        for layer in (1, 2, 4):
            encoder = SpeechEncoder(copy.deepcopy(whole), layer=layer).eval()
            frames, _ = encoder(waveforms)
            assert (frames - expected[layer]).abs().max() <= 1e-6
            assert len(encoder.model.encoder.layers) == layer
    assert (expected[2] - expected[1]).abs().max() > 1e-2, "the layers must differ, or equality says nothing"


@pytest.mark.parametrize("style", ["base", "large"])
def test_the_twelfth_of_24_layers_takes_half_of_the_layers_weights(style):
    config = tiny_encoder_config("wav2vec2", style, num_hidden_layers=24)
    whole, half = (SpeechEncoder.from_config(config, layer=layer).model.encoder for layer in (None, 12))
    in_layers = [sum(p.numel() for p in encoder.layers.parameters()) for encoder in (whole, half)]
    assert in_layers[1] * 2 == in_layers[0]
    norms = sum(p.numel() for p in half.parameters()) - sum(
        p.numel() for part in (half.layers, half.pos_conv_embed) for p in part.parameters()
    )
    assert norms == (64 if style == "base" else 0), (
        "the norm behind the last layer is gone, that before the first is not"
    )


@pytest.mark.parametrize("style", ["base", "large"])
def test_a_model_of_a_layer_is_saved_without_those_above_and_loads_again(tmp_path, style):
    torch.manual_seed(0)
    shaken_encoder("wav2vec2", style).save_pretrained(tmp_path / "checkpoint")
    model = Burst2VecForMultiTask.from_encoder_pretrained(tmp_path / "checkpoint", encoder_layer=2).eval()
    assert model.config.encoder_config.num_hidden_layers == 4, "the checkpoint's own"
    model.save_pretrained(tmp_path / "saved")
    again = Burst2VecForMultiTask.from_pretrained(tmp_path / "saved").eval()
    assert not any("encoder.layers.2" in name for name in again.state_dict())
    waveforms = torch.randn(1, 6000)
    with torch.no_grad():
        assert torch.equal(model(waveforms).predictions["age"], again(waveforms).predictions["age"])


def test_a_clip_has_the_same_frames_of_a_layer_alone_and_beside_a_longer_one():
    encoder = SpeechEncoder(shaken_encoder("wavlm"), layer=2).eval().double()
    clips, mask = torch.randn(2, 9000, dtype=torch.float64), torch.ones(2, 9000, dtype=torch.long)
    mask[0, 2000:], clips[0, 2000:] = 0, 0
    with torch.no_grad():
        together, frame_mask = encoder(clips, mask)
        alone, _ = encoder(clips[:1, :2000])
    torch.testing.assert_close(together[0, : int(frame_mask[0].sum())], alone[0], atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("style", ["base", "large"])
def test_the_first_layers_and_all_below_them_keep_their_weights(style):
    encoder = SpeechEncoder(shaken_encoder("hubert", style), frozen=3)
    learning = {name for name, parameter in encoder.model.named_parameters() if parameter.requires_grad}
    assert {name for name in learning if "encoder.layers" in name} == {
        name for name, _ in encoder.model.named_parameters() if name.startswith("encoder.layers.3.")
    }
    norm = {"encoder.layer_norm.weight", "encoder.layer_norm.bias"}
    assert learning - {name for name in learning if "layers.3." in name} == (norm if style == "large" else set())


@pytest.mark.parametrize("family", SPEECH_FAMILIES)
def test_a_whole_frozen_encoder_learns_nothing(family):
    encoder = SpeechEncoder.from_config(tiny_encoder_config(family), frozen="all")
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize("layer", [0, -1, 2.5, True, "12"])
def test_what_is_no_layer_is_refused(layer):
    with pytest.raises(ValueError, match="encoder_layer must be a layer, 1 or more, or null"):
        Burst2VecConfig(encoder_layer=layer)
    with pytest.raises(ValueError, match="freeze_encoder must be a number of layers, 1 or more, 'all', or null"):
        Burst2VecConfig(freeze_encoder=layer)


@pytest.mark.parametrize("key", ["encoder_layer", "freeze_encoder"])
def test_a_layer_that_the_encoder_does_not_have_is_refused_in_a_sentence(key):
    tiny = tiny_encoder_config("hubert", num_hidden_layers=2)
    for config, message in (
        (tiny, f"{key} is 13, but this hubert encoder has the layers 1 to 2"),
        (tiny_encoder_config("sew"), f"{key} is 13, but the layers of a sew encoder take frames in groups"),
        (tiny_encoder_config("sew-d"), f"{key} is 13, but the layers of a sew-d encoder take frames in groups"),
        ({"kind": "vector", "features": 3}, f"{key} is 13, .* the encoder 'vector' does not have any, so leave it out"),
    ):
        with pytest.raises(ValueError, match=message):
            Burst2VecForMultiTask(Burst2VecConfig(config, **{key: 13}))
