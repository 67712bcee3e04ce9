"""Models that come with the package: how a run becomes one, and every place where its name, or none, is enough."""

import json
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import setuptools
import soundfile
import torch
from huggingface_hub import ModelCard
from transformers import pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask, shipped_model, shipped_models
from burst2vec.command_line import main
from burst2vec.errors import CorpusError, RunError
from burst2vec.experiment import shipping
from burst2vec.experiment.building import build_model, load_model
from burst2vec.experiment.run_record import RunRecord
from burst2vec.experiment.sections import ModelArguments
from burst2vec.features.embeddings import find_embedding
from burst2vec.prediction import load_pipeline
from burst2vec.shipped_models import DEFAULT_MODEL, PRETRAINED, place_of
from tests.conftest import noise_clips

ENCODER = {"kind": "spectrogram_cnn", "channels": 32, "width": 8}
MINE = [
    {"name": "bird", "kind": "classification", "labels": ["crow", "wren"], "loss": "cross_entropy", "metric": "uar"}
]
LEVEL = -12.0  # not the default
RECORD = {
    "corpora": ["emogator"],
    "recipe": {"data": {"corpus": "emogator"}, "model": {"encoder": ENCODER, "tasks": "emogator"}, "training": {}},
    "seed": 1,
    "steps": 12,
    "clips": {"train": {"used": 100, "skipped": 0}, "validation": {"used": 30, "skipped": 0}},
    "scores": {"validation": {"category_uar": 0.36}},
    "baseline": {"validation": {"category_uar": 0.033}},
}


