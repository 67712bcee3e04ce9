"""A folder of one's own: any labels under any names in one table, and every slip named."""

import logging
import math
import os
import runpy
from pathlib import Path

import pytest
from datasets import Audio, load_dataset

from burst2vec import Task, load_bursts
from burst2vec.data.clips import check_clips
from burst2vec.data.corpora import corpus_tasks
from burst2vec.data.corpora.audio_files import AudioFiles
from burst2vec.data.corpora.folder import read_folder
from burst2vec.errors import CorpusError, TableError
from tests.data.corpora.folders_of_clips import (
    AGE,
    CALL,
    HEADER,
    MOOD,
    ROWS,
    TASKS,
    ids,
    load,
    with_field,
    write_folder,
)
from tests.data.corpora_on_disk import write_wav


def only_files(tmp_path, *fields, files=("a.wav",), **settings):
    """The rows of a table that says of its files their age and nothing else."""
    folder = write_folder(tmp_path / "mine", [[field, "20"] for field in fields], ["file", "age"], files)
    rows = read_folder(folder, [AGE], splits={"train": 1.0}, **settings)["train"]
    return [(row["file_id"], os.path.relpath(row["audio"]["path"], folder)) for row in rows]


def test_a_table_with_the_usual_names_needs_no_settings(tmp_path):
    folder = write_folder(tmp_path / "mine")
    corpus = load(folder)
    assert ids(corpus) == {"train": ["a", "b"], "validation": ["c"]}
    assert corpus["train"].column_names == ["file_id", "audio", "speaker", "mood", "age", "call"]
    assert corpus["train"].features["audio"] == Audio(sampling_rate=16_000, decode=False)
    first, second = corpus["train"]
    assert first == {
        "file_id": "a",
        "audio": {"bytes": None, "path": str(folder / "a.wav")},
        "speaker": "A",
        "mood": [pytest.approx(0.1), 1.0],
        "age": 30.0,
        "call": 0,
    }
    assert math.isnan(second["mood"][0]) and second["mood"][1] == 0.5 and math.isnan(second["age"])
    assert second["call"] == -1
    assert corpus["validation"].features["call"].int2str(corpus["validation"][0]["call"]) == "cry"
    clips, bad = check_clips(corpus["train"])
    assert clips["samples"][:] == [2_000, 2_001] and not bad
    assert corpus_tasks("folder", tasks=TASKS) == TASKS


def test_other_names_are_told_by_columns(tmp_path):
    header = ["filename", "who", "set", "awe rating", "dread", "Age", "kind"]
    folder = write_folder(tmp_path / "mine", header=header)
    columns = {
        "file": "filename",
        "speaker": "who",
        "split": "set",
        "mood": {"Awe": "awe rating", "Fear": "dread"},
        "age": {"age": "Age"},
        "call": "kind",
    }
    assert str(read_folder(folder, TASKS, columns=columns)) == str(
        read_folder(write_folder(tmp_path / "usual"), TASKS)
    ).replace("usual", "mine")


def test_a_subset_of_labels_leaves_holes_and_says_so(tmp_path, caplog):
    folder = write_folder(tmp_path / "mine", [row[:5] for row in ROWS], HEADER[:5])
    rows = read_folder(folder, TASKS, columns={"mood": {"Fear": "Fear"}})
    assert [str(row["mood"]) for row in rows["train"]] == ["[nan, 1.0]", "[nan, 0.5]"]
    assert all(math.isnan(row["age"]) and row["call"] == -1 for row in rows["train"])
    said = caplog.text
    assert "task mood: no column for Awe: no clip has it" in said
    assert "no column for the task age" in said and "no column for the task call" in said
    assert "1 of 3 clips have no label of the task mood" in said


def test_empty_fields_are_counted(tmp_path, caplog):
    read_folder(write_folder(tmp_path / "mine"), TASKS)
    assert "1 of 3 clips have no label of the task mood" in caplog.text
    assert "1 of 3 clips have no label of the task age" in caplog.text
    assert "1 of 3 clips have no label of the task call" in caplog.text


def test_none_says_that_there_is_no_such_column(tmp_path):
    folder = write_folder(tmp_path / "mine")
    columns = {"speaker": None, "split": None, "age": None, "mood": {"Awe": "Awe", "Fear": None}}
    (rows,) = read_folder(folder, TASKS, columns=columns, splits={"test": 1.0}).values()
    assert [row["speaker"] for row in rows] == ["", "", ""]
    assert str(rows[0]["mood"]) == "[0.1, nan]" and math.isnan(rows[0]["age"]) and rows[0]["call"] == 0


