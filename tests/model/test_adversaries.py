"""Equations 5 to 8 of Burst2Vec against an independent, naive version that makes the minus by hand."""

import pytest
import torch

from burst2vec.trunks import reverse_gradient
from tests.conftest import exvo_labels, tiny_model

TASKS = ("emotion", "age", "country")
TRUNK = {"kind": "shared_private", "projection_size": 24, "hidden_size": 20}


def test_reversal_is_identity_forward_and_minus_backward():
    values = torch.tensor([1.0, -2.0], requires_grad=True)
    reversed_values = reverse_gradient(values)
    (reversed_values * torch.tensor([3.0, 5.0])).sum().backward()
    assert torch.equal(reversed_values, values) and values.grad.tolist() == [-3.0, -5.0]


def naive_ccc_loss(x, y):
    """Eq. 1 and 2, with the guard of ``losses.CCC_EPSILON``."""
    total = 0.0
    for i in range(x.shape[1]):
        a, b = x[:, i], y[:, i]
        covariance = ((a - a.mean()) * (b - b.mean())).mean()
        variances = ((a - a.mean()) ** 2).mean() + ((b - b.mean()) ** 2).mean()
        total = total + 2 * covariance / (variances + (a.mean() - b.mean()) ** 2 + 1e-8)
    return 1 - total / x.shape[1]


def naive_loss(task, model, view, labels):
    """Eq. 1 to 4: the head of a task on a view, and what it loses on the task's labels."""
    head = model.heads[task].output
    x = view @ head.weight.T + head.bias
    if task == "emotion":
        return naive_ccc_loss(1 / (1 + torch.exp(-x)), labels)
    if task == "age":
        return sum(abs(1 / (1 + torch.exp(-x[n, 0])) - (labels[n, 0] - 15) / 30) for n in range(len(x))) / len(x)
    return -sum(torch.log(torch.exp(x[n, labels[n]]) / torch.exp(x[n]).sum()) for n in range(len(x))) / len(x)


def naive_views(model, batch):
    """The shared view, and each task's own and combined one; by task, as each may have its own pooling."""

    def layer(sequential, values):
        values = torch.relu(values @ sequential[1].weight.T + sequential[1].bias)
        centred = values - values.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return scaled * sequential[3].weight + sequential[3].bias

    frames = model.encoder.model(batch).last_hidden_state
    shared, private, combined = {}, {}, {}
    for task in TASKS:
        clips = frames.mean(1)
        if model.config.pooling["kind"] == "attentive":
            pooling = model.pooling[task]
            importance = torch.exp(torch.tanh(frames @ pooling.hidden.weight.T) @ pooling.score.weight.T)
            clips = (importance / importance.sum(1, keepdim=True) * frames).sum(1)
        projected = layer(model.trunk.projection, clips)
        shared[task] = layer(model.trunk.shared, projected)
        private[task] = layer(model.trunk.private[task], projected)
        combine = model.trunk.combine[task]
        combined[task] = torch.cat([shared[task], private[task]], 1) @ combine.weight.T + combine.bias
    return shared, private, combined


def naive_parts(model, batch, labels, j):
    """L_O, L_D and L_Adv of Eq. 5 to 7 for a batch of task j, with no reversal anywhere."""
    shared, private, combined = naive_views(model, batch)
    output_part = (
        naive_loss(j, model, shared[j], labels)
        + naive_loss(j, model, private[j], labels)
        + naive_loss(j, model, combined[j], labels)
    )
    discriminator_part = adversary_part = torch.zeros((), dtype=batch.dtype)
    if hasattr(model, "discriminator"):
        x = torch.exp(shared[j] @ model.discriminator.weight.T + model.discriminator.bias)
        for n in range(len(batch)):
            discriminator_part = discriminator_part - torch.log(x[n, TASKS.index(j)] / x[n].sum()) / len(batch)
    for t in TASKS:
        if t != j:
            adversary_part = adversary_part + naive_loss(j, model, private[t], labels)
    return output_part, discriminator_part, adversary_part


def single_labels():
    """Nine clips of three corpora, each labelled for one task only."""
    labels = exvo_labels(9)
    labels["emotion"][3:], labels["age"][:3], labels["age"][6:] = float("nan"), float("nan"), float("nan")
    labels["country"][:6] = -1
    return labels


def labelled_rows(labels):
    return {
        "emotion": ~labels["emotion"].isnan().any(1),
        "age": ~labels["age"].isnan().any(1),
        "country": labels["country"] >= 0,
    }


def assert_gradients_are(gradients, parameters, objective):
    expected = torch.autograd.grad(objective, list(parameters.values()), retain_graph=True, allow_unused=True)
    for (name, parameter), gradient in zip(parameters.items(), expected, strict=True):
        zero = torch.zeros_like(parameter)
        gradient = zero if gradient is None else gradient
        difference = float(((zero if gradients[name] is None else gradients[name]) - gradient).abs().max())
        assert difference <= 1e-9 * max(1.0, float(gradient.abs().max())), name
    return sum(bool(gradient is not None and gradient.any()) for gradient in expected)