def save_run(folder, **changes):
    """A finished run of a tiny network with random weights."""
    torch.manual_seed(0)
    config = Burst2VecConfig(ENCODER, tasks="emogator", pooling="statistics", trunk="identity", initializer_range=0.3)
    model = Burst2VecForMultiTask(config).eval()
    with torch.no_grad():
        model.encoder.log_mel.mean.fill_(-7.1)  # as measured of clips, and no float16
    model.save_pretrained(folder)
    Burst2VecFeatureExtractor(target_rms_dbfs=LEVEL).save_pretrained(folder)
    (folder / "plots").mkdir()
    (folder / "plots" / "losses.png").write_bytes(b"PNG")
    (folder / "predictions_validation.csv").write_text("file_id\n")
    RunRecord(**{**RECORD, **changes}).write(folder)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def pretrained(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    shipping.ship(run, "small", folder)
    return folder


@pytest.fixture
def small(pretrained, monkeypatch):
    """The package as it is once a model comes with it."""
    monkeypatch.setattr(shipped_models, "PRETRAINED", pretrained)
    default = {"model": (str(pretrained / "small"), "main")}
    monkeypatch.setitem(PIPELINE_REGISTRY.supported_tasks["vocal-burst-analysis"], "default", default)
    return pretrained / "small"


def test_a_shipped_folder_holds_what_a_user_needs_and_nothing_else(run, pretrained):
    small = pretrained / "small"
    names = sorted(path.relative_to(small).as_posix() for path in small.rglob("*") if path.is_file())
    configs = ["config.json", "metrics.json", "model.safetensors"]
    assert names == ["README.md", *configs, "plots/losses.png", "preprocessor_config.json"]
    assert (small / "model.safetensors").stat().st_size < 0.6 * (run / "model.safetensors").stat().st_size
    for config in shipping.CONFIGS:
        assert not {"auto_map", "custom_pipelines"} & set(json.loads((small / config).read_text()))


def test_halved_weights_answer_as_the_run_does(run, small, extract):
    whole, half = load_model(run).eval(), Burst2VecForMultiTask.from_pretrained("burst2vec/small").eval()
    assert {values.dtype for values in half.parameters()} == {torch.float32}
    assert torch.equal(half.encoder.log_mel.mean, whole.encoder.log_mel.mean)
    batch = extract(noise_clips(8000, 12000))
    with torch.no_grad():
        for task, values in whole(**batch).predictions.items():
            difference = (half(**batch).predictions[task] - values).abs().max()
            assert 0 < difference < 0.01, task


def test_no_model_named_is_the_one_that_comes_with_the_package(small, tmp_path):
    clip = noise_clips(8000)[0]
    answer = pipeline("vocal-burst-analysis")(clip)
    assert len(answer["category"]["probabilities"]) == 30
    assert load_pipeline()(clip) == answer == load_pipeline("burst2vec/small")(clip)
    soundfile.write(tmp_path / "clip.wav", 0.1 * clip, 16_000, subtype="FLOAT")
    assert main(["predict", str(tmp_path / "clip.wav"), "--num_proc", "0", "--out", str(tmp_path / "table.csv")]) == 0
    assert pd.read_csv(tmp_path / "table.csv")["category"].tolist() == [answer["category"]["label"]]
    assert main(["find", str(tmp_path / "clip.wav"), "--out", str(tmp_path / "bursts.csv")]) == 0
    assert "category" in pd.read_csv(tmp_path / "bursts.csv").columns


def test_its_encoder_starts_a_model_of_other_tasks_at_its_own_level(small):
    asked = ModelArguments(encoder="burst2vec/small", tasks=MINE, pooling="statistics")
    assert asked.measures_clips is False  # its statistics are those that its weights were trained with
    model, extractor = build_model(asked)
    start = Burst2VecForMultiTask.from_pretrained(small).encoder.state_dict()
    for name, values in model.encoder.state_dict().items():
        assert torch.equal(values, start[name]), name
    assert list(model.tasks) == ["bird"] and extractor.target_rms_dbfs == LEVEL
    assert all(values.requires_grad for values in model.encoder.parameters())
    _, extractor = build_model(ModelArguments(encoder="burst2vec/small", tasks=MINE, target_rms_dbfs="off"))
    assert extractor.target_rms_dbfs is None


def test_its_embedding_is_a_feature_set(small):
    found = find_embedding("burst2vec/small")
    assert found.size == 2 * 8 * 8 and np.isfinite(found.vector(noise_clips(8000)[0])[0]).all()


def test_an_unknown_name_is_refused_and_never_looked_for_on_the_hub(small, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    said = "no model 'burst2vec/large' comes with this copy of burst2vec, there are burst2vec/small"
    for load in (shipped_model, Burst2VecForMultiTask.from_pretrained, Burst2VecForMultiTask.from_encoder_pretrained):
        with pytest.raises(FileNotFoundError, match=said):
            load("burst2vec/large")
    with pytest.raises(RunError, match=said):
        load_pipeline("burst2vec/large")
    with pytest.raises(RunError, match=said):
        build_model(ModelArguments(encoder="burst2vec/large", tasks=MINE))
    with pytest.raises(RunError, match=said):
        build_model(ModelArguments(model_path="burst2vec/large", tasks=MINE))
    with pytest.raises(CorpusError, match=said):
        find_embedding("burst2vec/large")


def test_without_weights_the_refusal_says_what_to_give(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shipped_models, "PRETRAINED", tmp_path)
    assert main(["predict", "clip.wav", "--out", str(tmp_path / "table.csv")]) == 2
    refusal = capsys.readouterr().err
    assert refusal.startswith(
        "error: no model 'burst2vec/small' comes with this copy of burst2vec, none does; give the"
    )


def test_a_folder_of_ones_own_keeps_its_name(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "small"):
        (tmp_path / "burst2vec" / name).mkdir(parents=True)
    assert place_of("burst2vec/mine") == "burst2vec/mine" and place_of("./burst2vec/small") == "./burst2vec/small"
    assert place_of(Path("burst2vec/small")) == Path("burst2vec/small")
    assert place_of("burst2vec/small") == str(small)


def test_the_card_loads_the_model_that_it_lies_beside(small):
    card = ModelCard.load(small / "README.md")
    assert card.data.license == "apache-2.0" and card.data.model_name == "burst2vec/small"
    assert card.text.count("burst2vec.shipped_model('small')") == 3 and "trust_remote_code" not in card.text
    assert "| category_uar |" in card.text and "![losses](plots/losses.png)" in card.text


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"corpora": ["hume_vb"]}, "hume_vb, whose licence agreement allows no public copy"),
        ({"recipe": {**RECORD["recipe"], "description": "of /home/me/clips"}}, "holds a local path: /home/me"),
        ({"versions": {"hf_" + 30 * "a": "1"}}, "holds an access token"),
        ({"features": ["compare"]}, "a shipped model takes recordings"),
    ],
)
def test_what_must_not_be_shipped_is_refused_and_the_old_one_stays(run, tmp_path, changes, said):
    into = tmp_path / "pretrained"
    shipping.ship(run, "small", into)
    before = (into / "small" / "README.md").read_bytes()
    with pytest.raises(RunError, match=said):
        shipping.ship(save_run(tmp_path / "other", **changes), "small", into)
    assert (into / "small" / "README.md").read_bytes() == before and [path.name for path in into.iterdir()] == ["small"]


def test_a_folder_that_is_too_large_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "MOST_BYTES", 1_000)
    with pytest.raises(RunError, match=r"of which model\.safetensors .* train a smaller model"):
        shipping.ship(run, "small", tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_wheel_holds_every_file_of_a_shipped_model(pretrained, monkeypatch):
    told = {}
    monkeypatch.setattr(setuptools, "setup", told.update)
    runpy.run_path(str(Path(__file__).parents[2] / "setup.py"))
    patterns = [pattern.removeprefix("pretrained/") for pattern in told["package_data"]["burst2vec"]]
    packed = {path for pattern in patterns for path in pretrained.glob(pattern) if path.is_file()}
    assert packed == {path for path in pretrained.rglob("*") if path.is_file()}


def test_the_model_of_this_copy_answers_with_nothing_but_the_package():
    answer = pipeline("vocal-burst-analysis")(noise_clips(8000)[0])
    assert set(answer) == {"emotion", "category"} and len(answer["category"]["probabilities"]) == 30
    assert shipped_models.shipped_models() == [DEFAULT_MODEL]
    shipping.refuse_unfit(PRETRAINED / "small")
