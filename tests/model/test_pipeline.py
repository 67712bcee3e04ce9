import io

import numpy as np
import pytest
import soundfile
import torch
from transformers import pipeline

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask, Burst2VecPipeline
from burst2vec.audio import apply_transforms
from burst2vec.errors import AudioError, WaveformError
from tests.conftest import noise_clips, save_tiny_model, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def analyse(folder):
    return pipeline("vocal-burst-analysis", model=str(folder))


def assert_same(left, right):
    assert left["age"] == pytest.approx(right["age"], abs=1e-3)
    assert left["emotion"] == pytest.approx(right["emotion"], abs=1e-4)
    assert left["country"]["probabilities"] == pytest.approx(right["country"]["probabilities"], abs=1e-4)


def test_it_names_what_it_predicts(analyse):
    answer = analyse(noise_clips(8000)[0])
    assert isinstance(analyse, Burst2VecPipeline)
    assert set(answer) == {"emotion", "age", "country"}
    assert set(answer["emotion"]) >= {"Awe", "Surprise"} and 15 <= answer["age"] <= 45
    probabilities = answer["country"]["probabilities"]
    assert answer["country"]["label"] == max(probabilities, key=probabilities.get)
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_kernels_of_images_are_laid_out_as_maps_and_answer_the_same(tmp_path):
    config = Burst2VecConfig({"kind": "spectrogram_cnn", "channels": 32, "width": 8}, tasks="exvo")
    model = Burst2VecForMultiTask(config).eval()
    clip = noise_clips(8000)[0]
    with torch.inference_mode():
        expected = model(**Burst2VecFeatureExtractor()(clip, return_tensors="pt")).predictions["age"].item()
    analyse = Burst2VecPipeline(model=model, feature_extractor=Burst2VecFeatureExtractor())
    assert analyse.model.encoder.blocks[0].first.convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert analyse(clip)["age"] == pytest.approx(expected, abs=1e-4)
    analyse.model.save_pretrained(tmp_path)  # safetensors takes no tensor that is laid out otherwise
    saved = Burst2VecForMultiTask.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(saved[name], value) for name, value in analyse.model.state_dict().items())


def test_path_bytes_array_and_dictionary_are_one_clip(analyse, tmp_path):
    clip = np.clip(noise_clips(8000)[0] / 5, -1, 1)
    path = tmp_path / "burst.wav"
    soundfile.write(path, clip, 16000, subtype="FLOAT")
    expected = analyse(clip)
    for given in (path, str(path), path.read_bytes(), {"array": clip, "sampling_rate": 16000}):
        assert_same(analyse(given), expected)


def test_other_rates_are_resampled(analyse):
    time = np.arange(48000) / 48000
    tone = (np.sin(2 * np.pi * 440 * time) * np.exp(-3 * time)).astype("f")
    file = io.BytesIO()
    soundfile.write(file, tone, 48000, format="WAV", subtype="FLOAT")
    assert_same(analyse({"array": tone, "sampling_rate": 48000}), analyse(file.getvalue()))


def test_lists_and_batches_answer_as_single_clips(analyse):
    clips = noise_clips(400, 8000, 12345, 3000)
    alone = [analyse(clip) for clip in clips]
    for together in (analyse(clips), analyse(clips, batch_size=3), list(analyse(clip for clip in clips))):
        for left, right in zip(together, alone, strict=True):
            assert_same(left, right)


def test_the_embedding_comes_on_request(analyse):
    answer = analyse(noise_clips(8000), return_embedding=True, batch_size=2)[0]
    assert len(answer["embedding"]) == 20 and np.isfinite(answer["embedding"]).all()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("nowhere.wav", AudioError, "nowhere.wav"),
        ("https://example.org/burst.wav", AudioError, "https://example.org/burst.wav"),
        (b"", AudioError, "empty"),
        (b"no recording at all", AudioError, "bytes"),
        (np.zeros(399, "f"), WaveformError, "399 samples"),
        (np.zeros((2, 8000), "f"), WaveformError, "one channel"),
        ({"raw": [0.0]}, ValueError, "needs 'array' and 'sampling_rate'"),
        ({"array": np.zeros(0, "f"), "sampling_rate": 8000}, WaveformError, "no samples"),
    ],
)
def test_what_it_cannot_take_is_refused_by_name(analyse, given, error, message):
    with pytest.raises(error, match=message):
        analyse(given)


def test_an_unknown_argument_is_named(analyse):
    with pytest.raises(TypeError, match="top_k"):
        analyse(noise_clips(8000)[0], top_k=3)


def test_a_clip_goes_through_the_steps_that_training_clips_went_through(tmp_path):
    steps = [{"highpass": {}}, {"normalise_peak": {"dbfs": -6.0}}]
    tiny_model().save_pretrained(tmp_path)
    Burst2VecFeatureExtractor(target_rms_dbfs=None, preprocess=steps).save_pretrained(tmp_path)
    analyse = pipeline("vocal-burst-analysis", model=str(tmp_path))
    clip = noise_clips(8000)[0] / 10 + 0.5  # an offset that the high-pass takes away
    prepared = analyse.preprocess({"array": clip, "sampling_rate": 16000})["input_values"][0].numpy()
    assert abs(float(prepared.mean())) < 1e-3
    assert float(np.abs(prepared).max()) == pytest.approx(10 ** (-6 / 20), rel=1e-4)
    expected, _ = apply_transforms(clip, 16000, steps)
    assert np.array_equal(prepared, expected)


def test_a_model_that_lacks_weights_or_has_nan_makes_no_pipeline(tmp_path):
    model = tiny_model()
    Burst2VecFeatureExtractor().save_pretrained(tmp_path)
    encoder = {name: values for name, values in model.state_dict().items() if name.startswith("encoder.")}
    model.save_pretrained(tmp_path, state_dict=encoder)
    with pytest.raises(ValueError, match="weights, such as discriminator.bias; they would be random"):
        pipeline("vocal-burst-analysis", model=str(tmp_path))
    model.heads["age"].output.bias.data.fill_(float("nan"))
    model.save_pretrained(tmp_path)
    for given in (str(tmp_path), model):  # in memory nobody has looked at the weights yet
        with pytest.raises(ValueError, match="not finite, such as heads.age.output.bias"):
            pipeline("vocal-burst-analysis", model=given, feature_extractor=Burst2VecFeatureExtractor())


def test_a_pipeline_is_saved_and_comes_back(analyse, tmp_path):
    analyse.save_pretrained(tmp_path)
    clip = noise_clips(8000)[0]
    assert_same(pipeline("vocal-burst-analysis", model=str(tmp_path))(clip), analyse(clip))


def test_an_answer_that_is_no_number_is_an_error():
    model = tiny_model()
    model.heads["age"].output.weight.data.fill_(3e38)  # finite, and too large for any product
    model.heads["age"].output.weight.data[..., ::2] *= -1
    analyse = pipeline("vocal-burst-analysis", model=model, feature_extractor=Burst2VecFeatureExtractor())
    with pytest.raises(ValueError, match="answers .*nan.* for the task 'age'"):
        analyse(noise_clips(8000)[0])
