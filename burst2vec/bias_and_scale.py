r"""A bias and a scale of each label, by which a model's predictions become a speaker's, in closed form.

With the residuals r = y − p of n clips of a speaker and L labels, their means r̄ and p̄ over the clips, and the variance
s² = Σ(r − r̄)² / (L(n − 1)) that the labels have in common, a prediction p becomes a·p + b:

.. math:: a = 1 + \frac{\sum (r - \bar r)(p - \bar p)}{\sum (p - \bar p)^2 + s^2 / 0.25^2}, \quad
    b = w \bar r - (a - 1) \bar p, \quad w = \max\left(0, 1 - \frac{s^2 / n}{\frac{1}{L} \sum \bar r^2}\right)

so that p̄ becomes p̄ + w r̄. w is the positive-part estimate of James and Stein as Efron and Morris (1973) have it: where
residuals differ as much between the clips as they are large, there is no bias, and where all clips agree there is all
of it. a is the ridge estimate for scales that have a standard deviation of 0.25 about 1, and never negative; of 0.01 to
1, 0.125 and 0.25 did best on speakers held out of training, of EmoGator and of the synthetic corpus. One clip says
nothing of s²: half its residual is the bias then, and the scale 1.

It is a function of predictions that have gradients, so a model can be trained through it: see ``adapt``.
"""

import torch

SCALE_DEVIATION = 0.25  # of speakers' scales about 1, by which the estimate of one is drawn to 1; see above
NOTHING = 1e-16  # a sum of squares under it is rounding; its square is still a number, which a gradient divides by


def fit(predictions: torch.Tensor, labels: torch.Tensor, support: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Bias and scale of several speakers at once.

    Args:
        predictions: float (clips, labels), of one task.
        labels: float (clips, labels), in the same unit; read of support clips alone.
        support: boolean (speakers, clips), the clips that each speaker is known by; where none, nothing changes.

    Returns:
        b and a, (speakers, labels).

    Two clips, both predicted 0.2 too low:

    >>> bias, scale = fit(torch.tensor([[0.1], [0.3]]), torch.tensor([[0.3], [0.5]]), torch.tensor([[True, True]]))
    >>> round(float(bias), 4), round(float(scale), 4)
    (0.2, 1.0)
    """
    of_speaker = support.to(predictions.dtype)[..., None]  # (speakers, clips, 1)
    residuals = torch.where(support.any(dim=0)[:, None], labels - predictions, 0.0)
    clips = of_speaker.sum(dim=1)  # (speakers, 1)
    mean = (of_speaker * residuals).sum(dim=1) / clips.clamp(min=1)
    centre = (of_speaker * predictions).sum(dim=1) / clips.clamp(min=1)
    deviations, along = of_speaker * (residuals - mean[:, None]), of_speaker * (predictions - centre[:, None])
    freedom = predictions.shape[-1] * (clips - 1).clamp(min=1)
    variance = deviations.square().sum(dim=(1, 2))[:, None] / freedom
    size = mean.square().mean(dim=-1, keepdim=True)
    weight = (1 - _ratio(variance / clips.clamp(min=1), size)).clamp(min=0)
    weight = torch.where(clips == 1, 0.5, weight)
    spread = along.square().sum(dim=1) + variance / SCALE_DEVIATION**2
    slope = _ratio((deviations * along).sum(dim=1), spread)
    scale = (1 + torch.where(clips == 1, 0.0, slope)).clamp(min=0)
    return weight * mean - (scale - 1) * centre, scale


def adapt(outputs: torch.Tensor, labels: torch.Tensor, speaker: torch.Tensor, support: torch.Tensor) -> torch.Tensor:
    """A batch's outputs, each with the bias and the scale that the support clips of its speaker give.

    Args:
        outputs: float (clips, labels), of one task.
        labels: float (clips, labels), in the same unit; a support clip with a NaN says nothing.
        speaker: whose clip it is, integers from 0 on, (clips,).
        support: boolean (clips,), True where the clip's labels may be read.

    Returns:
        float (clips, labels), with gradients through bias and scale.

    The second clip is the query:

    >>> outputs, labels = torch.tensor([[0.5], [0.3]]), torch.tensor([[0.7], [0.9]])
    >>> adapt(outputs, labels, torch.tensor([0, 0]), torch.tensor([True, False]))
    tensor([[0.6000],
            [0.4000]])
    """
    known = support & ~labels.isnan().any(dim=-1)
    speakers = torch.arange(len(speaker), device=speaker.device)  # as many as can be, whatever the data
    bias, scale = fit(outputs, labels, known & (speaker == speakers[:, None]))
    return scale[speaker] * outputs + bias[speaker]


def query_labels(labels: torch.Tensor, support: torch.Tensor) -> torch.Tensor:
    """The labels without those of support clips, which are missing.

    >>> query_labels(torch.tensor([2, 3]), torch.tensor([True, False])).tolist()
    [-1, 3]
    """
    missing = float("nan") if labels.is_floating_point() else -1
    return labels.masked_fill(support[:, None] if labels.ndim > 1 else support, missing)


def _ratio(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """``part / whole``, and 0 where the whole is nothing, whose gradient is 0 too."""
    something = whole > NOTHING
    return torch.where(something, part / torch.where(something, whole, 1.0), 0.0)
