"""Deep spectrum: a clip's spectrogram, coloured as an image, through a network that was trained on photographs.

Amiriparian et al. (2017), "Snore sound classification using image-based deep spectrum features", Interspeech: the
image goes through VGG-19, and the activations of its second fully connected layer, 4,096 numbers, are the vector.
Spectrograms are as their toolkit DeepSpectrum draws them: Hann windows of 512 samples (32 ms) every 256, not centred,
257 bins on a linear scale, which is the toolkit's default, or 128 channels of Slaney's mel scale; dB below the loudest
value, all of a clip's range spread over the colours of viridis, low tones at the bottom.

The ExVo white paper (section 4) has the toolkit's default parameters, VGG-19 and viridis. Ours differ in this: the
toolkit draws images of 227 by 227 and resizes these to 224, ours are resized to 224 by 224 at once, by Pillow,
bilinearly (antialiased where they shrink); it has Keras' weights, of which those of torchvision and timm are no copy,
and ours are normalised by ImageNet's mean and deviation because they were trained so; it drops clips under a window,
ours are padded because every clip needs an answer.

The weights are a file that the user names, ``deep_spectrum:WEIGHTS.safetensors`` (linear) or
``deep_spectrum_mel:WEIGHTS.safetensors``, such as ``model.safetensors`` of timm/vgg19.tv_in1k on the Hub:
``hf download timm/vgg19.tv_in1k model.safetensors --local-dir vgg19``.
"""

import re
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import PIL
import torch
import xxhash
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import nn

from ..data.processes import bf16_is_native
from ..errors import CorpusError, MissingPackageError
from ..frontends import mel_filters
from .feature_set import FeatureFamily, FeatureSet

WINDOW_SAMPLES = 512  # the next power of two of 25 ms, and what mel_filters are for
HOP_SAMPLES = 256
SCALES = ("linear", "mel")
CHANNELS = 128  # of mel
LEAST_POWER = 1e-10  # in a bin or channel, full scale 1
IMAGE_SIZE = 224  # pixels, both ways: VGG-19's
IMAGE_MEAN = (0.485, 0.456, 0.406)  # red, green, blue of ImageNet, as torchvision has them
IMAGE_DEVIATION = (0.229, 0.224, 0.225)
BATCH_SIZE_CPU = 4  # 0.44 s a clip on one core, beside 0.74 s one by one
BATCH_SIZE_ACCELERATOR = 64
LOGITS = ("classifier.6.", "head.fc.")  # the third fully connected layer, after what is wanted
OF_TIMM = {"pre_logits.fc1.": "classifier.0.", "pre_logits.fc2.": "classifier.3."}  # its names for torchvision's
VERSION = 2  # raise it with every change that alters a value: no folder or cache of another version is reused


def decibels_of(waveform: np.ndarray, scale: str = "linear") -> np.ndarray:
    """The spectrogram in dB below its loudest value.

    A clip under 512 samples is padded with zeros at its end; of a longer one, the last up to 255 samples, which do not
    fill a window, are left out. Power under 1e-10 is taken for 1e-10.

    Args:
        waveform: float32, shape (samples,) at 16 kHz.
        scale: of frequencies: ``"linear"``, 257 bins from 0 Hz to 8 kHz, or ``"mel"``, 128 channels.

    Returns:
        float32, shape (257, frames) or (128, frames), from the lowest to the highest; 0 or less, and all 0 of silence.

    Raises:
        CorpusError: another scale.

    >>> silence = np.zeros(16000, np.float32)
    >>> decibels_of(silence).shape, decibels_of(silence, "mel").shape  # (16000 − 512) // 256 + 1 frames
    ((257, 61), (128, 61))
    """
    if scale not in SCALES:
        raise CorpusError(f"scale {scale!r} is not one of {list(SCALES)}")
    waveform = torch.from_numpy(np.pad(waveform, (0, max(0, WINDOW_SAMPLES - waveform.size))))
    frames = waveform.unfold(0, WINDOW_SAMPLES, HOP_SAMPLES) * torch.hann_window(WINDOW_SAMPLES)  # periodic
    power = torch.fft.rfft(frames).abs().square()
    if scale == "mel":
        power = power @ mel_filters(CHANNELS, torch.device("cpu"))
    decibels = 10 * power.clamp(min=LEAST_POWER).log10()
    return (decibels - decibels.max()).T.numpy()


