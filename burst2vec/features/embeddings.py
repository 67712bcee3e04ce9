"""Frozen embeddings: a clip's frames by an encoder that was trained elsewhere and learns nothing here.

Of a speech encoder, mean and standard deviation of its last layer over the frames: 2,048 numbers of the large shapes
(1,024 features a frame), 1,536 of the base shapes (768). Of a saved Burst2Vec model, what its own pooling makes of its
encoder's frames, or its recurrent part's, before the trunk; mean and standard deviation where its heads read frames.
Frames of a waveform_cnn are its hidden units before their activation (Purohit et al., 2022, section 2.2): 20 numbers of
ten units.
"""

import functools
import json
import re
from pathlib import Path

import numpy as np
import torch
import xxhash
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor, Wav2Vec2FeatureExtractor

from ..audio import apply_transforms, read_transforms, resample
from ..configuration_burst2vec import Burst2VecConfig
from ..data.processes import bf16_is_native
from ..encoders import VectorEncoder
from ..errors import CorpusError, TransformError, WaveformError
from ..feature_extraction_burst2vec import Burst2VecFeatureExtractor
from ..modeling_burst2vec import Burst2VecForMultiTask
from ..pooling import StatisticsPooling
from ..shipped_models import place_of
from ..speech_encoder import SpeechEncoder, load_speech_model
from ..trunks import TaskModules
from ..waveforms import SAMPLING_RATE, UNIT_VARIANCE
from ..weights import MASK_EMBEDDING, refuse_missing
from .feature_set import FeatureFamily, FeatureSet

VERSION = 2  # raise it with every change that alters a value: no folder or cache of another version is reused
BATCH_SIZE_CPU = 4  # of 1, 2 and 4 the fastest by little, on one busy core (benchmarks/embed.py)
BATCH_SIZE_ACCELERATOR = 32  # as runs evaluate; not measured
_ON_THE_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
# Of a configuration what decides over no embedding.
_NO_PART = ("architectures", "conformal", "dtype", "temperatures", "torch_dtype", "transformers_version")


class RecurrentFrames(nn.Module):
    """A saved model's encoder and its recurrent part: waveforms and their mask → the part's frames, and their mask."""

    def __init__(self, encoder, recurrent):
        super().__init__()
        self.encoder, self.recurrent = encoder, recurrent

    def forward(self, waveforms, attention_mask=None):
        frames, frame_mask = self.encoder(waveforms, attention_mask)
        active = self.encoder.activation(frames) if hasattr(self.encoder, "activation") else frames
        return self.recurrent(active, frame_mask), frame_mask


