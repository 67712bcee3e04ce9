"""Many finished runs in one table: a row per recipe, mean and spread over its seeds, beside what its paper printed.

Every figure is read from a run's ``metrics.json``; none is typed by hand.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..data.cells import as_cell
from ..errors import RunError
from ..experiment.finished import FinishedRun, names_of, read_run
from ..experiment.run_record import RECORD, RunRecord
from ..files import write_whole
from ..markdown import markdown_table, markdown_text
from .fusion_recipes import said_in

PRINTED = "printed, on HUME-VB"
BASELINE = "constant baseline"
OTHERS = "Other systems"
NO_SCORE = "-"


@dataclass
class Row:
    """Runs of one recipe on one corpus, which differ in their seeds.

    Attributes:
        paper: whose system it is; ``OTHERS`` where the recipe names none.
        name: the row of the paper's table, or the recipe's description, and what distinguishes it from similar rows.
        corpora, clips: what it was measured on: names, and how many clips of the split.
        scores: by score name, one number per run.
        of_labels: the same of each label's own score, such as ``emotion_ccc/Awe``.
        baseline: the same of the constant baseline.
        printed: by score name, what the paper printed of this split; labels' own scores left out.
        runs, seeds: of each run, in the order of the scores.
        split: of the scores.
        group: what the runs have in common but for their seeds, as text; the same in every split.
        finished: the runs themselves, in the order of the scores.
    """

    paper: str
    name: str
    corpora: tuple[str, ...]
    clips: int
    printed: dict[str, float]
    scores: dict[str, list[float]] = field(default_factory=dict)
    of_labels: dict[str, list[float]] = field(default_factory=dict)
    baseline: dict[str, list[float]] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    split: str = "validation"
    group: str = ""
    finished: list[FinishedRun] = field(default_factory=list)

    @property
    def recipe(self) -> dict:
        """As the runs' records hold it."""
        return self.finished[0].record.recipe

    @property
    def said(self) -> tuple[str | None, ...]:
        """Paper and description, which identify the recipe."""
        return said_in(self.finished[0])

    @property
    def measured_on(self) -> str:
        return f"{' + '.join(self.corpora)}, {self.clips:,} clips"

    def add(self, name: str, run: FinishedRun) -> None:
        """One more run, by its name: its scores on the split, and those of its constant baseline."""
        self.runs.append(name)
        self.finished.append(run)
        self.seeds.append(run.record.seed)
        for score, value in run.record.scores.get(self.split, {}).items():
            (self.of_labels if "/" in score else self.scores).setdefault(score, []).append(value)
        for score, value in run.record.baseline.get(self.split, {}).items():
            if "/" not in score:
                self.baseline.setdefault(score, []).append(value)


def find_runs(folders: Sequence[str | Path]) -> tuple[dict[str, FinishedRun], dict[str, str]]:
    """Every finished run in the folders, however deep, by name; and what was skipped, with the reason.

    A folder with checkpoints and no record is an unfinished run; a run of the same recipe and seed on the same clips as
    another counts once, because it would make the spread over seeds too small.
    """
    found, skipped = [], {}
    for folder in map(Path, folders):
        records = sorted(path.parent for path in folder.rglob(RECORD))
        unfinished = {path.parent for path in folder.rglob("checkpoint-*") if not (path.parent / RECORD).is_file()}
        found += [
            path for path in [*records, *sorted(unfinished)] if path.resolve() not in {p.resolve() for p in found}
        ]
        if not records and not unfinished:
            skipped[str(folder)] = f"no {RECORD} in it" if folder.is_dir() else "no such folder"
    runs: dict[str, FinishedRun] = {}
    first_of: dict[str, str] = {}
    for name, folder in zip(names_of(found), found, strict=True):
        try:
            run = read_run(folder)
            identity = json.dumps([_identity(run), run.record.seed], sort_keys=True)
            if not any(isinstance(scores, dict) and scores for scores in run.record.scores.values()):
                raise RunError("it has no scores: its corpus has no labels")
        except RunError as error:
            unfinished = not (folder / RECORD).is_file()
            skipped[name] = f"unfinished: checkpoints and no {RECORD}" if unfinished else str(error)
            continue
        if identity in first_of:
            again = "" if runs[first_of[identity]].record.scores == run.record.scores else ", but other scores"
            skipped[name] = f"same recipe, seed and clips as {first_of[identity]}{again}; counted once"
            continue
        first_of[identity], runs[name] = name, run
    return runs, skipped


