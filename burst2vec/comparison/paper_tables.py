"""A paper's tables in its own layout: every printed row, and beside it the scores of finished runs of its recipe.

What a table prints stands in examples/tables/: its rows in order, each with its recipe, whose ``reported_scores`` are
what was printed. Nothing of it is in Python.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..command_line.shipped import shipped, shipped_recipe
from ..errors import RecipeError
from ..experiment.recipe_files import printed_scores, read_yaml, text_of
from ..experiment.recipes import KEYS as RECIPE_KEYS
from ..experiment.recipes import TEXTS, load_recipe
from ..markdown import markdown_table, markdown_text
from .fusion_recipes import is_fusion, load_fusion
from .report import NO_SCORE, Row, flat_keys, mean_and_spread

KEYS = ("paper", "tables")
OURS = "ours"
MARKED_SPLIT = "validation"  # whose scores are tested: test's labels are not handed out


@dataclass(frozen=True)
class PaperRow:
    """A printed row.

    Attributes:
        row: the cells of its name, as printed; the first is unique where other rows are compared with it.
        recipe: which system it is, by name; None of a heading, or of a system that is none here.
        printed: what was printed, by split and score; where the file does not say it, what the recipe reports.
        compared_with: the rows that the paper tests it against.
        marked: by score, those of them from which it differs significantly, as printed.
        said: the recipe's paper and description, which its runs' records repeat.
    """

    row: list[str]
    recipe: str | None = None
    printed: dict[str, dict[str, float]] = field(default_factory=dict)
    compared_with: list[str] = field(default_factory=list)
    marked: dict[str, list[str]] = field(default_factory=dict)
    said: tuple[str | None, ...] | None = None

    @property
    def name(self) -> str:
        return self.row[0]


@dataclass(frozen=True)
class PaperTable:
    """A printed table.

    Attributes:
        paper: whose.
        number: its number there.
        caption: what it shows.
        head: the titles of the cells of a row's name.
        columns: by split, the printed title of each score and the score's name.
        rows: in the paper's order.
        marks: by row, the mark of what differs significantly from it.
        best_by: the validation score whose best seed the paper prints, with the deviation over all; None: we show the
            mean.
    """

    paper: str
    number: int
    caption: str
    head: list[str]
    columns: dict[str, dict[str, str]]
    rows: tuple[PaperRow, ...]
    marks: dict[str, str] = field(default_factory=dict)
    best_by: str | None = None


def load_tables() -> list[PaperTable]:
    """Every table of examples/tables/.

    Raises:
        RecipeError: a recipe that is not there, or a key that is unknown or of another type; names the file.
    """
    tables = []
    for path in sorted(shipped("tables").glob("*.yaml")):
        said = read_yaml(path, KEYS)
        for number, given in enumerate(said["tables"]):
            where = f"{path}: table {number}"
            rows = tuple(_of(PaperRow, {**row, **_of_recipe(row, where)}, f"{where}: {row}") for row in given["rows"])
            tables.append(_of(PaperTable, {**given, "paper": said["paper"], "rows": rows}, where))
    return tables


def _of_recipe(row: dict, where: str) -> dict:
    """What a row's recipe says of it."""
    if (recipe := row.get("recipe")) is None:
        return {}
    if (file := shipped_recipe(recipe)) is None:
        raise RecipeError(f"{where}: row {row['row']}: no recipe {recipe!r} comes with burst2vec")
    record = read_yaml(file, RECIPE_KEYS)
    said = tuple(text_of(record, key, file) for key in TEXTS)
    return {"said": said, "printed": row.get("printed", printed_scores(record, file))}


def _of(kind: type, given: dict, where: str):
    try:
        return kind(**given)
    except TypeError as error:
        raise RecipeError(f"{where}: {error}") from error


def papers_order(tables: Sequence[PaperTable]) -> dict[tuple, int]:
    """The place of each recipe in the papers' tables, by what its runs' records say of themselves."""
    order: dict[tuple, int] = {}
    for place, said in enumerate(row.said for table in tables for row in table.rows if row.said is not None):
        order.setdefault(said, place)
    return order


