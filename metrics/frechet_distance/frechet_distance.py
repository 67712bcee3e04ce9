"""The Fréchet distance between generated and real clips for evaluate; the formula is burst2vec.scoring's."""

import datasets
import evaluate
import numpy as np

from burst2vec.scoring import frechet_distance
from burst2vec.scoring.generated import gaussian_of

_DESCRIPTION = """
The Fréchet distance between two sets of vectors, each taken for a normal distribution: FID, where they are a network's
vectors of generated and of real samples. 0 for equal means and covariances, and larger the further they are apart.
"""

_CITATION = """
@inproceedings{heusel2017gans,
  title={GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium},
  author={Heusel, Martin and others}, booktitle={Advances in Neural Information Processing Systems}, year={2017}
}
@article{baird2022exvo,
  title={The ICML 2022 Expressive Vocalizations Workshop and Competition: Recognizing, Generating, and Personalizing Vocal Bursts},
  author={Baird, Alice and others}, journal={arXiv preprint arXiv:2205.01780}, year={2022}
}
"""  # noqa: E501

_KWARGS_DESCRIPTION = """
Args:
    vectors: for each clip a list of its features, such as a model's embedding.
    is_real: for each clip whether it is real; the two sets may be of different sizes.
Returns:
    frechet_distance: a number of 0 or more.
Examples:
    >>> fid = evaluate.load("metrics/frechet_distance")
    >>> fid.compute(vectors=[[0.0], [2.0], [1.0], [3.0]], is_real=[True, True, False, False])
    {'frechet_distance': 1.0}
"""


class FrechetDistance(evaluate.Metric):
    def _info(self):
        vector = datasets.Sequence(datasets.Value("float64"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"vectors": vector, "is_real": datasets.Value("bool")}),
        )

    def _compute(self, vectors, is_real):
        vectors, is_real = np.asarray(vectors, dtype=np.float64), np.asarray(is_real)
        return {"frechet_distance": frechet_distance(*gaussian_of(vectors[~is_real]), *gaussian_of(vectors[is_real]))}
