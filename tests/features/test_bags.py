"""Bags of audio words: counts by a naive loop and by hand, codebooks that repeat, files refused by name."""

import json
import re

import numpy as np
import opensmile
import pytest
from safetensors.numpy import load_file, save_file

from burst2vec.errors import CorpusError
from burst2vec.features import (
    bags,
    extract_features,
    find_feature_set,
    fit_feature_set,
    folder_name,
    read_features,
    write_features,
)
from burst2vec.features.bags import (
    DESCRIPTORS,
    Codebook,
    bag_of_audio_words,
    choose_clips,
    count_words,
    describe_frames,
    fit_codebook,
    read_codebook,
    write_codebook,
)
from tests.features.made_clips import clips_of, noise


def burst(seed, samples=4_000):
    """A tone that swells and dies, in noise: its frames differ."""
    time = np.arange(samples) / 16_000
    tone = np.sin(2 * np.pi * (150 + 40 * seed) * time * (1 + time)) * np.sin(np.pi * time / time[-1]) ** 2
    return (0.3 * tone).astype(np.float32) + noise(samples, seed, 0.01)


@pytest.fixture(scope="module")
def learnt():
    return fit_codebook([burst(0), burst(1)], 12)


@pytest.fixture
def frames_given(monkeypatch):
    """In place of openSMILE: a clip's frames are what the test says; a clip is its number, as one sample."""

    def give(*clips):
        monkeypatch.setattr(bags, "describe_frames", lambda clip: (clips[int(clip[0])], ""))
        return [np.array([clip], np.float32) for clip in range(len(clips))]

    return give


def random_frames(number, seed=0):
    return np.random.default_rng(seed).normal(size=(number, DESCRIPTORS)).astype(np.float32)


# Descriptors


def smile(level):
    return opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel[level])


def test_a_frame_is_opensmiles_65_descriptors_and_their_65_deltas():
    frames, note = describe_frames(burst(0))
    low_level = smile("LowLevelDescriptors").process_signal(burst(0), 16_000).to_numpy()
    deltas = smile("LowLevelDescriptors_Deltas").process_signal(burst(0), 16_000).to_numpy()
    assert (frames.dtype, note, DESCRIPTORS) == (np.float32, "", 130)
    np.testing.assert_array_equal(frames, np.concatenate([low_level, deltas[:-2]], axis=1))


def test_a_delta_stands_beside_the_frame_that_it_is_of():
    """Outside the six descriptors of voiced stretches, it is the regression over two frames on either side."""
    frames, _ = describe_frames(burst(0))
    low_level, deltas = frames[:, 6:65].astype(np.float64), frames[2:-2, 71:]
    slope = (low_level[3:-1] - low_level[1:-3] + 2 * (low_level[4:] - low_level[:-4])) / 10
    np.testing.assert_allclose(deltas, slope, atol=1e-4 * np.abs(low_level).max(axis=0).max(), rtol=1e-3)


def test_a_clip_that_is_too_short_or_too_loud_is_mended_and_noted():
    frames, note = describe_frames(noise(400))
    assert note == "padded to 960 samples" and np.isfinite(frames).all() and frames.shape == (2, DESCRIPTORS)
    loud, clipped = burst(0), burst(0)
    loud[[100, 200]] = 1.0, -1.5
    clipped[[100, 200]] = 32767 / 32768, -1
    frames, note = describe_frames(loud)
    np.testing.assert_array_equal(frames, describe_frames(clipped)[0])
    assert note == "clipped at full scale" and loud[100] == 1


class Broken:
    """In place of openSMILE: two frames of the given value, and one frame that is sound."""

    def __init__(self, value, sound=1.0):
        self.frames = np.array([[value] * 65, [value] * 65, [sound] * 65])

    def process_signal(self, waveform, rate):
        return self

    def to_numpy(self, dtype):
        return self.frames.astype(dtype)


def test_values_that_are_not_finite_become_0_and_are_noted(monkeypatch):
    monkeypatch.setattr("burst2vec.features.smile.smile", lambda standard, level: Broken(np.nan))
    frames, note = describe_frames(noise())
    assert frames[:, 0].tolist() == [0, 0, 1] and note == "values not finite set to 0"


def test_a_clip_without_a_finite_value_is_refused(monkeypatch):
    monkeypatch.setattr("burst2vec.features.smile.smile", lambda standard, level: Broken(np.nan, np.inf))
    with pytest.raises(CorpusError, match="no finite value of 4000 samples"):
        describe_frames(noise())


