"""A classifier chain: each label of a regression is predicted from the view and the labels before it."""

import math

import pytest
import torch

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.heads import ChainHead, LinearHead
from burst2vec.tasks import AGE, EXVO_EMOTIONS, TASK_PRESETS, Task
from tests.conftest import exvo_labels

EMOTION, _, COUNTRY = TASK_PRESETS["exvo"]
REVERSED = list(reversed(EXVO_EMOTIONS))
NAN = float("nan")


def chain(task=EMOTION, size=5, **arguments):
    torch.manual_seed(0)
    head = ChainHead(task, size, **{"dropout": 0.0, **arguments})
    for weights in head.parameters():
        torch.nn.init.normal_(weights)
    return head


def naive(head, task, view, order, fed=lambda clip, name, value: value):
    """Clip by clip and label by label: a linear layer on the view with the values before it behind."""
    answers = torch.zeros(len(view), len(task.labels))
    for clip, vector in enumerate(view):
        before = []
        for place, name in enumerate(order):
            label = task.labels.index(name)
            weights = torch.cat(
                [head.output.weight[label], *(link.weight[0] for link in head.links[place - 1 : place])]
            )
            behind = torch.cat([vector, torch.tensor(before)])
            answer = float(weights @ behind + head.output.bias[label])
            value = 1 / (1 + math.exp(-answer)) if task.output == "sigmoid" else answer
            answers[clip, label] = value
            fraction = value if task.output == "sigmoid" else (value - task.span[0]) / (task.span[1] - task.span[0])
            before.append(fed(clip, name, fraction))
    return answers


def test_two_links_by_hand():
    head = chain(Task("two", "regression", ("first", "second")), size=2).eval()
    head.output.weight.data, head.output.bias.data = torch.eye(2), torch.tensor([0.0, -1.0])
    head.links[0].weight.data.fill_(2.0)
    # sigmoid(1) = 0.731059, and sigmoid(2 + 2 · 0.731059 − 1) = sigmoid(2.462117) = 0.921443
    assert head(torch.tensor([[1.0, 2.0]]))[0].tolist() == pytest.approx([0.731059, 0.921443], abs=1e-6)


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
@pytest.mark.parametrize("order", [None, REVERSED])
def test_in_evaluation_it_is_the_naive_loop_over_its_own_predictions_whatever_the_labels(order, output):
    task = Task("emotion", "regression", EXVO_EMOTIONS, span=(1.0, 9.0), output=output)
    head, view = chain(task, order=order).eval(), torch.randn(3, 5)
    expected = naive(head, task, view, order or EXVO_EMOTIONS)
    for labels in (None, 1 + 8 * torch.rand(3, 10)):
        assert torch.allclose(head(view, labels), expected, atol=1e-4)


def test_in_training_true_values_are_fed_on_and_predictions_where_they_are_missing():
    task = Task("emotion", "regression", EXVO_EMOTIONS, span=(1.0, 9.0))
    head, view, labels = chain(task, order=REVERSED).train(), torch.randn(3, 5), 1 + 8 * torch.rand(3, 10)
    labels[0, 4] = labels[2] = NAN

    def fed(clip, name, value):
        label = float(labels[clip, EXVO_EMOTIONS.index(name)])
        return value if math.isnan(label) else (label - 1) / 8

    assert torch.allclose(head(view, labels), naive(head, task, view, REVERSED, fed), atol=1e-5)
    assert torch.allclose(head(view), naive(head, task, view, REVERSED), atol=1e-5)


def test_teacher_forcing_is_the_probability_that_a_true_value_is_fed_on():
    view, labels = torch.randn(400, 5), torch.rand(400, 10)
    own = chain(teacher_forcing=0.0).train()
    assert torch.equal(own(view, labels), own(view)) and own._known(labels) is None
    known = chain(teacher_forcing=0.25).train()._known(labels)
    assert 0.22 < (~known.isnan()).float().mean() < 0.28
    assert torch.equal(known[~known.isnan()], labels[~known.isnan()])


@pytest.mark.parametrize("task", [AGE, COUNTRY])
def test_a_task_with_one_answer_has_a_linear_head(task):
    head, view = chain(task), torch.randn(3, 5)
    plain = LinearHead(task, 5, dropout=0.0)
    plain.load_state_dict(head.state_dict())
    assert torch.equal(head(view), plain(view)) and chain(task, order=REVERSED).order == head.order


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": ["Awe", "Fear"]}, r"order must hold each label of the task 'emotion' once, \['Awe', .* got \['Awe'"),
        ({"order": [*EXVO_EMOTIONS, "Awe"]}, "order must hold each label"),
        ({"order": [1, *EXVO_EMOTIONS[1:]]}, "order must hold each label"),
        ({"teacher_forcing": 1.5}, "teacher_forcing must be in 0..1, got 1.5"),
        ({"teacher_forcing": NAN}, "teacher_forcing must be in 0..1, got nan"),
    ],
)
def test_what_is_out_of_its_range_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        chain(**arguments)


def model(head, **arguments):
    torch.manual_seed(0)
    trunk = arguments.pop("trunk", "identity")
    config = Burst2VecConfig({"kind": "vector", "features": 4}, head=head, trunk=trunk, **arguments)
    return Burst2VecForMultiTask(config)


@pytest.mark.parametrize("reads", ["frames", "frames_then_pooled"])
def test_heads_that_read_frames_are_told_the_labels_of_their_clip(reads):
    vectors, labels = torch.randn(6, 4), exvo_labels(6)
    head = {"kind": "chain", "dropout": 0.0}
    of_clips, of_frames = model(head).train(), model(head, heads_read=reads).train()
    of_frames.load_state_dict(of_clips.state_dict())
    expected = of_clips(vectors, labels=labels).loss_parts
    for name, part in of_frames(vectors, labels=labels).loss_parts.items():
        assert torch.allclose(part, expected[name], atol=1e-6), name
    untold = model({**head, "teacher_forcing": 0.0}).train()(vectors, labels=labels).loss_parts
    assert not torch.allclose(untold["emotion_combined"], expected["emotion_combined"], atol=1e-6)


def test_every_weight_of_a_chain_learns_and_a_saved_model_answers_as_before(tmp_path):
    trained = model({"kind": "chain", "order": REVERSED}, trunk="shared_private").train()
    trained(torch.randn(6, 4), labels=exvo_labels(6)).loss.backward()
    still = [name for name, weights in trained.named_parameters() if weights.grad is None or not weights.grad.any()]
    assert not still and sum("emotion.links" in name for name, _ in trained.named_parameters()) == 9
    trained.eval().save_pretrained(tmp_path)
    loaded, vectors = Burst2VecForMultiTask.from_pretrained(tmp_path).eval(), torch.randn(3, 4)
    assert loaded.config.head == {"kind": "chain", "order": REVERSED, "teacher_forcing": 1.0, "dropout": 0.1}
    for name, values in trained(vectors).predictions.items():
        assert torch.equal(loaded(vectors).predictions[name], values)