def colour(decibels: np.ndarray) -> np.ndarray:
    """A spectrogram as an image: viridis from its lowest value to its highest, low tones at the bottom.

    Args:
        decibels: float, shape (channels, frames); where all values are equal, all pixels get the lowest colour.

    Returns:
        uint8, shape (224, 224, 3): rows, columns, and red, green and blue.

    The upper left pixel is of the highest channel and the first frame; viridis goes from (68, 1, 84) to (253, 231, 36).

    >>> image = colour(np.array([[-80.0, -80.0], [0.0, -80.0]]))
    >>> image[0, 0].tolist(), image[-1, 0].tolist()
    ([253, 231, 36], [68, 1, 84])
    """
    import matplotlib  # not with every import of burst2vec

    lowest, highest = decibels.min(), decibels.max()
    share = (decibels - lowest) / (highest - lowest if highest > lowest else 1)
    pixels = matplotlib.colormaps["viridis"](share[::-1], bytes=True)[..., :3]
    return np.array(Image.fromarray(pixels).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR))


def draw(waveform: np.ndarray, scale: str = "linear") -> tuple[np.ndarray, str]:
    """The image of a clip, uint8 (224, 224, 3), and what is to be noted of it; ``scale`` as ``decibels_of`` has it.

    A clip under 512 samples is padded; silence is an image of one colour. Both have a vector like any other clip.
    """
    notes = []
    if waveform.size < WINDOW_SAMPLES:
        notes.append(f"padded to {WINDOW_SAMPLES} samples")
    decibels = decibels_of(waveform, scale)
    if decibels.min() == decibels.max():
        notes.append("silent: an image of one colour")
    return colour(decibels), ", ".join(notes)


class DeepSpectrumNetwork(nn.Module):
    """VGG-19 up to its second fully connected layer and the rectifier after it: images → vectors.

    Args:
        tensors: the weights, by torchvision's names (``features.0.weight`` to ``classifier.3.bias``) or timm's, where
            the fully connected layers are convolutions; those of the third may be there, and are left out.

    Raises:
        CorpusError: a weight is missing, or one too many, or has another shape; names it.
        MissingPackageError: torchvision is not installed.
    """

    def __init__(self, tensors: dict[str, torch.Tensor]):
        super().__init__()
        with torch.device("meta"):  # no 140 million numbers drawn at random, only to be replaced
            vgg = _vgg19()
        self.features, self.avgpool, self.classifier = vgg.features, vgg.avgpool, vgg.classifier[:5]
        self.size = self.classifier[3].out_features
        self.load_state_dict(_arranged(tensors, self.state_dict()), assign=True)
        self.digest = _digest(self)
        self.device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
        self.in_bf16 = bf16_is_native()
        self.eval().requires_grad_(False).to(self.device)

    @torch.inference_mode()
    def forward(self, images: np.ndarray) -> np.ndarray:
        """uint8 (clips, 224, 224, 3) → float32 (clips, 4096), 0 or more."""
        pixels = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float() / 255
        mean, deviation = (torch.tensor(each, device=self.device) for each in (IMAGE_MEAN, IMAGE_DEVIATION))
        pixels = (pixels - mean[:, None, None]) / deviation[:, None, None]
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.in_bf16):
            activations = self.classifier(self.avgpool(self.features(pixels)).flatten(1))
        return activations.float().cpu().numpy()

    def vector(self, waveform: np.ndarray, scale: str = "linear") -> tuple[np.ndarray, str]:
        """A waveform at 16 kHz → float32 (4096,), and what is to be noted of it."""
        image, note = draw(waveform, scale)
        return self(image[None])[0], note

    def vectors(self, waveforms: list[np.ndarray], scale: str = "linear") -> np.ndarray:
        """Waveforms at 16 kHz → float32 (clips, 4096)."""
        return self(np.stack([draw(waveform, scale)[0] for waveform in waveforms]))

    def names(self) -> tuple[str, ...]:
        """``fc2_0`` and so on."""
        return tuple(f"fc2_{number}" for number in range(self.size))

    def made_by(self, scale: str = "linear") -> dict:
        """What decides the values, for whoever asks whether two tables may be mixed."""
        return {
            "weights": self.digest,
            "scale": scale,
            "precision": "bfloat16" if self.in_bf16 else "float32",
            "pillow": PIL.__version__,
            "version": VERSION,
        }


