"""A run as a file: YAML recipes, what they inherit, and what the command line changes.

    extends: v1_wav2vec_large.yaml         # relative to this file, or a shipped recipe: burst2vec/v1_wav2vec_large
    paper: Burst2Vec, Table 2, row V2
    model: {trunk: {adversary_weight: 0.0}}                         # Burst2VecConfig's own names
    reported_scores: {validation: {emotion_ccc: 0.645}}             # what the paper printed, by split

Every key of ``data``, ``model`` and ``training`` is a field of one dataclass, and a name is never in two of them, so
the command line needs no sections: ``--learning_rate 1e-4 --data_dir corpora/hume_vb``.
"""

import copy
import difflib
import json
import math
import re
import types
import typing
from argparse import ArgumentError
from contextlib import suppress
from dataclasses import dataclass, field, fields, make_dataclass
from enum import Enum
from pathlib import Path

import yaml
from transformers import HfArgumentParser

from ..command_line.shipped import near_recipes, shipped_recipe
from ..errors import RecipeError
from ..features import public_name
from ..training.arguments import Burst2VecTrainingArguments
from .sections import PARTS, CorpusArguments, DataArguments, ModelArguments, merged_part

SECTIONS = {"data": DataArguments, "model": ModelArguments, "training": Burst2VecTrainingArguments}
TEXTS = ("paper", "description")
KEYS = ("extends", *TEXTS, *SECTIONS, "reported_scores")
REPORTED_SPLITS = ("validation", "test")

# What says where a run lived, not what it was; left out of the recipe that is published with the model.
PLACES = ("data_dir", "features_dir", "cache_dir", "model_path", "output_dir", "resume_from_checkpoint", "run_name")

# Of a run that does not train, whatever its recipe says of training: it needs no clips to choose a checkpoint by.
NOTHING_TRAINS = {"eval_strategy": "no", "lr_scheduler_type": "constant", "lr_scheduler_kwargs": None}


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


@dataclass(frozen=True)
class Recipe:
    """What a file says, with what it extends merged in.

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
            given = _without_places(getattr(self, section))
            if isinstance(given.get("mix"), list):
                given["mix"] = [_without_places(corpus) for corpus in given["mix"]]
            if isinstance(given.get("encoder"), str) and Path(given["encoder"]).exists():
                given["encoder"] = Path(given["encoder"]).name
            if isinstance(named := given.get("features"), (list, str)):
                given["features"] = public_name(named) if isinstance(named, str) else [public_name(n) for n in named]
            record[section] = given
        return {**record, **({"reported_scores": copy.deepcopy(self.reported_scores)} if self.reported_scores else {})}


@dataclass(frozen=True)
class Run:
    """A recipe with the command line applied, and its sections as the dataclasses that check them."""

    recipe: Recipe
    data: DataArguments
    model: ModelArguments
    training: Burst2VecTrainingArguments


def _without_places(given: dict) -> dict:
    return {key: value for key, value in given.items() if key not in PLACES and "token" not in key}


def section_of(key: str) -> str:
    """The section that a flat key belongs to.

    >>> section_of("learning_rate")
    'training'
    """
    return next(section for section, arguments in SECTIONS.items() if key in _hints(arguments))


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe and everything it extends.

    Where no such file lies there, a recipe that comes with the package is meant by its name: ``emogator/compare``.

    ``data``, ``model`` and ``training`` are inherited key by key, the nearer file winning, and so are the arguments of
    a part of the model, see ``merged_part``; ``paper``, ``description`` and ``reported_scores`` are a file's own,
    because they say what that one run is.

    Raises:
        RecipeError: a missing file, a circle of ``extends``, text that is not YAML, an unknown or doubled key, or a
            value of the wrong type; the message names file and key.
    """
    return _load(_recipe_file(path), below=())


def parse_run(arguments: list[str]) -> Run:
    """``["RECIPE.yaml", "--key", "value", …]`` to a run; the command line wins over the file.

    Raises:
        RecipeError: as ``load_recipe``, and for an unknown option or a value that its key does not take.
    """
    if not arguments or arguments[0].startswith("-"):
        raise RecipeError("the first argument is the recipe, a name or a .yaml file; --key value pairs follow it")
    recipe = load_recipe(arguments[0])
    recipe = recipe.changed(_command_line(arguments[1:]))
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
        corpora_of(run.data)
        json.dumps(recipe.to_dict(), ensure_ascii=False).encode()
    except (ValueError, TypeError, OSError, ImportError) as error:  # also of files and packages that settings name
        raise RecipeError(f"{arguments[0]}, with the command line: {error}") from error
    run.training.do_eval = training["do_eval"]  # an eval_strategy switches it on, whatever was asked
    return run


