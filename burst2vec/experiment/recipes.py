"""A run as a file: YAML recipes, what they inherit, and what the command line changes.

    extends: v1_wav2vec_large.yaml         # relative to this file, or a shipped recipe: burst2vec/v1_wav2vec_large
    paper: Burst2Vec, Table 2, row V2
    model: {trunk: {adversary_weight: 0.0}}                         # Burst2VecConfig's own names
    reported_scores: {validation: {emotion_ccc: 0.645}}             # what the paper printed, by split

Every key of ``data``, ``model`` and ``training`` is a field of one dataclass, and a name is never in two of them, so
the command line needs no sections: ``--learning_rate 1e-4 --data_dir corpora/hume_vb``.
"""

import copy
import json
import typing
from argparse import ArgumentError
from contextlib import suppress
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path

from transformers import HfArgumentParser

from ..errors import RecipeError
from ..features import public_name, without_folder
from ..training.arguments import Burst2VecTrainingArguments
from .recipe_files import (
    fit,
    from_json,
    hints_of,
    mapping_of,
    names_near,
    options_of,
    printed_scores,
    read_yaml,
    recipe_file,
    recipes_beside,
    refuse_unknown,
    text_of,
)
from .sections import PARTS, DataArguments, ModelArguments, merged_part

SECTIONS = {"data": DataArguments, "model": ModelArguments, "training": Burst2VecTrainingArguments}
TEXTS = ("paper", "description")
KEYS = ("extends", *TEXTS, *SECTIONS, "reported_scores")
FUSE = "fuse"  # the key of a recipe that is a fusion of other recipes' runs: comparison/fusion_recipes.py
GENERATE = "generate"  # and of one that trains a generator: generation/generation_recipes.py

# Paths and names of one machine; left out of the recipe that is published with the model.
PLACES = ("data_dir", "more_dirs", "features_dir", "cache_dir", "model_path", "output_dir", "resume_from_checkpoint")
PLACES += ("run_name",)

# Settings of a run that does not train, which needs no validation clips to choose a checkpoint.
NOTHING_TRAINS = {"eval_strategy": "no", "lr_scheduler_type": "constant", "lr_scheduler_kwargs": None}


@dataclass(frozen=True)
class Recipe:
    """The content of a recipe file, merged with what it extends.

    Attributes:
        name: the file's name without its ending.
        paper: which row of which table this is, if any.
        description: one sentence for the reader.
        data, model, training: the keys given, by section; what is not given keeps its dataclass's default.
        reported_scores: the scores that the paper printed, by split (``REPORTED_SPLITS``) and score name.
    """

    name: str
    paper: str | None = None
    description: str | None = None
    data: dict = field(default_factory=dict)
    model: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    reported_scores: dict = field(default_factory=dict)

    def changed(self, overrides: dict) -> "Recipe":
        """This recipe with flat keys changed, each in the section that knows it, as ``extends`` changes them."""
        sections = {section: dict(getattr(self, section)) for section in SECTIONS}
        for key, value in overrides.items():
            section = sections[section_of(key)]
            section[key] = merged_part(section.get(key), value) if key in PARTS else value
        return Recipe(self.name, self.paper, self.description, **sections, reported_scores=self.reported_scores)

    def to_dict(self) -> dict:
        """The recipe as plain data, without the places of the machine it ran on; ``load_recipe`` reads it back."""
        record = {key: getattr(self, key) for key in TEXTS if getattr(self, key)}
        for section in SECTIONS:
            given = without_places(getattr(self, section))
            if isinstance(given.get("mix"), list):
                given["mix"] = [without_places(corpus) for corpus in given["mix"]]
            if isinstance(given.get("encoder"), str):
                given["encoder"] = without_folder(given["encoder"])
            if isinstance(named := given.get("features"), (list, str)):
                given["features"] = public_name(named) if isinstance(named, str) else [public_name(n) for n in named]
            if given.get("teachers"):
                given["teachers"] = list(map(without_folder, given["teachers"]))
            record[section] = given
        return {**record, **({"reported_scores": copy.deepcopy(self.reported_scores)} if self.reported_scores else {})}


