"""A Trainer whose runs may be killed at any moment: whole checkpoints, one run per folder, verified weights."""

import logging
import os
import shutil
from contextlib import nullcontext
from pathlib import Path

from safetensors import SafetensorError
from transformers import EarlyStoppingCallback
from transformers.trainer_callback import ExportableState

from ..errors import CheckpointError, DivergenceError, WriteError
from ..files import drafts_of
from ..locks import check_lock
from ..weights import weights_not_finite
from .agreement import ask_main, locked_by_main
from .checkpoints import (
    STATE,
    begin_checkpoint,
    best_checkpoint,
    checkpoint_folder,
    checkpoint_steps,
    choose_checkpoint,
    keep_newest,
    remove_leftovers,
    saving_folder,
    seal_checkpoint,
    verify_checkpoint,
)
from .private_methods import HookedTrainer
from .weight_average import WeightAverage

SCALER = "scaler.pt"

logger = logging.getLogger(__name__)


class ResumableTrainer(HookedTrainer):
    """transformers' Trainer, with checkpoints that are whole and resumed only by the run that wrote them.

    With ``args.average_decay`` a moving average of the weights is validated, saved and what the model ends with.
    """

    weight_average: WeightAverage | None = None  # while it trains

    def fingerprint(self) -> dict:
        """What must stay the same for a resumed run to end as the uninterrupted one: name → JSON value."""
        raise NotImplementedError

    def train(self, resume_from_checkpoint=None, trial=None, **kwargs):
        """Train, from the start or from a checkpoint.

        Args:
            resume_from_checkpoint: a checkpoint's folder; or True (or "true") for the newest whole one in
                ``args.output_dir``, and from the start where there is none yet.
            trial: of a hyper-parameter search, which begins anew in a folder of its own.
            kwargs: as ``transformers.Trainer.train``.

        Raises:
            CheckpointError: the checkpoint is damaged, or was written by a run with other settings; or a new run was
                started where an old one left checkpoints.
            FolderInUseError: another living run writes into ``args.output_dir``.
            DivergenceError: a loss that is not finite.
        """
        with locked_by_main(self.args.output_dir):
            place = self.checkpoints_of(trial)
            self._from = ask_main(lambda: self._look_for_checkpoint(place, resume_from_checkpoint))
            self._resumed = self._from is not None
            output = super().train(resume_from_checkpoint=self._from, trial=trial, **kwargs)
        if self.weight_average is not None and not self._ends_with_best:
            self.weight_average.keep()
        self.weight_average = None
        if self.args.load_best_model_at_end and self.state.best_model_checkpoint is None:
            logger.warning(
                "%s: no validation gave a finite %s to choose by; the run ends with the weights of its last step, %d",
                self.args.output_dir,
                self.args.metric_for_best_model,
                self.state.global_step,
            )
        return output

    @property
    def step_of_weights(self) -> int:
        """The step after which the model had the weights that training ended with: its best, or its last."""
        return self.state.best_global_step if self._ends_with_best else self.state.global_step

    @property
    def _ends_with_best(self) -> bool:
        return self.args.load_best_model_at_end and self.state.best_model_checkpoint is not None

    def averaged_weights(self):
        """A context in which the model has its averaged weights, where they are averaged."""
        return nullcontext() if self.weight_average is None else self.weight_average.in_place()

    def evaluation_loop(self, *args, **kwargs):
        """Predict with the averaged weights, where they are averaged."""
        with self.averaged_weights():
            return super().evaluation_loop(*args, **kwargs)

    def _look_for_checkpoint(self, output_dir: str, asked) -> str | None:
        for name in remove_leftovers(output_dir):
            logger.warning("%s: removed %s, which a killed run left unfinished", output_dir, name)
        if not asked:
            if checkpoint_steps(output_dir):
                raise CheckpointError(
                    f"{output_dir} holds checkpoints of an earlier run; resume it with resume_from_checkpoint=True, or "
                    "give this run another output_dir"
                )
            return None
        asked = True if str(asked).lower() == "true" else asked
        folder, skipped = choose_checkpoint(output_dir, asked, self.fingerprint(), self.args.load_best_model_at_end)
        for reason in skipped:
            logger.warning("%s: skipped %s", output_dir, reason)
        if folder is None:
            logger.warning("%s: there is no checkpoint yet; training starts at step 0", output_dir)
            return None
        logger.warning("resuming from %s", folder)
        return str(folder)

    def on_state_restored(self) -> None:
        """A run whose folder was moved finds its best checkpoint where it is now; transformers would not find it."""
        self._run = self.fingerprint()  # of the model and arguments that a search's trial has set by now
        if self._from is not None and (best := best_checkpoint(self._from)) is not None and best.is_dir():
            self.state.best_model_checkpoint = str(best)
        if self.args.average_decay is not None:
            self.weight_average = WeightAverage(self.model, self.args.average_decay)
            if self._from is not None:
                self.weight_average.restore(self._from)

    def on_scaler_restore(self, checkpoint: str | None) -> None:
        """The state of fp16's loss scaling, without which transformers would resume silently."""
        if checkpoint is not None and self.accelerator.scaler is not None and not Path(checkpoint, SCALER).is_file():
            raise CheckpointError(f"{checkpoint} cannot be resumed: {SCALER} is missing, which a run in fp16 needs")

    def has_finished(self) -> bool:
        """Whether the resumed checkpoint was the run's last; transformers would take another step."""
        patience = [c for c in self.callback_handler.callbacks if isinstance(c, EarlyStoppingCallback)]
        out_of_patience = any(c.early_stopping_patience_counter >= c.early_stopping_patience for c in patience)
        finished = self.state.global_step >= self.state.max_steps or (self._resumed and out_of_patience)
        self._resumed &= finished  # in later epochs, early stopping looks at its patience itself
        return finished

    def on_validated(self, is_best: bool) -> None:
        """Weights that the run may end with are saved when they are found, and not only at the next save_steps."""
        self.control.should_save |= is_best and self.args.load_best_model_at_end

    def write_checkpoint(self, run_dir: str) -> None:
        """Write a checkpoint beside its place, and put it there whole; see ``checkpoints``."""
        step = self.state.global_step
        if self.state.best_global_step:
            best = checkpoint_folder(run_dir, self.state.best_global_step)
            if best.exists() or self.state.best_global_step == step:
                self.state.best_model_checkpoint = str(best)
        folder = saving_folder(run_dir, step)
        check_lock(self.args.output_dir)
        try:
            if self.args.should_save:
                begin_checkpoint(run_dir, step)
            self.accelerator.wait_for_everyone()
            self.save_model(str(folder), _internal_call=True)
            self.write_training_state(folder)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                if self.weight_average is not None:
                    self.weight_average.save(folder)
                for callback in (*self.callback_handler.callbacks, self.control):
                    if isinstance(callback, ExportableState):
                        self.state.stateful_callbacks[type(callback).__name__] = callback.state()
                self.state.save_to_json(os.path.join(folder, STATE))
                seal_checkpoint(run_dir, step, self._run)
                keep_newest(run_dir, self.args.save_total_limit, self.state.best_model_checkpoint, step)
        except (OSError, RuntimeError, SafetensorError) as error:  # a full disk comes as any of these
            shutil.rmtree(folder, ignore_errors=True)  # makes room for the final model
            free = shutil.disk_usage(run_dir).free / 2**30 if Path(run_dir).exists() else 0.0
            raise CheckpointError(
                f"checkpoint-{step} could not be written to {run_dir} ({free:.1f} GiB free): {error}. Older "
                "checkpoints are whole: make room, lower save_total_limit, and resume"
            ) from error
        self.accelerator.wait_for_everyone()

    def write_model(self, folder: str, state_dict: dict | None) -> None:
        """Save weights (safetensors), configuration and feature extractor, all of them or none.

        Of a model that PEFT wraps the weights are the adapters' and those of ``modules_to_save``.
        Not ``training_args.bin``: it is a pickle, and holds ``hub_token`` in clear.

        Raises:
            DivergenceError: a parameter or buffer is not finite.
            WriteError: a full disk, for example; a model that was there stays.
        """
        with self.averaged_weights():
            self._write_model(folder, state_dict)

    def _write_model(self, folder: str, state_dict: dict | None) -> None:
        model = self.accelerator.unwrap_model(self.model)
        if wrong := weights_not_finite(model):
            raise DivergenceError(
                f"step {self.state.global_step}: {len(wrong)} weights are not finite, the first {wrong[0]!r}; the "
                "model was not saved. Earlier checkpoints are whole"
            )
        with drafts_of(folder, last="config.json") as drafts:
            try:
                model.save_pretrained(drafts, state_dict=state_dict)
            except SafetensorError as error:  # of a full disk, without a number
                raise WriteError(folder, error) from error
            model.config.save_pretrained(drafts)  # which PEFT leaves out
            if self.processing_class is not None:
                self.processing_class.save_pretrained(drafts)

    def on_best_model_restore(self) -> None:
        """Verify that the best weights are as they were written."""
        best = self.state.best_model_checkpoint
        try:
            verify_checkpoint(best)
        except CheckpointError as error:
            raise CheckpointError(
                f"the best checkpoint {best}: {error}. The run should have ended with its weights: resume it by "
                "--resume_from_checkpoint true, which goes back to an older one, or with --load_best_model_at_end "
                "false to end with the last weights"
            ) from error
