"""A picture of a recording: its waveform, its spectrogram, and the bursts that were found in it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..audio.streaming import stream_recording
from ..drawing import COLOURS, save_figure
from ..waveforms import SAMPLING_RATE
from .region_files import short_label

FRAME, HOP = 512, 160  # 32 ms, every 10 ms
COLUMNS = 1_200  # of a strip; each is the mean of its frames
STRIP_SECONDS, MOST_STRIPS = 60, 10  # longer recordings have longer strips
RANGE_DB = 70  # below the loudest, of the spectrogram
NAMED_BELOW = 25  # bursts in a strip, above which names and edges would lie on one another


def draw_bursts(recording, bursts: pd.DataFrame, path: str | Path) -> Path:
    """Draw a recording and its bursts into a file, whose kind its ending says; see [`burst_figure`].

    Args:
        recording: as ``stream_recording`` takes it; it is read twice more.
        bursts: of this recording, as ``find_bursts`` gives them.
        path: of the picture.
    """
    name = f"{Path(bursts['file'].iloc[0]).name}, " if len(bursts) else ""
    figure, seconds = burst_figure(recording, bursts)
    figure.suptitle(f"{name}{seconds:.1f} s, {bursts['start'].notna().sum()} bursts", fontsize=11)
    return save_figure(figure, path)


def burst_figure(recording, bursts: pd.DataFrame) -> tuple[Figure, float]:
    """A recording and its bursts, a minute per strip, at most ten strips; and its seconds.

    Args:
        recording: as ``stream_recording`` takes it; it is read twice.
        bursts: with ``start``, ``end`` (seconds) and ``confidence``, and what [`short_label`] reads.
    """
    seconds = sum(block.size for block in stream_recording(recording)) / SAMPLING_RATE
    strips = min(MOST_STRIPS, max(1, round(seconds / STRIP_SECONDS + 0.49)))
    each = max(seconds / strips, 1e-3) if strips == MOST_STRIPS else min(STRIP_SECONDS, max(seconds, 1e-3))
    envelope, levels = _columns(stream_recording(recording), strips * COLUMNS, each * strips)
    figure = Figure(figsize=(14, 0.6 + 2.6 * strips), layout="constrained")
    axes = figure.subplots(2 * strips, 1, squeeze=False, height_ratios=[1, 1.6] * strips)[:, 0]
    loudest = float(levels.max()) if levels.size else 0.0
    rows = bursts[bursts["start"].notna()].to_dict("records")
    for strip in range(strips):
        part = slice(strip * COLUMNS, (strip + 1) * COLUMNS)
        start, end = strip * each, (strip + 1) * each
        here = [row for row in rows if row["end"] > start and row["start"] < end]
        _draw_waveform(axes[2 * strip], envelope[part], start, end, here, min(seconds, end))
        _draw_spectrogram(axes[2 * strip + 1], levels[part], start, end, loudest, here)
    axes[-1].set_xlabel("seconds")
    return figure, seconds


def _draw_waveform(axis, envelope: np.ndarray, start: float, end: float, bursts: list[dict], last: float) -> None:
    times = np.linspace(start, end, len(envelope), endpoint=False)
    axis.fill_between(times, envelope[:, 0], envelope[:, 1], color=COLOURS[0], linewidth=0.3)
    most = max(float(np.abs(envelope).max()), 1e-3)
    for burst in bursts:
        axis.axvspan(burst["start"], burst["end"], color=COLOURS[1], alpha=0.25, linewidth=0)
        if len(bursts) <= NAMED_BELOW:
            text = f"{short_label(burst)}\n{burst['confidence']:.2f}"
            middle = (max(burst["start"], start) + min(burst["end"], last)) / 2
            axis.text(middle, 1.05 * most, text, ha="center", va="bottom", fontsize=7, linespacing=0.9)
    axis.set(xlim=(start, end), ylim=(-most, most), ylabel="amplitude")
    axis.tick_params(labelbottom=False)


def _draw_spectrogram(axis, levels: np.ndarray, start: float, end: float, loudest: float, bursts: list[dict]) -> None:
    extent = (start, end, 0.0, SAMPLING_RATE / 2_000)
    axis.imshow(
        levels.T,
        origin="lower",
        aspect="auto",
        extent=extent,
        vmin=loudest - RANGE_DB,
        vmax=loudest,
        cmap="magma",
        interpolation="nearest",
    )
    for burst in bursts if len(bursts) <= NAMED_BELOW else ():  # else the lines would hide what they are around
        for edge in ("start", "end"):
            if start <= burst[edge] <= end:
                axis.axvline(burst[edge], color="white", linewidth=0.6)
    axis.set(xlim=(start, end), ylabel="kHz")


def _columns(blocks: Iterable[np.ndarray], columns: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample of each column (columns, 2), and its mean spectrum in dB (columns, bins)."""
    lows, highs = np.zeros(columns, np.float32), np.zeros(columns, np.float32)
    power, frames_in = np.zeros((columns, FRAME // 2 + 1), np.float32), np.zeros(columns, np.int64)
    window = np.hanning(FRAME).astype(np.float32)
    held, first, samples = np.zeros(0, np.float32), 0, 0

    def column_of(sample: np.ndarray) -> np.ndarray:
        return np.minimum((sample / SAMPLING_RATE / seconds * columns).astype(int), columns - 1)

    for block in blocks:
        places = column_of(np.arange(samples, samples + block.size))
        np.minimum.at(lows, places, block)
        np.maximum.at(highs, places, block)
        samples += block.size
        held = np.concatenate([held, block])
        if held.size < FRAME:
            continue
        frames = np.lib.stride_tricks.sliding_window_view(held, FRAME)[::HOP]
        places = column_of(first + np.arange(len(frames)) * HOP + FRAME / 2)
        np.add.at(power, places, np.abs(np.fft.rfft(frames * window, axis=1)).astype(np.float32) ** 2)
        np.add.at(frames_in, places, 1)
        held, first = held[len(frames) * HOP :], first + len(frames) * HOP
    filled = np.flatnonzero(frames_in)
    if len(filled):  # a column of less than 10 ms is drawn as the one before it
        nearest = filled[np.clip(np.searchsorted(filled, np.arange(columns), side="right") - 1, 0, None)]
        beyond = np.arange(columns) > filled[-1]
        power = np.where(beyond[:, None], 0.0, power[nearest] / frames_in[nearest][:, None])
    return np.stack([lows, highs], axis=1), 10 * np.log10(power + 1e-10)
