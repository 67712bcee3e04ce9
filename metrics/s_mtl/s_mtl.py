"""The ranking score of ExVo-MultiTask for evaluate; the formulas and their policy are burst2vec.scoring's."""

import datasets
import evaluate

from burst2vec.scoring import concordance_cc, mean_absolute_error, unweighted_average_recall
from burst2vec.scoring import s_mtl as multitask_score

_DESCRIPTION = """
S_MTL, the score that ranked the ExVo-MultiTask track: the harmonic mean of the emotions' concordance (CCC), the
country's unweighted average recall (UAR) and the inverse of the age's mean absolute error in years (MAE),
3 / (1/CCC + 1/UAR + MAE).
"""

_CITATION = """
@article{baird2022exvo,
  title={The ICML 2022 Expressive Vocalizations Workshop and Competition: Recognizing, Generating, and Personalizing Vocal Bursts},
  author={Baird, Alice and others}, journal={arXiv preprint arXiv:2205.01780}, year={2022}
}
"""  # noqa: E501

_KWARGS_DESCRIPTION = """
Args:
    predictions, references: for each clip a list of its emotion intensities, both in one order of emotions.
    age_predictions, age_references: for each clip an age in years.
    country_predictions: for each clip a class index, or a list of one probability for each class.
    country_references: for each clip a class index.
    Missing references are NaN or None, or -1 for a class.
Returns:
    s_mtl, and its parts ccc, uar and mae.
Examples:
    >>> s_mtl = evaluate.load("metrics/s_mtl")
    >>> s_mtl.compute(
    ...     predictions=[[0.0, 1.0], [1.0, 0.0]], references=[[0.0, 1.0], [1.0, 0.0]],
    ...     age_predictions=[24.0, 30.0], age_references=[25.0, 31.0],
    ...     country_predictions=[0, 3], country_references=[0, 3],
    ... )
    {'s_mtl': 1.0, 'ccc': 1.0, 'uar': 1.0, 'mae': 1.0}
"""


class SMtl(evaluate.Metric):
    def _info(self):
        number, class_index = datasets.Value("float64"), datasets.Value("int64")
        intensities = datasets.Sequence(number)
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[
                datasets.Features(
                    {
                        "predictions": intensities,
                        "references": intensities,
                        "age_predictions": number,
                        "age_references": number,
                        "country_predictions": country,
                        "country_references": class_index,
                    }
                )
                for country in (datasets.Sequence(number), class_index)
            ],
        )

    def _compute(
        self, predictions, references, age_predictions, age_references, country_predictions, country_references
    ):
        ccc = concordance_cc(predictions, references)
        uar = unweighted_average_recall(country_predictions, country_references)
        mae = mean_absolute_error(age_predictions, age_references)
        return {"s_mtl": multitask_score(ccc, uar, mae), "ccc": ccc, "uar": uar, "mae": mae}
