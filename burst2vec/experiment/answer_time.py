"""How long a model takes to answer a clip on one core: what a leaderboard says beside its scores."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from datasets import Dataset
from threadpoolctl import threadpool_limits

from ..data.clips import read_clip

CLIPS, SECONDS = 20, 10.0  # how many are timed, and after how long no more of them are


def milliseconds_per_clip(answer: Callable[[np.ndarray], object], clips: Dataset, count: int = CLIPS) -> float | None:
    """The median time from a waveform in memory to its answer, clip by clip on one thread, in ms.

    Args:
        answer: what is called with a waveform, float32 (samples,) at 16 kHz; once more before it is timed.
        clips: of which ``count``, evenly spaced, are timed; fewer where they take more than ten seconds.
        count: None is returned where it is 0, or where there are no clips.
    """
    rows = np.linspace(0, len(clips) - 1, min(count, len(clips))).astype(int).tolist()
    waveforms = [read_clip(clips[row]["audio"], clips[row]["file_id"]) for row in rows]
    took: list[float] = []
    with one_thread():
        for place, waveform in enumerate([*waveforms[:1], *waveforms]):
            began = time.perf_counter()
            answer(waveform)
            took += [time.perf_counter() - began] if place else []
            if sum(took) > SECONDS:
                break
    return 1_000 * float(np.median(took)) if took else None


@contextmanager
def one_thread() -> Iterator[None]:
    """Everything that computes is on one thread in here: torch, and the libraries under numpy and scikit-learn."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)
