import librosa
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.signal import correlate2d
from transformers import PretrainedConfig, PreTrainedModel

from burst2vec.frontends import FRONTENDS, GaborSTRF, LogMel, mel_filters, random_spans
from tests.conftest import noise_clips

LENGTHS = (400, 559, 560, 3999, 16000, 12345, 32000, 8001)


def pad(clips, value=0.0):
    """Clips to waveforms and attention mask, with ``value`` after each."""
    width = max(len(clip) for clip in clips)
    waveforms = torch.tensor(np.stack([np.pad(clip, (0, width - len(clip)), constant_values=value) for clip in clips]))
    mask = torch.tensor([[1] * len(clip) + [0] * (width - len(clip)) for clip in clips])
    return waveforms, mask


def small(name, clips=()):
    """A front end of a few kernels, with the statistics of ``clips``."""
    options = {"rates": (4.0, 10.0), "scales": (-0.1, 0.2), "span_frames": 31} if name == "strf" else {}
    frontend = FRONTENDS[name](**options)
    if clips:
        frontend.estimate_statistics(clips)
    return frontend


@pytest.mark.parametrize("padding", [0.0, 9.0])
@pytest.mark.parametrize("name", FRONTENDS)
def test_padding_never_changes_a_valid_frame(name, padding):
    clips = noise_clips(*LENGTHS)
    frontend = small(name, clips)
    with torch.no_grad():
        together, frame_mask = frontend(*pad(clips, padding))
        for row, clip in enumerate(clips):
            (alone,), no_mask = frontend(torch.tensor(clip)[None])
            frames = frontend.count_frames(len(clip))
            assert no_mask is None and alone.shape == (frames, frontend.size)
            assert frame_mask[row].tolist() == [True] * frames + [False] * (frame_mask.shape[1] - frames)
            assert (together[row, :frames] - alone).abs().max() <= 1e-5
            assert (together[row, frames:] == 0).all()


@pytest.mark.parametrize("name", FRONTENDS)
def test_a_clip_of_a_minute_is_taken_beside_one_of_25_milliseconds(name):
    clips = noise_clips(60 * 16000, 400)
    frontend = small(name, clips)
    with torch.no_grad():
        together, frame_mask = frontend(*pad(clips))
        alone, _ = frontend(torch.tensor(clips[1])[None])
    assert frame_mask.sum(dim=1).tolist() == [5998, 1]
    assert (together[1, :1] - alone[0]).abs().max() <= 1e-5


@pytest.mark.parametrize(("samples", "frames"), [(400, 1), (559, 1), (560, 2), (16000, 98), (32000, 198)])
@pytest.mark.parametrize("name", FRONTENDS)
def test_frames_are_counted_as_they_are_made(name, samples, frames):
    frontend = small(name)
    assert frontend.count_frames(samples) == frames
    assert frontend.count_frames(torch.tensor([samples])).tolist() == [frames]
    assert frontend(torch.randn(1, samples))[0].shape == (1, frames, frontend.size)


@pytest.mark.parametrize("name", FRONTENDS)
def test_a_full_mask_is_no_mask(name):
    frontend, waveforms = small(name), torch.randn(2, 4000)
    spectrum, frame_mask = frontend(waveforms, torch.ones(2, 4000, dtype=torch.long))
    assert frame_mask is None and torch.equal(spectrum, frontend(waveforms)[0])


@pytest.mark.parametrize("name", FRONTENDS)
def test_what_is_no_batch_of_bursts_is_refused(name):
    frontend, mask = small(name), torch.ones(3, 16000, dtype=torch.long)
    mask[1, 399:] = 0
    with pytest.raises(ValueError, match="clip 1 of the batch has 399 samples; 400 to 960000 work"):
        frontend(torch.randn(3, 16000), mask)
    with pytest.raises(ValueError, match="clip 0 of the batch has 399 samples"):
        frontend(torch.randn(3, 399))
    with pytest.raises(ValueError, match="clip 0 of the batch has 960001 samples"):
        frontend(torch.zeros(1, 960001))
    with pytest.raises(ValueError, match="pad clips on the right"):
        frontend(torch.randn(3, 16000), torch.ones(3, 16000).long().index_fill(1, torch.tensor([0]), 0))
    with pytest.raises(ValueError, match=r"attention_mask \(3, 16000\) is not of waveforms \(3, 8000\)"):
        frontend(torch.randn(3, 8000), mask)
    with pytest.raises(ValueError, match=r"waveforms are \(8000,\), not \(batch, samples\)"):
        frontend(torch.randn(8000))


