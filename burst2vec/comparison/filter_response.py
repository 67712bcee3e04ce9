"""The cumulative frequency response of the filters in a waveform CNN's first convolution."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..audio import read_transforms
from ..drawing import COLOURS, save_figure
from ..errors import RunError
from ..experiment.building import load_extractor, load_model
from ..waveform_cnn import WaveformCNN
from ..waveforms import SAMPLING_RATE

FFT_SIZE = 1024  # a bin every 15.6 Hz


def cumulative_response(filters, fft_size: int = FFT_SIZE) -> tuple[np.ndarray, np.ndarray]:
    r"""The cumulative frequency response of Palaz, Magimai-Doss and Collobert (2019), "End-to-end acoustic modeling
    using convolutional neural networks for HMM-based automatic speech recognition".

    .. math:: F_{cum}(k) = \sum_m \frac{F_m(k)}{\|F_m\|_2}, \quad F_m(k) = |DFT(filter_m)(k)|

    with the norm over the bins from 0 Hz to half the sampling rate. A filter of zeros passes nothing: it adds 0.

    Args:
        filters: (filters, taps), of a first layer at 16 kHz.
        fft_size: the filters are zero-padded to it.

    Returns:
        frequencies in Hz and the response, each (fft_size // 2 + 1,).

    Raises:
        RunError: filters of another shape, that are not finite, or longer than ``fft_size``.

    A difference of two samples has |1 − e^{−iω}| = 2 |sin(ω/2)|: 0, √2 and 2 at 0, 4 and 8 kHz, of norm √6.

    >>> hz, response = cumulative_response([[1.0, -1.0]], fft_size=4)
    >>> hz.tolist(), (response * 6**0.5).round(4).tolist()
    ([0.0, 4000.0, 8000.0], [0.0, 1.4142, 2.0])
    """
    filters = np.asarray(filters, dtype=np.float64)
    if filters.ndim != 2 or not filters.size or filters.shape[1] > fft_size:
        raise RunError(f"filters are {filters.shape}, not (filters, taps) of at most {fft_size} taps")
    if not np.isfinite(filters).all():
        raise RunError("a filter is not finite")
    magnitudes = np.abs(np.fft.rfft(filters, fft_size, axis=1))
    norms = np.linalg.norm(magnitudes, axis=1, keepdims=True)
    normalised = np.divide(magnitudes, norms, out=np.zeros_like(magnitudes), where=norms > 0)
    return np.fft.rfftfreq(fft_size, 1 / SAMPLING_RATE), normalised.sum(axis=0)


def first_filters(folder: str | Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """The filters (filters, taps) of a saved model's first convolution, and the names of its preprocessing steps.

    Raises:
        RunError: no saved model, one that is not whole, or one with another encoder than waveform_cnn.
    """
    model = load_model(folder)
    if not isinstance(model.encoder, WaveformCNN):
        kind = getattr(model.config.encoder_config, "kind", None) or model.config.encoder_config.model_type
        raise RunError(f"{folder}: its encoder is {kind!r}; only a waveform_cnn has filters over the waveform")
    steps = tuple(step.name for step in read_transforms(load_extractor(folder).preprocess or ()))
    return model.encoder.convolutions[0].weight.detach().numpy()[:, 0], steps


def plot_frequency_responses(folders: Sequence[str | Path], path: str | Path) -> Path:
    """A line for each saved model: its cumulative response divided by the number of its filters.

    Raises:
        RunError: as [`first_filters`].
    """
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axis = figure.subplots()
    names = [Path(folder).resolve().name for folder in folders]
    for place, folder in enumerate(folders):
        filters, steps = first_filters(folder)
        hz, response = cumulative_response(filters)
        name = names[place] if names.count(names[place]) == 1 else str(folder)
        label = f"{name}: {len(filters)} filters" + (f" after {', '.join(steps)}" if steps else "")
        style = ("-", "--", ":", "-.")[place // len(COLOURS) % 4]
        colour = COLOURS[place % len(COLOURS)]
        axis.plot(hz / 1000, response / len(filters), style, color=colour, linewidth=1.5, label=label)
    axis.set(
        title="Cumulative frequency response of the first convolution",
        xlabel="frequency (kHz)",
        ylabel="response / number of filters",
        xlim=(0, SAMPLING_RATE / 2000),
    )
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return save_figure(figure, path)
