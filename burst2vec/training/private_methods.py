"""All private methods of transformers' ``Trainer`` that are overridden or called, and nothing else.

Another release may rename one without a word: our method would no longer be called. So they stand in this file alone,
each calls a public method of ours that says what it is for, and a test compares them with the releases tried.
"""

from collections.abc import Sequence
from pathlib import Path

from torch.utils.data import DataLoader, Dataset
from transformers import Trainer


class HookedTrainer(Trainer):
    """transformers' ``Trainer`` with the public methods below, which by default do what it does."""

    # ---- What a trainer of ours may override

    def loadable(self, dataset) -> Dataset:
        """What the loader of an evaluation takes its batches from."""
        return dataset

    def evaluation_order(self, dataset) -> Sequence[int] | None:
        """The rows of a ``loadable`` data set in the order of evaluation; None for transformers' order."""
        return None

    def plateau_score(self) -> str | None:
        """The score that a falling rate follows, such as ``eval_loss``; None for ``metric_for_best_model``."""
        return None

    def on_state_restored(self) -> None:
        """Called when the trainer's state is a checkpoint's, or a new one."""

    def on_scaler_restore(self, checkpoint: str | None) -> None:
        """Called before the state of fp16's loss scaling is read from a checkpoint."""

    def on_best_model_restore(self) -> None:
        """Called before the weights of the best checkpoint are read."""

    def on_validated(self, is_best: bool) -> None:
        """Called after a validation, with whether its score is the best so far."""

    def has_finished(self) -> bool:
        """Whether training is over before the epoch that would begin now."""
        return False

    def write_checkpoint(self, run_dir: str) -> None:
        """Write a checkpoint; ``write_training_state`` writes its state of optimizer, schedule and random numbers."""
        raise NotImplementedError

    def write_model(self, folder: str, state_dict: dict | None) -> None:
        """Write weights, configuration and feature extractor."""
        raise NotImplementedError

    # ---- What a trainer of ours may call

    def write_training_state(self, folder: str | Path) -> None:
        """The states of optimizer, schedule, loss scaling and random numbers, in each process its own."""
        self._save_optimizer_and_scheduler(str(folder))
        self._save_scaler(str(folder))
        self._save_rng_state(str(folder))

    def checkpoints_of(self, trial) -> str:
        """Where checkpoints lie: in ``args.output_dir``, or, of a hyper-parameter search's trial, in a folder there."""
        return self._get_output_dir(trial)

    def on_device(self, inputs: dict) -> dict:
        """A batch on the model's device."""
        return self._prepare_inputs(inputs)

    # ---- The private methods

    def _get_dataloader(self, dataset, *args, **kwargs) -> DataLoader:
        return super()._get_dataloader(self.loadable(dataset), *args, **kwargs)

    def _get_eval_sampler(self, eval_dataset):
        order = self.evaluation_order(eval_dataset)
        return super()._get_eval_sampler(eval_dataset) if order is None else order

    def _get_grad_norm(self, model, grad_norm=None):
        """None where nothing is clipped (``max_grad_norm`` 0).

        transformers would measure all gradients then, and multiply them by 1, at each step, for a number in the log.
        """
        return None if grad_norm is None else super()._get_grad_norm(model, grad_norm)

    def _evaluate(self, trial, ignore_keys_for_eval, skip_scheduler=False):
        """Validate; the rate follows ``plateau_score``, where transformers knows ``metric_for_best_model`` only."""
        followed = None if skip_scheduler else self.plateau_score()
        metrics = super()._evaluate(trial, ignore_keys_for_eval, skip_scheduler=skip_scheduler or followed is not None)
        if followed is not None:
            self.lr_scheduler.step(metrics[followed])
        return metrics

    def _init_training_state(self, *args, **kwargs):
        progress = super()._init_training_state(*args, **kwargs)
        self.on_state_restored()
        return progress

    def _load_scaler(self, checkpoint) -> None:
        self.on_scaler_restore(checkpoint)
        super()._load_scaler(checkpoint)

    def _run_epoch(self, *args, **kwargs):
        if self.has_finished():
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def _determine_best_metric(self, *args, **kwargs) -> bool:
        is_best = super()._determine_best_metric(*args, **kwargs)
        self.on_validated(is_best)
        return is_best

    def _save_checkpoint(self, model, trial):
        self.write_checkpoint(self._get_output_dir(trial))

    def _save(self, output_dir=None, state_dict=None):
        if self.args.should_save:
            self.write_model(self.args.output_dir if output_dir is None else output_dir, state_dict)

    def _load_best_model(self):
        self.on_best_model_restore()
        super()._load_best_model()
