"""burst2vec find: where bursts are and what they are, as table, Audacity's labels, Hume's JSON and picture."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image
from transformers import pipeline

from burst2vec import Burst2VecFeatureExtractor, Burst2VecPipeline, find_bursts
from burst2vec.command_line import main
from burst2vec.errors import AudioError, CorpusError, RunError
from burst2vec.prediction import finding as finding_module
from tests.audio.test_burst_regions import RATE, TIMES, bursts_in
from tests.conftest import save_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def analyse(model):
    return pipeline("vocal-burst-analysis", model=str(model))


@pytest.fixture(scope="module")
def evening(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "evening.flac"
    soundfile.write(path, bursts_in(0.001), RATE)
    return path


def test_the_pipeline_answers_by_bursts(analyse, evening):
    found = analyse(str(evening), chunk="bursts")
    np.testing.assert_allclose([(burst["start"], burst["end"]) for burst in found], TIMES, atol=0.06)
    waveform, _ = soundfile.read(evening, dtype="float32")
    for burst in found:
        alone = analyse(waveform[round(burst["start"] * RATE) : round(burst["end"] * RATE)])
        assert burst["age"] == pytest.approx(alone["age"], abs=1e-2)
        assert burst["country"]["label"] == alone["country"]["label"] and 0 < burst["confidence"] < 1
    once = Burst2VecPipeline(
        model=analyse.model, feature_extractor=analyse.feature_extractor, chunk={"kind": "bursts", "min_seconds": 1.0}
    )
    assert [len(each) for each in once([str(evening), waveform])] == [1, 1]


def test_a_bad_recording_costs_no_other_its_bursts(analyse, evening):
    given = [str(evening), b"no recording", str(evening)]
    with pytest.raises(AudioError, match=r"recording 1 \(counted from 0\): broken"):
        analyse(given, chunk="bursts")
    assert [len(each) for each in analyse(given, chunk="bursts", on_error="skip")] == [4, 4]
    found = analyse(given, chunk="bursts", on_error="nan")
    assert len(found[0]) == len(found[2]) == 4 and "broken" in found[1]["error"]


@pytest.mark.parametrize("chunk", ["seconds", {"kind": "bursts", "loudness": 3}])
def test_an_unknown_chunk_is_refused_with_what_there_is(analyse, evening, chunk):
    with pytest.raises(ValueError, match=r"it is 'bursts', or .*threshold, edge_threshold"):
        analyse(str(evening), chunk=chunk)


def test_a_table_says_where_and_with_a_model_what(analyse, evening, tmp_path):
    (tmp_path / "broken.mp3").write_bytes(b"no recording")
    where = find_bursts([evening, tmp_path / "broken.mp3"])
    assert list(where.columns) == ["file", "start", "end", "confidence", "problem"]
    assert len(where) == 5 and where["problem"].iloc[-1].startswith("broken, or not audio")
    what = find_bursts(evening, analyse)
    assert what["start"].tolist() == where["start"].tolist()[:4]
    assert what["country"].notna().all() and what["emotion/Awe"].between(0, 1).all()


def test_the_command_writes_table_labels_and_pictures(evening, model, tmp_path, capsys):
    words = ["find", str(evening), "--model", str(model), "--out", str(tmp_path / "bursts.csv")]
    folders = ["--labels", str(tmp_path / "labels"), "--pictures", str(tmp_path / "pictures")]
    assert main([*words, *folders]) == 0
    assert "4 bursts in 1 recordings" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "bursts.csv")
    assert len(table) == 4 and {"country", "emotion/Awe", "age"} <= set(table.columns)
    lines = [line.split("\t") for line in (tmp_path / "labels" / "evening.txt").read_text().splitlines()]
    np.testing.assert_allclose([list(map(float, line[:2])) for line in lines], TIMES, atol=0.06)
    assert all(line[2].split(" ")[0] for line in lines)
    assert Image.open(tmp_path / "pictures" / "evening.png").size[0] > 1_000


def test_killed_and_resumed_it_is_the_same_table_and_no_recording_is_read_twice(evening, tmp_path, monkeypatch):
    (tmp_path / "broken.mp3").write_bytes(b"no recording")
    soundfile.write(tmp_path / "silent.wav", np.zeros(3 * RATE), RATE)
    recordings = [str(tmp_path / "silent.wav"), str(tmp_path / "broken.mp3"), str(evening)]
    whole = find_bursts(recordings, out=tmp_path / "whole.csv")
    read, rows_of = [], finding_module._rows_of

    def third_fails(name, *others):
        read.append(name)
        if len(read) == 3:
            raise KeyboardInterrupt
        return rows_of(name, *others)

    monkeypatch.setattr(finding_module, "_rows_of", third_fails)
    words = ["find", *recordings, "--model", "none", "--out", str(tmp_path / "table.csv")]
    with pytest.raises(KeyboardInterrupt):
        main(words)
    assert not (tmp_path / "table.csv").exists() and (tmp_path / "table.csv.parts").is_dir()
    with pytest.raises(RunError, match=r"table\.csv\.parts: was begun with another setting; resume that one, delete"):
        find_bursts(recordings, out=tmp_path / "table.csv", min_pause=1.0)
    with pytest.raises(RunError, match="was begun with another recordings"):
        find_bursts(recordings[:2], out=tmp_path / "table.csv")
    assert main(words) == 1  # the broken one
    assert read == [*recordings, recordings[-1]]
    assert (tmp_path / "table.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not (tmp_path / "table.csv.parts").exists() and len(whole) == 5
    with pytest.raises(RunError, match="is there already"):
        find_bursts(recordings, out=tmp_path / "table.csv")


def test_one_that_is_killed_while_it_writes_labels_finds_its_bursts_again(evening, model, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    words = ["find", str(evening), "--model", str(model), "--out", str(tmp_path / "t.json"), "--format", "hume"]
    words += ["--labels", str(tmp_path / "labels")]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("burst2vec.prediction.region_files.write_audacity", killed)
        main(words)
    monkeypatch.setattr(finding_module, "_rows_of", killed)
    assert main(words) == 0
    (found,) = json.loads((tmp_path / "t.json").read_text())[0]["results"]["predictions"]
    assert len(found["models"]["burst"]["grouped_predictions"][0]["predictions"]) == 4


def test_humes_json_has_the_shape_of_its_retired_service(evening, model, tmp_path):
    """Fields as in HumeAI/hume-python-sdk, expression_measurement/batch/types."""
    (tmp_path / "broken.mp3").write_bytes(b"no recording")
    out = tmp_path / "hume.json"
    words = ["find", str(evening), str(tmp_path / "broken.mp3"), "--model", str(model), "--out", str(out)]
    assert main([*words, "--format", "hume"]) == 1
    good, bad = json.loads(out.read_text())
    md5 = hashlib.md5(evening.read_bytes()).hexdigest()
    assert good["source"]["type"] == "file" and good["source"]["filename"] == "evening.flac"
    assert good["source"]["md5sum"] == md5 and good["results"]["errors"] == []
    (prediction,) = good["results"]["predictions"]
    assert prediction["file"] == "evening.flac" and prediction["models"]["burst"]["metadata"] is None
    (group,) = prediction["models"]["burst"]["grouped_predictions"]
    assert group["id"] == "unknown" and len(group["predictions"]) == 4
    for burst, (start, end) in zip(group["predictions"], TIMES, strict=True):
        assert set(burst) == {"time", "emotions", "descriptions"}
        assert burst["time"] == {"begin": pytest.approx(start, abs=0.06), "end": pytest.approx(end, abs=0.06)}
        assert {"name": "Awe", "score": pytest.approx(0.5, abs=0.5)} in burst["emotions"]
        assert {score["name"] for score in burst["descriptions"]} >= {"China", "Venezuela"}
    assert bad["results"]["predictions"] == [] and bad["results"]["errors"][0]["file"] == "broken.mp3"


@pytest.mark.parametrize(
    "words, said",
    [
        (["--out", "bursts.xls"], "a table ends in .csv"),
        (["--model", "none", "--format", "hume", "--out", "bursts.json"], "--format hume needs --model"),
        (["--threshold", "1"], "edge_threshold=1.5, threshold=1.0; allowed"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(evening, capsys, words, said):
    assert main(["find", str(evening), *words]) == 2
    refusal = capsys.readouterr().err
    assert refusal.startswith("error: ") and said in refusal and refusal.count("\n") == 1


def test_no_recording_and_two_of_one_name_are_refused(evening, tmp_path, capsys):
    with pytest.raises(CorpusError, match="there are no recordings"):
        find_bursts([])
    (tmp_path / "evening.flac").write_bytes(evening.read_bytes())
    words = ["find", str(evening), str(tmp_path / "evening.flac"), "--labels", str(tmp_path / "labels")]
    assert main(words) == 2
    assert "would both become" in capsys.readouterr().err


def test_vectors_on_their_speakers_scale_are_refused(analyse, evening):
    extractor = Burst2VecFeatureExtractor(features=["compare"], feature_size=3, normalise_per_speaker=True)
    other = Burst2VecPipeline(model=analyse.model, feature_extractor=extractor)
    with pytest.raises(RunError, match="who is in a recording is not known"):
        find_bursts(evening, other)
