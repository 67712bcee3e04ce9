"""The pipeline's intervals and sets: on request, beside answers that stay as they are."""

import numpy as np
import pytest
from transformers import pipeline

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask, personalise
from burst2vec.waveform_pipeline import WaveformPipeline
from tests.conftest import exvo_quantiles, noise_clips, tiny_model

CLIPS = noise_clips(4000, 6000)


@pytest.fixture(scope="module")
def analyse(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model = tiny_model()
    model.config.conformal = exvo_quantiles()
    model.save_pretrained(folder)
    Burst2VecFeatureExtractor().save_pretrained(folder)
    return pipeline("vocal-burst-analysis", model=str(folder))


def test_a_saved_models_intervals_and_sets_stand_beside_the_same_answers(analyse):
    plain, found = analyse(CLIPS), analyse(CLIPS, coverage=0.9, batch_size=2)
    for before, answer in zip(plain, found, strict=True):
        within = answer.pop("conformal")
        assert set(answer) == set(before) and answer["age"] == pytest.approx(before["age"], abs=1e-3)
        assert set(within) == {"age", "country"}  # the calibration knew no emotion
        assert within["age"] == pytest.approx(np.clip([answer["age"] - 3, answer["age"] + 3], 15, 45))
        probabilities = answer["country"]["probabilities"]
        expected = {name for name, value in probabilities.items() if value >= 0.6} | {answer["country"]["label"]}
        assert set(within["country"]) == expected
    whole = analyse(CLIPS, coverage=0.99)[0]["conformal"]  # more than 60 of 61
    assert whole["age"] == [15, 45] and len(whole["country"]) == 4


def test_coverage_may_be_said_once_and_a_bad_clip_has_no_interval(analyse):
    always = pipeline(
        "vocal-burst-analysis", model=analyse.model, feature_extractor=analyse.feature_extractor, coverage=0.9
    )
    good, bad = always([CLIPS[0], np.zeros(399, "f")], on_error="nan")
    assert good["conformal"] == analyse(CLIPS[0], coverage=0.9)["conformal"]
    assert np.isnan(bad["conformal"]["age"]).all() and bad["conformal"]["country"] is None


def test_the_pipeline_without_the_package_has_the_same_intervals(analyse):
    bare = WaveformPipeline(model=analyse.model, feature_extractor=analyse.feature_extractor)
    assert bare(CLIPS, coverage=0.9) == analyse(CLIPS, coverage=0.9)
    assert "conformal" not in bare(CLIPS[0])
    other = WaveformPipeline(model=tiny_model(), feature_extractor=analyse.feature_extractor)
    with pytest.raises(ValueError, match="coverage 0.9: the model does not have the quantiles"):
        other(CLIPS, coverage=0.9)


def test_coverage_is_refused_with_the_remedy(analyse):
    bare = pipeline("vocal-burst-analysis", model=tiny_model(), feature_extractor=Burst2VecFeatureExtractor())
    with pytest.raises(ValueError, match=r"coverage 0.9: .*burst2vec calibrate RUN.*model.config.conformal = burst"):
        bare(CLIPS, coverage=0.9)
    with pytest.raises(ValueError, match="coverage must be a number above 0, up to 0.99, such as 0.9, got 90"):
        analyse(CLIPS, coverage=90)
    with pytest.raises(ValueError, match="give one of the two"):
        analyse(CLIPS, coverage=0.9, enrolment=[(CLIPS[0], {"age": 30.0})])


def test_a_personal_model_does_not_keep_quantiles_of_others(analyse):
    personal = personalise(analyse.model, analyse.feature_extractor, CLIPS, {"age": [[30.0], [31.0]]})
    assert isinstance(personal, Burst2VecForMultiTask) and personal.config.conformal is None
    assert analyse.model.config.conformal == exvo_quantiles()


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"mood": [[0.1]]}, "conformal: 'mood' is not one of the tasks"),
        ({"emotion": [[0.1]]}, r"conformal of 'emotion' must be 10 list\(s\) of quantiles"),
        ({"age": [[]]}, "must be 1 list"),
        ({"age": [[2.0, 1.0]]}, "never fall"),
        ({"age": [[None, 1.0]]}, "null after the last"),
        ({"age": [[-1.0]]}, "numbers of 0 or more"),
        ({"country": [["a"]]}, "must be 1 list"),
    ],
)
def test_a_configuration_refuses_what_are_no_quantiles(described, message):
    with pytest.raises(ValueError, match=message):
        Burst2VecConfig(conformal=described)
