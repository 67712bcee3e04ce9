"""The strict reader: what stands in the file, or an error that says where."""

import pytest

from burst2vec.data.corpora.label_tables import Row, read_table
from burst2vec.errors import TableError


def table(tmp_path, content):
    path = tmp_path / "labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(path, columns=("id", "age")):
    return [(row.line, row.fields) for row in read_table(path, columns)]


@pytest.mark.parametrize(
    "content",
    ["id,age\na,1\nb,2\n", "id,age\r\na,1\r\nb,2\r\n", "\ufeffid,age\na,1\nb,2", '"id","age"\n"a","1"\nb,2\n\n\n'],
    ids=["plain", "windows", "byte-order mark, no last line end", "quotes, blank lines at the end"],
)
def test_ways_to_write_one_table_read_the_same(tmp_path, content):
    assert rows(table(tmp_path, content)) == [(2, {"id": "a", "age": "1"}), (3, {"id": "b", "age": "2"})]


@pytest.mark.parametrize(
    "content",
    ["id,age,\na,1,\nb,2,\n", "id,age,,\r\na,1,,\r\nb,2,,\r\n", "id,age\na,1,\nb,2,\n"],
    ids=["everywhere", "twice", "on the rows alone"],
)
def test_commas_at_the_ends_of_all_lines_move_no_field(tmp_path, content):
    assert rows(table(tmp_path, content)) == [(2, {"id": "a", "age": "1"}), (3, {"id": "b", "age": "2"})]


def test_blank_lines_are_passed_over_and_still_counted(tmp_path):
    content = "\nid,age\n\na,1\n   \n\nb,2\n\n"
    assert rows(table(tmp_path, content)) == [(4, {"id": "a", "age": "1"}), (7, {"id": "b", "age": "2"})]


def test_columns_are_found_by_name_and_others_are_let_be(tmp_path):
    assert rows(table(tmp_path, "age,mood,id\n1,,a\n")) == [(2, {"age": "1", "mood": "", "id": "a"})]


@pytest.mark.parametrize("text", ["NA", "nan", "null", "", "007", "1e5", "true", " a "])
def test_fields_stay_text(tmp_path, text):
    assert rows(table(tmp_path, f"id,age\na,{text}\n"))[0][1]["age"] == text


def test_a_quoted_field_may_span_lines_and_lines_are_still_counted(tmp_path):
    assert [line for line, _ in rows(table(tmp_path, 'id,age\n"a\nb",1\nc,2\n'))] == [2, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: no column id, age; found: no header"),
        ("id,age\n", "has no rows below its header"),
        ("id;age\na;1\n", "line 1: no column id, age; found: id;age; "),
        (
            "id,Age\na,1\n",
            "line 1: no column age; found: id, Age; rename 'Age' to 'age'; columns may stand in any order",
        ),
        ("id,age \na,1\n", "line 1: no column age; found: id, age ; rename 'age ' to 'age'; columns"),
        ("id,age,id\na,1,b\n", "line 1: column 'id' stands there 2 times"),
        ("id,age\na,1\nb,2,\n", "line 3: 3 fields where the header has 2"),
        ("id,age\na,1,\nb,2\n", "line 3: 2 fields where the header has 2; the rows before it have 3: end all rows"),
        ("id,age\na,1,x\nb,2,\n", "line 2: 3 fields where the header has 2: 'x' is in no column that has a name"),
        ("id,age\na,1,\nb,x,2\n", "line 3: 3 fields where the header has 2: '2' is in no column that has a name"),
        ("id,age\na,1,\nb,x,2,\n", "line 3: 4 fields where the header has 2: '2' is in no column that has a name"),
        ("id,age,\na,1,\nb,x,2\n", "line 3: 3 fields where the header has 3: '2' is in no column that has a name"),
        ("id,age,\na,1,,\nb,2,\n", "line 3: 3 fields where the header has 3; the rows before it have 4"),
        ("id,age\n,a,1\n", "line 2: 3 fields where the header has 2: '1' is in no column that has a name"),
        (",id,age,\na,1,\n", "line 2: 3 fields where the header has 4"),
        ("id,age,\na,1\n", "line 2: 2 fields where the header has 3"),
        ("id,age\na\n", "line 2: 1 fields where the header has 2"),
        ("id,age\n\n  \n", "has no rows below its header"),
        (",,\na,1,\n", "line 1: no column id, age; found: no header"),
        ('id,age\na,"1\n', "not a well-formed line of CSV"),
        ('id,age\n"a"x,1\n', "line 2: not a well-formed line of CSV"),
        ("id,age\nb\xe9,1\n".encode("latin-1"), "not UTF-8 text"),
        ("id,age\na,1\n".encode("utf-16"), "not UTF-8 text"),
    ],
)
def test_what_cannot_be_read_as_it_stands_is_refused(tmp_path, content, message):
    path = table(tmp_path, content)
    with pytest.raises(TableError) as caught:
        rows(path)
    assert str(path) in str(caught.value) and message in str(caught.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(TableError, match=r"nowhere\.csv: cannot be read: No such file"):
        rows(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(("text", "value"), [("25", 25.0), ("2.55e1", 25.5), ("+15", 15.0), ("45.", 45.0)])
def test_numbers_are_read(text, value):
    assert Row("t.csv", 2, {"Age": text}).number("Age", 15, 45) == value


@pytest.mark.parametrize(
    "text",
    ["", "nan", "٢٥", "２５", "२५", "2٥", "inf", "2_5", " 25", "25 ", "25,5", "0x19", "twenty", "14.9", "46", "٢٥x"],
)
def test_what_is_no_number_in_range_is_refused(text):
    with pytest.raises(TableError) as caught:
        Row("t.csv", 2, {"Age": text}).number("Age", 15, 45)
    assert str(caught.value) == f"t.csv, line 2, column Age: {text!r} is not a number from 15 to 45"


def test_a_choice_is_matched_letter_for_letter():
    row = Row("t.csv", 9, {"Split": "train"})
    with pytest.raises(TableError, match="t.csv, line 9, column Split: 'train' is not one of Train, Val"):
        row.choice("Split", ["Train", "Val"])
