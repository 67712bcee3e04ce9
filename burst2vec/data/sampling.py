"""Which clips make a batch, and in which order: one task a batch, tasks in turns, clips of like length together.

An epoch is a pure function of (seed, epoch): a run that was killed and resumed draws the same batches, on any number of
reading processes. Nothing here touches audio or torch's random state.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from ..errors import RunError
from ..tasks import Task

MEGA_BATCH_GROUPS = 50  # groups sorted by length together; transformers' length-grouped sampler takes the same number
LENGTH_JITTER = 0.1  # share by which lengths are blurred before sorting, so that copies of a clip seldom share a batch


class Draw(NamedTuple):
    """One clip of a batch.

    Attributes:
        row: of the corpus.
        task: that the batch trains; None: all of them.
        speed: how fast the clip is played.
        place: of a crop, 0 at the clip's start to 1 at its end, 1 itself excluded.
        speaker: of an episode, a number within the batch; None: the batch is no episode.
        support: of an episode, whether the clip is one of those by which its speaker is known.
    """

    row: int
    task: str | None
    speed: float = 1.0
    place: float = 0.0
    speaker: int | None = None
    support: bool = False


class TaskAlternatingBatchSampler(Sampler):
    """Batches of one task each, the tasks in turns (Burst2Vec, Appendix C), for one or several processes.

    In an epoch every task draws each clip that has its label exactly once (``copies`` times, if given), and no other.
    With ``world_size`` processes, batches come in groups of so many consecutive ones of one task, because accelerate
    deals consecutive batches to the processes: in one step all of them train the same task.

    A task's clips are spread over the fewest batches that hold them, so the sizes of its batches differ by one at most:
    no remainder of one or two clips, for which a concordance means nothing. Groups of different tasks alternate as
    evenly as their numbers allow. Within a group clips are of like length, so little is padding; each task's longest
    clip is in its first group, so memory that is too small shows at once.

    A task with fewer clips than a group needs batches (fewer than ``world_size``, usually) repeats some, since a
    process without a batch would stop the others.

    Args:
        labelled: for each task the clips that have its label, boolean (clips,). ``{None: …}`` is the joint schedule:
            one stream of clips for all tasks at once. See :func:`streams_of`.
        lengths: samples of each clip, (clips,).
        clips_a_batch: the most clips of a batch, on one process.
        world_size: processes that share the batches.
        seed, epoch: all that the order depends on; :meth:`set_epoch` moves on.
        copies: how often each clip is drawn in an epoch, (clips,), 1 or more; default once. See
            :func:`oversampled_copies`.
        speeds: factors of which each draw gets one, uniformly at random: speed perturbation (Ko et al. 2015 take 0.9,
            1.0 and 1.1). The chance is of (seed, epoch) too, so a resumed run draws the same.

    Raises:
        RunError: arrays of different lengths, a task without any labelled clip, or a number out of range.

    >>> both = np.array([True, True, True])
    >>> sampler = TaskAlternatingBatchSampler({"emotion": both, "age": both}, lengths=[9, 8, 7], clips_a_batch=2)
    >>> [batch[0].task for batch in sampler], len(sampler)
    (['emotion', 'age', 'emotion', 'age'], 4)
    """

    batch_size = None  # with a number here accelerate would lose the batches that are smaller
    drop_last = False

    def __init__(self, labelled, lengths, clips_a_batch, world_size=1, seed=0, epoch=0, copies=None, speeds=(1.0,)):
        self.lengths = np.asarray(lengths, dtype=np.float64)
        self.copies = np.ones(len(self.lengths), dtype=np.int64) if copies is None else np.asarray(copies)
        self.clips_a_batch, self.world_size, self.seed, self.epoch = clips_a_batch, world_size, seed, epoch
        for name, value, least in (
            ("clips_a_batch", clips_a_batch, 1),
            ("world_size", world_size, 1),
            ("seed", seed, 0),
        ):
            if value < least:
                raise RunError(f"{name} must be {least} or more, got {value}")
        self.speeds = np.asarray(speeds, dtype=np.float64)
        if not len(self.speeds) or not (self.speeds > 0).all():
            raise RunError(f"speeds must be one or more numbers above 0, got {list(speeds)}")
        if len(self.copies) != len(self.lengths) or (self.copies < 1).any():
            raise RunError(f"copies must be 1 or more for each of the {len(self.lengths)} clips")
        self.rows = {}  # task → the rows it draws, each as often as it is drawn
        for task, mask in labelled.items():
            if len(mask) != len(self.lengths):
                raise RunError(f"task {task!r}: {len(mask)} labels for {len(self.lengths)} clips")
            if not np.any(mask):
                raise RunError(f"task {task!r}: no clip has its label; leave the task out, or label clips")
            members = np.flatnonzero(mask)
            self.rows[task] = np.repeat(members, self.copies[members])

    def set_epoch(self, epoch: int) -> None:
        """Draw the batches of this epoch from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches of an epoch, over all processes; a multiple of ``world_size``."""
        return self.world_size * sum(map(self._groups, self.rows))

    def __iter__(self) -> Iterator[list[Draw]]:
        streams = {
            task: self._batches_of(task, np.random.default_rng((self.seed, self.epoch, place)))
            for place, task in enumerate(self.rows)
        }
        for task in take_turns({task: self._groups(task) for task in self.rows}):
            for _ in range(self.world_size):
                yield next(streams[task])

    def _groups(self, task: str | None) -> int:
        """Batches of a task in an epoch, of one process."""
        return -(-len(self.rows[task]) // (self.clips_a_batch * self.world_size))

    def _draws(self, task: str | None, rows: Sequence[int], chance: np.random.Generator) -> list[Draw]:
        """Draws of some rows, at random speeds and places."""
        speeds, places = chance.choice(self.speeds, len(rows)), chance.random(len(rows))
        return [
            Draw(int(row), task, float(speed), float(place))
            for row, speed, place in zip(rows, speeds, places, strict=True)
        ]

    def _batches_of(self, task: str | None, chance: np.random.Generator) -> Iterator[list[Draw]]:
        """One task's batches: its rows shuffled, sorted by length in mega-batches, cut, and the batches shuffled."""
        count = self.world_size * self._groups(task)
        rows = chance.permutation(self.rows[task])
        rows = np.resize(rows, max(count, len(rows)))  # repeats clips only where there are fewer than batches
        blurred = self.lengths[rows] * chance.uniform(1 - LENGTH_JITTER, 1 + LENGTH_JITTER, len(rows))
        batches = np.array_split(np.arange(len(rows)), count)  # places, not rows
        groups = []
        for start in range(0, count, MEGA_BATCH_GROUPS * self.world_size):
            sizes = [len(batch) for batch in batches[start : start + MEGA_BATCH_GROUPS * self.world_size]]
            places = np.concatenate(batches[start : start + MEGA_BATCH_GROUPS * self.world_size])
            places = places[np.argsort(-blurred[places], kind="stable")]
            cut = [rows[batch] for batch in np.split(places, np.cumsum(sizes)[:-1])]
            groups += [cut[first : first + self.world_size] for first in range(0, len(cut), self.world_size)]
        groups = [groups[place] for place in chance.permutation(len(groups))]
        longest = max(range(len(groups)), key=lambda place: max(self.lengths[batch].max() for batch in groups[place]))
        groups[0], groups[longest] = groups[longest], groups[0]
        return (self._draws(task, batch, chance) for group in groups for batch in group)


