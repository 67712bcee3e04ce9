"""A whole training run, small enough for a test, that can be killed where a test says.

Also a script, which makes each run that it reads in a process forked for it: so their imports are made once.
"""

import gc
import io
import json
import os
import shutil
import signal
import socket
import sys
import traceback
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import soundfile
import torch
from datasets import Dataset
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from transformers import HubertConfig, TrainerCallback

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask
from burst2vec.training import Burst2VecTrainer, Burst2VecTrainingArguments, checkpoints, resumable

torch.set_num_threads(1)


def tiny_corpus(clips=24, seed=0, tasks=("emotion", "age", "country"), missing=()):
    """Clips of noise of 0.1 to 0.3 s, as the loaders give them, with lengths; labels that noise does not carry."""
    chance = np.random.default_rng(seed)
    samples = chance.integers(1600, 4800, clips)
    columns = {
        "file_id": [f"{number:05}" for number in range(1, clips + 1)],
        "audio": [{"bytes": wav_bytes(chance.normal(0, 0.1, length)), "path": None} for length in samples],
        "samples": samples.tolist(),
        "emotion": chance.random((clips, 10)).tolist(),
        "age": chance.uniform(20, 39, clips).tolist(),
        "country": chance.integers(0, 4, clips).tolist(),
    }
    holes = {"emotion": [float("nan")] * 10, "age": float("nan"), "country": -1}
    for task, row in missing:
        columns[task][row] = holes[task]
    for task in set(holes) - set(tasks):
        del columns[task]
    return Dataset.from_dict(columns)


def wav_bytes(waveform):
    file = io.BytesIO()
    soundfile.write(file, waveform.astype(np.float32), 16_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


def tiny_model(seed=0, encoder=(), **changes):
    torch.manual_seed(seed)
    small = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "conv_dim": [8] * 7,
        "num_conv_pos_embeddings": 4,
        "num_conv_pos_embedding_groups": 2,
    }
    config = {"trunk": {"kind": "shared_private", "projection_size": 8, "hidden_size": 8}, **changes}
    return Burst2VecForMultiTask(Burst2VecConfig(encoder_config=HubertConfig(**{**small, **dict(encoder)}), **config))


def tiny_arguments(output_dir, **changes):
    """20 steps of 12 an epoch, saved and validated every 4."""
    small = {
        "per_device_train_batch_size": 6,
        "max_steps": 20,
        "learning_rate": 1e-3,
        "eval_steps": 4,
        "save_steps": 4,
        "logging_steps": 4,
        "bf16": False,
        "disable_tqdm": True,
        "log_level": "error",
        "use_cpu": True,
    }
    return Burst2VecTrainingArguments(output_dir=str(output_dir), **{**small, **changes})


def tiny_trainer(output_dir, model=None, corpus=None, extractor=None, callbacks=(), **changes):
    return Burst2VecTrainer(
        model=model or tiny_model(),
        args=tiny_arguments(output_dir, **changes),
        train_dataset=corpus or tiny_corpus(),
        eval_dataset=tiny_corpus(8, seed=1),
        processing_class=extractor or Burst2VecFeatureExtractor(),
        callbacks=callbacks,
    )


class KillAtStep(TrainerCallback):
    """Ends the process, as SIGKILL does, after the optimizer's step and before anything is saved of it."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            die()


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def kill_in_save(point, step):
    """Make the process die at one point of saving the checkpoint of a step."""
    if point == "optimizer half-written":
        save = torch.save

        def half(state, path, *args, **kwargs):
            if f"checkpoint-{step}" in str(path) and "optimizer" in str(path):
                Path(path).write_bytes(b"half of an optimizer")
                die()
            save(state, path, *args, **kwargs)

        torch.save = half
    elif point in ("no manifest yet", "not renamed yet", "renamed", "half deleted"):
        seal = resumable.seal_checkpoint

        def deadly_seal(output_dir, saved_step, run):
            if saved_step == step:
                if point == "no manifest yet":
                    die()
                elif point == "not renamed yet":
                    checkpoints.os.replace = die
                elif point == "half deleted":
                    shutil.rmtree = half_delete
            seal(output_dir, saved_step, run)
            if saved_step == step and point == "renamed":
                die()

        resumable.seal_checkpoint = deadly_seal
    else:
        raise ValueError(point)


def half_delete(folder, **_):
    if Path(folder).exists():
        next(Path(folder).glob("*.pt")).unlink()
        die()


def run(output_dir, resume=None, kill_at_step=None, kill_in_save_at=None, best_at_step=None, **changes):
    """Train, and leave the last weights in ``output_dir/final``; or die on the way.

    With ``best_at_step`` validations score how near to it they are: what they find does not depend on the machine.
    """
    if kill_in_save_at:
        kill_in_save(*kill_in_save_at)
    callbacks = [KillAtStep(kill_at_step)] if kill_at_step else []
    last = {"load_best_model_at_end": False}  # the best weights may be older than the kill, and prove nothing
    trainer = tiny_trainer(output_dir, callbacks=callbacks, **{**last, **changes})
    if best_at_step is not None:
        trainer.compute_metrics = lambda _: {"emotion_ccc": -abs(trainer.state.global_step - best_at_step)}
    trainer.train(resume_from_checkpoint=resume)
    trainer.save_model(str(Path(output_dir, "final")))
    predicted = trainer.predict(tiny_corpus(7, seed=3))
    if trainer.args.should_save:
        facts = {
            "world_size": trainer.args.world_size,
            "steps": trainer.state.global_step,
            "ages": predicted.predictions["age"].ravel().tolist(),
            "true_ages": predicted.label_ids["age"].ravel().tolist(),
        }
        Path(output_dir, "facts.json").write_text(json.dumps(facts))
    trainer.accelerator.wait_for_everyone()


def serve():
    """Make the runs of each line of stdin at once, in processes forked for them, and say on stdout how each ended."""
    gc.freeze()  # what is imported is nothing to collect: each process would look through all of it, and so copy it
    for line in sys.stdin:
        children = []
        for arguments in json.loads(line):
            children.append(os.fork())
            if children[-1] == 0:
                launch_and_exit(**arguments)
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)


def launch_and_exit(output_dir, processes=1, torchrun=False, **arguments):
    """Make a run in this process, or in several forked by torchrun's agent or by hand, which is sooner done; and end.

    Several have torchrun's environment either way, and like there the end of one is the end of all.
    """
    log = os.open(f"{output_dir}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)

    def begin():
        run(output_dir, **arguments)

    try:
        if torchrun:
            one_node = {"min_nodes": 1, "max_nodes": 1, "rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
            elastic_launch(LaunchConfig(nproc_per_node=processes, start_method="fork", **one_node), begin)()
        elif processes > 1:
            fork_ranks(processes, begin)
        else:
            begin()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def fork_ranks(processes, begin):
    """Do ``begin`` in processes with the environment that torchrun gives; where one dies, end them all and like it."""
    with socket.socket() as any_port:
        any_port.bind(("localhost", 0))
        os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(any_port.getsockname()[1]))
    children = []
    for rank in range(processes):
        children.append(os.fork())
        if children[-1] == 0:
            ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
            os.environ.update({name: str(value) for name, value in ranks.items()})
            return begin()
    for _ in range(processes):
        child, status = os.wait()
        children.remove(child)
        if status:
            for other in children:
                os.kill(other, signal.SIGKILL)
            if os.WIFSIGNALED(status):
                os.kill(os.getpid(), os.WTERMSIG(status))
            os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    serve()
