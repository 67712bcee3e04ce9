"""Conformal intervals and sets: hand-worked quantiles, and coverage of speakers that were not calibrated on."""

import numpy as np
import pytest

from burst2vec.scoring import calibrate, interval_or_set, measure_coverage
from burst2vec.scoring.conformal import quantile_at, speaker_quantiles
from burst2vec.tasks import AGE, Task

SOUND = Task("sound", kind="classification", labels=("Laugh", "Cry", "Gasp"))
PAIR = Task("pair", kind="regression", labels=("left", "right"))


def test_one_clip_per_speaker_is_the_textbook_quantile_with_n_plus_1():
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 10.0))  # ⌈0.9 · 10⌉ = 9th of 9, ⌈0.5 · 10⌉ = 5th
    assert speaker_quantiles(scores, list("abcdefghi"), levels=[0.5, 0.9, 0.91]) == [5.0, 9.0, None]


def test_a_speaker_of_many_clips_weighs_as_much_as_one_of_a_single_clip():
    scores, speakers = [0.1] * 100 + [5.0, 6.0], ["talks"] * 100 + ["B", "C"]  # masses 1/4, 1/4, 1/4 and 1/4 beyond
    assert speaker_quantiles(scores, speakers, levels=[0.25, 0.5, 0.75, 0.76]) == [0.1, 5.0, 6.0, None]


def test_the_correction_is_for_as_many_clips_as_the_speakers_let_count():
    # c = 0.74, q_0 = 6. Apart: F = 1, 1, 1, 0, variance 1/4, n = 4 · 0.1924 / (1/4) = 3.1, so K = 4; level 0.925, 8th.
    # Alike: F = 1/2, 1/2, 1, 1, variance 1/12, n = 9.2, so all 8 clips; level 0.8325, the 7th of 8.
    scores = np.arange(1.0, 9.0)
    assert speaker_quantiles(scores, list("AABBCCDD"), levels=[0.74]) == [8.0]
    assert speaker_quantiles(scores, list("ABCDDCBA"), levels=[0.74]) == [7.0]


def test_missing_labels_count_for_no_speaker():
    labels = {"pair": np.array([[0.5, np.nan], [0.5, 0.7]])}
    predictions = {"pair": np.array([[0.4, 0.0], [0.3, 0.5]])}
    left, right = calibrate([PAIR], predictions, labels, ["A", "B"])["pair"]
    assert quantile_at(left, 0.33) == pytest.approx(0.1) and quantile_at(left, 0.66) == pytest.approx(0.2)
    assert quantile_at(right, 0.5) == pytest.approx(0.2) and quantile_at(right, 0.51) == np.inf
    unlabelled = {"pair": np.full((2, 2), np.nan)}
    assert calibrate([PAIR], predictions, unlabelled, ["A", "B"]) == {}


def test_intervals_stay_within_the_span_and_an_infinite_quantile_is_all_of_it():
    assert interval_or_set(AGE, [40.0], [[2.0, 7.0, None]], 0.5) == [33.0, 45.0]
    assert interval_or_set(AGE, [40.0], [[2.0, 7.0, None]], 0.75) == [15.0, 45.0]
    assert interval_or_set(PAIR, [0.5, 0.9], [[0.25], [0.5]], 0.5) == {"left": [0.25, 0.75], "right": [0.4, 1.0]}


def test_a_set_has_the_classes_of_enough_probability_and_never_none():
    values = [0.25, 0.5, 0.25]
    assert interval_or_set(SOUND, values, [[0.25, 0.5, 0.75]], 0.75) == ["Cry", "Laugh", "Gasp"]
    assert interval_or_set(SOUND, values, [[0.25, 0.5, 0.75]], 0.5) == ["Cry"]
    assert interval_or_set(SOUND, values, [[0.25, 0.5, 0.75]], 0.25) == ["Cry"]  # 1 - 0.5 is beyond 0.25
    assert interval_or_set(SOUND, [np.nan] * 3, [[0.25]], 0.5) is None


@pytest.mark.parametrize("coverage", [0, -0.1, 0.995, 1, 90, "0.9", True, None, float("nan")])
def test_a_coverage_that_cannot_be_had_is_refused(coverage):
    with pytest.raises(ValueError, match=r"above 0, up to 0.99, such as 0.9, got"):
        quantile_at([1.0] * 99, coverage)


def test_clips_without_a_speaker_are_refused():
    with pytest.raises(ValueError, match="1 of 2 clips have no speaker"):
        calibrate([AGE], {"age": np.ones((2, 1))}, {"age": np.ones((2, 1))}, ["A", ""])


def of_speakers(random, speakers, clips=12):
    """Clips whose errors have a part in common for each speaker, whose numbers of clips differ a lot."""
    counts = random.integers(1, clips, speakers)
    names = np.repeat(np.arange(speakers), counts)
    error = np.repeat(random.normal(0, 4, speakers), counts) + random.normal(0, 1, len(names))
    sure = np.repeat(random.uniform(0.5, 6, speakers), counts)[:, None]
    odds = np.exp(sure * random.uniform(size=(len(names), 3)))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    classes = np.array([random.choice(3, p=each) for each in probabilities])
    classes[random.uniform(size=len(names)) < 0.1] = -1
    labels = {"age": (30 + error)[:, None].clip(15, 45), "sound": classes}
    return {"age": np.full((len(names), 1), 30.0), "sound": probabilities}, labels, [f"s{name}" for name in names]


def test_new_speakers_are_covered_as_asked():
    random, tasks, covered = np.random.default_rng(0), (AGE, SOUND), []
    for _ in range(60):
        conformal = calibrate(tasks, *of_speakers(random, 40))
        measured = measure_coverage(tasks, conformal, of_speakers(random, 40), 0.9)
        covered.append([measured[task.name]["covered"] for task in tasks])
    age, sound = np.mean(covered, axis=0)
    assert 0.89 < age < 0.925 and 0.89 < sound < 0.94


def test_measured_coverage_is_that_of_the_answers():
    random, tasks = np.random.default_rng(1), (AGE, SOUND)
    conformal = calibrate(tasks, *of_speakers(random, 10))
    predictions, labels, speakers = of_speakers(random, 10)
    inside = {task.name: {} for task in tasks}
    for row, speaker in enumerate(speakers):
        low, high = interval_or_set(AGE, predictions["age"][row], conformal["age"], 0.8)
        inside["age"].setdefault(speaker, []).append(low <= labels["age"][row, 0] <= high)
        if labels["sound"][row] >= 0:
            chosen = interval_or_set(SOUND, predictions["sound"][row], conformal["sound"], 0.8)
            inside["sound"].setdefault(speaker, []).append(SOUND.labels[labels["sound"][row]] in chosen)
    measured = measure_coverage(tasks, conformal, (predictions, labels, speakers), 0.8)
    assert measured["age"]["covered"] == pytest.approx(np.mean([np.mean(each) for each in inside["age"].values()]))
    of_sound = np.array([[np.mean(each), len(each) / speakers.count(s)] for s, each in inside["sound"].items()])
    assert measured["sound"]["covered"] == pytest.approx(np.average(of_sound[:, 0], weights=of_sound[:, 1]))
