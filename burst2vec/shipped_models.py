"""The models that come with the package, ``pretrained/NAME/`` beside this file, and the names that mean them."""

import os
from pathlib import Path

OWNER = "burst2vec"  # of their names; nothing under it is looked for on the Hub
PRETRAINED = Path(__file__).with_name("pretrained")
DEFAULT_MODEL = f"{OWNER}/small"  # what answers where no model is named


def shipped_models() -> list[str]:
    """The names of the models that come with this copy of the package, sorted; none where the weights are left out."""
    return sorted(f"{OWNER}/{config.parent.name}" for config in PRETRAINED.glob("*/config.json"))


def shipped_model(name: str = DEFAULT_MODEL) -> Path:
    """The folder of a model that comes with the package, for whatever loads a model from a folder.

    ``transformers.pipeline("vocal-burst-analysis")`` takes the default without being told.

    Args:
        name: ``"small"`` or ``"burst2vec/small"``.

    Raises:
        FileNotFoundError: no model of that name comes with this copy of the package; the others are listed.
    """
    name = name if name.startswith(f"{OWNER}/") else f"{OWNER}/{name}"
    known = shipped_models()
    if name not in known:
        there = f"there are {', '.join(known)}" if known else "none does"
        raise FileNotFoundError(
            f"no model {name!r} comes with this copy of burst2vec, {there}; give the folder of a saved model, such as "
            "that of a finished run, or a name on the Hub"
        )
    return PRETRAINED / name.partition("/")[2]


def place_of(model):
    """Where a model lies: the folder of one that comes with the package, by its name; another folder or name as it is.

    A folder of one's own that is called ``burst2vec/…`` too stays what it is, but for the names that the package takes.

    Raises:
        FileNotFoundError: a name ``burst2vec/…`` of neither, as [`shipped_model`] says it.

    >>> place_of("facebook/hubert-base-ls960")
    'facebook/hubert-base-ls960'
    """
    name = model if isinstance(model, str) else ""  # a Path, or a pipeline, is no name
    of_ours = name.count("/") == 1 and name.startswith(f"{OWNER}/")
    if not of_ours or (name not in shipped_models() and os.path.isdir(model)):
        return model
    return str(shipped_model(name))
