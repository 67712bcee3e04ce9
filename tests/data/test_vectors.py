"""Vectors of clips: found by name, put on their speaker's scale, and dealt in batches that are what rows would give."""

import logging

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Dataset, DatasetDict, List, Value
from torch.utils.data import DataLoader

from burst2vec.data.clip_batches import VectorClips
from burst2vec.data.collating import BurstCollator
from burst2vec.data.sampling import Draw
from burst2vec.data.vectors import has_vectors, normalise_per_speaker, vectors_of, with_vectors
from burst2vec.errors import CorpusError
from burst2vec.features import FeatureTables, look_up, public_name
from burst2vec.features.extraction import vector_features
from burst2vec.tasks import resolve_tasks

TASKS = [task for task in resolve_tasks("exvo") if task.name != "emotion"]


def corpus(clips=4, **columns):
    rows = {
        "file_id": [f"{number:05}" for number in range(clips)],
        "age": [20.0 + number for number in range(clips)],
        "country": [number % 4 for number in range(clips)],
    }
    return Dataset.from_dict(rows | columns)


def vectors(clips=4, features=3):
    return np.arange(clips * features, dtype=np.float32).reshape(clips, features)


def tables(**file_ids):
    """Tables whose vectors count from 0 on, through all splits."""
    splits, start = DatasetDict(), 0
    for split, names in file_ids.items():
        values = [[start + row, -(start + row)] for row in range(len(names))]
        columns = {"file_id": names, "features": values, "note": [""] * len(names)}
        splits[split] = Dataset.from_dict(columns, features=vector_features(2))
        start += len(names)
    return FeatureTables("mine", ("up", "down"), {}, splits)


def test_spellings_of_one_speaker_share_a_scale():
    vectors = np.array([[1.0], [3.0], [5.0]], np.float32)
    assert normalise_per_speaker(vectors, ["S1", "s1 ", "S2"])[:, 0].tolist() == [-1, 1, 0]


def test_a_corpus_with_vectors_holds_them_instead_of_its_audio():
    audio = [{"bytes": b"sound", "path": None}] * 4
    joined = with_vectors(corpus(audio=audio), vectors())
    assert has_vectors(joined) and not has_vectors(corpus())
    assert "audio" not in joined.column_names and joined["age"][:] == [20.0, 21.0, 22.0, 23.0]
    assert np.array_equal(vectors_of(joined), vectors())


def test_vectors_are_not_copied_where_they_lie_in_one_piece():
    given = vectors()
    assert np.shares_memory(vectors_of(with_vectors(corpus(), given)), given)


def test_vectors_of_chosen_rows_are_theirs():
    chosen = with_vectors(corpus(), vectors()).select([3, 1])
    assert np.array_equal(vectors_of(chosen), vectors()[[3, 1]])


def test_vectors_written_as_lists_are_read_too():
    lists = corpus().add_column("vector", vectors().tolist(), feature=List(Value("float32")))
    assert np.array_equal(vectors_of(lists), vectors())


@pytest.mark.parametrize(
    "values", [[[1.0, 2.0], [3.0], [4.0, 5.0], [6.0]], [[1.0, None]] * 4, [[1.0], None, [2.0], [3.0]]]
)
def test_vectors_of_several_lengths_or_with_holes_are_refused(values):
    ragged = corpus().add_column("vector", pa.array(values, pa.list_(pa.float32())), feature=List(Value("float32")))
    with pytest.raises(ValueError, match="vector of the same length, with no value missing"):
        vectors_of(ragged)


def test_another_number_of_vectors_than_clips_is_refused():
    with pytest.raises(ValueError, match="3 vectors for 4 clips"):
        with_vectors(corpus(), vectors(3))


def test_clips_are_found_by_name_in_whatever_split_and_order():
    of_more = tables(train=["a", "b"], validation=["c", "d"], test=["e"])
    assert look_up(of_more, "validation", ["d", "a", "c"], "feats")[:, 0].tolist() == [3, 0, 2]


def test_of_two_vectors_by_one_name_the_splits_own_is_taken():
    twice = tables(validation=["a"], train=["a"], test=["a"])
    assert [look_up(twice, split, ["a"], "feats")[0, 0] for split in ("validation", "train", "test")] == [0, 1, 2]


def test_a_clip_without_a_vector_is_named_with_the_folder():
    with pytest.raises(
        CorpusError, match=r"feats/compare: holds no vector of 2 of the 3 clips of train, the first is 'x'"
    ):
        look_up(tables(train=["a"]), "train", ["a", "x", "y"], "feats/compare")


def test_a_speakers_vectors_have_mean_0_and_deviation_1():
    chance = np.random.default_rng(0)
    given = (5 + 3 * chance.standard_normal((40, 6))).astype(np.float32)
    speakers = chance.choice(["A", "B", "C"], 40)
    found = normalise_per_speaker(given, speakers)
    for speaker in "ABC":
        own = given[speakers == speaker].astype(np.float64)
        assert np.allclose(found[speakers == speaker], (own - own.mean(0)) / own.std(0), atol=1e-5)


def test_a_speaker_of_one_clip_becomes_the_average_burst_and_is_counted(caplog):
    with caplog.at_level(logging.WARNING):
        assert not normalise_per_speaker(vectors(3), ["A", "B", "C"]).any()
    assert "3 of 3 speakers have one clip" in caplog.text


def test_a_feature_that_is_constant_for_a_speaker_is_0_however_large():
    given = np.array([[0.1, 1.0], [0.1, 3.0], [7.7e8, 5.0]], np.float32)
    assert normalise_per_speaker(given, ["A", "A", "B"])[:, 0].tolist() == [0, 0, 0]


def test_a_batch_of_draws_is_what_their_rows_are():
    clips = VectorClips(with_vectors(corpus(), vectors()), TASKS)
    batch = clips.__getitems__([Draw(2, "age"), Draw(0, "age")])
    assert batch["task"] == "age" and set(batch) == {"input_values", "labels", "task"}
    assert batch["input_values"].tolist() == vectors()[[2, 0]].tolist()
    assert batch["labels"]["age"].tolist() == [[22.0], [20.0]] and batch["labels"]["country"].tolist() == [2, 0]
    assert "task" not in clips.__getitems__([Draw(1, None)])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_deals_whole_batches_with_and_without_reading_processes(workers):
    clips = VectorClips(with_vectors(corpus(), vectors()), TASKS)
    loader = DataLoader(clips, batch_size=3, collate_fn=BurstCollator(None, TASKS), num_workers=workers)
    batches = list(loader)
    assert [len(batch["input_values"]) for batch in batches] == [3, 1] and len(clips) == 4
    assert torch.equal(torch.cat([batch["input_values"] for batch in batches]), torch.from_numpy(vectors()))
    assert clips[1]["labels"]["age"].tolist() == [[21.0]]


def test_a_label_out_of_range_is_refused_before_any_batch():
    with pytest.raises(ValueError, match="00001: age of task 'age' is 99"):
        VectorClips(with_vectors(corpus(2, age=[20.0, 99.0]), vectors(2)), TASKS)


def test_a_published_name_holds_no_place(tmp_path):
    (tmp_path / "my-hubert").mkdir()
    assert public_name(f"embedding:{tmp_path}/my-hubert") == "embedding:my-hubert"
    assert public_name("deep_spectrum:/nowhere/vgg19.safetensors") == "deep_spectrum:vgg19.safetensors"
    assert public_name("embedding:microsoft/wavlm-large") == "embedding:microsoft/wavlm-large"
