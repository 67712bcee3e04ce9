import numpy as np
import pytest
import torch

from burst2vec.features import FEATURE_SETS, spectra
from burst2vec.frontends import GaborSTRF, LogMel


def clip(samples=16000, seed=0):
    chance = np.random.default_rng(seed)
    return (chance.normal(0, 0.1, samples) * np.hanning(samples)).astype(np.float32)


def value(vector, names, name):
    return vector[names.index(name)]


@pytest.mark.parametrize("name", ["log_mel", "strf"])
def test_every_value_has_a_name_of_its_own_and_is_a_number(name):
    made = FEATURE_SETS[name]
    for waveform in (clip(), clip(400), clip(401), clip(700), np.zeros(3000, np.float32)):
        vector, note = made.vector(waveform)
        assert vector.shape == (made.size,) and vector.dtype == np.float32 and np.isfinite(vector).all() and not note
    assert len(set(made.names())) == len(made.names()) == made.size
    assert made.made_by()["version"] == spectra.VERSION


@pytest.mark.parametrize("name", ["log_mel", "strf"])
def test_how_loud_a_clip_was_recorded_changes_nothing(name):
    quiet, loud = (FEATURE_SETS[name].vector(gain * clip())[0] for gain in (0.01, 1.0))
    np.testing.assert_allclose(quiet, loud, atol=1e-3)


@pytest.mark.parametrize("name", ["log_mel", "strf"])
def test_several_clips_at_once_are_each_as_alone(name):
    clips = [clip(9000, seed) for seed in range(3)]
    alone = np.stack([FEATURE_SETS[name].vector(waveform)[0] for waveform in clips])
    np.testing.assert_array_equal(FEATURE_SETS[name].vectors(clips), alone)


def test_statistics_are_those_of_the_spectrum():
    waveform = clip(8000)  # 48 frames, so parts of eight
    levelled = torch.from_numpy(waveform / np.sqrt(np.mean(waveform**2)) * 10 ** (-3 / 20))
    spectrum = LogMel(64).log_energies(levelled[None])[0].numpy()
    vector, names = spectra.log_mel_statistics(waveform)[0], spectra.log_mel_names()
    energy = spectrum.mean(axis=1)
    expected = {
        "channel 5, mean": spectrum[:, 4].mean(),
        "channel 5, quantile 90 %": np.quantile(spectrum[:, 4], 0.9),
        "channel 64, greatest": spectrum[:, 63].max(),
        "channel 1, mean of part 2": spectrum[8:16, 0].mean(),
        "channel 3, mean absolute difference": np.mean([abs(spectrum[t + 1, 2] - spectrum[t, 2]) for t in range(47)]),
        "channel 2, deviation of loud frames": np.std(
            [frame[1] for frame in spectrum if frame.mean() > energy.max() - 6]
        ),
        "energy, share of loud frames": np.mean([one > energy.max() - 4 for one in energy]),
    }
    for name, wanted in expected.items():
        assert value(vector, names, name) == pytest.approx(wanted, abs=1e-4), name


def test_a_trill_is_found_at_its_rate():
    time = np.arange(28800 + 240) / 16000
    trill = np.random.default_rng(0).normal(0, 0.1, time.size) * (1.01 + np.sin(2 * np.pi * 5 * time))
    vector, names = spectra.log_mel_statistics(trill.astype(np.float32))[0], spectra.log_mel_names()
    course = [value(vector, names, f"band 9, {number / 1.8:.2f} Hz") for number in range(1, 33)]
    assert 1 + int(np.argmax(course)) == 9  # 9 cycles in 1.8 s are 5 Hz


def test_fields_find_what_a_loop_over_them_does():
    waveform = clip(6000)
    vector, names = spectra.strf_statistics(waveform)[0], spectra.strf_names()
    levelled = torch.from_numpy(waveform / np.sqrt(np.mean(waveform**2)) * 10 ** (-3 / 20))
    spectrum = LogMel(64).log_energies(levelled[None])[0]
    spectrum = (spectrum - spectrum.mean(dim=0)) / 3
    kernels = GaborSTRF(channels=64).kernels().detach()
    field, channel = 9, 20  # 4 Hz, -0.125 cycles; the sixth place
    padded = torch.nn.functional.pad(spectrum, (10, 10, 30, 30))
    found = []
    for frame in range(len(spectrum)):
        patch = padded[frame : frame + 61, channel : channel + 21]
        found.append(
            np.log1p(np.hypot(float((patch * kernels[field]).sum()), float((patch * kernels[32 + field]).sum())))
        )
    name = "4 Hz, -0.125 a channel, channel 21"
    assert value(vector, names, f"{name}, mean") == pytest.approx(np.mean(found), abs=1e-4)
    assert value(vector, names, f"{name}, deviation") == pytest.approx(np.std(found), abs=1e-4)
    assert value(vector, names, f"{name}, greatest") == pytest.approx(np.max(found), abs=1e-4)


def test_no_two_sets_say_that_they_are_made_alike():
    made = [str(feature_set.made_by()) for feature_set in FEATURE_SETS.values()]  # by which a cache finds vectors again
    assert len(set(made)) == len(made)
