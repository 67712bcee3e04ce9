"""Steps by name: what a recipe and a command line may say, and what is left of a clip after each."""

import inspect
import json
import warnings

import numpy as np
import pytest

from burst2vec.audio import transforms as transforms_module
from burst2vec.audio.transforms import TRANSFORMS, Transform, apply_transforms, read_transforms, transform_options
from burst2vec.errors import TransformError
from burst2vec.waveforms import normalise_level

CHAIN = ["mono", "resample", "highpass", "mmse_stsa", "trim_silence", "normalise_level"]


def voice(seconds=1.0, rate=16_000):
    """A decaying tone in a little noise."""
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(size=time.size)
    return (0.3 * np.sin(2 * np.pi * 220 * time) * np.exp(-2 * time) + 0.003 * noise).astype(np.float32)


def loud(
    waveform, gain: float = 2.0, times: int = 1, mode: str = "plain", off: bool = False, limit: float | None = None
):
    """A step of this test, with an option of every plain type."""
    return waveform if off else (waveform * gain**times).astype(np.float32)


@pytest.fixture
def with_loud(monkeypatch):
    monkeypatch.setitem(TRANSFORMS, "loud", loud)


# Reading


def test_the_three_ways_to_write_a_step_are_one():
    written = [
        ["normalise_level:dbfs=-20"],
        [{"normalise_level": {"dbfs": -20}}],
        [{"normalise_level": {"dbfs": -20.0}}],
    ]
    assert len({read_transforms(steps) for steps in written}) == 1
    assert read_transforms(["highpass"]) == read_transforms([{"highpass": None}]) == read_transforms([{"highpass": {}}])
    assert read_transforms(["normalise_level"]) == read_transforms(["normalise_level:dbfs=-3"])


def test_steps_that_were_read_are_read_as_they_are():
    steps = read_transforms(CHAIN)
    assert read_transforms(steps) == steps
    assert read_transforms(step for step in steps) == steps
    assert read_transforms([]) == ()


def test_steps_are_data_that_json_and_a_command_line_can_hold():
    steps = read_transforms(list(TRANSFORMS))
    assert read_transforms(json.loads(json.dumps([step.to_dict() for step in steps]))) == steps
    assert read_transforms([str(step) for step in steps]) == steps
    assert len({hash(step) for step in steps}) == len(TRANSFORMS)


def test_a_step_cannot_be_changed():
    with pytest.raises(AttributeError):
        read_transforms(["mono"])[0].name = "resample"


def test_every_step_is_documented_and_has_defaults_for_all_its_options():
    for name, step in TRANSFORMS.items():
        assert inspect.getdoc(step)
        assert inspect.Parameter.empty not in transform_options(name).values(), name


def test_a_clip_is_brought_to_16_khz_where_no_rate_is_given():
    assert read_transforms(["resample"]) == (Transform("resample", (("new_rate", 16_000),)),)


def test_options_of_every_plain_type_are_read_from_text(with_loud):
    (step,) = read_transforms(["loud:gain=1e-1, times=2, mode=odd, off=True, limit=none"])
    assert dict(step.options) == {"gain": 0.1, "times": 2, "mode": "odd", "off": True, "limit": None}
    (step,) = read_transforms(["loud:limit=3"])
    assert dict(step.options)["limit"] == 3.0


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("highpass", r"steps 'highpass': give a list of steps"),
        ({"highpass": {}}, "give a list of steps"),
        (None, "steps None: give a list"),
        ([3], "step 3: give a name, or one name with its options"),
        ([{"mono": {}, "highpass": {}}], "give a name, or one name with its options"),
        (["high_pass"], "unknown step 'high_pass': did you mean 'highpass'. Known steps: mono, resample, highpass, "),
        (["qqq"], "unknown step 'qqq': Known steps: mono"),
        ([{3: {}}], "unknown step 3"),
        (["normalise_level:dbf=-20"], "normalise_level: unknown option 'dbf': did you mean 'dbfs'. Its options: dbfs"),
        (["mono:channels=2"], "step mono: unknown option 'channels': It has no options"),
        (["highpass:sampling_rate=8000"], "step highpass: unknown option 'sampling_rate'"),
        ([{"highpass": [80]}], r"step highpass: options \[80\]; give names and values"),
        (["normalise_level:-20"], "'-20' is not option=value"),
        (["normalise_level:dbfs=-20,dbfs=-3"], "'dbfs=-3' is not option=value, each option once"),
        (["normalise_level:dbfs=loud"], "step normalise_level: dbfs='loud' is not a number"),
        (["normalise_level:dbfs=nan"], "dbfs=nan is not a finite number"),
        ([{"normalise_level": {"dbfs": True}}], "dbfs=True is not a number"),
        ([{"normalise_level": {"dbfs": None}}], "dbfs=None is not a number"),
        (["resample:new_rate=16000.5"], "new_rate=16000.5 is not a whole number"),
        (["loud:times=1.5"], "times=1.5 is not a whole number"),
        (["loud:off=1"], "off=1 is not true or false"),
        (["loud:mode=1"], "mode=1 is not a text"),
        (["loud:limit=low"], "limit='low' is not a number or none"),
    ],
)
def test_what_no_step_knows_is_refused_with_what_is_known(with_loud, steps, message):
    with pytest.raises(TransformError, match=message):
        read_transforms(steps)