# Counting


def test_three_frames_and_two_words_by_hand():
    """Squared distances (1, 5), (4.25, 1.25) and (8, 0): one frame is nearest to the first word, two to the second."""
    words = np.array([[0.0, 0.0], [2.0, 2.0]])
    frames = np.array([[1.0, 0.0], [2.0, 0.5], [2.0, 2.0]])
    distances = [[1, 5], [4.25, 2.25], [8, 0]]
    np.testing.assert_array_equal(((frames[:, None] - words) ** 2).sum(axis=-1), distances)
    assert count_words(frames, words, assignments=1).tolist() == [1, 2]


def test_the_bag_is_lg_of_the_count_and_one(frames_given):
    """Nine frames at the first word and none at the second, of eleven words of which ten count: lg 10 = 1, lg 1 = 0."""
    words = np.zeros((11, DESCRIPTORS), np.float32)
    words[:, 0] = np.arange(11)
    (clip,) = frames_given(np.tile(2 * words[0] + 3, (9, 1)))  # mean 3 and deviation 2 make it the first word
    codebook = Codebook(words, np.full(DESCRIPTORS, 3, np.float32), np.full(DESCRIPTORS, 2, np.float32), "random", 0)
    vector, note = bag_of_audio_words(clip, codebook)
    assert vector.tolist() == [1.0] * 10 + [0.0] and (vector.dtype, note) == (np.float32, "")


@pytest.mark.parametrize("assignments", [1, 3, 10, 20])
def test_counts_are_those_of_a_naive_loop(assignments):
    frames, words = random_frames(40), random_frames(20, seed=1)
    expected = np.zeros(20, int)
    for frame in frames:
        distances = [float(np.linalg.norm(frame.astype(float) - word)) for word in words]
        for word in sorted(range(20), key=distances.__getitem__)[:assignments]:
            expected[word] += 1
    found = count_words(frames, words, assignments)
    np.testing.assert_array_equal(found, expected)
    assert found.sum() == 40 * assignments


def test_frames_far_from_all_words_do_not_lose_the_nearest_to_rounding():
    words = np.array([[1e-3, 0.0], [0.0, 0.0]])
    assert count_words(np.array([[3e4, 3e4]], np.float32), words, assignments=1).tolist() == [1, 0]


@pytest.mark.parametrize("assignments", [0, 3])
def test_a_frame_cannot_count_for_no_word_or_for_more_than_there_are(assignments):
    with pytest.raises(ValueError, match=f"assignments is {assignments}; a frame counts for 1 to 2 words"):
        count_words(np.zeros((1, 1)), np.zeros((2, 1)), assignments)


# Fitting


