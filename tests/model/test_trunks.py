"""Each pooling before each trunk: one model class builds, trains, saves and answers."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.pooling import POOLINGS
from burst2vec.trunks import TRUNKS, IdentityTrunk, OneView, PerTaskTrunk, SharedPrivateTrunk, SharedTrunk, Views
from tests.conftest import exvo_labels, noise_clips, tiny_encoder_config, tiny_model

TASKS = ["emotion", "age", "country"]
WHOLE = {"mask_time_prob": 0.0, "layerdrop": 0.0}  # every part of the encoder takes part
HEAD = {"kind": "linear", "dropout": 0.0}
each_point = pytest.mark.parametrize(("pooling", "trunk"), [(p, t) for p in POOLINGS for t in TRUNKS])


def small(trunk):
    """A trunk of small layers."""
    sizes = {"shared_private": {"projection_size": 24, "hidden_size": 20}, "identity": {}}
    return {"kind": trunk, **sizes.get(trunk, {"hidden_sizes": [12, 6]})}


@each_point
def test_a_step_reaches_every_parameter_and_a_saved_model_answers_as_before(tmp_path, pooling, trunk):
    still = {"trunk": {**small(trunk), **({} if trunk == "identity" else {"dropout": 0.0})}, "head": HEAD}
    model = tiny_model(pooling=pooling, encoder_changes=WHOLE, style="large", **still).train()
    clips, labels = torch.randn(4, 4000), exvo_labels(4)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    loss = model(clips, labels=labels).loss
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert name.startswith("encoder.") or parameter.grad.any(), name
    optimizer.step()
    assert any(not torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())

    model.eval().save_pretrained(tmp_path)
    loaded = Burst2VecForMultiTask.from_pretrained(tmp_path).eval()
    for axis in ("pooling", "trunk", "head"):
        assert getattr(loaded.config, axis) == getattr(model.config, axis)
    output, again = model(clips, labels=labels), loaded(clips, labels=labels)
    assert torch.equal(output.loss, again.loss) and torch.equal(output.embeddings, again.embeddings)
    assert all(torch.equal(output.predictions[task], again.predictions[task]) for task in TASKS)


@each_point
def test_a_clip_gives_the_same_answer_alone_and_in_a_padded_batch(extract, pooling, trunk):
    model = tiny_model(pooling=pooling, trunk=small(trunk))
    clips = noise_clips(4000, 500, 16000)
    with torch.no_grad():
        alone = [model(**extract([clip])) for clip in clips]
        together = model(**extract(clips))
    assert (together.embeddings - torch.cat([output.embeddings for output in alone])).abs().max() <= 1e-5
    for task in TASKS:
        apart = torch.cat([output.predictions[task] for output in alone])
        span = 30 if task == "age" else 1
        assert (together.predictions[task] - apart).abs().max() / span <= 1e-5


@pytest.mark.parametrize(("pooling", "trunk"), [("attentive", t) for t in TRUNKS] + [("mean", "shared")])
def test_an_own_key_missing_from_the_file_comes_back_initialised(tmp_path, pooling, trunk):
    model = tiny_model(pooling=pooling, trunk=small(trunk))
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    own = [key for key in weights if key.startswith(("pooling.age.", "trunk."))]
    assert own
    for key in own:
        save_file({k: v for k, v in weights.items() if k != key}, tmp_path / "model.safetensors", {"format": "pt"})
        state = Burst2VecForMultiTask.from_pretrained(tmp_path, output_loading_info=True)[0].state_dict()
        assert torch.isfinite(state[key]).all() and state[key].abs().max() < 5, key
        assert all(key == other or torch.equal(state[other], value) for other, value in weights.items())


@pytest.mark.parametrize(("pooling", "trunk"), [("attentive", "shared_private"), ("last", "shared")])
def test_a_model_can_be_exported_for_any_number_of_clips_and_samples(pooling, trunk):
    model = tiny_model(pooling=pooling, trunk=small(trunk), style="large")
    clips, mask = torch.randn(2, 4000), torch.ones(2, 4000, dtype=torch.long)
    mask[1, 2000:] = 0
    shape = {0: torch.export.Dim("batch", min=2, max=64), 1: torch.export.Dim("samples", min=800, max=160000)}
    exported = torch.export.export(
        model, (clips, mask), dynamic_shapes={"input_values": shape, "attention_mask": shape}
    ).module()
    clips, mask = torch.randn(3, 6000), torch.ones(3, 6000, dtype=torch.long)
    mask[0, 900:] = 0
    for task, values in model(clips, mask).predictions.items():
        torch.testing.assert_close(exported(clips, mask).predictions[task], values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("trunk", ["shared", "per_task", "identity"])
def test_a_trunk_with_one_view_has_one_loss_a_task_and_no_adversaries(trunk):
    model = tiny_model(trunk=trunk)
    assert (model.trunk.discriminator_weight, model.trunk.adversary_weight) == (0.0, 0.0)
    assert not hasattr(model, "discriminator")
    output = model(torch.randn(4, 4000), labels=exvo_labels(4))
    assert list(output.loss_parts) == ["emotion_combined", "age_combined", "country_combined"]
    assert float(output.loss) == pytest.approx(sum(float(part) for part in output.loss_parts.values()), rel=1e-6)


def test_the_default_keeps_the_names_of_saved_models():
    names = {name for name, _ in tiny_model(tasks="emogator").named_parameters() if not name.startswith("encoder.")}
    layers = ["projection", "shared", "private.emotion", "private.category"]
    expected = [f"trunk.{layer}.{place}" for layer in layers for place in (1, 3)]
    expected += [f"{part}.{task}" for part in ("trunk.combine",) for task in ("emotion", "category")]
    expected += ["heads.emotion.output", "heads.category.output", "discriminator"]
    assert names == {f"{name}.{kind}" for name in expected for kind in ("weight", "bias")}


def test_each_task_has_its_own_attention():
    model = tiny_model(pooling="attentive", trunk="identity")
    clips = torch.randn(2, 8000)
    before = model(clips)
    assert before.embeddings.shape == (2, 3 * 32)
    torch.nn.init.normal_(model.pooling["age"].score.weight, std=3.0)
    after = model(clips)
    changed = {task for task in TASKS if not torch.equal(before.predictions[task], after.predictions[task])}
    assert changed == {"age"}
    parts = after.embeddings.split(32, dim=1)
    assert torch.equal(parts[0], before.embeddings[:, :32]) and not torch.equal(parts[1], before.embeddings[:, 32:64])
    assert torch.equal(model(clips, task="age").embeddings, parts[1])


def test_only_the_task_that_a_batch_trains_moves_its_attention():
    model = tiny_model(pooling="attentive", trunk="shared")
    model(torch.randn(4, 4000), labels=exvo_labels(4), task="country").loss.backward()
    assert {task for task in TASKS if model.pooling[task].score.weight.grad is not None} == {"country"}


def test_one_tensor_of_clips_is_computed_once_and_shared_by_identity():
    trunk = SharedTrunk(4, TASKS, hidden_sizes=[3], dropout=0.5).train()
    views = trunk(torch.randn(2, 4), TASKS)
    assert views["emotion"].combined is views["country"].combined and isinstance(views["age"], OneView)
    private = SharedPrivateTrunk(4, TASKS, projection_size=3, hidden_size=5, dropout=0.0)(
        torch.randn(2, 4), ["age", "country"]
    )
    assert list(private) == ["age", "country"] and isinstance(private["age"], Views)
    assert private["age"].shared is private["country"].shared and private["age"].embedding is private["age"].shared


def test_the_shared_trunk_is_linear_norm_leaky_relu_layer_by_layer():
    torch.manual_seed(0)
    trunk, clips = SharedTrunk(4, ["age"], hidden_sizes=[6, 3], dropout=0.2).eval(), torch.randn(5, 4)
    values = clips
    for linear, norm in ((trunk.layers[0], trunk.layers[1]), (trunk.layers[4], trunk.layers[5])):
        values = values @ linear.weight.T + linear.bias
        centred = values - values.mean(1, keepdim=True)
        values = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt() * norm.weight + norm.bias
        values = torch.where(values > 0, values, 0.01 * values)
    torch.testing.assert_close(trunk(clips, ["age"])["age"].combined, values)
    assert trunk.output_size == 3 and [type(layer).__name__ for layer in trunk.layers].count("Dropout") == 1


@pytest.mark.parametrize("layer_norm, norms", [("all", [1, 1]), ("first", [1, 0]), ("none", [0, 0])])
def test_layers_have_the_norms_that_are_asked_for(layer_norm, norms):
    torch.manual_seed(0)
    trunk = SharedTrunk(4, ["age"], hidden_sizes=[6, 3], dropout=0.0, layer_norm=layer_norm)
    clips = values = torch.randn(5, 4)
    linears = [layer for layer in trunk.layers if isinstance(layer, torch.nn.Linear)]
    for linear, has_norm in zip(linears, norms, strict=True):
        values = values @ linear.weight.T + linear.bias
        if has_norm:
            centred = values - values.mean(1, keepdim=True)
            values = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        values = torch.where(values > 0, values, 0.01 * values)
    torch.testing.assert_close(trunk(clips, ["age"])["age"].combined, values)


def test_a_layer_norm_that_is_none_of_the_three_is_refused():
    with pytest.raises(
        ValueError, match=r"trunk 'shared': layer_norm must be one of \['all', 'first', 'none'\], got 'last'"
    ):
        Burst2VecForMultiTask(
            Burst2VecConfig({"kind": "vector", "features": 2}, trunk={"kind": "shared", "layer_norm": "last"})
        )


def test_each_network_of_the_trunk_per_task_is_given_its_own_task_only():
    torch.manual_seed(0)
    trunk = PerTaskTrunk(4, TASKS, hidden_sizes=[6, 3], dropout=0.0)
    clips = torch.randn(5, 4)
    views = trunk(clips, ["emotion", "age"])
    assert list(views) == ["emotion", "age"] and trunk.output_size == 3
    assert torch.equal(views["age"].combined, trunk.networks["age"](clips, ["age"])["age"].combined)
    assert not torch.equal(views["age"].combined, views["emotion"].combined)
    views["age"].combined.sum().backward()
    assert {task for task in TASKS if trunk.networks[task].layers[0].weight.grad is not None} == {"age"}
    own = {"emotion": clips, "age": clips + 1}
    assert torch.equal(trunk(own, ["emotion"])["emotion"].combined, views["emotion"].combined)


def test_the_embedding_of_networks_per_task_is_all_of_them():
    model = tiny_model(pooling="mean", trunk=small("per_task"))
    clips = torch.randn(2, 8000)
    whole = model(clips).embeddings
    assert whole.shape == (2, 3 * 6) and torch.equal(model(clips, task="age").embeddings, whole[:, 6:12])


def test_the_identity_trunk_gives_each_task_its_clips_untouched():
    clips = {name: torch.randn(2, 4) for name in TASKS}
    views = IdentityTrunk(4, TASKS)(clips, ["age"])
    assert list(views) == ["age"] and views["age"].combined is clips["age"]


def config(**arguments):
    return Burst2VecConfig(encoder_config=tiny_encoder_config(), **arguments)


def test_what_is_left_out_is_the_default_of_its_part_and_is_kept():
    made = config()
    weights = {"discriminator_weight": 0.5, "adversary_weight": 0.25}  # Burst2Vec, section 4
    assert made.trunk == {
        "kind": "shared_private",
        "projection_size": 256,
        "hidden_size": 256,
        "dropout": 0.1,
        **weights,
    }
    assert (made.pooling, made.head) == ({"kind": "mean"}, {"kind": "linear", "dropout": 0.1, "centred": True})
    assert config(trunk={"kind": "shared"}).trunk == config(trunk="shared").trunk
    assert config(pooling="attentive").pooling == {"kind": "attentive", "attention_size": 128, "hops": 1}


def test_an_argument_of_a_part_reaches_it():
    pooling = {"kind": "attentive", "attention_size": 7}
    model = tiny_model(pooling=pooling, trunk=small("shared"), head={"kind": "linear", "dropout": 0.25})
    assert model.pooling["age"].hidden.weight.shape == (7, 32)
    assert model.trunk.output_size == 6 and model.heads["age"].dropout.p == 0.25


@pytest.mark.parametrize("moved", ["projection_size", "extractor_size", "hidden_sizes", "dropout", "adversary_weight"])
def test_a_model_saved_with_its_parts_arguments_beside_them_is_refused_in_a_line(tmp_path, moved):
    config().save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**saved, "trunk": "shared_private", moved: 0}))
    with pytest.raises(
        ValueError, match=f"^{moved}: arguments of the trunk and the head now, .*train its recipe again"
    ):
        Burst2VecConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("trunk", ["identity", {"kind": "shared", "hidden_sizes": (7,)}, small("shared_private")])
def test_a_saved_configuration_reads_back_the_same(tmp_path, trunk):
    saved = config(pooling="statistics", trunk=trunk)
    saved.save_pretrained(tmp_path)
    loaded = Burst2VecConfig.from_pretrained(tmp_path)
    own = {"_name_or_path", "encoder_config"}
    assert {k: v for k, v in loaded.to_dict().items() if k not in own} == {
        k: v for k, v in saved.to_dict().items() if k not in own
    }
    assert loaded.trunk == saved.trunk and isinstance(loaded.trunk.get("hidden_sizes", []), list)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trunk": "private"}, r"trunk 'private' is not one of \['identity', 'per_task', 'shared', 'shared_private'\]"),
        (
            {"pooling": "median"},
            r"'median' is not one of \['attentive', 'attentive_statistics', 'first', 'last', 'max', 'mean', 'stat",
        ),
        (
            {"head": {"kind": "linear", "size": 3}},
            r"head 'linear' does not know 'size'; it takes \['centred', 'dropout'\]",
        ),
        ({"head": {"kind": "linear", "dropout": "much"}}, "head 'linear': dropout must be float, got 'much'"),
        ({"trunk": {"dropout": 0.1}}, r"trunk must be the name of a kind, or a mapping such as \{kind: NAME, …\}, got"),
        ({"trunk": {"kind": "shared", "adversary_weight": 0.1}}, "trunk 'shared' does not know 'adversary_weight'"),
        ({"trunk": {"kind": "shared", "hidden_sizes": []}}, r"a list of one or more positive .* got \[\]; .*identity"),
        ({"trunk": {"kind": "shared", "hidden_sizes": "128"}}, "hidden_sizes must be a list"),
        ({"trunk": {"kind": "per_task", "hidden_sizes": [64, 0]}}, r"got \[64, 0\]"),
        ({"trunk": {"kind": "shared", "hidden_sizes": [64.0]}}, r"got \[64.0\]"),
    ],
)
def test_a_wrong_axis_value_is_refused_with_what_is_known(arguments, message):
    with pytest.raises(ValueError, match=message):
        Burst2VecForMultiTask(config(**arguments))
