"""What the package's source declares, read without importing it.

A help names keys, choices and defaults. To ask the modules themselves for them would import torch, transformers and
datasets first, which takes seconds.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .shipped import package_folder

CORPORA = "data/corpora"  # a corpus's keys are the settings that its file declares
FEATURES = "features"


class Key(NamedTuple):
    """A key of a recipe: its name, what may be given, as text, what it is without, and what it is."""

    name: str
    choices: str
    default: str
    about: str


def constants(file: str) -> dict:
    """The plain values that a file of the package gives names, such as numbers, texts and tuples of them.

    >>> constants("version.py")["__version__"].count(".")
    2
    """
    return _constants(package_folder() / file)


def keys_of(file: str, classes: tuple[str, ...], call: str) -> list[Key]:
    """The keys that classes of a file declare by a call with a default and what the key is, in their order."""
    return [key for key, _ in _declared(package_folder() / file, classes, call)]


def corpora() -> tuple[str, ...]:
    """The names of the corpora."""
    return constants(f"{CORPORA}/loading.py")["NAMES"]


def keys_of_corpora() -> list[Key]:
    """The keys of a recipe that corpora have of their own, each for the corpora that take it."""
    taken: dict[str, dict[str, Key]] = {}
    for corpus in corpora():
        for key, said in _declared(package_folder() / CORPORA / f"{corpus}.py", None, "setting"):
            if not said.get("of_run"):
                taken.setdefault(said.get("key") or key.name, {})[corpus] = key
    keys = []
    for name, by_corpus in taken.items():
        about = " ".join(dict.fromkeys(key.about for key in by_corpus.values()))
        one = next(iter(by_corpus.values()))
        not_given = one.default if one.default == "False" else "None"
        keys.append(Key(name, one.choices, not_given, f"For {', '.join(by_corpus)}: {about}"))
    return keys


def choices_of_corpora() -> dict[str, tuple[tuple[str, ...], str]]:
    """The choices and the help of each of those keys that has fixed choices.

    >>> choices_of_corpora()["audio"][0]
    ('processed', 'raw')
    """
    return {key.name: (tuple(key.choices.split("|")), key.about) for key in keys_of_corpora() if key.choices}


def feature_sets() -> tuple[list[str], list[str]]:
    """The feature sets, and the families of them as ``family:ARGUMENT``.

    >>> feature_sets()[1][0]
    'embedding:CHECKPOINT'
    """
    assigned: dict[str, ast.expr] = {}
    for file in sorted((package_folder() / FEATURES).glob("*.py")):
        for line in _body(file):
            target = line.target if isinstance(line, ast.AnnAssign) else getattr(line, "targets", [None])[0]
            if isinstance(target, ast.Name):
                assigned[target.id] = line.value
    families = assigned["FEATURE_FAMILIES"]
    named = zip(families.keys, families.values, strict=True)
    arguments = [f"{key.value}:{assigned[family.id].args[0].value}" for key, family in named]
    return [key.value for key in assigned["FEATURE_SETS"].keys], arguments


def _declared(file: Path, classes: tuple[str, ...] | None, call: str) -> Iterator[tuple[Key, dict]]:
    """The keys that classes of a file declare by a call, and what that says of their place in a recipe."""
    known = {**_constants(file.with_name("record.py")), **_constants(file)}
    for of_class in _body(file):
        if isinstance(of_class, ast.ClassDef) and (classes is None or of_class.name in classes):
            for line in of_class.body:
                if isinstance(line, ast.AnnAssign) and getattr(getattr(line.value, "func", None), "id", None) == call:
                    default, about = (_value(given, known) for given in line.value.args)
                    said = {given.arg: given.value for given in line.value.keywords}
                    said = {name: ast.literal_eval(said[name]) for name in ("key", "of_run") if name in said}
                    yield Key(line.target.id, _choices(line.annotation), str(default), about), said


def _body(file: Path) -> list[ast.stmt]:
    return ast.parse(file.read_text(encoding="utf-8")).body if file.exists() else []


def _constants(file: Path) -> dict:
    found = {}
    for line in _body(file):
        if isinstance(line, ast.Assign):
            target = line.targets[0]
            several = isinstance(target, ast.Tuple) and isinstance(line.value, ast.Tuple)
            pairs = zip(target.elts, line.value.elts, strict=True) if several else [(target, line.value)]
            for name, value in pairs:
                try:
                    found[name.id] = ast.literal_eval(value)
                except (ValueError, AttributeError):
                    pass  # no plain value
    return found


def _value(given: ast.expr, known: dict):
    return known[given.id] if isinstance(given, ast.Name) else ast.literal_eval(given)


def _choices(annotation: ast.expr) -> str:
    """``skip|raise`` of ``Literal["skip", "raise"]``; nothing of another type."""
    if isinstance(annotation, ast.Subscript) and getattr(annotation.value, "id", None) == "Literal":
        named = [choice.value for choice in getattr(annotation.slice, "elts", []) if isinstance(choice, ast.Constant)]
        return "|".join(map(str, named))
    return ""
