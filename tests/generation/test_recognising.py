"""A classifier of real clips is asked for the emotions of generated ones."""

import numpy as np
import pytest

from burst2vec.generation.recognising import permutation_p, recall_of, recognise


def drawn(clips, seed):
    random = np.random.default_rng(seed)
    emotions = np.repeat(["Awe", "Fear", "Joy"], clips)
    return random.normal(size=(len(emotions), 3)) + np.repeat(np.eye(3) * 5, clips, axis=0), emotions


@pytest.mark.parametrize("held_out", [None, drawn(10, 3)])
def test_clips_of_the_asked_emotions_are_recognised_as_real_ones_are(held_out):
    found = recognise(drawn(20, 1), drawn(30, 2), held_out)
    assert min(found.generated, found.real) > 0.95 and found.chance == pytest.approx(1 / 3) and found.p == 0.001


def test_clips_of_any_emotion_are_recognised_by_chance():
    vectors, emotions = drawn(20, 1)
    found = recognise((vectors, np.random.default_rng(0).permutation(emotions)), drawn(30, 2))
    assert found.generated < 0.55 and found.real > 0.95 and found.p > 0.01


def test_emotions_that_were_not_generated_are_left_out():
    vectors, emotions = drawn(20, 1)
    kept = emotions != "Joy"
    assert recognise((vectors[kept], emotions[kept]), drawn(30, 2)).chance == 0.5


def test_the_recall_is_a_mean_over_emotions_and_p_counts_orders_as_good():
    assert recall_of([0, 0, 0, 1], [0, 0, 1, 1]) == pytest.approx((2 / 3 + 1) / 2)
    assert permutation_p([0, 1], [0, 1], permutations=999) == pytest.approx(0.5, abs=0.06)  # one order of two
