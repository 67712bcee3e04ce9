"""HUME-VB: a strict reading of its table, and no label that is not in it."""

import math

import pytest

from burst2vec import load_bursts
from burst2vec.data.corpora import lost_in_reading
from burst2vec.data.corpora.hume_vb import COLUMNS, read_hume_vb
from burst2vec.errors import CorpusError, TableError
from burst2vec.tasks import EXVO_COUNTRIES, EXVO_EMOTIONS

from ..corpora_on_disk import AVB_ROWS, COLUMNS_16, ROWS, rows_16, with_field, write_avb, write_hume_vb


def splits_of(folder, **options):
    """What is read, as plain rows."""
    return {split: rows.to_pylist() for split, rows in read_hume_vb(folder, **options).items()}


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
    found = splits_of(folder)
    assert str(found) == str(splits_of(write_hume_vb(tmp_path / "hume", rows)))
    assert found["train"][0]["emotion"][EXVO_EMOTIONS.index("Surprise")] == pytest.approx(0.9)


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path):
    plain = splits_of(write_hume_vb(tmp_path / "hume"))
    windows = splits_of(write_hume_vb(tmp_path / "hume", line_end="\r\n", encoding="utf-8-sig"))
    assert str(windows) == str(plain)  # as text, because NaN is not equal to itself


@pytest.mark.parametrize("number", ["{}", "{}.0", " {}. "])
@pytest.mark.parametrize("labels", ["exvo", "avb", "all"])
def test_both_layouts_of_the_table_read_the_same(tmp_path, number, labels):
    named = write_avb(write_hume_vb(tmp_path / "hume"))
    expected = splits_of(named, labels=labels)
    assert str(splits_of(write_hume_vb(named, rows_16(number=number), COLUMNS_16), labels=labels)) == str(expected)
    numbers_alone = [[*row[:4], *row[5:]] for row in rows_16(number=number)]
    assert str(splits_of(write_hume_vb(named, numbers_alone), labels=labels)) == str(expected)


def test_countries_are_numbered_in_alphabetical_order_and_their_names_cleaned(tmp_path):
    names = ["China", " South Africa", "USA ", "\tVenezuela "]
    numbered = [
        [f"{place:05d}", "Train", f"S{place}", str(place), name, *ROWS[0][4:]] for place, name in enumerate(names)
    ]
    read = splits_of(write_hume_vb(tmp_path, numbered, COLUMNS_16))["train"]
    assert [row["country"] for row in read] == [0, 1, 2, 3] and sorted(EXVO_COUNTRIES) == list(EXVO_COUNTRIES)
    assert str(splits_of(write_hume_vb(tmp_path, [[*row[:3], *row[4:]] for row in numbered]))["train"]) == str(read)


@pytest.mark.parametrize(("number", "name"), [("1.0", "China"), ("2", "us"), ("3", ""), ("China", "Venezuela")])
def test_a_countrys_number_and_name_must_agree(tmp_path, number, name):
    rows = rows_16()
    rows[1][3:5] = number, name
    means = {"1.0": "South Africa", "2": "United States", "3": "Venezuela", "China": "China"}[number]
    with pytest.raises(TableError) as caught:
        read_hume_vb(write_hume_vb(tmp_path, rows, COLUMNS_16))
    assert str(caught.value) == (
        f"{tmp_path}/data_info.csv, line 3, column Country_string: {name!r} is not {means!r}, which is what column "
        f"Country says by {number!r}"
    )


@pytest.mark.parametrize("number", ["4", "-1", "0.5", "1.0.0", "1e0", "nan", "٢", "", "00"])
def test_what_numbers_no_country_is_refused(tmp_path, number):
    rows = rows_16()
    rows[1][3] = number
    with pytest.raises(TableError, match="line 3, column Country: .* one of China, .* nor its number, 0 to 3"):
        read_hume_vb(write_hume_vb(tmp_path, rows, COLUMNS_16))


