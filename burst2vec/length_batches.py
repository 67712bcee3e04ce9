"""Clips into batches of about the same length, so that little is padded and memory has a bound."""

from collections.abc import Iterator, Sequence

from .waveforms import SAMPLING_RATE

SAMPLES_CPU = 30 * SAMPLING_RATE  # of a batch, with padding; on a processor eight clips of a burst's length
SAMPLES_ACCELERATOR = 300 * SAMPLING_RATE


def batches_by_length(sizes: Sequence[int], batch_size: int, device: str = "cpu") -> Iterator[list[int]]:
    """Places of clips by their lengths, the longest first, so that memory does not run out late.

    Args:
        sizes: samples of each clip, or numbers of each vector.
        batch_size: clips in a batch at most; fewer where with padding they had over 30 s, or 300 s on an accelerator,
            but always one.
        device: the type of that which the batches are for.

    >>> list(batches_by_length([3, 9, 4, 8], batch_size=3))
    [[1, 3, 2], [0]]
    >>> list(batches_by_length([400_000, 5, 300_000], batch_size=3))
    [[0], [2], [1]]
    """
    most = SAMPLES_CPU if device == "cpu" else SAMPLES_ACCELERATOR
    batch: list[int] = []
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        if batch and (len(batch) == batch_size or (len(batch) + 1) * sizes[batch[0]] > most):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
