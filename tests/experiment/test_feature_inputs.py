"""Models that take vectors: a run from its recipe to its pipeline, and what is refused."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from datasets import Dataset
from transformers import pipeline

from burst2vec import Burst2VecFeatureExtractor, Burst2VecForMultiTask
from burst2vec.data.corpora.synthetic import write_synthetic_corpus
from burst2vec.data.vectors import vectors_of
from burst2vec.errors import AudioError, CorpusError, RunError
from burst2vec.experiment.execute import execute, main
from burst2vec.experiment.feature_inputs import feature_inputs, tables_folder
from burst2vec.experiment.inputs import Clips, prepare_clips, read_corpora, tasks_of
from burst2vec.experiment.publishing import find_secrets, published_files
from burst2vec.experiment.recipes import load_recipe, parse_run
from burst2vec.experiment.run_record import RunRecord
from burst2vec.experiment.sections import DataArguments
from burst2vec.features import FEATURE_SETS, FeatureFamily, FeatureSet, extraction, write_features
from burst2vec.scoring import validate_official_file
from burst2vec.tasks import AGE
from tests.features.test_embeddings import save_encoder

pytestmark = pytest.mark.slow  # whole commands and runs

RECIPE = {
    "description": "Two numbers per clip",
    "data": {"corpus": "hume_vb", "preprocess": ["normalise_peak"]},
    "model": {
        "encoder": {"kind": "vector"},
        "features": ["loudness", "shape"],
        "tasks": "exvo",
        "trunk": {"kind": "shared", "hidden_sizes": [8]},
        "initializer_range": 0.5,
    },
    "training": {
        "task_schedule": "joint",
        "per_device_train_batch_size": 4,
        "num_train_epochs": 2,
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "learning_rate": 1e-2,
        "bf16": False,
    },
}


def feature_set(*quantities):
    def vector(waveform):
        return np.array([quantity(waveform) for quantity in quantities], np.float32), ""

    size = len(quantities)
    return FeatureSet(size, vector, lambda: tuple(map(str, range(size))), lambda: {"test": size})


def fit_offset(argument, clips, folder):
    (folder / "offset.json").write_text(json.dumps(len(clips)))


def find_offset(argument, folder):
    offset = json.loads((folder / "offset.json").read_text())
    return feature_set(lambda waveform: waveform.std() + offset * int(argument))


@pytest.fixture(autouse=True, scope="module")
def sets():
    """Feature sets that cost nothing: two fixed ones, one of a checkpoint, and one that learns from training clips."""
    checkpoint = FeatureFamily("FOLDER", lambda argument: feature_set(np.std), lambda argument: "checkpoint")
    learning = FeatureFamily("N", find_offset, lambda argument: f"offset-{argument}", fit_offset, "offset.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FEATURE_SETS, "loudness", feature_set(np.std))
        patch.setitem(FEATURE_SETS, "shape", feature_set(np.max, lambda waveform: waveform.size))
        patch.setitem(extraction.FEATURE_FAMILIES, "offset", learning)
        patch.setitem(extraction.FEATURE_FAMILIES, "checkpoint", checkpoint)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_synthetic_corpus(tmp_path_factory.mktemp("corpora") / "hume_vb", clips=36, speakers=12)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def command(folder, cache, tmp_path_factory):
    recipe = tmp_path_factory.mktemp("recipes") / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))

    def options(output_dir, *more):
        words = [recipe, "--data_dir", folder, "--cache_dir", cache, "--output_dir", output_dir, *more]
        return list(map(str, words))

    return options


@pytest.fixture(scope="module")
def own(folder, tmp_path_factory):
    """The same clips as a folder of one's own: who speaks and how old they are, and no split."""
    place = tmp_path_factory.mktemp("own") / "bursts"
    shutil.copytree(folder / "wav", place)
    with (folder / "data_info.csv").open() as table:
        rows = list(csv.DictReader(table))
    lines = [f"{row['File_ID'].strip('[]')}.wav,{row['Subject_ID']},{row['Age']}" for row in rows]
    (place / "metadata.csv").write_text("\n".join(["file,speaker,age", *lines]) + "\n")
    return place


@pytest.fixture(scope="module")
def finished(command, tmp_path_factory):
    """The folder of a run on two feature sets, with everything that a run writes."""
    run = tmp_path_factory.mktemp("finished") / "run"
    execute(parse_run(command(run)))
    return run


