"""How the settings of the corpora appear in a recipe: each is a key of the section ``data``.

The key is the setting's own name, or the one in its record. Settings of several corpora with one key mean the same.
"""

import typing
from dataclasses import Field, field, fields

from ..data.corpora import CORPORA, corpus_named
from ..data.corpora.record import Corpus
from ..errors import RunError
from ..training.ranges import Range


def keys_of(corpus: Corpus) -> dict[str, Field]:
    """The keys of a corpus in a recipe, and the setting behind each.

    >>> keys_of(CORPORA["synthetic"])["synthetic_clips"].name
    'clips'
    """
    asked = [entry for entry in fields(corpus.settings) if not entry.metadata["of_run"]]
    return {entry.metadata["key"] or entry.name: entry for entry in asked}


_KEYS = {name: keys_of(corpus) for name, corpus in CORPORA.items()}
TAKEN_BY = {  # key → corpus → its setting
    key: {name: keys[key] for name, keys in _KEYS.items() if key in keys} for of_one in _KEYS.values() for key in of_one
}
_SAID = {key: entry.metadata for key, taken in TAKEN_BY.items() for entry in taken.values()}
RANGES = {key: Range(*said["within"]) for key, said in _SAID.items() if said["within"]}
NOT_EMPTY = tuple(key for key, said in _SAID.items() if said["filled"])
EXAMPLES = {key: said["example"] for key, said in _SAID.items() if said["example"]}  # of mappings


def recipe_fields() -> list[tuple[str, typing.Any, Field]]:
    """A field of a recipe's section for each key, as ``dataclasses.make_dataclass`` takes them.

    Raises:
        TypeError: two corpora have settings of one key that differ in type.
    """
    made = []
    for key, taken in TAKEN_BY.items():
        hints = {typing.get_type_hints(CORPORA[name].settings)[entry.name] for name, entry in taken.items()}
        if len(hints) > 1:
            raise TypeError(f"{key}: {' and '.join(taken)} take {hints}; give the setting of one of them another key")
        helps = " ".join(dict.fromkeys(entry.metadata["help"] for entry in taken.values()))
        hint, default = _of_recipe(*hints)
        made.append((key, hint, field(default=default, metadata={"help": f"For {', '.join(taken)}: {helps}"})))
    return made


def _of_recipe(hint) -> tuple[typing.Any, bool | None]:
    """A key's type, and its default, which is that it is not given; a command line may give a mapping as text."""
    if hint is bool:
        return bool, False
    types = typing.get_args(hint) if type(None) in typing.get_args(hint) else (hint,)
    types = [one for one in types if one is not type(None)]
    as_text = [str] if any(one in (dict, list) for one in types) else []
    return typing.Union[(*types, *as_text, None)], None  # in the order that HfArgumentParser reads


def settings_of(section, **of_run) -> dict:
    """The settings for ``load_bursts`` and its siblings that a recipe gives for a corpus.

    Args:
        section: a ``CorpusArguments``.
        of_run: settings that come from the run, ``tasks`` and ``for_prediction``; ignored where the corpus takes none.

    Raises:
        RunError: keys of other corpora; names them, whose they are, and those of this one.
    """
    corpus = corpus_named(section.corpus)
    keys = keys_of(corpus)
    given = {key: getattr(section, key) for key in TAKEN_BY}
    given = {key: value for key, value in given.items() if value is not None and value is not False}
    if strange := [key for key in given if key not in keys]:
        raise RunError(
            f"{', '.join(strange)}: a key of {' and '.join(TAKEN_BY[strange[0]])}, not of {corpus.name}, which takes "
            f"{', '.join(keys)}; null it"
        )
    own = {name: value for name, value in of_run.items() if name in corpus.takes}
    return {**{keys[key].name: value for key, value in given.items()}, **own}
