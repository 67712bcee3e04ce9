"""The features of ExVo-Generate's FID: the last valid LSTM output of the few-shot network with 256 units."""

import numpy as np
import pytest
import torch

from burst2vec.experiment.building import build_model
from burst2vec.experiment.recipes import parse_run
from burst2vec.features import find_feature_set
from burst2vec.waveforms import SAMPLING_RATE


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """The network of the recipe at its full size, with random weights."""
    torch.manual_seed(0)
    model, extractor = build_model(parse_run(["exvo_baselines/fewshot_256"]).model)
    place = tmp_path_factory.mktemp("classifier")
    for part in (model, extractor):
        part.save_pretrained(place)
    return model.eval(), place


def test_the_vector_of_a_clip_is_the_recurrent_parts_last_valid_output(classifier):
    model, place = classifier
    features = find_feature_set(f"embedding:{place}")
    random = np.random.default_rng(0)
    clips = [random.normal(scale=0.05, size=seconds * SAMPLING_RATE // 10).astype(np.float32) for seconds in (7, 12)]
    vectors = features.vectors(clips)
    assert features.size == 256 and vectors.shape == (2, 256)
    for clip, vector in zip(clips, vectors, strict=True):
        waveform = torch.from_numpy(clip / np.abs(clip).max())[None]  # the waveform divided by its maximum
        with torch.no_grad():
            frames, mask = model.encoder(waveform, None)
            last = model.recurrent(frames, mask)[0, -1]
        assert np.allclose(vector, last.numpy(), atol=1e-5)
        assert frames.shape[1] == clip.size // (SAMPLING_RATE // 10)  # frames of 0.1 s
