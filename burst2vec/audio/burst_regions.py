"""Where in a long recording something stands out of its background as a voice would: the bursts' beginnings and ends.

Signal processing, no trained weights. Two measures of every 10 ms are compared with what the recording is like around
it: the level of the whole, and the levels of the quarter of the bands that stand out most. The first tells a burst from
babble, whose bands come and go as a burst's do; the second finds a burst in steady noise that is as loud as it is.

It finds what stands out, not what is a laugh: speech, coughs and slamming doors are found too. A model then says what
they are.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..waveforms import MAX_SAMPLES, SAMPLING_RATE
from .streaming import stream_recording

FRAME, HOP = 512, 160  # samples at 16 kHz: 32 ms, every 10 ms
SECOND = SAMPLING_RATE // HOP  # frames
BANDS, LOWEST_HZ, HIGHEST_HZ = 24, 100.0, 7_600.0
CONTEXT_SECONDS = 10  # to either side, in which the background is estimated
SMOOTH = 7  # frames
QUIETEST_BAND_DB = -65.0  # below it a background is silence: what is 3 dB above it is none
QUIETEST_DB = -52.0
MOST_DEVIATIONS = 8.0


@dataclass(frozen=True)
class BurstRegion:
    """A stretch of a recording.

    Attributes:
        start, end: seconds from the recording's beginning.
        confidence: 0 to 1: how far it stands out, as the chance that a region like it was a burst in the recordings of
            ``benchmarks/find_bursts.py``.
    """

    start: float
    end: float
    confidence: float


def find_burst_regions(recording, name: str = "recording", **arguments) -> list[BurstRegion]:
    """Find the bursts of a recording of any length; memory is that of 20 seconds, and 3 MB for each hour.

    Args:
        recording: as ``stream_recording`` takes it: a path, bytes, a waveform at 16 kHz, or a dictionary.
        name: what to call it in an error, if it has no path.
        arguments: of ``regions_of``.

    Returns:
        The regions, in order, none over another.

    Raises:
        AudioError, WaveformError: see ``stream_recording``.
        ValueError: an argument out of its range.

    >>> rng = np.random.default_rng(0)
    >>> waveform = 0.001 * rng.normal(size=10 * 16_000)
    >>> waveform[48_000:64_000] += 0.1 * np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000)
    >>> [(round(found.start, 1), round(found.end, 1)) for found in find_burst_regions(waveform)]
    [(3.0, 4.0)]
    """
    return regions_of(stream_recording(recording, name=name), **arguments)


def regions_of(
    blocks: Iterable[np.ndarray],
    *,
    threshold: float = 2.0,
    edge_threshold: float = 1.5,
    min_pause: float = 0.5,
    min_seconds: float = 0.15,
    max_seconds: float = 20.0,
) -> list[BurstRegion]:
    """The bursts of a recording that comes block by block.

    The defaults were chosen on recordings made of bursts of 40 of EmoGator's speakers, in silence, noise and babble,
    and measured on those of 20 others: see ``benchmarks/find_bursts.py``.

    Args:
        blocks: of a waveform at 16 kHz, as ``stream_recording`` gives them.
        threshold: how far a burst must stand out somewhere, in deviations of its background; fewer, surer bursts with
            more.
        edge_threshold: how far it stands out from beginning to end; not above ``threshold``.
        min_pause: seconds; what is interrupted for less is one burst.
        min_seconds: of a burst; shorter ones are left out.
        max_seconds: of a burst, up to 60; longer ones are cut where they stand out least.
    """
    if not 0 < edge_threshold <= threshold:
        raise ValueError(f"edge_threshold={edge_threshold}, threshold={threshold}; allowed: 0 < the one <= the other")
    if not (0 <= min_pause and 0.025 <= min_seconds < max_seconds <= MAX_SAMPLES / SAMPLING_RATE):
        raise ValueError(
            f"min_pause={min_pause}, min_seconds={min_seconds}, max_seconds={max_seconds}; allowed: 0 or more, and "
            f"0.025 <= min_seconds < max_seconds <= {MAX_SAMPLES // SAMPLING_RATE}"
        )
    scores = standing_out(blocks)
    joined: list[list[int]] = []
    for start, end in _runs(scores > edge_threshold):
        if scores[start:end].max() < threshold:
            continue
        if joined and (start - joined[-1][1]) / SECOND < min_pause:
            joined[-1][1] = end
        else:
            joined.append([start, end])
    pieces = [piece for start, end in joined for piece in _cut(scores, start, end, round(max_seconds * SECOND))]
    return [
        BurstRegion(int(start) / SECOND, int(end) / SECOND, _confidence(scores[start:end]))
        for start, end in pieces
        if end - start >= min_seconds * SECOND
    ]


def cut_regions(blocks: Iterable[np.ndarray], regions: Iterable[BurstRegion]) -> Iterator[np.ndarray]:
    """The waveform of each region at 16 kHz, float32, from the recording's blocks, read a second time."""
    waiting = deque((round(each.start * SAMPLING_RATE), round(each.end * SAMPLING_RATE)) for each in regions)
    held, begins = np.zeros(0, np.float32), 0  # samples from the first that is still needed
    for block in blocks:
        held = np.concatenate([held, block])
        while waiting and waiting[0][1] <= begins + held.size:
            start, end = waiting.popleft()
            yield held[start - begins : end - begins].copy()
        keep = min(waiting[0][0], begins + held.size) if waiting else begins + held.size
        held, begins = held[keep - begins :], keep
    for start, _ in waiting:  # a last frame reaches a little over the end
        yield held[start - begins :].copy()


