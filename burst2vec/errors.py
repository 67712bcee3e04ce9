"""Every refusal of the package: what a user can mend. Anything else is a fault of the program and keeps its traceback.

A command line catches [`Burst2VecError`] and prints its message behind ``error:``; a program catches the class it
means. Some are also of the standard class that a reader expects, such as ``OSError`` of a full disk.
"""

import errno
import shutil
import sys
from pathlib import Path


class Burst2VecError(ValueError):
    """What stands above every refusal, and what a command line catches.

    The message names the path, row or key, the value found, what is allowed, and the call that mends it.
    """


def refused(error: Exception) -> int:
    """Print why a command line is refused, in one line on stderr; returns the exit status."""
    print("error:", *map(str.strip, str(error).splitlines()), file=sys.stderr)
    return 2


class WaveformError(Burst2VecError):
    """A waveform that no model can take: too short or long, not one channel, or with samples that are not finite."""


class AudioError(Burst2VecError):
    """An audio file that cannot be a burst."""


class TransformError(Burst2VecError):
    """A transform of waveforms, or one of its options, that does not exist, or that a clip does not survive."""


CLIP_FAULTS = (AudioError, WaveformError, TransformError)  # of one clip: the others can be used


class CorpusError(Burst2VecError):
    """A corpus that cannot be read, or clips and features that do not fit together."""


class TableError(CorpusError):
    """A table of labels that cannot be read as it stands; names the file, the line and the column."""


class RecipeError(Burst2VecError):
    """A recipe or a command line that cannot be run; names the file and the key."""


class RunError(Burst2VecError):
    """A run that cannot start, such as with a setting out of its range, or one that cannot be compared or published."""


class SupportError(Burst2VecError):
    """Clips or labels of a speaker by which a model cannot be made the speaker's own, or an unknown way to do so."""


class DivergenceError(Burst2VecError, FloatingPointError):
    """A training whose loss or weights are no longer finite; nothing is saved of it."""


class FolderInUseError(Burst2VecError):
    """A folder that another living program writes into; the message names it, the process and its computer."""


class MissingPackageError(Burst2VecError, ImportError):
    """A package that only some inputs need, and that is not installed; the message has the call that installs it."""


class CheckpointError(Burst2VecError):
    """A checkpoint that cannot be resumed."""


class SubmissionError(Burst2VecError):
    """No valid submission file; ``problems`` lists everything found, each with file, line, column and value."""

    SHOWN = 10  # problems in the message; all are in ``problems``

    def __init__(self, problems: list[str]):
        self.problems = problems
        more = [f"… and {len(problems) - self.SHOWN} more"] if len(problems) > self.SHOWN else []
        super().__init__("\n".join(problems[: self.SHOWN] + more))

    def __reduce__(self):  # an exception would be made anew of its message
        return type(self), (self.problems,)


class WriteError(OSError, Burst2VecError):
    """A file that could not be written; the message names it and says why, and what was there is as it was.

    Args:
        path: the file, or the folder, that was to be written.
        reason: what stood in the way; of an ``OSError`` its number is kept too.
    """

    def __init__(self, path: str | Path, reason: object):
        number, text = getattr(reason, "errno", None), getattr(reason, "strerror", None)
        super().__init__(number, text or str(reason) or type(reason).__name__, str(path))

    def __str__(self):
        return f"{self.filename} could not be written: {self.strerror}{self._room()}"

    def _room(self) -> str:
        if self.errno != errno.ENOSPC:
            return ""
        folder = next(folder for folder in Path(self.filename).absolute().parents if folder.is_dir())
        return f" ({shutil.disk_usage(folder).free / 2**30:.1f} GiB free)"

    def __reduce__(self):  # an OSError would be made anew of its number and text
        return _made_again, (self.errno, self.strerror, self.filename)


def _made_again(number: int | None, text: str, path: str) -> WriteError:
    return WriteError(path, OSError(number, text))
