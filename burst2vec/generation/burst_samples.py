"""Generated bursts as files: a grid of their images, and WAVs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter
from tqdm.auto import tqdm

from ..audio.encode import encode_wav
from ..drawing import COLOURS
from ..errors import DivergenceError
from ..files import write_whole
from ..flow_matching import BurstFlow
from ..msg_gan import BurstGenerator
from ..scoring import frechet_distance
from ..scoring.generated import gaussian_of
from ..waveforms import SAMPLING_RATE
from .mel_images import SILENCE, image_waveform

_AT_ONCE = 16  # images in a forward pass
_COLUMNS = 4


@torch.inference_mode()
def generate_images(
    generator: BurstGenerator | BurstFlow, labels: np.ndarray, seed: int, desc: str | None = None
) -> np.ndarray:
    """A log-mel image for each row of labels, float32 (rows, mels, frames); a row's noise is of seed and row alone.

    Args:
        labels: (rows, emotions), 0..1; a generator of one emotion makes as many images and takes no heed of them.
        desc: of a progress bar; none by default.

    Raises:
        DivergenceError: values that are not finite.
    """
    images = []
    for start in tqdm(range(0, len(labels), _AT_ONCE), desc, unit="batch", leave=False, disable=desc is None):
        asked = torch.as_tensor(labels[start : start + _AT_ONCE], device=generator.device)
        random = [torch.Generator().manual_seed(seed * 1_000_003 + start + row) for row in range(len(asked))]
        images.append(generator.sample(torch.cat([generator.draw(1, each) for each in random]), asked))
    made = torch.cat(images)[:, 0].float().cpu().numpy()
    if not np.isfinite(made).all():
        raise DivergenceError("the generator makes values that are not finite; lower its learning rate")
    return made


def write_waveforms(images: np.ndarray, folder: str | Path, desc: str) -> None:
    """Write each image's waveform as ``0001.wav`` and so on, 32-bit floats, none clipped."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for place, image in enumerate(tqdm(images, desc, unit="clip", leave=False), start=1):
        write_whole(folder / f"{place:04d}.wav", encode_wav(image_waveform(image, place), SAMPLING_RATE), force=False)


def draw_grid(
    images: np.ndarray, title: str, real: np.ndarray | None = None, names: Sequence[str] | None = None
) -> Figure:
    """Images, low channels at the bottom; of real ones, where they are given, a row above.

    Args:
        names: of the images, and of the real ones; by default "generated" and "real".
    """
    names = [""] * len(images) if names is None else [f" {name}" for name in names]
    named = [
        (f"real{name}", image) for name, image in zip(names, [] if real is None else real[:_COLUMNS], strict=False)
    ]
    named += [(f"generated{name}", image) for name, image in zip(names, images, strict=True)]
    rows = -(-len(named) // _COLUMNS)
    figure = Figure(figsize=(3.2 * _COLUMNS, 0.4 + 1.2 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (name, image) in zip(axes, named, strict=False):
        axis.imshow(image, origin="lower", aspect="auto", cmap="magma", vmin=SILENCE, vmax=2.0)
        axis.set_title(name, fontsize=6, pad=1, color=COLOURS[0] if name.startswith("real") else "black")
    figure.suptitle(title, fontsize=9)
    return figure


def draw_losses(history: Sequence[dict], distances: Sequence[dict]) -> Figure:
    """The losses of every network, as means over stretches of steps, and below the distance of the samples."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    steps = np.array([each["step"] for each in history])
    stretch = max(1, len(steps) // 500)
    for name, colour in zip([key for key in history[0] if key != "step"], COLOURS, strict=False):
        values = np.array([each[name] for each in history])
        whole = len(values) // stretch * stretch
        means = values[:whole].reshape(-1, stretch).mean(axis=1)
        above.plot(steps[stretch - 1 : whole : stretch], means, color=colour, label=name, linewidth=1)
    above.set(ylabel="loss")
    above.legend(fontsize=8)
    below.plot([each["step"] for each in distances], [each["distance"] for each in distances], "o-", color=COLOURS[2])
    below.set(xlabel="step", ylabel="Fréchet distance\nof the images' statistics", yscale="log")
    below.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))  # pictures here have no formulas, 10³ included
    below.yaxis.set_minor_formatter(NullFormatter())
    return figure


def image_statistics(images: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each channel over the frames: (images, 256)."""
    return np.concatenate([images.mean(axis=2), images.std(axis=2)], axis=1)


def image_distance(generated: np.ndarray, real: np.ndarray) -> float:
    """Fréchet distance of the images' statistics: tells during training whether samples come nearer.

    It needs no model and no waveform, and is no FID of a paper; ``score-generated`` gives that.
    """
    return frechet_distance(*gaussian_of(image_statistics(generated)), *gaussian_of(image_statistics(real)))
