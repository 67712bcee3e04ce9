"""The marks of significance in a paper's table, for the runs at hand: the comparisons that the paper makes."""

from collections.abc import Sequence

from ..errors import Burst2VecError
from ..experiment.finished import FinishedRun
from ..markdown import markdown_text
from .comparing import ABOUT, SIGNIFICANT, compare_pair, format_tested, read_labelled
from .paper_tables import MARKED_SPLIT, PaperTable, groups_of
from .report import Row

Marks = dict[tuple[str, str, str], str]  # by group, split and score


def mark_table(
    table: PaperTable, rows: dict[str, list[Row]], data_dirs: Sequence[str], cache_dir: str | None = None
) -> tuple[Marks, str]:
    """Test the rows that the paper compares, corpus by corpus, on the runs of one seed.

    Args:
        table: whose comparisons.
        rows: by split, of ``report.rows_of``.
        data_dirs: where the corpus is, see ``aligning.data_of``; without one nothing is tested, for want of labels.
        cache_dir: of the datasets library.

    Returns:
        the marks; and Markdown with each test and what was left out, empty where the paper compares nothing.
    """
    marks: Marks = {}
    blocks = []
    for measured_on, groups in _by_corpus(table, rows).items():
        pairs = [
            (row.name, other)
            for row in table.rows
            for other in row.compared_with
            if row.name in groups and other in groups
        ]
        if not pairs:
            continue
        title = f"### Tests of Table {table.number} on {markdown_text(measured_on)}"
        if not data_dirs:
            blocks.append(f"{title}\n\nLeft out: they take the corpus's labels; give its folder with --data_dir.")
            continue
        systems, which = _of_one_seed({name: groups[name] for pair in pairs for name in pair})
        try:
            tasks, labelled = read_labelled(systems, data_dirs, cache_dir, MARKED_SPLIT)
            tested = [
                compare_pair(task, labelled, list(systems), other, name) for name, other in pairs for task in tasks
            ]
        except (Burst2VecError, ValueError) as error:
            blocks.append(f"{title}\n\nLeft out: {markdown_text(error)}.")
            continue
        for one in tested:
            if one.of_paper.p <= SIGNIFICANT:
                key = (groups[one.second].group, MARKED_SPLIT, one.task.score_name)
                marks[key] = f"{marks[key]} {table.marks[one.first]}" if key in marks else table.marks[one.first]
        about = f"{len(labelled.file_ids):,} clips that all these runs predicted; {which}."
        blocks.append(f"{title}\n\n{format_tested(tested)}\n\n{about}")
    legend = ", ".join(f"{mark} {row}" for row, mark in table.marks.items())
    notes = [f"Marks: p ≤ {SIGNIFICANT} by the paper's test, against {legend}.", ABOUT] if blocks and data_dirs else []
    return marks, "\n\n".join([*blocks, *notes])


def _by_corpus(table: PaperTable, rows: dict[str, list[Row]]) -> dict[str, dict[str, Row]]:
    """By what they were measured on, the validation row of each printed row; of several the first."""
    found: dict[str, dict[str, Row]] = {}
    for printed in table.rows:
        for group in groups_of(printed, rows):
            if MARKED_SPLIT in group:
                found.setdefault(group[MARKED_SPLIT].measured_on, {}).setdefault(printed.name, group[MARKED_SPLIT])
    return found


def _of_one_seed(rows: dict[str, Row]) -> tuple[dict[str, FinishedRun], str]:
    """A run of each row: of the lowest seed that all have, else of the first that each has; and which that is."""
    common = set.intersection(*(set(row.seeds) for row in rows.values()))
    if common:
        seed = min(common)
        return {name: row.finished[row.seeds.index(seed)] for name, row in rows.items()}, f"the runs of seed {seed}"
    seeds = ", ".join(f"{name} {row.seeds[0]}" for name, row in rows.items())
    return {name: row.finished[0] for name, row in rows.items()}, f"the runs of the seeds {seeds}"
