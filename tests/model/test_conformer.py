"""The conformer: the same frames alone and among others, every parameter learns, and comes back from disk."""

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2ConformerConfig
from transformers.models.wav2vec2_conformer import modeling_wav2vec2_conformer as published

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.conformer import ConformerBlock, ConformerEncoder, MaskedConvolution, relative_positions
from burst2vec.frontends import FRONTENDS
from tests.conftest import exvo_labels, noise_clips

LENGTHS = (400, 1039, 1040, 3999, 16000, 12345, 9000, 8001)
SMALL = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "conv_depthwise_kernel_size": 5,
    "dropout": 0.0,
}
RIPPLES = {"rates": (4.0, 10.0), "scales": (-0.1, 0.2)}
each_frontend = pytest.mark.parametrize("frontend", FRONTENDS)


def encoder_of(frontend, **changes):
    """A small conformer in evaluation mode, with weights large enough that clips differ."""
    torch.manual_seed(0)
    ripples = RIPPLES if frontend == "strf" else {}
    encoder = ConformerEncoder(frontend=frontend, **{**SMALL, **ripples, **changes}).eval()
    encoder.estimate_statistics(noise_clips(8000, 4000))
    for block in encoder.blocks:
        block.self_attn.initialise()
    return encoder


def model_of(frontend, **arguments):
    torch.manual_seed(0)
    ripples = {name: list(values) for name, values in RIPPLES.items()} if frontend == "strf" else {}
    encoder = {"kind": "conformer", "frontend": frontend, **SMALL, **ripples}
    arguments = {"trunk": "identity", "pooling": "attentive", "initializer_range": 0.3, **arguments}
    return Burst2VecForMultiTask(Burst2VecConfig(encoder_config=encoder, **arguments)).eval()


def pad(clips, value=0.0):
    """Clips to waveforms and attention mask, with ``value`` after each."""
    width = max(map(len, clips))
    waveforms = np.stack([np.pad(clip, (0, width - len(clip)), constant_values=value) for clip in clips])
    mask = torch.tensor([[1] * len(clip) + [0] * (width - len(clip)) for clip in clips])
    return torch.tensor(waveforms), mask


@pytest.mark.parametrize("padding", [0.0, 9.0])
@each_frontend
def test_a_clip_gives_the_same_frames_alone_and_among_eight(frontend, padding):
    encoder, clips = encoder_of(frontend), noise_clips(*LENGTHS)
    with torch.no_grad():
        together, frame_mask = encoder(*pad(clips, padding))
        for row, clip in enumerate(clips):
            (alone,), no_mask = encoder(torch.tensor(clip)[None])
            count = encoder.count_frames(len(clip))
            assert no_mask is None and alone.shape == (count, 8)
            assert frame_mask[row].tolist() == [True] * count + [False] * (frame_mask.shape[1] - count)
            assert (together[row, :count] - alone).abs().max() <= 1e-5
    assert torch.isfinite(together).all()


@each_frontend
def test_in_training_padding_changes_nothing_either(frontend):
    encoder, clips = encoder_of(frontend).train(), noise_clips(560, 8000)
    together, _ = encoder(*pad(clips))
    alone, _ = encoder(torch.tensor(clips[0])[None])
    assert (together[0, :1] - alone[0]).abs().max() <= 1e-5


@pytest.mark.parametrize(("samples", "frames"), [(400, 1), (1039, 1), (1040, 2), (16000, 25), (32000, 50)])
def test_frames_are_counted_as_they_are_made(samples, frames):
    encoder = encoder_of("log_mel")
    assert encoder.count_frames(samples) == frames
    assert encoder.count_frames(torch.tensor([samples])).tolist() == [frames]
    assert encoder(torch.randn(1, samples))[0].shape == (1, frames, 8)


def test_an_odd_number_of_channels_is_subsampled_too():
    assert encoder_of("log_mel", channels=37)(torch.randn(1, 4000))[0].shape == (1, 6, 8)