def rows_of(runs: dict[str, FinishedRun], order: dict[tuple, int] | None = None) -> dict[str, list[Row]]:
    """By split, a row for each recipe, in the order of paper, place in its tables, and name.

    Args:
        runs: of ``find_runs``.
        order: by ``Row.said`` the place, see ``paper_tables.papers_order``; what is not in it comes last.
    """
    order = order or {}
    groups: dict[str, dict[str, FinishedRun]] = {}
    for name, run in runs.items():
        groups.setdefault(json.dumps(_identity(run), sort_keys=True), {})[name] = run
    labels = _labels([next(iter(group.values())) for group in groups.values()])
    rows: dict[str, list[Row]] = {}
    for (paper, label), (identity, group) in zip(labels, groups.items(), strict=True):
        record = next(iter(group.values())).record
        for split in record.scores:
            reported = record.recipe.get("reported_scores", {}).get(split, {})
            printed = {score: value for score, value in reported.items() if "/" not in score}
            counts = record.clips.get(split, {})
            corpora, clips = tuple(record.corpora), counts.get("scored", counts.get("used", 0))
            row = Row(paper, label, corpora, clips, printed, split=split, group=identity)
            for name, run in group.items():
                row.add(name, run)
            rows.setdefault(split, []).append(row)
    return {
        split: sorted(
            found, key=lambda row: (row.paper == OTHERS, row.paper, order.get(row.said, len(order)), row.name)
        )
        for split, found in rows.items()
    }


def _identity(run: FinishedRun) -> list:
    """What runs that differ only in their seed have in common."""
    recipe = json.loads(json.dumps(run.record.recipe))
    recipe.get("training", {}).pop("seed", None)
    return [recipe, run.record.corpora, run.record.preprocess, run.record.clips]


def _labels(runs: Sequence[FinishedRun]) -> list[tuple[str, str]]:
    """Paper and name of each group; names that would be alike get the keys in which they differ."""
    plain = []
    for run in runs:
        paper, comma, place = (run.record.recipe.get("paper") or "").partition(", ")
        described = run.record.recipe.get("description") or run.folder.resolve().name
        plain.append((paper or OTHERS, place if comma else described))
    flat = [{**_preparation(run.record), **flat_keys(run.record.recipe)} for run in runs]
    labels = []
    for place, label in enumerate(plain):
        alike = [flat[other] for other, of_other in enumerate(plain) if of_other == label]
        keys = [
            key
            for key in dict.fromkeys(key for one in alike for key in one)
            if len({one.get(key) for one in alike}) > 1
        ]
        differs = ", ".join(f"{key.rpartition('.')[2]} {flat[place].get(key, 'not set')}" for key in keys)
        labels.append((label[0], f"{label[1]} ({differs})" if differs else label[1]))
    return labels


def _preparation(record: RunRecord) -> dict[str, str]:
    """What a recipe may leave open: numbers of clips, and an evaluated model's preprocessing."""
    clips = {f"{split} clips": str(count.get("used")) for split, count in record.clips.items()}
    return {**clips, "data.preprocess": json.dumps(record.preprocess, ensure_ascii=False)}


def flat_keys(record: dict, above: str = "") -> dict[str, str]:
    """
    >>> flat_keys({"model": {"encoder": {"layers": 2}, "tasks": ["age"]}, "training": {"seed": 1}})
    {'model.encoder.layers': '2', 'model.tasks': '["age"]'}
    """
    flat = {}
    for key, value in record.items():
        if above + key == "training.seed":
            continue
        if isinstance(value, dict):
            flat.update(flat_keys(value, f"{above}{key}."))
        else:
            flat[above + key] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return flat


