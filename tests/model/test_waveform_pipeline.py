"""The pipeline that travels with a model: the package's answers of waveforms, and what it cannot do in a sentence."""

import math

import numpy as np
import pytest

from burst2vec import Burst2VecFeatureExtractor, Burst2VecPipeline
from burst2vec.answers import answers_of
from burst2vec.tasks import TASK_PRESETS
from burst2vec.waveform_pipeline import WaveformPipeline
from tests.training.tiny_run import tiny_model

CLIPS = [np.random.default_rng(seed).normal(0, 0.1, 4000 + 800 * seed).astype(np.float32) for seed in (1, 2)]


@pytest.fixture(scope="module")
def model():
    return tiny_model().eval()


def test_its_answers_are_those_of_the_packages_pipeline(model):
    parts = {"model": model, "feature_extractor": Burst2VecFeatureExtractor()}
    ours = Burst2VecPipeline(**parts)([{"array": clip, "sampling_rate": 16_000} for clip in CLIPS])
    bare = WaveformPipeline(**parts)([CLIPS[0], {"raw": CLIPS[1], "sampling_rate": 16_000}])
    assert ours == bare


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (
            "laugh.wav",
            r"\(samples,\) at 16000 Hz.*got str; this pipeline reads no files.*pip install burst2vec",
        ),
        ({"raw": CLIPS[0]}, r"waveform \(samples,\) at 16000 Hz"),
        ({"raw": CLIPS[0], "sampling_rate": 8000}, "at 8000 Hz and the model takes 16000 Hz; resample first"),
    ],
    ids=["a file", "no rate", "another rate"],
)
def test_what_it_cannot_take_is_refused_with_what_can(model, clip, message):
    with pytest.raises(ValueError, match=message):
        WaveformPipeline(model=model, feature_extractor=Burst2VecFeatureExtractor())(clip)


def test_a_model_whose_clips_are_prepared_needs_the_package(model):
    extractor = Burst2VecFeatureExtractor(preprocess=[{"name": "highpass"}])
    with pytest.raises(ValueError, match="clips go through preprocess .*highpass.*with the package, pip install"):
        WaveformPipeline(model=model, feature_extractor=extractor)


def test_no_number_is_no_class():
    country = TASK_PRESETS["exvo"][2]
    answer = answers_of([country], {"country": [math.nan] * 4})["country"]
    assert answer["label"] is None and all(map(math.isnan, answer["probabilities"].values()))
