"""A-VB's labels of HUME-VB, alone and joined with ExVo's: matched by name, missing ones marked, faults named."""

import numpy as np
import pytest

from burst2vec import load_bursts
from burst2vec.data.corpora.hume_vb import read_hume_vb
from burst2vec.errors import CorpusError, TableError
from burst2vec.scoring.submission_forms import FORMS
from burst2vec.tasks import AVB_CULTURES, AVB_TYPES

from ..corpora_on_disk import AVB_COLUMNS, AVB_ROWS, ROWS, with_field, write_avb, write_hume_vb

NAN = float("nan")


def clips_of(folder, labels="avb", **options):
    """Every row by File_ID, and its split."""
    splits = read_hume_vb(folder, labels=labels, **options)
    return {row["file_id"]: {**row, "split": split} for split, rows in splits.items() for row in rows.to_pylist()}


def avb_with(name, line, place, value):
    """A-VB's rows with one field changed: that of the file's ``line`` (the header is line 1), counted from File_ID."""
    rows = {table: [list(row) for row in lines] for table, lines in AVB_ROWS.items()}
    rows[name][line - 2][place] = value
    return rows


def test_the_four_tables_are_joined_by_clip(tmp_path):
    folder = write_avb(tmp_path / "avb", wavs=5)
    corpus = load_bursts("hume_vb", data_dir=folder, labels="avb", cache_dir=tmp_path / "cache")
    assert {split: len(rows) for split, rows in corpus.items()} == {"train": 3, "validation": 1, "test": 1}
    assert corpus["train"].column_names == ["file_id", "audio", "speaker", "high", "two", "culture", "type"]
    assert corpus["train"].features["type"].names == list(AVB_TYPES)
    first, _, third = corpus["train"]
    assert first["file_id"] == "00001" and first["speaker"] == ""
    assert first["audio"] == {"bytes": None, "path": str(folder / "audio/wav/00001.wav")}
    np.testing.assert_allclose(first["two"], [0.1, 0.9], rtol=1e-6)
    by_country = dict(zip(AVB_CULTURES, first["culture"], strict=True))
    assert by_country["South Africa_Fear"] == pytest.approx(0.02) and by_country["Venezuela_Awe"] == pytest.approx(0.04)
    assert [AVB_TYPES[row["type"]] for row in corpus["train"]] == ["Laugh", "Laugh", "Gasp"]
    assert third["high"] == [1.0] + [0.0] * 9
    test = corpus["test"][0]
    assert np.isnan([*test["high"], *test["two"], *test["culture"]]).all() and test["type"] == -1


def test_all_labels_of_both_challenges_stand_side_by_side(tmp_path):
    folder = write_avb(write_hume_vb(tmp_path / "hume"))
    corpus = load_bursts("hume_vb", data_dir=folder, labels="all", cache_dir=tmp_path / "cache")
    names = ["emotion", "age", "country", "high", "two", "culture", "type"]
    assert corpus["train"].column_names == ["file_id", "audio", "speaker", *names]
    exvo = load_bursts("hume_vb", data_dir=folder, cache_dir=tmp_path / "cache")
    avb = load_bursts("hume_vb", data_dir=folder, labels="avb", cache_dir=tmp_path / "cache")
    for split, rows in corpus.items():
        assert str(rows.select_columns(exvo[split].column_names)[:]) == str(exvo[split][:])
        assert str(rows.select_columns(avb[split].column_names)[:]) == str(avb[split][:])


@pytest.mark.parametrize("name", AVB_COLUMNS)
def test_columns_are_matched_by_name_in_any_order(tmp_path, name):
    numbered = [["[00001]", "Train", *(f"0.{number:02d}" for number in range(len(AVB_COLUMNS[name])))]]
    rows = {**AVB_ROWS, name: AVB_ROWS[name] if name == "type" else [*numbered, *AVB_ROWS[name][1:]]}
    plain = clips_of(write_avb(tmp_path, rows))
    table = tmp_path / "labels" / f"{name}_info.csv"
    header, *lines = (line.split(",") for line in table.read_text().splitlines())
    order = np.random.default_rng(0).permutation(len(header))  # File_ID and Split among them
    shuffled = [[fields[place] for place in order] for fields in (header, *lines[::-1])]
    assert shuffled[0] != header
    table.write_text("".join(",".join(fields) + "\n" for fields in shuffled))
    again = clips_of(tmp_path)
    assert {clip: str(again[clip]) for clip in plain} == {clip: str(row) for clip, row in plain.items()}
    assert name == "type" or plain["00001"][name] == pytest.approx([float(text) for text in numbered[0][2:]])


