import pytest

from burst2vec.tasks import AGE, EXVO_EMOTIONS, TASK_PRESETS, Task, resolve_tasks


def test_the_exvo_preset_is_the_challenge():
    emotion, age, country = TASK_PRESETS["exvo"]
    assert emotion.labels == EXVO_EMOTIONS and len(set(EXVO_EMOTIONS)) == 10
    assert country.labels == ("China", "South Africa", "United States", "Venezuela")
    assert [task.score_name for task in (emotion, age, country)] == ["emotion_ccc", "age_mae", "country_uar"]


def test_the_avb_preset_is_the_four_tasks_of_the_challenge():
    high, two, culture, voc_type = TASK_PRESETS["avb"]
    assert high.labels == EXVO_EMOTIONS and two.labels == ("Valence", "Arousal")
    assert len(set(culture.labels)) == 40
    assert (culture.labels[0], culture.labels[-1]) == ("China_Awe", "Venezuela_Surprise")
    assert {label.split("_")[0] for label in culture.labels} == {"China", "South Africa", "United States", "Venezuela"}
    assert voc_type.labels == ("Gasp", "Laugh", "Cry", "Scream", "Grunt", "Groan", "Pant", "Other")
    names = [task.score_name for task in (high, two, culture, voc_type)]
    assert names == ["high_ccc", "two_ccc", "culture_ccc", "type_uar"]
    assert {task.span for task in (high, two, culture)} == {(0.0, 1.0)}


def test_emogator_has_nine_emotions_and_thirty_categories():
    emotion, category = TASK_PRESETS["emogator"]
    assert len(emotion.labels) == 9 and "Horror" not in emotion.labels and len(category.labels) == 30


def test_units_go_there_and_back():
    assert AGE.to_unit(0.5) == 30.0 and AGE.from_unit(30.0) == 0.5


def test_loss_and_metric_default_to_those_of_the_kind():
    kind = Task("kind", kind="classification", labels=("laugh", "cry"))
    assert (kind.loss, kind.metric, kind.score_name) == ("cross_entropy", "uar", "kind_uar")
    pain = Task("pain", kind="regression", labels=("pain",))
    assert (pain.loss, pain.metric) == ("ccc", "ccc")
    assert Task(**kind.to_dict()) == kind


def test_records_survive_dictionaries():
    for preset in TASK_PRESETS.values():
        assert resolve_tasks([task.to_dict() for task in preset]) == preset


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "my task"}, "must be an identifier"),
        ({"kind": "ranking"}, "kind 'ranking' is not one of"),
        ({"loss": "cross_entropy"}, "loss 'cross_entropy' is not one of"),
        ({"metric": "uar"}, "metric 'uar' is not one of"),
        ({"output": "tanh"}, r"output 'tanh' is not one of \['sigmoid', 'linear'\]"),
        ({"labels": ()}, "labels must be one or more"),
        ({"labels": ("a", "a")}, "different names"),
        ({"span": (1, 1)}, "must rise"),
        ({"span": (0, float("inf"))}, "must rise, from one finite number to another"),
        ({"span": (0, 1, 2)}, "must rise"),
        ({"span": "01"}, "must rise"),
        ({"name": 3}, "task name 3 must be an identifier"),
        ({"labels": "pain"}, "labels must be a list of names in quotes, got 'pain'"),
        ({"labels": [True, False]}, r"labels must be a list of names in quotes, got \[True, False\]"),
        ({"kind": ["regression"]}, r"kind \['regression'\] is not one of"),
        ({"loss_weight": float("inf")}, "loss_weight inf must be 0 or more, and finite"),
        ({"loss_weight": "2"}, "loss_weight '2' must be 0 or more"),
        ({"loss_weight": -1.0}, "must be 0 or more"),
        ({"kind": "classification", "loss": "cross_entropy", "metric": "uar", "labels": ("a",)}, "two or more labels"),
    ],
)
def test_a_wrong_field_is_named(fields, message):
    with pytest.raises(ValueError, match=message):
        Task(**{"name": "pain", "kind": "regression", "labels": ("pain",), **fields})


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("avb2023", "unknown task preset"),
        ([], "one or more"),
        (3, "one or more tasks of different names, got 3"),
        ({"name": "age"}, "one or more tasks of different names, got {'name': 'age'}"),
        (["age"], "a task is a record, or a mapping with its fields, got 'age'"),
        ([{"name": "pain", "kind": "regression"}], r"task 'pain': lacks \['labels'\]"),
        ([{"preset": ["exvo"], "name": "age"}], "unknown task preset"),
        ([AGE, AGE], "different names"),
        ([{"nam": "x"}], "unknown task fields"),
        ([{"preset": "avb2023", "name": "age"}], "unknown task preset"),
        ([{"preset": "exvo", "name": "pain"}], "has no task 'pain'; it has"),
    ],
)
def test_a_wrong_task_set_is_named(tasks, message):
    with pytest.raises(ValueError, match=message):
        resolve_tasks(tasks)


def test_a_task_of_a_preset_can_be_changed_in_one_field():
    emotion, age = resolve_tasks(
        [{"preset": "exvo", "name": "emotion", "loss": "mae", "loss_weight": 80}, {"preset": "exvo", "name": "age"}]
    )
    assert (emotion.loss, emotion.loss_weight, emotion.metric) == ("mae", 80, "ccc") and len(emotion.labels) == 10
    assert age == AGE
