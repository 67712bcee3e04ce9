"""Fusion against weights worked by hand, a naive search, and what it promises."""

import itertools

import numpy as np
import pytest

from burst2vec.scoring import concordance_cc, mean_absolute_error, score_tasks
from burst2vec.scoring.fusion import choose_best, choose_weights, mean_of, weighted
from burst2vec.tasks import AGE, Task

EMOTION = Task("emotion", kind="regression", labels=("Awe", "Fear"))
COUNTRY = Task("country", kind="classification", labels=("A", "B", "C"), loss="cross_entropy", metric="uar")
TASKS = (EMOTION, AGE, COUNTRY)


def made_up_systems(count, clips=120, seed=0):
    """Labels, and systems that predict each task with noise of their own and a bias."""
    chance = np.random.default_rng(seed)
    references = {
        "emotion": chance.random((clips, 2)),
        "age": chance.uniform(20, 39, (clips, 1)),
        "country": chance.integers(0, 3, clips),
    }
    systems = []
    for _ in range(count):
        noise = chance.uniform(0.1, 0.6)
        logits = np.eye(3)[references["country"]] + 3 * noise * chance.normal(size=(clips, 3))
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        systems.append(
            {
                "emotion": references["emotion"] + noise * chance.normal(size=(clips, 2)),
                "age": references["age"] + 10 * noise * chance.normal(size=(clips, 1)) + chance.normal(),
                "country": probabilities,
            }
        )
    return systems, references


def test_the_mean_and_the_weighted_mean_are_those_worked_by_hand():
    systems = [{"country": [[0.8, 0.2]], "age": [[20]]}, {"country": [[0.2, 0.8]], "age": [[30]]}]
    fused = mean_of(systems)
    assert fused["country"].tolist() == [[0.5, 0.5]] and fused["age"].tolist() == [[25.0]]
    fused = weighted(systems, {"age": [0.0, 1.0], "country": [0.75, 0.25]})
    assert fused["age"].tolist() == [[30.0]]
    np.testing.assert_allclose(fused["country"], [[0.65, 0.35]])  # 0.75·0.8 + 0.25·0.2


def test_one_system_is_itself():
    systems, references = made_up_systems(1)
    assert choose_weights(TASKS, systems, references) == {"emotion": [1.0], "age": [1.0], "country": [1.0]}
    for task, values in mean_of(systems).items():
        np.testing.assert_array_equal(values, systems[0][task])


def test_unequal_errors_of_opposite_sign_cancel_at_the_weight_worked_by_hand():
    """One year too young and three too old: w·(−1) + (1 − w)·3 = 0 at w = 3/4."""
    truth = np.array([[20.0], [25.0], [31.0]])
    assert choose_weights([AGE], [{"age": truth - 1}, {"age": truth + 3}], {"age": truth}) == {"age": [0.75, 0.25]}


def test_two_systems_are_searched_as_a_naive_loop_does():
    systems, references = made_up_systems(2, seed=3)
    chosen = choose_weights([EMOTION, AGE], [{t: s[t] for t in ("emotion", "age")} for s in systems], references)
    for task, score, sign in (("emotion", concordance_cc, 1), ("age", mean_absolute_error, -1)):
        first, second = systems[0][task], systems[1][task]
        naive = [sign * score(k / 20 * first + (20 - k) / 20 * second, references[task]) for k in range(21)]
        assert chosen[task] == pytest.approx([np.argmax(naive) / 20, 1 - np.argmax(naive) / 20])


@pytest.mark.parametrize(("count", "seed"), [*itertools.product((2, 3, 5), (0, 1, 2))])
def test_on_the_clips_it_was_chosen_on_it_is_never_worse_than_the_best_single(count, seed):
    systems, references = made_up_systems(count, seed=seed)
    weights = choose_weights(TASKS, systems, references)
    fused = score_tasks(TASKS, weighted(systems, weights), references)
    singles = [score_tasks(TASKS, system, references) for system in systems]
    for task in TASKS:
        assert sum(weights[task.name]) == pytest.approx(1) and min(weights[task.name]) >= 0
        best = (min if task.metric == "mae" else max)(single[task.score_name] for single in singles)
        assert (best - fused[task.score_name]) * (-1 if task.metric == "mae" else 1) <= 1e-12


@pytest.mark.parametrize("count", [2, 3, 5])
def test_complementary_systems_gain_and_the_gain_holds_on_other_clips(count):
    systems, references = made_up_systems(count, clips=400)
    chosen_on, held_out = slice(0, 200), slice(200, None)
    part = lambda given, clips: {task: values[clips] for task, values in given.items()}  # noqa: E731
    weights = choose_weights(TASKS, [part(system, chosen_on) for system in systems], part(references, chosen_on))
    best = choose_best(TASKS, [part(system, chosen_on) for system in systems], part(references, chosen_on))
    others = [part(system, held_out) for system in systems]
    fused = score_tasks(TASKS, weighted(others, weights), part(references, held_out))
    single = score_tasks(TASKS, weighted(others, best), part(references, held_out))
    assert fused["emotion_ccc"] > single["emotion_ccc"] and fused["age_mae"] < single["age_mae"]
    assert fused["country_uar"] >= single["country_uar"]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_useless_system_gets_weight_0(count):
    """It answers by chance, wildly, and is certain of a wrong country."""
    systems, references = made_up_systems(count - 1)
    chance, clips = np.random.default_rng(1), len(references["country"])
    useless = {
        "emotion": chance.normal(0, 100, (clips, 2)),
        "age": chance.normal(30, 1_000, (clips, 1)),
        "country": np.eye(3)[(references["country"] + 1) % 3],
    }
    weights = choose_weights(TASKS, [*systems, useless], references)
    assert [weights[task.name][-1] for task in TASKS] == [0.0, 0.0, 0.0]


