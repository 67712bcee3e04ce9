"""A strict reader of label tables: what is in the file or a named error, and no guess in between.

The usual readers turn a stray comma into shifted columns, a byte-order mark into a missing column and a text "NA" into
a missing label, all in silence. Here every field stays text until a caller reads it as something, and every error names
the file, the line, the column, the value and what is allowed.
"""

import csv
import difflib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...errors import TableError

# float() would also take nan, inf, 1_0, blanks and the digits of every script.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Lost(NamedTuple):
    """Something that stands in a corpus's folder, and does not become part of its rows.

    Attributes:
        split: of the clip that it concerns, or "".
        name: of the clip, or a path below the folder.
        finding: ``"labels dropped"`` or ``"not read"``.
        detail: why.
    """

    split: str
    name: str
    finding: str
    detail: str


@dataclass(frozen=True)
class Row:
    """One line of a table: its fields by column name, all text, and where it stands."""

    path: str
    line: int
    fields: dict[str, str]

    def error(self, column: str, allowed: str) -> TableError:
        """The error to raise for the field in ``column``.

        >>> Row("data_info.csv", 7, {"Age": "old"}).error("Age", "a number from 15 to 45")
        TableError("data_info.csv, line 7, column Age: 'old' is not a number from 15 to 45")
        """
        return TableError(f"{self.path}, line {self.line}, column {column}: {self.fields[column]!r} is not {allowed}")

    def number(self, column: str, low: float, high: float) -> float:
        """The field as a number in ``low`` to ``high``, both included.

        >>> Row("data_info.csv", 7, {"Age": "25.5"}).number("Age", 15, 45)
        25.5
        """
        text = self.fields[column]
        if _NUMBER.fullmatch(text) and low <= (number := float(text)) <= high:
            return number
        raise self.error(column, f"a number from {low:g} to {high:g}")

    def choice(self, column: str, allowed: Iterable[str]) -> str:
        """The field, which must be one of ``allowed`` letter for letter."""
        if self.fields[column] not in allowed:
            raise self.error(column, f"one of {', '.join(allowed)}")
        return self.fields[column]


def read_table(path, columns: Sequence[str]) -> Iterator[Row]:
    """Read a comma-separated table with a header line, one row after the other.

    UTF-8 with or without a byte-order mark, any line ends; columns in any order, and more of them than asked for. Blank
    lines are passed over. Lines may end in commas too many, as spreadsheets leave them: all rows in as many, the header
    in no more, with nothing behind them, so that no field can have moved to another's column.

    Args:
        path: the file.
        columns: names that the header must hold, letter for letter.

    Raises:
        TableError: not a readable UTF-8 text, no header, a column missing or twice, a line with more or fewer fields
            than the header or than the rows before it, no rows.
    """
    path = os.fspath(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = next((fields for fields in lines if not _is_blank(fields)), [])
            named = _without_unnamed(header)
            _check_header(path, named, columns)
            line = lines.line_num
            width = None
            for fields in lines:
                first, line = line + 1, lines.line_num  # a quoted field may span lines
                if _is_blank(fields):
                    continue
                width = width or len(fields)
                if len(fields) < len(header) or len(fields) != width or any(fields[len(named) :]):
                    raise _unlike_the_header(path, first, fields, header, width)
                yield Row(path, first, dict(zip(named, fields, strict=False)))
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
    except csv.Error as error:
        raise TableError(f"{path}, line {lines.line_num}: not a well-formed line of CSV ({error})") from error
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
    if width is None:
        raise TableError(f"{path}: has no rows below its header")


def _is_blank(fields: list[str]) -> bool:
    return not fields or (len(fields) == 1 and not fields[0].strip())


def _without_unnamed(header: list[str]) -> list[str]:
    """The columns up to the last that has a name."""
    named = [place for place, name in enumerate(header) if name.strip()]
    return header[: named[-1] + 1] if named else []


def _unlike_the_header(path: str, line: int, fields: list[str], header: list[str], width: int) -> TableError:
    found = f"{path}, line {line}: {len(fields)} fields where the header has {len(header)}"
    if len(fields) < len(header):
        return TableError(found)
    if beyond := [field for field in fields[len(_without_unnamed(header)) :] if field]:
        return TableError(f"{found}: {beyond[0]!r} is in no column that has a name")
    return TableError(f"{found}; the rows before it have {width}: end all rows in as many commas, or none in any")


def _check_header(path: str, header: list[str], columns: Sequence[str]):
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise TableError(f"{path}, line 1: column {twice[0]!r} stands there {header.count(twice[0])} times")
    missing = [name for name in columns if name not in header]
    if missing:
        spare = {name.lower(): name for name in header if name not in columns}
        near = {name: difflib.get_close_matches(name.lower(), spare, n=1, cutoff=0.8) for name in missing}
        rename = "".join(f"; rename {spare[found[0]]!r} to {name!r}" for name, found in near.items() if found)
        raise TableError(
            f"{path}, line 1: no column {', '.join(missing)}; found: {', '.join(header) or 'no header'}{rename}; "
            "columns may stand in any order, named letter for letter"
        )
