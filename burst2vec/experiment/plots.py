"""Pictures of a run: one PNG per question."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..answers import temper
from ..drawing import COLOURS, save_figure
from ..scoring.temperature import reliability_bins
from ..tasks import Task

VIEWS = ("shared", "private", "combined")  # of a clip, on each of which a task's head runs


def plot_losses(history: list[dict], path: str | Path, tasks: Sequence[Task] = (), split="validation") -> Path | None:
    """How a training went over its steps.

    A panel for the total loss on the training batches, for each task's and for the adversaries'; then, where there were
    evaluations, one for the loss on the clips evaluated and one for each task's score. They are apart because a
    training batch may be of one task, and an evaluation is of all.

    Args:
        history: ``trainer.state.log_history``: the total is ``loss``, the parts have the names that the model gives,
            and what was evaluated begins with ``eval_``.
        tasks: whose scores are drawn.
        split: that was evaluated.

    Returns:
        ``path``, or None when nothing was logged.
    """
    evaluated = {"eval_loss": f"{split.capitalize()}: loss"}
    for name in (*(task.score_name for task in tasks), "s_mtl"):
        evaluated[f"eval_{name}"] = f"{split.capitalize()}: {name}, {better(name)} is better"
    panels: dict[str, dict[str, list]] = {}  # title → name of the curve → (step, value)
    for entry in sorted(history, key=lambda entry: "loss" not in entry):  # evaluations after the training's
        for key, value in entry.items():
            place = (evaluated[key], split) if key in evaluated else _panel_and_curve(key) if "loss" in entry else None
            if place is not None:
                title, curve = place
                panels.setdefault(title, {}).setdefault(curve, []).append((entry["step"], value))
    if not any("loss" in entry for entry in history):
        return None
    last = max(entry["step"] for entry in history if "step" in entry)
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.1 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, (title, parts) in zip(axes.flat, panels.items(), strict=False):
        for colour, (name, points) in zip(COLOURS, parts.items(), strict=False):
            steps, values = zip(*points, strict=True)
            marker = "o" if len(points) < 25 else None
            drawn = "black" if name == split else colour
            axis.plot(steps, values, color=drawn, label=name, linewidth=1.5, marker=marker, markersize=3)
        axis.set_title("\n".join(wrap(title, 40)), fontsize=10)
        axis.set(xlabel="training step", xlim=(0, last * 1.03), ylabel="score" if "is better" in title else "loss")
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axis.grid(alpha=0.3)
        if len(parts) > 1:
            axis.legend(fontsize=8)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    return save_figure(figure, path)


def _panel_and_curve(key: str) -> tuple[str, str] | None:
    task, _, view = key.rpartition("_")
    if key == "loss":
        return "Training: total loss (Eq. 8)", key
    if key in ("discriminator", "adversary"):
        return "Training: discriminator (Eq. 6), adversary (Eq. 7)", key
    return (f"Training: {task} (Eq. 5)", view) if view in VIEWS and not key.startswith("eval_") else None


def plot_label_scores(task: Task, scores: dict[str, float], path: str | Path) -> Path:
    """One bar for each label of a regression task, and a line at their mean.

    Args:
        scores: as ``scoring.score_tasks`` gives them; the bars are its keys ``<task>_<metric>/<label>``.
    """
    values = np.array([scores.get(f"{task.score_name}/{label}", np.nan) for label in task.labels], dtype=float)
    order = np.argsort(np.nan_to_num(values, nan=-np.inf))
    labels = [task.labels[place] for place in order]
    figure = Figure(figsize=(6.4, 0.34 * len(labels) + 1.5), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh(labels, np.nan_to_num(values[order]), color=COLOURS[0], height=0.7)
    for text in axis.bar_label(bars, [_rounded(value) for value in values[order]], padding=3, fontsize=8):
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    mean = scores.get(task.score_name, np.nan)
    if np.isfinite(mean):
        axis.axvline(mean, color=COLOURS[1], linestyle="--", linewidth=1.5, label=f"mean {mean:.3f}")
        axis.legend(fontsize=8, loc="lower right")
    axis.axvline(0, color="black", linewidth=0.8)
    if task.metric == "ccc":
        axis.set_xlim(min(0.0, np.nanmin(values, initial=0.0) - 0.1), 1.05)
        axis.set_xlabel("concordance correlation coefficient (1 is perfect)")
    else:
        axis.set_xlabel("mean absolute error" + (f" ({task.unit})" if task.unit else ""))
        axis.margins(x=0.12)
    axis.set_title(f"{task.name.capitalize()}: {task.metric.upper()} of each label")
    return save_figure(figure, path)


def plot_scatter(task: Task, predictions: np.ndarray, references: np.ndarray, path: str | Path) -> Path:
    """Predicted against true values of a regression with one label, with the line of perfect prediction.

    Args:
        predictions, references: shape (clips, 1), in the task's unit; NaN references are left out.
    """
    truth, guess = np.asarray(references, dtype=float).reshape(-1), np.asarray(predictions, dtype=float).reshape(-1)
    known = np.isfinite(truth) & np.isfinite(guess)
    truth, guess = truth[known], guess[known]
    unit = f" ({task.unit})" if task.unit else ""
    low = min(truth.min(initial=np.inf), guess.min(initial=np.inf), task.span[1])
    high = max(truth.max(initial=-np.inf), guess.max(initial=-np.inf), low + 1e-6)
    margin = 0.05 * (high - low)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axis = figure.subplots()
    faint = float(np.clip(150 / max(len(truth), 1), 0.08, 0.7))  # thousands of points must not become one blot
    axis.scatter(truth, guess, s=12, color=COLOURS[0], alpha=faint, linewidths=0)
    line = (low - margin, high + margin)
    axis.plot(line, line, color=COLOURS[1], linestyle="--", linewidth=1.5, label="perfect prediction")
    if len(truth):
        median = float(np.median(truth))
        axis.axhline(median, color="grey", linestyle=":", linewidth=1.2, label=f"median of the truth, {median:.1f}")
    axis.set(
        xlim=line, ylim=line, aspect="equal", xlabel=f"true {task.name}{unit}", ylabel=f"predicted {task.name}{unit}"
    )
    error = float(np.mean(np.abs(truth - guess))) if len(truth) else float("nan")
    of_unit = f" {task.unit}" if task.unit else ""
    axis.set_title(f"{task.name.capitalize()}: mean absolute error {error:.2f}{of_unit}, {len(truth)} clips")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="upper left")
    return save_figure(figure, path)


def confusion(predictions: np.ndarray, references: np.ndarray, classes: int) -> np.ndarray:
    """How many clips of each true class (row) were predicted as each class (column); -1 references are left out.

    >>> confusion(np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]), np.array([0, 1, -1]), classes=2).tolist()
    [[1, 0], [1, 0]]
    """
    references = np.asarray(references)
    known = references >= 0
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (references[known], np.asarray(predictions)[known].argmax(axis=1)), 1)
    return counts


def plot_confusion(task: Task, predictions: np.ndarray, references: np.ndarray, path: str | Path) -> Path:
    """Confusion of a classification: each row is a true class and sums to 100 %, its diagonal is the class's recall.

    Args:
        predictions: shape (clips, labels), probabilities.
        references: shape (clips,), class indices with -1 missing.
    """
    counts = confusion(predictions, references, len(task.labels))
    totals = counts.sum(axis=1)
    percent = 100 * counts / np.maximum(totals, 1)[:, None]
    few = len(task.labels) <= 10  # room for a number in each cell
    size = 2.4 + 0.62 * len(task.labels) if few else 3.2 + 0.3 * len(task.labels)
    figure = Figure(figsize=(size + 1.2, size + 0.2), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(percent, cmap="Blues", vmin=0, vmax=100 if few else max(percent.max(), 1))
    figure.colorbar(image, ax=axis, label="fraction of the true class (%)", shrink=0.8)
    places = range(len(task.labels))
    axis.set_xticks(places, task.labels, rotation=45 if few else 90, ha="right" if few else "center")
    axis.set_yticks(places, [f"{label} ({total})" for label, total in zip(task.labels, totals, strict=True)])
    axis.set(xlabel=f"predicted {task.name}", ylabel=f"true {task.name} (clips)")
    if few:
        for row in places:
            for column in places:
                ink = "white" if percent[row, column] > 55 else "black"
                axis.text(column, row, f"{percent[row, column]:.0f}", ha="center", va="center", color=ink, fontsize=9)
    present = totals > 0
    recall = float(np.mean(np.diag(percent)[present])) / 100 if present.any() else float("nan")
    axis.set_title(f"{task.name.capitalize()}: unweighted average recall {recall:.3f}")
    return save_figure(figure, path)


def plot_reliability(task: Task, probabilities, classes, temperature: float, path: str | Path) -> Path:
    """How often the most probable class is right, by its probability: with the task's temperature, and without.

    Args:
        probabilities: shape (clips, labels), with the temperature.
        classes: shape (clips,), class indices, none missing.
        temperature: as ``Burst2VecConfig.temperatures`` has it.
    """
    figure = Figure(figsize=(5.2, 5.2), layout="constrained")
    axis = figure.subplots()
    axis.plot((0, 1), (0, 1), color="grey", linestyle="--", linewidth=1.2, label="right as often as they say")
    for name, values, colour in (
        ("as the network answers", temper(np.asarray(probabilities), 1 / temperature), COLOURS[1]),
        (f"with a temperature of {temperature:.2f}", probabilities, COLOURS[0]),
    ):
        confidence, accuracy, clips = reliability_bins(values, classes)
        axis.plot(confidence, accuracy, color=colour, label=name)
        axis.scatter(confidence, accuracy, s=300 * clips / clips.sum(), color=colour, alpha=0.6)
    axis.set(xlim=(0, 1), ylim=(0, 1), title=f"{task.name.capitalize()}: reliability; a dot's area is its clips")
    axis.set(xlabel="probability of the most probable class", ylabel="fraction that is right")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="upper left")
    return save_figure(figure, path)


def plot_predictions(
    tasks: tuple[Task, ...],
    scores: dict[str, float],
    predictions: dict,
    references: dict,
    folder: str | Path,
    split: str,
) -> list[Path]:
    """Draw every picture of a task set: bars for many regressed labels, a scatter for one, a confusion for
    classes. Files are named ``<split>_<task>_….png``.
    """
    drawn = []
    for task in tasks:
        if task.kind == "classification":
            path = Path(folder, f"{split}_{task.name}_confusion.png")
            drawn.append(plot_confusion(task, predictions[task.name], references[task.name], path))
        elif len(task.labels) == 1:
            path = Path(folder, f"{split}_{task.name}_scatter.png")
            drawn.append(plot_scatter(task, predictions[task.name], references[task.name], path))
        else:
            path = Path(folder, f"{split}_{task.score_name}.png")
            drawn.append(plot_label_scores(task, scores, path))
    return drawn


def plot_study(study, path: str | Path) -> Path:
    """A panel for each score: a dot per seed, in the seed's colour, and mean and standard deviation of each stage.

    Args:
        study: a ``comparison.study.Study``.
    """
    names = list(study.scores)
    stages = list(study.scores[names[0]])
    figure = Figure(figsize=(4.2 * len(names), 1.2 + 0.55 * len(stages)), layout="constrained")
    places = np.arange(len(stages))[::-1]
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False, sharey=True)[0], names, strict=True):
        values = np.array([study.scores[name][stage] for stage in stages])  # stages, seeds
        for column, seed in enumerate(study.seeds):
            colour = COLOURS[column % len(COLOURS)]
            axis.plot(values[:, column], places, "o-", color=colour, alpha=0.5, linewidth=0.8, label=f"seed {seed}")
        spread = values.std(axis=1, ddof=1) if len(study.seeds) > 1 else None
        axis.errorbar(values.mean(axis=1), places, xerr=spread, fmt="D", color="black", capsize=4, label="mean ± sd")
        axis.set_yticks(places, stages)
        axis.set(xlabel=name, title=f"{name}, {better(name)} is better")
        axis.grid(alpha=0.3)
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(8, len(labels)), fontsize=8)
    return save_figure(figure, path)


def better(name: str) -> str:
    """Whether more or less of a score is better."""
    return "less" if name.endswith("_mae") else "more"


def _rounded(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "undefined"
