"""Laws of the batch order, over many seeds, epochs and numbers of processes."""

from collections import Counter

import numpy as np
import pytest

from burst2vec.data.sampling import (
    TaskAlternatingBatchSampler,
    cross_label_cells,
    labels_present,
    oversampled_copies,
    streams_of,
    take_turns,
)
from burst2vec.tasks import resolve_tasks

SITUATIONS = [
    (seed, world_size, clips, clips_a_batch)
    for seed, (world_size, clips, clips_a_batch) in enumerate(
        (world_size, clips, clips_a_batch)
        for world_size in (1, 2, 3, 4)
        for clips in (1, 7, 64, 501)
        for clips_a_batch in (1, 4, 32)
    )
]


def make_sampler(seed, world_size, clips, clips_a_batch, epoch=0, **arguments):
    chance = np.random.default_rng(seed)
    labelled = {
        "emotion": np.ones(clips, dtype=bool),
        "age": chance.random(clips) < 0.6,
        "country": chance.random(clips) < 0.3,
    }
    for mask in labelled.values():
        mask[0] = True
    lengths = chance.integers(400, 96_000, clips)
    sampler = TaskAlternatingBatchSampler(
        labelled, lengths, clips_a_batch, world_size=world_size, seed=seed, epoch=epoch, **arguments
    )
    return sampler, labelled, lengths


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_task_draws_each_of_its_clips_once_and_no_other(situation):
    sampler, labelled, _ = make_sampler(*situation)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for task, mask in labelled.items():
            batches = [batch for batch in sampler if batch[0].task == task]
            drawn = Counter(draw.row for batch in batches for draw in batch)
            assert set(drawn) == set(np.flatnonzero(mask))
            if mask.sum() >= len(batches):
                assert set(drawn.values()) == {1}
            else:  # fewer clips than batches: repeated, one clip per batch
                assert sum(drawn.values()) == len(batches)
                assert max(drawn.values()) - min(drawn.values()) <= 1


@pytest.mark.parametrize("situation", SITUATIONS)
def test_batches_are_of_one_task_never_empty_and_of_near_equal_size(situation):
    sampler, _, _ = make_sampler(*situation)
    sizes = {}
    for batch in sampler:
        assert len({draw.task for draw in batch}) == 1
        sizes.setdefault(batch[0].task, []).append(len(batch))
    for of_task in sizes.values():
        assert 1 <= min(of_task) and max(of_task) <= sampler.clips_a_batch
        assert max(of_task) - min(of_task) <= 1


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_processes_of_one_step_train_one_task(situation):
    sampler, _, _ = make_sampler(*situation)
    tasks = [batch[0].task for batch in sampler]
    assert len(tasks) == len(sampler) and len(tasks) % sampler.world_size == 0
    for first in range(0, len(tasks), sampler.world_size):
        assert len(set(tasks[first : first + sampler.world_size])) == 1


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_order_is_a_pure_function_of_seed_and_epoch(situation):
    sampler, _, _ = make_sampler(*situation, epoch=3)
    first = list(sampler)
    np.random.seed(0)
    assert list(sampler) == first
    assert list(make_sampler(*situation, epoch=3)[0]) == first


def test_another_seed_or_epoch_is_another_order():
    sampler, _, _ = make_sampler(0, 2, 200, 8)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    sampler.seed = 1
    assert list(sampler) != first


def test_tasks_with_equally_many_clips_simply_alternate():
    mask = np.ones(96, dtype=bool)
    sampler = TaskAlternatingBatchSampler({"a": mask, "b": mask, "c": mask}, np.full(96, 400), 8, world_size=2)
    groups = [batch[0].task for batch in sampler][::2]
    assert groups == ["a", "b", "c"] * 6


@pytest.mark.parametrize("counts", [{"a": 10, "b": 3}, {"a": 1, "b": 50, "c": 7}, {"a": 5}, {"a": 2, "b": 2, "c": 9}])
def test_no_task_runs_ahead_of_its_fraction(counts):
    turns, total = take_turns(counts), sum(counts.values())
    assert Counter(turns) == counts
    for position in range(total + 1):
        for task, count in counts.items():
            assert abs(turns[:position].count(task) - position * count / total) <= len(counts)


