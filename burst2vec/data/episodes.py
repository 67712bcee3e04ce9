"""Batches of several speakers with support and query clips each, as a model meets a new speaker after training.

The model learns through the closed form of ``burst2vec.bias_and_scale``, and not through steps of tuning as MAML does
(Finn et al., 2017): it is what ``burst2vec.personalise`` and the pipeline do with a new speaker by default, it takes
one forward and one backward pass, and its gradient is exact. Bertinetto et al. (2019) learn through closed forms so.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import RunError
from .corpora.splits import speaker_key
from .sampling import Draw, TaskAlternatingBatchSampler


class EpisodeBatchSampler(TaskAlternatingBatchSampler):
    """Batches of one task each as [`TaskAlternatingBatchSampler`]'s, which are episodes: every speaker in a batch has
    ``support`` clips, and up to ``query`` others to be scored on.

    In an epoch every clip with the task's label is a query clip exactly once (``copies`` times, if given), in a part of
    its speaker's clips that is cut at random; the support is drawn at random from the speaker's other clips, so it is
    never in its own query. A batch has ``clips_a_batch // (support + query)`` such parts, of different speakers
    wherever a speaker has no more parts than there are batches. Batches are not sorted by length: the clips of a
    speaker belong together, however long they are.

    A speaker with ``support`` labelled clips or fewer has none left to be scored on, and is never drawn for the task,
    and neither is a clip without a speaker.

    Args:
        labelled, lengths, clips_a_batch, kwargs: as [`TaskAlternatingBatchSampler`] has them.
        speakers: of each clip, (clips,); spellings of one name are one speaker; None or "" where unknown.
        support: clips by which a speaker is known, 1 or more.
        query: clips of a part at most, 1 or more.

    Attributes:
        left_out: for each task of which clips are never drawn, a line that counts them.

    Raises:
        RunError: as there; fewer clips in a batch than one speaker needs, or a task without any speaker left.

    >>> sampler = EpisodeBatchSampler({None: np.ones(6, bool)}, [400] * 6, 8, ["A"] * 3 + ["B"] * 3, 2, 2)
    >>> [[(draw.speaker, draw.support) for draw in batch[:3]] for batch in sampler][0]
    [(0, True), (0, True), (0, False)]
    """

    def __init__(
        self, labelled, lengths, clips_a_batch, speakers: Sequence[str | None], support: int, query: int, **kwargs
    ):
        super().__init__(labelled, lengths, clips_a_batch, **kwargs)
        if len(speakers) != len(self.lengths):
            raise RunError(f"{len(speakers)} speakers for {len(self.lengths)} clips")
        for name, value in (("episode_support", support), ("episode_query", query)):
            if value < 1:
                raise RunError(f"{name} must be 1 or more, got {value}")
        if clips_a_batch < support + query:
            raise RunError(
                f"per_device_train_batch_size {clips_a_batch}: an episode takes {support} support and {query} query "
                f"clips of each speaker; give {support + query} or more, or lower episode_query"
            )
        self.support, self.query, self.speakers_a_batch = support, query, clips_a_batch // (support + query)
        self.left_out: list[str] = []
        keys = np.array([speaker_key(str(speaker or "")) for speaker in speakers], dtype=object)
        self.speakers = {task: self._speakers_of(task, rows, keys[rows]) for task, rows in self.rows.items()}

    def _speakers_of(self, task: str | None, rows: np.ndarray, keys: np.ndarray) -> list[np.ndarray]:
        """The rows of each speaker that has an episode, in order of first appearance."""
        of_speaker: dict[str, list[int]] = {}
        for row, key in zip(rows, keys, strict=True):
            of_speaker.setdefault(key, []).append(row)
        of_task = "" if task is None else f" of task {task!r}"
        unknown = len(set(of_speaker.pop("", ())))
        kept = [np.array(own) for own in of_speaker.values() if len(set(own)) > self.support]
        if not kept:
            most = max((len(set(own)) for own in of_speaker.values()), default=0)
            raise RunError(
                f"episode_support {self.support}: no speaker has more than {self.support} labelled clips{of_task}, the "
                f"most is {most}, and {unknown:,} have no speaker; give a lower one, or null for ordinary batches"
            )
        if unknown or len(kept) < len(of_speaker):
            self.left_out.append(
                f"episodes{of_task} leave out {len(of_speaker) - len(kept):,} of {len(of_speaker):,} speakers, who "
                f"have {self.support} clips or fewer, and {unknown:,} clips without a speaker"
            )
        return kept

    def _parts(self, own: np.ndarray) -> int:
        """Into how many parts a speaker's rows are cut, so that each leaves enough clips for the support."""
        most = min(self.query, len(np.unique(own)) - self.support)
        return -(-len(own) // most)

    def _groups(self, task: str | None) -> int:
        parts = sum(map(self._parts, self.speakers[task]))
        return -(-parts // (self.speakers_a_batch * self.world_size))

    def _batches_of(self, task: str | None, chance: np.random.Generator) -> Iterator[list[Draw]]:
        """One task's episodes: each speaker's parts go to the batches that have the fewest, at random among these."""
        batches: list[list[tuple]] = [[] for _ in range(self.world_size * self._groups(task))]
        speakers = self.speakers[task]
        parts = [self._cut(speakers[place], chance) for place in chance.permutation(len(speakers))]
        every = [part for of_speaker in parts for part in of_speaker]
        if len(every) < len(batches):  # repeats clips only where there are fewer parts than processes
            parts = [[every[place % len(every)]] for place in range(len(batches))]
        for of_speaker in parts:
            for first in range(0, len(of_speaker), len(batches)):
                fewest = np.lexsort((chance.random(len(batches)), list(map(len, batches))))
                for batch, part in zip(fewest, of_speaker[first : first + len(batches)], strict=False):
                    batches[batch].append(part)
        groups = [batches[first : first + self.world_size] for first in range(0, len(batches), self.world_size)]
        largest = max(range(len(groups)), key=lambda place: max(map(self._padded_samples, groups[place])))
        groups[0], groups[largest] = groups[largest], groups[0]
        return (self._episode(task, batch, chance) for group in groups for batch in group)

    def _cut(self, own: np.ndarray, chance: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        """A speaker's parts: the rows of support and query of each."""
        queries = np.array_split(chance.permutation(own), self._parts(own))
        return [(chance.choice(np.setdiff1d(own, query), self.support, replace=False), query) for query in queries]

    def _padded_samples(self, batch: list[tuple]) -> float:
        rows = np.concatenate([rows for part in batch for rows in part])
        return len(rows) * self.lengths[rows].max()

    def _episode(self, task: str | None, batch: list[tuple], chance: np.random.Generator) -> list[Draw]:
        return [
            draw._replace(speaker=number, support=is_support)
            for number, part in enumerate(batch)
            for rows, is_support in zip(part, (True, False), strict=True)
            for draw in self._draws(task, rows, chance)
        ]
