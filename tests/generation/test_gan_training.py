"""The game of two networks: each step by hand, exact resuming, and what a diverging run says."""

import copy
import json

import numpy as np
import pytest
import torch
from transformers import AutoModel

from burst2vec.errors import DivergenceError
from burst2vec.generation.adversary import discriminator_loss, generator_loss, scales_of
from burst2vec.generation.augmentation import CHANGES, augment
from burst2vec.generation.burst_samples import generate_images
from burst2vec.generation.extra_adam import ExtraAdam
from burst2vec.generation.gan_training import Game
from burst2vec.generation.generation_recipes import GenerationTraining
from burst2vec.generation.learner import last_good_checkpoint
from burst2vec.generation.learnt_images import batches_from
from burst2vec.msg_gan import BurstGeneratorConfig
from burst2vec.training.checkpoints import choose_checkpoint

CONFIG = BurstGeneratorConfig(["Awe"], channels=[8, 6, 4], latent_size=6)  # up to 8 × 32
LABELS = torch.ones(4, 1)


def game(**changes):
    return Game(CONFIG, GenerationTraining(**{"seed": 1, **changes}))


def run(of_game):
    return {"seed": 1, "checkpoint_files": of_game.checkpoint_files}


def batches(step, of_game):
    draw = torch.Generator().manual_seed(step)
    return [(torch.randn(4, 1, 8, 32, generator=draw), LABELS) for _ in range(of_game.batches_per_step)]


def play(of_game, steps):
    for _ in range(steps):
        of_game.learn(batches(of_game.step, of_game))
    return of_game


def weights_of(of_game):
    networks = (of_game.generator, of_game.discriminator, of_game.average)
    return [values for network in networks for values in network.state_dict().values()]


def test_a_step_is_one_of_the_discriminator_and_then_one_of_the_generator():
    ours, by_hand = game(), game()
    ((images, labels),) = batches(0, ours)
    losses = ours.learn([(images, labels)])
    by_hand.step = 1
    first = copy.deepcopy(by_hand.generator)
    real, fake = scales_of(images, 3), by_hand.generator(by_hand.generator.draw(4, by_hand._random(0))).scales
    optimisers = by_hand.optimisers
    loss = discriminator_loss(by_hand.discriminator(real), by_hand.discriminator([each.detach() for each in fake]))
    loss.backward()
    optimisers["discriminator"].step()
    assert losses["discriminator"] == loss.item()
    loss = generator_loss(by_hand.discriminator(real).detach(), by_hand.discriminator(fake))
    loss.backward()
    optimisers["generator"].step()
    assert losses["generator"] == loss.item()
    for kept, before, after in zip(
        *(each.parameters() for each in (by_hand.average, first, by_hand.generator)), strict=True
    ):
        kept.data = before.data.lerp(after.data, 1 - 0.999)
    assert all(torch.equal(one, other) for one, other in zip(weights_of(ours), weights_of(by_hand), strict=True))


def test_the_published_rates_and_betas_are_the_defaults():
    rates = {name: each.param_groups[0] for name, each in game().optimisers.items()}
    assert rates["generator"]["lr"] == 3e-3 and rates["discriminator"]["lr"] == 3e-4
    assert all(group["betas"] == (0.0, 0.99) for group in rates.values())
    assert GenerationTraining().average_decay == 0.999


def test_the_average_follows_the_generator():
    ours = game(average_decay=0.9)
    before = copy.deepcopy(ours.generator.state_dict())
    play(ours, 1)
    for name, kept in ours.average.state_dict().items():
        assert torch.allclose(kept, 0.9 * before[name] + 0.1 * ours.generator.state_dict()[name], atol=1e-6)


@pytest.mark.parametrize("optimiser", ["adam", "extra_adam"])
def test_a_resumed_game_is_the_uninterrupted_one(optimiser, tmp_path):
    whole = play(game(optimiser=optimiser), 4)
    play(game(optimiser=optimiser), 2).write_checkpoint(tmp_path, run(whole))
    resumed = game(optimiser=optimiser)
    resumed.resume(choose_checkpoint(tmp_path, True, run(whole))[0])
    assert resumed.step == 2
    play(resumed, 2)
    assert all(torch.equal(one, other) for one, other in zip(weights_of(whole), weights_of(resumed), strict=True))
    assert resumed.history == whole.history


def test_a_checkpoint_is_a_model_of_the_averaged_generator(tmp_path):
    ours = play(game(), 2)
    place = ours.write_checkpoint(tmp_path, run(ours))
    loaded, latents = AutoModel.from_pretrained(place), ours.generator.draw(2)
    assert torch.equal(loaded(latents).images, ours.average(latents).images)
    assert {path.name for path in place.iterdir()} == {
        *ours.checkpoint_files,
        "manifest.json",
        "msg_gan.py",
        "parts.py",
    }


