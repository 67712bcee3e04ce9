"""Every refusal of the package: what a user can mend. Anything else is a fault of the program and keeps its traceback.

A command line catches [`Burst2VecError`] and prints its message behind ``error:``; a program catches the class it
means.
"""


class Burst2VecError(ValueError):
    """The message names the path, row or key, the value found, what is allowed, and the call that mends it."""


class WaveformError(Burst2VecError):
    """A waveform that no model can take: too short or long, not one channel, or with samples that are not finite."""


class AudioError(Burst2VecError):
    """An audio file that cannot be a burst."""


class TransformError(Burst2VecError):
    """A transform of waveforms, or one of its options, that does not exist, or that a clip does not survive."""


class CorpusError(Burst2VecError):
    """A corpus that cannot be read, or clips and features that do not fit together."""


class TableError(CorpusError):
    """A table of labels that cannot be read as it stands; names the file, the line and the column."""


class RecipeError(Burst2VecError):
    """A recipe or a command line that cannot be run; names the file and the key."""


class RunError(Burst2VecError):
    """A run that cannot start, or finished runs that cannot be compared."""


class CheckpointError(Burst2VecError):
    """A checkpoint that cannot be resumed."""


class SubmissionError(Burst2VecError):
    """No valid submission file; ``problems`` lists everything found, each with file, line, column and value."""

    SHOWN = 10  # problems in the message; all are in ``problems``

    def __init__(self, problems: list[str]):
        self.problems = problems
        more = [f"… and {len(problems) - self.SHOWN} more"] if len(problems) > self.SHOWN else []
        super().__init__("\n".join(problems[: self.SHOWN] + more))
