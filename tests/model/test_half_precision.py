"""Answers in half precision: of every accepted encoder, however the model comes by it, and near those in float32."""

import pytest
import torch
from transformers import AutoModel, pipeline

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask
from burst2vec.experiment.building import load_model
from burst2vec.speech_encoder import SPEECH_FAMILIES
from tests.conftest import noise_clips, tiny_encoder_config, tiny_model

HALVES = [torch.bfloat16, torch.float16]
each_half = pytest.mark.parametrize("dtype", HALVES, ids=["bfloat16", "float16"])


def precisions(model):
    """Those of the encoder's weights, and those of all others, statistics of training clips included."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    tensors = {name: values for name, values in tensors.items() if values.is_floating_point()}
    of_encoder = {values.dtype for name, values in tensors.items() if name.startswith("encoder.model.")}
    return of_encoder, {values.dtype for name, values in tensors.items() if not name.startswith("encoder.model.")}


def answers(model, batch):
    with torch.no_grad():
        output = model(**batch)
    assert {values.dtype for values in (*output.predictions.values(), output.embeddings)} == {torch.float32}
    return output.predictions


@each_half
@pytest.mark.parametrize("family", SPEECH_FAMILIES)
def test_every_accepted_encoder_answers_in_half_precision_near_float32(family, dtype, extract):
    model = tiny_model(family, "large", encoder_changes={"mask_time_prob": 0.0})
    batch = extract(noise_clips(4000, 9000, 16000))
    whole = answers(model, batch)
    half = answers(model.to(dtype), batch)
    assert precisions(model) == ({dtype}, {torch.float32})
    # bfloat16 keeps 8 bits of a number and float16 11
    for task, span in (("age", 30.0), ("emotion", 1.0), ("country", 1.0)):
        worst = (half[task] - whole[task]).abs().max() / span
        assert 0 < worst < {torch.bfloat16: 0.05, torch.float16: 0.01}[dtype], (task, worst)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    tiny_model(style="large").save_pretrained(folder)
    Burst2VecFeatureExtractor().save_pretrained(folder)
    return folder


@each_half
def test_a_pipeline_takes_a_precision(saved, dtype):
    whole = pipeline("vocal-burst-analysis", model=str(saved))
    half = pipeline("vocal-burst-analysis", model=str(saved), dtype=dtype)
    assert precisions(half.model) == ({dtype}, {torch.float32})
    clips = noise_clips(4000, 9000)
    for one, other in zip(whole(clips, batch_size=2), half(clips, batch_size=2, return_embedding=True), strict=True):
        assert other["age"] == pytest.approx(one["age"], abs=0.3) and isinstance(other["embedding"][0], float)


@each_half
def test_a_model_saved_in_half_precision_is_loaded_in_it_and_trained_in_float32(tmp_path, dtype, extract):
    model = tiny_model(style="large").to(dtype)
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path).eval()
    assert precisions(again) == ({dtype}, {torch.float32})
    batch = extract(noise_clips(4000))
    # A caller may bring a batch to the model's precision, as most models of transformers want it.
    halved = {**batch, "input_values": batch["input_values"].to(again.dtype)}
    for task, values in answers(model, batch).items():
        assert torch.equal(answers(again, batch)[task], values)
        assert torch.equal(answers(again, halved)[task], values)
    assert precisions(load_model(tmp_path)) == ({torch.float32}, {torch.float32})


@each_half
def test_an_encoder_read_in_half_precision_answers(tmp_path, dtype, extract):
    torch.manual_seed(0)
    AutoModel.from_config(tiny_encoder_config(style="large")).half().save_pretrained(tmp_path)
    model = Burst2VecForMultiTask.from_encoder_pretrained(tmp_path, dtype=dtype).eval()
    assert precisions(model) == ({dtype}, {torch.float32})
    assert torch.isfinite(answers(model, extract(noise_clips(4000)))["age"]).all()


def test_statistics_of_vectors_keep_what_half_precision_cannot_hold():
    """A length in samples has a variance of millions; the largest float16 is 65,504."""
    config = Burst2VecConfig(encoder_config={"kind": "vector", "features": 2}, trunk="identity")
    model = Burst2VecForMultiTask(config).eval()
    model.encoder.mean.copy_(torch.tensor([16_000.0, 0.1]))
    model.encoder.variance.copy_(torch.tensor([9e6, 0.01]))
    batch = {"input_values": torch.tensor([[14_000.0, 0.2], [20_001.0, 0.0]])}
    whole = answers(model, batch)
    for task, values in answers(model.half(), batch).items():
        assert torch.equal(values, whole[task])


@pytest.mark.parametrize("encoder", ["conformer", "spectrogram_cnn", "waveform_cnn"])
def test_an_encoder_of_this_package_stays_in_float32(encoder, extract):
    torch.manual_seed(0)
    model = Burst2VecForMultiTask(Burst2VecConfig(encoder_config={"kind": encoder}, trunk="identity")).eval()
    batch = extract(noise_clips(4000, 5000))
    whole = answers(model, batch)
    for task, values in answers(model.to(torch.bfloat16), batch).items():
        assert torch.equal(values, whole[task])
