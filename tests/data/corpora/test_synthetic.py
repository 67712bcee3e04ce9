"""The synthetic corpus: what is written, and that its sounds carry its labels."""

import csv
import json
import wave

import numpy as np
import pytest
from scipy.signal import welch
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from burst2vec.data.corpora.synthetic import KINSHIP, VERSION, draw_clip, draw_intensities, write_synthetic_corpus
from burst2vec.data.corpora.synthetic_voices import (
    COUNTRY_VOWELS,
    CUES,
    EMOTION_CUES,
    Voice,
    cues_of,
    glottal_pulses,
    invent_voice,
    perform,
)
from burst2vec.errors import CorpusError
from burst2vec.tasks import EXVO_COUNTRIES, EXVO_EMOTIONS

RATE = 16000
SOMEBODY = Voice(
    country="United States",
    age_years=30.0,
    pitch_hz=200.0,
    tract_scale=1.0,
    hoarseness=0.0,
    softness=0.3,
    vowel_hz=(520.0, 1350.0, 2500.0),
)


def read_table(folder):
    with open(folder / "data_info.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_wav(folder, row):
    with wave.open(str(folder / "wav" / f"{row['File_ID'].strip('[]')}.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32768.0


def all_bytes(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_synthetic_corpus(tmp_path_factory.mktemp("corpus") / "synthetic", clips=500, speakers=100)


# What is written


def test_the_layout_is_that_of_hume_vb(corpus):
    rows = read_table(corpus)
    assert list(rows[0]) == ["File_ID", "Split", "Subject_ID", "Country", "Age", *EXVO_EMOTIONS]
    assert [row["File_ID"] for row in rows] == [f"[{number:05d}]" for number in range(1, 501)]
    assert sorted(path.name for path in (corpus / "wav").iterdir()) == [f"{number:05d}.wav" for number in range(1, 501)]


def test_labels_stay_within_the_ranges_of_hume_vb(corpus):
    rows = read_table(corpus)
    assert {row["Country"] for row in rows} == set(EXVO_COUNTRIES)
    ages = np.array([float(row["Age"]) for row in rows])
    assert ages.min() >= 20 and ages.max() <= 39.5 and np.all(ages * 2 % 1 == 0)
    intensities = np.array([[float(row[emotion]) for emotion in EXVO_EMOTIONS] for row in rows])
    assert intensities.min() == 0 and intensities.max() <= 1
    assert np.all(intensities.max(axis=1) >= 0.4)  # something is always felt
    assert np.all((intensities > 0).mean(axis=0) > 0.15)  # each emotion is often there, and often not
    assert 2 < (intensities > 0).sum(axis=1).mean() < 6


def test_no_speaker_is_in_two_splits_and_each_has_one_age_and_country(corpus):
    facts = {}
    for row in read_table(corpus):
        facts.setdefault(row["Subject_ID"], set()).add((row["Split"], row["Country"], row["Age"]))
    assert len(facts) == 100
    assert all(len(facts_of_one) == 1 for facts_of_one in facts.values())


def test_countries_and_ages_are_balanced_in_every_split(corpus):
    rows = read_table(corpus)
    for split, ratio in (("Train", 0.6), ("Val", 0.2), ("Test", 0.2)):
        inside = [row for row in rows if row["Split"] == split]
        assert len(inside) == ratio * len(rows)
        assert [sum(row["Country"] == country for row in inside) for country in EXVO_COUNTRIES] == [len(inside) / 4] * 4
        ages = np.array([float(row["Age"]) for row in inside])
        assert 27 < np.median(ages) < 33 and ages.min() < 24 and ages.max() > 36


def test_every_clip_is_half_a_second_to_two_and_never_clipped(corpus):
    clips = [read_wav(corpus, row) for row in read_table(corpus)]
    assert 0.5 <= min(map(len, clips)) / RATE and max(map(len, clips)) / RATE <= 2.0
    peaks = np.array([np.abs(clip).max() for clip in clips])
    assert 0.04 < peaks.min() < 0.1 and 0.7 < peaks.max() < 0.91  # levels differ by more than 15 dB


def test_the_hume_vb_reader_reads_it_whole(tmp_path):
    from burst2vec.data.corpora.hume_vb import read_hume_vb

    rows = read_hume_vb(write_synthetic_corpus(tmp_path, clips=12, speakers=12))
    assert {split: len(clips) for split, clips in rows.items()} == {"train": 4, "validation": 4, "test": 4}
    made_up = rows["test"].to_pylist()  # and so it knows its test labels
    assert all(np.isfinite(clip["emotion"]).all() for clip in made_up)


def test_one_seed_gives_one_corpus_byte_for_byte_with_any_number_of_processes(tmp_path):
    one = write_synthetic_corpus(tmp_path / "one", clips=24, speakers=12, seed=3)
    two = write_synthetic_corpus(tmp_path / "two", clips=24, speakers=12, seed=3, num_proc=2)
    assert all_bytes(one) == all_bytes(two)
    assert len(all_bytes(one)) == 26


def test_another_seed_gives_other_labels_and_other_sounds(tmp_path):
    one = all_bytes(write_synthetic_corpus(tmp_path / "one", clips=12, speakers=12, seed=0))
    two = all_bytes(write_synthetic_corpus(tmp_path / "two", clips=12, speakers=12, seed=1))
    assert not [path for path in one if one[path] == two[path]]


def test_a_longer_corpus_begins_with_the_shorter_one(tmp_path):
    short = all_bytes(write_synthetic_corpus(tmp_path / "short", clips=12, speakers=12))
    long = all_bytes(write_synthetic_corpus(tmp_path / "long", clips=15, speakers=12))
    assert all(short[path] == long[path] for path in short if path.suffix == ".wav")


# A folder that is there already


def test_a_finished_corpus_is_reused_untouched(tmp_path):
    write_synthetic_corpus(tmp_path, clips=12, speakers=12)
    (tmp_path / "wav" / "00001.wav").write_bytes(b"touched")
    assert write_synthetic_corpus(str(tmp_path), clips=12, speakers=12) == tmp_path
    assert (tmp_path / "wav" / "00001.wav").read_bytes() == b"touched"


def test_an_interrupted_write_is_redone(tmp_path, monkeypatch):
    whole = all_bytes(write_synthetic_corpus(tmp_path / "whole", clips=12, speakers=12))

    def draw_until_the_fifth(index, *described):
        if index == 4:
            raise KeyboardInterrupt
        return draw_clip(index, *described)

    with monkeypatch.context() as patched:
        patched.setattr("burst2vec.data.corpora.synthetic.draw_clip", draw_until_the_fifth)
        with pytest.raises(KeyboardInterrupt):
            write_synthetic_corpus(tmp_path / "cut", clips=12, speakers=12)
    assert not (tmp_path / "cut" / "data_info.csv").exists()
    assert all_bytes(write_synthetic_corpus(tmp_path / "cut", clips=12, speakers=12)) == whole


def test_a_folder_of_something_else_is_refused_by_name_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(CorpusError, match=f"{tmp_path} is not empty and holds no synthetic.json"):
        write_synthetic_corpus(tmp_path, clips=12, speakers=12)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_corpus_of_other_arguments_is_refused_with_both(tmp_path):
    write_synthetic_corpus(tmp_path, clips=12, speakers=12, seed=1)
    with pytest.raises(CorpusError, match=r"'seed': 1\}, not .*'seed': 2\}; give another folder"):
        write_synthetic_corpus(tmp_path, clips=12, speakers=12, seed=2)


@pytest.mark.parametrize("content", ["not json", "[]", "{}", '"finished"'])
def test_a_foreign_marker_is_refused(tmp_path, content):
    (tmp_path / "synthetic.json").write_text(content)
    with pytest.raises(CorpusError, match="synthetic.json is not what write_synthetic_corpus writes"):
        write_synthetic_corpus(tmp_path, clips=12, speakers=12)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="file is a file; give a folder"):
        write_synthetic_corpus(tmp_path / "file", clips=12, speakers=12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"speakers": 11}, "speakers=11: give 12 or more"),
        ({"clips": 11, "speakers": 12}, "clips=11: give one clip per speaker"),
        ({"clips": 100_000}, "clips=100000: .* to 99999"),
        ({"seed": -1}, "seed=-1: give 0 or more"),
    ],
)
def test_arguments_that_make_no_corpus_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_synthetic_corpus(tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


def test_the_marker_says_what_was_written(corpus):
    marker = json.loads((corpus / "synthetic.json").read_text())
    assert marker == {"version": VERSION, "clips": 500, "speakers": 100, "seed": 0, "finished": True}


def test_who_changes_a_sample_raises_the_version():
    """Folders written by another version are refused, and what was measured on them is another corpus's."""
    measured = []
    for index in (0, 7, 100, 1999):
        clip, waveform = draw_clip(index, speakers=200, seed=0)
        rms, roughness = np.sqrt(np.mean(waveform**2)), np.mean(np.abs(np.diff(waveform)))
        measured.append([clip.voice.age_years, clip.intensities.sum(), waveform.size, rms, roughness])
    expected = [
        [32.5, 1.6109, 12834, 0.171172, 0.0787126],
        [39.0, 1.5930, 14269, 0.0128422, 0.00895112],
        [28.5, 1.6881, 13332, 0.0277596, 0.00983005],
        [32.0, 0.9531, 10744, 0.0305708, 0.00985626],
    ]
    assert VERSION == 3
    np.testing.assert_allclose(measured, expected, rtol=1e-4)


# Measurements, each independent of how the sound was made


def frames(sound, seconds=0.04):
    size = int(seconds * RATE)
    return sound[: len(sound) // size * size].reshape(-1, size)


def pitch_hz(sound):
    """The first high peak of the autocorrelation between 60 and 800 Hz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size), 4 * sound.size)) ** 2
    lags = np.fft.irfft(spectrum)
    shortest, longest = RATE // 800, min(RATE // 60, sound.size // 2)
    lags = lags[shortest:longest] * (1 - 0.3 * np.arange(shortest, longest) / longest)  # not a multiple of the period
    return RATE / (shortest + np.argmax(lags))


def middle(sound):
    return sound[len(sound) // 3 : 2 * len(sound) // 3]


def slide_octaves(sound):
    quarter = len(sound) // 4
    return np.log2(pitch_hz(sound[2 * quarter : 3 * quarter]) / pitch_hz(sound[quarter : 2 * quarter]))


def pitch_spread(sound):
    return np.std([pitch_hz(frame) for frame in frames(sound[1600:-1600])])


def flatness(sound):
    power = np.abs(np.fft.rfft(middle(sound) * np.hanning(middle(sound).size)))[20:800] ** 2
    return np.exp(np.log(power).mean()) / power.mean()


def loudness(sound):
    return np.convolve(sound**2, np.hanning(640) / 320, mode="same")


def pulsing_at(rate_hz):
    def strength(sound):
        contour = loudness(sound) / loudness(sound).mean()
        seconds = np.arange(sound.size) / RATE
        return abs(np.mean(contour * np.exp(-2j * np.pi * rate_hz * seconds)))

    return strength


def flutter(sound):
    """Modulation of the power 65 to 75 times a second."""
    spectrum = np.abs(np.fft.rfft(middle(sound) ** 2))
    hertz = np.fft.rfftfreq(middle(sound).size, 1 / RATE)
    return spectrum[(hertz > 65) & (hertz < 75)].max() / spectrum[0]


def peak_hz(low, high):
    def where(sound):
        hertz, power = welch(sound, RATE, nperseg=512)
        inside = (hertz >= low) & (hertz <= high)
        return hertz[inside][np.argmax(power[inside])]

    return where


def centroid_hz(sound):
    hertz, power = welch(sound, RATE, nperseg=512)
    return np.sum(hertz * np.sqrt(power)) / np.sum(np.sqrt(power))


def share_below_350_hz(sound):
    hertz, power = welch(sound, RATE, nperseg=512)
    return power[hertz < 350].sum() / power.sum()


def rise_seconds(sound):
    contour = loudness(sound)
    return np.argmax(contour > 0.5 * contour.max()) / RATE


def fall(sound):
    third = len(sound) // 3
    return np.log(np.sum(sound[:third] ** 2) / np.sum(sound[-third:] ** 2))


@pytest.mark.parametrize(
    ("cue", "values", "measure", "others"),
    [
        ("pitch", (-0.5, 0.0, 1.0), lambda sound: pitch_hz(middle(sound)), {}),
        ("slide", (-1.0, 0.0, 1.0), slide_octaves, {}),
        ("tremor", (0.0, 0.15, 0.3), pitch_spread, {}),
        ("breath", (0.0, 0.3, 0.9), flatness, {}),
        ("rough", (0.0, 0.5, 1.0), flutter, {"breath": 1.0, "length": 1.0}),
        ("jaw", (-0.5, 0.0, 0.5), peak_hz(250, 900), {"breath": 1.0}),
        ("lips", (-0.5, 0.0, 0.5), peak_hz(850, 2100), {"breath": 1.0}),
        ("bright", (-0.5, 0.0, 0.5), centroid_hz, {}),
        ("hum", (0.0, 0.4, 0.8), share_below_350_hz, {"breath": 1.0}),
        ("laugh", (0.0, 0.5, 1.0), pulsing_at(6.0), {"length": 1.0}),
        ("sob", (0.0, 0.5, 1.0), pulsing_at(2.5), {"length": 1.0}),
        ("attack", (-3.0, 0.0, 2.0), rise_seconds, {"fade": 0.0}),
        ("fade", (0.0, 1.0, 4.0), fall, {}),
        ("length", (-0.5, 0.0, 0.5), len, {}),
    ],
)
def test_each_cue_moves_what_it_says(cue, values, measure, others):
    neutral = {name: level for name, (level, _, _) in CUES.items()} | others
    means = []
    for value in values:
        sounds = [perform(SOMEBODY, neutral | {cue: value}, np.random.default_rng(seed)) for seed in range(8)]
        means.append(np.mean([measure(sound) for sound in sounds]))
    assert means == sorted(means)
    assert means[-1] - means[0] > 0.1 * abs(means[0])


def test_every_cue_is_tested_above_and_moved_by_some_emotion():
    (mark,) = (mark for mark in test_each_cue_moves_what_it_says.pytestmark if mark.name == "parametrize")
    assert {case[0] for case in mark.args[1]} == set(CUES)
    assert {cue for cues in EMOTION_CUES.values() for cue in cues} == set(CUES)


def test_no_two_emotions_sound_alike():
    spans = np.array([most - least for _, least, most in CUES.values()])
    rows = np.array([[EMOTION_CUES[name].get(cue, 0.0) for cue in CUES] for name in EXVO_EMOTIONS]) / spans
    assert np.linalg.svd(rows, compute_uv=False).min() > 0.1  # no row is a mixture of the others


def test_cues_grow_with_intensity_and_stay_within_their_span():
    neutral = cues_of(np.zeros(10))
    assert neutral == {cue: level for cue, (level, _, _) in CUES.items()}
    everything = cues_of(np.ones(10))
    assert all(least <= everything[cue] <= most for cue, (_, least, most) in CUES.items())
    for place, emotion in enumerate(EXVO_EMOTIONS):
        half, whole = cues_of(0.5 * np.eye(10)[place]), cues_of(np.eye(10)[place])
        for cue, added in EMOTION_CUES[emotion].items():
            assert half[cue] - neutral[cue] == pytest.approx(0.5 * added)
            assert np.sign(whole[cue] - neutral[cue]) == np.sign(added)


def voices(**facts):
    return [
        invent_voice(rng=np.random.default_rng(seed), **{"country": "China", "age_years": 30.0, **facts})
        for seed in range(8)
    ]


def share_above_6_khz(sound):
    hertz, power = welch(sound, RATE, nperseg=512)
    return power[hertz > 6000].sum() / power.sum()


def test_with_age_the_pitch_falls_the_tract_grows_and_the_voice_hisses():
    neutral = cues_of(np.zeros(10))
    pitches, formants, hisses = [], [], []
    for age_years in (20.0, 30.0, 39.5):
        aged = voices(age_years=age_years)
        clear = [perform(voice, neutral | {"breath": 0.0}, np.random.default_rng(0)) for voice in aged]
        breathy = [perform(voice, neutral | {"breath": 1.0}, np.random.default_rng(0)) for voice in aged]
        pitches.append(np.median([pitch_hz(middle(sound)) for sound in clear]))
        formants.append(np.median([peak_hz(300, 1000)(sound) for sound in breathy]))
        hisses.append(np.median([share_above_6_khz(sound) for sound in clear]))
    assert pitches == sorted(pitches, reverse=True) and formants == sorted(formants, reverse=True)
    assert hisses == sorted(hisses)
    assert pitches[0] / pitches[-1] == pytest.approx(2**0.9, rel=0.15)
    assert formants[0] / formants[-1] == pytest.approx(2**0.4, rel=0.15)


def test_the_country_sets_the_formants():
    """The first formant of breathy bursts, at the age at which the tract neither stretches nor shrinks."""
    breathy = cues_of(np.zeros(10)) | {"breath": 1.0}
    measured = {}
    for country in EXVO_COUNTRIES:
        sounds = [
            perform(voice, breathy, np.random.default_rng(0)) for voice in voices(country=country, age_years=29.75)
        ]
        measured[country] = np.median([peak_hz(300, 1000)(sound) for sound in sounds])
    for country, (first, _, _) in COUNTRY_VOWELS.items():
        assert measured[country] == pytest.approx(first, rel=0.15)


def test_glottal_pulses_have_the_pitch_asked_for_and_unit_power():
    pulses = glottal_pulses(np.full(RATE, 125.0))
    assert pitch_hz(pulses[:4000]) == pytest.approx(125, abs=1)
    assert np.sqrt(np.mean(pulses**2)) == pytest.approx(1, abs=0.02)


def test_kin_come_along_below_their_leader():
    drawn = np.array([draw_intensities(np.random.default_rng(seed)) for seed in range(500)])
    horror, fear, triumph = (EXVO_EMOTIONS.index(name) for name in ("Horror", "Fear", "Triumph"))
    led_by_horror = drawn[drawn.argmax(axis=1) == horror]
    assert ("Fear", "Horror") in KINSHIP
    assert led_by_horror[:, fear].mean() > 3 * led_by_horror[:, triumph].mean()


# That it can be learned, and by whom


def log_mel_like(sound):
    """Mean, spread and movement of a 32-band log spectrum: a plain summary, deaf to level."""
    sound = sound / np.sqrt(np.mean(sound**2))
    windows = np.lib.stride_tricks.sliding_window_view(sound, 400)[::160] * np.hanning(400)
    power = np.abs(np.fft.rfft(windows, 512)) ** 2
    edges = np.unique(np.geomspace(3, 257, 33).astype(int))
    bands = np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-4)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0), np.abs(bands[5:] - bands[:-5]).mean(axis=0)])


@pytest.fixture(scope="module")
def probe(corpus):
    rows = read_table(corpus)
    features = np.array([log_mel_like(read_wav(corpus, row)) for row in rows])
    train = np.array([row["Split"] == "Train" for row in rows])
    validation = np.array([row["Split"] == "Val" for row in rows])

    def predict(model, labels):
        labels = np.array(labels)
        model = make_pipeline(StandardScaler(), model).fit(features[train], labels[train])
        return model.predict(features[validation]), labels[validation], labels[train]

    return rows, predict


def concordance(predictions, references):
    covariance = np.mean((predictions - predictions.mean()) * (references - references.mean()))
    return 2 * covariance / (predictions.var() + references.var() + (predictions.mean() - references.mean()) ** 2)


RIDGE = RidgeCV(np.logspace(0, 4, 9))


def test_a_plain_probe_predicts_the_emotions_of_new_speakers(probe):
    rows, predict = probe
    predictions, references, _ = predict(RIDGE, [[float(row[emotion]) for emotion in EXVO_EMOTIONS] for row in rows])
    scores = [concordance(predictions[:, place], references[:, place]) for place in range(10)]
    assert 0.45 < np.mean(scores) < 0.95  # learnable, and not by reading it off
    assert min(scores) > 0.15


def test_a_plain_probe_predicts_the_age_of_new_speakers(probe):
    rows, predict = probe
    predictions, references, trained_on = predict(RIDGE, [float(row["Age"]) for row in rows])
    baseline = np.abs(np.median(trained_on) - references).mean()
    assert 0.1 < np.abs(predictions - references).mean() / baseline < 0.75


def test_a_plain_probe_predicts_the_country_of_new_speakers(probe):
    rows, predict = probe
    predictions, references, _ = predict(LogisticRegression(C=0.1), [row["Country"] for row in rows])
    assert np.mean([np.mean(predictions[references == country] == country) for country in EXVO_COUNTRIES]) > 0.7


def test_length_and_level_alone_tell_no_country_and_no_age(corpus):
    rows = read_table(corpus)
    facts = np.array([(len(clip), np.abs(clip).max()) for clip in (read_wav(corpus, row) for row in rows)])
    for labels in (
        [float(row["Age"]) for row in rows],
        *([row["Country"] == c for row in rows] for c in EXVO_COUNTRIES),
    ):
        assert np.abs(np.corrcoef(np.column_stack([facts, np.array(labels, float)]).T)[:2, 2]).max() < 0.12


def test_speakers_may_have_offsets_in_their_labels_that_the_sound_does_not_tell(tmp_path):
    plain, moved = (
        [draw_clip(index, speakers=12, seed=1, speaker_offset=deviation) for index in range(48)]
        for deviation in (0.0, 0.3)
    )
    for (_, sound), (_, same) in zip(plain, moved, strict=True):
        np.testing.assert_array_equal(sound, same)
    shifts = np.stack([m.intensities - p.intensities for (p, _), (m, _) in zip(plain, moved, strict=True)])
    inside = np.stack([(0 < clip.intensities) & (clip.intensities < 1) for clip, _ in moved])
    offsets = [np.median(shifts[s::12][inside[s::12]]) for s in range(12)]
    assert 0.02 < np.std(offsets) and np.abs(shifts).max() > 0.3
    for speaker, emotion in np.ndindex(12, 10):
        of_label = shifts[speaker::12, emotion][inside[speaker::12, emotion]]
        assert np.ptp(of_label) < 1e-6 if of_label.size else True
    folder = write_synthetic_corpus(tmp_path, clips=12, speakers=12, speaker_offset=0.3)
    assert json.loads((folder / "synthetic.json").read_text())["speaker_offset"] == 0.3
    with pytest.raises(CorpusError, match="speaker_offset=2: give a standard deviation in 0..1"):
        write_synthetic_corpus(tmp_path, clips=12, speakers=12, speaker_offset=2)
