"""Recipes that train a generator: ``generate``, ``data`` and ``training``, read as other recipes are.

extends: amusement.yaml
generate: {emotion: Awe}              # which kind of generator, of which emotion, and the network's sizes
data: {corpus: hume_vb}               # the clips that it learns from
training: {max_steps: 1000}
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from transformers import PreTrainedConfig

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
from ..experiment.recipes import GENERATE, without_places
from ..experiment.sections import CorpusArguments
from ..features import without_folder
from ..flow_matching import BurstFlowConfig
from ..msg_gan import CHANNELS, BurstGeneratorConfig
from ..training.ranges import Range, refuse_out_of_range

_RANGES = {
    "lowest_intensity": Range(0, 1),
    "max_train_samples": Range(2, 1e9),
    "seed": Range(0, 2**32 - 1),
    "guidance": Range(0, 100),
    "max_steps": Range(1, 1e9),
    "batch_size": Range(2, 65_536),
    "learning_rate": Range(0, 1, without_low=True),
    "warmup_steps": Range(1, 1e9),
    "label_dropout": Range(0, 1),
    "time_mean": Range(-10, 10),
    "time_deviation": Range(0, 10, without_low=True),
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
    """The clips of one emotion, or of all, that a generator learns from."""

    emotions_from: str = _key("emotion", "The corpus's task whose labels are emotions: intensities, or classes.")
    lowest_intensity: float = _key(1.0, "Of the emotion, or of any, 0 to 1, in the clips; of the baseline 1.")
    country: str | None = _key(None, "Of the speakers, such as United States; all by default.")
    train_on: list | None = _key(None, "The splits to learn from; by default train and validation.")
    score_against: list | None = _key(None, "Splits of held-out clips for score_with; none by default.")
    cache_dir: str | None = _key(None, "Where datasets keeps its cache; datasets' own place by default.")
    max_train_samples: int | None = _key(None, "Learn from so many clips, drawn by seed; for a trial.")
    preprocessing_num_workers: int | None = _key(None, "Processes that read and check the clips.")

    def __post_init__(self):
        super().__post_init__()
        refuse_out_of_range(self, _RANGES, ())


@dataclass
class GeneratorArguments:
    """What is generated, and the network's kind and sizes."""

    kind: Literal["msg_gan", "flow"] = _key("msg_gan", "msg_gan: of one emotion; flow: of all, by flow matching.")
    emotion: str | None = _key(None, "The emotion that an msg_gan learns, as the corpus calls it.")
    channels: list[int] | None = _key(
        None, "Of an msg_gan, features at each of its seven scales, coarsest first; the baseline's by default."
    )
    latent_size: int = _key(512, "Of an msg_gan, numbers of noise.")
    frames: int = _key(512, "Of a flow, of 8 ms in an image; longer bursts are cut.")
    frames_per_token: int = _key(4, "Of a flow, frames that its transformer takes together.")
    hidden_size: int = _key(256, "Of a flow, features of such a group.")
    num_hidden_layers: int = _key(8, "Of a flow.")
    num_attention_heads: int = _key(4, "Of a flow.")
    guidance: float = _key(1.5, "Of a flow: classifier-free, by default when it generates; 1 is none.")
    steps: int = _key(16, "Of a flow, of integration, by default when it generates.")
    shift: float = _key(6.0, "Of a flow, how many times shorter its first steps are than equal ones.")

    def __post_init__(self):
        refuse_out_of_range(self, _RANGES, ())

    def config(self, emotions: Sequence[str] | None = None, **found) -> BurstGeneratorConfig | BurstFlowConfig:
        """The generator's configuration.

        Args:
            emotions: of the clips, for a flow.
            found: what a flow's configuration says of the clips.

        Raises:
            RecipeError: no emotion, or sizes that are none.
        """
        if self.kind == "msg_gan" and not self.emotion:
            raise RecipeError("generate.emotion: say which emotion to generate, such as --emotion Amusement")
        try:
            if self.kind == "flow":
                sizes = {name: getattr(self, name) for name in OF_KIND["flow"]["generate"]}
                return BurstFlowConfig(emotions or ("any",), **sizes, **found)
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
    max_steps: int = _key(10_000, "Steps; of each, one of every network.")
    batch_size: int = _key(32, "Clips in a batch.")
    learning_rate: float = _key(1e-3, "Of a flow.")
    warmup_steps: int = _key(100, "Of a flow, until its learning rate is reached.")
    label_dropout: float = _key(0.1, "Of a flow, the fraction of clips that it learns without labels, for guidance.")
    time_mean: float = _key(-1.5, "Of a flow, of the logits of the times that it learns at; 0 of noise, 1 of images.")
    time_deviation: float = _key(1.5, "Of a flow, of the same.")
    generator_learning_rate: float = _key(3e-3, "Of an msg_gan's generator.")
    discriminator_learning_rate: float = _key(3e-4, "Of an msg_gan's discriminator.")
    optimiser: Literal["adam", "extra_adam"] = _key("adam", "Of an msg_gan; extra_adam takes two batches per step.")
    average_decay: float = _key(0.999, "Of the moving average of the generator's weights, which generates.")
    augmentation: bool = _key(True, "Change real clips at random: speed, pitch, start and noise.")
    save_steps: int = _key(1_000, "Write a checkpoint every so many steps, and at the end.")
    save_total_limit: int = _key(2, "Checkpoints to keep.")
    sample_steps: int = _key(1_000, "Write a grid of spectrograms and WAVs every so many steps, and at the end.")
    samples: int = _key(16, "Bursts in a grid.")
    final_samples: int = _key(100, "Bursts of each emotion that are written at the end, into generated/EMOTION.")
    score_with: str | None = _key(None, "A saved model, by whose vectors these are scored at the end; none by default.")
    num_workers: int = _key(0, "Processes that prepare batches; none by default.")

    def __post_init__(self):
        refuse_out_of_range(self, _RANGES, ())


