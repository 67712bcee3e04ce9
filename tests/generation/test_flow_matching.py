"""One generator for all emotions: its velocity, its flow, what can be asked of it, and what is refused."""

import math

import pytest
import torch
from transformers import AutoModel

from burst2vec import BurstFlow, BurstFlowConfig
from burst2vec.flow_matching import _image_of_windows, _windows_of, integrate, shifted_times

SMALL = {"mels": 4, "frames": 8, "frames_per_token": 2, "hidden_size": 16, "num_hidden_layers": 2, "steps": 3}


@pytest.fixture
def model():
    """With weights as of one that has learnt: at first its images are 0, whatever is asked."""
    torch.manual_seed(0)
    model = BurstFlow(BurstFlowConfig(["Awe", "Fear"], guidance=1.0, **SMALL)).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.1 * torch.randn_like(weights))
    return model


def test_at_first_the_flow_goes_to_an_image_of_zeros():
    model = BurstFlow(BurstFlowConfig(["Awe"], **SMALL)).eval()
    noise = model.draw(2)
    output = model(noise, torch.tensor([0.0, 0.5]))
    assert not output.images.any()
    assert torch.allclose(output.velocity[0], -noise[0]) and torch.allclose(output.velocity[1], -2 * noise[1])


def test_at_first_a_layer_passes_its_input_on():
    model = BurstFlow(BurstFlowConfig(["Awe"], **SMALL)).eval()
    tokens = torch.randn(2, 4, 16)
    assert all(torch.equal(layer(tokens, torch.randn(2, 16)), tokens) for layer in model.layers)


def test_the_velocity_leads_straight_to_the_image(model):
    place, times = model.draw(3), torch.tensor([0.0, 0.25, 0.9])
    output = model(place, times, torch.eye(2)[[0, 1, 1]])
    there = place + (1 - times)[:, None, None, None] * output.velocity
    assert output.velocity.shape == (3, 1, 4, 8) and torch.allclose(there, output.images, atol=1e-5)


