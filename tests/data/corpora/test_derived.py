"""Hard labels from soft ones: which clips have a class, and where it comes from."""

import numpy as np
import pytest
from datasets import DatasetDict

from burst2vec.data.corpora import load_bursts
from burst2vec.data.corpora.derived import derive_classes, derived_tasks, strongest
from burst2vec.data.corpora.synthetic import write_synthetic_corpus
from burst2vec.errors import CorpusError, RunError
from burst2vec.experiment.inputs import read_corpora
from burst2vec.experiment.sections import DataArguments
from burst2vec.tasks import EXVO_EMOTIONS, TASK_PRESETS, Task
from tests.training.tiny_run import tiny_corpus

NAN = float("nan")
EXVO, CLASSES = TASK_PRESETS["exvo"], TASK_PRESETS["exvo_classes"]
MOOD = Task("mood", kind="regression", labels=("Awe", "Fear", "Joy"))
MOOD_CLASS = Task("mood_class", "classification", labels=("Joy", "Fear", "Awe"), loss="cross_entropy", metric="uar")


def moods(*rows):
    corpus = tiny_corpus(len(rows), tasks=())
    return DatasetDict(train=corpus.add_column("mood", [list(row) for row in rows]))


@pytest.mark.parametrize(
    "intensities, place",
    [
        ([0.2, 0.7, 0.1], 1),
        ([1e-6, 0.0, 0.0], 0),
        ([0.7, 0.7, 0.1], -1),  # two are the strongest
        ([0.7, 0.1, 0.1], 0),  # a tie below the strongest is none
        ([0.0, 0.0, 0.0], -1),
        ([0.9, NAN, 0.1], -1),
        ([NAN, NAN, NAN], -1),
    ],
)
def test_the_class_is_the_one_strongest_label_that_was_heard(intensities, place):
    assert strongest(np.array([intensities], dtype=np.float32)).tolist() == [place]


def test_classes_go_by_name_and_holes_stay_holes():
    corpus = derive_classes(moods((0.9, 0.1, 0.0), (0.0, 0.1, 0.2), (0.5, 0.5, 0.0)), [MOOD], [MOOD_CLASS])
    assert corpus["train"]["mood_class"][:] == [2, 0, -1]
    assert corpus["train"].features["mood_class"].names == ["Joy", "Fear", "Awe"]
    assert corpus["train"]["mood"][0] == [0.9, 0.1, 0.0]


def test_a_wanted_class_may_be_one_that_the_corpus_does_not_know():
    more = Task("mood_class", "classification", ("Horror", "Awe", "Fear", "Joy"), loss="cross_entropy", metric="uar")
    assert derive_classes(moods((0.9, 0.1, 0.0)), [MOOD], [more])["train"]["mood_class"][:] == [1]


def test_a_clip_whose_strongest_label_is_no_class_is_named():
    fewer = Task("mood_class", "classification", ("Awe", "Fear"), loss="cross_entropy", metric="uar")
    with pytest.raises(CorpusError, match=r"00002: its strongest mood is 'Joy', .*'mood_class': Awe, Fear; add it"):
        derive_classes(moods((0.9, 0.1, 0.0), (0.0, 0.1, 0.2)), [MOOD], [fewer])


def test_the_same_labels_are_found_in_the_cache_again():
    corpora = [derive_classes(moods((0.9, 0.1, 0.0)), [MOOD], [MOOD_CLASS])["train"] for _ in range(2)]
    assert corpora[0]["mood_class"][:] == corpora[1]["mood_class"][:] == [2]


@pytest.mark.parametrize(
    "own",
    [
        (),
        (MOOD, MOOD_CLASS),  # the corpus has the class itself
        (Task("mood", kind="regression", labels=("mood",)),),  # one number has no strongest
        (Task("mood", "classification", ("Awe", "Fear"), loss="cross_entropy", metric="uar"),),
    ],
)
def test_nothing_is_derived_without_intensities_or_where_the_class_is_known(own):
    assert derived_tasks(own, [MOOD_CLASS]) == ()


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    place = tmp_path_factory.mktemp("derived")
    write_synthetic_corpus(place / "corpus", clips=24, speakers=12)
    return {"corpus": "hume_vb", "data_dir": str(place / "corpus")}, str(place / "cache")


def test_a_run_on_classes_reads_them_from_the_intensities(synthetic):
    described, cache = synthetic
    corpus = read_corpora(DataArguments(**described, cache_dir=cache), CLASSES)
    assert [task.name for task in CLASSES if task.name in corpus["train"].column_names] == ["emotion_class", "country"]
    plain = load_bursts(described["corpus"], described["data_dir"], cache_dir=cache)
    intensities = np.array(plain["train"]["emotion"][:])
    for place, row in zip(corpus["train"]["emotion_class"][:], intensities, strict=True):
        assert place == -1 or row[place] == row.max() > np.delete(row, place).max()
    assert max(corpus["train"]["emotion_class"][:]) >= 0
    assert corpus["train"].features["emotion_class"].names == list(EXVO_EMOTIONS)


def test_a_mixture_derives_in_each_corpus(synthetic):
    described, cache = synthetic
    mixed = read_corpora(DataArguments(mix=[described], cache_dir=cache), CLASSES)
    alone = read_corpora(DataArguments(**described, cache_dir=cache), CLASSES)
    assert mixed["train"]["emotion_class"][:] == alone["train"]["emotion_class"][:]


def test_a_class_without_intensities_is_still_refused(synthetic):
    described, cache = synthetic
    with pytest.raises(RunError, match=r"no labels for the tasks \['mood_class'\]"):
        read_corpora(DataArguments(**described, cache_dir=cache), [MOOD_CLASS])
