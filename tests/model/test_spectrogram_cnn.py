import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.spectrogram_cnn import NormalisedConvolution, SpectrogramCNN, WeighedMaps
from tests.conftest import exvo_labels, noise_clips

LENGTHS = (400, 719, 3999, 16000, 12345, 32000, 8001)
SMALL = {"kind": "spectrogram_cnn", "channels": 16, "width": 2}


def model(pooling="statistics", **arguments):
    torch.manual_seed(0)
    config = Burst2VecConfig(encoder_config={**SMALL, **arguments}, pooling=pooling, trunk="identity")
    made = Burst2VecForMultiTask(config).eval()
    made.encoder.estimate_statistics(noise_clips(8000, 9000))
    return made


@pytest.mark.parametrize(
    ("pooling", "squeeze", "frame_size"),
    [("statistics", 0, 0), ("attentive", 0, 6), ("attentive_statistics", 2, 6)],
)
def test_a_clip_gives_the_same_answer_alone_and_among_seven(pooling, squeeze, frame_size, extract):
    made, clips = model(pooling, squeeze=squeeze, frame_size=frame_size), noise_clips(*LENGTHS)
    with torch.no_grad():
        together = made(**extract(clips)).embeddings
        alone = torch.cat([made(**extract(clip)).embeddings for clip in clips])
    assert (together - together.mean(dim=0)).abs().max() > 1e-2, "the clips must differ, or equality says nothing"
    assert (together - alone).abs().max() <= 1e-5


def test_a_frame_is_160_milliseconds_and_the_shortest_burst_has_one():
    encoder = SpectrogramCNN(channels=16, width=2).eval()
    for samples, frames in ((400, 1), (400 + 16 * 160, 2), (32000, 13)):
        assert encoder(torch.randn(1, samples))[0].shape == (1, frames, 16)


def test_blocks_say_the_frames_and_the_maps():
    encoder = SpectrogramCNN(channels=16, width=2, blocks=[[2, 2, 2], [2, 1, 1], [3, 1, 2]], squeeze=2).eval()
    assert encoder.size == 6 and [block.first.convolution.in_channels for block in encoder.blocks] == [2, 4, 4]
    for samples, frames in ((400, 1), (400 + 4 * 160, 2), (32000, 50)):  # a frame of 40 ms
        assert encoder(torch.randn(1, samples))[0].shape == (1, frames, 6)


@pytest.mark.parametrize("channels", [16, 13])
def test_a_frame_that_keeps_frequency_is_a_projection_of_all_its_maps(channels):
    torch.manual_seed(0)
    encoder = SpectrogramCNN(channels=channels, width=2, blocks=[[2, 2, 2], [3, 1, 1]], frame_size=5).eval()
    images = []
    encoder.blocks[-1].register_forward_hook(lambda _, __, output: images.append(output[0]))
    clip = torch.randn(2, 9000)
    frames, _ = encoder(clip)
    (image,) = images  # (clips, maps, frames, places)
    assert encoder.size == 5 and image.shape[3] == 4
    for frame in range(frames.shape[1]):
        vector = image[0, :, frame].T.flatten()  # of each place, its maps
        projected = encoder.join.projection.weight @ vector / (1 + encoder.join.norm.eps) ** 0.5
        torch.testing.assert_close(frames[0, frame], projected.relu())


def test_a_mask_that_hides_nothing_changes_nothing(extract):
    clip, made = extract(noise_clips(8000)), model()
    clip.pop("attention_mask")
    whole = torch.ones(1, 8000, dtype=torch.long)
    assert torch.equal(made(**clip, attention_mask=whole).embeddings, made(**clip).embeddings)


def test_every_parameter_learns(extract):
    made = model(masks=1, shift=2, squeeze=1, frame_size=6).train()
    made(**extract(noise_clips(8000, 12000, 16000)), labels=exvo_labels(3)).loss.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in made.encoder.parameters())


def test_maps_are_weighed_by_their_means_over_the_clip():
    layer = WeighedMaps(2, 1)
    layer.squeeze.weight.data, layer.squeeze.bias.data = torch.tensor([[1.0, 2.0]]), torch.tensor([-1.0])
    layer.excite.weight.data, layer.excite.bias.data = torch.tensor([[1.0], [-1.0]]), torch.tensor([0.0, 2.0])
    image = torch.zeros(1, 2, 4, 1)
    image[0, :, :2, 0] = torch.tensor([[1.0, 3.0], [0.0, 1.0]])  # means of two frames 2 and ½, so 2 + 1 − 1 = 2
    weighed = layer(image, torch.tensor([[True, True, False, False]]))
    weights = torch.tensor([2.0, 0.0]).sigmoid()  # 1 · 2 + 0 and −1 · 2 + 2
    torch.testing.assert_close(weighed, image * weights[:, None, None])
    torch.testing.assert_close(layer(image[:, :, :2], None), weighed[:, :, :2])


