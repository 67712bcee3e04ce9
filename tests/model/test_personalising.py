"""A model for one speaker: the given one stays as it is, and the support labels are what it says they are."""

import copy

import numpy as np
import pytest
import torch
from transformers import pipeline

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask, personalise
from burst2vec.errors import DivergenceError, SupportError, WaveformError
from burst2vec.personalising import Tuning, fit_bias_and_scale
from tests.conftest import noise_clips, tiny_model

EXTRACTOR = Burst2VecFeatureExtractor()
CLIPS = noise_clips(4000, 6000)


def labels_of(model, clips=CLIPS, shift=0.0):
    """The model's own answers as labels, the emotions' moved by ``shift``."""
    answer = answers(model, clips)
    return {"emotion": (answer["emotion"] + shift).clamp(0, 1), "age": answer["age"] + 2}


def answers(model, clips=CLIPS, extractor=EXTRACTOR):
    rate = {} if extractor.features else {"sampling_rate": 16000}
    with torch.no_grad():
        return model(**extractor(clips, return_tensors="pt", **rate)).predictions


def vector_model(**changes):
    torch.manual_seed(0)
    config = Burst2VecConfig(encoder_config={"kind": "vector", "features": 6}, initializer_range=0.5, **changes)
    return Burst2VecForMultiTask(config), Burst2VecFeatureExtractor(features=["mine"], feature_size=6)


def test_bias_and_scale_of_a_hand_worked_pair():
    # Residuals 0.3 and 0.1 at 0.2 and 0.4: mean 0.2, s² = 0.02, w = 1 − 0.01/0.04; slope −0.02 / (0.02 + 0.02·16).
    bias, scale = fit_bias_and_scale([[0.2], [0.4]], [[0.5], [0.5]])
    np.testing.assert_allclose(scale, 1 - 0.02 / 0.34)
    np.testing.assert_allclose(bias, 0.75 * 0.2 + 0.02 / 0.34 * 0.3)


def test_residuals_that_contradict_each_other_leave_no_bias():
    bias, scale = fit_bias_and_scale([[0.5, 0.5], [0.5, 0.5]], [[0.9, 0.5], [0.1, 0.6]])
    np.testing.assert_array_equal([bias, scale], [[0, 0], [1, 1]])


def test_one_clip_gives_half_its_residual():
    bias, scale = fit_bias_and_scale([[0.5, 0.2]], [[0.9, 0.2]])
    np.testing.assert_allclose([bias, scale], [[0.2, 0.0], [1, 1]])


@pytest.mark.parametrize("training", [True, False])
def test_the_given_model_is_left_untouched(training):
    model = tiny_model().train(training)
    before, config = copy.deepcopy(model.state_dict()), model.config.to_dict()
    personal = personalise(model, EXTRACTOR, CLIPS, {"emotion": np.full((2, 10), 0.9)})
    assert model.training is training and not personal.training
    assert model.config.to_dict() == config
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
    shared = {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in personal.parameters()}
    assert not shared


def test_a_bias_of_the_speaker_is_found_in_each_task_and_the_others_answer_as_before():
    model = tiny_model()
    personal = personalise(model, EXTRACTOR, CLIPS, labels_of(model, shift=0.1))
    before, after = (answers(each, noise_clips(5000, seed=3)) for each in (model, personal))
    torch.testing.assert_close(after["emotion"], (before["emotion"] + 0.1).clamp(0, 1), atol=0.01, rtol=0)
    torch.testing.assert_close(after["age"], before["age"] + 2, atol=1e-3, rtol=0)
    torch.testing.assert_close(after["country"], before["country"])


@pytest.mark.parametrize(
    "changes",
    [
        {"heads_read": "frames"},
        {"heads_read": "frames_then_pooled", "trunk": "shared", "recurrent": {"kind": "lstm", "hidden_size": 8}},
        {"tasks": [{"preset": "exvo", "name": "age", "output": "linear"}]},
    ],
)
def test_a_bias_is_found_whatever_the_heads_read_and_say(changes):
    model = tiny_model(**changes)
    ages = answers(model)["age"] + 1.5
    personal = personalise(model, EXTRACTOR, CLIPS, {"age": ages.clamp(15, 45)})
    query = noise_clips(5000, seed=3)
    torch.testing.assert_close(answers(personal, query)["age"], answers(model, query)["age"] + 1.5, atol=0.1, rtol=0)


def test_a_model_of_vectors_is_personalised_and_survives_saving(tmp_path):
    model, extractor = vector_model()
    vectors = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    personal = personalise(model, extractor, vectors, {"emotion": np.full((3, 10), 0.7)})
    personal.save_pretrained(tmp_path)
    again = Burst2VecForMultiTask.from_pretrained(tmp_path)
    for name, values in answers(personal, list(vectors), extractor).items():
        assert torch.equal(answers(again, list(vectors), extractor)[name], values)
    assert again.config.bias_and_scale == personal.config.bias_and_scale


