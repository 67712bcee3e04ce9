"""A finished run before and after personalisation: no support clip is scored, and each speaker starts anew."""

import csv
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from datasets import Dataset

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask
from burst2vec.comparison.fewshot import (
    SpeakerAnswers,
    Trial,
    answer,
    answer_speaker,
    answer_speakers,
    by_speaker,
    described,
    draw_support,
    encode,
    keep_trial,
    official_predictions,
)
from burst2vec.comparison.fewshot_report import measure, plot_gains, write_report
from burst2vec.data import load_bursts
from burst2vec.data.corpora.synthetic import draw_intensities, rated
from burst2vec.data.vectors import with_vectors
from burst2vec.errors import RunError
from burst2vec.experiment.run_record import RunRecord
from burst2vec.personalising import Tuning
from burst2vec.scoring import validate_official_file
from burst2vec.scoring.significance import compare_paired
from burst2vec.tasks import EXVO_EMOTIONS, Task
from tests.conftest import tiny_model
from tests.data.corpora_on_disk import write_hume_vb
from tests.training.tiny_run import tiny_corpus

EXAMPLES = Path(__file__).parents[2] / "examples"
EMOTION = Task("emotion", kind="regression", labels=EXVO_EMOTIONS, loss="mse")
BIAS, HEAD = Tuning(), Tuning("head", steps=3, learning_rate=0.01)
TRIAL = Trial({"bias_and_scale": BIAS, "head": HEAD}, draws=3)


def corpus(clips_of, missing=()):
    """Clips of noise by speaker; ``missing`` are rows without an emotion."""
    speakers = [name for name, clips in clips_of.items() for _ in range(clips)]
    clips = tiny_corpus(clips=len(speakers), missing=[("emotion", row) for row in missing])
    return clips.add_column("speaker", speakers)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def exvo(model):
    return tuple(model.tasks.values())


def test_speakers_are_grouped_by_name_and_those_without_enough_clips_are_counted(model):
    clips = by_speaker(corpus({"A": 4, " a": 1, "B": 2, "": 3, "C": 3}, missing=[10, 11]), exvo(model), TRIAL)
    assert {name: list(rows) for name, rows in clips.speakers.items()} == {"A": [0, 1, 2, 3, 4]}
    assert (clips.left_out, clips.without_speaker) == (2, 3)
    assert clips.summary() == (
        "1 speakers, 5 clips\n  2 speakers are left out: they have too few labelled clips\n"
        "  3 clips without a speaker are left out"
    )
    with pytest.raises(RunError, match="the model does not have the task 'valence'; it has"):
        by_speaker(corpus({"A": 5}), exvo(model), Trial({"head": HEAD}, tasks=("valence",)))
    with pytest.raises(RunError, match=r"no speaker has 5 clips with labels of .*emotion.* and another to predict"):
        by_speaker(corpus({"A": 5, "B": 5}), exvo(model), Trial({"head": HEAD}, support=5))
    with pytest.raises(RunError, match=r"none of the 5 clips names its speaker, .* --columns '\{speaker: COLUMN\}'"):
        by_speaker(corpus({"": 5}), exvo(model), TRIAL)


def test_the_challenges_labelled_clips_are_the_support_of_every_draw(model):
    trial = Trial({"head": HEAD}, tasks=("emotion",))
    clips = by_speaker(corpus({"A": 5}, missing=[0, 2, 4]), exvo(model), trial)
    assert draw_support(clips.labelled, trial, "A").tolist() == [[1, 3]] * 5


def test_draws_differ_and_depend_on_the_seed_and_the_speaker_alone():
    labelled = np.ones(30, dtype=bool)
    first = draw_support(labelled, TRIAL, "A")
    assert first.shape == (3, 2) and len(np.unique(first, axis=0)) > 1
    np.testing.assert_array_equal(first, draw_support(labelled, TRIAL, " a"))
    assert (first != draw_support(labelled, TRIAL, "B")).any()
    assert (first != draw_support(labelled, Trial(TRIAL.tunings, draws=3, seed=1), "A")).any()


