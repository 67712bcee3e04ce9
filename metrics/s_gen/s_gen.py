"""The score of ExVo-Generate for evaluate; the formulas and their policy are burst2vec.scoring's."""

import datasets
import evaluate

from burst2vec.scoring import heep
from burst2vec.scoring import s_gen as generation_score

_DESCRIPTION = """
S_GEN, the score of one emotion in ExVo-Generate: the mean of the inverted Fréchet distance of generated clips to real
ones and of the human-evaluated expression precision, (1 / FID + HEEP) / 2.
"""

_CITATION = """
@article{baird2022exvo,
  title={The ICML 2022 Expressive Vocalizations Workshop and Competition: Recognizing, Generating, and Personalizing Vocal Bursts},
  author={Baird, Alice and others}, journal={arXiv preprint arXiv:2205.01780}, year={2022}
}
"""  # noqa: E501

_KWARGS_DESCRIPTION = """
Args:
    predictions: for each rated clip a list of its mean ratings, one in 0..1 for each emotion.
    references: for each clip a list of the same length, 1 for the emotion that it was generated for and 0 elsewhere.
    fid: Fréchet distance of the emotion's generated clips to the real ones; see metrics/frechet_distance.
Returns:
    s_gen, and its parts fid and heep.
Examples:
    >>> s_gen = evaluate.load("metrics/s_gen")
    >>> s_gen.compute(predictions=[[0.5, 0.0], [0.8, 0.3]], references=[[1, 0], [1, 0]], fid=5.0)["fid"]
    5.0
"""


class SGen(evaluate.Metric):
    def _info(self):
        ratings = datasets.Sequence(datasets.Value("float64"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": ratings, "references": ratings}),
        )

    def _compute(self, predictions, references, fid):
        precision = heep(predictions, references)
        return {"s_gen": generation_score(fid, precision), "fid": fid, "heep": precision}
