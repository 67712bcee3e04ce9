"""HUME-VB: a strict reading of its table, and no label that is not in it."""

import math

import pytest

from burst2vec import load_bursts
from burst2vec.data.hume_vb import COLUMNS, read_hume_vb
from burst2vec.data.tables import CorpusError, TableError
from burst2vec.tasks import EXVO_COUNTRIES, EXVO_EMOTIONS

from .corpora_on_disk import ROWS, with_field, write_hume_vb, write_wav


def test_splits_columns_and_values(tmp_path):
    corpus = load_bursts("hume_vb", data_dir=write_hume_vb(tmp_path / "hume"), cache_dir=tmp_path / "cache")
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 3, "validation": 1, "test": 1}
    assert corpus["train"].column_names == ["file_id", "audio", "speaker", "emotion", "age", "country"]
    row = corpus["train"][2]
    assert row["file_id"] == "00003" and row["speaker"] == "B"
    assert row["emotion"] == [1.0] + [0.0] * 9
    assert row["age"] == 39.5
    assert corpus["train"].features["country"].names == list(EXVO_COUNTRIES)
    assert corpus["train"].features["country"].int2str(row["country"]) == "South Africa"
    assert row["audio"] == {"bytes": None, "path": str(tmp_path / "hume/wav/00003.wav")}


def test_columns_are_matched_by_name(tmp_path):
    order = sorted(range(len(COLUMNS)), key=lambda column: COLUMNS[column])
    rows = with_field(2, "Surprise", "0.9")
    shuffled = [[row[column] for column in order] for row in rows]
    folder = write_hume_vb(tmp_path / "hume", shuffled, [COLUMNS[column] for column in order])
    assert read_hume_vb(folder) == read_hume_vb(write_hume_vb(tmp_path / "hume", rows))
    assert read_hume_vb(folder)["train"][0]["emotion"][EXVO_EMOTIONS.index("Surprise")] == 0.9


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path):
    plain = read_hume_vb(write_hume_vb(tmp_path / "hume"))
    windows = read_hume_vb(write_hume_vb(tmp_path / "hume", line_end="\r\n", encoding="utf-8-sig"))
    assert str(windows) == str(plain)  # as text, because NaN is not equal to itself


@pytest.mark.parametrize("unusable", ["", "-1", "nan", "?"])
def test_test_rows_without_usable_labels_have_none(tmp_path, unusable):
    rows = ROWS[:-1] + [["[00005]", "Test", "D", *[unusable] * 12]]
    (row,) = read_hume_vb(write_hume_vb(tmp_path, rows))["test"]
    assert all(math.isnan(value) for value in [*row["emotion"], row["age"]]) and row["country"] == -1


def test_a_test_row_with_labels_keeps_them_and_one_with_half_of_them_has_none(tmp_path):
    rows = ROWS[:-1] + [
        ["[00005]", "Test", "D", "China", "30", *["0.5"] * 10],
        ["[00006]", "Test", "D", "China", "30", *["0.5"] * 9, ""],
    ]
    whole, half = read_hume_vb(write_hume_vb(tmp_path, rows))["test"]
    assert (whole["age"], whole["country"]) == (30.0, 0)
    assert math.isnan(half["age"]) and half["country"] == -1


def test_the_raw_recording_is_taken_where_only_that_is_there(tmp_path):
    folder = write_hume_vb(tmp_path, wavs=1)
    for path in ("wav/00002.webm", "raw/00003.webm", "webm/00004.webm", "raw/00001.webm"):
        write_wav(folder / "x.wav")
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / "x.wav").rename(folder / path)
    rows = read_hume_vb(folder)
    found = [row["audio"]["path"].removeprefix(f"{folder}/") for split in rows.values() for row in split]
    assert found == ["wav/00001.wav", "wav/00002.webm", "raw/00003.webm", "webm/00004.webm", "wav/00005.wav"]


def test_a_split_that_the_table_does_not_have_is_not_made(tmp_path):
    corpus = load_bursts("hume_vb", data_dir=write_hume_vb(tmp_path / "h", ROWS[:3]), cache_dir=tmp_path / "cache")
    assert list(corpus) == ["train"]


@pytest.mark.parametrize(
    ("line", "column", "value", "allowed"),
    [
        (3, "File_ID", "[00001]", "new: line 2 has it already"),
        (3, "File_ID", "00001", "new: line 2 has it already"),
        (3, "File_ID", "../../etc/passwd", "made of letters, digits, - and _"),
        (3, "File_ID", "[../../etc/passwd]", "made of letters, digits, - and _"),
        (3, "File_ID", "/etc/passwd", "made of letters, digits, - and _"),
        (3, "File_ID", "00002.wav", "made of letters, digits, - and _"),
        (3, "File_ID", "[00002", "made of letters, digits, - and _"),
        (3, "File_ID", "00002\n", "made of letters, digits, - and _"),
        (3, "File_ID", "", "made of letters, digits, - and _"),
        (4, "Split", "Validation", "one of Train, Val, Test"),
        (4, "Split", "", "one of Train, Val, Test"),
        (2, "Country", "Chile", "one of China, South Africa, United States, Venezuela"),
        (2, "Country", "china", "one of China"),
        (2, "Country", "", "one of China"),
        (4, "Age", "old", "a number from 15 to 45"),
        (4, "Age", "14.5", "a number from 15 to 45"),
        (4, "Age", "390", "a number from 15 to 45"),
        (4, "Age", "", "a number from 15 to 45"),
        (5, "Awe", "1.01", "a number from 0 to 1"),
        (5, "Surprise", "-0.1", "a number from 0 to 1"),
        (5, "Horror", "nan", "a number from 0 to 1"),
        (2, "Subject_ID", "", "the name of a speaker"),
        (5, "Subject_ID", "A", "of one split: it stands in Train and in Val"),
    ],
)
def test_a_wrong_field_is_named_with_its_line_and_what_is_allowed(tmp_path, line, column, value, allowed):
    folder = write_hume_vb(tmp_path, with_field(line, column, value))
    with pytest.raises(TableError) as caught:
        load_bursts("hume_vb", data_dir=folder, cache_dir=tmp_path / "cache")
    assert str(caught.value).startswith(
        f"{folder}/data_info.csv, line {line}, column {column}: {value!r} is not {allowed}"
    )


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(tmp_path, column):
    place = COLUMNS.index(column)
    rows = [row[:place] + row[place + 1 :] for row in ROWS]
    folder = write_hume_vb(tmp_path, rows, COLUMNS[:place] + COLUMNS[place + 1 :])
    with pytest.raises(TableError, match=f"line 1: no column {column}; found: "):
        read_hume_vb(folder)


def test_a_trailing_comma_on_the_rows_is_refused_and_shifts_no_column(tmp_path):
    with pytest.raises(TableError, match="line 2: 16 fields where the header has 15"):
        read_hume_vb(write_hume_vb(tmp_path, [[*row, ""] for row in ROWS]))


def test_a_folder_without_the_table_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="holds no data_info.csv; give the folder that has it beside wav/"):
        load_bursts("hume_vb", data_dir=tmp_path)
