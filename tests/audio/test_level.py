"""The level of a clip's highest peak."""

import numpy as np
import pytest

from burst2vec.audio import normalise_level, normalise_peak
from burst2vec.errors import WaveformError

CLIP = np.array([0.1, -0.4, 0.2], dtype=np.float32)


@pytest.mark.parametrize("dbfs, peak", [(0, 1.0), (-3, 0.70795), (-20, 0.1)])
def test_the_highest_peak_stands_at_the_level(dbfs, peak):
    level = normalise_peak(CLIP, dbfs)
    assert level.dtype == np.float32
    np.testing.assert_allclose(level, CLIP / 0.4 * peak, rtol=1e-5)


def test_minus_3_db_is_the_default():
    np.testing.assert_array_equal(normalise_peak(CLIP), normalise_peak(CLIP, -3.0))


@pytest.mark.parametrize("gain", [1e-44, 1e-6, 100.0, 1e38])
def test_the_level_before_does_not_matter(gain):
    assert np.abs(normalise_peak(CLIP.astype(np.float64) * gain)).max() == pytest.approx(0.70795, rel=1e-4)


def test_a_silent_clip_stays_silent():
    silent = normalise_peak(np.zeros(400))
    assert silent.dtype == np.float32 and not silent.any()


@pytest.mark.parametrize("dbfs", [0.1, np.nan, -np.inf])
def test_a_level_above_full_scale_or_none_at_all_is_refused(dbfs):
    with pytest.raises(ValueError, match="dbfs=.*allowed: numbers up to 0"):
        normalise_peak(CLIP, dbfs)


def test_what_is_no_clip_is_refused():
    with pytest.raises(WaveformError, match="mix down first"):
        normalise_peak(np.zeros((2, 400)))


@pytest.mark.parametrize("gain", [1e-41, 1e-6, 100.0])
def test_the_rms_level_can_be_reached_from_anywhere(gain):
    level = normalise_level(np.full(400, gain, dtype=np.float32), dbfs=-20)
    assert level == pytest.approx(0.1, rel=1e-3)
