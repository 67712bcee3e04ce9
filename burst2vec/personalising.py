"""A model for one speaker, from a few of the speaker's clips and their labels; the given model stays as it is.

Two ways. A bias and a scale for each regressed label, in closed form: nothing is trained, and they stand in the
configuration of the model. Or some of the model's own weights are tuned on the clips; the encoder's never are, so that
its frames are computed once.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .bias_and_scale import fit
from .data.collating import label_array
from .errors import Burst2VecError, DivergenceError, SupportError
from .feature_extraction_burst2vec import Burst2VecFeatureExtractor
from .modeling_burst2vec import Burst2VecForMultiTask
from .parts import is_number
from .tasks import Task
from .weights import weights_not_finite

BIAS_AND_SCALE = "bias_and_scale"
TUNED_PARTS = {"head": "heads", "trunk": "trunk", "recurrent": "recurrent"}  # as ``tune`` names them, and the model
MOST_STEPS = 10_000
STEPS, LEARNING_RATE, RECURRENT_RATE = 10, 1e-3, 3e-5  # how they were chosen: see ``tune_parts``


def personalise(
    model: Burst2VecForMultiTask,
    extractor: Burst2VecFeatureExtractor,
    support_clips: Sequence,
    support_labels: Mapping[str, Sequence],
    tune: str | Sequence[str] = BIAS_AND_SCALE,
    steps: int = STEPS,
    learning_rate: float | None = None,
) -> Burst2VecForMultiTask:
    """A model for the speaker of the support clips.

    Args:
        model: of any kind. It keeps its weights, its configuration and its mode.
        extractor: the model's.
        support_clips: what the extractor takes: waveforms (samples,) at its rate, after its ``preprocess``; of a model
            with ``features``, vectors (features,), on the speaker's scale where it says ``normalise_per_speaker``.
        support_labels: by task, for as many tasks as there are labels of: a regression's in its unit, (clips, labels)
            in the order of ``task.labels``; of a classification the index of the class, (clips,).
        tune: ``"bias_and_scale"``: see [`fit_bias_and_scale`]; classifications answer as before. Or which weights are
            tuned: ``"head"``, ``"trunk"``, ``"recurrent"``, or several in a list; see [`tune_parts`].
        steps: of tuning, 1 or more.
        learning_rate: of tuning, above 0 and up to 1; None: 1e-3, or 3e-5 where the recurrent part is tuned.

    Returns:
        A model of its own, in evaluation mode, which is saved, loaded and put into a pipeline as any other.

    Raises:
        SupportError: no clips, or one that is given twice; labels that are missing, out of the task's span, of another
            shape or of a task that the model does not have; no label of a regression for ``"bias_and_scale"``; a part
            that is unknown or that the model has no weights of; steps or a rate out of their range.
        DivergenceError: weights that are no longer finite after tuning.
        WaveformError: a clip that the extractor refuses; it is called "support clip 0" and so on.
    """
    tuning = Tuning(tune, steps, learning_rate)
    tuning.refuse_for(model)
    labels = check_support(model.tasks, support_clips, support_labels)
    personal = copy.deepcopy(model).eval()
    inputs = support_batch(personal, extractor, support_clips)
    with torch.no_grad():
        frames = personal.encoder(inputs["input_values"], inputs.get("attention_mask"))
    tuning.apply(personal, *frames, labels)
    return personal


@dataclass(frozen=True)
class Tuning:
    """How a model is made a speaker's own; the arguments are [`personalise`]'s."""

    tune: str | Sequence[str] = BIAS_AND_SCALE
    steps: int = STEPS
    learning_rate: float | None = None

    def __post_init__(self):
        allowed = f"{BIAS_AND_SCALE!r}, or one or more of {list(TUNED_PARTS)}"
        if self.tune != BIAS_AND_SCALE:
            if not self.parts or len(set(self.parts)) < len(self.parts) or not set(self.parts) <= set(TUNED_PARTS):
                raise SupportError(f"tune must be {allowed}, got {self.tune!r}")
        if type(self.steps) is not int or not 1 <= self.steps <= MOST_STEPS:
            raise SupportError(f"steps must be a whole number in 1..{MOST_STEPS}, got {self.steps!r}")
        if not is_number(self.rate) or not 0 < self.rate <= 1:
            raise SupportError(f"learning_rate must be above 0, up to 1, or None, got {self.learning_rate!r}")

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts whose weights are tuned; none of a bias and a scale."""
        if self.tune == BIAS_AND_SCALE:
            return ()
        return (self.tune,) if isinstance(self.tune, str) else tuple(self.tune)

    @property
    def rate(self) -> float:
        """The learning rate, of ``None`` the parts' own."""
        if self.learning_rate is not None:
            return self.learning_rate
        return RECURRENT_RATE if "recurrent" in self.parts else LEARNING_RATE

    def refuse_for(self, model: Burst2VecForMultiTask) -> None:
        """
        Raises:
            SupportError: a part that the model has no weights of.
        """
        for part in self.parts:
            if not part_weights(model, part):
                having = [other for other in TUNED_PARTS if part_weights(model, other)]
                raise SupportError(f"tune {part!r}: the model has no weights there; it has some of {having}")

    def apply(self, model: Burst2VecForMultiTask, frames, frame_mask, labels: Mapping[str, np.ndarray]) -> None:
        """Change ``model``, which is in evaluation mode, by a speaker's frames and their labels.

        Args:
            frames, frame_mask: of the support clips, as the model's encoder gives them.
            labels: as [`check_support`] gives them.
        """
        model.config.conformal = None  # measured on predictions that change now
        if self.parts:
            model.config.temperatures = None  # so were they; a bias and scale are of regressions alone
            tune_parts(model, frames, frame_mask, labels, self)
        else:
            set_bias_and_scale(model, frames, frame_mask, labels)

    def personal_copy(
        self, model: Burst2VecForMultiTask, frames, frame_mask, labels: Mapping[str, np.ndarray]
    ) -> Burst2VecForMultiTask:
        """A model of the speaker that has the encoder of ``model`` for its own; for many speakers, one after the other.

        Args:
            model: in evaluation mode; it stays as it is.
            frames, frame_mask, labels: as [`Tuning.apply`] has them.
        """
        personal = copy.deepcopy(model, {id(model.encoder): model.encoder})
        self.apply(personal, frames, frame_mask, labels)
        return personal