def test_no_support_clip_is_scored():
    support = np.array([[0, 2], [1, 3], [0, 3]])
    labels = np.random.default_rng(0).random((5, 10))
    after = np.stack([labels] * 3)
    for draw, places in enumerate(support):
        after[draw, places] = 1.0 - after[draw, places]  # as wrong as can be, where nobody may look
    answers = [
        SpeakerAnswers(
            name, list("abcde"), support, {"emotion": labels / 2}, {"head": {"emotion": after}}, {"emotion": labels}
        )
        for name in ("A", "B")
    ]
    (gain,) = measure(answers, [EMOTION], Trial({"head": HEAD}, draws=3))
    np.testing.assert_allclose(gain.after, 1.0)
    np.testing.assert_allclose(gain.all_after, 1.0)
    np.testing.assert_allclose(gain.error_after, 0.0)
    assert gain.query_clips == [3, 3] and (gain.before < 1.0).all()


def test_every_speaker_and_draw_starts_from_the_trained_weights(model):
    before = {name: values.clone() for name, values in model.state_dict().items()}
    clips = corpus({"A": 4})
    labels = by_speaker(clips, exvo(model), TRIAL).labels
    frames = encode(model, Burst2VecFeatureExtractor(), clips)
    support = np.array([[0, 1], [2, 3], [0, 1]])
    plain, after = answer_speaker(model, frames, labels, support, TRIAL)
    np.testing.assert_array_equal(after["head"]["emotion"][0], after["head"]["emotion"][2])
    assert np.abs(after["head"]["emotion"][0] - after["head"]["emotion"][1]).max() > 1e-4
    np.testing.assert_array_equal(after["bias_and_scale"]["country"][0], plain["country"])
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())


def test_answers_from_kept_frames_are_the_models_own(model):
    clips, extractor = corpus({"A": 3}), Burst2VecFeatureExtractor()
    frames = encode(model, extractor, clips)
    alone = [answer(model, [of_clip])["emotion"] for of_clip in frames]
    np.testing.assert_allclose(answer(model, frames)["emotion"], np.concatenate(alone), atol=1e-6)


