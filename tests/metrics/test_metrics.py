"""The evaluate modules: every folder loads by its name, offline, and gives the numbers of burst2vec.scoring."""

import doctest
from pathlib import Path

import evaluate
import numpy as np
import pytest

from burst2vec.scoring import concordance_cc, mean_absolute_error, pearson_correlation, s_mtl, unweighted_average_recall

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path for path in (ROOT / "metrics").glob("*") if path.is_dir() and path.name != "__pycache__")
RAGGED = (slice(0, 1), slice(1, 8), slice(8, 10), slice(10, 29))


@pytest.fixture(autouse=True)
def at_the_root_with_a_cache_of_its_own(monkeypatch, tmp_path):
    """Load names are relative to the repository, as its readers type them."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("evaluate.config.HF_METRICS_CACHE", str(tmp_path))


def multitask_batch(seed=0, n=29):
    random = np.random.default_rng(seed)
    emotions = random.uniform(size=(n, 10))
    countries = random.permutation(np.arange(n) % 4)
    batch = {
        "predictions": np.clip(emotions + random.normal(size=(n, 10)) / 5, 0, 1),
        "references": emotions,
        "age_predictions": random.uniform(20, 39, size=n),
        "age_references": random.uniform(20, 39, size=n),
        "country_predictions": np.eye(4)[countries] + random.uniform(size=(n, 4)),
        "country_references": countries,
    }
    batch["references"][3, 2] = batch["age_references"][5] = np.nan
    batch["country_references"][7] = -1
    return batch


def expected_of(batch):
    ccc = concordance_cc(batch["predictions"], batch["references"])
    uar = unweighted_average_recall(batch["country_predictions"], batch["country_references"])
    mae = mean_absolute_error(batch["age_predictions"], batch["age_references"])
    return {"s_mtl": s_mtl(ccc, uar, mae), "ccc": ccc, "uar": uar, "mae": mae}


def test_there_are_metrics():
    assert {"ccc", "pearson", "s_mtl"} <= {folder.name for folder in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_metric_is_one_folder_one_file_one_name_and_a_card(folder):
    assert (folder / f"{folder.name}.py").is_file() and (folder / "README.md").is_file()
    metric = evaluate.load(f"metrics/{folder.name}")
    assert metric.name == folder.name
    assert metric.description.strip() and metric.citation.strip() and metric.inputs_description.strip()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_calls_of_the_card_and_of_the_docstring_are_true(folder):
    failed, tried = doctest.testfile(str(folder / "README.md"), module_relative=False)
    assert tried and not failed
    example = doctest.DocTestParser().get_doctest(
        evaluate.load(f"metrics/{folder.name}").inputs_description, {"evaluate": evaluate}, folder.name, None, None
    )
    assert doctest.DocTestRunner().run(example).failed == 0 and example.examples


@pytest.mark.parametrize(("name", "score"), [("ccc", concordance_cc), ("pearson", pearson_correlation)])
@pytest.mark.parametrize("shape", [(29,), (29, 3)])
def test_ccc_and_pearson_equal_scoring_at_once_and_in_ragged_batches(name, score, shape):
    predictions, references = np.random.default_rng(0).uniform(size=(2, *shape))
    references[4] = np.nan
    metric = evaluate.load(f"metrics/{name}")
    expected = {name: score(predictions, references)}
    assert metric.compute(predictions=predictions, references=references) == expected
    for rows in RAGGED:
        metric.add_batch(predictions=predictions[rows], references=references[rows])
    assert metric.compute() == expected


def test_ccc_takes_one_clip_at_a_time_and_none_for_missing():
    ccc = evaluate.load("metrics/ccc")
    for prediction, reference in ((1.0, 2.0), (9.0, None), (2.0, 3.0), (3.0, 4.0)):
        ccc.add(prediction=prediction, reference=reference)
    assert ccc.compute()["ccc"] == pytest.approx(4 / 7)


def test_s_mtl_equals_scoring_at_once_and_in_ragged_batches():
    batch = multitask_batch()
    metric = evaluate.load("metrics/s_mtl")
    assert metric.compute(**batch) == expected_of(batch)
    for rows in RAGGED:
        metric.add_batch(**{name: values[rows] for name, values in batch.items()})
    assert metric.compute() == expected_of(batch)


def test_s_mtl_takes_class_indices_as_well_as_probabilities():
    batch = multitask_batch()
    indices = {**batch, "country_predictions": batch["country_predictions"].argmax(axis=1)}
    assert evaluate.load("metrics/s_mtl").compute(**indices) == expected_of(batch)


def test_combined_metrics_share_their_batches():
    batch = multitask_batch()
    both = evaluate.combine(["metrics/ccc", "metrics/s_mtl"])
    for rows in RAGGED:
        both.add_batch(**{name: values[rows] for name, values in batch.items()})
    expected = expected_of(batch)
    assert both.compute() == {
        "ccc_ccc": expected["ccc"],
        "s_mtl": expected["s_mtl"],
        "s_mtl_ccc": expected["ccc"],
        "uar": expected["uar"],
        "mae": expected["mae"],
    }


def test_a_prediction_that_is_not_a_number_is_refused_by_row():
    with pytest.raises(ValueError, match="row 1: the prediction is nan"):
        evaluate.load("metrics/ccc").compute(predictions=[0.1, float("nan")], references=[0.1, 0.2])
