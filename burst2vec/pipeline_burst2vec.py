"""``pipeline("vocal-burst-analysis", model=…)``: recordings in, words and numbers out."""

import logging
import math
from collections.abc import Iterator, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from types import GeneratorType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import Pipeline
from transformers.utils.hub import cached_file

from .audio import apply_transforms, read_transforms, resample
from .audio.recordings import read_recording
from .configuration_burst2vec import Burst2VecConfig
from .enrolment import read_enrolment
from .errors import CorpusError, WaveformError
from .recording_bursts import CLIP_FAULTS, AnswersByBursts, read_chunk
from .waveform_pipeline import answer_of
from .waveforms import MIN_SAMPLES, check_waveform
from .weights import refuse_not_finite

if TYPE_CHECKING:
    from .features import FeatureSet  # imported late: only models of vectors need it, and its import takes seconds

logger = logging.getLogger(__name__)

ON_ERROR = ("raise", "skip", "nan")
_NOT_CALIBRATED = (
    "coverage {}: the model does not have the quantiles of its errors; a run of its recipe with validation clips "
    "(--do_eval) whose speakers are known, and others than those of training, saves them; or give your own: "
    "model.config.conformal = burst2vec.scoring.calibrate(model.tasks, predictions, labels, speakers)"
)
_GIVE_SPEAKERS = (
    "{}, and this model takes vectors centred and scaled by their speaker's own mean and deviation, over all clips of "
    "the speaker at once; give a list of the clips with their speakers, [{{'path': 'a.wav', 'speaker': 'S1'}}, …], or "
    "predict a folder with a table of files and speakers: accelerate launch examples/run_exvo.py RUN/recipe.yaml "
    "--do_train false --model_path RUN --corpus folder --splits null --data_dir FOLDER --output_dir NEW"
)


