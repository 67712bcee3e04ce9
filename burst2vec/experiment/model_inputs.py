"""The input of a run's model: recordings, or vectors of feature sets; two classes with one interface.

``model_inputs`` chooses. The interface: ``refuse_settings`` before anything is read, ``prepare`` for the clips,
``vector_size`` for the model that is built after them, and ``code`` and ``about`` for the card.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from datasets import Dataset

from ..audio import Transform, read_transforms
from ..data.clip_batches import refuse_for_vectors
from ..data.vectors import VECTOR
from ..errors import RunError
from ..features import refuse_unplaced
from ..markdown import markdown_text
from .building import feature_names, read_saved
from .feature_inputs import feature_inputs, tables_folder
from .inputs import Clips, prepare_clips
from .recipes import Run
from .run_record import RunRecord
from .sections import DataArguments


class CardCode(NamedTuple):
    """The part of a model card's code that computes the input: lines before the call, its argument, and a comment."""

    compute: str
    argument: str
    limits: str


@dataclass(frozen=True)
class Recordings:
    """Waveforms at 16 kHz, padded to a batch.

    Attributes:
        data: what is read.
        preprocess: the transforms of every clip, as the feature extractor has them.
    """

    data: DataArguments
    preprocess: list

    code = CardCode("", "waveform, sampling_rate=16000", "  # one channel, floats, 25 ms to 60 s")

    def refuse_settings(self, run: Run) -> None:
        """
        Raises:
            RunError: tables of vectors.
        """
        if run.data.features_dir is not None:
            raise RunError(
                f"features_dir {run.data.features_dir}: the model takes waveforms; name its features, or null it"
            )

    def prepare(self, chosen: Mapping[str, Dataset], folder: Path) -> dict[str, Clips]:
        """The clips that can be used, preprocessed."""
        return prepare_clips(chosen, self.data, self.preprocess)

    def vector_size(self, clips: Mapping[str, Clips]) -> None:
        """None: waveforms differ in length."""

    @staticmethod
    def about(features: list[str]) -> str:
        """The card's sentence about the input: none."""
        return ""


@dataclass(frozen=True)
class FeatureVectors:
    """One vector per clip, of one or several feature sets.

    Attributes:
        data: what is read; with ``normalise_per_speaker`` as the model has it.
        preprocess: the transforms of every clip that vectors are computed from.
        names: of the feature sets.
        model_path: of the saved model, if any.
    """

    data: DataArguments
    preprocess: list
    names: list[str]
    model_path: str | None

    code = CardCode(
        "# find_feature_set of burst2vec.features; one that learnt from training clips needs fitted=FOLDER\n"
        "vectors = [find_feature_set(name).vector(waveform)[0] for name in extractor.features]\n",
        "np.concatenate(vectors)",
        "",
    )

    def refuse_settings(self, run: Run) -> None:
        """
        Raises:
            RunError: other speeds, or crops; a feature set without tables in ``features_dir``, or without its
                checkpoint.
        """
        refuse_for_vectors(run.training, f"vectors of {self.names}")
        if self.data.features_dir is None:
            refuse_unplaced(self.names, self.model_path or "the model", _features_option)
        else:
            for name in self.names:
                tables_folder(self.data.features_dir, name)

    def prepare(self, chosen: Mapping[str, Dataset], folder: Path) -> dict[str, Clips]:
        """The clips as vectors; what feature sets learn of training clips goes into the run's folder."""
        clips = prepare_clips(chosen, self.data, self.preprocess)
        return feature_inputs(clips, self.names, self.data, folder, self.model_path)

    def vector_size(self, clips: Mapping[str, Clips]) -> int:
        """Numbers in a vector."""
        return len(next(iter(clips.values())).dataset[0][VECTOR])

    @staticmethod
    def about(features: list[str]) -> str:
        """The card's sentence about the input."""
        named = list(map(markdown_text, features))
        listed = named[0] if len(named) == 1 else ", ".join(named[:-1]) + " and " + named[-1]
        return f" It receives vectors of {listed}, which are computed from the recording."


def model_inputs(run: Run) -> Recordings | FeatureVectors:
    """The input of the run's model, as the recipe or the saved model says; no weights are read.

    Raises:
        RunError: a saved model with other features or preprocessing than the recipe's.
    """
    names = feature_names(run.model.features)
    transforms, per_speaker = asked_of_clips(run.data)
    preprocess = [transform.to_dict() for transform in transforms or ()]
    if run.model.model_path is not None:
        saved = read_saved(run.model, transforms, per_speaker)
        names, per_speaker, preprocess = names or saved.features, saved.normalise_per_speaker, saved.preprocess
    if not names:
        return Recordings(run.data, preprocess)
    data = replace(run.data, normalise_per_speaker=bool(per_speaker))
    return FeatureVectors(data, preprocess, names, run.model.model_path)


def asked_of_clips(data: DataArguments) -> tuple[tuple[Transform, ...] | None, bool | None]:
    """The transforms that a recipe asks for, and whether vectors are normalised per speaker; None: not said."""
    return (read_transforms(data.preprocess) if data.preprocess else None), data.normalise_per_speaker


def inputs_recorded(record: RunRecord) -> type[Recordings] | type[FeatureVectors]:
    """The input of a finished run's model."""
    return FeatureVectors if record.features else Recordings


def _features_option(names: list[str]) -> str:
    return f"--features {shlex.quote(json.dumps(names, ensure_ascii=False))}"
