"""Trimmed silence: what is cut, what never is, and that no clip leaves a trace for the next."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from burst2vec.audio import load_audio, resample, trim_silence
from burst2vec.audio.level import normalise_peak
from burst2vec.audio.voice_activity import load_network, one_thread, voice_probabilities
from burst2vec.errors import WaveformError

EMOGATOR = Path(os.environ.get("EMOGATOR_DIR", Path(__file__).parents[2].parent / "shared/emogator"))


def voice(seconds=0.6, pitch=140.0, seed=0):
    """Glottal pulses that rise and fall, through two resonances: silero-vad takes it for a voice."""
    time = np.arange(int(16_000 * seconds)) / 16_000
    turns = np.cumsum(pitch * (1 + 0.2 * np.sin(2 * np.pi * 2 * time)) / 16_000)
    sound = np.diff(np.floor(turns), prepend=0.0) + 0.01 * np.random.default_rng(seed).normal(size=time.size)
    for frequency, bandwidth in ((600, 80), (1_200, 100)):
        radius = np.exp(-np.pi * bandwidth / 16_000)
        sound = lfilter([1.0], [1.0, -2 * radius * np.cos(2 * np.pi * frequency / 16_000), radius**2], sound)
    return (0.5 * sound / np.abs(sound).max() * np.sin(np.pi * time / seconds) ** 0.5).astype(np.float32)


def hiss(seconds, level=1e-4, seed=1):
    return (level * np.random.default_rng(seed).normal(size=int(16_000 * seconds))).astype(np.float32)


def in_silence(before=1.0, after=0.8, **kwargs):
    return np.concatenate([hiss(before), voice(**kwargs), hiss(after, seed=2)])


def emogator(clips):
    files = sorted((EMOGATOR / "data/mp3").glob("*.mp3"))
    if not files:
        pytest.skip(f"EmoGator is not in {EMOGATOR}; set EMOGATOR_DIR")
    return [load_audio(file) for file in files[:: len(files) // clips][:clips]]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


# What is cut


def test_silence_around_a_voice_is_cut_to_a_margin():
    trimmed = trim_silence(in_silence())
    assert trimmed.dtype == np.float32
    assert 0.6 + 0.2 - 0.1 < trimmed.size / 16_000 < 0.6 + 0.2 + 0.1


def test_what_is_left_is_a_stretch_of_the_clip_that_holds_the_whole_voice():
    clip = in_silence()
    trimmed = trim_silence(clip)
    start = next(n for n in range(clip.size) if np.array_equal(clip[n : n + 50], trimmed[:50]))
    np.testing.assert_array_equal(clip[start : start + trimmed.size], trimmed)
    assert start <= 16_000 and start + trimmed.size >= 16_000 + 9_600


@pytest.mark.parametrize("margin_seconds, longer", [(0.0, -0.2), (0.3, 0.4), (5.0, 1.6)])
def test_a_wider_margin_leaves_more_as_far_as_there_is_any(margin_seconds, longer):
    clip = in_silence()
    trimmed = trim_silence(clip, margin_seconds=margin_seconds)
    expected = min(clip.size, trim_silence(clip).size + 16_000 * longer)
    assert abs(trimmed.size - expected) <= 1


def test_a_pause_between_two_voices_stays():
    clip = np.concatenate([hiss(0.5), voice(), hiss(0.7), voice(), hiss(0.5)])
    assert trim_silence(clip).size > 16_000 * (0.6 + 0.7 + 0.6)


def test_a_pause_is_cut_to_two_margins_where_that_is_asked_for():
    clip = np.concatenate([hiss(0.5), voice(), hiss(0.7), voice(), hiss(0.15), voice(), hiss(0.5)])
    cut = trim_silence(clip, cut_pauses=True)
    ends, pause = trim_silence(clip), 0.7 - 2 * 0.1  # the one of 0.15 s is within the margins
    assert cut.size / 16_000 == pytest.approx(ends.size / 16_000 - pause, abs=4 * 0.032)
    half = int(16_000 * 0.3)
    assert np.array_equal(cut[:half], ends[:half]) and np.array_equal(cut[-half:], ends[-half:])
    wide = {"margin_seconds": 0.4}  # of which two are longer than any pause here
    assert np.array_equal(trim_silence(clip, cut_pauses=True, **wide), trim_silence(clip, **wide))


def test_a_clip_without_a_pause_is_cut_alike_with_and_without_pauses():
    assert np.array_equal(trim_silence(in_silence(), cut_pauses=True), trim_silence(in_silence()))


def test_a_sound_as_loud_as_the_voice_stays_though_the_network_detects_none_in_it():
    time = np.arange(16_000) / 16_000
    held = 0.4 * np.sin(2 * np.pi * 1_000 * time).astype(np.float32)
    clip = np.concatenate([voice(), held, hiss(1.0)])
    assert voice_probabilities(normalise_peak(clip))[35:].max() < 0.3
    assert trim_silence(clip, keep_db=0).size < 16_000 * 0.9
    assert 16_000 * 1.6 < trim_silence(clip).size < 16_000 * 1.8


def test_a_higher_threshold_never_leaves_more():
    clip = in_silence()
    sizes = [trim_silence(clip, threshold=threshold, keep_db=0).size for threshold in (0.02, 0.1, 0.3, 0.5)]
    assert sizes == sorted(sizes, reverse=True)


# What does not matter


def test_an_offset_is_no_sound():
    clip = 0.3 * in_silence()[:-100]  # its last window is filled up
    assert trim_silence(clip + np.float32(0.25)).size == pytest.approx(trim_silence(clip).size, abs=512)


@pytest.mark.parametrize("gain", [1e-4, 0.1, 30.0])
def test_the_level_of_a_clip_does_not_matter(gain):
    clip = in_silence()
    assert trim_silence(clip * np.float32(gain)).size == trim_silence(clip).size


def test_no_clip_leaves_a_trace_for_the_next():
    first, second = in_silence(), in_silence(before=0.3, pitch=220.0)
    alone = [trim_silence(first), trim_silence(second)]
    for clip, expected in [(second, alone[1]), (first, alone[0]), (first, alone[0]), (second, alone[1])]:
        np.testing.assert_array_equal(trim_silence(clip), expected)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_another_sampling_rate_cuts_at_the_same_times(rate):
    clip = in_silence()
    trimmed = trim_silence(resample(clip, 16_000, rate), rate)
    assert trimmed.size / rate == pytest.approx(trim_silence(clip).size / 16_000, abs=0.07)


# What stays whole


@pytest.mark.parametrize("samples", [1, 100, 400, 401, 511, 512, 513, 32_000])
def test_a_silent_clip_stays_whole(samples):
    silent = trim_silence(np.zeros(samples))
    assert silent.dtype == np.float32 and silent.shape == (samples,) and not silent.any()


def test_a_clip_in_which_nothing_is_voiced_stays_whole():
    clip = np.concatenate([np.zeros(8_000, np.float32), hiss(0.2, level=0.1), np.zeros(8_000, np.float32)])
    np.testing.assert_array_equal(trim_silence(clip, threshold=0.9), clip)


@pytest.mark.parametrize("samples", [400, 450, 512, 513, 800])
def test_no_clip_becomes_shorter_than_25_ms(samples):
    clip = voice()[3_000 : 3_000 + samples]
    assert trim_silence(clip, threshold=0.0, margin_seconds=0.0).size == samples
    for keep_db in (0.0, 25.0):
        assert trim_silence(clip, threshold=0.01, keep_db=keep_db, margin_seconds=0.0).size >= 400


def test_25_ms_are_left_where_the_only_voice_is_in_the_last_samples(monkeypatch):
    monkeypatch.setattr("burst2vec.audio.voice_activity.voice_probabilities", lambda clip: np.array([0, 0, 1.0]))
    clip = np.concatenate([np.zeros(1_024), np.ones(10)]).astype(np.float32)
    np.testing.assert_array_equal(trim_silence(clip, margin_seconds=0.0), clip[-400:])
    thrice = np.repeat(clip, 3)
    assert trim_silence(thrice, 48_000, margin_seconds=0.0).size == 1_200


@pytest.mark.emogator
def test_of_real_bursts_silence_goes_and_the_burst_stays():
    clips = emogator(12)
    trimmed = [trim_silence(clip) for clip in clips]
    energy = np.array([[np.square(clip, dtype=np.float64).sum() for clip in some] for some in (trimmed, clips)])
    assert (energy[0] >= 0.98 * energy[1]).all()
    assert sum(map(len, trimmed)) < 0.85 * sum(map(len, clips))


# The network


@pytest.mark.emogator
def test_the_probabilities_are_those_of_silero_vads_own_loop():
    from silero_vad import load_silero_vad

    network = load_silero_vad()
    for clip in (in_silence(), voice()[:512], voice()[:1_000], *emogator(3)):
        with torch.no_grad():
            theirs = network.audio_forward(torch.from_numpy(clip)[None], 16_000)[0].numpy()
        np.testing.assert_allclose(voice_probabilities(clip), theirs, atol=1e-5)


def test_loading_leaves_torchs_threads_and_its_generator_alone(two_threads):
    for name in [name for name in sys.modules if name.split(".")[0] == "silero_vad"]:
        del sys.modules[name]
    load_network.cache_clear()
    state = torch.random.get_rng_state()
    trim_silence(in_silence())
    assert "silero_vad" in sys.modules  # whose import sets one thread
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.random.get_rng_state(), state)


def test_torchs_threads_are_as_many_as_before_an_error(two_threads):
    with pytest.raises(KeyError), one_thread():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == 2


def test_a_process_forked_from_one_with_threads_does_not_hang(two_threads):
    clip = np.tile(in_silence(), 4)
    torch.ones(600, 600) @ torch.ones(600, 600)  # the threads run from here on
    child = os.fork()
    if not child:
        signal.alarm(20)
        trim_silence(clip)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


# What is refused


@pytest.mark.parametrize(
    "options, message",
    [
        ({"threshold": 1.1}, "threshold=1.1; allowed: probabilities"),
        ({"threshold": np.nan}, "threshold=nan"),
        ({"keep_db": -1.0}, "keep_db=-1.0; allowed: numbers from 0"),
        ({"margin_seconds": -0.1}, "margin_seconds=-0.1"),
        ({"margin_seconds": np.inf}, "margin_seconds=inf"),
        ({"sampling_rate": 100}, "sampling_rate=100"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        trim_silence(np.zeros(400), **options)


def test_what_is_no_clip_is_refused():
    with pytest.raises(WaveformError, match="mix down first"):
        trim_silence(np.zeros((2, 400)))
    with pytest.raises(WaveformError, match="sample 1 is nan"):
        trim_silence([0.0, np.nan])