def test_each_map_of_the_receptive_fields_is_a_plane_of_the_first_convolution():
    encoder = encoder_of("strf", num_hidden_layers=1)
    spectrum, _ = encoder.frontend(waveforms := torch.randn(2, 3000))
    maps = torch.stack([spectrum[:, :, 80 * map : 80 * map + 80] for map in range(8)], dim=1)  # of 80 places each
    seen = []
    encoder.subsampling[0].register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    encoder(waveforms)
    assert torch.equal(seen[0], maps)


def test_the_receptive_fields_keep_every_channel_unless_they_are_told_to_hop():
    places = {hop: encoder_of("strf", channel_hop=hop).frontend.size // 8 for hop in (None, 1, 4)}
    assert places == {None: 80, 1: 80, 4: 20}


def test_distances_look_as_in_transformers():
    config = Wav2Vec2ConformerConfig(hidden_size=8, max_source_positions=9)
    frames = torch.zeros(2, 5, 8)
    theirs = published.Wav2Vec2ConformerRelPositionalEmbedding(config)(frames)
    torch.testing.assert_close(relative_positions(frames), theirs)


def test_a_block_without_padding_is_transformers_block_but_for_the_convolution():
    torch.manual_seed(0)
    config = Wav2Vec2ConformerConfig(
        hidden_size=8, num_attention_heads=2, intermediate_size=12, attn_implementation="eager"
    )
    block, theirs = ConformerBlock(config).eval(), published.Wav2Vec2ConformerEncoderLayer(config).eval()
    block.self_attn.initialise()
    theirs.conv_module = block.conv_module
    theirs.load_state_dict(block.state_dict())
    frames = torch.randn(2, 7, 8)
    positions = relative_positions(frames)
    expected = theirs(frames, relative_position_embeddings=positions)
    expected = expected[0] if isinstance(expected, tuple) else expected
    torch.testing.assert_close(block(frames, None, positions), expected)


def test_the_convolution_is_the_written_out_sum():
    torch.manual_seed(0)
    module = MaskedConvolution(4, kernel=3, dropout=0.0)
    frames, mask = torch.randn(1, 5, 4), torch.tensor([[True, True, True, False, False]])
    signal, gate = module.gated(module.layer_norm(frames))[0].split(4, dim=1)
    gated = signal * torch.sigmoid(gate)
    weight = module.depthwise.weight[:, 0]  # (features, kernel)
    for t in range(3):
        near = [(t + offset, offset + 1) for offset in (-1, 0, 1) if 0 <= t + offset < 3]  # frames 3 and 4 count as 0
        summed = sum(gated[place] * weight[:, tap] for place, tap in near)
        value = module.depthwise_norm(summed)
        expected = module.output(value * torch.sigmoid(value))
        torch.testing.assert_close(module(frames, mask)[0, t], expected)


@each_frontend
def test_a_step_moves_every_parameter(frontend):
    model = model_of(frontend).train()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    waveforms, mask = pad(noise_clips(4000, 6000, 16000, 9000))
    model(waveforms, mask, labels=exvo_labels(4)).loss.backward()
    optimizer.step()
    assert [name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])] == []
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_recomputed_activations_give_the_same_gradient():
    waveforms, mask = pad(noise_clips(4000, 6000))
    gradients = []
    for recompute in (False, True):
        model = model_of("log_mel", head={"kind": "linear", "dropout": 0.0}).train()
        if recompute:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model(waveforms, mask, labels=exvo_labels(2)).loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(*gradients, strict=True))


@each_frontend
def test_a_saved_model_answers_as_before(tmp_path, frontend):
    model = model_of(frontend)
    model.encoder.estimate_statistics(noise_clips(8000, 4000))
    model.save_pretrained(tmp_path)
    again = Burst2VecForMultiTask.from_pretrained(tmp_path).eval()
    assert all(torch.equal(again.state_dict()[name], values) for name, values in model.state_dict().items())
    waveforms, mask = pad(noise_clips(4000, 6000))
    with torch.no_grad():
        assert torch.equal(again(waveforms, mask).embeddings, model(waveforms, mask).embeddings)