SHORT = ["--max_steps", "1", "--do_eval", "false", "--do_predict", "false"]
SHORT += ["--eval_strategy", "no", "--save_strategy", "no"]
EVALUATE = ["--do_train", "false", "--do_predict", "false"]


def refused(capsys, arguments):
    assert main(arguments) == 2
    return capsys.readouterr().err


def record_of(run):
    return RunRecord.read(run)


def scores(record):
    return record.scores["validation"]


def prepared(command, *more):
    """The clips of a run as its feature sets receive them."""
    run = parse_run(command("nowhere", *more))
    steps = run.data.preprocess or []
    return {
        split: made.dataset
        for split, made in prepare_clips(read_corpora(run.data, tasks_of(run)), run.data, steps).items()
    }


def test_a_run_measures_its_vectors_and_its_pipeline_computes_them(finished, folder):
    record = record_of(finished)
    assert record.features == ["loudness", "shape"] and record.steps > 2
    model = Burst2VecForMultiTask.from_pretrained(finished)
    assert model.encoder.size == 3 and model.encoder.mean[2] > 1000  # samples
    extractor = Burst2VecFeatureExtractor.from_pretrained(finished)
    assert (
        extractor.features == ["loudness", "shape"]
        and extractor.feature_size == 3
        and extractor.target_rms_dbfs is None
    )
    analyse = pipeline("vocal-burst-analysis", model=str(finished))
    header, *rows = [line.split(",") for line in (finished / "predictions_test.csv").read_text().splitlines()]
    ages = {row[0]: float(row[header.index("age")]) for row in rows}
    answers = analyse([str(folder / "wav" / f"{file_id}.wav") for file_id in ages], batch_size=4)
    assert [answer["age"] for answer in answers] == pytest.approx(list(ages.values()), abs=0.01)


def test_a_baselines_losses_write_the_challenges_submission(command, folder, tmp_path):
    losses = {"emotion": "mse", "age": "mse", "country": "cross_entropy"}
    tasks = [{"preset": "exvo", "name": name, "loss": loss} for name, loss in losses.items()]
    execute(parse_run(command(tmp_path / "run", "--tasks", json.dumps(tasks), *SHORT, "--do_predict", "true")))
    with (folder / "data_info.csv").open() as table:
        asked = [row["File_ID"].strip("[]") for row in csv.DictReader(table) if row["Split"] == "Test"]
    assert validate_official_file(tmp_path / "run/ExVo-Multi_burst2vec_1.csv", asked) == len(asked)


def test_the_card_says_what_the_model_takes(finished):
    card = (finished / "README.md").read_text()
    assert "vectors of loudness and shape" in card and "find_feature_set" in card


def test_tables_written_before_give_the_same_scores(finished, command, tmp_path):
    clips = prepared(command)
    for name in ("loudness", "shape"):
        write_features(clips, name, tmp_path / "tables", 1)
    read = execute(parse_run(command(tmp_path / "run", "--features_dir", tmp_path / "tables", "--do_predict", "false")))
    assert scores(read) == scores(record_of(finished)) and "features_dir" not in read.recipe["data"]


@pytest.fixture
def feats(folder, tmp_path):
    """The challenge's feats and its data_info.csv, without any audio."""
    place = tmp_path / "HUME-VB" / "feats" / "eGeMAPS"
    place.mkdir(parents=True)
    shutil.copy(folder / "data_info.csv", tmp_path / "HUME-VB")
    chance = np.random.default_rng(0)
    names = ",".join(["", *(f"feature_{number}" for number in range(88))])
    for number in range(1, 40):  # three more than there are clips
        row = ",".join(map(str, [number, *chance.normal(size=88).round(3)]))
        (place / f"[{number:05d}].csv").write_text(f"{names}\n{row}\n")
    return place.parent


def of_feats(command, feats, output_dir, *more):
    given = ["--data_dir", feats.parent, "--features", "egemaps", "--features_dir", feats, "--preprocess", "null"]
    return command(output_dir, *given, *more)


def test_the_challenges_vectors_need_no_audio(command, feats, tmp_path, capsys):
    record = execute(parse_run(of_feats(command, feats, tmp_path / "run")))
    assert record.features == ["egemaps"] and record.scores.keys() == {"validation", "test"}
    assert Burst2VecFeatureExtractor.from_pretrained(tmp_path / "run").feature_size == 88
    assert sum(count["used"] for count in record.clips.values()) == 36
    assert "is written and valid, with all 12 test clips" in capsys.readouterr().out