def padding_ratio(batches, lengths):
    padded = sum(len(rows) * max(lengths[row] for row in rows) for rows in batches)
    return 1 - sum(lengths[row] for rows in batches for row in rows) / padded


def test_clips_of_like_length_share_a_batch():
    sampler, labelled, lengths = make_sampler(0, 2, 501, 16)
    grouped = [[draw.row for draw in batch] for batch in sampler]
    shuffled = np.random.default_rng(0).permutation(501)
    at_random = [shuffled[first : first + 16] for first in range(0, 501, 16)]
    assert padding_ratio(grouped, lengths) < 0.25 < 0.4 < padding_ratio(at_random, lengths)


def test_the_longest_clip_comes_in_the_first_group():
    sampler, _, lengths = make_sampler(3, 2, 501, 8)
    first_group = [draw.row for batch in list(sampler)[:2] for draw in batch]
    assert int(np.argmax(lengths)) in first_group


def test_the_order_of_batches_is_not_the_order_of_lengths():
    sampler, _, lengths = make_sampler(4, 1, 501, 8)
    means = [np.mean([lengths[draw.row] for draw in batch]) for batch in sampler if batch[0].task == "emotion"]
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.4


def test_a_clip_of_three_copies_is_drawn_three_times():
    copies = np.ones(64, dtype=int)
    copies[5] = 3
    sampler, _, _ = make_sampler(1, 2, 64, 4, copies=copies)
    drawn = Counter(draw.row for batch in sampler for draw in batch if draw.task == "emotion")
    assert drawn[5] == 3 and drawn[6] == 1 and sum(drawn.values()) == 66


def test_copies_of_a_clip_seldom_share_a_batch():
    copies = np.ones(500, dtype=int)
    copies[:50] = 3
    sampler, _, _ = make_sampler(1, 1, 500, 8, copies=copies)
    batches = [batch for batch in sampler if batch[0].task == "emotion"]
    together = sum(len(batch) - len({draw.row for draw in batch}) for batch in batches)
    assert together <= 30  # of 100 extra draws; all of them, were copies sorted side by side


def test_the_joint_schedule_is_one_stream_of_clips_with_any_label():
    labelled = {"emotion": np.array([True, False, False, True]), "age": np.array([False, True, False, True])}
    streams = streams_of(labelled, "joint")
    batches = list(TaskAlternatingBatchSampler(streams, [400] * 4, clips_a_batch=2))
    assert sorted(draw.row for batch in batches for draw in batch) == [0, 1, 3]
    assert {draw.task for batch in batches for draw in batch} == {None}


def test_speeds_are_drawn_alike_and_again_in_a_resumed_epoch_and_change_no_batch():
    sampler, _, _ = make_sampler(2, 1, 900, 8, speeds=(0.9, 1.0, 1.1))
    plain, _, _ = make_sampler(2, 1, 900, 8)
    first, again = list(sampler), list(sampler)
    assert first == again
    assert [[draw.row for draw in batch] for batch in first] == [[draw.row for draw in batch] for batch in plain]
    counts = Counter(draw.speed for batch in first for draw in batch)
    assert set(counts) == {0.9, 1.0, 1.1}
    assert min(counts.values()) > 0.28 * counts.total()
    sampler.set_epoch(1)
    other = {draw.row: draw.speed for batch in sampler for draw in batch if draw.task == "emotion"}
    before = {draw.row: draw.speed for batch in first for draw in batch if draw.task == "emotion"}
    assert sum(other[row] != before[row] for row in before) > 400  # a clip's speed changes from epoch to epoch


