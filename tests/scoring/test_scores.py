"""The formulas, against numbers worked by hand, naive oracles and what must hold for any series."""

import math

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import recall_score

from burst2vec.scoring import (
    concordance_cc,
    concordance_cc_per_label,
    mean_absolute_error,
    mean_absolute_error_per_label,
    pearson_correlation,
    pearson_correlation_per_label,
    s_mtl,
    unweighted_average_recall,
    weighted_average_recall,
)

NAN = float("nan")


def naive_concordance(predictions, references):
    """Straight from the definition, one number at a time."""
    pairs = [(p, r) for p, r in zip(predictions, references, strict=True) if not math.isnan(r)]
    n = len(pairs)
    mean_p, mean_r = sum(p for p, _ in pairs) / n, sum(r for _, r in pairs) / n
    covariance = sum((p - mean_p) * (r - mean_r) for p, r in pairs) / n
    variance_p, variance_r = sum((p - mean_p) ** 2 for p, _ in pairs) / n, sum((r - mean_r) ** 2 for _, r in pairs) / n
    return 2 * covariance / (variance_p + variance_r + (mean_p - mean_r) ** 2)


def baseline_concordance(predictions, references):
    """The fault of the challenge's own baseline: covariance by N, variances by N - 1."""
    p, r = np.asarray(predictions, dtype=float), np.asarray(references, dtype=float)
    covariance = ((p - p.mean()) * (r - r.mean())).mean()
    return 2 * covariance / (p.var(ddof=1) + r.var(ddof=1) + (p.mean() - r.mean()) ** 2)


# CCC


@pytest.mark.parametrize(
    ("predictions", "references", "expected"),
    [
        ([1, 2, 3], [2, 3, 4], 4 / 7),  # 2·(2/3) / (2/3 + 2/3 + 1)
        ([0, 2], [0, 1], 2 * 0.5 / (1 + 0.25 + 0.25)),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([0, 0, 1, 1], [0, 1, 0, 1], 0.0),
    ],
)
def test_ccc_equals_numbers_worked_by_hand(predictions, references, expected):
    assert concordance_cc(predictions, references) == pytest.approx(expected, abs=1e-15)


def test_ccc_of_a_perfect_prediction_is_one_where_the_baseline_code_gives_two_thirds():
    perfect = [0.1, 0.5, 0.9]
    assert baseline_concordance(perfect, perfect) == pytest.approx(2 / 3)
    assert concordance_cc(perfect, perfect) == 1.0