def corpora_of(data: DataArguments) -> dict[str, CorpusArguments]:
    """The corpora that a run reads, by name: those of ``mix``, else the one that the section itself describes.

    >>> list(corpora_of(DataArguments(mix=[{"corpus": "emogator"}, {"corpus": "folder"}, {"corpus": "folder"}])))
    ['emogator', 'folder', 'folder_2']

    Raises:
        RecipeError: an entry of ``mix`` that is no mapping of a corpus's keys, or another corpus described beside it.
    """
    keys = [entry.name for entry in fields(CorpusArguments)]
    if data.mix is None:
        return {data.corpus: CorpusArguments(**{key: getattr(data, key) for key in keys})}
    if not isinstance(data.mix, list) or not data.mix:
        raise RecipeError(f"data.mix must be a list of corpora, such as [{{corpus: emogator}}], got {data.mix!r}")
    beside = [key for key in keys if getattr(data, key) != getattr(CorpusArguments(), key)]
    if beside:
        raise RecipeError(f"data.mix describes all corpora; move {', '.join(beside)} into the one that it belongs to")
    corpora = {}
    for place, given in enumerate(data.mix):
        where = f"data.mix[{place}]"
        if not isinstance(given, dict) or "corpus" not in given:
            raise RecipeError(f"{where}: must be a mapping with the key corpus, got {given!r}")
        _refuse_unknown(given, keys, where)
        hints = _hints(CorpusArguments)
        corpus = CorpusArguments(**{key: fit(value, hints[key], f"{where}.{key}") for key, value in given.items()})
        again = sum(other.corpus == corpus.corpus for other in corpora.values())
        corpora[corpus.corpus + (f"_{again + 1}" if again else "")] = corpus
    return corpora


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
    hints, ours = _hints(Burst2VecTrainingArguments), Burst2VecTrainingArguments.__annotations__
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
    record = _read(path)
    _refuse_unknown(record, KEYS, str(path))
    for key in ("extends", *TEXTS):
        if not isinstance(record.get(key, ""), str):
            raise RecipeError(f"{path}: {key} must be text, got {record[key]!r}")
    parent = Recipe(path.stem)
    if "extends" in record:
        extended = _recipe_file(record["extends"], beside=path.parent)
        if not extended.is_file():
            raise RecipeError(
                f"{path}: extends {record['extends']!r}: there is no {extended}; give the recipe's path, whole or "
                f"from this file's folder, or the name of one that comes with burst2vec{_recipes_beside(extended)}"
                f"{_names_near(record['extends'])}"
            )
        parent = _load(extended, (*below, path.resolve()))
    sections = {}
    for section, arguments in SECTIONS.items():
        given = _mapping(record, section, path)
        _refuse_unknown(given, _hints(arguments), f"{path}: {section}")
        given = {key: fit(value, _hints(arguments)[key], f"{path}: {section}.{key}") for key, value in given.items()}
        inherited = getattr(parent, section)
        parts = {key: merged_part(inherited.get(key), given[key]) for key in given if key in PARTS}
        sections[section] = {**inherited, **given, **parts}
    scores = _reported_scores(record, path)
    return Recipe(path.stem, record.get("paper"), record.get("description"), **sections, reported_scores=scores)


def _reported_scores(record: dict, path: Path) -> dict[str, dict[str, float]]:
    splits = _mapping(record, "reported_scores", path)
    for split in splits:
        if split not in REPORTED_SPLITS:
            raise RecipeError(
                f"{path}: reported_scores: {split!r} is none of the splits {list(REPORTED_SPLITS)}; printed scores "
                "stand under theirs: reported_scores: {validation: {s_mtl: 0.448}, test: {s_mtl: 0.421}}"
            )
    return {
        split: {
            key: fit(value, float, f"{path}: reported_scores.{split}.{key}")
            for key, value in _mapping(splits, split, f"{path}: reported_scores").items()
        }
        for split in splits
    }