@pytest.mark.parametrize("channels", [23, 40, 80])
def test_the_mel_filters_are_librosas(channels):
    expected = librosa.filters.mel(sr=16000, n_fft=512, n_mels=channels, dtype=np.float64)
    np.testing.assert_allclose(mel_filters(channels, torch.device("cpu")).T.numpy(), expected, rtol=1e-4, atol=1e-9)


def test_the_energies_are_librosas():
    (clip,) = noise_clips(16123)
    tone = (clip * 0.1 + np.sin(2 * np.pi * 440 / 16000 * np.arange(16123))).astype(np.float32)
    # librosa sets the window of 400 in the middle of a frame of 512: 56 zeros in front put both on the same samples
    expected = librosa.feature.melspectrogram(
        y=np.pad(tone, 56).astype(np.float64),
        sr=16000,
        n_fft=512,
        win_length=400,
        hop_length=160,
        center=False,
        n_mels=80,
    ).T
    energies = LogMel().log_energies(torch.tensor(tone)[None])[0].exp().numpy()
    assert energies.shape == expected.shape
    assert (np.abs(energies - expected) / expected).max() <= 1e-4


def test_silence_is_the_floor_and_finite():
    spectrum, _ = LogMel()(torch.zeros(1, 1600))
    torch.testing.assert_close(spectrum, torch.full_like(spectrum, float(np.log(1e-10))))


def test_what_lies_below_the_floor_is_all_the_same():
    log_mel, quiet, (clip,) = LogMel(energy_floor=1e-4), LogMel(), noise_clips(1600)
    for level in (1e-5, 1e-6, 0.0):
        assert (log_mel(torch.tensor(level * clip)[None])[0] == float(np.log(np.float32(1e-4)))).all()
    loud = torch.tensor(clip)[None]
    assert torch.equal(log_mel(loud)[0], quiet(loud)[0])
    with pytest.raises(ValueError, match="energy_floor is 0; the logarithm needs one above 0, such as 1e-10"):
        LogMel(energy_floor=0)


def test_statistics_are_those_of_all_frames_at_once():
    clips = [clip * gain for clip, gain in zip(noise_clips(*LENGTHS), np.geomspace(1e-3, 1, 8), strict=True)]
    log_mel = LogMel()
    frames = torch.cat([log_mel.log_energies(torch.tensor(clip)[None])[0] for clip in map(np.float32, clips)]).double()
    log_mel.estimate_statistics(iter(clips))
    torch.testing.assert_close(log_mel.mean, frames.mean(dim=0).float(), atol=0, rtol=1e-6)
    torch.testing.assert_close(log_mel.variance, frames.var(dim=0, correction=0).float(), atol=0, rtol=1e-6)
    normalised = torch.cat([log_mel(torch.tensor(clip)[None])[0][0] for clip in map(np.float32, clips)])
    assert normalised.mean(dim=0).abs().max() < 1e-5 and (normalised.var(dim=0, correction=0) - 1).abs().max() < 1e-5


def test_statistics_do_not_depend_on_the_order_of_clips():
    clips, forwards, backwards = noise_clips(*LENGTHS), LogMel(), LogMel()
    forwards.estimate_statistics(clips)
    backwards.estimate_statistics([torch.tensor(clip) for clip in clips[::-1]])
    assert torch.equal(forwards.mean, backwards.mean) and torch.equal(forwards.variance, backwards.variance)


