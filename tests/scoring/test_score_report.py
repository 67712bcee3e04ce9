"""Named scores of a task set, its constant baseline, and the table of both."""

from dataclasses import replace

import numpy as np
import pytest

from burst2vec.scoring import (
    baseline_predictions,
    concordance_cc,
    format_report,
    mean_absolute_error,
    pearson_correlation,
    s_mtl,
    score_tasks,
    unweighted_average_recall,
    weighted_average_recall,
)
from burst2vec.tasks import EXVO_EMOTIONS, TASK_PRESETS, Task

EXVO = TASK_PRESETS["exvo"]
NAN = float("nan")
PAIN = Task("pain", kind="regression", labels=("pain",), unit="points", span=(0, 10), loss="mae", metric="mae")
SIDES = Task("sides", kind="regression", labels=("left", "right"), loss="mae", metric="mae")


def exvo_references(n, seed=0):
    random = np.random.default_rng(seed)
    return {
        "emotion": random.uniform(size=(n, 10)),
        "age": random.uniform(20, 39, size=(n, 1)),
        "country": random.permutation(np.arange(n) % 4),
    }


def exvo_predictions(references, seed=1):
    random = np.random.default_rng(seed)
    n = len(references["age"])
    return {
        "emotion": np.clip(references["emotion"] + random.normal(size=(n, 10)) / 5, 0, 1),
        "age": references["age"] + random.normal(size=(n, 1)),
        "country": np.eye(4)[references["country"]] + random.uniform(size=(n, 4)),
    }


def test_every_score_has_its_name_and_is_the_formula_on_its_columns():
    references = exvo_references(60)
    predictions = exvo_predictions(references)
    scores = score_tasks(EXVO, predictions, references)
    assert list(scores) == [
        "emotion_ccc",
        *(f"emotion_ccc/{emotion}" for emotion in EXVO_EMOTIONS),
        "emotion_pearson",
        *(f"emotion_pearson/{emotion}" for emotion in EXVO_EMOTIONS),
        "age_mae",
        "country_uar",
        "country_war",
        "s_mtl",
    ]
    assert all(type(score) is float for score in scores.values())
    assert scores["emotion_ccc"] == concordance_cc(predictions["emotion"], references["emotion"])
    assert scores["emotion_ccc/Fear"] == concordance_cc(predictions["emotion"][:, 4], references["emotion"][:, 4])
    assert scores["emotion_pearson"] == pearson_correlation(predictions["emotion"], references["emotion"])
    assert scores["emotion_pearson/Awe"] == pearson_correlation(
        predictions["emotion"][:, 0], references["emotion"][:, 0]
    )
    assert scores["age_mae"] == mean_absolute_error(predictions["age"], references["age"])
    assert scores["country_uar"] == unweighted_average_recall(predictions["country"], references["country"])
    assert scores["country_war"] == weighted_average_recall(predictions["country"], references["country"])
    assert scores["s_mtl"] == s_mtl(scores["emotion_ccc"], scores["country_uar"], scores["age_mae"])


def test_a_task_of_one_label_takes_references_with_or_without_the_axis():
    references = exvo_references(20)
    predictions = exvo_predictions(references)
    flat = {**references, "age": references["age"][:, 0]}
    assert score_tasks(EXVO, predictions, flat) == score_tasks(EXVO, predictions, references)
    assert (
        baseline_predictions(EXVO, flat, 3)["age"].tolist() == baseline_predictions(EXVO, references, 3)["age"].tolist()
    )


def test_labels_and_tasks_without_references_have_no_key():
    references = exvo_references(20)
    predictions = exvo_predictions(references)
    references["emotion"][:, 0] = NAN
    references["age"][:] = NAN
    references["country"][3:] = -1
    scores = score_tasks(EXVO, predictions, references)
    assert "emotion_ccc/Awe" not in scores and "emotion_ccc/Surprise" in scores
    assert scores["emotion_ccc"] == pytest.approx(np.mean([scores[f"emotion_ccc/{e}"] for e in EXVO_EMOTIONS[1:]]))
    assert "age_mae" not in scores and "s_mtl" not in scores and "country_uar" in scores
    references["country"][:] = -1
    assert not {"country_uar", "country_war"} & score_tasks(EXVO, predictions, references).keys()


