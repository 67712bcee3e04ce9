"""A corpus reads nothing outside its folder: tables, audio and features, from the files and from the cache."""

import os
import shutil

import pytest

from burst2vec import load_bursts
from burst2vec.data.corpora.inside import leads_out, refuse_links_out
from burst2vec.data.preprocessing import preprocess_folder
from burst2vec.errors import CorpusError, TableError
from burst2vec.experiment.feature_inputs import tables_folder
from burst2vec.features import read_challenge_features, read_features
from tests.data.corpora.folders_of_clips import AGE, TASKS, write_folder
from tests.data.corpora_on_disk import write_avb, write_emogator, write_hume_vb, write_vector, write_wav

OUT = "is a link to .*, out of .*: what a corpus reads lies in its own folder; copy or mount the files there"


@pytest.fixture
def private(tmp_path):
    """A folder beside the corpus that is none of its business."""
    write_wav(tmp_path / "private" / "recording.wav")
    (tmp_path / "private" / "salaries.csv").write_text("file,age\nrecording.wav,20\n")
    return tmp_path / "private"


def moved_away(path, private):
    """Replace a file or folder by a link to where it is now."""
    shutil.move(path, private / path.name)
    path.symlink_to(private / path.name)
    return path


def load(name, folder, **settings):
    return load_bursts(name, folder, cache_dir=folder.parent / "cache", **settings)


def load_folder(folder, *fields):
    table = [[field, "20"] for field in fields]
    write_folder(folder, table, ["file", "age"], ("a.wav",))
    return load("folder", folder, tasks=[AGE], splits={"train": 1.0})


# Which paths lead out


def test_a_path_is_judged_by_where_its_links_lead(tmp_path, private):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "out").symlink_to(private)
    (corpus / "chain").symlink_to("out")
    (corpus / "circle").symlink_to("circle")
    (corpus / "back").symlink_to("..")
    (corpus / "round").symlink_to("../corpus")
    (tmp_path / "given").symlink_to(corpus)
    for name in ("out", "chain", "out/recording.wav", "back", "back/private", "../corpus-2/a"):
        assert leads_out(corpus / name, corpus) and leads_out(tmp_path / "given" / name, tmp_path / "given")
    for name in ("", "nowhere/at/all.wav", "circle", "round", "round/round/a.wav", "back/corpus/a.wav"):
        assert not leads_out(corpus / name, corpus) and not leads_out(tmp_path / "given" / name, corpus)
    with pytest.raises(CorpusError, match=f"corpus/out is a link to {private}/a/b.wav, out of {corpus}: "):
        refuse_links_out(corpus / "out" / "a" / "b.wav", corpus)


# A folder of one's own


@pytest.mark.parametrize("field", [".h/recording.wav", ".h/recording", "deep/.h/recording.wav", ".a.wav", "./.h/a.wav"])
def test_a_table_cannot_name_what_is_hidden(tmp_path, private, field):
    folder = tmp_path / "corpus"
    (folder / "deep").mkdir(parents=True)
    (folder / ".h").symlink_to(private)
    (folder / "deep/.h").symlink_to(private)
    (folder / ".a.wav").symlink_to(private / "recording.wav")
    with pytest.raises(TableError, match=r"column file: .* is not a path below .*, .* none of them hidden"):
        load_folder(folder, "a", field)


@pytest.mark.parametrize(
    "field", ["l/recording.wav", "l/recording", "l/salaries.csv", "r.wav", "r", "r.aiff", "deep/l/recording.wav"]
)
def test_a_table_cannot_name_what_a_link_leads_out_to(tmp_path, private, field):
    folder = tmp_path / "corpus"
    (folder / "deep").mkdir(parents=True)
    (folder / "l").symlink_to(private)
    (folder / "deep/l").symlink_to("../l")
    (folder / "r.wav").symlink_to(private / "recording.wav")
    (folder / "r.aiff").symlink_to(private / "recording.wav")
    with pytest.raises(TableError, match="column file: .* is a link to"):
        load_folder(folder, "a", field)


@pytest.mark.parametrize("named", [True, False])
def test_a_table_that_is_a_link_out_is_not_read(tmp_path, private, named):
    folder = write_folder(tmp_path / "corpus")
    load("folder", folder, tasks=TASKS)
    moved_away(folder / "metadata.csv", private)
    with pytest.raises(CorpusError, match="give its path below" if named else f"metadata.csv {OUT}"):
        load("folder", folder, tasks=TASKS, **({"table": "metadata.csv"} if named else {}))


