import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoFeatureExtractor, AutoModel

from burst2vec import (
    Burst2VecConfig,
    Burst2VecFeatureExtractor,
    Burst2VecForMultiTask,
    BurstFlow,
    BurstFlowConfig,
    BurstGenerator,
    BurstGeneratorConfig,
)
from burst2vec.tasks import Task
from tests.conftest import exvo_labels, noise_clips, tiny_encoder_config, tiny_model

TRUNK = {"kind": "shared_private", "hidden_size": 8}


def predictions(model, clips=(4000, 8000)):
    batch = Burst2VecFeatureExtractor()(noise_clips(*clips), sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        return model(**batch).predictions


def assert_equal_predictions(left, right):
    for name, values in left.items():
        torch.testing.assert_close(values, right[name], atol=1e-6, rtol=1e-6)


def test_regressions_lie_in_their_span_and_classes_are_probabilities():
    answer = predictions(tiny_model())
    assert ((answer["emotion"] >= 0) & (answer["emotion"] <= 1)).all()
    assert ((answer["age"] >= 15) & (answer["age"] <= 45)).all()
    torch.testing.assert_close(answer["country"].sum(dim=1), torch.ones(2))


@pytest.mark.parametrize("style", ["base", "large"])
def test_a_saved_model_answers_as_before(tmp_path, style):
    model = tiny_model(style=style)
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    assert isinstance(loaded, Burst2VecForMultiTask)
    assert_equal_predictions(predictions(model), predictions(loaded))
    assert not list(tmp_path.glob("*.bin"))


@pytest.mark.parametrize("style", ["base", "large"])
def test_any_own_key_missing_from_the_file_is_refused_or_named_and_initialised(tmp_path, style):
    model = tiny_model(style=style)
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    expected = predictions(model)
    own = [key for key in weights if key.startswith("encoder.") and "layer_norm" in key and "conv_layers" in key]
    assert own
    if style == "base":  # what lies behind the encoder is the same in both
        own += [key for key in weights if not key.startswith("encoder.model.")]
        assert len(own) >= 20
    for key in own:
        save_file({k: v for k, v in weights.items() if k != key}, tmp_path / "model.safetensors", {"format": "pt"})
        with pytest.raises(
            ValueError, match=rf"lacks 1 weights, such as {key.replace('.', '[.]')}; they would be random"
        ):
            Burst2VecForMultiTask.from_pretrained(tmp_path)
        loaded, found = Burst2VecForMultiTask.from_pretrained(tmp_path, output_loading_info=True)
        assert set(found["missing_keys"]) == {key}
        state = loaded.eval().state_dict()
        assert torch.isfinite(state[key]).all() and state[key].abs().max() < 5, key
        for other, value in weights.items():
            assert other == key or torch.equal(state[other], value), other
        assert all(torch.isfinite(values).all() for values in predictions(loaded).values())
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    assert_equal_predictions(expected, predictions(Burst2VecForMultiTask.from_pretrained(tmp_path).eval()))


def broken(model, name, value):
    """The model with one number of a parameter or buffer made another."""
    with torch.no_grad():
        model.state_dict()[name].view(-1)[-1] = value
    return model


@pytest.mark.parametrize("loader", [Burst2VecForMultiTask, AutoModel])
@pytest.mark.parametrize(
    ("name", "value"),
    [("heads.age.output.weight", float("nan")), ("encoder.model.encoder.layers.1.layer_norm.bias", float("inf"))],
)
def test_a_model_with_a_weight_that_is_no_number_is_not_loaded(tmp_path, loader, name, value):
    model = tiny_model()
    broken(model, name, value).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"1 of the model's weights are not finite, such as {name}"):
        loader.from_pretrained(tmp_path)


def test_statistics_that_are_no_numbers_are_not_loaded(tmp_path):
    model = Burst2VecForMultiTask(Burst2VecConfig(encoder_config={"kind": "vector", "features": 3}))
    broken(model, "encoder.variance", float("nan")).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="not finite, such as encoder.variance"):
        Burst2VecForMultiTask.from_pretrained(tmp_path)


def test_a_model_of_which_only_the_encoder_was_saved_is_not_loaded(tmp_path):
    model = tiny_model()
    weights = {name: values for name, values in model.state_dict().items() if name.startswith("encoder.")}
    lost = len(model.state_dict()) - len(weights)
    model.save_pretrained(tmp_path, state_dict=weights)
    for loader in (Burst2VecForMultiTask, AutoModel):
        with pytest.raises(ValueError, match=f"lacks {lost} weights, such as discriminator.bias; they would be random"):
            loader.from_pretrained(tmp_path)


@pytest.mark.parametrize("fault", ["missing", "nan"])
def test_an_encoder_that_lacks_weights_or_has_nan_is_not_built_upon(tmp_path, fault):
    encoder = AutoModel.from_config(tiny_encoder_config())
    weights = dict(encoder.state_dict())
    name = "encoder.layers.1.layer_norm.weight"
    if fault == "missing":
        del weights[name]
    else:
        weights[name] = weights[name] * float("nan")
    encoder.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(ValueError, match=f"such as {name}"):
        Burst2VecForMultiTask.from_encoder_pretrained(tmp_path)


