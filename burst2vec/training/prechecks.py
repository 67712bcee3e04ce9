"""What a run asks that cannot be done, found before anything is read, computed or written."""

from .preparation import RunError, resume_from
from .recipes import Run


def check_run(run: Run) -> None:
    """Refuse what no corpus and no model could mend.

    Raises:
        RunError: nothing to score or predict with; the message names the keys and the call that mends it.
    """
    _refuse_untrained(run)


def _refuse_untrained(run: Run) -> None:
    if run.training.do_train:
        return
    if run.model.model_path is None:
        raise RunError(
            "do_train false: there is no model to evaluate or to predict with, only one with random weights; give a "
            "saved one with --model_path FOLDER, or train"
        )
    if resume_from(run.training.resume_from_checkpoint):
        raise RunError(
            f"do_train false, with resume_from_checkpoint {run.training.resume_from_checkpoint}: only a training goes "
            "on from a checkpoint; leave it out, and give the folder of the saved model with --model_path"
        )