class FrozenEncoder(nn.Module):
    """An encoder and its pooling, in evaluation mode, and what brings clips to the level that it was trained at.

    Args:
        encoder: waveforms and their mask → frames and theirs, as ``burst2vec.encoders`` describes.
        poolings: over the encoder's frames; several are put one after the other. By what their features' names begin
            with, "" where there is one.
        pooling: their kind and arguments, as ``Burst2VecConfig`` keeps them.
        config: the encoder's, for the digest.
        level: ``"unit variance"``, ``"peak"``, or a root-mean-square level in dB of full scale; None: as recorded.
        trim_below_db: what is cut before that, as [`Burst2VecFeatureExtractor`] has it.
        steps: of preprocessing, before both.

    Attributes:
        size: numbers of a clip.
        digest: of weights and configuration, 32 hexadecimal digits; where they lie is no part of it.
    """

    def __init__(
        self, encoder, poolings: dict, pooling: dict, config, level: str | float | None, trim_below_db=None, steps=()
    ):
        super().__init__()
        self.encoder = encoder
        self.poolings = nn.ModuleList(poolings.values())
        self.beginnings = list(poolings)
        self.pooling, self.level, self.steps = pooling, level, read_transforms(steps)
        self.size = sum(pooling.output_size for pooling in self.poolings)
        self.digest = digest_of(self, config)
        self.extractor = Burst2VecFeatureExtractor(target_rms_dbfs=level, trim_below_db=trim_below_db)
        self.device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
        self.in_bf16 = bf16_is_native()
        self.eval().requires_grad_(False).to(self.device)

    @torch.inference_mode()
    def forward(self, waveforms: list[np.ndarray]) -> np.ndarray:
        """Waveforms at 16 kHz → float32 (clips, size); a clip has the same values alone and among others.

        Raises:
            CorpusError: a clip that the steps of preprocessing refuse, or leave too little of.
        """
        try:
            clips = self.extractor(
                [self._prepare(waveform) for waveform in waveforms],
                sampling_rate=SAMPLING_RATE,
                return_tensors="pt",
            ).to(self.device)
        except (TransformError, WaveformError) as error:
            raise CorpusError(str(error)) from error
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.in_bf16):
            frames, frame_mask = self.encoder(clips["input_values"], clips["attention_mask"])
        return torch.cat([pooling(frames, frame_mask) for pooling in self.poolings], dim=-1).cpu().numpy()

    def _prepare(self, waveform: np.ndarray) -> np.ndarray:
        if self.steps:
            waveform, rate = apply_transforms(waveform, SAMPLING_RATE, self.steps)
            waveform = waveform if rate == SAMPLING_RATE else resample(waveform, rate, SAMPLING_RATE)
        return waveform

    def vector(self, waveform: np.ndarray) -> tuple[np.ndarray, str]:
        """One waveform → float32 (size,), and that nothing was mended."""
        return self([waveform])[0], ""

    def names(self) -> tuple[str, ...]:
        """``mean_0`` … ``deviation_0`` … of statistics; else the pooling's name and a number."""
        names = []
        for beginning, pooling in zip(self.beginnings, self.poolings, strict=True):
            parts = ("mean", "deviation") if isinstance(pooling, StatisticsPooling) else (self.pooling["kind"],)
            each = pooling.output_size // len(parts)
            names += [f"{beginning}{part}_{number}" for part in parts for number in range(each)]
        return tuple(names)

    def made_by(self) -> dict:
        """What decides the values, for whoever asks whether two tables may be mixed."""
        return {
            "encoder": self.digest,
            "pooling": self.pooling if len(self.pooling) > 1 else self.pooling["kind"],
            "level": self.level,
            **({} if (cut := self.extractor.trim_below_db) is None else {"trim_below_db": cut}),
            "preprocess": [step.to_dict() for step in self.steps],
            "precision": "bfloat16" if self.in_bf16 else "float32",
            "version": VERSION,
        }


def find_embedding(checkpoint: str) -> FeatureSet:
    """The feature set ``embedding:CHECKPOINT``.

    A speech encoder is given clips of zero mean and unit variance where its ``preprocessor_config.json`` says
    ``do_normalize``, and else as recorded. A Burst2Vec model is given clips after its own steps of preprocessing, at
    its own level: hand it clips as they were before these. Values are computed in bfloat16 where the machine has it in
    hardware, and the tables say so.

    Args:
        checkpoint: a folder, or a name on the Hub, of wav2vec 2.0, HuBERT, WavLM and their kin, or of a saved Burst2Vec
            model that takes waveforms; weights in safetensors.

    Raises:
        CorpusError: no such checkpoint, one without all weights of its encoder, or one that is neither.
    """
    frozen = _find(checkpoint)
    batch_size = BATCH_SIZE_CPU if frozen.device.type == "cpu" else BATCH_SIZE_ACCELERATOR
    return FeatureSet(frozen.size, frozen.vector, frozen.names, frozen.made_by, frozen, batch_size)


def embedding_folder(checkpoint: str) -> str:
    """``embedding-hubert-base-ls960-0f3a9c12``: the last part of the checkpoint's name, and eight of its digest."""
    last = (_folder_of(checkpoint) or Path(checkpoint)).name
    return f"embedding-{re.sub('[^A-Za-z0-9._-]+', '-', last)}-{_find(checkpoint).digest[:8]}"


def checkpoint_at_hand(checkpoint: str) -> bool:
    """Whether it is a folder that there is, or could be a name on the Hub, which has an owner.

    >>> checkpoint_at_hand("facebook/hubert-base-ls960"), checkpoint_at_hand("my-hubert"), checkpoint_at_hand("a/b/c")
    (True, False, False)
    """
    return _folder_of(checkpoint) is not None or bool(_ON_THE_HUB.fullmatch(checkpoint))


EMBEDDING = FeatureFamily("CHECKPOINT", find_embedding, embedding_folder, at_hand=checkpoint_at_hand)


def _folder_of(checkpoint: str) -> Path | None:
    try:
        folder = Path(place_of(checkpoint)).expanduser()
    except FileNotFoundError as error:
        raise CorpusError(f"embedding:{checkpoint}: {error}") from error
    return folder.resolve() if folder.is_dir() else None


