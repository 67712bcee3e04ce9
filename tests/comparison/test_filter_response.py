"""The cumulative frequency response: filters worked by hand, and the picture of saved models."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask
from burst2vec.comparison.filter_response import cumulative_response, first_filters
from tests.conftest import tiny_model

SCRIPT = Path(__file__).parents[2] / "examples" / "plot_frequency_response.py"
SMALL = {"conv_dim": [3, 4], "conv_kernel": [30, 4], "conv_stride": [10, 2], "pools": [2, 1]}
ZFF = {"zero_frequency_filter": {}}


@pytest.fixture(scope="module")
def plot():
    spec = importlib.util.spec_from_file_location("plot_frequency_response", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def saved(folder, preprocess=()):
    torch.manual_seed(0)
    encoder = {"kind": "waveform_cnn", **SMALL}
    Burst2VecForMultiTask(Burst2VecConfig(encoder_config=encoder, trunk="identity")).save_pretrained(folder)
    Burst2VecFeatureExtractor(preprocess=list(preprocess)).save_pretrained(folder)
    return str(folder)


def test_a_difference_of_two_samples_passes_what_its_transfer_function_says():
    hz, response = cumulative_response([[1.0, -1.0]])
    expected = np.abs(1 - np.exp(-2j * np.pi * hz / 16000))
    assert hz[0] == 0 and hz[-1] == 8000 and len(hz) == 513
    assert np.allclose(response, expected / np.sqrt((expected**2).sum()))


def test_an_impulse_passes_all_frequencies_alike_wherever_it_stands():
    flat = cumulative_response([[0.0, 0.0, 5.0]])[1]
    assert np.allclose(flat, 1 / np.sqrt(513))


def test_each_filter_counts_once_however_loud_it_is():
    low, high = [1.0, 1.0], [1.0, -1.0]
    both = cumulative_response([low, [100 * tap for tap in high], [0.0, 0.0]])[1]
    assert np.allclose(both, cumulative_response([low])[1] + cumulative_response([high])[1])


@pytest.mark.parametrize(
    "filters, message",
    [
        ([1.0, 2.0], r"\(2,\), not \(filters, taps\)"),
        (np.zeros((0, 3)), r"\(0, 3\)"),
        (np.zeros((1, 2000)), r"\(1, 2000\), not .* at most 1024 taps"),
        ([[1.0, float("nan")]], "not finite"),
    ],
)
def test_what_is_no_set_of_filters_is_refused(filters, message):
    with pytest.raises(ValueError, match=message):
        cumulative_response(filters)


def test_filters_are_those_of_the_saved_first_layer(tmp_path):
    folder = saved(tmp_path, [ZFF])
    filters, steps = first_filters(folder)
    weights = Burst2VecForMultiTask.from_pretrained(folder).state_dict()["encoder.convolutions.0.weight"]
    assert filters.shape == (3, 30) and np.array_equal(filters, weights[:, 0].numpy())
    assert steps == ("zero_frequency_filter",)


def test_models_are_drawn_into_one_picture(plot, tmp_path, capsys):
    folders = [saved(tmp_path / "a" / "run"), saved(tmp_path / "b" / "run", [ZFF]), saved(tmp_path / "c")]
    out = tmp_path / "plots" / "responses.png"
    assert plot([*folders, "--out", str(out)]) == 0
    assert out.read_bytes()[:4] == b"\x89PNG" and str(out) in capsys.readouterr().out


def test_what_has_no_filters_over_the_waveform_is_named(plot, tmp_path, capsys):
    tiny_model().save_pretrained(tmp_path / "hubert")
    assert plot([str(tmp_path / "hubert")]) == 2
    assert "hubert: its encoder is 'hubert'; only a waveform_cnn" in capsys.readouterr().err
    assert plot([str(tmp_path / "nowhere")]) == 2
    assert "nowhere holds no config.json" in capsys.readouterr().err
    assert not Path("frequency_response.png").exists()


def test_help_says_what_it_draws(plot, capsys):
    with pytest.raises(SystemExit) as ended:
        plot(["--help"])
    assert ended.value.code == 0 and "Magimai-Doss" in capsys.readouterr().out
