"""Who is in which split, by fractions, counts and names."""

import numpy as np
import pytest

from burst2vec.data.corpora.splits import clips_of_speakers, held_out_clips, speaker_key, split_speakers
from burst2vec.errors import CorpusError

SIX = [f"{number:06d}" for number in range(1, 7)]


def test_by_default_two_thirds_of_the_speakers_train_and_the_rest_validate():
    splits = split_speakers(f"{number:06d}" for number in range(1, 61))
    assert (len(splits["train"]), len(splits["validation"])) == (40, 20)
    assert splits["train"][-1] < splits["validation"][0]


@pytest.mark.parametrize(
    ("wanted", "sizes"),
    [
        ({"train": 0.5, "validation": 0.25, "test": 0.25}, (3, 1, 2)),  # met at 3 and at round(4.5) = 4
        ({"train": 1 / 3, "validation": 1 / 3, "test": 1 / 3}, (2, 2, 2)),
        ({"train": 0.7, "test": 0.3}, (4, 0, 2)),
        ({"train": 1.0}, (6, 0, 0)),
        ({"train": 4, "validation": 1}, (4, 1, 0)),
        ({"test": 2, "train": 1}, (1, 0, 2)),
        ({"train": 0.5, "validation": [6, "000005"]}, (3, 2, 0)),
        ({"train": "rest", "validation": [6, "000005"]}, (4, 2, 0)),
        ({"train": 2, "validation": "rest", "test": [1]}, (2, 3, 1)),
    ],
)
def test_fractions_counts_and_lists_of_speakers(wanted, sizes):
    splits = split_speakers(SIX, wanted)
    assert tuple(len(splits.get(name, ())) for name in ("train", "validation", "test")) == sizes
    everyone = [speaker for speakers in splits.values() for speaker in speakers]
    assert len(set(everyone)) == len(everyone)


def test_listed_speakers_are_taken_and_the_rest_is_shared_out():
    assert split_speakers(SIX, {"train": 2, "test": ["000001", "000002"]}) == {
        "train": ["000003", "000004"],
        "test": ["000001", "000002"],
    }


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"train": ["000001"], "test": ["000001"]}, "speaker 000001 is in train and in test; a speaker has one split"),
        ({"train": ["000009"]}, "no speaker '000009' here; the corpus has 6 speakers, 000001 to 000006"),
        ({"train": 7}, "split train: 7 asks for 7 speakers, 6 are left"),
        ({"train": 0.9, "test": 0.5}, "split test: 0.5 asks for 3 speakers, 1 are left"),
        ({"train": 5, "test": 0}, "split test: 0 leaves it without a speaker"),
        ({"train": 5, "test": -1}, "split test: -1 leaves it without a speaker"),
        ({"train": 5, "test": 0.01}, "split test: 0.01 leaves it without a speaker"),
        ({"train": []}, "leaves it without a speaker"),
        ({"train": [9]}, "no speaker 9 here"),
        ({"train": 1.5}, "1.5 is no fraction, 0 to 1; a number of speakers has no point"),
        ({"train": float("nan")}, "nan is no fraction"),
        ({"train": "000001"}, "'000001' is no list of speakers, no fraction, no number and not rest"),
        ({"train": "rest", "test": "rest"}, "rest may stand for one split"),
        ({"train": 6, "test": "rest"}, "split test: rest leaves it without a speaker"),
        ({"train": True}, "True is no list of speakers"),
        ({"dev": 0.5}, "allowed are train, validation, test"),
        ("train", "splits 'train': allowed are train, validation, test"),
        ({}, "allowed are train, validation, test"),
    ],
)
def test_splits_that_cannot_be_made_are_refused(wanted, message):
    with pytest.raises(CorpusError) as caught:
        split_speakers(SIX, wanted)
    assert message in str(caught.value)


def test_a_number_in_a_list_is_the_id_that_reads_as_it():
    assert split_speakers(["7", "S1", "0012"], {"train": [7, "S1"], "test": [12]}) == {
        "train": ["7", "S1"],
        "test": ["0012"],
    }
    with pytest.raises(CorpusError, match="split train: 7 could be any of '07', '7'; put it in quotes"):
        split_speakers(["7", "07"], {"train": [7]})
    assert split_speakers(["7", "07"], {"train": ["7"], "test": ["07"]}) == {"train": ["7"], "test": ["07"]}


def test_speakers_can_be_taken_in_another_order():
    assert split_speakers("abc", {"train": 1, "test": 2}, order=lambda speaker: -ord(speaker)) == {
        "train": ["c"],
        "test": ["b", "a"],
    }


def test_nobody_cannot_be_split():
    with pytest.raises(CorpusError, match="the corpus has none"):
        split_speakers([], {"train": 1.0})


def test_a_speaker_is_held_out_whole_whatever_the_spelling_and_the_order_of_clips():
    speakers = [f"Speaker_{number % 20}" if number % 2 else f" speaker_{number % 20} " for number in range(100)]
    held = held_out_clips(speakers, 0.1, seed=0)
    sides = {side: {speaker_key(speakers[row]) for row in np.flatnonzero(held == side)} for side in (True, False)}
    assert not sides[True] & sides[False] and len(sides[True]) == 2 and len(sides[False]) == 18
    order = np.random.default_rng(1).permutation(100)
    assert held_out_clips([speakers[row] for row in order], 0.1, seed=0).tolist() == held[order].tolist()


def test_the_seed_draws_who_is_held_out():
    speakers = [f"S{number}" for number in range(50)]
    draws = {seed: held_out_clips(speakers, 0.1, seed).tolist() for seed in (0, 1)}
    assert draws[0] == held_out_clips(speakers, 0.1, 0).tolist() != draws[1]


@pytest.mark.parametrize("fraction, held_out", [(0.001, 1), (0.999, 3)])
def test_somebody_is_always_held_out_and_somebody_never(fraction, held_out):
    assert held_out_clips(["A", "B", "C", "D"], fraction, seed=0).sum() == held_out


def test_clips_of_unknown_speakers_are_held_out_one_by_one():
    assert held_out_clips([""] * 10, 0.3, seed=0).sum() == 3


def test_one_speaker_cannot_be_held_out():
    with pytest.raises(CorpusError, match=r"held_out 0.1: .* have 1 speaker; two are needed"):
        held_out_clips(["A", " a"], 0.1, seed=0)


def test_the_speakers_of_a_smaller_number_are_among_those_of_a_larger_one():
    speakers = np.repeat(SIX, 3)
    drawn = {count: clips_of_speakers(speakers, count, seed=4) for count in (1, 2, 4, 6)}
    for count, clips in drawn.items():
        assert clips.sum() == 3 * count and len(set(speakers[clips])) == count
    assert (drawn[1] <= drawn[2]).all() and (drawn[2] <= drawn[4]).all() and drawn[6].all()
    assert (clips_of_speakers(speakers[::-1], 2, seed=4)[::-1] == drawn[2]).all()
    assert {tuple(clips_of_speakers(speakers, 2, seed=seed)) for seed in range(9)} != {tuple(drawn[2])}


@pytest.mark.parametrize(
    ("speakers", "message"),
    [(SIX, "train_speakers 7: there are 6 speakers to train on"), (["A", ""], "1 training clips have no speaker")],
)
def test_more_speakers_than_there_are_or_unknown_ones_are_refused(speakers, message):
    with pytest.raises(CorpusError, match=message):
        clips_of_speakers(speakers, 7, seed=0)
