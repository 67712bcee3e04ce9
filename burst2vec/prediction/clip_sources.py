"""The clips that are to be predicted, however they are handed over: folders, files, lists, datasets."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import xxhash
from datasets import Audio, Dataset, DatasetDict, IterableDataset, IterableDatasetDict

from ..data.corpora.audio_files import ENDINGS, AudioFiles
from ..data.corpora.folder import find_table, read_folder
from ..errors import CorpusError


class Source(NamedTuple):
    """One clip.

    Attributes:
        name: in the table: of a folder's clip its path below the folder, of a dataset's its ``file_id``.
        clip: as the pipeline takes it.
        speaker: "" where it is unknown.
    """

    name: str
    clip: Any
    speaker: str = ""


class DatasetSources(Sequence):
    """The rows of a dataset as sources, read when they are asked for; the sound is not decoded."""

    def __init__(self, dataset: Dataset):
        if "audio" not in dataset.column_names:
            raise CorpusError(f"the dataset has no column 'audio'; its columns are {dataset.column_names}")
        if isinstance(dataset.features["audio"], Audio):
            dataset = dataset.cast_column("audio", Audio(decode=False))
        self.dataset = dataset.with_format(None)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: int) -> Source:
        row = self.dataset[place]
        name = row.get("file_id") or row["audio"].get("path") or f"clip {place}"
        return Source(str(name), row["audio"], row.get("speaker") or "")


def sources_of(clips, with_speakers: bool = False) -> Sequence[Source]:
    """What is to be predicted, in order.

    Args:
        clips: a folder, of which every audio file at any depth is a clip; a file; a list of these, or of whatever the
            pipeline takes; a ``datasets.Dataset`` with ``audio``, and perhaps ``file_id`` and ``speaker``.
        with_speakers: whether each clip needs its speaker, which a table of the folder then gives.

    Raises:
        CorpusError: no clip, a folder without any, a clip without its speaker, or something else than the above.
    """
    if isinstance(clips, (DatasetDict, IterableDatasetDict)):
        raise CorpusError(f"this is a dictionary of splits; give one of them: {', '.join(clips)}")
    if isinstance(clips, IterableDataset):
        raise CorpusError("a streamed dataset cannot be resumed; give a Dataset, or call the pipeline on it")
    if isinstance(clips, Dataset):
        sources = DatasetSources(clips)
    elif isinstance(clips, (str, os.PathLike)):
        sources = list(_of_path(Path(clips), with_speakers, alone=True))
    elif isinstance(clips, (list, tuple)):
        sources = [source for place, clip in enumerate(clips) for source in _of_item(clip, place, with_speakers)]
    else:
        raise CorpusError(f"clips is {type(clips).__name__}; give a folder, a file, a list of clips or a Dataset")
    if not len(sources):
        raise CorpusError("there are no clips to predict: the list or dataset is empty")
    if with_speakers:
        lost = next((source.name for source in sources if not source.speaker.strip()), None)
        if lost is not None:
            raise CorpusError(
                f"{lost}: has no speaker, and this model takes vectors on their speaker's scale; give a folder with a "
                "table of the columns file and speaker, a Dataset with 'speaker', or [{'path': …, 'speaker': …}, …]"
            )
    return sources


def _of_item(clip, place: int, with_speakers: bool) -> Iterator[Source]:
    if isinstance(clip, (str, os.PathLike)):
        yield from _of_path(Path(clip), with_speakers, alone=False)
        return
    about = clip if isinstance(clip, dict) else {}
    name = os.fspath(about.get("path") or f"clip {place}")
    yield Source(name, clip, str(about.get("speaker") or ""))


def _of_path(path: Path, with_speakers: bool, alone: bool) -> Iterator[Source]:
    if not path.is_dir():
        yield Source(os.fspath(path), path)  # a missing file is a bad clip like others
        return
    speakers = _speakers(path) if with_speakers else {}
    files = AudioFiles(path)
    if not files.sizes:
        raise CorpusError(
            f"{path}: holds no audio file ({', '.join(ENDINGS)}); {len(files.others):,} other files, and "
            f"{len(files.links):,} links that are not followed"
        )
    for name in files.sizes:
        place = files.folder / name
        yield Source(name if alone else os.fspath(path / name), place, speakers.get(os.fspath(place), ""))


def left_alone(clips: Sequence) -> list[str]:
    """The files below folders that are no clips by their names."""
    folders = [Path(each) for each in clips if isinstance(each, (str, os.PathLike)) and Path(each).is_dir()]
    return [os.fspath(folder / name) for folder in folders for name in AudioFiles(folder).others]


def _speakers(folder: Path) -> dict[str, str]:
    if find_table(folder) is None:
        return {}
    splits = read_folder(folder, [], for_prediction=True, allow_shared_speakers=True)
    return {row["audio"]["path"]: row["speaker"] for rows in splits.values() for row in rows}


def fingerprint(sources: Sequence[Source]) -> str:
    """A hash of the clips' names, in their order, and of each one's samples, bytes, or file's size and date."""
    digest = xxhash.xxh3_128()
    for source in sources:
        digest.update(f"{source.name}\n{source.speaker}\n".encode("utf-8", "surrogateescape"))
        _add(digest, source.clip)
    return digest.hexdigest()


def _add(digest, clip) -> None:
    if isinstance(clip, dict):
        sound = next((clip[key] for key in ("bytes", "array", "raw") if clip.get(key) is not None), clip.get("path"))
        digest.update(str(clip.get("sampling_rate")))
        _add(digest, sound)
    elif isinstance(clip, (str, os.PathLike)):
        try:
            state = os.stat(clip)
            digest.update(b"%d %d" % (state.st_size, state.st_mtime_ns))
        except (OSError, ValueError):
            digest.update(b"absent")
    elif isinstance(clip, (bytes, bytearray, memoryview)):
        digest.update(clip)
    else:
        digest.update(repr(clip) if not hasattr(clip, "tobytes") else clip.tobytes())
