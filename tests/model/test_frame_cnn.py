"""The ExVo challenge's few-shot baseline: its sizes, its arithmetic, and that padding reaches nothing."""

import math

import numpy as np
import pytest
import torch

from burst2vec import Burst2VecFeatureExtractor, Burst2VecForMultiTask
from burst2vec.command_line.shipped import shipped_recipe
from burst2vec.experiment.building import build_model
from burst2vec.experiment.recipes import load_recipe
from burst2vec.experiment.sections import ModelArguments
from burst2vec.frame_cnn import FrameCNN
from burst2vec.personalising import personalise
from tests.conftest import noise_clips

SMALL = {"conv_dim": [3, 4], "conv_kernel": [8, 5], "pools": [10, 8]}
EXTRACT = Burst2VecFeatureExtractor(target_rms_dbfs="peak")


def baseline(hidden_size=64, **encoder):
    """The recipe's model and extractor."""
    torch.manual_seed(0)
    model = load_recipe(shipped_recipe(f"exvo_baselines/fewshot_{hidden_size}")).model
    return build_model(ModelArguments(**{**model, "encoder": {**model["encoder"], **encoder}}))


def settled(module):
    """The module in evaluation mode, its normalisations with statistics and weights of every sign."""
    torch.manual_seed(1)
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2.0)
            torch.nn.init.normal_(norm.weight)
            torch.nn.init.normal_(norm.bias)
    return module.eval()


def small_cnn(**changes):
    torch.manual_seed(0)
    return settled(FrameCNN(**{**SMALL, **changes}))


def batch(clips):
    return EXTRACT(clips, sampling_rate=16000, return_tensors="pt")


