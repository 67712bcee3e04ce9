"""Deep spectrum features: spectrograms and colours by hand, VGG-19 as torchvision has it, weights refused by name."""

import builtins
import json
import re

import numpy as np
import pytest
import torch
import torchvision
from matplotlib import colormaps
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from burst2vec.errors import CorpusError
from burst2vec.features import deep_spectrum, extract_features, find_feature_set, folder_name, write_features
from burst2vec.features.deep_spectrum import (
    IMAGE_DEVIATION,
    IMAGE_MEAN,
    DeepSpectrumNetwork,
    colour,
    decibels_of,
    draw,
)
from burst2vec.frontends import mel_filters
from tests.features.made_clips import clips_of, noise


def tone(hertz, samples=8_000):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(samples) / 16_000)).astype(np.float32)


def small_vgg():
    """VGG's parts and their names, with 4 channels, and 5 numbers in its second fully connected layer."""
    vgg = nn.Module()
    vgg.features = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.ReLU(inplace=True), nn.MaxPool2d(2))
    vgg.avgpool = nn.AdaptiveAvgPool2d(2)
    fully_connected = nn.Linear(16, 6), nn.ReLU(True), nn.Dropout(), nn.Linear(6, 5), nn.ReLU(True), nn.Dropout()
    vgg.classifier = nn.Sequential(*fully_connected, nn.Linear(5, 3))
    return vgg


@pytest.fixture
def small(monkeypatch):
    """Weights of the small network, by torchvision's names, in place of VGG-19's."""
    monkeypatch.setattr(deep_spectrum, "_vgg19", small_vgg)
    deep_spectrum._load.cache_clear()
    yield {name: weights((name, shape)) for name, shape in SMALL_SHAPES.items()}
    deep_spectrum._load.cache_clear()


SMALL_SHAPES = {name: tuple(tensor.shape) for name, tensor in small_vgg().state_dict().items()}


def weights(seed_and_shape):
    name, shape = seed_and_shape
    generator = torch.Generator().manual_seed(len(name) + shape[0])
    return torch.randn(shape, generator=generator)


def by_timms_names(tensors):
    """The fully connected layers as convolutions, of 2 × 2 and of one place."""
    renamed = {name: tensor for name, tensor in tensors.items() if name.startswith("features.")}
    for number, (own, timms) in enumerate(
        {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}.items()
    ):
        shape = [(6, 4, 2, 2), (5, 6, 1, 1), (3, 5)][number]
        renamed[f"{timms}.weight"] = tensors[f"{own}.weight"].reshape(shape)
        renamed[f"{timms}.bias"] = tensors[f"{own}.bias"]
    return renamed


# The spectrogram


def test_a_frame_is_32_ms_every_16_ms_and_is_of_nothing_else():
    clip = np.zeros(512 + 3 * 256, np.float32)
    clip[512 + 256 : 512 + 512] = tone(1_000, 256)  # of the third frame and the fourth
    for scale, height in (("linear", 257), ("mel", 128)):
        decibels = decibels_of(clip, scale)
        assert decibels.shape == (height, 4)
        assert (decibels.max(axis=0) > -10).tolist() == [False, False, True, True]
        assert decibels_of(clip[:-1], scale).shape == (height, 3)


def test_a_tone_is_loudest_at_its_frequency():
    """On Slaney's scale 1 kHz is 15 mel and 8 kHz 45.245; of 128 channels, c is centred at (c + 1)/129 of that."""
    channel = decibels_of(tone(1_000), "mel").mean(axis=1).argmax()
    assert abs(channel + 1 - 129 * 15 / 45.245) <= 1
    assert decibels_of(tone(1_000)).mean(axis=1).argmax() == 32  # bins are 31.25 Hz apart
    assert decibels_of(tone(1_000)).max() == decibels_of(tone(1_000), "mel").max() == 0


