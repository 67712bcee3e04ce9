"""What all pictures share: their colours, and how a figure becomes a file.

Names of tasks, labels, splits and folders are the user's: they are drawn letter for letter, never as formulas, which is
what matplotlib makes of a text with two dollar signs.
"""

import io
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.text import Text

from .files import write_whole

# Okabe and Ito's, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
PIXELS_PER_INCH = 150


def picture_bytes(figure: Figure, pixels_per_inch: int = PIXELS_PER_INCH, format: str = "png") -> bytes:
    """A figure as the content of a picture file, every text in it as it is written.

    >>> figure = Figure()
    >>> _ = figure.suptitle(r"$\\badmacro{$ of 5 $")
    >>> picture_bytes(figure)[:4]
    b'\\x89PNG'
    """
    file = io.BytesIO()
    with matplotlib.rc_context({"text.parse_math": False, "text.usetex": False}):  # for the ticks made while drawing
        for text in figure.findobj(Text):
            text.set_parse_math(False)
            text.set_usetex(False)
        figure.savefig(file, format=format, dpi=pixels_per_inch)
    return file.getvalue()


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as its path's ending says, in a folder that is made where there is none; returns ``path``."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, picture_bytes(figure, format=path.suffix[1:] or "png"))
    return path
