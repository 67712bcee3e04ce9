"""What more speakers to train on are worth: one recipe on nested sets of them, and other systems' runs beside it."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from tqdm.auto import tqdm

from ..data.cells import as_cell
from ..drawing import COLOURS, save_figure
from ..errors import RunError
from ..experiment.execute import execute
from ..experiment.finished import FinishedRun
from ..experiment.plots import better
from ..files import write_whole
from ..markdown import markdown_table
from .report import BASELINE, NO_SCORE, mean_and_spread
from .study import Stage, run_or_read

ALL = "all"


@dataclass(frozen=True)
class Curve:
    """One system's scores by how many speakers it was trained on.

    Attributes:
        name: the recipe's description.
        scores: by score name and number of speakers, one number per run; rising numbers.
        baseline: by score name, the constant baseline's scores of all runs.
    """

    name: str
    scores: dict[str, dict[int, list[float]]]
    baseline: dict[str, list[float]]


def stages_of(recipe: str | Path, speakers: Iterable[str]) -> dict[str, Stage]:
    """The recipe with each number of training speakers, by the number; "all" leaves the recipe as it is.

    Raises:
        RunError: a number twice, or none.
    """
    stages = {}
    for count in speakers:
        if count != ALL and not (count.isdecimal() and int(count) > 0):
            raise RunError(f"--speakers {count}: give numbers of 1 or more, or {ALL}, such as 40 80 160 {ALL}")
        if count in stages:
            raise RunError(f"--speakers {count} is given twice")
        stages[count] = Stage(recipe, {} if count == ALL else {"train_speakers": int(count)})
    return stages


def train_curve(
    stages: dict[str, Stage],
    seeds: Sequence[int],
    folder: str | Path,
    options: Sequence[str] = (),
    run: Callable = execute,
) -> list[Path]:
    """Train each stage with each seed; finished runs are read, and one that was broken off is resumed.

    Args:
        stages: of [`stages_of`].
        seeds: of training, and of the draw of the speakers.
        folder: each run has its own in it, ``speakers-<number>/seed-<seed>``.
        options: of the command line, ``--key value``, for every run.
        run: the function that executes a run.

    Returns:
        the runs' folders.
    """
    folders = []
    with tqdm(total=len(stages) * len(seeds), desc="Learning curve", unit=" runs") as progress:
        for (count, stage), seed in product(stages.items(), seeds):
            progress.set_postfix_str(f"{count} speakers, seed {seed}")
            folders.append(Path(folder, f"speakers-{count}", f"seed-{seed}"))
            run_or_read(stage, seed, folders[-1], options, run)
            progress.update()
    return folders


def curves_of(runs: dict[str, FinishedRun], split: str = "validation") -> list[Curve]:
    """A curve for each description among the runs, in their order.

    Args:
        runs: by name; the recipes of one curve differ in ``train_speakers`` and the seed, which is for the caller to
            see to.
        split: of the scores.

    Raises:
        RunError: a run that did not record how many speakers it was trained on, or has no scores of the split.
    """
    found: dict[str, Curve] = {}
    for run_name, run in runs.items():
        speakers = run.record.speakers.get("train")
        scores = {name: value for name, value in run.record.scores.get(split, {}).items() if "/" not in name}
        if speakers is None or not scores:
            lacking = f"has no scores of {split}" if speakers else "does not say how many speakers it was trained on"
            raise RunError(f"{run_name}: its record {lacking}; train it again, or leave it out")
        name = run.record.recipe.get("description") or run.folder.resolve().name
        curve = found.setdefault(name, Curve(name, {}, {}))
        for score, value in scores.items():
            curve.scores.setdefault(score, {}).setdefault(speakers, []).append(value)
        for score, value in run.record.baseline.get(split, {}).items():
            curve.baseline.setdefault(score, []).append(value)
    sort = {
        name: {score: dict(sorted(by.items())) for score, by in curve.scores.items()} for name, curve in found.items()
    }
    return [Curve(name, sort[name], curve.baseline) for name, curve in found.items()]


def common_scores(curves: Sequence[Curve], names: Sequence[str]) -> list[str]:
    """Of the scores' names, those that every curve has."""
    return [name for name in names if all(name in curve.scores for curve in curves)]


def format_curves(curves: Sequence[Curve], scores: Sequence[str]) -> str:
    """A Markdown table: a line for each system and number of speakers, mean ± standard deviation over seeds."""
    lines = [["system", "speakers to train on", "seeds", *scores]]
    for curve in curves:
        for speakers in dict.fromkeys(count for score in scores for count in curve.scores[score]):
            values = [curve.scores[score].get(speakers) for score in scores]
            seeds = max(len(of_score or ()) for of_score in values)
            lines.append([curve.name, f"{speakers:,}", str(seeds), *map(mean_and_spread, values)])
    constant = [np.mean(curves[0].baseline[score]) if score in curves[0].baseline else None for score in scores]
    lines.append([BASELINE, "", "", *(NO_SCORE if value is None else f"{value:.3f}" for value in constant)])
    return markdown_table(lines, aligned=False)


def plot_curves(curves: Sequence[Curve], scores: Sequence[str], path: str | Path) -> Path:
    """A panel for each score: against the speakers, on a logarithmic axis, the mean of the seeds and each seed's."""
    figure = Figure(figsize=(4.6 * len(scores), 4.4), layout="constrained")
    counts = sorted({count for curve in curves for score in scores for count in curve.scores[score]})
    for axis, score in zip(figure.subplots(1, len(scores), squeeze=False)[0], scores, strict=True):
        for place, curve in enumerate(curves):
            by_count, colour = curve.scores[score], COLOURS[place % len(COLOURS)]
            means = [np.mean(values) for values in by_count.values()]
            axis.plot(list(by_count), means, "o-", color=colour, markersize=5, label=fill(curve.name, 60))
            for count, values in by_count.items():
                axis.plot([count] * len(values), values, "_", color=colour, markersize=8)
        if curves[0].baseline.get(score):
            axis.axhline(np.mean(curves[0].baseline[score]), color="grey", linestyle=":", label=BASELINE)
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(FixedLocator(counts))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter("{x:.0f}")
        axis.set_xlabel("speakers to train on")
        axis.set_title(f"{score}, {better(score)} is better", fontsize=10)
        axis.grid(alpha=0.3)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", fontsize=8)
    return save_figure(figure, path)


def write_curves(curves: Sequence[Curve], scores: Sequence[str], folder: str | Path) -> str:
    """``learning_curve.md``, ``learning_curve.csv`` with a line for each run's score, and ``learning_curve.png``.

    Returns:
        The Markdown table.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["system", "speakers", "score", "value"])
    for curve, score in product(curves, scores):
        for speakers, values in curve.scores[score].items():
            writer.writerows([as_cell(curve.name), speakers, score, f"{value:.6f}"] for value in values)
    text = format_curves(curves, scores)
    write_whole(folder / "learning_curve.csv", table.getvalue())
    write_whole(folder / "learning_curve.md", text + "\n")
    plot_curves(curves, scores, folder / "learning_curve.png")
    return text