@pytest.mark.parametrize("scale", ["linear", "mel"])
def test_the_spectrogram_is_that_of_a_naive_loop(scale):
    clip = noise(3_000).astype(np.float64)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    power = [np.abs(np.fft.rfft(clip[start : start + 512] * hann)) ** 2 for start in range(0, 2_489, 256)]
    if scale == "mel":  # tests/model/test_frontends.py compares the filters with librosa's
        power = power @ mel_filters(128, torch.device("cpu")).numpy()
    expected = 10 * np.log10(np.maximum(power, 1e-10)).T
    np.testing.assert_allclose(decibels_of(noise(3_000), scale), expected - expected.max(), atol=2e-3)


def test_the_linear_scale_is_the_default_and_others_are_refused():
    np.testing.assert_array_equal(draw(noise())[0], draw(noise(), "linear")[0])
    assert (draw(noise(), "mel")[0] != draw(noise())[0]).any()
    with pytest.raises(CorpusError, match=r"scale 'bark' is not one of \['linear', 'mel'\]"):
        decibels_of(noise(), "bark")


def test_the_level_of_a_clip_does_not_matter():
    np.testing.assert_allclose(decibels_of(noise()), decibels_of(10 * noise()), atol=2e-3)
    np.testing.assert_array_equal(draw(noise())[0], draw(4 * noise())[0])


def test_a_clip_that_is_too_short_is_padded_at_its_end_and_noted():
    image, note = draw(noise(400))
    np.testing.assert_array_equal(image, draw(np.concatenate([noise(400), np.zeros(112, np.float32)]))[0])
    assert note == "padded to 512 samples"
    assert (image == image[:, :1]).all()  # one frame
    assert draw(noise(512))[1] == ""


def test_silence_is_an_image_of_one_colour_and_noted():
    image, note = draw(np.zeros(4_000, np.float32))
    assert (image == (68, 1, 84)).all() and note == "silent: an image of one colour"
    assert draw(np.zeros(400, np.float32))[1] == "padded to 512 samples, silent: an image of one colour"
    assert draw(1e-9 * noise())[1] == note  # under what power is taken for


# The colours


def test_colours_are_viridis_from_the_lowest_value_to_the_highest_and_low_tones_at_the_bottom():
    decibels = np.linspace(-80, 0, 224)[:, None] * np.ones(224)  # a channel a row: nothing is resized
    image = colour(decibels)
    expected = colormaps["viridis"](np.linspace(0, 1, 224)[::-1], bytes=True)[:, :3]
    np.testing.assert_array_equal(image, np.repeat(expected[:, None], 224, axis=1))
    assert (image.dtype, image.shape) == (np.uint8, (224, 224, 3))


def test_time_goes_from_left_to_right():
    image = colour(np.concatenate([np.zeros((128, 20)), np.full((128, 20), -60)], axis=1))
    assert image[100, 0].tolist() == [253, 231, 36] and image[100, -1].tolist() == [68, 1, 84]


def test_resizing_is_bilinear():
    """Of 448 columns in turn dark and bright, 224 are left: in their midst each is a mean of 1 : 3 : 3 : 1."""
    dark, bright = np.array([68, 1, 84]), np.array([253, 231, 36])
    image = colour(np.tile([[-1.0, 0.0]], (224, 224)))
    np.testing.assert_allclose(image[50, 100], (dark + bright) / 2, atol=1)
    image = colour(np.array([[0.0, -1.0]]))  # two columns to 224: 112.5 of the way from one to the other in the middle
    np.testing.assert_allclose(image[50, 112], bright + (dark - bright) * (112.5 / 112 - 0.5), atol=1)


# The network


