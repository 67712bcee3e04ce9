"""Clips → a padded batch: the same checks, cut and level in training, in the pipeline and in a model from the Hub."""

import numpy as np
from transformers import BatchFeature
from transformers.feature_extraction_sequence_utils import SequenceFeatureExtractor

from .errors import WaveformError
from .shipped_models import place_of
from .waveforms import SAMPLING_RATE, TARGET_RMS_DBFS, check_waveform, pad, scale_to, trim_quiet


class Burst2VecFeatureExtractor(SequenceFeatureExtractor):
    """Checks each clip, brings it to one level and pads the batch with zeros (Burst2Vec, section 4.1, Appendix C).

    Before it is levelled a clip may be cut to its burst (``trim_below_db``).

    Args:
        sampling_rate: of the clips, Hz; resample before (``burst2vec.audio.load_audio`` does).
        target_rms_dbfs: root-mean-square level in dB of full scale that every clip is brought to, never clipped;
            None leaves levels as they are; ``"unit variance"`` brings each clip to mean 0 and variance 1, as many
            pretrained encoders are fed; ``"peak"`` divides each clip by its greatest absolute sample.
        trim_below_db: before the level, each clip is cut to what lies between the first and the last 20 ms of a power
            at most so many dB below that of the loudest, and 0.1 s around; None: clips stay whole.
        preprocess: what was done to the clips before this, in training: transforms, as
            ``burst2vec.audio.read_transforms`` takes them. They are recorded here and not done here: they need the
            package, which does not travel with the weights. The pipeline does them; elsewhere,
            ``burst2vec.audio.apply_transforms`` comes first.
        features: of a model that takes vectors, the feature sets that make them, by name and in their order, such as
            ``["compare", "egemaps"]``. Recorded here and not computed here, like the steps; the pipeline does. The
            vectors take the place of the clips, ``feature_size`` numbers each, and are neither levelled nor padded.
        normalise_per_speaker: whether those vectors were centred and scaled by their speaker's mean and deviation
            (``burst2vec.data.vectors.normalise_per_speaker``). Recorded, not done: one clip has no such statistics.

    Raises:
        ValueError: the old name of ``target_rms_dbfs``, as a model of before has it.

    >>> batch = Burst2VecFeatureExtractor()([np.ones(400, "f"), np.ones(500, "f")], sampling_rate=16000)
    >>> batch["input_values"].shape, batch["attention_mask"].sum(axis=1).tolist()
    ((2, 500), [400, 500])
    >>> Burst2VecFeatureExtractor(features=["mine"], feature_size=3)([[1.0, 2.0, 3.0]])["input_values"].shape
    (1, 3)
    """

    model_input_names = ["input_values", "attention_mask"]

    def __init__(
        self,
        feature_size=1,
        sampling_rate=SAMPLING_RATE,
        padding_value=0.0,
        target_rms_dbfs=TARGET_RMS_DBFS,
        preprocess=(),
        features=(),
        normalise_per_speaker=False,
        trim_below_db=None,
        **kwargs,
    ):
        if "level_dbfs" in kwargs:
            raise ValueError(
                f"level_dbfs {kwargs['level_dbfs']}: its name is target_rms_dbfs now; rename it in the model's "
                "preprocessor_config.json"
            )
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)
        self.target_rms_dbfs, self.trim_below_db = target_rms_dbfs, trim_below_db
        self.preprocess = list(preprocess)
        self.features = list(features)
        self.normalise_per_speaker = normalise_per_speaker

    @classmethod
    def get_feature_extractor_dict(cls, pretrained_model_name_or_path, **kwargs):
        """As transformers reads a ``preprocessor_config.json``; also of a model that comes with the package."""
        return super().get_feature_extractor_dict(place_of(pretrained_model_name_or_path), **kwargs)

    def __call__(self, clips, sampling_rate=None, names=None, return_tensors=None) -> BatchFeature:
        """Prepare clips for the model.

        Args:
            clips: one waveform (samples,), or a list of them, of 400 samples (25 ms) to 60 s, one channel each; of a
                model with ``features``, one vector (features,), or a list of them.
            sampling_rate: of the clips, Hz; state it, so that another rate is refused and not misheard.
            names: what to call each clip in an error; default "clip 0" and so on.
            return_tensors: ``"pt"`` for torch, ``"np"`` or None for numpy.

        Returns:
            ``input_values`` float32 (batch, samples) and ``attention_mask`` int64 (batch, samples); of vectors,
            ``input_values`` (batch, features) alone.

        Raises:
            WaveformError: a clip that cannot be a burst, by name; a vector of another size, or with a value that is not
                finite.
            ValueError: another sampling rate.
        """
        if sampling_rate is not None and sampling_rate != self.sampling_rate:
            raise ValueError(
                f"the clips are at {sampling_rate} Hz and the model takes {self.sampling_rate} Hz; resample first, "
                f"for example with burst2vec.audio.load_audio(path, sampling_rate={self.sampling_rate})"
            )
        if isinstance(clips, np.ndarray) and clips.dtype != object or not len(clips) or np.isscalar(clips[0]):
            clips = [clips]
        names = names or [f"clip {place}" for place in range(len(clips))]
        if self.features:
            vectors = [self._check_vector(clip, name) for clip, name in zip(clips, names, strict=True)]
            return BatchFeature({"input_values": np.stack(vectors)}, tensor_type=return_tensors)
        waveforms = [check_waveform(clip, name) for clip, name in zip(clips, names, strict=True)]
        trimmed = [trim_quiet(waveform, self.trim_below_db) for waveform in waveforms]
        values, mask = pad([scale_to(waveform, self.target_rms_dbfs) for waveform in trimmed], self.padding_value)
        return BatchFeature({"input_values": values, "attention_mask": mask}, tensor_type=return_tensors)

    def _check_vector(self, vector, name: str) -> np.ndarray:
        vector = np.asarray(vector)
        if vector.shape != (self.feature_size,):
            raise WaveformError(
                f"{name}: has shape {vector.shape}, and the model takes vectors of {self.feature_size} numbers, of "
                f"{self.features}; pipeline('vocal-burst-analysis', …) computes them from a recording"
            )
        vector = vector.astype(np.float32)
        if not np.isfinite(vector).all():
            where = int(np.flatnonzero(~np.isfinite(vector))[0])
            raise WaveformError(f"{name}: value {where} is {vector[where]}; every value must be a finite number")
        return vector
