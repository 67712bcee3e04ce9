"""The moving average of the weights is validated, saved and left; training continues from the weights themselves."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from burst2vec import Burst2VecForMultiTask
from burst2vec.errors import RunError
from burst2vec.training.weight_average import LEARNT, WeightAverage
from tests.training.tiny_run import tiny_arguments, tiny_model, tiny_trainer

pytestmark = pytest.mark.slow


class Collect(TrainerCallback):
    """The weights after each step."""

    def __init__(self):
        self.weights = []

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.weights.append({name: values.detach().clone() for name, values in model.state_dict().items()})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, collect, start = tmp_path_factory.mktemp("run"), Collect(), tiny_model()
    first = {name: values.clone() for name, values in start.state_dict().items()}
    trainer = tiny_trainer(
        folder,
        model=start,
        callbacks=[collect],
        average_decay=0.8,
        max_steps=8,
        learning_rate=1e-2,
        load_best_model_at_end=False,
    )
    trainer.train()
    return folder, trainer, first, collect.weights


def by_hand(first, weights, decay):
    average = {name: values.double() for name, values in first.items()}
    for step, now in enumerate(weights, start=1):
        kept = min(decay, (1 + step) / (10 + step))
        average = {name: kept * values + (1 - kept) * now[name].double() for name, values in average.items()}
    return average


def assert_close(weights, expected):
    assert weights.keys() == expected.keys()
    for name, values in weights.items():
        torch.testing.assert_close(values.double(), expected[name], rtol=1e-5, atol=1e-6, msg=name)


def test_a_run_ends_with_the_average_over_all_its_steps(run):
    folder, trainer, first, weights = run
    expected = by_hand(first, weights, 0.8)
    assert_close(trainer.model.state_dict(), expected)
    moved = [(weights[-1][name].double() - values).abs().max() for name, values in expected.items()]
    assert max(moved) > 1e-3  # it is another model than that of the last step


def test_a_checkpoint_is_the_averaged_model_with_the_weights_it_learns_by_beside(run):
    folder, _, first, weights = run
    averaged = Burst2VecForMultiTask.from_pretrained(folder / "checkpoint-4").state_dict()
    assert_close(averaged, by_hand(first, weights[:4], 0.8))
    learnt = load_file(folder / "checkpoint-4" / LEARNT)
    assert learnt.keys() == weights[3].keys() and all(torch.equal(learnt[name], weights[3][name]) for name in learnt)


def test_validation_is_of_the_averaged_weights(run):
    folder, trainer, *_ = run
    logged = {entry["step"]: entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry}
    for step in (4, 8):
        saved = Burst2VecForMultiTask.from_pretrained(folder / f"checkpoint-{step}")
        again = tiny_trainer(folder / "again", model=saved).evaluate()
        assert again["eval_loss"] == pytest.approx(logged[step], rel=1e-5)


def test_the_best_weights_are_averaged_ones(tmp_path):
    trainer = tiny_trainer(tmp_path, average_decay=0.8, max_steps=8, learning_rate=1e-2)
    trainer.compute_metrics = lambda _: {"emotion_ccc": -abs(trainer.state.global_step - 4)}
    trainer.train()
    assert trainer.step_of_weights == 4
    best = load_file(tmp_path / "checkpoint-4" / "model.safetensors")
    assert all(torch.equal(values, best[name]) for name, values in trainer.model.state_dict().items())


def test_statistics_of_batch_norms_are_averaged_and_frozen_weights_left_alone():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    model[0].requires_grad_(False)
    average = WeightAverage(model, decay=0.5)
    frozen = model[0].weight
    model(torch.full((4, 2), 3.0))  # moves the running mean
    after = model[1].running_mean.clone()
    average.update(step=100)
    with average.in_place():
        torch.testing.assert_close(model[1].running_mean, after / 2)
        assert model[0].weight is frozen
    assert torch.equal(model[1].running_mean, after)


@pytest.mark.parametrize("decay", [0, 1, -0.5, float("nan")])
def test_a_share_that_averages_nothing_is_refused(tmp_path, decay):
    with pytest.raises(RunError, match="average_decay must be"):
        tiny_arguments(tmp_path, average_decay=decay)
