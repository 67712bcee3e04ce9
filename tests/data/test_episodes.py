"""Episodes: every clip is a query once, beside a support of its speaker's other clips."""

from collections import Counter

import numpy as np
import pytest

from burst2vec.data.episodes import EpisodeBatchSampler
from burst2vec.errors import RunError

SITUATIONS = [
    # clips of each speaker, clips per batch, support, query, processes
    ([3, 3, 3], 6, 2, 1, 1),
    ([9, 4, 30, 5], 16, 2, 6, 1),
    ([12] * 20, 32, 2, 6, 2),
    ([40], 24, 1, 4, 3),  # one speaker, who has more parts than there are batches
    ([4, 4], 30, 3, 5, 4),  # fewer parts than processes
    ([2, 1, 7, 8], 9, 2, 3, 2),  # two speakers without an episode
]
each_situation = pytest.mark.parametrize("situation", SITUATIONS, ids=str)


def sampler_of(situation, epoch=0, **arguments):
    counts, clips_a_batch, support, query, world_size = situation
    speakers = np.repeat([f"S{number}" for number in range(len(counts))], counts)
    labelled = {"emotion": np.ones(len(speakers), bool)}
    lengths = np.random.default_rng(1).integers(400, 96_000, len(speakers))
    given = {"speakers": speakers, "support": support, "query": query, "world_size": world_size, "seed": 5}
    sampler = EpisodeBatchSampler(labelled, lengths, clips_a_batch, **{**given, **arguments}, epoch=epoch)
    return sampler, speakers


def parts_of(batch):
    """(support rows, query rows) of each speaker's part of a batch."""
    for number in sorted({draw.speaker for draw in batch}):
        own = [draw for draw in batch if draw.speaker == number]
        yield [draw.row for draw in own if draw.support], [draw.row for draw in own if not draw.support]


@each_situation
@pytest.mark.parametrize("epoch", [0, 3])
def test_support_and_query_are_of_one_speaker_and_share_no_clip(situation, epoch):
    sampler, speakers = sampler_of(situation, epoch)
    for batch in sampler:
        assert len(batch) <= sampler.clips_a_batch
        assert {draw.speaker for draw in batch} == set(range(batch[-1].speaker + 1))
        for support, query in parts_of(batch):
            assert len({speakers[row] for row in (*support, *query)}) == 1
            assert len(set(support)) == len(support) == sampler.support and not set(support) & set(query)
            assert 1 <= len(query) <= sampler.query


@each_situation
def test_in_an_epoch_every_clip_of_a_speaker_with_enough_is_a_query_once(situation):
    sampler, speakers = sampler_of(situation)
    queries = Counter(row for batch in sampler for _, query in parts_of(batch) for row in query)
    counts = Counter(speakers)
    enough = {row for row, speaker in enumerate(speakers) if counts[speaker] > sampler.support}
    assert set(queries) == enough
    repeated = situation == ([4, 4], 30, 3, 5, 4)
    assert repeated or set(queries.values()) == {1}
    assert len(list(sampler)) == len(sampler) and len(sampler) % sampler.world_size == 0
    assert (len(sampler.left_out) == 1) == (len(enough) < len(speakers))


def test_a_batch_has_different_speakers_and_batches_are_of_near_equal_size():
    sampler, speakers = sampler_of(SITUATIONS[2])
    sizes = [len(list(parts_of(batch))) for batch in sampler]
    assert max(sizes) - min(sizes) <= 1 and max(sizes) == 4
    for batch in sampler:
        names = [speakers[query[0]] for _, query in parts_of(batch)]
        assert len(set(names)) == len(names)


def test_an_epoch_depends_on_seed_and_epoch_alone():
    epochs = [list(sampler_of(SITUATIONS[1], epoch)[0]) for epoch in (0, 1, 0)]
    assert epochs[0] == epochs[2] != epochs[1]
    sampler, _ = sampler_of(SITUATIONS[1])
    list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) == epochs[1]
    assert list(sampler_of(SITUATIONS[1], seed=6)[0]) != epochs[0]


def test_a_clip_that_is_drawn_several_times_is_a_query_as_often_and_never_its_own_support():
    copies = np.ones(48, np.int64)
    copies[[0, 10]] = 7, 3
    sampler, _ = sampler_of(SITUATIONS[1], copies=copies, speeds=(0.9, 1.1))
    queries = Counter(draw.row for batch in sampler for draw in batch if not draw.support)
    assert [queries[row] for row in range(48)] == copies.tolist()
    assert all(not set(support) & set(query) for batch in sampler for support, query in parts_of(batch))
    assert {draw.speed for batch in sampler for draw in batch} == {0.9, 1.1}


def test_tasks_take_turns_and_each_draws_clips_with_its_label_alone():
    speakers = ["A"] * 8 + ["a "] * 4 + ["B"] * 6
    ages = np.arange(18) < 10
    sampler = EpisodeBatchSampler({"emotion": np.ones(18, bool), "age": ages}, [1] * 18, 6, speakers, 2, 4)
    batches = list(sampler)
    tasks = [batch[0].task for batch in batches]
    assert (tasks.count("emotion"), tasks.count("age")) == (3 + 2, 3) and tasks[:2] == ["emotion", "age"]
    assert {draw.row for batch in batches if batch[0].task == "age" for draw in batch} == set(range(10))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speakers": ["A"]}, "1 speakers for 6 clips"),
        ({"support": 0}, "episode_support must be 1 or more, got 0"),
        ({"query": 0}, "episode_query must be 1 or more, got 0"),
        ({"query": 9}, r"per_device_train_batch_size 6: an episode takes 2 support and 9 query .* give 11 or more"),
        ({"speakers": ["A", "B", "C"] * 2}, "no speaker has more than 2 labelled clips of task 'age', the most is 2"),
        ({"speakers": [None, ""] * 3}, "the most is 0, and 6 have no speaker; give a lower one, or null"),
    ],
)
def test_what_cannot_be_an_episode_is_refused(changes, message):
    arguments = {"speakers": ["A"] * 6, "support": 2, "query": 4, **changes}
    with pytest.raises(RunError, match=message):
        EpisodeBatchSampler({"age": np.ones(6, bool)}, [1] * 6, 6, **arguments)
