"""A clip's time is that of its answer, on one thread, and timing changes nothing."""

import time

import pytest
import torch

from burst2vec import Burst2VecFeatureExtractor
from burst2vec.experiment.answer_time import answer_time, milliseconds_per_clip
from tests.training.tiny_run import tiny_corpus, tiny_model


def test_it_is_the_median_of_the_answers_on_one_thread():
    threads, seen = torch.get_num_threads(), []

    def answer(waveform):
        seen.append((len(waveform), torch.get_num_threads()))
        time.sleep(0.5 if len(seen) in (1, 3) else 0.01)  # the first is not timed, and one is an outlier

    took = milliseconds_per_clip(answer, tiny_corpus(9), count=5)
    assert 10 <= took < 100
    lengths = tiny_corpus(9)["samples"]
    assert seen == [(lengths[row], 1) for row in (0, 0, 2, 4, 6, 8)]
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("clips, count", [(3, 0), (0, 5)])
def test_without_clips_there_is_no_time(clips, count):
    assert milliseconds_per_clip(len, tiny_corpus(clips), count) is None


def test_few_clips_are_timed_where_each_takes_long(monkeypatch):
    monkeypatch.setattr("burst2vec.experiment.answer_time.SECONDS", 0.03)
    seen = []
    milliseconds_per_clip(lambda waveform: (seen.append(1), time.sleep(0.02)), tiny_corpus(9), count=9)
    assert len(seen) == 3  # one that is not timed, and two


def test_a_model_answers_from_the_waveform_and_nothing_is_timed_without_audio():
    clips, extractor = tiny_corpus(3), Burst2VecFeatureExtractor()
    assert answer_time(tiny_model(), extractor, clips) > 0
    assert answer_time(tiny_model(), extractor, clips.remove_columns("audio")) is None
    assert answer_time(tiny_model(), Burst2VecFeatureExtractor(normalise_per_speaker=True), clips) is None
    unreadable = clips.map(lambda _: {"audio": {"bytes": b"no audio", "path": None}})
    assert answer_time(tiny_model(), extractor, unreadable) is None
