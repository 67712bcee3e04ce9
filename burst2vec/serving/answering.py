"""Bytes of clips to the pipeline's answers: decoded in several threads, predicted together in one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import numpy as np

from ..errors import RunError
from ..length_batches import batches_by_length
from ..pipeline_burst2vec import Burst2VecPipeline
from ..waveforms import check_waveform
from .batching import Batching
from .limits import Limits


class Clip(NamedTuple):
    """What the model takes of a clip, a waveform or a vector, and what the pipeline's call was given beside it."""

    values: np.ndarray
    asked: dict


class TooManyError(Exception):
    """As many requests as are allowed are here already."""


class Answering:
    """Answers clips as a pipeline does, many at once.

    Args:
        analyse: the pipeline.
        limits: see ``Limits``.
        features: of a model that takes vectors, its feature sets with their places on this machine.

    Raises:
        RunError: a model that takes vectors on their speakers' scale.
        CorpusError: feature sets that are not found.
    """

    def __init__(self, analyse: Burst2VecPipeline, limits: Limits, features: list[str] | None = None):
        extractor = analyse.feature_extractor
        if extractor.normalise_per_speaker:
            raise RunError(
                "this model takes vectors on their speakers' scale, and so all clips of a speaker at once, and a "
                "request has one; give another, or use burst2vec predict"
            )
        self.analyse, self.limits = analyse, limits
        self.sets = analyse.feature_sets(features) if extractor.features else None
        # Preprocessing and feature sets may set torch's threads, which are the process's.
        alone = bool(extractor.features or extractor.preprocess)
        self.decoders = ThreadPoolExecutor(1 if alone else limits.decoders, "decode")
        self.batching = Batching(self.predict, self._group, limits.batch_size, limits.max_wait_ms / 1_000)
        self.inside = 0
        self.running = False

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Clips are answered inside this block, in one event loop."""
        task = asyncio.create_task(self.batching.run())
        task.add_done_callback(lambda _: setattr(self, "running", False))
        self.running = True
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            self.decoders.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among the requests that are here at once.

        Raises:
            TooManyError: there is none.
        """
        if self.inside >= self.limits.max_requests:
            raise TooManyError
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def arguments(self, **asked) -> dict:
        """What the pipeline makes of a call's arguments, ``coverage`` and ``return_embedding``.

        Raises:
            RunError: a coverage that the model does not have.
        """
        return self.analyse._sanitize_parameters(**asked)[2]

    async def answer(self, content: bytes, asked: dict) -> dict:
        """What the pipeline says of a clip.

        Args:
            content: the bytes of an audio file.
            asked: see ``arguments``.

        Raises:
            AudioError, WaveformError, TransformError: a clip that cannot be used.
            MissingPackageError: one in a format that this installation does not read.
        """
        loop = asyncio.get_running_loop()
        with self.batching.announced():
            values = await loop.run_in_executor(self.decoders, self.values_of, content)
        del content  # it may wait for long, and others with it
        return await self.batching.answer(Clip(values, asked))

    def values_of(self, content: bytes) -> np.ndarray:
        """What the model takes of a clip, checked."""
        values, name = self.analyse.values_of(content, None, self.sets)
        if self.sets is None:
            return check_waveform(values, name)
        return self.analyse.feature_extractor([values], names=[name])["input_values"][0]

    def predict(self, clips: list[Clip]) -> list[dict]:
        """The answers to clips, predicted at once."""
        extractor = self.analyse.feature_extractor
        rate = {} if extractor.features else {"sampling_rate": extractor.sampling_rate}
        batch = {**extractor([clip.values for clip in clips], return_tensors="pt", **rate), "error": ""}
        found = self.analyse.forward(batch, **self.analyse._forward_params)
        answers = []
        for place, clip in enumerate(clips):
            own = {name: values if name == "error" else values[place : place + 1] for name, values in found.items()}
            answers.append(self.analyse.postprocess(own, **{**self.analyse._postprocess_params, **clip.asked}))
        return answers

    def _group(self, clips: list[Clip]) -> Iterator[list[int]]:
        sizes = [clip.values.size for clip in clips]
        return batches_by_length(sizes, self.limits.batch_size, self.analyse.device.type)
