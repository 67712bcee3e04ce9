"""A corpus in pictures: who speaks, what they are said to feel, how long and how loud the clips are.

No picture names a clip or a speaker.
"""

from collections.abc import Iterator
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ...drawing import COLOURS
from ...tasks import Task
from .check import CorpusCheck

MOST_POINTS = 3_000  # of the map of emotions: t-SNE of more takes minutes
FEWEST_VECTORS = 50  # different ones; fewer lie on a handful of spots and make no map
_BINS = 40


class Picture(NamedTuple):
    """A figure and what it shows; without a figure, the caption says why there is none."""

    name: str
    title: str
    figure: Figure | None
    caption: str


def draw_corpus(check: CorpusCheck, seed: int = 0) -> Iterator[Picture]:
    """Every picture that a corpus calls for, one after the other.

    Args:
        check: of ``check_corpus``.
        seed: draws the clips of the map of emotions, and its start.
    """
    yield draw_age_by_country(check)
    yield draw_emotion_map(check, seed)
    yield _draw_histogram(check, "seconds", "Length of the clips", "length (s)")
    yield _draw_histogram(check, "level_dbfs", "Level of the clips", "root-mean-square level (dBFS)")
    for task in check.tasks:
        yield draw_classes(check, task) if task.kind == "classification" else draw_labels(check, task)