def test_a_regression_of_one_label_may_be_called_by_the_label(tmp_path):
    years = Task("age_of_speaker", "regression", ("years",), span=(0, 100), loss="mae", metric="mae")
    folder = write_folder(tmp_path / "mine", [["a.wav", "30"]], ["file", "years"])
    assert read_folder(folder, [years], splits={"train": 1})["train"][0]["age_of_speaker"] == 30.0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"who": "speaker"},
            r"unknown key 'who'; known keys: file, speaker, split, mood, age, call; the header of .*cal",
        ),
        ({"Age": "age"}, r"unknown key 'Age' \(did you mean 'age'\?\)"),
        ({"age": "Age"}, r"line 1: no column 'Age' for age \(did you mean 'age'\?\); found: file, speaker, split, Awe"),
        ({"speaker": ["speaker"]}, r"speaker must be the name of one column, got \['speaker'\]"),
        ({"mood": "Awe"}, r"mood has 2 labels; give a mapping of labels to columns, such as {'Awe': 'a column'}"),
        ({"mood": {"awe": "Awe"}}, r"mood has no label 'awe' \(did you mean 'Awe'\?\); known: Awe, Fear"),
        ({"mood": {"Awe": "AWE"}}, r"no column 'AWE' for mood, Awe \(did you mean 'Awe'\?\)"),
        ({"call": {"laugh": "call"}}, r"call must be the name of one column, got {'laugh'"),
        ({"file": None}, r"no column file_id, file_name, file, path; found: .*columns={'file': …}"),
        ({"mood": None, "age": None, "call": None}, r"no column for any of the tasks mood \(Awe, Fear\), age \(age\)"),
        (["file"], r"columns \['file'\]: give a mapping with any of the keys file, speaker"),
    ],
)
def test_columns_that_are_not_there_are_refused(tmp_path, columns, message):
    with pytest.raises(TableError, match=message):
        read_folder(write_folder(tmp_path / "mine"), TASKS, columns=columns)