OF_KIND = {  # keys that one kind of generator alone takes
    "msg_gan": {
        "generate": ("emotion", "channels", "latent_size"),
        "training": ("generator_learning_rate", "discriminator_learning_rate", "optimiser"),
    },
    "flow": {
        "generate": (
            "frames",
            "frames_per_token",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "guidance",
            "steps",
            "shift",
        ),
        "training": ("learning_rate", "warmup_steps", "label_dropout", "time_mean", "time_deviation"),
    },
}
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
        sections = {section: without_places(keys) for section, keys in self.given.items()}
        scored_by = str(self.training.score_with)
        if without_folder(scored_by) != scored_by:  # a folder, not a name on the Hub
            sections["training"].pop("score_with", None)
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
    _refuse_of_other_kinds(given)
    sections = {section: arguments(**given[section]) for section, arguments in SECTIONS.items()}
    return GenerationRun(path.stem, record.get("description"), record.get("paper"), given, **sections)


def _refuse_of_other_kinds(given: dict[str, dict]) -> None:
    chosen = given[GENERATE].get("kind", GeneratorArguments.kind)
    for kind, sections in OF_KIND.items():
        for section, keys in sections.items():
            if kind != chosen and (wrong := [key for key in keys if given[section].get(key) is not None]):
                raise RecipeError(
                    f"{section}.{wrong[0]}: of a generator of kind {kind}, and this one is of {chosen}; leave it out, "
                    f"or give --kind {kind}"
                )


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


def fingerprint_of(run: GenerationRun, config: PreTrainedConfig, clips: str) -> dict:
    """What must stay the same for a resumed run to end as the uninterrupted one; see ``checkpoints.Manifest``.

    Args:
        config: of the generator.
        clips: digest of what is learnt from.
    """
    watching = ("output_dir", "resume_from_checkpoint", "max_steps", "save_steps", "save_total_limit", "sample_steps")
    watching += ("samples", "final_samples", "score_with", "num_workers")
    of_others = {key for kind, each in OF_KIND.items() if kind != run.generate.kind for key in each["training"]}
    training = {key: value for key, value in asdict(run.training).items() if key not in {*watching, *of_others}}
    sizes = {key: value for key, value in asdict(run.generate).items() if key in OF_KIND[run.generate.kind][GENERATE]}
    generator = {key: getattr(config, key) for key in ("emotions", *sizes) if key != "emotion"}
    return {**training, **generator, "clips": clips}
