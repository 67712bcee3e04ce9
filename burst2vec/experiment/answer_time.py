"""How long a model takes to answer a clip on one core: what a leaderboard says beside its scores."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from datasets import Dataset
from threadpoolctl import threadpool_limits

from ..data.clips import read_clip
from ..errors import Burst2VecError
from ..features import fitted_file
from ..pipeline_burst2vec import Burst2VecPipeline

CLIPS, SECONDS = 20, 10.0  # how many are timed, and after how long no more of them are


def answer_time(model, extractor, clips: Dataset) -> float | None:
    """Milliseconds per clip of a model behind its pipeline, on the CPU.

    Args:
        model: a ``Burst2VecForMultiTask``; it is in evaluation afterwards.
        extractor: its ``Burst2VecFeatureExtractor``.
        clips: with ``file_id`` and ``audio``, as they were read.

    Returns:
        None where a clip alone has no answer, there is no audio, or what is timed cannot be read or computed.
    """
    if "audio" not in clips.column_names or extractor.normalise_per_speaker:
        return None
    if any(map(fitted_file, extractor.features or ())):
        return None
    model = model if model.device.type == "cpu" else copy.deepcopy(model).cpu()
    analyse = Burst2VecPipeline(model=model.eval(), feature_extractor=extractor, device="cpu")
    try:
        return milliseconds_per_clip(analyse, clips)
    except (Burst2VecError, ImportError):
        return None


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
