"""What personalisation is worth, with the speaker as the unit: scores before and after, a paired test and a picture."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..data.cells import as_cell
from ..drawing import COLOURS, save_figure
from ..experiment.plots import better
from ..files import write_json, write_whole
from ..markdown import markdown_table, markdown_text
from ..scoring import score_tasks
from ..scoring.significance import PairedComparison, compare_paired, holm
from ..tasks import Task
from .comparing import PAIRED, clip_errors, is_labelled, p_value_text
from .fewshot import SpeakerAnswers, Trial

COLUMNS = ("speaker", "task", "way", "query_clips", "score", "before", "after", "error", "error_before", "error_after")


@dataclass(frozen=True)
class Gain:
    """One way to personalise, on one task.

    Attributes:
        task: the record.
        way: its name.
        all_before, all_after: the score over the query clips of all speakers, one for each draw, (draws,).
        speakers: the names of those whose query clips have labels.
        query_clips: of each the number of labelled query clips.
        before, after: the score of each speaker's query clips, the mean over draws, (speakers,).
        error_before, error_after: the same of the quantity in ``comparing.PAIRED``, the mean over clips.
    """

    task: Task
    way: str
    all_before: np.ndarray
    all_after: np.ndarray
    speakers: list[str]
    query_clips: list[int]
    before: np.ndarray
    after: np.ndarray
    error_before: np.ndarray
    error_after: np.ndarray

    @property
    def of_scores(self) -> PairedComparison:
        """After minus before of the speakers' own scores."""
        return compare_paired(self.before, self.after)

    @property
    def of_errors(self) -> PairedComparison:
        """After minus before of the speakers' mean errors."""
        return compare_paired(self.error_before, self.error_after)


def measure(answers: Sequence[SpeakerAnswers], tasks: Sequence[Task], trial: Trial) -> list[Gain]:
    """What each way is worth on each task; none of a task whose query clips have no labels."""
    return [
        gain
        for task in tasks
        for way in trial.tunings
        if (gain := _measure(answers, task, way, trial.draws)) is not None
    ]


def _measure(answers: Sequence[SpeakerAnswers], task: Task, way: str, draws: int) -> Gain | None:
    pooled, rows = [], {}
    for draw in range(draws):
        parts = []
        for of_speaker in answers:
            query = of_speaker.query(draw)
            labels = of_speaker.labels[task.name][query]
            known = is_labelled(task, labels)
            if not known.any():
                continue
            query, labels = query[known], labels[known]
            before, after = of_speaker.before[task.name][query], of_speaker.after[way][task.name][draw][query]
            parts.append((before, after, labels))
            rows.setdefault(of_speaker.speaker, []).append(
                [
                    *(_score(task, values, labels) for values in (before, after)),
                    *(clip_errors(task, values, labels).mean() for values in (before, after)),
                    len(labels),
                ]
            )
        if parts:
            before, after, labels = map(np.concatenate, zip(*parts, strict=True))
            pooled.append([_score(task, values, labels) for values in (before, after)])
    if not pooled:
        return None
    all_before, all_after = np.array(pooled).T
    *measured, clips = np.array([np.mean(of_draws, axis=0) for of_draws in rows.values()]).T
    return Gain(task, way, all_before, all_after, list(rows), [round(count) for count in clips], *measured)


def _score(task: Task, predictions: np.ndarray, labels: np.ndarray) -> float:
    return score_tasks([task], {task.name: predictions}, {task.name: labels})[task.score_name]


def write_report(gains: Sequence[Gain], trial: Trial, about: str, folder: Path) -> str:
    """``fewshot.md``, ``fewshot.json``, ``fewshot_speakers.csv`` and ``fewshot.png``.

    Args:
        gains: see [`measure`], one or more.
        trial: what was tried.
        about: of what: the run's name and split.
        folder: where to.

    Returns:
        The Markdown.
    """
    text = "\n\n".join([f"# {markdown_text(about)}, personalised", _table(gains), _about(trial)])
    record = {
        "about": about,
        "support": trial.support,
        "draws": trial.draws,
        "seed": trial.seed,
        "gains": [
            {
                "task": gain.task.name,
                "way": gain.way,
                "score": gain.task.score_name,
                "speakers": len(gain.speakers),
                "all_clips": {"before": gain.all_before.tolist(), "after": gain.all_after.tolist()},
                "speakers_score": _record(gain.of_scores),
                "quantity": PAIRED[gain.task.metric],
                "speakers_error": _record(gain.of_errors),
            }
            for gain in gains
        ],
    }
    write_speakers(gains, folder / "fewshot_speakers.csv")
    plot_gains(gains, about, folder / "fewshot.png")
    write_json(folder / "fewshot.json", record)
    write_whole(folder / "fewshot.md", text + "\n")
    return text


