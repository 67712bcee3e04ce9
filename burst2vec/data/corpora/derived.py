"""Labels that follow from other labels: the class of a clip, from the intensities that it was given."""

from collections.abc import Sequence

import numpy as np
from datasets import ClassLabel, DatasetDict

from ...errors import CorpusError
from ...tasks import Task
from ..collating import label_array

SUFFIX = "_class"  # emotion_class is derived from emotion


def strongest(intensities) -> np.ndarray:
    """The index of the greatest intensity of each clip: what a hard label is of a soft one.

    Args:
        intensities: (clips, labels), 0 or more, NaN where missing.

    Returns:
        int64 (clips,). −1, missing, where no one label is the strongest: two or more share the greatest value, it is 0
        (none was rated), or any label is missing (it might have been the strongest).

    >>> strongest([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [0.9, 0.1, float("nan")]]).tolist()
    [1, -1, -1, -1]
    """
    intensities = np.asarray(intensities)
    known = ~np.isnan(intensities).any(axis=1)
    greatest = np.where(known, intensities.max(axis=1), 0.0)
    alone = (intensities == greatest[:, None]).sum(axis=1) == 1
    return np.where((greatest > 0) & alone, intensities.argmax(axis=1), -1)


def derived_tasks(own: Sequence[Task], wanted: Sequence[Task]) -> tuple[Task, ...]:
    """The wanted classifications that a corpus lacks, but whose intensities it has: ``emotion_class`` of ``emotion``.

    >>> from burst2vec.tasks import TASK_PRESETS
    >>> [task.name for task in derived_tasks(TASK_PRESETS["exvo"], TASK_PRESETS["exvo_classes"])]
    ['emotion_class']
    """
    names = {task.name for task in own}
    return tuple(
        task
        for task in wanted
        if task.kind == "classification" and task.name not in names and _source(task, own) is not None
    )


def _source(task: Task, own: Sequence[Task]) -> Task | None:
    """The intensities that a class is derived from."""
    for source in own:
        if f"{source.name}{SUFFIX}" == task.name and source.kind == "regression" and len(source.labels) > 1:
            return source
    return None


def derive_classes(corpus: DatasetDict, own: Sequence[Task], wanted: Sequence[Task]) -> DatasetDict:
    """Add to each split a column for every task of [`derived_tasks`]; the class is the [`strongest`] label.

    Classes go by name: EmoGator's nine emotions become nine of ExVo's ten classes. Columns that the corpus has already
    stay as they are.

    Args:
        corpus: as ``load_bursts`` gives it.
        own: the tasks that its columns hold, see ``corpus_tasks``.
        wanted: the tasks of the run.

    Raises:
        CorpusError: a clip whose strongest label is no class of the wanted task; both are named.
    """
    for task in derived_tasks(own, wanted):
        source = _source(task, own)
        place_of = [task.labels.index(label) if label in task.labels else -1 for label in source.labels]
        place_of = np.array([*place_of, -1])  # the last: of −1, missing
        derived = {}
        for split, clips in corpus.items():
            classes = strongest(label_array(source, clips[source.name][:]))
            if (lost := (place_of[classes] < 0) & (classes >= 0)).any():
                row = int(lost.argmax())
                raise CorpusError(
                    f"{clips['file_id'][row]}: its strongest {source.name} is {source.labels[classes[row]]!r}, which "
                    f"is none of task {task.name!r}: {', '.join(task.labels)}; add it to the task's labels"
                )
            feature = ClassLabel(names=list(task.labels))
            derived[split] = clips.add_column(task.name, place_of[classes], feature=feature)
        corpus = DatasetDict(derived)
    return corpus
