"""A run that is killed at any moment and resumed ends in the same weights, bit for bit."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from burst2vec import Burst2VecForMultiTask
from burst2vec.training.arguments import CHECKPOINTING
from tests.training.tiny_run import tiny_corpus, tiny_trainer

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
KILLED = -signal.SIGKILL
THREE = {"save_total_limit": 3}

# One group: they share one server and the uninterrupted run.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("killed_runs")]


class Server:
    """A process that forks another for each run, so that the imports are made once."""

    def __init__(self):
        program = [sys.executable, str(HERE / "tiny_run.py")]
        self.process = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
        )

    def end(self, *runs):
        """How runs that are begun at once end."""
        self.process.stdin.write(json.dumps([{**run, "output_dir": str(run["output_dir"])} for run in runs]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def launch(server):
    """Make a run in a process of its own and return how it ended: 0, 1, or minus a signal."""

    def make(output_dir, **arguments):
        (end,) = server.end({"output_dir": output_dir, **arguments})
        return end

    return make


@pytest.fixture(scope="module")
def uninterrupted(launch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert launch(folder) == 0
    return final_weights(folder)


@pytest.fixture(scope="module")
def killed(launch, tmp_path_factory):
    """What a run leaves that is killed after step 14, the second of its second epoch."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    assert launch(folder, kill_at_step=14, **THREE) == KILLED
    assert checkpoints(folder) == ["checkpoint-12", "checkpoint-4", "checkpoint-8"]
    return folder


@pytest.fixture
def killed_run(killed, tmp_path):
    """A folder of its own for each test that resumes the killed run."""
    return shutil.copytree(killed, tmp_path / "run")


def final_weights(folder):
    return {name: values.tobytes() for name, values in load_file(folder / "final" / "model.safetensors").items()}


def facts_of(folder):
    return json.loads((folder / "facts.json").read_text())


def checkpoints(folder):
    return sorted(path.name for path in folder.iterdir() if "checkpoint" in path.name)


@pytest.mark.parametrize("kills", [(2,), (6, 9, 19)], ids=str)
def test_a_run_killed_at_any_step_and_resumed_ends_in_the_same_weights(launch, uninterrupted, tmp_path, kills):
    folder = tmp_path / "run"
    for kill in kills:
        assert launch(folder, resume=True, kill_at_step=kill) == KILLED
    assert launch(folder, resume=True) == 0
    assert final_weights(folder) == uninterrupted


@pytest.mark.parametrize(
    ("point", "left"),
    [
        ("optimizer half-written", [".saving-checkpoint-16", "checkpoint-12", "checkpoint-4", "checkpoint-8"]),
        ("no manifest yet", [".saving-checkpoint-16", "checkpoint-12", "checkpoint-4", "checkpoint-8"]),
        ("not renamed yet", [".saving-checkpoint-16", "checkpoint-12", "checkpoint-4", "checkpoint-8"]),
        ("renamed", ["checkpoint-12", "checkpoint-16", "checkpoint-4", "checkpoint-8"]),
        ("half deleted", [".deleting-checkpoint-8", "checkpoint-12", "checkpoint-16", "checkpoint-4"]),
    ],
)
def test_a_run_killed_while_saving_ends_in_the_same_weights(launch, uninterrupted, killed_run, point, left):
    assert launch(killed_run, resume=True, kill_in_save_at=(point, 16), **THREE) == KILLED
    assert checkpoints(killed_run) == left
    assert launch(killed_run, resume=True, **THREE) == 0
    assert final_weights(killed_run) == uninterrupted
    assert not [name for name in checkpoints(killed_run) if name.startswith(".")]


def test_a_run_killed_after_its_last_checkpoint_takes_no_step_more(launch, uninterrupted, killed_run):
    assert launch(killed_run, resume=True, kill_in_save_at=("renamed", 20)) == KILLED
    assert launch(killed_run, resume=True) == 0
    assert facts_of(killed_run)["steps"] == 20
    assert final_weights(killed_run) == uninterrupted


