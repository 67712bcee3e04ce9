"""What leaves this machine: the clips, their labels and a card; no path, and no agreement broken."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as parquet
import pytest
from datasets import DatasetDict, load_dataset

from burst2vec import load_bursts
from burst2vec.data.clips import read_clip
from burst2vec.data.corpus_publishing import upload_corpus, write_parquet_corpus
from burst2vec.errors import AudioError, CorpusError

from .corpora_on_disk import write_avb, write_emogator, write_hume_vb, write_webm

SEVEN_TASKS = ("emotion", "age", "country", "high", "two", "culture", "type")
SCRIPTS = Path(__file__).parents[2] / "dataset_scripts"


def script(name):
    return runpy.run_path(str(SCRIPTS / name / f"{name}.py"))["main"]


@pytest.fixture
def corpus(tmp_path):
    return load_bursts("hume_vb", data_dir=write_hume_vb(tmp_path / "hume"), cache_dir=tmp_path / "cache")


@pytest.fixture
def card(tmp_path):
    (tmp_path / "card.md").write_text("---\nlicense: other\n---\n# Bursts é\n", encoding="utf-8")
    return tmp_path / "card.md"


def test_what_is_written_loads_with_load_dataset_and_is_the_same(corpus, card, tmp_path):
    out = write_parquet_corpus(corpus, tmp_path / "out", card)
    assert (out / "README.md").read_text(encoding="utf-8") == card.read_text(encoding="utf-8")
    loaded = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert isinstance(loaded, DatasetDict) and set(loaded) == set(corpus)
    for split, rows in corpus.items():
        assert loaded[split].features == rows.features
        for before, after in zip(rows, loaded[split], strict=True):
            assert after["audio"]["path"] == f"{before['file_id']}.wav"
            assert after["audio"]["bytes"] == Path(before["audio"]["path"]).read_bytes()
            assert read_clip(after["audio"], after["file_id"]).size == 4_000 + int(before["file_id"])
            assert str({**after, "audio": None}) == str({**before, "audio": None})


def test_no_local_path_is_in_what_is_written(corpus, card, tmp_path):
    out = write_parquet_corpus(corpus, tmp_path / "out", card)
    for path in out.rglob("*.parquet"):
        assert str(tmp_path).encode() not in path.read_bytes()
        assert all("/" not in audio["path"] for audio in parquet.read_table(path)["audio"].to_pylist())


def test_raw_recordings_and_the_labels_of_both_challenges_survive_and_no_path_does(card, tmp_path):
    folder = write_avb(write_hume_vb(tmp_path / "hume", wavs=0))
    for clip in range(1, 6):
        write_webm(folder / f"raw/0000{clip}.webm", seed=clip)
    options = {"labels": "all", "audio": "raw", "cache_dir": tmp_path / "cache"}
    corpus = load_bursts("hume_vb", data_dir=folder, **options)
    out = write_parquet_corpus(corpus, tmp_path / "out", card)
    loaded = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    for split, rows in corpus.items():
        assert loaded[split].features == rows.features and list(rows.features)[3:] == list(SEVEN_TASKS)
        for before, after in zip(rows, loaded[split], strict=True):
            recording = Path(before["audio"]["path"])
            assert after["audio"] == {"bytes": recording.read_bytes(), "path": recording.name}
            assert read_clip(after["audio"], "clip").size == 4_000  # 0.25 s
            assert str({**after, "audio": None}) == str({**before, "audio": None})
    assert not [path for path in out.rglob("*") if path.is_file() and str(tmp_path).encode() in path.read_bytes()]


def test_long_splits_are_written_in_several_files(corpus, card, tmp_path, monkeypatch):
    monkeypatch.setattr("burst2vec.data.corpus_publishing.CLIPS_PER_FILE", 2)
    out = write_parquet_corpus(corpus, tmp_path / "out", card)
    names = sorted(path.name for path in (out / "data").iterdir())
    assert names == [
        "test-00000-of-00001.parquet",
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
        "validation-00000-of-00001.parquet",
    ]
    loaded = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"]["file_id"][:] == ["00001", "00002", "00003"]
    assert write_parquet_corpus(loaded, tmp_path / "again", card)  # bytes as well as paths


def test_a_folder_in_use_and_a_bad_clip_are_refused(corpus, card, tmp_path):
    with pytest.raises(CorpusError, match="hume: is not empty"):
        write_parquet_corpus(corpus, tmp_path / "hume", card)
    (tmp_path / "hume/wav/00002.wav").write_bytes(b"")
    with pytest.raises(AudioError, match="00002"):
        write_parquet_corpus(corpus, tmp_path / "out", card)
    out = write_parquet_corpus(corpus, tmp_path / "out", card, on_bad_clip="skip")
    assert load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]["file_id"][:] == ["00001", "00003"]


class Hub:
    """Stands for ``HfApi``: notes what it is asked for."""

    def __init__(self, is_private):
        self.is_private, self.created, self.uploaded = is_private, None, None

    def create_repo(self, repo_id, **wanted):
        self.created = wanted
        return f"https://hub/{repo_id}"

    def repo_info(self, repo_id, repo_type):
        return SimpleNamespace(private=self.is_private)

    def upload_folder(self, **wanted):
        self.uploaded = wanted


def test_uploads_are_private_unless_asked_otherwise_and_only_of_card_and_data(tmp_path):
    hub = Hub(is_private=True)
    assert upload_corpus(tmp_path, "me/bursts", api=hub) == "https://hub/me/bursts"
    assert hub.created["private"] is True
    assert hub.uploaded["allow_patterns"] == ["README.md", "data/*.parquet"]
    hub = Hub(is_private=False)
    upload_corpus(tmp_path, "me/bursts", private=False, api=hub)
    assert hub.created["private"] is False and hub.uploaded


def test_a_repository_that_is_public_gets_nothing_private(tmp_path):
    hub = Hub(is_private=False)
    with pytest.raises(CorpusError, match="me/bursts: is there already, and public; nothing was uploaded"):
        upload_corpus(tmp_path, "me/bursts", api=hub)
    assert not hub.uploaded


def test_the_hume_vb_script_uploads_for_signatories_only_and_in_private(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = str(write_hume_vb(tmp_path / "hume"))
    main = script("hume_vb")
    uploads = []
    monkeypatch.setitem(main.__globals__, "upload_corpus", lambda *args, **kwargs: uploads.append((args, kwargs)))
    asked = ["--data_dir", folder, "--out", str(tmp_path / "out"), "--push_to_hub", "me/hume"]
    with pytest.raises(SystemExit):
        main(asked)
    assert "--i_have_signed_the_agreement" in capsys.readouterr().err and not (tmp_path / "out").exists()
    main([*asked, "--i_have_signed_the_agreement"])
    assert uploads == [((str(tmp_path / "out"), "me/hume"), {"private": True})]
    with pytest.raises(SystemExit):
        main([*asked, "--i_have_signed_the_agreement", "--public"])
    loaded = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 3, "validation": 1, "test": 1}


def test_the_hume_vb_script_writes_the_labels_and_the_audio_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = write_avb(tmp_path / "avb")
    for clip in range(1, 6):
        write_webm(folder / f"audio/raw/0000{clip}.webm", seed=clip)
    script("hume_vb")(["--data_dir", str(folder), "--labels", "avb", "--audio", "raw", "--out", str(tmp_path / "out")])
    loaded = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].column_names == ["file_id", "audio", "speaker", *SEVEN_TASKS[3:]]
    assert loaded["train"][0]["audio"]["path"] == "00001.webm"


def test_the_emogator_script_writes_what_load_dataset_reads(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = str(write_emogator(tmp_path / "mp3"))
    main = script("emogator")
    uploads = []
    monkeypatch.setitem(main.__globals__, "upload_corpus", lambda *args, **kwargs: uploads.append(kwargs))
    main(["--data_dir", folder, "--out", str(tmp_path / "out")])
    assert not uploads
    loaded = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 6, "validation": 3}
    main(["--data_dir", folder, "--out", str(tmp_path / "out2"), "--push_to_hub", "me/emogator"])
    main(["--data_dir", folder, "--out", str(tmp_path / "out3"), "--push_to_hub", "me/emogator", "--public"])
    assert uploads == [{"private": True}, {"private": False}]


@pytest.mark.parametrize("name", ["hume_vb", "emogator", "folder", "synthetic"])
def test_what_a_script_cannot_do_is_told_in_one_line(name, tmp_path, capsys):
    (tmp_path / "data").write_text("a file")
    more = ["--recipe", str(tmp_path / "none.yaml")] if name == "folder" else []
    assert script(name)(["--data_dir", str(tmp_path / "data"), "--out", str(tmp_path / "out"), *more]) == 2
    assert re.fullmatch(r"error: .+\n", capsys.readouterr().err)


@pytest.mark.parametrize("name", ["hume_vb", "emogator"])
def test_cards_open_with_metadata_that_the_hub_can_read(name):
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(SCRIPTS / name / "README.md")
    assert card.data.license and card.data.pretty_name and "audio-classification" in card.data.task_categories
