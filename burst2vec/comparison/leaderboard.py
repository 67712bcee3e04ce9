"""Finished runs of one corpus in one table, the best first: scores with intervals over speakers, and what each cost.

Scores and costs are read from the runs' records; what was not recorded stays empty. Intervals, top-3 and tests are of
the runs' predictions beside the corpus's labels and speakers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import RunError
from ..files import write_json, write_whole
from ..markdown import markdown_table, markdown_text
from ..scoring.by_speaker import RESAMPLES, SpeakerSums, bootstrap_interval, score_of, speaker_sums
from ..scoring.significance import PairedComparison, compare_paired
from ..tasks import Task
from .aligning import Split
from .comparing import p_value_text, read_labelled
from .report import BASELINE, Row, mean_and_spread

TOP = 3  # classes
COSTS = {  # of a run's record, and how the table calls and writes it
    "train_seconds": ("s to train", "{:,.0f}"),
    "milliseconds_per_clip": ("ms per clip", "{:.1f}"),
    "megabytes": ("MB", "{:.1f}"),
}


@dataclass
class Standing:
    """A system's line.

    Attributes:
        row: its runs.
        intervals: by score name, of 95 %; empty where neither labels are there nor the one run recorded them.
        top: by task name the fraction of clips whose class is among the ``TOP`` most probable.
        paired: by score name, the change from the row that all are tested against, speaker by speaker.
    """

    row: Row
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    top: dict[str, float] = field(default_factory=dict)
    paired: dict[str, PairedComparison] = field(default_factory=dict)

    @property
    def trained_on(self) -> tuple[int | None, int | None]:
        """Speakers and clips, as far as the runs agree and say it."""
        records = [run.record for run in self.row.finished]
        speakers = {record.speakers.get("train") for record in records}
        clips = {record.clips.get("train", {}).get("used") for record in records}
        return tuple(found.pop() if len(found) == 1 else None for found in (speakers, clips))

    def cost(self, name: str) -> float | None:
        """The mean of what the runs recorded; None where one did not."""
        costs = [run.record.cost.get(name) for run in self.row.finished]
        return None if None in costs else float(np.mean(costs))

    def to_dict(self) -> dict:
        """As plain data for JSON."""
        speakers, clips = self.trained_on
        return {
            "system": self.row.name,
            "runs": self.row.runs,
            "seeds": self.row.seeds,
            "scores": self.row.scores,
            "intervals": self.intervals,
            f"top_{TOP}": self.top,
            "train_speakers": speakers,
            "train_clips": clips,
            **{name: self.cost(name) for name in COSTS},
            "paired": {name: [None if np.isnan(part) else part for part in of] for name, of in self.paired.items()},
        }


def find_row(rows: Sequence[Row], name: str) -> Row:
    """The row that is called so, or holds the run of that folder, or of that name or its end.

    Raises:
        RunError: none, or several; names all rows.
    """
    place = Path(name).resolve()
    found = [
        row
        for row in rows
        if name == row.name
        or any(run == name or run.endswith(f"/{name}") for run in row.runs)
        or place in [run.folder.resolve() for run in row.finished]
    ]
    if len(found) != 1:
        known = "".join(f"\n  {row.name}: {', '.join(row.runs)}" for row in rows)
        raise RunError(f"--against {name}: {len(found)} rows are called so; give a row's name or a run's:{known}")
    return found[0]


def leaderboard(
    rows: Sequence[Row],
    data_dirs: Sequence[str] = (),
    reference: Row | None = None,
    cache_dir: str | None = None,
) -> tuple[tuple[Task, ...], list[Standing]]:
    """The rows of one split with intervals and tests, the best first.

    Args:
        rows: of ``report.rows_of``, of one split.
        data_dirs: where the corpus is, see ``aligning.data_of``; without one there is what the runs recorded alone:
            scores, costs, and the intervals of single runs.
        reference: the row that all others are tested against; None: nothing is tested.
        cache_dir: of the datasets library.

    Returns:
        the tasks that all predict, and a line for each row, by the recall of the first classification, else by the
        first task's score.

    Raises:
        RunError: as ``comparing.read_labelled``; rows without a task in common; tests without the labels, or against
            runs without predictions.
    """
    every = [run for row in rows for run in row.finished]
    tasks = tuple(task for task in every[0].tasks if all(task in run.tasks for run in every))
    if not tasks:
        raise RunError(f"{', '.join(row.name for row in rows)}: no task in common; give runs of the same tasks")
    standings = [Standing(row) for row in rows]
    # Of the others, whose predictions are not kept, the scores alone are known.
    predicted = [row for row in rows if all(row.split in run.splits() for run in row.finished)] if data_dirs else []
    if reference is not None and reference not in predicted:
        lacking = "predictions in its runs' folders" if data_dirs else "labels; say where the corpus is with --data_dir"
        raise RunError(f"--against {reference.name}: a test takes {lacking}")
    if predicted:
        runs = {name: run for row in predicted for name, run in zip(row.runs, row.finished, strict=True)}
        _, labelled = read_labelled(runs, data_dirs, cache_dir, rows[0].split)
        of_run = dict(zip(runs, labelled.predictions, strict=True))
        sums = {row.name: _sums(tasks, row, of_run, labelled) for row in predicted}
        for standing in standings:
            if standing.row in predicted:
                _measure(standing, tasks, sums, of_run, labelled, reference)
    for standing in standings:
        if not standing.intervals and len(standing.row.runs) == 1:
            told = standing.row.finished[0].record.by_speaker.get(standing.row.split, {})
            standing.intervals = {of_task["score"]: tuple(of_task["interval"]) for of_task in told.values()}
    first = next((task for task in tasks if task.kind == "classification"), tasks[0])
    sign = 1 if first.metric == "mae" else -1
    standings.sort(key=lambda standing: sign * np.mean(standing.row.scores.get(first.score_name, [-sign * np.inf])))
    return tasks, standings


def _sums(tasks: Sequence[Task], row: Row, of_run: dict, labelled: Split) -> dict[str, SpeakerSums]:
    """By task, what the scores of a row's runs are made of: sums of shape (speakers, runs, parts, columns)."""
    units = [speaker or f"\0{clip}" for speaker, clip in zip(labelled.speakers, labelled.file_ids, strict=True)]
    found = {}
    for task in tasks:
        of_runs = [
            speaker_sums(task, of_run[name][task.name], labelled.references[task.name], units) for name in row.runs
        ]
        found[task.name] = of_runs[0]._replace(sums=np.stack([each.sums for each in of_runs], axis=1))
    return found


