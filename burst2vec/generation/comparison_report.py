"""A comparison of generated and real clips to read: a table like the white paper's Table 3, a picture, and files."""

import csv
import io
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..drawing import COLOURS, save_figure
from ..files import write_json, write_whole
from ..markdown import markdown_table, markdown_text
from ..scoring.generated import Estimate
from .comparing_clips import COPY_BELOW, Clips, Comparison

_DRAWN = 1_000  # clips of each set in the picture
_TOLD_APART = 12  # emotions; of more, neither colours nor numbers could be read


def format_comparison(comparison: Comparison, features: int, made_by: str) -> str:
    """The scores as Markdown.

    Args:
        features: numbers in a clip's vector.
        made_by: what the vectors are by.
    """
    scores = comparison.of_emotion
    columns = {
        "clips": [f"{each.generated:,} / {each.real:,}" for each in scores.values()],
        "FID": [_interval(each.fid) for each in scores.values()],
        "floor": [f"{_interval(each.floor)}, {each.floor_clips:,} clips" for each in scores.values()],
        "FID to file": [_number(each.fid_of_statistics, 2) for each in scores.values()],
        "HEEP": [_number(each.heep, 3) for each in scores.values()],
        "S_GEN": [_number(each.s_gen, 3) for each in scores.values()],
        "precision": [f"{each.manifold.precision:.2f}" for each in scores.values()],
        "recall": [f"{each.manifold.recall:.2f}" for each in scores.values()],
        "density": [f"{each.manifold.density:.2f}" for each in scores.values()],
        "coverage": [f"{each.manifold.coverage:.2f}" for each in scores.values()],
        "nearer": [f"{each.nearer:.2f}" for each in scores.values()],
        "copies": [f"{each.copies:,}" for each in scores.values()],
    }
    columns = {name: cells for name, cells in columns.items() if set(cells) != {"-"}}
    table = markdown_table([["emotion", *columns], *zip(scores, *columns.values(), strict=True)])
    return "\n\n".join([table, *_notes(comparison, features, made_by)])


def _notes(comparison: Comparison, features: int, made_by: str) -> list[str]:
    reference = "held-out clips" if comparison.held_out else "the real clips among each other"
    floor = (
        "held-out clips" if comparison.held_out else "real clips drawn at random, which share speakers with the rest"
    )
    notes = [
        f"Vectors: {features:,} features of {markdown_text(made_by)}. FID: Fréchet distance between generated and real "
        "clips of the emotion, with its 95 % interval (jackknife over 10 groups). Floor: the same of real clips "
        f"to other real ones: {floor}. Neighbourhoods reach to neighbour k = {comparison.k}. Nearer: fraction of "
        f"generated clips that are nearer to a real clip than the median of {reference}. Copies: generated clips "
        f"within {COPY_BELOW} of that median of a real clip.",
    ]
    fewest = min(min(each.generated, each.floor_clips) for each in comparison.of_emotion.values())
    if fewest <= features:
        notes.append(
            f"Some distances are of {fewest:,} clips in {features:,} dimensions: covariances are then singular, and "
            "distances too large. They say something beside a floor of as many clips only."
        )
    if comparison.overall is not None:
        fid, floor = (_interval(each) for each in comparison.overall)
        notes.append(f"All emotions together: FID {fid}, floor {floor}.")
    if (found := comparison.recognition) is not None:
        tested = "held-out clips" if comparison.held_out else "real clips, cross-validated"
        notes.append(
            "A classifier that learnt from the real clips' vectors finds the asked emotion of generated clips with a "
            f"UAR of {found.generated:.3f} (permutation p = {found.p:.2g}), and that of {tested} with one of "
            f"{found.real:.3f}; chance is {found.chance:.3f}."
        )
    if comparison.s_gen is not None:
        notes.append(f"S_GEN over all emotions that were asked for in the ratings: {comparison.s_gen:.3f}")
    copies = [each for each in comparison.neighbours if each.is_copy]
    if copies:
        first = ", ".join(f"{each.clip} of {each.real}" for each in copies[:3])
        notes.append(f"{len(copies):,} generated clips are copies, such as {markdown_text(first)}; see nearest.csv.")
    return notes


