"""benchmarks/robustness.py and transfer.py: what is changed of a clip, what is drawn, and who is ahead of whom."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from burst2vec.audio import load_audio
from burst2vec.tasks import TASK_PRESETS
from tests.experiment.test_shipped_models import save_run

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RATE = 16_000


@pytest.fixture(scope="module")
def robustness():
    return runpy.run_path(str(BENCHMARKS / "robustness.py"))


@pytest.fixture(scope="module")
def transfer():
    return runpy.run_path(str(BENCHMARKS / "transfer.py"))


def tone(hertz, seconds=1.0):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(RATE * seconds)) / RATE)).astype(np.float32)


def test_an_opus_copy_is_the_clip_but_for_its_coding(robustness):
    pytest.importorskip("av")
    clip = tone(440)
    coded = robustness["as_opus"](clip)
    assert len(coded) < 0.2 * clip.nbytes
    again = load_audio(coded)
    assert abs(len(again) - len(clip)) < 0.03 * RATE
    spectra = [np.abs(np.fft.rfft(each[2_000:12_000])) for each in (clip, again)]
    assert spectra[0].argmax() == spectra[1].argmax()


@pytest.mark.parametrize("hertz, kept", [(1_000, True), (50, False), (6_000, False)])
def test_a_telephone_keeps_its_band_alone(robustness, hertz, kept):
    clip = tone(hertz)
    far = robustness["by_telephone"](clip)
    assert len(far) == len(clip) and far.dtype == np.float32
    assert (np.std(far[4_000:-4_000]) / np.std(clip) > 0.8) == kept


def test_levels_and_silence_are_what_they_say(robustness):
    clip, conditions = tone(440), robustness["CONDITIONS"]
    louder = conditions["12 dB louder"](clip)["array"]
    assert 20 * np.log10(np.std(louder) / np.std(clip)) == pytest.approx(12, abs=1e-3) and np.abs(louder).max() > 1
    before = conditions["0.5 s of silence before"](clip)["array"]
    behind = conditions["0.5 s of silence behind"](clip)["array"]
    assert len(before) == len(behind) == len(clip) + RATE // 2
    assert not before[: RATE // 2].any() and not behind[-RATE // 2 :].any()


def test_changes_are_of_recall_and_of_the_most_probable_class(robustness):
    _, category = TASK_PRESETS["emogator"]
    labels = np.repeat(np.arange(4), 10)
    right, worse = np.eye(30)[labels], np.eye(30)[np.where(np.arange(40) < 10, 5, labels)]
    found = {"as it is": {"category": right}, "worse": {"category": worse}}
    rows = robustness["compare"](category, found, labels, [str(place % 5) for place in range(40)])
    assert rows[0][:2] == ("as it is", "1.000")
    assert rows[1] == ("worse", "0.750", "-0.250", "-0.250 to -0.250", "75.0 %")


class FewClips:
    classes = np.tile(np.arange(5), 60)
    speakers = np.repeat([f"{number:06d}" for number in range(20)], 15)
    waveforms = [tone(200 + 300 * category, 0.3) for category in range(5)] * 60


def test_a_draw_has_so_many_clips_of_each_class_and_no_speaker_twice(transfer):
    for number in range(5):
        learn, score = transfer["draw"](FewClips, 3, np.random.default_rng(number))
        assert np.bincount(FewClips.classes[learn]).tolist() == [3] * 5 and len(set(learn)) == 15
        assert not set(FewClips.speakers[learn]) & set(FewClips.speakers[score]) and len(score) == 150
    with pytest.raises(SystemExit, match="half of the speakers have 30 clips of a class, not 31"):
        transfer["draw"](FewClips, 31, np.random.default_rng(0))


def test_a_network_learns_five_tones_from_a_few_clips(transfer, tmp_path):
    network = transfer["Network"](str(save_run(tmp_path / "run")), list("abcde"), pretrained=True)
    learn, score = transfer["draw"](FewClips, 3, np.random.default_rng(0))
    assert network.recall(FewClips, learn, score[:20], steps=12, seed=0) > 0.5


def test_the_report_pairs_draws_and_a_model_that_knows_the_categories_is_told(transfer, tmp_path):
    found = {"embedding": {1: [0.4, 0.5, 0.6]}, "from scratch": {1: [0.3, 0.4, 0.5]}}
    text = transfer["report"](found)
    assert "| embedding ahead of from scratch | +0.100 (+0.100 to +0.100) |" in text
    run = save_run(tmp_path / "run")
    assert "may have been trained on clips of Anger" in transfer["seen_categories"](str(run), ["Anger"])
    known = {"data": {"corpus": "emogator", "without_categories": ["Anger"]}, "model": {}, "training": {}}
    other = save_run(tmp_path / "other", recipe=known)
    assert transfer["seen_categories"](str(other), ["Anger"]) == ""
