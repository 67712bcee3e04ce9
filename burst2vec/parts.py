"""A part of the model by its kind and arguments: ``{kind: shared, hidden_sizes: [128, 64]}``, or the bare ``shared``.

An axis is a dictionary of kinds: classes, or functions. What stands before the ``*`` of a kind's signature the model
gives; what stands after it a recipe can set, with its type and its default. A signature is the only list of what its
kind takes: a new argument needs no other line.
"""

import difflib
import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping

MOST_FEATURES = 2**16


def split_part(axis: str, described: str | Mapping) -> tuple[str, dict]:
    """The kind and the arguments that a description names; nothing is checked but that it is one.

    >>> split_part("trunk", "identity"), split_part("trunk", {"kind": "shared", "dropout": 0.0})
    (('identity', {}), ('shared', {'dropout': 0.0}))

    Raises:
        ValueError: neither a name nor a mapping with a ``kind``.
    """
    described = {"kind": described} if isinstance(described, str) else described
    if not isinstance(described, Mapping) or not isinstance(described.get("kind"), str):
        raise ValueError(
            f"{axis} must be the name of a kind, or a mapping such as {{kind: NAME, …}}, got {described!r}"
        )
    return described["kind"], {name: value for name, value in described.items() if name != "kind"}


def complete_part(axis: str, kinds: Mapping[str, Callable], described: str | Mapping) -> dict:
    """A description with its kind and every argument of it, those left out at their default, as JSON has them.

    >>> def sung(clip, *, pitch: float = 440.0, words=("la",)): ...
    >>> complete_part("voice", {"sung": sung}, "sung")
    {'kind': 'sung', 'pitch': 440.0, 'words': ['la']}

    Raises:
        ValueError: an unknown kind, an argument that it does not take or lacks, or one of another type; names what is
            allowed. Ranges are checked by the kind itself, when it is built.
    """
    kind, arguments = split_part(axis, described)
    if kind not in kinds:
        raise ValueError(f"{axis} {kind!r} is not one of {sorted(kinds)}")
    signature = inspect.signature(kinds[kind])
    known = {name: each for name, each in signature.parameters.items() if each.kind is each.KEYWORD_ONLY}
    refuse_unknown(f"{axis} {kind!r}", arguments, known)
    for name, value in arguments.items():
        if not _is_of_type(value, known[name].annotation):
            expected = getattr(known[name].annotation, "__name__", known[name].annotation)
            raise ValueError(f"{axis} {kind!r}: {name} must be {expected}, got {value!r}")
    complete = {name: arguments.get(name, each.default) for name, each in known.items()}
    if lacking := [name for name, value in complete.items() if value is inspect.Parameter.empty]:
        raise ValueError(f"{axis} {kind!r} needs {lacking}")
    return {"kind": kind, **{name: list(v) if isinstance(v, tuple) else v for name, v in complete.items()}}


def build_part(axis: str, kinds: Mapping[str, Callable], described: str | Mapping, *given):
    """The part that is described: its kind called with what the model gives and with its complete arguments.

    Raises:
        ValueError: as ``complete_part``, or a value out of its range.
    """
    kind, arguments = split_part(axis, complete_part(axis, kinds, described))
    try:
        return kinds[kind](*given, **arguments)
    except ValueError as error:
        raise ValueError(f"{axis} {kind!r}: {error}") from error


def refuse_unknown(taker: str, given: Collection[str], known: Collection[str]) -> None:
    """Refuse an argument that would be taken in silence and change nothing.

    Raises:
        ValueError: names the first that is not known, those that are spelt alike, and all that are known. It tells no
            value, which may be a token.

    >>> refuse_unknown("a choir", {"vioce": 1}, ["pitch", "voice"])
    Traceback (most recent call last):
    ValueError: a choir does not know 'vioce'; did you mean 'voice'? It takes ['pitch', 'voice']
    """
    for name in given:
        if name not in known:
            close = " or ".join(map(repr, difflib.get_close_matches(str(name), known)))
            hint = f"; did you mean {close}? It" if close else "; it"
            raise ValueError(f"{taker} does not know {name!r}{hint} takes {sorted(known)}")


def check_size(name: str, value) -> None:
    """Refuse what is no number of features: a whole number in 1..65536."""
    if not _is_size(value):
        raise ValueError(f"{name} must be a whole number in 1..{MOST_FEATURES}, got {value!r}")


def check_sizes(name: str, values, instead: str) -> None:
    """Refuse what is no list of layers' sizes; ``instead`` is what to give for a network without layers."""
    if not isinstance(values, (list, tuple)) or not values or not all(map(_is_size, values)):
        raise ValueError(
            f"{name} must be a list of one or more positive whole numbers, such as [128, 64], got {values!r}; {instead}"
        )


def check_names(name: str, values) -> None:
    """Refuse what is no list of one or more different names."""
    is_list = isinstance(values, (list, tuple)) and all(isinstance(value, str) and value for value in values)
    if not is_list or not values or len(set(values)) < len(values):
        raise ValueError(f"{name} must be one or more different names, got {values!r}")


def check_layers(**layers) -> None:
    """Refuse what are no lists, by name, of one positive whole number for each of the same layers."""
    for name, values in layers.items():
        if not isinstance(values, (list, tuple)) or not all(type(value) is int and value > 0 for value in values):
            raise ValueError(f"{name} must be a list of positive whole numbers, one for each layer, got {values!r}")
    counts = [len(values) for values in layers.values()]
    if len(set(counts)) > 1 or not counts[0]:
        *others, last = layers
        given = ", ".join(f"{count} {name}" for count, name in zip(counts, layers, strict=True))
        raise ValueError(f"each layer has one of {', '.join(others)} and {last}; got {given}")


def check_dropout(name: str, value) -> None:
    """Refuse what is no probability below 1."""
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"{name} must be in 0..1, below 1, got {value!r}")


def check_weight(name: str, value, remark: str) -> None:
    """Refuse what is no weight of a part of the loss; ``remark`` says what a wrong sign is mistaken about."""
    if not is_number(value) or not 0 <= value <= 1e6:
        raise ValueError(f"{name} must be 0 or more, up to a million; {remark}, got {value!r}")


def is_number(value) -> bool:
    """Whether it is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value) -> bool:
    return type(value) is int and 1 <= value <= MOST_FEATURES


def _is_of_type(value, annotation) -> bool:
    """Whether an annotated parameter takes the value; a whole number does for a number, and no annotation takes all."""
    union = isinstance(annotation, types.UnionType)
    for option in typing.get_args(annotation) if union else (annotation,):
        if option is float and isinstance(value, int) and not isinstance(value, bool):
            return True
        if option not in (bool, float, int, list, str, types.NoneType):
            return True
        if isinstance(value, option) and (option is bool or not isinstance(value, bool)):
            return True
    return False
