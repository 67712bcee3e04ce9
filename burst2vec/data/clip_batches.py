"""The clips of a corpus as a trainer takes them: recordings, or vectors; two classes with one interface.

``clips_of`` chooses. The interface, beside that of a torch dataset whose rows an evaluation takes:

- ``refuse_settings(args)``: of training arguments, which not every kind of clip can have;
- ``drawn(crop_samples)``: the torch dataset that training takes ``Draw``s from;
- ``lengths(trim_below_db)``: the samples of each clip, after a feature extractor of that setting has trimmed it: they
  decide what is batched together; None where they are not known;
- ``labels``: of all clips, by task, see ``corpus_labels``;
- ``speakers``: of all clips, None where the corpus does not say;
- ``identity``: columns that differ where the clips differ, for the fingerprint of a run.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from datasets import IterableDataset
from torch.utils.data import Dataset

from ..errors import RunError
from ..tasks import Task
from .clips import check_clips, trimmed_lengths
from .collating import DrawnClips, corpus_labels, episode_of
from .sampling import Draw
from .vectors import has_vectors, vectors_of


def clips_of(corpus, tasks: Sequence[Task]) -> "RecordedClips | VectorClips":
    """The clips of a corpus, by whether it holds a vector of each; see ``burst2vec.data.vectors.with_vectors``.

    Raises:
        RunError: as ``refuse_unfit``.
    """
    refuse_unfit(corpus)
    return VectorClips(corpus, tasks) if has_vectors(corpus) else RecordedClips(corpus, tasks)


def readable_clips(corpus, on_bad_clip: str = "skip"):
    """The corpus without the clips that cannot be read, and with its column ``samples``, as ``check_clips`` gives it.

    A corpus that has the column, or vectors, is returned as it is, and so is None.

    Raises:
        RunError: as ``refuse_unfit``.
    """
    if corpus is None:
        return None
    refuse_unfit(corpus)
    if "samples" in corpus.column_names or has_vectors(corpus):
        return corpus
    return check_clips(corpus, on_bad_clip=on_bad_clip)[0]


def refuse_unfit(corpus) -> None:
    """
    Raises:
        RunError: a corpus that is streamed, without clips, or whose clips ``datasets`` would decode; says what to do.
    """
    if isinstance(corpus, IterableDataset):
        raise RunError(
            "the data set is streamed, and batches are drawn by the labels and lengths of all its clips: load it with "
            "streaming=False, or keep so many clips of it: "
            "datasets.Dataset.from_list(list(stream.take(1000)), features=stream.features)"
        )
    columns = getattr(corpus, "column_names", None)
    if columns is None or has_vectors(corpus):
        return
    if lacking := [name for name in ("file_id", "audio") if name not in columns and "samples" not in columns]:
        raise RunError(
            f"the data set lacks the columns {lacking}; it has {columns}. A clip needs file_id, its name, and audio, "
            "its recording: data_set.rename_column(…, …), or burst2vec.load_bursts(…), which gives both"
        )
    if getattr(getattr(corpus, "features", {}).get("audio"), "decode", False):
        raise RunError(
            "the data set's column audio is decoded by datasets, which needs torchcodec; burst2vec decodes clips "
            'itself: data_set.cast_column("audio", datasets.Audio(decode=False))'
        )


class RecordedClips(Dataset):
    """A corpus of recordings; its rows are those of the corpus.

    Args:
        corpus: with ``file_id``, ``audio`` and a column for each task.
        tasks: the task records.

    Raises:
        CorpusError: labels out of range.
    """

    def __init__(self, corpus, tasks: Sequence[Task]):
        self.corpus, self.labels, self.speakers = corpus, corpus_labels(corpus, tasks), speakers_of(corpus)
        self._trimmed = {}  # trim_below_db → lengths

    def __len__(self) -> int:
        return len(self.corpus)

    def __getitem__(self, row: int) -> dict:
        return self.corpus[row]

    def __getitems__(self, rows: Sequence[int]) -> list[dict]:
        return self.corpus.__getitems__(rows)

    def refuse_settings(self, args) -> None:
        """Recordings can have every setting."""

    def drawn(self, crop_samples: int | None = None) -> DrawnClips:
        """The corpus by draws, whose speed, and place of a crop, go with the rows."""
        return DrawnClips(self.corpus, crop_samples)

    def lengths(self, trim_below_db: float | None = None) -> np.ndarray | None:
        if "samples" not in getattr(self.corpus, "column_names", ()):
            return None
        if trim_below_db is None:
            return np.asarray(self.corpus["samples"][:])
        if trim_below_db not in self._trimmed:
            self._trimmed[trim_below_db] = trimmed_lengths(self.corpus, trim_below_db)
        return self._trimmed[trim_below_db]

    @property
    def identity(self) -> tuple:
        return _names(self.corpus), self.lengths(), *self.labels.values()


class VectorClips(Dataset):
    """A corpus of vectors and its labels as tensors, from which a batch is taken at once and not row by row.

    Args:
        corpus: with ``vector`` and a column for each task; see ``burst2vec.data.vectors.with_vectors``.
        tasks: the task records.

    Asked for several clips by rows or ``Draw``s, it gives what ``BurstCollator`` gives of recordings, without
    ``attention_mask``: ``input_values`` float32 (batch, features), ``labels``, and the ``task`` and the ``episode``
    that were drawn.

    Raises:
        CorpusError: labels out of range, or vectors of several lengths.
    """

    def __init__(self, corpus, tasks: Sequence[Task]):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # nor is it written to
            self.vectors = torch.from_numpy(vectors_of(corpus))
        self.labels = corpus_labels(corpus, tasks)
        self._labels = {name: torch.from_numpy(values) for name, values in self.labels.items()}
        self._names, self.speakers = _names(corpus), speakers_of(corpus)

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, draw: Draw | int) -> dict:
        return self.__getitems__([draw])

    def __getitems__(self, draws: Sequence[Draw | int]) -> dict:
        drawn = isinstance(draws[0], Draw)
        rows = torch.tensor([draw.row for draw in draws] if drawn else draws)
        batch = {
            "input_values": self.vectors.index_select(0, rows),
            "labels": {name: values.index_select(0, rows) for name, values in self._labels.items()},
        }
        if drawn and draws[0].task is not None:
            batch["task"] = draws[0].task
        if drawn and draws[0].speaker is not None:
            batch["episode"] = episode_of(draws)
        return batch

    def refuse_settings(self, args) -> None:
        """
        Raises:
            RunError: as ``refuse_for_vectors``.
        """
        refuse_for_vectors(args)

    def drawn(self, crop_samples: int | None = None) -> "VectorClips":
        """Itself: a vector is never cropped."""
        return self

    def lengths(self, trim_below_db: float | None = None) -> np.ndarray:
        """One each: all vectors are of one length, and nothing is padded."""
        return np.ones(len(self))

    @property
    def identity(self) -> tuple:
        return self._names, self.vectors.numpy(), *self.labels.values()


def refuse_for_vectors(args, vectors: str = "vectors") -> None:
    """
    Args:
        args: ``Burst2VecTrainingArguments``.
        vectors: what the model takes, for the message.

    Raises:
        RunError: settings that only recordings can have.
    """
    for key, done in (("speed_perturbation", "played faster or slower"), ("crop_seconds", "cropped")):
        if getattr(args, key):
            raise RunError(
                f"{key} {getattr(args, key)}: only recordings can be {done}, and the model takes {vectors}; give null"
            )


def speakers_of(corpus) -> list[str | None]:
    """Who speaks in each clip of a corpus; None where it does not say."""
    known = "speaker" in getattr(corpus, "column_names", ())
    return list(corpus["speaker"][:]) if known else [None] * len(corpus)


def _names(corpus) -> list[str]:
    return [str(name) for name in corpus["file_id"]] if "file_id" in corpus.column_names else []
