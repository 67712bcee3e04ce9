"""The record of a corpus: all that the package does or says of a corpus by name comes from there.

Each file of a corpus ends in one, ``CORPUS``; ``loading.CORPORA`` lists them. Its settings are the keyword arguments
that ``load_bursts`` takes for that corpus, and the keys that a recipe has for it.
"""

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ...errors import CorpusError
from .audio_files import shown

SPLITS_HELP = (
    "Each split's speakers where the corpus does not say it: a mapping of train, validation and test, each a list of "
    "speakers, a number, a fraction or rest, all that no other takes; nobody is in two splits. By default two thirds "
    "train and one third validates; of EmoGator its twenty validation speakers, and all others train."
)
SHARED_SPEAKERS_HELP = (
    "Continue with a warning although a speaker is in two splits, which makes scores too good; an error by default."
)


def setting(
    default,
    about: str,
    *,
    key: str | None = None,
    within: tuple[float, float] | None = None,
    example: str | None = None,
    filled: bool = False,
    of_run: bool = False,
):
    """A field of a corpus's settings; None and False say that it is not given.

    Args:
        default: of the field.
        about: what it is, in a sentence or two: the help of a recipe's key and of a command line's option.
        key: its name in a recipe, where its own name means something else there, as ``seed`` does.
        within: the least and the most of a number.
        example: of a mapping, as a recipe writes it.
        filled: whether an empty text names nothing, and is refused.
        of_run: a run gives it from its other sections, as the tasks; a recipe has no key for it.
    """
    about = {"help": about, "key": key, "within": within, "example": example, "filled": filled, "of_run": of_run}
    return field(default=default, metadata=about)


def settings(of_corpus: type) -> type:
    """Make a class of [`setting`] fields a dataclass whose docstring lists them.

    Not frozen, so that the corpus's ``datasets.BuilderConfig``, which is not either, can be one of them too.
    """
    made = dataclass(kw_only=True)(of_corpus)
    listed = "".join(f"\n    {entry.name}: {entry.metadata['help']}" for entry in fields(made))
    made.__doc__ = f"{inspect.getdoc(of_corpus)}\n\nAttributes:{listed}"
    return made


@dataclass(frozen=True)
class PrintedCounts:
    """A paper's table of what a corpus holds.

    Attributes:
        source: the paper and its table.
        splits: by split ``duration`` (HH:MM:SS), ``clips``, ``speakers``, and where it is printed ``female_male`` and
            ``classes``: by a classification's name the speakers of each class.
    """

    source: str
    splits: dict[str, dict]


@dataclass(frozen=True)
class Corpus:
    """How a corpus is opened, and what is said about it.

    Attributes:
        name: what ``load_bursts`` and recipes call it.
        settings: the dataclass of what it can be asked for, see [`settings`].
        builder: (folder, settings, cache_dir) → its ``datasets`` builder.
        tasks: settings → the tasks that its columns hold, in their order.
        how_to_get: where it comes from and the call that reads it; what a missing folder is answered with.
        card: what a model card says that scores were measured on.
        licence: of the corpus, as the Hub calls it.
        public: whether its licence lets a model that learnt from it be public.
        in_challenge: whether its test clips are those that the ExVo challenge asks answers for.
        write: of a corpus that is made here: (data_dir, settings, cache_dir, num_proc) → its folder, written.
        lost: (folder, settings) → what stands there and is not read; None: whatever is not expected is an error.
        guess_tasks: folder → the tasks that can be told without being given; None: ``tasks`` knows them.
        printed: what a paper printed of the whole corpus; None: no paper did.
    """

    name: str
    settings: type
    builder: Callable
    tasks: Callable
    how_to_get: str
    card: str
    licence: str
    public: bool = True
    in_challenge: bool = False
    write: Callable | None = None
    lost: Callable | None = None
    guess_tasks: Callable | None = None
    printed: PrintedCounts | None = None

    @property
    def takes(self) -> tuple[str, ...]:
        """The names of its settings."""
        return tuple(entry.name for entry in fields(self.settings))

    def existing_folder(self, folder) -> Path:
        """A folder of the corpus as it was given, absolute.

        Raises:
            CorpusError: None is given, there is no such folder, or its path is no UTF-8 text.
        """
        if folder is None:
            raise CorpusError(self.how_to_get)
        folder = Path(folder).expanduser().resolve()
        if not folder.is_dir():
            raise CorpusError(f"{folder}: no such folder. {self.how_to_get}")
        if shown(str(folder)) != str(folder):
            raise CorpusError(
                f"{shown(str(folder))}: the folder's path is no UTF-8 text, which datasets need; rename it"
            )
        return folder

    def asked(self, given: dict) -> Any:
        """The record of its settings, from keyword arguments of which None and False are not given.

        Raises:
            CorpusError: a setting that it does not take; names those that it does.
        """
        given = {name: value for name, value in given.items() if value is not None and value is not False}
        if strange := [name for name in given if name not in self.takes]:
            close = difflib.get_close_matches(strange[0], self.takes, n=1)
            meant = f", did you mean {close[0]!r}?" if close else ""
            raise CorpusError(
                f"{', '.join(strange)}: no setting of {self.name}{meant}; leave it out, or give any of "
                f"{', '.join(self.takes)}"
            )
        return self.settings(**given)


def given_settings(settings) -> dict[str, Any]:
    """Those of a corpus's settings that were given, by name."""
    values = {entry.name: getattr(settings, entry.name) for entry in fields(settings)}
    return {name: value for name, value in values.items() if value is not None and value is not False}
