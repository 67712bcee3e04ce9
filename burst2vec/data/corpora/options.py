"""A corpus's settings as options of a command line."""

import argparse
import typing
from collections.abc import Sequence
from dataclasses import fields

from .record import Corpus, given_settings


def add_options(parser: argparse.ArgumentParser, corpus: Corpus, but: Sequence[str] = ()) -> None:
    """An option for each setting that is a choice, a number or a switch, by its own name; ``but`` are left out."""
    hints = typing.get_type_hints(corpus.settings)
    for entry in fields(corpus.settings):
        hint, about = hints[entry.name], entry.metadata["help"].replace("%", "%%")
        if entry.metadata["of_run"] or entry.name in but:
            continue
        if typing.get_origin(hint) is typing.Literal:
            parser.add_argument(f"--{entry.name}", choices=typing.get_args(hint), help=about)
        elif hint is bool:
            parser.add_argument(f"--{entry.name}", action="store_true", help=about)
        elif hint in (int | None, float | None):
            parser.add_argument(f"--{entry.name}", type=typing.get_args(hint)[0], help=about)


def options_given(arguments: argparse.Namespace, corpus: Corpus) -> dict:
    """The settings, for ``load_bursts``, that the options of [`add_options`] give."""
    return given_settings(corpus.asked({name: getattr(arguments, name, None) for name in corpus.takes}))
