"""Every pooling against a naive one that sees a clip at a time, without padding."""

import math

import pytest
import torch

from burst2vec.pooling import POOLINGS

each_pooling = pytest.mark.parametrize("name", POOLINGS)
LENGTHS = (7, 1, 4)


def pooling_and_batch(name, filler=9.0):
    """A pooling, three clips of unequal lengths, and the batch of them with ``filler`` for padding."""
    torch.manual_seed(0)
    pooling = POOLINGS[name](5)
    clips = [torch.randn(length, 5) for length in LENGTHS]
    frames = torch.full((len(clips), max(LENGTHS), 5), filler)
    for row, clip in enumerate(clips):
        frames[row, : len(clip)] = clip
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    return pooling, clips, frames, mask


def naive(name, pooling, clip):
    """One clip (frames, 5) pooled in plain Python, feature by feature."""
    rows = clip.tolist()
    features = list(zip(*rows, strict=True))
    means = [sum(values) / len(values) for values in features]
    if name == "attentive":
        hidden, score = pooling.hidden.weight.tolist(), pooling.score.weight[0].tolist()
        raised = []
        for row in rows:
            heights = [math.tanh(sum(w * h for w, h in zip(weights, row, strict=True))) for weights in hidden]
            raised.append(math.exp(sum(v * height for v, height in zip(score, heights, strict=True))))
        return [sum(w * h for w, h in zip(raised, values, strict=True)) / sum(raised) for values in features]
    if name == "attentive_statistics":
        return naive_attentive_statistics(pooling, rows, features)
    spreads = [
        math.sqrt(sum((value - mean) ** 2 for value in values) / len(values) + 1e-8)
        for values, mean in zip(features, means, strict=True)
    ]
    answers = {
        "first": rows[0],
        "last": rows[-1],
        "max": [max(values) for values in features],
        "mean": means,
        "statistics": means + spreads,
    }
    return answers[name]


def naive_attentive_statistics(pooling, rows, features):
    """Okabe et al. (2018), Eqs. 4 to 6, with scores of each feature by itself."""
    (hidden, hidden_bias), (score, score_bias) = (
        (layer.weight.tolist(), layer.bias.tolist()) for layer in (pooling.hidden, pooling.score)
    )
    means, spreads = [], []
    heights = [
        [
            math.tanh(sum(w * h for w, h in zip(ws, row, strict=True)) + b)
            for ws, b in zip(hidden, hidden_bias, strict=True)
        ]
        for row in rows
    ]
    for values, vs, bias in zip(features, score, score_bias, strict=True):
        raised = [math.exp(sum(v * h for v, h in zip(vs, of_row, strict=True)) + bias) for of_row in heights]
        weights = [one / sum(raised) for one in raised]
        means.append(sum(w * h for w, h in zip(weights, values, strict=True)))
        spreads.append(math.sqrt(sum(w * (h - means[-1]) ** 2 for w, h in zip(weights, values, strict=True)) + 1e-8))
    return means + spreads