def test_a_clip_without_a_vector_is_skipped_and_counted_or_ends_the_run(command, feats, tmp_path, capsys):
    with (feats.parent / "data_info.csv").open() as table:
        lost = next(row["File_ID"].strip("[]") for row in csv.DictReader(table) if row["Split"] == "Test")
    (feats / "eGeMAPS" / f"[{lost}].csv").unlink()
    short = ["--max_steps", "1", "--eval_strategy", "no", "--save_strategy", "no"]
    record = execute(parse_run(of_feats(command, feats, tmp_path / "run", *short)))
    assert record.clips["test"] == {"used": 11, "skipped": 1, "scored": 11}
    (written,) = record.submissions
    assert written["constant_baseline"] == [lost] and written["without_row"] == 0
    message = refused(capsys, of_feats(command, feats, tmp_path / "again", *short, "--on_bad_clip", "raise"))
    assert f"eGeMAPS: holds no vector of 1 of the 12 clips of test, the first is '{lost}'" in message


def test_the_challenges_folder_of_other_clips_is_refused(command, feats, tmp_path, capsys):
    for path in (feats / "eGeMAPS").glob("*.csv"):
        path.rename(path.with_stem("x" + path.stem))
    message = refused(capsys, of_feats(command, feats, tmp_path / "again", *SHORT))
    assert "eGeMAPS: holds no vector of" in message and "clips of train, the first is '0" in message


def test_other_splits_of_the_same_clips_compute_no_vector_again(own, tmp_path, monkeypatch):
    """Preprocessed or as recorded; a clip that is new to the cache is computed, and it alone."""
    computed = []

    def vector(waveform):
        computed.append(waveform.size)
        return np.array([waveform.std(), np.abs(waveform).max()], np.float32), ""

    monkeypatch.setattr(extraction, "_processes", lambda num_proc, clips: None)  # in this process, to count
    monkeypatch.setitem(FEATURE_SETS, "loudness", FEATURE_SETS["loudness"]._replace(size=2, vector=vector))

    def vectors_by(splits, steps=(), most=None):
        data = DataArguments(corpus="folder", data_dir=str(own), cache_dir=str(tmp_path), splits=splits)
        corpus = read_corpora(data, [AGE])
        clips = prepare_clips(
            {split: clips.select(range(most or len(clips))) for split, clips in corpus.items()}, data, steps
        )
        inputs = feature_inputs(clips, ["loudness"], data, tmp_path / "run")
        return {
            file_id: vector.tolist()
            for made in inputs.values()
            for file_id, vector in zip(made.dataset["file_id"], vectors_of(made.dataset), strict=True)
        }

    first = vectors_by({"train": 0.5, "test": 0.5})
    assert len(computed) == len(first) == 36
    assert vectors_by({"train": 0.25, "validation": 0.25, "test": 0.5}) == first and len(computed) == 36
    some = vectors_by({"train": 0.5, "test": 0.5}, ["normalise_peak"], most=5)
    assert len(computed) == 36 + 10
    every = vectors_by({"train": 0.75, "validation": 0.25}, ["normalise_peak"])
    assert len(computed) == 36 + 36 and every.keys() == first.keys() and some.items() <= every.items()
    assert np.ptp([peak for _, peak in every.values()]) < 1e-3 < np.ptp([peak for _, peak in first.values()])


def test_what_a_set_learns_from_training_clips_goes_with_the_model(command, folder, tmp_path, capsys):
    execute(parse_run(command(tmp_path / "run", "--features", "offset:3", *SHORT)))
    assert (tmp_path / "run/features/offset-3/offset.json").is_file()
    saved = [*EVALUATE, "--model_path", tmp_path / "run", "--features", "null"]
    assert execute(parse_run(command(tmp_path / "evaluated", *saved))).features == ["offset:3"]
    analyse = pipeline("vocal-burst-analysis", model=str(tmp_path / "run"))
    assert 15 <= analyse(str(folder / "wav/00001.wav"))["age"] <= 45
    (tmp_path / "run/features/offset-3/offset.json").unlink()
    message = refused(capsys, command(tmp_path / "again", *saved))
    assert f"offset:3 learns from training clips, and {tmp_path / 'run'} holds no offset.json of it" in message


def test_what_a_set_has_learnt_is_taken_from_its_tables(command, tmp_path):
    write_features(prepared(command, "--preprocess", "null"), "offset:2", tmp_path / "tables", 1)
    more = ["--features", "offset:2", "--features_dir", tmp_path / "tables", *SHORT]
    execute(parse_run(command(tmp_path / "run", *more)))
    assert (tmp_path / "run/features/offset-2/offset.json").is_file()


