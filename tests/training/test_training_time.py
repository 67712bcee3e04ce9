"""How long a training took is counted over all its sittings."""

from types import SimpleNamespace

import pytest

from burst2vec.training import training_time
from burst2vec.training.training_time import TrainingTime


def at(step):
    return SimpleNamespace(global_step=step)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(training_time.time, "monotonic", lambda: now.seconds)
    return now


def sitting(counted, clock, begin, end, seconds):
    counted.on_train_begin(None, at(begin), None)
    clock.seconds += seconds
    counted.on_step_end(None, at(end), None)


def test_the_seconds_of_a_resumed_run_are_those_up_to_its_checkpoint_and_those_since(clock):
    first = TrainingTime()
    assert first.seconds is None
    sitting(first, clock, 0, 3, 10.0)
    saved = first.state()
    clock.seconds += 50.0  # lost with the kill
    again = TrainingTime.from_state(saved)
    sitting(again, clock, 3, 6, 7.0)
    again.on_train_end(None, at(6), None)
    clock.seconds += 1000.0  # of what comes after training
    assert again.seconds == 17.0


def test_of_a_run_whose_checkpoint_did_not_count_nothing_is_said(clock):
    counted = TrainingTime()
    sitting(counted, clock, 3, 6, 7.0)
    assert counted.seconds is None
    assert TrainingTime.from_state(counted.state()).seconds is None
