"""Feature sets that learn from the training clips before they have values."""

import json

import numpy as np
import pytest

from burst2vec.data.clips import read_clip
from burst2vec.errors import CorpusError
from burst2vec.features import (
    FEATURE_FAMILIES,
    FEATURE_SETS,
    FeatureFamily,
    FeatureSet,
    extract_features,
    find_feature_set,
    fit_feature_set,
    fitted_file,
    folder_name,
    read_features,
    write_features,
)
from tests.features.made_clips import clips_of, noise, vectors


@pytest.fixture
def learning(counted, monkeypatch):
    """A family whose sets subtract the training clips' mean number of samples; and from which clips it learnt."""
    learnt_from = []

    def fit(argument, clips, folder):
        sizes = [read_clip(audio, "clip").size for audio in clips["audio"]]
        learnt_from.append(sizes)
        (folder / "mean.json").write_text(json.dumps(sum(sizes) / len(sizes)))

    def find(argument, folder):
        mean = json.loads((folder / "mean.json").read_text())
        return FeatureSet(
            1,
            lambda waveform: (np.array([float(argument) * (waveform.size - mean)], np.float32), ""),
            lambda: ("centred",),
            lambda: {"mean": mean},
        )

    family = FeatureFamily("FACTOR", find, lambda argument: f"centred-{argument}", fit, "mean.json")
    monkeypatch.setitem(FEATURE_FAMILIES, "centred", family)
    return learnt_from


def test_a_set_learns_from_the_training_clips_before_it_has_values(learning, tmp_path):
    dataset = clips_of(tmp_path / "wav", {"a": noise(400), "b": noise(600)})
    with pytest.raises(CorpusError, match=r"no folder is given; fit it with fit_feature_set\('centred:2', clips"):
        find_feature_set("centred:2")
    with pytest.raises(CorpusError, match="out holds no mean.json"):
        extract_features(dataset, "centred:2", fitted=tmp_path / "out")
    fit_feature_set("centred:2", dataset, tmp_path / "out")
    found = extract_features(dataset, "centred:2", fitted=tmp_path / "out")
    assert vectors(found).tolist() == [[-200], [200]]
    assert fitted_file("centred:2") == "mean.json" and folder_name("centred:2") == "centred-2"


def test_a_set_that_learns_nothing_writes_nothing(counted, monkeypatch, tmp_path):
    monkeypatch.setitem(
        FEATURE_FAMILIES, "same", FeatureFamily("NAME", FEATURE_SETS.get, lambda argument: f"same-{argument}")
    )
    for name in ("counted", "same:counted"):
        fit_feature_set(name, None, tmp_path / "out")
        assert not (tmp_path / "out").exists() and fitted_file(name) is None
    assert find_feature_set("same:counted") is FEATURE_SETS["counted"]


def test_tables_of_a_set_that_learns_hold_what_it_learnt_from_train_alone(learning, tmp_path):
    clips = {name: noise(samples) for name, samples in {"a": 400, "b": 600, "c": 900}.items()}
    dataset = clips_of(tmp_path / "wav", clips)
    corpus = {"train": dataset.select([0, 1]), "test": dataset.select([2])}
    with pytest.raises(CorpusError, match="centred:1 learns from training clips, and the corpus has no split train, o"):
        write_features({"test": corpus["test"]}, "centred:1", tmp_path)
    done = write_features(corpus, "centred:1", tmp_path)
    assert learning == [[400, 600]] and (done.folder / "mean.json").is_file()
    read = read_features(done.folder, tmp_path / "cache")
    assert vectors(read.splits["test"]).tolist() == [[400]] and read.feature_set == "centred-1"
    assert write_features({"test": corpus["test"]}, "centred:1", tmp_path).kept == 1
    assert len(learning) == 1
    (done.folder / "mean.json").unlink()  # lost: learnt again, and found to be the same
    assert write_features(corpus, "centred:1", tmp_path).kept == 3
    assert learning == [[400, 600]] * 2


def test_what_was_learnt_for_no_tables_is_learnt_anew(learning, tmp_path):
    dataset = clips_of(tmp_path / "wav", {"a": noise(400), "b": noise(600)})
    fit_feature_set("centred:1", dataset.select([0]), tmp_path / "centred-1")
    write_features({"train": dataset}, "centred:1", tmp_path)
    assert learning == [[400], [400, 600]]
    (tmp_path / "centred-2").mkdir()
    (tmp_path / "centred-2/notes.txt").write_text("mine")
    with pytest.raises(CorpusError, match="centred-2: is there, and holds no features.json"):
        write_features({"train": dataset}, "centred:2", tmp_path)
