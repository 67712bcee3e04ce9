"""Speed perturbation."""

import numpy as np
import pytest

from burst2vec.audio import change_speed
from burst2vec.errors import WaveformError


def tone(frequency, samples=16_000):
    return np.sin(2 * np.pi * frequency * np.arange(samples) / 16_000).astype(np.float32)


@pytest.mark.parametrize("factor", [0.5, 0.9, 0.937, 1.1, 1.5, 2])
def test_tempo_and_pitch_change_together(factor):
    changed = change_speed(tone(440), factor)
    assert changed.dtype == np.float32
    assert abs(changed.size - 16_000 / factor) <= 1
    middle = slice(1_000, changed.size - 1_000)
    np.testing.assert_allclose(changed[middle], tone(440 * factor, changed.size)[middle], atol=1e-4)


def test_factor_1_changes_nothing():
    np.testing.assert_array_equal(change_speed(tone(440), 1.0), tone(440))


def test_there_and_back_again_is_where_one_was():
    back = change_speed(change_speed(tone(440), 1.25), 0.8)
    np.testing.assert_allclose(back[1_000:-1_000], tone(440)[1_000:-1_000], atol=1e-4)


@pytest.mark.parametrize("samples, factor, after", [(400, 1.1, 400), (439, 1.1, 439), (440, 1.1, 400), (400, 0.5, 800)])
def test_a_clip_that_would_end_too_short_for_a_model_comes_back_unchanged(samples, factor, after):
    assert change_speed(tone(440, samples), factor).size == after


def test_a_clip_that_would_end_too_long_for_a_model_comes_back_unchanged():
    minute = np.zeros(60 * 16_000, dtype=np.float32)
    assert change_speed(minute, 0.9).size == minute.size
    assert change_speed(minute, 2.0).size == minute.size // 2


def test_silence_stays_silence():
    assert not change_speed(np.zeros(4_000), 1.1).any()


@pytest.mark.parametrize("factor", [0.0, -1.0, 0.49, 2.01, np.nan])
def test_a_factor_beyond_an_octave_is_refused(factor):
    with pytest.raises(ValueError, match="factor=.*allowed: 0.5 to 2.0"):
        change_speed(tone(440), factor)


def test_what_is_no_clip_is_refused():
    with pytest.raises(WaveformError, match="sample 1 is nan"):
        change_speed(np.array([0.0, np.nan]), 1.1)