def draw_age_by_country(check: CorpusCheck) -> Picture:
    """How many clips have each age, stacked by country, and each country, of training and validation together, as in
    Figure 1 of Burst2Vec; at most seven countries.
    """
    name, title = "age_by_country", "Age by country"
    age, country = _task(check, "age", "regression"), _task(check, "country", "classification")
    if age is None or country is None:
        return Picture(name, title, None, "Left out: there are no labels of both age and country.")
    ages, countries = check.labels["age"][:, 0], check.labels["country"]
    here, of_which = _of_splits(check, ("train", "validation"))
    known = np.isfinite(ages) & (countries >= 0) & here
    if not known.any():
        return Picture(name, title, None, "Left out: no clip has both an age and a country.")
    counts = np.bincount(countries[known], minlength=len(country.labels))
    shown = sorted(place for place in np.argsort(-counts, kind="stable")[: len(COLOURS)] if counts[place])
    figure = Figure(figsize=(8.4, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    first = np.floor(ages[known].min())
    edges = np.arange(first, max(first + 1, np.floor(ages[known].max()) + 1) + 1)  # a bin per unit
    left.hist([ages[known & (countries == place)] for place in shown], edges, stacked=True, color=COLOURS[: len(shown)])
    left.set(xlabel=f"age ({age.unit})" if age.unit else "age", ylabel="clips")
    bars = right.barh([country.labels[place] for place in shown], counts[shown], color=COLOURS[: len(shown)])
    medians = [np.median(ages[known & (countries == place)]) for place in shown]
    texts = [f"{counts[place]:,}; median age {median:.1f}" for place, median in zip(shown, medians, strict=True)]
    right.bar_label(bars, texts, padding=3, fontsize=7)
    right.invert_yaxis()
    right.set_xlim(0, 1.9 * counts.max())
    right.set(xlabel="clips")
    right.tick_params(labelsize=8)
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
    caption = f"Age and country of the speakers of {known.sum():,} clips{of_which}, stacked by country."
    if (countries_there := np.count_nonzero(counts)) > len(shown):
        caption += f" The {len(shown)} of {countries_there} countries that have the most clips."
    return Picture(name, title, figure, caption)


def draw_emotion_map(check: CorpusCheck, seed: int = 0) -> Picture:
    """The emotions of each training clip as a point, near to those of like emotions (t-SNE, van der Maaten and Hinton
    2008), coloured by the strongest, as in Figure 1 of the challenge's white paper; of all clips where none train.
    """
    name, title = "emotion_map", "Map of the emotions"
    task = next((task for task in check.tasks if task.kind == "regression" and len(task.labels) > 2), None)
    if task is None:
        return Picture(name, title, None, "Left out: there is no task of three or more intensities.")
    vectors = check.labels[task.name]
    here, of_which = _of_splits(check, ("train",))
    rows = np.flatnonzero(np.isfinite(vectors).all(axis=1) & here)
    different = len(np.unique(vectors[rows], axis=0))
    if different < FEWEST_VECTORS:
        return Picture(
            name,
            title,
            None,
            f"Left out: the labels of the task {task.name} take {different:,} different values, and a map "
            f"needs {FEWEST_VECTORS}.",
        )
    from sklearn.manifold import TSNE  # seconds to import, and only this picture needs it

    drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST_POINTS])
    vectors = vectors[drawn]
    perplexity = min(30, (len(drawn) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)
    strongest = np.where(vectors.max(axis=1) > task.span[0], vectors.argmax(axis=1), -1)
    present = [label for label in range(len(task.labels)) if (strongest == label).any()]
    figure, axis = _one_axis(7.4, 5.2)
    axis.scatter(*places[strongest < 0].T, s=9, color="lightgrey", label="none" if (strongest < 0).any() else None)
    for colour, label in zip(_many_colours(len(present)), present, strict=True):
        here = places[strongest == label]
        axis.scatter(*here.T, s=9, color=colour, alpha=0.75, linewidths=0, label=task.labels[label])
    axis.set(xticks=[], yticks=[])
    axis.legend(
        fontsize=8,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        markerscale=2,
        ncols=1 + (len(present) > 20),
    )
    fewer = len(drawn) < len(rows)
    which = (f"{len(drawn):,} of {len(rows):,}" if fewer else f"{len(rows):,}") + f" clips{of_which},"
    which += " drawn and" * fewer
    caption = (
        f"t-SNE of the {len(task.labels)} labels of the task {task.name}, coloured by the strongest: {which} "
        f"placed by seed {seed}, perplexity {perplexity:.0f}. Directions and distances between far groups mean nothing."
    )
    return Picture(name, title, figure, caption)


def draw_labels(check: CorpusCheck, task: Task) -> Picture:
    """A histogram of each label of a regression, one line a split."""
    name, title = f"labels_{task.name}", f"Labels: {task.name}"
    values = check.labels[task.name]
    if not np.isfinite(values).any():
        return Picture(name, title, None, f"Left out: no clip has the label of the task {task.name}.")
    columns = min(5, len(task.labels))
    rows = -(-len(task.labels) // columns)
    size = (6.4, 3.4) if len(task.labels) == 1 else (2.2 * columns + 0.6, 1.6 * rows + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    edges = np.linspace(*task.span, 21 if len(task.labels) > 1 else 31)
    lines = {}
    for axis, label, column in zip(axes.flat, task.labels, values.T, strict=False):
        for split, colour, here in _by_split(check, np.isfinite(column)):
            percent = 100 * np.histogram(column[here], edges)[0] / len(here)
            lines[split] = axis.stairs(percent, edges, color=colour, linewidth=1.4)
        if len(task.labels) > 1:
            axis.set_title(label, fontsize=9)
            axis.set_xticks(np.linspace(*task.span, 3), [f"{tick:g}" for tick in np.linspace(*task.span, 3)])
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(task.labels) :]:
        axis.set_visible(False)
    figure.supxlabel(f"{task.name} ({task.unit})" if task.unit else task.name, fontsize=9)
    figure.supylabel("clips of the split (%)", fontsize=9)
    figure.legend(lines.values(), lines, loc="outside upper right", ncols=len(lines), fontsize=8, frameon=False)
    return Picture(name, title, figure, f"How often each value of {task.name} is given, in {len(edges) - 1} bins.")


def draw_classes(check: CorpusCheck, task: Task) -> Picture:
    """How many clips each class has, a bar for each split."""
    name, title = f"classes_{task.name}", f"Classes: {task.name}"
    values = check.labels[task.name]
    splits = list(_by_split(check, values >= 0))
    if not splits:
        return Picture(name, title, None, f"Left out: no clip has the label of the task {task.name}.")
    height = 0.8 / len(splits)
    figure, axis = _one_axis(6.8, max(2.2, (0.2 * len(splits) + 0.12) * len(task.labels) + 0.9))
    places = np.arange(len(task.labels))
    for number, (split, colour, here) in enumerate(splits):
        counts = np.bincount(values[here], minlength=len(task.labels))
        bars = axis.barh(places + (number - (len(splits) - 1) / 2) * height, counts, height, color=colour, label=split)
        axis.bar_label(bars, [f"{count:,}" for count in counts], padding=3, fontsize=7)
    axis.set_yticks(places, task.labels, fontsize=9)
    axis.invert_yaxis()
    axis.margins(x=0.1, y=0.01)
    axis.set_xlabel("clips")
    figure.legend(loc="outside upper right", ncols=len(splits), fontsize=8, frameon=False)
    return Picture(name, title, figure, f"Clips of each class of the task {task.name}.")


def _draw_histogram(check: CorpusCheck, column: str, title: str, label: str) -> Picture:
    values = check.clips[column].to_numpy()
    known = np.isfinite(values)
    name = {"seconds": "lengths", "level_dbfs": "levels"}[column]
    if not known.any():
        return Picture(name, title, None, "Left out: there is no clip to measure.")
    low, high = values[known].min(), values[known].max()
    edges = np.linspace(low, high, _BINS + 1) if high > low else np.linspace(low - 0.5, high + 0.5, _BINS + 1)
    figure, axis = _one_axis(6.4, 3.4)
    for split, colour, here in _by_split(check, known):
        percent = 100 * np.histogram(values[here], edges)[0] / len(here)
        axis.stairs(percent, edges, color=colour, linewidth=1.6, label=split)
        axis.stairs(percent, edges, color=colour, alpha=0.1, fill=True)
    axis.set(xlabel=label, ylabel="clips of the split (%)")
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=8)
    silent = " Clips of zeros have none." if column == "level_dbfs" and (check.clips["peak"] == 0).any() else ""
    unit = {"seconds": "s", "level_dbfs": "dBFS"}[column]
    span = f"{low:.2f} to {high:.2f} {unit}".replace("-", "−")
    return Picture(name, title, figure, f"{known.sum():,} clips, from {span}.{silent}")


def _by_split(check: CorpusCheck, known: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name, colour and known rows of each split that has any."""
    codes = check.clips["split"].cat.codes.to_numpy()
    for number, split in enumerate(check.splits):
        here = np.flatnonzero(known & (codes == number))
        if len(here):
            yield split, COLOURS[number % len(COLOURS)], here


def _of_splits(check: CorpusCheck, wanted: tuple[str, ...]) -> tuple[np.ndarray, str]:
    """Which clips are in these splits, all where the corpus has none of them; and how a caption says so."""
    there = [split for split in wanted if split in check.splits]
    here = check.clips["split"].isin(there or check.splits).to_numpy()
    return here, f" of {' and '.join(there)}" if there else ""


def _task(check: CorpusCheck, name: str, kind: str) -> Task | None:
    return next((task for task in check.tasks if task.name == name and task.kind == kind), None)


def _many_colours(number: int) -> list:
    if number <= 10:
        return list(matplotlib.colormaps["tab10"].colors[:number])
    if number <= 20:
        return list(matplotlib.colormaps["tab20"].colors[:number])
    return list(matplotlib.colormaps["hsv"](np.linspace(0, 1, number, endpoint=False)))


def _one_axis(width: float, height: float):
    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.subplots()
    axis.grid(alpha=0.3)
    axis.set_axisbelow(True)
    return figure, axis