def format_table(
    table: PaperTable, rows: dict[str, list[Row]], marks: Mapping[tuple[str, str, str], str] | None = None
) -> str | None:
    """A table as Markdown; None where no run is of any of its rows.

    Args:
        table: which.
        rows: by split, of ``report.rows_of``.
        marks: what stands behind a measured score, by a group's name (``Row.group``), split and score.

    Returns:
        Heading, table and notes: a line for each printed row and corpus, empty where nothing was run.
    """
    header, lines, changed = _header(table), [], {}
    for printed in table.rows:
        groups = groups_of(printed, rows)
        for group in groups or [{}]:
            lines.append(_line(table, printed, group, marks or {}))
            if group and (keys := changed_keys(printed.recipe, next(iter(group.values())))):
                line = f"{printed.name} ({next(iter(group.values())).measured_on})"
                changed.setdefault(", ".join(keys), []).append(line)
    if not any(groups_of(printed, rows) for printed in table.rows):
        return None
    sides = "<" * len(table.head) + ">" * (len(header) - len(table.head) - 2) + "<>"
    notes = [f"Other than the recipe's are {keys}: {', '.join(of)}." for keys, of in changed.items()]
    title = f"## {markdown_text(table.paper)}, Table {table.number}: {markdown_text(table.caption)}"
    return "\n\n".join(
        [title, markdown_table([header, *lines], sides, aligned=False), *(markdown_text(note) for note in notes)]
    )


def _header(table: PaperTable) -> list[str]:
    splits = len(table.columns) > 1
    titles = [
        title
        for split, columns in table.columns.items()
        for name in columns
        for title in (f"{split.capitalize()}: {name}" if splits else name, OURS)
    ]
    return [*table.head, *titles, "measured on", "seeds"]


def groups_of(printed: PaperRow, rows: dict[str, list[Row]]) -> list[dict[str, Row]]:
    """The runs of a printed row: for each corpus or changed key, its row in each split."""
    groups: dict[str, dict[str, Row]] = {}
    for split, of_split in rows.items():
        for row in of_split:
            if row.said == printed.said:
                groups.setdefault(row.group, {})[split] = row
    return list(groups.values())


def _line(table: PaperTable, printed: PaperRow, group: dict[str, Row], marks: Mapping) -> list[str]:
    best = _best_seed(table, group)
    cells = [*printed.row, *[""] * (len(table.head) - len(printed.row))]
    for split, columns in table.columns.items():
        measured = group.get(split)
        for name in columns.values():
            value = printed.printed.get(split, {}).get(name)
            marked = printed.marked.get(name, ()) if split == MARKED_SPLIT else ()
            of_paper = "".join(f" {table.marks[other]}" for other in marked)
            cells.append("" if printed.recipe is None and not printed.printed else _number(value) + of_paper)
            ours = "" if measured is None else _ours((measured.scores | measured.of_labels).get(name), best)
            cells.append(ours + (f" {marks[key]}" if (key := (*_key(measured), name)) in marks else ""))
    one = next(iter(group.values()), None)
    return [*cells, one.measured_on if one else "", ", ".join(map(str, one.seeds)) if one else ""]


def _best_seed(table: PaperTable, group: dict[str, Row]) -> int | None:
    """The place of the run that the paper would print; None where it prints no single one."""
    by_seed = group["validation"].scores.get(table.best_by) if "validation" in group else None
    return int(np.argmax(by_seed)) if by_seed else None


def _ours(values: list[float] | None, best: int | None) -> str:
    """
    >>> _ours([0.1, 0.3], None), _ours([0.1, 0.3], 1), _ours([0.1], 0)
    ('0.200 ± 0.141', '0.300 ± 0.100', '0.100')
    """
    if best is None or not values or len(values) <= best:
        return mean_and_spread(values)
    spread = f" ± {np.std(values):.3f}" if len(values) > 1 else ""  # over n, as the challenge's code has it
    return f"{values[best]:.3f}{spread}"


def _key(measured: Row | None) -> tuple[str, str]:
    return ("", "") if measured is None else (measured.group, measured.split)


def _number(value: float | None) -> str:
    return NO_SCORE if value is None else f"{value:.3f}"


def changed_keys(recipe: str, row: Row) -> list[str]:
    """The keys in which runs differ from the recipe that they are of, such as an encoder that the command line gave."""
    file = shipped_recipe(recipe)
    if is_fusion(file):
        wanted, got = {"fuse": load_fusion(file).said}, {"fuse": row.recipe.get("fuse")}
    else:
        wanted, got = load_recipe(file).to_dict(), row.recipe
    wanted, got = flat_keys(wanted), flat_keys(got)
    differing = [key for key in dict.fromkeys([*wanted, *got]) if wanted.get(key) != got.get(key)]
    names = [".".join(key.split(".")[1:2]) or key for key in differing if not key.startswith("reported_scores")]
    return list(dict.fromkeys(names))  # sections and arguments of a part left out
