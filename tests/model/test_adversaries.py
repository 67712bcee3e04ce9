"""Equations 5 to 8 of Burst2Vec against an independent, naive version that makes the minus by hand."""

import pytest
import torch
import torch.nn.functional as F

from burst2vec.trunks import reverse_gradient
from tests.conftest import exvo_labels, tiny_model

TASKS = ("emotion", "age", "country")


def test_reversal_is_identity_forward_and_minus_backward():
    values = torch.tensor([1.0, -2.0], requires_grad=True)
    reversed_values = reverse_gradient(values)
    (reversed_values * torch.tensor([3.0, 5.0])).sum().backward()
    assert torch.equal(reversed_values, values) and values.grad.tolist() == [-3.0, -5.0]


def naive_ccc_loss(x, y):
    losses = []
    for label in range(x.shape[1]):
        a, b = x[:, label], y[:, label]
        cov = ((a - a.mean()) * (b - b.mean())).mean()
        losses.append(1 - 2 * cov / (a.var(correction=0) + b.var(correction=0) + (a.mean() - b.mean()) ** 2 + 1e-8))
    return sum(losses) / len(losses)


def naive_loss(task, model, view, labels):
    """A head on a view, written out from its weights."""
    scores = view @ model.heads[task].output.weight.T + model.heads[task].output.bias
    if task == "emotion":
        return naive_ccc_loss(1 / (1 + torch.exp(-scores)), labels["emotion"])
    if task == "age":
        return ((1 / (1 + torch.exp(-scores))) - (labels["age"] - 15) / 30).abs().mean()
    return F.nll_loss(torch.log(torch.exp(scores) / torch.exp(scores).sum(1, keepdim=True)), labels["country"])


def naive_parts(model, batch, labels, trained):
    """L_task (Eq. 5), L_disc (Eq. 6) and L_adv (Eq. 7), with no reversal anywhere."""

    def layer(sequential, values):
        values = torch.relu(values @ sequential[1].weight.T + sequential[1].bias)
        centred = values - values.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return scaled * sequential[3].weight + sequential[3].bias

    frames, _ = model.encoder(batch)
    projected = layer(model.trunk.projection, frames.mean(1))
    shared = layer(model.trunk.shared, projected)
    task_part = discriminator_part = adversary_part = 0
    for task in trained:
        specific = layer(model.trunk.specific[task], projected)
        combine = model.trunk.combine[task]
        combined = torch.cat([shared, specific], 1) @ combine.weight.T + combine.bias
        for view in (shared, specific, combined):
            task_part = task_part + naive_loss(task, model, view, labels)
        if hasattr(model, "discriminator"):
            logits = shared @ model.discriminator.weight.T + model.discriminator.bias
            target = torch.full((len(batch),), TASKS.index(task))
            discriminator_part = discriminator_part + F.cross_entropy(logits, target) / len(trained)
        for other in TASKS:
            if other != task:
                adversary_part = adversary_part + naive_loss(other, model, specific, labels)
    return task_part, discriminator_part, adversary_part