@pytest.mark.parametrize("streaming", [False, True])
def test_a_link_that_comes_after_the_rows_were_cached_is_seen(tmp_path, private, streaming):
    """A row whose file was not there yet keeps its place in the cache, and the link would be followed from there."""
    folder = tmp_path / "corpus"
    assert len(load_folder(folder, "a.wav", "l/recording.wav")["train"]) == 2
    (folder / "l").symlink_to(private)
    with pytest.raises(TableError, match="l/recording.wav.* is a link to"):
        load("folder", folder, tasks=[AGE], splits={"train": 1.0}, streaming=streaming)


def test_sub_folders_that_lead_out_are_refused(tmp_path, private):
    folder = tmp_path / "corpus"
    write_wav(folder / "laugh/1.wav")
    (folder / "cry").symlink_to(private)
    with pytest.raises(CorpusError, match="cry: is a link"):
        load("folder", folder, tasks=[TASKS[2]], splits={"train": 1.0})


# HUME-VB and EmoGator


@pytest.mark.parametrize("moved", ["wav", "wav/00003.wav", "data_info.csv"])
def test_hume_vb_is_read_from_its_own_folder(tmp_path, private, moved):
    folder = write_hume_vb(tmp_path / "corpus")
    load("hume_vb", folder)
    moved_away(folder / moved, private)
    with pytest.raises(CorpusError, match=f"corpus/{moved} {OUT}"):
        load("hume_vb", folder)
    with pytest.raises(CorpusError, match=f"corpus/{moved} {OUT}"):
        load_bursts("hume_vb", folder, cache_dir=tmp_path / "another")


@pytest.mark.parametrize("moved", ["labels", "labels/two_info.csv", "audio", "audio/wav", "audio/wav/00001.wav"])
def test_avb_is_read_from_its_own_folder(tmp_path, private, moved):
    folder = write_avb(tmp_path / "corpus", wavs=5)
    load("hume_vb", folder, labels="avb")
    moved_away(folder / moved, private)
    with pytest.raises(CorpusError, match=f"corpus/{moved} {OUT}"):
        load("hume_vb", folder, labels="avb")


@pytest.mark.parametrize("moved", ["data", "data/mp3", "data/mp3/000001-01-1.mp3"])
def test_emogator_is_read_from_its_own_folder(tmp_path, private, moved):
    folder = tmp_path / "corpus"
    write_emogator(folder / "data/mp3")
    load("emogator", folder)
    moved_away(folder / moved, private)
    with pytest.raises(CorpusError, match=f"corpus/{moved} {OUT}"):
        load("emogator", folder)


def test_links_within_a_corpus_are_read_and_so_is_a_corpus_that_is_given_as_a_link(tmp_path):
    folder = write_hume_vb(tmp_path / "corpus")
    shutil.move(folder / "wav", folder / "all")
    (folder / "wav").symlink_to("all")
    (folder / "all/00001.wav").rename(folder / "first.wav")
    (folder / "all/00001.wav").symlink_to("../first.wav")
    (tmp_path / "given").symlink_to(folder)
    for place in (folder, tmp_path / "given"):
        audio = load("hume_vb", place)["train"]["audio"][:]
        assert all(os.path.isfile(clip["path"]) for clip in audio) and len(audio) == 3


# Feature tables, and preprocessing


def test_features_are_read_from_their_own_folder(tmp_path, private):
    folder = tmp_path / "feats/compare"
    folder.mkdir(parents=True)
    for clip in (1, 2):
        write_vector(folder / f"0000{clip}.csv", [0.5, clip], 6_373)
    assert len(read_challenge_features(folder).splits["all"]) == 2
    moved_away(folder / "00002.csv", private)
    with pytest.raises(CorpusError, match=f"compare/00002.csv {OUT}"):
        read_challenge_features(folder)
    (folder / "00002.csv").unlink()
    (folder / "features.json").symlink_to(private / "salaries.csv")
    with pytest.raises(CorpusError, match=f"compare/features.json {OUT}"):
        read_features(folder)
    moved_away(folder, private)
    with pytest.raises(CorpusError, match=f"feats/compare {OUT}"):
        tables_folder(tmp_path / "feats", "compare")


def test_preprocessing_follows_no_link_out(tmp_path, private):
    write_wav(tmp_path / "corpus/a.wav")
    (tmp_path / "corpus/b.wav").symlink_to(private / "recording.wav")
    (tmp_path / "corpus/c.wav").symlink_to("a.wav")
    done = preprocess_folder(tmp_path / "corpus", tmp_path / "clean", ["resample"], num_proc=1)
    assert (done.made, done.links) == (2, 1)
