"""What a model says of one recording: as one burst, or of each burst that is found in it."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..audio.streaming import stream_recording
from ..errors import AudioError, Burst2VecError
from ..pipeline_burst2vec import Burst2VecPipeline
from ..waveforms import SAMPLING_RATE

AUTOMATIC, ONE_BURST, FIND_BURSTS = TAKEN_AS = ("automatic", "one burst", "find the bursts")
LONG_SECONDS = 5  # from here on a recording is taken automatically as one of several bursts; EmoGator's clips have 2
MOST_SECONDS = 600  # of a recording; burst2vec find takes longer ones
SILENT_DBFS = -60  # of the greatest sample; the quietest of 600 EmoGator clips has -43
COVERAGE = 0.9  # asked of the intervals and sets of a model that is calibrated


@dataclass(frozen=True)
class Analysis:
    """What was found out about a recording.

    Attributes:
        waveform: one channel at 16 kHz, float32, (samples,).
        found: whether bursts were looked for, so that ``answers`` are of these and else is one, of the whole.
        answers: as the pipeline gives them, with ``conformal`` where the model is calibrated; of bursts that were found
            also ``start``, ``end`` (seconds) and ``confidence``, and of one that the model cannot take ``error``.
    """

    waveform: np.ndarray
    found: bool
    answers: list[dict]

    @property
    def seconds(self) -> float:
        return self.waveform.size / SAMPLING_RATE


def analyse_recording(
    analyse: Burst2VecPipeline, path: str | os.PathLike, taken_as: str = AUTOMATIC, features: list[str] | None = None
) -> Analysis:
    """Ask a model about a recording.

    Args:
        analyse: the model's pipeline.
        path: of an audio file, up to ten minutes.
        taken_as: ``"one burst"``, ``"find the bursts"``, or ``"automatic"``: the latter from five seconds on.
        features: of a model that takes vectors, its feature sets with their places on this machine.

    Raises:
        AudioError: what cannot be read or used, in a sentence that has the file's name without its folder.
    """
    path = os.fspath(path)
    try:
        waveform = _read(path)
        found = taken_as == FIND_BURSTS or (taken_as == AUTOMATIC and waveform.size >= LONG_SECONDS * SAMPLING_RATE)
        asked = {"features": features, "coverage": COVERAGE if analyse.model.config.conformal else None}
        if found:
            answers = analyse(path, chunk="bursts", on_error="nan", **asked)
        else:
            answers = [analyse(path, **asked)]
    except (Burst2VecError, OSError) as error:
        raise AudioError(str(error).replace(path, Path(path).name)) from error
    return Analysis(waveform, found, answers)


def _read(path: str) -> np.ndarray:
    blocks, samples = [], 0
    for block in stream_recording(path):
        blocks.append(block)
        if (samples := samples + block.size) > MOST_SECONDS * SAMPLING_RATE:
            raise AudioError(
                f"{path}: is longer than {MOST_SECONDS // 60} minutes; upload a part of it, or find the bursts of the "
                "whole with: burst2vec find RECORDING --model MODEL --out bursts.csv"
            )
    waveform = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if np.abs(waveform).max(initial=0.0) < 10 ** (SILENT_DBFS / 20):
        raise AudioError(
            f"{path}: is silent: no sample is above {SILENT_DBFS} dB of full scale; is the microphone on, and allowed?"
        )
    return waveform