@dataclass(frozen=True)
class Run:
    """A recipe with the command line applied, and its sections as the dataclasses that check them.

    Attributes:
        choice: which ``recipe`` was chosen for ``encoder: auto``, and ``why``: see ``recipe_by_size``; else None.
    """

    recipe: Recipe
    data: DataArguments
    model: ModelArguments
    training: Burst2VecTrainingArguments
    choice: dict | None = None


def without_places(given: dict) -> dict:
    """A section's keys without the places of this machine, and without tokens."""
    return {key: value for key, value in given.items() if key not in PLACES and "token" not in key}


def section_of(key: str) -> str:
    """The section that a flat key belongs to.

    >>> section_of("learning_rate")
    'training'
    """
    return next(section for section, arguments in SECTIONS.items() if key in hints_of(arguments))


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe and everything it extends.

    Where there is no such file, it is the name of a recipe that comes with the package: ``emogator/compare``.

    ``data``, ``model`` and ``training`` are inherited key by key, the nearer file winning, and so are the arguments of
    a part of the model, see ``merged_part``; ``paper``, ``description`` and ``reported_scores`` are not
    inherited, because they describe one run.

    Raises:
        RecipeError: a missing file, a circle of ``extends``, text that is not YAML, an unknown or doubled key, or a
            value of the wrong type; the message names file and key.
    """
    return _load(recipe_file(path), below=())


def parse_run(arguments: list[str]) -> Run:
    """``["RECIPE.yaml", "--key", "value", …]`` to a run; the command line wins over the file.

    Raises:
        RecipeError: as ``load_recipe``, and for an unknown option or a value that its key does not take.
    """
    if not arguments or arguments[0].startswith("-"):
        raise RecipeError("the first argument is the recipe, a name or a .yaml file; --key value pairs follow it")
    recipe = load_recipe(arguments[0])
    return run_of(recipe.changed(_command_line(arguments[1:])), f"{arguments[0]}, with the command line")


def run_of(recipe: Recipe, where: str | None = None) -> Run:
    """The run that a recipe describes.

    Args:
        recipe: with the command line applied.
        where: what to call it in an error; by default its name.

    Raises:
        RecipeError: a value that its key does not take.
    """
    training = {"do_train": True, "do_eval": True, "do_predict": True, **recipe.training}
    training.setdefault("output_dir", str(Path("runs", recipe.name)))
    if not training["do_train"]:
        training |= NOTHING_TRAINS
    try:
        run = Run(
            recipe,
            DataArguments(**recipe.data),
            ModelArguments(**recipe.model),
            Burst2VecTrainingArguments(**training),
        )
        json.dumps(recipe.to_dict(), ensure_ascii=False).encode()
    except (ValueError, TypeError, OSError, ImportError) as error:  # also of files and packages that settings name
        raise RecipeError(f"{where or recipe.name}: {error}") from error
    run.training.do_eval = training["do_eval"]  # an eval_strategy switches it on, whatever was asked
    return run


def argument_parser() -> HfArgumentParser:
    """A parser of every key of the three sections; ``format_help`` describes them all, burst2vec's own first."""
    return HfArgumentParser(
        [DataArguments, ModelArguments, _training_keys(own=True), _training_keys(own=False)],
        usage="burst2vec train RECIPE [--key value …]",
        allow_abbrev=False,
        add_help=False,
        exit_on_error=False,
    )


def _training_keys(own: bool) -> type:
    """The training keys that burst2vec adds or has another default for, or else those that are transformers' alone."""
    hints, ours = hints_of(Burst2VecTrainingArguments), Burst2VecTrainingArguments.__annotations__
    keys = [
        (each.name, hints[each.name], copy.copy(each))
        for each in fields(Burst2VecTrainingArguments)
        if each.init and (each.name in ours) is own
    ]
    return make_dataclass("TrainingKeys", keys)


