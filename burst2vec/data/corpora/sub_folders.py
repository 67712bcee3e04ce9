"""Clips in sub-folders that name their class, with or without folders of splits above them.

    folder/laugh/001.wav
    folder/train/laugh/001.wav

What is called like a clip is one, and so is a file without any ending in a folder of a class. So a broken link, a pipe
and a file whose name is no UTF-8 text have their rows, and are counted as unreadable where clips are checked. Files of
other endings are left out.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...errors import CorpusError
from ...tasks import Task
from .audio_files import ENDINGS, AudioFiles, has_ending, shown, without_ending
from .label_columns import no_labels
from .label_tables import Lost
from .splits import SPELLINGS, SPLITS


class SubFolders(NamedTuple):
    """What lies below a folder: which files are clips, and what their folders say.

    Attributes:
        clips: paths, sorted.
        has_splits: whether the first part of each is a split.
        left_out: paths of what is no clip, sorted.
    """

    clips: list[str]
    has_splits: bool
    left_out: list[str]

    def class_of(self, path: str) -> str | None:
        """The name of a clip's folder; None where it lies elsewhere than in one of a class."""
        *above, name = path.split("/")[:-1] or [""]
        return shown(name) if name and len(above) == self.has_splits else None


def find_clips(files: AudioFiles, labels: Sequence[str] = ()) -> SubFolders:
    """Tell clips from other files; ``labels`` are classes, which are never taken for splits."""
    clips = sorted([*files.sizes, *filter(has_ending, files.others)])
    tops = {path.split("/")[0] for path in clips if "/" in path}
    has_splits = bool(tops) and all(top.lower() in SPELLINGS and top not in labels for top in tops)
    found = SubFolders(clips, has_splits, [])
    classes = {found.class_of(path) for path in clips} | set(labels)
    bare = [
        path
        for path in files.others
        if "." not in path.rpartition("/")[2] and (found.class_of(path) or "") in classes - {None}
    ]
    return SubFolders(sorted([*clips, *bare]), has_splits, sorted({*files.others} - {*clips, *bare}))


def lost_files(files: AudioFiles) -> list[Lost]:
    """What lies below a folder without a table and is no clip."""
    why = f"a clip ends in {', '.join(ENDINGS)}, or lies in a folder of a class and has no ending"
    return [Lost("", shown(path), "not read", why) for path in find_clips(files).left_out]


def guess_task(files: AudioFiles) -> tuple[Task, ...]:
    """The task ``class``, of the folders' names; none where clips lie in one folder only, or deeper or higher."""
    found = find_clips(files)
    classes = {found.class_of(path) for path in found.clips}
    if None in classes or len(classes) < 2:
        return ()
    return (Task("class", "classification", tuple(sorted(classes)), loss="cross_entropy", metric="uar"),)


def rows_of_sub_folders(files: AudioFiles, tasks: Sequence[Task], for_prediction: bool = False) -> Iterator[dict]:
    """A row for each clip, its class the name of its folder; without tasks, of clips in any folders.

    Args:
        files: of the folder.
        tasks: whose labels to read.
        for_prediction: where no folder has the name of a class, no clip has a label.

    Raises:
        CorpusError: no clip, one in no folder of a class, two that differ in their ending only, a link that is not
            followed, or tasks of which none or several are classifications that can be meant.
    """
    unlabelled = for_prediction and not _names_a_class(files, tasks)
    task = _classification(files, tasks) if tasks and not unlabelled else None
    if files.links:
        raise CorpusError(f"{files.folder / files.links[0]}: is a link to a folder, or out of the corpus; not followed")
    found = find_clips(files, task.labels if task else ())
    if not found.clips:
        raise CorpusError(f"{files.folder}: holds neither a table nor an audio file; put a table beside your clips")
    twice = Counter(map(without_ending, found.clips))
    for path in found.clips:
        name = found.class_of(path)
        if task and name not in task.labels:
            example = f"{SPLITS[0]}/{task.labels[0]}/001.wav" if found.has_splits else f"{task.labels[0]}/001.wav"
            raise CorpusError(
                f"{files.folder / path}: is in no folder of a class, as {example} is; the classes of {task.name} are "
                f"{', '.join(task.labels)}; or put a table there"
            )
        if found.has_splits and "/" not in path:
            raise CorpusError(f"{files.folder / path}: lies beside the folders of splits; move it into one of them")
        if twice[without_ending(path)] > 1:
            raise CorpusError(f"{files.folder / path}: another file differs in its ending only; keep one of them")
        yield {
            "file_id": without_ending(shown(path)),
            "audio": {"bytes": None, "path": f"{files.folder}/{shown(path)}"},
            "speaker": "",
            **no_labels(tasks),
            **({task.name: task.labels.index(name)} if task else {}),
            "split": SPELLINGS[path.split("/")[0].lower()] if found.has_splits else None,
        }


def _names_a_class(files: AudioFiles, tasks: Sequence[Task]) -> bool:
    classes = {label for task in tasks if task.kind == "classification" for label in task.labels}
    return any(not classes.isdisjoint(path.split("/")[:-1]) for path in files.sizes)


def _classification(files: AudioFiles, tasks: Sequence[Task]) -> Task:
    classified = [task for task in tasks if task.kind == "classification"]
    if len(classified) > 1:  # of a mixture, perhaps: the one that has all these classes
        names = {path.split("/")[-2] for path in files.sizes if "/" in path}
        classified = [task for task in classified if names <= set(task.labels)]
    if len(classified) != 1:
        raise CorpusError(
            f"{files.folder}: has no table, so its sub-folders name the classes of one classification, and of the "
            f"tasks {', '.join(task.name for task in tasks)}, {len(classified)} can be meant; put a metadata.csv there"
        )
    return classified[0]
