"""What makes a checkpoint whole, and whose it is."""

import io
import json
import os
import random
import re
import shutil
from pathlib import Path

import pytest

from burst2vec.errors import CheckpointError
from burst2vec.training import checkpoints
from burst2vec.training.checkpoints import (
    Manifest,
    begin_checkpoint,
    best_checkpoint,
    checkpoint_steps,
    choose_checkpoint,
    differences_between,
    keep_newest,
    newest_whole_checkpoint,
    read_manifest,
    remove_leftovers,
    seal_checkpoint,
    sha256_of,
    verify_checkpoint,
)

RUN = {"seed": 42, "learning_rate": 1e-5}


def files_of(step, best=None):
    """What a run of one process needs to resume, each file as small as can be."""
    state = {"global_step": step, "best_global_step": best, "best_model_checkpoint": None}
    return {
        "config.json": json.dumps({"model_type": "burst2vec"}),
        "model.safetensors": f"weights of step {step}",
        "optimizer.pt": "moments",
        "scheduler.pt": "rate",
        "rng_state.pth": "random",
        "trainer_state.json": json.dumps(state),
    }


def write_checkpoint(output_dir, step, run=RUN, best=None):
    folder = begin_checkpoint(output_dir, step)
    for name, content in files_of(step, best).items():
        (folder / name).write_text(content)
    return seal_checkpoint(output_dir, step, run)


def test_a_sealed_checkpoint_verifies_and_says_its_step_and_run(tmp_path):
    manifest = verify_checkpoint(write_checkpoint(tmp_path, 800))
    assert (manifest.step, manifest.run) == (800, RUN)
    assert set(manifest.files) == set(files_of(800))


def test_the_sum_is_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_nothing_is_a_checkpoint_before_it_is_sealed(tmp_path):
    begin_checkpoint(tmp_path, 800)
    assert checkpoint_steps(tmp_path) == {}


def test_steps_are_ordered_as_numbers(tmp_path):
    for step in (800, 1600, 10):
        write_checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-best").mkdir()
    assert list(checkpoint_steps(tmp_path)) == [10, 800, 1600]


def test_sealing_again_replaces_the_checkpoint_of_that_step(tmp_path):
    write_checkpoint(tmp_path, 8, run={"seed": 1})
    write_checkpoint(tmp_path, 8, run={"seed": 2})
    assert verify_checkpoint(tmp_path / "checkpoint-8").run == {"seed": 2}
    assert [folder.name for folder in tmp_path.iterdir()] == ["checkpoint-8"]


def damage_missing(folder):
    (folder / "optimizer.pt").unlink()


def damage_flipped(folder):
    (folder / "optimizer.pt").write_bytes(b"momentt")


def damage_cut(folder):
    (folder / "model.safetensors").write_bytes(b"wei")


def damage_no_manifest(folder):
    (folder / "manifest.json").unlink()


def damage_manifest(folder):
    (folder / "manifest.json").write_text('{"step": 16')


def damage_all(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def damage_config(folder):
    (folder / "config.json").write_text('{"model_type": ')


def damage_renamed(folder):
    shutil.copytree(folder.with_name("checkpoint-8"), folder, dirs_exist_ok=True)


def manifest_without(*names):
    """As somebody would write it who leaves these files out, with a sum that fits."""

    def damage(folder):
        for name in names:
            (folder / name).unlink()
        manifest = read_manifest(folder)
        files = {name: digest for name, digest in manifest.files.items() if name not in names}
        (folder / "manifest.json").write_bytes(checkpoints._manifest_bytes(Manifest(16, files, manifest.run)))

    return damage


def manifest_of(record):
    return lambda folder: (folder / "manifest.json").write_text(json.dumps(record))


def change_manifest(**changes):
    def damage(folder):
        record = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**record, **changes}, indent=1, sort_keys=True) + "\n")

    return damage


