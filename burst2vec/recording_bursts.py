"""The bursts of long recordings in a pipeline of clips: found first, and each then answered as a clip."""

import inspect
import logging
from dataclasses import asdict
from itertools import islice
from types import GeneratorType

from torch.utils.data import Dataset

from .audio import cut_regions, stream_recording
from .audio.burst_regions import regions_of
from .errors import CLIP_FAULTS, AudioError
from .length_batches import batches_by_length

logger = logging.getLogger(__name__)

BURSTS_AT_ONCE = 32  # of a recording, in memory


class AnswersByBursts:
    """What a pipeline that has ``of_clips``, lists of waveforms to lists of answers, says of recordings."""

    def by_bursts(self, recordings, arguments: dict, kwargs: dict):
        """What ``bursts_of`` says of one recording, or of each; bad ones as ``on_error`` says."""
        on_error = kwargs.pop("on_error", self._preprocess_params.get("on_error", "raise"))

        def of_one(recording, name):
            try:
                return self.bursts_of(recording, name, arguments, on_error=on_error, **kwargs)
            except CLIP_FAULTS as fault:
                if on_error == "raise":
                    raise
                if on_error == "skip":
                    logger.warning("left out: %s", fault)
                return None if on_error == "skip" else {"error": str(fault)}

        if not isinstance(recordings, (list, Dataset, GeneratorType)):
            return of_one(recordings, "recording")
        answers = (of_one(each, f"recording {place} (counted from 0)") for place, each in enumerate(recordings))
        answers = (answer for answer in answers if answer is not None)
        return list(answers) if isinstance(recordings, list) else answers

    def bursts_of(self, recording, name: str, arguments: dict, watch=iter, on_error="raise", batch_size=8, **kwargs):
        """Where the bursts of one recording are, and what the model says of each.

        Args:
            recording: as ``burst2vec.audio.stream_recording`` takes it; it is read twice.
            name: what to call it in an error, if it has no path.
            arguments: of ``burst2vec.audio.find_burst_regions``.
            watch: an iterator of its blocks → the same blocks, such as one that moves a progress bar.
            on_error: of a burst that cannot be used.
            batch_size: bursts in a batch, at most.
            kwargs: of a call.

        Returns:
            For each burst ``start``, ``end`` (seconds), ``confidence`` (0 to 1) and what a call says of a clip.

        Raises:
            ValueError: a model that takes vectors on their speakers' scale.
        """
        if self.feature_extractor.normalise_per_speaker:
            raise ValueError(
                "this model takes vectors on their speakers' scale, and who is in a recording is not known"
            )
        regions = regions_of(watch(stream_recording(recording, name=name)), **arguments)
        found, waveforms = [], cut_regions(watch(stream_recording(recording, name=name)), regions)
        for start in range(0, len(regions), BURSTS_AT_ONCE):
            some = regions[start : start + BURSTS_AT_ONCE]
            answers = self._of_waveforms(list(islice(waveforms, len(some))), batch_size, **kwargs)
            for region, answer in zip(some, answers, strict=True):
                if "error" in answer:
                    answer["error"] = f"{name}, {region.start:.2f} to {region.end:.2f} s: {answer['error']}"
                    if on_error == "raise":
                        raise AudioError(answer["error"])
                    if on_error == "skip":
                        logger.warning("left out: %s", answer["error"])
                        continue
                found.append({**asdict(region), **answer})
        return found

    def _of_waveforms(self, waveforms: list, batch_size: int, **kwargs) -> list[dict]:
        """What is said of each, in batches of about the same length; of one that cannot be used why, without a name."""
        answers = [{}] * len(waveforms)
        for batch in batches_by_length([waveform.size for waveform in waveforms], batch_size, self.device.type):
            clips = [waveforms[place] for place in batch]
            said = self.of_clips(clips, on_error="nan", batch_size=len(batch), **kwargs)
            for number, (place, answer) in enumerate(zip(batch, said, strict=True)):
                if "error" in answer:
                    answer["error"] = answer["error"].removeprefix(f"clip {number} (counted from 0): ")
                answers[place] = answer
        return answers


def read_chunk(chunk: str | dict) -> dict:
    """The arguments of ``find_burst_regions`` in ``chunk``.

    >>> read_chunk("bursts"), read_chunk({"kind": "bursts", "min_pause": 0.3})
    ({}, {'min_pause': 0.3})

    Raises:
        ValueError: another kind, or arguments that there are not.
    """
    arguments = {"kind": chunk} if isinstance(chunk, str) else dict(chunk)
    known = [name for name in inspect.signature(regions_of).parameters if name != "blocks"]
    kind = arguments.pop("kind", None)
    if kind != "bursts" or (unknown := sorted(set(arguments) - set(known))):
        what = f"kind {kind!r}" if kind != "bursts" else f"arguments {unknown}"
        raise ValueError(f"chunk has {what}; it is 'bursts', or {{'kind': 'bursts', …}} with any of {', '.join(known)}")
    return arguments