def test_what_a_checkpoint_lacks_starts_as_new(tmp_path):
    model, fresh = model_of("strf"), model_of("strf")
    model.encoder.estimate_statistics(noise_clips(8000, 4000))
    model.save_pretrained(tmp_path / "whole")
    whole = model.state_dict()
    frontend = [key for key in whole if key.startswith("encoder.frontend")]
    block = [key for key in whole if key.startswith("encoder.blocks.1.")]
    for number, key in enumerate([*frontend, *block, "encoder.subsampling.1.weight", "encoder.projection.bias"]):
        model.save_pretrained(tmp_path / str(number), state_dict={k: v for k, v in whole.items() if k != key})
        again, _ = Burst2VecForMultiTask.from_pretrained(tmp_path / str(number), output_loading_info=True)
        state = again.state_dict()
        assert torch.isfinite(state[key]).all() and state[key].abs().max() < 20, key
        assert "pos_bias" not in key or (state[key].abs() > 1e-6).all(), key  # fresh memory is often 0
        assert key not in frontend or torch.equal(state[key], fresh.state_dict()[key]), key
        assert all(key == other or torch.equal(state[other], values) for other, values in whole.items()), key


def test_masks_hide_spans_of_time_and_places_in_training_only():
    encoder = encoder_of("log_mel", num_hidden_layers=1, time_masks=2, time_mask_ratio=0.3, channel_masks=1)
    seen = []
    encoder.subsampling[0].register_forward_hook(lambda _, inputs, output: seen.append(inputs[0][:, 0]))
    waveforms = torch.randn(64, 4000)
    whole = encoder(waveforms) and seen.pop()
    hidden = encoder.train()(waveforms) and seen.pop()
    assert not (whole == 0).all(dim=2).any()
    assert torch.equal(hidden[hidden != 0], whole[hidden != 0])
    frames, channels = (hidden == 0).all(dim=2).sum(dim=1), (hidden == 0).all(dim=1).sum(dim=1)
    assert 0 < frames.max() <= 2 * int(0.3 * 23) and 0 < channels.max() <= 16  # of 23 frames and 80 channels
    encoder(*pad(noise_clips(400, 8000)))
    assert (seen.pop()[0, 0] != 0).any(), "a burst of one frame keeps it"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frontend": "cochlea"}, r"frontend 'cochlea' is not one of \['log_mel', 'strf'\]"),
        ({"channel_hop": 4}, r"\['channel_hop'\] are of the front end 'strf'; 'log_mel' has none"),
        ({"frontend": "strf", "channel_hop": 0}, "channel_hop is 0; take 1 for every channel, or more"),
        ({"rates": [2.0]}, r"\['rates'\] are of the front end 'strf'; 'log_mel' has none"),
        (
            {"hidden_size": 10, "num_attention_heads": 4},
            "hidden_size is 10 with 4 heads; it must be even, and a multiple of num_attention_heads",
        ),
        ({"hidden_size": 9, "num_attention_heads": 3}, "hidden_size is 9 with 3 heads"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0; give a whole number of 1 or more"),
        ({"intermediate_size": 2.5}, "intermediate_size is 2.5"),
        ({"conv_depthwise_kernel_size": 30}, "take an odd number such as 31"),
        ({"time_masks": -1}, "time_masks is -1"),
        ({"dropout": 1.5}, "dropout is 1.5; give a number in 0..1"),
        ({"channel_mask_ratio": -0.1}, "channel_mask_ratio is -0.1"),
    ],
)
def test_an_argument_out_of_its_range_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConformerEncoder(**arguments)


def test_a_clip_too_short_for_the_front_end_is_refused():
    with pytest.raises(ValueError, match="399 samples"):
        encoder_of("log_mel")(torch.randn(1, 399))