def test_s_mtl_is_of_exvos_three_whatever_is_predicted_beside_them():
    references = exvo_references(20)
    predictions = exvo_predictions(references)
    both = {"pain": np.ones((20, 1)), "high": np.tile(np.linspace(0, 1, 20), (10, 1)).T}
    tasks = [PAIN, *EXVO, TASK_PRESETS["avb"][0]]
    scores = score_tasks(tasks, {**predictions, **both}, {**references, **both})
    assert scores["high_ccc"] == pytest.approx(1) and scores["pain_mae"] == 0
    assert scores["s_mtl"] == score_tasks(EXVO, predictions, references)["s_mtl"]


def test_s_mtl_of_other_tasks_needs_exactly_one_of_each_metric():
    references = exvo_references(20)
    predictions = exvo_predictions(references)
    assert "s_mtl" not in score_tasks(EXVO[:2], predictions, references)
    both = {"pain": np.ones((20, 1)), "years": references["age"], "origin": references["country"]}
    emotion, *others = EXVO
    years, origin = (replace(task, name=name) for task, name in zip(others, ("years", "origin"), strict=True))
    predictions |= {"pain": np.ones((20, 1)), "years": predictions["age"], "origin": predictions["country"]}
    assert "s_mtl" in score_tasks([emotion, years, origin], predictions, {**references, **both})
    assert "s_mtl" not in score_tasks([emotion, years, origin, PAIN], predictions, {**references, **both})


