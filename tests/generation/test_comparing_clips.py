"""Generated clips beside real ones: what each score says of clips that are as good, shifted, collapsed or copied."""

import pickle

import numpy as np
import pytest

from burst2vec.errors import CorpusError
from burst2vec.generation.comparing_clips import Clips, compare_clips, read_statistics_folder
from burst2vec.generation.comparison_report import draw_comparison, format_comparison, write_comparison
from burst2vec.scoring import frechet_distance, heep, s_gen
from burst2vec.scoring.generated import Gaussian, gaussian_of
from burst2vec.scoring.statistics_files import read_statistics

FEATURES = 3
CENTRES = {"Awe": 0.0, "Fear": 5.0}


def drawn(clips, seed, shift=0.0):
    """So many clips of each emotion, around its centre."""
    random = np.random.default_rng(seed)
    emotions = np.repeat(list(CENTRES), clips)
    vectors = random.normal(size=(len(emotions), FEATURES)) + [[CENTRES[each] + shift] for each in emotions]
    return Clips(vectors, emotions, [f"{each}/{seed}_{row}" for row, each in enumerate(emotions)])


REAL = drawn(200, seed=0)


@pytest.fixture(scope="module")
def as_good():
    return compare_clips(drawn(100, seed=1), REAL)


def test_clips_as_good_as_real_are_at_the_floor(as_good):
    for scores in as_good.of_emotion.values():
        assert scores.floor_clips == 100 and scores.fid.low <= scores.floor.high and scores.floor.low <= scores.fid.high
        assert min(scores.manifold) > 0.7 and scores.copies == 0 and scores.nearer == pytest.approx(0.5, abs=0.2)


def test_the_distance_is_that_of_the_clips_of_one_emotion(as_good):
    generated = drawn(100, seed=1)
    for place, (emotion, scores) in enumerate(as_good.of_emotion.items()):
        distance = frechet_distance(*gaussian_of(generated.of(emotion)), *gaussian_of(REAL.of(emotion)))
        assert scores.fid.value == distance == as_good.distances[place, place]
    assert as_good.distances[0, 1] == pytest.approx(3 * 25, rel=0.1)  # five away in each of three features


def test_shifted_clips_are_beyond_the_floor():
    for scores in compare_clips(drawn(100, seed=1, shift=1.0), REAL).of_emotion.values():
        assert scores.fid.low > scores.floor.high and scores.fid.value == pytest.approx(3, abs=1)


def test_copies_are_found_with_the_clip_that_they_copy_also_of_another_emotion():
    generated = drawn(100, seed=1)
    generated.vectors[3] = REAL.vectors[250] + 1e-4
    scored = compare_clips(generated, REAL)
    assert [each.clip for each in scored.neighbours if each.is_copy] == [generated.names[3]]
    assert scored.neighbours[3].real == REAL.names[250] and REAL.emotions[250] == "Fear"
    assert scored.of_emotion["Awe"].copies == 1 and scored.of_emotion["Fear"].copies == 0


def test_memorised_clips_are_nearer_than_held_out_ones():
    memorised = Clips(REAL.vectors + 0.02, REAL.emotions, REAL.names)
    for scores in compare_clips(memorised, REAL, held_out=drawn(50, seed=2)).of_emotion.values():
        assert scores.nearer > 0.95 and scores.floor_clips == 50


def test_ratings_give_heep_and_s_gen_and_an_emotion_without_clips_counts_as_zero(as_good):
    ratings = {"Awe": np.array([[0.9, 0.1, 0.2], [0.8, 0.3, 0.1]])}
    scored = compare_clips(drawn(100, seed=1), REAL, ratings=(ratings, ["Awe", "Fear", "Triumph"]))
    precision = heep(ratings["Awe"], [[1, 0, 0], [1, 0, 0]])
    of_awe = scored.of_emotion["Awe"]
    assert of_awe.heep == precision and of_awe.s_gen == s_gen(of_awe.fid.value, precision)
    assert scored.of_emotion["Fear"].s_gen is None and scored.s_gen == pytest.approx(of_awe.s_gen / 3)


def test_statistics_of_another_model_are_refused_by_their_size():
    other = {"Awe": Gaussian(np.zeros(256), np.eye(256))}
    with pytest.raises(CorpusError, match="Awe are of 256 features, and the model's vectors have 3"):
        compare_clips(drawn(20, seed=1), REAL, statistics=other)


def test_statistics_are_found_by_emotion_and_converted_once(tmp_path):
    there = gaussian_of(REAL.of("Awe"))
    (tmp_path / "Awe_Val_wav.pkl").write_bytes(pickle.dumps({"mu": there.mean, "sigma": there.covariance}))
    found = read_statistics_folder(tmp_path, ["Awe", "Fear"], tmp_path / "converted")
    assert list(found) == ["Awe"] and np.array_equal(found["Awe"].covariance, there.covariance)
    again = read_statistics(tmp_path / "converted" / "Awe_Val_wav.npz")
    assert np.array_equal(again.mean, there.mean)
    scored = compare_clips(drawn(20, seed=1), REAL, statistics=found).of_emotion
    assert scored["Awe"].fid_of_statistics == pytest.approx(scored["Awe"].fid.value)
    assert scored["Fear"].fid_of_statistics is None
    with pytest.raises(CorpusError, match="holds no statistics of Fear"):
        read_statistics_folder(tmp_path, ["Fear"], tmp_path / "converted")


@pytest.mark.parametrize("emotions, numbers, names", [(2, 4, 3), (13, 0, 2)])
def test_the_picture_of_many_emotions_has_neither_numbers_nor_names_on_top_of_each_other(emotions, numbers, names):
    chance = np.random.default_rng(0)
    called = np.repeat([f"emotion {place}" for place in range(emotions)], 24)
    generated, real = (Clips(chance.normal(size=(len(called), 3)), called, list(map(str, called))) for _ in range(2))
    plane, heat, *_ = draw_comparison(compare_clips(generated, real), generated, real).axes
    assert len(heat.texts) == numbers and len(heat.get_xticklabels()) == emotions
    assert len(plane.get_legend().get_texts()) == names


def test_the_report_says_what_a_number_alone_hides(as_good, tmp_path):
    text = format_comparison(as_good, FEATURES, "embedding:model")
    assert "All emotions together: FID" in text and "permutation p = 0.001" in text
    assert "floor" in text and "k = 5" in text and "S_GEN" not in text and "singular" not in text
    write_comparison(as_good, text, drawn(100, seed=1), REAL, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"scores.md", "scores.json", "nearest.csv", "picture.png"}
    assert len((tmp_path / "nearest.csv").read_text().splitlines()) == 1 + 200
    few = compare_clips(drawn(20, seed=1), drawn(40, seed=2))
    assert "of 20 clips in 64 dimensions" in format_comparison(few, 64, "embedding:model")
