"""Checkpoints that survive a kill at any moment, and are resumed only by the run that wrote them.

A checkpoint is written into a folder beside its place, ``.saving-checkpoint-800``; a manifest with the SHA-256 of every
file, the run's fingerprint and a SHA-256 of its own is added last; all of it is forced to disk; and one rename puts it
in its place. So a folder ``checkpoint-800`` is whole from the moment it exists, and what a disk or a person does to it
later is seen on resuming: then the newest checkpoint that is whole is taken, and the others are named.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import CheckpointError
from ..files import force_to_disk
from .weight_average import LEARNT

MANIFEST = "manifest.json"
STATE = "trainer_state.json"
LENGTH = ("max_steps", "num_train_epochs")  # of a run; they count where the schedule stretches over it
# One of them: of large models there are several files, and of a model that PEFT wraps the adapters alone.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")
REQUIRED = (
    "config.json",
    "optimizer.pt",
    "scheduler.pt",
    STATE,
)  # without the .pt transformers resumes silently, with fresh states
SAVING = ".saving-"  # hidden, so that nothing takes a folder for a checkpoint before it is one
DELETING = ".deleting-"


@dataclass(frozen=True)
class Manifest:
    """What a whole checkpoint holds.

    Attributes:
        step: optimizer steps done.
        files: name → SHA-256 of its bytes.
        run: fingerprint of the run, name → JSON value: all that must stay the same for a resumed run to end as the
            uninterrupted one.
    """

    step: int
    files: dict[str, str]
    run: dict


def checkpoint_folder(output_dir: str | Path, step: int) -> Path:
    """Where the checkpoint of a step lies: ``output_dir/checkpoint-<step>``."""
    return Path(output_dir) / f"checkpoint-{step}"


def checkpoint_steps(output_dir: str | Path) -> dict[int, Path]:
    """The checkpoint folders of a run by step, oldest first, whole or not."""
    found = {}
    for folder in Path(output_dir).glob("checkpoint-*"):
        if folder.is_dir() and re.fullmatch(r"checkpoint-[0-9]+", folder.name):
            found[int(folder.name.split("-")[1])] = folder
    return dict(sorted(found.items()))


def begin_checkpoint(output_dir: str | Path, step: int) -> Path:
    """Create an empty folder beside the checkpoint's, to write its files into."""
    folder = saving_folder(output_dir, step)
    _remove(folder)
    folder.mkdir(parents=True)
    return folder


def saving_folder(output_dir: str | Path, step: int) -> Path:
    """Where the files of a checkpoint are while it is being written."""
    place = checkpoint_folder(output_dir, step)
    return place.with_name(SAVING + place.name)


def seal_checkpoint(output_dir: str | Path, step: int, run: dict) -> Path:
    """Add the manifest to what was written, force all to disk, and rename the folder into its place.

    A folder that is already there (of the same step, from before a resume) is replaced.

    Raises:
        CheckpointError: a file is missing without which the run could not be resumed.
    """
    folder, place = saving_folder(output_dir, step), checkpoint_folder(output_dir, step)
    files = {path.relative_to(folder).as_posix(): sha256_of(path) for path in _files_in(folder)}
    if missing := missing_files(files, run):
        raise CheckpointError(f"{place} could not be sealed: {missing[0]} was not written")
    (folder / MANIFEST).write_bytes(_manifest_bytes(Manifest(step, files, run)))
    for path in (*_files_in(folder), folder):
        force_to_disk(path)
    if os.path.lexists(place):
        delete_folder(place)
    os.replace(folder, place)
    force_to_disk(place.parent)
    return place


def missing_files(names: Collection[str], run: dict) -> list[str]:
    """The files that a checkpoint needs beside ``names`` for its run to be resumed as if it had never stopped.

    Args:
        names: of its files.
        run: fingerprint of the run; only its ``world_size`` is used, by default 1, ``average_decay``, and
            ``checkpoint_files``: the files that are needed instead, of a run that is not a Trainer's.

    >>> missing_files(["config.json", "model.safetensors", "optimizer.pt", "trainer_state.json"], {"world_size": 2})
    ['scheduler.pt', 'rng_state_0.pth', 'rng_state_1.pth']
    """
    if "checkpoint_files" in run:
        return [name for name in run["checkpoint_files"] if name not in names]
    processes = run.get("world_size", 1)
    random_states = ["rng_state.pth"] if processes == 1 else [f"rng_state_{rank}.pth" for rank in range(processes)]
    weights = [] if set(WEIGHTS) & set(names) else [WEIGHTS[0]]
    averaged_from = [LEARNT] if run.get("average_decay") is not None else []
    return weights + [name for name in (*REQUIRED, *averaged_from, *random_states) if name not in names]


