"""Published encoders: how they are found and read, what is refused, and what a configuration keeps of the request."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
import transformers.modeling_utils
from transformers import AutoModel, HubertConfig, Wav2Vec2ForCTC

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.configuration_burst2vec import OwnEncoderConfig
from burst2vec.speech_encoder import HUB_ARGUMENTS, SPEECH_FAMILIES
from tests.conftest import tiny_encoder_config

CONFIG_KEYS = {  # of a saved model: its own arguments, and what transformers writes
    *Burst2VecConfig.own_arguments(),
    *("architectures", "auto_map", "custom_pipelines", "dtype", "model_type", "transformers_version"),
}


def save_encoder(folder, as_pickle=False, seed=0, **sizes):
    """An encoder's folder; ``as_pickle``: as before safetensors, in one file or, by ``sizes``, in several."""
    torch.manual_seed(seed)
    encoder = AutoModel.from_config(tiny_encoder_config("wav2vec2", mask_time_prob=0.0))
    encoder.save_pretrained(folder, **sizes)
    if as_pickle:
        write_as_pickles(folder)
    return encoder


def write_as_pickles(folder):
    """Puts each safetensors file of a folder, and the index, into torch's own format under its old name."""
    from safetensors.torch import load_file

    for file in sorted(folder.glob("*.safetensors")):
        torch.save(load_file(file), folder / file.name.replace("model", "pytorch_model").replace("safetensors", "bin"))
        file.unlink()
    for index in folder.glob("*.safetensors.index.json"):
        text = index.read_text().replace('"model-', '"pytorch_model-').replace(".safetensors", ".bin")
        (folder / "pytorch_model.bin.index.json").write_text(text)
        index.unlink()


def assert_same_weights(model, encoder):
    taken = model.encoder.model.state_dict()
    assert set(taken) == set(encoder.state_dict())
    for name, value in encoder.state_dict().items():
        assert torch.equal(taken[name], value), name


@pytest.mark.parametrize("sizes", [{}, {"max_shard_size": "20KB"}], ids=["one file", "several files"])
def test_a_checkpoint_of_pickles_alone_is_read_bit_by_bit_and_saved_as_safetensors(tmp_path, sizes):
    encoder = save_encoder(tmp_path / "old", as_pickle=True, **sizes)
    assert len(list((tmp_path / "old").glob("*.bin"))) == (6 if sizes else 1)
    assert not list((tmp_path / "old").glob("*.safetensors*"))
    model = Burst2VecForMultiTask.from_encoder_pretrained(tmp_path / "old")
    assert_same_weights(model, encoder)
    model.save_pretrained(tmp_path / "new")
    assert [file.name for file in (tmp_path / "new").iterdir() if "model." in file.name] == ["model.safetensors"]


def test_safetensors_are_preferred_to_a_pickle_beside_them(tmp_path):
    encoder = save_encoder(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"never read")
    assert_same_weights(Burst2VecForMultiTask.from_encoder_pretrained(tmp_path), encoder)


class Hostile:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize("written", ["by torch", "by pickle", "by torch, cut off", "empty"])
def test_nothing_of_a_hostile_pickle_is_run(tmp_path, written):
    trace, file = tmp_path / "was-run", tmp_path / "encoder" / "pytorch_model.bin"
    encoder = save_encoder(tmp_path / "encoder")
    (tmp_path / "encoder" / "model.safetensors").unlink()
    weights = {**encoder.state_dict(), "more": Hostile(trace)}
    if written == "by pickle":
        file.write_bytes(pickle.dumps(weights))
    else:
        torch.save(weights, file)
        assert zipfile.is_zipfile(file)
        file.write_bytes(file.read_bytes()[: {"by torch": None, "empty": 0}.get(written, 5000)])
    with pytest.raises(ValueError, match=r"encoder: its weights .* nothing of it was run\. Give .* safetensors"):
        Burst2VecForMultiTask.from_encoder_pretrained(tmp_path / "encoder")
    assert not trace.exists()
    if written == "by torch":
        torch.load(file, weights_only=False)
        assert trace.exists(), "the pickle must be able to do harm, or the test shows nothing"


