"""Two-shot without tuning: the pipeline is given a few clips of a speaker with their labels."""

import re

import numpy as np
import pytest
import torch
from transformers import pipeline

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask, Burst2VecPipeline, personalise
from burst2vec.errors import AudioError, Burst2VecError, SupportError, WaveformError
from burst2vec.features import FEATURE_SETS, FeatureSet
from burst2vec.tasks import EXVO_EMOTIONS
from tests.conftest import noise_clips, tiny_model

SUPPORT, QUERY = noise_clips(4000, 6000), noise_clips(5000, 3000, 7000, seed=1)


@pytest.fixture(scope="module")
def analyse():
    return pipeline("vocal-burst-analysis", model=tiny_model(), feature_extractor=Burst2VecFeatureExtractor())


@pytest.fixture(scope="module")
def plain(analyse):
    return analyse(QUERY)


def enrolment_of(analyse, emotion=0.1, years=2.0, clips=SUPPORT):
    """The speaker's labels are the model's own answers, moved."""
    return [
        (
            clip,
            {
                "emotion": {name: min(1.0, value + emotion) for name, value in reversed(said["emotion"].items())},
                "age": said["age"] + years,
            },
        )
        for clip, said in zip(clips, analyse(clips), strict=True)
    ]


def test_answers_are_those_of_the_personalised_model_and_the_next_call_knows_nothing_of_it(analyse, plain):
    enrolment = enrolment_of(analyse)
    found = analyse(QUERY, enrolment=enrolment, batch_size=2)
    labels = {
        "emotion": [[labels["emotion"][name] for name in EXVO_EMOTIONS] for _, labels in enrolment],
        "age": [[labels["age"]] for _, labels in enrolment],
    }
    personal = personalise(analyse.model, analyse.feature_extractor, SUPPORT, labels)
    expected = Burst2VecPipeline(model=personal, feature_extractor=analyse.feature_extractor)(QUERY)
    for one, other, before in zip(found, expected, plain, strict=True):
        assert one["emotion"] == pytest.approx(other["emotion"], abs=1e-5)
        assert one["age"] == pytest.approx(other["age"], abs=1e-3) and one["age"] == pytest.approx(
            before["age"] + 2, abs=0.1
        )
        assert one["country"]["probabilities"] == pytest.approx(before["country"]["probabilities"], abs=1e-5)
    assert analyse(QUERY)[0] == plain[0] and analyse.model.config.bias_and_scale is None


def test_values_may_come_in_the_order_of_the_labels_and_for_all_calls_at_once(analyse):
    named = [(clip, {"emotion": labels["emotion"]}) for clip, labels in enrolment_of(analyse)]
    listed = [(clip, {"emotion": [of["emotion"][name] for name in EXVO_EMOTIONS]}) for clip, of in named]
    for_all = Burst2VecPipeline(analyse.model, feature_extractor=analyse.feature_extractor, enrolment=listed)
    lazily = list(analyse((clip for clip in QUERY), enrolment=named))
    assert for_all(QUERY[0]) == analyse(QUERY[0], enrolment=named) == lazily[0]


EMOTION = dict.fromkeys(EXVO_EMOTIONS, 0.5)