def test_values_are_the_rectified_second_fully_connected_layer(small):
    network = DeepSpectrumNetwork(small)
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)
    expected = []
    for image in images:
        pixels = torch.tensor((image / 255 - IMAGE_MEAN) / IMAGE_DEVIATION).float().permute(2, 0, 1)[None]
        frames = F.conv2d(pixels, small["features.0.weight"], small["features.0.bias"], stride=8).relu()
        flat = F.adaptive_avg_pool2d(F.max_pool2d(frames, 2), 2).flatten()
        first = (small["classifier.0.weight"] @ flat + small["classifier.0.bias"]).relu()
        expected.append((small["classifier.3.weight"] @ first + small["classifier.3.bias"]).relu().numpy())
    found = network(images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert (network.size, found.dtype, network.training) == (5, np.float32, False) and (found > 0).any()


def test_timms_names_give_the_same_values_and_the_same_digest(small):
    network, timms = DeepSpectrumNetwork(small), DeepSpectrumNetwork(by_timms_names(small))
    np.testing.assert_array_equal(network.vector(noise())[0], timms.vector(noise())[0])
    assert network.digest == timms.digest


def test_the_digest_tells_every_weight_but_those_that_are_left_out(small):
    digest = DeepSpectrumNetwork(small).digest
    for name in small:
        changed = small | {name: small[name].clone()}
        changed[name].view(-1)[-1] += 1e-3
        assert (DeepSpectrumNetwork(changed).digest != digest) == (not name.startswith("classifier.6"))
    without = {name: tensor for name, tensor in small.items() if not name.startswith("classifier.6")}
    assert DeepSpectrumNetwork(without).digest == digest


def test_half_precision_weights_are_taken_as_float32(small):
    network = DeepSpectrumNetwork({name: tensor.half() for name, tensor in small.items()})
    assert {tensor.dtype for tensor in network.state_dict().values()} == {torch.float32}


def test_a_clip_has_the_same_vector_alone_and_among_others(small):
    network = DeepSpectrumNetwork(small)
    clips = [noise(4_000), tone(500), noise(400), np.zeros(4_000, np.float32)]
    together = network.vectors(clips)
    for vector, clip in zip(together, clips, strict=True):
        np.testing.assert_allclose(vector, network.vector(clip)[0], rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def vgg19():
    """VGG-19 as torchvision builds it, 575 MB, so there is one; a few random numbers again and again, for speed."""
    with torch.device("meta"):
        vgg = torchvision.models.vgg19(init_weights=False)
    numbers = torch.randn(4_099, generator=torch.Generator().manual_seed(0))
    for tensor in vgg.to_empty(device="cpu").state_dict().values():
        scale = (2 / tensor[0].numel()) ** 0.5 if tensor.dim() > 1 else 0.1
        tensor.view(-1).copy_((scale * numbers).repeat(tensor.numel() // 4_099 + 1)[: tensor.numel()])
    return vgg.eval()


def test_the_network_is_torchvisions_vgg19(vgg19):
    network = DeepSpectrumNetwork(vgg19.state_dict())
    assert sum(tensor.numel() for tensor in network.state_dict().values()) == 143_667_240 - 4_097_000
    assert network.size == 4_096 == len(network.names()) and network.names()[-1] == "fc2_4095"
    image = draw(noise())[0]
    preset = torchvision.models.VGG19_Weights.IMAGENET1K_V1.transforms(crop_size=224, resize_size=224)
    second = []
    vgg19.classifier[4].register_forward_hook(lambda layer, given, activations: second.append(activations.clone()))
    with torch.inference_mode():
        vgg19(preset(torch.from_numpy(image).permute(2, 0, 1))[None])
    np.testing.assert_allclose(network(image[None]), second[0].numpy(), rtol=1e-3, atol=1e-6)


# Weights that are not


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda tensors: tensors.pop("classifier.3.bias"), "1 weights are missing, such as classifier.3.bias"),
        (
            lambda tensors: tensors.update({"features.9.bias": torch.zeros(3)}),
            "1 weights are too many, such as feat.*9",
        ),
        (
            lambda tensors: tensors.update({"pre_logits.fc3.bias": torch.zeros(3)}),
            "1 weights are too many, such as pre_",
        ),
        (
            lambda tensors: tensors.update({"classifier.0.weight": torch.zeros(6, 15)}),
            r"classifier.0.weight has the shape \(6, 15\), VGG-19's \(6, 16\)",
        ),
        (lambda tensors: tensors["features.0.weight"].fill_(torch.nan), "features.0.weight holds .* not a finite"),
        (lambda tensors: tensors.update({"classifier.3.bias": torch.zeros(5, dtype=torch.int64)}), "torch.int64"),
    ],
)
def test_weights_that_are_not_vgg19s_are_refused_by_name(change, error, small, tmp_path):
    change(small)
    save_file(small, tmp_path / "w.safetensors")
    with pytest.raises(CorpusError, match=rf"w\.safetensors: cannot be read as VGG-19's weights: .*{error}"):
        find_feature_set(f"deep_spectrum:{tmp_path}/w.safetensors")


def test_a_file_that_is_no_safetensors_is_refused_by_name(small, tmp_path):
    with pytest.raises(CorpusError, match=r"w\.safetensors: no such file; .* hf download timm/vgg19\.tv_in1k"):
        find_feature_set(f"deep_spectrum:{tmp_path}/w.safetensors")
    torch.save(small, tmp_path / "vgg19.pth")
    with pytest.raises(CorpusError, match=r"vgg19\.pth: not a \.safetensors file, and no other is opened"):
        find_feature_set(f"deep_spectrum:{tmp_path}/vgg19.pth")
    (tmp_path / "vgg19.pth").rename(tmp_path / "w.safetensors")
    with pytest.raises(CorpusError, match=r"w\.safetensors: cannot be read as VGG-19's weights"):
        find_feature_set(f"deep_spectrum:{tmp_path}/w.safetensors")


def test_without_torchvision_the_error_says_what_to_install(monkeypatch):
    imported = builtins.__import__

    def without(name, *rest):
        if name.startswith("torchvision"):
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=re.escape("need torchvision: pip install 'burst2vec[features]'")):
        DeepSpectrumNetwork({})


