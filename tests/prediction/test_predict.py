"""burst2vec predict: a row per clip, the pipeline's own answers, and the same table whatever stopped it."""

import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from datasets import Audio, Dataset

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask, Burst2VecPipeline
from burst2vec.command_line import main
from burst2vec.errors import AudioError, CorpusError, RunError
from burst2vec.features import FEATURE_SETS, FeatureSet
from burst2vec.prediction import finished_parts, predict
from burst2vec.prediction.coverage_columns import with_coverage
from burst2vec.prediction.predicting import _Predictor
from burst2vec.tasks import Task
from tests.conftest import exvo_quantiles, noise_clips, tiny_model

LENGTHS = (8_000, 3_000, 12_345, 400, 5_000, 9_999, 700)


@pytest.fixture(scope="module")
def analyse():
    return Burst2VecPipeline(model=tiny_model(), feature_extractor=Burst2VecFeatureExtractor())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven clips of several lengths, one file that is no recording, and one that is no audio file by its name."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "sub").mkdir()
    for place, clip in enumerate(noise_clips(*LENGTHS)):
        soundfile.write(folder / ("sub" if place % 2 else "") / f"{place}.wav", clip / 8, 16_000, subtype="FLOAT")
    (folder / "broken.mp3").write_bytes(b"no recording at all")
    (folder / "notes.txt").write_text("no clip")
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(finished_parts, "CLIPS_PER_PART", 3)


def test_every_audio_file_has_a_row_and_a_bad_one_its_reason(analyse, folder, tmp_path):
    table = predict(folder, analyse, tmp_path / "table.csv", num_proc=0)
    assert list(table["file"]) == sorted(table["file"]) and len(table) == 8
    assert {"broken.mp3", "sub/1.wav"} <= set(table["file"])
    bad = table[table["problem"] != ""]
    assert list(bad["file"]) == ["broken.mp3"] and bad["problem"].item().startswith("broken, or not audio")
    assert bad["emotion/Awe"].isna().all() and bad["country"].item() is None
    assert not (tmp_path / "table.csv.parts").exists()
    written = pd.read_csv(tmp_path / "table.csv", keep_default_na=False, na_values=[""])
    assert list(written.columns) == list(table.columns)
    np.testing.assert_allclose(written["age"], table["age"], atol=1e-5)


@pytest.mark.parametrize("num_proc", [0, 2])
def test_answers_are_those_of_the_pipeline_whatever_the_batch(analyse, folder, num_proc):
    table = predict(folder, analyse, num_proc=num_proc, batch_size=3, on_bad_clip="skip")
    assert len(table) == 7 and (table["problem"] == "").all()
    for row in table.to_dict("records"):
        alone = analyse(str(folder / row["file"]))
        assert row["age"] == pytest.approx(alone["age"], abs=1e-3)
        assert row["emotion/Fear"] == pytest.approx(alone["emotion"]["Fear"], abs=1e-5)
        assert row["country"] == alone["country"]["label"]
        assert row["country/China"] == pytest.approx(alone["country"]["probabilities"]["China"], abs=1e-5)