def test_a_channel_that_never_varies_is_centred_and_not_scaled():
    log_mel = LogMel()
    log_mel.estimate_statistics([np.zeros(50 * 160 + 240, np.float32)] * 3)
    assert (log_mel.variance == 1).all()
    assert log_mel(torch.zeros(1, 1600))[0].abs().max() < 1e-5


def test_statistics_of_nothing_or_of_no_burst_are_refused():
    with pytest.raises(ValueError, match="no clips to estimate"):
        LogMel().estimate_statistics([])
    with pytest.raises(ValueError, match="clip 1: sample 7 is nan"):
        LogMel().estimate_statistics([np.ones(400), np.where(np.arange(400) == 7, np.nan, 1.0)])


def test_a_log_mel_spectrum_keeps_float32_under_autocast_and_in_bfloat16():
    log_mel, waveforms = LogMel(), torch.randn(1, 4000)
    expected, _ = log_mel(waveforms)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(log_mel(waveforms)[0], expected)
    assert torch.equal(log_mel.bfloat16()(waveforms)[0], expected)


def test_a_front_end_first_used_in_inference_mode_can_train_later():
    mel_filters.cache_clear()
    log_mel = LogMel()
    with torch.inference_mode():
        log_mel(torch.randn(1, 800))
    waveforms = torch.randn(1, 800, requires_grad=True)
    log_mel(waveforms)[0].sum().backward()
    assert torch.isfinite(waveforms.grad).all()


def naive_kernel(rate, scale, span_frames, span_channels):
    """The closed form of one complex kernel, a sample at a time, for frequencies under half a cycle a step."""

    def envelope(step, cycles, span):
        width = span + 1 if cycles == 0 else min(2 / abs(cycles), span + 1)
        return np.cos(np.pi * step / width) ** 2 if abs(step) < width / 2 else 0.0

    kernel = np.zeros((span_frames, span_channels), dtype=complex)
    energy = 0.0
    for row in range(span_frames):
        for column in range(span_channels):
            t, f = row - span_frames // 2, column - span_channels // 2
            height = envelope(t, rate / 100, span_frames) * envelope(f, scale, span_channels)
            energy += height**2
            kernel[row, column] = height * np.exp(2j * np.pi * (rate / 100 * t + scale * f))
    return kernel / np.sqrt(energy)


def test_kernels_are_the_closed_form():
    rates, scales = (0.0, 2.0, 5.5, 16.0, 49.0), (-0.25, -0.03, 0.0, 0.11, 0.45)
    kernels = GaborSTRF(rates, scales, span_frames=31, span_channels=9).kernels().detach().numpy()
    expected = np.stack([naive_kernel(rate, scale, 31, 9) for rate in rates for scale in scales])
    assert np.abs(kernels - np.concatenate([expected.real, expected.imag])).max() <= 1e-6


def test_maps_are_equation_2_at_every_one_of_80_channels():
    """Sharma et al. 2022: STMF[i, t, k] = STRF(i)[t, k] ⋆ LM[t, k], by scipy, with kernels by their closed form."""
    rates, scales = (2.0, 16.0), (-0.25, 0.03125)
    strf = GaborSTRF(rates, scales).double()
    spectrum = np.random.default_rng(0).normal(size=(70, 80))
    maps = strf.respond(torch.tensor(spectrum)[None])[0].detach().numpy()
    kernels = np.stack([naive_kernel(rate, scale, 61, 21) for rate in rates for scale in scales])
    kernels = np.concatenate([kernels.real, kernels.imag])
    expected = np.stack([correlate2d(spectrum, kernel, mode="same") for kernel in kernels])
    assert maps.shape == (70, 8 * 80)
    assert np.abs(maps.reshape(70, 8, 80) - expected.transpose(1, 0, 2)).max() <= 1e-6