@pytest.mark.parametrize("seed", range(10))
def test_ccc_equals_a_naive_loop(seed):
    random = np.random.default_rng(seed)
    references = random.uniform(size=(37, 3)) + 10 * seed
    predictions = references + random.normal(size=(37, 3))
    references[random.uniform(size=(37, 3)) < 0.2] = NAN
    naive = [naive_concordance(predictions[:, label], references[:, label]) for label in range(3)]
    assert concordance_cc_per_label(predictions, references) == pytest.approx(naive, abs=1e-12)
    assert concordance_cc(predictions, references) == pytest.approx(sum(naive) / 3, abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_ccc_is_symmetric_at_most_pearson_and_blind_to_a_common_shift_and_scale(seed):
    random = np.random.default_rng(seed)
    p, r = random.normal(size=(2, 50))
    p = p + seed / 5 * r
    ccc = concordance_cc(p, r)
    assert concordance_cc(r, p) == pytest.approx(ccc, abs=1e-12)
    assert abs(ccc) <= abs(np.corrcoef(p, r)[0, 1]) + 1e-12
    assert concordance_cc(7 * p + 3, 7 * r + 3) == pytest.approx(ccc, abs=1e-9)
    assert concordance_cc(-p, r) < abs(ccc) + 1e-12


def test_ccc_falls_with_the_distance_of_a_shift():
    series = np.linspace(0, 1, 20)
    scores = [concordance_cc(series + shift, series) for shift in (0.0, 0.1, 0.2, 0.4)]
    assert scores == sorted(scores, reverse=True) and scores[0] == 1.0 and scores[-1] > 0


@pytest.mark.parametrize("value", [0.0, 0.1, 0.3, 1e6 + 0.1])
def test_a_constant_series_shows_no_concordance_however_its_mean_is_rounded(value):
    constant, varying = [value] * 7, np.linspace(0, 1, 7)
    assert concordance_cc(constant, constant) == 0.0
    assert concordance_cc(constant, [value + 1] * 7) == 0.0
    assert concordance_cc(constant, varying) == 0.0
    assert concordance_cc(varying, constant) == 0.0


def test_one_clip_shows_no_concordance():
    assert concordance_cc([0.5], [0.5]) == 0.0


def test_ccc_never_leaves_its_range_by_rounding():
    random = np.random.default_rng(0)
    for _ in range(300):
        series = random.normal(size=5)
        assert -1.0 <= concordance_cc(np.nextafter(series, 9), series) <= 1.0
        assert -1.0 <= concordance_cc(-series, np.nextafter(series, 9)) <= 1.0


def test_a_missing_reference_leaves_its_pair_out():
    assert concordance_cc([1, 99, 2, 3], [2, NAN, 3, 4]) == pytest.approx(4 / 7)
    assert concordance_cc([1, 99, 2, 3], [2, None, 3, 4]) == pytest.approx(4 / 7)
    assert mean_absolute_error([1, 99], [2, NAN]) == 1.0


def test_a_label_without_references_is_left_out_of_the_mean():
    predictions, references = [[1, 5], [2, 6], [3, 7]], [[2, NAN], [3, NAN], [4, NAN]]
    assert concordance_cc(predictions, references) == pytest.approx(4 / 7)
    assert np.isnan(concordance_cc_per_label(predictions, references)).tolist() == [False, True]
    assert mean_absolute_error_per_label(predictions, references)[0] == 1.0


def test_one_column_scores_as_one_series():
    p, r = np.random.default_rng(0).uniform(size=(2, 9))
    assert concordance_cc(p[:, None], r[:, None]) == concordance_cc(p, r)


def test_float32_is_scored_in_float64():
    p, r = np.random.default_rng(0).uniform(size=(2, 1000)).astype(np.float32) + np.float32(1000)
    assert concordance_cc(p, r) == concordance_cc(p.astype(np.float64), r.astype(np.float64))


# UAR


def test_uar_equals_numbers_worked_by_hand():
    assert unweighted_average_recall([0, 0, 1, 1], [0, 0, 0, 1]) == pytest.approx((2 / 3 + 1) / 2)
    assert unweighted_average_recall([2, 2, 2], [0, 1, 2]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("seed", range(10))
def test_uar_equals_sklearns_macro_recall_over_the_classes_present(seed):
    random = np.random.default_rng(seed)
    references, predictions = random.integers(0, 3 + seed, size=(2, 40))
    expected = recall_score(references, predictions, average="macro", labels=np.unique(references))
    assert unweighted_average_recall(predictions, references) == pytest.approx(expected)


def test_uar_is_blind_to_how_many_clips_a_class_has():
    predictions, references = np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1])
    again = np.concatenate([[0, 1, 2, 3], np.repeat([2, 3], 50)])
    assert unweighted_average_recall(predictions[again], references[again]) == unweighted_average_recall(
        predictions, references
    )


@pytest.mark.parametrize("seed", range(5))
def test_war_equals_sklearns_recall_weighted_by_the_clips_of_each_class(seed):
    random = np.random.default_rng(seed)
    references, predictions = random.integers(0, 3 + seed, size=(2, 40))
    expected = recall_score(references, predictions, average="weighted", zero_division=0)
    assert weighted_average_recall(predictions, references) == pytest.approx(expected)


def test_war_leaves_clips_without_a_label_out():
    assert weighted_average_recall([0, 1, 1], [0, -1, 0]) == 0.5


def test_uar_takes_the_largest_probability_and_the_first_among_equals():
    probabilities = [[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.0, 0.0, 1.0]]
    assert unweighted_average_recall(probabilities, [1, 0, 2]) == 1.0
    assert unweighted_average_recall(probabilities, [1, 1, 2]) == 0.75


def test_an_absent_class_is_left_out_of_the_mean_but_predicting_it_is_wrong():
    assert unweighted_average_recall([0, 1], [0, 1]) == 1.0
    assert unweighted_average_recall([0, 5], [0, 1]) == 0.5


@pytest.mark.parametrize("missing", [-1, NAN, None])
def test_a_missing_class_leaves_its_clip_out(missing):
    assert unweighted_average_recall([0, 1, 1], [0, missing, 1]) == 1.0
    assert unweighted_average_recall(np.eye(2)[[0, 1, 1]], [0, missing, 1]) == 1.0


# Pearson


@pytest.mark.parametrize(
    ("predictions", "references", "expected"),
    [
        ([1, 2, 3], [2, 2, 5], 3 / math.sqrt(12)),  # deviations -1, 0, 1 and -1, -1, 2
        ([0, 2], [0, 1], 1.0),  # where the CCC is 2/3
        ([1, 2, 3], [9, 6, 3], -1.0),
        ([0, 0, 1, 1], [0, 1, 0, 1], 0.0),
    ],
)
def test_pearson_equals_numbers_worked_by_hand(predictions, references, expected):
    assert pearson_correlation(predictions, references) == pytest.approx(expected, abs=1e-15)


