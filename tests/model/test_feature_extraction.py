import numpy as np
import pytest
from transformers import Wav2Vec2FeatureExtractor

from burst2vec import Burst2VecFeatureExtractor
from burst2vec.errors import WaveformError
from burst2vec.waveforms import check_waveform, normalise_level, trim_quiet

EXTRACT = Burst2VecFeatureExtractor()


def rms(waveform):
    return np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))


def test_a_batch_is_padded_with_zeros_on_the_right():
    batch = EXTRACT([np.ones(400, "f"), -np.ones(700, "f")], sampling_rate=16000)
    assert batch["input_values"].shape == (2, 700) and batch["input_values"].dtype == np.float32
    assert batch["attention_mask"].sum(axis=1).tolist() == [400, 700]
    assert not batch["input_values"][0, 400:].any()


@pytest.mark.parametrize("gain", [1e-4, 1.0, 30.0])
def test_every_clip_comes_to_minus_three_decibels_unclipped(gain):
    clip = gain * np.sin(np.linspace(0, 900, 16000)).astype("f")
    clip[100] = 20 * gain  # a peak that a limiter would cut
    levelled = EXTRACT(clip, sampling_rate=16000)["input_values"][0]
    assert 20 * np.log10(rms(levelled)) == pytest.approx(-3.0, abs=1e-3)
    np.testing.assert_allclose(levelled / levelled[50], clip / clip[50], rtol=1e-4)
    assert levelled.max() > 1


def test_silence_stays_silence():
    assert not EXTRACT(np.zeros(800, "f"), sampling_rate=16000)["input_values"].any()
    assert np.isfinite(normalise_level(np.zeros(0, "f"))).all()


def test_no_level_leaves_the_clip_as_it_is():
    clip = np.linspace(-0.2, 0.3, 500, dtype="f")
    np.testing.assert_array_equal(Burst2VecFeatureExtractor(target_rms_dbfs=None)(clip)["input_values"][0], clip)


def test_unit_variance_is_that_of_transformers_clip_by_clip_and_leaves_silence_silent(tmp_path):
    Burst2VecFeatureExtractor(target_rms_dbfs="unit variance").save_pretrained(tmp_path)
    extract = Burst2VecFeatureExtractor.from_pretrained(tmp_path)
    clips = [2 + np.random.default_rng(0).normal(size=length).astype("f") for length in (500, 900)]
    batch = extract([*clips, np.zeros(400, "f")], sampling_rate=16000)["input_values"]
    theirs = Wav2Vec2FeatureExtractor(do_normalize=True)
    for row, clip in zip(batch, clips, strict=False):
        expected = theirs(clip, sampling_rate=16000)["input_values"][0]
        np.testing.assert_allclose(row[: clip.size], expected, atol=1e-5)
    assert not batch[0, 500:].any() and not batch[2].any()


def test_peak_divides_each_clip_by_its_greatest_absolute_sample_and_leaves_silence_silent():
    clips = [np.linspace(-0.5, 0.2, 500, dtype="f"), np.full(400, 1e-39, "f"), np.zeros(600, "f")]
    batch = Burst2VecFeatureExtractor(target_rms_dbfs="peak")(clips, sampling_rate=16000)["input_values"]
    np.testing.assert_allclose(batch[0, :500], clips[0] / 0.5, rtol=1e-6)
    np.testing.assert_allclose(batch[1, :400], 1.0)
    assert not batch[2].any()