def standing_out(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """How far each frame of 10 ms stands out of its background.

    Args:
        blocks: of a waveform at 16 kHz, of any length.

    Returns:
        float32, shape (frames,): 0 to 8, in deviations of the background: three tenths the bands that stand out most,
        seven tenths the level of the whole.
    """
    levels, bands = [], []
    for of_second in _bands_by_second(blocks):
        levels.append(of_second[0])
        bands.append(of_second[1])
    if not levels:
        return np.zeros(0, np.float32)
    of_bands = _smoothed(np.concatenate(bands))
    level = _smoothed(np.concatenate(levels))
    backgrounds = [_background(window, 1.0) for window in _windows(level, CONTEXT_SECONDS)]
    base, spread = np.repeat(np.array(backgrounds, np.float32), SECOND, axis=0)[: level.size].T
    of_level = np.clip((level - np.maximum(base, QUIETEST_DB)) / spread, 0.0, MOST_DEVIATIONS)
    return (0.3 * of_bands + 0.7 * of_level).astype(np.float32)


def _bands_by_second(blocks: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each second in turn its frames' level in dB, and how far their most prominent bands stand out."""
    seconds: deque[np.ndarray] = deque()  # of levels by band: those that the second now asked for has around it
    behind = 0  # how many of them are before that second
    for of_second in _seconds(_band_levels(blocks)):
        seconds.append(of_second)
        if len(seconds) > behind + CONTEXT_SECONDS:
            yield _prominence(seconds, behind)
            behind += 1
            if behind > CONTEXT_SECONDS:
                seconds.popleft()
                behind -= 1
    while behind < len(seconds):
        yield _prominence(seconds, behind)
        behind += 1
        if behind > CONTEXT_SECONDS:
            seconds.popleft()
            behind -= 1


def _prominence(seconds: deque, place: int) -> tuple[np.ndarray, np.ndarray]:
    around = np.concatenate(seconds)[::2]  # every second frame will do for quantiles
    base, spread = _background(around, 2.0)
    of_bands = (seconds[place] - np.maximum(base, QUIETEST_BAND_DB)) / spread
    most = np.sort(np.clip(of_bands, 0.0, MOST_DEVIATIONS), axis=1)[:, -BANDS // 4 :].mean(axis=1)
    return 10 * np.log10(np.power(10, seconds[place] / 10).sum(axis=1) + 1e-9), most


def _background(levels: np.ndarray, least_spread: float) -> tuple[np.ndarray, np.ndarray]:
    """What is exceeded three quarters of the time, and its distance to what is nearly always exceeded, in dB."""
    low, base = np.quantile(levels, (0.05, 0.25), axis=0)
    return base, np.clip(base - low, least_spread, 8.0)


def _band_levels(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Levels in dB by frame and band, float32 (frames, bands); frame n is centred on sample 160 n."""
    window = np.hanning(FRAME).astype(np.float32)
    weights = _mel_weights() / float((window**2).sum())
    held = np.zeros(FRAME // 2, np.float32)
    for block in _padded(blocks):
        held = np.concatenate([held, block])
        if held.size < FRAME:
            continue
        frames = np.lib.stride_tricks.sliding_window_view(held, FRAME)[::HOP]
        power = np.abs(np.fft.rfft(frames * window, axis=1)).astype(np.float32) ** 2
        yield 10 * np.log10(power @ weights + 1e-12)
        held = held[len(frames) * HOP :]


def _padded(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    yield from blocks
    yield np.zeros(FRAME // 2, np.float32)


def _mel_weights() -> np.ndarray:
    """Triangles on the mel scale, each of sum 1, float32 (bins, bands)."""
    mel = np.linspace(*(2595 * np.log10(1 + np.array([LOWEST_HZ, HIGHEST_HZ]) / 700)), BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.arange(FRAME // 2 + 1) * SAMPLING_RATE / FRAME
    rising = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    weights = np.maximum(0.0, np.minimum(rising, falling))
    return (weights / weights.sum(axis=0)).astype(np.float32)


def _seconds(levels: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same frames, a second at a time; the last may have fewer."""
    held = np.zeros((0, BANDS), np.float32)
    for part in levels:
        held = np.concatenate([held, part])
        while len(held) >= SECOND:
            yield held[:SECOND]
            held = held[SECOND:]
    if len(held):
        yield held


def _windows(values: np.ndarray, seconds: int) -> Iterator[np.ndarray]:
    """What lies around each second."""
    for start in range(0, values.size, SECOND):
        yield values[max(0, start - seconds * SECOND) : start + (seconds + 1) * SECOND]


def _smoothed(values: np.ndarray) -> np.ndarray:
    """The mean over 7 frames, at the ends as if the outermost went on."""
    padded = np.pad(values.astype(np.float64), SMOOTH // 2, mode="edge")
    return np.convolve(padded, np.full(SMOOTH, 1 / SMOOTH), mode="valid")


def _runs(above: np.ndarray) -> np.ndarray:
    """First frame, and frame after the last, of each run of truths; shape (runs, 2)."""
    return np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8))).reshape(-1, 2)


def _cut(scores: np.ndarray, start: int, end: int, most: int) -> Iterator[tuple[int, int]]:
    """The stretch in pieces of at most so many frames, cut where it stands out least."""
    while end - start > most:
        place = start + most // 2 + int(scores[start + most // 2 : start + most].argmin())
        yield start, place
        start = place
    yield start, end


def _confidence(scores: np.ndarray) -> float:
    """By a logistic regression on the recordings that the thresholds were chosen on: of mean score and seconds."""
    return float(1 / (1 + np.exp(-(1.26 + 0.59 * scores.mean() + 2.23 * np.log(scores.size / SECOND)))))