@pytest.mark.parametrize("shape", [(12, 16), (7, 9), (1, 1)])
@pytest.mark.parametrize("stride", [(2, 2), (1, 2)])
def test_a_convolution_of_one_place_strides_as_torchs_own(shape, stride):
    torch.manual_seed(0)
    layer = NormalisedConvolution(8, 16, kernel=1, stride=stride).eval()
    image = torch.randn(2, 8, *shape)
    made, mask = layer(image, torch.ones(2, shape[0], dtype=torch.bool))
    expected = F.conv2d(image, layer.convolution.weight, stride=stride)
    assert torch.allclose(made, layer.norm(expected), atol=1e-6) and mask.shape[1] == made.shape[2]
    made.sum().backward()
    (found,) = torch.autograd.grad(layer.norm(expected).sum(), layer.convolution.weight)
    assert torch.allclose(layer.convolution.weight.grad, found, atol=1e-5)


TRAIN_EACH_WIDTH = """
import torch
from burst2vec.spectrogram_cnn import NormalisedConvolution, SpectrogramCNN

layer = NormalisedConvolution(4, 8, kernel=1, stride=(2, 2))
for frames in range(12, 112):
    image = torch.randn(4, 4, frames, 16).contiguous(memory_format=torch.channels_last)
    layer(image, None)[0].square().mean().backward()
print("one layer", flush=True)
for width in (2, 4, 8, 16):
    encoder = SpectrogramCNN(channels=64, width=width)
    for step in range(12):
        encoder(torch.randn(4, 8000 + 800 * step))[0].square().mean().backward()
    print(width, flush=True)
"""


def test_every_width_trains_on_a_processor_without_avx_512():
    """By itself, since what is asked is that the heap stays whole: where it does not, glibc ends the process."""
    few = {"ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1", "MALLOC_CHECK_": "3"}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN_EACH_WIDTH], env={**os.environ, **few}, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout.split("\n")) == (0, ["one layer", "2", "4", "8", "16", ""]), done.stderr[-500:]


def test_it_comes_back_from_disk_as_it_was_saved(tmp_path, extract):
    made = model().train()
    made(**extract(noise_clips(8000, 12000)))  # moves the running statistics
    made.eval().save_pretrained(tmp_path)
    again = Burst2VecForMultiTask.from_pretrained(tmp_path)
    clip = extract(noise_clips(9000))
    assert torch.equal(again(**clip).embeddings, made(**clip).embeddings)


@pytest.mark.parametrize("lost", ["log_mel.variance", "stem.norm.running_var", "stem.convolution.weight"])
def test_what_a_file_lacks_comes_back_initialised(tmp_path, lost):
    made = model()
    weights = made.state_dict()
    del weights[f"encoder.{lost}"]
    made.save_pretrained(tmp_path, state_dict=weights)
    again, _ = Burst2VecForMultiTask.from_pretrained(tmp_path, output_loading_info=True)
    found = again.state_dict()[f"encoder.{lost}"]
    assert torch.isfinite(found).all() and (found.dim() > 1 or (found == 1).all())


def test_evaluation_knows_no_chance_and_training_does():
    encoder = SpectrogramCNN(channels=16, width=2, masks=2, mask_ratio=0.4, shift=3).eval()
    clip = torch.randn(1, 16000)
    assert torch.equal(encoder(clip)[0], encoder(clip)[0])
    encoder.train()
    assert not torch.equal(encoder(clip)[0], encoder(clip)[0])


def test_masks_leave_the_rest_of_a_spectrum_as_it_was():
    torch.manual_seed(0)
    encoder = SpectrogramCNN(channels=16, masks=2, mask_ratio=0.25)
    spectrum = torch.randn(64, 20, 16)
    mask = torch.arange(20) < torch.randint(5, 21, (64, 1))
    masked = encoder._mask(spectrum, mask)
    hidden = masked == 0
    assert torch.equal(masked[~hidden], spectrum[~hidden])
    channels, frames = hidden.all(dim=1), hidden.all(dim=2)
    assert torch.equal(hidden, channels[:, None, :] | frames[:, :, None]), "whole channels and whole frames"
    assert channels.sum(dim=1).max() <= 8 and (frames.sum(dim=1) <= 2 * 0.25 * mask.sum(dim=1) + 1e-6).all()
    assert not (frames & ~mask).any() and channels.any() and frames.any()


def test_a_shift_moves_the_spectrum_and_lets_nothing_in():
    torch.manual_seed(0)
    encoder = SpectrogramCNN(channels=8, shift=2)
    spectrum = torch.arange(1.0, 9.0).repeat(200, 3, 1)
    found = {tuple(clip[0].int().tolist()) for clip in encoder._shift(spectrum)}
    up = {(0, 0, 1, 2, 3, 4, 5, 6), (0, 1, 2, 3, 4, 5, 6, 7)}
    down = {(2, 3, 4, 5, 6, 7, 8, 0), (3, 4, 5, 6, 7, 8, 0, 0)}
    assert found == up | down | {tuple(range(1, 9))}


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"masks": -1},
        {"mask_ratio": 1.5},
        {"mask_ratio": -0.1},
        {"blocks": [[1, 2]]},
        {"blocks": []},
        {"shift": -1},
        {"squeeze": -1},
        {"frame_size": -1},
    ],
)
def test_an_argument_out_of_range_is_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
        SpectrogramCNN(**wrong)