def test_a_clip_is_cut_to_what_is_loud_and_a_tenth_of_a_second_around_it():
    """100 ms of amplitude 1 after 1 s of 0.01 (-40 dB) and before 1 s of 0.001 (-60 dB)."""
    amplitudes = np.repeat(np.array([0.01, 1.0, 0.001], "f"), [16_000, 1_600, 16_000])
    clip = amplitudes * np.tile(np.array([1, -1], "f"), amplitudes.size // 2)
    for below_db, start, end in ((39.0, 14_400, 19_200), (41.0, 0, 19_200), (61.0, 0, 33_600), (None, 0, 33_600)):
        extract = Burst2VecFeatureExtractor(target_rms_dbfs=None, trim_below_db=below_db)
        np.testing.assert_array_equal(extract(clip)["input_values"][0], clip[start:end])
        np.testing.assert_array_equal(extract(clip + 2)["input_values"][0], (clip + 2)[start:end])  # an offset
    levelled = Burst2VecFeatureExtractor(target_rms_dbfs=-20, trim_below_db=39.0)(clip)["input_values"][0]
    assert np.square(levelled).mean() == pytest.approx(0.01)  # the level is of what is left


@pytest.mark.parametrize("size", [400, 401, 719, 2_001])
def test_nothing_is_cut_that_leaves_less_than_a_burst_has(size):
    for loud in (0, size - 1):
        clip = np.zeros(size, "f")
        clip[loud] = 1.0
        assert trim_quiet(clip, 1e-3).size >= min(size, 1_600)
    assert trim_quiet(np.zeros(size, "f"), 40.0).size == size


def test_integers_are_scaled_by_their_range():
    assert check_waveform(np.full(400, -32768, dtype=np.int16))[0] == -1.0


def test_a_plain_list_of_numbers_is_one_clip():
    assert EXTRACT([0.1] * 500, sampling_rate=16000)["input_values"].shape == (1, 500)


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (np.zeros(0, "f"), "clip 1: 0 samples"),
        (np.zeros(1, "f"), "clip 1: 1 samples"),
        (np.zeros(399, "f"), r"clip 1: 399 samples at 16000 Hz; a burst has 400 \(25 ms\) to 960000 \(60 s\)"),
        (np.zeros(960_001, "f"), "clip 1: 960001 samples"),
        (np.zeros((2, 800), "f"), r"clip 1: expected one channel .* got shape \(2, 800\)"),
        (np.full(800, np.nan, "f"), "clip 1: sample 0 is nan"),
        (np.r_[np.zeros(500), np.inf, np.zeros(500)], "clip 1: sample 500 is inf"),
        (np.zeros(800, complex), "clip 1: expected real samples, got complex128"),
        (np.array(["a"] * 800), "clip 1: expected real samples"),
    ],
)
def test_what_cannot_be_a_burst_is_refused_by_name_in_a_batch_too(clip, message):
    with pytest.raises(WaveformError, match=message):
        EXTRACT([np.ones(800, "f"), clip], sampling_rate=16000)


def test_another_rate_is_refused_with_the_call_that_mends_it():
    with pytest.raises(ValueError, match="44100 Hz and the model takes 16000 Hz.*load_audio"):
        EXTRACT(np.ones(800, "f"), sampling_rate=44100)


def test_vectors_pass_as_they_are_without_mask_or_level():
    extractor = Burst2VecFeatureExtractor(features=["mine"], feature_size=2)
    for given in ([1.0, -2.0], [[1.0, -2.0], np.array([3.0, 4.0])]):
        batch = extractor(given, return_tensors="pt")
        assert set(batch) == {"input_values"} and batch["input_values"][0].tolist() == [1.0, -2.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros(8000, "f"), r"laugh: has shape \(8000,\), and the model takes vectors of 2 numbers, of \['mine'\]"),
        ([1.0, float("nan")], "laugh: value 1 is nan"),
    ],
)
def test_what_is_no_vector_of_the_models_size_is_refused_by_name(given, message):
    extractor = Burst2VecFeatureExtractor(features=["mine"], feature_size=2)
    with pytest.raises(WaveformError, match=message):
        extractor(given, names=["laugh"])


def test_what_the_model_takes_comes_back_from_disk(tmp_path):
    Burst2VecFeatureExtractor(features=["a", "b"], feature_size=5, normalise_per_speaker=True).save_pretrained(tmp_path)
    again = Burst2VecFeatureExtractor.from_pretrained(tmp_path)
    assert (again.features, again.feature_size, again.normalise_per_speaker) == (["a", "b"], 5, True)


def test_an_extractor_saved_with_the_old_name_of_its_level_is_refused_and_not_levelled_otherwise(tmp_path):
    Burst2VecFeatureExtractor(target_rms_dbfs=-20.0).save_pretrained(tmp_path)
    saved = tmp_path / "preprocessor_config.json"
    saved.write_text(saved.read_text().replace('"target_rms_dbfs"', '"level_dbfs"'))
    with pytest.raises(
        ValueError, match="^level_dbfs -20.0: its name is target_rms_dbfs now; rename it in the model's"
    ):
        Burst2VecFeatureExtractor.from_pretrained(tmp_path)
