"""The scores of the ExVo and A-VB challenges, in numpy.

What a formula leaves undefined is settled here, once:

- A reference that is NaN (a class of -1) is missing: its pair is left out. A label without any reference has no score
  and is left out of the mean over labels; nothing to score at all is an error.
- A prediction that is NaN or infinite is always an error, also where its reference is missing: no model may give one.
- A series that is constant shows no concordance and no correlation: CCC and Pearson's correlation are 0.0, even where
  predictions and references are the same constant.
- A class without references is left out of UAR; predicting it is an error like any other.
- MAE 0 makes 1/MAE infinite, and S_MTL tends to 3 / (1/CCC + 1/UAR): that is its value. A CCC or UAR of 0 or less makes
  S_MTL 0.0.
"""

import numpy as np


def concordance_cc(predictions, references) -> float:
    r"""Concordance correlation coefficient, the mean over labels.

    .. math:: CCC = \frac{2 \, cov(p, r)}{var(p) + var(r) + (mean(p) - mean(r))^2}

    with covariance and variances of the population: all three divide by N. The ExVo challenge ranks emotion by its
    mean over the ten intensities (Baird et al. 2022, arXiv 2205.01780).

    Args:
        predictions: shape (n,) or (n, labels), finite.
        references: the same shape; NaN where a label is missing, and the pair is left out.

    Returns:
        A number in -1..1; 1 for equality, 0.0 where either series is constant.

    Raises:
        ValueError: shapes that disagree, a prediction that is not finite (its row is named), or no valid reference.

    Three values, each one too low: both variances and the covariance are 2/3, so 2·(2/3) / (2/3 + 2/3 + 1) = 4/7.

    >>> round(concordance_cc([1, 2, 3], [2, 3, 4]), 4)
    0.5714
    """
    return float(np.nanmean(concordance_cc_per_label(predictions, references)))


def concordance_cc_per_label(predictions, references) -> np.ndarray:
    """The CCC of each label by itself, see :func:`concordance_cc`.

    Returns:
        float64, shape (labels,), or (1,) for one series; NaN for a label without valid references.

    >>> concordance_cc_per_label([[1, 0], [2, 1], [3, 0]], [[2, 0], [3, 1], [4, 0]]).round(4).tolist()
    [0.5714, 1.0]
    """
    return _score_each_label(_concordance, predictions, references)


def pearson_correlation(predictions, references) -> float:
    r"""Pearson's correlation coefficient, the mean over labels.

    .. math:: r = \frac{cov(p, r)}{\sqrt{var(p) \, var(r)}}

    A-VB asks for it beside the CCC (Baird et al. 2022, arXiv 2207.03572). Level and scale of the predictions do not
    count: the CCC is this times a factor in 0..1 that is 1 where both agree (Lin 1989).

    Args:
        predictions: shape (n,) or (n, labels), finite.
        references: the same shape; NaN where a label is missing, and the pair is left out.

    Returns:
        A number in -1..1; 1 for a rising line, 0.0 where either series is constant.

    Raises:
        ValueError: shapes that disagree, a prediction that is not finite (its row is named), or no valid reference.

    The means are 2 and 3; deviations -1, 0, 1 and -1, -1, 2: 3 / sqrt(2 · 6).

    >>> round(pearson_correlation([1, 2, 3], [2, 2, 5]), 4)
    0.866
    """
    return float(np.nanmean(pearson_correlation_per_label(predictions, references)))


def pearson_correlation_per_label(predictions, references) -> np.ndarray:
    """Pearson's correlation of each label by itself, see :func:`pearson_correlation`.

    Returns:
        float64, shape (labels,), or (1,) for one series; NaN for a label without valid references.

    >>> pearson_correlation_per_label([[1, 0], [2, 1], [3, 0]], [[2, 0], [3, -1], [4, 0]]).tolist()
    [1.0, -1.0]
    """
    return _score_each_label(_correlation, predictions, references)


def mean_absolute_error(predictions, references) -> float:
    r"""Mean absolute error, in the unit of the values, the mean over labels.

    .. math:: MAE = \frac{1}{N} \sum |p - r|

    Args:
        predictions: shape (n,) or (n, labels), finite.
        references: the same shape; NaN where a label is missing, and the pair is left out.

    Returns:
        A number of 0 or more; 0 is best.

    Raises:
        ValueError: shapes that disagree, a prediction that is not finite (its row is named), or no valid reference.

    Two years too young, one year too old, and one clip of unknown age: (2 + 1) / 2.

    >>> mean_absolute_error([20, 31, 25], [22, 30, float("nan")])
    1.5
    """
    return float(np.nanmean(mean_absolute_error_per_label(predictions, references)))


