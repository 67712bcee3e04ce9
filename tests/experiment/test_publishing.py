"""What leaves the machine, and what never does."""

import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.experiment.publishing import find_secrets, publish, published_files
from burst2vec.tasks import AGE

RECORD = {
    "corpora": ["synthetic"],
    "preprocess": [],
    "recipe": {"model": {}},
    "seed": 0,
    "steps": 1,
    "clips": {},
    "scores": {},
    "baseline": {},
    "versions": {},
}


class RecordingApi:
    """Stands for the Hub: remembers what it was asked."""

    def __init__(self, private=True):
        self.private, self.uploaded, self.created = private, None, None

    def create_repo(self, repo_id, private, exist_ok):
        self.created = {"repo_id": repo_id, "private": private}

    def repo_info(self, repo_id):
        return SimpleNamespace(private=self.private)

    def upload_folder(self, allow_patterns, **kwargs):
        self.uploaded = allow_patterns
        return SimpleNamespace(commit_url="https://hub/commit")


@pytest.fixture
def run_folder(tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "checkpoint-8").mkdir()
    (tmp_path / "metrics.json").write_text(json.dumps(RECORD))
    model = Burst2VecForMultiTask(
        Burst2VecConfig(encoder_config={"kind": "vector", "features": 6}, tasks=[AGE], trunk="identity")
    )
    model.encoder.mean.copy_(torch.frombuffer(bytearray(b"/home/chance/in/weights/"), dtype=torch.float32))
    model.save_pretrained(tmp_path)
    assert b"/home/chance/in/weights/" in (tmp_path / "model.safetensors").read_bytes()
    for code in tmp_path.glob("*.py"):
        code.unlink()
    for name in ("README.md", "recipe.yaml", "training_args.bin", "predictions_test.csv", "plots/losses.png"):
        (tmp_path / name).write_bytes(b"harmless")
    (tmp_path / "checkpoint-8" / "model.safetensors").write_bytes(b"x" * 16)
    return tmp_path


def test_only_listed_files_are_published(run_folder):
    api = RecordingApi()
    assert publish(run_folder, "someone/model", api=api) == "https://hub/commit"
    assert api.uploaded == [
        *("README.md", "config.json", "metrics.json", "model.safetensors", "plots/losses.png", "recipe.yaml")
    ]
    assert api.created == {"repo_id": "someone/model", "private": True}


@pytest.mark.parametrize(("name", "message"), [("heads.age.output.bias", "not finite,"), (None, "lacks 1 weights,")])
def test_a_broken_model_is_not_published(run_folder, name, message):
    weights = load_file(run_folder / "model.safetensors")
    if name is None:
        del weights["heads.age.output.bias"]
    else:
        weights[name] = weights[name] * float("nan")
    save_file(weights, run_folder / "model.safetensors", metadata={"format": "pt"})
    api = RecordingApi()
    with pytest.raises(ValueError, match=f"{message}.* such as heads.age.output.bias"):
        publish(run_folder, "someone/model", api=api)
    assert api.created is None and api.uploaded is None


@pytest.mark.parametrize(
    "secret", ["hf_" + "a" * 34, "see /home/ann/corpus/1.wav", '"/tmp/run"', "C:\\Users\\ann", "/root/x"]
)
def test_a_token_or_a_path_stops_the_publishing_before_anything_is_sent(run_folder, secret):
    (run_folder / "recipe.yaml").write_text(f"text {secret} text")
    api = RecordingApi()
    with pytest.raises(ValueError, match=r"recipe\.yaml holds (an access token|a local path)"):
        publish(run_folder, "someone/model", api=api)
    assert api.created is None and api.uploaded is None


def test_the_card_names_the_repository_that_it_is_published_in(run_folder):
    publish(run_folder, "someone/model", api=RecordingApi())
    assert "AutoModel.from_pretrained('someone/model')" in (run_folder / "README.md").read_text()


def test_the_error_does_not_print_the_token(run_folder):
    (run_folder / "recipe.yaml").write_text("hf_" + "a1b2" * 9)
    with pytest.raises(ValueError) as error:
        publish(run_folder, "someone/model", api=RecordingApi())
    assert "a1b2" * 4 not in str(error.value)


def test_addresses_and_repository_names_are_not_paths(run_folder):
    (run_folder / "README.md").write_text("https://arxiv.org/home/x facebook/hubert-base-ls960 emotion_ccc/Awe 3/4")
    assert find_secrets(run_folder / "README.md") == []


def test_numbers_that_spell_a_path_are_not_one_but_a_pictures_comment_is(run_folder):
    picture = run_folder / "plots" / "losses.png"
    picture.write_bytes(b"\x89PNG tEXtSoftware matplotlib IDAT /home/chance c:\\good luck")
    assert find_secrets(picture) == []
    picture.write_bytes(b"\x89PNG tEXtComment drawn in /home/ann IDAT")
    assert len(find_secrets(picture)) == 1


def test_a_model_of_a_licensed_corpus_stays_private(run_folder):
    (run_folder / "metrics.json").write_text(json.dumps({**RECORD, "corpora": ["emogator", "hume_vb"]}))
    with pytest.raises(ValueError, match="hume_vb.*leave it private"):
        publish(run_folder, "someone/model", private=False, api=RecordingApi())


def test_a_public_repository_that_is_there_is_not_filled_by_mistake(run_folder):
    api = RecordingApi(private=False)
    with pytest.raises(ValueError, match="public"):
        publish(run_folder, "someone/model", api=api)
    assert api.uploaded is None


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="metrics.json"):
        publish(tmp_path, "someone/model", api=RecordingApi())
    assert published_files(tmp_path) == []
