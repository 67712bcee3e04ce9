"""A corpus as the Hub holds it: Parquet with the sound inside, a card beside it, and nothing of this machine."""

import math
from pathlib import Path

import pyarrow.parquet as parquet
from datasets import Dataset, DatasetDict
from huggingface_hub import HfApi
from tqdm.auto import tqdm

from ..errors import CorpusError
from ..files import draft_of, write_whole
from .clips import check_clips
from .corpora.columns import burst_table

CLIPS_PER_FILE = 5_000  # 320 MB of 2 s wav
_CLIPS_PER_ROW_GROUP = 100  # what a reader holds in memory at a time


def write_parquet_corpus(
    corpus: DatasetDict, folder, card, on_bad_clip: str = "raise", num_proc: int | None = None
) -> Path:
    """Write ``folder/README.md`` and ``folder/data/<split>-00000-of-000NN.parquet``, to be read by ``load_dataset``.

    Each clip's file is embedded as it is, unchanged, under its bare name.

    Args:
        corpus: from ``load_bursts``.
        folder: where to; new or empty.
        card: path of the dataset card.
        on_bad_clip: ``"raise"`` at a clip that cannot be decoded, or ``"skip"`` it.
        num_proc: processes to check clips with.

    Returns:
        ``folder``.

    Raises:
        CorpusError: the folder holds something.
        AudioError: a clip that cannot be decoded.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CorpusError(f"{folder}: is not empty; give a new folder to write the corpus into")
    card = Path(card).read_text(encoding="utf-8")
    corpus = {split: check_clips(clips, on_bad_clip, num_proc)[0] for split, clips in corpus.items()}
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for split, clips in corpus.items():
        files = math.ceil(len(clips) / CLIPS_PER_FILE)
        for number in range(files):
            part = clips.remove_columns("samples").shard(files, number, contiguous=True)
            _write_part(part, folder / "data" / f"{split}-{number:05d}-of-{files:05d}.parquet")
    write_whole(folder / "README.md", card)
    return folder


def _write_part(clips: Dataset, path: Path) -> None:
    with (
        draft_of(path) as draft,
        parquet.ParquetWriter(draft, clips.features.arrow_schema) as writer,
        tqdm(total=len(clips), desc=f"Writing {path.name}", unit=" clips") as progress,
    ):
        for rows in clips.iter(_CLIPS_PER_ROW_GROUP):
            rows["audio"] = [_embedded(audio, name) for audio, name in zip(rows["audio"], rows["file_id"], strict=True)]
            rows = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
            writer.write_table(burst_table(rows, clips.features))
            progress.update(len(rows))


def _embedded(audio: dict, name: str) -> dict:
    path = Path(audio["path"] or name)
    return {"bytes": path.read_bytes() if audio["bytes"] is None else audio["bytes"], "path": path.name}


def upload_corpus(folder, repo_id: str, private: bool = True, api: HfApi | None = None) -> str:
    """Upload what ``write_parquet_corpus`` wrote, and nothing else, to the Hub; returns the address.

    Args:
        folder: the written corpus.
        repo_id: such as ``"me/emogator"``.
        private: whether only its owners may see it. An existing repository is not changed: one that is public while
            ``private`` is asked for is refused.
        api: client to use; by default one with the token you logged in with.

    Raises:
        CorpusError: the repository is public, and private was asked for.
    """
    api = api or HfApi()
    address = api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
    if private and not api.repo_info(repo_id, repo_type="dataset").private:
        raise CorpusError(
            f"{repo_id}: is there already, and public; nothing was uploaded. Make it private or name another"
        )
    api.upload_folder(
        repo_id=repo_id, repo_type="dataset", folder_path=folder, allow_patterns=["README.md", "data/*.parquet"]
    )
    return str(address)
