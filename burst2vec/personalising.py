"""A model for one speaker, from a few of the speaker's clips and their labels; the given model stays as it is.

Two ways. A bias and a scale for each regressed label, in closed form: nothing is trained, and they stand in the
configuration of the model. Or some of the model's own weights are tuned on the clips; the encoder's never are, so that
its frames are computed once.
"""

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from .data.collating import label_array
from .errors import Burst2VecError, SupportError
from .feature_extraction_burst2vec import Burst2VecFeatureExtractor
from .modeling_burst2vec import Burst2VecForMultiTask
from .tasks import Task

BIAS_AND_SCALE = "bias_and_scale"
SCALE_DEVIATION = 0.25  # of speakers' scales about 1, by which the estimate of one is drawn to 1; our choice


def personalise(
    model: Burst2VecForMultiTask,
    extractor: Burst2VecFeatureExtractor,
    support_clips: Sequence,
    support_labels: Mapping[str, Sequence],
    tune: str | Sequence[str] = BIAS_AND_SCALE,
) -> Burst2VecForMultiTask:
    """A model for the speaker of the support clips.

    Args:
        model: of any kind. It keeps its weights, its configuration and its mode.
        extractor: the model's.
        support_clips: what the extractor takes: waveforms (samples,) at its rate, after its ``preprocess``; of a model
            with ``features``, vectors (features,), on the speaker's scale where it says ``normalise_per_speaker``.
        support_labels: by task, for as many tasks as there are labels of: a regression's in its unit, (clips, labels)
            in the order of ``task.labels``; of a classification the index of the class, (clips,).
        tune: ``"bias_and_scale"``: see [`fit_bias_and_scale`]; classifications answer as before.

    Returns:
        A model of its own, in evaluation mode, which is saved, loaded and put into a pipeline as any other.

    Raises:
        SupportError: no clips; labels that are missing, out of the task's span, of another shape or of a task that the
            model does not have; no label of a regression for ``"bias_and_scale"``.
        WaveformError: a clip that the extractor refuses; it is called "support clip 0" and so on.
    """
    if tune != BIAS_AND_SCALE:
        raise SupportError(f"tune {tune!r} is not {BIAS_AND_SCALE!r}")
    labels = check_support(model.tasks, support_clips, support_labels)
    personal = copy.deepcopy(model).eval()
    inputs = support_batch(personal, extractor, support_clips)
    with torch.no_grad():
        frames = personal.encoder(inputs["input_values"], inputs.get("attention_mask"))
    set_bias_and_scale(personal, *frames, labels)
    return personal


