"""A clip that cannot be used costs its own answer at most, and is named."""

import logging
import math
import re

import numpy as np
import pytest
import soundfile
import torch
from transformers import pipeline

from burst2vec import Burst2VecFeatureExtractor
from burst2vec.audio import TRANSFORMS
from burst2vec.errors import AudioError, WaveformError
from tests.audio.test_fuzz import recording
from tests.conftest import noise_clips, save_tiny_model, tiny_model

LENGTHS = (8_000, 3_000, 12_345, 400, 5_000, 9_999, 700, 8_001)

BAD = {  # what is given, and what is said of it
    "missing file": ("nowhere/burst.wav", "nowhere/burst.wav: cannot be read"),
    "address": ("https://example.org/burst.wav", "https://example.org/burst.wav: cannot be read"),
    "no recording": (b"no recording at all", "clip 3 (counted from 0): broken, or not audio"),
    "empty file": (b"", "clip 3 (counted from 0): the file is empty"),
    "damaged webm": (
        recording("webm").replace(b"A_OPUS", b"A_OPUX"),
        "clip 3 (counted from 0): its codec is not known",
    ),
    "too short": (np.zeros(399, "f"), "clip 3 (counted from 0): 399 samples"),
    "not finite": (np.full(8_000, np.nan, "f"), "clip 3 (counted from 0): sample 0 is nan"),
    "two channels": (np.zeros((2, 8_000), "f"), "clip 3 (counted from 0): shape (2, 8000) is several channels"),
    "channels last": (np.zeros((8_000, 2), "f"), "burst2vec.audio.mono(waveform)"),
    "channels first": (np.zeros((2, 8_000), "f"), "burst2vec.audio.mono(waveform.T)"),
    "no rate": ({"array": np.zeros(8_000, "f")}, "clip 3 (counted from 0): a clip given as a dictionary needs"),
    "odd rate": ({"raw": np.zeros(8_000, "f"), "sampling_rate": "16k"}, "sampling_rate is '16k'; allowed: 4000 to"),
    "short at its rate": (
        {"array": np.zeros(500, "f"), "sampling_rate": 48_000},
        "500 samples at 48000 Hz are 0.010",
    ),
    "over a minute": ({"array": np.zeros(61 * 4_000, "f"), "sampling_rate": 4_000}, "are 61.000 s; a burst has"),
    "nothing": (None, "clip 3 (counted from 0): is NoneType of object; give a path"),
    "ragged": ([[0.0, 0.1], [0.2]], "clip 3 (counted from 0): is no array of samples"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def analyse(folder):
    return pipeline("vocal-burst-analysis", model=str(folder))


@pytest.fixture(scope="module")
def good(analyse):
    """Eight clips and the answer to each alone."""
    clips = noise_clips(*LENGTHS)
    return clips, [analyse(clip, return_embedding=True) for clip in clips]


def numbers(answer):
    """All numbers of an answer, one after the other."""
    if isinstance(answer, dict):
        return [number for value in answer.values() for number in numbers(value)]
    if isinstance(answer, list):
        return [number for value in answer for number in numbers(value)]
    return [] if isinstance(answer, str) or answer is None else [answer]


def assert_same(answers, expected, batch_size=1):
    """Alone, to the last bits; in a batch, as close as padding leaves it."""
    assert len(answers) == len(expected)
    for answer, alone in zip(answers, expected, strict=True):
        assert answer.keys() == alone.keys() and answer["country"]["label"] == alone["country"]["label"]
        np.testing.assert_allclose(numbers(answer), numbers(alone), rtol=1e-6, atol=1e-6 if batch_size == 1 else 1e-5)


def with_bad(clips, bad):
    return [*clips[:3], bad, *clips[3:]]


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_a_bad_clip_costs_no_other_its_answer(analyse, good, caplog, kind, batch_size):
    clips, alone = good
    bad, said = BAD[kind]
    with pytest.raises((AudioError, WaveformError), match=re.escape(said)):
        analyse(with_bad(clips, bad), batch_size=batch_size)
    with caplog.at_level(logging.WARNING):
        skipped = analyse(with_bad(clips, bad), batch_size=batch_size, on_error="skip", return_embedding=True)
    assert_same(skipped, alone, batch_size)
    assert caplog.text.count("left out: ") == 1 and said in caplog.text
    answers = analyse(with_bad(clips, bad), batch_size=batch_size, on_error="nan", return_embedding=True)
    assert_same(answers[:3] + answers[4:], alone, batch_size)
    assert said in answers[3].pop("error") and answers[3]["country"]["label"] is None
    assert len(numbers(answers[3])) == len(numbers(alone[3])) and all(map(math.isnan, numbers(answers[3])))
    assert answers[3].keys() == alone[3].keys()


def test_several_bad_clips_and_nothing_but_bad_ones(analyse, good, caplog):
    clips, alone = good
    given = [BAD["too short"][0], clips[0], BAD["missing file"][0], BAD["nothing"][0], clips[1], b""]
    assert_same(analyse(given, batch_size=2, on_error="skip", return_embedding=True), alone[:2], 2)
    answers = analyse(given, batch_size=2, on_error="nan")
    assert [answer.get("error", "")[:6] for answer in answers] == ["clip 0", "", "nowher", "clip 3", "", "clip 5"]
    for batch_size in (1, 2):
        assert analyse([b"", None], batch_size=batch_size, on_error="skip") == []
        assert ["error" in answer for answer in analyse([b"", None], batch_size=batch_size, on_error="nan")] == [
            True
        ] * 2


def test_a_clip_given_alone(analyse, good):
    clips, alone = good
    assert_same([analyse(clips[0], on_error="skip", return_embedding=True)], alone[:1])
    assert analyse(b"", on_error="skip") is None
    assert analyse(b"", on_error="nan")["error"].startswith("clip: the file is empty")
    with pytest.raises(AudioError, match="^clip: the file is empty"):
        analyse(b"")
    assert analyse([], on_error="skip") == analyse([]) == []


class Clips(torch.utils.data.Dataset):
    def __init__(self, clips):
        self.clips = clips

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, place):
        return self.clips[place]


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, clips):
        self.clips = clips

    def __iter__(self):
        return iter(self.clips)