@pytest.mark.parametrize("unusable", ["", "-1", "nan", "?"])
def test_test_rows_of_the_layout_with_numbers_without_usable_labels_have_none(tmp_path, unusable):
    rows = rows_16(ROWS[:-1]) + [["[00005]", "Test", "D", *[unusable] * 13]]
    (row,) = splits_of(write_hume_vb(tmp_path, rows, COLUMNS_16))["test"]
    assert all(math.isnan(value) for value in [*row["emotion"], row["age"]]) and row["country"] == -1


@pytest.mark.parametrize("unusable", ["", "-1", "nan", "?"])
def test_test_rows_without_usable_labels_have_none(tmp_path, unusable):
    rows = ROWS[:-1] + [["[00005]", "Test", "D", *[unusable] * 12]]
    (row,) = splits_of(write_hume_vb(tmp_path, rows))["test"]
    assert all(math.isnan(value) for value in [*row["emotion"], row["age"]]) and row["country"] == -1


def test_a_test_row_with_labels_keeps_them_and_one_with_half_of_them_has_none(tmp_path):
    rows = ROWS[:-1] + [
        ["[00005]", "Test", "D", "China", "30", *["0.5"] * 10],
        ["[00006]", "Test", "D", "China", "30", *["0.5"] * 9, ""],
    ]
    whole, half = splits_of(write_hume_vb(tmp_path, rows))["test"]
    assert (whole["age"], whole["country"]) == (30.0, 0)
    assert math.isnan(half["age"]) and half["country"] == -1


@pytest.mark.parametrize("placeholder", ["", "-1", "nan", "?", "None", "Test"])
def test_test_labels_that_cannot_be_read_are_counted_and_named_and_placeholders_are_not(tmp_path, caplog, placeholder):
    rows = ROWS[:-1] + [
        ["[00005]", "Test", "D", "China", "30", *["0.5"] * 10],
        ["[00006]", "Test", "D", "China", "300", *["0.5"] * 10],
        ["[00007]", "Test", "D", "China", "30", *["0.5"] * 9, placeholder],
        ["[00008]", "Test", "D", *[placeholder] * 12],
    ]
    folder = write_hume_vb(tmp_path, rows)
    bad = [
        (f"0000{clip}", f"{folder}/data_info.csv, line {clip + 1}, column {column}: {value!r} is not a number")
        for clip, column, value in ((6, "Age", "300"), (7, "Surprise", placeholder))
    ]
    lost = lost_in_reading("hume_vb", folder)
    assert [(loss.split, loss.name, loss.finding) for loss in lost] == [
        ("test", "00006", "labels dropped"),
        ("test", "00007", "labels dropped"),
    ]
    assert all(loss.detail.startswith(start) for loss, (_, start) in zip(lost, bad, strict=True))
    assert (
        f"2 test rows have labels that cannot all be read, and lose those of their table; the first: {bad[0][1]}"
        in (caplog.text)
    )


def test_test_labels_of_each_of_avbs_tables_are_counted(tmp_path):
    folder = write_avb(tmp_path, {**AVB_ROWS, "two": AVB_ROWS["two"][:-1] + [["[00005]", "Test", "0.5", "1.5"]]})
    (lost,) = lost_in_reading("hume_vb", folder, labels="avb")
    assert lost.name == "00005" and "labels/two_info.csv, line 6, column Arousal: '1.5'" in lost.detail


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def audio_of(folder, **options):
    rows = [row for rows in splits_of(folder, **options).values() for row in rows]
    return [row["audio"]["path"].removeprefix(f"{folder}/") for row in sorted(rows, key=lambda row: row["file_id"])]


def test_raw_recordings_are_found_wherever_they_are(tmp_path):
    folder = write_hume_vb(tmp_path)
    places = ["webm/00002.webm", "wav/00003.webm", "audio/raw/00004.webm", "audio/webm/00005.webm"]
    touch(folder, "raw/00001.webm", "webm/00001.webm", "audio/raw/00002.webm", *places)
    assert audio_of(folder, audio="raw") == ["raw/00001.webm", *places]
    assert audio_of(folder) == [f"wav/0000{clip}.wav" for clip in range(1, 6)]


