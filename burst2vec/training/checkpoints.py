"""Checkpoints that survive a kill at any moment, and are resumed only by the run that wrote them.

A checkpoint is written into a folder beside its place, ``.saving-checkpoint-800``; a manifest with the SHA-256 of every
file and the run's fingerprint is added last; all of it is forced to disk; and one rename puts it in its place. So a
folder ``checkpoint-800`` is whole from the moment it exists, and what a disk may do to it later is seen on resuming.
"""

import hashlib
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

MANIFEST = "manifest.json"
SAVING = ".saving-"  # hidden, so that nothing takes a folder for a checkpoint before it is one
DELETING = ".deleting-"


class CheckpointError(ValueError):
    """A checkpoint that cannot be resumed; the message says which, why, and what to do."""


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
        if folder.is_dir() and re.fullmatch(r"checkpoint-\d+", folder.name):
            found[int(folder.name.split("-")[1])] = folder
    return dict(sorted(found.items()))


def begin_checkpoint(output_dir: str | Path, step: int) -> Path:
    """An empty folder beside the checkpoint's place, to write its files into."""
    folder = saving_folder(output_dir, step)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def saving_folder(output_dir: str | Path, step: int) -> Path:
    """Where the files of a checkpoint are while it is being written."""
    place = checkpoint_folder(output_dir, step)
    return place.with_name(SAVING + place.name)


def seal_checkpoint(output_dir: str | Path, step: int, run: dict) -> Path:
    """Add the manifest to what was written, force all to disk, and rename the folder into its place.

    A folder that is already there (of the same step, from before a resume) is replaced.
    """
    folder, place = saving_folder(output_dir, step), checkpoint_folder(output_dir, step)
    files = {path.relative_to(folder).as_posix(): sha256_of(path) for path in _files_in(folder)}
    manifest = Manifest(step=step, files=files, run=run)
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for path in (*_files_in(folder), folder):
        _force_to_disk(path)
    if place.exists():
        delete_folder(place)
    os.replace(folder, place)
    _force_to_disk(place.parent)
    return place


def delete_folder(folder: Path) -> None:
    """Delete a checkpoint so that a kill half-way leaves no half of it under its name."""
    aside = folder.with_name(DELETING + folder.name)
    shutil.rmtree(aside, ignore_errors=True)
    os.replace(folder, aside)
    shutil.rmtree(aside)


def remove_leftovers(output_dir: str | Path) -> list[str]:
    """Delete what a killed run left of checkpoints it was writing or deleting; returns the names of the folders."""
    leftovers = sorted(
        folder
        for prefix in (SAVING, DELETING)
        for folder in Path(output_dir).glob(f"{prefix}checkpoint-*")
        if folder.is_dir()
    )
    for folder in leftovers:
        shutil.rmtree(folder)
    return [folder.name for folder in leftovers]


def keep_newest(output_dir: str | Path, limit: int | None, best: str | Path | None) -> None:
    """Delete the oldest checkpoints beyond ``limit``, never the newest nor the best."""
    if not limit:
        return
    folders = list(checkpoint_steps(output_dir).values())
    spared = {folders[-1].name, Path(best).name if best else ""}
    spare = len(folders) - max(limit, len(spared & {folder.name for folder in folders}))
    for folder in [folder for folder in folders if folder.name not in spared][: max(0, spare)]:
        delete_folder(folder)


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a checkpoint.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"it has no {MANIFEST}: it was not written whole, or by another program")
    try:
        return Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"its {MANIFEST} cannot be read: {error}") from error


def verify_checkpoint(folder: str | Path) -> Manifest:
    """Read every file of a checkpoint and compare it with the manifest.

    Raises:
        CheckpointError: the manifest is missing or unreadable, or names a file that is missing or has other bytes.
    """
    manifest = read_manifest(folder)
    for name, digest in manifest.files.items():
        path = Path(folder) / name
        if not path.is_file():
            raise CheckpointError(f"{name} is missing")
        if sha256_of(path) != digest:
            raise CheckpointError(f"{name} is not as it was written: its SHA-256 differs from {MANIFEST}")
    return manifest


def newest_whole_checkpoint(output_dir: str | Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that verifies, or None; and why each newer one was passed over."""
    skipped = []
    for folder in reversed(list(checkpoint_steps(output_dir).values())):
        try:
            verify_checkpoint(folder)
        except CheckpointError as error:
            skipped.append(f"{folder.name}: {error}")
        else:
            return folder, skipped
    return None, skipped


def choose_checkpoint(output_dir: str | Path, asked: str | Path | bool, run: dict) -> tuple[Path | None, list[str]]:
    """Which checkpoint to resume.

    Args:
        output_dir: of the run.
        asked: a folder; or True for the newest whole one of ``output_dir``.
        run: fingerprint of the run that wants to resume.

    Returns:
        Its folder, or None where there is nothing to resume yet; and what was passed over, with reasons.

    Raises:
        CheckpointError: the folder asked for is not whole, no checkpoint is, or it was written by a run with other
            settings; every difference is named.
    """
    skipped = []
    if asked is True:
        folder, skipped = newest_whole_checkpoint(output_dir)
        if folder is None and skipped:
            raise CheckpointError(
                f"{output_dir}: no checkpoint is whole: {'; '.join(skipped)}. Start again in a new output_dir, or "
                "delete these folders"
            )
        if folder is None:
            return None, []
        manifest = read_manifest(folder)
    else:
        folder = Path(asked)
        try:
            manifest = verify_checkpoint(folder)
        except CheckpointError as error:
            raise CheckpointError(f"{folder} cannot be resumed: {error}") from error
    differences = differences_between(manifest.run, run)
    if differences:
        raise CheckpointError(
            f"{folder} was written by a run with other settings: {'; '.join(differences)}. Resume with the same "
            "settings, or start a new run in a new output_dir"
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


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
