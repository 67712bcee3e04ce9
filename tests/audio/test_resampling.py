"""From one sampling rate to another."""

import io

import numpy as np
import pytest
import soundfile

from burst2vec.audio import load_audio, resample
from burst2vec.errors import WaveformError


def tone(rate, frequency=440.0, seconds=0.5):
    return np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate).astype(np.float32)


@pytest.mark.parametrize("rate, new_rate", [(48_000, 16_000), (44_100, 16_000), (16_000, 48_000), (8_000, 16_000)])
def test_a_tone_is_the_same_tone_at_another_rate(rate, new_rate):
    resampled = resample(tone(rate), rate, new_rate)
    assert resampled.dtype == np.float32 and resampled.size == new_rate // 2
    middle = slice(new_rate // 10, -new_rate // 10)
    np.testing.assert_allclose(resampled[middle], tone(new_rate)[middle], atol=1e-4)


def test_it_is_the_resampler_of_load_audio():
    file = io.BytesIO()
    soundfile.write(file, tone(44_100), 44_100, format="WAV", subtype="FLOAT")
    np.testing.assert_array_equal(resample(tone(44_100), 44_100, 16_000), load_audio(file.getvalue()))


def test_an_equal_rate_changes_nothing():
    np.testing.assert_array_equal(resample(tone(16_000), 16_000, 16_000), tone(16_000))


def test_silence_stays_silence():
    assert not resample(np.zeros(4_800), 48_000, 16_000).any()


def test_a_clip_of_which_nothing_would_be_left_is_refused():
    with pytest.raises(WaveformError, match="1 samples at 192000 Hz are none at 4000 Hz"):
        resample(np.zeros(1), 192_000, 4_000)


@pytest.mark.parametrize("rate, new_rate, name", [(0, 16_000, "sampling_rate=0"), (16_000, 16, "new_rate=16")])
def test_what_is_no_rate_of_sound_is_refused(rate, new_rate, name):
    with pytest.raises(ValueError, match=f"{name}; allowed: 4000 to 192000 Hz"):
        resample(np.zeros(400), rate, new_rate)
