"""Bursts are found where they are, in recordings of any length, whatever the blocks that they come in."""

import io
import tracemalloc

import numpy as np
import pytest
import soundfile

from burst2vec.audio import BurstRegion, cut_regions, find_burst_regions, load_audio, stream_recording
from burst2vec.audio.burst_regions import regions_of, standing_out
from burst2vec.errors import AudioError, WaveformError
from tests.audio.test_fuzz import recording
from tests.audio.test_whole import mp3, rising

RATE = 16_000
TIMES = ((2.0, 2.8), (5.0, 5.4), (9.5, 11.5), (14.0, 14.6))


def wav(samples):
    """The bytes of a file."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(samples), RATE, format="WAV")
    return file.getvalue()


def bursts_in(noise_rms, seconds=18, seed=0, times=TIMES):
    """Harmonic bursts at -20 dBFS in noise of a level."""
    rng = np.random.default_rng(seed)
    waveform = noise_rms * rng.normal(size=seconds * RATE)
    for start, end in times:
        time = np.arange(round((end - start) * RATE)) / RATE
        waveform[round(start * RATE) :][: time.size] += 0.15 * sum(
            np.sin(2 * np.pi * 220 * k * time) / k for k in (1, 2, 3)
        )
    return waveform.astype(np.float32)


@pytest.mark.parametrize("noise_rms", [0.0, 0.001, 0.03])
def test_bursts_are_found_where_they_are(noise_rms):
    found = find_burst_regions(bursts_in(noise_rms))
    np.testing.assert_allclose([(each.start, each.end) for each in found], TIMES, atol=0.06)
    assert all(0 < each.confidence < 1 for each in found)


@pytest.mark.parametrize("noise_rms", [0.0, 0.001, 0.1])
def test_nothing_is_found_where_nothing_is(noise_rms):
    assert find_burst_regions(bursts_in(noise_rms, times=())) == []


def test_the_blocks_make_no_difference():
    waveform = bursts_in(0.01, seconds=50, times=((20.0, 21.0), (44.0, 45.5)))
    whole = standing_out([waveform])
    assert whole.size == pytest.approx(50 * 100, abs=2)
    for size in (1_000, 16_000, 70_001):
        blocks = [waveform[start : start + size] for start in range(0, waveform.size, size)]
        np.testing.assert_allclose(standing_out(blocks), whole, atol=1e-4)


def test_a_short_pause_does_not_end_a_burst_and_a_long_burst_is_cut():
    waveform = bursts_in(0.001, times=((3.0, 3.5), (3.8, 4.2), (8.0, 14.0)))
    assert len(find_burst_regions(waveform)) == 2
    assert len(find_burst_regions(waveform, min_pause=0.1)) == 3
    pieces = [each for each in find_burst_regions(waveform, max_seconds=2.5) if each.start > 6]
    assert len(pieces) >= 3 and all(each.end - each.start <= 2.5 for each in pieces)
    assert all(one.end == other.start for one, other in zip(pieces, pieces[1:], strict=False))
    assert find_burst_regions(waveform, min_seconds=7) == []


@pytest.mark.parametrize(
    "arguments",
    [{"threshold": 1.0}, {"edge_threshold": 0}, {"min_seconds": 0.01}, {"max_seconds": 61}, {"min_pause": -1}],
)
def test_arguments_out_of_their_range_are_refused(arguments):
    with pytest.raises(ValueError, match="allowed"):
        find_burst_regions(np.zeros(RATE, "f"), **arguments)


def test_regions_are_cut_to_the_sample():
    waveform = bursts_in(0.01)
    regions = [BurstRegion(0.5, 1.0, 1.0), BurstRegion(9.99, 10.01, 1.0), BurstRegion(17.9, 18.01, 1.0)]
    blocks = [waveform[start : start + 7_000] for start in range(0, waveform.size, 7_000)]
    cuts = list(cut_regions(blocks, regions))
    wanted = [waveform[8_000:16_000], waveform[159_840:160_160], waveform[286_400:]]
    assert len(cuts) == 3 and all(np.array_equal(one, other) for one, other in zip(cuts, wanted, strict=True))


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_a_file_in_blocks_is_the_file_at_once(tmp_path, ending):
    path = tmp_path / f"recording.{ending}"
    rng = np.random.default_rng(0)
    soundfile.write(path, 0.1 * rng.normal(size=(24 * 44_100, 2)), 44_100)
    blocks = list(stream_recording(path))
    assert len(blocks) > 2
    np.testing.assert_allclose(np.concatenate(blocks), load_audio(path), atol=1e-4)


def test_webm_bytes_and_arrays_are_streamed_too():
    content = recording("webm")
    np.testing.assert_allclose(np.concatenate(list(stream_recording(content))), load_audio(content), atol=1e-4)
    waveform = bursts_in(0.01, seconds=25, times=())
    for given in (waveform, {"array": waveform, "sampling_rate": RATE}):
        assert np.array_equal(np.concatenate(list(stream_recording(given))), waveform)
    slow = np.concatenate(list(stream_recording({"raw": waveform, "sampling_rate": 8_000})))
    assert slow.size == pytest.approx(2 * waveform.size, abs=2)


@pytest.mark.parametrize(
    "given, error, said",
    [
        ("nowhere.wav", AudioError, "nowhere.wav: cannot be read"),
        (b"no recording at all", AudioError, "recording: broken, or not audio"),
        (wav(0), AudioError, "recording: holds no sound"),
        (np.full(RATE, np.nan, "f"), WaveformError, "sample 0 is nan"),
        ({"array": np.zeros(9), "sampling_rate": "16k"}, WaveformError, "sampling_rate is '16k'; allowed: 4000 to"),
        (recording("flac")[:-400], AudioError, "recording: (broken|cut short)"),
    ],
)
def test_what_is_no_recording_is_refused(given, error, said):
    with pytest.raises(error, match=said):
        list(stream_recording(given))


def test_memory_does_not_grow_with_the_recording():
    def peak(minutes):
        blocks = (np.random.default_rng(minute).normal(size=60 * RATE).astype("f") for minute in range(minutes))
        tracemalloc.start()
        regions_of(blocks)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(6) < 1.15 * peak(2)


def test_an_mp3_that_does_not_tell_its_length_is_read_whole_or_refused():
    whole = mp3(rising(16_000), 16_000, tells_length=False)
    assert np.concatenate(list(stream_recording(whole))).size == load_audio(whole).size
    guessed_short = mp3(rising(16_000, loud_first=True), 16_000, tells_length=False)
    with pytest.raises(AudioError, match="does not tell its length.*encode it anew, such as with ffmpeg"):
        list(stream_recording(guessed_short))
