"""A-VB's four official files: the published headers, what was predicted in their columns, and every fault named."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from burst2vec.errors import SubmissionError
from burst2vec.scoring import answered_forms, validate_official_file, write_official_file
from burst2vec.tasks import AVB_CULTURES, AVB_TYPES, TASK_PRESETS

AVB = TASK_PRESETS["avb"]
HEADERS = {  # github.com/HumeAI/competitions, A-VB2022/README.md, at b173d1774d6367e3b6012ce39eeca1c7531afbc7
    "A-VB-High": "File_ID,Awe,Excitement,Amusement,Awkwardness,Fear,Horror,Distress,Triumph,Sadness,Surprise",
    "A-VB-Two": "File_ID,Valence,Arousal",
    "A-VB-Culture": (
        "File_ID,China_Awe,China_Excitement,China_Amusement,China_Awkwardness,China_Fear,China_Horror,China_Distress,"
        "China_Triumph,China_Sadness,United States_Awe,United States_Excitement,United States_Amusement,"
        "United States_Awkwardness,United States_Fear,United States_Horror,United States_Distress,"
        "United States_Triumph,United States_Sadness,South Africa_Awe,South Africa_Excitement,South Africa_Amusement,"
        "South Africa_Awkwardness,South Africa_Fear,South Africa_Horror,South Africa_Distress,South Africa_Triumph,"
        "SouthAfrica_Sadness,Venezuela_Awe,Venezuela_Excitement,Venezuela_Amusement,Venezuela_Awkwardness,"
        "Venezuela_Fear,Venezuela_Horror,Venezuela_Distress,Venezuela_Triumph,Venezuela_Sadness,China_Surprise,"
        "United States_Surprise,South Africa_Surprise,Venezuela_Surprise"
    ),
    "A-VB-Type": "File_ID,Voc_Type",
}
TASK_OF = dict(zip(HEADERS, AVB, strict=True))
IDS = ["10119", "00007", "3"]


def predictions(n=3, seed=0):
    random = np.random.default_rng(seed)
    values = {task.name: random.uniform(size=(n, len(task.labels))) for task in AVB[:3]}
    return {**values, "type": random.dirichlet(np.ones(8), size=n)}


def lines_of(form, tmp_path):
    path = write_official_file(tmp_path / f"{form}_us_1.csv", IDS, predictions())
    return path, path.read_text().splitlines()


@pytest.mark.parametrize("form", HEADERS)
def test_the_published_header_is_written_byte_for_byte(form, tmp_path):
    path = write_official_file(tmp_path / f"{form}_us_1.csv", IDS, predictions())
    first, _, rest = path.read_bytes().partition(b"\n")
    assert first == HEADERS[form].encode("ascii") and rest.count(b"\n") == 3
    assert validate_official_file(path, IDS) == 3


@pytest.mark.parametrize("form", ["A-VB-High", "A-VB-Two", "A-VB-Culture"])
def test_each_number_stands_under_its_own_label(form, tmp_path):
    path, _ = lines_of(form, tmp_path)
    task, given = TASK_OF[form], predictions()[TASK_OF[form].name]
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row.pop("File_ID") for row in rows] == ["[10119]", "[00007]", "[3]"]
    for row, values in zip(rows, given, strict=True):
        found = {name.replace("SouthAfrica", "South Africa"): float(text) for name, text in row.items()}
        assert found == pytest.approx(dict(zip(task.labels, values, strict=True)), abs=1e-6)


def test_a_type_is_written_by_its_published_name(tmp_path):
    published = ["Gasp", "Laugh", "Cry", "Scream", "Grunt", "Groan", "Pant", "Other"]
    ids = [str(number) for number in range(8)]
    path = write_official_file(tmp_path / "A-VB-Type_us_1.csv", ids, {"type": np.eye(8)})
    assert list(AVB_TYPES) == published
    assert path.read_text().splitlines() == ["File_ID,Voc_Type", *(f"[{n}],{name}" for n, name in enumerate(published))]


@pytest.mark.parametrize("form", HEADERS)
def test_labels_are_matched_by_name_whatever_their_order(form, tmp_path):
    path, lines = lines_of(form, tmp_path)
    task, values = TASK_OF[form], predictions()[TASK_OF[form].name]
    turned = replace(task, labels=task.labels[::-1])
    again = write_official_file(tmp_path / f"{form}_us_2.csv", IDS, {task.name: values[:, ::-1]}, [turned])
    assert again.read_text().splitlines() == lines


def test_the_label_tables_spelling_of_the_column_published_without_its_blank_is_read_too(tmp_path):
    path, lines = lines_of("A-VB-Culture", tmp_path)
    path.write_text("\n".join([lines[0].replace("SouthAfrica", "South Africa"), *lines[1:], ""]))
    assert set(path.read_text().splitlines()[0].split(",")[1:]) == set(AVB_CULTURES)
    assert validate_official_file(path, IDS) == 3


@pytest.mark.parametrize(
    ("form", "old", "new", "message"),
    [
        ("A-VB-High", "Awe,Excitement", "Excitement,Awe", r"A-VB-High_us_1.csv, line 1: the header is 'File_ID,Exc"),
        ("A-VB-Two", "File_ID,Valence", "File_ID,Split,Valence", r"line 1: the header is .*must be 'File_ID,Valence,A"),
        ("A-VB-Culture", ",Venezuela_Surprise", "", "line 1: the header is 'File_ID,China_Awe"),
        ("A-VB-Culture", "China_Horror", "", "line 1: the header is 'File_ID,China_Awe"),
        ("A-VB-High", "Awe", "", "line 1: the header is 'File_ID,,Excitement"),
        ("A-VB-Two", "[3],", "[10119],", r"line 4, column File_ID: '\[10119\]' already stands in line 2"),
        ("A-VB-Two", "[3],", "[4],", r"'\[4\]' is not among the 3 clips to answer for\n.*no line for clip '\[3\]'"),
        ("A-VB-Two", "[3],", "[3],0.5,", r"line 4: 4 fields; there must be 3: File_ID,Valence,Arousal"),
        ("A-VB-Two", "[3],0.", "[3],1.", r"line 4, column Valence: '1\.\d+'; it must be a number in 0..1$"),
        ("A-VB-Culture", "[3],0.", "[3],-0.", r"line 4, column China_Awe: '-0\.\d+'; it must be a number in 0..1$"),
        ("A-VB-High", "[3],0.", "[3],nan0.", r"line 4, column Awe: 'nan0\.\d+'"),
        ("A-VB-Type", "[3],", "[3],l", r"line 4, column Voc_Type: 'l\w+'; it must be one of Gasp, Laugh, Cry, Scream"),
        ("A-VB-Type", "[3],", "[3],0,", r"line 4: 3 fields; there must be 2: File_ID,Voc_Type"),
    ],
)
def test_a_fault_is_named_by_file_line_column_and_value(form, old, new, message, tmp_path):
    path, _ = lines_of(form, tmp_path)
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SubmissionError, match=message) as refused:
        validate_official_file(path, IDS)
    assert all(problem.startswith(path.name) for problem in refused.value.problems)


@pytest.mark.parametrize(
    ("form", "change", "message"),
    [
        ("A-VB-Two", lambda p: np.put(p["two"], 3, np.nan), r"line 3, column Arousal: 'nan'"),
        ("A-VB-Culture", lambda p: np.put(p["culture"], 39, 1.5), r"line 2, column Venezuela_Surprise: '1.500000'"),
        ("A-VB-Type", lambda p: np.put(p["type"], 8, np.nan), r"type of row 1 is \[nan, .*; it must be finite numbers"),
        ("A-VB-High", lambda p: p.pop("high"), r"A-VB-High_us_1.csv: needs predictions of high; 'high' is not there"),
        ("A-VB-Type", lambda p: p.update(type=p["type"][:2]), r"type has shape \(2, 8\); expected \(3, 8\)"),
    ],
)
def test_predictions_that_may_not_be_handed_in_are_never_written(form, change, message, tmp_path):
    given = predictions()
    change(given)
    with pytest.raises(SubmissionError, match=message):
        write_official_file(tmp_path / f"{form}_us_1.csv", IDS, given)
    assert not list(tmp_path.iterdir())


def test_one_model_of_both_challenges_answers_all_five_files():
    both = [*TASK_PRESETS["exvo"], *AVB]
    assert answered_forms(both) == ["ExVo-Multi", *HEADERS]
    assert answered_forms([*both[:2], replace(AVB[3], labels=AVB_TYPES[:7])]) == []