def test_the_published_order_of_cultures_labels_is_read(tmp_path):
    published = [column.label for column in FORMS["A-VB-Culture"].columns]
    by_label = {label: f"0.{place:02d}" for place, label in enumerate(AVB_CULTURES)}
    rows = {"culture": [["[00001]", "Train", *(by_label[label] for label in published)]]}
    (clip,) = clips_of(write_avb(tmp_path, rows, {"culture": published})).values()
    assert published[9] == "United States_Awe" and published[-4] == "China_Surprise"
    assert clip["culture"] == pytest.approx([place / 100 for place in range(40)])


def test_clips_stand_in_the_order_of_the_first_table_or_of_data_info(tmp_path):
    rows = {**AVB_ROWS, "high": AVB_ROWS["high"][::-1]}
    assert list(clips_of(write_avb(tmp_path, rows))) == ["00003", "00002", "00001", "00004", "00005"]
    assert list(clips_of(write_hume_vb(tmp_path))) == ["00001", "00002", "00003", "00004", "00005"]


def test_data_info_lends_its_speakers_and_its_labels_are_let_be(tmp_path):
    rows = with_field(2, "Age", "none of our business")
    clips = clips_of(write_avb(write_hume_vb(tmp_path, rows)))
    assert [clip["speaker"] for clip in clips.values()] == ["A", "A", "B", "C", ""]
    assert "age" not in clips["00001"]


@pytest.mark.parametrize(("name", "column"), [("high", "high"), ("type", "type")])
def test_a_table_that_is_not_there_makes_no_column(tmp_path, caplog, name, column):
    folder = write_avb(tmp_path / "avb", {name: AVB_ROWS[name]})
    corpus = load_bursts("hume_vb", data_dir=folder, labels="avb", cache_dir=tmp_path / "cache")
    assert corpus["train"].column_names == ["file_id", "audio", "speaker", column]
    assert f"those there are: {column}" in caplog.text


def test_a_clip_that_a_table_does_not_list_has_a_hole_there(tmp_path):
    rows = {**AVB_ROWS, "two": AVB_ROWS["two"][1:], "type": AVB_ROWS["type"][:2]}
    clips = clips_of(write_avb(tmp_path, rows))
    assert np.isnan(clips["00001"]["two"]).all() and not np.isnan(clips["00001"]["high"]).any()
    assert clips["00003"]["type"] == -1 and clips["00004"]["type"] == AVB_TYPES.index("Other")
    rows = {**AVB_ROWS, "high": AVB_ROWS["high"][1:]}  # it stands behind those that the first table has
    assert list(clips_of(write_avb(tmp_path, rows)))[:3] == ["00002", "00003", "00001"]


def test_a_clip_of_data_info_alone_is_a_row_of_all_and_none_of_avb(tmp_path):
    rows = {name: [row for row in lines if row[0] != "[00002]"] for name, lines in AVB_ROWS.items()}
    folder = write_avb(write_hume_vb(tmp_path), rows)
    assert "00002" not in clips_of(folder)
    partial = clips_of(folder, "all")["00002"]
    assert partial["age"] == 25.5 and np.isnan([*partial["high"], *partial["culture"]]).all() and partial["type"] == -1


def test_a_clip_that_nobody_of_a_country_rated_has_ten_holes(tmp_path):
    rows = {**AVB_ROWS, "culture": [["[00001]", "Train", *[""] * 10, *["0.3"] * 30], *AVB_ROWS["culture"][1:]]}
    culture = clips_of(write_avb(tmp_path, rows))["00001"]["culture"]
    assert np.isnan(culture[:10]).all() and not np.isnan(culture[10:]).any()
    rows["culture"][0][2:] = [""] * 40
    with pytest.raises(
        TableError, match="line 2, column China_Awe: '' is not a number from 0 to 1, and no country has"
    ):
        read_hume_vb(write_avb(tmp_path, rows), labels="avb")


