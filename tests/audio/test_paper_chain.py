"""Sharma et al.'s preparation of a raw recording, section 2, stage by stage: each does what it is there for."""

import numpy as np
import pytest

from burst2vec.audio import apply_transforms, highpass
from burst2vec.experiment.recipes import load_recipe
from tests.audio.test_voice_activity import voice

RATE, OFFSET, RUMBLE, HUM = 48_000, 0.05, (15.0, 0.03), (50.0, 0.01)  # tones: Hz, amplitude
BEFORE, AFTER = 1.0, 0.8  # seconds without a voice


def tone(hertz, amplitude, samples, rate):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(samples) / rate)


def amplitude(clip, hertz, rate=16_000):
    """Of the tone in a clip, by its projection on it under a Hann window."""
    window = np.hanning(clip.size)
    return 2 * abs(np.sum(clip * window * np.exp(-2j * np.pi * hertz * np.arange(clip.size) / rate))) / window.sum()


def segmental_snr(clean, noisy, frame=400):
    """In dB, -10 to 35 in a frame of 25 ms, over those in which the clean clip is within 25 dB of its loudest."""
    frames = clean.size // frame
    clean, noisy = (np.reshape(clip[: frames * frame], (frames, frame)).astype(float) for clip in (clean, noisy))
    energy = np.square(clean).sum(axis=1)
    active = energy > energy.max() * 10**-2.5
    snr = 10 * np.log10(energy[active] / np.square(noisy - clean).sum(axis=1)[active])
    return snr.clip(-10, 35).mean()


@pytest.fixture(scope="module")
def stages():
    """A 48 kHz recording, noise and all, and its voice alone; both after each of the paper's steps, by name.

    The voice alone goes through the linear steps, and gets the recording's gain.
    """
    steps = load_recipe("strf_conformer/compare_trimmed").data["preprocess"]
    silence = [np.zeros(round(16_000 * seconds), np.float32) for seconds in (BEFORE, AFTER)]
    padded = np.concatenate([silence[0], voice(), silence[1]])
    clean, _ = apply_transforms(padded, 16_000, [{"resample": {"new_rate": RATE}}])
    noise = 0.01 * np.random.default_rng(0).normal(size=clean.size)
    disturbed = OFFSET + tone(*RUMBLE, clean.size, RATE) + tone(*HUM, clean.size, RATE) + noise
    recorded = (clean + disturbed).astype(np.float32)
    found, rates = {"recorded": (recorded, clean)}, {RATE}
    rate_of_both = RATE
    for step in steps:
        name = next(iter(step)) if isinstance(step, dict) else step
        before = recorded
        recorded, rate = apply_transforms(recorded, rate_of_both, [step])
        if name in ("mono", "resample", "highpass"):
            clean, _ = apply_transforms(clean, rate_of_both, [step])
        elif name == "normalise_peak":
            clean = clean * (np.abs(recorded).max() / np.abs(before).max())
        rate_of_both = rate
        rates.add(rate)
        found[name] = (recorded, clean)
    assert rates == {RATE, 16_000}
    return found


def test_the_steps_are_in_the_papers_order(stages):
    order = ["recorded", "mono", "resample", "highpass", "normalise_peak", "mmse_stsa", "trim_silence"]
    assert list(stages) == order


def test_the_filter_takes_the_offset_and_all_below_its_stopbands_edge(stages):
    before, after = (np.subtract(*stages[name]) for name in ("resample", "highpass"))  # without the voice
    assert before.mean() == pytest.approx(OFFSET, abs=1e-3) and abs(after.mean()) < 1e-4
    assert amplitude(before, RUMBLE[0]) == pytest.approx(RUMBLE[1], rel=0.05)
    assert amplitude(after, RUMBLE[0]) < 0.01 * RUMBLE[1], "-40 dB"


def test_hum_of_50_hz_passes_a_stopband_of_20_hz_and_not_one_of_50_hz(stages):
    before, after = (np.subtract(*stages[name]) for name in ("resample", "highpass"))
    assert 0.8 * HUM[1] < amplitude(after, HUM[0]) < 0.9 * HUM[1], "1.3 dB go"
    assert amplitude(highpass(before, cutoff_hz=50.0, stopband=True), HUM[0]) < 0.01 * HUM[1], "-40 dB"


def test_the_gain_brings_the_peak_to_its_level(stages):
    assert np.abs(stages["normalise_peak"][0]).max() == pytest.approx(10 ** (-3 / 20), rel=1e-5)


def test_the_estimator_raises_the_segmental_snr(stages):
    noisy, clean = stages["normalise_peak"]
    denoised, _ = stages["mmse_stsa"]
    assert segmental_snr(clean, denoised) > segmental_snr(clean, noisy) + 2.0
    pause = slice(1_000, 12_000)  # before the voice
    assert denoised[pause].std() < 0.5 * noisy[pause].std(), "-6 dB, hum included"


def test_voice_activity_cuts_the_silence_around_and_keeps_the_voice(stages):
    whole, trimmed = stages["mmse_stsa"][0], stages["trim_silence"][0]
    assert whole.size / 16_000 == pytest.approx(BEFORE + 0.6 + AFTER, abs=1e-3)
    assert 0.6 < trimmed.size / 16_000 < 1.1
    start = next(n for n in range(whole.size) if np.array_equal(whole[n : n + 50], trimmed[:50]))
    assert start <= 16_000 * BEFORE and start + trimmed.size >= 16_000 * (BEFORE + 0.6)