@pytest.mark.parametrize("labelling", ["every label", "one label a clip"])
@pytest.mark.parametrize("trained", [("emotion",), ("age",), ("country",), TASKS], ids="-".join)
@pytest.mark.parametrize(
    ("alpha1", "alpha2", "pooling"),
    [(0.5, 0.25, "mean"), (1.0, 1.0, "mean"), (0.0, 0.25, "mean"), (0.5, 0.25, "attentive")],
)
def test_losses_and_gradients_are_those_of_equations_1_to_8_written_out(
    alpha1, alpha2, pooling, trained, labelling, monkeypatch
):
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # so that no rounding blurs the comparison
    trunk = {**TRUNK, "discriminator_weight": alpha1, "adversary_weight": alpha2}
    model = tiny_model(style="large", trunk=trunk, initializer_range=0.1, pooling=pooling).double()
    batch = torch.randn(9, 1600, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = exvo_labels(9) if labelling == "every label" else single_labels()
    labels = {name: values.double() if values.is_floating_point() else values for name, values in labels.items()}

    output = model(batch, labels=labels, task=trained[0] if len(trained) == 1 else None)
    output.loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}

    rows = labelled_rows(labels)
    batches_of = [naive_parts(model, batch[rows[j]], labels[j][rows[j]], j) for j in trained]
    output_part, discriminator_part, adversary_part = (sum(parts) for parts in zip(*batches_of, strict=True))
    taught = alpha1 * discriminator_part + alpha2 * adversary_part
    assert float(output.loss) == pytest.approx(float(output_part + taught), rel=1e-9)
    assert float(output.loss_parts["adversary"]) == pytest.approx(float(adversary_part), rel=1e-9)
    assert float(adversary_part) > 0.1
    if alpha1 > 0:
        assert float(output.loss_parts["discriminator"]) == pytest.approx(float(discriminator_part), rel=1e-9)

    players = {  # Eq. 8: the extractors maximise what discriminator and heads minimise
        ("heads.", "discriminator."): output_part + taught,
        ("encoder.", "pooling.", "trunk."): output_part - taught,
    }
    moved = compared = 0
    for prefixes, objective in players.items():
        parameters = {name: p for name, p in model.named_parameters() if name.startswith(prefixes)}
        moved += assert_gradients_are(gradients, parameters, objective)
        compared += len(parameters)
    assert compared == len(gradients) and moved > 40


@pytest.mark.parametrize("pooling", ["mean", "attentive"])
def test_a_batch_of_one_task_moves_its_own_head_and_every_extractor(pooling):
    model = tiny_model(pooling=pooling)
    model(torch.randn(4, 4000), labels={"age": exvo_labels(4)["age"]}, task="age").loss.backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert {task for task in TASKS if f"trunk.private.{task}.1.weight" in moved} == set(TASKS)
    assert {task for task in TASKS if f"heads.{task}.output.weight" in moved} == {"age"}
    assert {task for task in TASKS if f"trunk.combine.{task}.weight" in moved} == {"age"}
    if pooling == "attentive":
        assert {task for task in TASKS if f"pooling.{task}.score.weight" in moved} == set(TASKS)


def test_parts_are_named_and_add_up_with_the_weights_of_equation_8():
    model = tiny_model()
    output = model(torch.randn(4, 4000), labels=exvo_labels(4), task="age")
    assert list(output.loss_parts) == ["age_shared", "age_private", "age_combined", "discriminator", "adversary"]
    parts = output.loss_parts
    views = parts["age_shared"] + parts["age_private"] + parts["age_combined"]
    total = views + 0.5 * parts["discriminator"] + 0.25 * parts["adversary"]
    assert float(output.loss) == pytest.approx(float(total), rel=1e-6)


def test_without_adversaries_nothing_of_them_is_built_or_named():
    model = tiny_model(trunk={**TRUNK, "discriminator_weight": 0.0, "adversary_weight": 0.0})
    assert not any("discriminator" in name for name, _ in model.named_parameters())
    parts = model(torch.randn(4, 4000), labels=exvo_labels(4)).loss_parts
    assert set(parts) == {f"{task}_{view}" for task in TASKS for view in ("shared", "private", "combined")}


@pytest.mark.parametrize("labels", [exvo_labels(9), single_labels()], ids=["every label", "one label a clip"])
def test_a_joint_batch_loses_what_alternating_batches_lose_together(labels):
    model = tiny_model()
    batch = torch.randn(9, 4000, generator=torch.Generator().manual_seed(0))
    joint = model(batch, labels=labels)
    turns = [model(batch, labels=labels, task=task) for task in TASKS]
    assert float(joint.loss) == pytest.approx(sum(float(turn.loss) for turn in turns), rel=1e-6)
    for part in joint.loss_parts:
        together = sum(float(turn.loss_parts[part]) for turn in turns if part in turn.loss_parts)
        assert float(joint.loss_parts[part]) == pytest.approx(together, rel=1e-6), part
    assert all(float(turn.loss_parts["adversary"]) > 0 for turn in turns)


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
    parts = {"trunk": {**TRUNK, "dropout": 0.0}, "head": {"kind": "linear", "dropout": 0.0}}
    model = tiny_model(**parts, initializer_range=0.1).train()
    batch, labels = torch.randn(8, 2000, generator=torch.Generator().manual_seed(0)), exvo_labels(8)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        output = model(batch, labels=labels)
        output.loss.backward()
        optimizer.step()
    assert float(output.loss_parts["adversary"]) < 20
    assert float(output.loss_parts["emotion_combined"]) < 0.5 and float(output.loss_parts["country_combined"]) < 0.5
