"""A burst as a log-mel image, and back: what the challenge's generator learns and makes (white paper, section 4).

The image is of the challenge's code (HumeAI/competitions, ExVo2022/ExVo-Generate): a power spectrum of windows of 512
samples every 128 at 16 kHz, centred; 128 mel channels by librosa's filters, each of which adds up to 1; half the
natural logarithm of power + 1e-6. 512 frames, 4.1 s: shorter clips are padded with silence, longer ones cut.
"""

import functools

import librosa
import numpy as np
import torch

from ..waveforms import SAMPLING_RATE, check_waveform

MELS, FRAMES = 128, 512
FFT_SIZE, HOP_SAMPLES = 512, 128
FLOOR = 1e-6  # power
SILENCE = 0.5 * float(np.log(FLOOR))
HIGHEST = 8.0  # of an image: a sine of full scale has 5.5; a network that is not trained yet may make anything
UPDATES = 100  # from mel channels to bins
ROUNDS = 64  # of Griffin-Lim: 50 clips of EmoGator end 0.088 from the recording's magnitudes; after 32, 0.109
_ABOVE_SILENCE = 1.0  # in an image, 8.7 dB: what follows the last frame with as much is cut off


def mel_image(waveform, frames: int = FRAMES) -> np.ndarray:
    """A burst's log-mel image.

    Args:
        waveform: (samples,) at 16 kHz, 25 ms or longer.
        frames: what the image is padded or cut to.

    Returns:
        float32 (128, frames), low channels first; silence is ln(1e-6) / 2.

    Raises:
        WaveformError: not one channel of finite samples, or shorter.

    >>> image = mel_image(np.zeros(16_000))
    >>> image.shape, round(float(image[0, 0]), 3)
    ((128, 512), -6.908)
    """
    waveform = torch.from_numpy(check_waveform(waveform)).float()
    spectrum = torch.stft(waveform, FFT_SIZE, HOP_SAMPLES, window=torch.hann_window(FFT_SIZE), return_complex=True)
    power = torch.from_numpy(_filters()) @ spectrum.abs().square()
    image = np.full((MELS, frames), SILENCE, dtype=np.float32)
    there = (power[:, :frames] + FLOOR).log().numpy() / 2
    image[:, : there.shape[1]] = there
    return image


def image_waveform(image, seed: int = 0, trim: bool = True) -> np.ndarray:
    """A waveform whose log-mel image is about this one: fast Griffin-Lim (Perraudin et al. 2013), as librosa has it.

    Args:
        image: (128, frames), of 5 frames or more, finite.
        seed: of the first phases.
        trim: cut off the silence at the end, which fills the image of a shorter burst.

    Returns:
        float32 (samples,), 32 ms or longer, within -1..1: where the image is of a louder sound, the whole clip is
        scaled down and nothing is clipped.

    Raises:
        ValueError: another shape, or a number that is not finite.
    """
    image = np.asarray(image, dtype=np.float64)
    shortest = FFT_SIZE // HOP_SAMPLES + 1
    if image.ndim != 2 or image.shape[0] != MELS or image.shape[1] < shortest or not np.isfinite(image).all():
        raise ValueError(f"an image must be ({MELS}, {shortest} frames or more) and finite, got shape {image.shape}")
    frames = image.shape[1]
    if trim:
        sounds = np.flatnonzero((image > SILENCE + _ABOVE_SILENCE).any(axis=0))
        frames = max(shortest, sounds[-1] + 1 if sounds.size else 0)
    image = np.clip(image[:, : min(frames, image.shape[1])], SILENCE, HIGHEST)
    power = np.maximum(np.exp(2 * image) - FLOOR, 0.0).astype(np.float32)
    waveform = librosa.griffinlim(
        np.sqrt(_linear_power(power)), n_iter=ROUNDS, hop_length=HOP_SAMPLES, n_fft=FFT_SIZE, random_state=seed
    )
    peak = np.abs(waveform).max()
    return (waveform / max(peak, 1.0)).astype(np.float32)


def spectral_convergence(waveform, reference) -> float:
    r"""How far the magnitudes of a waveform are from a reference's, as a fraction of these (Sturmel and Daudet 2011).

    .. math:: \frac{\| |X| - |Y| \|_F}{\| |Y| \|_F}

    Args:
        waveform, reference: (samples,); the shorter one is padded with zeros.

    Returns:
        0 for equal magnitudes, 1 for silence.
    """
    samples = max(len(waveform), len(reference))
    ours, theirs = (
        np.abs(librosa.stft(np.pad(np.asarray(each), (0, samples - len(each))), n_fft=FFT_SIZE, hop_length=HOP_SAMPLES))
        for each in (waveform, reference)
    )
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def _linear_power(power: np.ndarray) -> np.ndarray:
    """Power in 257 bins, none negative, whose mel channels are about these, by Lee and Seung's updates (2001).

    After 100 of them clips of EmoGator are nearer to the recording than by librosa's ``nnls``, in half the time.
    """
    filters = _filters()
    wanted, gram = filters.T @ power, filters.T @ filters
    linear = wanted + 1e-12
    for _ in range(UPDATES):
        linear *= wanted / (gram @ linear + 1e-12)
    return linear


@functools.cache
def _filters() -> np.ndarray:
    """(128, 257)"""
    return librosa.filters.mel(sr=SAMPLING_RATE, n_fft=FFT_SIZE, n_mels=MELS, norm=1)
