"""The axis: encoders by name, and the one that takes vectors."""

import pytest
import torch

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.configuration_burst2vec import OwnEncoderConfig
from burst2vec.encoders import VectorEncoder, build_encoder
from tests.conftest import exvo_labels


def vector_model(**arguments):
    torch.manual_seed(0)
    encoder = {"kind": "vector", "features": 6}
    return Burst2VecForMultiTask(Burst2VecConfig(encoder_config=encoder, trunk="shared", **arguments)).eval()


def test_vectors_are_centred_and_scaled_by_what_was_measured():
    encoder = VectorEncoder(features=2)
    encoder.estimate_statistics([[1.0, 5.0], [3.0, 5.0]])  # means 2 and 5, variances 1 and none
    frames, frame_mask = encoder(torch.tensor([[4.0, 6.0]]))
    assert frames.tolist() == [[[2.0, 1.0]]] and frame_mask is None


def test_what_lies_far_out_is_brought_to_the_limit():
    frames, _ = VectorEncoder(features=3, limit=2.0)(torch.tensor([[-7.0, 1.0, 2.5]]))
    assert frames.tolist() == [[[-2.0, 1.0, 2.0]]]


def test_features_are_dropped_in_training_only():
    encoder = VectorEncoder(features=1000, dropout=0.5)
    dropped = encoder(torch.ones(1, 1000))[0]
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (encoder.eval()(torch.ones(1, 1000))[0] == 1).all()


def test_large_features_that_hardly_vary_are_measured_too():
    encoder = VectorEncoder(features=1)
    encoder.estimate_statistics([[1000.0], [1000.25], [1000.5]])
    assert encoder.variance.item() == pytest.approx(0.125 / 3, rel=1e-5)


def test_a_model_of_vectors_predicts_learns_and_comes_back_from_disk(tmp_path):
    model = vector_model()
    model.encoder.estimate_statistics(torch.randn(20, 6) * 3 + 1)
    vectors = torch.randn(4, 6)
    output = model(vectors, labels=exvo_labels(4))
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.save_pretrained(tmp_path)
    again = Burst2VecForMultiTask.from_pretrained(tmp_path)
    assert again.config.encoder_config.arguments == {"features": 6}
    assert torch.equal(again(vectors).predictions["age"], model(vectors).predictions["age"])


def test_statistics_missing_from_the_file_come_back_as_before_measuring(tmp_path):
    model = vector_model()
    model.encoder.estimate_statistics(torch.randn(20, 6) * 3 + 1)
    weights = model.state_dict()
    del weights["encoder.mean"], weights["encoder.variance"]
    model.save_pretrained(tmp_path, state_dict=weights)
    again, found = Burst2VecForMultiTask.from_pretrained(tmp_path, output_loading_info=True)
    assert set(found["missing_keys"]) == {"encoder.mean", "encoder.variance"}
    assert again.encoder.mean.tolist() == [0.0] * 6 and again.encoder.variance.tolist() == [1.0] * 6


@pytest.mark.parametrize(
    "encoder, message",
    [
        ({"kind": "choir"}, "'choir' is not one of"),
        ({"kind": "vector", "features": 2, "size": 3}, r"know 'size'; it takes \['dropout', 'features', 'limit'\]"),
        ({"kind": "vector"}, r"encoder 'vector' needs \['features'\]"),
        ({"kind": "vector", "features": 2.5}, "encoder 'vector': features must be int, got 2.5"),
        ({"kind": "vector", "features": 0}, "features is 0"),
        ({"kind": "vector", "features": 2, "limit": 0}, "limit is 0"),
        ({"kind": "vector", "features": 2, "dropout": 1}, "dropout is 1"),
    ],
)
def test_an_encoder_that_cannot_be_built_is_named(encoder, message):
    with pytest.raises(ValueError, match=message):
        Burst2VecForMultiTask(Burst2VecConfig(encoder_config=encoder))


def test_vectors_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"vectors are \(2, 5\), not \(batch, 6\)"):
        vector_model()(torch.randn(2, 5))


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="no clips"):
        VectorEncoder(features=2).estimate_statistics([])


def test_a_configuration_builds_the_encoder_that_it_names():
    encoder = build_encoder(OwnEncoderConfig("vector", {"features": 3}))
    assert isinstance(encoder, VectorEncoder) and encoder.size == 3