def test_pearson_equals_scipys_label_by_label_and_leaves_missing_pairs_out():
    random = np.random.default_rng(0)
    references = random.uniform(size=(50, 4))
    predictions = 0.2 * references + random.normal(size=(50, 4)) / 10
    references[:7, 1] = NAN
    valid = ~np.isnan(references)
    oracle = [pearsonr(p[kept], r[kept])[0] for p, r, kept in zip(predictions.T, references.T, valid.T, strict=True)]
    found = pearson_correlation_per_label(predictions, references)
    assert found == pytest.approx(oracle, abs=1e-14) and pearson_correlation(predictions, references) == found.mean()
    assert (abs(concordance_cc_per_label(predictions, references)) < abs(found)).all()


def test_pearson_takes_no_notice_of_level_and_scale_however_small():
    predictions, references = np.random.default_rng(0).uniform(size=(2, 30))
    expected = pearson_correlation(predictions, references)
    assert pearson_correlation(1e-200 * predictions, 7 - 3 * references) == pytest.approx(-expected, abs=1e-12)


@pytest.mark.parametrize(
    ("predictions", "references"),
    [([0.1] * 3, [0.1, 0.5, 0.9]), ([0.1, 0.5, 0.9], [0.1] * 3), ([0.1] * 3, [0.1] * 3), ([0.4], [0.6])],
)
def test_pearson_of_a_constant_series_is_zero(predictions, references):
    assert pearson_correlation(predictions, references) == 0.0


def test_pearson_refuses_what_the_ccc_refuses():
    for predictions, references, message in [
        ([1.0, NAN], [1.0, 2.0], "row 1: the prediction is nan"),
        ([1.0], [NAN], "nothing to score"),
        ([1.0], [1.0, 2.0], r"predictions have shape \(1,\) and references \(2,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            pearson_correlation(predictions, references)


# MAE


def test_mae_equals_numbers_worked_by_hand():
    assert mean_absolute_error([20, 31], [22, 30]) == 1.5
    assert mean_absolute_error([[1, 0], [2, 1]], [[2, 0], [4, 1]]) == 0.75


# S_MTL

# Rows whose parts are printed beside their score: where, CCC, UAR, MAE, S_MTL, and how far rounding may carry it.
PRINTED = [
    ("Burst2Vec, Table 2, V2", 0.645, 0.676, 3.709, 0.445, 0.001),
    ("README of team EIHW's ExVo code, TASK1, cnn14-random-init", 0.4900, 0.5010, 3.9952, 0.3735, 0.0001),
    ("README of team EIHW's ExVo code, TASK1, cnn10-random-init", 0.5137, 0.4993, 4.0379, 0.3756, 0.0001),
    ("README of team EIHW's ExVo code, TASK1, cnn14-audioset", 0.4028, 0.4400, 4.0206, 0.3418, 0.0001),
]


@pytest.mark.parametrize(("row", "ccc", "uar", "mae", "printed", "rounding"), PRINTED, ids=[row[0] for row in PRINTED])
def test_s_mtl_reproduces_printed_rows_from_their_parts(row, ccc, uar, mae, printed, rounding):
    assert s_mtl(ccc, uar, mae) == pytest.approx(printed, abs=rounding)


def test_s_mtl_is_the_harmonic_mean_of_ccc_uar_and_inverted_mae():
    random = np.random.default_rng(0)
    for ccc, uar, mae in random.uniform(0.01, 1, size=(50, 3)) * [1, 1, 10]:
        parts = [ccc, uar, 1 / mae]
        assert s_mtl(ccc, uar, mae) == pytest.approx(len(parts) / sum(1 / part for part in parts))


def test_s_mtl_rises_with_each_part():
    assert s_mtl(0.5, 0.5, 4) < s_mtl(0.6, 0.5, 4)
    assert s_mtl(0.5, 0.5, 4) < s_mtl(0.5, 0.6, 4)
    assert s_mtl(0.5, 0.5, 4) < s_mtl(0.5, 0.5, 3)


@pytest.mark.parametrize("ccc", [-1.0, -0.5, -1e-9, 0.0])
def test_s_mtl_of_a_model_no_better_than_chance_is_zero(ccc):
    if ccc == -0.5:
        assert 3 / (1 / ccc + 1 / 0.676 + 3.709) == pytest.approx(0.94, abs=0.005)  # the bare formula rewards it
    assert s_mtl(ccc, 0.676, 3.709) == 0.0
    assert s_mtl(0.645, 0.0, 3.709) == 0.0


def test_s_mtl_grows_to_its_limit_as_the_age_error_vanishes():
    assert s_mtl(0.5, 0.25, 0.0) == 3 / (2 + 4)
    assert s_mtl(0.5, 0.25, 1e-12) == pytest.approx(3 / (2 + 4))
    assert s_mtl(1.0, 1.0, 0.0) == 1.5


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((64.5, 0.6, 3.0), r"ccc is 64.5; it must be a number in -1..1"),
        ((0.6, 67.6, 3.0), r"uar is 67.6; it must be a number in 0..1"),
        ((0.6, -0.1, 3.0), r"uar is -0.1"),
        ((0.6, 0.6, -3.0), r"mae is -3.0"),
        ((NAN, 0.6, 3.0), r"ccc is nan"),
        ((0.6, NAN, 3.0), r"uar is nan"),
        ((0.6, 0.6, NAN), r"mae is nan"),
        ((0.6, 0.6, float("inf")), r"mae is inf"),
    ],
)
def test_s_mtl_refuses_parts_out_of_range_by_name(parts, message):
    with pytest.raises(ValueError, match=message):
        s_mtl(*parts)


