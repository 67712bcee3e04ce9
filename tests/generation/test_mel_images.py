"""Log-mel images of bursts: what a value means, and how near the waveform of an image is to where it came from."""

import librosa
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from burst2vec.errors import WaveformError
from burst2vec.generation.burst_samples import draw_grid, draw_losses, image_distance
from burst2vec.generation.mel_images import HIGHEST, SILENCE, image_waveform, mel_image, spectral_convergence

RATE = 16_000


def burst(seconds=0.5, seed=0):
    """A gliding tone with overtones that fades."""
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * (300 * time + 200 * time**2)
    tone = sum(np.sin(overtone * phase) / overtone for overtone in range(1, 6))
    noise = np.random.default_rng(seed).normal(scale=0.01, size=time.size)
    return (0.2 * np.exp(-3 * time) * tone + noise).astype(np.float32)


def test_an_image_is_half_the_logarithm_of_librosas_mel_power():
    power = librosa.feature.melspectrogram(
        y=burst(), sr=RATE, n_fft=512, hop_length=128, n_mels=128, norm=1, pad_mode="reflect"
    )
    image = mel_image(burst())
    assert image.shape == (128, 512) and image.dtype == np.float32
    assert np.allclose(image[:, : power.shape[1]], np.log(power + 1e-6) / 2, atol=1e-3)


def test_short_clips_are_padded_with_silence_and_long_ones_cut():
    short, long = mel_image(burst(0.1)), mel_image(np.tile(burst(1.0), 6))
    assert np.all(short[:, 13 + 1 :] == np.float32(SILENCE)) and short[:, :13].max() > SILENCE + 3
    assert np.array_equal(long, mel_image(np.tile(burst(1.0), 6)[: 520 * 128]))


def test_a_sine_of_full_scale_is_below_the_highest_value():
    assert mel_image(np.sin(2 * np.pi * 1_000 * np.arange(RATE) / RATE)).max() < HIGHEST


def test_the_waveform_of_an_image_is_near_the_recording():
    waveform = burst()
    back = image_waveform(mel_image(waveform))
    assert abs(back.size - waveform.size) <= 128
    assert spectral_convergence(back, waveform) < 0.2
    assert np.abs(mel_image(back) - mel_image(waveform)).mean() < 0.1
    assert spectral_convergence(waveform, waveform) == 0
    assert spectral_convergence(np.zeros(8_000), waveform) == pytest.approx(1)


def test_no_waveform_is_clipped_however_loud_the_image():
    loud = np.full((128, 8), HIGHEST + 90)
    waveform = image_waveform(loud)
    assert np.abs(waveform).max() == pytest.approx(1, abs=1e-6) and (np.abs(waveform) > 0.999).sum() < 5


def test_silence_at_the_end_is_cut_and_silence_alone_is_the_shortest_clip():
    quiet = np.full((128, 30), SILENCE)
    assert image_waveform(quiet).size == 4 * 128
    quiet[:, :20] = 0.0
    assert image_waveform(quiet).size == 19 * 128 and image_waveform(quiet, trim=False).size == 29 * 128


def test_the_same_seed_gives_the_same_waveform():
    image = mel_image(burst(0.1))
    first, again, other = (image_waveform(image, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_grid_shows_every_generated_image_below_real_ones():
    real, generated = np.zeros((6, 128, 512)), np.ones((5, 128, 512))
    axes = draw_grid(generated, "Awe", real).axes
    shown = [axis.images[0].get_array() for axis in axes if axis.images]
    assert [int(image[0, 0]) for image in shown] == [0] * 4 + [1] * 5
    assert [axis.get_title() for axis in axes[:5]] == ["real"] * 4 + ["generated"]


def test_the_losses_have_ticks_that_can_be_read():
    history = [{"step": step, "generator": 5.0, "discriminator": 1.0} for step in range(1, 4)]
    figure = draw_losses(history, [{"step": 0, "distance": 7_000.0}, {"step": 3, "distance": 300.0}])
    FigureCanvasAgg(figure).draw()
    labels = [label.get_text() for axis in figure.axes for label in axis.get_yticklabels(which="both")]
    assert "1000" in labels and not any("$" in label for label in labels)


def test_the_distance_of_statistics_is_nought_for_the_same_images_and_grows_with_their_level():
    real = np.random.default_rng(0).normal(size=(20, 128, 16))
    assert image_distance(real, real) == 0
    assert image_distance(real + 1, real) == pytest.approx(128)  # the means of 128 channels; deviations are the same


def test_what_is_no_image_or_no_burst_is_refused():
    for wrong in (np.zeros((64, 20)), np.zeros(128), np.full((128, 20), np.nan)):
        with pytest.raises(ValueError, match="an image must be"):
            image_waveform(wrong)
    with pytest.raises(WaveformError):
        mel_image(np.zeros(100))
