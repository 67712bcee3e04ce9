"""A view of a clip → a prediction, the predictions a user reads, and the loss of a task on them.

Every head is built as ``head(task, input_size, **arguments)``, of which a configuration sets the arguments, and called
as ``head(view, labels)``: of the batch's labels, if there are any, a head may feed on in training.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from .losses import LOSSES
from .parts import check_dropout, check_size, is_number, split_part
from .tasks import Task


class LinearHead(nn.Module):
    """One linear layer on a view; where a trunk gives three (Burst2Vec, Eq. 5), the same head reads them all.

    A regression comes out in 0..1 by a sigmoid, or as it is where its task's ``output`` is linear, a classification as
    logits; all in float32, whatever the view's type.

    Args:
        task: what the head predicts.
        input_size: features of a view.
        dropout: probability in front of the layer.
        centred: a linear output starts at the middle of its task's span; False: at 0 of its unit.

    Raises:
        ValueError: a dropout out of its range.
    """

    def __init__(self, task: Task, input_size: int, *, dropout: float = 0.1, centred: bool = True):
        super().__init__()
        check_dropout("dropout", dropout)
        self.squashed = is_squashed(task)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(input_size, len(task.labels))
        if centred and task.kind == "regression" and not self.squashed:
            self.output.initial_bias = task.to_unit(0.5)  # from 0 years it would take many steps to get to the ages

    def forward(self, view, labels=None):  # (batch, input_size) → (batch, labels)
        scores = self.output(self.dropout(view)).float()
        return torch.sigmoid(scores) if self.squashed else scores


class MLPHead(LinearHead):
    """A hidden layer with a leaky ReLU (slope 0.01) before [`LinearHead`]'s, as in the ExVo challenge's own baseline.

    Args:
        task, input_size, centred: as [`LinearHead`] has them.
        hidden_size: units of the hidden layer.
        dropout: probability between the two layers.

    Raises:
        ValueError: an argument out of its range, by name.
    """

    def __init__(
        self, task: Task, input_size: int, *, hidden_size: int = 32, dropout: float = 0.1, centred: bool = True
    ):
        check_size("hidden_size", hidden_size)
        super().__init__(task, hidden_size, dropout=dropout, centred=centred)
        self.hidden = nn.Linear(input_size, hidden_size)

    def forward(self, view, labels=None):  # (batch, input_size) → (batch, labels)
        return super().forward(F.leaky_relu(self.hidden(view)))


class ChainHead(LinearHead):
    """A classifier chain (Read et al., 2011): one label after the other, each from the view and the labels before it.

    Of label i of the order, with v of those before it: y_i = sigmoid(w_i · view + Σ_{j<i} c_ij · v_j + b_i), as Xin et
    al. (2022, arXiv:2206.10695) predict the emotions of vocal bursts. In training v are labels or the head's own
    predictions, in evaluation its own predictions, both as fractions of the task's span; gradients flow through them.

    A classification has one answer, and so has a task of one label: their head is [`LinearHead`]'s.

    Args:
        task, input_size, dropout: as [`LinearHead`] has them; what is fed on is never dropped.
        order: names of the task's labels, the first to predict first; null: as the task lists them.
        teacher_forcing: in training, the probability that a label's true value is fed on and not its prediction, drawn
            for each label of each clip: 1 the true values, 0 the predictions. A label that is missing is predicted. Xin
            et al.'s code has both, by default the true values, and a probability that falls from epoch to epoch; here
            it stays as it is.

    Raises:
        ValueError: an argument out of its range, or an order that does not hold each label of the task once.
    """

    def __init__(
        self,
        task: Task,
        input_size: int,
        *,
        order: list | None = None,
        teacher_forcing: float = 1.0,
        dropout: float = 0.1,
    ):
        super().__init__(task, input_size, dropout=dropout)
        if not is_number(teacher_forcing) or not 0 <= teacher_forcing <= 1:
            raise ValueError(f"teacher_forcing must be in 0..1, got {teacher_forcing!r}")
        self.task, self.teacher_forcing = task, teacher_forcing
        chained = task.labels if task.kind == "regression" else task.labels[:1]
        if order is not None and len(chained) > 1 and sorted(map(str, order)) != sorted(chained):
            raise ValueError(
                f"order must hold each label of the task {task.name!r} once, {list(chained)}, or be null, got {order!r}"
            )
        self.order = [task.labels.index(name) for name in (order if order and len(chained) > 1 else chained)]
        self.links = nn.ModuleList(nn.Linear(before, 1, bias=False) for before in range(1, len(chained)))

    def forward(self, view, labels=None):  # (batch, input_size) → (batch, labels)
        if not len(self.links):
            return super().forward(view)
        scores = self.output(self.dropout(view)).float()
        known = self._known(labels)
        outputs, fed = [None] * len(self.order), []
        for label in self.order:
            output = scores[:, label]
            if fed:
                output = output + self.links[len(fed) - 1](torch.stack(fed, dim=-1).to(view.dtype))[:, 0].float()
            output = torch.sigmoid(output) if self.squashed else output
            outputs[label] = output
            fraction = output if self.squashed else self.task.from_unit(output)
            fed.append(fraction if known is None else torch.where(known[:, label].isnan(), fraction, known[:, label]))
        return torch.stack(outputs, dim=-1)

    def _known(self, labels):
        """What is fed on of the labels, as fractions of the span; NaN where the prediction is, None where all are."""
        if labels is None or not self.training or self.teacher_forcing == 0:
            return None
        known = self.task.from_unit(labels.float())
        if self.teacher_forcing < 1:
            known = known.masked_fill(torch.rand_like(known) >= self.teacher_forcing, float("nan"))
        return known


HEADS = {"linear": LinearHead, "mlp": MLPHead, "chain": ChainHead}


def is_squashed(task: Task) -> bool:
    """Whether a head's 0..1 stands for the task's span; else it gives values in the task's unit, or logits."""
    return task.kind == "regression" and task.output == "sigmoid"


