"""Whether generated clips are of the emotions that were asked for, by a classifier of real clips alone."""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PERMUTATIONS = 999
_STRENGTH = 0.1  # of the classifier's weights, scikit-learn's C; our choice: vectors are long and clips few
_FOLDS = 5


class Recognition(NamedTuple):
    """What a logistic regression on real clips' vectors says of generated ones.

    Attributes:
        generated: UAR, the mean over emotions of the fraction of their generated clips that it takes for theirs.
        real: the same of real clips that it did not learn from.
        chance: of an answer at random.
        p: the probability of a UAR as high if the asked emotions had nothing to do with the clips.
    """

    generated: float
    real: float
    chance: float
    p: float


def recognise(
    generated: tuple[np.ndarray, np.ndarray],
    real: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
) -> Recognition:
    """Train a classifier on real clips, and ask it for the emotions of generated ones.

    Args:
        generated, real: vectors (clips, features) and emotions (clips,), of the same two emotions or more.
        held_out: real clips that it is tested on; without these it is cross-validated over five folds of the real ones,
            where a speaker may be on both sides.
        seed: of folds and permutations.
    """
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=1_000)
    )
    emotions, asked = np.unique(generated[1], return_inverse=True)
    kept = np.isin(real[1], emotions)
    vectors, taught = real[0][kept], np.searchsorted(emotions, real[1][kept])
    if held_out is None:
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
        of_real = recall_of(taught, cross_val_predict(classifier, vectors, taught, cv=folds))
    classifier.fit(vectors, taught)
    if held_out is not None:
        kept = np.isin(held_out[1], emotions)
        labels = np.searchsorted(emotions, held_out[1][kept])
        of_real = recall_of(labels, classifier.predict(held_out[0][kept]))
    answers = classifier.predict(generated[0])
    return Recognition(recall_of(asked, answers), of_real, 1 / len(emotions), permutation_p(asked, answers, seed))


def recall_of(labels, answers) -> float:
    """UAR: the mean over the classes of ``labels``, 0 to n - 1, of the fraction of right answers.

    >>> recall_of([0, 0, 1, 1], [0, 0, 0, 1])
    0.75
    """
    labels, answers = np.asarray(labels), np.asarray(answers)
    right = np.bincount(labels, weights=labels == answers)
    return float(np.mean(right / np.bincount(labels)))


def permutation_p(labels, answers, seed: int = 0, permutations: int = PERMUTATIONS) -> float:
    """The probability of a UAR as high or higher of labels in random order, (1 + as high) / (1 + permutations).

    >>> permutation_p([0, 1] * 10, [0, 1] * 10, permutations=99)
    0.01
    """
    random, found = np.random.default_rng(seed), recall_of(labels, answers) - 1e-12
    as_high = sum(recall_of(random.permutation(labels), answers) >= found for _ in range(permutations))
    return (1 + as_high) / (1 + permutations)