@each_pooling
@pytest.mark.parametrize("filler", [9.0, -1e30, float("nan"), float("inf")])
def test_padding_never_changes_a_vector(name, filler):
    pooling, clips, frames, mask = pooling_and_batch(name, filler)
    pooled = pooling(frames, mask)
    assert pooled.shape == (3, pooling.output_size) and pooled.dtype == torch.float32
    for row, clip in zip(pooled, clips, strict=True):
        torch.testing.assert_close(row, torch.tensor(naive(name, pooling, clip)), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(row, pooling(clip[None])[0], atol=1e-6, rtol=1e-6)


@each_pooling
@pytest.mark.parametrize("filler", [9.0, float("nan")])
def test_a_masked_frame_gets_no_gradient_and_the_others_a_finite_one(name, filler):
    pooling, _, frames, mask = pooling_and_batch(name, filler)
    frames.requires_grad_(True)
    pooling(frames, mask).square().sum().backward()
    assert torch.isfinite(frames.grad).all() and frames.grad[mask].any() and not frames.grad[~mask].any()
    for parameter in pooling.parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.any()


@each_pooling
@pytest.mark.parametrize("length", [1, 6])
def test_constant_frames_pool_to_themselves_with_a_finite_gradient(name, length):
    pooling = POOLINGS[name](5)
    frames = torch.full((2, length, 5), 0.3, requires_grad=True)
    pooled = pooling(frames)
    pooled.sum().backward()
    torch.testing.assert_close(pooled[:, :5], torch.full((2, 5), 0.3))
    assert torch.isfinite(frames.grad).all()
    if name == "statistics":
        torch.testing.assert_close(pooled[:, 5:], torch.full((2, 5), 1e-4), atol=1e-6, rtol=0)


@each_pooling
def test_frames_of_half_precision_are_pooled_in_float32(name):
    pooling, _, frames, mask = pooling_and_batch(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = pooling(frames.bfloat16(), mask)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, pooling(frames, mask), atol=0.02, rtol=0.02)


@each_pooling
def test_a_clip_without_sound_is_not_a_number_and_leaves_its_neighbours_alone(name):
    pooling, _, frames, mask = pooling_and_batch(name)
    expected = pooling(frames, mask)
    mask[1] = False
    pooled = pooling(frames, mask)
    assert torch.isnan(pooled[1]).all() and torch.equal(pooled[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize(("name", "place"), [("first", 1), ("last", 3)])
def test_silence_before_and_after_the_burst_is_passed_over(name, place):
    frames = torch.arange(6.0).reshape(1, 6, 1)
    mask = torch.tensor([[False, True, True, True, False, False]])
    assert POOLINGS[name](1)(frames, mask).item() == place


def test_attention_without_a_preference_is_the_mean():
    pooling, _, frames, mask = pooling_and_batch("attentive")
    torch.nn.init.zeros_(pooling.score.weight)
    torch.testing.assert_close(pooling(frames, mask), POOLINGS["mean"](5)(frames, mask))


def test_attentive_statistics_without_a_preference_are_the_statistics():
    pooling, _, frames, mask = pooling_and_batch("attentive_statistics")
    torch.nn.init.zeros_(pooling.score.weight)
    torch.nn.init.zeros_(pooling.score.bias)
    torch.testing.assert_close(pooling(frames, mask), POOLINGS["statistics"](5)(frames, mask))


def test_attention_can_pick_one_frame():
    pooling = POOLINGS["attentive"](2)
    torch.nn.init.zeros_(pooling.hidden.weight)
    pooling.hidden.weight.data[0, 0] = 10.0  # tanh(10 · h) is 1 where the first feature is 1, and 0 where it is 0
    torch.nn.init.constant_(pooling.score.weight, 50.0)
    frames = torch.tensor([[[0.0, 3.0], [1.0, 7.0], [0.0, 5.0]]])
    torch.testing.assert_close(pooling(frames), torch.tensor([[1.0, 7.0]]))


def test_each_hop_of_attention_is_a_pooling_of_its_own_and_they_stand_one_after_the_other():
    torch.manual_seed(0)
    pooling = POOLINGS["attentive"](5, attention_size=3, hops=2)
    alone = POOLINGS["attentive"](5, attention_size=3)
    frames, mask = torch.randn(2, 7, 5), torch.arange(7) < torch.tensor([7, 4])[:, None]
    pooled = pooling(frames, mask)
    assert pooled.shape == (2, pooling.output_size) == (2, 10)
    for hop in range(2):
        alone.load_state_dict({"hidden.weight": pooling.hidden.weight, "score.weight": pooling.score.weight[hop, None]})
        torch.testing.assert_close(pooled[:, 5 * hop : 5 * hop + 5], alone(frames, mask))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(pooling(frames, mask), pooled, atol=0.02, rtol=0.02)
    with pytest.raises(ValueError, match="hops must be a whole number in 1..65536, got 0"):
        POOLINGS["attentive"](5, hops=0)


@each_pooling
def test_a_pooling_can_be_exported_for_any_number_of_clips_and_frames(name):
    pooling, _, frames, mask = pooling_and_batch(name)
    shape = {0: torch.export.Dim("batch"), 1: torch.export.Dim("frames")}
    exported = torch.export.export(pooling, (frames, mask), dynamic_shapes=(shape, shape)).module()
    torch.testing.assert_close(exported(frames[:2, :4], mask[:2, :4]), pooling(frames[:2, :4], mask[:2, :4]))
