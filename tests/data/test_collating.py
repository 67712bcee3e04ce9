"""Rows to batches: labels for every task, missing ones marked, the task along."""

import io

import numpy as np
import pytest
import soundfile
import torch
from datasets import ClassLabel, Dataset

from burst2vec.audio import change_speed
from burst2vec.data.collating import BurstCollator, DrawnClips, corpus_labels, label_array
from burst2vec.data.sampling import Draw
from burst2vec.feature_extraction_burst2vec import Burst2VecFeatureExtractor
from burst2vec.tasks import TASK_PRESETS

EMOTION, AGE, COUNTRY = TASK_PRESETS["exvo"]


def clip(samples, rate=16_000):
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(samples).normal(0, 0.1, samples), rate, format="WAV", subtype="FLOAT")
    return {"bytes": file.getvalue(), "path": None}


def rows(**changes):
    first = {"file_id": "00001", "audio": clip(800), "emotion": [0.5] * 10, "age": 30.0, "country": 3}
    second = {"file_id": "00002", "audio": clip(500), "emotion": None, "age": float("nan"), "country": -1}
    return [{**first, **changes}, {**second, **({"task": changes["task"]} if "task" in changes else {})}]


@pytest.fixture
def collate():
    return BurstCollator(Burst2VecFeatureExtractor(), "exvo")


def test_a_batch_is_padded_levelled_and_has_labels_of_every_task(collate):
    batch = collate(rows(task="emotion"))
    assert set(batch) == {"input_values", "attention_mask", "labels", "task"} and batch["task"] == "emotion"
    assert batch["input_values"].shape == (2, 800) and batch["input_values"].dtype == torch.float32
    assert batch["attention_mask"].sum(dim=1).tolist() == [800, 500] and batch["attention_mask"].dtype == torch.int64
    assert batch["input_values"][1, 500:].abs().sum() == 0
    assert float(batch["input_values"][0].square().mean().sqrt()) == pytest.approx(10 ** (-3 / 20), rel=1e-5)
    labels = batch["labels"]
    assert {name: (tuple(values.shape), values.dtype) for name, values in labels.items()} == {
        "emotion": ((2, 10), torch.float32),
        "age": ((2, 1), torch.float32),
        "country": ((2,), torch.int64),
    }
    assert labels["emotion"][1].isnan().all() and labels["age"][1].isnan().all()
    assert labels["country"].tolist() == [3, -1]


@pytest.mark.parametrize("changes", [{}, {"task": None}])
def test_a_joint_batch_names_no_task(collate, changes):
    assert "task" not in collate(rows(**changes))


def test_rows_without_any_label_column_still_give_labels(collate):
    unlabelled = [{"file_id": "00001", "audio": clip(800)}]
    labels = collate(unlabelled)["labels"]
    assert labels["emotion"].isnan().all() and labels["age"].isnan().all() and labels["country"].tolist() == [-1]


