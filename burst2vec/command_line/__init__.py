"""The command ``burst2vec``: each sub-command is the ``main`` of a file of examples/.

Only the standard library is imported here, so that no ``--help`` waits for torch: a command's file has imports that
take seconds behind its parsing, and its parser reads what the package declares by ``declared``. For the same reason the
wheel holds this room a second time, as the package ``burst2vec_command_line``: an entry point inside burst2vec would
import burst2vec first.
"""

import ast
import difflib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec, module_from_spec, spec_from_file_location

from .shipped import recipe_names, shipped

PACKAGE = "burst2vec"

SUB_COMMANDS = {
    "train": "run_exvo.py",
    "predict": "predict.py",
    "find": "find.py",
    "calibrate": "calibrate.py",
    "serve": "serve.py",
    "demo": "demo.py",
    "export": "export.py",
    "check-corpus": "check_corpus.py",
    "preprocess": "preprocess.py",
    "extract-features": "extract_features.py",
    "seeds": "run_seeds.py",
    "learning-curve": "run_learning_curve.py",
    "study": "run_preprocessing_study.py",
    "fuse": "fuse.py",
    "report": "report.py",
    "compare": "compare_runs.py",
    "leaderboard": "leaderboard.py",
    "fewshot": "run_fewshot.py",
    "score-generated": "score_generated.py",
    "generate": "run_generate.py",
    "plot-filters": "plot_frequency_response.py",
}
RECIPES = "recipes"  # the one sub-command that is no file: it needs nothing but the names

USAGE = """usage: burst2vec COMMAND [argument …]

  burst2vec recipes                               the recipes that come with the package
  burst2vec train burst2vec/quickstart            train, score, save and predict; a recipe's name, or a file of yours
  burst2vec COMMAND --help                        the arguments of a command

commands:
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a sub-command with its arguments.

    Args:
        arguments: without the program's name; by default the process's own.

    Returns:
        The sub-command's exit status; 2 where there is no such sub-command.
    """
    name, *others = (sys.argv[1:] if arguments is None else arguments) or [None]
    if name in (None, "-h", "--help"):
        print(USAGE + command_list())
        return 2 if name is None else 0
    if name == RECIPES:
        try:
            print("\n".join(recipe_list()), flush=True)
        except BrokenPipeError:  # who reads has seen enough, as head has; Python would flush once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if name not in SUB_COMMANDS:
        near = difflib.get_close_matches(name, [RECIPES, *SUB_COMMANDS], n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        print(f"error: no command {name!r}; {meant}commands: {', '.join([RECIPES, *SUB_COMMANDS])}", file=sys.stderr)
        return 2
    sys.argv = [f"burst2vec {name}", *others]  # argparse takes its program's name from here
    file = shipped("commands") / SUB_COMMANDS[name]
    spec = spec_from_file_location(file.stem, file)
    command = module_from_spec(spec)
    with past_the_door() if {"-h", "--help"} & set(others) else nullcontext():
        spec.loader.exec_module(command)
        return command.main(others)


@contextmanager
def past_the_door() -> Iterator[None]:
    """Let modules of burst2vec be imported without the package's own file, which imports torch; for a help.

    A command's file imports what takes seconds behind its parsing, so a help needs light modules alone. Where burst2vec
    is imported already, nothing is done.
    """
    if PACKAGE in sys.modules:
        yield
        return
    sys.modules[PACKAGE] = module_from_spec(find_spec(PACKAGE))  # made, not executed
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]


def command_list() -> str:
    """A line for each sub-command: its name, and the first sentence that its file says about itself."""
    lines = [f"  {RECIPES:<17} The recipes that come with the package, by name."]
    for name, file in SUB_COMMANDS.items():
        about = ast.get_docstring(ast.parse((shipped("commands") / file).read_text(encoding="utf-8")))
        lines.append(f"  {name:<17} {about.splitlines()[0]}")
    return "\n".join(lines)


def recipe_list() -> list[str]:
    """Two lines for each shipped recipe: its name, and its description."""
    import yaml  # nothing else needs it

    lines = []
    for name in recipe_names():
        said = yaml.safe_load(shipped(f"recipes/{name}.yaml").read_text(encoding="utf-8"))
        lines += [name, f"    {said['description']}"]
    return lines
