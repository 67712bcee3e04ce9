"""The scores of generated clips: numbers worked by hand, the white paper's Table 3, and the formula as written."""

import numpy as np
import pytest
import scipy.linalg

from burst2vec.scoring import frechet_distance, heep, s_gen, s_gen_overall
from burst2vec.scoring.generated import frechet_interval, gaussian_of
from burst2vec.scoring.neighbours import manifold_scores, nearest

# White paper, Table 3: emotion → FID, HEEP, S_GEN as printed; Triumph was not generated.
TABLE_3 = {
    "Amusement": (4.92, 0.49, 0.347),
    "Awe": (4.81, 0.46, 0.334),
    "Awkwardness": (8.27, 0.036, 0.078),
    "Distress": (6.11, 0.32, 0.242),
    "Excitement": (6.00, 0.084, 0.125),
    "Fear": (5.71, 0.042, 0.109),
    "Horror": (5.64, 0.27, 0.224),
    "Sadness": (5.00, -0.033, 0.084),
    "Surprise": (6.08, 0.22, 0.192),
}


def random_statistics(seed, features=256, clips=None):
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(features, features)) / np.sqrt(features)
    return gaussian_of(random.normal(size=(clips or 8 * features, features)) @ mixing + random.normal(size=features))


def as_written(mean_1, covariance_1, mean_2, covariance_2):
    """Eq. 3, its root taken by scipy."""
    root = scipy.linalg.sqrtm(covariance_1 @ covariance_2).real
    return np.square(mean_1 - mean_2).sum() + np.trace(covariance_1 + covariance_2 - 2 * root)


@pytest.mark.parametrize(
    "means, deviations, distance", [((1, 3), (2, 3), 5.0), ((0, 0), (1, 4), 9.0), ((2, 0), (3, 3), 4.0)]
)
def test_in_one_dimension_it_is_the_squared_difference_of_means_and_of_deviations(means, deviations, distance):
    statistics = [([mean], [[deviation**2]]) for mean, deviation in zip(means, deviations, strict=True)]
    assert frechet_distance(*statistics[0], *statistics[1]) == distance


def test_of_diagonal_covariances_it_is_the_sum_over_the_dimensions():
    """(1 − 0)² + (2 − 1)² + (3 − 3)² of deviations, and (0 − 0)² + (1 − 3)² + (2 − 2)² of means."""
    distance = frechet_distance([0, 1, 2], np.diag([1.0, 4.0, 9.0]), [0, 3, 2], np.diag([0.0, 1.0, 9.0]))
    assert distance == 6.0


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_formula_with_scipys_matrix_root_at_full_rank(seed):
    both = *random_statistics(seed), *random_statistics(seed + 100)
    assert frechet_distance(*both) == pytest.approx(as_written(*both), abs=1e-6)


@pytest.mark.parametrize("clips", [None, 40])
def test_it_is_symmetric_and_zero_for_equal_distributions_of_any_rank(clips):
    one, other = random_statistics(1, 64, clips), random_statistics(2, 64, clips)
    assert frechet_distance(*one, *other) == pytest.approx(frechet_distance(*other, *one), rel=1e-12)
    assert frechet_distance(*one, *one) == 0.0


def test_covariances_of_no_full_rank_have_a_finite_distance():
    """Two clips of each, at ±a and ±b in orthogonal directions: no overlap, so the traces alone remain."""
    one, other = gaussian_of([[3.0, 0, 0], [-3.0, 0, 0]]), gaussian_of([[0, 4.0, 0], [0, -4.0, 0]])
    assert frechet_distance(*one, *other) == 2 * 9 + 2 * 16
    nothing = np.zeros(3), np.zeros((3, 3))
    assert frechet_distance(*one, *nothing) == 18.0
    few, many = random_statistics(3, 64, clips=10), random_statistics(4, 64)
    assert 0 < frechet_distance(*few, *many) < np.inf


