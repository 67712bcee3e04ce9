"""Several channels to one."""

import io

import numpy as np
import pytest
import soundfile

from burst2vec.audio import load_audio, mono
from burst2vec.errors import WaveformError


def noise(*shape):
    return (0.1 * np.random.default_rng(0).normal(size=shape)).astype(np.float32)


def test_one_channel_stays_as_it_is():
    clip = noise(400)
    np.testing.assert_array_equal(mono(clip), clip)
    np.testing.assert_array_equal(mono(clip[:, None]), clip)


@pytest.mark.parametrize("channels", [2, 3, 8])
def test_channels_are_averaged(channels):
    clip = noise(400, channels)
    mixed = mono(clip)
    assert mixed.dtype == np.float32 and mixed.shape == (400,)
    np.testing.assert_allclose(mixed, clip.astype(np.float64).mean(axis=1), atol=1e-7)


def test_it_is_the_mix_of_load_audio():
    clip = noise(4_000, 2)
    file = io.BytesIO()
    soundfile.write(file, clip, 16_000, format="WAV", subtype="FLOAT")
    np.testing.assert_array_equal(mono(clip), load_audio(file.getvalue()))


def test_channels_before_samples_are_refused_with_the_call_that_mends_it():
    with pytest.raises(WaveformError, match=r"400 channels, allowed are 8; .* mono\(waveform.T\)"):
        mono(noise(2, 400))
    assert mono(noise(2, 400).T).shape == (400,)


def test_silence_stays_silence():
    assert not mono(np.zeros((400, 2))).any()


@pytest.mark.parametrize(
    "clip, message",
    [
        (np.float32(0.0), r"got shape \(\)"),
        (np.zeros((1, 400, 2)), r"got shape \(1, 400, 2\)"),
        (np.zeros((400, 0)), "no samples"),
        (np.zeros((400, 2), dtype=np.int16), "got int16"),
        (np.array([[0.0, 0.0], [0.0, np.inf]]), r"sample 1 is \[ 0. inf\]"),
    ],
)
def test_what_is_no_clip_is_refused(clip, message):
    with pytest.raises(WaveformError, match=message):
        mono(clip)