def test_rows_drawn_for_different_tasks_are_refused(collate):
    first, second = rows(task="emotion")
    with pytest.raises(ValueError, match=r"drawn for \['age', 'emotion'\]"):
        collate([first, {**second, "task": "age"}])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"audio": clip(399)}, "00001.*399 samples"),
        ({"audio": {"bytes": b"no sound", "path": None}}, "00001"),
        ({"age": 3.0}, "00001: age of task 'age' is 3; expected a number in 15..45 years"),
        ({"country": 4}, "00001: class of task 'country' is 4; expected a class index in 0..3"),
        ({"country": 0.5}, "00001: class of task 'country' is 0.5"),
        ({"country": "Chile"}, "column 'country': expected a class index in 0..3"),
        ({"emotion": [0.5] * 9}, "column 'emotion': expected 10 numbers in 0..1"),
        ({"emotion": [0.5] * 9 + [1.5]}, "00001: Surprise of task 'emotion' is 1.5"),
        ({"emotion": [float("inf")] + [0.5] * 9}, "00001: Awe of task 'emotion' is inf"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_row_that_cannot_be_trained_on_is_refused_by_name(collate, changes, message):
    with pytest.raises(ValueError, match=message):
        collate(rows(**changes))


def test_a_wrong_number_of_labels_is_told():
    with pytest.raises(
        ValueError, match="column 'emotion': expected 10 numbers in 0..1, or NaN .*, got 9 numbers per clip"
    ):
        label_array(EMOTION, [[0.5] * 9])


def test_one_label_may_be_a_number_or_a_list():
    assert label_array(AGE, [20.0, 30.0]).tolist() == label_array(AGE, [[20.0], [30.0]]).tolist() == [[20.0], [30.0]]


def test_nan_and_none_are_missing_classes():
    assert label_array(COUNTRY, [1, None, float("nan"), -1]).tolist() == [1, -1, -1, -1]


def test_a_corpus_without_a_column_has_none_of_its_labels():
    corpus = Dataset.from_dict({"file_id": ["a", "b"], "age": [20.0, None]})
    labels = corpus_labels(corpus, TASK_PRESETS["exvo"])
    assert labels["age"].ravel()[0] == 20 and np.isnan(labels["age"][1]).all()
    assert labels["country"].tolist() == [-1, -1] and labels["emotion"].shape == (2, 10)


def test_classes_numbered_in_another_order_are_refused():
    corpus = Dataset.from_dict({"country": [0, 1]})
    alphabetical = ["Venezuela", "United States", "South Africa", "China"]
    with pytest.raises(ValueError, match="column 'country' numbers the classes .*cast_column"):
        corpus_labels(corpus.cast_column("country", ClassLabel(names=alphabetical)), [COUNTRY])
    assert corpus_labels(corpus.cast_column("country", ClassLabel(names=list(COUNTRY.labels))), [COUNTRY])


def test_the_task_and_the_speed_of_a_draw_go_with_its_rows():
    corpus = Dataset.from_dict({"file_id": ["a", "b", "c"]})
    clips = DrawnClips(corpus)
    assert len(clips) == 3
    assert clips.__getitems__([Draw(2, "age"), Draw(0, "age", 1.1)]) == [
        {"file_id": "c", "task": "age", "speed": 1.0},
        {"file_id": "a", "task": "age", "speed": 1.1},
    ]
    assert clips[Draw(1, None)] == {"file_id": "b", "task": None, "speed": 1.0}


def test_a_clip_is_heard_at_the_speed_of_its_draw():
    collate = BurstCollator(Burst2VecFeatureExtractor(target_rms_dbfs=None), [AGE])
    row = {"file_id": "a", "audio": clip(16_500), "age": 30.0}
    batch = collate([row, {**row, "speed": 1.1}])
    assert batch["attention_mask"].sum(dim=1).tolist() == [16_500, 15_000]
    recorded = batch["input_values"][0].numpy()
    assert np.array_equal(batch["input_values"][1, :15_000], change_speed(recorded, 1.1))


def test_a_crop_is_taken_of_the_levelled_clip_from_its_place_to_no_further_than_its_end():
    collate = BurstCollator(Burst2VecFeatureExtractor(target_rms_dbfs=-20.0), [AGE])
    rows = [{"file_id": "a", "audio": clip(size), "age": 30.0} for size in (16_500, 16_500, 16_500, 3_000)]
    whole = collate(rows)["input_values"]
    places = [0.0, 0.5, 1 - 1e-9, 0.7]
    batch = collate([{**row, "crop": (place, 4000)} for row, place in zip(rows, places, strict=True)])
    assert batch["attention_mask"].sum(dim=1).tolist() == [4000, 4000, 4000, 3000]
    for row, (start, size) in enumerate([(0, 4000), (6250, 4000), (12_500, 4000), (0, 3000)]):
        assert torch.equal(batch["input_values"][row, :size], whole[row, start : start + size])
    assert not batch["input_values"][3, 3000:].any()


def test_the_place_of_a_draw_goes_with_its_row_where_crops_are_taken():
    clips = DrawnClips(Dataset.from_dict({"file_id": ["a", "b"]}), crop_samples=4000)
    assert clips[Draw(1, None, place=0.25)] == {"file_id": "b", "task": None, "speed": 1.0, "crop": (0.25, 4000)}
