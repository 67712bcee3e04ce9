"""Pearson's correlation coefficient for evaluate; the formula and its policy are burst2vec.scoring's."""

import datasets
import evaluate

from burst2vec.scoring import pearson_correlation

_DESCRIPTION = """
Pearson's correlation coefficient, cov(p, r) / sqrt(var(p) var(r)).
It is 1 for a rising line, -1 for a falling one, whatever the level and scale of the predictions, and 0 for a constant series.
For several labels, the mean over them.
"""  # noqa: E501

_CITATION = """
@article{baird2022avb,
  title={The ACII 2022 Affective Vocal Bursts Workshop \\& Competition: Understanding a critically understudied modality of emotional expression},
  author={Baird, Alice and others}, journal={arXiv preprint arXiv:2207.03572}, year={2022}
}
"""  # noqa: E501

_KWARGS_DESCRIPTION = """
Args:
    predictions: a finite number for each clip, or a list of them, one for each label.
    references: the same; NaN or None where a label is missing.
Returns:
    pearson: a number in -1..1.
Examples:
    >>> pearson = evaluate.load("metrics/pearson")
    >>> pearson.compute(predictions=[0.0, 1.0, 2.0], references=[0.5, 1.0, 1.5])
    {'pearson': 1.0}
"""


class Pearson(evaluate.Metric):
    def _info(self):
        number = datasets.Value("float64")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[
                datasets.Features({"predictions": feature, "references": feature})
                for feature in (datasets.Sequence(number), number)
            ],
        )

    def _compute(self, predictions, references):
        return {"pearson": pearson_correlation(predictions, references)}
