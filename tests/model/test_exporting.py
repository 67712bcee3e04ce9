"""An exported model is the model: any number of clips, of any length, and without torch."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask, Burst2VecPipeline
from burst2vec.errors import RunError
from burst2vec.exporting import PlainOutputs, _batches, export, measure_int8
from burst2vec.onnx_inference import OnnxModel, start_session
from burst2vec.recurrent import LSTM
from burst2vec.speech_encoder import LengthAwareGroupNorm
from tests.conftest import exvo_quantiles, noise_clips, tiny_model

NEEDED = "burst2vec[onnx] is not installed"
LENGTHS = (9000, 4000, 700, 16000, 5000)  # of the check: a batch of three and one of one, and the remaining one
OTHER_LENGTHS = (401, 23456, 12000, 3000)  # of a batch beside those of the check

MODELS = {
    "speech encoder": {},
    "spectrogram_cnn": {"encoder_config": {"kind": "spectrogram_cnn", "width": 2}},
    "frame_cnn and lstm": {
        "encoder_config": {"kind": "frame_cnn"},
        "recurrent": {"kind": "lstm", "hidden_size": 8, "num_hidden_layers": 1, "bidirectional": True},
    },
    "vector": {"encoder_config": {"kind": "vector", "features": 1602}},
}


def pipeline_of(name, **changes):
    """A tiny model's pipeline."""
    if name == "speech encoder":
        model = tiny_model(encoder_changes={"num_hidden_layers": 1})
    else:
        torch.manual_seed(0)
        trunk = {"kind": "shared_private", "projection_size": 24, "hidden_size": 20}
        model = Burst2VecForMultiTask(Burst2VecConfig(**MODELS[name], trunk=trunk, initializer_range=0.3)).eval()
    if name == "vector":
        changes = {"features": ["log_mel"], "feature_size": 1602, **changes}
    return Burst2VecPipeline(model=model, feature_extractor=Burst2VecFeatureExtractor(**changes))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The tiny speech encoder's pipeline, and its folder."""
    pytest.importorskip("onnxruntime", reason=NEEDED), pytest.importorskip("onnxscript", reason=NEEDED)
    analyse, folder = pipeline_of("speech encoder"), tmp_path_factory.mktemp("onnx") / "exported"
    analyse.model.config.conformal = exvo_quantiles()
    found = export(analyse, folder, clips=noise_clips(*LENGTHS))
    assert found.clips == len(LENGTHS) and found.greatest <= 1e-4
    return analyse, folder


def assert_equal_answers(analyse, predictions, waveforms):
    batch = analyse.feature_extractor(waveforms, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        expected = analyse.model(**batch).predictions
    for task in analyse.model.config.task_records:
        span = task.span[1] - task.span[0]
        assert np.abs(predictions[task.name] - expected[task.name].numpy()).max() / span <= 1e-4, task.name


def test_a_graph_answers_other_batches_than_it_was_made_with(exported):
    analyse, folder = exported
    for lengths in (OTHER_LENGTHS, OTHER_LENGTHS[:1]):
        clips = noise_clips(*lengths, seed=5)
        assert_equal_answers(analyse, OnnxModel(folder).predict(clips), clips)


def test_an_exported_model_cuts_and_levels_a_clip_like_the_package(tmp_path):
    pytest.importorskip("onnxruntime", reason=NEEDED), pytest.importorskip("onnxscript", reason=NEEDED)
    analyse = pipeline_of("spectrogram_cnn", target_rms_dbfs="peak", trim_below_db=20.0)
    export(analyse, tmp_path / "exported", clips=noise_clips(*LENGTHS))
    clips = [np.pad(clip, (8_000, 12_000)) for clip in noise_clips(*OTHER_LENGTHS, seed=5)]
    assert_equal_answers(analyse, OnnxModel(tmp_path / "exported").predict(clips), clips)


@pytest.mark.parametrize("name", ["spectrogram_cnn", "frame_cnn and lstm"])
def test_an_encoder_of_the_package_and_a_recurrent_part_can_be_exported(tmp_path, name):
    pytest.importorskip("onnxruntime", reason=NEEDED), pytest.importorskip("onnxscript", reason=NEEDED)
    analyse = pipeline_of(name, target_rms_dbfs="peak")
    export(analyse, tmp_path / "exported", clips=noise_clips(*LENGTHS))
    clips = noise_clips(*OTHER_LENGTHS, seed=5)
    assert_equal_answers(analyse, OnnxModel(tmp_path / "exported").predict(clips), clips)


def test_a_graph_of_vectors_is_exported_and_its_clips_are_left_to_the_package(tmp_path):
    pytest.importorskip("onnxruntime", reason=NEEDED), pytest.importorskip("onnxscript", reason=NEEDED)
    analyse = pipeline_of("vector")
    export(analyse, tmp_path / "exported", clips=noise_clips(*LENGTHS))
    vectors = torch.randn(4, 1602)
    with torch.no_grad():
        expected = PlainOutputs(analyse.model)(vectors)
    found = start_session(tmp_path / "exported" / "model.onnx").run(None, {"input_values": vectors.numpy()})
    assert all(np.abs(a - b.numpy()).max() <= 3e-3 for a, b in zip(found, expected, strict=True))  # years: 1e-4 of 30
    with pytest.raises(RunError, match=r"features \['log_mel'\]"):
        OnnxModel(tmp_path / "exported")


def test_a_folder_answers_without_torch_as_the_pipeline_does(exported, tmp_path):
    analyse, folder = exported
    soundfile.write(tmp_path / "a.wav", 0.1 * noise_clips(44100)[0], 44100)
    code = (
        "import sys; sys.modules.update(torch=None, transformers=None, burst2vec=None)\n"
        "import json; from burst2vec_onnx import OnnxModel\n"
        "print(json.dumps(OnnxModel(sys.argv[1])(sys.argv[2], coverage=0.9)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder, tmp_path / "a.wav"],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout)
    expected = analyse(str(tmp_path / "a.wav"), coverage=0.9)
    assert answer["emotion"] == pytest.approx(expected["emotion"], abs=1e-4)
    assert answer["age"] == pytest.approx(expected["age"], abs=3e-3)
    assert answer["country"]["label"] == expected["country"]["label"]
    assert answer["conformal"]["age"] == pytest.approx(expected["conformal"]["age"], abs=3e-3)
    assert answer["conformal"]["country"] == expected["conformal"]["country"]


def test_weights_in_8_bits_are_smaller_and_what_they_change_is_told(exported, tmp_path):
    analyse, folder = exported
    clips = noise_clips(*LENGTHS)
    shutil.copy(folder / "model.onnx", tmp_path)
    batches = list(_batches(analyse, clips))
    with torch.no_grad():
        wanted = [PlainOutputs(analyse.model)(*batch.values()) for batch in batches]
    measured = measure_int8(analyse, tmp_path / "model.onnx", batches, wanted)
    assert measured["bytes"] == (tmp_path / "model.onnx").stat().st_size < measured["bytes_float32"]
    assert measured["bytes_float32"] == (folder / "model.onnx").stat().st_size
    session, apart, changed = start_session(tmp_path / "model.onnx"), [], []
    for clip in clips:
        batch = analyse.feature_extractor([clip], sampling_rate=16000, return_tensors="np")
        age, country = session.run(["age", "country"], dict(batch))
        with torch.no_grad():
            expected = analyse.model(**{name: torch.from_numpy(values) for name, values in batch.items()}).predictions
        apart.append(abs(age.item() - expected["age"].item()) / 30)
        changed.append(country.argmax() != expected["country"].argmax().item())
    assert measured["tasks"]["age"]["greatest"] == pytest.approx(max(apart), rel=0.5, abs=1e-3)
    assert measured["tasks"]["country"]["classes"] == pytest.approx(np.mean(changed))
    assert 0 < measured["tasks"]["age"]["mean"] <= measured["tasks"]["age"]["greatest"] < 0.1


def test_the_command_says_what_8_bits_change():
    lines = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "export.py"))["int8_lines"]
    age, country = {"mean": 0.005, "greatest": 0.016}, {"mean": 0.001, "greatest": 0.02, "classes": 0.075}
    said = lines({"bytes": 1_140_000, "bytes_float32": 1_880_000, "tasks": {"age": age, "country": country}})
    assert said == [
        "in 8 bits: 1.1 MB instead of 1.9; of a task's span differ:",
        "  age: mean 5.0e-03, greatest 1.6e-02",
        "  country: mean 1.0e-03, greatest 2.0e-02; another class for 7.5% of clips",
    ]