def fit_bias_and_scale(predictions, labels) -> tuple[np.ndarray, np.ndarray]:
    r"""The bias b and the scale a of each label by which a speaker's predictions p become a·p + b.

    With the residuals r = y − p of n clips and L labels, their means r̄ and p̄ over the clips, and the variance
    s² = Σ(r − r̄)² / (L(n − 1)) that the labels have in common:

    .. math:: a = 1 + \frac{\sum (r - \bar r)(p - \bar p)}{\sum (p - \bar p)^2 + s^2 / 0.25^2}, \quad
        b = w \bar r - (a - 1) \bar p, \quad w = \max\left(0, 1 - \frac{s^2 / n}{\frac{1}{L} \sum \bar r^2}\right)

    so that p̄ becomes p̄ + w r̄. w is the positive-part estimate of James and Stein as Efron and Morris (1973) have it:
    where residuals differ as much between the clips as they are large, there is no bias, and where all clips agree
    there is all of it. a is the ridge estimate for scales that have a standard deviation of 0.25 about 1, our choice,
    and never negative. One clip says nothing of s²: half its residual is the bias then, and the scale 1.

    Args:
        predictions: float (clips, labels), of one task.
        labels: float (clips, labels), in the same unit, of the same clips.

    Returns:
        b and a, float64 (labels,).

    Two clips, both predicted 0.2 too low:

    >>> bias, scale = fit_bias_and_scale([[0.1], [0.3]], [[0.3], [0.5]])
    >>> bias.round(4).tolist(), scale.round(4).tolist()
    ([0.2], [1.0])
    """
    predictions, labels = np.asarray(predictions, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    clips = len(predictions)
    residuals = labels - predictions
    mean, centre = residuals.mean(axis=0), predictions.mean(axis=0)
    if clips == 1:
        return mean / 2, np.ones_like(mean)
    deviations, along = residuals - mean, predictions - centre
    variance = np.square(deviations).sum() / (deviations.shape[1] * (clips - 1))
    size = np.square(mean).mean()
    weight = max(0.0, 1.0 - variance / clips / size) if size > 0 else 0.0
    spread = np.square(along).sum(axis=0) + variance / SCALE_DEVIATION**2
    slope = np.divide((deviations * along).sum(axis=0), spread, out=np.zeros_like(mean), where=spread > 0)
    scale = np.maximum(1.0 + slope, 0.0)
    return weight * mean - (scale - 1.0) * centre, scale


def check_support(tasks: Mapping[str, Task], clips: Sequence, labels: Mapping[str, Sequence]) -> dict[str, np.ndarray]:
    """The support labels by task, as [`personalise`] has them, as arrays: each there, and one for each clip.

    Raises:
        SupportError: as [`personalise`].
    """
    if len(clips) == 0:
        raise SupportError("no support clips; give one or more clips of the speaker, with their labels")
    if not isinstance(labels, Mapping) or not labels:
        raise SupportError(
            f"support labels must be a mapping of one or more of the tasks {list(tasks)}, got {labels!r}"
        )
    checked = {}
    for name, values in labels.items():
        if name not in tasks:
            raise SupportError(f"support labels: the model does not have the task {name!r}; it has {list(tasks)}")
        if isinstance(values, torch.Tensor):
            values = values.detach().cpu().numpy()
        if np.ndim(values) == 0 or len(values) != len(clips):
            count = f"{values!r}" if np.ndim(values) == 0 else f"labels of {len(values)} clips"
            raise SupportError(f"support labels of task {name!r}: {len(clips)} clips are given, and {count}")
        names = [f"support clip {place}" for place in range(len(clips))]
        try:
            array = label_array(tasks[name], list(values), names)
        except Burst2VecError as error:
            raise SupportError(f"support labels: {error}") from error
        missing = array < 0 if tasks[name].kind == "classification" else np.isnan(array)
        if missing.any():
            place = int(np.argwhere(missing)[0][0])
            raise SupportError(
                f"support labels of task {name!r}: clip {place} (counted from 0) has {values[place]!r}; every label of "
                "a support clip must be there, or leave the task out"
            )
        checked[name] = array
    return checked


def support_batch(model: Burst2VecForMultiTask, extractor: Burst2VecFeatureExtractor, clips: Sequence) -> dict:
    """The clips as the model's encoder takes them: ``input_values`` and, of waveforms, ``attention_mask``."""
    names = [f"support clip {place}" for place in range(len(clips))]
    rate = {} if extractor.features else {"sampling_rate": extractor.sampling_rate}
    return dict(extractor(list(clips), names=names, return_tensors="pt", **rate).to(model.device))


def set_bias_and_scale(model: Burst2VecForMultiTask, frames, frame_mask, labels: Mapping[str, np.ndarray]) -> None:
    """Fit a bias and a scale of each regressed label to a speaker's frames, and put them into the configuration.

    Those that the configuration has of the same tasks are replaced.

    Args:
        model: changed in place.
        frames, frame_mask: of the support clips, as the model's encoder gives them.
        labels: as [`check_support`] gives them.

    Raises:
        SupportError: labels of classifications alone.
    """
    regressed = [name for name in labels if model.tasks[name].kind == "regression"]
    if not regressed:
        raise SupportError(
            f"support labels of {list(labels)}: a bias and a scale are of regressions; give labels of one, or tune "
            "the head"
        )
    known = model.config.bias_and_scale or {}
    model.config.bias_and_scale = {name: of_task for name, of_task in known.items() if name not in regressed} or None
    with torch.no_grad():
        predictions = model.answer_frames(frames, frame_mask, names=regressed).predictions
    fitted = dict(model.config.bias_and_scale or {})
    for name in regressed:
        bias, scale = fit_bias_and_scale(predictions[name].float().cpu().numpy(), labels[name])
        fitted[name] = {"bias": bias.tolist(), "scale": scale.tolist()}
    model.config.bias_and_scale = fitted