@pytest.mark.parametrize(
    ("usual", "other", "message"),
    [
        ("age", "Age", r"column 'Age' is not 'age', .*letter for letter; say columns={'age': 'Age'}, or None"),
        ("Fear", "fear", r"column 'fear' is not 'Fear', .*say columns={'mood': {'Fear': 'fear'}}, or None"),
        ("speaker", "Speaker", r"column 'Speaker' is not 'speaker' or 'Subject_ID', .*{'speaker': 'Speaker'}"),
    ],
)
def test_capitals_alone_never_lose_a_column_in_silence(tmp_path, usual, other, message):
    folder = write_folder(tmp_path / "mine", header=[other if name == usual else name for name in HEADER])
    with pytest.raises(TableError, match=message):
        read_folder(folder, TASKS)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("Awe", "1.5", "line 2, column Awe: '1.5' is not a number from 0 to 1"),
        ("Awe", "nan", "line 2, column Awe: 'nan' is not a number from 0 to 1"),
        ("age", " ", "line 2, column age: ' ' is not a number from 0 to 100"),
        ("call", "Laugh", "line 2, column call: 'Laugh' is not one of laugh, cry"),
        ("split", "eval", "line 2, column split: 'eval' is not one of train, training, validation"),
        ("split", "", "line 2, column split: '' is not one of train"),
        ("speaker", "B", "line 4, column speaker: 'B' is not of one split: it stands in train and in validation"),
        ("speaker", "B ", "line 4, column speaker: 'B' is not of one split: it stands in train and in validation"),
        (
            "speaker",
            "b",
            "'B' is not of one split: but for capitals, blanks or width it is 'b' of train, and it stands",
        ),
        ("file", "b.wav", "line 3, column file: 'b.wav' is not new: line 2 has it already"),
        ("file", "./b", "line 3, column file: 'b.wav' is not new: line 2 has it already"),
        ("file", "", "line 2, column file: '' is not a path below"),
        ("file", "../a.wav", "'../a.wav' is not a path below"),
        ("file", "x/../../a.wav", "is not a path below"),
        ("file", "/etc/a.wav", "'/etc/a.wav' is not a path below"),
        ("file", "x\\a.wav", "its parts joined by /"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(tmp_path, column, value, message):
    with pytest.raises(TableError) as caught:
        read_folder(write_folder(tmp_path / "mine", with_field(column, value)), TASKS)
    assert message in str(caught.value) and "metadata.csv" in str(caught.value)


def test_splits_are_read_in_their_usual_spellings(tmp_path):
    files = [f"{number}.wav" for number in range(6)]
    spelt = zip(files, ["Train", "TRAINING", "Val", "Dev", "Test", "testing"], strict=True)
    folder = write_folder(tmp_path / "mine", [[*row, "1"] for row in spelt], ["file", "Split", "age"], files)
    assert ids(read_folder(folder, [AGE])) == {"train": ["0", "1"], "validation": ["2", "3"], "test": ["4", "5"]}


def test_shared_speakers_are_let_through_on_request_and_counted(tmp_path, caplog):
    folder = write_folder(tmp_path / "mine", with_field("speaker", "B"))
    assert ids(load(folder, allow_shared_speakers=True)) == {"train": ["a", "b"], "validation": ["c"]}
    assert "1 of 2 speakers are in two splits or more, which makes scores too good" in caplog.text


def test_spellings_of_one_speaker_are_shared_out_together(tmp_path):
    files = [f"{number}.wav" for number in range(6)]
    rows = [[file, who, "1"] for file, who in zip(files, ["S1", "S1 ", "s1", "S2", "s\u00a01", "Ｓ１"], strict=True)]
    folder = write_folder(tmp_path / "mine", rows, ["file", "speaker", "age"], files)
    splits = read_folder(folder, [AGE], splits={"train": 1, "validation": 1, "test": 1})
    assert ids(splits) == {"train": ["0", "1", "2", "5"], "validation": ["3"], "test": ["4"]}
    assert [row["speaker"] for row in splits["train"]] == ["S1", "S1", "s1", "Ｓ１"]
    assert ids(read_folder(folder, [AGE], splits={"test": ["s2"]})) == {"test": ["3"]}
    with pytest.raises(CorpusError, match="speaker S1 is in train and in test"):
        read_folder(folder, [AGE], splits={"train": ["s1"], "test": ["S1"]})


def without_split(rows):
    return [[*row[:2], *row[3:]] for row in rows]


def test_without_a_column_of_splits_speakers_are_shared_out(tmp_path, caplog):
    files = [f"{number}.wav" for number in range(6)]
    rows = [[file, speaker, "1"] for file, speaker in zip(files, "CABACB", strict=True)]
    folder = write_folder(tmp_path / "mine", rows, ["file", "speaker", "age"], files)
    caplog.set_level(logging.WARNING)
    assert ids(load(folder, [AGE])) == {"train": ["1", "2", "3", "5"], "validation": ["0", "4"]}
    assert ids(load(folder, [AGE], splits={"test": ["B"], "train": 1})) == {"train": ["1", "3"], "test": ["2", "5"]}
    assert "no speaker" not in caplog.text
    with pytest.raises(CorpusError, match="split train: no speaker 'D' here"):
        load(folder, [AGE], splits={"train": ["D"]})


def test_without_speakers_each_clip_is_one_in_an_order_of_its_own(tmp_path, caplog):
    files = [f"{kind}/{number}.wav" for kind in ("cry", "laugh") for number in range(15)]
    folder = write_folder(tmp_path / "mine", [[file, "1"] for file in files], ["file", "age"], files)
    splits = read_folder(folder, [AGE])
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 20, "validation": 10}
    for rows in splits.values():  # sorted by name, no laugh would be in training but five
        assert {row["file_id"].split("/")[0] for row in rows} == {"cry", "laugh"}
    assert splits == read_folder(folder, [AGE])
    assert "30 of 30 clips have no speaker: each counts as a speaker of its own" in caplog.text


def test_splits_said_twice_are_refused(tmp_path):
    folder = write_folder(tmp_path / "mine")
    with pytest.raises(TableError, match="splits are given, and column 'split' has them too.*columns={'split': None}"):
        read_folder(folder, TASKS, splits={"train": 1.0})
    assert ids(read_folder(folder, TASKS, columns={"split": None}, splits={"test": 1.0})) == {"test": ["a", "b", "c"]}


