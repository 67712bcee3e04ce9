"""Recipes that train a generator: ``generate``, ``data`` and ``training``, read as other recipes are.

extends: amusement.yaml
generate: {emotion: Awe}              # which emotion, and the network's sizes
data: {corpus: hume_vb}               # the clips that it learns from
training: {max_steps: 1000}
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from ..errors import RecipeError
from ..experiment.recipe_files import (
    RecipeLoader,
    fit,
    hints_of,
    mapping_of,
    names_near,
    read_yaml,
    recipe_file,
    recipes_beside,
    refuse_unknown,
    text_of,
)
from ..experiment.recipes import GENERATE, PLACES
from ..experiment.sections import CorpusArguments
from ..msg_gan import CHANNELS, BurstGeneratorConfig
from ..training.ranges import Range, refuse_out_of_range

_RANGES = {
    "lowest_intensity": Range(0, 1),
    "max_train_samples": Range(2, 1e9),
    "seed": Range(0, 2**32 - 1),
    "max_steps": Range(1, 1e9),
    "batch_size": Range(2, 65_536),
    "generator_learning_rate": Range(0, 1, without_low=True),
    "discriminator_learning_rate": Range(0, 1, without_low=True),
    "average_decay": Range(0, 1, without_high=True),
    "save_steps": Range(1, 1e9),
    "save_total_limit": Range(1, 1e9),
    "sample_steps": Range(1, 1e9),
    "samples": Range(2, 256),
    "final_samples": Range(0, 1e6),
    "num_workers": Range(0, 1_024),
}


def _key(default: Any, about: str):
    return field(default=default, metadata={"help": about})


@dataclass
class GenerationData(CorpusArguments):
    """The clips of one emotion that a generator learns from."""

    lowest_intensity: float = _key(1.0, "Of the emotion, 0 to 1, in the clips; of the baseline 1.")
    country: str | None = _key(None, "Of the speakers, such as United States; all by default.")
    train_on: list | None = _key(None, "The splits to learn from; by default train and validation.")
    cache_dir: str | None = _key(None, "Where datasets keeps its cache; datasets' own place by default.")
    max_train_samples: int | None = _key(None, "Learn from so many clips, drawn by seed; for a trial.")
    preprocessing_num_workers: int | None = _key(None, "Processes that read and check the clips.")

    def __post_init__(self):
        super().__post_init__()
        refuse_out_of_range(self, _RANGES, ())


@dataclass
class GeneratorArguments:
    """What is generated, and the network's sizes."""

    emotion: str | None = _key(None, "The emotion that is learnt and generated, as the corpus calls it.")
    channels: list[int] | None = _key(
        None, "Features at each of the seven scales, coarsest first; the baseline's by default."
    )
    latent_size: int = _key(512, "Numbers of noise.")

    def config(self) -> BurstGeneratorConfig:
        """
        Raises:
            RecipeError: no emotion, or sizes that are none.
        """
        if not self.emotion:
            raise RecipeError("generate.emotion: say which emotion to generate, such as --emotion Amusement")
        try:
            config = BurstGeneratorConfig([self.emotion], self.channels or CHANNELS, self.latent_size)
        except ValueError as error:
            raise RecipeError(f"generate: {error}") from error
        if config.image_size[0] != 128:
            raise RecipeError(f"generate.channels: seven scales make 128 mel channels, got {len(config.channels)}")
        return config


@dataclass
class GenerationTraining:
    """How long and how a generator learns, and what is written on the way."""

    output_dir: str = _key("runs/generator", "The run's folder.")
    resume_from_checkpoint: str | None = _key(None, "true: the newest checkpoint of output_dir; or a folder.")
    seed: int = _key(42, "Of weights, noise, order and augmentation.")
    max_steps: int = _key(10_000, "Steps; of each, one of the discriminator and one of the generator.")
    batch_size: int = _key(32, "Clips in a batch.")
    generator_learning_rate: float = _key(3e-3, "Of the generator.")
    discriminator_learning_rate: float = _key(3e-4, "Of the discriminator.")
    optimiser: Literal["adam", "extra_adam"] = _key("adam", "Of both; extra_adam takes two batches per step.")
    average_decay: float = _key(0.999, "Of the moving average of the generator's weights, which generates.")
    augmentation: bool = _key(True, "Change real clips at random: speed, pitch, start and noise.")
    save_steps: int = _key(1_000, "Write a checkpoint every so many steps, and at the end.")
    save_total_limit: int = _key(2, "Checkpoints to keep.")
    sample_steps: int = _key(1_000, "Write a grid of spectrograms and WAVs every so many steps, and at the end.")
    samples: int = _key(16, "Bursts in a grid.")
    final_samples: int = _key(100, "Bursts that are written at the end, into generated/EMOTION.")
    num_workers: int = _key(0, "Processes that prepare batches; none by default.")

    def __post_init__(self):
        refuse_out_of_range(self, _RANGES, ())


