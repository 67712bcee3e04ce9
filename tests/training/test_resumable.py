"""A training never ends with other weights than it should in silence."""

import errno
import logging
import math
import os
import shutil
import signal
import time

import pytest
import torch
from safetensors import SafetensorError
from transformers import AutoModel

from burst2vec import Burst2VecFeatureExtractor
from burst2vec.errors import CheckpointError, FolderInUseError, WriteError
from burst2vec.locks import lock_folder
from burst2vec.training import Burst2VecTrainer
from burst2vec.training.checkpoints import checkpoint_steps, verify_checkpoint
from tests.training.tiny_run import tiny_arguments, tiny_corpus, tiny_model, tiny_trainer


def scripted(output_dir, scores, accidents=None, **changes):
    """A trainer whose validations give these scores, one after the other, and that keeps the weights of each.

    ``accidents`` happen during the validation of a step.
    """

    class Scripted(Burst2VecTrainer):
        kept = {}

        def score(self, evaluated):
            self.kept[self.state.global_step] = weights(self.model)
            (accidents or {}).get(self.state.global_step, bool)()
            return {"emotion_ccc": scores[self.state.global_step // self.args.eval_steps - 1]}

    return Scripted(
        tiny_model(),
        tiny_arguments(output_dir, **{"eval_steps": 2, "save_steps": 2, "max_steps": 2 * len(scores), **changes}),
        train_dataset=tiny_corpus(),
        eval_dataset=tiny_corpus(8, seed=1),
        processing_class=Burst2VecFeatureExtractor(),
    )


def weights(model):
    return {name: values.clone() for name, values in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_best_weights_are_kept_where_checkpoints_are_rarer_than_validations(tmp_path):
    trainer = scripted(tmp_path, [0.1, 0.2, 0.9, 0.3, 0.2], save_steps=4)
    trainer.train()
    assert trainer.step_of_weights == trainer.state.best_global_step == 6
    assert same(weights(trainer.model), trainer.kept[6]) and not same(weights(trainer.model), trainer.kept[10])


def test_where_the_best_is_not_asked_for_checkpoints_are_as_rare_as_asked(tmp_path):
    trainer = scripted(tmp_path, [0.1, 0.2, 0.9, 0.3], save_steps=4, load_best_model_at_end=False, save_total_limit=9)
    trainer.train()
    assert list(checkpoint_steps(tmp_path)) == [4, 8] and trainer.step_of_weights == 8


@pytest.fixture
def finished(tmp_path):
    """A run whose best checkpoint is neither its first nor its newest, and the weights at each."""
    trainer = scripted(tmp_path / "run", [0.1, 0.9, 0.3], save_total_limit=9)
    trainer.train()
    assert list(checkpoint_steps(tmp_path / "run")) == [2, 4, 6]
    return tmp_path / "run", trainer.kept


@pytest.mark.parametrize("loss", ["deleted", "damaged"])
def test_a_run_that_lost_its_best_checkpoint_goes_back_and_finds_it_again(finished, caplog, loss):
    folder, kept = finished
    best = folder / "checkpoint-4"
    shutil.rmtree(best) if loss == "deleted" else (best / "model.safetensors").write_bytes(b"other")
    trainer = scripted(folder, [0.1, 0.9, 0.3], save_total_limit=9)
    trainer.train(resume_from_checkpoint=True)
    assert "skipped checkpoint-6: the best one so far, checkpoint-4, is not whole" in caplog.text
    assert trainer.step_of_weights == 4
    verify_checkpoint(best)
    assert same(weights(trainer.model), kept[4]) and not same(weights(trainer.model), kept[6])


def test_a_run_that_cannot_get_its_best_back_is_refused_until_the_last_weights_are_asked_for(finished):
    folder, kept = finished
    for step in (2, 4):
        shutil.rmtree(folder / f"checkpoint-{step}")
    with pytest.raises(CheckpointError, match="checkpoint-4, is not whole .*--load_best_model_at_end false"):
        scripted(folder, [0.1, 0.9, 0.3]).train(resume_from_checkpoint=True)
    trainer = scripted(folder, [0.1, 0.9, 0.3], load_best_model_at_end=False)
    trainer.train(resume_from_checkpoint=True)
    assert trainer.step_of_weights == 6 and same(weights(trainer.model), kept[6])


def test_a_moved_run_ends_with_its_best_weights(finished):
    folder, kept = finished
    moved = folder.rename(folder.with_name("moved"))
    trainer = scripted(moved, [0.1, 0.9, 0.3])
    trainer.train(resume_from_checkpoint=True)
    assert trainer.state.best_model_checkpoint == str(moved / "checkpoint-4")
    assert same(weights(trainer.model), kept[4])


def test_a_checkpoint_resumed_in_another_folder_ends_with_the_best_of_its_own(finished, tmp_path):
    folder, kept = finished
    trainer = scripted(tmp_path / "other", [0.1, 0.9, 0.3])
    trainer.train(resume_from_checkpoint=str(folder / "checkpoint-6"))
    assert trainer.state.best_model_checkpoint == str(folder / "checkpoint-4")
    assert same(weights(trainer.model), kept[4])


def test_a_best_checkpoint_lost_while_the_run_lives_ends_it_with_an_error(tmp_path):
    accident = {4: lambda: shutil.rmtree(tmp_path / "checkpoint-2")}
    with pytest.raises(CheckpointError, match="the best checkpoint .*checkpoint-2: it has no manifest.json"):
        scripted(tmp_path, [0.9, 0.1], accident).train()


def test_a_run_whose_validations_choose_nothing_says_whose_weights_it_ends_with(tmp_path, caplog):
    trainer = scripted(tmp_path, [math.nan, math.nan])
    trainer.train()
    assert f"{tmp_path}: no validation gave a finite emotion_ccc to choose by" in caplog.text
    assert "the weights of its last step, 4" in caplog.text and trainer.step_of_weights == 4


def test_a_full_disk_leaves_the_model_that_was_there(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path / "run")
    trainer.save_model(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    assert {"model.safetensors", "config.json", "preprocessor_config.json"} <= set(before)
    with torch.no_grad():
        trainer.model.heads["age"].output.bias.add_(1)

    def half(tensors, path, *args, **kwargs):
        with open(path, "wb") as file:
            file.write(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for place, name, fault in (
        ("transformers.modeling_utils", "safe_save_file", half),
        ("burst2vec.files.os", "fsync", full),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(f"{place}.{name}", fault)
            for folder in ("model", "new"):
                with pytest.raises(WriteError, match=f"{folder} could not be written: .*No space left on device"):
                    trainer.save_model(tmp_path / folder)
        assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
        assert not list((tmp_path / "new").iterdir())
    AutoModel.from_pretrained(tmp_path / "model")


def test_a_checkpoint_that_does_not_fit_leaves_no_part_of_itself(tmp_path, monkeypatch):
    save = torch.save

    def full(state, path, *args, **kwargs):
        if "checkpoint-4" in str(path) and "optimizer" in str(path):
            with open(path, "wb") as file:
                file.write(b"half")
            raise RuntimeError("basic_ios::clear: iostream error")
        save(state, path, *args, **kwargs)

    monkeypatch.setattr(torch, "save", full)
    trainer = scripted(tmp_path, [0.1, 0.2, 0.3])
    with pytest.raises(CheckpointError, match=r"checkpoint-4 could not be written to .*GiB free.*make room"):
        trainer.train()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-2"]


def test_a_second_training_in_the_folder_of_a_living_one_is_refused(tmp_path):
    told, tell = os.pipe()
    holder = os.fork()
    if holder == 0:
        with lock_folder(tmp_path / "run"):
            os.write(tell, b"1")
            time.sleep(60)
        os._exit(0)
    os.read(told, 1)
    try:
        with pytest.raises(FolderInUseError, match=f"process {holder} on .* is writing into it"):
            tiny_trainer(tmp_path / "run").train()
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
    tiny_trainer(tmp_path / "run", max_steps=4).train()


def test_a_training_whose_folder_was_deleted_and_taken_does_not_write_into_the_others(tmp_path):
    def delete():
        shutil.rmtree(tmp_path / "run")
        (tmp_path / "run").mkdir()

    with pytest.raises(FolderInUseError, match="was deleted or emptied while this run wrote into it"):
        scripted(tmp_path / "run", [0.1, 0.2], {2: delete}).train()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_checkpoint_without_the_scale_of_the_loss_does_not_resume_a_run_in_fp16(finished):
    folder, _ = finished
    trainer = scripted(folder, [0.1, 0.9, 0.3])
    trainer.accelerator.scaler = torch.amp.GradScaler("cpu")
    with pytest.raises(CheckpointError, match=r"checkpoint-6 cannot be resumed: scaler\.pt is missing"):
        trainer.train(resume_from_checkpoint=True)


def test_the_log_of_a_new_training_starts_anew(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    trainer = tiny_trainer(tmp_path / "a", max_steps=4)
    trainer._loss_parts["age_shared"] = [1e9, 1]
    trainer.train()
    assert trainer.state.log_history[0]["age_shared"] < 100