def test_files_are_found_with_and_without_ending_and_in_the_usual_places(tmp_path):
    files = ("1.wav", "deep/er/2.flac", "audio/3.wav", "wav/x/4.wav", "wav/5.WAV", "6.take2.wav")
    fields = ("1", "./deep//er/2", "3.wav", "x/4", "5", "6.take2")
    assert only_files(tmp_path, *fields, files=files) == [
        ("1", "1.wav"),
        ("deep/er/2", "deep/er/2.flac"),
        ("3", "audio/3.wav"),
        ("x/4", "wav/x/4.wav"),
        ("5", "wav/5.WAV"),
        ("6.take2", "6.take2.wav"),
    ]


def test_a_missing_file_keeps_its_row_until_clips_are_checked(tmp_path, caplog):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/old.aiff").touch()
    found = only_files(tmp_path, "a", "gone", "lost.mp3", "old.aiff")
    assert found == [("a", "a.wav"), ("gone", "gone.wav"), ("lost", "lost.mp3"), ("old.aiff", "old.aiff")]
    assert "2 of 4 files are not there, first gone.wav" in caplog.text
    corpus = load(tmp_path / "mine", [AGE], splits={"train": 1.0})["train"].select([0, 1])
    assert [clip.file_id for clip in check_clips(corpus)[1]] == ["gone"]


def test_a_table_of_another_folders_files_is_refused(tmp_path):
    with pytest.raises(
        CorpusError, match="none of its 2 files is there; the first is looked for as .*/mine/x.wav; 1 aud"
    ):
        only_files(tmp_path, "x", "y.mp3")


@pytest.mark.parametrize(
    ("field", "files"),
    [("a", ("a.wav", "a.flac")), ("a", ("a.wav", "wav/a.wav")), ("a.wav", ("audio/a.wav", "wav/a.wav"))],
)
def test_a_name_that_could_mean_two_files_is_refused(tmp_path, field, files):
    with pytest.raises(TableError) as caught:
        only_files(tmp_path, field, files=files)
    assert f"{field!r} is not one file: there are " in str(caught.value)
    assert all(file in str(caught.value) for file in files)


def test_one_file_under_two_names_is_refused(tmp_path):
    with pytest.raises(TableError, match="line 3, column file: 'wav/a.wav' is not new: line 2 has it already"):
        only_files(tmp_path, "a", "wav/a.wav", files=("wav/a.wav",))
    with pytest.raises(TableError, match="'a.flac' is not new"):
        only_files(tmp_path, "a.wav", "a.flac", files=("a.wav", "a.flac"))


def test_links_out_of_the_folder_are_refused_and_links_within_it_are_read(tmp_path):
    write_wav(tmp_path / "elsewhere/a.wav")
    write_wav(tmp_path / "mine/b.wav")
    (tmp_path / "mine/b2.wav").symlink_to("b.wav")
    (tmp_path / "mine/loop.wav").symlink_to("loop.wav")
    assert only_files(tmp_path, "b2", "loop", files=("b.wav",)) == [("b2", "b2.wav"), ("loop", "loop.wav")]
    (tmp_path / "mine/out.wav").symlink_to(tmp_path / "elsewhere/a.wav")
    (tmp_path / "mine/wav").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "mine/back").symlink_to(".")
    assert only_files(tmp_path, "b2", files=("b.wav",)) == [("b2", "b2.wav")]
    for field in ("out", "out.wav", "wav/a.wav", "back/b.wav"):
        with pytest.raises(TableError, match="is a link to .*not followed; put the files themselves below"):
            only_files(tmp_path, field, files=("b.wav",))


