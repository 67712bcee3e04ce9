"""Clips into batches of about the same length, so that little is padded and memory has a bound."""

from collections.abc import Iterator, Sequence

from ..waveforms import SAMPLING_RATE

SAMPLES_IN_A_BATCH = 60 * SAMPLING_RATE  # with padding: attention grows with the square of a clip's length


def batches_by_length(sizes: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Places of clips by their lengths, the longest first, so that memory does not run out late.

    Args:
        sizes: samples of each clip, or numbers of each vector.
        batch_size: clips in a batch at most; fewer where with padding they had over a minute, but always one.

    >>> list(batches_by_length([3, 9, 4, 8], batch_size=3))
    [[1, 3, 2], [0]]
    >>> list(batches_by_length([700_000, 5, 600_000], batch_size=3))
    [[0], [2], [1]]
    """
    batch: list[int] = []
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        if batch and (len(batch) == batch_size or (len(batch) + 1) * sizes[batch[0]] > SAMPLES_IN_A_BATCH):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