SECTIONS = {"data": GenerationData, GENERATE: GeneratorArguments, "training": GenerationTraining}
KEYS = ("extends", "paper", "description", *SECTIONS)


@dataclass(frozen=True)
class GenerationRun:
    """A recipe with the command line applied.

    Attributes:
        name: of the recipe's file, without its ending.
        given: the keys that recipe and command line give, by section.
    """

    name: str
    description: str | None
    paper: str | None
    given: dict
    data: GenerationData
    generate: GeneratorArguments
    training: GenerationTraining

    def to_dict(self) -> dict:
        """The recipe as plain data, without the places of the machine that it ran on."""
        said = {"paper": self.paper, "description": self.description}
        sections = {
            section: {key: value for key, value in keys.items() if key not in PLACES}
            for section, keys in self.given.items()
        }
        return {**{key: text for key, text in said.items() if text}, **sections}


def parse_generation(arguments: list[str]) -> GenerationRun:
    """``["RECIPE.yaml", "--key", "value", …]`` to a run; the command line wins over the file.

    Raises:
        RecipeError: no such recipe, one that trains no generator, an unknown key, or a value that a key does not take.
    """
    if not arguments or arguments[0].startswith("-"):
        raise RecipeError("the first argument is the recipe, a name or a .yaml file; --key value pairs follow it")
    path = recipe_file(arguments[0])
    record, given = _load(path, ())
    for section, key, value in _command_line(arguments[1:]):
        given[section][key] = value
    if "output_dir" not in given["training"]:
        given["training"]["output_dir"] = str(Path("runs", path.stem))
    sections = {section: arguments(**given[section]) for section, arguments in SECTIONS.items()}
    return GenerationRun(path.stem, record.get("description"), record.get("paper"), given, **sections)


def is_generation(path: str | Path) -> bool:
    """Whether a recipe's file trains a generator, by its own content."""
    record = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    return isinstance(record, dict) and GENERATE in record


def _load(path: Path, below: tuple[Path, ...]) -> tuple[dict, dict]:
    if path.resolve() in below:
        raise RecipeError(f"{path}: extends goes in a circle: {' → '.join(str(each.name) for each in (*below, path))}")
    record = read_yaml(path, KEYS)
    if GENERATE not in record:
        raise RecipeError(f"{path}: has no section {GENERATE!r}, so it trains no generator: burst2vec train {path}")
    refuse_unknown(record, KEYS, str(path), {section: hints_of(of) for section, of in SECTIONS.items()})
    for key in ("paper", "description"):
        text_of(record, key, path)
    extends = text_of(record, "extends", path)
    given: dict[str, dict] = {section: {} for section in SECTIONS}
    if extends is not None:
        extended = recipe_file(extends, beside=path.parent)
        if not extended.is_file():
            raise RecipeError(
                f"{path}: extends {extends!r}: there is no {extended}{recipes_beside(extended)}{names_near(extends)}"
            )
        _, given = _load(extended, (*below, path.resolve()))
    for section, arguments in SECTIONS.items():
        own, hints = mapping_of(record, section, path), hints_of(arguments)
        refuse_unknown(own, hints, f"{path}: {section}", {name: hints_of(of) for name, of in SECTIONS.items()})
        given[section] |= {key: fit(value, hints[key], f"{path}: {section}.{key}") for key, value in own.items()}
    return record, given


def _command_line(arguments: list[str]):
    """(section, key, value) of each pair."""
    words = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]
    hints = {key: (section, hint) for section, of in SECTIONS.items() for key, hint in hints_of(of).items()}
    for place in range(0, len(words), 2):
        key = words[place].removeprefix("--")
        if not words[place].startswith("--"):
            raise RecipeError(f"command line: {words[place]!r} is not an option; give --key value pairs")
        refuse_unknown([key], hints, "command line")
        if place + 1 == len(words):
            raise RecipeError(f"command line: --{key} has no value")
        section, hint = hints[key]
        try:
            value = yaml.load(words[place + 1], Loader=RecipeLoader)  # a SafeLoader
        except yaml.YAMLError:
            value = words[place + 1]
        if key in ("data_dir", "output_dir", "resume_from_checkpoint", "cache_dir") and value is not None:
            value = words[place + 1]  # names are text, also those that look like numbers
        yield section, key, fit(value, hint, f"command line: --{key}")


def fingerprint_of(run: GenerationRun, clips: str) -> dict:
    """What must stay the same for a resumed run to end as the uninterrupted one; see ``checkpoints.Manifest``.

    Args:
        clips: digest of what is learnt from.
    """
    watching = ("output_dir", "resume_from_checkpoint", "max_steps", "save_steps", "save_total_limit", "sample_steps")
    watching += ("samples", "final_samples", "num_workers")
    training = {key: value for key, value in asdict(run.training).items() if key not in watching}
    config = run.generate.config()
    return {**training, "emotions": config.emotions, "channels": config.channels, "clips": clips} | {
        "latent_size": config.latent_size
    }
