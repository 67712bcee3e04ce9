"""A learning rate that is halved where validation no longer gets better."""

import pytest
from safetensors.numpy import load_file

from tests.training.tiny_run import tiny_arguments, tiny_trainer

PLATEAU = {"lr_scheduler_type": "reduce_lr_on_plateau", "early_stopping_patience": None}


def halving(**kwargs):
    return {**PLATEAU, "lr_scheduler_kwargs": {"factor": 0.5, "patience": 0, **kwargs}}


def rates(trainer):
    return [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]


@pytest.mark.parametrize(
    "metric, mode", [("emotion_ccc", "max"), ("country_uar", "max"), ("age_mae", "min"), ("loss", "min"), (None, "min")]
)
def test_the_plateau_is_of_the_score_that_picks_the_model(tmp_path, metric, mode):
    arguments = tiny_arguments(tmp_path, metric_for_best_model=metric, **halving())
    assert arguments.lr_scheduler_kwargs == {"factor": 0.5, "patience": 0, "mode": mode}


def test_settings_come_as_text_too_and_another_schedule_keeps_its_own(tmp_path):
    text = tiny_arguments(tmp_path, **{**PLATEAU, "lr_scheduler_kwargs": '{"factor": 0.5}'})
    assert text.lr_scheduler_kwargs == {"factor": 0.5, "mode": "max"}
    assert not tiny_arguments(tmp_path, lr_scheduler_type="linear").lr_scheduler_kwargs
    with pytest.raises(ValueError, match=r"lr_scheduler_kwargs must be a mapping .*, got 'factor=0.5'"):
        tiny_arguments(tmp_path, **{**PLATEAU, "lr_scheduler_kwargs": "factor=0.5"})


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"mode": "min"}, r"mode 'min', but of emotion_ccc more is better"),
        ({"mode": "max", "plateau_metric": "loss"}, r"mode 'max', but of loss less is better"),
        ({"factor": 1.5}, r"'factor': 1.5.*Factor should be < 1.0"),
        ({"halve": True}, r"'halve': True.*unexpected keyword argument 'halve'"),
    ],
)
def test_settings_that_would_not_halve_are_refused(tmp_path, kwargs, message):
    followed = {"plateau_metric": kwargs.pop("plateau_metric", None)}
    with pytest.raises(ValueError, match=message):
        tiny_arguments(tmp_path, **followed, **halving(**kwargs))


def test_a_score_to_follow_that_no_validation_gives_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"plateau_metric 'height_ccc' is not a score of this task set"):
        tiny_trainer(tmp_path, plateau_metric="height_ccc", **halving())


def test_the_rate_is_halved_without_and_kept_with_a_better_score(tmp_path):
    """The scores are 0.1, 0.3, 0.2, 0.2, 0.4: two validations are no better than the best before."""
    scores = iter([0.1, 0.3, 0.2, 0.2, 0.4])
    trainer = tiny_trainer(tmp_path, metric_for_best_model="country_uar", load_best_model_at_end=False, **halving())
    trainer.compute_metrics = lambda _: {"country_uar": next(scores)}
    trainer.train()
    assert rates(trainer) == [1e-3, 1e-3, 1e-3, 5e-4, 2.5e-4]  # of the steps before each of the five
    assert trainer.optimizer.param_groups[0]["lr"] == 2.5e-4


def test_the_rate_may_follow_another_score_than_the_model(tmp_path):
    """The scores rise throughout; the losses are no better than the best before in the third and fourth validation."""
    scores, losses = iter([0.1, 0.2, 0.3, 0.4, 0.5]), iter([1.2, 1.1, 1.15, 1.1, 0.9])
    followed = {"metric_for_best_model": "country_uar", "plateau_metric": "loss", "load_best_model_at_end": False}
    trainer = tiny_trainer(tmp_path, **followed, **halving())
    assert trainer.args.lr_scheduler_kwargs["mode"] == "min"
    evaluate = trainer.evaluation_loop

    def with_these(*args, **kwargs):
        output = evaluate(*args, **kwargs)
        output.metrics.update(eval_loss=next(losses), eval_country_uar=next(scores))
        return output

    trainer.evaluation_loop = with_these
    trainer.train()
    assert rates(trainer) == [1e-3, 1e-3, 1e-3, 5e-4, 2.5e-4]
    assert trainer.state.best_metric == 0.5


def test_a_resumed_run_goes_on_at_the_halved_rate_to_the_same_weights(tmp_path):
    hopeless = halving(threshold=10.0)  # no score is ten times the one before
    whole = tiny_trainer(tmp_path, save_total_limit=None, load_best_model_at_end=False, **hopeless)
    whole.train()
    whole.save_model(str(tmp_path / "whole"))
    assert rates(whole)[2:] == [5e-4, 2.5e-4, 1.25e-4]
    resumed = tiny_trainer(tmp_path, save_total_limit=None, load_best_model_at_end=False, **hopeless)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-8"))
    resumed.save_model(str(tmp_path / "resumed"))
    assert rates(resumed) == rates(whole)
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "resumed"))
    assert {name: values.tobytes() for name, values in first.items()} == {n: v.tobytes() for n, v in second.items()}
