"""Recordings of a minute, made of EmoGator's clips in silence, noise and babble: the time of every burst is known."""

import random
from pathlib import Path
from typing import NamedTuple

import numpy as np

from burst2vec.audio import load_audio

RATE = 16_000
SECONDS = 60
WITHIN_DB = 25.0  # of a clip's loudest frame: what is quieter before and after is no part of the burst
FRAME = 320  # 20 ms
FADE = 80  # samples, 5 ms at both ends of a burst, so that its edges make no click
GAPS = (0.7, 4.0)  # seconds between bursts
BURST_RMS = 10 ** (-26 / 20)
SPREAD_DB = 4.0  # a burst's level is up to so much above or below
BABBLERS = 8
CONDITIONS = ("silence", *(f"{noise} {snr} dB" for noise in ("white", "pink", "babble") for snr in (20, 10, 5)))


class KnownRecording(NamedTuple):
    """A recording, and when its bursts begin and end, in seconds; shape (bursts, 2)."""

    condition: str
    waveform: np.ndarray
    times: np.ndarray


def clips_of_speakers(folder: Path) -> dict[str, list[Path]]:
    """EmoGator's clips by speaker, speakers sorted."""
    speakers = {}
    for path in sorted(folder.glob("*.mp3")):
        speakers.setdefault(path.name[:6], []).append(path)
    return speakers


def burst_of(path: Path) -> np.ndarray | None:
    """A clip's burst, from its first frame to its last within 25 dB of the loudest, at RMS 1; None where there is none.

    A clip whose quietest tenth is not 20 dB below its loudest frame is left out too: it is full of noise of its own.
    """
    clip = load_audio(path)
    frames = clip[: clip.size // FRAME * FRAME].reshape(-1, FRAME)
    levels = 20 * np.log10(frames.std(axis=1) + 1e-9)
    kept = np.flatnonzero(levels >= levels.max() - WITHIN_DB)
    burst = clip[kept[0] * FRAME : (kept[-1] + 1) * FRAME].copy()
    if levels.max() < -40 or not 0.2 <= burst.size / RATE <= 6 or np.quantile(levels, 0.1) > levels.max() - 20:
        return None
    ramp = np.linspace(0, 1, FADE, dtype=np.float32)
    burst[:FADE] *= ramp
    burst[-FADE:] *= ramp[::-1]
    return burst / np.sqrt(np.mean(np.square(burst, dtype=np.float64)))


def noise_like(kind: str, samples: int, babblers: list[list[Path]], rng: random.Random) -> np.ndarray:
    """White or pink noise, or babble: clips of several speakers, each a stream without an end; RMS 1."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    if kind == "babble":
        noise = np.zeros(samples)
        for paths in babblers:
            stream = []
            while sum(clip.size for clip in stream) < samples:
                clip = load_audio(rng.choice(paths))
                stream.append(clip / (np.sqrt(np.mean(np.square(clip, dtype=np.float64))) + 1e-9))
            noise += np.concatenate(stream)[:samples]
    else:
        spectrum = np.fft.rfft(numbers.normal(size=samples))
        if kind == "pink":
            spectrum /= np.sqrt(np.maximum(np.arange(spectrum.size), samples * 20 / RATE))  # below 20 Hz as at 20 Hz
        noise = np.fft.irfft(spectrum, samples)
    return noise / np.sqrt(np.mean(np.square(noise)))


def make_recording(condition: str, speakers: dict[str, list[Path]], rng: random.Random) -> KnownRecording:
    """A minute of bursts of all speakers but those of the babble."""
    names = sorted(speakers)
    babblers = rng.sample(names, BABBLERS)
    others = [name for name in names if name not in babblers]
    waveform, times = np.zeros(SECONDS * RATE), []
    place = rng.uniform(*GAPS)
    while True:
        burst = burst_of(rng.choice(speakers[rng.choice(others)]))
        if burst is None:
            continue
        start = round(place * RATE)
        if start + burst.size > waveform.size - GAPS[0] * RATE:
            break
        level = BURST_RMS * 10 ** (rng.uniform(-SPREAD_DB, SPREAD_DB) / 20)
        waveform[start : start + burst.size] = level * burst
        times.append((start / RATE, (start + burst.size) / RATE))
        place = times[-1][1] + rng.uniform(*GAPS)
    if condition != "silence":
        kind, snr, _ = condition.split()
        noise = noise_like(kind, waveform.size, [speakers[name] for name in babblers], rng)
        waveform += BURST_RMS * 10 ** (-int(snr) / 20) * noise
    return KnownRecording(condition, waveform.astype(np.float32), np.array(times))


def matched(found: np.ndarray, known: np.ndarray, overlap: float = 0.5) -> list[tuple[int, int]]:
    """Pairs (found, known) whose intersection over union is ``overlap`` or more, the best first, none twice."""
    if not len(found) or not len(known):
        return []
    common = np.minimum(found[:, None, 1], known[None, :, 1]) - np.maximum(found[:, None, 0], known[None, :, 0])
    union = np.maximum(found[:, None, 1], known[None, :, 1]) - np.minimum(found[:, None, 0], known[None, :, 0])
    ratios, pairs = common / union, []
    while ratios.max() >= overlap:
        pair = np.unravel_index(ratios.argmax(), ratios.shape)
        pairs.append((int(pair[0]), int(pair[1])))
        ratios[pair[0], :] = ratios[:, pair[1]] = -1
    return pairs