def _record(compared: PairedComparison) -> dict:
    return {key: value if np.isfinite(value) else None for key, value in compared._asdict().items()}


def _table(gains: Sequence[Gain]) -> str:
    p_values = [holm([getattr(gain, of).p for gain in gains]) for of in ("of_scores", "of_errors")]
    rows = [
        [
            *("score", "personalised by", "all query clips", "mean over speakers", "difference (95 %)", "p", "p, Holm"),
            *("speakers' error", "difference (95 %)", "p", "p, Holm"),
        ]
    ]
    for gain, of_scores, of_errors in zip(gains, *p_values, strict=True):
        rows.append(
            [
                gain.task.score_name,
                gain.way,
                f"{gain.all_before.mean():.4f} → {gain.all_after.mean():.4f}",
                f"{gain.before.mean():.4f} → {gain.after.mean():.4f}",
                *_compared(gain.of_scores, of_scores),
                f"{PAIRED[gain.task.metric]}, {len(gain.speakers):,} speakers",
                *_compared(gain.of_errors, of_errors),
            ]
        )
    return markdown_table(rows, "<<>>>>><>>>", aligned=False)


def _compared(compared: PairedComparison, p_holm: float) -> list[str]:
    difference, low, high, p = compared
    interval = f" ({low:+.4f} to {high:+.4f})" if np.isfinite([low, high]).all() else ""  # of one speaker there is none
    return [f"{difference:+.4f}{interval}", p_value_text(p), p_value_text(p_holm)]


def _about(trial: Trial) -> str:
    ways = "; ".join(
        f"{name}: {tuning.steps} steps of Adam at {tuning.rate:g}" if tuning.parts else f"{name}: closed form"
        for name, tuning in trial.tunings.items()
    )
    return (
        f"{trial.support} support clips for each speaker, drawn {trial.draws} times (seed {trial.seed}); each time the "
        f"trained weights are the start. {ways}. Support clips are never scored, before or after. “All query clips” is "
        "the score over all speakers' clips at once, the mean over draws; the other columns have the speaker as the "
        "unit: the mean over draws of the score, or the error, of each speaker's own query clips. The tests are paired "
        "t-tests over speakers; “p, Holm” is corrected for the number of rows."
    )


def write_speakers(gains: Sequence[Gain], path: Path) -> None:
    """Per speaker, task and way: clips, score and error before and after, the means over draws."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for gain in gains:
        columns = (gain.before, gain.after, gain.error_before, gain.error_after)
        for speaker, clips, *numbers in zip(gain.speakers, gain.query_clips, *columns, strict=True):
            before, after, error_before, error_after = (f"{number:.6f}" for number in numbers)
            writer.writerow(
                [
                    *(as_cell(speaker), gain.task.name, gain.way, clips, gain.task.score_name, before, after),
                    *(PAIRED[gain.task.metric], error_before, error_after),
                ]
            )
    write_whole(path, table.getvalue())


def plot_gains(gains: Sequence[Gain], about: str, path: Path) -> Path:
    """A panel for each task and way, a point for each speaker: the score before to the right, that after upwards."""
    tasks = list(dict.fromkeys(gain.task.name for gain in gains))
    ways = list(dict.fromkeys(gain.way for gain in gains))
    figure = Figure(figsize=(3.3 * len(ways) + 0.6, 3.5 * len(tasks) + 0.5), layout="constrained")
    panels = figure.subplots(len(tasks), len(ways), squeeze=False)
    for gain in gains:
        axis = panels[tasks.index(gain.task.name)][ways.index(gain.way)]
        own = [other for other in gains if other.task is gain.task]
        values = np.concatenate([side for other in own for side in (other.before, other.after)])
        margin = 0.05 * (np.ptp(values) or 1.0)
        limits = (values.min() - margin, values.max() + margin)
        axis.plot(limits, limits, color="0.6", linewidth=1)
        axis.plot(gain.before, gain.after, "o", markersize=4, alpha=0.7, color=COLOURS[ways.index(gain.way) % 6])
        difference, _, _, p = gain.of_scores
        axis.set_title(f"{gain.way}: {difference:+.3f}, p {p_value_text(p)}", fontsize=9)
        axis.set(xlim=limits, ylim=limits, aspect="equal")
        axis.set_xlabel(f"{gain.task.score_name} before", fontsize=8)
        axis.set_ylabel(f"after ({better(gain.task.score_name)} is better)", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    figure.suptitle(f"{about}: each point is a speaker", fontsize=10)
    return save_figure(figure, path)
