"""Heads that read every frame: each learns the clip's labels, and a clip is their mean."""

import pytest
import torch

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.trunks import TRUNKS
from tests.conftest import exvo_labels, noise_clips, tiny_encoder_config


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
    clips = torch.randn(2, 3, 4)
    clips[1, 1:] = float("nan")
    model.encoder.forward = lambda values, mask: (clips, torch.tensor([[True] * 3, [True, False, False]]))
    output = model(clips, labels=exvo_labels(2))
    output.loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    assert torch.isfinite(output.predictions["country"]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads_read": "windows"}, "heads_read must be 'clip' or 'frames', got 'windows'"),
        ({"heads_read": "frames", "pooling": "statistics"}, "pooling must be 'mean' where heads_read is 'frames'"),
        ({"initializer_range": "glorot"}, "up to 100, or 'glorot_uniform', got 'glorot'"),
    ],
)
def test_what_no_head_can_read_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Burst2VecConfig(**arguments)