def _find(checkpoint: str) -> FrozenEncoder:
    if not checkpoint_at_hand(checkpoint):
        raise CorpusError(
            f"embedding:{checkpoint}: no such folder, and no name on the Hub, which is OWNER/NAME; say where it lies: "
            f"embedding:FOLDER/{Path(checkpoint).name}"
        )
    folder = _folder_of(checkpoint)
    if folder is None:
        return _load(checkpoint, ())
    states = ((path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file())
    return _load(str(folder), tuple((name, state.st_size, state.st_mtime_ns) for name, state in states))


@functools.lru_cache(maxsize=2)  # a gigabyte each
def _load(checkpoint: str, states: tuple) -> FrozenEncoder:
    """``states`` of a folder's files tell when it is to be read again."""
    try:
        model, extractor = _read(checkpoint)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:  # RuntimeError: weights of another shape
        raise CorpusError(f"embedding:{checkpoint}: {error}") from error
    try:
        return (_of_burst2vec if isinstance(model, Burst2VecForMultiTask) else _of_speech_encoder)(model, extractor)
    except ValueError as error:
        raise CorpusError(f"embedding:{checkpoint}: {error}") from error


def _read(checkpoint: str) -> tuple:
    """Model and feature extractor, as whoever trained them saved them; nothing that they bring along is run."""
    config = AutoConfig.from_pretrained(checkpoint, trust_remote_code=False)
    if isinstance(config, Burst2VecConfig):
        model, found = Burst2VecForMultiTask.from_pretrained(
            checkpoint, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        refuse_missing(found["missing_keys"], spared=MASK_EMBEDDING)
    else:
        model = load_speech_model(checkpoint)
    return model, _read_extractor(checkpoint)


def pretrained_level(checkpoint: str) -> str | float | None:
    """What an encoder was trained on, by its checkpoint's ``preprocessor_config.json``.

    Returns:
        Of a saved Burst2Vec model its ``target_rms_dbfs``; of a speech encoder ``"unit variance"`` where that says
        ``do_normalize``, else None, clips as recorded.

    Raises:
        CorpusError: it is of another kind than wav2vec 2.0's, or of another rate than 16 kHz.
        OSError: there is none.
    """
    extractor = _read_extractor(place_of(checkpoint))
    return extractor.target_rms_dbfs if isinstance(extractor, Burst2VecFeatureExtractor) else _level(extractor)


def _read_extractor(checkpoint: str):
    extractor = AutoFeatureExtractor.from_pretrained(checkpoint, trust_remote_code=False)
    if extractor.sampling_rate != SAMPLING_RATE:
        raise CorpusError(f"it takes {extractor.sampling_rate} Hz; clips here have {SAMPLING_RATE} Hz")
    return extractor


def _level(extractor) -> str | None:
    if not isinstance(extractor, Wav2Vec2FeatureExtractor):
        raise CorpusError(
            f"its preprocessor_config.json names {type(extractor).__name__}, not Wav2Vec2FeatureExtractor"
        )
    return UNIT_VARIANCE if extractor.do_normalize else None


def _of_speech_encoder(model, extractor) -> FrozenEncoder:
    encoder = SpeechEncoder(model)
    return FrozenEncoder(
        encoder, {"": StatisticsPooling(encoder.size)}, {"kind": "statistics"}, model.config, _level(extractor)
    )


def _of_burst2vec(model, extractor) -> FrozenEncoder:
    if isinstance(model.encoder, VectorEncoder):
        raise CorpusError("this model takes vectors, which are feature sets already; give one that takes waveforms")
    pooling = model.config.pooling
    if model.config.heads_read != "clip":  # what its heads say of frames is pooled, not the frames
        poolings, pooling = {"": model.functionals}, {"kind": "statistics"}
    elif isinstance(model.pooling, TaskModules):
        poolings = {f"{task}_": model.pooling[task] for task in model.tasks}
    else:
        poolings = {"": model.pooling}
    config = model.config.encoder_config
    encoder = model.encoder if model.recurrent is None else RecurrentFrames(model.encoder, model.recurrent)
    prepared = extractor.target_rms_dbfs, extractor.trim_below_db, extractor.preprocess
    return FrozenEncoder(encoder, poolings, pooling, config, *prepared)


def digest_of(module: nn.Module, config) -> str:
    """Of weights and configuration, 32 hexadecimal digits; where they lie is no part of it."""
    digest = xxhash.xxh3_128()
    decisive = {
        key: value for key, value in config.to_diff_dict().items() if key not in _NO_PART and not key.startswith("_")
    }
    digest.update(json.dumps(decisive, sort_keys=True, default=str).encode())
    for name, tensor in sorted(module.state_dict().items()):
        if not name.endswith(MASK_EMBEDDING):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
