"""The network over raw waveforms: what a window is given, and that nothing else reaches it."""

import pytest
import torch
import torch.nn.functional as F

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.waveform_cnn import WaveformCNN
from tests.conftest import exvo_labels

SMALL = {
    "window_seconds": 0.05,
    "conv_dim": [4, 6],
    "conv_kernel": [30, 4],
    "conv_stride": [10, 2],
    "pools": [2, 1],
}  # step 40
PUBLISHED = {"conv_kernel": [30, 10, 4, 3], "conv_stride": [10, 5, 2, 1], "pools": [2, 3, 1, 1]}
PHONES = {
    "conv_dim": [8] * 10,
    "conv_kernel": [30] + [3] * 9,
    "conv_stride": [10] + [1] * 9,
    "pools": [2, 1, 2, 1, 2, 1, 2, 1, 2, 1],
    "hidden_size": 16,
}


def small_cnn(seed=0, **changes):
    torch.manual_seed(seed)
    cnn = WaveformCNN(**{**SMALL, **changes})
    for layer in (*cnn.convolutions, cnn.hidden):
        layer.initialise()
    return cnn.eval()


def model_of(**arguments):
    torch.manual_seed(0)
    encoder = {"kind": "waveform_cnn", **SMALL, **arguments}
    parts = {"trunk": "identity", "head": {"kind": "linear", "dropout": 0.0}, "heads_read": "frames"}
    config = Burst2VecConfig(encoder_config=encoder, initializer_range="glorot_uniform", **parts)
    return Burst2VecForMultiTask(config).eval()


def batch_of(*clips, padding=0.0):
    """Clips padded on the right, and their mask."""
    longest = max(len(clip) for clip in clips)
    waveforms = torch.stack([F.pad(clip, (0, longest - len(clip)), value=padding) for clip in clips])
    mask = torch.stack([(torch.arange(longest) < len(clip)).long() for clip in clips])
    return waveforms, mask


def test_a_window_worked_by_hand():
    """Two taps (1, −1) on windows of five samples: four differences, two maxima, their ReLU, the mean of these.

    The hidden unit's outputs are frames before its ReLU: the second is below 0.
    """
    cnn = WaveformCNN(
        window_seconds=5 / 16000,
        hop_seconds=4 / 16000,
        conv_dim=[1],
        conv_kernel=[2],
        conv_stride=[1],
        pools=[2],
        hidden_size=1,
    )
    with torch.no_grad():
        cnn.convolutions[0].weight.copy_(torch.tensor([[[1.0, -1.0]]]))
        cnn.hidden.weight.fill_(2.0)
        cnn.convolutions[0].bias.zero_()
        cnn.hidden.bias.fill_(-3.5)
    clip = torch.zeros(400)
    clip[:9] = torch.tensor([3.0, 1.0, 1.0, 5.0, 4.0, 0.0, 0.0, 0.0, 7.0])
    # differences 2, 0, −4, 1 | 4, 0, 0, −7; maxima 2, 1 | 4, 0; means 1.5 | 2; times 2, and less 3.5
    frames = cnn(clip[None])[0][:, :2]
    assert frames.flatten().tolist() == [-0.5, 0.5]
    assert cnn.activation(frames).flatten().tolist() == [0.0, 0.5]


@pytest.mark.parametrize("hop", [None, 0.0025, 0.0075, 0.001, 0.004, 15 / 16000])
def test_one_pass_over_the_clip_equals_each_window_by_itself(hop):
    cnn = small_cnn(hop_seconds=hop)
    clip = torch.randn(5001)
    frames, frame_mask = cnn(clip[None])
    alone = [cnn(window[None])[0][0, 0] for window in clip.unfold(0, 800, cnn.hop_samples)]
    assert frame_mask is None and frames.shape == (1, len(alone), 10)
    assert torch.allclose(frames[0], torch.stack(alone), atol=1e-6)
    assert frames.std() > 1e-3