def test_many_systems_are_searched_close_to_the_best_of_the_whole_grid():
    systems, references = made_up_systems(4, seed=5)
    systems = [{"age": system["age"]} for system in systems]
    (weights,) = choose_weights([AGE], systems, references).values()
    ages = np.stack([system["age"][:, 0] for system in systems])
    every = [np.array(p) / 20 for p in itertools.product(range(21), repeat=4) if sum(p) == 20]
    naive = min(np.abs(w @ ages - references["age"][:, 0]).mean() for w in every)
    assert np.abs(np.array(weights) @ ages - references["age"][:, 0]).mean() <= 1.02 * naive


def test_the_same_question_has_the_same_answer():
    systems, references = made_up_systems(5, seed=7)
    assert choose_weights(TASKS, systems, references) == choose_weights(TASKS, systems, references)


def test_the_best_single_is_chosen_task_by_task_and_the_first_among_equals():
    systems, references = made_up_systems(2)
    better = {"emotion": references["emotion"], "age": systems[0]["age"], "country": systems[1]["country"]}
    worse = {**systems[0], "age": references["age"], "country": systems[1]["country"]}
    best = choose_best(TASKS, [worse, better], references)
    assert best == {"emotion": [0.0, 1.0], "age": [1.0, 0.0], "country": [1.0, 0.0]}


def test_a_missing_label_is_left_out_of_the_choice():
    systems = [{"age": [[20.0], [99.0]]}, {"age": [[50.0], [30.0]]}]
    assert choose_weights([AGE], systems, {"age": [20.0, np.nan]}) == {"age": [1.0, 0.0]}


ONE = {"age": [[20.0], [30.0]]}
SURE = {"country": [[1.0, 0.0, 0.0]]}


@pytest.mark.parametrize(
    ("systems", "message"),
    [
        ([], "no predictions to fuse"),
        ([{}], r"system 0 predicts the tasks \[\]"),
        ([ONE, {"emotion": [[1.0]]}], r"system 1 predicts the tasks \['emotion'\], system 0 \['age'\]"),
        ([ONE, {"age": [[20.0]]}], r"system 1, task 'age': predictions have shape \(1, 1\); .*the same clips"),
        ([{"age": [20.0]}], r"system 0, task 'age': predictions have shape \(1,\); expected \(clips, labels\)"),
        ([ONE, {"age": [[20.0], [np.nan]]}], "system 1, task 'age': row 1, column 0 is nan"),
        ([{"age": [["old"]]}], "must be numbers"),
    ],
)
def test_what_cannot_be_averaged_is_refused(systems, message):
    with pytest.raises(ValueError, match=message):
        mean_of(systems)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"emotion": [0.5, 0.5]}, r"weights are for the tasks \['emotion'\], predictions for \['age'\]"),
        ({"age": [1.0]}, r"weights have shape \(1,\); expected \(2,\)"),
        ({"age": [1.5, -0.5]}, r"must be 0 or more and sum to 1, got \[1.5, -0.5\]"),
        ({"age": [0.5, 0.6]}, "must be 0 or more and sum to 1"),
        ({"age": [np.nan, 1.0]}, "must be 0 or more and sum to 1"),
    ],
)
def test_weights_that_are_no_mean_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        weighted([ONE, ONE], weights)


@pytest.mark.parametrize(
    ("task", "systems", "references", "message"),
    [
        (AGE, [SURE], {"age": [20.0]}, r"the tasks are \['age'\], predictions are for \['country'\]"),
        (AGE, [ONE, ONE], {"age": [np.nan, np.nan]}, "nothing to score: no task of .'age'. has a valid reference"),
        (COUNTRY, [SURE, {"country": [[3.0, -1.0, -1.0]]}], {"country": [0]}, "system 1, .*fused on probabilities"),
        (COUNTRY, [{"country": [[0.9, 0.9, 0.9]]}], {"country": [0]}, "system 0, .*of sum 1"),
        (COUNTRY, [{"country": [[0.5, 0.5]]}], {"country": [0]}, r"shape \(1, 2\); expected \(n, 3\)"),
        (AGE, [ONE], {"age": [20.0]}, "predictions have shape"),
    ],
)
def test_what_no_weights_can_be_chosen_on_is_refused(task, systems, references, message):
    for choose in (choose_weights, choose_best):
        with pytest.raises(ValueError, match=message):
            choose([task], systems, references)
