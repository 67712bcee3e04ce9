"""Bags of audio words: how often each word of a learnt codebook occurs in a clip.

The procedure is openXBOW's (Schmitt and Schuller, 2017, "openXBOW — Introducing the Passau Open-Source Crossmodal
Bag-of-Words Toolkit", JMLR 18), with the options in brackets. A frame is described by the 65 low-level descriptors of
ComParE 2016 and their 65 deltas, standardised by the training frames' mean and deviation (``-standardizeInput``). The
codebook's words are training frames, drawn at random (``-c random``) or as k-means++ is begun (``-c random++``). Every
frame counts for its ten nearest words (``-a 10``), and a clip's vector is lg(count + 1) of each word (``-log``).

The ExVo white paper (section 4) has codebooks of 125, 250, 500, 1,000 and 2,000 words, and does not say how else the
toolkit was set; its own defaults are ``-a 1`` and ``-c random++``, without ``-log``. Our choices: one codebook over all
130 values; ten words per frame and logarithms, because a burst has few frames to count; words drawn at random, because
that is the cheapest; and no division by the clip's length, because how long a burst is may tell what it is.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import Dataset
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from tqdm.auto import tqdm

from ..data.clips import read_clip
from ..errors import CorpusError
from ..files import write_whole
from . import functionals
from .feature_set import FeatureFamily, FeatureSet
from .smile import process

SIZES = (125, 250, 500, 1_000, 2_000)  # of the ExVo white paper
METHODS = ("random", "random++")
ASSIGNMENTS = 10  # words that a frame counts for
LEVELS = ("LowLevelDescriptors", "LowLevelDescriptors_Deltas")  # openSMILE's names; 65 values a frame each
DESCRIPTORS = 130
MOST_CLIPS = 1_000  # that a codebook is learnt from: three minutes of openSMILE on one core
MOST_FRAMES = 100_000  # that its words are drawn from: 52 MB
FILE = "codebook.safetensors"
VERSION = 1  # raise it with every change that alters a value: no folder or cache of another version is reused


class Codebook(NamedTuple):
    """The words, and what a frame is made of before it is compared with them."""

    words: np.ndarray  # float32 (size, 130), standardised
    mean: np.ndarray  # float32 (130,), of the training frames
    deviation: np.ndarray  # float32 (130,), above 0
    method: str
    seed: int

    def digest(self) -> str:
        """32 hexadecimal digits that tell this codebook's values from any other's."""
        values = hashlib.sha256()
        for array in (self.words, self.mean, self.deviation):
            values.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return values.hexdigest()[:32]


def describe_frames(waveform: np.ndarray) -> tuple[np.ndarray, str]:
    """The low-level descriptors of each frame, every 10 ms, and their deltas, as openSMILE computes them.

    What ``process`` changes of a clip is noted. openSMILE's deltas have two frames more than its descriptors: these
    are left out.

    Args:
        waveform: float32, shape (samples,) at 16 kHz, from ``read_clip``.

    Returns:
        float32, shape (frames, 130), in each descriptor's own unit; and what was mended, "" where nothing was.

    Raises:
        CorpusError: no value is finite.
        MissingPackageError: openSMILE is not installed.
    """
    return process(waveform, functionals.COMPARE, *LEVELS)


def count_words(frames: np.ndarray, words: np.ndarray, assignments: int = ASSIGNMENTS) -> np.ndarray:
    """For each word, the number of frames that have it among their nearest, by Euclidean distance.

    Args:
        frames: float, shape (frames, descriptors), standardised.
        words: float, shape (size, descriptors).
        assignments: nearest words that a frame counts for, 1 to size.

    Returns:
        int64, shape (size,); they sum to frames times assignments.

    Raises:
        CorpusError: assignments below 1 or above the number of words.

    Three frames and two words, of one descriptor: 0.2 and 0.4 are nearer to 0, and 0.9 is nearer to 1.

    >>> frames, words = np.array([[0.2], [0.4], [0.9]]), np.array([[0.0], [1.0]])
    >>> count_words(frames, words, assignments=1).tolist()
    [2, 1]
    >>> count_words(frames, words, assignments=2).tolist()
    [3, 3]
    """
    if not 1 <= assignments <= len(words):
        raise CorpusError(f"assignments is {assignments}; a frame counts for 1 to {len(words)} words, all there are")
    # ‖x − c‖² = ‖x‖² − 2 x·c + ‖c‖², and ‖x‖² is the same for all words; float64, where the difference would cancel.
    frames, words = frames.astype(np.float64), words.astype(np.float64)
    distances = np.square(words).sum(axis=1) - 2 * (frames @ words.T)  # (frames, size)
    nearest = np.argpartition(distances, assignments - 1, axis=1)[:, :assignments]
    return np.bincount(nearest.reshape(-1), minlength=len(words))


def bag_of_audio_words(waveform: np.ndarray, codebook: Codebook) -> tuple[np.ndarray, str]:
    """The vector of a clip: lg(count + 1) of each word, to base 10: 0 for no frame, 1 for 9 frames.

    Args:
        waveform: float32, shape (samples,) at 16 kHz, from ``read_clip``.
        codebook: from ``fit_codebook`` or ``read_codebook``.

    Returns:
        float32, shape (size,), 0 or more; and what was mended of the clip, "" where nothing was.

    Raises:
        CorpusError: openSMILE has no finite value of the clip.
    """
    frames, note = describe_frames(waveform)
    counts = count_words((frames - codebook.mean) / codebook.deviation, codebook.words)
    return np.log10(counts + 1.0).astype(np.float32), note


def fit_codebook(clips: Iterable[np.ndarray], size: int, seed: int = 0, method: str = "random") -> Codebook:
    """Learn a codebook from training clips, one in memory at a time.

    Mean and deviation are of all frames; the deviation divides by their number less one, as openXBOW's does, and one
    that is 0 is taken for 1: a descriptor that never varies is centred, not scaled. The words are drawn from at most
    100,000 of the frames, each as likely as any other.

    Args:
        clips: waveforms, float32, shape (samples,) at 16 kHz.
        size: words.
        seed: of what is drawn.
        method: ``"random"``, distinct frames, all equally likely; or ``"random++"``, one after another, with a chance
            that grows with the squared distance to the nearest before it (Arthur and Vassilvitskii, 2007).

    Raises:
        CorpusError: a size under 10 (``ASSIGNMENTS``), or an unknown method.
        CorpusError: no clip, or fewer distinct frames than words.
    """
    if size < ASSIGNMENTS:
        raise CorpusError(f"size is {size}; a frame counts for {ASSIGNMENTS} words, so there must be as many")
    if method not in METHODS:
        raise CorpusError(f"method is {method!r}; known: {', '.join(METHODS)}")
    random = np.random.default_rng(seed)
    number_of_clips, count, mean, squares = 0, 0, np.zeros(DESCRIPTORS), np.zeros(DESCRIPTORS)
    drawn, tickets, held = [], [], 0
    for clip in clips:
        frames = describe_frames(clip)[0]
        number_of_clips += 1
        # Chan, Golub and LeVeque (1979): moments of two parts from those of each; sums of squares would cancel.
        shift = frames.mean(axis=0, dtype=np.float64) - mean
        total = count + len(frames)
        squares += np.square(frames - frames.mean(axis=0, dtype=np.float64)).sum(axis=0)
        squares += shift**2 * count * len(frames) / total
        mean += shift * len(frames) / total
        count = total
        drawn.append(frames)
        tickets.append(random.random(len(frames)))
        held += len(frames)
        if held > 2 * MOST_FRAMES:
            drawn, tickets, held = *_lowest(drawn, tickets), MOST_FRAMES
    if not count:
        raise CorpusError("there are no clips to fit a codebook on; give the training clips")
    (drawn,), _ = _lowest(drawn, tickets)
    _, first = np.unique(drawn, axis=0, return_index=True)  # digital silence gives one frame again and again
    if len(first) < size:
        raise CorpusError(
            f"{number_of_clips} clips have {len(first)} distinct frames, too few for a codebook of {size} words; fit "
            "it on more clips, or take a smaller one"
        )
    deviation = np.sqrt(squares / max(count - 1, 1))
    varies = deviation > np.maximum(1e-9 * np.abs(mean), 1e-30)  # more than rounding leaves, and float32 holds
    mean, deviation = mean.astype(np.float32), np.where(varies, deviation, 1.0).astype(np.float32)
    drawn = (drawn - mean) / deviation
    if method == "random":
        words = drawn[np.sort(first)[:size]]  # the frames lie in the order of their tickets
    else:
        from sklearn.cluster import kmeans_plusplus  # a second

        words = kmeans_plusplus(drawn, size, random_state=seed, n_local_trials=1)[0]
    return Codebook(words, mean, deviation, method, seed)


def write_codebook(codebook: Codebook, path: str | Path) -> None:
    """Write a codebook as safetensors, whole or not at all."""
    tensors = {name: np.ascontiguousarray(getattr(codebook, name)) for name in ("words", "mean", "deviation")}
    about = {"version": VERSION, "method": codebook.method, "seed": codebook.seed}
    write_whole(path, save(tensors, {"bag_of_audio_words": json.dumps(about)}))


def read_codebook(path: str | Path) -> Codebook:
    """Read what ``write_codebook`` wrote.

    Raises:
        CorpusError: no such file, another version's, or not a codebook; names the file.
    """
    advice = "fit the codebook again, with fit_feature_set"
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads((file.metadata() or {}).get("bag_of_audio_words", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, ValueError) as error:
        raise CorpusError(f"{path}: cannot be read as a codebook ({error}); {advice}") from error
    if not isinstance(about, dict) or about.get("version") != VERSION or about.get("method") not in METHODS:
        raise CorpusError(f"{path}: says of itself {about}, not that it is a codebook of version {VERSION}; {advice}")
    size = len(tensors["words"]) if "words" in tensors and tensors["words"].ndim else 0
    shapes = {"words": (size, DESCRIPTORS), "mean": (DESCRIPTORS,), "deviation": (DESCRIPTORS,)}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != shapes:
        raise CorpusError(f"{path}: holds {found}, a codebook {shapes}; {advice}")
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()) or tensors["deviation"].min() <= 0:
        raise CorpusError(f"{path}: its values must be finite numbers, and deviations above 0; {advice}")
    return Codebook(**tensors, method=about["method"], seed=int(about["seed"]))


def choose_clips(speakers: list[str], most: int = MOST_CLIPS, seed: int = 0) -> np.ndarray:
    """Rows of at most ``most`` clips, in rounds: one clip of each speaker, then another of each who has one, and so on.

    >>> rows = choose_clips(["A", "A", "A", "A", "B", "C"], most=4)
    >>> [["A", "A", "A", "A", "B", "C"][row] for row in rows].count("A")
    2
    """
    order = np.random.default_rng(seed).permutation(len(speakers))
    rounds, latest = np.empty(len(speakers), int), {}
    for place, row in enumerate(order):
        rounds[place] = latest[speakers[row]] = latest.get(speakers[row], -1) + 1
    return np.sort(order[np.argsort(rounds, kind="stable")[:most]])


def _lowest(drawn: list[np.ndarray], tickets: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The frames of the lowest tickets, in their order: of frames that come one after another, a fair draw."""
    tickets = np.concatenate(tickets)
    kept = np.argsort(tickets)[:MOST_FRAMES]
    return [np.concatenate(drawn)[kept]], [tickets[kept]]