def test_windows_of_the_published_shape_may_start_every_10_ms():
    cnn = small_cnn(window_seconds=0.25, conv_dim=[4, 6, 8, 8], hop_seconds=0.01, **PUBLISHED)
    clip = torch.randn(6000)
    frames, _ = cnn(clip[None])
    assert cnn.passes == 15 and frames.shape == (1, 13, 10)
    assert torch.allclose(
        frames[0], torch.cat([cnn(window[None])[0][0] for window in clip.unfold(0, 4000, 160)]), atol=1e-6
    )


@pytest.mark.parametrize("arguments", [{}, PHONES], ids=["four", "ten"])
def test_both_published_shapes_have_windows_of_a_quarter_of_a_second(arguments):
    cnn = WaveformCNN(**arguments).eval()
    assert cnn.window_samples == 4000 and len(cnn.convolutions) in (4, 10)
    assert cnn(torch.randn(1, 4000))[0].shape == (1, 1, arguments.get("hidden_size", 10))
    assert cnn(torch.randn(1, 3999 + cnn.hop_samples))[0].shape[1] == 1
    assert cnn(torch.randn(1, 4000 + cnn.hop_samples))[0].shape[1] == 2


@pytest.mark.parametrize("padding", [0.0, 3.0, float("nan")])
def test_padding_changes_no_frame(padding):
    cnn = small_cnn()
    clips = [torch.randn(length) for length in (400, 799, 800, 1234, 4000)]
    frames, frame_mask = cnn(*batch_of(*clips, padding=padding))
    for row, clip in enumerate(clips):
        alone, _ = cnn(clip[None])
        assert int(frame_mask[row].sum()) == alone.shape[1] == max(1, (len(clip) - 800) // 40 + 1)
        assert torch.allclose(frames[row, : alone.shape[1]], alone[0], atol=1e-6)
        assert not frames[row, alone.shape[1] :].any()


def test_a_clip_shorter_than_a_window_is_padded_with_silence():
    cnn = small_cnn()
    clip = torch.randn(500)
    frames, frame_mask = cnn(clip[None])
    assert frame_mask is None
    assert torch.equal(frames, cnn(F.pad(clip, (0, 300))[None])[0])


def test_a_batch_of_equal_lengths_has_no_mask():
    waveforms, mask = batch_of(torch.randn(900), torch.randn(900))
    assert small_cnn()(waveforms, mask)[1] is None


def test_embeddings_are_mean_and_deviation_of_ten_units_before_their_activation_without_padding():
    model = model_of()
    clips = [torch.randn(500), torch.randn(3000)]
    frames = model.encoder(clips[1][None])[0][0]
    expected = torch.cat([frames.mean(dim=0), frames.std(dim=0, correction=0)])
    assert torch.allclose(model(clips[1][None]).embeddings[0], expected, atol=1e-5) and (frames < 0).any()
    embeddings = model(*batch_of(*clips)).embeddings
    assert embeddings.shape == (2, 20)
    alone = torch.cat([model(clip[None]).embeddings for clip in clips])
    assert torch.allclose(embeddings, alone, atol=1e-5)


def test_each_window_learns_and_a_clip_is_the_mean_of_its_windows():
    """Against window after window by itself: cross-entropy and squared errors over all windows, means over a clip's."""
    model = model_of()
    clips, labels = [torch.randn(500), torch.randn(3000), torch.randn(1200)], exvo_labels(3)
    labels["country"][2] = -1
    output = model(*batch_of(*clips), labels=labels)
    windows = [F.pad(clip, (0, max(0, 800 - len(clip)))).unfold(0, 800, model.encoder.hop_samples) for clip in clips]
    logits = {name: [] for name in model.tasks}
    with torch.no_grad():
        for of_clip in windows:
            active = [model.encoder(window[None])[0][0, 0].relu() for window in of_clip]
            for name, of_task in logits.items():
                of_task.append(torch.stack([model.heads[name].output(frame) for frame in active]))
    for clip in range(3):
        country = logits["country"][clip].softmax(-1).mean(dim=0)
        assert torch.allclose(output.predictions["country"][clip], country, atol=1e-6)
        age = model.tasks["age"].to_unit(logits["age"][clip].sigmoid()).mean(dim=0)
        assert torch.allclose(output.predictions["age"][clip], age, atol=1e-4)
    of_windows = torch.cat([logits["country"][clip].log_softmax(-1)[:, labels["country"][clip]] for clip in (0, 1)])
    assert torch.allclose(output.loss_parts["country_combined"], -of_windows.mean(), atol=1e-6)


def test_the_start_is_that_of_keras():
    """Glorot and Bengio (2010), Eq. 16: uniform to √(6 / (fan in + fan out)), where fans count taps; biases of 0."""
    torch.manual_seed(0)
    encoder = {"kind": "waveform_cnn"}
    config = Burst2VecConfig(encoder_config=encoder, tasks="exvo", trunk="identity", initializer_range="glorot_uniform")
    model = Burst2VecForMultiTask(config)
    layers = [*model.encoder.convolutions, model.encoder.hidden, model.heads["emotion"].output]
    fans = [(30, 30 * 128), (1280, 2560), (1024, 2048), (1536, 1536), (512, 10), (10, 10)]
    for layer, (fan_in, fan_out) in zip(layers, fans, strict=True):
        limit = (6 / (fan_in + fan_out)) ** 0.5
        assert 0.9 * limit < layer.weight.abs().max() <= limit
        assert layer.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.15)
        assert not layer.bias.any()


