"""The trainer on vectors instead of recordings: an exact resume, the order of predictions, and what is refused."""

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask
from burst2vec.data.vectors import vectors_of, with_vectors
from burst2vec.errors import CheckpointError
from burst2vec.training import Burst2VecTrainer
from tests.training.tiny_run import tiny_arguments, tiny_corpus


def vector_corpus(clips=24, seed=0):
    chance = np.random.default_rng(seed)
    rows = tiny_corpus(clips, seed).remove_columns("samples")
    return with_vectors(rows, chance.standard_normal((clips, 5), dtype=np.float32))


def vector_trainer(output_dir, corpus=None, callbacks=(), **changes):
    torch.manual_seed(0)
    trunk = {"kind": "shared", "hidden_sizes": [6]}
    config = Burst2VecConfig(encoder_config={"kind": "vector", "features": 5}, trunk=trunk)
    return Burst2VecTrainer(
        model=Burst2VecForMultiTask(config),
        args=tiny_arguments(output_dir, load_best_model_at_end=False, **changes),
        train_dataset=corpus or vector_corpus(),
        eval_dataset=vector_corpus(9, seed=1),
        processing_class=Burst2VecFeatureExtractor(features=["mine"], feature_size=5),
        callbacks=callbacks,
    )


class Interrupt(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 6:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "settings", [{}, {"task_schedule": "joint", "dataloader_num_workers": 1}], ids=["turns", "joint"]
)
def test_a_run_on_vectors_that_is_interrupted_in_mid_epoch_ends_in_the_same_weights(tmp_path, settings):
    whole = vector_trainer(tmp_path / "whole", max_steps=10, **settings)
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        vector_trainer(tmp_path / "run", max_steps=10, callbacks=[Interrupt()], **settings).train()
    resumed = vector_trainer(tmp_path / "run", max_steps=10, **settings)
    resumed.train(resume_from_checkpoint=True)
    for name, values in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], values), name


def test_predictions_on_vectors_come_in_the_corpuss_order(tmp_path):
    trainer = vector_trainer(tmp_path, per_device_eval_batch_size=4)
    corpus = vector_corpus(9, seed=1)
    predicted = trainer.predict(corpus)
    with torch.no_grad():
        expected = trainer.model.eval()(torch.from_numpy(vectors_of(corpus).copy())).predictions["age"]
    assert np.allclose(predicted.predictions["age"], expected, atol=1e-5)
    assert predicted.label_ids["age"].ravel().tolist() == pytest.approx(corpus["age"][:])


def test_a_run_on_other_vectors_does_not_resume(tmp_path):
    vector_trainer(tmp_path, max_steps=4).train()
    other = vector_corpus()
    other = with_vectors(other.remove_columns("vector"), vectors_of(other) + 1)
    with pytest.raises(CheckpointError, match="train_data was"):
        vector_trainer(tmp_path, corpus=other, max_steps=4).train(resume_from_checkpoint=True)


def test_vectors_cannot_be_played_faster(tmp_path):
    with pytest.raises(ValueError, match="only recordings can be played faster or slower, and the model takes vectors"):
        vector_trainer(tmp_path, speed_perturbation=[0.9, 1.1]).train()


def test_no_gradient_is_measured_where_none_is_clipped(tmp_path):
    free, clipped = (vector_trainer(tmp_path / str(norm), max_steps=4, max_grad_norm=norm) for norm in (0.0, 1.0))
    for trainer, measured in ((free, False), (clipped, True)):
        trainer.train()
        assert ("grad_norm" in next(log for log in trainer.state.log_history if "loss" in log)) == measured