def format_rows(rows: Sequence[Row], split: str) -> str:
    """A Markdown table for each paper: mean ± standard deviation over the runs, beside it what the paper printed."""
    blocks = []
    for paper in dict.fromkeys(row.paper for row in rows):
        of_paper = [row for row in rows if row.paper == paper]
        columns = []  # (score name, whether printed)
        for name in dict.fromkeys(name for row in of_paper for name in (*row.scores, *row.printed)):
            columns.append((name, False))
            if any(name in row.printed for row in of_paper):
                columns.append((name, True))
        header = ["recipe", "measured on", "runs", *(f"{name}, {PRINTED}" if own else name for name, own in columns)]
        lines = [header]
        for row in of_paper:
            cells = [_printed(row, name) if own else mean_and_spread(row.scores.get(name)) for name, own in columns]
            lines.append([row.name, row.measured_on, str(len(row.runs)), *cells])
        for measured_on in dict.fromkeys(row.measured_on for row in of_paper):
            baselines = [row.baseline for row in of_paper if row.measured_on == measured_on]
            cells = ["" if own else _range(baselines, name) for name, own in columns]
            lines.append([BASELINE, measured_on, "", *cells])
        sides = "<<" + ">" * (len(header) - 2)
        blocks.append(
            f"## {markdown_text(paper)}: {markdown_text(split)}\n\n{markdown_table(lines, sides, aligned=False)}"
        )
    return "\n\n".join(blocks)


def mean_and_spread(values: list[float] | None) -> str:
    """
    >>> mean_and_spread([0.1, 0.3]), mean_and_spread([0.5]), mean_and_spread(None)
    ('0.200 ± 0.141', '0.500', '-')
    """
    if not values:
        return NO_SCORE
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def _printed(row: Row, name: str) -> str:
    return f"{row.printed[name]:.3f}" if name in row.printed else NO_SCORE


def _range(baselines: list[dict], name: str) -> str:
    """The constant baseline's score, or its range where it was learnt from different clips."""
    texts = sorted({f"{value:.3f}" for baseline in baselines for value in baseline.get(name, [])})
    return NO_SCORE if not texts else texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}"


def write_report(
    rows: dict[str, list[Row]], skipped: dict[str, str], folder: str | Path, paper_tables: Sequence[str] = ()
) -> str:
    """``report.md`` with the tables, ``report.csv`` with a line for each run, split and score.

    Args:
        rows, skipped: of ``rows_of`` and ``find_runs``.
        folder: where to.
        paper_tables: Markdown that stands first, of ``paper_tables.format_table``.

    Returns:
        The Markdown.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    about = (
        f"Mean ± standard deviation over runs of one recipe with different seeds. “{PRINTED}” is what the paper "
        "printed for the same split; ours were measured on the clips named beside them, and can be compared only where "
        f"these are hume_vb. “{BASELINE}” is the mean of each label, the median, or the most frequent class of the "
        "training clips."
    )
    tables = [format_rows(of_split, split) for split, of_split in rows.items()]
    left_out = "\n".join(
        ["Skipped:", "", *(f"- {markdown_text(name)}: {markdown_text(reason)}" for name, reason in skipped.items())]
    )
    text = "\n\n".join([*paper_tables, *tables, about, *([left_out] if skipped else [])])
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["paper", "recipe", "run", "seed", "measured_on", "split", "clips", "score", "value", "printed"])
    for split, of_split in rows.items():
        for row in of_split:
            for name, values in row.scores.items():
                printed = row.printed.get(name, "")
                for run, seed, value in zip(row.runs, row.seeds, values, strict=True):
                    on = as_cell("+".join(row.corpora))
                    names = [as_cell(text) for text in (row.paper, row.name, run)]
                    writer.writerow([*names, seed, on, split, row.clips, name, f"{value:.6f}", printed])
    write_whole(folder / "report.csv", table.getvalue())
    write_whole(folder / "report.md", text + "\n")
    return text
