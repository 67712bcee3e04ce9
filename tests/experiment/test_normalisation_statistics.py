"""What an encoder measures before training: of the clips as the model will be given them, on every process alike."""

import numpy as np
import pytest
import torch

from burst2vec import Burst2VecFeatureExtractor
from burst2vec.data.clips import read_clip
from burst2vec.data.vectors import with_vectors
from burst2vec.experiment import normalisation_statistics as measuring
from burst2vec.experiment.normalisation_statistics import estimate_statistics
from tests.training.tiny_run import tiny_corpus


class Listener(torch.nn.Module):
    """A model whose encoder keeps what it was given to measure."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Module()
        self.encoder.estimate_statistics = lambda clips: self.heard.append(list(clips))
        self.heard = []


def test_waveforms_are_measured_as_the_feature_extractor_levels_them():
    model, corpus = Listener(), tiny_corpus(5)
    estimate_statistics(model, Burst2VecFeatureExtractor(target_rms_dbfs=-20.0), corpus, seed=0)
    (heard,) = model.heard
    assert [clip.size for clip in heard] == corpus["samples"][:]
    assert all(np.sqrt(np.mean(clip**2)) == pytest.approx(0.1, rel=1e-3) for clip in heard)
    first = read_clip(corpus[0]["audio"], "first")
    assert np.allclose(heard[0] / np.abs(heard[0]).max(), first / np.abs(first).max(), atol=1e-5)


def test_of_many_waveforms_some_are_drawn_by_seed(monkeypatch):
    monkeypatch.setattr(measuring, "MOST_WAVEFORMS", 4)
    model, corpus = Listener(), tiny_corpus(12)
    for seed in (0, 0, 1):
        estimate_statistics(model, Burst2VecFeatureExtractor(), corpus, seed)
    sizes = [[clip.size for clip in heard] for heard in model.heard]
    assert len(sizes[0]) == 4 and sizes[0] == sizes[1] != sizes[2]


def test_all_vectors_are_measured(monkeypatch):
    monkeypatch.setattr(measuring, "MOST_WAVEFORMS", 4)
    vectors = np.random.default_rng(0).standard_normal((9, 3), dtype=np.float32)
    model = Listener()
    estimate_statistics(model, Burst2VecFeatureExtractor(), with_vectors(tiny_corpus(9), vectors), seed=0)
    assert np.array_equal(model.heard[0], vectors)


def test_an_encoder_that_measures_nothing_is_given_nothing():
    model = torch.nn.Module()
    model.encoder = torch.nn.Module()
    estimate_statistics(model, None, None, seed=0)
