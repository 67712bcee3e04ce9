"""Which clips may calibrate a finished run: those that it was not trained on, and no others."""

import pytest
from datasets import Dataset, DatasetDict

from burst2vec.errors import RunError
from burst2vec.experiment.calibrating import _count_new, _trained_on


def clips(*speakers):
    return Dataset.from_dict({"file_id": [str(number) for number in range(len(speakers))], "speaker": list(speakers)})


def test_only_speakers_who_were_not_trained_on_count():
    corpus = DatasetDict({"train": clips("A", "B", ""), "validation": clips("C", " a", "C", "D", "")})
    assert _trained_on(corpus) == {"a", "b"}
    assert _count_new(corpus["validation"], _trained_on(corpus)) == (3, 2, 2)


def test_clips_that_were_trained_on_are_refused():
    with pytest.raises(RunError, match=r"the 2 validation clips are of 1 speakers whom the model was trained on"):
        _count_new(clips("A", "a"), frozenset({"a"}))
    with pytest.raises(RunError, match="none of the 1 validation clips names its speaker"):
        _count_new(clips(""), frozenset())


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_corpus_without_the_runs_splits_is_refused(split):
    corpus = {"train": clips("A"), "validation": clips("B")}
    del corpus[split]
    with pytest.raises(RunError, match=f"the corpus has no split {split}; it has"):
        _trained_on(DatasetDict(corpus))
