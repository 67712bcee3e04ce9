"""What ``burst2vec train --help`` prints, within a fraction of a second: burst2vec's own keys, read from the source.

To ask the dataclasses for their fields would import torch, transformers and datasets first, which takes seconds.
"""

import ast
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from .shipped import recipe_names

USAGE = """usage: burst2vec train RECIPE [--key value …]

Trains, evaluates and predicts as the recipe says, and writes model, scores, predictions, plots and a model card into
--output_dir (default: runs/<recipe>). RECIPE is a file of yours, or the name of one that comes with burst2vec. Several
processes: accelerate launch -m burst2vec train RECIPE …, or accelerate launch examples/run_exvo.py RECIPE ….
Any key of a recipe can be given, for example:

  --data_dir FOLDER                         where the corpus is
  --max_train_samples 100 --max_steps 20    a quick trial
  --resume_from_checkpoint true             resume after an interruption
  --do_train false --model_path FOLDER      evaluate and predict with a saved model
  --do_train false --model_path RUN --corpus folder --splits null --data_dir NEW
                                            predict new clips: all in the folder NEW, which needs no table, or one of
                                            files and speakers; RUN/recipe.yaml is the recipe
  --help                                    burst2vec's own keys, as below
  --help-all                                and transformers' TrainingArguments, most of which work here too
"""

HELP_ALL = "--help-all"

# Where keys are declared, by section; and what declares one there: a call with its default and what it is.
SECTIONS = {
    "data": ("experiment/sections.py", ("_Corpus", "DataArguments"), "_key"),
    "model": ("experiment/sections.py", ("ModelArguments",), "_key"),
    "training": ("training/arguments.py", ("Burst2VecTrainingArguments",), "_default"),
}
CORPORA = "data/corpora"  # a corpus's keys are the settings that its file declares
WIDTH = 120


class Key(NamedTuple):
    """A key of a recipe: its name, what may be given, as text, what it is without, and what it is."""

    name: str
    choices: str
    default: str
    about: str


def train_help() -> str:
    """The usage, every key that burst2vec adds or has another default for, and the names of the shipped recipes."""
    lines = [USAGE]
    for section, keys in own_keys().items():
        lines.append(f"{section}:")
        for key in keys:
            default = "" if key.default in ("None", "False") else f"(default {key.default})"
            lines.append(" ".join(filter(None, (f"  --{key.name}", key.choices, default))))
            lines += textwrap.wrap(key.about, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
        lines.append("")
    return "\n".join([*lines, "recipes, which burst2vec recipes describes:", *_recipes_by_paper()])


def _recipes_by_paper() -> list[str]:
    by_paper = {}
    for name in recipe_names():
        paper, _, recipe = name.partition("/")
        by_paper.setdefault(paper, []).append(recipe)
    lines = []
    for paper, recipes in by_paper.items():
        listed = f"{paper}/  " + " ".join(recipes)
        lines += textwrap.wrap(listed, WIDTH, initial_indent="  ", subsequent_indent=" " * 6, break_on_hyphens=False)
    return lines


def own_keys() -> dict[str, list[Key]]:
    """The keys of each section of a recipe, in the order of their declaration."""
    package = Path(find_spec("burst2vec").origin).parent
    keys = {
        section: [key for key, _ in _declared(package / file, classes, call)]
        for section, (file, classes, call) in SECTIONS.items()
    }
    keys["data"] = _with_corpora(keys["data"], package / CORPORA)
    return keys


def _with_corpora(keys: list[Key], folder: Path) -> list[Key]:
    """The keys of the section data, and behind those of any corpus, corpus and data_dir, the settings of each."""
    corpora = _constants(folder / "loading.py")["NAMES"]
    taken: dict[str, dict[str, Key]] = {}
    for corpus in corpora:
        for key, said in _declared(folder / f"{corpus}.py", None, "setting"):
            if not said.get("of_run"):
                taken.setdefault(said.get("key") or key.name, {})[corpus] = key
    settings = []
    for name, by_corpus in taken.items():
        about = " ".join(dict.fromkeys(key.about for key in by_corpus.values()))
        one = next(iter(by_corpus.values()))
        not_given = one.default if one.default == "False" else "None"
        settings.append(Key(name, one.choices, not_given, f"For {', '.join(by_corpus)}: {about}"))
    any_corpus = [key._replace(choices="|".join(corpora)) if key.name == "corpus" else key for key in keys[:2]]
    return [*any_corpus, *settings, *keys[2:]]


def _declared(file: Path, classes: tuple[str, ...] | None, call: str) -> Iterator[tuple[Key, dict]]:
    """The keys that classes of a file declare by a call, and what that says of their place in a recipe."""
    constants = {**_constants(file.with_name("record.py")), **_constants(file)}
    for of_class in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(of_class, ast.ClassDef) and (classes is None or of_class.name in classes):
            for line in of_class.body:
                if isinstance(line, ast.AnnAssign) and getattr(getattr(line.value, "func", None), "id", None) == call:
                    default, about = (_value(given, constants) for given in line.value.args)
                    said = {given.arg: given.value for given in line.value.keywords}
                    said = {name: ast.literal_eval(said[name]) for name in ("key", "of_run") if name in said}
                    yield Key(line.target.id, _choices(line.annotation), str(default), about), said


def _constants(file: Path) -> dict:
    """The texts and lists of them that a file gives names."""
    body = ast.parse(file.read_text(encoding="utf-8")).body if file.exists() else []
    found = {}
    for line in body:
        if isinstance(line, ast.Assign) and isinstance(line.value, (ast.Constant, ast.Tuple)):
            try:
                found[line.targets[0].id] = ast.literal_eval(line.value)
            except (ValueError, AttributeError):
                pass  # no plain value
    return found


def _value(given: ast.expr, constants: dict):
    return constants[given.id] if isinstance(given, ast.Name) else ast.literal_eval(given)


def _choices(annotation: ast.expr) -> str:
    """``skip|raise`` of ``Literal["skip", "raise"]``; nothing of another type."""
    if isinstance(annotation, ast.Subscript) and getattr(annotation.value, "id", None) == "Literal":
        named = [choice.value for choice in getattr(annotation.slice, "elts", []) if isinstance(choice, ast.Constant)]
        return "|".join(map(str, named))
    return ""