# As a feature set


def test_a_corpus_is_tabled_and_no_path_is_kept(small, tmp_path):
    save_file(small, tmp_path / "my weights.safetensors")
    name = f"deep_spectrum:{tmp_path}/my weights.safetensors"
    clips = clips_of(tmp_path / "wav", {"a": noise(), "b": tone(300), "c": noise(900, 2)})
    done = write_features({"train": clips}, name, tmp_path / "out")
    network = DeepSpectrumNetwork(small)
    assert done.folder.name == folder_name(name) == f"deep_spectrum-my-weights-{network.digest[:8]}"
    heading = (done.folder / "features.json").read_text()
    assert str(tmp_path) not in heading and json.loads(heading)["made_by"] == network.made_by()
    found = extract_features(clips, name, keep_in_memory=True)
    expected = [network.vector(clip)[0] for clip in (noise(), tone(300), noise(900, 2))]
    np.testing.assert_allclose(np.array(found["features"][:]), expected, rtol=1e-4, atol=1e-4)
    assert json.loads(heading)["names"] == [f"fc2_{number}" for number in range(5)]


def test_mel_is_a_feature_set_of_its_own_whose_tables_are_never_mixed_with_the_linear_ones(small, tmp_path):
    save_file(small, tmp_path / "w.safetensors")
    linear, mel = (find_feature_set(f"{family}:{tmp_path}/w.safetensors") for family in FAMILIES)
    network = DeepSpectrumNetwork(small)
    for found, scale in ((linear, "linear"), (mel, "mel")):
        np.testing.assert_allclose(found.vector(noise())[0], network(draw(noise(), scale)[0][None])[0], rtol=1e-4)
        np.testing.assert_allclose(found.vectors([noise()])[0], found.vector(noise())[0], rtol=1e-4)
    assert linear.made_by() != mel.made_by()
    folders = [folder_name(f"{family}:{tmp_path}/w.safetensors") for family in FAMILIES]
    assert [name.partition("-")[0] for name in folders] == list(FAMILIES)


FAMILIES = ("deep_spectrum", "deep_spectrum_mel")


def test_weights_are_read_once_and_again_when_the_file_changes(small, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(small, path)
    first = find_feature_set(f"deep_spectrum:{path}")
    assert find_feature_set(f"deep_spectrum:{path}").made_by() == first.made_by()
    assert deep_spectrum._load.cache_info().misses == 1
    save_file(small | {"classifier.3.bias": torch.ones(5)} | {"head.fc.bias": torch.zeros(3)}, path)
    assert find_feature_set(f"deep_spectrum:{path}").made_by() != first.made_by()
