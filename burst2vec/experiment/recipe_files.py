"""Reading a recipe's file: YAML, and values checked against the types of their keys."""

import difflib
import functools
import math
import re
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from enum import Enum
from pathlib import Path

import yaml

from ..command_line.shipped import near_recipes, shipped_recipe
from ..errors import RecipeError

REPORTED_SPLITS = ("validation", "test")


class RecipeLoader(yaml.SafeLoader):
    """Safe YAML that reads ``1e-5`` as the number it is (YAML 1.1 takes it for text) and refuses a key given twice."""

    def construct_mapping(self, node, deep=False):
        lines: dict = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in lines:
                raise RecipeError(
                    f"{self.name}, line {line}: key {key.value!r} is given twice, first on line {lines[key.value]}; "
                    "keep one of them"
                )
            lines[key.value] = line
        return super().construct_mapping(node, deep)


RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(path: Path, keys: Sequence[str]) -> dict:
    """The mapping in a recipe's file; ``keys`` are the allowed ones, for the message where it is no mapping.

    Raises:
        RecipeError: no such file, text that is not YAML, or no mapping.
    """
    if not path.is_file():
        raise RecipeError(f"{path}: no such recipe{recipes_beside(path)}{names_near(str(path))}")
    with path.open(encoding="utf-8") as text:
        try:
            record = yaml.load(text, Loader=RecipeLoader)  # a SafeLoader
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise RecipeError(f"{path}: not YAML: {error}") from error
    if not isinstance(record, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of {list(keys)}, got {type(record).__name__}")
    return record


def recipe_file(given: str | Path, beside: Path = Path()) -> Path:
    """The file that a recipe is given by: a path, first, or the name of one that comes with the package."""
    path = beside / given
    return path if path.is_file() else shipped_recipe(str(given)) or path


def names_near(name: str) -> str:
    """The end of a message about an unknown recipe: the shipped ones that may be meant."""
    near = near_recipes(name)
    return f"; with burst2vec come {near}; `burst2vec recipes` lists all" if near else ""


def recipes_beside(path: Path) -> str:
    """The end of a message about a file that is not there: the recipes in its folder."""
    near = sorted(str(file) for file in path.parent.glob("*.yaml"))  # of a folder that is not there: none
    return f"; the folder holds {near}" if near else ""


def text_of(record: dict, key: str, path: Path) -> str | None:
    """A key's text, None where it is left out; refused where it is no text."""
    if not isinstance(record.get(key, ""), str):
        raise RecipeError(f"{path}: {key} must be text, got {record[key]!r}")
    return record.get(key)


def mapping_of(record: dict, section: str, where: str | Path) -> dict:
    """The section's keys, none where it is left out or empty; refused where it is no mapping."""
    given = record.get(section) or {}
    if not isinstance(given, dict):
        raise RecipeError(f"{where}: {section} must be a mapping of keys to values, got {given!r}")
    return given


def printed_scores(record: dict, path: Path) -> dict[str, dict[str, float]]:
    """A recipe's ``reported_scores``: by split and score name.

    Raises:
        RecipeError: another split, or a score that is no number.
    """
    splits = mapping_of(record, "reported_scores", path)
    for split in splits:
        if split not in REPORTED_SPLITS:
            raise RecipeError(
                f"{path}: reported_scores: {split!r} is none of the splits {list(REPORTED_SPLITS)}; printed scores "
                "stand under theirs: reported_scores: {validation: {s_mtl: 0.448}, test: {s_mtl: 0.421}}"
            )
    return {
        split: {
            key: fit(value, float, f"{path}: reported_scores.{split}.{key}")
            for key, value in mapping_of(splits, split, f"{path}: reported_scores").items()
        }
        for split in splits
    }


def from_json(text: str, where: str):
    """Parse JSON from the command line; ``where`` begins the message of an error."""
    try:
        return yaml.load(text, Loader=RecipeLoader)  # JSON is YAML
    except (yaml.YAMLError, RecursionError) as error:
        fault = getattr(error, "problem", None) or "too many brackets"
        raise RecipeError(f"{where}: {text!r} is not JSON: {fault}; it may be cut off, or lack its quotes") from error


def refuse_unknown(
    given: Collection[str], known: Collection[str], where: str, sections: Mapping[str, Collection[str]] | None = None
) -> None:
    """
    Args:
        given: keys.
        known: those that may be there.
        where: what the message begins with.
        sections: the keys of each section of a recipe, one of which may be meant.

    Raises:
        RecipeError: an unknown key; names one that may be meant, or its section, and those that there are.
    """
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            meant = f"did you mean {close[0]!r}? " if close else ""
            home = [section for section, keys in (sections or {}).items() if key in keys]
            meant = f"it belongs to the section {home[0]!r}. " if home else meant
            raise RecipeError(f"{where}: unknown key {key!r}; {meant}known: {sorted(known)}")


@functools.cache  # asked for with each key that is read, and slow
def hints_of(arguments: type) -> dict[str, typing.Any]:
    """The keys of a section and their types."""
    hints = typing.get_type_hints(arguments)
    return {entry.name: hints[entry.name] for entry in fields(arguments) if entry.init}


def options_of(hint) -> tuple:
    """The types that a hint allows; beside an enumeration, which is written by its values, text alone is none."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    options = typing.get_args(hint) if union else (hint,)
    enumerated = any(isinstance(option, type) and issubclass(option, Enum) for option in options)
    return tuple(option for option in options if not (enumerated and option is str))


def _refuse_not_plain(value, where: str) -> None:
    """Refuse values that a run's record could not hold: NaN and infinity, and YAML's dates and tags."""
    if isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(f"{where}: must be a finite number, got {value!r}")
    if isinstance(value, (list, dict)):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            _refuse_not_plain(part, f"{where}[{key!r}]")
            if not isinstance(key, (str, int)) or isinstance(key, bool):
                raise RecipeError(f'{where}: the key {key!r} ({type(key).__name__}) must be text; put it in "quotes"')
    elif value is not None and not isinstance(value, (str, int, float, Enum)):
        raise RecipeError(f'{where}: {value!r} ({type(value).__name__}) is no text or number; put it in "quotes"')


def fit(value, hint, where: str):
    """Return ``value`` if it is of the annotated type; the error names ``where``.

    >>> fit(3, float | None, "training.num_train_epochs")
    3
    >>> fit("3", int, "training.max_steps")
    Traceback (most recent call last):
    ...
    burst2vec.errors.RecipeError: training.max_steps: expected int, got '3' (str)
    """
    try:
        _refuse_not_plain(value, where)
    except RecursionError as error:
        raise RecipeError(f"{where}: is nested too deep") from error
    for option in options_of(hint):
        kind = typing.get_origin(option) or option
        if kind is typing.Any or (kind is typing.Literal and value in typing.get_args(option)):
            return value
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(kind, type) and issubclass(kind, Enum) and value in [member.value for member in kind]:
            return value
        if isinstance(kind, type) and isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            if kind is list and typing.get_args(option):
                (of_each,) = typing.get_args(option)
                return [fit(each, of_each, f"{where}[{place}]") for place, each in enumerate(value)]
            return value
    names = " or ".join(_type_name(option) for option in options_of(hint))
    quote = (
        ' — YAML reads a bare yes, no, on, off as true or false: put it in "quotes"' if isinstance(value, bool) else ""
    )
    raise RecipeError(f"{where}: expected {names}, got {value!r} ({type(value).__name__}){quote}")


def _type_name(option) -> str:
    if isinstance(option, type) and issubclass(option, Enum):
        return f"one of {[member.value for member in option]}"
    if typing.get_origin(option) is typing.Literal:
        return f"one of {list(typing.get_args(option))}"
    return "null" if option is type(None) else getattr(typing.get_origin(option) or option, "__name__", str(option))
