"""Whether finished runs differ: Burst2Vec's tests of significance, and beside them a paired test over speakers.

Burst2Vec (section 5) tests emotions and age by the independent two-sample t-test and the country by Cochran's Q. Which
quantity the t-test compares is not printed; its marks fit neither scores nor absolute errors (V5 is marked on emotion
at V4's own CCC), so ours compares the predictions, those of all labels of a task pooled. That test assumes that
the two samples are independent, and so are the clips of one speaker. The paired test is of errors, one mean
for each speaker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import RunError
from ..experiment.finished import FinishedRun
from ..files import write_json, write_whole
from ..markdown import markdown_table, markdown_text
from ..scoring.significance import (
    Comparison,
    PairedComparison,
    cochrans_q,
    compare_independent,
    compare_paired,
    holm,
)
from ..tasks import Task
from .aligning import Split, align, answering, data_of, label_splits, tasks_of_all

SIGNIFICANT = 0.05  # Burst2Vec, Table 2
# What is paired, by the task's metric. Of the CCC it is what its numerator loses: 1 − CCC is the mean squared error by
# the spread of both.
PAIRED = {"ccc": "squared error", "mae": "absolute error", "uar": "fraction correct"}
TESTS = {"regression": "independent t", "classification": "Cochran's Q"}


@dataclass(frozen=True)
class Tested:
    """Two systems on one task.

    Attributes:
        task: the record.
        first, second: names; differences are second minus first.
        of_paper: the paper's test.
        paired: of the speakers' means of ``PAIRED``'s quantity.
        speakers: how many there are.
    """

    task: Task
    first: str
    second: str
    of_paper: Comparison
    paired: PairedComparison
    speakers: int


def read_labelled(
    systems: dict[str, FinishedRun], data_dirs: Sequence[str], cache_dir: str | None, split: str
) -> tuple[tuple[Task, ...], Split]:
    """The tasks that all systems predict, and their predictions of the same clips with the corpus's labels.

    Raises:
        RunError: as ``align`` and ``label_splits``; no task in common, or a split without labels.
    """
    answer = {task: names for task, names in answering(systems).items() if len(names) == len(systems)}
    tasks = tuple(task for task in tasks_of_all(systems) if task.name in answer)
    if not tasks:
        raise RunError(f"{', '.join(systems)} predict no task in common; compare runs of the same task")
    if lacking := [name for name, run in systems.items() if split not in run.splits()]:
        raise RunError(f"{', '.join(lacking)}: no predictions_{split}.csv; compare runs that predicted that split")
    data = data_of(next(iter(systems.values())), data_dirs, cache_dir=cache_dir)
    labelled = label_splits({split: align(systems, split, answer)}, systems, data, tasks)[split]
    if labelled.references is None:
        raise RunError(f"{split}: the corpus has no labels there, so the runs' errors cannot be compared")
    return tasks, labelled


def compare_pair(task: Task, split: Split, names: Sequence[str], first: str, second: str) -> Tested:
    """Compare two systems on one task.

    Args:
        task: the record.
        split: with references, see ``read_labelled``.
        names: of all systems, in the order of the split's predictions.
        first, second: two of them.

    Raises:
        RunError: fewer than two labelled clips.
    """
    predictions = [split.predictions[list(names).index(name)][task.name] for name in (first, second)]
    references = split.references[task.name]
    classes = task.kind == "classification"
    known = is_labelled(task, references)
    if known.sum() < 2:
        raise RunError(f"task {task.name!r}: {known.sum()} labelled clips are too few to compare systems on")
    errors = [clip_errors(task, values[known], references[known]) for values in predictions]
    of_paper = (
        cochrans_q(np.stack(errors, axis=1))
        if classes
        else compare_independent(*(values[known].ravel() for values in predictions))
    )
    units = [speaker or f"\0{clip}" for speaker, clip in zip(split.speakers, split.file_ids, strict=True)]
    _, unit_of = np.unique(np.array(units)[known], return_inverse=True)
    means = [np.bincount(unit_of, of_clip) / np.bincount(unit_of) for of_clip in errors]
    return Tested(task, first, second, of_paper, compare_paired(*means), len(means[0]))


def is_labelled(task: Task, references: np.ndarray) -> np.ndarray:
    """Boolean (clips,): whether each clip has every label of the task."""
    return references >= 0 if task.kind == "classification" else np.isfinite(references).all(axis=1)


def clip_errors(task: Task, predicted: np.ndarray, references: np.ndarray) -> np.ndarray:
    """One number per clip: 1.0 where the class is right, else 0.0; of a regression its error, the mean over labels."""
    if task.kind == "classification":
        return (predicted.argmax(axis=1) == references).astype(np.float64)
    difference = predicted - references
    return (np.square(difference) if task.metric == "ccc" else np.abs(difference)).mean(axis=1)


def all_at_once(task: Task, split: Split) -> Comparison:
    """Cochran's Q of all systems together, of a classification."""
    references = split.references[task.name]
    known = references >= 0
    right = [clip_errors(task, own[task.name][known], references[known]) for own in split.predictions]
    return cochrans_q(np.stack(right, axis=1))


