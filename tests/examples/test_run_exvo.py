"""run_exvo from end to end: what it writes, what it refuses, and that it resumes."""

import csv
import errno
import json
import os
import re
import runpy
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from huggingface_hub import ModelCard
from transformers import AutoFeatureExtractor, AutoModel, HubertModel

from burst2vec.experiment.execute import main
from burst2vec.experiment.publishing import find_secrets, published_files
from burst2vec.experiment.recipes import load_recipe
from burst2vec.locks import lock_folder
from burst2vec.scoring import expected_calibration_error, validate_official_file
from tests.conftest import TINY, tiny_encoder_config

pytestmark = pytest.mark.slow  # whole commands and runs

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
TINY_ENCODER = {"model_type": "hubert", "feat_extract_norm": "layer", "apply_spec_augment": False, **TINY}
RECIPE = {
    "extends": str(RECIPES / "burst2vec" / "quickstart.yaml"),
    "description": "The smallest run that shows everything",
    "model": {
        "encoder": TINY_ENCODER,
        "trunk": {"projection_size": 8, "hidden_size": 8},
        "initializer_range": 0.3,
    },
    "data": {"synthetic_clips": 36, "synthetic_speakers": 12},
    "training": {"num_train_epochs": 2, "per_device_train_batch_size": 8, "logging_steps": 1},
}
calibrate_main = runpy.run_path(str(RECIPES.parent / "calibrate.py"))["main"]
PICTURES = ["emotion_ccc", "age_scatter", "country_confusion", "country_reliability"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a recipe, a corpus with two clips that cannot be read, and one finished run."""
    place = tmp_path_factory.mktemp("exvo")
    (place / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    arguments = ["--data_dir", str(place / "corpus"), "--cache_dir", str(place / "cache")]
    again = [str(place / "recipe.yaml"), *arguments]
    assert main([*again, "--output_dir", str(place / "first"), "--max_steps", "1"]) == 0  # writes the corpus
    with (place / "corpus" / "data_info.csv").open() as table:
        rows = list(csv.DictReader(table))
    broken = [next(row["File_ID"].strip("[]") for row in rows if row["Split"] == split) for split in ("Train", "Test")]
    (place / "corpus" / "wav" / f"{broken[0]}.wav").write_bytes(b"not audio")
    soundfile.write(place / "corpus" / "wav" / f"{broken[1]}.wav", np.zeros(399), 16000)
    assert main([*again, "--output_dir", str(place / "run"), "--hub_token", "hf_" + "x" * 34]) == 0
    return place


@pytest.fixture
def command(workplace):
    """The command line of the finished run, for another folder."""

    def options(output_dir, *more):
        places = ["--data_dir", workplace / "corpus", "--cache_dir", workplace / "cache", "--output_dir", output_dir]
        return [str(text) for text in (workplace / "recipe.yaml", *places, *more)]

    return options


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_everything_is_written(workplace):
    run = workplace / "run"
    names = {path.name for path in run.iterdir()}
    assert {"model.safetensors", "config.json", "preprocessor_config.json", "metrics.json", "README.md"} <= names
    assert {"recipe.yaml", "predictions_validation.csv", "predictions_test.csv", "ExVo-Multi_burst2vec_1.csv"} <= names
    pictures = {"losses.png"} | {f"{split}_{name}.png" for split in ("validation", "test") for name in PICTURES}
    assert {path.name for path in (run / "plots").iterdir()} == pictures


def test_clips_that_cannot_be_read_are_skipped_and_counted(workplace):
    counts = metrics_of(workplace / "run")["clips"]
    assert [counts[split]["skipped"] for split in ("train", "validation", "test")] == [1, 0, 1]
    assert sum(count["used"] for count in counts.values()) == 34


def test_the_record_says_how_many_speakers_there_were_and_what_the_run_took(workplace):
    record, weights = metrics_of(workplace / "run"), workplace / "run" / "model.safetensors"
    with (workplace / "corpus" / "data_info.csv").open() as table:
        rows = list(csv.DictReader(table))
    for split, speakers in record["speakers"].items():
        named = {row["Subject_ID"] for row in rows if row["Split"] == {"validation": "Val"}.get(split, split.title())}
        assert speakers == len(named - {""})
    assert record["speakers"].keys() >= {"train", "validation"}
    assert record["cost"]["megabytes"] == pytest.approx(weights.stat().st_size / 1e6, abs=1e-3)
    assert 0 < record["cost"]["train_seconds"] < 600
    assert 0 < record["cost"]["milliseconds_per_clip"] < 10_000


def test_the_record_holds_scores_beside_the_constant_baselines(workplace):
    record = metrics_of(workplace / "run")
    for split in ("validation", "test"):
        scores, baseline = record["scores"][split], record["baseline"][split]
        assert {"emotion_ccc", "emotion_ccc/Awe", "age_mae", "country_uar", "s_mtl"} <= scores.keys() == baseline.keys()
        assert baseline["country_uar"] == 0.25 and baseline["emotion_ccc"] == 0
    assert record["seed"] == 42 and record["corpora"] == ["synthetic"] and "torch" in record["versions"]


def test_the_submission_answers_for_every_test_clip_the_unreadable_one_by_the_constant_baseline(workplace):
    with (workplace / "corpus" / "data_info.csv").open() as table:
        clips = list(csv.DictReader(table))
    asked = [row["File_ID"].strip("[]") for row in clips if row["Split"] == "Test"]
    submitted = workplace / "run" / "ExVo-Multi_burst2vec_1.csv"
    assert validate_official_file(submitted, asked) == len(asked) == 12
    with (workplace / "run" / "predictions_test.csv").open() as table:
        predicted = {row["file_id"]: row for row in csv.DictReader(table)}
    (unreadable,) = set(asked) - predicted.keys()
    record = {"file": submitted.name, "clips": 12, "constant_baseline": [unreadable], "without_row": 0}
    assert metrics_of(workplace / "run")["submissions"] == [record]
    with submitted.open() as table:
        rows = {row["File_ID"].strip("[]"): row for row in csv.DictReader(table)}
    train = [row for row in clips if row["Split"] == "Train" and row["File_ID"] != "[00001]"]  # which cannot be read
    assert float(rows[unreadable]["Age"]) == pytest.approx(np.median([float(row["Age"]) for row in train]))
    assert float(rows[unreadable]["Awe"]) == pytest.approx(np.mean([float(row["Awe"]) for row in train]), abs=1e-6)
    for clip, row in predicted.items():
        assert rows[clip]["Age"] == row["age"] and rows[clip]["Awe"] == row["emotion/Awe"]
        assert 15 <= float(row["age"]) <= 45
        probabilities = {name.split("/")[1]: float(row[name]) for name in row if name.startswith("country/")}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert max(probabilities, key=probabilities.get) == row["country"]


def test_the_cards_model_index_equals_the_metrics(workplace):
    record = metrics_of(workplace / "run")
    card = ModelCard.load(workplace / "run" / "README.md")
    names = {"ccc": "emotion_ccc", "mae": "age_mae", "uar": "country_uar", "war": "country_war", "s_mtl": "s_mtl"}
    names["pearson"] = "emotion_pearson"
    found = {(r.dataset_split, names[r.metric_type]): r.metric_value for r in card.data.eval_results}
    assert found == {
        (split, name): record["scores"][split][name] for split in record["scores"] for name in names.values()
    }


def test_intervals_are_of_the_validation_clips_and_their_coverage_of_the_test_clips(workplace):
    run = workplace / "run"
    config, before = json.loads((run / "config.json").read_text()), run / "checkpoint-4" / "config.json"
    conformal, none = config.pop("conformal"), {"conformal": None, "temperatures": None}
    assert {**json.loads(before.read_text()), **none} == {**config, **none}
    assert {name: len(of_task) for name, of_task in conformal.items()} == {"emotion": 10, "age": 1, "country": 1}
    coverage = metrics_of(run)["coverage"]
    assert coverage.keys() == {"test"} and coverage["test"]["asked"] == 0.9 and coverage["test"]["speakers"] == 4
    assert coverage["test"]["tasks"].keys() == conformal.keys()
    (said,) = re.findall(
        r"^Of the labels of 4 new speakers, .* 90 % cover: emotion .*$", (run / "README.md").read_text(), re.M
    )
    assert f"age {100 * coverage['test']['tasks']['age']['covered']:.1f} % (" in said
    assert AutoModel.from_pretrained(run).config.conformal == conformal


def test_a_temperature_is_of_the_validation_clips_and_the_card_says_the_error_before_and_after(workplace):
    run = workplace / "run"
    temperatures, errors = json.loads((run / "config.json").read_text())["temperatures"], metrics_of(run)["calibration"]
    assert temperatures.keys() == {"country"} and [errors[split]["crossed"] for split in errors] == [True, False]
    for split in ("validation", "test"):
        of_task = errors[split]["tasks"]["country"]
        assert of_task["temperature"] == temperatures["country"] and errors[split]["speakers"] == 4
        said = f"country {of_task['before']:.3f} and {of_task['after']:.3f}"
        assert len(re.findall(rf"^Expected calibration error \(15 bins\) of 4 .* {said} ", card_of(run), re.M)) == 1
    with (run / "predictions_test.csv").open() as table:
        rows = list(csv.DictReader(table))
    classes = ["China", "South Africa", "United States", "Venezuela"]
    sure = np.array([[float(row[f"country/{name}"]) for name in classes] for row in rows])
    with (workplace / "corpus" / "data_info.csv").open() as table:
        truth = {row["File_ID"].strip("[]"): classes.index(row["Country"]) for row in csv.DictReader(table)}
    wanted = expected_calibration_error(sure, [truth[row["file_id"]] for row in rows])
    assert errors["test"]["tasks"]["country"]["after"] == pytest.approx(wanted, abs=1e-4)


def card_of(folder):
    return (folder / "README.md").read_text()


def test_calibrating_a_finished_run_gives_what_its_training_gave(workplace, tmp_path, capsys):
    run, place = tmp_path / "run", ["--data_dir", workplace / "corpus", "--cache_dir", workplace / "cache"]
    shutil.copytree(workplace / "run", run, ignore=shutil.ignore_patterns("checkpoint-*"))
    config, record = json.loads((run / "config.json").read_text()), metrics_of(run)
    measured = {"conformal": config["conformal"], "temperatures": config["temperatures"]}
    (run / "config.json").write_text(json.dumps({**config, **dict.fromkeys(measured)}))
    (run / "metrics.json").write_text(json.dumps({**record, "calibration": {}, "coverage": {}}))
    assert calibrate_main([str(run), *map(str, place)]) == 0
    said = capsys.readouterr().out
    assert "calibrated by 12 validation clips of 4 speakers who were not trained on\n" in said
    found = json.loads((run / "config.json").read_text())
    assert found.keys() == config.keys()
    assert found["temperatures"]["country"] == pytest.approx(config["temperatures"]["country"], rel=0.02)
    assert found["conformal"]["age"][0][:50] == pytest.approx(config["conformal"]["age"][0][:50], abs=0.2)  # bf16
    assert metrics_of(run)["calibration"].keys() == {"validation", "test"}
    assert metrics_of(run)["scores"] == record["scores"] and metrics_of(run)["submissions"] == record["submissions"]
    assert "Expected calibration error" in card_of(run) and "Expected calibration error" in said
    with (run / "predictions_validation.csv").open() as table:
        lines = table.readlines()
    (run / "predictions_validation.csv").write_text("".join(lines[:-1]))  # as of a run whose split was another
    assert calibrate_main([str(run), *map(str, place)]) == 2
    assert "1 of the corpus's 12 validation clips, such as" in capsys.readouterr().err


def test_the_saved_model_predicts_what_the_file_says(workplace):
    run = workplace / "run"
    model, extractor = AutoModel.from_pretrained(run).eval(), AutoFeatureExtractor.from_pretrained(run)
    with (run / "predictions_validation.csv").open() as table:
        row = next(csv.DictReader(table))
    waveform, rate = soundfile.read(workplace / "corpus" / "wav" / f"{row['file_id']}.wav", dtype="float32")
    with torch.no_grad():
        predictions = model(**extractor(waveform, sampling_rate=rate, return_tensors="pt")).predictions
    assert predictions["age"].item() == pytest.approx(float(row["age"]), abs=0.2)  # the run may have been in bf16
    assert predictions["emotion"][0, 0].item() == pytest.approx(float(row["emotion/Awe"]), abs=0.02)


def test_nothing_published_holds_a_token_or_a_place(workplace):
    files = published_files(workplace / "run")
    assert len(files) > 12
    assert {str(path): find_secrets(path) for path in files if find_secrets(path)} == {}
    text = "".join(path.read_text() for path in files if path.suffix in (".json", ".yaml", ".md"))
    assert str(workplace) not in text and "hf_x" not in text
    assert not list((workplace / "run").rglob("training_args.bin"))


def test_an_encoder_from_a_folder_leaves_only_its_name(command, tmp_path):
    HubertModel(tiny_encoder_config(style="large")).save_pretrained(tmp_path / "my-hubert")
    short = ["--encoder", tmp_path / "my-hubert", "--max_steps", "1", "--do_eval", "false", "--do_predict", "false"]
    assert main(command(tmp_path / "run", *short)) == 0
    files = published_files(tmp_path / "run")
    assert {str(path): find_secrets(path) for path in files if find_secrets(path)} == {}
    assert str(tmp_path) not in (tmp_path / "run" / "config.json").read_text()
    assert load_recipe(tmp_path / "run" / "recipe.yaml").model["encoder"] == "my-hubert"


def test_the_saved_recipe_is_the_run(workplace):
    saved = load_recipe(workplace / "run" / "recipe.yaml")
    assert saved.training["num_train_epochs"] == 2 and saved.model["encoder"] == TINY_ENCODER
    assert saved.to_dict() == metrics_of(workplace / "run")["recipe"]


def test_evaluating_the_saved_model_gives_the_same_scores(workplace, command, tmp_path):
    saved = ["--do_train", "false", "--model_path", workplace / "run"]
    assert main(command(tmp_path / "again", *saved)) == 0
    first, again = metrics_of(workplace / "run"), metrics_of(tmp_path / "again")
    assert again["scores"] == first["scores"] and again["coverage"] == first["coverage"]
    assert again["baseline"].keys() == first["baseline"].keys()
    assert not (tmp_path / "again" / "model.safetensors").exists()


def test_a_run_goes_on_from_its_last_checkpoint_to_the_same_scores(workplace, command, tmp_path):
    shutil.copytree(workplace / "run", tmp_path / "run")
    checkpoints = sorted((tmp_path / "run").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    assert len(checkpoints) == 2
    shutil.rmtree(checkpoints[-1])
    (tmp_path / "run" / "model.safetensors").unlink()
    assert main(command(tmp_path / "run", "--resume_from_checkpoint", "true")) == 0
    assert metrics_of(tmp_path / "run")["scores"] == metrics_of(workplace / "run")["scores"]


def test_damaged_checkpoints_are_passed_over_by_name_before_the_corpus_is_read(workplace, command, tmp_path, caplog):
    shutil.copytree(workplace / "run", tmp_path / "run")
    older, newest = sorted((tmp_path / "run").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    (newest / "config.json").write_text('{"tasks": ')
    (tmp_path / "run" / "checkpoint-99999").mkdir()
    assert main(command(tmp_path / "run", "--resume_from_checkpoint", "true")) == 0
    assert f"skipped {newest.name}: config.json is not as it was written" in caplog.text
    assert (
        "skipped checkpoint-99999: it has no manifest.json" in caplog.text and f"resuming from {older}" in caplog.text
    )
    assert metrics_of(tmp_path / "run")["scores"] == metrics_of(workplace / "run")["scores"]


def test_where_no_checkpoint_is_whole_the_run_is_refused_in_one_line(workplace, command, tmp_path, capsys):
    for checkpoint in (workplace / "run").glob("checkpoint-*"):
        shutil.copytree(checkpoint, tmp_path / "run" / checkpoint.name)
        (tmp_path / "run" / checkpoint.name / "config.json").write_text("{}")
    arguments = command(tmp_path / "run", "--resume_from_checkpoint", "true")
    assert main([*arguments, "--data_dir", str(tmp_path / "no corpus")]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert re.match(r"error: .*no checkpoint is whole: checkpoint-\d+: config.json is not as it was written", message)


def test_a_second_run_in_the_folder_of_a_living_one_is_refused_in_one_line(command, tmp_path, capsys):
    told, tell = os.pipe()
    holder = os.fork()
    if holder == 0:
        with lock_folder(tmp_path / "run"):
            os.write(tell, b"1")
            time.sleep(60)
        os._exit(0)
    os.read(told, 1)
    try:
        for more in ([], ["--resume_from_checkpoint", "true"]):
            assert main(command(tmp_path / "run", *more)) == 2
            told_user = rf"error: {tmp_path}/run: process {holder} on \S+ is writing into it; .*\n"
            assert re.fullmatch(told_user, capsys.readouterr().err)
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)


def test_a_run_that_meets_a_full_disk_looks_unfinished_and_can_be_resumed(command, tmp_path, monkeypatch, capsys):
    replace = os.replace

    def full(source, target):
        if Path(target).name == "metrics.json":
            assert (tmp_path / "run" / "README.md").is_file()  # metrics.json is the last
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        assert main(command(tmp_path / "run", "--max_steps", "1")) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(
        r"error: .*metrics\.json could not be written: No space left on device \(.* GiB free\)", message
    )
    assert "metrics.json" not in {path.name for path in (tmp_path / "run").iterdir()}
    assert not [path for path in (tmp_path / "run").rglob(".*")]
    again = ["--max_steps", "1", "--resume_from_checkpoint", "true"]
    assert main(command(tmp_path / "run", *again)) == 0
    assert metrics_of(tmp_path / "run")["step_of_weights"] == 1


def test_a_folder_that_is_not_empty_is_refused_with_the_mending_call(workplace, command, capsys):
    before = (workplace / "run" / "metrics.json").stat().st_mtime_ns
    assert main(command(workplace / "run")) == 2
    message = capsys.readouterr().err
    assert "is not empty" in message and "--resume_from_checkpoint true" in message and "--output_dir" in message
    assert (workplace / "run" / "metrics.json").stat().st_mtime_ns == before


OTHER_TASKS = (
    '[{"name": "age", "kind": "regression", "labels": ["age"], "span": [15, 45], "loss": "mae", "metric": "mae"}]'
)


def test_a_saved_model_of_another_task_set_is_refused(workplace, command, tmp_path, capsys):
    saved = ["--do_train", "false", "--model_path", workplace / "run", "--tasks", OTHER_TASKS]
    assert main(command(tmp_path / "other", *saved)) == 2
    message = capsys.readouterr().err
    assert "[emotion (regression, 10), age (regression, 1), country (classification, 4)]" in message
    assert "[age (regression, 1)]" in message


def test_a_checkpoint_of_another_task_set_is_refused(workplace, command, tmp_path, capsys):
    checkpoint = next((workplace / "run").glob("checkpoint-*"))
    other = ["--resume_from_checkpoint", checkpoint, "--tasks", OTHER_TASKS, "--metric_for_best_model", "age_mae"]
    assert main(command(tmp_path / "other", *other)) == 2
    assert re.search(r"trained on the tasks \[emotion .*asks for \[age", capsys.readouterr().err)


def test_a_saved_model_with_other_parts_is_refused(workplace, command, tmp_path, capsys):
    saved = ["--do_train", "false", "--model_path", workplace / "run", "--trunk", "{hidden_size: 9}"]
    assert main(command(tmp_path / "other", *saved)) == 2
    assert "trunk.hidden_size 8, not 9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--tasks", "emogator"], r"has no labels for the tasks \['category'\]"),
        (["--corpus", "hume_vb"], "synthetic_seed: a key of synthetic, not of hume_vb, which takes audio, labels"),
        (["--trunk", "{kind: identity, adversary_weight: 0.1}"], "trunk 'identity' does not know 'adversary_weight'"),
        (["--learning_rate", "-1"], "learning_rate must be a number above 0, up to 100, got -1.0"),
        (["--model_path", "/nowhere"], "no config.json"),
    ],
)
def test_what_cannot_run_is_refused_by_name(command, tmp_path, capsys, more, message):
    assert main(command(tmp_path / "run", *more)) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_a_bad_clip_ends_the_run_where_that_is_asked(command, tmp_path, capsys):
    assert main(command(tmp_path / "run", "--on_bad_clip", "raise", "--cache_dir", tmp_path)) == 2
    assert re.search(r"00001 .*not audio.*on_bad_clip='skip'", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("more", "message"), [([], "--data_dir FOLDER"), (["--data_dir", "/nowhere"], "no such folder")]
)
def test_a_corpus_to_be_fetched_needs_its_folder(tmp_path, capsys, more, message):
    v1 = [str(RECIPES / "burst2vec" / "v1_wav2vec_large.yaml"), "--encoder", json.dumps(TINY_ENCODER)]
    assert main([*v1, "--output_dir", str(tmp_path / "run"), *more]) == 2
    assert message in capsys.readouterr().err


def test_the_corpus_is_looked_for_before_the_encoder_is_fetched(tmp_path, capsys, monkeypatch):
    def fetched(name, **_):
        pytest.fail(f"{name} is fetched for a corpus that is not there")

    monkeypatch.setattr("burst2vec.modeling_burst2vec.load_speech_model", fetched)
    monkeypatch.setattr("burst2vec.experiment.building.pretrained_level", fetched)
    v1 = ["burst2vec/v1_wav2vec_large", "--target_rms_dbfs", "checkpoint", "--output_dir", str(tmp_path / "run")]
    assert main([*v1, "--data_dir", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_samples_can_be_limited_and_a_submission_of_some_is_called_incomplete(command, tmp_path, capsys):
    limits = ["--max_train_samples", "9", "--max_eval_samples", "5", "--max_predict_samples", "4", "--max_steps", "1"]
    assert main(command(tmp_path / "run", *limits)) == 0
    assert "is written but incomplete: 8 of 12 test clips were not predicted" in capsys.readouterr().out
    clips = metrics_of(tmp_path / "run")["clips"]
    assert [clips[split]["used"] + clips[split]["skipped"] for split in ("train", "validation", "test")] == [9, 5, 4]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--help-all"]])
def test_the_usage_lists_the_recipes(monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["run_exvo.py", *arguments])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(RECIPES.parent / "run_exvo.py"), run_name="__main__")
    assert end.value.code == (0 if arguments else 2)
    shown = capsys.readouterr().out
    assert "burst2vec train RECIPE [--key value …]" in shown
    assert ("burst2vec/quickstart\n" in shown) == (not arguments)
    assert ("--learning_rate (default 1e-05)" in shown) == (arguments == ["--help"])
    assert ("--run_name" in shown) == (arguments == ["--help-all"])
