"""A corpus with nothing wrong, for all tests of this folder."""

import pytest

from tests.data.checking.small_splits import split, wav


@pytest.fixture(scope="module")
def sound_corpus():
    """Two splits with nothing wrong."""
    train = split({"speaker": "A"}, {"speaker": "A"}, {"speaker": "B"}, {"speaker": "B", "sound": wav(1, 3_200)})
    return {"train": train, "validation": split(*({"speaker": "C", "seed": seed} for seed in range(200, 203)))}