def test_a_saved_model_says_itself_what_it_takes(finished, command, tmp_path, capsys, monkeypatch):
    saved = [*EVALUATE, "--model_path", finished]
    again = execute(parse_run(command(tmp_path / "again", *saved, "--features", "null")))
    assert scores(again) == scores(record_of(finished))
    message = refused(capsys, command(tmp_path / "other", *saved, "--features", "[shape, loudness]"))
    assert "takes vectors of ['loudness', 'shape'], but the recipe has the features ['shape', 'loudness']" in message
    message = refused(capsys, command(tmp_path / "other", *saved, "--normalise_per_speaker", "true"))
    assert "was trained with normalise_per_speaker False" in message
    monkeypatch.setitem(FEATURE_SETS, "shape", feature_set(np.max))
    message = refused(capsys, command(tmp_path / "other", *saved))
    assert "takes vectors of 3 numbers, but those of ['loudness', 'shape'] have 2 here" in message


def test_a_run_of_other_features_does_not_resume(finished, command, capsys):
    more = ["--features", "[shape, loudness]", "--resume_from_checkpoint", "true"]
    message = refused(capsys, command(finished, *more))
    assert "features was ['loudness', 'shape'] and is ['shape', 'loudness']" in message


def test_normalisation_per_speaker_is_recorded_and_single_clips_are_refused(command, folder, tmp_path):
    record = execute(parse_run(command(tmp_path / "run", "--normalise_per_speaker", "true", *SHORT)))
    assert record.normalise_per_speaker is True
    model = Burst2VecForMultiTask.from_pretrained(tmp_path / "run")
    assert torch.allclose(model.encoder.mean, torch.zeros(3), atol=1e-4)
    analyse = pipeline("vocal-burst-analysis", model=str(tmp_path / "run"))
    one = str(folder / "wav/00001.wav")
    for given, fault in (
        (one, "a clip was given alone"),
        ({"path": one, "speaker": "S1"}, "a clip was given alone"),
        ([{"path": one, "speaker": "S1"}, one], r"clip 1 \(counted from 0\) has no speaker"),
        ([{"path": one, "speaker": " "}], r"clip 0 \(counted from 0\) has no speaker"),
    ):
        with pytest.raises(
            ValueError, match=rf"^{fault}, and this model .*'speaker': 'S1'}}, …\], or .*--model_path RUN"
        ):
            analyse(given)
    assert "'speaker': 'S1'}, {'path'" in (tmp_path / "run/README.md").read_text()
    again = execute(parse_run(command(tmp_path / "again", *EVALUATE, "--model_path", tmp_path / "run")))
    assert again.normalise_per_speaker is True


@pytest.fixture(scope="module")
def per_speaker(command, tmp_path_factory):
    """The folder of a run on vectors on their speakers' scale, and the clips of its test split with their speakers."""
    run = tmp_path_factory.mktemp("per_speaker") / "run"
    execute(parse_run(command(run, "--normalise_per_speaker", "true")))
    return run


def ages_of(run, split="test"):
    with (run / f"predictions_{split}.csv").open() as table:
        return {row["file_id"]: float(row["age"]) for row in csv.DictReader(table)}


def speakers_clips(folder, file_ids):
    with (folder / "data_info.csv").open() as table:
        speaker_of = {row["File_ID"].strip("[]"): row["Subject_ID"] for row in csv.DictReader(table)}
    return [{"path": str(folder / "wav" / f"{clip}.wav"), "speaker": speaker_of[clip]} for clip in file_ids]


def test_a_list_of_clips_with_speakers_has_the_answers_of_the_run(per_speaker, folder, tmp_path):
    ages = ages_of(per_speaker)
    analyse = pipeline("vocal-burst-analysis", model=str(per_speaker))
    clips = speakers_clips(folder, ages)
    for given in (
        clips,
        clips[::-1],
        (clip for clip in clips),
        [{**clip, "path": Path(clip["path"])} for clip in clips],
    ):
        expected = list(ages.values())[:: -1 if given == clips[::-1] else 1]
        assert [answer["age"] for answer in analyse(given, batch_size=5)] == pytest.approx(expected, abs=1e-3)
    waveform, rate = soundfile.read(clips[0]["path"], dtype="float32")
    sounds = [{"array": waveform, "sampling_rate": rate, "speaker": clips[0]["speaker"]}, *clips[1:]]
    assert analyse(sounds)[0]["age"] == pytest.approx(ages[Path(clips[0]["path"]).stem], abs=1e-3)
    assert analyse([]) == []