def test_every_kernel_has_energy_one_and_a_fast_one_is_deaf_to_a_constant():
    kernels = GaborSTRF(rates=(4.0, 8.0, 16.0), scales=(0.05, 0.2)).kernels().detach()
    real, imaginary = kernels.chunk(2)
    torch.testing.assert_close((real**2 + imaginary**2).sum(dim=(1, 2)), torch.ones(6))
    assert kernels.sum(dim=(1, 2)).abs().max() < 0.02 * kernels.abs().sum(dim=(1, 2)).min()


def test_a_rate_or_scale_beyond_half_a_cycle_is_what_it_aliases_to():
    strf = GaborSTRF(rates=(30.0,), scales=(0.2,))
    expected = strf.kernels()
    with torch.no_grad():
        strf.rate.add_(100.0)
        strf.scale.sub_(1.0)
    torch.testing.assert_close(strf.kernels(), expected, atol=2e-5, rtol=0)


def test_only_rate_and_scale_learn_and_their_gradients_are_finite_differences():
    torch.manual_seed(0)
    # Not 10 Hz or 0.2: their envelopes end on a step, where the second derivative jumps and differences are inexact.
    strf = GaborSTRF(rates=(4.0, 10.5), scales=(-0.03, 0.21), span_frames=31).double()
    assert [name for name, _ in strf.named_parameters()] == ["rate", "scale"]
    spectrum = torch.randn(1, 40, 80, dtype=torch.float64)
    weights = torch.randn(1, 40, strf.size, dtype=torch.float64)

    def loss():
        return (strf.respond(spectrum) * weights).sum()

    loss().backward()
    for parameter in (strf.rate, strf.scale):
        for index in range(len(parameter)):
            with torch.no_grad():
                step = 1e-6
                parameter[index] += step
                above = loss()
                parameter[index] -= 2 * step
                below = loss()
                parameter[index] += step
            difference = float((above - below) / (2 * step))
            assert float(parameter.grad[index]) == pytest.approx(difference, rel=1e-5, abs=1e-5)
            assert difference != 0


def test_gradients_are_finite_at_zero_rate_and_scale():
    strf = GaborSTRF(rates=(0.0, 50.0), scales=(0.0, 0.5), span_frames=5, span_channels=5)
    strf(torch.randn(1, 4000))[0].square().sum().backward()
    assert torch.isfinite(strf.rate.grad).all() and torch.isfinite(strf.scale.grad).all()


def ripple(rate, scale, frames=200, channels=80):
    """A spectrum that is one ripple, (1, frames, channels)."""
    t, f = torch.arange(frames)[:, None] / 100, torch.arange(channels)
    return torch.cos(2 * torch.pi * (rate * t + scale * f))[None]


def test_a_kernel_answers_its_own_ripple_most_in_rate_scale_and_direction():
    grid = [(rate, scale) for rate in (4.0, 8.0, 16.0) for scale in (-0.25, -0.125, 0.125, 0.25)]
    strf = GaborSTRF(rates=(4.0, 8.0, 16.0), scales=(-0.25, -0.125, 0.125, 0.25), channel_hop=4)
    with torch.no_grad():
        responses = [strf.respond(ripple(*pair))[0, 40:160].view(120, 2, 12, 20)[..., 4:16] for pair in grid]
    magnitudes = torch.stack([r.square().sum(dim=1).mean(dim=(0, 2)).sqrt() for r in responses])  # (ripples, kernels)
    assert magnitudes.argmax(dim=0).tolist() == list(range(12))  # of all ripples, its own
    assert magnitudes.argmax(dim=1).tolist() == list(range(12))  # of all kernels, the one that is tuned to it
    assert (magnitudes.diagonal() > 1.5 * magnitudes.topk(2, dim=0).values[1]).all()


def test_maps_stand_in_the_order_that_is_promised():
    strf = GaborSTRF(rates=(5.0,), scales=(0.1, 0.2), span_frames=5, span_channels=3, channel_hop=8)
    spectrum = torch.zeros(1, 9, 80)
    spectrum[0, 4, 16] = 1.0  # at place 2 of 10; there the middle of each kernel meets it
    maps = strf.respond(spectrum)[0].view(9, 4, 10)
    kernels = strf.kernels()
    for index in range(4):
        torch.testing.assert_close(maps[2:7, index, 2], kernels[index, :, 1].flip(0))
    assert maps[..., [0, 1, 3, 4]].abs().max() == 0