def _fit(argument: str, clips: Dataset, folder: Path) -> None:
    size = _size(argument)
    speakers = clips["speaker"][:] if "speaker" in clips.column_names else [""] * len(clips)
    chosen = clips.select_columns(["file_id", "audio"]).select(choose_clips(speakers))
    bar = tqdm(chosen, desc=f"Learning {size} audio words", unit=" clips", mininterval=0.5)
    waveforms = (read_clip(row["audio"], row["file_id"]) for row in bar)
    write_codebook(fit_codebook(waveforms, size), folder / FILE)


def _find(argument: str, folder: Path) -> FeatureSet:
    size = _size(argument)
    codebook = read_codebook(folder / FILE)
    if len(codebook.words) != size:
        raise CorpusError(
            f"{folder / FILE}: has {len(codebook.words)} words, not {size}; name bag_of_audio_words:"
            f"{len(codebook.words)}, or fit the codebook again in another folder"
        )
    return FeatureSet(
        size,
        vector=partial(bag_of_audio_words, codebook=codebook),
        names=partial(_names, size),
        made_by=partial(_made_by, codebook),
    )


def _size(argument: str) -> int:
    if not (argument.isascii() and argument.isdigit() and ASSIGNMENTS <= int(argument) <= MOST_FRAMES):
        raise CorpusError(
            f"bag_of_audio_words:{argument}: {argument!r} is not a number of words, {ASSIGNMENTS} to {MOST_FRAMES}; "
            f"the ExVo white paper has {', '.join(map(str, SIZES))}"
        )
    return int(argument)


def _names(size: int) -> tuple[str, ...]:
    return tuple(f"audio_word_{word}" for word in range(size))


def _made_by(codebook: Codebook) -> dict:
    return {
        **functionals.made_by(functionals.COMPARE),
        "codebook": codebook.digest(),
        "words": len(codebook.words),
        "assignments": ASSIGNMENTS,
        "bags_version": VERSION,
    }


BAG_OF_AUDIO_WORDS = FeatureFamily(
    "SIZE", _find, folder=lambda argument: f"bag_of_audio_words-{_size(argument)}", fit=_fit, fitted_file=FILE
)