def delete_folder(folder: Path) -> None:
    """Delete a checkpoint so that a kill half-way leaves no half of it under its name."""
    aside = folder.with_name(DELETING + folder.name)
    _remove(aside)
    os.replace(folder, aside)
    _remove(aside)


def _remove(place: Path) -> None:
    """Remove a file, a folder or a link; of a link the target stays."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def remove_leftovers(output_dir: str | Path) -> list[str]:
    """Delete what a killed run left of checkpoints it was writing or deleting; returns the names of the folders."""
    leftovers = sorted(
        folder for prefix in (SAVING, DELETING) for folder in Path(output_dir).glob(f"{prefix}checkpoint-*")
    )
    for folder in leftovers:
        _remove(folder)
    return [folder.name for folder in leftovers]


def keep_newest(output_dir: str | Path, limit: int | None, best: str | Path | None, newest: int | None = None) -> None:
    """Delete the oldest checkpoints beyond ``limit``, never the newest nor the best.

    Args:
        output_dir: of the run.
        limit: how many to keep; None or 0 for all.
        best: the best one's folder, if any.
        newest: its step, by default the highest. Folders of higher steps are not this run's: they were skipped when it
            was resumed, or were put there by somebody. They are not deleted, and do not count.
    """
    steps = checkpoint_steps(output_dir)
    folders = [folder for step, folder in steps.items() if newest is None or step <= newest]
    if not limit or not folders:
        return
    spared = {folders[-1].name, Path(best).name if best else ""}
    spare = len(folders) - max(limit, len(spared & {folder.name for folder in folders}))
    for folder in [folder for folder in folders if folder.name not in spared][: max(0, spare)]:
        delete_folder(folder)


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a checkpoint.

    Raises:
        CheckpointError: there is none, it cannot be read, or it is not as it was written.
    """
    path = Path(folder) / MANIFEST
    try:
        content = path.read_bytes() if path.is_file() else None  # a pipe would be read for ever
    except OSError as error:
        raise CheckpointError(f"its {MANIFEST} cannot be read: {error.strerror}") from error
    if content is None:
        raise CheckpointError(f"it has no {MANIFEST}: it was not written whole, or by another program")
    try:
        record = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"its {MANIFEST} cannot be read: {error}") from error
    if isinstance(record, dict) and set(record) == {"step", "files", "run"}:
        raise CheckpointError(f"its {MANIFEST} has no SHA-256 of its own: an older version of burst2vec wrote it")
    if not _is_manifest(record):
        raise CheckpointError(f"its {MANIFEST} cannot be read: it must have step, files, run and sha256")
    manifest = Manifest(record["step"], record["files"], record["run"])
    if content != _manifest_bytes(manifest):
        raise CheckpointError(f"its {MANIFEST} is not as it was written: it differs from its own SHA-256")
    return manifest


def _is_manifest(record) -> bool:
    return (
        isinstance(record, dict)
        and set(record) == {"step", "files", "run", "sha256"}
        and isinstance(record["step"], int)
        and isinstance(record["files"], dict)
        and all(isinstance(digest, str) for digest in record["files"].values())
        and isinstance(record["run"], dict)
        and isinstance(record["run"].get("world_size", 1), int)
    )


def _manifest_bytes(manifest: Manifest) -> bytes:
    """The manifest's bytes, always the same for the same content, so that any changed byte is detected."""
    content = json.dumps(asdict(manifest), indent=1, sort_keys=True)
    record = {**asdict(manifest), "sha256": hashlib.sha256(content.encode("utf-8")).hexdigest()}
    return json.dumps(record, indent=1, sort_keys=True).encode("utf-8") + b"\n"


def verify_checkpoint(folder: str | Path) -> Manifest:
    """Read every file of a checkpoint and compare it with the manifest.

    Raises:
        CheckpointError: the manifest is not as it was written, is of another step than the folder's name says, lacks a
            file that a resumed run needs, or names a file that is missing, cannot be read or has other bytes.
    """
    manifest = read_manifest(folder)
    named = re.fullmatch(r"checkpoint-([0-9]+)", Path(folder).name)
    if named and int(named[1]) != manifest.step:
        raise CheckpointError(f"its {MANIFEST} is of step {manifest.step}")
    if missing := missing_files(manifest.files, manifest.run):
        raise CheckpointError(f"{missing[0]} is missing, and from its {MANIFEST} too")
    for name, digest in manifest.files.items():
        path = Path(folder) / name
        try:
            if not path.is_file():
                raise CheckpointError(f"{name} is missing")
            found = sha256_of(path)
        except OSError as error:
            raise CheckpointError(f"{name} cannot be read: {error.strerror}") from error
        if found != digest:
            raise CheckpointError(f"{name} is not as it was written: its SHA-256 differs from {MANIFEST}")
    return manifest


