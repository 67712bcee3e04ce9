"""A folder of clips that nothing is learnt from: labels may be missing, and no clip is left out."""

import math

import pytest

from burst2vec.errors import CorpusError, TableError
from tests.data.corpora.folders_of_clips import AGE, CALL, HEADER, MOOD, ROWS, ids, load, with_field, write_folder
from tests.data.corpora_on_disk import write_wav


def test_clips_to_predict_need_no_labels_and_are_one_split(tmp_path):
    folder = write_folder(tmp_path / "mine", [row[:2] for row in ROWS], HEADER[:2])
    with pytest.raises(TableError, match="no column for any of the tasks mood"):
        load(folder)
    corpus = load(folder, for_prediction=True)
    assert ids(corpus) == {"test": ["a", "b", "c"]} and corpus["test"]["speaker"][:] == ["A", "A", "B"]
    assert corpus["test"]["call"][:] == [-1] * 3 and all(map(math.isnan, corpus["test"]["age"][:]))
    assert ids(load(folder, for_prediction=True, splits={"validation": ["B"]})) == {"validation": ["c"]}


def test_clips_to_predict_keep_the_labels_and_splits_that_there_are(tmp_path):
    folder = write_folder(tmp_path / "mine")
    learnt, predicted = load(folder), load(folder, for_prediction=True)
    assert ids(predicted) == ids(learnt) and str(predicted["train"][:]) == str(learnt["train"][:])
    write_folder(folder, with_field("age", "old"))
    with pytest.raises(TableError, match="line 2, column age: 'old'"):
        load(folder, for_prediction=True)


def test_columns_that_clips_to_predict_do_not_have_are_said_and_a_file_column_is_needed(tmp_path, caplog):
    folder = write_folder(tmp_path / "mine", [["a.wav", "0.5"]], ["file", "dread"])
    columns = {"age": "years", "split": "part", "mood": {"Awe": "wonder", "Fear": "dread"}}
    with pytest.raises(TableError, match="no column 'part' for split"):
        load(folder, columns=columns)
    corpus = load(folder, columns=columns, for_prediction=True)
    assert corpus["test"]["mood"][0][1] == 0.5 and math.isnan(corpus["test"]["mood"][0][0])
    assert "has no columns years, part, wonder; its clips are predicted without" in caplog.text
    with pytest.raises(TableError, match="no column 'clip' for file"):
        load(folder, columns={"file": "clip"}, for_prediction=True)


def test_a_folder_of_clips_alone_is_predicted_unless_a_folder_names_a_class(tmp_path):
    for name in ("one.wav", "deeper/still/two.wav"):
        write_wav(tmp_path / "clips" / name)
    with pytest.raises(CorpusError, match="is in no folder of a class"):
        load(tmp_path / "clips", [CALL])
    for tasks in ([CALL], [MOOD, AGE]):
        corpus = load(tmp_path / "clips", tasks, for_prediction=True)
        assert ids(corpus) == {"test": ["deeper/still/two", "one"]}
    write_wav(tmp_path / "clips" / "laugh" / "three.wav")
    with pytest.raises(CorpusError, match="is in no folder of a class"):
        load(tmp_path / "clips", [CALL], for_prediction=True)
    write_wav(tmp_path / "split" / "test" / "four.wav")
    assert ids(load(tmp_path / "split", [CALL], for_prediction=True)) == {"test": ["test/four"]}
    write_wav(tmp_path / "split" / "five.wav")
    with pytest.raises(CorpusError, match="five.wav: lies beside the folders of splits"):
        load(tmp_path / "split", [CALL], for_prediction=True)