def mean_absolute_error_per_label(predictions, references) -> np.ndarray:
    """The MAE of each label by itself, see :func:`mean_absolute_error`.

    Returns:
        float64, shape (labels,), or (1,) for one series; NaN for a label without valid references.

    >>> mean_absolute_error_per_label([[1, 0], [2, 1]], [[2, 0], [4, 1]]).tolist()
    [1.5, 0.0]
    """
    return _score_each_label(lambda predicted, true: np.abs(predicted - true).mean(), predictions, references)


def unweighted_average_recall(predictions, references) -> float:
    r"""Unweighted average recall: the mean over classes of the share of a class's clips that was found.

    .. math:: UAR = \frac{1}{C} \sum_{c} \frac{|p = c \wedge r = c|}{|r = c|}

    The ExVo challenge scores country by it (Baird et al. 2022, arXiv 2205.01780); chance is 1 / C.

    Args:
        predictions: class indices of shape (n,), or one finite number per class (probabilities or logits) of shape
            (n, classes), of which the largest wins, the first among equals.
        references: class indices of shape (n,); -1 or NaN where the label is missing, and the clip is left out.

    Returns:
        A number in 0..1, the mean over the classes present in the references.

    Raises:
        ValueError: shapes that disagree, a value that is no class index (its row is named), or no valid reference.

    Of three clips of class 0 two are found, of one clip of class 1 one: (2/3 + 1) / 2.

    >>> round(unweighted_average_recall([0, 0, 1, 1], [0, 0, 0, 1]), 4)
    0.8333
    """
    predicted, true = _classes(predictions, references)
    return float(np.mean([(predicted[true == index] == index).mean() for index in np.unique(true)]))


def weighted_average_recall(predictions, references) -> float:
    r"""Weighted average recall: the mean over classes of the share of a class's clips that was found, each class
    counting as often as it has clips. That is the accuracy.

    .. math:: WAR = \sum_{c} \frac{|r = c|}{N} \frac{|p = c \wedge r = c|}{|r = c|} = \frac{|p = r|}{N}

    Args and errors are those of :func:`unweighted_average_recall`.

    Of three clips of class 0 two are found, of one clip of class 1 one: 3 of 4.

    >>> weighted_average_recall([0, 0, 1, 1], [0, 0, 0, 1])
    0.75
    """
    predicted, true = _classes(predictions, references)
    return float((predicted == true).mean())


def s_mtl(ccc: float, uar: float, mae: float) -> float:
    r"""The ranking score of ExVo-MultiTask: the harmonic mean of CCC, UAR and 1/MAE.

    .. math:: S_{MTL} = \frac{3}{1/CCC + 1/UAR + MAE}

    Source: Baird et al. 2022, arXiv 2205.01780.

    Args:
        ccc: mean concordance of the ten emotions, in -1..1.
        uar: unweighted average recall of the country, in 0..1.
        mae: mean absolute error of the age in years, 0 or more.

    Returns:
        A number in 0..1.5. It is 0.0 where ``ccc`` or ``uar`` is 0 or less: the bare formula would give 0.94 to a model
        worse than chance, such as CCC -0.5, UAR 0.676, MAE 3.709.

    Raises:
        ValueError: a part out of its range (a percentage, say), or NaN.

    3 / (2 + 2 + 4):

    >>> s_mtl(ccc=0.5, uar=0.5, mae=4.0)
    0.375
    """
    for name, value, low, high in (("ccc", ccc, -1.0, 1.0), ("uar", uar, 0.0, 1.0), ("mae", mae, 0.0, np.inf)):
        if not (low <= value <= high and np.isfinite(value)):
            raise ValueError(f"{name} is {value}; it must be a number in {low:g}..{high:g}")
    if ccc <= 0 or uar <= 0:
        return 0.0
    return float(3.0 / (1.0 / ccc + 1.0 / uar + mae))


def _concordance(predicted: np.ndarray, true: np.ndarray) -> float:
    if np.ptp(predicted) == 0 or np.ptp(true) == 0:  # by formula 0, or 0/0, or noise: the mean of a constant is rounded
        return 0.0
    predicted_mean, true_mean = predicted.mean(), true.mean()
    covariance = ((predicted - predicted_mean) * (true - true_mean)).mean()
    ratio = 2.0 * covariance / (predicted.var() + true.var() + (predicted_mean - true_mean) ** 2)
    return float(np.clip(ratio, -1.0, 1.0))  # rounding may overstep by one part in 1e16


