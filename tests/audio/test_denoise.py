"""Noise reduction: the estimator's formula, the recursion, the noise's level, and what it leaves of clips."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special, stats

from burst2vec.audio import denoise, load_audio, mmse_stsa, mmse_stsa_gain
from burst2vec.errors import WaveformError

EMOGATOR = Path(os.environ.get("EMOGATOR_DIR", Path(__file__).parents[2].parent / "shared/emogator"))
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000]

pytestmark = pytest.mark.filterwarnings("error")


def hiss(samples=16_000, level=0.01, seed=0):
    return (level * np.random.default_rng(seed).normal(size=samples)).astype(np.float32)


def voice(samples=16_000, rate=16_000, pitch=220.0):
    """A held vowel from the first sample to the last: 12 harmonics, no pause."""
    time = np.arange(samples) / rate
    return sum(0.2 / k * np.sin(2 * np.pi * k * pitch * time) for k in range(1, 13)).astype(np.float32)


def snr_db(clean, noisy):
    return 10 * np.log10(np.square(clean).sum() / np.square(clean.astype(np.float64) - noisy).sum())


@pytest.fixture
def benchmark(monkeypatch):
    pytest.importorskip("noisereduce")
    monkeypatch.syspath_prepend(BENCHMARKS)
    spec = importlib.util.spec_from_file_location("denoise_benchmark", BENCHMARKS / "denoise.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The gain


def grid(step_db):
    return np.meshgrid(*[10 ** (np.arange(-30, 40.01, step_db) / 10)] * 2, indexing="ij")


def equation_7(prior, posterior, i0, i1, exp, sqrt, half_root_of_pi):
    v = prior / (1 + prior) * posterior
    return half_root_of_pi * sqrt(v) / posterior * exp(-v / 2) * ((1 + v) * i0(v / 2) + v * i1(v / 2))


def test_the_gain_is_equation_7_wherever_plain_bessel_functions_do_not_overflow():
    prior, posterior = grid(step_db=1)
    small = prior / (1 + prior) * posterior < 1_400
    assert small.mean() > 0.8
    prior, posterior = prior[small], posterior[small]
    root = np.sqrt(np.pi) / 2
    expected = equation_7(prior, posterior, special.i0, special.i1, np.exp, np.sqrt, root)
    np.testing.assert_allclose(mmse_stsa_gain(prior, posterior), expected, rtol=1e-12)


def test_the_gain_is_equation_7_in_many_digits_from_minus_30_to_40_db():
    mpmath = pytest.importorskip("mpmath")
    prior, posterior = grid(step_db=5)
    expected = [
        equation_7(
            *map(mpmath.mpf, pair),
            lambda x: mpmath.besseli(0, x),
            lambda x: mpmath.besseli(1, x),
            mpmath.exp,
            mpmath.sqrt,
            mpmath.gamma(1.5),
        )
        for pair in zip(prior.ravel().tolist(), posterior.ravel().tolist(), strict=True)
    ]
    np.testing.assert_allclose(mmse_stsa_gain(prior, posterior).ravel(), np.array(expected, dtype=float), rtol=1e-12)


@pytest.mark.parametrize("prior, posterior", [(0.001, 0.01), (0.5, 3.0), (1.0, 1.0), (40.0, 0.2), (300.0, 500.0)])
def test_the_gain_is_the_mean_amplitude_given_the_noisy_one(prior, posterior):
    # Signal and noise are complex Gaussian, of power prior and 1. Given Y, the signal is Gaussian around W Y with power
    # W = prior / (1 + prior), and its amplitude has Rice's density.
    wiener = prior / (1 + prior)
    middle, spread = wiener * np.sqrt(posterior), np.sqrt(wiener / 2)
    density = stats.rice(middle / spread, scale=spread).pdf
    ends = max(0.0, middle - 12 * spread), middle + 12 * spread
    mean, _ = integrate.quad(lambda amplitude: amplitude * density(amplitude), *ends, epsabs=0, epsrel=1e-9)
    assert float(mmse_stsa_gain(prior, posterior)) == pytest.approx(mean / np.sqrt(posterior), rel=1e-6)


def test_the_gain_goes_to_wieners_where_the_signal_is_strong():
    np.testing.assert_allclose(mmse_stsa_gain(1e4, [1e4, 1e6]), 1e4 / (1 + 1e4), rtol=1e-4)


def test_without_any_signal_the_gain_is_zero():
    assert mmse_stsa_gain(0.0, [0.0, 1.0, 1e300]).tolist() == [0.0, 0.0, 0.0]


def test_the_gain_is_finite_and_falls_with_the_posterior_snr_at_any_size():
    snrs = np.concatenate([[0.0], 10.0 ** np.arange(-300, 301, 5)])
    gains = mmse_stsa_gain(snrs[:, None], snrs)
    assert gains.shape == (122, 122) and np.isfinite(gains).all() and (gains >= 0).all()
    assert (np.diff(gains, axis=0) >= -1e-12 * gains[1:]).all()  # it rises with the prior
    assert (np.diff(gains, axis=1) <= 1e-12 * gains[:, 1:]).all()


def test_where_nothing_is_recorded_the_estimate_is_that_of_minus_100_db():
    assert float(mmse_stsa_gain(1.0, 0.0)) == pytest.approx(np.sqrt(np.pi / 2) / 2 * 1e5, rel=1e-6)


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
@pytest.mark.parametrize("name", ["prior_snr", "posterior_snr"])
def test_a_ratio_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"{name}: {value}; allowed: ratios of powers"):
        mmse_stsa_gain(**{"prior_snr": 1.0, "posterior_snr": [1.0, 1.0]} | {name: [1.0, value]})


# The recursion


@pytest.mark.parametrize("smoothing, floor", [(0.98, 10**-2.5), (0.5, 1e-10), (0.999, 1.0)])
def test_the_gains_are_equation_51_and_equation_7_step_by_step(smoothing, floor):
    rng = np.random.default_rng(0)
    posterior = rng.exponential(size=(60, 40)) * 10 ** rng.uniform(-3, 5, size=(60, 40))
    posterior[10], posterior[:, 7] = 0.0, 1e12
    gains = denoise.decision_directed_gains(posterior, smoothing, floor)
    for k in range(40):
        estimate = max(posterior[0, k] - 1, 0)
        for n in range(60):
            prior = smoothing * estimate + (1 - smoothing) * max(posterior[n, k] - 1, 0)
            gain = float(mmse_stsa_gain(max(prior, floor), posterior[n, k]))
            estimate = gain**2 * max(posterior[n, k], 1e-10)
            assert gains[n, k] == pytest.approx(gain, rel=1e-6)


def test_the_table_is_right_to_eight_digits():
    v = np.concatenate([[0.0], 10 ** np.linspace(-9, 13, 50_000)])
    place = denoise.TABLE_STEPS / (1 + v)
    line = denoise.excess_lines()[place.astype(int)]
    np.testing.assert_allclose(v + line.real + line.imag * place, denoise._amplitude(v) ** 2, rtol=1e-8)


# Windows


@pytest.mark.parametrize("rate", [4_000, *RATES, 192_000])
def test_spectra_that_nobody_changed_give_the_clip_back(rate):
    hop = round(denoise.HOP_SECONDS * rate)
    for samples in (1, hop - 1, hop, hop + 1, 400, 3 * hop, 8_000):
        clip = hiss(samples, level=0.3)
        spectra = denoise.analyse(clip, hop)
        assert spectra.shape == (-(-samples // hop) + 2, 3 * hop // 2 + 1)
        np.testing.assert_allclose(denoise.synthesise(spectra, hop, samples), clip, atol=1e-6)


def test_with_gains_of_one_the_clip_comes_back(monkeypatch):
    monkeypatch.setattr(denoise, "decision_directed_gains", lambda posterior, *_: np.float32(1))
    clip = voice() + hiss()
    np.testing.assert_allclose(mmse_stsa(clip), clip, atol=1e-6)


def test_without_noise_the_clip_comes_back():
    clip = voice()
    np.testing.assert_allclose(mmse_stsa(clip, noise=np.zeros(16_000)), clip, atol=1e-5)
    paused = np.concatenate([np.zeros(8_000, np.float32), clip, 1e-6 * hiss(8_000)])
    np.testing.assert_allclose(mmse_stsa(paused), paused, atol=1e-3)


# The noise


def powers(clip, hop=108):
    return denoise.whole_windows(denoise.power_of(denoise.analyse(clip, hop)), hop, clip.size)


def test_the_level_of_white_noise_is_found_without_bias():
    ratios = [
        (denoise.noise_power(power) / power.mean())[5:-5].mean()
        for power in (powers(hiss(samples, seed=seed)) for seed in range(5) for samples in (4_000, 32_000))
    ]
    assert np.mean(ratios) == pytest.approx(denoise.OVERESTIMATE, rel=0.03)


def test_a_burst_over_two_thirds_of_the_clip_hardly_moves_the_level():
    alone, burst = powers(hiss()), powers(hiss() + np.concatenate([np.zeros(5_400, np.float32), voice(10_600)]))
    assert np.mean(np.log10(denoise.noise_power(burst) / denoise.noise_power(alone))) < 0.5  # Bel


def test_padding_does_not_change_the_level():
    power = powers(hiss())
    padded = np.concatenate([np.zeros((50, power.shape[1]), np.float32), power])
    np.testing.assert_array_equal(denoise.noise_power(padded), denoise.noise_power(power))


@pytest.mark.parametrize("rate", RATES)
def test_white_noise_is_lowered_by_17_db_at_every_rate(rate):
    clip = hiss(rate)
    out = mmse_stsa(clip, rate)
    assert out.shape == clip.shape and out.dtype == np.float32
    assert 20 * np.log10(out.std() / clip.std()) == pytest.approx(-16.7, abs=1)


def test_a_voice_without_a_pause_rises_out_of_the_noise():
    clean = voice()
    mixed = clean + hiss(level=clean.std())
    assert snr_db(clean, mixed) == pytest.approx(0, abs=0.2)
    assert snr_db(clean, mmse_stsa(mixed)) > 6


def test_a_stretch_of_noise_helps_where_a_voice_fills_the_clip():
    clean = voice()
    mixed = clean + hiss(level=0.03)
    with_noise = mmse_stsa(mixed, noise=hiss(4_000, level=0.03, seed=1))
    assert snr_db(clean, with_noise) > snr_db(clean, mixed) + 3 > snr_db(clean, mmse_stsa(mixed))


def test_a_lower_floor_leaves_less_noise():
    clip = hiss()
    left = [mmse_stsa(clip, floor_db=floor).std() for floor in (0, -10, -25)]
    assert left == sorted(left, reverse=True)


# Clips that are special


@pytest.mark.parametrize("samples", [1, 400, 16_000])
def test_a_silent_clip_stays_silent(samples):
    clip = np.zeros(samples)
    assert not mmse_stsa(clip).any() and not mmse_stsa(clip, noise=hiss()).any()


def test_digital_silence_in_parts_stays_and_does_not_hide_the_noise():
    clip = hiss(32_000)
    clip[4_000:20_000] = 0
    out = mmse_stsa(clip)
    assert np.isfinite(out).all() and not out[4_400:19_600].any()
    assert out[20_400:].std() < 0.25 * clip[20_400:].std()


def test_one_click_in_digital_silence_stays():
    clip = np.zeros(16_000, dtype=np.float32)
    clip[8_000] = 0.5
    np.testing.assert_array_equal(mmse_stsa(clip), clip)


def test_noise_in_a_part_of_the_band_only_is_no_trouble():
    spectrum = np.fft.rfft(voice() + hiss())
    spectrum[2_000:] = 0  # nothing at all above 2 kHz
    out = mmse_stsa(np.fft.irfft(spectrum))
    assert np.isfinite(out).all() and out.std() > 0.1


@pytest.mark.parametrize("samples", [1, 323, 400, 1_295])
def test_a_clip_too_short_to_tell_comes_back(samples):
    clip = hiss(samples)
    out = mmse_stsa(clip)
    np.testing.assert_array_equal(out, clip)
    assert not np.shares_memory(out, clip)


def test_from_ten_windows_on_noise_is_found():
    assert mmse_stsa(hiss(1_296)).std() < 0.3 * hiss(1_296).std()


def test_with_a_stretch_of_noise_no_clip_is_too_short():
    assert mmse_stsa(hiss(400), noise=hiss(seed=1)).std() < 0.5 * hiss(400).std()


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_the_level_of_a_clip_does_not_matter(scale):
    clip = voice() + hiss()
    out = mmse_stsa(clip * np.float32(scale)).astype(np.float64) / scale
    np.testing.assert_allclose(out, mmse_stsa(clip), atol=1e-4)


def test_denormal_numbers_do_no_harm():
    faint, loud = hiss(level=1.0) * np.float32(1e-44), hiss(level=1e30)
    for clip, noise in [(faint, None), (faint, loud), (loud, faint), (faint, np.sign(loud))]:
        assert np.isfinite(mmse_stsa(clip, noise=noise)).all()


def test_the_clip_itself_is_not_changed():
    clip = hiss()
    mmse_stsa(clip, noise=clip)
    np.testing.assert_array_equal(clip, hiss())


# What is refused


@pytest.mark.parametrize(
    "options, message",
    [
        ({"smoothing": 0.0}, r"smoothing=0.0; allowed: above 0 and below 1, such as 0.98"),
        ({"smoothing": 1.0}, r"smoothing=1.0"),
        ({"smoothing": float("nan")}, r"smoothing=nan"),
        ({"floor_db": 1.0}, r"floor_db=1.0; allowed: -100 to 0 dB"),
        ({"floor_db": -101}, r"floor_db=-101"),
        ({"sampling_rate": 3_999}, r"sampling_rate=3999; allowed: 4000 to 192000 Hz"),
        ({"noise": np.zeros(323)}, r"noise: 323 samples; allowed: from one window, 324 samples"),
        ({"noise": np.zeros((2, 400))}, r"noise: .*shape \(2, 400\)"),
        ({"noise": np.full(400, np.nan)}, r"noise: .*sample 0 is nan"),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        mmse_stsa(hiss(), **options)


@pytest.mark.parametrize("clip", [np.zeros((2, 400)), np.zeros(400, dtype=int), np.full(400, np.inf), np.zeros(0)])
def test_what_is_no_clip_is_refused(clip):
    with pytest.raises(WaveformError, match="waveform"):
        mmse_stsa(clip)


# The score of benchmarks/denoise.py


def test_the_segmental_snr_of_a_tenth_of_error_is_20_db(benchmark):
    clean = np.ones(1_000)
    np.testing.assert_allclose(benchmark.segmental_snrs(clean, 0.9 * clean), [20.0] * 4)  # frames at 0, 200, 400, 600


def test_the_segmental_snr_of_a_frame_stays_between_minus_10_and_35_db(benchmark):
    clean = np.repeat([1.0, 1.0, 0.0, 0.0, 1.0], 400)
    noisy = np.repeat([1.0, 1 - 1e-3, 0.0, 0.1, 11.0], 400)
    # By hand, frames at 0, 400, …, 1600: no error; 60 dB; silence kept; noise in silence; -20 dB.
    assert benchmark.segmental_snrs(clean, noisy)[::2].tolist() == [35.0, 35.0, 35.0, -10.0, -10.0]


def test_active_frames_are_within_30_db_of_the_loudest(benchmark):
    clean = np.repeat([1.0, 0.04, 0.03, 0.0], 400)  # 0, -28.0, -30.5 dB
    assert benchmark.active_frames(clean)[::2].tolist() == [True, True, False, False]


def test_silence_has_a_segmental_snr_of_0_db(benchmark):
    assert not benchmark.segmental_snrs(hiss(), np.zeros(16_000)).any()


@pytest.mark.emogator
def test_real_bursts_in_white_noise_of_0_db_gain_3_db(benchmark):
    folder = EMOGATOR / "data/mp3"
    if not folder.is_dir():
        pytest.skip("EmoGator is not here: set EMOGATOR_DIR")
    gains = []
    for path in sorted(folder.glob("*-01-1.mp3"))[-6:]:
        clean = load_audio(path)
        mixed = clean + hiss(clean.size, level=clean.std())
        before, after = (benchmark.segmental_snrs(clean, noisy).mean() for noisy in (mixed, mmse_stsa(mixed)))
        gains.append(after - before)
    assert np.mean(gains) > 3