def older_manifest(folder):
    record = json.loads((folder / "manifest.json").read_text())
    del record["sha256"]
    (folder / "manifest.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def in_place_of(name, make):
    def damage(folder):
        (folder / name).unlink()
        make(folder / name)

    return damage


def lead_nowhere(path):
    path.symlink_to(path.with_name("nowhere"))


def lead_to_itself(path):
    path.symlink_to(path)


NOT_WRITTEN_SO = "its manifest.json is not as it was written"
OF_AN_OLDER_VERSION = "its manifest.json has no SHA-256 of its own: an older version"
UNREADABLE = "its manifest.json cannot be read"
DAMAGES = [
    (damage_missing, "optimizer.pt is missing"),
    (damage_flipped, "optimizer.pt is not as it was written"),
    (damage_cut, "model.safetensors is not as it was written"),
    (damage_no_manifest, "it has no manifest.json: it was not written whole"),
    (damage_manifest, UNREADABLE),
    (damage_all, "it has no manifest.json"),
    (damage_config, "config.json is not as it was written"),
    (damage_renamed, "its manifest.json is of step 8"),
    *((manifest_without(name), f"{name} is missing, and from its manifest.json too") for name in files_of(16)),
    (manifest_without("optimizer.pt", "scheduler.pt", "rng_state.pth"), "optimizer.pt is missing"),
    *((manifest_of(record), UNREADABLE) for record in (None, [], "step", 16, {}, {"step": 16}, float("nan"))),
    (
        manifest_of({"step": 16, "files": {}, "run": {}}),
        OF_AN_OLDER_VERSION,
    ),
    (older_manifest, OF_AN_OLDER_VERSION),
    (change_manifest(step="16"), UNREADABLE),
    (change_manifest(files=[]), UNREADABLE),
    (change_manifest(files={"model.safetensors": None}), UNREADABLE),
    (change_manifest(run=[["seed", 1]]), UNREADABLE),
    (change_manifest(run={"world_size": "two"}), UNREADABLE),
    (change_manifest(sha256=None), NOT_WRITTEN_SO),
    (change_manifest(run={**RUN, "seed": 43}), NOT_WRITTEN_SO),
    (change_manifest(run={**RUN, "learning_rate": float("nan")}), NOT_WRITTEN_SO),
    (change_manifest(files={}), NOT_WRITTEN_SO),
    (in_place_of("manifest.json", Path.mkdir), "it has no manifest.json"),
    (in_place_of("manifest.json", lead_nowhere), "it has no manifest.json"),
    (in_place_of("manifest.json", lead_to_itself), "(it has no|its) manifest.json"),
    (in_place_of("manifest.json", os.mkfifo), "it has no manifest.json"),
    (in_place_of("manifest.json", lambda path: path.write_text("[" * 100_000)), UNREADABLE),
    (in_place_of("manifest.json", lambda path: path.write_bytes(b"\xff\xfe{}")), UNREADABLE),
    (in_place_of("manifest.json", Path.touch), UNREADABLE),
    (in_place_of("optimizer.pt", Path.mkdir), "optimizer.pt is missing"),
    (in_place_of("optimizer.pt", lead_nowhere), "optimizer.pt is missing"),
    (in_place_of("optimizer.pt", lead_to_itself), "optimizer.pt (is missing|cannot be read)"),
    (in_place_of("optimizer.pt", os.mkfifo), "optimizer.pt is missing"),
    (in_place_of("config.json", Path.mkdir), "config.json is missing"),
]


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_the_newest_whole_checkpoint_is_chosen_and_damage_is_told(tmp_path, damage, reason):
    write_checkpoint(tmp_path, 8)
    damage(write_checkpoint(tmp_path, 16))
    folder, skipped = choose_checkpoint(tmp_path, True, RUN)
    assert folder.name == "checkpoint-8"
    assert len(skipped) == 1 and re.match(f"checkpoint-16: {reason}", skipped[0]), skipped


def test_any_single_byte_of_any_file_damaged_makes_the_newest_one_be_passed_over_by_name(tmp_path):
    write_checkpoint(tmp_path, 8)
    newest = write_checkpoint(tmp_path, 16)
    chance = random.Random(20)
    names = ["manifest.json"] * 3 + ["config.json", *files_of(16)]  # most of them in the manifest
    for trial in range(600):
        path = newest / chance.choice(names)
        whole = path.read_bytes()
        place, value = chance.randrange(len(whole)), chance.randrange(1, 256)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ value]) + whole[place + 1 :])
        folder, skipped = choose_checkpoint(tmp_path, True, RUN)
        told = len(skipped) == 1 and skipped[0].startswith("checkpoint-16: ") and path.name in skipped[0]
        assert folder.name == "checkpoint-8" and told, (trial, path.name, place, value, skipped)
        path.write_bytes(whole)
    assert choose_checkpoint(tmp_path, True, RUN) == (newest, [])