@pytest.mark.parametrize("as_pickle", [False, True])
def test_a_checkpoint_with_a_ctc_head_gives_its_encoder_bit_by_bit(tmp_path, as_pickle):
    torch.manual_seed(0)
    whole = Wav2Vec2ForCTC(tiny_encoder_config("wav2vec2", "large", mask_time_prob=0.0, vocab_size=12))
    whole.save_pretrained(tmp_path)
    if as_pickle:
        write_as_pickles(tmp_path)
    assert all(name.startswith(("wav2vec2.", "lm_head.")) for name in whole.state_dict())
    assert_same_weights(Burst2VecForMultiTask.from_encoder_pretrained(tmp_path), whole.wav2vec2)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A cache of the Hub with one repository, ``someone/encoder``: safetensors on main, an older pickle as v1."""
    cache = tmp_path / "hub"
    repository = cache / "models--someone--encoder"
    encoders = {}
    for name, digit, as_pickle in (("main", "a", False), ("v1", "b", True)):
        commit = digit * 40
        encoders[name] = save_encoder(repository / "snapshots" / commit, as_pickle, seed=ord(digit))
        absent = repository / ".no_exist" / commit  # what was asked for once and is not there
        absent.mkdir(parents=True)
        for file in ("model.safetensors.index.json", "adapter_config.json", *["model.safetensors"] * as_pickle):
            (absent / file).touch()
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / name).write_text(commit)
    return cache, encoders


@pytest.mark.parametrize("revision", ["main", "v1"])
def test_a_revision_is_what_is_read_and_no_part_of_the_configuration(hub, tmp_path, revision):
    cache, encoders = hub
    secret = "hf_never_written_anywhere"
    model = Burst2VecForMultiTask.from_encoder_pretrained(
        "someone/encoder", revision=revision, cache_dir=cache, token=secret, head={"kind": "linear", "dropout": 0.3}
    )
    assert_same_weights(model, encoders[revision])
    model.save_pretrained(tmp_path / "saved")
    text = (tmp_path / "saved" / "config.json").read_text()
    assert secret not in text and str(cache) not in text and "revision" not in text
    saved = json.loads(text)
    assert set(saved) <= CONFIG_KEYS and saved["head"]["dropout"] == 0.3
    assert set(saved["encoder_config"]) <= {*encoders["main"].config.to_dict(), "_name_or_path"}


def test_no_service_is_asked_to_convert_a_pickle(hub, monkeypatch):
    cache, _ = hub
    asked = []
    monkeypatch.setattr(transformers.modeling_utils, "is_offline_mode", lambda: False)
    monkeypatch.setattr(transformers.modeling_utils, "has_file", lambda *args, **kwargs: False)
    monkeypatch.setattr(transformers.modeling_utils, "auto_conversion", lambda *args, **kwargs: asked.append(args))
    monkeypatch.delenv("DISABLE_SAFETENSORS_CONVERSION", raising=False)
    Burst2VecForMultiTask.from_encoder_pretrained("someone/encoder", revision="v1", cache_dir=cache)
    assert not asked and "DISABLE_SAFETENSORS_CONVERSION" not in os.environ
    AutoModel.from_pretrained("someone/encoder", revision="v1", cache_dir=cache)
    assert asked, "transformers asks by itself, or the test shows nothing"


def test_every_hub_argument_reaches_the_encoder(tmp_path, monkeypatch):
    save_encoder(tmp_path / "in" / "encoder")
    given = {
        "attn_implementation": "eager",
        "cache_dir": tmp_path / "cache",
        "dtype": torch.float16,
        "force_download": False,
        "local_files_only": True,
        "proxies": None,
        "revision": "main",
        "subfolder": "encoder",
        "token": "hf_x",
        "use_safetensors": True,
        "variant": None,
    }
    assert set(given) == set(HUB_ARGUMENTS)
    seen = {}
    load = AutoModel.from_pretrained

    def spy(*args, **kwargs):
        seen.update(kwargs)
        return load(*args, **kwargs)

    monkeypatch.setattr(AutoModel, "from_pretrained", spy)
    model = Burst2VecForMultiTask.from_encoder_pretrained(tmp_path / "in", trunk="shared", **given)
    assert {name: seen[name] for name in given} == given
    assert model.config.encoder_config._attn_implementation == "eager" and model.config.trunk["kind"] == "shared"
    assert {parameter.dtype for parameter in model.encoder.parameters()} == {torch.float16}


def test_an_encoder_saved_in_half_precision_is_trained_in_float32(tmp_path):
    save_encoder(tmp_path).half().save_pretrained(tmp_path)
    model = Burst2VecForMultiTask.from_encoder_pretrained(tmp_path)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert torch.isfinite(model(torch.randn(1, 4000)).predictions["age"]).all()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"trnk": 0.9}, r"from_encoder_pretrained does not know 'trnk'; did you mean 'trunk'\? It takes \["),
        ({"reveision": "v1"}, "does not know 'reveision'; did you mean 'revision'"),
        ({"trust_remote_code": True}, "does not know 'trust_remote_code'; it takes"),
        ({"encoder_config": {}}, "does not know 'encoder_config'"),
    ],
)
def test_an_argument_that_nobody_takes_is_refused_before_anything_is_read(argument, message):
    with pytest.raises(ValueError, match=message):
        Burst2VecForMultiTask.from_encoder_pretrained("nowhere/at-all", **argument)


def test_a_token_of_an_unknown_name_is_not_shown():
    with pytest.raises(ValueError, match="'tokn'; did you mean 'token'") as told:
        Burst2VecForMultiTask.from_encoder_pretrained("nowhere/at-all", tokn="hf_secret")
    assert "hf_secret" not in str(told.value)


def test_hub_arguments_go_with_a_configuration_and_its_own_do_not(tmp_path):
    save_encoder(tmp_path)
    config = Burst2VecConfig(encoder_config=tiny_encoder_config(), tasks="emogator")
    assert set(Burst2VecForMultiTask.from_encoder_pretrained(tmp_path, config, revision="main").heads) == {
        "emotion",
        "category",
    }
    with pytest.raises(ValueError, match=r"give a config or its arguments, not both: \['head'\]"):
        Burst2VecForMultiTask.from_encoder_pretrained("nowhere/at-all", config, head="linear")


def test_a_text_encoder_is_refused_before_its_weights_are_fetched(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="model_type 'bert' is not a speech encoder"):
        Burst2VecForMultiTask.from_encoder_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("config", "argument", "message"),
    [
        (
            Burst2VecConfig,
            {"trnk": 0.9},
            r"Burst2VecConfig does not know 'trnk'; did you mean 'trunk'\? It takes",
        ),
        (Burst2VecConfig, {"token": "hf_secret"}, "does not know 'token'"),
        (OwnEncoderConfig, {"kindd": "vector"}, "OwnEncoderConfig does not know 'kindd'; did you mean 'kind'"),
    ],
)
def test_a_configuration_holds_nothing_that_it_does_not_know(config, argument, message):
    with pytest.raises(ValueError, match=message) as told:
        config(**argument)
    assert "hf_secret" not in str(told.value)


def test_a_saved_configuration_with_an_unknown_key_is_refused(tmp_path):
    Burst2VecConfig(encoder_config=tiny_encoder_config()).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**saved, "trnk": 0.9}))
    with pytest.raises(ValueError, match="'trnk'; did you mean 'trunk'"):
        Burst2VecConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("family", SPEECH_FAMILIES)
def test_an_unknown_key_of_an_encoders_dictionary_is_refused_and_every_known_one_is_taken(family):
    described = tiny_encoder_config(family).to_dict()
    config = Burst2VecConfig(encoder_config={**described, "attn_implementation": "eager"})
    assert {**config.encoder_config.to_dict(), **described} == config.encoder_config.to_dict()
    with pytest.raises(ValueError, match=f"a {family} encoder does not know 'hiden_size'; did you mean 'hidden_size"):
        Burst2VecConfig(encoder_config={**described, "hiden_size": 8})


def test_a_saved_configuration_keeps_what_its_encoders_checkpoint_said(tmp_path):
    """Published ones hold keys of the library that they were trained with, which nothing reads."""
    save_encoder(tmp_path)
    published = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**published, "feat_extract_dropout": 0.0}))
    model = Burst2VecForMultiTask.from_encoder_pretrained(tmp_path)
    model.save_pretrained(tmp_path / "saved")
    again = Burst2VecForMultiTask.from_pretrained(tmp_path / "saved")
    assert again.config.encoder_config.feat_extract_dropout == 0.0


def test_what_transformers_writes_and_gives_is_taken(tmp_path):
    given = {
        "architectures": ["Burst2VecForMultiTask"],
        "auto_map": {"AutoConfig": "configuration_burst2vec.Burst2VecConfig"},
        "custom_pipelines": {"vocal-burst-analysis": {"impl": "pipeline_burst2vec.BurstPipeline"}},
        "dtype": "float32",
        "id2label": {"0": "a", "1": "b"},
        "label2id": {"a": 0, "b": 1},
        "output_attentions": True,
        "output_hidden_states": True,
        "return_dict": True,
        "transformers_version": "5.0.0",
        "model_type": "burst2vec",
        "name_or_path": "you/model",
        "_name_or_path": "you/model",
        "_commit_hash": "a" * 40,
        "attn_implementation": "eager",
        "num_labels": 2,
        "torch_dtype": "float32",
    }
    config = Burst2VecConfig(encoder_config=HubertConfig(), **given)
    config.save_pretrained(tmp_path)
    again = Burst2VecConfig.from_pretrained(tmp_path, attn_implementation="eager", num_labels=2)
    assert again.auto_map == given["auto_map"] and again.custom_pipelines == given["custom_pipelines"]
