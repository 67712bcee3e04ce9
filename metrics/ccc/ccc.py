"""Concordance correlation coefficient for evaluate; the formula and its policy are burst2vec.scoring's."""

import datasets
import evaluate

from burst2vec.scoring import concordance_cc

_DESCRIPTION = """
The concordance correlation coefficient, 2 cov(p, r) / (var(p) + var(r) + (mean(p) - mean(r))^2), all divided by N.
It is 1 for equality, 0 for no concordance, and lower than Pearson's correlation where level or scale differ.
For several labels, the mean over them.
"""

_CITATION = """
@article{lin1989concordance,
  title={A concordance correlation coefficient to evaluate reproducibility},
  author={Lin, Lawrence I-Kuei}, journal={Biometrics}, volume={45}, number={1}, pages={255--268}, year={1989}
}
@article{baird2022exvo,
  title={The ICML 2022 Expressive Vocalizations Workshop and Competition: Recognizing, Generating, and Personalizing Vocal Bursts},
  author={Baird, Alice and others}, journal={arXiv preprint arXiv:2205.01780}, year={2022}
}
"""  # noqa: E501

_KWARGS_DESCRIPTION = """
Args:
    predictions: a finite number for each clip, or a list of them, one for each label.
    references: the same; NaN or None where a label is missing.
Returns:
    ccc: a number in -1..1.
Examples:
    >>> ccc = evaluate.load("metrics/ccc")
    >>> ccc.compute(predictions=[0.0, 1.0, 2.0], references=[0.0, 1.0, 2.0])
    {'ccc': 1.0}
"""


class CCC(evaluate.Metric):
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
        return {"ccc": concordance_cc(predictions, references)}