def compare_runs(
    systems: dict[str, FinishedRun], data_dirs: Sequence[str] = (), cache_dir: str | None = None, split="validation"
) -> tuple[list[Tested], dict[str, Comparison], int]:
    """Every system against the first, task by task.

    Returns:
        the pairs; of each classification, where there are three systems or more, Cochran's Q of all; and the number of
        clips.

    Raises:
        RunError: as ``read_labelled``.
    """
    tasks, labelled = read_labelled(systems, data_dirs, cache_dir, split)
    names = list(systems)
    tested = [compare_pair(task, labelled, names, names[0], other) for other in names[1:] for task in tasks]
    together = {
        task.name: all_at_once(task, labelled) for task in tasks if task.kind == "classification" and len(names) > 2
    }
    return tested, together, len(labelled.file_ids)


def format_tested(tested: Sequence[Tested]) -> str:
    """A Markdown table of pairs, p over speakers also corrected for the number of comparisons (Holm)."""
    corrected = holm([one.paired.p for one in tested])
    rows = [
        [
            "system",
            "against",
            "score",
            "paper's test",
            "statistic",
            "p",
            "paired over speakers",
            "difference (95 %)",
            "p, paired",
            "p, Holm",
        ]
    ]
    for one, p in zip(tested, corrected, strict=True):
        difference, low, high, paired_p = one.paired
        rows.append(
            [
                one.second,
                one.first,
                one.task.score_name,
                TESTS[one.task.kind],
                f"{one.of_paper.statistic:.2f}",
                p_value_text(one.of_paper.p),
                f"{PAIRED[one.task.metric]}, {one.speakers:,} speakers",
                f"{difference:+.4f} ({low:+.4f} to {high:+.4f})",
                p_value_text(paired_p),
                p_value_text(p),
            ]
        )
    return markdown_table(rows, "<<<<>><>>>", aligned=False)


def p_value_text(value: float) -> str:
    """A p-value as a table has it.

    >>> p_value_text(0.0123), p_value_text(0.00001), p_value_text(float("nan"))
    ('0.012', '< 0.001', '-')
    """
    return "-" if np.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def write_comparison(
    tested: Sequence[Tested], together: dict[str, Comparison], clips: int, split: str, folder: str | Path
) -> str:
    """``comparison.md`` and ``comparison.json``.

    Returns:
        The Markdown.
    """
    folder = Path(folder)
    first = tested[0].first
    lines = [f"# {markdown_text(first)} and others, {split}, {clips:,} clips", format_tested(tested), ABOUT]
    for task, (statistic, p) in together.items():
        lines.insert(2, f"{task}: Cochran's Q of all systems together is {statistic:.2f}, p {p_value_text(p)}.")
    text = "\n\n".join(lines)
    record = {
        "split": split,
        "clips": clips,
        "pairs": [
            {
                "first": one.first,
                "second": one.second,
                "score": one.task.score_name,
                "test": TESTS[one.task.kind],
                "statistic": _finite(one.of_paper.statistic),
                "p": one.of_paper.p,
                "paired": {key: _finite(value) for key, value in one.paired._asdict().items()},
                "quantity": PAIRED[one.task.metric],
                "speakers": one.speakers,
            }
            for one in tested
        ],
        "cochrans_q_of_all": {task: {"statistic": q.statistic, "p": q.p} for task, q in together.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "comparison.json", record)
    write_whole(folder / "comparison.md", text + "\n")
    return text


def _finite(value: float) -> float | None:
    """None for infinity and NaN, which JSON lacks."""
    return value if np.isfinite(value) else None


ABOUT = (
    "“Paper's test” is Burst2Vec's (section 5): of regressions the independent two-sample t-test of the predictions, "
    "all labels of a task pooled (our reading: the paper does not say what it compares); of classes Cochran's Q of "
    "right and wrong clips. It takes clips for independent, and a difference in mean prediction is no difference in "
    "quality. The paired t-test is of each speaker's mean error, one pair per speaker: it is the one to quote; “p, "
    "Holm” is corrected for the number of comparisons."
)
