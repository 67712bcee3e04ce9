"""What ``burst2vec generate --help`` prints: its use, its recipes, and the keys of them."""

import re

from .declared import keys_of, keys_of_corpora
from .shipped import recipe_names, shipped

USAGE = """usage: burst2vec generate RECIPE [--key value …]

Trains a generator of bursts, of one emotion or of all, as the recipe says, and writes grids and WAVs of samples,
losses, checkpoints, the model with its card, and bursts in generated/EMOTION into --output_dir, which is runs/<recipe>
by default:

  --corpus folder --data_dir FOLDER                 clips of your own, FOLDER/Amusement/001.wav
  --emotion Amusement                               which of them, where the generator is of one emotion
  --max_steps 200 --sample_steps 50                 a quick trial
  --resume_from_checkpoint true                     resume after an interruption
  --score_with M                                    score the bursts at the end by the vectors of a saved model

Then: burst2vec score-generated REAL_DIR RUN/generated --model M
"""

RECIPES = "generation/generation_recipes.py"
_TRAINS_A_GENERATOR = re.compile(r"^generate:", re.MULTILINE)


def generate_usage() -> list[str]:
    """The lines of the usage, and the names of the shipped recipes that train a generator."""
    return [USAGE, "recipes that come with burst2vec:", *(f"  {name}" for name in generator_recipes())]


def generator_recipes() -> list[str]:
    """The shipped recipes with a section ``generate`` of their own."""
    texts = {name: shipped(f"recipes/{name}.yaml").read_text(encoding="utf-8") for name in recipe_names()}
    return [name for name, text in texts.items() if _TRAINS_A_GENERATOR.search(text)]


def generate_help() -> str:
    """The usage, and a line for each key, by section."""
    of_any_corpus = keys_of("experiment/sections.py", ("_Corpus",), "_key")
    sections = {
        "data": [*of_any_corpus, *keys_of_corpora(), *keys_of(RECIPES, ("GenerationData",), "_key")],
        "generate": keys_of(RECIPES, ("GeneratorArguments",), "_key"),
        "training": keys_of(RECIPES, ("GenerationTraining",), "_key"),
    }
    lines = generate_usage()
    for section, keys in sections.items():
        lines += ["", f"{section}:", *(f"  --{key.name:<28} {key.about}" for key in keys)]
    return "\n".join(lines)
