"""What ``burst2vec train --help`` prints: burst2vec's own keys."""

import textwrap

from .declared import Key, corpora, keys_of, keys_of_corpora
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
WIDTH = 120


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
    keys = {section: keys_of(*declared) for section, declared in SECTIONS.items()}
    (corpus, data_dir), others = keys["data"][:2], keys["data"][2:]  # of any corpus, and of what is done to its clips
    keys["data"] = [corpus._replace(choices="|".join(corpora())), data_dir, *keys_of_corpora(), *others]
    return keys
