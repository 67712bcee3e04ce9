"""Normalisation statistics are estimated from clips as the model receives them, the same in every process."""

import numpy as np
import pytest
import torch

from burst2vec import Burst2VecFeatureExtractor
from burst2vec.data.clips import read_clip
from burst2vec.data.vectors import with_vectors
from burst2vec.experiment import normalisation_statistics as measuring
from burst2vec.experiment.normalisation_statistics import estimate_statistics
from tests.training.tiny_run import tiny_corpus


class MeasuringModel(torch.nn.Module):
    """A model whose encoder keeps what it was given to measure."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Module()
        self.encoder.estimate_statistics = lambda clips: self.measured.append(list(clips))
        self.measured = []


def test_waveforms_are_measured_as_the_feature_extractor_levels_them():
    model, corpus = MeasuringModel(), tiny_corpus(5)
    estimate_statistics(model, Burst2VecFeatureExtractor(target_rms_dbfs=-20.0), corpus, seed=0)
    (measured,) = model.measured
    assert [clip.size for clip in measured] == corpus["samples"][:]
    assert all(np.sqrt(np.mean(clip**2)) == pytest.approx(0.1, rel=1e-3) for clip in measured)
    first = read_clip(corpus[0]["audio"], "first")
    assert np.allclose(measured[0] / np.abs(measured[0]).max(), first / np.abs(first).max(), atol=1e-5)


def test_of_many_waveforms_some_are_drawn_by_seed(monkeypatch):
    monkeypatch.setattr(measuring, "MOST_WAVEFORMS", 4)
    model, corpus = MeasuringModel(), tiny_corpus(12)
    for seed in (0, 0, 1):
        estimate_statistics(model, Burst2VecFeatureExtractor(), corpus, seed)
    sizes = [[clip.size for clip in measured] for measured in model.measured]
    assert len(sizes[0]) == 4 and sizes[0] == sizes[1] != sizes[2]


def test_all_vectors_are_measured(monkeypatch):
    monkeypatch.setattr(measuring, "MOST_WAVEFORMS", 4)
    vectors = np.random.default_rng(0).standard_normal((9, 3), dtype=np.float32)
    model = MeasuringModel()
    estimate_statistics(model, Burst2VecFeatureExtractor(), with_vectors(tiny_corpus(9), vectors), seed=0)
    assert np.array_equal(model.measured[0], vectors)


def test_an_encoder_that_measures_nothing_is_given_nothing():
    model = torch.nn.Module()
    model.encoder = torch.nn.Module()
    estimate_statistics(model, None, None, seed=0)
