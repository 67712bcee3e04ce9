"""Flow matching: the loss of a step by hand, exact resuming, and that labels come to steer."""

import pytest
import torch

from burst2vec.errors import DivergenceError
from burst2vec.flow_matching import BurstFlowConfig
from burst2vec.generation.burst_samples import generate_images
from burst2vec.generation.flow_training import FlowLearner, path
from burst2vec.generation.generation_recipes import GenerationTraining
from burst2vec.training.checkpoints import choose_checkpoint

SIZES = {"mels": 4, "frames": 8, "frames_per_token": 2, "hidden_size": 16, "num_hidden_layers": 1}


def learner(**changes):
    config = BurstFlowConfig(["Awe", "Fear"], image_mean=1.0, image_deviation=2.0, guidance=1.0, **SIZES)
    return FlowLearner(config, GenerationTraining(**{"seed": 1, "warmup_steps": 1, **changes}))


def batch(step):
    draw = torch.Generator().manual_seed(step)
    return torch.randn(4, 1, 4, 8, generator=draw), torch.eye(2)[[0, 1, 0, 1]]


def taught(of_learner, steps):
    for _ in range(steps):
        of_learner.learn([batch(of_learner.step)])
    return of_learner


def weights_of(of_learner):
    return [values for network in (of_learner.generator, of_learner.average) for values in network.parameters()]


def test_the_first_loss_is_that_of_an_image_of_zeros():
    """The network's image is 0, so its velocity is off by x / (1 - t)."""
    ours = learner(time_mean=-1.0, time_deviation=0.5)
    images, labels = batch(0)
    loss = ours.learn([(images, labels)])["generator"]
    times = (torch.randn(4, generator=ours._random()) * 0.5 - 1.0).sigmoid()
    errors = ((images - 1.0) / 2.0) / (1 - times)[:, None, None, None]
    assert loss == pytest.approx(errors.square().mean().item(), rel=1e-5)


def test_the_path_is_straight_and_its_velocity_the_image_less_the_noise():
    image, noise, times = torch.full((3, 1, 1, 1), 4.0), torch.full((3, 1, 1, 1), 2.0), torch.tensor([0.0, 0.5, 0.9])
    between, velocity = path(image, noise, times)
    assert between.flatten().tolist() == pytest.approx([2.0, 3.0, 3.8])
    assert velocity.flatten().tolist() == pytest.approx([2.0, 2.0, 2.0], rel=1e-5)


def test_a_resumed_training_is_the_uninterrupted_one(tmp_path):
    whole = taught(learner(), 4)
    run = {"seed": 1, "checkpoint_files": whole.checkpoint_files}
    taught(learner(), 2).write_checkpoint(tmp_path, run)
    resumed = learner()
    resumed.resume(choose_checkpoint(tmp_path, True, run)[0])
    taught(resumed, 2)
    assert all(torch.equal(one, other) for one, other in zip(weights_of(whole), weights_of(resumed), strict=True))
    assert resumed.history == whole.history


def test_a_loss_that_is_not_finite_names_step_and_rate_and_teaches_nothing():
    ours = taught(learner(), 1)
    before = [values.clone() for values in weights_of(ours)]
    with pytest.raises(DivergenceError, match=r"step 2: the generator's loss is nan; lower --learning_rate \(0.001\)"):
        ours.learn([(torch.full((4, 1, 4, 8), torch.nan), torch.zeros(4, 2))])
    assert all(torch.equal(one, other) for one, other in zip(before, weights_of(ours), strict=True))


def test_labels_come_to_steer_the_flow():
    """Images of Awe are 3 everywhere, those of Fear -1: deviations of 1 from the mean."""
    ours = learner(learning_rate=5e-3, average_decay=0.95, warmup_steps=10)
    labels = torch.eye(2).repeat(8, 1)
    images = torch.where(labels[:, :1] > 0, 3.0, -1.0)[:, :, None, None].expand(16, 1, 4, 8)
    for _ in range(150):  # the first of them wake the layers, which at first pass their input on
        ours.learn([(images, labels)])
    made = generate_images(ours.average, torch.eye(2), seed=0)
    assert made[0] == pytest.approx(3.0, abs=0.5) and made[1] == pytest.approx(-1.0, abs=0.5)