@pytest.mark.parametrize("name", ["manifest.json", "optimizer.pt"])
def test_a_file_that_may_not_be_read_is_passed_over(tmp_path, monkeypatch, name):
    write_checkpoint(tmp_path, 8)
    newest = write_checkpoint(tmp_path, 16)
    open_file = io.open

    def refuse(path, *args, **kwargs):  # root may read everything
        if str(path) == str(newest / name):
            raise PermissionError(13, "Permission denied")
        return open_file(path, *args, **kwargs)

    monkeypatch.setattr(io, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    folder, skipped = choose_checkpoint(tmp_path, True, RUN)
    assert folder.name == "checkpoint-8" and skipped[0].endswith(f"{name} cannot be read: Permission denied")


@pytest.mark.parametrize(
    ("run", "lacks"),
    [
        ({}, "rng_state.pth"),
        ({}, "optimizer.pt"),
        ({}, "scheduler.pt"),
        ({}, "trainer_state.json"),
        ({}, "model.safetensors"),
        ({"world_size": 2}, "rng_state_1.pth"),
    ],
)
def test_nothing_is_sealed_that_could_not_be_resumed(tmp_path, run, lacks):
    folder = begin_checkpoint(tmp_path, 8)
    for name in {*files_of(8), "rng_state_0.pth", "rng_state_1.pth"} - {lacks}:
        (folder / name).touch()
    with pytest.raises(CheckpointError, match=f"checkpoint-8 could not be sealed: {lacks} was not written"):
        seal_checkpoint(tmp_path, 8, run)
    assert checkpoint_steps(tmp_path) == {}


def test_a_run_that_ends_with_its_best_is_resumed_where_that_is_whole(tmp_path):
    write_checkpoint(tmp_path, 4, best=4)
    write_checkpoint(tmp_path, 8, best=4)
    best = write_checkpoint(tmp_path, 12, best=12)
    write_checkpoint(tmp_path, 16, best=12)
    assert newest_whole_checkpoint(tmp_path, with_best=True)[0].name == "checkpoint-16"
    damage_flipped(best)
    assert newest_whole_checkpoint(tmp_path)[0].name == "checkpoint-16"  # which ends with the last weights
    folder, skipped = newest_whole_checkpoint(tmp_path, with_best=True)
    assert folder.name == "checkpoint-8"
    assert skipped[0].startswith("checkpoint-16: the best one so far, checkpoint-12, is not whole (optimizer.pt is not")
    assert "--load_best_model_at_end false" in skipped[0] and skipped[1].startswith(
        "checkpoint-12: optimizer.pt is not"
    )
    shutil.rmtree(best)
    assert newest_whole_checkpoint(tmp_path, with_best=True)[0].name == "checkpoint-8"


def test_the_best_checkpoint_is_found_beside_a_moved_one(tmp_path):
    for step in (4, 8):
        write_checkpoint(tmp_path / "there", step, best=4)
    (tmp_path / "there").rename(tmp_path / "here")
    assert best_checkpoint(tmp_path / "here" / "checkpoint-8") == tmp_path / "here" / "checkpoint-4"
    assert best_checkpoint(tmp_path / "here" / "checkpoint-4") == tmp_path / "here" / "checkpoint-4"
    write_checkpoint(tmp_path, 2)
    assert best_checkpoint(tmp_path / "checkpoint-2") is None


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_a_damaged_checkpoint_asked_for_by_name_is_refused(tmp_path, damage, reason):
    write_checkpoint(tmp_path, 8)  # is not taken in its place
    folder = write_checkpoint(tmp_path, 16)
    damage(folder)
    with pytest.raises(CheckpointError, match=f"checkpoint-16 cannot be resumed: {reason}"):
        choose_checkpoint(tmp_path, folder, RUN)


def test_where_no_checkpoint_is_whole_all_reasons_are_told(tmp_path):
    damage_missing(write_checkpoint(tmp_path, 8))
    damage_cut(write_checkpoint(tmp_path, 16))
    with pytest.raises(
        CheckpointError, match="no checkpoint is whole: checkpoint-16: model.*; checkpoint-8: optimizer"
    ):
        choose_checkpoint(tmp_path, True, RUN)


def test_where_there_is_no_checkpoint_yet_there_is_nothing_to_resume(tmp_path):
    assert choose_checkpoint(tmp_path / "new", True, RUN) == (None, [])


def test_a_run_with_other_settings_may_not_resume_and_every_difference_is_named(tmp_path):
    write_checkpoint(tmp_path, 8)
    with pytest.raises(
        CheckpointError, match="learning_rate was 1e-05 and is 0.1; seed was 42 and is not set.*new output_dir"
    ):
        choose_checkpoint(tmp_path, True, {"learning_rate": 0.1})


def test_a_longer_run_whose_rate_falls_over_all_steps_is_told_how_its_weights_are_trained_further(tmp_path):
    run = {**RUN, "lr_scheduler_type": "cosine", "num_train_epochs": 3}
    folder = write_checkpoint(tmp_path, 800, run)
    told = rf"num_train_epochs was 3 and is 6. The cosine schedule stretches.* --model_path {folder}, without resuming"
    with pytest.raises(CheckpointError, match=told):
        choose_checkpoint(tmp_path, True, {**run, "num_train_epochs": 6})
    with pytest.raises(CheckpointError, match="seed was 42 and is 1. Resume with the same") as refused:
        choose_checkpoint(tmp_path, True, {**run, "seed": 1})
    assert "stretches" not in str(refused.value)


def test_equal_fingerprints_have_no_differences():
    assert differences_between(RUN, dict(RUN)) == []


def test_leftovers_of_a_kill_are_removed_and_checkpoints_are_not(tmp_path):
    write_checkpoint(tmp_path, 8)
    begin_checkpoint(tmp_path, 16)
    (tmp_path / ".deleting-checkpoint-4").mkdir()
    assert remove_leftovers(tmp_path) == [".deleting-checkpoint-4", ".saving-checkpoint-16"]
    assert [folder.name for folder in tmp_path.iterdir()] == ["checkpoint-8"]


@pytest.mark.parametrize(
    ("limit", "best", "kept"),
    [
        (None, None, [1, 2, 3, 4]),
        (2, None, [3, 4]),
        (2, 1, [1, 4]),
        (1, 1, [1, 4]),
        (1, None, [4]),
        (3, 4, [2, 3, 4]),
        (3, 2, [2, 3, 4]),
    ],
)
def test_the_newest_and_the_best_checkpoint_are_never_deleted(tmp_path, limit, best, kept):
    for step in (1, 2, 3, 4):
        write_checkpoint(tmp_path, step)
    keep_newest(tmp_path, limit, best and tmp_path / f"checkpoint-{best}")
    assert list(checkpoint_steps(tmp_path)) == kept
    assert len(list(tmp_path.iterdir())) == len(kept)


def test_checkpoints_beyond_the_newest_written_do_not_push_it_out(tmp_path):
    for step in (4, 8, 9999):
        write_checkpoint(tmp_path, step)
    keep_newest(tmp_path, 1, None, newest=8)
    assert list(checkpoint_steps(tmp_path)) == [8, 9999]


def test_what_stands_in_a_checkpoints_place_is_replaced_and_what_a_link_leads_to_stays(tmp_path):
    write_checkpoint(tmp_path / "elsewhere", 8)
    (tmp_path / "checkpoint-8").symlink_to(tmp_path / "elsewhere" / "checkpoint-8")
    (tmp_path / "checkpoint-12").write_text("a file")
    (tmp_path / "checkpoint-16").symlink_to(tmp_path / "nowhere")
    for step in (8, 12, 16):
        verify_checkpoint(write_checkpoint(tmp_path, step))
        assert not (tmp_path / f"checkpoint-{step}").is_symlink()
    verify_checkpoint(tmp_path / "elsewhere" / "checkpoint-8")
    (tmp_path / ".saving-checkpoint-20").symlink_to(tmp_path / "elsewhere")
    assert remove_leftovers(tmp_path) == [".saving-checkpoint-20"]
    verify_checkpoint(tmp_path / "elsewhere" / "checkpoint-8")
