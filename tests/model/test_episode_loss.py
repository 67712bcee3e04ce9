"""The loss of an episode: of the query alone, after its speaker's support has been seen."""

import numpy as np
import pytest
import torch

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.bias_and_scale import adapt, fit
from tests.conftest import exvo_labels

# Three speakers: two support clips and two queries, two and three, one and one.
SPEAKER = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2])
SUPPORT = torch.tensor([True, True, False, False, False, True, True, False, False, True, False])
EPISODE = {"speaker": SPEAKER, "support": SUPPORT}
EMOTION = {"preset": "exvo", "name": "emotion", "loss": "mse"}
TASKS = [
    EMOTION,
    {"preset": "exvo", "name": "age", "loss": "mse", "output": "linear"},
    {"preset": "exvo", "name": "country"},
]


def model(**changes):
    torch.manual_seed(0)
    config = {"trunk": "identity", "tasks": TASKS, "initializer_range": 0.5, "head": {"kind": "linear", "dropout": 0.0}}
    return Burst2VecForMultiTask(Burst2VecConfig({"kind": "vector", "features": 4}, **{**config, **changes})).train()


def closed_form(predictions, labels):
    """Bias and scale of one speaker, label by label from the formula in ``burst2vec.bias_and_scale``."""
    clips, size = predictions.shape
    residuals = labels - predictions
    if clips == 1:
        return residuals[0] / 2, np.ones(size)
    means = [sum(column) / clips for column in residuals.T]
    variance = sum((residuals[i, j] - means[j]) ** 2 for i in range(clips) for j in range(size)) / (size * (clips - 1))
    weight = max(0, 1 - (variance / clips) / np.mean(np.square(means)))
    bias, scale = [], []
    for j in range(size):
        centre = sum(predictions[:, j]) / clips
        along = predictions[:, j] - centre
        slope = sum((residuals[:, j] - means[j]) * along) / (sum(along**2) + variance / 0.25**2)
        scale.append(max(0, 1 + slope))
        bias.append(weight * means[j] - (scale[j] - 1) * centre)
    return np.array(bias), np.array(scale)


def naive(predictions, labels):
    """Speaker by speaker in numpy: the query's predictions with the bias and scale that the support gives."""
    predictions, labels = predictions.detach().double().numpy(), labels.double().numpy()
    adapted = predictions.copy()
    for speaker in range(3):
        own, query = (SPEAKER == speaker).numpy(), ~SUPPORT.numpy()
        bias, scale = closed_form(predictions[own & ~query], labels[own & ~query])
        adapted[own & query] = scale * predictions[own & query] + bias
    return adapted[~SUPPORT.numpy()], labels[~SUPPORT.numpy()]


def test_each_part_is_of_the_query_and_of_regressions_after_the_support():
    vectors, labels = torch.randn(11, 4), exvo_labels(11)
    output = model()(vectors, labels=labels, episode=EPISODE)
    for name in ("emotion", "age"):
        adapted, true = naive(output.predictions[name], labels[name])
        expected = np.square(adapted - true).mean()
        assert float(output.loss_parts[f"{name}_combined"]) == pytest.approx(expected, rel=1e-4), name
    probabilities = output.predictions["country"][~SUPPORT, labels["country"][~SUPPORT]]
    assert float(output.loss_parts["country_combined"]) == pytest.approx(float(-probabilities.log().mean()), rel=1e-5)
    plain = model()(vectors, labels=labels)
    assert all(torch.equal(values, plain.predictions[name]) for name, values in output.predictions.items())


def test_a_speakers_constant_offset_costs_nothing_after_the_support():
    vectors, network = torch.randn(11, 4), model(tasks=[EMOTION])
    offsets = torch.tensor([[0.05], [-0.03], [0.0]])[SPEAKER]
    labels = {"emotion": network(vectors).predictions["emotion"].detach() + offsets}
    assert (
        float(network(vectors, labels=labels, episode=EPISODE).loss)
        < 1e-6
        < float(network(vectors, labels=labels).loss)
    )


@pytest.mark.parametrize("trunk", ["identity", "shared_private"])
def test_a_support_clips_labels_are_no_target_and_those_of_another_speaker_change_nothing(trunk):
    network, vectors, labels = model(trunk=trunk).eval(), torch.randn(11, 4), exvo_labels(11)
    before = network(vectors, labels=labels, episode=EPISODE).loss_parts
    swapped = {name: values.clone() for name, values in labels.items()}
    swapped["country"][SUPPORT] = (swapped["country"][SUPPORT] + 1) % 4
    after = network(vectors, labels=swapped, episode=EPISODE).loss_parts
    assert all(torch.equal(part, after[name]) for name, part in before.items())
    only_first = {"emotion": labels["emotion"].clone()}
    only_first["emotion"][SPEAKER != 0] = float("nan")
    other = {"emotion": only_first["emotion"].clone()}
    other["emotion"][(SPEAKER == 1) & SUPPORT] = 0.9
    parts = [
        network(vectors, task="emotion", labels={**labels, **each}, episode=EPISODE).loss_parts["emotion_combined"]
        for each in (only_first, other)
    ]
    assert torch.equal(*parts)


def test_gradients_flow_through_the_support_and_are_finite_where_nothing_varies():
    outputs = torch.rand(11, 3, requires_grad=True)
    labels = torch.rand(11, 3)
    adapt(outputs, labels, SPEAKER, SUPPORT)[~SUPPORT].square().sum().backward()
    assert outputs.grad[SUPPORT].abs().min() > 0
    same = torch.full((11, 3), 0.5, requires_grad=True)
    adapt(same, torch.full((11, 3), 0.5), SPEAKER, SUPPORT).square().sum().backward()
    assert torch.isfinite(same.grad).all()


def test_a_support_clip_without_its_label_says_nothing():
    outputs, labels = torch.rand(11, 3), torch.rand(11, 3)
    labels[1, 2] = labels[9] = float("nan")
    adapted = adapt(outputs, labels, SPEAKER, SUPPORT)
    assert torch.equal(adapted[SPEAKER == 2], outputs[SPEAKER == 2])  # whose only support clip it is
    alone = SUPPORT & (torch.arange(11) != 1)
    assert torch.allclose(adapted[SPEAKER == 0], adapt(outputs, labels, SPEAKER, alone)[SPEAKER == 0])


@pytest.mark.parametrize("clips", [1, 2, 5])
def test_it_is_the_closed_form_label_by_label(clips):
    chance = np.random.default_rng(clips)
    for _ in range(20):
        predictions, labels = chance.random((2, clips, 3)) + chance.normal(0, 0.3, (2, 1, 3))
        expected = closed_form(predictions, labels)
        found = fit(torch.tensor(predictions), torch.tensor(labels), torch.ones(1, clips, dtype=torch.bool))
        np.testing.assert_allclose([values[0].numpy() for values in found], expected, atol=1e-12)


def test_heads_that_answer_frames_take_no_episode():
    with pytest.raises(ValueError, match="heads_read 'frames': each frame learns by itself"):
        model(heads_read="frames")(torch.randn(11, 4), labels=exvo_labels(11), episode=EPISODE)