class Burst2VecPipeline(AnswersByBursts, Pipeline):
    """Says of recordings of bursts what is in them.

    Inputs, alone, in a list, from a generator or in a ``torch.utils.data.Dataset``: a path, the bytes of a file, a
    waveform (samples,) at the model's rate (16 kHz), or a dictionary ``{"array": waveform, "sampling_rate": rate}``, of
    any rate; see ``burst2vec.audio.recordings.read_recording``. Addresses are not fetched. A clip goes through the
    steps that the model's clips went through in training, as its feature extractor tells them. Where the model takes
    vectors, they are computed of the clip then.

    A model that was trained on vectors on their speaker's own scale takes all clips of a speaker at once: a list of
    dictionaries as above with ``"speaker"``, such as ``{"path": "a.wav", "speaker": "S1"}``, or a generator or dataset
    of them. The same clips of a speaker have the same answers as in a run.

    For each clip, one entry per task and, on request, ``"embedding"``, the clip's vector as a list of numbers:

    - several regressed labels: ``{"Awe": 0.71, "Excitement": 0.20, …}``;
    - one regressed label: a number in the task's unit, such as an age in years;
    - classes: ``{"label": "Venezuela", "probabilities": {"China": 0.05, …}}``.

    Args of a call:
        return_embedding: also give the clip's vector. Default False.
        coverage: such as 0.9: also give, under ``"conformal"``, what holds the label of that many clips of new
            speakers, as measured on the validation clips: of a regressed label ``[low, high]``, of classes a list of
            names. By task, as the answers are: ``{"age": [22.1, 33.0], "country": ["China", "Venezuela"], …}``, without
            tasks that validation had no labels of. See ``burst2vec.scoring.conformal``. May be said once for all calls:
            ``pipeline(…, coverage=0.9)``.
        batch_size: clips to put through the model at once; the answers are the same.
        features: of a model that takes vectors, the names of its feature sets with their places on this machine, such
            as ``["embedding:checkpoints/my-hubert"]``, where it knows them by the last part alone.
        on_error: what becomes of a clip that cannot be used; the answers of the others do not change.
            ``"raise"``, the default: the call raises at the first.
            ``"skip"``: such clips have no answer, so there are fewer answers than clips, and None for a clip that is
            given alone. Each is named in a warning of the log.
            ``"nan"``: its answer keeps its place, with NaN for every number, None for every class, and why in
            ``"error"``, which no other answer has.
        enrolment: a few clips of the speaker of all clips of this call, with the labels that they should have had:
            ``[("a.wav", {"emotion": {"Awe": 0.1, …}, "age": 31.0}), …]``, each clip as above, labels as the answers
            have them. Nothing is trained: regressions are answered with the bias and the scale that these clips give,
            see ``burst2vec.personalise``, and the next call without is as before. Said once for all calls by
            ``pipeline(…, enrolment=…)``, but of a model that takes a speaker's clips at once.
        chunk: ``"bursts"`` for recordings of any length: what stands out of each is found first, and the answer is a
            list of ``{"start": seconds, "end": seconds, "confidence": 0..1, …}`` with what is said of a clip. With
            arguments of ``burst2vec.audio.find_burst_regions``: ``{"kind": "bursts", "threshold": 3.0}``. May be said
            once for all calls: ``pipeline(…, chunk="bursts")``.

    Raises:
        SupportError: an enrolment with labels that are unknown, missing or out of their range.
        CorpusError: feature sets that are not found by the names that the model knows; says to give ``features``.
        ValueError: a model with a weight that is not finite, or one that answers so; a clip without its speaker, for a
            model that needs it; a coverage that is not above 0 and up to 0.99, or of a model without the errors'
            quantiles, or together with an enrolment, which changes the errors.
        AudioError: a file that is missing or is no recording, by its path, or by its place in the list.
        WaveformError: a clip of under 25 ms or over 60 s, not one channel, or with samples that are not numbers, by its
            path or place.
    """

    _load_feature_extractor = True
    _load_tokenizer = False
    _load_image_processor = False
    _load_processor = False

    def __init__(self, *args, chunk=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.chunk = chunk
        refuse_not_finite(self.model)

    def __call__(self, inputs, chunk=None, **kwargs):
        if (chunk := self.chunk if chunk is None else chunk) is not None:
            return self.by_bursts(inputs, read_chunk(chunk), kwargs)
        return self.of_clips(inputs, **kwargs)

    def of_clips(self, inputs, **kwargs):
        """What is said of clips: a call without ``chunk``."""
        if self.feature_extractor.normalise_per_speaker and isinstance(inputs, (list, Dataset, GeneratorType)):
            asked = {name: kwargs[name] for name in ("features", "on_error") if name in kwargs}
            asked = {**self._preprocess_params, **self._sanitize_parameters(**asked)[0]}
            inputs, kwargs = self._together(list(inputs), asked, kwargs)
        if isinstance(inputs, list):
            if not inputs:
                return []
            inputs = [_Placed(place, clip) for place, clip in enumerate(inputs)]
        elif isinstance(inputs, Dataset) and isinstance(inputs, Sized):
            inputs = _PlacedClips(inputs)
        elif isinstance(inputs, (Dataset, GeneratorType)):
            inputs = (_Placed(place, clip) for place, clip in enumerate(inputs))
        answers = super().__call__(inputs, **kwargs)
        if kwargs.get("on_error", self._preprocess_params.get("on_error")) != "skip":
            return answers
        if isinstance(answers, list):
            return [answer for answer in answers if answer is not None]
        return (answer for answer in answers if answer is not None) if isinstance(answers, Iterator) else answers

    def save_pretrained(self, save_directory, **kwargs) -> None:
        """Save model and feature extractor, of which a pipeline is made again where burst2vec is installed.

        The pipeline's own code needs the whole package, and so does not travel with them.

        Args:
            save_directory: a folder.
            kwargs: of ``PreTrainedModel.save_pretrained``.
        """
        self.model.save_pretrained(save_directory, **kwargs)
        self.feature_extractor.save_pretrained(save_directory)

    def _sanitize_parameters(
        self, return_embedding=None, features=None, on_error=None, enrolment=None, coverage=None, **kwargs
    ):
        if kwargs:
            raise TypeError(
                f"unknown arguments {sorted(kwargs)}; this pipeline takes return_embedding, batch_size, "
                "features, on_error, enrolment, coverage and chunk"
            )
        if on_error is not None and on_error not in ON_ERROR:
            raise ValueError(f"on_error {on_error!r} is not one of {', '.join(ON_ERROR)}")
        common = {} if on_error is None else {"on_error": on_error}
        before = common if features is None else {**common, "features": features}
        personal = {} if enrolment is None else {"personal": self._personal_model(enrolment, features)}
        after = common if return_embedding is None else {**common, "return_embedding": return_embedding}
        if coverage is not None:
            self._check_coverage(coverage)
            after = {**after, "coverage": coverage}
        known = {**self.__dict__.get("_forward_params", {}), **self.__dict__.get("_postprocess_params", {})}
        if {"coverage", "personal"} <= {*known, *personal, *after}:
            raise ValueError(
                "coverage was measured on answers without an enrolment, which changes them; give one of the two, and "
                "where one is the pipeline's own make another pipeline without it"
            )
        return before, personal, after

    def _check_coverage(self, coverage) -> None:
        """Refuse a coverage that the model has nothing for, or that cannot be had."""
        from .scoring.conformal import quantile_at  # late: scipy comes with it, which takes long

        if not self.model.config.conformal:
            raise ValueError(_NOT_CALIBRATED.format(coverage))
        for quantiles in self.model.config.conformal.values():
            quantile_at(quantiles[0], coverage)

    def preprocess(self, clip, features=None, on_error="raise"):
        """What the model takes of a clip, and under ``error`` why it cannot be used, or "".

        Instead of a clip that cannot be used the shortest silence goes through the model, so that batches stay whole.
        """
        place = None
        if isinstance(clip, _Placed):
            clip, place = clip.clip, clip.place
        if self.feature_extractor.normalise_per_speaker and not isinstance(clip, _OfSpeaker):
            raise ValueError(_GIVE_SPEAKERS.format("a clip was given alone"))
        sets = self.feature_sets(features) if self.feature_extractor.features else None
        try:
            if isinstance(clip, _OfSpeaker):
                if clip.fault is not None:
                    raise clip.fault
                values, name = clip.vector, clip.name
            else:
                values, name = self.values_of(clip, place, sets)
            rate = {} if sets else {"sampling_rate": self.feature_extractor.sampling_rate}
            return {**self.feature_extractor(values, names=[name], return_tensors="pt", **rate), "error": ""}
        except CLIP_FAULTS as fault:
            if on_error == "raise":
                raise
            size = self.feature_extractor.feature_size if sets else MIN_SAMPLES
            return {**self.feature_extractor(np.zeros(size, np.float32), return_tensors="pt"), "error": str(fault)}

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
        if self.feature_extractor.normalise_per_speaker and not all(isinstance(clip, _OfSpeaker) for clip in clips):
            raise ValueError(_GIVE_SPEAKERS.format("an enrolment was given without a list of clips"))
        features = features or self.__dict__.get("_preprocess_params", {}).get("features")
        sets = self.feature_sets(features) if self.feature_extractor.features else None
        try:
            values = [
                clip.vector if isinstance(clip, _OfSpeaker) else self.values_of(clip, place, sets)[0]
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

    def _on_speakers_scale(self, clips: list, features=None, on_error="raise") -> list["_OfSpeaker"]:
        """The clips' vectors, each centred and scaled by those of its speaker that can be used."""
        from .data.vectors import normalise_per_speaker

        for place, clip in enumerate(clips):
            if not isinstance(clip, dict) or not isinstance(clip.get("speaker"), str) or not clip["speaker"].strip():
                raise ValueError(_GIVE_SPEAKERS.format(f"clip {place} (counted from 0) has no speaker"))
        sets = self.feature_sets(features)
        prepared = []
        for place, clip in enumerate(clips):
            try:
                prepared.append(_OfSpeaker(*self.values_of(clip, place, sets)))
            except CLIP_FAULTS as fault:
                if on_error == "raise":
                    raise
                prepared.append(_OfSpeaker(fault=fault))
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

    def _forward(self, batch, personal=None):
        model = self.model if personal is None else personal
        output = model(**{name: values for name, values in batch.items() if name != "error"})
        return {**output.predictions, "embedding": output.embeddings, "error": batch["error"]}

    def postprocess(self, outputs, return_embedding=False, on_error="raise", coverage=None):
        error = outputs["error"]
        if error and on_error == "skip":
            logger.warning("left out: %s", error)
            return None
        answer = {}
        for task in self.model.config.task_records:
            values = outputs[task.name][0]
            if error:
                values = torch.full_like(values, math.nan)
            elif not torch.isfinite(values).all():
                raise ValueError(f"the model answers {values.tolist()} for the task {task.name!r}; load it in float32")
            answer[task.name] = answer_of(task, values)
        if coverage is not None:
            answer["conformal"] = self._within(outputs, coverage, bool(error))
        if return_embedding:
            embedding = outputs["embedding"][0].float().tolist()
            answer["embedding"] = [math.nan] * len(embedding) if error else embedding
        return {**answer, "error": error} if error else answer

    def _within(self, outputs, coverage: float, missing: bool) -> dict:
        """By task the interval or set of a clip; of one that cannot be used without numbers and classes."""
        from .scoring.conformal import interval_or_set

        conformal, within = self.model.config.conformal, {}
        for task in (task for task in self.model.config.task_records if task.name in conformal):
            values = outputs[task.name][0].float().tolist()
            values = [math.nan] * len(values) if missing else values
            within[task.name] = interval_or_set(task, values, conformal[task.name], coverage)
        return within


class NoAudioClassifier:
    """Stands where ``pipeline("audio-classification")`` looks for a model of one task, and says what to call instead.

    Raises:
        LookupError: always; transformers would wrap a ``ValueError`` in tracebacks.
    """

    config_class = Burst2VecConfig

    @classmethod
    def from_pretrained(cls, name, *_, **__):
        raise LookupError(
            f"{name}: predicts several tasks, and a pipeline for audio-classification knows one; use "
            f"pipeline('vocal-burst-analysis', model={str(name)!r})"
        )


@dataclass(frozen=True)
class _Placed:
    """A clip and its place in a list, by which an error names it."""

    place: int
    clip: Any


@dataclass(frozen=True)
class _OfSpeaker:
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

    def __getitem__(self, place: int) -> _Placed:
        return _Placed(place, self.clips[place])