def find_deep_spectrum(path: str, scale: str = "linear") -> FeatureSet:
    """The feature set ``deep_spectrum:WEIGHTS.safetensors``, or ``deep_spectrum_mel:WEIGHTS.safetensors``.

    Several clips at once are drawn and put through the network in one process; padding and silence are noted only of
    clips one by one.

    Args:
        path: of the weights, by torchvision's names or timm's; see the head of this file for where they are.
        scale: of frequencies, as ``decibels_of`` has it.

    Raises:
        CorpusError: no such file, not safetensors, or not VGG-19's weights; names it.
        MissingPackageError: torchvision is not installed.
    """
    network = _find(path)
    batch_size = BATCH_SIZE_CPU if network.device.type == "cpu" else BATCH_SIZE_ACCELERATOR
    vector, made_by, vectors = (
        partial(method, scale=scale) for method in (network.vector, network.made_by, network.vectors)
    )
    return FeatureSet(network.size, vector, network.names, made_by, vectors, batch_size)


def deep_spectrum_folder(path: str, family: str = "deep_spectrum") -> str:
    """``deep_spectrum-vgg19-0f3a9c12``: the name of the weights' file, and eight digits of their digest."""
    return f"{family}-{re.sub('[^A-Za-z0-9._-]+', '-', Path(path).stem)}-{_find(path).digest[:8]}"


def _is_there(path: str) -> bool:
    return Path(path).expanduser().is_file()


DEEP_SPECTRUM = FeatureFamily("WEIGHTS.safetensors", find_deep_spectrum, deep_spectrum_folder, at_hand=_is_there)
DEEP_SPECTRUM_MEL = FeatureFamily(
    "WEIGHTS.safetensors",
    partial(find_deep_spectrum, scale="mel"),
    partial(deep_spectrum_folder, family="deep_spectrum_mel"),
    at_hand=_is_there,
)


def _find(path: str) -> DeepSpectrumNetwork:
    file = Path(path).expanduser()
    if not file.is_file():
        raise CorpusError(
            f"deep_spectrum:{path}: no such file; VGG-19's weights are fetched, for example, with "
            "hf download timm/vgg19.tv_in1k model.safetensors --local-dir vgg19"
        )
    if file.suffix != ".safetensors":
        raise CorpusError(
            f"deep_spectrum:{path}: not a .safetensors file, and no other is opened, because a pickle can run code; "
            "timm/vgg19.tv_in1k on the Hub has one"
        )
    state = file.stat()
    return _load(str(file.resolve()), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1)  # half a gigabyte
def _load(path: str, size: int, changed: int) -> DeepSpectrumNetwork:
    """``size`` and ``changed`` tell when the file is to be read again."""
    try:
        with safe_open(path, "pt") as file:
            names = [name for name in file.keys() if not name.startswith(LOGITS)]
            return DeepSpectrumNetwork({name: file.get_tensor(name) for name in names})
    except (OSError, SafetensorError, ValueError) as error:
        raise CorpusError(f"deep_spectrum:{path}: cannot be read as VGG-19's weights: {error}") from error


def _vgg19():
    try:
        from torchvision.models import vgg19  # an extra
    except ImportError as error:
        raise MissingPackageError(
            "deep spectrum features need torchvision: pip install 'burst2vec[features]'"
        ) from error
    return vgg19(init_weights=False)


def _arranged(tensors: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under torchvision's names, in its shapes and float32."""
    renamed = {}
    for name, tensor in tensors.items():
        if name.startswith(LOGITS):
            continue
        beginning = next((timms for timms in OF_TIMM if name.startswith(timms)), None)
        if beginning is not None:
            name = OF_TIMM[beginning] + name.removeprefix(beginning)
            if tensor.dim() == 4:  # (out, channels, rows, columns): how the image is laid out before it is flattened
                tensor = tensor.flatten(1)
        renamed[name] = tensor
    missing, more = sorted(wanted.keys() - renamed.keys()), sorted(renamed.keys() - wanted.keys())
    for names, what in ((missing, "missing"), (more, "too many")):
        if names:
            raise CorpusError(
                f"{len(names)} weights are {what}, such as {names[0]}; VGG-19's go from features.0 to classifier.3"
            )
    for name, tensor in renamed.items():
        if tensor.shape != wanted[name].shape:
            raise CorpusError(f"{name} has the shape {tuple(tensor.shape)}, VGG-19's {tuple(wanted[name].shape)}")
        if not (tensor.is_floating_point() and tensor.isfinite().all()):
            raise CorpusError(f"{name} holds {tensor.dtype}, or what is not a finite number")
    return {name: tensor.float() for name, tensor in renamed.items()}


def _digest(network: nn.Module) -> str:
    digest = xxhash.xxh3_128()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()
