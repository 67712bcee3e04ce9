"""``pipeline("vocal-burst-analysis", model=…)``: recordings in, words and numbers out."""

import logging
import math
from collections.abc import Iterator
from types import GeneratorType

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import Pipeline

from .answers import answers_of, check_coverage
from .configuration_burst2vec import Burst2VecConfig
from .errors import CLIP_FAULTS
from .pipeline_inputs import GIVE_SPEAKERS, OfSpeaker, Placed, TakesClips, placed
from .recording_bursts import AnswersByBursts, read_chunk
from .waveforms import MIN_SAMPLES
from .weights import refuse_not_finite

logger = logging.getLogger(__name__)

ON_ERROR = ("raise", "skip", "nan")


class Burst2VecPipeline(TakesClips, AnswersByBursts, Pipeline):
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
        # A clip through a SpectrogramCNN takes nine tenths of the time with its kernels laid out as its maps are.
        self.model.to(memory_format=torch.channels_last)

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
        if isinstance(inputs, list) and not inputs:
            return []
        answers = super().__call__(placed(inputs), **kwargs)
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
            check_coverage(self.model.config.conformal, coverage)
            after = {**after, "coverage": coverage}
        known = {**self.__dict__.get("_forward_params", {}), **self.__dict__.get("_postprocess_params", {})}
        if {"coverage", "personal"} <= {*known, *personal, *after}:
            raise ValueError(
                "coverage was measured on answers without an enrolment, which changes them; give one of the two, and "
                "where one is the pipeline's own make another pipeline without it"
            )
        return before, personal, after

    def preprocess(self, clip, features=None, on_error="raise"):
        """What the model takes of a clip, and under ``error`` why it cannot be used, or "".

        Instead of a clip that cannot be used the shortest silence goes through the model, so that batches stay whole.
        """
        place = None
        if isinstance(clip, Placed):
            clip, place = clip.clip, clip.place
        if self.feature_extractor.normalise_per_speaker and not isinstance(clip, OfSpeaker):
            raise ValueError(GIVE_SPEAKERS.format("a clip was given alone"))
        sets = self.feature_sets(features) if self.feature_extractor.features else None
        try:
            if isinstance(clip, OfSpeaker):
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

    def _forward(self, batch, personal=None):
        model = self.model if personal is None else personal
        output = model(**{name: values for name, values in batch.items() if name != "error"})
        return {**output.predictions, "embedding": output.embeddings, "error": batch["error"]}

    def postprocess(self, outputs, return_embedding=False, on_error="raise", coverage=None):
        error = outputs["error"]
        if error and on_error == "skip":
            logger.warning("left out: %s", error)
            return None
        values = {}
        for task in self.model.tasks:
            values[task] = [math.nan if error else value for value in outputs[task][0].float().tolist()]
            if not error and not all(map(math.isfinite, values[task])):
                raise ValueError(f"the model answers {values[task]} for the task {task!r}; load it in float32")
        answer = answers_of(self.model.config.task_records, values, self.model.config.conformal, coverage)
        if return_embedding:
            embedding = outputs["embedding"][0].float().tolist()
            answer["embedding"] = [math.nan] * len(embedding) if error else embedding
        return {**answer, "error": error} if error else answer


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
