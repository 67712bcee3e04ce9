"""Temperatures: hand-worked values, an independent calibration error, and probabilities that are right afterwards."""

import numpy as np
import pytest

from burst2vec.answers import temper
from burst2vec.scoring import (
    expected_calibration_error,
    fit_temperature,
    fit_temperatures,
    measure_calibration,
    with_temperatures,
)
from burst2vec.tasks import AGE, Task

SOUND = Task("sound", kind="classification", labels=("Laugh", "Cry", "Gasp", "Sob"))


def too_sure(random, clips=20_000, temperature=2.0):
    """Probabilities that would be right at a temperature, and classes that are drawn so."""
    logits = random.normal(0, 3, (clips, 4))
    sure, right = (np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for each in (logits, logits / temperature))
    return sure, (right.cumsum(axis=1) > random.uniform(size=(clips, 1))).argmax(axis=1)


def naive_error(probabilities, classes, bins):
    total = 0.0
    for number in range(bins):
        rows = [row for row in range(len(classes)) if number / bins < max(probabilities[row]) <= (number + 1) / bins]
        if rows:
            right = np.mean([probabilities[row].argmax() == classes[row] for row in rows])
            total += len(rows) / len(classes) * abs(right - np.mean([max(probabilities[row]) for row in rows]))
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_the_calibration_error_is_that_of_a_loop_over_bins(bins):
    sure, classes = too_sure(np.random.default_rng(0), 300)
    assert expected_calibration_error(sure, classes, bins) == pytest.approx(naive_error(sure, classes, bins))


def test_probabilities_of_0_and_1_fall_into_bins():
    assert expected_calibration_error([[1.0, 0.0], [1.0, 0.0]], [0, 0]) == 0
    assert expected_calibration_error([[1.0, 0.0], [1.0, 0.0]], [1, 1]) == 1


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_temperature_that_the_clips_were_drawn_with_is_found_and_mends_the_error(temperature):
    random = np.random.default_rng(1)
    found = fit_temperature(*too_sure(random, temperature=temperature))
    assert found == pytest.approx(temperature, rel=0.06)
    sure, classes = too_sure(random, temperature=temperature)
    assert expected_calibration_error(sure, classes) > 0.06
    assert expected_calibration_error(temper(sure, found), classes) < 0.02


def test_a_temperature_divides_logits_keeps_the_order_and_can_be_taken_back():
    logits = np.random.default_rng(2).normal(0, 3, (50, 4))
    sure, wanted = (np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for each in (logits, logits / 1.7))
    tempered = with_temperatures({"sound": sure, "age": logits}, {"sound": 1.7})
    np.testing.assert_allclose(tempered["sound"], wanted)
    np.testing.assert_array_equal(tempered["sound"].argsort(), sure.argsort())
    assert tempered["age"] is logits
    np.testing.assert_allclose(with_temperatures(tempered, {"sound": 1.7}, inverse=True)["sound"], sure)


def test_probabilities_of_0_and_1_that_are_all_right_or_all_wrong_have_an_allowed_temperature():
    assert 0.1 <= fit_temperature(np.array([[1.0, 0.0]] * 9, np.float32), [0] * 9) < 1
    assert fit_temperature(np.array([[1.0, 0.0]] * 9, np.float32), [1] * 9) == pytest.approx(10, rel=0.01)
    assert np.isfinite(temper(np.full((1, 1000), 0.001, np.float32), 0.1)).all()


def test_only_classifications_with_labels_of_two_speakers_have_a_temperature():
    sure, classes = too_sure(np.random.default_rng(3), 40)
    speakers = ["A"] * 20 + ["B"] * 20
    predictions, labels = {"sound": sure, "age": np.ones((40, 1))}, {"sound": classes, "age": np.ones((40, 1))}
    assert set(fit_temperatures([AGE, SOUND], predictions, labels, speakers)) == {"sound"}
    missing = np.where(np.arange(40) < 20, classes, -1)
    assert fit_temperatures([SOUND], predictions, {"sound": missing}, speakers) == {}
    two = np.where(np.arange(40) < 30, classes, -1)
    found = fit_temperatures([SOUND], predictions, {"sound": two}, speakers)
    assert found == {"sound": pytest.approx(fit_temperature(sure[:30], classes[:30]))}


def test_the_error_of_the_clips_that_gave_a_temperature_is_with_that_of_the_other_speakers():
    random = np.random.default_rng(4)
    (sure, classes), (other, others) = too_sure(random, 60), too_sure(random, 90, temperature=0.5)
    everything = {"sound": np.concatenate([sure, other])}
    labelled = (everything, {"sound": np.concatenate([classes, others])}, ["A"] * 60 + ["B"] * 90)
    temperatures = fit_temperatures([SOUND], *labelled)
    of_task = measure_calibration([SOUND], temperatures, labelled, crossed=True)["sound"]
    crossed = [temper(sure, fit_temperature(other, others)), temper(other, fit_temperature(sure, classes))]
    wanted = expected_calibration_error(np.concatenate(crossed), labelled[1]["sound"])
    assert of_task["after"] == pytest.approx(wanted)
    assert of_task["clips"] == 150 and of_task["temperature"] == temperatures["sound"]
    assert of_task["before"] == expected_calibration_error(everything["sound"], labelled[1]["sound"])
    alike = measure_calibration([SOUND], temperatures, labelled, crossed=False)["sound"]
    tempered = temper(everything["sound"], temperatures["sound"])
    assert alike["after"] == expected_calibration_error(tempered, labelled[1]["sound"]) < wanted