# What is refused, everywhere


@pytest.mark.parametrize("score", [concordance_cc, mean_absolute_error])
@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([0.1, NAN], [0.1, 0.2], r"row 1: the prediction is nan; it must be a finite number$"),
        ([0.1, NAN], [0.1, NAN], r"row 1: the prediction is nan"),
        ([0.1, None], [0.1, 0.2], r"row 1: the prediction is nan"),
        ([[0, 0], [0, float("inf")]], [[0, 0], [0, 0]], r"row 1, column 1: the prediction is inf"),
        ([0.1, 0.2], [float("-inf"), 0.2], r"row 0: the reference is -inf; .*NaN where it is missing"),
        ([0.1, 0.2], [0.1], r"shape \(2,\) and references \(1,\)"),
        ([0.1, 0.2], [[0.1], [0.2]], r"shape \(2,\) and references \(2, 1\); both must be"),
        (0.1, 0.1, r"shape \(\) and references \(\)"),
        ([[[0.1]]], [[[0.1]]], r"shape \(1, 1, 1\)"),
        ([0.1, 0.2], [NAN, NAN], r"nothing to score: references of shape \(2,\)"),
        ([], [], r"nothing to score"),
        (["0.1"], [0.1], r"predictions must be numbers"),
        ([0.1], ["high"], r"references must be numbers"),
        ([0.1 + 1j], [0.1], r"predictions must be numbers"),
        ([[0.1], [0.2, 0.3]], [[0.1], [0.2]], r"predictions must be numbers, in rows of one length"),
    ],
)
def test_regression_scores_refuse_by_row_and_value(score, predictions, references, message):
    with pytest.raises(ValueError, match=message):
        score(predictions, references)


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([0, 1], [0, 1, 1], r"2 predictions for 3 references"),
        (np.eye(2), [0, 1, 1], r"2 predictions for 3 references"),
        ([0, -1], [0, 1], r"row 1: the prediction is -1; a class index is a whole number from 0 up"),
        ([0, NAN], [0, 1], r"row 1: the prediction is nan"),
        ([0, 0.5], [0, 1], r"row 1: the prediction is 0.5"),
        ([0, 1], [0, -2], r"row 1: the reference is -2; a class index is a whole number from -1 up"),
        ([0, 1], [0, float("inf")], r"row 1: the reference is inf"),
        ([[0.1, NAN], [0.5, 0.5]], [0, 1], r"row 0, column 1: the prediction is nan"),
        (np.eye(2), [0, 2], r"row 1: the reference is class 2; predictions know classes 0 to 1"),
        ([[0], [1]], [0, 1], r"shape \(2, 1\)"),
        (np.zeros((2, 2, 2)), [0, 1], r"shape \(2, 2, 2\)"),
        ([0, 1], [[0], [1]], r"references have shape \(2, 1\)"),
        ([0, 1], [-1, -1], r"nothing to score: none of the 2 references"),
        (np.zeros((0, 4)), [], r"nothing to score"),
        (["China"], [0], r"predictions must be numbers"),
    ],
)
def test_uar_refuses_by_row_and_value(predictions, references, message):
    with pytest.raises(ValueError, match=message):
        unweighted_average_recall(predictions, references)
