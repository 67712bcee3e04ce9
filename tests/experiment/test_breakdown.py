"""What stands behind the scores: their spread over speakers, worst classes, reliability; in the record, on the card."""

import json

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from burst2vec import Burst2VecConfig
from burst2vec.answers import temper
from burst2vec.experiment.breakdown import by_speaker
from burst2vec.experiment.calibration import Calibration
from burst2vec.experiment.inputs import Clips
from burst2vec.experiment.model_card import model_card
from burst2vec.experiment.results import Outcome
from burst2vec.experiment.run_record import RunRecord
from burst2vec.experiment.sections import DataArguments
from burst2vec.scoring.temperature import reliability_bins
from burst2vec.tasks import TASK_PRESETS

AGE, COUNTRY = (task for task in TASK_PRESETS["exvo"] if task.name in ("age", "country"))
TASKS = (AGE, COUNTRY)
CLIPS, CLASSES = 240, len(COUNTRY.labels)
TOO_SURE = 3.0


def predicted(seed=0):
    """Six speakers' clips, of whom the first are labelled at random, and probabilities that are too near 0 and 1."""
    rng = np.random.default_rng(seed)
    speakers = np.array([f"{number:06d}" for number in np.arange(CLIPS) % 6])
    probabilities = rng.dirichlet(np.full(CLASSES, 0.3), CLIPS)
    country = (probabilities.cumsum(axis=1) > rng.random((CLIPS, 1))).argmax(axis=1)
    country[speakers == "000000"] = rng.integers(0, CLASSES, CLIPS // 6)
    age = rng.uniform(20, 40, (CLIPS, 1))
    predictions = {"age": age + rng.normal(0, 3, age.shape), "country": temper(probabilities, 1 / TOO_SURE)}
    columns = {"file_id": list(map(str, range(CLIPS))), "speaker": speakers, "age": age, "country": country}
    return Clips(Dataset.from_dict(columns), []), predictions, speakers, country


@pytest.fixture(autouse=True, scope="module")
def no_other_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("burst2vec.experiment.results.plot_predictions", lambda *_: [])
        yield


def outcome_of(folder, corpus="emogator"):
    clips, predictions, _, _ = predicted()
    calibration = Calibration(TASKS, Burst2VecConfig(tasks=[task.to_dict() for task in TASKS]), frozenset())
    outcome = Outcome(folder, TASKS, None, calibration)
    outcome.add("validation", clips, predictions, DataArguments(corpus=corpus), clips.dataset["file_id"])
    return outcome


@pytest.fixture(scope="module")
def broken_down(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, outcome_of(folder)


def test_a_bin_holds_its_upper_edge():
    bins = reliability_bins([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]], [0, 1, 0], bins=4)
    assert [values.tolist() for values in bins] == [[0.5, 0.75, 1.0], [1.0, 0.0, 1.0], [1, 1, 1]]


def test_the_reliability_of_a_classification_is_drawn(broken_down):
    folder, _ = broken_down
    with Image.open(folder / "plots" / "validation_country_reliability.png") as picture:
        assert picture.width > 600 and len(picture.getcolors(2**24)) > 20


def test_the_record_tells_worst_speakers_and_classes(broken_down):
    _, outcome = broken_down
    told = outcome.by_speaker["validation"]["country"]
    (speaker, recall, clips), *_ = told["worst"]
    assert (speaker, clips, told["speakers"]) == ("000000", 40, 6) and recall < 0.4
    low, high = told["interval"]
    assert low < told["all"] < high and told["all"] == pytest.approx(outcome.scores["validation"]["country_uar"])
    recalls = [recall for _, recall, *_ in told["worst_classes"]]
    assert recalls == sorted(recalls) and len(recalls) == CLASSES
    json.dumps(outcome.by_speaker, allow_nan=False)


def test_speakers_of_a_corpus_that_is_not_public_are_not_named(tmp_path, monkeypatch):
    monkeypatch.setattr("burst2vec.experiment.results.plot_reliability", lambda *_: None)
    outcome = outcome_of(tmp_path, corpus="hume_vb")
    assert [name for name, *_ in outcome.by_speaker["validation"]["country"]["worst"]] == [None] * 5


def test_too_few_speakers_have_no_interval():
    clips, predictions, speakers, country = predicted()
    labels = {"age": np.array(clips.dataset["age"]), "country": country}
    first = [{name: np.asarray(values)[:4] for name, values in each.items()} for each in (predictions, labels)]
    assert by_speaker(TASKS, *first, speakers[:4], named=True) == {}


def test_the_card_says_it_all(broken_down):
    _, outcome = broken_down
    record = RunRecord(
        corpora=["emogator"],
        recipe={"model": {"encoder": {"kind": "spectrogram_cnn"}}},
        seed=1,
        clips={"validation": {"used": CLIPS, "skipped": 0}},
        scores=outcome.scores,
        baseline={"validation": {}},
        by_speaker=outcome.by_speaker,
        calibration=outcome.calibration.errors,
    )
    text = model_card("mine", record, TASKS).text
    low, high = outcome.by_speaker["validation"]["country"]["interval"]
    assert f"{low:.3f} to {high:.3f}" in text and "| 000000  | " in text and "most often taken for" in text
    assert "Expected calibration error" in text and "It must not decide anything about a person" in text