def best_checkpoint(folder: str | Path) -> Path | None:
    """The best checkpoint of the run up to a whole one, by the latter's record; None where no validation chose one.

    It is looked for beside ``folder``, because the folder of a run may be moved, then where it was written.
    """
    state = json.loads((Path(folder) / STATE).read_text(encoding="utf-8"))
    if not state.get("best_global_step"):
        return None
    if state["best_global_step"] == state["global_step"]:
        return Path(folder)
    beside = checkpoint_folder(Path(folder).parent, state["best_global_step"])
    recorded = state.get("best_model_checkpoint")
    return beside if beside.is_dir() or not recorded else Path(recorded)


def verify_resumable(folder: str | Path, with_best: bool) -> Manifest:
    """Verify a checkpoint, and with it the best one of its run, where the run is to end with that one's weights.

    Raises:
        CheckpointError: one of the two is not whole.
    """
    manifest = verify_checkpoint(folder)
    best = best_checkpoint(folder) if with_best else None
    if best is not None and best != Path(folder):
        try:
            verify_checkpoint(best)
        except CheckpointError as error:
            raise CheckpointError(
                f"the best one so far, {best.name}, is not whole ({error}), and with load_best_model_at_end the run "
                "may have to end with it; --load_best_model_at_end false ends with the last weights instead"
            ) from error
    return manifest


def newest_whole_checkpoint(output_dir: str | Path, with_best: bool = False) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that verifies, or None; and why each newer one was skipped.

    Args:
        output_dir: of the run.
        with_best: whether the best checkpoint up to it must be whole too.
    """
    skipped = []
    for folder in reversed(list(checkpoint_steps(output_dir).values())):
        try:
            verify_resumable(folder, with_best)
        except CheckpointError as error:
            skipped.append(f"{folder.name}: {error}")
        else:
            return folder, skipped
    return None, skipped


def find_checkpoint(
    output_dir: str | Path, asked: str | Path | bool, with_best: bool = False
) -> tuple[Path | None, list[str]]:
    """Find the checkpoint to resume and verify it.

    Args:
        output_dir: of the run.
        asked: a folder; or True for the newest whole one of ``output_dir``.
        with_best: whether the run is to end with its best checkpoint's weights, so that this one must be whole too.

    Returns:
        Its folder, or None where there is no checkpoint yet; and the skipped ones, with reasons.

    Raises:
        CheckpointError: the folder asked for is not whole, or no checkpoint is.
    """
    if asked is not True:
        try:
            verify_resumable(asked, with_best)
        except CheckpointError as error:
            raise CheckpointError(f"{asked} cannot be resumed: {error}") from error
        return Path(asked), []
    folder, skipped = newest_whole_checkpoint(output_dir, with_best)
    if folder is None and skipped:
        raise CheckpointError(
            f"{output_dir}: no checkpoint is whole: {'; '.join(skipped)}. Start again in a new output_dir, or "
            "delete these folders"
        )
    return folder, skipped


def choose_checkpoint(
    output_dir: str | Path, asked: str | Path | bool, run: dict, with_best: bool = False
) -> tuple[Path | None, list[str]]:
    """Find the checkpoint to resume, and check that it was written by a run with the same settings.

    Args:
        output_dir, asked, with_best: as :func:`find_checkpoint` takes them.
        run: fingerprint of the run that wants to resume.

    Returns:
        As :func:`find_checkpoint`.

    Raises:
        CheckpointError: as :func:`find_checkpoint`; or the checkpoint was written by a run with other settings; every
            difference is named.
    """
    folder, skipped = find_checkpoint(output_dir, asked, with_best)
    saved = read_manifest(folder).run if folder is not None else run
    if differences := differences_between(saved, run):
        why = ""
        if all(saved.get(name) == run.get(name) for name in saved.keys() | run.keys() if name not in LENGTH):
            why = (
                f" The {run['lr_scheduler_type']} schedule stretches over all planned steps, so a longer run is "
                "another from its first step on; one of a constant rate may be resumed for longer."
            )
        raise CheckpointError(
            f"{folder} was written by a run with other settings: {'; '.join(differences)}.{why} Resume with the same "
            f"settings, or train its weights further as a new run: --model_path {folder}, without resuming, in a new "
            "output_dir"
        )
    return folder, skipped


def differences_between(saved: dict, current: dict) -> list[str]:
    """Each setting in which two fingerprints differ, as text.

    >>> differences_between({"seed": 1, "learning_rate": 1e-5}, {"seed": 2, "learning_rate": 1e-5})
    ['seed was 1 and is 2']
    """
    return [
        f"{name} was {saved.get(name, 'not set')} and is {current.get(name, 'not set')}"
        for name in sorted(saved.keys() | current.keys())
        if saved.get(name) != current.get(name)
    ]


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
