"""The challenge's own files of vectors, in all the forms that its tools write."""

from pathlib import Path

import numpy as np
import pytest

from burst2vec.errors import CorpusError, TableError
from burst2vec.features import FEATURE_SETS, read_challenge_features
from burst2vec.features import challenge_tables as challenge
from tests.features.made_clips import noise, smile, vectors


def csv_files(folder, **contents):
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "content",
    [
        "F0,loudness\n1.5,-2e-3\n",
        "F0;loudness\r\n1.5;-2e-3\r\n",
        "\ufeffname;frameTime;F0;loudness\n'unknown';0.000000;1.500000e+00;-2.0e-03\n",
        "name,F0,loudness\n00001.wav,1.5,-0.002",
    ],
)
def test_the_challenges_files_are_read_with_either_separator_and_with_what_stands_in_front(content, tmp_path):
    read = read_challenge_features(csv_files(tmp_path / "two", **{"00002": content, "[00001]": content}))
    assert (read.feature_set, read.names, read.made_by) == ("two", ("F0", "loudness"), {"challenge": "two"})
    assert read.splits["all"]["file_id"][:] == ["00001", "00002"]
    np.testing.assert_array_equal(vectors(read.splits["all"]), np.array([[1.5, -0.002]] * 2, np.float32))
    assert read.splits["all"].features["features"].length == 2


EGEMAPS_NAMES = [f"feature_{number}" for number in range(88)]
EGEMAPS_VALUES = [f"{number}.5" for number in range(88)]


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize(
    ("header", "values"),
    [
        (EGEMAPS_NAMES, EGEMAPS_VALUES),
        (["", *EGEMAPS_NAMES], ["0", *EGEMAPS_VALUES]),  # pandas' index
        (["id", *EGEMAPS_NAMES], ["1", *EGEMAPS_VALUES]),
        (["clip no.", *EGEMAPS_NAMES], ["17", *EGEMAPS_VALUES]),
        (["name", "frameTime", *EGEMAPS_NAMES], ["'unknown'", "0.0", *EGEMAPS_VALUES]),
        (["file", "start", "end", *EGEMAPS_NAMES], ["a.wav", "0 days", "0 days 00:00:02", *EGEMAPS_VALUES]),
        (["", *map(str, range(88))], ["0", *EGEMAPS_VALUES]),
        (None, ["7", *EGEMAPS_VALUES]),
        (None, EGEMAPS_VALUES),
    ],
)
def test_of_a_known_set_what_stands_in_front_is_cut_by_its_place(separator, header, values, tmp_path):
    content = "".join(separator.join(line) + "\n" for line in (header, values) if line)
    read = read_challenge_features(csv_files(tmp_path / "eGeMAPS", **{"00001": content}))
    assert len(read.names) == 88 and read.names == tuple(header[-88:] if header else map(str, range(88)))
    assert vectors(read.splits["all"]).tolist() == [[number + 0.5 for number in range(88)]]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (EGEMAPS_NAMES[1:], "87 features, where eGeMAPS has 88"),
        (["one", "two", *EGEMAPS_NAMES], "90 features, where eGeMAPS has 88"),
        (["name", "frameTime", *EGEMAPS_NAMES[1:]], "87 features behind name, frameTime, where eGeMAPS has 88"),
        (["id", "other", *EGEMAPS_NAMES], "89 features behind id, where eGeMAPS has 88"),
    ],
)
def test_another_number_of_features_than_the_set_has_is_refused(header, message, tmp_path):
    content = f"{','.join(header)}\n{','.join('1' for _ in header)}\n"
    with pytest.raises(TableError, match=rf"00001\.csv, line 1: {message}"):
        read_challenge_features(csv_files(tmp_path / "eGeMAPS", **{"00001": content}))


def test_the_sizes_are_those_of_the_sets():
    sizes = {"ComParE": FEATURE_SETS["compare"].size, "eGeMAPS": FEATURE_SETS["egemaps"].size, "DeepSpectrum": 4_096}
    assert {name: challenge.known_size(Path("feats", name)) for name in sizes} == sizes


def test_bags_without_names_are_read_and_their_number_is_checked(tmp_path):
    bags = tmp_path / "openXBOW" / "3"
    bags.mkdir(parents=True)
    csv_files(bags, **{"00002": "4;5;6\n", "00001": "1;2;3\n"})
    read = read_challenge_features(bags)
    assert read.splits["all"]["file_id"][:] == ["00001", "00002"] and read.names == ("0", "1", "2")
    assert vectors(read.splits["all"]).tolist() == [[1, 2, 3], [4, 5, 6]]
    (bags / "00002.csv").write_text("4;5\n")
    with pytest.raises(TableError, match=r"00002\.csv, line 1: 2 features, where 3 has 3"):
        read_challenge_features(bags)


