"""Where recipes, the papers' tables, command lines and ``evaluate`` metrics lie that come with the package."""

import difflib
from importlib.util import find_spec
from pathlib import Path

# In a checkout they lie beside the package, in the wheel inside it (setup.py says so); nothing is there twice.
IN_A_CHECKOUT = {
    "recipes": "examples/recipes",
    "tables": "examples/tables",
    "commands": "examples",
    "metrics": "metrics",
}


def package_folder() -> Path:
    """Where the package lies; found, not imported: that takes seconds."""
    return Path(find_spec("burst2vec").origin).parent


def shipped(what: str) -> Path:
    """The path of ``recipes``, ``tables``, ``commands`` or ``metrics`` that come with burst2vec, or of a file in one.

    ``evaluate.load(str(shipped("metrics/ccc")))`` loads a metric from anywhere.

    Args:
        what: one of the four, and perhaps a path inside it.

    Raises:
        FileNotFoundError: nothing of that name comes with the package.
    """
    package = package_folder()
    kind, *inside = Path(what).parts
    for folder in (package / kind, package.parent / IN_A_CHECKOUT.get(kind, kind)):
        if kind in IN_A_CHECKOUT and (found := folder.joinpath(*inside)).exists():
            return found
    raise FileNotFoundError(f"nothing that comes with burst2vec is called {what!r}; there are {list(IN_A_CHECKOUT)}")


def recipe_names() -> list[str]:
    """The shipped recipes as ``burst2vec train`` takes them, such as ``emogator/compare``; sorted."""
    recipes = shipped("recipes")
    return sorted(path.relative_to(recipes).with_suffix("").as_posix() for path in recipes.rglob("*.yaml"))


def shipped_recipe(name: str) -> Path | None:
    """The file of a shipped recipe, given by name with or without its ending; None where there is none."""
    known = name.removesuffix(".yaml")
    return shipped("recipes") / f"{known}.yaml" if known in recipe_names() else None


def near_recipes(name: str) -> list[str]:
    """Up to five names of shipped recipes that may be meant by an unknown one."""
    wanted, names = name.removesuffix(".yaml"), recipe_names()
    same = [each for each in names if Path(wanted).name in (Path(each).name, Path(each).parent.name)]
    close = difflib.get_close_matches(wanted, names, n=5, cutoff=0.6)
    return list(dict.fromkeys([*close, *same]))[:5]
