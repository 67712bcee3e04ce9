"""The ExVo challenge's baseline, in numpy by the white paper's words and by the facts of its published code."""

from pathlib import Path

import numpy as np
import pytest
import torch

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.experiment.recipes import load_recipe
from burst2vec.experiment.sections import ModelArguments
from burst2vec.losses import UncertaintyWeights
from tests.conftest import exvo_labels

RECIPES = Path(__file__).parents[2] / "examples" / "recipes" / "exvo_baselines"
VARIANTS = {"compare": "paper", "compare_as_published_code": "code"}
FEATURES = 88
TASKS = ("emotion", "age", "country")


def baseline(name, features=FEATURES):
    """The recipe's model, for vectors of so many features."""
    model = load_recipe(RECIPES / f"{name}.yaml").model
    encoder = {**model["encoder"], "features": features}
    return Burst2VecForMultiTask(Burst2VecConfig(encoder_config=encoder, **ModelArguments(**model).for_config()))


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def normalised(x, weight, bias):
    deviations = x - x.mean(1, keepdims=True)
    return deviations / np.sqrt((deviations**2).mean(1, keepdims=True) + 1e-5) * weight + bias


def by_hand(weights, x, variant):
    """The three outputs: two shared layers, and for each task one of 32 units and its own."""
    linear = iter([name[: -len(".weight")] for name, value in weights.items() if "trunk" in name and value.ndim == 2])
    norms = iter([name[: -len(".weight")] for name, v in weights.items() if name.endswith("weight") and v.ndim == 1])

    def apply(layer, values):
        return values @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]

    x = (x - weights["encoder.mean"]) / np.sqrt(weights["encoder.variance"])
    for place in (1, 2):
        x = apply(next(linear), x)
        if place == 1 or variant == "code":
            norm = next(norms)
            x = normalised(x, weights[f"{norm}.weight"], weights[f"{norm}.bias"])
        x = leaky(x)
    assert not list(linear) and not list(norms), "a layer that was not asked for"
    outputs = {task: apply(f"heads.{task}.output", leaky(apply(f"heads.{task}.hidden", x))) for task in TASKS}
    return {**outputs, "emotion": 1 / (1 + np.exp(-outputs["emotion"]))}


def loss_by_hand(outputs, labels, log_variances):
    """MSE of each emotion, added; MSE of years; cross-entropy; added, or weighed by what is learnt."""
    emotion = sum(np.mean((outputs["emotion"][:, label] - labels["emotion"][:, label]) ** 2) for label in range(10))
    age = np.mean((outputs["age"] - labels["age"]) ** 2)
    logits = outputs["country"]
    rows = np.arange(len(logits))
    country = np.mean(np.log(np.exp(logits).sum(1)) - logits[rows, labels["country"]])
    losses = (emotion, age, country)
    if log_variances is None:
        return sum(losses)
    return sum(loss / (2 * np.exp(s)) + s / 2 for loss, s in zip(losses, log_variances, strict=True))


@pytest.mark.parametrize(("name", "variant"), VARIANTS.items())
def test_outputs_and_loss_are_those_of_the_network_written_by_hand(name, variant, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # so that no rounding blurs the comparison
    torch.manual_seed(0)
    model = baseline(name).double().eval()
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(0.1 * torch.rand_like(value))  # biases, norms and statistics are none of 0 and 1
    weights = {key: value.numpy() for key, value in model.state_dict().items()}
    vectors = 3 * torch.randn(8, FEATURES, dtype=torch.float64)
    labels = {key: value.double() if value.is_floating_point() else value for key, value in exvo_labels(8).items()}
    output = model(vectors, labels=labels)

    expected = by_hand(weights, vectors.numpy(), variant)
    chances = np.exp(expected["country"]) / np.exp(expected["country"]).sum(1, keepdims=True)
    for task, values in {**expected, "country": chances}.items():
        np.testing.assert_allclose(output.predictions[task].detach().numpy(), values, rtol=0, atol=1e-9)
    learnt = weights.get("task_weights.log_variances")
    assert (learnt is None) == (variant == "paper")
    expected_loss = loss_by_hand(expected, {key: value.numpy() for key, value in labels.items()}, learnt)
    assert float(output.loss) == pytest.approx(expected_loss, rel=1e-9)


@pytest.mark.parametrize(("name", "more"), [("compare", 0), ("compare_as_published_code", 2 * 64 + 3)])
@pytest.mark.parametrize("features", [6373, 88, 125, 4096])
def test_the_network_has_the_weights_counted_by_hand(name, more, features):
    with torch.device("meta"):
        found = sum(parameter.numel() for parameter in baseline(name, features).parameters())
    shared = features * 128 + 128 + 2 * 128 + 128 * 64 + 64
    heads = 3 * (64 * 32 + 32) + (32 + 1) * (10 + 1 + 4)
    assert found == shared + heads + more


def test_task_weights_start_where_the_published_code_has_them_and_are_learnt_and_saved(tmp_path):
    model = baseline("compare_as_published_code")
    assert model.task_weights.log_variances.tolist() == pytest.approx([-0.33] * 3)
    model(torch.randn(4, FEATURES), labels=exvo_labels(4)).loss.backward()
    assert (model.task_weights.log_variances.grad != 0).all()
    with torch.no_grad():
        model.task_weights.log_variances.copy_(torch.tensor([0.5, -1.0, 2.0]))
    model.save_pretrained(tmp_path)
    again = Burst2VecForMultiTask.from_pretrained(tmp_path)
    assert again.task_weights.log_variances.tolist() == [0.5, -1.0, 2.0]


def test_learnt_weights_are_at_rest_where_the_variance_is_the_loss_and_unlabelled_tasks_add_nothing():
    weights = UncertaintyWeights(["age", "country"], log_variance=0.0)
    losses = {"age": torch.tensor(3.0), "country": torch.tensor(0.0)}
    labelled = {"age": torch.tensor([True, False]), "country": torch.tensor([False, False])}
    assert float(weights(losses, labelled)) == 1.5  # 3 / (2 · e⁰) + 0/2
    with torch.no_grad():
        weights.log_variances.copy_(torch.tensor([3.0, 5.0]).log())
    weights(losses, labelled).backward()
    assert weights.log_variances.grad.tolist() == pytest.approx([0.0, 0.0], abs=1e-7)


def test_an_untrained_age_lies_in_the_middle_of_its_span():
    model = baseline("compare").eval()
    ages = model(torch.randn(50, FEATURES)).predictions["age"]
    assert abs(float(ages.mean()) - 30) < 2 and float(ages.std()) > 0


def test_a_number_that_is_none_is_refused_by_name():
    with pytest.raises(ValueError, match="log_variance must be a number in -10..10, or null, got 'learnt'"):
        Burst2VecConfig(encoder_config={"kind": "vector", "features": 2}, log_variance="learnt")
    with pytest.raises(ValueError, match="head 'mlp': hidden_size must be a whole number"):
        Burst2VecForMultiTask(
            Burst2VecConfig(
                encoder_config={"kind": "vector", "features": 2}, trunk="shared", head={"kind": "mlp", "hidden_size": 0}
            )
        )
