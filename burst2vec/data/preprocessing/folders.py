"""Steps over every recording of a folder, into files beside each other: done once, and kept, whatever kills the run.

target/
  preprocessing.jsonl    how the folder is made, and from which state of each recording
  a/b.wav                made from source/a/b.mp3
  failures.csv           file, reason; only where there were failures
"""

import csv
import io
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import threadpoolctl  # comes with scikit-learn
import torch
from tqdm.auto import tqdm

from ...audio import Transform, read_transforms
from ...audio.encode import encode_wav
from ...errors import AudioError, CorpusError, TransformError, WriteError
from ...files import write_whole
from ..cells import as_cell
from ..corpora.inside import leads_out
from ..processes import usable_cores
from .corpus import VERSION, process_recording
from .journal import Journal, Recording

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".webm", ".m4a")
FAILURES = "failures.csv"
_DRAFTS = ".drafts-"  # a folder beside the finished files, so that one rename puts a draft in its place
_CLIPS_PER_JOB = 4  # one at a time would keep the parent busy for 4 % of what the workers take


class Failure(NamedTuple):
    """A recording of which nothing could be made, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Preprocessed:
    """What ``preprocess_folder`` did.

    Attributes:
        made: recordings processed now.
        kept: recordings that were processed before, with the same steps.
        failures: recordings of which nothing could be made.
        left_alone: files that are not audio by their suffix.
        links: links to folders, or out of the source; they are not followed.
        orphans: files in the target whose recording the source no longer has; they stay.
        sound_seconds: length of the recordings processed now.
        seconds: what it took.
    """

    made: int
    kept: int
    failures: tuple[Failure, ...]
    left_alone: int
    links: int
    orphans: int
    sound_seconds: float
    seconds: float

    @property
    def mostly_failed(self) -> bool:
        """Whether more than half of the recordings failed, in which case the fault is rarely theirs."""
        return len(self.failures) > self.made + self.kept


def preprocess_folder(source, target, steps: Iterable, num_proc: int | None = None) -> Preprocessed:
    """Apply steps to every recording under a folder, and write the results under another, in the same places.

    ``source/a/b.mp3`` becomes ``target/a/b.wav``: 32-bit floats, because after levelling samples may exceed 1, and 16
    bits would clip them. A file is written whole or not at all. The same call resumes a run that was killed:
    what is finished stays as it is. A recording whose size or date has changed is processed anew, one that failed is
    tried anew.

    Args:
        source: folder with wav, flac, ogg, mp3, webm or m4a, at any depth.
        target: folder to write into: new, empty, or written before with the same steps.
        steps: as ``read_transforms`` takes them; without ``resample`` each file keeps its sampling rate.
        num_proc: processes, each of one thread; by default as many as there are cores.

    Returns:
        What was done. The failures also stand in ``target/failures.csv``; whether they are too many is the caller's
        business.

    Raises:
        CorpusError: no such source, no recording in it, two recordings that would become one file, one folder inside
            the other, a target that holds something else or that another run is writing into.
        TransformError: an unknown step or option.
        MissingPackageError: webm or m4a files where PyAV is not installed.
        BrokenProcessPool: a worker process was killed.
    """
    started = time.monotonic()
    steps = read_transforms(steps)
    source, target = _check_folders(Path(source), Path(target))
    recordings, left_alone, links = find_recordings(source)
    if not recordings:
        raise CorpusError(f"{source}: holds no recording ({', '.join(SUFFIXES)}); files of other kinds: {left_alone}")
    _refuse_clashes(recordings)
    with Journal(target, VERSION, [str(step) for step in steps]) as journal:
        todo = [recording for recording in recordings if not journal.has(recording, target_of(recording.file))]
        present = {recording.file for recording in recordings}
        orphans = sum((target / target_of(file)).is_file() for file in journal.lines if file not in present)
        bar = tqdm(
            total=len(recordings),
            initial=len(recordings) - len(todo),
            desc="Preprocessing",
            unit=" clips",
            mininterval=0.5,
        )
        with bar:
            failures, sound_seconds = _make_all(source, todo, journal, steps, num_proc or usable_cores(), bar)
    return Preprocessed(
        made=len(todo) - len(failures),
        kept=len(recordings) - len(todo),
        failures=tuple(failures),
        left_alone=left_alone,
        links=links,
        orphans=orphans,
        sound_seconds=sound_seconds,
        seconds=time.monotonic() - started,
    )


def find_recordings(source: Path) -> tuple[list[Recording], int, int]:
    """Every audio file under a folder, sorted; how many files are something else; how many links are not followed.

    Raises:
        OSError: a folder that may not be read.
    """

    def refuse(error):
        raise error

    recordings, left_alone, links = [], 0, 0
    for folder, folders, files in os.walk(source, onerror=refuse):
        links += sum(os.path.islink(os.path.join(folder, name)) for name in folders)
        for name in files:
            path = Path(folder, name)
            if path.suffix.lower() not in SUFFIXES:
                left_alone += 1
            elif path.is_symlink() and leads_out(path, source):
                links += 1
            else:
                try:
                    state = path.stat()
                    size, mtime_ns = state.st_size, state.st_mtime_ns
                except OSError:  # a link to nothing, or gone since; the attempt to read it will say so
                    size, mtime_ns = 0, 0
                recordings.append(Recording(path.relative_to(source).as_posix(), size, mtime_ns))
    return sorted(recordings), left_alone, links


def target_of(file: str) -> str:
    """Where, below the target, the processed clip of a recording goes.

    >>> target_of("Lu/laugh.01.mp3")
    'Lu/laugh.01.wav'
    """
    return PurePosixPath(file).with_suffix(".wav").as_posix()


def _check_folders(source: Path, target: Path) -> tuple[Path, Path]:
    source, target = source.expanduser().resolve(), target.expanduser().resolve()
    if not source.is_dir():
        raise CorpusError(f"{source}: no such folder; give the one that holds the recordings")
    if source.is_relative_to(target) or target.is_relative_to(source):
        raise CorpusError(f"{target} and {source}: one is in the other; give a target beside the source")
    return source, target


def _refuse_clashes(recordings: list[Recording]) -> None:
    made_from = {}
    for recording in recordings:
        made = target_of(recording.file)
        if made in made_from:
            raise CorpusError(f"{made_from[made]} and {recording.file} would both become {made}; rename one of them")
        made_from[made] = recording.file


def _make_all(
    source: Path, todo: list[Recording], journal: Journal, steps: tuple[Transform, ...], num_proc: int, bar: tqdm
) -> tuple[list[Failure], float]:
    """The failures, sorted, and the seconds of sound of what was made."""
    target = journal.target
    _remove_drafts(target)
    drafts = Path(tempfile.mkdtemp(prefix=_DRAFTS, dir=target))
    jobs = (
        (source, drafts, start, todo[start : start + _CLIPS_PER_JOB], steps)
        for start in range(0, len(todo), _CLIPS_PER_JOB)
    )
    failures, sound_seconds = [], 0.0
    try:
        for recording, draft, made in _in_parallel(_make_drafts, jobs, num_proc):
            place = target / target_of(recording.file)
            place.unlink(missing_ok=True)  # made from an older state of the recording
            if isinstance(made, str):
                failures.append(Failure(recording.file, made))
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                journal.add(recording, made)  # before the rename, so that every file in its place is in the journal
                os.replace(draft, place)
                sound_seconds += made["recorded_seconds"]
            bar.update()
        _write_failures(target / FAILURES, sorted(failures))
    except BrokenProcessPool as error:
        raise BrokenProcessPool(
            f"{target}: a worker process was killed, most often because memory ran out. What is finished stays; the "
            "same call with a smaller num_proc resumes"
        ) from error
    finally:
        _remove_drafts(target)
    return sorted(failures), sound_seconds


def _make_drafts(
    source: Path, drafts: Path, start: int, recordings: list[Recording], steps: tuple[Transform, ...]
) -> list:
    """In a worker: of each recording itself, where its processed clip was written, and a line about it or why not."""
    outcomes = []
    for number, recording in enumerate(recordings, start):
        draft = drafts / f"{number}.wav"
        try:
            waveform, rate, seconds = process_recording(source / recording.file, steps, recording.file)
        except (AudioError, TransformError) as error:
            outcomes.append((recording, draft, str(error)))
            continue
        content = encode_wav(waveform, rate)
        try:
            write_whole(draft, content, force=False)  # the journal has its size
        except WriteError as error:
            raise WriteError(drafts.parent / target_of(recording.file), error) from error
        made = {"made_size": len(content), "sampling_rate": rate, "recorded_seconds": round(seconds, 4)}
        outcomes.append((recording, draft, made))
    return outcomes


def _in_parallel(function: Callable, jobs: Iterable[tuple], num_proc: int) -> Iterator:
    """What each job's list holds, as the lists come; only a few jobs wait at a time, however many there are."""
    with ProcessPoolExecutor(num_proc, initializer=_begin_worker) as pool:
        running = set()
        for job in jobs:
            if len(running) == 4 * num_proc:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (outcome for future in done for outcome in future.result())
            running.add(pool.submit(function, *job))
        yield from (outcome for future in running for outcome in future.result())


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the run
    threadpoolctl.threadpool_limits(1)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _write_failures(path: Path, failures: list[Failure]) -> None:
    if not failures:
        path.unlink(missing_ok=True)
        return
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(
        [Failure._fields, *(map(as_cell, failure) for failure in failures)]
    )
    write_whole(path, table.getvalue().encode("utf-8", "backslashreplace"))


def _remove_drafts(target: Path) -> None:
    for folder in target.glob(f"{_DRAFTS}*"):
        shutil.rmtree(folder, ignore_errors=True)  # a killed run's worker may still be writing there for a moment
