"""Names in CSV files that we write: a spreadsheet must show them, and never calculate them.

A clip may be called ``=HYPERLINK("http://…")``, ``+1`` or ``@laugh``. Spreadsheets take a cell that begins so for a
formula, and may run it when the file is opened. So such a name is written with an apostrophe in front of it, which
spreadsheets take for the mark of a text; so is one that has an apostrophe there already, that each can be read back.
"""

FORMULAS_BEGIN = tuple("=+-@\t\r\n＝＋－＠")
_MARK = "'"


def as_cell(text: str) -> str:
    """A text as it stands in a CSV file that we write; numbers are written as they are.

    >>> [as_cell(name) for name in ("00001", "laugh-1", "-laugh", "=1+1", "'tis")]
    ['00001', 'laugh-1', "'-laugh", "'=1+1", "''tis"]
    """
    return _MARK + text if text.startswith((*FORMULAS_BEGIN, _MARK)) else text


def from_cell(cell: str) -> str:
    """The text that ``as_cell`` made a cell of.

    >>> [from_cell(as_cell(name)) for name in ("laugh-1", "-laugh", "'-laugh", "''")]
    ['laugh-1', '-laugh', "'-laugh", "''"]
    """
    return cell.removeprefix(_MARK)
