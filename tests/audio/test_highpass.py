"""The high-pass: its figures at every rate, and what it leaves of short clips."""

import numpy as np
import pytest

from burst2vec.audio import highpass
from burst2vec.audio.highpass import lowpass_kernel
from burst2vec.errors import WaveformError

RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000]


def gains(rate, **options):
    """Frequencies in Hz and the gain at each, from what the filter makes of one impulse."""
    impulse = np.zeros(rate, dtype=np.float32)
    impulse[rate // 2] = 1.0
    response = highpass(impulse, rate, **options).astype(np.float64)
    return np.fft.rfftfreq(4 * rate, 1 / rate), np.abs(np.fft.rfft(response, 4 * rate))


def decibels(gain):
    return 20 * np.log10(gain)


def tone(frequency, samples=16_000, phase=0.0, rate=16_000):
    return np.sin(2 * np.pi * frequency * np.arange(samples) / rate + phase)


@pytest.mark.parametrize("rate", RATES)
def test_an_offset_is_far_down_and_a_voice_is_not_touched(rate):
    frequencies, gain = gains(rate)
    assert decibels(gain[0] + 1e-12) < -100
    assert np.abs(decibels(gain[frequencies >= 60])).max() < 0.1


@pytest.mark.parametrize("rate", RATES)
def test_half_the_amplitude_is_left_at_20_hz(rate):
    frequencies, gain = gains(rate)
    assert gain[frequencies == 20].item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("cutoff_hz", [20.0, 50.0, 500.0])
@pytest.mark.parametrize("rate", [4_000, 16_000, 48_000])
def test_a_stopband_is_40_db_down_to_its_edge_and_all_passes_from_three_times_that(rate, cutoff_hz):
    frequencies, gain = gains(rate, cutoff_hz=cutoff_hz, stopband=True)
    assert decibels(gain[frequencies <= cutoff_hz] + 1e-12).max() < -40
    assert np.abs(decibels(gain[frequencies >= 3 * cutoff_hz])).max() < 0.1
    without = decibels(gains(rate, cutoff_hz=cutoff_hz)[1][frequencies == cutoff_hz])
    assert without.item() == pytest.approx(-6.0, abs=1.5), "half the amplitude, where it is not asked for"


def test_a_stopband_is_the_convolution_with_its_mirrored_clip():
    clip = np.random.default_rng(0).normal(size=700).astype(np.float32)  # shorter than the kernel
    low = lowpass_kernel(20.0, 16_000)
    naive = clip - np.convolve(np.pad(clip.astype(float), low.size // 2, mode="symmetric"), low, mode="valid")
    np.testing.assert_allclose(highpass(clip, stopband=True), naive, atol=1e-6)


def test_the_gain_is_that_of_the_formula():
    frequencies, gain = gains(16_000)
    x = np.pi * frequencies[1:] / 16_000
    np.testing.assert_allclose(gain[1:], np.abs(1 - (np.sin(293 * x) / (293 * np.sin(x))) ** 3), atol=1e-6)


def test_it_is_the_convolution_with_its_mirrored_clip():
    clip = np.random.default_rng(0).normal(size=1_500).astype(np.float32)
    mean = np.full(293, 1 / 293)
    kernel = -np.convolve(np.convolve(mean, mean), mean)
    kernel[438] += 1.0
    naive = np.convolve(np.pad(clip, 438, mode="symmetric"), kernel, mode="valid")
    np.testing.assert_allclose(highpass(clip), naive, atol=1e-6)


@pytest.mark.parametrize("stopband", [False, True])
@pytest.mark.parametrize("samples", [1, 2, 399, 400, 877, 32_000])
def test_a_constant_clip_becomes_silent_to_the_last_bit(samples, stopband):
    assert not highpass(np.full(samples, 0.3), stopband=stopband).any()


def test_a_silent_clip_stays_silent():
    silent = highpass(np.zeros(400))
    assert silent.dtype == np.float32 and silent.shape == (400,) and not silent.any()


@pytest.mark.parametrize("samples", [400, 16_000])
def test_an_offset_changes_nothing_in_what_is_left(samples):
    clip = np.random.default_rng(0).normal(size=samples)
    np.testing.assert_allclose(highpass(clip + 3.0), highpass(clip), atol=2e-6)


def test_a_tone_of_100_hz_loses_its_offset_and_is_not_delayed():
    left = highpass(tone(100) + 0.5)
    np.testing.assert_allclose(left[438:-438], tone(100)[438:-438], atol=0.001)


@pytest.mark.parametrize("phase", np.linspace(0, np.pi, 7))
def test_at_an_end_where_a_tone_is_cut_off_at_most_14_percent_are_amiss(phase):
    amiss = np.abs(highpass(tone(100, phase=phase) + 0.5) - tone(100, phase=phase))
    assert amiss.max() < 0.14
    assert amiss[438:-438].max() < 0.001  # and none of it after 28 ms


def test_a_slow_drift_makes_no_step_at_the_ends():
    drift = np.linspace(-1, 1, 16_000)
    assert np.abs(highpass(drift)).max() < 0.015  # over the 28 ms of half a kernel it moves 0.055


def test_a_clip_of_400_samples_keeps_its_tone():
    clip = tone(400, samples=400)
    np.testing.assert_allclose(highpass(clip + 1.0), clip, atol=0.1)


def test_the_clip_itself_is_not_changed():
    clip = np.ones(400, dtype=np.float32)
    highpass(clip)
    assert (clip == 1).all()


@pytest.mark.parametrize(
    "clip, message",
    [
        (np.zeros((2, 400)), r"got shape \(2, 400\); mix down first"),
        (np.zeros(400, dtype=np.int16), "float samples, full scale 1, got int16"),
        (np.zeros(0), "no samples"),
        (np.array([0.0, np.nan]), "sample 1 is nan"),
        (np.array([0.0, np.inf, np.nan]), "sample 1 is inf"),
    ],
)
def test_what_is_no_clip_is_refused(clip, message):
    with pytest.raises(WaveformError, match=message):
        highpass(clip)


def test_what_is_no_rate_of_sound_is_refused():
    with pytest.raises(ValueError, match="sampling_rate=50; allowed: 4000 to 192000 Hz"):
        highpass(np.zeros(400), 50)


@pytest.mark.parametrize("cutoff_hz", [0.0, 0.5, 501.0, np.nan])
def test_a_cutoff_out_of_range_is_refused(cutoff_hz):
    with pytest.raises(ValueError, match=f"cutoff_hz={cutoff_hz}; allowed: 1 to 500 Hz"):
        highpass(np.zeros(400), cutoff_hz=cutoff_hz)