def _measure(standing: Standing, tasks: Sequence[Task], sums: dict, of_run: dict, labelled, reference) -> None:
    row = standing.row
    for task in tasks:
        own = sums[row.name][task.name]
        standing.intervals[task.score_name] = bootstrap_interval(own)
        if reference is not None and reference is not row:
            theirs = sums[reference.name][task.name]
            by_speaker = [score_of(each.sums, each.metric).mean(axis=1) for each in (theirs, own)]
            standing.paired[task.score_name] = compare_paired(*by_speaker)
        if task.kind == "classification" and len(task.labels) > TOP:
            answers = [of_run[name][task.name] for name in row.runs]
            standing.top[task.name] = float(
                np.mean([among_top(each, labelled.references[task.name]) for each in answers])
            )


def among_top(probabilities: np.ndarray, classes: np.ndarray, top: int = TOP) -> float:
    """The fraction of clips whose class is among the ``top`` most probable; clips without a class, -1, are left out.

    >>> among_top(np.array([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.4, 0.3, 0.3]]), np.array([1, 0, -1]), top=2)
    0.5
    """
    known = classes >= 0
    best = np.argsort(-probabilities[known], axis=1, kind="stable")[:, :top]
    return float((best == classes[known][:, None]).any(axis=1).mean())


def format_leaderboard(tasks: Sequence[Task], standings: Sequence[Standing], reference: Row | None = None) -> str:
    """The Markdown table and what stands under it."""
    tested = any(standing.paired for standing in standings)
    header = ["system"]
    for task in tasks:
        header += [task.score_name, "95 %"]
    tops = [task.name for task in tasks if any(task.name in each.top for each in standings)]
    header += [f"{name} in top {TOP}" for name in tops]
    header += ["seeds", "speakers", "clips", *(called for called, _ in COSTS.values())]
    header += [f"p, {task.score_name}" for task in tasks if tested]
    lines = [header] + [_line(standing, tasks, tops, tested) for standing in standings]
    row = standings[0].row
    baselines = [each.row.baseline for each in standings]
    constant = [BASELINE]
    for task in tasks:
        values = {f"{value:.3f}" for baseline in baselines for value in baseline.get(task.score_name, [])}
        constant += [values.pop() if len(values) == 1 else "", ""]
    lines.append(constant + [""] * (len(header) - len(constant)))
    about = [f"On {row.measured_on} of {row.split}; ± is the standard deviation over seeds."]
    if any(standing.intervals for standing in standings):
        speakers = next(iter(standings)).row.finished[0].record.speakers.get(row.split)
        of = f"the {speakers} speakers" if speakers else "the speakers"
        about.append(f"95 %: {of} drawn anew {RESAMPLES:,} times, with all their clips, and of several seeds any.")
    if tested:
        about.append(
            f"p: against {markdown_text(reference.name)}, a paired t-test of each speaker's own score, two-sided, not "
            "corrected for their number."
        )
    table = markdown_table(lines, "<" + ">" * (len(header) - 1), aligned=False)
    return f"{table}\n\n{' '.join(about)}"


def _line(standing: Standing, tasks: Sequence[Task], tops: list[str], tested: bool) -> list[str]:
    row = standing.row
    cells = [row.name]
    for task in tasks:
        low_high = standing.intervals.get(task.score_name)
        cells += [mean_and_spread(row.scores.get(task.score_name))]
        cells += [f"{low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else ""]
    cells += [f"{standing.top[name]:.3f}" if name in standing.top else "" for name in tops]
    cells += [str(len(row.runs)), *(f"{count:,}" if count else "" for count in standing.trained_on)]
    for name, (_, form) in COSTS.items():
        cost = standing.cost(name)
        cells.append("" if cost is None else form.format(cost))
    for task in tasks if tested else ():
        pair = standing.paired.get(task.score_name)
        cells.append("" if pair is None else f"{p_value_text(pair.p)} ({pair.difference:+.3f})")
    return cells


def write_leaderboard(
    tasks: Sequence[Task], standings: Sequence[Standing], folder: str | Path, reference: Row | None = None
) -> str:
    """``leaderboard.md`` with the table, ``leaderboard.json`` with every number.

    Returns:
        The Markdown.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = format_leaderboard(tasks, standings, reference)
    said = {"split": standings[0].row.split, "against": reference and reference.name}
    write_json(folder / "leaderboard.json", {**said, "systems": [standing.to_dict() for standing in standings]})
    write_whole(folder / "leaderboard.md", text + "\n")
    return text
