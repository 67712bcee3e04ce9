"""A strict reader of label tables: what is in the file or a named error, and no guess in between.

The usual readers turn a stray comma into shifted columns, a byte-order mark into a missing column and a text "NA" into
a missing label, all in silence. Here every field stays text until a caller reads it as something, and every error names
the file, the line, the column, the value and what is allowed.
"""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")  # float() would also take nan, inf, 1_0 and blanks


class CorpusError(ValueError):
    """A corpus that is not what it should be; the message says what was found, what is allowed and how to mend it."""


class TableError(CorpusError):
    """A table that cannot be read as it stands; the message names the file, the line, the column and the value."""


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

    UTF-8 with or without a byte-order mark, any line ends; columns in any order, and more of them than asked for.

    Args:
        path: the file.
        columns: names that the header must hold, letter for letter.

    Raises:
        TableError: not a readable UTF-8 text, no header, a column missing or twice, a line with more or fewer fields
            than the header, no rows.
    """
    path = os.fspath(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            _check_header(path, header, columns)
            line = lines.line_num
            blank = None
            number_of_rows = 0
            for fields in lines:
                first, line = line + 1, lines.line_num  # a quoted field may span lines
                if not fields:
                    blank = blank or first
                    continue
                if blank or len(fields) != len(header):
                    where, found = (blank, 0) if blank else (first, len(fields))
                    raise TableError(f"{path}, line {where}: {found} fields where the header has {len(header)}")
                number_of_rows += 1
                yield Row(path, first, dict(zip(header, fields, strict=True)))
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
    except csv.Error as error:
        raise TableError(f"{path}, line {lines.line_num}: not a well-formed line of CSV ({error})") from error
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
    if not number_of_rows:
        raise TableError(f"{path}: has no rows below its header")


def _check_header(path: str, header: list[str], columns: Sequence[str]):
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise TableError(f"{path}, line 1: column {twice[0]!r} stands there {header.count(twice[0])} times")
    missing = [name for name in columns if name not in header]
    if missing:
        raise TableError(f"{path}, line 1: no column {', '.join(missing)}; found: {', '.join(header) or 'no header'}")