def test_responses_are_a_two_dimensional_convolution():
    strf, spectrum = GaborSTRF(span_frames=9, span_channels=7, channel_hop=3), torch.randn(2, 30, 80)
    maps = torch.nn.functional.conv2d(spectrum[:, None], strf.kernels()[:, None], padding=(4, 3), stride=(1, 3))
    assert strf.size == maps.shape[1] * maps.shape[3]
    torch.testing.assert_close(strf.respond(spectrum), maps.transpose(1, 2).flatten(2), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"span_frames": 30}, "span_frames is 30; a kernel has a middle, so take an odd number such as 31"),
        ({"span_channels": -1}, "span_channels is -1"),
        ({"channel_hop": 0}, "channel_hop is 0"),
        ({"channels": 0}, "channels is 0"),
        ({"rates": ()}, r"rates is \(\); give at least one"),
        ({"rates": (60.0,)}, "each within -50 to 50 Hz"),
        ({"scales": (float("nan"),)}, "each within -0.5 to 0.5 cycles per channel"),
    ],
)
def test_a_setting_that_makes_no_kernel_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GaborSTRF(**options)


class Ears(PreTrainedModel):
    """As little as a transformers model can be around a front end."""

    config_class = PretrainedConfig

    def __init__(self, config):
        super().__init__(config)
        self.frontend = GaborSTRF(rates=(4.0, 10.0), scales=(-0.1, 0.2))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module):
        if isinstance(module, (LogMel, GaborSTRF)):
            module.initialise()


def test_statistics_and_ripples_survive_saving_and_loading(tmp_path):
    clips = noise_clips(*LENGTHS)
    ears = Ears(PretrainedConfig())
    ears.frontend.estimate_statistics(clips)
    with torch.no_grad():
        ears.frontend.rate += 0.5
    ears.save_pretrained(tmp_path)
    again = Ears.from_pretrained(tmp_path)
    for name, values in ears.state_dict().items():
        assert torch.equal(again.state_dict()[name], values), name
    assert len(ears.state_dict()) == 4
    with torch.no_grad():
        assert torch.equal(again.frontend(*pad(clips))[0], ears.frontend(*pad(clips))[0])


@pytest.mark.parametrize("lost", ["rate", "scale", "log_mel.mean", "log_mel.variance"])
def test_what_a_checkpoint_lacks_starts_as_new(tmp_path, lost):
    ears, fresh = Ears(PretrainedConfig()), Ears(PretrainedConfig())
    ears.frontend.estimate_statistics(noise_clips(*LENGTHS))
    state = ears.state_dict()
    del state[f"frontend.{lost}"]
    ears.save_pretrained(tmp_path, state_dict=state)
    again = Ears.from_pretrained(tmp_path)
    assert torch.equal(again.state_dict()[f"frontend.{lost}"], fresh.state_dict()[f"frontend.{lost}"])
    for name in state:
        assert torch.equal(again.state_dict()[name], state[name]), name


def test_spans_lie_within_their_length_and_every_width_and_place_occurs():
    torch.manual_seed(0)
    lengths = torch.tensor([5] * 2000 + [10] * 2000)
    spans = random_spans(lengths, 12, share=0.4)
    assert not spans[:2000, 5:].any() and not spans[2000:, 10:].any()
    short = [tuple(span) for span in spans[:2000, :5].int().tolist()]
    changes = F.pad(spans.int(), (1, 1)).diff(dim=1)
    assert (changes == 1).sum(dim=1).max() == 1, "one span a clip"
    assert {sum(span) for span in short} == {0, 1, 2} and len(set(short)) == 1 + 5 + 4
    assert set(spans[2000:].sum(dim=1).tolist()) == {0, 1, 2, 3, 4}
