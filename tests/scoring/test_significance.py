"""Tests of significance against numbers worked by hand and naive versions, and against what they claim."""

import numpy as np
import pytest
from scipy import stats

from burst2vec.scoring.significance import cochrans_q, compare_independent, compare_paired, holm


def test_the_sign_is_that_of_the_change():
    assert compare_paired([0.5, 0.6, 0.7], [0.4, 0.55, 0.66]).difference < 0
    assert compare_paired([0.4, 0.55, 0.66], [0.5, 0.6, 0.7]).difference > 0


def test_p_agrees_with_the_t_distribution_of_two_degrees_of_freedom():
    """With 2 degrees of freedom the two-sided p is 1 - t / sqrt(2 + t²), in closed form."""
    for differences in ([1.0, 2.0, 3.0], [0.1, -0.2, 0.15], [5.0, 5.1, 4.9]):
        differences = np.array(differences)
        t = abs(differences.mean()) / (differences.std(ddof=1) / np.sqrt(3))
        assert compare_paired(np.zeros(3), differences).p == pytest.approx(1 - t / np.sqrt(2 + t * t), rel=1e-9)


def test_pairing_sees_what_means_alone_do_not():
    seeds = np.array([0.1, 0.3, 0.5, 0.7])  # far apart, and each better by about the same
    assert compare_paired(seeds, seeds + [0.010, 0.011, 0.009, 0.010]).p < 0.001


def test_under_chance_one_test_in_twenty_finds_something():
    chance = np.random.default_rng(0)
    p_values = [compare_paired(chance.normal(size=5), chance.normal(size=5)).p for _ in range(1_000)]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_one_seed_tells_a_difference_and_no_p():
    difference, low, high, p = compare_paired([0.5], [0.6])
    assert difference == pytest.approx(0.1) and np.isnan([low, high, p]).all()


def test_equal_scores_are_no_difference_and_a_constant_one_is_certain():
    assert compare_paired([0.5, 0.6], [0.5, 0.6]) == (0.0, 0.0, 0.0, 1.0)
    assert compare_paired([0.0, 1.0], [0.5, 1.5]) == (0.5, 0.5, 0.5, 0.0)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ([1, 2], [1], r"must be paired, one per seed, got shapes \(2,\) and \(1,\)"),
        ([], [], "must be paired"),
        ([1, np.nan], [1, 2], "every score must be a finite number"),
    ],
)
def test_what_cannot_be_compared_is_refused(before, after, message):
    with pytest.raises(ValueError, match=message):
        compare_paired(before, after)


def test_holm_leaves_out_what_was_not_tested_and_never_falls():
    assert holm([np.nan, 0.02, 0.9]).tolist() == pytest.approx([np.nan, 0.04, 0.9], nan_ok=True)
    assert holm([0.5, 0.6]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def naive_q(correct):
    """Cochran's Q by loops, in the form of his paper: k(k−1) Σ (G − Ḡ)² / (k Σ L − Σ L²)."""
    systems = len(correct[0])
    right = [sum(clip[system] for clip in correct) for system in range(systems)]
    mean = sum(right) / systems
    above = systems * (systems - 1) * sum((count - mean) ** 2 for count in right)
    below = systems * sum(sum(clip) for clip in correct) - sum(sum(clip) ** 2 for clip in correct)
    return above / below


@pytest.mark.parametrize("systems", [2, 3, 5])
def test_cochrans_q_is_that_of_a_naive_version(systems):
    correct = (np.random.default_rng(systems).random((200, systems)) < np.linspace(0.4, 0.6, systems)).astype(int)
    found = cochrans_q(correct)
    assert found.statistic == pytest.approx(naive_q(correct.tolist()), abs=1e-10)
    assert found.p == pytest.approx(stats.chi2.sf(found.statistic, systems - 1), abs=1e-12)


def test_cochrans_q_of_two_systems_is_mcnemars():
    only_first, only_second = 14, 5
    correct = [[1, 0]] * only_first + [[0, 1]] * only_second + [[1, 1]] * 30 + [[0, 0]] * 7
    assert cochrans_q(correct).statistic == pytest.approx((only_first - only_second) ** 2 / 19, abs=1e-12)


def test_systems_that_agree_on_every_clip_do_not_differ():
    assert cochrans_q([[1, 1], [0, 0]]) == (0.0, 1.0)


@pytest.mark.parametrize(
    "correct, said", [([[1, 2]], "0 or 1"), ([[1], [0]], "two systems"), ([], "two systems"), ([[np.nan, 1]], "0 or 1")]
)
def test_what_is_no_table_of_right_and_wrong_is_refused(correct, said):
    with pytest.raises(ValueError, match=said):
        cochrans_q(correct)


def test_the_independent_t_test_is_the_pooled_one():
    chance = np.random.default_rng(0)
    first, second = chance.normal(size=40), chance.normal(0.4, 2.0, size=25)
    squares = ((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum()
    t = (second.mean() - first.mean()) / np.sqrt(squares / 63 * (1 / 40 + 1 / 25))
    found = compare_independent(first, second)
    assert found.statistic == pytest.approx(t, abs=1e-10)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 63), abs=1e-10)


def test_samples_without_spread_are_equal_or_surely_differ():
    assert compare_independent([1, 1], [1, 1]) == (0.0, 1.0)
    assert compare_independent([1, 1], [2, 2]) == (np.inf, 0.0)


@pytest.mark.parametrize("sample", [[1.0], [[1.0, 2.0]], [1.0, np.nan]])
def test_too_little_to_test_is_refused(sample):
    with pytest.raises(ValueError, match="two or more finite"):
        compare_independent(sample, [1.0, 2.0])