def test_a_loss_that_is_not_finite_stops_the_run_with_step_rates_and_last_checkpoint(tmp_path):
    ours = play(game(), 1)
    ours.write_checkpoint(tmp_path, run(ours))
    before = [values.clone() for values in weights_of(ours)]
    with pytest.raises(DivergenceError, match=r"step 2: the discriminator's loss is nan; lower --generator_learning"):
        ours.learn([(torch.full((4, 1, 8, 32), torch.nan), LABELS)])
    assert all(torch.equal(one, other) for one, other in zip(before, weights_of(ours), strict=True))
    assert last_good_checkpoint(tmp_path) == f"the last good checkpoint is {tmp_path / 'checkpoint-1'}"
    assert last_good_checkpoint(tmp_path / "none") == "there is no checkpoint yet"


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    ours = play(game(), 1)
    with torch.no_grad():
        next(ours.discriminator.parameters()).fill_(torch.inf)
    with pytest.raises(DivergenceError, match="step 1: 1 weights are not finite"):
        ours.write_checkpoint(tmp_path, run(ours))
    assert not list(tmp_path.iterdir())


def test_a_generator_that_makes_no_finite_numbers_is_not_sampled():
    ours = game()
    assert generate_images(ours.average, LABELS[:2], seed=0).shape == (2, 8, 32)
    with torch.no_grad():
        ours.average.to_image[-1].bias.fill_(torch.nan)
    with pytest.raises(DivergenceError, match="not finite; lower its learning rate"):
        generate_images(ours.average, LABELS[:2], seed=0)


def test_extra_adam_takes_the_gradient_ahead_and_steps_from_where_it_was():
    """Minimising w²/2 from 1 by steps of Adam of 0.1 without a memory: to 0.9, and from 1 with the gradient there."""
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimiser = ExtraAdam([weight], lr=0.1, betas=(0.0, 0.0))
    weight.grad = weight.detach().clone()
    optimiser.extrapolate()
    assert weight.item() == pytest.approx(0.9)
    weight.grad = weight.detach().clone()
    optimiser.step()
    assert weight.item() == pytest.approx(0.9)
    with pytest.raises(RuntimeError, match=r"extrapolate\(\) comes before step"):
        optimiser.step()


def test_extra_adam_converges_where_adam_runs_in_circles():
    """The game min over x, max over y of x·y, whose solution is 0."""

    def distance_after(optimiser_of, steps):
        x, y = (torch.nn.Parameter(torch.tensor(1.0)) for _ in range(2))
        optimisers = [optimiser_of([each]) for each in (x, y)]
        for _ in range(steps):
            for half in ("extrapolate", "step"):
                x.grad, y.grad = y.detach().clone(), -x.detach()
                for optimiser in optimisers:
                    getattr(optimiser, half, optimiser.step)()
        return float(torch.hypot(x, y).detach())

    arguments = {"lr": 0.1, "betas": (0.0, 0.999)}
    ahead = distance_after(lambda weights: ExtraAdam(weights, **arguments), 300)
    circling = distance_after(lambda weights: torch.optim.Adam(weights, **arguments), 300)
    assert ahead < 0.1 < 2 < circling


def test_batches_depend_on_the_step_alone_and_every_clip_comes_once_an_epoch():
    drawn = list(batches_from(0, 6, clips=7, batch_size=2, seed=3))
    assert drawn[2:] == list(batches_from(2, 6, 7, 2, 3))
    for epoch in (0, 1):
        rows = [row for batch in drawn[3 * epoch : 3 * epoch + 3] for row, drawn_in in batch if drawn_in == epoch]
        assert len(rows) == len(set(rows)) == 6


def test_augmentation_is_of_its_random_numbers_alone_and_sometimes_changes_nothing(monkeypatch):
    monkeypatch.setitem(CHANGES, "pitch", lambda waveform, random: waveform)  # a tenth of a second each
    waveform = np.random.default_rng(0).normal(scale=0.1, size=8_000).astype(np.float32)
    changed = [augment(waveform, np.random.default_rng(seed)) for seed in range(20)]
    again = [augment(waveform, np.random.default_rng(seed)) for seed in range(20)]
    assert all(np.array_equal(one, other) for one, other in zip(changed, again, strict=True))
    unchanged = sum(np.array_equal(each, waveform) for each in changed)
    assert 0 < unchanged < 20 and all(8_000 / 1.21 < each.size < 8_000 / 0.79 + 3_201 for each in changed)


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_keeps_the_clip_finite_and_changes_it(name):
    waveform = np.sin(np.arange(4_000) / 5).astype(np.float32)
    changed = CHANGES[name](waveform, np.random.default_rng(1))
    assert np.isfinite(changed).all() and not np.array_equal(changed, waveform)
    assert changed.size == waveform.size or name in ("speed", "shift")


def test_history_is_plain_json(tmp_path):
    ours = play(game(), 2)
    place = ours.write_checkpoint(tmp_path, run(ours))
    assert [each["step"] for each in json.loads((place / "history.json").read_text())] == [1, 2]
