"""Scores by speaker: the sums give the scores that burst2vec.scoring gives, and the interval is of speakers."""

import numpy as np
import pytest

from burst2vec.scoring import score_tasks
from burst2vec.scoring.by_speaker import bootstrap_interval, score_of, speaker_sums
from burst2vec.tasks import AGE, TASK_PRESETS

EMOTION, CATEGORY = TASK_PRESETS["emogator"]


def clips_of(task, clips=60, seed=0):
    rng = np.random.default_rng(seed)
    speakers = rng.choice(["A", "B", "C", "D"], clips)
    if task.kind == "classification":
        predictions = rng.dirichlet(np.ones(len(task.labels)), clips)
        return predictions, np.where(rng.random(clips) < 0.1, -1, rng.integers(0, 4, clips)), speakers
    low, high = task.span
    predictions, labels = rng.uniform(low, high, (2, clips, len(task.labels)))
    labels[rng.random(labels.shape) < 0.1] = np.nan
    return predictions, labels, speakers


@pytest.mark.parametrize("task", [EMOTION, CATEGORY, AGE], ids=lambda task: task.metric)
def test_added_sums_give_the_tasks_score_of_all_and_of_each_speaker(task):
    predictions, labels, speakers = clips_of(task)
    sums = speaker_sums(task, predictions, labels, speakers)
    whole = score_tasks([task], {task.name: predictions}, {task.name: labels})[task.score_name]
    assert score_of(sums.sums.sum(axis=0), sums.metric) == pytest.approx(whole, abs=1e-12)
    for place, speaker in enumerate(sums.speakers):
        of_one = speakers == speaker
        alone = score_tasks([task], {task.name: predictions[of_one]}, {task.name: labels[of_one]})[task.score_name]
        assert score_of(sums.sums[place], sums.metric) == pytest.approx(alone, abs=1e-12)


def test_the_interval_is_of_speakers_drawn_again_whatever_their_clips():
    """Of two speakers, one always right and one never, with C(2, k)/4: the draws are 0, .5 and 1."""
    predictions = np.eye(30)[[0] * 40]
    labels = np.array([0] * 20 + [1] * 20)
    sums = speaker_sums(CATEGORY, predictions, labels, ["A"] * 20 + ["B"] * 20)
    assert bootstrap_interval(sums) == (0.0, 1.0)
    many = speaker_sums(CATEGORY, predictions, labels, [str(place) for place in range(40)])
    low, high = bootstrap_interval(many)
    assert low == high == 0.5
    with pytest.raises(ValueError, match="1 speaker"):
        bootstrap_interval(speaker_sums(CATEGORY, predictions, labels, ["A"] * 40))


def test_a_speaker_without_labels_counts_for_nothing():
    predictions, labels, speakers = clips_of(CATEGORY)
    labels[speakers == "B"] = -1
    sums = speaker_sums(CATEGORY, predictions, labels, speakers)
    assert sums.speakers == ["A", "C", "D"] and sums.clips.sum() == (labels >= 0).sum()
