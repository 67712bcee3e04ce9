"""``pipeline("vocal-burst-analysis", model=…)``: recordings in, words and numbers out."""

import numpy as np
from transformers import Pipeline

from .audio import apply_steps, read_audio, resample


class Burst2VecPipeline(Pipeline):
    """Hears bursts and says what is in them.

    Inputs, alone or in a list: a path, the bytes of a file, a waveform (samples,) at the model's rate (16 kHz), or a
    dictionary ``{"array": waveform, "sampling_rate": rate}``, of any rate. Addresses are not fetched. A clip goes
    through the steps that the model's clips went through in training, as its feature extractor tells them.

    For each clip, one entry per task and, on request, ``"embedding"``, the clip's vector as a list of numbers:

    - several regressed labels: ``{"Awe": 0.71, "Excitement": 0.20, …}``;
    - one regressed label: a number in the task's unit, such as an age in years;
    - classes: ``{"label": "Venezuela", "probabilities": {"China": 0.05, …}}``.

    Args of a call:
        return_embedding: also give the clip's vector. Default False.
        batch_size: clips to hear at once; the answers are the same.

    Raises:
        burst2vec.audio.AudioError: a file that is missing or is no recording, by name.
        WaveformError: a clip of under 25 ms or over 60 s, not one channel, or with samples that are not numbers.
    """

    _load_feature_extractor = True
    _load_tokenizer = False
    _load_image_processor = False
    _load_processor = False

    def _sanitize_parameters(self, return_embedding=None, **kwargs):
        if kwargs:
            raise TypeError(f"unknown arguments {sorted(kwargs)}; this pipeline takes return_embedding and batch_size")
        return {}, {}, {} if return_embedding is None else {"return_embedding": return_embedding}

    def preprocess(self, clip):
        waveform, rate, name = self._recording(clip)
        if steps := self.feature_extractor.preprocess:
            waveform, rate = apply_steps(waveform, rate, steps, name)
        heard = self.feature_extractor.sampling_rate
        if rate != heard:
            waveform = resample(waveform, rate, heard)
        return self.feature_extractor(waveform, sampling_rate=heard, names=[name], return_tensors="pt")

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
