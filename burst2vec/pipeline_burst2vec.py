"""``pipeline("vocal-burst-analysis", model=…)``: recordings in, words and numbers out."""

from pathlib import Path

import numpy as np
from transformers import Pipeline
from transformers.utils.hub import cached_file

from .audio import apply_steps, read_audio, resample
from .data.features import FeatureSet, find_feature_set, fitted_file, folder_name, refuse_unplaced
from .data.vectors import public_name
from .waveforms import check_waveform
from .weights import refuse_not_finite


class Burst2VecPipeline(Pipeline):
    """Hears bursts and says what is in them.

    Inputs, alone or in a list: a path, the bytes of a file, a waveform (samples,) at the model's rate (16 kHz), or a
    dictionary ``{"array": waveform, "sampling_rate": rate}``, of any rate. Addresses are not fetched. A clip goes
    through the steps that the model's clips went through in training, as its feature extractor tells them. Where the
    model hears vectors, they are computed of the clip then.

    For each clip, one entry per task and, on request, ``"embedding"``, the clip's vector as a list of numbers:

    - several regressed labels: ``{"Awe": 0.71, "Excitement": 0.20, …}``;
    - one regressed label: a number in the task's unit, such as an age in years;
    - classes: ``{"label": "Venezuela", "probabilities": {"China": 0.05, …}}``.

    Args of a call:
        return_embedding: also give the clip's vector. Default False.
        batch_size: clips to hear at once; the answers are the same.
        features: of a model that hears vectors, the names of its feature sets with their places on this machine, such
            as ``["embedding:checkpoints/my-hubert"]``, where it knows them by the last part alone.

    Raises:
        CorpusError: feature sets that are not found by the names that the model knows; says to give ``features``.
        ValueError: a model with a weight that is not finite, or one that answers so; a model that was trained on
            vectors on their speaker's own scale: a clip alone has none.
        burst2vec.audio.AudioError: a file that is missing or is no recording, by name.
        WaveformError: a clip of under 25 ms or over 60 s, not one channel, or with samples that are not numbers.
    """

    _load_feature_extractor = True
    _load_tokenizer = False
    _load_image_processor = False
    _load_processor = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        refuse_not_finite(self.model)

    def _sanitize_parameters(self, return_embedding=None, features=None, **kwargs):
        if kwargs:
            raise TypeError(
                f"unknown arguments {sorted(kwargs)}; this pipeline takes return_embedding, batch_size and features"
            )
        before = {} if features is None else {"features": features}
        return before, {}, {} if return_embedding is None else {"return_embedding": return_embedding}

    def preprocess(self, clip, features=None):
        waveform, rate, name = self._recording(clip)
        if steps := self.feature_extractor.preprocess:
            waveform, rate = apply_steps(waveform, rate, steps, name)
        heard = self.feature_extractor.sampling_rate
        if rate != heard:
            waveform = resample(waveform, rate, heard)
        if self.feature_extractor.features:
            vector = self._vector(check_waveform(waveform, name), features)
            return self.feature_extractor(vector, names=[name], return_tensors="pt")
        return self.feature_extractor(waveform, sampling_rate=heard, names=[name], return_tensors="pt")

    def _vector(self, waveform: np.ndarray, features: list[str] | None) -> np.ndarray:
        """What the model hears of a clip at 16 kHz: the vectors of its feature sets, one after the other."""
        if self.feature_extractor.normalise_per_speaker:
            raise ValueError(
                "this model was trained on vectors that were centred and scaled by their speaker's own mean and "
                "deviation, which a clip alone has not; compute the vectors of all of a speaker's clips, put them "
                "through burst2vec.data.vectors.normalise_per_speaker, and give them to feature extractor and model"
            )
        recorded = self.feature_extractor.features
        if features is not None and list(map(public_name, features)) != recorded:
            raise ValueError(f"features {features}: the model hears vectors of {recorded}, in this order")
        names = features or recorded
        refuse_unplaced(names, "the model", lambda placed: f"pipeline(…)(…, features={placed})")
        return np.concatenate([self._feature_set(name).vector(waveform)[0] for name in names])

    def _feature_set(self, name: str) -> FeatureSet:
        """A feature set, found once; what it has learnt from training clips lies with the model."""
        known = self.__dict__.setdefault("_feature_sets", {})
        if name not in known:
            fitted, file = None, fitted_file(name)
            if file is not None:
                with_model = cached_file(self.model.name_or_path, f"features/{folder_name(name)}/{file}")
                fitted = Path(with_model).parent
            known[name] = find_feature_set(name, fitted)
        return known[name]

    def _recording(self, clip) -> tuple[np.ndarray, int, str]:
        """Waveform, its sampling rate, and what to call it in an error."""
        if isinstance(clip, dict):
            if not {"array", "sampling_rate"} <= set(clip):
                raise ValueError(f"a clip given as a dictionary needs 'array' and 'sampling_rate', got {sorted(clip)}")
            return np.asarray(clip["array"], dtype=np.float32), clip["sampling_rate"], "clip"
        if isinstance(clip, bytes) or hasattr(clip, "__fspath__") or isinstance(clip, str):
            return *read_audio(clip), "bytes" if isinstance(clip, bytes) else str(clip)
        return np.asarray(clip), self.feature_extractor.sampling_rate, "clip"

    def _forward(self, batch):
        output = self.model(**batch)
        return {**output.predictions, "embedding": output.embeddings}

    def postprocess(self, outputs, return_embedding=False):
        answer = {}
        for task in self.model.config.task_records:
            values = outputs[task.name][0].float().tolist()
            if not np.isfinite(values).all():
                raise ValueError(f"the model answers {values} for the task {task.name!r}; load it in float32")
            if task.kind == "classification":
                probabilities = dict(zip(task.labels, values, strict=True))
                answer[task.name] = {
                    "label": max(probabilities, key=probabilities.get),
                    "probabilities": probabilities,
                }
            elif len(task.labels) == 1:
                answer[task.name] = values[0]
            else:
                answer[task.name] = dict(zip(task.labels, values, strict=True))
        if return_embedding:
            answer["embedding"] = outputs["embedding"][0].float().tolist()
        return answer