def _load(path: Path, below: tuple[Path, ...]) -> Recipe:
    if path.resolve() in below:
        circle = " → ".join(str(file.name) for file in (*below, path))
        raise RecipeError(f"{path}: extends goes in a circle: {circle}")
    record = read_yaml(path, KEYS)
    if FUSE in record:
        raise RecipeError(f"{path}: is a fusion of finished runs, nothing to train: burst2vec fuse {path}")
    if GENERATE in record:
        raise RecipeError(f"{path}: trains a generator, which has a command of its own: burst2vec generate {path}")
    _refuse_unknown(record, KEYS, str(path))
    extends, paper, description = (text_of(record, key, path) for key in ("extends", *TEXTS))
    parent = Recipe(path.stem)
    if extends is not None:
        extended = recipe_file(extends, beside=path.parent)
        if not extended.is_file():
            raise RecipeError(
                f"{path}: extends {extends!r}: there is no {extended}; give the recipe's path, whole or "
                f"from this file's folder, or the name of one that comes with burst2vec{recipes_beside(extended)}"
                f"{names_near(extends)}"
            )
        parent = _load(extended, (*below, path.resolve()))
    sections = {}
    for section, arguments in SECTIONS.items():
        given = mapping_of(record, section, path)
        _refuse_unknown(given, hints_of(arguments), f"{path}: {section}")
        given = {key: fit(value, hints_of(arguments)[key], f"{path}: {section}.{key}") for key, value in given.items()}
        sections[section] = inherited(getattr(parent, section), given)
    scores = printed_scores(record, path)
    return Recipe(path.stem, paper, description, **sections, reported_scores=scores)


def inherited(parent: dict, given: dict) -> dict:
    """A section's keys over those that it inherits; the arguments of a part of the model are merged."""
    return {**parent, **given, **{key: merged_part(parent.get(key), given[key]) for key in given if key in PARTS}}


def _refuse_unknown(given: dict, known, where: str) -> None:
    refuse_unknown(given, known, where, {section: hints_of(arguments) for section, arguments in SECTIONS.items()})


def _command_line(arguments: list[str]) -> dict:
    """The keys that the command line gives, and only those, in the types of their fields."""
    parser = argument_parser()
    hints = {key: hint for section in SECTIONS.values() for key, hint in hints_of(section).items()}
    nulls, arguments = _nulls(arguments, hints)
    not_given = object()
    parser.set_defaults(**dict.fromkeys(hints, not_given))
    try:
        given, strangers = parser.parse_known_args(arguments)
    except ArgumentError as error:
        raise RecipeError(f"command line: {error}") from error
    for stranger in strangers:
        key = stranger.removeprefix("--").split("=")[0]
        if stranger.startswith("--"):
            _refuse_unknown({key: None}, hints, "command line")
        raise RecipeError(
            f"command line: {stranger!r} is not an option; options are --key value pairs after the recipe"
        )
    values = {}
    for key, value in vars(given).items():
        if value is not_given:
            continue
        structured = any((typing.get_origin(option) or option) in (dict, list) for option in options_of(hints[key]))
        if isinstance(value, list) and str(value[0]).startswith("["):
            value = " ".join(value)  # one list, which argparse took for the first of several words
        if structured and isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            value = from_json(value, f"command line: --{key}")
        elif isinstance(value, str) and (numbers := {int, float} & {*options_of(hints[key])}):
            with suppress(ValueError):  # a number or a word, which argparse leaves a word
                value = numbers.pop()(value)
        values[key] = fit(value, hints[key], f"command line: --{key}")
    return values | nulls


def _nulls(arguments: list[str], hints: dict) -> tuple[dict[str, None], list[str]]:
    """The keys that are given as ``null``, which argparse knows of no type, and the other arguments.

    >>> _nulls(["--table", "null", "--seed", "1"], {"table": str | None, "seed": int})
    ({'table': None}, ['--seed', '1'])
    """
    nulls, others = {}, []
    given = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for word, before in zip(given, [None, *given], strict=False):
        key = (before or "").removeprefix("--")
        if word == "null" and key in hints and type(None) in options_of(hints[key]):
            nulls[key] = None
            others.pop()
        else:
            others.append(word)
    return nulls, others
