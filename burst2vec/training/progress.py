"""The console during training: a bar, and one short line per log instead of all its numbers."""

from collections.abc import Sequence

from transformers import ProgressCallback

from ..tasks import Task

LOGS = 20  # of a run, or more


class OneLineProgress(ProgressCallback):
    """transformers' progress bars, with lines that fit a terminal; ``log_history`` still gets everything.

    Args:
        tasks: of the model.
        split: that is evaluated during training.
    """

    def __init__(self, tasks: Sequence[Task], split: str = "validation"):
        super().__init__()
        self.tasks, self.split = tasks, split

    def on_train_begin(self, args, state, control, **kwargs):
        """A run shorter than twenty logs is logged more often than ``logging_steps`` says, so that it has a curve."""
        state.logging_steps = min(state.logging_steps, max(1, state.max_steps // LOGS))
        super().on_train_begin(args, state, control, **kwargs)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if state.is_world_process_zero and self.training_bar is not None and (line := self.line(logs)):
            self.training_bar.write(f"step {state.global_step}, epoch {logs.get('epoch', 0):.2f}: {line}")

    def line(self, logs: dict) -> str:
        """The line of a log: of training the losses, of a validation the tasks' scores.

        >>> from burst2vec.tasks import AGE
        >>> OneLineProgress([AGE]).line({"loss": 2.0, "age_shared": 0.3, "age_combined": 0.25, "learning_rate": 1e-5})
        'loss 2.000 (age 0.250) at rate 1e-05'
        >>> OneLineProgress([AGE]).line({"eval_age_mae": 3.5, "eval_runtime": 1.0})
        'validation age_mae 3.500'
        """
        if "loss" in logs:
            of_task = {task.name: logs.get(f"{task.name}_combined") for task in self.tasks}
            parts = ", ".join(f"{name} {value:.3f}" for name, value in of_task.items() if value is not None)
            return f"loss {logs['loss']:.3f}" + f" ({parts})" * bool(parts) + f" at rate {logs['learning_rate']:.3g}"
        names = [*(task.score_name for task in self.tasks), "s_mtl"]
        found = [f"{name} {logs[f'eval_{name}']:.3f}" for name in names if f"eval_{name}" in logs]
        return f"{self.split} " + ", ".join(found) if found else ""