def fit_bias_and_scale(predictions, labels) -> tuple[np.ndarray, np.ndarray]:
    """The bias b and the scale a of each label by which a speaker's predictions p become a·p + b.

    They are estimates from few clips, drawn to no bias and a scale of 1 as far as the clips contradict each other; the
    formula stands in ``burst2vec.bias_and_scale``.

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
    predictions, labels = (torch.as_tensor(np.asarray(values, dtype=np.float64)) for values in (predictions, labels))
    bias, scale = fit(predictions, labels, torch.ones(1, len(predictions), dtype=torch.bool))
    return bias[0].numpy(), scale[0].numpy()


def check_support(tasks: Mapping[str, Task], clips: Sequence, labels: Mapping[str, Sequence]) -> dict[str, np.ndarray]:
    """The support labels by task, as [`personalise`] has them, as arrays: each there, and one for each clip.

    Raises:
        SupportError: as [`personalise`].
    """
    if isinstance(clips, (str, bytes, Mapping)) or not hasattr(clips, "__len__"):
        raise SupportError(f"support clips must be a list, got {type(clips).__name__}; put a single clip into one")
    if isinstance(clips, (np.ndarray, torch.Tensor)) and clips.ndim < 2:
        raise SupportError(f"support clips must be a list, got an array of shape {tuple(clips.shape)}; put it into one")
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
    """The clips as the model's encoder takes them: ``input_values`` and, of waveforms, ``attention_mask``.

    Raises:
        SupportError: a clip that is given twice; it would count as two that agree.
        WaveformError: a clip that the extractor refuses.
    """
    names = [f"support clip {place}" for place in range(len(clips))]
    rate = {} if extractor.features else {"sampling_rate": extractor.sampling_rate}
    batch = extractor(list(clips), names=names, return_tensors="pt", **rate)
    first: dict[bytes, int] = {}
    for place, clip in enumerate(clips):
        if (same := first.setdefault(np.asarray(clip).tobytes(), place)) != place:
            raise SupportError(f"support clips {same} and {place} (counted from 0) are the same; give each clip once")
    return dict(batch.to(model.device))


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


def tune_parts(model: Burst2VecForMultiTask, frames, frame_mask, labels: Mapping[str, np.ndarray], how: Tuning) -> None:
    """Tune some of a model's weights on a speaker's frames, in place.

    Adam takes ``how.steps`` steps, each on all support clips, down the squared error of regressions, as fractions of
    their span, and the cross-entropy of classifications, added with the tasks' loss weights. It is not the loss of
    training: two clips have no concordance to speak of. Everything is in evaluation mode, dropout and batch norm too,
    so nothing is drawn and two calls give the same weights. That the model's own weights are tuned on two clips of the
    speaker is what Baird et al. (2022, section 3.3) ask of ExVo-FewShot, and their baseline tunes the recurrent part
    and the head; they state neither steps nor a rate for it.

    The defaults were chosen on training speakers that were held out of training: 16 of EmoGator with a log-mel CNN, and
    11 of the synthetic corpus with ``speaker_offset`` 0.25 and a network over eGeMAPS; two clips each, two draws, the
    head tuned on emotions, 1 to 100 steps at 1e-4 to 1e-2. Of what did not lower the mean of EmoGator's speakers' CCC
    (0.169), 10 steps at 1e-3 raised the synthetic one about as far as any (0.465 to 0.511; 100 steps at 1e-4: 0.514).
    Steps times rate is what counts: at 5e-2 EmoGator's fell to 0.126. Of EmoGator's thirty categories two clips tell
    only two, and tuning on them lowered the UAR however little was tuned. A recurrent part takes less: with two LSTM
    layers of 256 over the waveform, half trained on EmoGator, 10 steps at 3e-5 raised the CCC of 8 training speakers
    from 0.146 to 0.149, more than other rates from 1e-5 to 3e-4; at 1e-3 there was next to nothing left of it.

    Args:
        model: in evaluation mode.
        frames, frame_mask: of the support clips, as the model's encoder gives them.
        labels: as [`check_support`] gives them.

    Raises:
        DivergenceError: a weight that is no longer finite.
    """
    weights = [weight for part in how.parts for weight in part_weights(model, part)]
    learns = [weight.requires_grad for weight in weights]
    targets = {name: torch.from_numpy(values).to(frames.device) for name, values in labels.items()}
    # cuDNN differentiates a recurrent layer in training mode alone; torch's own kernels do in both.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        for weight in weights:
            weight.requires_grad_(True)
        optimizer = torch.optim.Adam(weights, lr=how.rate)
        for _ in range(how.steps):
            answers = model.answer_frames(frames, frame_mask, names=list(labels)).predictions
            loss = sum(support_loss(model.tasks[name], answers[name], targets[name]) for name in labels)
            gradients = torch.autograd.grad(loss, weights, allow_unused=True)  # of other tasks' heads there are none
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient
            optimizer.step()
    for weight, did in zip(weights, learns, strict=True):
        weight.grad = None
        weight.requires_grad_(did)
    if wrong := weights_not_finite(model):
        raise DivergenceError(
            f"after {how.steps} steps at the rate {how.rate:g} {wrong[0]} is not finite; tune with fewer "
            "steps, or at a lower rate"
        )


def support_loss(task: Task, predictions: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Squared error as a fraction of the span, or cross-entropy, the mean over clips, times the task's loss weight.

    >>> task = Task("pain", kind="regression", labels=("pain",), span=(0.0, 10.0))
    >>> round(float(support_loss(task, torch.tensor([[4.0]]), torch.tensor([[6.0]]))), 4)
    0.04
    """
    if task.kind == "classification":
        loss = F.nll_loss(predictions.clamp(min=1e-12).log(), labels)
    else:
        loss = (task.from_unit(predictions) - task.from_unit(labels)).square().mean()
    return task.loss_weight * loss


def part_weights(model: Burst2VecForMultiTask, part: str) -> list[torch.nn.Parameter]:
    """The weights of one of ``TUNED_PARTS``; none where the model does not have it."""
    module = getattr(model, TUNED_PARTS[part])
    return [] if module is None else list(module.parameters())