@pytest.mark.parametrize(
    ("enrolment", "error", "message"),
    [
        ([], SupportError, "enrolment must be one or more pairs of a clip and its labels, as in [('laugh.wav'"),
        ("laugh.wav", SupportError, "enrolment must be one or more pairs"),
        ([SUPPORT[0]], SupportError, "enrolment clip 0 (counted from 0): must be a pair"),
        ([(SUPPORT[0], {})], SupportError, "enrolment clip 0 (counted from 0): must be a pair"),
        ([(SUPPORT[0], {"valence": 1})], SupportError, "does not have the task 'valence'; it has ['emotion', 'age', "),
        (
            [(SUPPORT[0], {"country": 1})],
            SupportError,
            "'country' is a classification, whose answers an enrolment does",
        ),
        (
            [(SUPPORT[0], {"emotion": {**EMOTION, "Joy": 1}})],
            SupportError,
            "has the labels ['Awe', 'Excitement', 'Amusement', 'Awkwardness', 'Fear', 'Horror', 'Distress', 'Triumph', "
            "'Sadness', 'Surprise']; unknown are ['Joy'], missing are []",
        ),
        ([(SUPPORT[0], {"emotion": {"Awe": 1}})], SupportError, "unknown are [], missing are ['Excitement', 'Amus"),
        ([(SUPPORT[0], {"emotion": {**EMOTION, "Awe": 1.5}})], SupportError, "clip 0: Awe of task 'emotion' is 1.5"),
        ([(SUPPORT[0], {"emotion": {**EMOTION, "Awe": "much"}})], SupportError, "expected 10 numbers in 0..1"),
        ([(SUPPORT[0], {"age": None})], SupportError, "every label of a support clip must be there"),
        ([(SUPPORT[0], {"age": 5.0})], SupportError, "age of task 'age' is 5; expected a number in 15..45 years"),
        (
            [(SUPPORT[0], {"age": 30}), (SUPPORT[1], {"emotion": EMOTION})],
            SupportError,
            "enrolment clip 1 (counted from 0) has labels of ['emotion'], and clip 0 of ['age']",
        ),
        ([(SUPPORT[0], {"age": 30})] * 2, SupportError, "clips 0 and 1 (counted from 0) are the same; give each"),
        ([("nowhere.wav", {"age": 30})], AudioError, "enrolment: nowhere.wav: cannot be read"),
        ([(np.zeros(399, "f"), {"age": 30})], WaveformError, "399 samples"),
    ],
)
def test_an_enrolment_that_cannot_be_is_refused_before_any_clip_is_answered(analyse, enrolment, error, message):
    with pytest.raises(error, match=re.escape(message)) as refusal:
        analyse(QUERY, enrolment=enrolment, on_error="skip")
    assert isinstance(refusal.value, Burst2VecError)


def test_where_vectors_are_on_their_speakers_scale_the_enrolment_is_part_of_it(monkeypatch):
    def vector(waveform):
        return np.array([waveform.std(), waveform.max(), waveform.min()], np.float32), ""

    monkeypatch.setitem(FEATURE_SETS, "mine", FeatureSet(3, vector, lambda: ("a", "b", "c"), lambda: {"test": 1}))
    torch.manual_seed(0)
    model = Burst2VecForMultiTask(
        Burst2VecConfig({"kind": "vector", "features": 3}, trunk="identity", initializer_range=0.3)
    )
    extractor = Burst2VecFeatureExtractor(features=["mine"], feature_size=3, normalise_per_speaker=True)
    analyse = Burst2VecPipeline(model=model.eval(), feature_extractor=extractor)
    support, query = (
        [{"array": clip, "sampling_rate": 16000, "speaker": "S1"} for clip in clips] for clips in (SUPPORT, QUERY)
    )
    together = analyse([*query, *support])
    enrolment = [(clip, {"age": said["age"] + 3}) for clip, said in zip(support, together[3:], strict=True)]
    for answer, before in zip(analyse(query, enrolment=enrolment), together, strict=False):
        assert answer["age"] == pytest.approx(before["age"] + 3, abs=1e-3)
        assert answer["emotion"] == pytest.approx(before["emotion"], abs=1e-6)
    with pytest.raises(ValueError, match=r"of one speaker, .* but got \['S1', 'S2'\]"):
        analyse([{**query[0], "speaker": "S2"}], enrolment=enrolment)
    with pytest.raises(ValueError, match="an enrolment was given without a list of clips"):
        analyse(query[0], enrolment=enrolment)
    broken = [({"array": np.zeros(399, "f"), "sampling_rate": 16000, "speaker": "S1"}, {"age": 30.0})]
    with pytest.raises(WaveformError, match="399 samples"):
        analyse(query, enrolment=broken, on_error="skip")