def test_torchscript_answers_other_batches_too(tmp_path):
    analyse = pipeline_of("speech encoder")
    export(analyse, tmp_path / "exported", "torchscript", noise_clips(*LENGTHS))
    clips = noise_clips(*OTHER_LENGTHS, seed=5)
    batch = analyse.feature_extractor(clips, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        answers = [values.numpy() for values in torch.jit.load(tmp_path / "exported" / "model.pt")(**batch)]
    assert_equal_answers(analyse, dict(zip(["emotion", "age", "country", "embeddings"], answers, strict=True)), clips)
    with pytest.raises(RunError, match="exported to torchscript"):
        OnnxModel(tmp_path / "exported")


def test_a_graph_that_differs_from_torch_is_not_left(tmp_path, monkeypatch):
    monkeypatch.setattr("burst2vec.exporting._runner", lambda file, format: lambda batch: [torch.zeros(1)] * 4)
    with pytest.raises(RunError, match="differs from torch by .* allowed: 0.0001"):
        export(pipeline_of("speech encoder"), tmp_path / "exported", "torchscript", noise_clips(*LENGTHS))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_and_a_speakers_scale_are_refused(tmp_path):
    with pytest.raises(RunError, match="is there already"):
        export(pipeline_of("speech encoder"), tmp_path)
    with pytest.raises(RunError, match="int8 is of ONNX, not of torchscript"):
        export(pipeline_of("speech encoder"), tmp_path / "new", "torchscript", int8=True)
    with pytest.raises(RunError, match="speakers' own scale"):
        export(pipeline_of("vector", normalise_per_speaker=True), tmp_path / "new")


def test_the_group_norm_of_a_graph_is_that_of_a_loop_over_clips():
    norm = LengthAwareGroupNorm(6, 6)
    torch.nn.init.normal_(norm.weight), torch.nn.init.normal_(norm.bias)
    norm.lengths = torch.tensor([9, 2, 20])
    hidden = 3 + torch.randn(3, 6, 20)
    torch.testing.assert_close(norm._in_one_piece(hidden), norm(hidden), atol=1e-5, rtol=1e-5)


def test_a_recorded_lstm_of_one_direction_is_that_of_packed_clips():
    lstm, frames = LSTM(3, hidden_size=4), torch.randn(3, 7, 3)
    mask = torch.arange(7) < torch.tensor([7, 2, 5])[:, None]
    recorded = torch.jit.trace(lstm, (frames[:2, :4], mask[:2, :4]), check_trace=False)
    torch.testing.assert_close(recorded(frames, mask), lstm(frames, mask))
