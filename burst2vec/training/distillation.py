"""Distillation (Hinton et al., 2015): a model learns in part what trained models answer to the same clips."""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import AutoModel

from ..errors import RunError
from ..feature_extraction_burst2vec import Burst2VecFeatureExtractor
from ..shipped_models import place_of
from ..tasks import Task
from .mixup import as_numbers

# Of a teacher's feature extractor and the learner's. What was cut of a clip may differ.
SAME_INPUTS = ("features", "normalise_per_speaker", "preprocess", "target_rms_dbfs")


class Teachers:
    """Trained models whose mean answers soften the labels of a batch.

    With a temperature of 1 the cross-entropy with softened labels is Hinton's weighted sum of the two objectives, for
    it is linear in them. A teacher receives what the learner receives, waveforms that are cropped or played faster too,
    as Beyer et al. (2022) found best; what the learner's encoder masks it sees whole.

    Args:
        names: of saved models: folders, or names on the Hub.
        tasks: the learner's.
        extractor: the learner's feature extractor.

    Raises:
        RunError: a model that cannot be loaded, of other tasks, or whose inputs are prepared in another way.
    """

    def __init__(self, names: Sequence[str], tasks: Sequence[Task], extractor: Burst2VecFeatureExtractor):
        if extractor is None:
            raise RunError("teachers: give processing_class, whose inputs are compared with theirs")
        self.tasks = tasks
        self.models = [self._load(name, extractor) for name in names]

    def _load(self, name: str, extractor: Burst2VecFeatureExtractor) -> nn.Module:
        try:
            place = place_of(name)
            model = AutoModel.from_pretrained(place, use_safetensors=True, dtype=torch.float32)
            own = Burst2VecFeatureExtractor.from_pretrained(place)
        except (OSError, ValueError) as error:
            raise RunError(f"teachers: {name} cannot be loaded: {error}") from error
        said = {task.name: (task.kind, task.labels) for task in getattr(model.config, "task_records", ())}
        for task in self.tasks:
            if said.get(task.name) != (task.kind, task.labels):
                raise RunError(f"teachers: {name} does not answer the task {task.name} with the labels {task.labels}")
        for key in SAME_INPUTS:
            if getattr(own, key) != getattr(extractor, key):
                raise RunError(
                    f"teachers: {name} has {key} {getattr(own, key)}, the model that learns {getattr(extractor, key)}; "
                    "both receive the same batches, so give this one the teacher's"
                )
        return model.eval().requires_grad_(False)

    @torch.no_grad()
    def soften(self, batch: dict, share: float) -> dict:
        """y ← (1 − share) · y + share · the mean of the teachers' answers.

        Args:
            batch: as ``BurstCollator`` gives it.
            share: of the teachers, 0..1.

        Returns:
            The batch with softened ``labels``; of a classification the classes' weights, float32 (batch, classes), NaN
            where the label is missing. A missing label stays missing.
        """
        values = batch["input_values"]
        inputs = {name: batch[name] for name in ("input_values", "attention_mask") if name in batch}
        said = [model.to(values.device)(**inputs).predictions for model in self.models]
        labels = {}
        for task in self.tasks:
            answer = torch.stack([of_model[task.name] for of_model in said]).mean(dim=0)
            labels[task.name] = (1 - share) * as_numbers(task, batch["labels"][task.name]) + share * answer
        return {**batch, "labels": labels}
