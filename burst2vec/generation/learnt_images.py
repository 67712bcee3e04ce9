"""The real bursts that a generator learns from, as log-mel images, in an order that the step alone decides."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from torch.utils.data import Dataset as Images
from tqdm.auto import tqdm

from ..data import load_bursts
from ..data.clips import check_clips, read_clip
from ..data.corpora import CORPORA, corpus_tasks
from ..errors import RunError
from ..experiment.corpus_keys import settings_of
from .augmentation import augment
from .emotion_folders import EmotionClips, read_emotion_clips
from .generation_recipes import GenerationData
from .mel_images import FRAMES, HOP_SAMPLES, mel_image


class LabelledClips(NamedTuple):
    """Clips that can be read, and how strong each emotion is in them.

    Attributes:
        place: the corpus, or its folder.
        clips: ``file_id`` and ``audio``, not decoded.
        emotions: names.
        labels: float32 (clips, emotions), 0..1.
    """

    place: str
    clips: Dataset
    emotions: list[str]
    labels: np.ndarray

    @property
    def strongest(self) -> np.ndarray:
        """Of each clip, the place of its strongest emotion."""
        return self.labels.argmax(axis=1)

    @property
    def of_emotions(self) -> EmotionClips:
        """Each clip as one of its strongest emotion."""
        return EmotionClips(self.place, self.clips, np.array(self.emotions)[self.strongest], [], [])

    def select(self, rows) -> "LabelledClips":
        return self._replace(clips=self.clips.select(rows), labels=self.labels[rows])


def read_clips_of(data: GenerationData, emotion: str | None, seed: int, fewest: int) -> LabelledClips:
    """The clips of one emotion, or of all, that can be read.

    A folder's sub-folders, or its table's column emotion, name the emotions; other corpora have intensities, or classes
    where ``data.emotions_from`` is such a task.

    Args:
        data: which clips.
        emotion: as the corpus calls it; None: all that its clips have.
        seed: of the draw of ``max_train_samples``.
        fewest: clips that are needed.

    Raises:
        RunError: no folder, labels, an emotion, country or split that the corpus does not have, or fewer clips.
    """
    if CORPORA[data.corpus].write is None and data.data_dir is None:
        raise RunError(f"the corpus {data.corpus} is read from a folder; give it with --data_dir FOLDER")
    found = _of_folder(data, emotion) if data.corpus == "folder" else _of_corpus(data, emotion)
    if data.max_train_samples is not None and data.max_train_samples < len(found.clips):
        rows = np.random.default_rng(seed).permutation(len(found.clips))[: data.max_train_samples]
        found = found.select(np.sort(rows))
    if len(found.clips) < fewest:
        of_emotion = "" if emotion is None else f" of {emotion}"
        raise RunError(
            f"there are {len(found.clips):,} clips{of_emotion}, and it needs {fewest:,}, one batch; add clips, lower "
            "--lowest_intensity or --batch_size"
        )
    there = np.flatnonzero(found.labels.any(axis=0))
    return found._replace(emotions=[found.emotions[column] for column in there], labels=found.labels[:, there])


def profiles_of(clips: LabelledClips) -> np.ndarray:
    """For each emotion, the mean labels of clips in which it is the strongest, over its own: (emotions, emotions).

    One that is the strongest in no clip stands alone.
    """
    profiles = np.eye(len(clips.emotions))
    for emotion in set(clips.strongest.tolist()):
        mean = clips.labels[clips.strongest == emotion].mean(axis=0, dtype=np.float64)
        profiles[emotion] = mean / mean[emotion]
    return profiles


def _of_folder(data: GenerationData, emotion: str | None) -> LabelledClips:
    read = read_emotion_clips(data.data_dir, data.cache_dir, data.preprocessing_num_workers)
    if emotion is not None and emotion not in read.names:
        raise RunError(f"{read.folder}: has no clips of {emotion}; it has {', '.join(read.names)}")
    names = read.names if emotion is None else [emotion]
    labels = (read.emotions[:, None] == np.array(names)).astype(np.float32)
    found = LabelledClips(str(read.folder), read.clips.select_columns(["file_id", "audio"]), names, labels)
    return found.select(np.flatnonzero(labels.any(axis=1)))


def _of_corpus(data: GenerationData, emotion: str | None) -> LabelledClips:
    settings = settings_of(data)
    tasks = {task.name: task for task in corpus_tasks(data.corpus, **settings)}
    names = list(tasks[data.emotions_from].labels) if data.emotions_from in tasks else []
    if not names:
        raise RunError(f"{data.corpus} has no labels {data.emotions_from!r}; it has {', '.join(tasks)}")
    if emotion is not None and emotion not in names:
        raise RunError(f"{data.corpus} has no emotion {emotion!r}; it has {', '.join(names)}")
    bursts = load_bursts(data.corpus, data.data_dir, cache_dir=data.cache_dir, **settings)
    splits = data.train_on or [split for split in ("train", "validation") if split in bursts]
    if unknown := [split for split in splits if split not in bursts]:
        raise RunError(f"{data.corpus} has no split {unknown[0]!r}; it has {', '.join(bursts)}")
    clips = concatenate_datasets([bursts[split] for split in splits])
    labels = np.array(clips[data.emotions_from][:], dtype=np.float32)
    if tasks[data.emotions_from].kind == "classification":
        labels = (labels[:, None] == np.arange(len(names))).astype(np.float32)  # of a missing class, no 1
    if emotion is not None:
        labels, names = labels[:, [names.index(emotion)]], [emotion]
    wanted = (labels >= data.lowest_intensity).any(axis=1) & np.isfinite(labels).all(axis=1)
    if data.country is not None:
        countries = tasks["country"].labels if "country" in tasks else ()
        if data.country not in countries:
            raise RunError(f"{data.corpus} has no country {data.country!r}; it has {', '.join(countries) or 'none'}")
        wanted &= np.array(clips["country"][:]) == countries.index(data.country)
    if not wanted.any():
        raise RunError(
            f"{data.corpus} has no clips with {emotion or 'any emotion'} at {data.lowest_intensity} or above; lower "
            "--lowest_intensity"
        )
    rows = np.flatnonzero(wanted)
    chosen = clips.select(rows).select_columns(["file_id", "audio"])
    row_of = dict(zip(chosen["file_id"][:], rows, strict=True))
    readable, _ = check_clips(chosen, "skip", data.preprocessing_num_workers)
    return LabelledClips(data.corpus, readable, names, labels[[row_of[name] for name in readable["file_id"]]])


class BurstImages(Images):
    """Bursts as images, changed at random: the same for the same (row, epoch), whoever asks and when.

    Args:
        clips: as ``read_clips_of`` gives them; all are held in memory, as long as an image of each.
        augmentation: change them.
        seed: of the changes.
        frames: of an image.
    """

    def __init__(self, clips: LabelledClips, augmentation: bool, seed: int, frames: int = FRAMES):
        longest = frames * HOP_SAMPLES * 5 // 4  # the fastest augmentation makes an image of it
        names = clips.clips["file_id"][:]
        audio = tqdm(zip(names, clips.clips["audio"], strict=True), "Reading clips", len(names), unit="clip")
        waveforms = (read_clip(each, name)[:longest] for name, each in audio)
        self.augmentation, self.seed, self.frames = augmentation, seed, frames
        self.clips = list(waveforms) if augmentation else [mel_image(each, frames) for each in waveforms]
        self.labels = torch.from_numpy(clips.labels)

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, drawn: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        row, epoch = drawn
        if self.augmentation:
            changed = augment(self.clips[row], np.random.default_rng((self.seed, epoch, row)))
            return torch.from_numpy(mel_image(changed, self.frames))[None], self.labels[row]
        return torch.from_numpy(self.clips[row])[None], self.labels[row]

    def unchanged(self, rows) -> np.ndarray:
        """Images of the clips as they are, (rows, mels, frames)."""
        chosen = [self.clips[row] for row in rows]
        return np.stack([mel_image(each, self.frames) for each in chosen] if self.augmentation else chosen)


def batches_from(first: int, last: int, clips: int, batch_size: int, seed: int) -> Iterator[list[tuple[int, int]]]:
    """The batches ``first`` to ``last``, the latter not included, as (row, epoch): each epoch in an order of its own.

    What an epoch's last batch would lack is left out of that epoch.

    >>> list(batches_from(0, 3, clips=5, batch_size=2, seed=0))[1:] == list(batches_from(1, 3, 5, 2, 0))
    True
    """
    for_each = clips // batch_size
    for batch in range(first, last):
        epoch, place = divmod(batch, for_each)
        order = np.random.default_rng((seed, epoch)).permutation(clips)
        yield [(int(row), epoch) for row in order[place * batch_size : (place + 1) * batch_size]]
