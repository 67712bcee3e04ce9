"""benchmarks/svm.py writes a run of what scikit-learn makes of the same vectors, and learns of training clips alone."""

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from scipy.stats import pearsonr

from burst2vec.comparison.learning_curve import curves_of
from burst2vec.comparison.report import find_runs
from burst2vec.experiment.finished import read_predictions, read_run
from burst2vec.features import FEATURE_SETS, FeatureSet
from burst2vec.scoring import concordance_cc
from burst2vec.tasks import TASK_PRESETS, Task

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "svm.py"
KIND = Task("kind", "classification", ("gasp", "laugh", "sigh"), loss="cross_entropy", metric="uar")
LOUD = Task("loud", "regression", ("loud",), span=(0, 1), loss="ccc", metric="ccc")


@pytest.fixture(scope="module")
def svm():
    spec = importlib.util.spec_from_file_location("svm", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def clouds(speakers, seed, clips=12):
    """Three classes around three points, a little beside them for each speaker."""
    chance = np.random.default_rng(seed)
    classes = np.tile(np.arange(3), speakers * clips // 3)
    groups = np.repeat([f"s{speaker}" for speaker in range(speakers)], clips)
    beside = chance.normal(0, 0.3, (speakers, 4))
    points = np.eye(3, 4)[classes] * 2 + beside[np.repeat(np.arange(speakers), clips)]
    return (points + chance.normal(0, 0.8, points.shape)).astype(np.float32), classes, groups


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_probabilities_of_new_speakers_are_calibrated_and_a_regression_is_spread_as_its_labels(svm, kernel):
    vectors, classes, groups = clouds(12, seed=0)
    labels = {"kind": classes, "loud": (classes == 1).astype(np.float32)[:, None]}
    machine = svm.fit(svm.Settings(kernel, components=3), vectors, labels, KIND, groups)
    new, truth, _ = clouds(40, seed=1)
    answers = machine.predict(new, KIND)
    assert machine.c in svm.CHOICES_OF_C[kernel] and answers["kind"].shape == (480, 3)
    right = answers["kind"].argmax(axis=1) == truth
    assert right.mean() > 0.8 and abs(answers["kind"].max(axis=1).mean() - right.mean()) < 0.06
    loud = answers["loud"][:, 0]
    assert loud.std() == pytest.approx((truth == 1).std(), rel=0.1)
    unscaled = answers["kind"] @ machine.means["loud"][:, 0]
    assert concordance_cc(loud, truth == 1) > concordance_cc(unscaled, truth == 1)
    assert pearsonr(loud, unscaled).statistic == pytest.approx(1.0)


def test_a_class_without_a_training_clip_has_probability_zero(svm):
    vectors, classes, groups = clouds(6, seed=0)
    kept = classes != 0
    machine = svm.fit(svm.Settings("linear", 0), vectors[kept], {"kind": classes[kept]}, KIND, groups[kept])
    answers = machine.predict(vectors, KIND)["kind"]
    assert not answers[:, 0].any() and answers.sum(axis=1) == pytest.approx(1.0)


def test_it_ends_as_a_run_that_other_commands_read(svm, tmp_path, capsys):
    def vector(waveform):
        return np.array([np.std(waveform), np.abs(np.diff(waveform)).mean()], np.float32), ""

    chance = np.random.default_rng(0)
    (tmp_path / "clips").mkdir()
    for speaker in range(1, 7):
        for category in (1, 2, 3):
            sound = 0.1 * category * chance.normal(size=4_000)
            soundfile.write(tmp_path / "clips" / f"{speaker:06d}-{category:02d}-1.mp3", sound, 16_000, format="MP3")
    model = {"encoder": {"kind": "vector"}, "features": ["two"], "tasks": "emogator", "trunk": "identity"}
    recipe = {"data": {"corpus": "emogator"}, "model": model, "training": {"bf16": False}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    words = ["--data_dir", tmp_path / "clips", "--cache_dir", tmp_path / "cache", "--output_dir", tmp_path / "run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FEATURE_SETS, "two", FeatureSet(2, vector, lambda: ("a", "b"), lambda: {"test": 1}))
        asked = [tmp_path / "recipe.yaml", "--folds", "2", "--time_clips", "1", "--train_speakers", "3", *words]
        assert svm.main([str(word) for word in asked]) == 0, capsys.readouterr().err
    run = read_run(tmp_path / "run")
    file_ids, answers = read_predictions(run.predictions_file("validation"), TASK_PRESETS["emogator"])
    assert len(file_ids) == 6 and answers["category"].shape == (6, 30) and answers["emotion"].shape == (6, 9)
    record = run.record
    assert record.speakers == {"train": 3, "validation": 2} and record.clips["train"]["used"] == 9
    assert {"train_seconds", "megabytes", "milliseconds_per_clip"} == record.cost.keys()
    assert record.scores["validation"].keys() >= {"category_uar", "emotion_ccc"}
    (curve,) = curves_of(find_runs([tmp_path / "run"])[0])
    assert curve.name == "two: linear SVM of scikit-learn", "of two features no components are taken"
    assert str(tmp_path) not in json.dumps(record.to_dict())
    with run.predictions_file("validation").open() as table:
        assert next(csv.reader(table))[:2] == ["file_id", "emotion/Awe"]


def test_a_recipe_that_takes_waveforms_is_refused(svm, capsys):
    assert svm.main(["emogator/log_mel_cnn", "--data_dir", "."]) == 2
    assert "its model takes waveforms; give a recipe with features" in capsys.readouterr().err
