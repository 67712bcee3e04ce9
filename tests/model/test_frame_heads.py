"""Heads that read every frame: each learns the clip's labels, and a clip is their mean."""

import pytest
import torch

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.trunks import TRUNKS
from tests.conftest import exvo_labels, learnt_beside_nan_padding, noise_clips, tiny_encoder_config


def model_of(encoder, trunk="shared_private", **arguments):
    torch.manual_seed(0)
    small = {"shared_private": {"projection_size": 8, "hidden_size": 8}, "identity": {}}.get(
        trunk, {"hidden_sizes": [8]}
    )
    config = Burst2VecConfig(encoder_config=encoder, trunk={"kind": trunk, **small}, **arguments)
    return Burst2VecForMultiTask(config).eval()


@pytest.mark.parametrize("trunk", sorted(TRUNKS))
def test_of_clips_with_one_frame_nothing_changes(trunk):
    vectors, labels = torch.randn(5, 4), exvo_labels(5)
    of_clips = model_of({"kind": "vector", "features": 4}, trunk=trunk)
    of_frames = model_of({"kind": "vector", "features": 4}, trunk=trunk, heads_read="frames")
    of_frames.load_state_dict(of_clips.state_dict())
    expected, found = of_clips(vectors, labels=labels), of_frames(vectors, labels=labels)
    assert found.loss_parts.keys() == expected.loss_parts.keys()
    for name, part in expected.loss_parts.items():
        assert torch.allclose(found.loss_parts[name], part, atol=1e-6), name
    for name, values in expected.predictions.items():
        assert torch.allclose(found.predictions[name], values, atol=1e-6)


@pytest.mark.parametrize("trunk", ["identity", "shared_private"])
def test_a_clip_gives_the_same_answer_alone_and_among_others(trunk, extract):
    model = model_of(tiny_encoder_config(style="large"), trunk=trunk, heads_read="frames")
    clips = noise_clips(4000, 700, 9000)
    with torch.no_grad():
        together = model(**extract(clips))
        for row, clip in enumerate(clips):
            alone = model(**extract(clip))
            for name, values in alone.predictions.items():
                assert torch.allclose(together.predictions[name][row], values[0], atol=1e-4)
            assert torch.allclose(together.embeddings[row], alone.embeddings[0], atol=1e-4)


def test_what_a_frame_of_padding_holds_moves_no_weight():
    model = model_of({"kind": "vector", "features": 4}, heads_read="frames")
    output = learnt_beside_nan_padding(model)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    assert torch.isfinite(output.predictions["country"]).all()


@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("pooling", ["first", "last", "mean", "max"])
def test_pooling_the_answers_is_pooling_the_frames_where_both_are_linear_or_choose_a_frame(pooling, head):
    """Of first and last under any head, of the mean under a linear one without a sigmoid, and never of the maximum."""
    tasks = [{"preset": "avb", "name": name, "output": "linear"} for name in ("high", "two", "culture", "type")]
    frames, mask = torch.randn(3, 6, 4), torch.arange(6) < torch.tensor([6, 2, 4])[:, None]
    labels = {"high": torch.rand(3, 10), "two": torch.rand(3, 2), "culture": torch.rand(3, 40)}
    labels["type"], found = torch.tensor([0, 3, 7]), {}
    for reads in ("clip", "frames_then_pooled"):
        model = model_of(
            {"kind": "vector", "features": 4},
            trunk="identity",
            heads_read=reads,
            pooling=pooling,
            head=head,
            tasks=tasks,
            initializer_range=0.5,
        )
        model.encoder.forward = lambda values, _: (frames, mask)
        found[reads] = model(frames, labels=labels)
    equal = pooling in ("first", "last") or (pooling == "mean" and head == "linear")
    of_clips, of_frames = found["clip"].predictions, found["frames_then_pooled"].predictions
    for name, values in of_clips.items():
        assert values.shape == of_frames[name].shape
        assert torch.allclose(values, of_frames[name], atol=1e-6) is equal, name
    for name, part in found["clip"].loss_parts.items():
        assert torch.allclose(part, found["frames_then_pooled"].loss_parts[name], atol=1e-5) is equal, name


def test_with_a_sigmoid_at_each_frame_the_mean_of_the_answers_is_another():
    frames, found = torch.randn(2, 6, 4), {}
    for reads in ("clip", "frames_then_pooled"):
        model = model_of({"kind": "vector", "features": 4}, trunk="identity", heads_read=reads, initializer_range=2.0)
        model.encoder.forward = lambda values, _: (frames, None)
        found[reads] = model(frames).predictions["emotion"]
    assert (found["clip"] - found["frames_then_pooled"]).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads_read": "frames_then_pooled"}, "trunk must be of one view, not 'shared_private', where heads_read is"),
        (
            {"heads_read": "frames_then_pooled", "pooling": "attentive", "trunk": "identity"},
            r"pooling must be one of \['first', 'last', 'max', 'mean'\] where heads_read is 'frames_then_pooled'",
        ),
        ({"heads_read": "windows"}, "heads_read must be 'clip', 'frames' or 'frames_then_pooled', got 'windows'"),
        ({"heads_read": "frames", "pooling": "statistics"}, "pooling must be 'mean' where heads_read is 'frames'"),
        ({"initializer_range": "glorot"}, "up to 100, 'glorot_uniform' or 'kaiming_uniform', got 'glorot'"),
    ],
)
def test_what_no_head_can_read_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Burst2VecConfig(**arguments)
