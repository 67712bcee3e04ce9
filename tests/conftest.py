"""Tiny encoders, built from configurations: nothing goes to the network."""

import gc
import os
import threading

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import pytest
import torch
from tqdm import tqdm
from transformers import AutoConfig

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask
from burst2vec.scoring import calibrate
from burst2vec.tasks import TASK_PRESETS

# Tests fork processes and kill them at any moment. tqdm's own lock is shared with them: one that is killed while its
# bar is drawn would leave it locked for whoever is forked next. A lock of threads is each process's own, and without
# tqdm's monitor no other thread holds it at a fork.
tqdm.monitor_interval = 0
tqdm.set_lock(threading.RLock())


def pytest_collection_finish():
    """What is imported and collected by now stays: each run that ends has it looked through for what could be freed."""
    gc.freeze()


TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
FAMILIES = ("hubert", "wav2vec2", "wavlm")  # those that most checkpoints are of; all: burst2vec.speech_encoder


def tiny_encoder_config(family="hubert", style="base", **changes):
    """The shape of a family's published encoder, made small: "base" has group norm in front, "large" layer norm."""
    large = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
    small = {**TINY, "conv_dim": [16] * len(AutoConfig.for_model(family).conv_kernel)}
    if family == "data2vec-audio":
        small["num_conv_pos_embeddings"] = 5  # here it is the number of layers; each is as wide as the published
    return AutoConfig.for_model(family, **{**small, **(large if style == "large" else {}), **changes})


def tiny_model(family="hubert", style="base", seed=0, encoder_changes=None, **kwargs):
    """A model with random weights, in evaluation mode; the output layers are widened so that clips differ."""
    torch.manual_seed(seed)
    encoder_config = tiny_encoder_config(family, style, **(encoder_changes or {}))
    trunk = {"kind": "shared_private", "projection_size": 24, "hidden_size": 20}
    kwargs = {"trunk": trunk, "initializer_range": 0.3, **kwargs}
    return Burst2VecForMultiTask(Burst2VecConfig(encoder_config=encoder_config, **kwargs)).eval()


def save_tiny_model(folder):
    """A tiny model and its feature extractor, saved as a pipeline loads them; the folder."""
    tiny_model().save_pretrained(folder)
    Burst2VecFeatureExtractor().save_pretrained(folder)
    return folder


def exvo_quantiles():
    """Conformal quantiles of 60 speakers, of a clip each: all three years off, and countries of a probability of 0.6.

    Without the emotions, of which the validation clips have no labels.
    """
    tasks = [task for task in TASK_PRESETS["exvo"] if task.name != "emotion"]
    predictions = {"age": np.full((60, 1), 30.0), "country": np.tile([0.6, 0.2, 0.1, 0.1], (60, 1))}
    labels = {"age": np.full((60, 1), 33.0), "country": np.zeros(60, int)}
    return calibrate(tasks, predictions, labels, [f"S{number}" for number in range(60)])


def noise_clips(*lengths, seed=0):
    """Waveforms of the given numbers of samples."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=length).astype(np.float32) for length in lengths]


def exvo_labels(batch, seed=0):
    """Labels of the three ExVo tasks for a batch, as the collator gives them."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "emotion": torch.rand(batch, 10, generator=generator),
        "age": 20 + 19 * torch.rand(batch, 1, generator=generator),
        "country": torch.randint(0, 4, (batch,), generator=generator),
    }


@pytest.fixture
def extract():
    """Clips to a batch of tensors at 16 kHz."""
    extractor = Burst2VecFeatureExtractor()
    return lambda clips: extractor(clips, sampling_rate=16000, return_tensors="pt")


def learnt_beside_nan_padding(model):
    """A model's output for frames of two clips, of 3 and of 1, of which the padding is NaN; its gradients are there."""
    clips = torch.randn(2, 3, 4)
    clips[1, 1:] = float("nan")
    model.encoder.forward = lambda values, mask: (clips, torch.tensor([[True] * 3, [True, False, False]]))
    output = model(clips, labels=exvo_labels(2))
    output.loss.backward()
    return output
