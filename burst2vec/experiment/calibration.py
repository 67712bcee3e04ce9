"""What a run learns of its model's errors from validation clips, and measures on test clips.

Both are of clips of speakers whom the model was not trained on.
"""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset

from ..configuration_burst2vec import Burst2VecConfig
from ..data.corpora.splits import speaker_key
from ..scoring import (
    calibrate,
    calibration_line,
    coverage_line,
    fit_temperatures,
    measure_calibration,
    measure_coverage,
    with_temperatures,
)
from ..tasks import Task

COVERAGE = 0.9  # asked for where coverage is measured


class Calibration:
    """Temperatures of classifications, and quantiles of errors for conformal intervals and sets.

    Args:
        tasks: the model's task records.
        config: of the model; where ``trained_on`` is None its temperatures are in its predictions, else it has none.
        trained_on: the training speakers, as ``speaker_key`` names them: validation clips of others then give
            ``temperatures`` and ``conformal``. None takes those of the configuration.
    """

    def __init__(self, tasks: Sequence[Task], config: Burst2VecConfig, trained_on: frozenset[str] | None):
        self.tasks, self.trained_on = tasks, trained_on
        self.conformal, self.temperatures = config.conformal, config.temperatures
        self.coverage: dict[str, dict] = {}
        self.errors: dict[str, dict] = {}

    def apply(self, split: str, dataset: Dataset, predictions: dict, labels: dict) -> dict:
        """The predictions as the saved model gives them; of the validation clips the temperatures are learnt first."""
        if self.trained_on is None:
            return predictions
        if split == "validation" and (new := self._of_new_speakers(dataset, predictions, labels)) is not None:
            self.temperatures = fit_temperatures(self.tasks, *new) or None
        return with_temperatures(predictions, self.temperatures)

    def add(self, split: str, dataset: Dataset, predictions: dict, labels: dict) -> list[str]:
        """Learn the quantiles from validation clips; measure coverage and calibration error.

        Args:
            split: its name.
            dataset: its clips.
            predictions: as ``apply`` gives them.
            labels: by task, of the clips.

        Returns:
            Lines for the console.
        """
        new = self._of_new_speakers(dataset, predictions, labels)
        if new is None or split not in ("validation", "test"):
            return []
        learns = split == "validation" and self.trained_on is not None
        speakers = len(set(new[2]))
        if learns:
            self.conformal = calibrate(self.tasks, *new) or None
        elif split == "test" and self.conformal:
            measured = measure_coverage(self.tasks, self.conformal, new, COVERAGE)
            self.coverage[split] = {"asked": COVERAGE, "speakers": speakers, "tasks": measured}
        if self.temperatures and (learns or split == "test"):
            before = (with_temperatures(new[0], self.temperatures, inverse=True), *new[1:])
            measured = measure_calibration(self.tasks, self.temperatures, before, crossed=learns)
            if measured:
                self.errors[split] = {"speakers": speakers, "crossed": learns, "tasks": measured}
        return calibration_lines(split, self.coverage, self.errors, self.tasks)

    def _of_new_speakers(self, dataset: Dataset, predictions: dict, labels: dict) -> tuple | None:
        """Predictions, labels and speakers of the clips whose speakers were not trained on; None without any."""
        named = dataset["speaker"][:] if "speaker" in dataset.column_names else []
        speakers = [speaker_key(speaker or "") for speaker in named]
        new = np.array([speaker != "" and speaker not in (self.trained_on or ()) for speaker in speakers], dtype=bool)
        if not new.any():
            return None
        of_new = ({name: np.asarray(values)[new] for name, values in each.items()} for each in (predictions, labels))
        return (*of_new, np.array(speakers)[new])


def calibration_lines(split: str, coverage: dict, errors: dict, tasks: Sequence[Task]) -> list[str]:
    """What a run's record has under ``coverage`` and ``calibration`` for a split, in sentences."""
    lines = [coverage_line(coverage[split], tasks)] if split in coverage else []
    return lines + ([calibration_line(errors[split], tasks)] if split in errors else [])