def _correlation(predicted: np.ndarray, true: np.ndarray) -> float:
    if np.ptp(predicted) == 0 or np.ptp(true) == 0:  # 0/0, or noise: the mean of a constant is rounded
        return 0.0
    one, other = ((values - values.mean()) / np.ptp(values) for values in (predicted, true))  # no square underflows
    ratio = (one @ other) / np.sqrt((one @ one) * (other @ other))
    return float(np.clip(ratio, -1.0, 1.0))  # rounding may overstep by one part in 1e16


def _score_each_label(score, predictions, references) -> np.ndarray:
    predicted, true = as_numbers(predictions, "predictions"), as_numbers(references, "references")
    if predicted.shape != true.shape or predicted.ndim not in (1, 2):
        raise ValueError(
            f"predictions have shape {predicted.shape} and references {true.shape}; "
            "both must be (n,), or both (n, labels)"
        )
    _refuse_not_finite(predicted, "prediction")
    _refuse_not_finite(true, "reference", missing_allowed=True)
    valid = ~np.isnan(true)
    if not valid.any():
        raise ValueError(f"nothing to score: references of shape {true.shape} hold no valid value (missing is NaN)")
    if true.ndim == 1:
        predicted, true, valid = predicted[:, None], true[:, None], valid[:, None]
    return np.array(
        [
            score(predicted[valid[:, label], label], true[valid[:, label], label]) if valid[:, label].any() else np.nan
            for label in range(true.shape[1])
        ]
    )


def as_numbers(values, name: str) -> np.ndarray:
    """Values as float64; None, as evaluate and pandas give it, becomes NaN.

    Raises:
        ValueError: text, complex numbers or rows of different lengths; ``name`` says which values.
    """
    try:
        if (kind := np.asarray(values).dtype).kind not in "biufO":  # numpy would read the text "1" as 1.0
            raise TypeError(f"got {kind}")
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers, in rows of one length: {error}") from error


def _classes(predictions, references) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true class of each clip that has a reference."""
    true = _class_indices(references, "reference", lowest=-1)
    scores = as_numbers(predictions, "predictions")
    if scores.ndim == 2:
        _refuse_not_finite(scores, "prediction")
        if scores.shape[1] < 2:
            raise ValueError(
                f"predictions have shape {scores.shape}; give class indices as (n,), or one column for each class"
            )
        if true.size and true.max() >= scores.shape[1]:
            row = int(true.argmax())
            raise ValueError(
                f"row {row}: the reference is class {true[row]}; predictions know classes 0 to {scores.shape[1] - 1}"
            )
        predicted = scores.argmax(axis=1)
    else:
        predicted = _class_indices(predictions, "prediction", lowest=0)
    if len(predicted) != len(true):
        raise ValueError(f"{len(predicted)} predictions for {len(true)} references; there must be one for each")
    if not (true >= 0).any():
        raise ValueError(f"nothing to score: none of the {len(true)} references is a class (missing is -1)")
    return predicted[true >= 0], true[true >= 0]


def _class_indices(values, name: str, lowest: int) -> np.ndarray:
    """Class indices as int64, shape (n,); where -1 is allowed, NaN stands for it."""
    numbers = as_numbers(values, f"{name}s")
    if numbers.ndim != 1:
        raise ValueError(f"{name}s have shape {numbers.shape}; class indices have shape (n,)")
    if lowest < 0:
        numbers = np.where(np.isnan(numbers), -1.0, numbers)
    with np.errstate(invalid="ignore"):
        wrong = ~((numbers >= lowest) & (numbers == np.floor(numbers)) & np.isfinite(numbers))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"row {row}: the {name} is {numbers[row]:g}; a class index is a whole number from {lowest} up")
    return numbers.astype(np.int64)


def _refuse_not_finite(values: np.ndarray, name: str, missing_allowed: bool = False) -> None:
    wrong = np.isinf(values) if missing_allowed else ~np.isfinite(values)
    if wrong.any():
        place = np.argwhere(wrong)[0]
        column = f", column {place[1]}" if values.ndim == 2 else ""
        allowed = "a finite number, or NaN where it is missing" if missing_allowed else "a finite number"
        raise ValueError(f"row {place[0]}{column}: the {name} is {values[tuple(place)]}; it must be {allowed}")
