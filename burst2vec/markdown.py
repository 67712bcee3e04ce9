"""Markdown of names that anybody may have chosen: they are shown letter for letter, never as markup or code.

Names of labels, folders, recipes and repositories are the user's, and a card or report is read where HTML, links and
formulas in it come alive.
"""

import re
from collections.abc import Sequence

# Controls, line ends, and the marks that turn the direction of text round, which hide what a line says.
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_MARKUP = re.compile(
    r"""[\\`*|$]                        # escapes, code, emphasis, cells, formulas
    | ~(?=~)                            # struck out
    | \](?=[(\[:])                      # links and pictures
    | (?<![^\W_])_ | _(?![^\W_])        # emphasis; inside a word, as in emotion_ccc, an underscore is one
    | <(?=[A-Za-z/!?]) | &(?=\#?\w+;)   # HTML; p < 0.001 is none
    """,
    re.VERBOSE,
)
_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def markdown_text(name: object) -> str:
    """A name as Markdown that shows it, on one line; also as a table's cell.

    >>> print(markdown_text("emotion_ccc/Awe"), markdown_text("a|b"), markdown_text("<script>\\n1 < 2"))
    emotion_ccc/Awe a\\|b &lt;script> 1 < 2
    """
    shown = str(name).encode("utf-8", "replace").decode("utf-8")  # of a folder's name that is no UTF-8
    return _MARKUP.sub(lambda found: _ENTITIES.get(found[0], "\\" + found[0]), _INVISIBLE.sub(" ", shown))


def markdown_table(rows: Sequence[Sequence[object]], sides: str | None = None, aligned: bool = True) -> str:
    """A table; every cell is shown as it is.

    Args:
        rows: the header first.
        sides: for each column ``<``, to the left, or ``>``, to the right, as for numbers; by default all but the first.
        aligned: pad the cells, for a console; a column of long names makes every line long then.

    Returns:
        Lines without a final newline.

    >>> print(markdown_table([["weights", "a"], ["age", "1.00"]]))
    | weights |    a |
    | :------ | ---: |
    | age     | 1.00 |
    """
    sides = sides or "<" + ">" * (len(rows[0]) - 1)
    shown = [[markdown_text(cell) for cell in row] for row in rows]
    widths = [max(4, *map(len, column)) if aligned else 0 for column in zip(*shown, strict=True)]
    if aligned:
        rules = [
            ":" + "-" * (width - 1) if side == "<" else "-" * (width - 1) + ":"
            for side, width in zip(sides, widths, strict=True)
        ]
    else:
        rules = ["---" if side == "<" else "---:" for side in sides]
    shown.insert(1, rules)
    return "\n".join(
        "| " + " | ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)) + " |"
        for row in shown
    )


def code_block(code: str, language: str = "") -> str:
    """A block of code, whatever rows of backticks stand in it."""
    longest = max(map(len, re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code.removesuffix(chr(10))}\n{fence}"
