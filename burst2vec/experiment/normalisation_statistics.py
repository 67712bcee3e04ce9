"""Normalisation statistics that an encoder estimates from the training clips, such as the mean of each spectral bin."""

from collections.abc import Iterator

import numpy as np
from accelerate import PartialState
from datasets import Dataset
from tqdm.auto import tqdm

from ..data.clips import read_clip
from ..data.vectors import has_vectors, vectors_of
from .inputs import draw_clips

MOST_WAVEFORMS = 2_000  # of about 100 frames each: 200,000 values of every bin


def estimate_statistics(model, extractor, clips: Dataset, seed: int) -> None:
    """Let the model's encoder estimate its statistics from the training clips, the same in every process.

    Args:
        model: whose ``encoder`` may have ``estimate_statistics``; one without is left as it is.
        extractor: its ``Burst2VecFeatureExtractor``, which checks each clip and sets its level as in training.
        clips: the training clips, preprocessed: all of their vectors, or at most 2,000 waveforms.
        seed: of the draw.
    """
    if not hasattr(model.encoder, "estimate_statistics"):
        return
    vectors = has_vectors(clips)
    measured = vectors_of(clips) if vectors else draw_clips(clips, MOST_WAVEFORMS, seed)
    values = map(np.copy, measured) if vectors else _waveforms(measured, extractor)  # torch warns of a mapped file's
    quiet = not PartialState().is_local_main_process
    model.encoder.estimate_statistics(
        tqdm(values, "Measuring clips", total=len(measured), unit=" clips", mininterval=0.5, disable=quiet)
    )


def _waveforms(clips: Dataset, extractor) -> Iterator[np.ndarray]:
    for row in clips.select_columns(["file_id", "audio"]):
        name = row["file_id"]
        batch = extractor(read_clip(row["audio"], name), sampling_rate=extractor.sampling_rate, names=[name])
        yield batch["input_values"][0]