def test_killed_and_resumed_it_is_the_same_table_and_nothing_is_predicted_twice(analyse, folder, tmp_path, monkeypatch):
    whole = predict(folder, analyse, tmp_path / "whole.csv", num_proc=0)
    made = []
    rows_of = _Predictor.rows_of

    def second_fails(self, job):
        made.append([place for place, *_ in job])
        if len(made) == 2:
            raise KeyboardInterrupt
        return rows_of(self, job)

    monkeypatch.setattr(_Predictor, "rows_of", second_fails)
    with pytest.raises(KeyboardInterrupt):
        predict(folder, analyse, tmp_path / "table.csv", num_proc=0)
    assert not (tmp_path / "table.csv").exists()
    predict(folder, analyse, tmp_path / "table.csv", num_proc=0)
    assert made == [[0, 1, 2], [3, 4, 5], [3, 4, 5], [6, 7]]
    assert (tmp_path / "table.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert len(whole) == 8 and not (tmp_path / "table.csv.parts").exists()


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_a_coverage_adds_the_pipelines_intervals_and_sets(analyse, folder, tmp_path, ending):
    model = Burst2VecForMultiTask(analyse.model.config).eval()
    model.load_state_dict(analyse.model.state_dict())
    model.config.conformal = exvo_quantiles()
    sure = Burst2VecPipeline(model=model, feature_extractor=analyse.feature_extractor, coverage=0.9)
    table = predict(folder, sure, tmp_path / f"table.{ending}", num_proc=0)
    plain = predict(folder, analyse, num_proc=0)
    added = ["age/lower", "age/upper", "country/set"]
    pd.testing.assert_frame_equal(table.drop(columns=added), plain)
    assert [name for name in table.columns if name in added or name == "age"] == ["age", *added]
    for row in table[table["problem"] == ""].to_dict("records"):
        within = sure(str(folder / row["file"]))["conformal"]
        assert [row["age/lower"], row["age/upper"]] == pytest.approx(within["age"], abs=1e-3)
        assert row["country/set"] == within["country"]
    bad = table[table["problem"] != ""].iloc[0]
    assert np.isnan(bad["age/lower"]) and bad["country/set"] is None
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": pd.read_json}[ending](tmp_path / f"table.{ending}")
    sets = [json.loads(cell) if isinstance(cell, str) else cell for cell in read["country/set"]]
    assert [None if each is None or each is np.nan else list(each) for each in sets] == list(table["country/set"])


def test_a_class_with_the_name_of_a_column_of_the_coverage_is_refused():
    task = Task("kind", kind="classification", labels=("set", "match"))
    table = pd.DataFrame({"kind": ["set"], "kind/set": [0.9], "kind/match": [0.1]})
    with pytest.raises(RunError, match="label 'kind/set' has the name of a column of the coverage"):
        with_coverage(table, [task], {"kind": [[0.5] * 99]}, 0.9)


def test_a_coverage_may_be_asked_for_when_a_prediction_is_resumed(analyse, folder, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    model = Burst2VecForMultiTask(analyse.model.config).eval()
    model.config.conformal = exvo_quantiles()
    parts = {"model": model, "feature_extractor": analyse.feature_extractor}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_Predictor, "finished", stop)
        predict(folder, Burst2VecPipeline(**parts), tmp_path / "table.csv", num_proc=0)
    monkeypatch.setattr(_Predictor, "rows_of", stop)
    assert "age/lower" in predict(folder, Burst2VecPipeline(**parts, coverage=0.8), tmp_path / "table.csv", num_proc=0)


def test_parts_of_another_model_or_of_other_clips_are_never_mixed_in(analyse, folder, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_Predictor, "finished", stop)
        predict(folder, analyse, tmp_path / "table.csv", num_proc=0)
    other = Burst2VecPipeline(model=tiny_model(seed=1), feature_extractor=Burst2VecFeatureExtractor())
    with pytest.raises(RunError, match=r"table\.csv\.parts: was begun with another model; resume that one, delete"):
        predict(folder, other, tmp_path / "table.csv", num_proc=0)
    with pytest.raises(RunError, match="was begun with another clips"):
        predict(folder / "sub", analyse, tmp_path / "table.csv", num_proc=0)


def test_lists_and_datasets_are_predicted_like_folders(analyse, folder):
    paths = [str(folder / "0.wav"), str(folder / "2.wav")]
    wanted = predict(paths, analyse, num_proc=0)
    assert list(wanted["file"]) == paths
    waveforms = [soundfile.read(path, dtype="float32")[0] for path in paths]
    dataset = Dataset.from_dict({"file_id": ["a", "b"], "audio": paths}).cast_column("audio", Audio())
    forms = [waveforms, [{"raw": clip, "sampling_rate": 16_000} for clip in waveforms], dataset]
    for given, names in zip(forms, (["clip 0", "clip 1"], ["clip 0", "clip 1"], ["a", "b"]), strict=True):
        table = predict(given, analyse, num_proc=0)
        assert list(table["file"]) == names
        np.testing.assert_allclose(table["age"], wanted["age"], atol=1e-3)


@pytest.mark.parametrize("ending", ["parquet", "json"])
def test_parquet_and_json_hold_the_same_numbers(analyse, folder, tmp_path, ending):
    path = tmp_path / f"table.{ending}"
    table = predict(folder, analyse, path, num_proc=0)
    written = pd.read_parquet(path) if ending == "parquet" else pd.DataFrame(json.loads(path.read_text()))
    np.testing.assert_allclose(written["age"].astype(float), table["age"], atol=1e-5)
    assert list(written["problem"]) == list(table["problem"])
    assert list(written["country"]) == list(table["country"])


def test_a_table_that_is_there_is_kept_unless_it_may_be_replaced(analyse, folder, tmp_path):
    (tmp_path / "mine.csv").write_text("years of work")
    with pytest.raises(RunError, match="is there already; give another table, or --overwrite"):
        predict(folder, analyse, tmp_path / "mine.csv")
    assert (tmp_path / "mine.csv").read_text() == "years of work"
    predict([folder / "0.wav"], analyse, tmp_path / "mine.csv", overwrite=True, num_proc=0)
    assert "emotion/Awe" in (tmp_path / "mine.csv").read_text()


def test_the_first_bad_clip_stops_where_that_is_asked_for(analyse, folder, tmp_path):
    with pytest.raises(AudioError, match=r"broken\.mp3: broken, or not audio.*on_bad_clip='report' or 'skip'"):
        predict([folder / "broken.mp3"], analyse, tmp_path / "table.csv", on_bad_clip="raise", num_proc=0)
    assert not list(tmp_path.iterdir())  # nothing was finished, so nothing is kept


def test_a_process_that_is_killed_is_an_error_in_a_sentence(analyse, folder, monkeypatch):
    monkeypatch.setattr(_Predictor, "rows_of", lambda self, job: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(RunError, match="a process was killed.*smaller num_proc or batch_size resumes"):
        predict([folder / "0.wav"], analyse, num_proc=1)


@pytest.mark.parametrize(
    "given, out, error, said",
    [
        ([], None, CorpusError, "no clips to predict"),
        (3, None, CorpusError, "clips is int; give a folder"),
        ("tests/laws", None, CorpusError, "holds no audio file"),
        ("tests/laws", "table.xls", RunError, "a table ends in .csv"),
        ("tests/laws", "no/such/table.csv", RunError, "there is no folder"),
    ],
)
def test_what_cannot_be_predicted_is_refused_in_a_sentence(analyse, given, out, error, said):
    with pytest.raises(error, match=said):
        predict(given, analyse, out)


def test_a_model_that_is_none_of_ours_is_refused_by_name(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(RunError, match="is a bert, not a model that burst2vec has trained"):
        predict(["a.wav"], tmp_path)
    with pytest.raises(RunError, match="nowhere: there is no such folder, and a name on the Hub is OWNER/NAME"):
        predict(["a.wav"], tmp_path / "nowhere")


def test_a_model_on_its_speakers_scale_takes_a_folder_with_a_table_of_speakers(folder, tmp_path, monkeypatch):
    def vector(waveform):
        return np.array([waveform.std(), waveform.max(), waveform.min()], np.float32), ""

    mine = FeatureSet(3, vector, lambda: ("a", "b", "c"), lambda: {"test": 1})
    monkeypatch.setitem(FEATURE_SETS, "mine", mine)
    torch.manual_seed(0)
    config = Burst2VecConfig(
        encoder_config={"kind": "vector", "features": 3}, trunk={"kind": "shared", "hidden_sizes": [8]}
    )
    extractor = Burst2VecFeatureExtractor(features=["mine"], feature_size=3, normalise_per_speaker=True)
    analyse = Burst2VecPipeline(model=Burst2VecForMultiTask(config).eval(), feature_extractor=extractor)
    with pytest.raises(CorpusError, match=r"0\.wav: has no speaker, and this model"):
        predict([folder / "0.wav"], analyse)
    for name in ("0.wav", "2.wav", "4.wav"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "metadata.csv").write_text("file,speaker\n0.wav,A\n2.wav,A\n4.wav,A\n")
    table = predict(tmp_path, analyse, tmp_path / "table.parquet", num_proc=0)
    clips = [{"path": str(tmp_path / name), "speaker": "A"} for name in table["file"]]
    np.testing.assert_allclose(table["age"], [answer["age"] for answer in analyse(clips)], rtol=1e-5)
    assert table["age"].nunique() == 3


def test_the_command_writes_the_table_and_names_what_is_bad(analyse, folder, tmp_path, capsys):
    analyse.save_pretrained(tmp_path / "model")
    words = ["predict", str(folder), "--model", str(tmp_path / "model"), "--out", str(tmp_path / "table.csv")]
    assert main([*words, "--num_proc", "0"]) == 0
    said = capsys.readouterr().out
    assert "7 clips predicted" in said and "1 clips cannot be used:\n  broken.mp3: broken, or not audio" in said
    assert "left alone: 1 files that are not audio by their names, such as" in said and "notes.txt" in said
    assert main(words) == 2
    assert (
        capsys.readouterr().err
        == f"error: {tmp_path}/table.csv: is there already; give another table, or --overwrite\n"
    )


def test_a_pipeline_of_an_enrolled_speaker_predicts_as_that_speakers(analyse, folder):
    clips = [str(folder / name) for name in ("2.wav", "4.wav")]
    said = analyse(clips)
    enrolment = [
        (clip, {"emotion": answer["emotion"], "age": answer["age"] - 3})
        for clip, answer in zip(clips, said, strict=True)
    ]
    personal = Burst2VecPipeline(model=analyse.model, feature_extractor=analyse.feature_extractor, enrolment=enrolment)
    table = predict(clips, personal, num_proc=0)
    np.testing.assert_allclose(table["age"], [answer["age"] - 3 for answer in said], atol=0.05)