def test_a_model_over_waveforms_learns_and_comes_back_from_disk(tmp_path):
    model = model_of()
    waveforms, mask = batch_of(torch.randn(900), torch.randn(2000))
    model(waveforms, mask, labels=exvo_labels(2)).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.save_pretrained(tmp_path)
    again = Burst2VecForMultiTask.from_pretrained(tmp_path)
    assert again.encoder.hop_samples == model.encoder.hop_samples
    assert torch.equal(again(waveforms, mask).embeddings, model(waveforms, mask).embeddings)


def test_weights_missing_from_the_file_start_afresh(tmp_path):
    model = model_of()
    own = [name for name in model.state_dict() if name.startswith("encoder.")]
    assert len(own) == 6
    model.save_pretrained(tmp_path, state_dict={k: v for k, v in model.state_dict().items() if k not in own})
    again = Burst2VecForMultiTask.from_pretrained(tmp_path, output_loading_info=True)[0].state_dict()
    for name in own:
        fresh = again[name]
        assert torch.isfinite(fresh).all() and fresh.abs().max() < 10
        assert fresh.any() == name.endswith("weight")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"window_seconds": 0.004}, r"window of 0.004 s leaves nothing after convolution 2 .*longer window_seconds"),
        ({"window_seconds": 0.0}, r"window_seconds is 0; it must be in 1/16000 to 60 s"),
        ({"hop_seconds": 0.0101, "conv_stride": [10, 20]}, r"a step every 0.025 s.* at 200 offsets .*, 100 at most"),
        ({"hop_seconds": -0.01}, r"hop_seconds is -0.01"),
        ({"conv_dim": [4]}, r"got 1 conv_dim, 2 conv_kernel, 2 conv_stride, 2 pools"),
        ({"conv_dim": [], "conv_kernel": [], "conv_stride": [], "pools": []}, r"got 0 conv_dim"),
        ({"conv_kernel": [30, 0]}, r"conv_kernel must be a list of positive whole numbers, .*\[30, 0\]"),
        ({"conv_stride": 10}, r"conv_stride must be a list"),
        ({"hidden_size": 0}, r"hidden_size is 0"),
    ],
)
def test_a_network_that_cannot_be_built_says_why(changes, message):
    with pytest.raises(ValueError, match=message):
        WaveformCNN(**{**SMALL, **changes})


def test_a_clip_that_is_no_burst_is_refused():
    with pytest.raises(ValueError, match="399 samples"):
        small_cnn()(torch.randn(1, 399))