def new_folder(folder, place, file_ids):
    """Clips as a user has them: files, and a table of who speaks, in whatever order."""
    place.mkdir()
    lines = ["file,speaker"]
    for clip in speakers_clips(folder, sorted(file_ids, reverse=True)):
        shutil.copy(clip["path"], place)
        lines.append(f"{Path(clip['path']).name},{clip['speaker']}")
    (place / "metadata.csv").write_text("\n".join(lines) + "\n")
    return place


def predict(run, place, output_dir, *more):
    """The one command that the README gives."""
    words = [run / "recipe.yaml", "--do_train", "false", "--model_path", run, "--corpus", "folder", "--splits", "null"]
    return list(map(str, [*words, "--data_dir", place, "--output_dir", output_dir, *more]))


def test_new_speakers_are_predicted_by_one_command_as_in_the_runs_own_test_split(per_speaker, folder, cache, tmp_path):
    ages = ages_of(per_speaker)
    new = new_folder(folder, tmp_path / "new", ages)
    assert main(predict(per_speaker, new, tmp_path / "out", "--cache_dir", cache)) == 0
    assert ages_of(tmp_path / "out") == ages
    one = speakers_clips(folder, ages)[0]["speaker"]
    of_one = [Path(clip["path"]).stem for clip in speakers_clips(folder, ages) if clip["speaker"] == one]
    assert 1 < len(of_one) < len(ages)
    new = new_folder(folder, tmp_path / "one_speaker", of_one)
    assert main(predict(per_speaker, new, tmp_path / "out_one", "--cache_dir", cache)) == 0
    assert ages_of(tmp_path / "out_one") == {clip: ages[clip] for clip in of_one}


def test_clips_without_their_speakers_are_refused_where_the_model_needs_them(
    per_speaker, folder, cache, tmp_path, capsys
):
    new = new_folder(folder, tmp_path / "new", ages_of(per_speaker))
    (new / "metadata.csv").unlink()
    message = refused(capsys, predict(per_speaker, new, tmp_path / "out", "--cache_dir", cache))
    assert "say who speaks, in the table's column of speakers" in message.splitlines()[-1]


def test_a_bad_clip_among_a_speakers_costs_the_others_nothing(per_speaker, folder, tmp_path):
    clips = speakers_clips(folder, ages_of(per_speaker))
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    analyse = pipeline("vocal-burst-analysis", model=str(per_speaker))
    alone = [answer["age"] for answer in analyse(clips[1:])]
    bad = {"path": str(tmp_path / "bad.wav"), "speaker": clips[0]["speaker"]}
    with pytest.raises(AudioError, match=r"bad\.wav"):
        analyse([bad, *clips[1:]])
    first, *others = analyse([bad, *clips[1:]], on_error="nan")
    assert "bad.wav" in first["error"] and [answer["age"] for answer in others] == alone
    assert [answer["age"] for answer in analyse([bad, *clips[1:]], on_error="skip")] == alone


@pytest.mark.parametrize("change", [lambda clips: clips.remove_columns("speaker"), lambda clips: blank(clips)])
def test_a_clip_without_a_speaker_has_no_speakers_scale(change):
    clips = Clips(change(Dataset.from_dict({"file_id": ["a", "b"], "speaker": ["A", "B"]})), [])
    with pytest.raises(RunError, match=r"clips of test have none, the first is '\w'"):
        feature_inputs({"test": clips}, ["loudness"], DataArguments(normalise_per_speaker=True), None)


def blank(clips):
    return clips.remove_columns("speaker").add_column("speaker", ["A", ""])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--features", "choir"], "unknown feature set 'choir'"),
        (["--features", "[shape, shape]"], "must be names, each once"),
        (["--features", "null"], "--features compare"),
        (["--encoder", '{"model_type": "hubert"}'], "need the encoder {kind: vector}"),
        (["--encoder", '{"kind": "vector", "features": 5}'], "the recipe's encoder has features 5, but the vectors of"),
        (["--target_rms_dbfs", "-20"], "target_rms_dbfs -20: features are computed of clips as they are"),
        (["--trim_below_db", "40"], "trim_below_db 40: features are computed of clips as they are"),
        (["--speed_perturbation", "0.9", "1.1"], "only recordings can be played faster or slower"),
        (["--crop_seconds", "0.25"], "only recordings can be cropped, and the model takes vectors of ["),
        (["--features_dir", "/nowhere"], "holds no folder loudness with the vectors of loudness"),
        (["--features", "null", "--encoder", '{"kind": "conformer"}', "--features_dir", "feats"], "takes waveforms"),
    ],
)
def test_what_a_model_of_vectors_cannot_take_is_refused_with_the_way_out(command, tmp_path, capsys, more, message):
    assert message in refused(capsys, command(tmp_path / "run", *more))