def test_the_picture_and_the_tables_say_the_same(tmp_path):
    chance = np.random.default_rng(0)
    answers = []
    for number in range(4):
        labels, noise = chance.random((6, 10)), 0.2 * chance.normal(size=(6, 10))
        support = draw_support(np.ones(6, dtype=bool), TRIAL, f"S{number}")
        after = {way: {"emotion": np.stack([labels + noise / 2] * 3)} for way in TRIAL.tunings}
        answers.append(
            SpeakerAnswers(
                f"=S{number}", list("abcdef"), support, {"emotion": labels + noise}, after, {"emotion": labels}
            )
        )
    gains = measure(answers, [EMOTION], TRIAL)
    text = write_report(gains, TRIAL, "mine, validation", tmp_path)
    assert "| emotion_ccc | head |" in text and "squared error, 4 speakers" in text
    record = json.loads((tmp_path / "fewshot.json").read_text())
    assert [gain["way"] for gain in record["gains"]] == ["bias_and_scale", "head"]
    with (tmp_path / "fewshot_speakers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 and rows[0]["speaker"] == "'=S0"
    mean = np.mean([float(row["after"]) - float(row["before"]) for row in rows if row["way"] == "head"])
    assert mean == pytest.approx(record["gains"][1]["speakers_score"]["difference"], abs=1e-5)
    assert plot_gains(gains, "mine", tmp_path / "again.png").read_bytes()[:4] == b"\x89PNG"


def test_of_a_single_speaker_there_is_no_interval(tmp_path):
    labels, support = np.random.default_rng(0).random((4, 10)), np.array([[0, 1]])
    of_speaker = ({"emotion": labels / 2}, {"head": {"emotion": labels[None]}}, {"emotion": labels})
    trial = Trial({"head": HEAD}, draws=1)
    gains = measure([SpeakerAnswers("A", list("abcd"), support, *of_speaker)], [EMOTION], trial)
    (row,) = (line for line in write_report(gains, trial, "mine", tmp_path).splitlines() if "| head |" in line)
    assert "nan" not in row and row.count("| - |") == 2


def offset_corpus(seed, speakers=24, clips=8):
    """Vectors that tell the emotions of synthetic clips, whose labels are moved by each speaker's own offsets."""
    chance = np.random.default_rng(seed)
    sounds = np.stack([draw_intensities(chance) for _ in range(speakers * clips)])
    of_speaker = np.repeat(np.arange(speakers), clips)
    labels = np.stack([rated(sound, int(who), seed, 0.3) for sound, who in zip(sounds, of_speaker, strict=True)])
    vectors = sounds + 0.1 * chance.normal(size=sounds.shape)
    columns = {"file_id": [f"{row:05}" for row in range(len(sounds))], "speaker": [f"S{who}" for who in of_speaker]}
    return with_vectors(Dataset.from_dict({**columns, "emotion": labels.tolist()}), vectors), speakers * clips * 2 // 3


def trained(clips, seed):
    """A small model of vectors, trained until it predicts what they tell."""
    torch.manual_seed(seed)
    config = Burst2VecConfig(
        encoder_config={"kind": "vector", "features": 10},
        tasks=[EMOTION],
        trunk={"kind": "shared", "hidden_sizes": [32]},
    )
    model = Burst2VecForMultiTask(config)
    labels = {"emotion": torch.tensor(np.array(clips["emotion"]), dtype=torch.float32)}
    vectors = torch.tensor(np.array(clips["vector"]))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        model(vectors, labels=labels).loss.backward()
        optimizer.step()
    return model.eval()


def test_two_clips_raise_the_concordance_by_a_twentieth_where_speakers_have_strong_offsets():
    before, after = [], []
    trial = Trial({"bias_and_scale": BIAS}, draws=1)
    extractor = Burst2VecFeatureExtractor(features=["mine"], feature_size=10)
    for seed in range(5):
        corpus, training = offset_corpus(seed)
        model = trained(corpus.select(range(training)), seed)
        clips = by_speaker(corpus.select(range(training, len(corpus))), [EMOTION], trial)
        answers = []
        for speaker, rows in clips.speakers.items():
            labels, support = (
                {"emotion": clips.labels["emotion"][rows]},
                draw_support(clips.labelled[rows], trial, speaker),
            )
            said = answer_speaker(model, encode(model, extractor, clips.dataset.select(rows)), labels, support, trial)
            answers.append(SpeakerAnswers(speaker, clips.dataset.select(rows)["file_id"][:], support, *said, labels))
        (gain,) = measure(answers, [EMOTION], trial)
        before.append(gain.all_before.mean())
        after.append(gain.all_after.mean())
    compared = compare_paired(before, after)
    assert compared.difference >= 0.05 and compared.low > 0 and compared.p < 0.05


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model):
    """A folder as a run of the synthetic corpus leaves it, and the command."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    model.save_pretrained(folder)
    Burst2VecFeatureExtractor().save_pretrained(folder)
    said = {
        "data": {"corpus": "synthetic", "synthetic_clips": 60, "synthetic_speakers": 12},
        "model": {"tasks": "exvo"},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**said, "training": {"bf16": False}}))
    RunRecord(corpora=["synthetic"], recipe=said, seed=0, clips={}, scores={}, baseline={}).write(folder)
    return folder, runpy.run_path(str(EXAMPLES / "run_fewshot.py"))["main"]


@pytest.mark.slow
def test_the_command_scores_draws_and_writes_the_challenges_file(finished, tmp_path, capsys):
    folder, main = finished
    out = tmp_path / "out"
    command = [str(folder), "--split", "test", "--draws", "2", "--steps", "2", "--out", str(out)]
    command += ["--data_dir", str(folder.parent / "corpus")]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "4 speakers, 20 clips" in printed and "| emotion_ccc | bias_and_scale |" in printed
    assert "ExVo-Few_burst2vec_1.csv is written and valid, with all 20 test clips; by bias_and_scale" in printed
    assert validate_official_file(out / "ExVo-Few_burst2vec_1.csv") == 20
    assert (out / "fewshot.png").is_file()
    kept = {path: path.stat().st_mtime_ns for path in (out / "speakers").iterdir()}
    (out / "speakers" / "00003.npz").unlink()
    assert main([*command, "--resume"]) == 0
    assert capsys.readouterr().out.split("|", 1)[1] == printed.split("|", 1)[1]
    changed = {path.name for path, when in kept.items() if path.stat().st_mtime_ns != when}
    assert changed == {"00003.npz"}
    for more, message in (
        (["--resume", "--draw_seed", "1"], "was begun with seed 0, not 1; give another folder with --out"),
        (["--resume", "--tune", "recurrent"], "tune 'recurrent': the model has no weights there"),
        (["--resume", "--split", "dev"], "the corpus has no split 'dev'; it has"),
        ([], "is not empty; resume its run with --resume, or give another folder with --out"),
    ):
        assert main([*command, *more]) == 2
        refusal = capsys.readouterr().err.rstrip("\n").rpartition("\n")[2]
        assert message in refusal and refusal.startswith("error: "), refusal


def test_clips_that_are_read_otherwise_are_another_trial_and_another_submission_is_not(tmp_path, model):
    clips = by_speaker(corpus({"A": 5}), exvo(model), TRIAL)
    begun, again, raw = (
        described(tmp_path, data, "test", clips, TRIAL)
        for data in ({"submission": 1}, {"submission": 2}, {"audio": "raw"})
    )
    keep_trial(tmp_path, begun)
    keep_trial(tmp_path, again)
    with pytest.raises(RunError, match="was begun with data.audio None, not raw; give another folder with --out"):
        keep_trial(tmp_path, raw)


def test_what_was_begun_with_other_labels_is_not_resumed(tmp_path):
    keep_trial(tmp_path, {"seed": 0, "clips": "abc"})
    keep_trial(tmp_path, {"seed": 0, "clips": "abc"})
    with pytest.raises(RunError, match="was begun with clips abc, not abd"):
        keep_trial(tmp_path, {"seed": 0, "clips": "abd"})
    with pytest.raises(RunError, match="was begun with clips abc, not None"):
        keep_trial(tmp_path, {"seed": 0})


def test_of_the_challenges_test_split_two_clips_are_the_support_and_the_rest_is_predicted(tmp_path, model):
    labels = ["China", "30", *(f"{place / 10}" for place in range(10))]
    rows = [[f"[{clip:05d}]", "Test", "S1", *(labels if clip in (2, 4) else [""] * 12)] for clip in range(1, 6)]
    rows += [["[00006]", "Train", "S2", *labels]]
    corpus = load_bursts("hume_vb", write_hume_vb(tmp_path / "hume", rows, wavs=6), cache_dir=tmp_path)["test"]
    trial = Trial({"head": HEAD}, draws=2)
    clips = by_speaker(corpus, exvo(model), trial)
    extractor = Burst2VecFeatureExtractor()
    keep_trial(tmp_path / "kept", {})
    (of_speaker,) = answer_speakers(model, extractor, clips, trial, tmp_path / "kept")
    assert of_speaker.support.tolist() == [[1, 3], [1, 3]] and of_speaker.query(0).tolist() == [0, 2, 4]
    assert measure([of_speaker], exvo(model), trial) == []
    file_ids, predicted = official_predictions(model, extractor, clips, [of_speaker], "head")
    assert file_ids == [f"{clip:05d}" for clip in range(1, 6)]
    np.testing.assert_array_equal(predicted["emotion"], of_speaker.after["head"]["emotion"][0])