def test_a_second_speaker_replaces_the_first_ones_bias():
    model = tiny_model()
    first = personalise(model, EXTRACTOR, CLIPS, labels_of(model, shift=0.2))
    second = personalise(first, EXTRACTOR, CLIPS, labels_of(model, shift=-0.1))
    direct = personalise(model, EXTRACTOR, CLIPS, labels_of(model, shift=-0.1))
    assert second.config.bias_and_scale == direct.config.bias_and_scale


def test_a_personal_model_works_in_the_pipeline():
    personal = personalise(tiny_model(), EXTRACTOR, CLIPS, {"emotion": np.full((2, 10), 0.9)})
    pipe = pipeline("vocal-burst-analysis", model=personal, feature_extractor=EXTRACTOR)
    assert pipe(CLIPS[0])["emotion"]["Awe"] == pytest.approx(float(answers(personal, CLIPS[:1])["emotion"][0, 0]))


GOOD = np.full((2, 10), 0.5)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"emotion": GOOD + 0.6}, r"support clip 0: Awe of task 'emotion' is 1.1; expected 10 numbers in 0..1"),
        ({"emotion": GOOD[:, :9]}, r"expected 10 numbers in 0..1, or NaN where missing, got 9 numbers per clip"),
        ({"emotion": GOOD[:1]}, r"task 'emotion': 2 clips are given, and labels of 1 clips"),
        ({"emotion": 0.5}, r"task 'emotion': 2 clips are given, and 0.5"),
        ({"emotion": np.array([[0.5] * 10, [0.5] * 9 + [np.nan]])}, r"clip 1 \(counted from 0\) has .*nan"),
        ({"country": [1, -1]}, r"task 'country': clip 1 \(counted from 0\) has -1; every label"),
        ({"valence": GOOD}, r"does not have the task 'valence'; it has \['emotion', 'age', 'country'\]"),
        ({}, r"must be a mapping of one or more of the tasks \['emotion', 'age', 'country'\], got {}"),
        ({"country": [1, 2]}, r"\['country'\]: a bias and a scale are of regressions"),
    ],
)
def test_support_labels_that_cannot_be_are_refused(labels, message):
    with pytest.raises(SupportError, match=message):
        personalise(tiny_model(), EXTRACTOR, CLIPS, labels)


def test_support_clips_that_cannot_be_are_refused():
    with pytest.raises(SupportError, match="no support clips; give one or more"):
        personalise(tiny_model(), EXTRACTOR, [], {"emotion": np.empty((0, 10))})
    with pytest.raises(WaveformError, match="support clip 1: 10 samples"):
        personalise(tiny_model(), EXTRACTOR, [CLIPS[0], np.zeros(10, np.float32)], {"emotion": GOOD})
    with pytest.raises(SupportError, match=r"clips 0 and 2 \(counted from 0\) are the same; give each clip once"):
        personalise(tiny_model(), EXTRACTOR, [*CLIPS, CLIPS[0].copy()], {"age": [[20.0], [30.0], [20.0]]})
    for clips, message in ((CLIPS[0], r"got an array of shape \(4000,\); put it into one"), (None, "got NoneType")):
        with pytest.raises(SupportError, match=f"support clips must be a list, {message}"):
            personalise(tiny_model(), EXTRACTOR, clips, {"emotion": GOOD[:1]})


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"country": {"bias": [0.0] * 4, "scale": [1.0] * 4}}, r"'country' is not one of the regressions"),
        ({"age": {"bias": [0.0]}}, r"of 'age' must be a mapping with bias and scale, got {'bias': \[0.0\]}"),
        ({"age": {"bias": [0.0], "scale": [1.0, 2.0]}}, r"scale must be a list of 1 finite numbers"),
    ],
)
def test_a_configuration_refuses_what_is_no_bias_and_scale(described, message):
    with pytest.raises(ValueError, match=message):
        Burst2VecConfig(bias_and_scale=described)


LSTM = {"recurrent": {"kind": "lstm", "hidden_size": 8, "num_hidden_layers": 2}, "pooling": "last"}


def tuned(model, tune, labels=None, **how):
    return personalise(model, EXTRACTOR, CLIPS, labels or {"emotion": np.full((2, 10), 0.9)}, tune, **how)


@pytest.mark.parametrize("tune", ["head", ["trunk"], ["recurrent", "head"], ["head", "trunk", "recurrent"]])
@pytest.mark.parametrize("training", [True, False])
def test_only_what_is_tuned_changes_and_the_given_model_does_not(tune, training):
    model = tiny_model(**LSTM, head={"kind": "linear", "dropout": 0.5}).train(training)
    before, flags = copy.deepcopy(model.state_dict()), {n: p.requires_grad for n, p in model.named_parameters()}
    personal = tuned(model, tune, steps=2)
    changed = {name for name, values in personal.state_dict().items() if not torch.equal(values, before[name])}
    wanted = {{"head": "heads"}.get(part, part) for part in ([tune] if isinstance(tune, str) else tune)}
    assert {name.split(".")[0] for name in changed} == wanted
    assert not [name for name in changed if ".age." in name or ".country." in name]  # tasks without support labels
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
    assert model.training is training and not personal.training
    assert {n: p.requires_grad for n, p in personal.named_parameters()} == flags
    assert all(parameter.grad is None for each in (model, personal) for parameter in each.parameters())


