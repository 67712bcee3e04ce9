import pytest
import torch
from torch import nn
from transformers import AutoModel, BertConfig

from burst2vec.speech_encoder import LengthAwareGroupNorm, SpeechEncoder
from tests.conftest import noise_clips, tiny_encoder_config, tiny_model

LENGTHS = (400, 719, 720, 3999, 16000, 12345, 32000, 8001)


@pytest.mark.parametrize("style", ["base", "large"])
@pytest.mark.parametrize("family", ["hubert", "wav2vec2", "wavlm"])
def test_a_clip_gives_the_same_answer_alone_and_among_eight(family, style, extract):
    model = tiny_model(family, style)
    clips = noise_clips(*LENGTHS)
    with torch.no_grad():
        together = model(**extract(clips))
        alone = [model(**extract(clip)) for clip in clips]
    for name, values in together.predictions.items():
        spread = (values - values.mean(dim=0)).abs().max()
        assert spread > 1e-3, "the clips must differ, or equality says nothing"
        lone = torch.cat([output.predictions[name] for output in alone])
        assert (values - lone).abs().max() / max(1.0, values.abs().max()) <= 1e-5
    assert (together.embeddings - torch.cat([output.embeddings for output in alone])).abs().max() <= 1e-5


def test_group_norm_without_length_awareness_would_let_padding_speak(extract):
    model = tiny_model()
    clips = noise_clips(4000, 32000)
    together = model(**extract(clips)).embeddings[0]
    layer = model.encoder.model.feature_extractor.conv_layers[0]
    model.encoder.length_aware = False
    layer.layer_norm.lengths = None
    padded = model(**extract(clips)).embeddings[0]
    assert (together - padded).abs().max() > 1e-3


def test_length_aware_group_norm_is_group_norm_on_the_valid_part():
    torch.manual_seed(0)
    plain, aware = nn.GroupNorm(6, 6), LengthAwareGroupNorm(6, 6)
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.bias)
    aware.load_state_dict(plain.state_dict())
    hidden, lengths = 3 + torch.randn(3, 6, 50), torch.tensor([50, 20, 2])
    hidden[1, :, 20:] = 1e4
    aware.lengths = lengths
    normalised = aware(hidden)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(
            normalised[row : row + 1, :, :length], plain(hidden[row : row + 1, :, :length]), atol=5e-6, rtol=1e-5
        )
    aware.lengths = None
    torch.testing.assert_close(aware(hidden), plain(hidden))


def test_a_published_checkpoint_keeps_its_keys_and_weights():
    plain = AutoModel.from_config(tiny_encoder_config())
    expected = {name: value.clone() for name, value in plain.state_dict().items()}
    encoder = SpeechEncoder(plain)
    assert set(encoder.model.state_dict()) == set(expected)
    for name, value in encoder.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize(("samples", "frames"), [(400, 1), (719, 1), (720, 2), (16000, 49), (32000, 99)])
def test_frames_are_counted_as_the_convolutions_make_them(samples, frames):
    encoder = SpeechEncoder.from_config(tiny_encoder_config()).eval()
    assert encoder.count_frames(samples) == frames
    assert encoder.count_frames(torch.tensor([samples])).tolist() == [frames]
    assert encoder(torch.randn(1, samples))[0].shape[1] == frames


@pytest.mark.parametrize("samples", [400, 800, 3000, 4800, 16000])
def test_bursts_of_any_length_train_under_specaugment(samples):
    encoder = SpeechEncoder.from_config(tiny_encoder_config(mask_time_prob=0.5, mask_time_length=10)).train()
    frames, _ = encoder(torch.randn(2, samples))
    assert torch.isfinite(frames).all()


def test_specaugment_hides_the_share_that_was_asked_for():
    config = tiny_encoder_config(mask_time_prob=0.05, mask_time_length=10)
    model = SpeechEncoder.from_config(config).model.train()
    hidden = 0
    for _ in range(200):
        frames = torch.ones(4, 14, 32)  # 0.3 s
        masked = model._mask_hidden_states(frames.clone())
        hidden += float((masked != frames).any(-1).float().mean())
    assert 0.01 < hidden / 200 < 0.10  # with transformers' default of two spans at least: 0.71


@pytest.mark.parametrize("samples", [0, 1, 399, 60 * 16000 + 1])
def test_the_model_names_the_row_of_a_clip_it_cannot_hear(samples):
    model = tiny_model()
    width = max(samples, 16000)
    mask = torch.zeros(3, width, dtype=torch.long)
    mask[:, :16000] = 1
    mask[1] = (torch.arange(width) < samples).long()
    with pytest.raises(ValueError, match=f"clip 1 of the batch has {samples} samples; 400 to 960000 work"):
        model(torch.randn(3, width), attention_mask=mask)


def test_the_model_refuses_a_short_batch_without_a_mask():
    with pytest.raises(ValueError, match="clip 0 of the batch has 399 samples"):
        tiny_model()(torch.randn(2, 399))


def test_frozen_convolutions_stay_and_the_rest_learns():
    model = tiny_model(freeze_feature_encoder=True).train()
    model(torch.randn(2, 8000)).predictions["age"].sum().backward()
    convolutions = dict(model.encoder.model.feature_extractor.named_parameters())
    assert convolutions and all(not p.requires_grad and p.grad is None for p in convolutions.values())
    assert model.encoder.model.feature_projection.projection.weight.grad is not None


def test_an_encoder_of_text_is_refused():
    with pytest.raises(ValueError, match="BertModel is not a speech encoder"):
        SpeechEncoder(AutoModel.from_config(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1)))


def test_convolutions_too_wide_for_the_shortest_burst_are_refused():
    config = tiny_encoder_config(conv_dim=[8, 8], conv_kernel=[200, 5], conv_stride=[100, 2])
    with pytest.raises(ValueError, match="makes no frame of the shortest burst, 400 samples"):
        SpeechEncoder.from_config(config)
