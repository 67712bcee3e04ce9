"""Preprocessing as a list of named steps: read from a recipe or a command line, checked, and applied to a waveform."""

import difflib
import inspect
import math
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import TransformError
from ..waveforms import SAMPLING_RATE, normalise_level
from .channels import mono
from .denoise import mmse_stsa
from .highpass import highpass
from .level import normalise_peak
from .resampling import resample
from .voice_activity import trim_silence
from .zero_frequency import zero_frequency_filter

TRANSFORMS = {
    "mono": mono,
    "resample": resample,
    "highpass": highpass,
    "normalise_level": normalise_level,
    "normalise_peak": normalise_peak,
    "mmse_stsa": mmse_stsa,
    "trim_silence": trim_silence,
    "zero_frequency_filter": zero_frequency_filter,
}

_NOT_OPTIONS = ("waveform", "sampling_rate")  # they come with the clip
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "none"}


@dataclass(frozen=True)
class Transform:
    """One step with all its options, those included that were left at their defaults.

    Attributes:
        name: a key of ``TRANSFORMS``.
        options: names and values, in the order of the function's signature.
    """

    name: str
    options: tuple[tuple[str, object], ...] = ()

    def to_dict(self) -> dict:
        """The step as JSON can hold it; ``read_transforms`` reads it back.

        >>> Transform("normalise_level", (("dbfs", -20.0),)).to_dict()
        {'normalise_level': {'dbfs': -20.0}}
        """
        return {self.name: dict(self.options)}

    def __str__(self):
        """As a command line has it: ``normalise_level:dbfs=-20.0``."""
        return ":".join([self.name, ",".join(f"{option}={value}" for option, value in self.options)]).rstrip(":")


def read_transforms(steps: Iterable) -> tuple[Transform, ...]:
    """Read a list of steps, and refuse what no step knows.

    Args:
        steps: each a name, ``"highpass"``; a name with options, ``{"normalise_level": {"dbfs": -20}}``, or as one text
            ``"normalise_level:dbfs=-20"``, with commas between options; or a ``Transform``.

    Raises:
        TransformError: not a list, an unknown step or option, or a value of another type; lists the known ones.

    >>> [str(step) for step in read_transforms(["mono", "normalise_level:dbfs=-20"])]
    ['mono', 'normalise_level:dbfs=-20.0']
    >>> read_transforms([{"normalise_level": {"dbfs": -20}}]) == read_transforms(["normalise_level:dbfs=-20"])
    True
    >>> read_transforms(["normalize_level"])
    Traceback (most recent call last):
    burst2vec.errors.TransformError: unknown step 'normalize_level': did you mean 'normalise_level'? Known steps: mono,
    resample, highpass, normalise_level, normalise_peak, mmse_stsa, trim_silence, zero_frequency_filter
    """
    if isinstance(steps, (str, bytes, Mapping)) or not isinstance(steps, Iterable):
        raise TransformError(f"steps {steps!r}: give a list of steps, such as ['mono', 'highpass']")
    return tuple(_read_transform(step) for step in steps)


def transform_options(name: str) -> dict[str, object]:
    """The options of a step that a recipe can set, and their defaults; one that takes a waveform it cannot.

    >>> transform_options("normalise_level")
    {'dbfs': -3.0}
    """
    types = typing.get_type_hints(TRANSFORMS[name])
    options = {
        option: parameter.default
        for option, parameter in inspect.signature(TRANSFORMS[name]).parameters.items()
        if option not in _NOT_OPTIONS and (option not in types or set(_kinds(types[option])) <= set(_KINDS))
    }
    if name == "resample":
        options["new_rate"] = SAMPLING_RATE  # what every encoder takes
    return options


def _kinds(hint) -> tuple:
    """The types that a signature allows: of ``float | None`` both."""
    return typing.get_args(hint) or (hint,)


