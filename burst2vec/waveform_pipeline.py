"""The pipeline that travels with a model, for who does not have the package: waveforms in, the same answers out.

    transformers.pipeline(model="you/model", trust_remote_code=True)(waveform)

transformers finds it by ``custom_pipelines`` of the model's configuration. Its task has another name than the package's
pipeline, because of one that a model brings itself transformers asks ``trust_remote_code`` of everybody.
"""

import math

import numpy as np
from transformers import Pipeline

CUSTOM_PIPELINES = {
    "vocal-burst-analysis-of-waveforms": {
        "impl": "waveform_pipeline.WaveformPipeline",
        "pt": ["AutoModel"],
        "type": "audio",
    }
}
_WITH_THE_PACKAGE = "with the package, pip install burst2vec, pipeline('vocal-burst-analysis', model=…) does"


class WaveformPipeline(Pipeline):
    """Answers of one waveform, or of each of a list; see ``answer_of`` for their form.

    A waveform is an array (samples,) at the model's rate, or a mapping with ``raw`` or ``array``, and
    ``sampling_rate``.

    Raises:
        ValueError: a model whose clips go through preprocessing or feature sets, a clip that is no waveform, or another
            rate; says what to do.
    """

    _load_feature_extractor = True
    _load_tokenizer = False
    _load_image_processor = False
    _load_processor = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name in ("preprocess", "features"):
            if steps := getattr(self.feature_extractor, name):
                raise ValueError(
                    f"the model's clips go through {name} {steps}, which this pipeline cannot do; {_WITH_THE_PACKAGE}"
                )

    def _sanitize_parameters(self, **kwargs):
        if kwargs:
            raise ValueError(f"unknown arguments {sorted(kwargs)}; this pipeline takes batch_size; {_WITH_THE_PACKAGE}")
        return {}, {}, {}

    def preprocess(self, clip):
        """What the model takes of a clip."""
        rate = self.feature_extractor.sampling_rate
        if isinstance(clip, dict):
            rate = clip.get("sampling_rate")
            clip = clip.get("raw", clip.get("array"))
        if not isinstance(clip, (np.ndarray, list)) or rate is None:
            raise ValueError(
                f"a clip is a waveform (samples,) at {self.feature_extractor.sampling_rate} Hz, or {{'raw': waveform, "
                f"'sampling_rate': rate}}, got {type(clip).__name__}; this pipeline reads no files; {_WITH_THE_PACKAGE}"
            )
        return self.feature_extractor(np.asarray(clip), sampling_rate=rate, return_tensors="pt")

    def _forward(self, batch):
        return self.model(**batch).predictions

    def postprocess(self, predictions):
        """An entry per task."""
        return {task.name: answer_of(task, predictions[task.name][0]) for task in self.model.config.task_records}


def answer_of(task, values):
    """What a model says of a clip, in words and numbers.

    Args:
        task: its record.
        values: the prediction, a tensor (labels,); NaN where there is none.

    Returns:
        Of several regressed labels ``{"Awe": 0.71, …}``; of one its number, in the task's unit; of classes
        ``{"label": "Venezuela", "probabilities": {"China": 0.05, …}}``, with None for a class that is not known.
    """
    values = values.float().tolist()
    if task.kind != "classification":
        return values[0] if len(task.labels) == 1 else dict(zip(task.labels, values, strict=True))
    probabilities = dict(zip(task.labels, values, strict=True))
    known = not any(map(math.isnan, values))
    return {"label": max(probabilities, key=probabilities.get) if known else None, "probabilities": probabilities}
