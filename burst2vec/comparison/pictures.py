"""Pictures of several runs: their weights in a fusion, and their scores side by side."""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..drawing import COLOURS, save_figure
from ..experiment.plots import better

WAYS = {
    "weights": "chosen on validation",
    "hybrid": "the best on validation alone",
    "mean": "the plain mean",
    "given": "given by hand",
}


def plot_fusion(fusion, path: str | Path) -> Path:
    """Above, the weights of each task; below, for each split and score a bar per system, and the fused one's in black.

    Args:
        fusion: a ``comparison.fusing.Fusion``.
    """
    names = list(dict.fromkeys(n for by in fusion.scores.values() for n in by["fused"] if "/" not in n))
    rows, columns = 1 + len(fusion.scores), max(1, len(names))
    height = 1.6 + 0.3 * len(fusion.tasks) + len(fusion.scores) * (1.1 + 0.3 * len(fusion.systems))
    figure = Figure(figsize=(max(6, 3.4 * columns), height), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    axis = figure.add_subplot(grid[0, :])
    tasks, left = list(fusion.weights), np.zeros(len(fusion.weights))
    for place in range(len(fusion.systems)):
        widths = np.array([fusion.weights[task][place] for task in tasks])
        axis.barh(tasks, widths, left=left, color=_colour(place))  # the bars below show the colours of the systems
        left += widths
    axis.invert_yaxis()
    axis.set(xlim=(0, 1), title=f"Weight of each system, {WAYS[fusion.way]}")
    for row, (split, by_system) in enumerate(fusion.scores.items(), start=1):
        for column, name in enumerate(names):
            axis = figure.add_subplot(grid[row, column])
            values = {system: scores[name] for system, scores in by_system.items() if name in scores}
            if split == "validation" and fusion.held_out:
                values["fused, held out"] = fusion.held_out[name]
            place_of = {system: place for place, system in enumerate(fusion.systems)}
            colours = [_colour(place_of[system]) if system in place_of else "black" for system in values]
            bars = axis.barh(list(values), list(values.values()), color=colours)
            axis.bar_label(bars, fmt="%.3f", fontsize=7, padding=2)
            axis.invert_yaxis()
            axis.margins(x=0.25)
            axis.tick_params(labelsize=7, labelleft=column == 0)
            axis.set_title(f"{split}: {name}\n{better(name)} is better", fontsize=8)
    return save_figure(figure, path)


def plot_report(rows, path: str | Path) -> Path:
    """A panel for each score: mean and standard deviation of each row's runs, and, hollow, what the paper printed.

    Args:
        rows: ``comparison.report.Row`` of one split.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    labels = [textwrap.fill(f"{row.name} ({row.measured_on})", 60) for row in rows]  # a sentence, and what differs
    lines = sum(1 + label.count("\n") for label in labels)
    figure = Figure(figsize=(4.0 + 3.2 * len(names), 1.4 + 0.15 * len(rows) + 0.13 * lines), layout="constrained")
    places = np.arange(len(rows))[::-1]
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False, sharey=True)[0], names, strict=True):
        for place, row in zip(places, rows, strict=True):
            if values := row.scores.get(name):
                spread = np.std(values, ddof=1) if len(values) > 1 else None
                axis.errorbar(np.mean(values), place, xerr=spread, fmt="o", color=COLOURS[0], capsize=4)
            if row.printed.get(name) is not None:
                axis.plot(row.printed[name], place, "D", color=COLOURS[1], fillstyle="none")
        axis.set_yticks(places, labels, fontsize=7)
        axis.set_ylim(-0.5, len(rows) - 0.5)
        axis.set_title(f"{name}, {better(name)} is better", fontsize=9)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=5))  # more would not fit beside one another
        axis.tick_params(axis="x", labelsize=8)
        axis.grid(alpha=0.3)
    axis.plot([], [], "o", color=COLOURS[0], label="measured, on the corpora named (mean ± sd over seeds)")
    if any(row.printed.get(name) is not None for row in rows for name in names):
        axis.plot([], [], "D", color=COLOURS[1], fillstyle="none", label="printed in the paper, on HUME-VB")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return save_figure(figure, path)


def _colour(place: int) -> str:
    return COLOURS[:-1][place % (len(COLOURS) - 1)]  # the last is black
