"""The real bursts that a generator learns from, as log-mel images, in an order that the step alone decides."""

from collections.abc import Iterator

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
from .emotion_folders import read_emotion_clips
from .generation_recipes import GenerationData
from .mel_images import FRAMES, HOP_SAMPLES, mel_image


def read_emotion(data: GenerationData, emotion: str, seed: int, fewest: int) -> Dataset:
    """The clips of one emotion that can be read.

    A folder's sub-folders, or its table's column emotion, name the emotions; other corpora have intensities.

    Args:
        data: which clips.
        emotion: as the corpus calls it.
        seed: of the draw of ``max_train_samples``.
        fewest: clips that are needed.

    Returns:
        ``file_id`` and ``audio``, not decoded.

    Raises:
        RunError: no folder, an emotion, country or split that the corpus does not have, or fewer clips.
    """
    if CORPORA[data.corpus].write is None and data.data_dir is None:
        raise RunError(f"the corpus {data.corpus} is read from a folder; give it with --data_dir FOLDER")
    if data.corpus == "folder":
        read = read_emotion_clips(data.data_dir, data.cache_dir, data.preprocessing_num_workers)
        if emotion not in read.names:
            raise RunError(f"{read.folder}: has no clips of {emotion}; it has {', '.join(read.names)}")
        clips = read.clips.select(np.flatnonzero(read.emotions == emotion))
    else:
        chosen = _of_intensities(data, emotion)
        if not len(chosen):
            raise RunError(
                f"{data.corpus} has no clips with {emotion} at {data.lowest_intensity} or above; lower "
                "--lowest_intensity"
            )
        clips, _ = check_clips(chosen, "skip", data.preprocessing_num_workers)
    if data.max_train_samples is not None and data.max_train_samples < len(clips):
        rows = np.random.default_rng(seed).permutation(len(clips))[: data.max_train_samples]
        clips = clips.select(np.sort(rows))
    if len(clips) < fewest:
        raise RunError(
            f"there are {len(clips):,} clips of {emotion}, and it needs {fewest:,}, one batch; add clips, lower "
            "--lowest_intensity or --batch_size"
        )
    return clips.select_columns(["file_id", "audio"])


def _of_intensities(data: GenerationData, emotion: str) -> Dataset:
    settings = settings_of(data)
    tasks = {task.name: task for task in corpus_tasks(data.corpus, **settings)}
    labels = tasks["emotion"].labels if "emotion" in tasks else ()
    if emotion not in labels:
        raise RunError(f"{data.corpus} has no emotion {emotion!r}; it has {', '.join(labels) or 'none'}")
    bursts = load_bursts(data.corpus, data.data_dir, cache_dir=data.cache_dir, **settings)
    splits = data.train_on or [split for split in ("train", "validation") if split in bursts]
    if unknown := [split for split in splits if split not in bursts]:
        raise RunError(f"{data.corpus} has no split {unknown[0]!r}; it has {', '.join(bursts)}")
    clips = concatenate_datasets([bursts[split] for split in splits])
    intensity = np.array(clips["emotion"][:], dtype=np.float64)[:, labels.index(emotion)]
    wanted = intensity >= data.lowest_intensity  # of a missing label, NaN, never
    if data.country is not None:
        countries = tasks["country"].labels if "country" in tasks else ()
        if data.country not in countries:
            raise RunError(f"{data.corpus} has no country {data.country!r}; it has {', '.join(countries) or 'none'}")
        wanted &= np.array(clips["country"][:]) == countries.index(data.country)
    return clips.select(np.flatnonzero(wanted))


class BurstImages(Images):
    """Bursts as images, changed at random: the same for the same (row, epoch), whoever asks and when.

    Args:
        clips: as ``read_emotion`` gives them; all are held in memory, up to 4.1 s of each.
        augmentation: change them.
        seed: of the changes.
    """

    def __init__(self, clips: Dataset, augmentation: bool, seed: int):
        longest = FRAMES * HOP_SAMPLES * 5 // 4  # the fastest augmentation makes 4.1 s of it
        names = clips["file_id"][:]
        self.waveforms = [
            read_clip(audio, name)[:longest]
            for name, audio in tqdm(zip(names, clips["audio"], strict=True), "Reading clips", len(names), unit="clip")
        ]
        self.augmentation, self.seed = augmentation, seed

    def __len__(self):
        return len(self.waveforms)

    def __getitem__(self, drawn: tuple[int, int]) -> torch.Tensor:
        row, epoch = drawn
        waveform = self.waveforms[row]
        if self.augmentation:
            waveform = augment(waveform, np.random.default_rng((self.seed, epoch, row)))
        return torch.from_numpy(mel_image(waveform))[None]


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
