"""Functionals of a clip: openSMILE's own numbers, and every value that had to be mended is told."""

import builtins

import numpy as np
import opensmile
import pytest
from datasets import Dataset

from burst2vec.errors import CorpusError
from burst2vec.features import FEATURE_SETS, extract_features, extraction, functionals
from tests.data.corpora_on_disk import EMOGATOR
from tests.features.made_clips import STANDARDS, clips_of, five, noise, smile, vectors


@pytest.mark.parametrize("feature_set", STANDARDS)
def test_the_values_are_those_of_opensmile_bit_for_bit(feature_set, tmp_path):
    waveforms = {"noise": noise(8_000), "short": noise(960), "silent": np.zeros(4_000, np.float32)}
    found = extract_features(clips_of(tmp_path, waveforms), feature_set, num_proc=2)
    assert found["file_id"][:] == list(waveforms) and found["note"][:] == [""] * 3
    expected = np.concatenate(
        [smile(feature_set).process_signal(clip, 16_000).to_numpy() for clip in waveforms.values()]
    )
    np.testing.assert_array_equal(vectors(found), expected)
    assert np.isfinite(expected).all() and expected.shape[1] == FEATURE_SETS[feature_set].size
    assert FEATURE_SETS[feature_set].names() == tuple(smile(feature_set).feature_names)
    assert (
        found.features["features"].length == expected.shape[1] and found.features["features"].feature.dtype == "float32"
    )


@pytest.mark.parametrize("standard", [functionals.COMPARE, functionals.EGEMAPS])
def test_960_samples_are_the_least_that_opensmile_takes(standard):
    extractor = opensmile.Smile(opensmile.FeatureSet[standard], opensmile.FeatureLevel.Functionals)
    assert np.isfinite(extractor.process_signal(noise(960), 16_000)).all(axis=None)
    with pytest.warns(UserWarning, match="too short"):
        assert np.isnan(extractor.process_signal(noise(959), 16_000)).all(axis=None)


def test_a_clip_that_is_too_short_is_padded_at_its_end_and_noted():
    vector, note = functionals.functionals(noise(400), functionals.EGEMAPS)
    padded = np.concatenate([noise(400), np.zeros(560, np.float32)])
    np.testing.assert_array_equal(vector, smile("egemaps").process_signal(padded, 16_000).to_numpy()[0])
    assert note == "padded to 960 samples"


def test_samples_beyond_full_scale_are_clipped_and_not_wrapped_around():
    loud = noise()
    loud[[100, 200, 300]] = 1.2, 1.0, -1.5
    vector, note = functionals.functionals(loud, functionals.EGEMAPS)
    clipped = loud.copy()
    clipped[[100, 200, 300]] = 32767 / 32768, 32767 / 32768, -1
    np.testing.assert_array_equal(vector, smile("egemaps").process_signal(clipped, 16_000).to_numpy()[0])
    assert note == "clipped at full scale" and loud[100] == np.float32(1.2)
    assert functionals.functionals(clipped, functionals.EGEMAPS)[1] == ""


class Broken:
    """In place of openSMILE: a frame with the given values."""

    def __init__(self, *values):
        self.values = np.array([values], np.float32)

    def process_signal(self, waveform, rate):
        return self

    def to_numpy(self, dtype):
        return self.values.astype(dtype)


def test_values_that_are_not_finite_become_0_and_are_noted(monkeypatch):
    monkeypatch.setattr("burst2vec.features.smile.smile", lambda standard, level: Broken(1.0, np.inf, np.nan))
    vector, note = functionals.functionals(noise(400), functionals.EGEMAPS)
    assert vector.tolist() == [1, 0, 0] and vector.dtype == np.float32
    assert note == "padded to 960 samples, values not finite set to 0"


def test_a_clip_without_any_finite_value_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("burst2vec.features.smile.smile", lambda standard, level: Broken(np.nan, np.nan))
    monkeypatch.setattr(extraction.functionals, "made_by", lambda standard: {})
    dataset = clips_of(tmp_path, {"odd": noise()})
    with pytest.raises(CorpusError, match="odd: openSMILE's eGeMAPSv02 has no finite value of 4000 samples"):
        extraction._extract(dataset[0]["file_id"], dataset[0]["audio"], FEATURE_SETS["egemaps"].vector, 88)


def test_without_opensmile_the_error_says_what_to_install(monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *arguments, **settings):
        if name == "opensmile":
            raise ImportError(name)
        return real(name, *arguments, **settings)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'burst2vec\[features\]'"):
        extract_features(five(tmp_path), "egemaps")


@pytest.mark.emogator
@pytest.mark.skipif(not (EMOGATOR / "data/mp3").is_dir(), reason="EmoGator is not there; name it in $EMOGATOR_DIR")
def test_real_bursts_have_finite_vectors(tmp_path):
    paths = sorted((EMOGATOR / "data/mp3").glob("*.mp3"))[::700]
    audio = [{"bytes": None, "path": str(path)} for path in paths]
    dataset = Dataset.from_dict({"file_id": [path.stem for path in paths], "audio": audio})
    for feature_set in FEATURE_SETS:
        found = extract_features(dataset, feature_set, num_proc=2)
        assert np.isfinite(vectors(found)).all()
        assert not any("finite" in note for note in found["note"])
