"""The challenge's folder as it was handed out: either layout of its table, vectors without audio, blind test clips."""

import csv
import shutil

import numpy as np
import pytest

from burst2vec.data.corpora.synthetic import write_synthetic_corpus
from burst2vec.experiment.execute import execute
from burst2vec.experiment.recipes import parse_run
from burst2vec.scoring import validate_official_file
from burst2vec.tasks import AVB_TYPES
from tests.data.corpora_on_disk import AVB_COLUMNS, COLUMNS_16, rows_16, write_avb, write_vector

pytestmark = pytest.mark.slow  # whole runs

CLIPS = 60


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    """60 clips of 20 speakers: rows of data_info.csv without labels of test, and eGeMAPS vectors of all but one."""
    folder = write_synthetic_corpus(tmp_path_factory.mktemp("hume_vb") / "corpus", clips=CLIPS, speakers=20)
    shutil.rmtree(folder / "wav")
    with (folder / "data_info.csv").open() as table:
        header, *rows = csv.reader(table)
    rows = [[*row[:2], *[""] * (len(row) - 2)] if row[1] == "Test" else row for row in rows]
    asked = [row[0].strip("[]") for row in rows if row[1] == "Test"]
    chance = np.random.default_rng(0)
    (folder / "feats" / "eGeMAPS").mkdir(parents=True)
    for number in range(1, CLIPS + 1):
        if f"{number:05d}" != asked[3]:
            write_vector(folder / "feats" / "eGeMAPS" / f"[{number:05d}].csv", chance.normal(size=88), 88)
    return folder, header, rows, asked


@pytest.mark.parametrize(("columns", "recipe"), [(15, "egemaps"), (16, "compare_as_published_code")])
def test_a_shipped_baseline_runs_whole_and_submits_every_test_clip(handed_out, tmp_path, columns, recipe):
    folder, header, rows, asked = handed_out
    assert tuple(header) == (*COLUMNS_16[:4], *COLUMNS_16[5:])
    with (folder / "data_info.csv").open("w", newline="") as table:
        csv.writer(table).writerows([header, *rows] if columns == 15 else [COLUMNS_16, *rows_16(rows)])
    places = ["--data_dir", folder, "--features_dir", folder / "feats", "--cache_dir", tmp_path / "cache"]
    options = ["--features", "egemaps", "--output_dir", tmp_path / "run", "--num_train_epochs", "2"]
    record = execute(parse_run(list(map(str, [f"exvo_baselines/{recipe}", *places, *options]))))
    assert sum(count["used"] for count in record.clips.values()) == CLIPS - 1
    assert {"emotion_ccc", "country_uar", "age_mae", "s_mtl"} <= record.scores["validation"].keys()
    submission = tmp_path / "run" / "ExVo-Multi_burst2vec_1.csv"
    assert validate_official_file(submission, asked) == len(asked) > 10
    expected = {"file": submission.name, "clips": len(asked), "constant_baseline": [asked[3]], "without_row": 0}
    assert record.submissions == [expected]


def test_a_run_of_avbs_four_tasks_writes_all_four_files(handed_out, tmp_path):
    folder, _, rows, asked = handed_out
    chance = np.random.default_rng(1)
    tables = {}
    for name, columns in AVB_COLUMNS.items():
        said = [[AVB_TYPES[chance.integers(8)]] if name == "type" else chance.random(len(columns)) for _ in rows]
        blank = [""] * len(columns)
        tables[name] = [
            [*row[:2], *(blank if row[1] == "Test" else labels)] for row, labels in zip(rows, said, strict=True)
        ]
    write_avb(folder, tables)
    places = ["--data_dir", folder, "--features_dir", folder / "feats", "--cache_dir", tmp_path / "cache"]
    options = ["--output_dir", tmp_path / "run", "--num_train_epochs", "1", "--tasks", "avb"]
    record = execute(parse_run(list(map(str, ["avb_baselines/egemaps_high", *places, *options]))))
    forms = ["A-VB-High", "A-VB-Two", "A-VB-Culture", "A-VB-Type"]
    assert [written["file"] for written in record.submissions] == [f"{form}_burst2vec_1.csv" for form in forms]
    for written in record.submissions:
        assert validate_official_file(tmp_path / "run" / written["file"], asked) == len(asked)
        assert written["constant_baseline"] == [asked[3]]
    scores = record.scores["validation"]
    assert {"high_pearson", "two_pearson/Valence", "culture_pearson/Venezuela_Surprise", "type_war"} <= scores.keys()
    assert "| culture_pearson " in (tmp_path / "run" / "README.md").read_text()
    with (tmp_path / "run" / "predictions_test.csv").open(newline="") as table:
        predicted = {row["file_id"]: row for row in csv.DictReader(table)}
    with (tmp_path / "run" / "A-VB-Culture_burst2vec_1.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            if (clip := row["File_ID"].strip("[]")) in predicted:
                assert row["South Africa_Surprise"] == predicted[clip]["culture/South Africa_Surprise"]
                assert row["SouthAfrica_Sadness"] == predicted[clip]["culture/South Africa_Sadness"]