def _read(path: Path) -> dict:
    if not path.is_file():
        raise RecipeError(f"{path}: no such recipe{_recipes_beside(path)}{_names_near(str(path))}")
    with path.open(encoding="utf-8") as text:
        try:
            record = yaml.load(text, Loader=RecipeLoader)  # a SafeLoader
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise RecipeError(f"{path}: not YAML: {error}") from error
    if not isinstance(record, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of {list(KEYS)}, got {type(record).__name__}")
    return record


def _recipe_file(given: str | Path, beside: Path = Path()) -> Path:
    """The file that a recipe is given by: a path, first, or the name of one that comes with the package."""
    path = beside / given
    return path if path.is_file() else shipped_recipe(str(given)) or path


def _names_near(name: str) -> str:
    near = near_recipes(name)
    return f"; with burst2vec come {near}; `burst2vec recipes` lists all" if near else ""


def _recipes_beside(path: Path) -> str:
    near = sorted(str(file) for file in path.parent.glob("*.yaml"))  # of a folder that is not there: none
    return f"; the folder holds {near}" if near else ""


def _mapping(record: dict, section: str, where: str | Path) -> dict:
    given = record.get(section) or {}
    if not isinstance(given, dict):
        raise RecipeError(f"{where}: {section} must be a mapping of keys to values, got {given!r}")
    return given


def _refuse_unknown(given: dict, known, where: str) -> None:
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            meant = f"did you mean {close[0]!r}? " if close else ""
            home = [section for section, arguments in SECTIONS.items() if key in _hints(arguments)]
            meant = f"it belongs to the section {home[0]!r}. " if home else meant
            raise RecipeError(f"{where}: unknown key {key!r}; {meant}known: {sorted(known)}")


def _hints(arguments: type) -> dict[str, typing.Any]:
    hints = typing.get_type_hints(arguments)
    return {entry.name: hints[entry.name] for entry in fields(arguments) if entry.init}


def _options(hint) -> tuple:
    """The types that a hint allows; beside an enumeration, which is written by its values, text alone is none."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    options = typing.get_args(hint) if union else (hint,)
    enumerated = any(isinstance(option, type) and issubclass(option, Enum) for option in options)
    return tuple(option for option in options if not (enumerated and option is str))


def _refuse_not_plain(value, where: str) -> None:
    """Refuse what a run's record could not hold: a number that is none, and what YAML makes of dates and tags."""
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
    """``value`` if it is of the annotated type, else an error that names ``where``.

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
    for option in _options(hint):
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
    names = " or ".join(_type_name(option) for option in _options(hint))
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


def _command_line(arguments: list[str]) -> dict:
    """The keys that the command line gives, and only those, in the types of their fields."""
    parser = argument_parser()
    hints = {key: hint for section in SECTIONS.values() for key, hint in _hints(section).items()}
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
        structured = any((typing.get_origin(option) or option) in (dict, list) for option in _options(hints[key]))
        if structured and isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            value = _from_json(value, f"command line: --{key}")
        elif isinstance(value, str) and float in _options(
            hints[key]
        ):  # a number or a word, which argparse leaves a word
            with suppress(ValueError):
                value = float(value)
        values[key] = fit(value, hints[key], f"command line: --{key}")
    return values | nulls


def _from_json(text: str, where: str):
    try:
        return yaml.load(text, Loader=RecipeLoader)  # JSON is YAML
    except (yaml.YAMLError, RecursionError) as error:
        fault = getattr(error, "problem", None) or "too many brackets"
        raise RecipeError(f"{where}: {text!r} is not JSON: {fault}; it may be cut off, or lack its quotes") from error


def _nulls(arguments: list[str], hints: dict) -> tuple[dict[str, None], list[str]]:
    """The keys that are given as ``null``, which argparse knows of no type, and the other arguments.

    >>> _nulls(["--table", "null", "--seed", "1"], {"table": str | None, "seed": int})
    ({'table': None}, ['--seed', '1'])
    """
    nulls, others = {}, []
    given = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for word, before in zip(given, [None, *given], strict=False):
        key = (before or "").removeprefix("--")
        if word == "null" and key in hints and type(None) in _options(hints[key]):
            nulls[key] = None
            others.pop()
        else:
            others.append(word)
    return nulls, others