def test_places_of_crops_are_drawn_evenly_and_again_in_a_resumed_epoch():
    sampler, _, _ = make_sampler(2, 1, 900, 8)
    places = [draw.place for batch in sampler for draw in batch]
    assert places == [draw.place for batch in sampler for draw in batch]
    assert np.allclose(np.quantile(places, [0.0, 0.25, 0.5, 0.75, 1.0]), [0.0, 0.25, 0.5, 0.75, 1.0], atol=0.05)
    sampler.set_epoch(1)
    assert places != [draw.place for batch in sampler for draw in batch]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"speeds": (0.0, 1.0)}, r"speeds must be one or more numbers above 0, got \[0.0, 1.0\]"),
        ({"speeds": ()}, "speeds must be one or more numbers above 0"),
        ({"labelled": {"age": np.zeros(3, dtype=bool)}}, "task 'age': no clip has its label"),
        ({"labelled": {"age": np.ones(2, dtype=bool)}}, "task 'age': 2 labels for 3 clips"),
        ({"clips_a_batch": 0}, "clips_a_batch must be 1 or more, got 0"),
        ({"world_size": 0}, "world_size must be 1 or more, got 0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"copies": [1, 0, 1]}, "copies must be 1 or more for each of the 3 clips"),
    ],
)
def test_what_cannot_be_sampled_is_refused(arguments, message):
    valid = {"labelled": {"age": np.ones(3, dtype=bool)}, "lengths": [400] * 3, "clips_a_batch": 2}
    with pytest.raises(ValueError, match=message):
        TaskAlternatingBatchSampler(**{**valid, **arguments})


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match=r"'random' is not one of \['alternate', 'joint'\]"):
        streams_of({}, "random")


def test_cells_cross_country_age_band_and_strongest_emotion():
    emotion = np.zeros((3, 10), dtype=np.float32)
    emotion[0, 4], emotion[1, 9] = 1.0, 0.5
    emotion[2] = np.nan
    labels = {"emotion": emotion, "age": np.array([[24.8], [39.5], [np.nan]]), "country": np.array([2, -1, 0])}
    tasks = resolve_tasks([{"preset": "exvo", "name": name, **more} for name, more in NARROW.items()])
    assert cross_label_cells(tasks, labels) == [(4, 0, 2), (9, 3, -1), (-1, -1, 0)]  # of bands 4.875 years wide


NARROW = {"emotion": {}, "age": {"span": (20, 39.5)}, "country": {}}


def test_a_partly_labelled_clip_has_a_label():
    assert labels_present(np.array([[np.nan, 1.0], [np.nan, np.nan]])).tolist() == [True, False]
    assert labels_present(np.array([0, -1, 3])).tolist() == [True, False, True]


def test_random_draws_balance_the_cells_and_leave_nothing_out():
    cells = ["common"] * 90 + ["rare"] * 9 + ["lonely"]
    copies = oversampled_copies(cells, strength=1.0, seed=0)
    assert [copies[part].sum() for part in (slice(0, 90), slice(90, 99), slice(99, 100))] == [90, 90, 90]
    assert (copies[:90] == 1).all() and copies.min() == 1
    assert len(set(copies[90:99].tolist())) > 1  # random draws, not nine times each of nine
    assert (oversampled_copies(cells, strength=1.0, seed=0) == copies).all()
    assert (oversampled_copies(cells, strength=1.0, seed=1) != copies).any()


def test_the_strength_of_oversampling_goes_from_nothing_to_balance():
    cells = ["common"] * 64 + ["rare"] * 4
    sizes = [oversampled_copies(cells, strength, seed=3)[64:].sum() for strength in (0.0, 0.25, 0.5, 1.0)]
    assert sizes == [4, 8, 16, 64]  # 4 · 16^strength
    assert not len(oversampled_copies([], 1.0, seed=0))
    with pytest.raises(ValueError, match="strength must be in 0..1, got 1.5"):
        oversampled_copies(cells, strength=1.5, seed=0)


def test_countries_as_uneven_as_hume_vbs_are_balanced_across_ages_too():
    """The speakers of Table 1 by country, and the old ones all from one of them, as the paper's Figure 1 has it."""
    countries = np.repeat(range(4), (79, 244, 206, 42))
    ages = np.where(countries == 2, np.arange(571) % 4, np.arange(571) % 2)
    cells = list(zip(countries.tolist(), ages.tolist(), strict=True))
    copies = oversampled_copies(cells, strength=1.0, seed=0)
    drawn = Counter(dict.fromkeys(cells, 0))
    for cell, often in zip(cells, copies.tolist(), strict=True):
        drawn[cell] += often
    assert len(drawn) == 10 and set(drawn.values()) == {122}
