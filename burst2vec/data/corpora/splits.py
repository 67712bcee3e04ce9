"""Who is in which split: no speaker is trained on and scored upon later."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from ...errors import CorpusError

SPLITS = ("train", "validation", "test")
SPELLINGS = {  # of a split, in any capitals
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "devel", "development"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}

# Two to one and no test split: a first run needs clips to choose its checkpoint by, and which speakers to keep for a
# last score is the user's to say.
DEFAULT_SPLITS = {"train": 2 / 3, "validation": 1 / 3}
REST = "rest"  # of a split: everybody who is in no other
ALL_TEST = {"test": 1.0}  # of clips that nothing learns from


def speaker_key(name: str) -> str:
    """What all spellings of one speaker's name have in common: blanks, capitals and the width of letters are let be.

    >>> speaker_key("Speaker_1") == speaker_key(" speaker_1 "), speaker_key("Speaker_1") == speaker_key("Speaker_11")
    (True, False)
    """
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


class SpeakersSeen:
    """The split that each speaker was first seen in, by ``speaker_key``.

    Attributes:
        shared: the first spelling of those that were seen in another split too.
    """

    def __init__(self):
        self._first: dict[str, tuple[str, str]] = {}
        self.shared: set[str] = set()

    def __len__(self):
        return len(self._first)

    def see(self, speaker: str, split: str) -> str | None:
        """Enter a clip's speaker; of one that another split has, what is wrong with that.

        >>> seen = SpeakersSeen()
        >>> seen.see("S1", "train"), seen.see("S2", "test"), seen.see("S1", "train")
        (None, None, None)
        >>> seen.see("S2", "train")
        'of one split: it stands in test and in train'
        >>> seen.see("s1", "test")
        "of one split: but for capitals, blanks or width it is 'S1' of train, and it stands in test"
        """
        other, spelling = self._first.setdefault(speaker_key(speaker), (split, speaker))
        if other == split:
            return None
        self.shared.add(spelling)
        if spelling == speaker:
            return f"of one split: it stands in {other} and in {split}"
        return (
            f"of one split: but for capitals, blanks or width it is {spelling!r} of {other}, and it stands in {split}"
        )


def split_speakers(
    speakers: Iterable[str], splits: dict | None = None, order: Callable[[str], object] | None = None
) -> dict[str, list[str]]:
    """Who is in which split: sorted by id, the first go to train, the next to validation, the next to test.

    Args:
        speakers: ids there are.
        splits: for each of "train", "validation", "test" a list of ids, a fraction of all speakers, how many, or
            "rest", all that no other takes; a split that is left out is not made. A number in a list is the one id
            that reads as it: 6 is "000006"; a text is the id that it is, or another spelling of (``speaker_key``). By
            default two thirds train and one third validation.
        order: of an id, what to sort by instead of the id.

    Raises:
        CorpusError: a speaker in two splits or not there, a split unknown or empty, more speakers than there are.

    >>> split_speakers(["000003", "000001", "000002"])
    {'train': ['000001', '000002'], 'validation': ['000003']}
    >>> split_speakers(["000001", "000002", "000003"], {"train": 1, "test": [1]})
    {'train': ['000002'], 'test': ['000001']}
    >>> split_speakers(["000001", "000002", "000003"], {"train": "rest", "validation": [2]})
    {'train': ['000001', '000003'], 'validation': ['000002']}
    """
    speakers = sorted(set(speakers), key=order)
    splits = DEFAULT_SPLITS if splits is None else splits
    _check_wishes(splits)

    chosen = {}
    split_of = {}
    for split, wanted in splits.items():
        if isinstance(wanted, (int, float)) or wanted == REST:
            continue
        chosen[split] = sorted({_named(speaker, speakers, split) for speaker in wanted})
        for speaker in chosen[split]:
            if split_of.setdefault(speaker, split) != split:
                raise CorpusError(
                    f"speaker {speaker} is in {split_of[speaker]} and in {split}; a speaker has one split"
                )

    free = [speaker for speaker in speakers if speaker not in split_of]
    fractions = 0.0
    for split in SPLITS:
        wanted = splits.get(split)
        if isinstance(wanted, float):  # rounded where the parts meet, so that parts that sum to 1 use everyone
            before, fractions = fractions, fractions + wanted
            wanted = round(fractions * len(speakers)) - round(before * len(speakers))
        if isinstance(wanted, int):
            if wanted > len(free):
                raise CorpusError(
                    f"split {split}: {splits[split]} asks for {wanted} speakers, {len(free)} are left; change splits, "
                    "or leave it out"
                )
            chosen[split], free = free[: max(wanted, 0)], free[max(wanted, 0) :]
    chosen |= {split: free for split, wanted in splits.items() if wanted == REST}
    if empty := [split for split in SPLITS if split in splits and not chosen[split]]:
        raise CorpusError(
            f"split {empty[0]}: {splits[empty[0]]} leaves it without a speaker; {_range_of(speakers)}; change splits, "
            "or leave it out"
        )
    return {split: chosen[split] for split in SPLITS if split in chosen}


def held_out_clips(speakers: Sequence[str], fraction: float, seed: int) -> np.ndarray:
    """Which clips are held out of training: all clips of some of their speakers, drawn by ``seed``.

    The draw depends on the speakers' names alone, not on the clips' order. All spellings of a name are one speaker
    (``speaker_key``); a clip whose speaker is not known, "", counts as a speaker of its own.

    Args:
        speakers: one name per clip.
        fraction: of the speakers, above 0 and below 1; at least one speaker is held out, and one is not.
        seed: of the draw.

    Returns:
        Boolean (clips,), True where the clip is held out.

    Raises:
        CorpusError: fewer than two speakers.

    >>> held_out_clips(["Ann", "Ben", "ann", "Cai"], 0.3, seed=1).tolist()
    [True, False, True, False]
    """
    keys = [speaker_key(speaker) or f"\0{row}" for row, speaker in enumerate(speakers)]
    names = sorted(set(keys))
    if len(names) < 2:
        raise CorpusError(f"held_out {fraction:g}: the clips to train on have {len(names)} speaker; two are needed")
    drawn = np.random.default_rng(seed).permutation(len(names))
    count = min(max(round(fraction * len(names)), 1), len(names) - 1)
    held_out = {names[place] for place in drawn[:count]}
    return np.array([key in held_out for key in keys])


def clips_of_speakers(speakers: Sequence[str], count: int, seed: int) -> np.ndarray:
    """Which clips are of ``count`` speakers, drawn by ``seed``; those of a smaller count are among them.

    The draw depends on the speakers' names alone, not on the clips' order; all spellings of a name are one speaker
    (``speaker_key``).

    Args:
        speakers: one name per clip.
        count: of the speakers, 1 or more.
        seed: of the draw.

    Returns:
        Boolean (clips,), True where the clip's speaker is drawn.

    Raises:
        CorpusError: a clip without a speaker, or fewer speakers than that.

    >>> clips_of_speakers(["Ann", "Ben", "ann", "Cai"], 1, seed=1).tolist()
    [True, False, True, False]
    >>> clips_of_speakers(["Ann", "Ben", "ann", "Cai"], 2, seed=1).tolist()
    [True, True, True, False]
    """
    keys = [speaker_key(speaker) for speaker in speakers]
    names = sorted(set(keys))
    if "" in names:
        raise CorpusError(f"train_speakers {count}: {keys.count(''):,} training clips have no speaker; null it")
    if count > len(names):
        raise CorpusError(f"train_speakers {count}: there are {len(names)} speakers to train on; lower it, or null it")
    drawn = {names[place] for place in np.random.default_rng(seed).permutation(len(names))[:count]}
    return np.array([key in drawn for key in keys])


def _check_wishes(splits) -> None:
    example = "such as {'train': 0.8, 'test': 0.2}"
    if not isinstance(splits, dict) or not splits or any(split not in SPLITS for split in splits):
        given = list(splits) if isinstance(splits, dict) else repr(splits)
        raise CorpusError(f"splits {given}: allowed are {', '.join(SPLITS)}, {example}")
    for split, wanted in splits.items():
        listed = isinstance(wanted, (list, tuple, set))
        if isinstance(wanted, bool) or not (listed or isinstance(wanted, (int, float)) or wanted == REST):
            raise CorpusError(
                f"split {split}: {wanted!r} is no list of speakers, no fraction, no number and not {REST}, {example}"
            )
        if isinstance(wanted, float) and not wanted <= 1.0:
            raise CorpusError(f"split {split}: {wanted} is no fraction, 0 to 1; a number of speakers has no point")
    if list(splits.values()).count(REST) > 1:
        raise CorpusError(f"splits {splits}: {REST} may stand for one split, which takes all that no other does")


def _named(speaker, speakers: list[str], split: str) -> str:
    """The id that an entry of a list stands for."""
    if isinstance(speaker, int):
        found = [known for known in speakers if known.isdecimal() and int(known) == speaker]
    else:
        found = [speaker] if speaker in speakers else [known for known in speakers if _alike(known, speaker)]
    if len(found) > 1:
        raise CorpusError(f"split {split}: {speaker} could be any of {', '.join(map(repr, found))}; put it in quotes")
    if not found:
        raise CorpusError(
            f"split {split}: no speaker {speaker!r} here; {_range_of(speakers)}; change splits, or leave it out"
        )
    return found[0]


def _alike(one: str, other) -> bool:
    return isinstance(other, str) and speaker_key(one) == speaker_key(other)


def _range_of(speakers: list[str]) -> str:
    if not speakers:
        return "the corpus has none"
    return f"the corpus has {len(speakers)} speakers, {speakers[0]} to {speakers[-1]}"
