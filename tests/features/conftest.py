"""A feature set that counts what it computes, for all tests of this folder."""

import numpy as np
import pytest

from burst2vec.features import FEATURE_SETS, FeatureSet, extraction
from burst2vec.features import vector_tables as tables


@pytest.fixture
def counted(monkeypatch):
    """A small feature set, computed in this process, and how often a clip was; a third file is one clip."""
    lengths = []

    def vector(waveform):
        lengths.append(waveform.size)
        return np.array([waveform.size, waveform.max()], np.float32), ""

    made = FeatureSet(2, vector, lambda: ("samples", "peak"), lambda: {"version": 1})
    monkeypatch.setitem(FEATURE_SETS, "counted", made)
    monkeypatch.setattr(tables, "CLIPS_PER_FILE", 2)
    # Of processes that are forked, what they append stays there.
    monkeypatch.setattr(extraction, "_processes", lambda num_proc, clips: None)
    return lengths