def test_hidden_files_are_let_be(tmp_path):
    for name in ("a.wav", "._a.wav", ".trash/b.wav"):
        write_wav(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    assert list(AudioFiles(tmp_path).sizes) == ["a.wav"]


def test_the_table_is_metadata_or_the_only_one_or_named(tmp_path):
    folder = write_folder(tmp_path / "mine", table="bursts.csv")
    assert ids(read_folder(folder, TASKS)) == {"train": ["a", "b"], "validation": ["c"]}
    write_folder(folder, ROWS[:2], table="other.csv")
    with pytest.raises(CorpusError, match="which table.*bursts.csv, other.csv; name one with table='bursts.csv'"):
        read_folder(folder, TASKS)
    assert ids(read_folder(folder, TASKS, table="other.csv")) == {"train": ["a", "b"]}
    write_folder(folder, ROWS[:1])
    assert ids(read_folder(folder, TASKS)) == {"train": ["a"]}
    (folder / "labels").mkdir()
    write_folder(folder, ROWS[1:], table="labels/more.csv")
    assert ids(load(folder, table="labels/more.csv")) == {"train": ["b"], "validation": ["c"]}
    (folder / "away.csv").symlink_to("/etc/hostname")
    for table in ("../mine/other.csv", folder / "other.csv", "away.csv"):
        with pytest.raises(CorpusError, match="give its path below"):
            read_folder(folder, TASKS, table=table)
    with pytest.raises(CorpusError, match="none.csv: no such table; the folder has"):
        read_folder(folder, TASKS, table="none.csv")


def test_tasks_are_needed_and_their_names_may_not_be_those_of_other_columns(tmp_path):
    folder = write_folder(tmp_path / "mine")
    with pytest.raises(CorpusError, match="give tasks, such as load_bursts\\('folder'"):
        load_bursts("folder", folder)
    with pytest.raises(CorpusError, match="task 'speaker': the names file, file_id"):
        load(folder, [Task("speaker", "regression", ("speaker",))])
    with pytest.raises(CorpusError, match="A corpus of your own is a folder of clips"):
        load_bursts("folder", tasks=TASKS)


def test_a_folder_is_read_once_until_it_changes(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "mine")
    before = load(folder)
    reading = []
    monkeypatch.setattr(
        "burst2vec.data.corpora.folder.read_folder",
        lambda *args, **settings: reading.append(args) or read_folder(*args, **settings),
    )
    lighter = [MOOD, AGE, Task(**{**CALL.to_dict(), "loss_weight": 0.5})]
    for tasks in (TASKS, lighter):  # another weight reads nothing anew
        assert load(folder, tasks)["train"]._fingerprint == before["train"]._fingerprint
    assert not reading
    write_folder(folder, with_field("age", "31"))
    assert load(folder)["train"][0]["age"] == 31.0
    write_wav(folder / "b.wav", samples=3_000)
    assert load(folder)["train"]._fingerprint != before["train"]._fingerprint
    assert load(folder, columns={"age": None})["train"]["call"][:] == [0, -1]
    assert len(reading) == 3


def test_streaming_gives_the_same_rows_and_caches_nothing(tmp_path):
    folder = write_folder(tmp_path / "mine")
    streamed = {split: list(rows) for split, rows in load(folder, streaming=True).items()}
    assert not list(tmp_path.rglob("*.arrow"))
    assert str(streamed) == str({split: list(rows) for split, rows in load(folder).items()})


RECIPE = """
data:
  corpus: folder
  columns: {call: kind}
  splits: {train: 2, test: 1}
model:
  tasks:
  - {name: call, kind: classification, labels: [laugh, cry], loss: cross_entropy, metric: uar}
"""


def test_the_script_writes_what_load_dataset_reads_and_publishes_no_blanks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    rows = [["a", "A", "laugh"], ["b", "B", "cry"], ["c", "C", ""]]
    folder = write_folder(tmp_path / "mine", rows, ["file", "speaker", "kind"])
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    script = Path(__file__).parents[3] / "dataset_scripts/folder/folder.py"
    main = runpy.run_path(str(script))["main"]
    uploads = []
    monkeypatch.setitem(main.__globals__, "upload_corpus", lambda *args, **kwargs: uploads.append(kwargs))
    asked = ["--recipe", str(tmp_path / "recipe.yaml"), "--data_dir", str(folder), "--out"]
    main([*asked, str(tmp_path / "out")])
    loaded = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: clips["call"][:] for split, clips in loaded.items()} == {"train": [0, 1], "test": [-1]}

    (tmp_path / "card.md").write_text("# Laughs\n")
    publish = [*asked, str(tmp_path / "out2"), "--push_to_hub", "me/laughs"]
    main([*publish, "--card", str(tmp_path / "card.md")])
    assert uploads == [{"private": True}]
    with pytest.raises(SystemExit):
        main(publish)
    assert "has blanks to fill in before it is published, such as <name of the corpus>" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*asked[:2], "--out", str(tmp_path / "out3")])
    assert "names no data_dir; give --data_dir FOLDER" in capsys.readouterr().err
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("folder", "emogator").replace("  columns: {call: kind}\n", ""))
    with pytest.raises(SystemExit):
        main([*asked, str(tmp_path / "out3")])
    assert "is of the corpus emogator; give a recipe with corpus: folder" in capsys.readouterr().err