@pytest.mark.parametrize(
    "given", [Clips, Stream, lambda clips: (clip for clip in clips)], ids=["set", "stream", "yield"]
)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_datasets_and_generators_are_answered_one_by_one(analyse, good, given, batch_size):
    clips, alone = good
    everything = with_bad(clips, BAD["two channels"][0])
    settings = {"batch_size": batch_size, "return_embedding": True}
    answers = analyse(given(everything), on_error="skip", **settings)
    assert not isinstance(answers, list)
    assert_same(list(answers), alone, batch_size)
    answers = list(analyse(given(everything), on_error="nan", **settings))
    assert answers[3]["error"].startswith("clip 3 (counted from 0): shape (2, 8000)")
    with pytest.raises(WaveformError, match="clip 3 .* several channels"):
        list(analyse(given(everything), **settings))
    assert_same(list(analyse(given(clips), **settings)), alone, batch_size)


def test_workers_that_read_ahead_change_nothing(analyse, good):
    clips, alone = good
    given = with_bad(clips, BAD["empty file"][0])
    assert_same(analyse(given, num_workers=1, batch_size=4, on_error="skip", return_embedding=True), alone, 4)


def test_what_to_do_can_be_said_once_for_all_calls(folder, good):
    analyse = pipeline("vocal-burst-analysis", model=str(folder), on_error="skip")
    assert len(analyse([good[0][0], b""])) == 1 and analyse(b"") is None
    assert "error" in analyse([good[0][0], b""], on_error="nan")[1]
    with pytest.raises(AudioError):
        analyse([good[0][0], b""], on_error="raise")


def test_there_are_three_things_to_do(analyse):
    with pytest.raises(ValueError, match="on_error 'ignore' is not one of raise, skip, nan"):
        analyse([b""], on_error="ignore")


def test_a_fault_that_is_no_clips_is_raised_whatever_is_asked_for(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    Burst2VecFeatureExtractor(features=["mine"], feature_size=3, normalise_per_speaker=True).save_pretrained(tmp_path)
    analyse = pipeline("vocal-burst-analysis", model=str(tmp_path))
    with pytest.raises(ValueError, match="their speaker's own mean"):
        analyse([np.zeros(8_000, "f")], on_error="skip")


def test_a_pipeline_for_one_task_says_which_one_to_use(folder):
    with pytest.raises(LookupError, match=r"knows one; use pipeline\('vocal-burst-analysis', model='.*'\)"):
        pipeline("audio-classification", model=str(folder))


def test_a_step_that_fails_on_a_clip_is_the_clips_fault(tmp_path, good, monkeypatch):
    def only_quiet(waveform):
        if np.abs(waveform).max() > 50:
            raise ZeroDivisionError("too loud for it")
        return waveform

    monkeypatch.setitem(TRANSFORMS, "normalise_peak", only_quiet)
    tiny_model().save_pretrained(tmp_path)
    Burst2VecFeatureExtractor(preprocess=["normalise_peak"]).save_pretrained(tmp_path)
    analyse = pipeline("vocal-burst-analysis", model=str(tmp_path))
    clips, alone = good
    answers = analyse([clips[0], 100 * clips[1], clips[2]], on_error="nan", return_embedding=True)
    assert_same(answers[::2], alone[:3:2])
    assert "clip 1 (counted from 0): step 1, normalise_peak: too loud for it" in answers[1]["error"]


def test_clips_are_taken_in_the_forms_of_others(analyse, good, tmp_path):
    clip = np.clip(good[0][0] / 5, -1, 1)
    soundfile.write(tmp_path / "burst.wav", clip, 16_000, subtype="FLOAT")
    content = (tmp_path / "burst.wav").read_bytes()
    expected = analyse(clip)
    forms = [
        {"raw": clip, "sampling_rate": 16_000},
        {"array": clip, "sampling_rate": 16_000, "path": "elsewhere.wav"},
        {"raw": clip.tolist(), "sampling_rate": 16_000},
        {"bytes": content, "path": None},
        {"bytes": None, "path": str(tmp_path / "burst.wav")},
        bytearray(content),
        torch.from_numpy(clip),
    ]
    for answer in [*analyse(forms), *map(analyse, forms)]:
        np.testing.assert_allclose(numbers(answer), numbers(expected), rtol=1e-5, atol=1e-6)
    integers = np.round(clip * 32_768).clip(-32_768, 32_767).astype("int16")
    for given in (integers, {"array": integers, "sampling_rate": 16_000}):
        np.testing.assert_allclose(numbers(analyse(given)), numbers(expected), rtol=1e-2)
