"""How long a run trained, all sittings of a resumed one together."""

import time

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState


class TrainingTime(TrainerCallback, ExportableState):
    """Counts the seconds between a training's begin and end; its checkpoints carry those of the sittings before.

    Attributes:
        before: seconds up to the checkpoint that was resumed; None where that checkpoint does not say it.
        steps: done in the sittings that are counted.
    """

    def __init__(self):
        self.before: float | None = 0.0
        self.steps = 0
        self._began: float | None = None
        self._ended: float | None = None

    @property
    def seconds(self) -> float | None:
        """Of training, evaluations and checkpoints included; None where nothing was trained, or it is unknown."""
        if self._began is None or self.before is None:
            return None
        return self.before + (self._ended or time.monotonic()) - self._began

    def on_train_begin(self, args, state, control, **kwargs):
        if state.global_step != self.steps:  # of a checkpoint from before runs counted
            self.before = None
        self._began, self._ended = time.monotonic(), None

    def on_step_end(self, args, state, control, **kwargs):
        self.steps = state.global_step

    def on_train_end(self, args, state, control, **kwargs):
        self._ended = time.monotonic()

    def state(self) -> dict:
        return {"args": {}, "attributes": {"before": self.seconds, "steps": self.steps}}