def apply_transforms(
    waveform: np.ndarray, sampling_rate: int, steps: Iterable, name: str = "waveform"
) -> tuple[np.ndarray, int]:
    """Do one step after the other.

    Args:
        waveform: float32, shape (samples,); of several channels only where the first step is ``mono``.
        sampling_rate: Hz.
        steps: as ``read_transforms`` takes or gives them.
        name: what to call the clip in an error.

    Returns:
        float32, shape (samples,), and its sampling rate, which ``resample`` changes.

    Raises:
        TransformError: one fails, or leaves something else than finite float32 of shape (samples,); names clip and
            transform.

    >>> waveform, sampling_rate = apply_transforms(np.ones(48_000, np.float32), 48_000, ["resample", "normalise_peak"])
    >>> waveform.shape, sampling_rate
    ((16000,), 16000)
    """
    for place, step in enumerate(read_transforms(steps), start=1):
        function, options = TRANSFORMS[step.name], dict(step.options)
        where = f"{name}: step {place}, {step}"
        if "sampling_rate" in inspect.signature(function).parameters:
            options["sampling_rate"] = sampling_rate
        try:
            waveform = function(waveform, **options)
        except Exception as error:  # whatever a step stumbles over, the clip must be known
            raise TransformError(f"{where}: {error}") from error
        _check_left(waveform, where)
        sampling_rate = options.get("new_rate", sampling_rate)
    return waveform, sampling_rate


def _check_left(waveform, where: str) -> None:
    if not isinstance(waveform, np.ndarray) or waveform.dtype != np.float32 or waveform.ndim != 1:
        found = f"{waveform.dtype} of shape {waveform.shape}" if isinstance(waveform, np.ndarray) else type(waveform)
        raise TransformError(f"{where}: left {found}; a step gives float32 of shape (samples,)")
    if not waveform.size:
        raise TransformError(f"{where}: left nothing of the clip")
    if not np.isfinite(waveform).all():
        sample = int(np.argmin(np.isfinite(waveform)))
        raise TransformError(
            f"{where}: sample {sample} became {waveform[sample]}; every sample must be a finite number"
        )


def _read_transform(step) -> Transform:
    if isinstance(step, Transform):  # read before
        return step
    if isinstance(step, str):
        name, _, text = step.partition(":")
        given = _options_in(text, step)
    elif isinstance(step, Mapping) and len(step) == 1:
        ((name, given),) = step.items()
        given = {} if given is None else given
    else:
        raise TransformError(
            f"step {step!r}: give a name, or one name with its options, {{'highpass': {{'option': 1}}}}"
        )
    if name not in TRANSFORMS:
        raise TransformError(f"unknown step {name!r}: {_nearest(name, TRANSFORMS)}Known steps: {', '.join(TRANSFORMS)}")
    if not isinstance(given, Mapping):
        raise TransformError(f"step {name}: options {given!r}; give names and values, {{{name!r}: {{'option': 1}}}}")
    options = transform_options(name)
    types = typing.get_type_hints(TRANSFORMS[name])
    for option, value in given.items():
        if option not in options:
            known = f"Its options: {', '.join(options)}" if options else "It has no options"
            raise TransformError(f"step {name}: unknown option {option!r}: {_nearest(option, options)}{known}")
        options[option] = _checked(value, types.get(option), f"step {name}: {option}={value!r}")
    missing = [option for option, value in options.items() if value is inspect.Parameter.empty]
    if missing:
        raise TransformError(f"step {name}: needs {', '.join(missing)}, such as {name}:{missing[0]}=1")
    return Transform(name, tuple(options.items()))


def _nearest(name, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def _options_in(text: str, step: str) -> dict:
    """The options of ``name:option=value,option=value``."""
    options = {}
    for part in text.split(",") if text else ():
        option, equals, value = part.partition("=")
        if not equals or option.strip() in options:
            raise TransformError(f"step {step!r}: {part!r} is not option=value, each option once")
        options[option.strip()] = _value_of(value.strip())
    return options


def _value_of(text: str):
    constants = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in constants:
        return constants[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _checked(value, hint, where: str):
    """The value as the type that the step's signature asks for; a whole number does for a number."""
    if hint is None:  # the step's own business
        return value
    kinds = _kinds(hint)
    if float in kinds and type(value) is int:
        value = float(value)
    if type(value) not in kinds:
        raise TransformError(f"{where} is not {' or '.join(_KINDS[kind] for kind in kinds)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise TransformError(f"{where} is not a finite number")
    return value
