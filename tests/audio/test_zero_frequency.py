"""The zero-frequency filter beside its definition in whole numbers, and on a voice whose epochs are known."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import lfilter

from burst2vec.audio import zero_frequency_filter
from burst2vec.audio.zero_frequency import resonator_taps
from burst2vec.errors import WaveformError


def as_defined(clip: list[int], half_window: int) -> list[Fraction]:
    """Difference, then twice resonator and trend removal, sample by sample in whole numbers.

    Before and after the clip its ends are held, so that the difference is zero there; as the trend looks ahead by half
    a window, the recursion starts a window before the clip and ends a window after it.
    """
    around = 2 * half_window + 2
    signal = [0] * around + [now - before for before, now in zip([clip[0], *clip], clip, strict=False)] + [0] * around
    for _ in range(2):
        resonated = []
        for sample in signal:
            before, second = ([0, 0] + resonated)[:-3:-1]
            resonated.append(2 * before - second + sample)
        # In units of 1 / (2N+1), so that the numbers stay whole. Beyond its end the recursion would go on; those
        # samples are wrong here, and so few that they are cut off below.
        signal = [
            (2 * half_window + 1) * resonated[n]
            - sum(resonated[k] if 0 <= k < len(resonated) else 0 for k in range(n - half_window, n + half_window + 1))
            for n in range(len(resonated))
        ]
    scale = (2 * half_window + 1) ** 2
    return [Fraction(sample, scale) for sample in signal[around : around + len(clip)]]


def voice(period, samples=16_000, formants=((700, 90), (1_200, 110), (2_500, 170))):
    """Negative impulses through resonances (Hz, bandwidth in Hz), and the samples at which they stand."""
    closings = np.arange(800, samples - 800, period)
    sound = np.zeros(samples)
    sound[closings] = -1.0
    for frequency, bandwidth in formants:
        radius = np.exp(-np.pi * bandwidth / 16_000)
        sound = lfilter([1.0], [1.0, -2 * radius * np.cos(2 * np.pi * frequency / 16_000), radius**2], sound)
    return 0.5 * sound / np.abs(sound).max(), closings


def upward_crossings(waveform):
    """Samples after which the waveform is no longer below zero, away from the ends."""
    crossings = np.flatnonzero((waveform[:-1] < 0) & (waveform[1:] >= 0))
    return crossings[(crossings > 1_500) & (crossings < len(waveform) - 1_500)]


@pytest.mark.parametrize("window_samples", [32, 160])
def test_it_is_the_definition_to_the_last_digits(window_samples):
    clip = np.random.default_rng(0).integers(-100, 100, size=300).tolist()
    expected = np.array([float(sample) for sample in as_defined(clip, window_samples // 2)])
    taps, gain = resonator_taps(window_samples // 2)
    np.testing.assert_allclose(
        zero_frequency_filter(np.array(clip, dtype=np.float64), window_seconds=window_samples / 16_000),
        expected / gain,
        atol=1e-6 * np.abs(expected / gain).max(),
    )


def test_the_taps_of_a_small_window_by_hand():
    # N = 2: one pair is -(1, 3, 1) / 5, its square (1, 6, 11, 6, 1) / 25.
    np.testing.assert_allclose(resonator_taps(2)[0], np.array([1, 6, 11, 6, 1]) / 25)


def test_the_largest_gain_is_1_and_stands_at_70_hz():
    impulse = np.zeros(16_000)
    impulse[8_000] = 1.0
    gains = np.abs(np.fft.rfft(zero_frequency_filter(impulse), 1 << 18))
    frequencies = np.fft.rfftfreq(1 << 18, 1 / 16_000)
    assert gains.max() == pytest.approx(1.0, abs=1e-5)
    assert frequencies[gains.argmax()] == pytest.approx(70.4, abs=0.2)
    np.testing.assert_allclose(np.interp([500, 1_000], frequencies, gains), [1 / 146, 1 / 1_180], rtol=0.01)


@pytest.mark.parametrize("period", [80, 128, 160])
def test_bare_impulses_are_crossed_upwards_once_each_a_sample_and_a_half_early(period):
    sound, closings = voice(period, formants=())
    crossings = upward_crossings(zero_frequency_filter(sound))
    inside = closings[(closings > 1_502) & (closings < 14_502)]
    np.testing.assert_array_equal(crossings, inside - 2)  # below zero 2 samples before, above it 1 sample before


@pytest.mark.parametrize("period", [80, 128, 160])
def test_a_voice_with_its_resonances_is_crossed_upwards_once_a_period_where_the_glottis_closes(period):
    sound, closings = voice(period)
    crossings = upward_crossings(zero_frequency_filter(sound))
    assert set(np.diff(crossings)) == {period}
    nearest = np.abs(crossings[:, None] - closings).min(axis=1)
    assert nearest.max() <= 5  # 0.3 ms


def test_a_minute_has_no_drift():
    sound, closings = voice(128, samples=60 * 16_000)
    swing = np.abs(zero_frequency_filter(sound))
    first, last = swing[16_000:32_000].max(), swing[-32_000:-16_000].max()
    assert last == pytest.approx(first, rel=1e-5)


def test_twice_the_rate_gives_the_same_swing():
    time = np.arange(16_000) / 16_000
    fine = np.arange(32_000) / 32_000
    slow = zero_frequency_filter(np.sin(2 * np.pi * 120 * time))
    fast = zero_frequency_filter(np.sin(2 * np.pi * 120 * fine), 32_000)
    assert np.abs(fast[4_000:-4_000]).max() == pytest.approx(np.abs(slow[2_000:-2_000]).max(), rel=0.02)


def test_it_is_linear():
    clip = np.random.default_rng(0).normal(size=1_000)
    np.testing.assert_allclose(zero_frequency_filter(4 * clip), 4 * zero_frequency_filter(clip), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("samples", [1, 2, 400, 16_000])
def test_a_constant_clip_becomes_silent_and_keeps_its_length(samples):
    for constant in (0.0, 0.3):
        filtered = zero_frequency_filter(np.full(samples, constant))
        assert filtered.dtype == np.float32 and filtered.shape == (samples,) and not filtered.any()


def test_an_offset_changes_nothing():
    sound, _ = voice(128)
    np.testing.assert_allclose(zero_frequency_filter(sound + 0.5), zero_frequency_filter(sound), atol=1e-6)


@pytest.mark.parametrize("window_seconds", [0.0019, 0.06, np.nan, -0.01])
def test_a_window_far_from_a_voices_period_is_refused(window_seconds):
    with pytest.raises(ValueError, match="window_seconds=.*allowed: 0.002 to 0.05"):
        zero_frequency_filter(np.zeros(400), window_seconds=window_seconds)


def test_what_is_no_clip_or_rate_is_refused():
    with pytest.raises(WaveformError, match="mix down first"):
        zero_frequency_filter(np.zeros((2, 400)))
    with pytest.raises(ValueError, match="sampling_rate=0"):
        zero_frequency_filter(np.zeros(400), 0)