@pytest.mark.parametrize("trained", [("emotion",), ("age",), ("country",), TASKS])
@pytest.mark.parametrize(("alpha1", "alpha2"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.25), (0.5, 0.25)])
def test_every_part_of_equation_8_reaches_every_parameter_as_the_naive_version_says(alpha1, alpha2, trained):
    model = tiny_model(style="large", discriminator_weight=alpha1, adversary_weight=alpha2, initializer_range=0.1)
    batch, labels = torch.randn(6, 4000, generator=torch.Generator().manual_seed(0)), exvo_labels(6)

    output = model(batch, labels=labels, task=trained[0] if len(trained) == 1 else None)
    output.loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}

    parameters = dict(model.named_parameters())
    task_part, discriminator_part, adversary_part = naive_parts(model, batch, labels, trained)
    players = {  # who learns against whom: the extractors maximise what discriminator and heads minimise
        "learn": (task_part + alpha1 * discriminator_part + alpha2 * adversary_part, ("heads.", "discriminator.")),
        "hide": (task_part - alpha1 * discriminator_part - alpha2 * adversary_part, ("encoder.", "trunk.")),
    }
    moved = 0
    for objective, prefixes in players.values():
        names = [name for name in parameters if name.startswith(prefixes)]
        expected = torch.autograd.grad(
            objective, [parameters[name] for name in names], retain_graph=True, allow_unused=True
        )
        for name, gradient in zip(names, expected, strict=True):
            zero = torch.zeros_like(parameters[name])
            ours = zero if gradients[name] is None else gradients[name]
            gradient = zero if gradient is None else gradient
            scale = max(1.0, float(gradient.abs().max()))
            assert (ours - gradient).abs().max() / scale <= 1e-6, name
            moved += bool(gradient.any())
    assert moved > 40
    assert float(output.loss) == pytest.approx(float(players["learn"][0]), rel=1e-5)


def test_parts_are_named_and_add_up_with_the_weights_of_equation_8():
    model = tiny_model()
    output = model(torch.randn(4, 4000), labels=exvo_labels(4), task="age")
    assert list(output.loss_parts) == ["age_shared", "age_specific", "age_combined", "discriminator", "adversary"]
    parts = output.loss_parts
    views = parts["age_shared"] + parts["age_specific"] + parts["age_combined"]
    total = views + 0.5 * parts["discriminator"] + 0.25 * parts["adversary"]
    assert float(output.loss) == pytest.approx(float(total), rel=1e-6)


def test_without_adversaries_nothing_of_them_is_built_or_named():
    model = tiny_model(discriminator_weight=0.0, adversary_weight=0.0)
    assert not any("discriminator" in name for name, _ in model.named_parameters())
    parts = model(torch.randn(4, 4000), labels=exvo_labels(4)).loss_parts
    assert set(parts) == {f"{task}_{view}" for task in TASKS for view in ("shared", "specific", "combined")}


def test_a_joint_batch_loses_what_alternating_batches_lose_together():
    model = tiny_model()
    batch, labels = torch.randn(5, 4000), exvo_labels(5)
    joint = model(batch, labels=labels).loss_parts
    turns = [model(batch, labels=labels, task=task).loss_parts for task in TASKS]
    assert float(joint["discriminator"]) == pytest.approx(sum(float(t["discriminator"]) for t in turns) / 3, rel=1e-5)
    assert float(joint["adversary"]) == pytest.approx(sum(float(t["adversary"]) for t in turns), rel=1e-5)


def test_a_clip_without_a_label_neither_teaches_its_task_nor_the_discriminator():
    model = tiny_model()
    batch, labels = torch.randn(6, 4000), exvo_labels(6)
    gaps = {name: values.clone() for name, values in labels.items()}
    gaps["emotion"][4:], gaps["age"][4:], gaps["country"][4:] = float("nan"), float("nan"), -1
    full = model(batch[:4], labels={name: values[:4] for name, values in labels.items()}).loss_parts
    for name, part in model(batch, labels=gaps).loss_parts.items():
        assert float(part) == pytest.approx(float(full[name]), rel=1e-4), name


def test_the_adversaries_game_stays_finite():
    """A reversed cross-entropy has no bound: without the extractors' norm this run ends at 35, with no task learnt."""
    model = tiny_model(dropout=0.0, discriminator_weight=0.5, adversary_weight=0.25, initializer_range=0.1).train()
    batch, labels = torch.randn(8, 2000, generator=torch.Generator().manual_seed(0)), exvo_labels(8)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        output = model(batch, labels=labels)
        output.loss.backward()
        optimizer.step()
    assert float(output.loss_parts["adversary"]) < 20
    assert float(output.loss_parts["emotion_combined"]) < 0.5 and float(output.loss_parts["country_combined"]) < 0.5