def test_an_mae_of_several_labels_is_named_by_label_too():
    scores = score_tasks([SIDES], {"sides": np.array([[0.0, 0.5]])}, {"sides": np.array([[0.5, 0.75]])})
    assert scores == {"sides_mae": 0.375, "sides_mae/left": 0.5, "sides_mae/right": 0.25}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, r: p.pop("age"), r"task 'age': no predictions; there are some for \['country', 'emotion'\]"),
        (lambda p, r: r.pop("age"), r"task 'age': no references"),
        (lambda p, r: p.update(age=p["age"][:, 0]), r"task 'age': predictions have shape \(20,\); expected \(n, 1\)"),
        (lambda p, r: p.update(country=p["country"][:, :3]), r"task 'country': predictions have shape \(20, 3\)"),
        (
            lambda p, r: p.update(emotion=p["emotion"][:19]),
            r"task 'emotion': .*shape \(19, 10\) and references \(20, 10\)",
        ),
        (lambda p, r: np.put(p["emotion"], 37, NAN), r"task 'emotion': row 3, column 7: the prediction is nan"),
        (lambda p, r: p.update(age=[["old"]] * 20), r"task 'age': predictions must be numbers"),
        (lambda p, r: r.update(country=["China"] * 20), r"task 'country': references must be numbers"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_task_row_and_value(change, message):
    references = exvo_references(20)
    predictions = exvo_predictions(references)
    change(predictions, references)
    with pytest.raises(ValueError, match=message):
        score_tasks(EXVO, predictions, references)


def test_references_that_are_all_missing_are_refused():
    with pytest.raises(ValueError, match=r"nothing to score: no task of \['pain'\]"):
        score_tasks([PAIN], {"pain": [[1.0]]}, {"pain": [NAN]})


# Constant baselines


def test_baseline_predictions_are_the_mean_the_median_and_the_majority_of_training():
    train = {
        "emotion": np.array([[0.0] * 10, [0.2] * 10, [NAN] * 10]),
        "age": np.array([20.0, 21.0, 39.0]),
        "country": np.array([3, 3, 1]),
    }
    baseline = baseline_predictions(EXVO, train, n=4)
    assert baseline["emotion"] == pytest.approx(np.full((4, 10), 0.1))
    assert baseline["age"].tolist() == [[21.0]] * 4
    assert baseline["country"].tolist() == [[0, 0, 0, 1]] * 4


def test_baseline_predictions_score_zero_concordance_chance_recall_and_zero_s_mtl():
    references = exvo_references(40)
    scores = score_tasks(EXVO, baseline_predictions(EXVO, exvo_references(80, seed=2), 40), references)
    assert scores["emotion_ccc"] == 0.0 and scores["country_uar"] == 0.25 and scores["s_mtl"] == 0.0


def test_no_constant_age_beats_the_median_on_its_own_clips():
    ages = np.array([20.0, 21, 22, 24, 39])
    median = baseline_predictions(EXVO[1:2], {"age": ages}, 5)["age"][:, 0]
    best = min(mean_absolute_error(np.full(5, constant), ages) for constant in np.linspace(15, 45, 301))
    assert mean_absolute_error(median, ages) <= best


def test_baseline_predictions_without_training_references_are_the_middle_of_the_span_and_equal_chances():
    train = {"pain": [NAN, NAN], "country": [-1, NAN]}
    baseline = baseline_predictions([PAIN, EXVO[2]], train, n=1)
    assert baseline["pain"].tolist() == [[5.0]] and baseline["country"].tolist() == [[0.25] * 4]


@pytest.mark.parametrize(
    ("task", "references", "message"),
    [
        (EXVO[2], [0, 4], r"task 'country': .*0 to 3 or -1 where missing; got shape \(2,\), values \[0.0, 4.0\]"),
        (EXVO[2], [[0], [1]], r"task 'country': .*got shape \(2, 1\)"),
        (EXVO[2], ["China"], r"task 'country': training references must be numbers"),
        (EXVO[0], np.zeros((2, 9)), r"task 'emotion': .*\(clips, 10\); got shape \(2, 9\)"),
        (EXVO[0], np.zeros(10), r"task 'emotion': .*got shape \(10,\)"),
        (PAIN, [1.0, float("inf")], r"task 'pain': training references must be finite or NaN"),
    ],
)
def test_training_references_of_another_task_are_refused(task, references, message):
    with pytest.raises(ValueError, match=message):
        baseline_predictions([task], {task.name: references}, 2)


def test_a_task_without_training_references_is_refused():
    with pytest.raises(ValueError, match=r"task 'pain': no training references; there are some for \['age'\]"):
        baseline_predictions([PAIN], {"age": [1.0]}, 2)


# The table


def test_the_report_shows_every_score_beside_its_constant_baseline():
    scores = {"emotion_ccc": 0.645, "emotion_ccc/Awe": 0.7, "age_mae": 3.709, "country_uar": 0.676, "s_mtl": 0.445}
    baseline = {"emotion_ccc": 0.0, "emotion_ccc/Awe": 0.0, "age_mae": 4.2, "country_uar": 0.25, "s_mtl": 0.0}
    assert format_report(EXVO, scores, baseline, clips=9396).splitlines() == [
        "Clips scored: 9,396",
        "",
        "| score           | model | baseline | better | what it predicts    |",
        "| :-------------- | ----: | -------: | :----- | :------------------ |",
        "| emotion_ccc     | 0.645 |    0.000 | higher | mean of each label  |",
        "| emotion_ccc/Awe | 0.700 |    0.000 | higher |                     |",
        "| age_mae (years) | 3.709 |    4.200 | lower  | median              |",
        "| country_uar     | 0.676 |    0.250 | higher | most frequent class |",
        "| s_mtl           | 0.445 |    0.000 | higher |                     |",
    ]


def test_the_accuracy_of_a_classification_has_a_row_of_its_own():
    scores = {"country_uar": 0.676, "country_war": 0.7}
    lines = format_report(EXVO[2:], scores, {"country_uar": 0.25, "country_war": 0.4}).splitlines()
    assert lines[3].split("|")[1:6] == [" country_war ", " 0.700 ", "    0.400 ", " higher ", " most frequent class "]


def test_pearsons_correlation_has_a_row_beside_the_ccc_and_that_of_a_constant_is_zero():
    (two,) = [task for task in TASK_PRESETS["avb"] if task.name == "two"]
    references = {"two": np.array([[0.2, 0.1], [0.2, 0.3], [0.5, 0.2]])}
    scores = score_tasks([two], {"two": np.array([[0.1, 0.1], [0.2, 0.3], [0.3, 0.2]])}, references)
    assert scores["two_pearson/Valence"] == pytest.approx(3 / 12**0.5) and scores["two_pearson/Arousal"] == 1.0
    baseline = score_tasks([two], baseline_predictions([two], references, 3), references)
    assert {baseline[name] for name in scores} == {0.0}
    lines = format_report([two], scores, baseline).splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == [
        "two_ccc",
        "two_pearson",
        "two_ccc/Valence",
        "two_ccc/Arousal",
    ]
    cells = [cell.strip() for cell in lines[1].split("|")[1:6]]
    assert cells == ["two_pearson", "0.933", "0.000", "higher", "mean of each label"]


def test_a_score_that_is_not_defined_is_shown_as_a_dash():
    lines = format_report([PAIN], {}, {}).splitlines()
    assert lines[0].startswith("| score") and lines[2].split("|")[2:4] == ["     - ", "        - "]
