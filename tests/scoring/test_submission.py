"""The official file: what is written reads back, and every fault is named by file, line, column and value."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from burst2vec.errors import SubmissionError
from burst2vec.scoring import answered_forms, submission_name, validate_official_file, write_official_file
from burst2vec.tasks import EXVO_COUNTRIES, EXVO_EMOTIONS, TASK_PRESETS, Task

HEADER = "File_ID,Country,Age,Awe,Excitement,Amusement,Awkwardness,Fear,Horror,Distress,Triumph,Sadness,Surprise"
ROW = "[58712],1,32.2,0.109,0.258,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1.0"
NAME = "ExVo-Multi_burst2vec_1.csv"


def predictions(n, seed=0):
    random = np.random.default_rng(seed)
    return {
        "emotion": random.uniform(size=(n, 10)).astype(np.float32),
        "age": random.uniform(20, 39, size=(n, 1)).astype(np.float32),
        "country": random.dirichlet(np.ones(4), size=n),
    }


def write_lines(tmp_path, *lines, name=NAME, end="\n"):
    path = tmp_path / name
    path.write_bytes("".join(line + end for line in lines).encode("utf-8"))
    return path


def test_what_is_written_is_what_was_predicted(tmp_path):
    given, file_ids = predictions(5), ["00001", "00002", "58712", "4", "5"]
    path = write_official_file(tmp_path / NAME, file_ids, given)
    assert path == tmp_path / NAME and validate_official_file(path, file_ids) == 5
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert path.read_text().splitlines()[0] == HEADER
    assert [row["File_ID"] for row in rows] == [f"[{file_id}]" for file_id in file_ids]
    assert [int(row["Country"]) for row in rows] == given["country"].argmax(axis=1).tolist()
    assert [float(row["Age"]) for row in rows] == pytest.approx(given["age"][:, 0].tolist(), abs=1e-6)
    for column, emotion in enumerate(EXVO_EMOTIONS):
        assert [float(row[emotion]) for row in rows] == pytest.approx(given["emotion"][:, column].tolist(), abs=1e-6)
    assert [file.name for file in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("change", [{"span": (20.0, 39.5)}, {"output": "linear", "loss": "mse"}])
def test_another_span_or_output_of_the_age_writes_the_same_file(tmp_path, change):
    emotion, age, country = TASK_PRESETS["exvo"]
    tasks, given, ids = (emotion, replace(age, **change), country), predictions(4), list("abcd")
    assert answered_forms(tasks) == ["ExVo-Multi"]
    official = write_official_file(tmp_path / NAME, ids, given).read_text()
    changed = write_official_file(tmp_path / "ExVo-Multi_b_2.csv", ids, given, tasks)
    assert changed.read_text() == official and validate_official_file(changed, ids) == 4


def test_emotions_and_countries_are_matched_by_name_whatever_their_order(tmp_path):
    emotion, age, country = TASK_PRESETS["exvo"]
    alphabetical = (
        Task("country", kind="classification", labels=EXVO_COUNTRIES[::-1], loss="cross_entropy", metric="uar"),
        age,
        Task("emotion", kind="regression", labels=sorted(EXVO_EMOTIONS)),
    )
    given = predictions(6)
    order = [EXVO_EMOTIONS.index(name) for name in sorted(EXVO_EMOTIONS)]
    turned = {"emotion": given["emotion"][:, order], "age": given["age"], "country": given["country"][:, ::-1]}
    ids = list("abcdef")
    official = write_official_file(tmp_path / NAME, ids, given).read_text()
    assert write_official_file(tmp_path / "ExVo-Multi_b_2.csv", ids, turned, tasks=alphabetical).read_text() == official


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("age"), r"needs predictions of country, age, emotion; 'age' is not there"),
        (lambda p: p.update(age=p["age"] / 50), r"line 2, column Age: '0\.\d+'; it must be a number in 1..120 years"),
        (
            lambda p: p.update(emotion=p["emotion"] * 100),
            r"line 2, column Awe: '\d+\.\d+'; it must be a number in 0..1",
        ),
        (lambda p: p.update(emotion=p["emotion"][:, :9]), r"emotion has shape \(3, 9\); expected \(3, 10\)"),
        (lambda p: p.update(country=p["country"].argmax(1)), r"country has shape \(3,\); expected \(3, 4\)"),
        (lambda p: np.put(p["emotion"], 11, np.nan), r"line 3, column Excitement: 'nan'"),
        (lambda p: np.put(p["country"], 5, np.nan), r"country of row 1 is \[.*nan"),
        (lambda p: p.update(age=[["old"]] * 3), r"ExVo-Multi_burst2vec_1.csv: age must be numbers"),
    ],
)
def test_predictions_that_may_not_be_handed_in_are_never_written(tmp_path, change, message):
    given = predictions(3)
    change(given)
    with pytest.raises(ValueError, match=message):
        write_official_file(tmp_path / NAME, ["1", "2", "3"], given)
    assert list(tmp_path.iterdir()) == []


def test_other_emotions_are_refused_by_name(tmp_path):
    with pytest.raises(SubmissionError, match=r"'emotion' has labels \['Awe', .*needed: \['Awe', .*'Horror'"):
        write_official_file(
            tmp_path / NAME, ["1"], predictions(1), tasks=(TASK_PRESETS["emogator"][0], *TASK_PRESETS["exvo"][1:])
        )


def test_a_wrong_name_and_a_doubled_clip_are_refused_before_writing(tmp_path):
    with pytest.raises(
        SubmissionError, match=r"submission.csv: the name must be <form>_<team>_<1..5>.csv, the form one of ExVo-M"
    ):
        write_official_file(tmp_path / "submission.csv", ["1"], predictions(1))
    with pytest.raises(SubmissionError, match=r"line 3, column File_ID: '\[1\]' already stands in line 2"):
        write_official_file(tmp_path / NAME, ["1", "1"], predictions(2))


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = write_lines(tmp_path, HEADER, ROW)
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_official_file(path, ["1"], predictions(1))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("team", "number"), [("", 1), ("my team", 1), ("my_team", 1), ("../x", 1), ("é", 1), ("a", 0), ("a", 6), ("a\n", 1)]
)
def test_a_team_is_letters_digits_and_hyphens_and_hands_in_five_files(team, number):
    with pytest.raises(SubmissionError, match=r"a team is A-Z, a-z, 0-9 and '-', a number 1 to 5"):
        submission_name(team, number)


def test_official_names_are_made():
    assert [submission_name("A-1", number) for number in (1, 5)] == ["ExVo-Multi_A-1_1.csv", "ExVo-Multi_A-1_5.csv"]


# The validator


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_official_example_is_valid(tmp_path, end):
    assert validate_official_file(write_lines(tmp_path, HEADER, ROW, end=end), ["58712"]) == 1


def replaced(column, value):
    fields = ROW.split(",")
    fields[HEADER.split(",").index(column)] = value
    return ",".join(fields)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"line 1: the header is ''; it must be 'File_ID,Country"),
        ([HEADER], r"no clip"),
        ([HEADER.replace("Awe,Excitement", "Excitement,Awe"), ROW], r"line 1: the header is"),
        (["\ufeff" + HEADER, ROW], r"line 1: the header is '\\ufeffFile_ID"),
        ([HEADER + ",", ROW + ","], r"line 1: the header is"),
        ([HEADER, ROW + ","], r"line 2: 14 fields; there must be 13"),
        ([HEADER, ROW.rsplit(",", 1)[0]], r"line 2: 12 fields"),
        ([HEADER, "", ROW], r"line 2: 0 fields"),
        ([HEADER, ROW, ROW], r"line 3, column File_ID: '\[58712\]' already stands in line 2"),
        ([HEADER, replaced("File_ID", "58712")], r"line 2, column File_ID: '58712'; it must be an id in brackets"),
        ([HEADER, replaced("File_ID", "[../../etc/passwd]")], r"column File_ID: '\[../../etc/passwd\]'"),
        ([HEADER, replaced("File_ID", "[]")], r"column File_ID: '\[\]'"),
        ([HEADER, replaced("File_ID", "[")], r"column File_ID: '\['"),
        ([HEADER, replaced("Country", "4")], r"column Country: '4'; it must be a class index: 0 China, 1 South Africa"),
        ([HEADER, replaced("Country", "China")], r"column Country: 'China'"),
        ([HEADER, replaced("Country", "1.0")], r"column Country: '1.0'"),
        ([HEADER, replaced("Country", "-1")], r"column Country: '-1'"),
        ([HEADER, replaced("Country", "")], r"column Country: ''"),
        ([HEADER, replaced("Age", "0.57")], r"column Age: '0.57'; it must be a number in 1..120 years"),
        ([HEADER, replaced("Age", "nan")], r"column Age: 'nan'"),
        ([HEADER, replaced("Age", "1e3")], r"column Age: '1e3'"),
        ([HEADER, replaced("Awe", "1.001")], r"column Awe: '1.001'; it must be a number in 0..1$"),
        ([HEADER, replaced("Surprise", "-0.1")], r"column Surprise: '-0.1'"),
        ([HEADER, replaced("Horror", "inf")], r"column Horror: 'inf'"),
        ([HEADER, replaced("Horror", " 0.5")], r"column Horror: ' 0.5'"),
        ([HEADER, replaced("Horror", "0_1")], r"column Horror: '0_1'"),
        ([HEADER, replaced("Horror", "٠")], r"column Horror: '٠'"),
        ([HEADER, replaced("Horror", "")], r"column Horror: ''"),
        ([HEADER, replaced("Horror", '"0.5')], r"not a UTF-8 CSV file: unexpected end of data"),
    ],
)
def test_a_fault_is_named_by_file_line_column_and_value(tmp_path, lines, message):
    with pytest.raises(SubmissionError, match=message) as refused:
        validate_official_file(write_lines(tmp_path, *lines))
    assert all(problem.startswith(NAME) for problem in refused.value.problems)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(b"\xff\xfe" + HEADER.encode("utf-16-le"))
    with pytest.raises(SubmissionError, match="not a UTF-8 CSV file"):
        validate_official_file(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SubmissionError, match="no such file"):
        validate_official_file(tmp_path / NAME)
    with pytest.raises(SubmissionError, match="no such file"):
        validate_official_file(tmp_path)


def test_a_wrong_file_name_is_a_problem_beside_the_others(tmp_path):
    path = write_lines(tmp_path, HEADER, replaced("Age", "0"), name="ExVo-Multi_team_6.csv")
    with pytest.raises(SubmissionError) as refused:
        validate_official_file(path)
    assert len(refused.value.problems) == 2 and "the name must be" in refused.value.problems[0]


def test_foreign_and_missing_clips_are_named(tmp_path):
    path = write_lines(tmp_path, HEADER, ROW, replaced("File_ID", "[2]"))
    with pytest.raises(SubmissionError) as refused:
        validate_official_file(path, ["2", "00003", "00004"])
    assert refused.value.problems == [
        f"{NAME}, line 2, column File_ID: '[58712]' is not among the 3 clips to answer for",
        f"{NAME}: no line for clip '[00003]'",
        f"{NAME}: no line for clip '[00004]'",
    ]


def test_leading_zeros_are_part_of_an_id(tmp_path):
    with pytest.raises(SubmissionError, match=r"no line for clip '\[058712\]'"):
        validate_official_file(write_lines(tmp_path, HEADER, ROW), ["058712"])


def test_a_long_list_of_problems_is_cut_in_the_message_only(tmp_path):
    with pytest.raises(SubmissionError, match=r"… and 15 more$") as refused:
        validate_official_file(write_lines(tmp_path, HEADER, ROW), ["58712", *map(str, range(25))])
    assert len(refused.value.problems) == 25
