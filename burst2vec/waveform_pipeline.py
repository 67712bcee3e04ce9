"""The pipeline that travels with a model, for who does not have the package: waveforms in, the same answers out.

    transformers.pipeline(model="you/model", trust_remote_code=True)(waveform)

transformers finds it by ``custom_pipelines`` of the model's configuration. Its task has another name than the package's
pipeline, because of one that a model brings itself transformers asks ``trust_remote_code`` of everybody.
"""

import numpy as np
from transformers import Pipeline

from .answers import answers_of, check_coverage

CUSTOM_PIPELINES = {
    "vocal-burst-analysis-of-waveforms": {
        "impl": "waveform_pipeline.WaveformPipeline",
        "pt": ["AutoModel"],
        "type": "audio",
    }
}
_WITH_THE_PACKAGE = "with the package, pip install burst2vec, pipeline('vocal-burst-analysis', model=…) does"


class WaveformPipeline(Pipeline):
    """Answers of one waveform, or of each of a list; see ``answers_of`` for their form.

    A waveform is an array (samples,) at the model's rate, or a mapping with ``raw`` or ``array``, and
    ``sampling_rate``.

    Args of a call:
        coverage: such as 0.9: also intervals and sets that hold the label of that many clips of new speakers.
        batch_size: clips to put through the model at once.

    Raises:
        ValueError: a model whose clips go through preprocessing or feature sets, a clip that is no waveform, or another
            rate, or a coverage that the model has no quantiles for; says what to do.
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

    def _sanitize_parameters(self, coverage=None, **kwargs):
        if kwargs:
            raise ValueError(
                f"unknown arguments {sorted(kwargs)}; this pipeline takes coverage and batch_size; {_WITH_THE_PACKAGE}"
            )
        if coverage is None:
            return {}, {}, {}
        check_coverage(self.model.config.conformal, coverage)
        return {}, {}, {"coverage": coverage}

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

    def postprocess(self, predictions, coverage=None):
        """An entry per task."""
        values = {name: of_task[0].float().tolist() for name, of_task in predictions.items()}
        return answers_of(self.model.config.task_records, values, self.model.config.conformal, coverage)