def frame_by_hand(cnn, piece):
    """One piece through the network, sample by sample, in float64: the paper's order, pooled after the leaky ReLU."""
    steps = np.asarray(piece, dtype=np.float64)[None]
    for convolution, norm, pool in zip(cnn.convolutions, cnn.norms, cnn.pools, strict=True):
        weight, bias, mean, variance, gamma, beta = (
            values.detach().double().numpy()
            for values in (
                convolution.weight,
                convolution.bias,
                norm.running_mean,
                norm.running_var,
                norm.weight,
                norm.bias,
            )
        )
        taps = weight.shape[2]
        padded = np.pad(steps, ((0, 0), ((taps - 1) // 2,) * 2))
        count = padded.shape[1] - taps + 1
        out = np.array(
            [[(weight[c] * padded[:, t : t + taps]).sum() for t in range(count)] for c in range(len(weight))]
        )
        out = (out + bias[:, None] - mean[:, None]) / np.sqrt(variance[:, None] + norm.eps)
        out = out * gamma[:, None] + beta[:, None]
        out = np.where(out > 0, out, 0.01 * out)
        steps = np.array(
            [[out[c, t * pool : (t + 1) * pool].max() for t in range(count // pool)] for c in range(len(out))]
        )
    return steps.reshape(-1)


@pytest.mark.parametrize(("hidden_size", "weights"), [(64, 429_514), (128, 709_706), (256, 1_565_002)])
def test_the_baseline_has_as_many_weights_as_the_published_one_and_its_parts_by_name(hidden_size, weights):
    model, extractor = baseline(hidden_size)
    counts = {name: sum(values.numel() for values in part.parameters()) for name, part in model.named_children()}
    assert sum(counts.values()) == weights
    assert counts["encoder"] == 247_616 and counts["heads"] == 10 * hidden_size + 10
    assert sum(values.numel() for values in model.recurrent.parameters()) == counts["recurrent"]
    assert sum(values.numel() for values in model.heads["emotion"].parameters()) == counts["heads"]
    assert extractor.target_rms_dbfs == "peak"


def test_the_recipes_differ_in_the_units_and_that_of_the_code_in_its_optimiser():
    recipes = {name: load_recipe(shipped_recipe(f"exvo_baselines/fewshot_{name}")) for name in (64, 128, 256)}
    code = load_recipe(shipped_recipe("exvo_baselines/fewshot_256_as_published_code"))
    for hidden_size, recipe in recipes.items():
        recurrent = {**recipes[256].model["recurrent"], "hidden_size": hidden_size}
        assert recipe.model == {**recipes[256].model, "recurrent": recurrent}
        assert (recipe.data, recipe.training) == (recipes[256].data, recipes[256].training)
    training = recipes[256].training
    assert (training["learning_rate"], training["weight_decay"]) == (1e-4, 0.0)
    assert (training["per_device_train_batch_size"], training["metric_for_best_model"]) == (8, "emotion_ccc")
    assert (code.model, code.data) == (recipes[256].model, recipes[256].data)
    assert code.training == {**training, "learning_rate": 2e-4, "weight_decay": 0.01}


def test_a_tenth_of_a_second_becomes_512_numbers_by_the_published_shapes():
    cnn, shapes = FrameCNN(), []
    for layer in cnn.convolutions:
        layer.register_forward_hook(lambda _, given, made: shapes.append((*given[0].shape[1:], *made.shape[1:])))
    frames, _ = cnn(torch.randn(1, 3200))
    assert shapes == [(1, 1, 1600, 64, 1, 1599), (64, 1, 159, 128, 1, 158), (128, 1, 19, 256, 1, 18)]
    assert frames.shape == (1, 2, 512) and cnn.size == 512


def test_a_frame_worked_by_hand():
    """2 · x, the greater of two, leaky; then −1 · it, leaky; there is no normalisation to speak of."""
    cnn = FrameCNN(frame_seconds=4 / 16000, conv_dim=[1, 1], conv_kernel=[1, 1], pools=[2, 1]).eval()
    with torch.no_grad():
        for layer, weight in zip(cnn.convolutions, (2.0, -1.0), strict=True):
            layer.weight.fill_(weight)
            layer.bias.zero_()
    clip = torch.zeros(400)
    clip[:8] = torch.tensor([1.0, 3.0, -4.0, -2.0, 0.5, 0.0, 0.0, -5.0])
    frames, _ = cnn(clip[None])
    # maxima 6, −4 | 1, 0; leaky 6, −0.04 | 1, 0; negated −6, 0.04 | −1, 0; leaky −0.06, 0.04 | −0.01, 0
    expected = torch.tensor([[-0.06, 0.04], [-0.01, 0.0]])
    assert torch.allclose(frames[0, :2], expected, atol=1e-5)  # the normalisations' ε is 1e-5


def test_frames_are_those_of_a_naive_version_piece_by_piece():
    cnn = small_cnn(frame_seconds=0.02)
    clip = torch.randn(3 * 320 + 319)
    with torch.no_grad():
        frames, _ = cnn(clip[None])
    assert frames.shape == (1, 3, cnn.size)
    for place, piece in enumerate(clip[:960].reshape(3, 320)):
        np.testing.assert_allclose(frames[0, place], frame_by_hand(cnn, piece), atol=1e-5)


def test_the_answer_is_the_linear_layers_on_the_second_lstms_last_frame():
    model, _ = baseline(conv_dim=[3, 4, 5])
    model = settled(model)
    (clip,) = noise_clips(5000)
    given = batch(clip)
    with torch.no_grad():
        output = model(**given)
        lstm, linear = model.recurrent.layers, model.heads["emotion"].output
        pieces = torch.tensor(clip[:4800] / np.abs(clip).max()).reshape(3, 1600)
        states, _ = lstm(torch.tensor(np.array([frame_by_hand(model.encoder, p) for p in pieces]), dtype=torch.float32))
    assert torch.allclose(output.embeddings[0], states[-1], atol=1e-5)
    assert torch.allclose(output.predictions["emotion"][0], linear(states[-1]), atol=1e-5)
    assert output.embeddings.shape == (1, 64)


def test_a_clip_gives_the_same_answer_alone_and_in_every_order_of_a_batch():
    model, _ = baseline(conv_dim=[8, 8, 16])
    model = settled(model)
    clips = noise_clips(9000, 700, 3200, 4799)
    with torch.no_grad():
        alone = [model(**batch(clip)) for clip in clips]
        for order in ((0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2), (2, 1)):
            together = model(**batch([clips[row] for row in order]))
            for place, row in enumerate(order):
                assert (together.embeddings[place] - alone[row].embeddings[0]).abs().max() <= 1e-5
                difference = together.predictions["emotion"][place] - alone[row].predictions["emotion"][0]
                assert difference.abs().max() <= 1e-5
    assert (alone[0].predictions["emotion"] - alone[2].predictions["emotion"]).abs().max() > 1e-2


def test_what_fills_no_frame_is_left_out_and_a_short_clip_is_followed_by_silence():
    cnn = small_cnn()
    clip = torch.randn(1, 4800)
    with torch.no_grad():
        whole, _ = cnn(clip)
        assert whole.shape[1] == 3 and cnn.count_frames(4799) == 2
        assert torch.equal(cnn(clip[:, :4799])[0], cnn(clip[:, :3200])[0])
        short, _ = cnn(clip[:, :700])
        silent = clip[:, :1600].clone()
        silent[:, 700:] = 0.0
        assert torch.equal(short, cnn(silent)[0]) and short.shape[1] == 1


def test_frames_end_at_twenty_seconds():
    cnn = small_cnn()
    clip = torch.randn(1, 21 * 16000)
    mask = torch.ones(2, 21 * 16000, dtype=torch.long)
    mask[1, 8000:] = 0
    with torch.no_grad():
        frames, frame_mask = cnn(clip.expand(2, -1), mask)
        assert torch.allclose(frames[:1], cnn(clip[:, : 20 * 16000])[0], atol=1e-6)
    assert frame_mask.sum(dim=1).tolist() == [200, 5]


def test_in_training_batch_normalisation_counts_no_padding_whatever_that_holds():
    clips = [torch.randn(4800), torch.randn(1700), torch.randn(500)]
    waveforms = torch.full((3, 4800), float("nan"))
    mask = torch.zeros(3, 4800, dtype=torch.long)
    for row, clip in enumerate(clips):
        waveforms[row, : len(clip)], mask[row, : len(clip)] = clip, 1
    pieces = torch.zeros(5, 1600)
    pieces[:3], pieces[3], pieces[4, :500] = clips[0].reshape(3, 1600), clips[1][:1600], clips[2]
    padded, alone = small_cnn().train(), small_cnn().train()
    frames, frame_mask = padded(waveforms, mask)
    expected, _ = alone(pieces)
    assert frame_mask.tolist() == [[True] * 3, [True, False, False], [True, False, False]]
    assert torch.allclose(frames[frame_mask], expected[:, 0], atol=1e-6) and not frames[~frame_mask].any()
    for name, values in padded.state_dict().items():
        assert torch.allclose(values, alone.state_dict()[name], atol=1e-6), name
    frames.square().sum().backward()
    assert all(torch.isfinite(values.grad).all() for values in padded.parameters())


def test_weights_begin_as_he_et_als_uniform_and_biases_at_0():
    model, _ = baseline()
    fans = {"convolutions": None, "weight_ih_l0": 512, "weight_ih_l1": 64, "weight_hh": 64, "output.weight": 64}
    seen = set()
    for name, values in model.named_parameters():
        if ".norms." in name:
            assert (values == (1.0 if name.endswith("weight") else 0.0)).all()
        elif values.ndim == 1:
            assert (values == 0.0).all(), name
        else:
            (key,) = [key for key in fans if key in name]
            bound = math.sqrt(6 / (fans[key] or values[0].numel()))
            assert 0.9 * bound < values.abs().max() <= bound, name
            seen.add(key)
    assert seen == set(fans)


def test_a_speakers_two_clips_tune_lstm_and_linear_layer_and_nothing_else():
    model, extractor = baseline(conv_dim=[4, 4, 6])
    labels = {"emotion": np.random.default_rng(0).random((2, 10))}
    personal = personalise(model.train(), extractor, noise_clips(9000, 5000), labels, ["recurrent", "head"], steps=2)
    before, after = model.state_dict(), personal.state_dict()
    moved = {name for name, values in after.items() if not torch.equal(values, before[name])}
    assert moved == {name for name in before if name.startswith(("recurrent.", "heads."))}


def test_a_saved_model_gives_the_same_answers(tmp_path):
    model, extractor = baseline(conv_dim=[4, 4, 6])
    settled(model).save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    given = Burst2VecFeatureExtractor.from_pretrained(tmp_path)(noise_clips(5000, 2500), return_tensors="pt")
    assert given["input_values"].abs().amax(dim=1).tolist() == [1.0, 1.0]
    loaded = Burst2VecForMultiTask.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(loaded(**given).predictions["emotion"], model(**given).predictions["emotion"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pools": [10]},
            "each layer has one of conv_dim, conv_kernel and pools; got 2 conv_dim, 2 conv_kernel, 1 pools",
        ),
        ({"pools": [10, 0]}, "pools must be a list of positive whole numbers"),
        ({"frame_seconds": 0.004}, "a frame of 0.004 s leaves nothing after convolution 2 of conv_kernel"),
        ({"frame_seconds": 0.0}, "frame_seconds is 0; it must be in 1/16000 to 60 s"),
        ({"max_seconds": 0.05}, "max_seconds is 0.05, less than a frame of 0.1 s"),
        ({"max_seconds": 90}, "max_seconds is 90; it must be in 1/16000 to 60 s"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        FrameCNN(**{**SMALL, **changes})
