"""Human-evaluated expression precision for evaluate; the formula and its policy are burst2vec.scoring's."""

import datasets
import evaluate

from burst2vec.scoring import heep

_DESCRIPTION = """
HEEP, the human part of the score of ExVo-Generate: Pearson's correlation between the mean human intensity ratings of
generated clips and the emotions that they were generated for, over all clips and emotions at once.
"""

_CITATION = """
@article{baird2022exvo,
  title={The ICML 2022 Expressive Vocalizations Workshop and Competition: Recognizing, Generating, and Personalizing Vocal Bursts},
  author={Baird, Alice and others}, journal={arXiv preprint arXiv:2205.01780}, year={2022}
}
"""  # noqa: E501

_KWARGS_DESCRIPTION = """
Args:
    predictions: for each generated clip a list of its mean ratings, one in 0..1 for each emotion.
    references: for each clip a list of the same length, 1 for the emotion that it was generated for and 0 elsewhere.
Returns:
    heep: a number in -1..1.
Examples:
    >>> heep = evaluate.load("metrics/heep")
    >>> heep.compute(predictions=[[0.5, 0.0], [0.0, 0.5]], references=[[1, 0], [0, 1]])
    {'heep': 1.0}
"""


class Heep(evaluate.Metric):
    def _info(self):
        ratings = datasets.Sequence(datasets.Value("float64"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": ratings, "references": ratings}),
        )

    def _compute(self, predictions, references):
        return {"heep": heep(predictions, references)}