def test_a_checkpoint_with_one_flipped_bit_is_skipped_with_a_message(launch, uninterrupted, killed_run):
    optimizer = killed_run / "checkpoint-12" / "optimizer.pt"
    content = bytearray(optimizer.read_bytes())
    content[len(content) // 2] ^= 1
    optimizer.write_bytes(content)
    assert launch(killed_run, resume=True) == 0
    log = Path(f"{killed_run}.log").read_text()
    assert "skipped checkpoint-12: optimizer.pt is not as it was written" in log
    assert final_weights(killed_run) == uninterrupted


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_checkpoint_without_its_optimizer_scheduler_or_random_state_is_skipped(
    launch, uninterrupted, killed_run, name
):
    (killed_run / "checkpoint-12" / name).unlink()
    (killed_run / "checkpoint-999").mkdir()
    assert launch(killed_run, resume=True) == 0
    log = Path(f"{killed_run}.log").read_text()
    assert f"skipped checkpoint-12: {name} is missing" in log and "skipped checkpoint-999: it has no manifest" in log
    assert final_weights(killed_run) == uninterrupted


def test_of_two_runs_at_once_in_a_folder_one_is_refused_and_the_other_ends_as_alone(
    server, uninterrupted, killed, tmp_path
):
    refused = 0
    for race in range(3):
        folder, same = tmp_path / f"run{race}", tmp_path / f"same{race}"
        shutil.copytree(killed, folder)
        same.symlink_to(folder)  # by another name, for a log of its own
        ends = server.end(*({"output_dir": place, "resume": True} for place in (folder, same)))
        log = Path(f"{folder}.log").read_text() + Path(f"{same}.log").read_text()
        told = re.findall(r"FolderInUseError: .*: process \d+ on \S+ is writing into it; wait for it", log)
        assert sorted(ends) == [0, len(told)]  # a run that was done before the other began refuses nobody
        assert final_weights(folder) == uninterrupted
        refused += len(told)
    assert refused


def test_accumulation_reading_processes_and_the_joint_schedule_resume_too(launch, tmp_path):
    settings = {
        "gradient_accumulation_steps": 2,
        "dataloader_num_workers": 2,
        "task_schedule": "joint",
        "per_device_train_batch_size": 3,
        "max_steps": 6,  # of 4 an epoch
        "save_steps": 3,
        "eval_steps": 3,
        CHECKPOINTING: True,
    }
    assert launch(tmp_path / "whole", **settings) == 0
    assert launch(tmp_path / "killed", kill_at_step=5, **settings) == KILLED
    assert launch(tmp_path / "killed", resume=True, **settings) == 0
    assert final_weights(tmp_path / "killed") == final_weights(tmp_path / "whole")


def test_a_killed_run_that_averages_its_weights_ends_in_the_same_average(launch, uninterrupted, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert launch(whole, average_decay=0.9) == 0
    assert launch(killed, average_decay=0.9, kill_at_step=14) == KILLED
    (killed / "checkpoint-12" / "learnt.safetensors").unlink()  # without which the one before is taken
    assert launch(killed, resume=True, average_decay=0.9) == 0
    assert "checkpoint-12" in Path(f"{killed}.log").read_text()
    assert final_weights(killed) == final_weights(whole) != uninterrupted


def test_a_resumed_run_remembers_its_patience(launch, tmp_path):
    settings = {"early_stopping_patience": 2, "eval_steps": 2, "save_steps": 2, "max_steps": 20, "best_at_step": 2}
    stopped = 2 + 2 * 2  # two validations after the best
    assert launch(tmp_path / "whole", **settings) == 0
    assert facts_of(tmp_path / "whole")["steps"] == stopped
    for kill in ({"kill_at_step": stopped - 1}, {"kill_in_save_at": ("renamed", stopped)}):
        folder = tmp_path / "_".join(kill)
        assert launch(folder, **kill, **settings) == KILLED
        assert launch(folder, resume=True, **settings) == 0
        assert facts_of(folder)["steps"] == stopped
        assert final_weights(folder) == final_weights(tmp_path / "whole")


TWO = {"processes": 2, "per_device_train_batch_size": 3, "per_device_eval_batch_size": 3}


@pytest.fixture(scope="module")
def uninterrupted_by_two(launch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted_by_two") / "run"
    assert launch(folder, **TWO) == 0
    assert facts_of(folder)["world_size"] == 2
    return final_weights(folder)


@pytest.fixture(scope="module")
def killed_two(launch, tmp_path_factory):
    """What a run of two processes leaves that is killed in the middle of its second epoch."""
    folder = tmp_path_factory.mktemp("killed_two") / "run"
    assert launch(folder, **TWO, kill_at_step=18) == KILLED
    assert "checkpoint-16" in checkpoints(folder)  # the fourth step of the second epoch
    return folder


def test_two_processes_killed_and_resumed_end_in_the_same_weights(launch, uninterrupted_by_two, killed_two, tmp_path):
    folder = shutil.copytree(killed_two, tmp_path / "run")
    assert launch(folder, **TWO, resume=True) == 0
    assert final_weights(folder) == uninterrupted_by_two


def test_two_processes_killed_while_saving_and_resumed_end_in_the_same_weights(launch, uninterrupted_by_two, tmp_path):
    folder = tmp_path / "run"
    assert launch(folder, **TWO, kill_in_save_at=("optimizer half-written", 8)) == KILLED
    assert launch(folder, **TWO, resume=True) == 0
    assert final_weights(folder) == uninterrupted_by_two


def test_torchrun_resumes_a_killed_run_in_the_middle_of_an_epoch(launch, uninterrupted_by_two, killed_two, tmp_path):
    folder = shutil.copytree(killed_two, tmp_path / "run")
    assert launch(folder, **TWO, resume=True, torchrun=True) == 0
    assert facts_of(folder)["world_size"] == 2
    assert final_weights(folder) == uninterrupted_by_two


def test_two_processes_predict_what_one_does_in_the_order_of_the_data_set(launch, tmp_path):
    folder = tmp_path / "run"
    assert launch(folder, **{**TWO, "max_steps": 1}) == 0
    model = Burst2VecForMultiTask.from_pretrained(folder / "final")
    alone = tiny_trainer(tmp_path, model=model, per_device_eval_batch_size=1).predict(tiny_corpus(7, seed=3))
    assert facts_of(folder)["ages"] == pytest.approx(alone.predictions["age"].ravel().tolist(), abs=1e-4)
    assert facts_of(folder)["true_ages"] == alone.label_ids["age"].ravel().tolist()
