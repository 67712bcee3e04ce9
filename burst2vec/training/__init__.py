"""From batches to weights: the trainer, its arguments and its checkpoints."""

from .arguments import Burst2VecTrainingArguments
from .trainer import Burst2VecTrainer

__all__ = ["Burst2VecTrainer", "Burst2VecTrainingArguments"]