def test_mean_and_deviation_are_those_of_all_frames(frames_given):
    first, second = 5 + 3 * random_frames(30), 9 + random_frames(50, seed=1)
    codebook = fit_codebook(frames_given(first, second), 12)
    frames = np.concatenate([first, second]).astype(np.float64)
    np.testing.assert_allclose(codebook.mean, frames.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(codebook.deviation, frames.std(axis=0, ddof=1), rtol=1e-6)


@pytest.mark.parametrize("method", bags.METHODS)
def test_words_are_distinct_training_frames_standardised(method, frames_given):
    frames = random_frames(60)
    codebook = fit_codebook(frames_given(frames, np.zeros((40, DESCRIPTORS), np.float32)), 50, method=method)
    assert len(np.unique(codebook.words, axis=0)) == 50 and codebook.words.dtype == np.float32
    known = (np.concatenate([frames, np.zeros((1, DESCRIPTORS))]) - codebook.mean) / codebook.deviation
    distances = np.abs(codebook.words[:, None] - known).max(axis=-1).min(axis=1)
    assert distances.max() < 1e-5


def test_random_plus_plus_finds_a_few_frames_far_from_the_many_and_random_does_not(frames_given):
    many, few = 0.01 * random_frames(2_000), 50 + random_frames(10, seed=1)
    clips = frames_given(many, few)
    far = {method: (fit_codebook(clips, 10, method=method).words[:, 0] > 1).sum() for method in ("random", "random++")}
    assert far["random"] == 0 and far["random++"] >= 5


@pytest.mark.parametrize("method", bags.METHODS)
def test_a_seed_gives_one_codebook_and_another_gives_another(method, frames_given):
    clips = frames_given(random_frames(50), random_frames(50, seed=1))
    first, again, other = (fit_codebook(clips, 10, seed, method) for seed in (3, 3, 4))
    assert first.digest() == again.digest() != other.digest()
    assert (first.method, first.seed) == (method, 3)


def test_of_many_frames_a_bounded_number_is_kept_each_as_likely_as_any_other(frames_given, monkeypatch):
    monkeypatch.setattr(bags, "MOST_FRAMES", 40)
    clips = [np.full((20, DESCRIPTORS), 1, np.float32) * (20 * clip + np.arange(20)[:, None]) for clip in range(20)]
    drawn = []
    for seed in range(20):
        codebook = fit_codebook(frames_given(*clips), 40, seed)
        drawn.append(np.round(codebook.words[:, 0] * codebook.deviation[0] + codebook.mean[0]))
    times = np.bincount(np.concatenate(drawn).astype(int), minlength=400)
    assert times.sum() == 800 and times.max() < 10  # 2 each, of 20 draws of 40 of 400
    assert np.abs(times.reshape(4, 100).sum(axis=1) - 200).max() < 50  # early clips as often as late


def test_a_descriptor_that_never_varies_is_centred_and_not_scaled(frames_given):
    frames = random_frames(40)
    frames[:, 7] = 1 / 3
    frames[:, 8] = 0
    codebook = fit_codebook(frames_given(frames), 10)
    assert codebook.deviation[7] == codebook.deviation[8] == 1
    assert np.abs(codebook.words[:, 7:9]).max() < 1e-6


def test_too_few_frames_are_refused_with_their_number(frames_given):
    silent = np.zeros((500, DESCRIPTORS), np.float32)
    with pytest.raises(CorpusError, match="2 clips have 13 distinct frames, too few for a codebook of 14 words"):
        fit_codebook(frames_given(silent, random_frames(12)), 14)
    with pytest.raises(CorpusError, match="there are no clips to fit a codebook on"):
        fit_codebook([], 14)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="size is 9; a frame counts for 10 words"):
        fit_codebook([], 9)
    with pytest.raises(ValueError, match=r"method is 'kmeans'; known: random, random\+\+"):
        fit_codebook([], 10, method="kmeans")


def test_all_speakers_are_alike():
    speakers = ["A"] * 90 + ["B"] * 6 + ["C"] * 4
    rows = choose_clips(speakers, most=12)
    assert [[speakers[row] for row in rows].count(speaker) for speaker in "ABC"] == [4, 4, 4]
    assert [[speakers[row] for row in choose_clips(speakers, 20)].count(each) for each in "ABC"] == [10, 6, 4]
    assert choose_clips(speakers, most=1_000).tolist() == list(range(100))
    assert choose_clips(speakers, 12, seed=1).tolist() != rows.tolist() == choose_clips(speakers, 12).tolist()


# Files


def test_a_codebook_is_read_as_it_was_written(learnt, tmp_path):
    write_codebook(learnt, tmp_path / "codebook.safetensors")
    read = read_codebook(tmp_path / "codebook.safetensors")
    for name in ("words", "mean", "deviation"):
        np.testing.assert_array_equal(getattr(read, name), getattr(learnt, name))
    assert (read.method, read.seed, read.digest()) == (learnt.method, learnt.seed, learnt.digest())
    assert [path.name for path in tmp_path.iterdir()] == ["codebook.safetensors"]


