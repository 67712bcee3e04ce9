"""A folder of one's own without a table: sub-folders name classes and splits, and odd files are counted."""

import math
import os

import pytest

from burst2vec import Task, load_bursts
from burst2vec.data.clips import check_clips
from burst2vec.data.corpora import known_tasks, lost_in_reading
from burst2vec.data.corpora.folder import read_folder
from burst2vec.errors import CorpusError
from tests.data.corpora.folders_of_clips import AGE, CALL, ids, load, write_folder
from tests.data.corpora_on_disk import write_wav


def test_sub_folders_name_the_class(tmp_path, caplog):
    for file in ("laugh/1.wav", "laugh/2.mp3", "cry/1.wav"):
        write_wav(tmp_path / "mine" / file) if file.endswith("wav") else (tmp_path / "mine" / file).touch()
    corpus = load(tmp_path / "mine", splits={"train": 1.0})["train"]
    assert corpus["file_id"][:] == ["cry/1", "laugh/1", "laugh/2"] and corpus["call"][:] == [1, 0, 0]
    assert corpus["speaker"][:] == [""] * 3 and math.isnan(corpus[0]["age"]) and len(corpus[0]["mood"]) == 2
    assert "3 of 3 clips have no speaker" in caplog.text


def write_odd_sub_folders(folder):
    """Two classes of three clips, and beside each what a walk over files easily passes over."""
    for number, name in enumerate(["laugh/1.wav", "laugh/2.wav", "laugh/3.wav", "cry/1.wav", "cry/2.wav", "cry/3.wav"]):
        write_wav(folder / name, seed=number)
    (folder / "laugh/broken.wav").symlink_to("gone.wav")
    (folder / "laugh/circle.flac").symlink_to("circle.flac")
    os.mkfifo(folder / "laugh/pipe.wav")
    write_wav(folder / "cry/whole.wav", seed=7)
    (folder / "cry/whole.wav").rename(folder / "cry/bare")
    (folder / "cry/README").write_text("not a clip\n")
    write_wav(folder / "cry/latin.wav", seed=8)
    os.rename(folder / "cry/latin.wav", os.fsencode(folder / "cry") + b"/caf\xe9.wav")
    for other in ("cry/old.aiff", "cry/notes.txt", "LICENSE", "laugh/.hidden"):
        (folder / other).touch()
    return folder


def test_links_pipes_and_odd_names_in_sub_folders_are_counted_as_clips_that_cannot_be_read(tmp_path, caplog):
    folder = write_odd_sub_folders(tmp_path / "mine")
    clips = load(folder, [CALL], splits={"train": 1.0})["train"]
    names = ["1", "2", "3", "README", "bare", "caf\\xe9"]
    assert clips["file_id"][:] == [f"cry/{name}" for name in names] + [
        f"laugh/{name}" for name in ("1", "2", "3", "broken", "circle", "pipe")
    ]
    readable, bad = check_clips(clips)
    assert len(readable) == 7 and "cry/bare" in readable["file_id"][:]
    assert {clip.file_id: clip.reason.partition("): ")[2][:20] for clip in bad} == {
        "cry/README": "broken, or not audio",
        "cry/caf\\xe9": "cannot be read: No s",
        "laugh/broken": "cannot be read: No s",
        "laugh/circle": "cannot be read: Too ",
        "laugh/pipe": "is a 'p' (folder, pi",
    }
    assert "3 files are left out, such as LICENSE: a clip ends in .wav, .flac" in caplog.text
    assert "1 names are no UTF-8 text, such as cry/caf\\xe9.wav; rename the files" in caplog.text
    lost = lost_in_reading("folder", folder, tasks=[CALL])
    assert [loss.name for loss in lost] == ["LICENSE", "cry/notes.txt", "cry/old.aiff"]


def test_a_new_link_or_pipe_is_seen_although_the_folder_was_read_before(tmp_path):
    write_wav(tmp_path / "mine/laugh/1.wav")
    assert len(load(tmp_path / "mine", [CALL], splits={"train": 1.0})["train"]) == 1
    (tmp_path / "mine/laugh/2.wav").symlink_to("gone.wav")
    assert len(load(tmp_path / "mine", [CALL], splits={"train": 1.0})["train"]) == 2


