import math
from dataclasses import replace

import pytest
import torch
from sklearn.metrics import log_loss

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.heads import LinearHead, read_out, task_loss
from burst2vec.losses import LOSSES, absolute_loss, class_loss, concordance_loss, squared_loss
from burst2vec.scoring import concordance_cc
from burst2vec.tasks import AGE, TASK_PRESETS, Task

NAN = math.nan


def test_concordance_by_hand():
    # x = 1 2 3 (mean 2, variance 2/3), y = 2 2 5 (mean 3, variance 2), covariance 1: 2 / (2/3 + 2 + 1) = 6/11
    loss = concordance_loss(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[2.0], [2.0], [5.0]]))
    assert float(loss) == pytest.approx(1 - 6 / 11, abs=1e-6)


def test_the_loss_and_the_score_are_one_formula():
    generator = torch.Generator().manual_seed(0)
    predictions = torch.rand(64, 10, generator=generator)
    references = (0.6 * predictions + 0.4 * torch.rand(64, 10, generator=generator)).clamp(0, 1)
    loss = float(concordance_loss(predictions, references))
    assert loss == pytest.approx(
        1 - concordance_cc(predictions.double().numpy(), references.double().numpy()), abs=1e-6
    )


def test_missing_references_leave_the_rest_as_if_they_never_were():
    predictions = torch.rand(6, 2, generator=torch.Generator().manual_seed(1))
    references = torch.rand(6, 2, generator=torch.Generator().manual_seed(2))
    with_gaps = references.clone()
    with_gaps[4:, 0] = NAN
    expected = (
        concordance_loss(predictions[:4, :1], references[:4, :1])
        + concordance_loss(predictions[:, 1:], references[:, 1:])
    ) / 2
    assert float(concordance_loss(predictions, with_gaps)) == pytest.approx(float(expected), abs=1e-6)
    assert float(absolute_loss(predictions[:, :1], with_gaps[:, :1])) == pytest.approx(
        float((predictions[:4, 0] - references[:4, 0]).abs().mean()), abs=1e-6
    )


@pytest.mark.parametrize("loss", [concordance_loss, absolute_loss, squared_loss])
def test_a_batch_without_labels_gives_zero_and_no_gradient(loss):
    predictions = torch.rand(4, 3, requires_grad=True)
    value = loss(predictions, torch.full((4, 3), NAN))
    value.backward()
    assert float(value) == 0 and torch.equal(predictions.grad, torch.zeros(4, 3))


@pytest.mark.parametrize("loss", [concordance_loss, absolute_loss, squared_loss])
def test_a_gap_beside_a_label_makes_no_nan_gradient(loss):
    predictions = torch.rand(4, 1, requires_grad=True)
    loss(predictions, torch.tensor([[0.1], [NAN], [0.4], [0.9]])).backward()
    assert torch.isfinite(predictions.grad).all() and predictions.grad[1] == 0


def test_constant_series_have_a_finite_gradient():
    predictions = torch.full((5, 2), 0.3, requires_grad=True)
    concordance_loss(predictions, torch.full((5, 2), 0.3)).backward()
    assert torch.isfinite(predictions.grad).all()


def test_absolute_and_squared_by_hand():
    predictions, references = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5], [0.75]])
    assert float(absolute_loss(predictions, references)) == pytest.approx(0.375)
    assert float(squared_loss(predictions, references)) == pytest.approx((0.25 + 0.0625) / 2)


def test_class_loss_is_the_log_loss_of_the_clips_with_a_class():
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([0, 3, -1, 2, -1])
    kept = classes != -1
    expected = log_loss(classes[kept].numpy(), logits[kept].double().softmax(-1).numpy(), labels=[0, 1, 2, 3])
    assert float(class_loss(logits, classes)) == pytest.approx(expected, abs=1e-6)
    assert float(class_loss(logits, torch.full((5,), -1))) == 0


def test_an_age_is_compared_on_its_span():
    # span 15..45: 30 years is 0.5, 36 years is 0.7
    assert float(task_loss(AGE, torch.tensor([[0.5]]), torch.tensor([[36.0]]))) == pytest.approx(0.2, abs=1e-6)


