import copy

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, BertConfig

from burst2vec.speech_encoder import SPEECH_FAMILIES, LengthAwareGroupNorm, SpeechEncoder
from tests.conftest import noise_clips, tiny_encoder_config, tiny_model

LENGTHS = (400, 719, 720, 3999, 16000, 12345, 32000, 8001)
ODD_AND_EVEN = (400, 719, 720, 1040, 3999, 16000, 12345, 8001)  # 1, 1, 2, 3, 12, 49, 38 and 24 frames
UNLIKE_THE_DEFAULT = {  # what else the checkpoints of a family may be
    "hubert": [{"conv_pos_batch_norm": True}],
    "sew": [{"squeeze_factor": 3, "hidden_size": 36}],
    "sew-d": [{"squeeze_factor": 3, "hidden_size": 36}],
    "wav2vec2": [{"adapter_attn_dim": 4}],
    "wav2vec2-conformer": [{"position_embeddings_type": "rotary"}, {"position_embeddings_type": None}],
}


def every_accepted_encoder():
    """Each family of the code's own list, by family, style and changes."""
    encoders = []
    for family in SPEECH_FAMILIES:
        styled = hasattr(AutoConfig.for_model(family), "feat_extract_norm")
        for changes in [{}, *UNLIKE_THE_DEFAULT.get(family, [])]:
            name = "-".join([family, *map(str, changes.values())])
            styles = ("base", "large") if styled else ("large",)
            encoders += [pytest.param(family, style, changes, id=f"{name}-{style}") for style in styles]
    return encoders


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


@pytest.mark.parametrize(("family", "style", "changes"), every_accepted_encoder())
def test_a_clip_gives_the_same_answer_alone_and_among_others(family, style, changes, extract):
    # Without the trunk's norms, which enlarge float32's rounding where an untrained encoder's frames are nearly alike.
    model = tiny_model(family, style, encoder_changes=changes, trunk="identity")
    for module in model.encoder.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.running_mean)  # else silence stays silence
    clips = noise_clips(*ODD_AND_EVEN)
    with torch.no_grad():
        alone = [model(**extract(clip)) for clip in clips]
        for rows in (range(8), range(7, -1, -1), (0, 5), (3, 2), (2, 3, 7), (6, 1)):
            together = model(**extract([clips[row] for row in rows]))
            for name, values in together.predictions.items():
                lone = torch.cat([alone[row].predictions[name] for row in rows])
                assert (values - lone).abs().max() / max(1.0, values.abs().max()) <= 1e-5, (name, list(rows))
                spread = (values - values.mean(dim=0)).abs().max()
                assert spread > 1e-3, "the clips must differ, or equality says nothing"
            lone = torch.cat([alone[row].embeddings for row in rows])
            assert (together.embeddings - lone).abs().max() <= 1e-5, list(rows)


@pytest.mark.parametrize(("family", "style", "changes"), every_accepted_encoder())
def test_a_clip_has_the_same_frames_alone_and_beside_a_longer_one(family, style, changes):
    """In float64: what is left is not rounding."""
    torch.manual_seed(0)
    encoder = SpeechEncoder.from_config(tiny_encoder_config(family, style, **changes)).eval().double()
    for short in (400, 1040, 9000):
        clips = torch.randn(2, 16000, dtype=torch.float64)
        mask = torch.ones(2, 16000, dtype=torch.long)
        mask[0, short:], clips[0, short:] = 0, 0
        with torch.no_grad():
            together, frame_mask = encoder(clips, mask)
            alone, own_mask = encoder(clips[:1, :short])
        count = int(frame_mask[0].sum())
        assert count == encoder.count_frames(short) and (own_mask is None or int(own_mask.sum()) == count)
        torch.testing.assert_close(together[0, :count], alone[0, :count], atol=1e-10, rtol=1e-10)


def test_an_encoder_of_which_it_is_not_known_is_refused_with_those_that_are():
    for family in ("bert", "whisper", "wav2vec2-bert", "speecht5", "parakeet_encoder"):
        with pytest.raises(ValueError, match=f"model_type '{family}' is not .* one of ") as told:
            SpeechEncoder.from_config(AutoConfig.for_model(family))
        assert all(accepted in str(told.value) for accepted in SPEECH_FAMILIES)
    bert = AutoModel.from_config(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1))
    with pytest.raises(ValueError, match="model_type 'bert'"):
        SpeechEncoder(bert)


@pytest.mark.parametrize("family", ["wav2vec2", "wav2vec2-conformer", "wavlm", "data2vec-audio"])
def test_an_encoder_with_an_adapter_behind_it_is_refused(family):
    with pytest.raises(ValueError, match="add_adapter=true.*set add_adapter to false in its config.json"):
        SpeechEncoder.from_config(tiny_encoder_config(family, add_adapter=True))


@pytest.mark.parametrize("family", ["data2vec-audio", "wav2vec2-conformer", "sew"])
def test_checkpointed_gradients_of_a_padded_batch_are_those_of_each_clip_alone(family):
    torch.manual_seed(0)
    still = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.0)
    still |= {"layerdrop": 0.0, "mask_time_prob": 0.0, "conformer_conv_dropout": 0.0}
    encoder = SpeechEncoder.from_config(tiny_encoder_config(family, "large", **still)).double().train()
    encoder = copy.deepcopy(encoder)  # the copy must silence its own padding
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eval()
    encoder.model.gradient_checkpointing_enable()
    clips, mask = torch.randn(2, 8000, dtype=torch.float64), torch.ones(2, 8000, dtype=torch.long)
    mask[0, 2000:], clips[0, 2000:] = 0, 0
    frames, frame_mask = encoder(clips, mask)
    (frames * frame_mask[..., None]).square().sum().backward()
    together = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
    encoder.zero_grad()
    for clip in (clips[:1, :2000], clips[1:]):
        frames, frame_mask = encoder(clip)
        (frames if frame_mask is None else frames * frame_mask[..., None]).square().sum().backward()
    alone = {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}
    assert len(together) > 20
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, alone[name], atol=1e-9, rtol=1e-9, msg=name)


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


@pytest.mark.parametrize("family", SPEECH_FAMILIES)
def test_a_published_checkpoint_keeps_its_keys_and_weights(family):
    plain = AutoModel.from_config(tiny_encoder_config(family))
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
def test_the_model_names_the_row_of_a_clip_it_cannot_take(samples):
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


def test_convolutions_too_wide_for_the_shortest_burst_are_refused():
    config = tiny_encoder_config(conv_dim=[8, 8], conv_kernel=[200, 5], conv_stride=[100, 2])
    with pytest.raises(ValueError, match="makes no frame of the shortest burst, 400 samples"):
        SpeechEncoder.from_config(config)