def read_out(task: Task, outputs: torch.Tensor) -> torch.Tensor:
    """A head's outputs as a user reads them: regressions in the task's unit, classes as probabilities; float32.

    A squashed regression stays in its span. Both keep the head's shape (batch, labels).
    """
    if task.kind == "classification":
        return outputs.softmax(dim=-1)
    return task.to_unit(outputs).clamp(*task.span) if is_squashed(task) else outputs


def rescale(task: Task, outputs: torch.Tensor, bias: Sequence[float], scale: Sequence[float]) -> torch.Tensor:
    """A regression's outputs whose predictions p, in the task's unit, are ``scale`` · p + ``bias``.

    Args:
        outputs: of the head, (batch, labels).
        bias: in the task's unit, (labels,).
        scale: factors, (labels,).

    Returns:
        The same shape; of a squashed task beyond 0..1 where the prediction leaves the span, which ``read_out`` ends.

    >>> task = Task("pain", kind="regression", labels=("pain",), span=(0.0, 10.0))
    >>> read_out(task, rescale(task, torch.tensor([[0.25], [0.9]]), bias=[1.0], scale=[2.0])).tolist()
    [[6.0], [10.0]]
    """
    bias, scale = outputs.new_tensor(bias), outputs.new_tensor(scale)
    if not is_squashed(task):
        return scale * outputs + bias
    return task.from_unit(scale * task.to_unit(outputs) + bias)


def task_loss(task: Task, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss of one task on its head's outputs, times the task's weight: a float32 scalar.

    Args:
        outputs: a regression's in 0..1, or in its unit where its ``output`` is linear; or logits; (batch, labels).
        labels: as the corpus has them: in the task's unit (batch, labels), or class indices (batch,); or the fraction
            of each class in mixed clips (batch, classes).
    """
    targets = task.from_unit(labels) if is_squashed(task) else labels
    kind, arguments = split_part("loss", task.loss)
    return task.loss_weight * LOSSES[task.kind][kind](outputs, targets, **arguments)


def labels_of_frames(labels: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
    """The clips' labels given to each of their frames, for heads that learn from every frame.

    Args:
        labels: as [`task_loss`] takes them, of the clips.
        frame_mask: boolean (batch, frames), True where there is sound; the other frames' labels are missing.

    Returns:
        The same for ``batch · frames`` rows, clip after clip.

    >>> labels_of_frames(torch.tensor([3, 1]), torch.tensor([[True, True], [True, False]])).tolist()
    [3, 3, 1, -1]
    """
    missing = float("nan") if labels.is_floating_point() else -1
    rows = labels.repeat_interleave(frame_mask.shape[1], dim=0)
    absent = ~frame_mask.flatten()
    return rows.masked_fill(absent[:, None] if rows.ndim > 1 else absent, missing)