def test_an_option_without_a_default_must_be_given(monkeypatch):
    monkeypatch.setitem(TRANSFORMS, "gate", lambda waveform, floor: waveform)
    with pytest.raises(TransformError, match="step gate: needs floor, such as gate:floor=1"):
        read_transforms(["gate"])
    assert read_transforms(["gate:floor=anything"])[0].to_dict() == {"gate": {"floor": "anything"}}


def test_what_a_recipe_cannot_hold_is_no_option(monkeypatch):
    def mask(waveform, noise: np.ndarray | None = None, depth: float = 1.0):
        return waveform

    monkeypatch.setitem(TRANSFORMS, "mask", mask)
    assert transform_options("mask") == {"depth": 1.0}
    with pytest.raises(TransformError, match="unknown option 'noise'"):
        read_transforms([{"mask": {"noise": [0.0]}}])


# Applying


def test_steps_are_done_one_after_the_other_with_their_options():
    waveform, rate = apply_transforms(voice(), 16_000, ["mono", "normalise_peak", "normalise_level:dbfs=-20"])
    np.testing.assert_allclose(waveform, normalise_level(voice(), dbfs=-20), rtol=1e-5)
    assert rate == 16_000


def test_each_transform_is_given_the_rate_that_the_one_before_left(monkeypatch):
    rates = []
    monkeypatch.setitem(TRANSFORMS, "probe", lambda waveform, sampling_rate: rates.append(sampling_rate) or waveform)
    waveform, rate = apply_transforms(voice(rate=48_000), 48_000, ["probe", "resample:new_rate=8000", "probe"])
    assert rates == [48_000, 8_000] and rate == 8_000 and waveform.shape == (8_000,)


def test_the_whole_chain_keeps_a_burst_and_sets_its_level():
    stereo = np.stack([voice(rate=48_000)] * 2, axis=1)
    waveform, rate = apply_transforms(stereo, 48_000, CHAIN)
    assert rate == 16_000 and 8_000 <= waveform.size <= 16_000
    assert np.sqrt(np.mean(waveform.astype(float) ** 2)) == pytest.approx(10 ** (-3 / 20), rel=1e-4)


def test_no_steps_leave_the_clip_as_it_is():
    np.testing.assert_array_equal(apply_transforms(voice(), 16_000, [])[0], voice())


def test_the_waveform_given_stays_as_it_was():
    given = voice()
    apply_transforms(given, 16_000, list(TRANSFORMS))
    np.testing.assert_array_equal(given, voice())


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("samples", [400, 16_000])
def test_a_silent_clip_stays_silent_through_every_step(name, samples):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        waveform, rate = apply_transforms(np.zeros(samples, dtype=np.float32), 16_000, [name])
    assert waveform.dtype == np.float32 and waveform.size == samples and rate == 16_000
    assert not waveform.any()


def test_a_silent_clip_stays_silent_through_all_steps_at_48_khz():
    waveform, _ = apply_transforms(np.zeros(48_000, dtype=np.float32), 48_000, list(TRANSFORMS))
    assert waveform.shape == (16_000,) and not waveform.any()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_step_gives_a_clip_of_the_shortest_length_back(name):
    waveform, _ = apply_transforms(voice()[:400], 16_000, [name])
    assert waveform.size == 400 and np.isfinite(waveform).all()


def test_a_step_that_fails_names_the_clip_and_the_step():
    clip = voice()
    clip[7] = np.nan
    with pytest.raises(TransformError, match=r"laugh\.mp3: step 1, highpass:cutoff_hz=20.0,.*sample 7 is nan"):
        apply_transforms(clip, 16_000, ["highpass", "mono"], "laugh.mp3")
    with pytest.raises(TransformError, match=r"laugh\.mp3: step 2, normalise_peak:dbfs=3.0: dbfs=3.0; allowed"):
        apply_transforms(voice(), 16_000, ["mono", "normalise_peak:dbfs=3"], "laugh.mp3")


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (np.zeros((2, 100), np.float32), r"left float32 of shape \(2, 100\)"),
        (np.zeros(100), "left float64 of shape"),
        ([0.0], "left <class 'list'>"),
        (np.zeros(0, np.float32), "left nothing of the clip"),
        (np.array([0, np.inf], np.float32), "sample 1 became inf"),
    ],
)
def test_what_a_step_leaves_is_checked(monkeypatch, left, message):
    monkeypatch.setitem(TRANSFORMS, "spoil", lambda waveform: left)
    with pytest.raises(TransformError, match=f"laugh: step 1, spoil: {message}"):
        apply_transforms(voice(), 16_000, ["spoil"], "laugh")


def test_the_steps_are_public_functions_of_the_audio_room():
    import burst2vec.audio

    for name, step in TRANSFORMS.items():
        assert step.__name__ == name and getattr(burst2vec.audio, name) is step
    assert burst2vec.audio.TRANSFORMS is transforms_module.TRANSFORMS