def test_a_linear_output_is_in_the_tasks_unit_and_so_is_its_loss():
    age = replace(AGE, output="linear", loss="mse")
    head = LinearHead(age, 2, dropout=0.0)
    with torch.no_grad():
        head.output.weight.copy_(torch.tensor([[2.0, 1.0]]))
        head.output.bias.fill_(-3.0)
    outputs = head(torch.tensor([[15.0, 4.0], [0.5, -1.0]]))
    assert read_out(age, outputs).tolist() == [[31.0], [-3.0]]  # years, of which none is cut off
    assert float(task_loss(age, outputs, torch.tensor([[30.0], [float("nan")]]))) == 1.0


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_linear_output_starts_at_the_middle_of_its_span_or_at_0(head):
    tasks = [{"preset": "exvo", "name": "age", "output": "linear"}]
    for centred, start in ((True, 30.0), (False, 0.0)):
        encoder, part = {"kind": "vector", "features": 2}, {"kind": head, "centred": centred}
        model = Burst2VecForMultiTask(Burst2VecConfig(encoder, tasks=tasks, trunk="identity", head=part))
        assert model.heads["age"].output.bias.tolist() == [start]


def test_a_task_weight_multiplies_its_loss():
    heavy = Task("pain", "regression", ("pain",), loss="mae", metric="mae", loss_weight=80.0)
    assert float(task_loss(heavy, torch.tensor([[0.5]]), torch.tensor([[0.25]]))) == pytest.approx(20.0)


def test_losses_are_float32_under_bfloat16():
    emotion = TASK_PRESETS["exvo"][0]
    assert task_loss(emotion, torch.rand(4, 10).bfloat16(), torch.rand(4, 10)).dtype == torch.float32


def test_shares_of_classes_cost_what_each_class_would_in_its_share():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0], [1.0, 1.0, 1.0]])
    shares = torch.tensor([[0.75, 0.25, 0.0], [0.0, 0.0, 1.0], [NAN, NAN, NAN]])
    each = torch.stack([-logits.log_softmax(-1)[row] @ shares[row] for row in (0, 1)])
    assert float(class_loss(logits, shares)) == pytest.approx(float(each.mean()), abs=1e-6)
    certain = torch.eye(3)[[0, 2, 1]]
    assert float(class_loss(logits, certain)) == pytest.approx(float(class_loss(logits, torch.tensor([0, 2, 1]))))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in LOSSES for name in LOSSES[kind]])
def test_every_loss_that_a_task_can_name_is_computed(kind, name):
    metric = {"regression": "ccc", "classification": "uar"}[kind]
    task = Task("pain", kind, ("one", "other"), loss=name, metric=metric)
    outputs = torch.tensor([[0.25, 0.75], [0.5, 0.25]], requires_grad=True)
    labels = torch.tensor([[0.0, 1.0], [1.0, 0.5]]) if kind == "regression" else torch.tensor([0, 1])
    loss = task_loss(task, outputs, labels)
    loss.backward()
    assert float(loss) == pytest.approx(float(LOSSES[kind][name](outputs, labels))) and outputs.grad.any()


def test_a_new_loss_is_one_entry_and_its_arguments_are_its_signatures(monkeypatch):
    def huber(predictions, references, *, delta: float = 1.0):
        return torch.nn.functional.huber_loss(predictions, references, delta=delta)

    monkeypatch.setitem(LOSSES["regression"], "huber", huber)
    task = Task("pain", "regression", ("pain",), loss={"kind": "huber", "delta": 0.5})
    assert Task(**task.to_dict()) == task and hash(task)
    assert float(task_loss(task, torch.tensor([[0.0]]), torch.tensor([[1.0]]))) == 0.5 * (1 - 0.5 / 2)
    with pytest.raises(ValueError, match=r"task 'pain': loss 'huber' does not know 'detla'; did you mean 'delta'"):
        Task("pain", "regression", ("pain",), loss={"kind": "huber", "detla": 0.5})
    with pytest.raises(ValueError, match=r"task 'pain': loss 'huber': delta must be float, got 'wide'"):
        Task("pain", "regression", ("pain",), loss={"kind": "huber", "delta": "wide"})


def test_a_loss_without_arguments_is_written_as_its_name():
    assert Task("pain", "regression", ("pain",), loss={"kind": "mae"}).loss == "mae"