def write_comparison(comparison: Comparison, text: str, generated: Clips, real: Clips, folder: str | Path) -> None:
    """Write ``scores.md``, ``scores.json``, ``nearest.csv`` and ``picture.png`` into a folder, made if need be."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "scores.md", text + "\n")
    record = {
        "emotions": {
            name: {
                **asdict(each),
                "fid": each.fid._asdict(),
                "floor": each.floor._asdict(),
                "manifold": each.manifold._asdict(),
            }
            for name, each in comparison.of_emotion.items()
        },
        "distances": comparison.distances.tolist(),
        "overall": comparison.overall
        and {name: each._asdict() for name, each in zip(("fid", "floor"), comparison.overall, strict=True)},
        "recognition": comparison.recognition and comparison.recognition._asdict(),
        "s_gen": comparison.s_gen,
        "k": comparison.k,
        "held_out": comparison.held_out,
    }
    write_json(folder / "scores.json", record)
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["file", "emotion", "nearest_real", "relative_distance", "copy"])
    for each in comparison.neighbours:
        table.writerow([each.clip, each.emotion, each.real, f"{each.distance:.4f}", int(each.is_copy)])
    write_whole(folder / "nearest.csv", file.getvalue())
    save_figure(draw_comparison(comparison, generated, real), folder / "picture.png")


def draw_comparison(comparison: Comparison, generated: Clips, real: Clips) -> Figure:
    """The clips on the two axes along which real ones differ most, distances between emotions, nearest neighbours."""
    emotions = list(comparison.of_emotion)
    few = len(emotions) <= _TOLD_APART
    figure = Figure(figsize=(15, 5.2 if few else 6.4), layout="constrained")
    plane, heat, near = figure.subplots(1, 3)
    axes = _principal_axes(real.vectors)
    rows = np.random.default_rng(0).permutation(len(real.vectors))[:_DRAWN]
    plane.scatter(*_on(axes, real.vectors[rows], real.vectors), s=6, color="0.75", label="real, all emotions")
    for place, emotion in enumerate(emotions):
        points = _on(axes, generated.of(emotion)[:_DRAWN], real.vectors)
        marker, colour = "o^s"[place // len(COLOURS) % 3], COLOURS[place % len(COLOURS)]
        looks = {"marker": marker, "color": colour, "label": emotion} if few else {"marker": "o", "color": COLOURS[1]}
        plane.scatter(*points, s=10, alpha=0.7, **looks)
    if not few:
        plane.scatter([], [], s=10, color=COLOURS[1], label=f"generated, {len(emotions)} emotions")
    plane.set(title="Generated clips among real ones", xlabel="first principal axis of the real", ylabel="second")
    plane.legend(fontsize=7, markerscale=1.5)
    image = heat.imshow(comparison.distances, cmap="viridis_r")
    heat.set_xticks(range(len(emotions)), emotions, **({"rotation": 45, "ha": "right"} if few else {"rotation": 90}))
    heat.set_yticks(range(len(emotions)), emotions)
    heat.tick_params(labelsize=8 if few else 6)
    middle = (comparison.distances.min() + comparison.distances.max()) / 2
    for (row, column), value in np.ndenumerate(comparison.distances) if few else ():
        colour = "white" if value > middle else "black"
        heat.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=7, color=colour)
    heat.set(title="Fréchet distance, generated (rows) to real (columns)")
    figure.colorbar(image, ax=heat, shrink=0.8)
    ours, theirs = (np.concatenate([apart[side] for apart in comparison.apart.values()]) for side in (0, 1))
    edges = np.linspace(0, max(2.0, np.quantile(ours, 0.98)), 41)
    name = "held out" if comparison.held_out else "real, among each other"
    for values, label, colour in ((theirs, name, "0.6"), (ours, "generated", COLOURS[1])):
        weights = np.full(len(values), 1 / len(values))
        near.hist(np.clip(values, 0, edges[-1]), edges, weights=weights, color=colour, alpha=0.6, label=label)
    near.axvline(COPY_BELOW, color="black", linestyle=":", label="copies lie left of this")
    near.set(
        title="Distance to the nearest real clip", xlabel="over the median of real clips", ylabel="fraction of clips"
    )
    near.legend(fontsize=8)
    return figure


def _principal_axes(vectors: np.ndarray) -> np.ndarray:
    values, axes = np.linalg.eigh(np.cov(vectors, rowvar=False).reshape(2 * vectors.shape[1:]))
    return axes[:, ::-1][:, :2] if len(values) > 1 else np.repeat(axes, 2, axis=1)


def _on(axes: np.ndarray, vectors: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return ((vectors - centre.mean(axis=0)) @ axes).T


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def _number(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"