@pytest.mark.parametrize(
    "wrong, said",
    [
        (([0], np.eye(2), [0, 0], np.eye(2)), "means"),
        (([0, 0], np.eye(3), [0, 0], np.eye(2)), "covariances must be (2, 2)"),
        (([0, np.nan], np.eye(2), [0, 0], np.eye(2)), "mean_1: nan at row 1"),
        (([0, 0], np.eye(2), [0, 0], [[1, 2], [0, 1]]), "covariance_2 is not symmetric"),
        (([0, 0], np.eye(2), [0, 0], [[1, 2], [2, 1]]), "covariance_2 has a negative eigenvalue, -1"),
    ],
)
def test_what_is_no_mean_or_covariance_is_refused_by_name(wrong, said):
    with pytest.raises(ValueError) as caught:
        frechet_distance(*wrong)
    assert said in str(caught.value)


def test_the_interval_holds_the_value_and_narrows_with_clips():
    random = np.random.default_rng(0)
    few, many = (
        frechet_interval(random.normal(size=(clips, 4)), random.normal(1.0, size=(clips, 4))) for clips in (50, 2000)
    )
    assert few.low < few.value < few.high and many.low < 4.0 < many.high
    assert many.high - many.low < (few.high - few.low) / 3


@pytest.mark.parametrize("emotion", TABLE_3)
def test_s_gen_of_the_printed_parts_is_the_printed_score(emotion):
    fid, precision, printed = TABLE_3[emotion]
    assert s_gen(fid, precision) == pytest.approx(printed, abs=5.001e-4)


def test_the_overall_score_of_table_3_counts_triumph_as_zero():
    """.1735, printed as .174; of the printed parts, whose rounding moves it by up to .002, it is .1734."""
    assert s_gen_overall([printed for *_, printed in TABLE_3.values()]) == pytest.approx(0.174, abs=5.001e-4)
    of_parts = [s_gen(fid, precision) for fid, precision, _ in TABLE_3.values()]
    assert s_gen_overall(of_parts) == pytest.approx(0.1734, abs=5e-5)


@pytest.mark.parametrize(
    "fid, precision, said", [(0, 0.5, "fid is 0"), (np.nan, 0, "fid is nan"), (5, 1.5, "heep is 1.5")]
)
def test_parts_out_of_their_range_are_refused(fid, precision, said):
    with pytest.raises(ValueError, match=said):
        s_gen(fid, precision)


def test_heep_is_pearsons_correlation_of_the_vectorised_tables():
    random = np.random.default_rng(0)
    targets, ratings = np.eye(10)[random.integers(10, size=25)], random.uniform(size=(25, 10))
    assert heep(ratings, targets) == pytest.approx(np.corrcoef(ratings.ravel(), targets.ravel())[0, 1])
    assert heep(targets, targets) == pytest.approx(1) and heep(1 - targets, targets) == pytest.approx(-1)
    assert heep(np.full((25, 10), 0.3), targets) == 0.0


def test_ratings_that_do_not_fit_their_targets_are_refused():
    with pytest.raises(ValueError, match=r"ratings have shape \(2, 3\) and targets \(3, 3\)"):
        heep(np.zeros((2, 3)), np.eye(3))
    with pytest.raises(ValueError, match="row 1, column 2: the rating is 70; it must be in 0..1"):
        heep([[0, 0, 0], [0, 0, 70]], [[1, 0, 0], [0, 0, 1]])


def test_clips_drawn_from_the_same_distribution_are_precise_and_varied_and_collapsed_ones_are_not_varied():
    random = np.random.default_rng(0)
    real, alike = random.normal(size=(2, 300, 3))
    collapsed = real[:1] + 0.01 * random.normal(size=(300, 3))
    same, one_mode = manifold_scores(alike, real), manifold_scores(collapsed, real)
    assert min(same) > 0.85 and same.density == pytest.approx(1, abs=0.1)
    assert one_mode.precision == 1.0 and max(one_mode.recall, one_mode.coverage) < 0.1


def test_a_copy_is_at_distance_nought_of_its_original():
    real = np.random.default_rng(0).normal(size=(50, 8))
    places, distances = nearest(real[[7, 31]], real)
    assert places.tolist() == [7, 31] and distances.tolist() == [0, 0]
    assert nearest(real)[1].min() > 0