def test_batch_norm_and_dropout_stay_in_evaluation_mode_and_nothing_is_drawn():
    encoder = {"kind": "spectrogram_cnn", "width": 4}
    torch.manual_seed(0)
    model = Burst2VecForMultiTask(Burst2VecConfig(encoder_config=encoder, trunk="shared", tasks="exvo")).train()
    first, second = (tuned(model, ["head", "trunk"]) for _ in range(2))
    for (name, values), (_, again) in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
        assert torch.equal(values, again), name
    running = [name for name in first.state_dict() if "running_" in name or "num_batches" in name]
    assert running and all(torch.equal(first.state_dict()[name], model.state_dict()[name]) for name in running)


def test_a_recurrent_part_is_tuned_at_a_lower_rate_unless_told_otherwise():
    assert Tuning("head").rate == Tuning(["head", "trunk"]).rate == 1e-3
    assert Tuning(["recurrent", "head"]).rate == Tuning("recurrent").rate == 3e-5
    assert Tuning("recurrent", learning_rate=0.1).rate == 0.1


def test_tuning_brings_the_answers_nearer_to_the_support_labels():
    model = tiny_model(**LSTM)
    labels = {"emotion": np.full((2, 10), 0.9), "country": [3, 3], "age": [[40.0], [40.0]]}
    personal = answers(tuned(model, ["head", "recurrent"], labels, steps=20, learning_rate=0.01))
    before = answers(model)
    assert (personal["emotion"] - 0.9).square().mean() < (before["emotion"] - 0.9).square().mean()
    assert (personal["age"] - 40).abs().mean() < (before["age"] - 40).abs().mean()
    assert (personal["country"][:, 3] > before["country"][:, 3]).all()


def test_a_tuned_model_is_saved_as_any_other(tmp_path):
    personal = tuned(tiny_model(), "head", steps=2)
    personal.save_pretrained(tmp_path)
    again = Burst2VecForMultiTask.from_pretrained(tmp_path)
    assert all(torch.equal(values, again.state_dict()[name]) for name, values in personal.state_dict().items())


@pytest.mark.parametrize("tune", ["bias_and_scale", "head"])
def test_a_copy_with_the_same_encoder_answers_as_one_of_its_own(tune):
    model = tiny_model()
    labels = {"emotion": np.full((2, 10), 0.9, np.float32)}
    with torch.no_grad():
        frames = model.encoder(**{"waveforms" if k == "input_values" else k: v for k, v in batch_of(CLIPS).items()})
    personal = Tuning(tune, steps=2).personal_copy(model, *frames, labels)
    assert personal.encoder is model.encoder and personal.heads is not model.heads
    for name, values in answers(tuned(model, tune, steps=2)).items():
        torch.testing.assert_close(answers(personal)[name], values)


def batch_of(clips):
    return EXTRACTOR(clips, sampling_rate=16000, return_tensors="pt")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"tune": "encoder"}, r"tune must be 'bias_and_scale', or one or more of .*, got 'encoder'"),
        ({"tune": ["head", "head"]}, r"got \['head', 'head'\]"),
        ({"tune": []}, r"got \[\]"),
        ({"tune": ["head", "bias_and_scale"]}, r"got \['head', 'bias_and_scale'\]"),
        (
            {"tune": "recurrent"},
            r"tune 'recurrent': the model has no weights there; it has some of \['head', 'trunk'\]",
        ),
        ({"tune": "head", "steps": 0}, r"steps must be a whole number in 1..10000, got 0"),
        ({"tune": "head", "steps": True}, r"steps must be .*, got True"),
        ({"tune": "head", "learning_rate": 0.0}, r"learning_rate must be above 0, up to 1, or None, got 0.0"),
        ({"tune": "head", "learning_rate": float("nan")}, r"learning_rate must be .*, got nan"),
    ],
)
def test_a_way_of_tuning_that_does_not_exist_is_refused(how, message):
    with pytest.raises(SupportError, match=message):
        tuned(tiny_model(), **how)


def test_weights_that_are_no_longer_finite_are_refused():
    model = tiny_model(tasks=[{"preset": "exvo", "name": "age", "output": "linear"}])
    with torch.no_grad():
        model.heads["age"].output.bias.fill_(float("inf"))
    with pytest.raises(DivergenceError, match=r"after 3 steps at the rate 1 .* is not finite; tune with fewer"):
        tuned(model, "head", {"age": [[30.0], [30.0]]}, steps=3, learning_rate=1.0)