def test_sub_folders_tell_their_classes_and_tables_tell_nothing(tmp_path):
    odd = write_odd_sub_folders(tmp_path / "odd")
    (task,) = known_tasks("folder", odd)
    assert (task.name, task.labels) == ("class", ("cry", "laugh"))
    for name in ("train/laugh/1.wav", "test/cry/1.wav"):
        write_wav(tmp_path / "splits" / name)
    assert [task.labels for task in known_tasks("folder", tmp_path / "splits")] == [("cry", "laugh")]
    for place, names in {"one": ["laugh/1.wav"], "flat": ["1.wav", "2.wav"], "deep": ["a/b/1.wav", "a/1.wav"]}.items():
        for name in names:
            write_wav(tmp_path / place / name)
        assert known_tasks("folder", tmp_path / place) == ()
        assert len(load(tmp_path / place, (), splits={"train": 1.0})["train"]) == len(names)
    assert known_tasks("folder", write_folder(tmp_path / "table")) == ()


def test_a_table_is_read_without_tasks_and_files_that_it_does_not_name_are_told(tmp_path):
    folder = write_folder(tmp_path / "mine", files=("a.wav", "b.wav", "c.wav", "more/d.wav"))
    corpus = load(folder, [])
    assert corpus["train"].column_names == ["file_id", "audio", "speaker"]
    assert ids(corpus) == {"train": ["a", "b"], "validation": ["c"]}
    (lost,) = lost_in_reading("folder", folder, tasks=[])
    assert lost.name == "more/d.wav" and "stands in no row of metadata.csv" in lost.detail


def test_a_folder_whose_path_is_no_text_is_refused(tmp_path):
    place = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(place)
    write_wav(tmp_path / "laugh/1.wav")
    os.rename(tmp_path / "laugh", place + b"/laugh")
    with pytest.raises(CorpusError, match=r"caf\\xe9: the folder's path is no UTF-8 text, which datasets need"):
        load_bursts("folder", os.fsdecode(place), tasks=[CALL])


def test_of_several_classifications_sub_folders_are_of_the_one_that_has_their_names(tmp_path):
    write_wav(tmp_path / "mine/laugh/1.wav")
    kin = Task("kin", "classification", ("laugh", "giggle"), loss="cross_entropy", metric="uar")
    country = Task("country", "classification", ("China", "Venezuela"), loss="cross_entropy", metric="uar")
    (clip,) = load(tmp_path / "mine", [country, CALL], splits={"train": 1})["train"]
    assert (clip["call"], clip["country"]) == (0, -1)
    with pytest.raises(CorpusError, match="of the tasks kin, call, 2 can be meant"):
        read_folder(tmp_path / "mine", [kin, CALL])


def test_folders_of_splits_may_stand_above_those_of_classes(tmp_path):
    for file in ("Train/laugh/1.wav", "Train/cry/1.wav", "dev/laugh/1.wav"):
        write_wav(tmp_path / "mine" / file)
    corpus = load(tmp_path / "mine", [CALL])
    assert ids(corpus) == {"train": ["Train/cry/1", "Train/laugh/1"], "validation": ["dev/laugh/1"]}
    with pytest.raises(CorpusError, match="has folders of splits.*leave splits out"):
        load(tmp_path / "mine", [CALL], splits={"train": 1.0})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["laugh/1.wav", "Cry/1.wav"], "Cry/1.wav: is in no folder of a class, as laugh/001.wav is; .* laugh, cry"),
        (["laugh/1.wav", "1.wav"], "/1.wav: is in no folder of a class"),
        (["laugh/A/1.wav"], "laugh/A/1.wav: is in no folder of a class"),
        (["train/laugh/1.wav", "laugh/1.wav"], "train/laugh/1.wav: is in no folder"),
        (["train/laugh/1.wav", "test/1.wav"], "test/1.wav: is in no folder of a class, as train/laugh/001.wav is"),
        (["laugh/1.wav", "laugh/1.flac"], "laugh/1.flac: another file differs in its ending only"),
        ([], "holds neither a table nor an audio file"),
    ],
)
def test_files_in_no_folder_of_a_class_are_refused(tmp_path, files, message):
    for file in files:
        write_wav(tmp_path / "mine" / file)
    (tmp_path / "mine").mkdir(exist_ok=True)
    with pytest.raises(CorpusError, match=message):
        read_folder(tmp_path / "mine", [CALL])


def test_what_sub_folders_cannot_say_is_refused(tmp_path):
    write_wav(tmp_path / "mine/laugh/1.wav")
    with pytest.raises(
        CorpusError, match="one classification, and of the tasks age, 0 can be meant; put a metadata.csv"
    ):
        read_folder(tmp_path / "mine", [AGE])
    with pytest.raises(CorpusError, match="columns are given, and there is no table"):
        read_folder(tmp_path / "mine", [CALL], columns={"call": "kind"})
    (tmp_path / "mine/cry").symlink_to("laugh")
    with pytest.raises(CorpusError, match="cry: is a link"):
        read_folder(tmp_path / "mine", [CALL])