def take_turns(counts: dict[Hashable, int]) -> list:
    """Each key as often as its count, spread as evenly as can be; equal counts simply alternate.

    Occurrence ``i`` of ``n`` is due at the time (i + 1/2) / n of the epoch.

    >>> take_turns({"emotion": 4, "age": 2})
    ['emotion', 'age', 'emotion', 'emotion', 'age', 'emotion']
    """
    due = [((i + 0.5) / count, place, key) for place, (key, count) in enumerate(counts.items()) for i in range(count)]
    return [key for _, _, key in sorted(due, key=lambda entry: entry[:2])]


def streams_of(labelled: dict[str, np.ndarray], schedule: str) -> dict[str | None, np.ndarray]:
    """What the sampler draws from: a stream for each task, or one for all.

    Args:
        labelled: for each task the clips that have its label, boolean (clips,).
        schedule: ``"alternate"`` keeps the tasks apart; ``"joint"`` joins them into ``{None: clips with any label}``.

    Raises:
        RunError: another schedule.
    """
    if schedule == "alternate":
        return dict(labelled)
    if schedule == "joint":
        return {None: np.any(list(labelled.values()), axis=0)}
    raise RunError(f"task_schedule {schedule!r} is not one of ['alternate', 'joint']")


def labels_present(labels: np.ndarray) -> np.ndarray:
    """Boolean (clips,): which clips have a label, of regressions (clips, labels) or classes (clips,)."""
    return labels >= 0 if labels.ndim == 1 else ~np.isnan(labels).all(axis=1)