def test_processed_audio_is_found_in_the_layout_of_either_challenge(tmp_path):
    folder = write_hume_vb(tmp_path, wavs=2)
    touch(folder, "audio/wav/00002.wav", "audio/wav/00003.wav")
    assert audio_of(folder)[:3] == ["wav/00001.wav", "wav/00002.wav", "audio/wav/00003.wav"]


@pytest.mark.parametrize(
    ("there", "audio", "should_be"),
    [
        ("wav/00001.wav", "processed", "wav/00002.wav"),
        ("audio/wav/00001.wav", "processed", "audio/wav/00002.wav"),
        ("audio/webm/00001.webm", "raw", "audio/webm/00002.webm"),
        ("notes.txt", "processed", "wav/00002.wav"),
        ("notes.txt", "raw", "raw/00002.webm"),
    ],
)
def test_a_clip_without_audio_keeps_its_row_and_the_path_where_it_should_be(tmp_path, there, audio, should_be):
    folder = write_hume_vb(tmp_path, wavs=0)
    touch(folder, there)
    assert audio_of(folder, audio=audio)[1] == should_be


def test_the_other_kind_of_audio_is_never_taken_in_silence(tmp_path):
    wav, webm = write_hume_vb(tmp_path / "wav"), write_hume_vb(tmp_path / "webm", wavs=0)
    touch(webm, "wav/00001.webm")
    with pytest.raises(CorpusError, match=r"has no raw audio \(raw/\*\.webm, .* processed .* wav/; audio='processed'"):
        load_bursts("hume_vb", data_dir=wav, audio="raw", cache_dir=tmp_path / "cache")
    with pytest.raises(CorpusError, match=r"has no processed audio \(wav/\*\.wav, .* raw audio in wav/; audio='raw'"):
        load_bursts("hume_vb", data_dir=webm, cache_dir=tmp_path / "cache")
    with pytest.raises(CorpusError, match="audio 'mp3' is not one of processed, raw"):
        load_bursts("hume_vb", data_dir=wav, audio="mp3", cache_dir=tmp_path / "cache")


def test_a_shared_speaker_can_be_allowed_and_is_counted(tmp_path, caplog):
    folder = write_hume_vb(tmp_path / "h", with_field(5, "Subject_ID", "A"))
    with pytest.raises(TableError, match="stands in Train and in Val; allow_shared_speakers=True lets it be"):
        read_hume_vb(folder)
    corpus = load_bursts("hume_vb", data_dir=folder, allow_shared_speakers=True, cache_dir=tmp_path / "cache")
    assert corpus["train"]["speaker"][:] == ["A", "A", "B"] and corpus["validation"]["speaker"][:] == ["A"]
    assert "1 of 2 speakers are in more than one split, such as A" in caplog.text


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
        (5, "Subject_ID", " A ", "of one split: it stands in Train and in Val"),
        (5, "Subject_ID", "a", "of one split: but for capitals, blanks or width it is 'A' of Train, and it stands in"),
        (5, "Subject_ID", "Ａ", "of one split: but for capitals, blanks or width it is 'A' of Train"),
        (2, "Subject_ID", "  ", "the name of a speaker"),
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


def test_a_trailing_comma_on_the_rows_shifts_no_column_and_a_field_too_many_is_refused(tmp_path):
    plain = splits_of(write_hume_vb(tmp_path))
    assert str(splits_of(write_hume_vb(tmp_path, [[*row, ""] for row in ROWS]))) == str(plain)
    with pytest.raises(TableError, match="line 2: 16 fields where the header has 15: '0.1' is in no column"):
        read_hume_vb(write_hume_vb(tmp_path, [["1", *row] for row in ROWS]))


def test_a_folder_without_the_table_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="holds no data_info.csv; give the folder that has it beside wav/"):
        load_bursts("hume_vb", data_dir=tmp_path)