@pytest.mark.parametrize(
    ("name", "line", "place", "value", "message"),
    [
        ("high", 3, 0, "[00001]", "line 3, column File_ID: '[00001]' is not new: line 2 has it already"),
        ("two", 3, 0, "00002.wav", "line 3, column File_ID: '00002.wav' is not made of letters"),
        ("two", 3, 1, "Dev", "line 3, column Split: 'Dev' is not one of Train, Val, Test"),
        ("high", 2, 2, "", "line 2, column Awe: '' is not a number from 0 to 1"),
        ("two", 5, 3, "1.5", "line 5, column Arousal: '1.5' is not a number from 0 to 1"),
        ("culture", 4, 2, "", "line 4, column China_Awe: '' is not a number from 0 to 1"),
        ("culture", 4, 41, "x", "line 4, column Venezuela_Surprise: 'x' is not a number from 0 to 1"),
        ("type", 3, 2, "laugh", "line 3, column Voc_Type: 'laugh' is not one of Gasp, Laugh"),
        ("type", 4, 2, "", "line 4, column Voc_Type: '' is not one of Gasp"),
    ],
)
def test_a_wrong_field_is_named_with_its_file_and_line(tmp_path, name, line, place, value, message):
    folder = write_avb(tmp_path, avb_with(name, line, place, value))
    with pytest.raises(TableError) as caught:
        read_hume_vb(folder, labels="avb")
    assert str(caught.value).startswith(f"{folder}/labels/{name}_info.csv, {message}")


@pytest.mark.parametrize("unusable", ["", "-1", "?"])
def test_test_rows_without_usable_labels_have_none(tmp_path, unusable):
    rows = {name: [row for row in lines if row[1] != "Test"] for name, lines in AVB_ROWS.items()}
    for name, columns in AVB_COLUMNS.items():
        rows[name].append(["[00005]", "Test", *[unusable] * len(columns)])
    clip = clips_of(write_avb(tmp_path, rows))["00005"]
    assert np.isnan([*clip["high"], *clip["two"], *clip["culture"]]).all() and clip["type"] == -1


def test_a_split_that_differs_is_named_with_both_files_and_lines(tmp_path):
    folder = write_avb(tmp_path, avb_with("type", 6, 1, "Val"))
    with pytest.raises(TableError) as caught:
        read_hume_vb(folder, labels="avb")
    there = f"{folder}/labels/culture_info.csv, line 2"
    assert str(caught.value) == (
        f"{folder}/labels/type_info.csv, line 6, column Split: 'Val' is not 'Train', as {there} has it for clip 00001"
    )


@pytest.mark.parametrize("labels", ["avb", "all"])
def test_a_clip_that_data_info_does_not_have_is_refused(tmp_path, labels):
    folder = write_avb(write_hume_vb(tmp_path, ROWS[:-1]))
    with pytest.raises(
        TableError, match=r"high_info.csv, line 6, column File_ID: '\[00005\]' is not a clip of .*data_"
    ):
        read_hume_vb(folder, labels=labels)


@pytest.mark.parametrize("name", AVB_COLUMNS)
def test_a_missing_column_is_named(tmp_path, name):
    columns = {**AVB_COLUMNS, name: ["Weird", *AVB_COLUMNS[name][1:]]}
    missing = AVB_COLUMNS[name][0]
    with pytest.raises(TableError, match=f"{name}_info.csv, line 1: no column {missing}; found: File_ID, Split, Weird"):
        read_hume_vb(write_avb(tmp_path, columns=columns), labels="avb")


def test_a_column_of_nearly_the_right_name_is_shown(tmp_path):
    columns = [label.replace("South Africa_Sadness", "SouthAfrica_Sadness") for label in AVB_CULTURES]
    hint = "; rename 'SouthAfrica_Sadness' to 'South Africa_Sadness'; columns may stand in any order, named letter for"
    with pytest.raises(TableError, match="no column South Africa_Sadness; found: .*" + hint):
        read_hume_vb(write_avb(tmp_path, columns={**AVB_COLUMNS, "culture": columns}), labels="avb")


def test_the_other_labels_are_named_where_those_asked_for_are_not_there(tmp_path):
    exvo, avb = write_hume_vb(tmp_path / "exvo"), write_avb(tmp_path / "avb")
    for folder, labels, message in [
        (exvo, "avb", "holds none of labels/high_info.csv, .*; labels='exvo' reads its data_info.csv"),
        (exvo, "all", "holds none of labels/high_info.csv"),
        (avb, "exvo", "holds no data_info.csv; .*; labels='avb' reads those in its labels/"),
        (avb, "all", "holds no data_info.csv"),
        (tmp_path, "avb", "give the folder that has labels/$"),
        (exvo, "few", "labels 'few' is not one of exvo, avb, all"),
    ]:
        with pytest.raises(CorpusError, match=message):
            load_bursts("hume_vb", data_dir=folder, labels=labels, cache_dir=tmp_path / "cache")