@pytest.mark.parametrize("name", ["words", "mean", "deviation"])
def test_the_digest_tells_every_value(name, learnt):
    changed = getattr(learnt, name).copy()
    changed.flat[5] += 1e-3
    assert learnt._replace(**{name: changed}).digest() != learnt.digest()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda tensors, about: tensors.pop("mean"), r"holds \{.*\}, a codebook"),
        (lambda tensors, about: tensors.update(more=np.zeros(3)), r"holds \{.*more.*\}, a codebook"),
        (lambda tensors, about: tensors.pop("words"), r"holds \{.*\}, a codebook"),
        (lambda tensors, about: tensors.update(words=tensors["words"][:, :65]), r"holds .*\(12, 65\).*, a codebook"),
        (lambda tensors, about: tensors["deviation"].fill(0), "deviations above 0"),
        (lambda tensors, about: tensors["words"].fill(np.nan), "must be finite"),
        (lambda tensors, about: about.update(version=0), "says of itself .*not that it is a codebook of version 1"),
        (lambda tensors, about: about.update(method="kmeans"), "says of itself"),
    ],
)
def test_a_file_that_is_no_codebook_is_refused_by_name(change, error, learnt, tmp_path):
    write_codebook(learnt, tmp_path / "good")
    tensors, about = load_file(tmp_path / "good"), {"version": 1, "method": "random", "seed": 0}
    change(tensors, about)
    save_file(tensors, tmp_path / "bad", {"bag_of_audio_words": json.dumps(about)})
    with pytest.raises(CorpusError, match=f"bad: .*{error}.*fit the codebook again"):
        read_codebook(tmp_path / "bad")


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04K\x01.", b"{}"])
def test_a_file_that_is_no_safetensors_is_refused_by_name(content, tmp_path):
    if content is not None:
        (tmp_path / "codebook").write_bytes(content)
    with pytest.raises(CorpusError, match=r"codebook: cannot be read as a codebook \("):
        read_codebook(tmp_path / "codebook")


def test_weights_of_something_else_are_refused(tmp_path):
    save_file({"classifier.weight": np.zeros((3, 4), np.float32)}, tmp_path / "model")
    with pytest.raises(CorpusError, match=r"model: says of itself \{\}"):
        read_codebook(tmp_path / "model")


# As a feature set


def test_a_corpus_is_tabled_with_a_codebook_of_its_training_clips(tmp_path):
    train = clips_of(tmp_path / "wav", {f"t{clip}": burst(clip) for clip in range(3)}, ["A", "A", "B"])
    other = clips_of(tmp_path / "wav", {"v0": burst(7), "short": noise(400)})
    done = write_features({"train": train, "validation": other}, "bag_of_audio_words:20", tmp_path / "out", 1)
    assert done.folder.name == "bag_of_audio_words-20" == folder_name("bag_of_audio_words:20")
    assert done.notes == {"padded to 960 samples": 1}
    read = read_features(done.folder, tmp_path / "cache")
    codebook = read_codebook(done.folder / "codebook.safetensors")
    np.testing.assert_array_equal(
        np.float32(read.splits["validation"]["features"][0]), bag_of_audio_words(burst(7), codebook)[0]
    )
    expected = fit_codebook([burst(clip) for clip in range(3)], 20)
    assert codebook.digest() == expected.digest() == read.made_by["codebook"]
    assert read.names[0] == "audio_word_0" and len(read.names) == 20
    assert read.made_by["words"] == 20 and read.made_by["opensmile"] == opensmile.__version__
    assert str(tmp_path) not in json.dumps(read.made_by)
    assert write_features({"test": other}, "bag_of_audio_words:20", tmp_path / "out", 1).made == 2


def test_vectors_of_two_processes_are_those_of_one(tmp_path):
    clips = clips_of(tmp_path / "wav", {f"t{clip}": burst(clip) for clip in range(3)})
    fit_feature_set("bag_of_audio_words:12", clips, tmp_path)
    one, two = (
        extract_features(clips, "bag_of_audio_words:12", processes, keep_in_memory=True, fitted=tmp_path)
        for processes in (1, 2)
    )
    np.testing.assert_array_equal(np.array(one["features"][:]), np.array(two["features"][:]))


def test_a_codebook_of_another_size_is_refused(learnt, tmp_path):
    write_codebook(learnt, tmp_path / "codebook.safetensors")
    assert find_feature_set("bag_of_audio_words:12", tmp_path).size == 12
    with pytest.raises(CorpusError, match="has 12 words, not 20; name bag_of_audio_words:12, or fit"):
        find_feature_set("bag_of_audio_words:20", tmp_path)


@pytest.mark.parametrize("argument", ["many", "9", "-20", "1e3", "²", "100001"])
def test_a_size_that_is_none_is_refused(argument, tmp_path):
    error = re.escape(f"{argument!r} is not a number of words, 10 to 100000; the ExVo white paper has 125, 250")
    for call in (find_feature_set, lambda name, folder: fit_feature_set(name, None, folder)):
        (tmp_path / "codebook.safetensors").touch()
        with pytest.raises(CorpusError, match=error):
            call(f"bag_of_audio_words:{argument}", tmp_path)