@pytest.mark.parametrize("size", [3, None])
@pytest.mark.parametrize("header", ["File_ID,a,b,c\n", ",a,b,c\n", "clip,a,b,c\n", ""])
def test_a_file_of_many_clips_names_each_in_its_first_column(header, size, tmp_path):
    folder = tmp_path / "openXBOW" / str(size) if size else tmp_path / "mine"
    folder.mkdir(parents=True)
    csv_files(folder, train=header + "[00003],3,3,3\n[00001],1,1,1\n", test=header + "[00002],2,2,2\n")
    read = read_challenge_features(folder)
    assert read.splits["all"]["file_id"][:] == ["00001", "00002", "00003"]
    assert vectors(read.splits["all"]).tolist() == [[1] * 3, [2] * 3, [3] * 3]
    csv_files(folder, more=header + "[00004],4,4,4\n00003.wav,5,5,5\n")
    with pytest.raises(CorpusError, match=r"more\.csv and .*train\.csv are both of the clip 00003"):
        read_challenge_features(folder)


def test_a_first_clip_is_never_taken_for_names(tmp_path):
    for number, first in enumerate(("[00001],1,nan,3", "[00001],,2,3")):
        folder = tmp_path / str(number) / "openXBOW" / "3"
        folder.mkdir(parents=True)
        csv_files(folder, train=f"{first}\n[00002],1,2,3\n")
        with pytest.raises(TableError, match=r"train\.csv, line 1, column [01]: '(nan)?' is not a finite number"):
            read_challenge_features(folder)


def test_what_opensmile_itself_writes_is_read_back(tmp_path):
    frame = smile("egemaps").process_signal(noise(), 16_000)
    frame.reset_index(drop=True).to_csv(tmp_path / "00001.csv", sep=";", index=False)
    frame.to_csv(tmp_path / "00002.csv")  # start and end in front
    read = read_challenge_features(tmp_path)
    assert read.names == tuple(frame.columns)
    np.testing.assert_array_equal(vectors(read.splits["all"]), np.repeat(frame.to_numpy(), 2, axis=0))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "line 1: no names of features; found: nothing"),
        ("name,frameTime\na,0\n", "line 1: no names of features; found: name, frameTime"),
        ("F0,F0\n1,2\n", "line 1: column 'F0' stands there 2 times"),
        ("F0,loudness\n", "0 rows below its header; a clip has one"),
        (
            "F0,loudness\n1,2\n3,4\n",
            "2 rows below its header, and no column in front that names the clip of each",
        ),
        ("F0,loudness\n1,2,\n", "line 2: 3 fields where the header has 2"),
        ("F0,loudness\n1,nan\n", "line 2, column loudness: 'nan' is not a finite number"),
        ("F0,loudness\n,2\n", "line 2, column F0: '' is not a finite number"),
        ("F0,loudness\n1,1e39\n", "line 2, column loudness: '1e39' is not a finite number"),
        ("F0,loudness\n1,high\n", "line 2, column loudness: 'high' is not a finite number"),
        ('F0,loudness\n1,"2\n', "not well-formed CSV"),
        ("F0,energy\n1,2\n", r'line 1: feature 2 is "energy", where .*00001\.csv has "loudness"'),
        ("F0\n1\n", r"line 1: 1 features, where .*00001\.csv has 2"),
    ],
)
def test_a_file_that_is_not_one_vector_is_named(content, error, tmp_path):
    csv_files(tmp_path, **{"00001": "F0,loudness\n1,2\n", "00002": content})
    with pytest.raises(TableError, match=rf"00002\.csv.*{error}"):
        read_challenge_features(tmp_path)


def test_a_file_that_is_no_text_or_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "00001.csv").write_bytes(b"F0\n\xff\n")
    with pytest.raises(TableError, match=r"00001\.csv: not UTF-8 text"):
        read_challenge_features(tmp_path)
    (tmp_path / "00001.csv").unlink()
    (tmp_path / "00001.csv").mkdir()
    with pytest.raises(TableError, match=r"00001\.csv: cannot be read: Is a directory"):
        read_challenge_features(tmp_path)


def test_a_folder_without_feature_files_is_named(tmp_path):
    with pytest.raises(CorpusError, match="nowhere: no such folder"):
        read_challenge_features(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match=r"holds no \.csv file$"):
        read_challenge_features(tmp_path)
    (tmp_path / "compare").mkdir()
    with pytest.raises(CorpusError, match=r"holds no \.csv file; it has folders: compare"):
        read_challenge_features(tmp_path)


def test_two_files_of_one_clip_are_refused(tmp_path):
    csv_files(tmp_path, **{"00001": "F0\n1\n", "[00001]": "F0\n1\n"})
    with pytest.raises(CorpusError, match=r"are both of the clip 00001"):
        read_challenge_features(tmp_path)
