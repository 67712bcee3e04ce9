"""The recurrent part between encoder and pooling: no frame with sound depends on padding or on the other clips."""

import pytest
import torch

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask
from burst2vec.features import embeddings
from burst2vec.recurrent import LSTM
from tests.conftest import learnt_beside_nan_padding, noise_clips, tiny_encoder_config

SMALL = {"kind": "lstm", "hidden_size": 12, "num_hidden_layers": 2}


def recurrent_model(encoder=None, recurrent=SMALL, **arguments):
    torch.manual_seed(0)
    encoder = encoder or tiny_encoder_config(style="large")
    config = Burst2VecConfig(encoder, recurrent=recurrent, trunk="identity", **arguments)
    return Burst2VecForMultiTask(config).eval()


def by_hand(part, frames):
    """The equations of the cell, gate by gate, for one layer and one clip."""
    lstm = part.layers
    state = memory = torch.zeros(lstm.hidden_size)
    states = []
    for frame in frames:
        gates = lstm.weight_ih_l0 @ frame + lstm.bias_ih_l0 + lstm.weight_hh_l0 @ state + lstm.bias_hh_l0
        let_in, keep, new, let_out = gates.chunk(4)
        memory = keep.sigmoid() * memory + let_in.sigmoid() * new.tanh()
        state = let_out.sigmoid() * memory.tanh()
        states.append(state)
    return torch.stack(states)


def test_a_frames_state_follows_the_equations_of_the_cell():
    torch.manual_seed(0)
    part, frames = LSTM(3, hidden_size=4, num_hidden_layers=1), torch.randn(2, 6, 3)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    with torch.no_grad():
        found = part(frames, mask)
        assert torch.allclose(found[0], by_hand(part, frames[0]), atol=1e-6)
        assert torch.allclose(found[1, :4], by_hand(part, frames[1, :4]), atol=1e-6)
    assert (found[1, 4:] == 0).all()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["first", "last", "max", "mean"])
def test_a_clip_gives_the_same_answer_alone_and_in_every_order_of_a_batch(pooling, bidirectional, extract):
    model = recurrent_model(recurrent={**SMALL, "bidirectional": bidirectional}, pooling=pooling, initializer_range=0.3)
    clips = noise_clips(4000, 700, 9000)
    with torch.no_grad():
        alone = [model(**extract(clip)) for clip in clips]
        for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0)):
            together = model(**extract([clips[row] for row in order]))
            for place, row in enumerate(order):
                for name, values in alone[row].predictions.items():
                    difference = (together.predictions[name][place] - values[0]).abs().max()
                    assert difference / max(1.0, values.abs().max()) <= 1e-5
                assert (together.embeddings[place] - alone[row].embeddings[0]).abs().max() <= 1e-5
    assert (alone[0].embeddings - alone[1].embeddings).abs().max() > 1e-3, "else equality says nothing"


def test_what_the_padding_holds_moves_no_weight():
    model = recurrent_model({"kind": "vector", "features": 4}, pooling="last")
    output = learnt_beside_nan_padding(model)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    assert all(torch.isfinite(values).all() for values in output.predictions.values())


def test_the_paper_s_part_has_torchs_weights_and_they_begin_as_torchs():
    part = LSTM(1024)
    assert sum(parameter.numel() for parameter in part.parameters()) == 4 * 512 * (1024 + 512 + 2 + 512 + 512 + 2)
    part.layers.initialise()
    bound = 512**-0.5
    assert all(bound * 0.9 < parameter.abs().max() <= bound for parameter in part.parameters())


def test_weights_of_it_that_a_checkpoint_lacks_begin_as_in_a_new_model(tmp_path):
    model = recurrent_model({"kind": "vector", "features": 4}, pooling="last")
    kept = {name: values for name, values in model.state_dict().items() if not name.startswith("recurrent.")}
    model.save_pretrained(tmp_path, state_dict=kept)
    again, told = Burst2VecForMultiTask.from_pretrained(tmp_path, output_loading_info=True)
    lacking = {name: values for name, values in again.named_parameters() if name.startswith("recurrent.")}
    assert set(told["missing_keys"]) == set(lacking)
    assert all(0.8 * 12**-0.5 < values.abs().max() <= 12**-0.5 for values in lacking.values())


def test_a_model_with_it_is_saved_and_loads_and_one_without_it_has_no_weight_of_it(tmp_path):
    model = recurrent_model()
    model.save_pretrained(tmp_path)
    again = Burst2VecForMultiTask.from_pretrained(tmp_path)
    assert again.config.recurrent == {**SMALL, "bidirectional": False, "initializer": "uniform"}
    for name, values in model.state_dict().items():
        assert torch.equal(values, again.state_dict()[name])
    without = recurrent_model(recurrent=None)
    assert without.recurrent is None and without.config.recurrent is None
    assert not any("recurrent" in name for name in without.state_dict())


def test_the_embedding_of_a_saved_model_is_of_its_recurrent_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "bf16_is_native", lambda: False)
    model = recurrent_model(pooling="last")
    model.save_pretrained(tmp_path)
    extractor = Burst2VecFeatureExtractor()
    extractor.save_pretrained(tmp_path)
    (clip,) = noise_clips(4000)
    found = embeddings.find_embedding(str(tmp_path)).vector(clip)[0]
    with torch.no_grad():
        expected = model(**extractor([clip], sampling_rate=16000, return_tensors="pt")).embeddings[0]
    assert found.shape == (12,) and torch.allclose(torch.from_numpy(found), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("recurrent", "message"),
    [
        ("rnn", "recurrent 'rnn' is not one of"),
        ({"kind": "lstm", "hidden_size": 0}, "hidden_size must be a whole number in 1..65536, got 0"),
        ({"kind": "lstm", "num_hidden_layers": 0}, "num_hidden_layers must be in 1..64, got 0"),
        ({"kind": "lstm", "initializer": "he"}, "initializer must be one of"),
        ({"kind": "lstm", "layers": 2}, "recurrent 'lstm' does not know 'layers'"),
    ],
)
def test_what_is_no_recurrent_part_is_refused(recurrent, message):
    with pytest.raises(ValueError, match=message):
        recurrent_model(recurrent=recurrent)