def test_the_embedding_that_hides_frames_may_be_missing_from_a_published_encoder(tmp_path):
    encoder = AutoModel.from_config(tiny_encoder_config())
    weights = {name: values for name, values in encoder.state_dict().items() if name != "masked_spec_embed"}
    assert len(weights) == len(encoder.state_dict()) - 1
    encoder.save_pretrained(tmp_path, state_dict=weights)
    model = Burst2VecForMultiTask.from_encoder_pretrained(tmp_path)
    assert torch.isfinite(model.encoder.model.masked_spec_embed).all()


OWN_ENCODER = {
    "kind": "conformer",
    "channels": 16,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "conv_depthwise_kernel_size": 3,
}


def test_it_loads_where_burst2vec_cannot_be_imported(tmp_path):
    models = {
        "speech": tiny_model(),
        "own": Burst2VecForMultiTask(Burst2VecConfig(encoder_config=OWN_ENCODER)).eval(),
    }
    for name, model in models.items():
        model.save_pretrained(tmp_path / name)
        Burst2VecFeatureExtractor().save_pretrained(tmp_path / name)
    generator = BurstGenerator(BurstGeneratorConfig(["Awe"], channels=[8, 4], latent_size=6)).eval()
    generator.save_pretrained(tmp_path / "generator")
    flow = BurstFlow(BurstFlowConfig(["Awe"], mels=4, frames=8, hidden_size=16, num_hidden_layers=1)).eval()
    flow.save_pretrained(tmp_path / "flow")
    clip = noise_clips(8000)[0]
    script = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "burst2vec":
            raise ImportError("burst2vec is not installed here")
sys.meta_path.insert(0, Refuse())
import json, torch
from transformers import AutoFeatureExtractor, AutoModel, pipeline
clip = torch.load("clip.pt").numpy()
for name in {list(models)}:
    extract = AutoFeatureExtractor.from_pretrained(name, trust_remote_code=True)
    model = AutoModel.from_pretrained(name, trust_remote_code=True).eval()
    with torch.no_grad():
        output = model(**extract(clip, sampling_rate=16000, return_tensors="pt"))
    (answer,) = pipeline(model=name, trust_remote_code=True)([{{"raw": clip, "sampling_rate": 16000}}])
    assert abs(answer["age"] - output.predictions["age"].item()) < 1e-4
    assert answer["country"]["label"] in answer["country"]["probabilities"] and len(answer["emotion"]) == 10
    print(json.dumps({{task: values.tolist() for task, values in output.predictions.items()}}))
