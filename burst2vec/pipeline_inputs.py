"""What a pipeline takes of the clips and the enrolment of a call: waveforms, or vectors where its model takes these."""

from collections.abc import Sized
from dataclasses import dataclass, replace
from pathlib import Path
from types import GeneratorType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers.utils.hub import cached_file

from .audio import apply_transforms, read_transforms, resample
from .audio.recordings import read_recording
from .enrolment import read_enrolment
from .errors import CLIP_FAULTS, CorpusError, WaveformError
from .waveforms import check_waveform

if TYPE_CHECKING:
    from .features import FeatureSet  # imported late: only models of vectors need it, and its import takes seconds

GIVE_SPEAKERS = (
    "{}, and this model takes vectors centred and scaled by their speaker's own mean and deviation, over all clips of "
    "the speaker at once; give a list of the clips with their speakers, [{{'path': 'a.wav', 'speaker': 'S1'}}, …], or "
    "predict a folder with a table of files and speakers: accelerate launch examples/run_exvo.py RUN/recipe.yaml "
    "--do_train false --model_path RUN --corpus folder --splits null --data_dir FOLDER --output_dir NEW"
)


class TakesClips:
    """What a pipeline's model takes of clips, and the model of an enrolment's speaker."""

    def values_of(self, clip, place: int | None, sets: "list[FeatureSet] | None") -> tuple[np.ndarray, str]:
        """The waveform of a clip, or its vector where there are feature sets; and what to call it in an error."""
        wanted = self.feature_extractor.sampling_rate
        name = "clip" if place is None else f"clip {place} (counted from 0)"
        waveform, rate, name = read_recording(clip, wanted, name)
        if steps := read_transforms(self.feature_extractor.preprocess):
            waveform, rate = apply_transforms(waveform, rate, steps, name)
        if rate != wanted:
            waveform = resample(waveform, rate, wanted)
        if sets is None:
            return waveform, name
        waveform = check_waveform(waveform, name)
        try:
            return np.concatenate([feature_set.vector(waveform)[0] for feature_set in sets]), name
        except CorpusError as error:  # of a clip that the set cannot work on
            raise WaveformError(f"{name}: {error}") from error

    def _personal_model(self, enrolment, features=None):
        """The model of an enrolment's speaker, which has the encoder of the pipeline's model for its own."""
        from .personalising import Tuning, check_support, support_batch

        clips, labels = read_enrolment(self.model.tasks, enrolment)
        labels = check_support(self.model.tasks, clips, labels)
        if self.feature_extractor.normalise_per_speaker and not all(isinstance(clip, OfSpeaker) for clip in clips):
            raise ValueError(GIVE_SPEAKERS.format("an enrolment was given without a list of clips"))
        features = features or self.__dict__.get("_preprocess_params", {}).get("features")
        sets = self.feature_sets(features) if self.feature_extractor.features else None
        try:
            values = [
                clip.vector if isinstance(clip, OfSpeaker) else self.values_of(clip, place, sets)[0]
                for place, clip in enumerate(clips)
            ]
            batch = support_batch(self.model, self.feature_extractor, values)
        except CLIP_FAULTS as fault:
            raise type(fault)(f"enrolment: {fault}") from fault
        with torch.no_grad():
            frames = self.model.encoder(batch["input_values"], batch.get("attention_mask"))
        return Tuning().personal_copy(self.model, *frames, labels)

    def _together(self, clips: list, asked: dict, kwargs: dict) -> tuple[list, dict]:
        """The clips on their speakers' scale, to which those of an enrolment belong, and the arguments with these."""
        from .data.corpora.splits import speaker_key

        enrolment = kwargs.get("enrolment")
        own = [] if enrolment is None else read_enrolment(self.model.tasks, enrolment)[0]
        scaled = self._on_speakers_scale([*clips, *own], **asked)
        if not own:
            return scaled, kwargs
        speakers = sorted({clip["speaker"].strip() for clip in [*clips, *own]})
        if len({speaker_key(speaker) for speaker in speakers}) > 1:
            raise ValueError(f"an enrolment is of one speaker, and so are the clips of its call, but got {speakers}")
        if faults := [clip.fault for clip in scaled[len(clips) :] if clip.fault is not None]:
            raise faults[0]
        pairs = zip(scaled[len(clips) :], enrolment, strict=True)
        return scaled[: len(clips)], {**kwargs, "enrolment": [(clip, labels) for clip, (_, labels) in pairs]}

    def _on_speakers_scale(self, clips: list, features=None, on_error="raise") -> list["OfSpeaker"]:
        """The clips' vectors, each centred and scaled by those of its speaker that can be used."""
        from .data.vectors import normalise_per_speaker

        for place, clip in enumerate(clips):
            if not isinstance(clip, dict) or not isinstance(clip.get("speaker"), str) or not clip["speaker"].strip():
                raise ValueError(GIVE_SPEAKERS.format(f"clip {place} (counted from 0) has no speaker"))
        sets = self.feature_sets(features)
        prepared = []
        for place, clip in enumerate(clips):
            try:
                prepared.append(OfSpeaker(*self.values_of(clip, place, sets)))
            except CLIP_FAULTS as fault:
                if on_error == "raise":
                    raise
                prepared.append(OfSpeaker(fault=fault))
        usable = [place for place, clip in enumerate(prepared) if clip.fault is None]
        if usable:
            vectors = np.stack([prepared[place].vector for place in usable])
            vectors = normalise_per_speaker(vectors, [clips[place]["speaker"].strip() for place in usable])
            for place, vector in zip(usable, vectors, strict=True):
                prepared[place] = replace(prepared[place], vector=vector)
        return prepared

    def feature_sets(self, features: list[str] | None) -> "list[FeatureSet]":
        """The feature sets whose vectors, one after the other, the model takes of a clip."""
        from .features import public_name, refuse_unplaced

        recorded = self.feature_extractor.features
        if features is not None and list(map(public_name, features)) != recorded:
            raise ValueError(f"features {features}: the model takes vectors of {recorded}, in this order")
        names = features or recorded
        refuse_unplaced(names, "the model", lambda placed: f"pipeline(…)(…, features={placed})")
        return [self._feature_set(name) for name in names]

    def _feature_set(self, name: str) -> "FeatureSet":
        """A feature set, found once; what it has learnt from training clips lies with the model."""
        from .features import find_feature_set, fitted_file, folder_name

        known = self.__dict__.setdefault("_feature_sets", {})
        if name not in known:
            fitted, file = None, fitted_file(name)
            if file is not None:
                with_model = cached_file(self.model.name_or_path, f"features/{folder_name(name)}/{file}")
                fitted = Path(with_model).parent
            known[name] = find_feature_set(name, fitted)
        return known[name]


def placed(inputs):
    """A call's clips with their places in a list, dataset or generator; a clip that is given alone stays as it is."""
    if isinstance(inputs, Dataset) and isinstance(inputs, Sized):
        return _PlacedClips(inputs)
    if not isinstance(inputs, (list, Dataset, GeneratorType)):
        return inputs
    clips = (Placed(place, clip) for place, clip in enumerate(inputs))
    return list(clips) if isinstance(inputs, list) else clips


@dataclass(frozen=True)
class Placed:
    """A clip and its place in a list, by which an error names it."""

    place: int
    clip: Any


@dataclass(frozen=True)
class OfSpeaker:
    """A clip as its vector on its speaker's scale, or why it cannot be used."""

    vector: np.ndarray | None = None
    name: str = ""
    fault: Exception | None = None


class _PlacedClips(Dataset):
    """The clips of a dataset with their places."""

    def __init__(self, clips: Dataset):
        self.clips = clips

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, place: int) -> Placed:
        return Placed(place, self.clips[place])
