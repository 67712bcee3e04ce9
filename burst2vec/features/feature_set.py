"""What a feature set is: whatever makes one vector of a clip, and tells its vectors from another's."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import Dataset


class FeatureSet(NamedTuple):
    """What makes one vector of a clip.

    ``vector`` is all that a set needs. One that is faster with several clips at once has ``vectors`` too: it is given
    up to ``batch_size`` waveforms of about the same length, in one process, whose values must not depend on each other.
    """

    size: int
    vector: Callable[[np.ndarray], tuple[np.ndarray, str]]  # waveform at 16 kHz → float32 (size,), and what was mended
    names: Callable[[], tuple[str, ...]]
    made_by: Callable[[], dict]  # JSON: versions and settings; vectors made by others are never mixed with these
    vectors: Callable[[list[np.ndarray]], np.ndarray] | None = None  # waveforms at 16 kHz → float32 (clips, size)
    batch_size: int = 1


class FeatureFamily(NamedTuple):
    """Feature sets that are named ``family:argument``.

    Of a family that is fitted on training clips, ``fit(argument, clips, folder)`` writes ``fitted_file`` into the
    folder, whole or not at all, and ``find`` is ``find(argument, folder)``. Of the others it is ``find(argument)``.
    """

    argument: str  # what it is, in capitals, for an error that lists the known sets
    find: Callable[..., FeatureSet]
    folder: Callable[[str], str]  # the argument → what the tables' folder is called: one part, of no place on a machine
    fit: Callable[[str, Dataset, Path], None] | None = None
    fitted_file: str | None = None
    at_hand: Callable[[str], bool] = lambda argument: True  # whether what the argument names can be found from here


def public_name(feature_set: str) -> str:
    """A feature set's name as it may be published: of a file or folder on this machine its last part alone.

    >>> public_name("compare"), public_name("embedding:facebook/hubert-large-ll60k")
    ('compare', 'embedding:facebook/hubert-large-ll60k')
    >>> public_name("embedding:./runs/raw_emotion_class")
    'embedding:raw_emotion_class'
    """
    family, colon, argument = feature_set.partition(":")
    return f"{family}:{without_folder(argument)}" if colon else feature_set


def without_folder(name: str) -> str:
    """Of a file or folder on this machine its last part; any other name, such as one on the Hub, as it is.

    A path that begins with ``/``, ``./``, ``../`` or ``~`` is one, whether or not it is there.

    >>> without_folder("./runs/first"), without_folder("facebook/hubert-large-ll60k")
    ('first', 'facebook/hubert-large-ll60k')
    """
    place = Path(name).expanduser()
    is_place = place.is_absolute() or name.startswith(("./", "../")) or place.exists()
    return place.resolve().name if is_place else name
