"""A run's record comes back as it was written, is written whole, and half of one is no finished run."""

import dataclasses
import json

import pytest

from burst2vec.errors import RunError
from burst2vec.experiment.publishing import publish
from burst2vec.experiment.run_record import RunRecord

RECORD = RunRecord(
    corpora=["synthetic"],
    recipe={"data": {}, "model": {}, "training": {}},
    preprocess=[{"name": "highpass"}],
    seed=7,
    steps=12,
    clips={"train": {"used": 100, "skipped": 1}},
    scores={"validation": {"age_mae": 3.5}},
    baseline={},
    constant={"age": [27.5]},
    versions={"burst2vec": "0.1.0"},
)


def test_a_record_comes_back_as_it_was_written(tmp_path):
    RECORD.write(tmp_path)
    assert RunRecord.read(tmp_path) == RECORD
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_what_a_run_did_not_find_is_left_out(tmp_path):
    said = dataclasses.replace(RECORD, constant=None).to_dict()
    assert "constant" not in said and "submissions" not in said and said["step_of_weights"] is None
    assert list(RECORD.to_dict()) == [
        *("corpora", "recipe", "preprocess", "features", "normalise_per_speaker", "seed", "steps", "step_of_weights"),
        *("clips", "scores", "baseline", "constant", "versions"),
    ]


def test_a_number_that_is_not_finite_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        dataclasses.replace(RECORD, scores={"validation": {"age_mae": float("nan")}}).write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_record_cut_off_anywhere_is_no_finished_run_and_the_file_is_named(tmp_path):
    RECORD.write(tmp_path)
    path = tmp_path / "metrics.json"
    whole = path.read_text()
    for length in range(0, len(whole) - 2, 7):  # without the last brace
        path.write_text(whole[:length])
        for read in (RunRecord.read, lambda folder: publish(folder, "someone/model")):
            with pytest.raises(RunError, match=f"{path} is not JSON, so its run does not count as finished"):
                read(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": None}, "'seed' is missing or not of type int"),
        ({"scores": [0.5]}, "'scores' is missing or not of type dict"),
        ({"constant": 3}, "'constant' is missing or not of type dict"),
        ({"versions": "1"}, "'versions' is missing or not of type dict"),
    ],
)
def test_a_record_of_something_else_is_refused_by_key(tmp_path, changes, message):
    (tmp_path / "metrics.json").write_text(json.dumps({**RECORD.to_dict(), **changes}))
    with pytest.raises(RunError, match=f"metrics.json is not a run's record: {message}; run it again"):
        RunRecord.read(tmp_path)


def test_records_of_older_and_newer_versions_are_read(tmp_path):
    older = {name: value for name, value in RECORD.to_dict().items() if name not in ("constant", "steps", "features")}
    (tmp_path / "metrics.json").write_text(json.dumps({**older, "a later version's": 1}))
    assert RunRecord.read(tmp_path) == dataclasses.replace(RECORD, constant=None, steps=None)


def test_a_discarded_record_leaves_an_unfinished_run(tmp_path):
    RECORD.write(tmp_path)
    RunRecord.discard(tmp_path)
    RunRecord.discard(tmp_path)
    with pytest.raises(RunError, match="holds no metrics.json: give the folder of a finished run"):
        RunRecord.read(tmp_path)
