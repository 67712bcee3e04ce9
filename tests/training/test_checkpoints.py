"""What makes a checkpoint whole, and whose it is."""

import pytest

from burst2vec.training.checkpoints import (
    CheckpointError,
    begin_checkpoint,
    checkpoint_steps,
    choose_checkpoint,
    differences_between,
    keep_newest,
    newest_whole_checkpoint,
    remove_leftovers,
    seal_checkpoint,
    sha256_of,
    verify_checkpoint,
)

RUN = {"seed": 42, "learning_rate": 1e-5}


def write_checkpoint(output_dir, step, run=RUN):
    folder = begin_checkpoint(output_dir, step)
    (folder / "model.safetensors").write_bytes(b"weights of step %d" % step)
    (folder / "optimizer.pt").write_bytes(b"moments")
    return seal_checkpoint(output_dir, step, run)


def test_a_sealed_checkpoint_verifies_and_says_its_step_and_run(tmp_path):
    manifest = verify_checkpoint(write_checkpoint(tmp_path, 800))
    assert (manifest.step, manifest.run) == (800, RUN)
    assert set(manifest.files) == {"model.safetensors", "optimizer.pt"}


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


DAMAGES = [
    (damage_missing, "optimizer.pt is missing"),
    (damage_flipped, "optimizer.pt is not as it was written"),
    (damage_cut, "model.safetensors is not as it was written"),
    (damage_no_manifest, "it has no manifest.json: it was not written whole"),
    (damage_manifest, "its manifest.json cannot be read"),
]


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_the_newest_whole_checkpoint_is_chosen_and_damage_is_told(tmp_path, damage, reason):
    write_checkpoint(tmp_path, 8)
    damage(write_checkpoint(tmp_path, 16))
    folder, skipped = newest_whole_checkpoint(tmp_path)
    assert folder.name == "checkpoint-8"
    assert len(skipped) == 1 and skipped[0].startswith(f"checkpoint-16: {reason}")


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_a_damaged_checkpoint_asked_for_by_name_is_refused(tmp_path, damage, reason):
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


def test_a_run_with_other_settings_may_not_resume_and_hears_every_difference(tmp_path):
    write_checkpoint(tmp_path, 8)
    with pytest.raises(
        CheckpointError, match="learning_rate was 1e-05 and is 0.1; seed was 42 and is not set.*new output_dir"
    ):
        choose_checkpoint(tmp_path, True, {"learning_rate": 0.1})


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