def cross_label_cells(tasks: Sequence[Task], labels: dict[str, np.ndarray], bands: int = 4) -> list[tuple]:
    """The cell of each clip in the cross of all labels: for ExVo, country × age band × strongest emotion.

    Args:
        tasks: the task set.
        labels: for each task, classes (clips,) or values (clips, labels) in the task's unit.
        bands: bands that the span of a single number is cut into: 4 make about five years each of HUME-VB's 20 to
            39.5. Our choice: Burst2Vec does not print its bands.

    Returns:
        One tuple per clip, with an entry for each task: the class, the band, or the label of greatest intensity; -1
        where the label is missing.
    """
    columns = []
    for task in tasks:
        values = labels[task.name]
        if task.kind == "classification":
            columns.append(values)
            continue
        present = labels_present(values)
        values = np.nan_to_num(values, nan=-np.inf)
        if len(task.labels) == 1:
            band = np.floor(task.from_unit(np.where(present, values[:, 0], task.span[0])) * bands)
            cell = np.clip(band, 0, bands - 1).astype(int)
        else:
            cell = values.argmax(axis=1)
        columns.append(np.where(present, cell, -1))
    return [tuple(int(entry) for entry in cell) for cell in zip(*columns, strict=True)]


def oversampled_copies(cells: Sequence[Hashable], strength: float, seed: int) -> np.ndarray:
    """How often to draw each clip in an epoch, so that rare cells come up as often as the commonest.

    Burst2Vec, sections 4.1 and 5: clips of the minority are sampled at random, several times if need be, until the
    distribution over the labels of all tasks is balanced. The paper prints no formula. Ours: a cell of n clips, where
    the largest has N, is filled up to n^(1 − strength) · N^strength by random draws of its own clips, with replacement;
    each clip is drawn once at least, so nothing is left out.

    Args:
        cells: the cell of each clip, anything hashable; see :func:`cross_label_cells`.
        strength: 0..1: 0 draws each clip once, 1 makes all cells as large as the largest, 0.5 is half way between,
            on the scale of ratios.
        seed: of the draws; the same clips, strength and seed give the same.

    Returns:
        int64, (clips,), 1 or more.

    Raises:
        RunError: a strength out of its range.

    Five clips of one cell and one of another, which is drawn five times too:

    >>> oversampled_copies(["a", "a", "a", "a", "a", "b"], strength=1.0, seed=0).tolist()
    [1, 1, 1, 1, 1, 5]
    """
    if not 0 <= strength <= 1:
        raise RunError(f"strength must be in 0..1, got {strength}")
    rows_of: dict[Hashable, list[int]] = {}
    for row, cell in enumerate(cells):
        rows_of.setdefault(cell, []).append(row)
    largest = max(map(len, rows_of.values()), default=0)
    copies = np.ones(len(cells), dtype=np.int64)
    chance = np.random.default_rng(seed)
    for rows in rows_of.values():
        wanted = round(len(rows) ** (1 - strength) * largest**strength)
        np.add.at(copies, chance.choice(rows, wanted - len(rows)), 1)
    return copies
