"""Vectors of our own: statistics of a clip's log-mel spectrum, and of what receptive fields find in it.

Nothing here is learnt and nothing is of a paper: both sets were chosen because, beside ComParE, they tell real bursts
apart, and they need no openSMILE. A clip is brought to one level first, so neither tells how loud it was recorded.
"""

import functools

import numpy as np
import torch

from ..frontends import FRAMES_PER_SECOND, GaborSTRF, LogMel
from ..waveforms import TARGET_RMS_DBFS, normalise_level

CHANNELS = 64  # of the spectrum
VERSION = 1  # raise it with every change that alters a value
QUANTILES = (0.1, 0.5, 0.9, 0.99)
PARTS = 6  # of a clip, one after the other, as equal as can be
LOUD = 6.0  # nepers of energy under the loudest frame's mean over channels, 26 dB: those frames are the burst
BANDS = 16  # of four channels, for their modulation
MODULATION_FRAMES = 180  # 1.8 s, zero-padded or cut; bins 1 to 32 are 0.56 to 17.8 Hz
MODULATION_BINS = 32
SPREAD = 3.0  # nepers: about how much a channel's log energy varies in a burst

OVER_FRAMES = (
    "mean",
    "deviation",
    *(f"quantile {100 * quantile:g} %" for quantile in QUANTILES),
    "greatest",
    "mean of loud frames",
    "deviation of loud frames",
    *(f"mean of part {part + 1}" for part in range(PARTS)),
    "deviation of differences",
    "mean absolute difference",
)
LOG_MEL_SIZE = len(OVER_FRAMES) * CHANNELS + BANDS * MODULATION_BINS + 2  # 1,602
STRF_STATISTICS = ("mean", "deviation", "greatest")
HOP = 4  # channels from one place of a receptive field to the next
STRF_SIZE = 3 * 32 * CHANNELS // HOP  # 1,536: 32 receptive fields at 16 places


def log_mel_statistics(waveform: np.ndarray) -> tuple[np.ndarray, str]:
    """How a clip's log-mel spectrum is spread over time, and how fast it changes.

    Of each of 64 channels, in nepers of energy: the statistics of ``OVER_FRAMES``. Of each of 16 bands of four
    channels: ln(|DFT| + 0.001) of its course over 1.8 s less its mean, under a Hann window, from 0.56 to 17.8 Hz. And
    of the mean over channels: its deviation, and the share of frames within 4 nepers of the loudest.

    Args:
        waveform: float32, shape (samples,) at 16 kHz. Of a single frame, differences and deviations are 0.

    Returns:
        float32 (1602,), and "": nothing is mended.
    """
    spectrum = _spectrum(waveform)
    energy = spectrum.mean(axis=1)
    loud = spectrum[energy > energy.max() - LOUD]
    differences = np.diff(spectrum, axis=0) if len(spectrum) > 1 else np.zeros_like(spectrum)
    cuts = np.linspace(0, len(spectrum), PARTS + 1)
    parts = [spectrum[int(cuts[k]) : max(int(cuts[k]) + 1, int(cuts[k + 1]))].mean(axis=0) for k in range(PARTS)]
    over_frames = [
        spectrum.mean(axis=0),
        spectrum.std(axis=0),
        *np.quantile(spectrum, QUANTILES, axis=0),
        spectrum.max(axis=0),
        loud.mean(axis=0),
        loud.std(axis=0),
        *parts,
        differences.std(axis=0),
        np.abs(differences).mean(axis=0),
    ]
    rest = [energy.std(), np.mean(energy > energy.max() - 4)]
    return np.concatenate([*over_frames, _modulation(spectrum).ravel(), rest]).astype(np.float32), ""


def strf_statistics(waveform: np.ndarray) -> tuple[np.ndarray, str]:
    """What the receptive fields of ``GaborSTRF`` find: mean, deviation and maximum over time of ln(1 + |response|).

    Of each of 32 fields at each of 16 places; the spectrum is taken less each channel's mean in the clip, by 3 nepers.
    The fields are those before training: rates of 2 to 16 Hz, scales of 0.03 to 0.25 cycles a channel, up and down.

    Args:
        waveform: float32, shape (samples,) at 16 kHz.

    Returns:
        float32 (1536,), and "": nothing is mended.
    """
    spectrum = _spectrum(waveform)
    with torch.inference_mode():
        responses = _fields().respond(torch.from_numpy((spectrum - spectrum.mean(axis=0)) / SPREAD)[None])[0]
        real, imaginary = responses.chunk(2, dim=1)  # (frames, 32 · 16)
        found = (real.square() + imaginary.square()).sqrt().log1p()
        return torch.cat([found.mean(0), found.std(0, correction=0), found.amax(0)]).numpy(), ""


def log_mel_names() -> tuple[str, ...]:
    """The names of ``log_mel_statistics``."""
    per_channel = [f"channel {channel + 1}, {what}" for what in OVER_FRAMES for channel in range(CHANNELS)]
    hertz = FRAMES_PER_SECOND / MODULATION_FRAMES
    modulation = [
        f"band {band + 1}, {(number + 1) * hertz:.2f} Hz" for number in range(MODULATION_BINS) for band in range(BANDS)
    ]
    return (*per_channel, *modulation, "energy, deviation", "energy, share of loud frames")


def strf_names() -> tuple[str, ...]:
    """The names of ``strf_statistics``."""
    rates, scales = (values.tolist() for values in _fields().initial_ripples())
    fields = [f"{rate:g} Hz, {scale:g} a channel" for rate, scale in zip(rates, scales, strict=True)]
    places = range(1, CHANNELS + 1, HOP)
    return tuple(
        f"{field}, channel {place}, {what}" for what in STRF_STATISTICS for field in fields for place in places
    )


def made_by(spectrum: str) -> dict:
    """What decides the values of the statistics of ``spectrum``, ``"log_mel"`` or ``"strf"``."""
    return {"statistics": spectrum, "version": VERSION}


def _spectrum(waveform: np.ndarray) -> np.ndarray:
    """Log energies, float32 (frames, 64), of the clip at -3 dBFS RMS."""
    with torch.inference_mode():
        levelled = torch.from_numpy(normalise_level(waveform, TARGET_RMS_DBFS))
        return _log_mel().log_energies(levelled[None])[0].numpy()


def _modulation(spectrum: np.ndarray) -> np.ndarray:
    """(32 frequencies, 16 bands)."""
    bands = spectrum.reshape(len(spectrum), BANDS, -1).mean(axis=2)
    course = np.zeros((MODULATION_FRAMES, BANDS), np.float32)
    frames = min(len(bands), MODULATION_FRAMES)
    course[:frames] = (bands - bands.mean(axis=0))[:frames]
    transform = np.fft.rfft(course * np.hanning(MODULATION_FRAMES)[:, None], axis=0)
    return np.log(np.abs(transform[1 : 1 + MODULATION_BINS]) + 1e-3)


@functools.cache
def _log_mel() -> LogMel:
    return LogMel(CHANNELS)


@functools.cache
def _fields() -> GaborSTRF:
    return GaborSTRF(channels=CHANNELS, channel_hop=HOP)