@pytest.mark.parametrize("group", [1, 2, 3, 4])
def test_windows_of_frames_and_back_are_the_image(group):
    image = torch.randn(2, 1, 3, 12)
    windows = _windows_of(image, group)
    assert windows.shape == (2, 12 // group, 3 * 2 * group)
    torch.testing.assert_close(_image_of_windows(windows, 3, group), image)


def test_a_window_is_its_group_with_half_of_both_neighbours():
    image = torch.arange(24.0).reshape(1, 1, 3, 8)
    windows = _windows_of(image, 2)
    assert windows[0, 1].tolist() == [1, 2, 3, 4, 9, 10, 11, 12, 17, 18, 19, 20]
    assert windows[0, 0].tolist()[:4] == [0, 0, 1, 2] and windows[0, 3].tolist()[:4] == [5, 6, 7, 0]


def test_windows_that_disagree_fade_into_one_another():
    """Two groups of two frames that say 0 and 1: frames 1 and 2 are in both windows, at sin² of 5/8 and 7/8 of π."""
    windows = torch.tensor([0.0, 1.0])[None, :, None].expand(1, 2, 4)
    faded = _image_of_windows(windows, 1, 2)[0, 0, 0]
    weights = [math.sin(math.pi * place / 8) ** 2 for place in (1, 3)]
    assert faded.tolist() == pytest.approx([0, *weights, 1], abs=1e-6)


@pytest.mark.parametrize("times", [[0.0, 1.0], shifted_times(7, 6.0)])
def test_the_flow_is_exact_on_straight_paths(times):
    goal, start = torch.tensor([3.0, -1.0], dtype=torch.float64), torch.tensor([0.5, 2.0], dtype=torch.float64)
    assert torch.allclose(integrate(lambda place, time: (goal - place) / (1 - time), start, times), goal)


def test_the_flow_is_exact_where_the_velocity_is_linear_in_time_and_else_of_second_order():
    start = torch.tensor([1.0], dtype=torch.float64)
    linear = integrate(lambda place, time: start * (4 * time - 1), start, shifted_times(5, 3.0))
    assert linear.item() == pytest.approx(1 + 2 - 1)
    errors = [abs(integrate(lambda place, time: place, start, shifted_times(n, 1.0)).item() - math.e) for n in (20, 40)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


def test_half_precision_flows_in_full(model):
    noise = model.draw(2)
    whole, half = model.sample(noise), model.to(torch.bfloat16).sample(noise)
    assert half.dtype == torch.float32 and torch.allclose(whole, half, atol=0.5)


def test_guidance_leads_away_from_any_burst(model):
    """In one step without a detour the images are linear in the guidance."""
    noise, labels = model.draw(2), torch.eye(2)
    model.config.image_mean, model.config.image_deviation = -6.0, 2.0
    passes = []
    for guidance in (0.0, 1.0, 3.0):
        velocity = model(noise, torch.zeros(2)).velocity
        velocity = velocity + guidance * (model(noise, torch.zeros(2), labels).velocity - velocity)
        halfway = noise + 0.5 * velocity
        unasked = model(halfway, torch.full((2,), 0.5)).velocity
        velocity = unasked + guidance * (model(halfway, torch.full((2,), 0.5), labels).velocity - unasked)
        passes.append((noise + velocity) * 2 - 6)
        assert torch.allclose(model.sample(noise, labels, guidance=guidance, steps=1), passes[-1], atol=1e-5)
    assert torch.allclose(passes[0], model.sample(noise, steps=1), atol=1e-5)
    assert not torch.allclose(passes[1], passes[2], atol=1e-3)


def test_the_labels_of_a_request_are_its_emotions_profiles_mixed_and_made_weaker():
    config = BurstFlowConfig(["Awe", "Fear"], profiles=[[1.0, 0.4], [0.2, 1.0]])
    assert config.labels_of("Awe").tolist() == pytest.approx([1.0, 0.4])
    assert config.labels_of("Fear", intensity=0.5).tolist() == pytest.approx([0.1, 0.5])
    assert config.labels_of({"Awe": 0.5, "Fear": 0.5}).tolist() == pytest.approx([0.6, 0.7])
    assert not config.labels_of("Fear", intensity=0).any()
    assert BurstFlowConfig(["Awe", "Fear"]).labels_of("Fear").tolist() == [0, 1]


@pytest.mark.parametrize(
    "asked, intensity, said",
    [
        ("Joy", 1.0, "generates Awe, Fear, not 'Joy'"),
        ({"Awe": 0.7, "Fear": 0.7}, 1.0, "1 together at most"),
        ({"Awe": -0.5}, 1.0, "parts must be in 0..1"),
        ({}, 1.0, "ask for an emotion"),
        (3, 1.0, "ask for an emotion"),
        ("Awe", 1.5, "intensity must be in 0..1"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked, intensity, said):
    with pytest.raises(ValueError, match=said):
        BurstFlowConfig(["Awe", "Fear"]).labels_of(asked, intensity)


def test_a_saved_model_loads_by_automodel_bit_for_bit(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded, noise = AutoModel.from_pretrained(tmp_path), model.draw(2, torch.Generator().manual_seed(1))
    assert isinstance(loaded, BurstFlow) and loaded.config.emotions == ["Awe", "Fear"]
    assert torch.equal(loaded.sample(noise, torch.eye(2)), model.sample(noise, torch.eye(2)))


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"emotions": ["Awe", "Awe"]}, "emotions must be one or more different names"),
        ({"frames": 7}, "multiple of frames_per_token"),
        ({"hidden_size": 12}, "multiple of twice num_attention_heads"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"image_deviation": 0.0}, "no mean and deviation"),
        ({"shift": 0.5}, "shift must be 1 or more"),
        ({"profiles": [[1.0]]}, "profiles must have 2 numbers"),
    ],
)
def test_sizes_and_names_that_are_none_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        BurstFlowConfig(**{"emotions": ["Awe", "Fear"], **SMALL, **wrong})


def test_a_guidance_below_nought_is_refused(model):
    with pytest.raises(ValueError, match="guidance must be 0 or more"):
        model.sample(model.draw(1), guidance=-1)