def test_the_challenges_bags_are_found_by_their_toolkits_name(tmp_path):
    (tmp_path / "openXBOW" / "125").mkdir(parents=True)
    assert tables_folder(tmp_path, "bag_of_audio_words:125") == tmp_path / "openXBOW" / "125"


def test_the_challenges_tables_do_without_the_weights_that_made_them(tmp_path):
    (tmp_path / "DeepSpectrum").mkdir()
    assert tables_folder(tmp_path, "deep_spectrum:nowhere/vgg19.safetensors") == tmp_path / "DeepSpectrum"


def test_a_package_that_is_missing_ends_the_run_in_a_line(command, tmp_path, capsys, monkeypatch):
    def missing():
        raise ImportError("pip install 'burst2vec[features]'")

    monkeypatch.setitem(FEATURE_SETS, "shape", FEATURE_SETS["shape"]._replace(made_by=missing))
    assert "pip install 'burst2vec[features]'" in refused(capsys, command(tmp_path / "run"))


def test_nothing_published_names_where_a_checkpoint_lay(command, tmp_path):
    (tmp_path / "my-hubert").mkdir()
    place = f"checkpoint:{tmp_path}/my-hubert"
    record = execute(parse_run(command(tmp_path / "run", "--features", f"[{place}]", *SHORT)))
    assert record.features == ["checkpoint:my-hubert"]
    files = published_files(tmp_path / "run")
    assert {str(path): find_secrets(path) for path in files if find_secrets(path)} == {}
    text = "".join(path.read_text() for path in files if path.suffix in (".json", ".yaml", ".md"))
    assert str(tmp_path) not in text and "checkpoint:my-hubert" in (tmp_path / "run/README.md").read_text()
    assert load_recipe(tmp_path / "run/recipe.yaml").model["features"] == ["checkpoint:my-hubert"]
    clip = {"array": np.sin(np.arange(8000) / 9).astype("f"), "sampling_rate": 16000}
    analyse = pipeline("vocal-burst-analysis", model=str(tmp_path / "run"))
    assert analyse(clip, features=[place])["age"] == analyse(clip)["age"]
    with pytest.raises(ValueError, match="the model takes vectors of"):
        analyse(clip, features=["shape"])


def test_a_saved_model_asks_for_the_place_of_the_network_that_makes_its_vectors(command, tmp_path, capsys):
    save_encoder(tmp_path / "encoders" / "my-hubert")
    place = f"embedding:{tmp_path}/encoders/my-hubert"
    evaluated = ["--preprocess", "null", "--max_eval_samples", "4"]
    first = execute(
        parse_run(command(tmp_path / "run", "--features", json.dumps(["loudness", place]), *SHORT, *evaluated))
    )
    assert first.features == ["loudness", "embedding:my-hubert"]
    saved = ["--do_train", "false", "--do_predict", "false", "--model_path", tmp_path / "run", *evaluated]
    asked = """--features '["loudness", "embedding:FOLDER/my-hubert"]'"""
    for features in ("null", '["loudness", "embedding:my-hubert"]', '["loudness", "embedding:/nowhere/my-hubert"]'):
        message = refused(capsys, command(tmp_path / "again", *saved, "--features", features))
        line = message.splitlines()[-1]
        assert line.startswith("error: ") and line.endswith(f"say where it lies: {asked}")
        assert "my-hubert is not found" in line
    mended = asked.split()[0], asked.partition(" ")[2].strip("'").replace("FOLDER", f"{tmp_path}/encoders")
    assert execute(parse_run(command(tmp_path / "again", *saved, *mended))).features == first.features
    analyse = pipeline("vocal-burst-analysis", model=str(tmp_path / "run"))
    clip = np.sin(np.arange(8000) / 9).astype("f")
    with pytest.raises(CorpusError, match=r"features=\['loudness', 'embedding:FOLDER/my-hubert'\]\)$"):
        analyse(clip)
    assert 15 <= analyse(clip, features=["loudness", place])["age"] <= 45