generate = AutoModel.from_pretrained("generator", trust_remote_code=True).eval()
torch.save(generate(torch.ones(1, 6)).images.detach(), "images.pt")
flow = AutoModel.from_pretrained("flow", trust_remote_code=True).eval()
torch.save(flow.sample(torch.ones(1, 1, 4, 8), flow.config.labels_of("Awe")[None]), "flowed.pt")
assert "burst2vec" not in sys.modules
"""
    torch.save(torch.from_numpy(clip), tmp_path / "clip.pt")
    ran = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**__import__("os").environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "PYTHONPATH": ""},
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    lines = ran.stdout.splitlines()[-len(models) :]
    for model, line in zip(models.values(), lines, strict=True):
        with torch.no_grad():
            expected = model(**Burst2VecFeatureExtractor()(clip, sampling_rate=16000, return_tensors="pt")).predictions
        for name, values in json.loads(line).items():
            torch.testing.assert_close(torch.tensor(values), expected[name], atol=1e-6, rtol=1e-5)
    flowed = flow.sample(torch.ones(1, 1, 4, 8), flow.config.labels_of("Awe")[None])
    torch.testing.assert_close(torch.load(tmp_path / "flowed.pt"), flowed, atol=1e-6, rtol=1e-5)
    images = torch.load(tmp_path / "images.pt")
    torch.testing.assert_close(images, generator(torch.ones(1, 6)).images.detach(), atol=1e-6, rtol=1e-5)


def test_the_feature_extractor_loads_by_auto_class(tmp_path):
    Burst2VecFeatureExtractor(target_rms_dbfs=-9.0).save_pretrained(tmp_path)
    Burst2VecConfig(encoder_config=tiny_encoder_config()).save_pretrained(tmp_path)
    loaded = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert isinstance(loaded, Burst2VecFeatureExtractor) and loaded.target_rms_dbfs == -9.0


@pytest.mark.parametrize("family", ["hubert", "wav2vec2", "wavlm"])
@pytest.mark.parametrize("style", ["base", "large"])
def test_a_published_encoder_is_taken_weights_and_attention(tmp_path, family, style):
    torch.manual_seed(0)
    encoder = AutoModel.from_config(tiny_encoder_config(family, style))
    encoder.save_pretrained(tmp_path)
    model = Burst2VecForMultiTask.from_encoder_pretrained(tmp_path, tasks="emogator", trunk="shared")
    for name, value in encoder.state_dict().items():
        assert torch.equal(model.encoder.model.state_dict()[name], value), name
    attention = "eager" if family == "wavlm" else "sdpa"
    assert model.config.encoder_config._attn_implementation == attention
    assert model.encoder.model.config._attn_implementation == attention
    assert set(model.heads) == {"emotion", "category"} and model.config.trunk["kind"] == "shared"
    assert model.config.freeze_feature_encoder
    model.save_pretrained(tmp_path / "saved")
    assert str(tmp_path) not in (tmp_path / "saved" / "config.json").read_text()
    again = Burst2VecForMultiTask.from_encoder_pretrained(tmp_path, config=model.config)
    assert set(again.heads) == {"emotion", "category"}
    with pytest.raises(ValueError, match="not both"):
        Burst2VecForMultiTask.from_encoder_pretrained(tmp_path, config=model.config, head="linear")


def test_a_new_task_set_is_data():
    tasks = [
        {"name": "pain", "kind": "regression", "labels": ["pain"], "span": [0, 10], "loss": "mae", "metric": "mae"},
        Task("burst", "classification", ("laugh", "gasp"), loss="cross_entropy", metric="uar"),
    ]
    model = tiny_model(tasks=tasks)
    labels = {"pain": torch.tensor([[3.0], [float("nan")]]), "burst": torch.tensor([1, -1])}
    output = model(torch.randn(2, 4000), labels=labels)
    assert torch.isfinite(output.loss) and output.predictions["pain"].shape == (2, 1)


def test_a_task_may_bear_a_name_that_torch_has_for_itself(tmp_path):
    model = tiny_model(tasks="avb")  # A-VB's fourth task is "type", and a module has a method of that name
    clips = torch.randn(2, 4000)
    before = model(clips).predictions
    assert {name: tuple(values.shape) for name, values in before.items()} == {
        "high": (2, 10),
        "two": (2, 2),
        "culture": (2, 40),
        "type": (2, 8),
    }
    model.save_pretrained(tmp_path)
    after = Burst2VecForMultiTask.from_pretrained(tmp_path)(clips).predictions
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_one_task_has_no_adversary_to_hide_from():
    model = tiny_model(tasks=[Task("age", "regression", ("age",), span=(15, 45), loss="mae", metric="mae")])
    parts = model(torch.randn(2, 4000), labels={"age": torch.tensor([[20.0], [30.0]])}).loss_parts
    assert "adversary" not in parts


def test_bfloat16_autocast_keeps_predictions_and_loss_in_float32():
    model = tiny_model()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(torch.randn(2, 4000), labels=exvo_labels(2))
    assert output.loss.dtype == torch.float32
    assert all(values.dtype == torch.float32 for values in output.predictions.values())
    assert (output.predictions["country"].sum(dim=1) - 1).abs().max() < 1e-6  # a bfloat16 softmax misses by 1e-3


def test_gradient_checkpointing_changes_no_gradient():
    batch, labels = torch.randn(2, 4000), exvo_labels(2)
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model(
            trunk={"kind": "shared_private", "dropout": 0.0},
            head={"kind": "linear", "dropout": 0.0},
            encoder_changes={
                "hidden_dropout": 0.0,
                "attention_dropout": 0.0,
                "activation_dropout": 0.0,
                "feat_proj_dropout": 0.0,
                "layerdrop": 0.0,
                "mask_time_prob": 0.0,
            },
        )
        if checkpointing:
            model.gradient_checkpointing_enable()
        model.train()
        model(batch, labels=labels).loss.backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": "exvoo"}, "unknown task preset 'exvoo'"),
        ({"pooling": "median"}, "pooling 'median' is not one of"),
        ({"trunk": {**TRUNK, "discriminator_weight": -0.5}}, "discriminator_weight must be 0 or more"),
        ({"trunk": {**TRUNK, "adversary_weight": float("nan")}}, "adversary_weight must be 0 or more"),
        ({"head": {"kind": "linear", "dropout": 1.0}}, "head 'linear': dropout must be in 0..1"),
        ({"encoder_config": {"hidden_size": 8}}, "needs a 'model_type'"),
    ],
)
def test_a_wrong_setting_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Burst2VecForMultiTask(Burst2VecConfig(**{"encoder_config": tiny_encoder_config(), **arguments}))


def test_an_unknown_task_is_named():
    with pytest.raises(ValueError, match="no task 'height'; it has"):
        tiny_model()(torch.randn(1, 4000), task="height")


def test_the_configuration_survives_json(tmp_path):
    config = Burst2VecConfig(encoder_config=tiny_encoder_config(), tasks="emogator", trunk={**TRUNK, "dropout": 0.3})
    config.save_pretrained(tmp_path)
    loaded = Burst2VecConfig.from_pretrained(tmp_path)
    assert loaded.task_records == config.task_records and loaded.trunk["dropout"] == 0.3
    assert loaded.encoder_config.conv_dim == [16] * 7
