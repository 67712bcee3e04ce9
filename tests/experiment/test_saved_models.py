"""A saved model is used whole or not at all."""

import csv
import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import HubertModel, Wav2Vec2FeatureExtractor

from burst2vec.errors import RunError
from burst2vec.experiment.building import build_model
from burst2vec.experiment.execute import main
from burst2vec.experiment.sections import ModelArguments
from tests.conftest import TINY, tiny_encoder_config
from tests.data.corpora_on_disk import write_wav

pytestmark = pytest.mark.slow  # whole commands and runs

RECIPE = {
    "description": "Kind and strength of a few bursts of noise",
    "data": {"corpus": "folder"},
    "model": {
        "encoder": {"model_type": "hubert", "feat_extract_norm": "layer", "apply_spec_augment": False, **TINY},
        "trunk": {"kind": "shared_private", "projection_size": 8, "hidden_size": 8},
        "initializer_range": 0.3,
        "tasks": [
            {
                "name": "kind",
                "kind": "classification",
                "labels": ["gasp", "laugh"],
                "loss": "cross_entropy",
                "metric": "uar",
            },
            {"name": "strength", "kind": "regression", "labels": ["strength"], "loss": "mae", "metric": "mae"},
        ],
    },
    "training": {
        "max_steps": 2,
        "eval_steps": 2,
        "save_steps": 2,
        "metric_for_best_model": "strength_mae",
        "bf16": False,
    },
}
SPLITS = {"train": "ABC", "validation": "DE", "test": "FG"}  # speakers of two clips each


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A recipe, a corpus of seven speakers in three splits, and a finished run of them."""
    place = tmp_path_factory.mktemp("saved")
    (place / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    rows = []
    for split, speakers in SPLITS.items():
        for speaker in speakers:
            for take, kind in enumerate(("gasp", "laugh")):
                name, seed = f"{speaker}{take}.wav", len(rows)
                write_wav(place / "corpus" / name, samples=4_000 + 100 * seed, level=0.01 * (1 + seed), seed=seed)
                rows.append([name, speaker, split, kind, f"{seed / 20:.2f}"])
    write_table(place / "corpus", ["file", "speaker", "split", "kind", "strength"], rows)
    assert main(command(place, "run")) == 0
    return place


def write_table(folder, header, rows):
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def command(place, output, *more, recipe="recipe.yaml", corpus="corpus"):
    places = ["--data_dir", place / corpus, "--cache_dir", place / "cache", "--output_dir", place / output]
    return [str(text) for text in (place / recipe, *places, *more)]


def refusal(capsys, arguments):
    """The one line on stderr with which a command line is refused."""
    capsys.readouterr()
    assert main(arguments) == 2
    bars = ("Loading weights", "Generating ", "Checking clips")
    shown = capsys.readouterr().err.splitlines()
    (line,) = [line for line in shown if line and not line.startswith(bars)]
    assert line.startswith("error: ")
    return line


def change_weights(run, change):
    weights = load_file(run / "model.safetensors")
    save_file(change(weights), run / "model.safetensors", metadata={"format": "pt"})


def encoder_alone(run):
    change_weights(run, lambda weights: {name: w for name, w in weights.items() if name.startswith("encoder.")})


def no_numbers(run):
    change_weights(run, lambda weights: {**weights, "heads.kind.output.bias": torch.tensor([0.0, float("nan")])})


def another_shape(run):
    change_weights(run, lambda weights: {**weights, "heads.kind.output.bias": torch.zeros(3)})


def cut_off(run):
    whole = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(whole[:-100])


def an_encoder(run):
    HubertModel(tiny_encoder_config(style="large")).save_pretrained(run)


DAMAGES = {
    "such as discriminator.bias; they would be random": encoder_alone,
    "not finite, such as heads.kind.output.bias": no_numbers,
    "such as heads.kind.output.bias: (3,) in the checkpoint, and (2,) here": another_shape,
    "cannot be used: ": cut_off,
    "it describes a hubert model, not a burst2vec model": an_encoder,
    "config.json cannot be used: JSONDecodeError": lambda run: (run / "config.json").write_text('{"model_type": "bur'),
    "model.safetensors": lambda run: (run / "model.safetensors").unlink(),
    "preprocessor_config.json": lambda run: (run / "preprocessor_config.json").unlink(),
}


@pytest.mark.parametrize("trains", ["false", "true"])
@pytest.mark.parametrize(("message", "damage"), DAMAGES.items(), ids=[made.__name__ for made in DAMAGES.values()])
def test_a_damaged_model_scores_nothing_and_trains_no_further(place, tmp_path, capsys, message, damage, trains):
    shutil.copytree(place / "run", tmp_path / "run", ignore=shutil.ignore_patterns("checkpoint-*"))
    damage(tmp_path / "run")
    more = ["--do_train", trains, "--model_path", tmp_path / "run", "--output_dir", tmp_path / "out"]
    line = refusal(capsys, command(place, "out", *more))
    assert str(tmp_path / "run") in line and message in line
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_an_untrained_model_is_not_scored(place, tmp_path, capsys):
    line = refusal(capsys, command(place, "untrained", "--do_train", "false"))
    assert "random weights" in line and "--model_path FOLDER" in line
    goes_on = ["--do_train", "false", "--model_path", place / "run", "--resume_from_checkpoint", "true"]
    assert "only training resumes from a checkpoint" in refusal(capsys, command(place, "untrained", *goes_on))
    assert not (place / "untrained").exists()


def test_the_whole_model_is_scored_as_in_its_own_run(place):
    assert main(command(place, "again", "--do_train", "false", "--model_path", place / "run")) == 0
    first, again = (json.loads((place / run / "metrics.json").read_text()) for run in ("run", "again"))
    assert again["scores"] == first["scores"] and set(first["scores"]) == {"validation", "test"}


# ---- Clips that nothing learnt from


def predictions(run, split="test"):
    with (run / f"predictions_{split}.csv").open() as table:
        return {row.pop("file_id"): row for row in csv.DictReader(table)}


def record_of(run):
    return json.loads((run / "metrics.json").read_text())


def new_clips(place, name, header=None, rows=()):
    """The clips of the run's own test split in a folder of their own, with a table or without."""
    (place / name).mkdir()
    for speaker in SPLITS["test"]:
        for take in (0, 1):
            shutil.copy(place / "corpus" / f"{speaker}{take}.wav", place / name)
    if header:
        write_table(place / name, header, rows)
    return name


def predict(place, output, corpus, *more, recipe="run/recipe.yaml"):
    saved = ["--do_train", "false", "--model_path", place / "run"]
    return main(command(place, output, *saved, *more, recipe=recipe, corpus=corpus))


UNSEEN = [[f"{speaker}{take}.wav", speaker] for speaker in SPLITS["test"] for take in (0, 1)]
LABELLED = [[name, speaker, "laugh", "0.5"] for name, speaker in UNSEEN]
NEW_FOLDERS = {
    "files and speakers": (["file", "speaker"], UNSEEN),
    "files alone": (["file"], [row[:1] for row in UNSEEN]),
    "no table": (None, ()),
    "a test split": (["file", "speaker", "split"], [[*row, "test"] for row in UNSEEN]),
    "labels without splits": (["file", "speaker", "kind", "strength"], LABELLED),
    "one label of two": (["file", "speaker", "strength"], [[*row[:2], "0.5"] for row in LABELLED]),
}


@pytest.mark.parametrize("name", NEW_FOLDERS)
def test_unseen_speakers_are_predicted_by_one_command_as_in_the_runs_own_test_split(place, name, capsys):
    output = place / name.replace(" ", "_")
    assert predict(place, output, new_clips(place, name, *NEW_FOLDERS[name])) == 0
    assert predictions(output) == predictions(place / "run") and len(predictions(output)) == len(UNSEEN)
    assert not (output / "predictions_validation.csv").exists() and "not predicted" not in capsys.readouterr().out
    labelled = [column for column in NEW_FOLDERS[name][0] or () if column in ("kind", "strength")]
    scored = {score.split("_")[0] for score in record_of(output)["scores"].get("test", {})}
    assert scored == set(labelled)


def test_a_recipe_may_name_columns_and_splits_that_unlabelled_clips_do_not_have(place, capsys, caplog):
    recipe = yaml.safe_load((place / "run" / "recipe.yaml").read_text())
    names = {"file": "clip", "kind": "sort", "speaker": "who", "split": "part", "strength": {"strength": "force"}}
    recipe["data"]["columns"] = names
    (place / "named.yaml").write_text(yaml.safe_dump(recipe))
    new_clips(place, "named", ["clip", "who"], UNSEEN)
    assert predict(place, place / "out_named", "named", recipe="named.yaml") == 0
    assert predictions(place / "out_named") == predictions(place / "run")
    assert "metadata.csv has no columns sort, part, force; its clips are predicted without" in caplog.text
    new_clips(place, "nameless", ["clip", "speaker"], UNSEEN)
    saved = ["--do_train", "false", "--model_path", place / "run"]
    line = refusal(capsys, command(place, "x", *saved, recipe="named.yaml", corpus="nameless"))
    assert "no column 'who' for speaker" in line


def test_clips_of_train_that_are_not_predicted_are_said(place, capsys):
    assert predict(place, place / "own", "corpus") == 0
    assert "train: its 6 clips are not predicted; to predict all clips" in capsys.readouterr().out
    assert predict(place, place / "all", "corpus", "--columns", '{"split": null}') == 0
    assert "not predicted" not in capsys.readouterr().out
    assert len(predictions(place / "all")) == 14 and set(record_of(place / "all")["clips"]) == {"test"}


def test_train_and_test_without_validation_is_enough_to_predict(place):
    rows = [[*row, split] for row, split in zip(UNSEEN, ("train", "train", "test", "test"), strict=True)]
    new_clips(place, "no_validation", ["file", "speaker", "split"], rows)
    assert predict(place, place / "out_no_validation", "no_validation") == 0
    assert set(predictions(place / "out_no_validation")) == {"G0", "G1"}


def test_a_corpus_with_nothing_to_predict_is_refused(place, capsys):
    new_clips(place, "only_train", ["file", "speaker", "split"], [[*row, "train"] for row in UNSEEN])
    saved = ["--do_train", "false", "--model_path", place / "run"]
    line = refusal(capsys, command(place, "nothing", *saved, corpus="only_train"))
    assert "no split is left to predict: the corpus has the splits ['train']" in line


def test_folders_of_classes_are_scored_and_other_folders_predicted(place):
    for name, folders in (("classes", ("gasp", "laugh")), ("takes", ("first", "second"))):
        for file, _ in UNSEEN:
            folder = place / name / folders[int(file[1])]
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(place / "corpus" / file, folder)
        assert predict(place, place / f"out_{name}", name) == 0
    first = predictions(place / "run")
    by_class, by_take = predictions(place / "out_classes"), predictions(place / "out_takes")
    assert {name.split("/")[1]: row for name, row in by_class.items()} == first
    assert {name.split("/")[1]: row for name, row in by_take.items()} == first
    scores = record_of(place / "run")["scores"]["test"]
    assert record_of(place / "out_classes")["scores"]["test"]["kind_uar"] == scores["kind_uar"]
    assert record_of(place / "out_takes")["scores"] == {}


def test_the_constant_baseline_is_that_of_the_clips_the_model_was_trained_on(place):
    known = record_of(place / "run")["constant"]
    assert known == {"kind": [1.0, 0.0], "strength": [pytest.approx(0.125)]}  # three of each kind; 0 to 0.25
    new_clips(place, "scored", ["file", "speaker", "kind", "strength"], LABELLED)
    assert predict(place, place / "out_scored", "scored") == 0
    found = record_of(place / "out_scored")
    scores = found["baseline"]["test"]
    assert found["constant"] == known and scores["strength_mae"] == pytest.approx(0.375) and scores["kind_uar"] == 0


def test_without_a_record_of_the_training_scores_stand_without_a_constant_baseline(place, capsys):
    shutil.copytree(place / "run", place / "bare", ignore=shutil.ignore_patterns("checkpoint-*", "metrics.json"))
    new_clips(place, "alone", ["file", "speaker", "strength"], [[*row[:2], "0.5"] for row in LABELLED])
    assert predict(place, place / "out_alone", "alone", "--model_path", place / "bare") == 0
    found = record_of(place / "out_alone")
    assert found["baseline"] == {} and "constant" not in found and "strength_mae" in found["scores"]["test"]
    assert "| strength_mae |" in (shown := capsys.readouterr().out) and "|        - | lower" in shown


def test_new_clips_of_emogator_are_one_split_and_its_recipes_splits_say_how_to_leave_them_out(place, capsys):
    (place / "emogator").mkdir()
    for file, speaker in UNSEEN:  # a synthetic corpus in its layout: the model's tasks are others, and have no labels
        path = place / "emogator" / f"00000{'FG'.index(speaker)}-0{int(file[1]) + 1}-1.mp3"
        samples = np.random.default_rng(len(path.name)).normal(0, 0.1, 8_000)
        soundfile.write(path, samples, 16_000, format="MP3")
    assert predict(place, place / "out_emogator", "emogator", "--corpus", "emogator") == 0
    assert len(predictions(place / "out_emogator")) == 4 and record_of(place / "out_emogator")["scores"] == {}
    saved = ["--do_train", "false", "--model_path", place / "run", "--corpus", "emogator", "--splits", '{"train": 100}']
    line = refusal(capsys, command(place, "too_many", *saved, corpus="emogator"))
    assert "asks for 100 speakers, 2 are left; change splits, or leave it out" in line


def test_a_mixture_of_clips_without_labels_is_predicted(place):
    new_clips(place, "mixed", ["file", "speaker"], UNSEEN)
    mix = json.dumps([{"corpus": "folder", "data_dir": str(place / "mixed")}])
    options = ["--corpus", "synthetic", "--data_dir", "null", "--mix", mix]
    assert predict(place, place / "out_mixed", "mixed", *options) == 0
    found = {name.removeprefix("folder/"): row for name, row in predictions(place / "out_mixed").items()}
    assert found == predictions(place / "run")


@pytest.mark.parametrize(("normalised", "level"), [(True, "unit variance"), (False, None)])
def test_clips_come_to_the_level_that_the_pretrained_encoders_own_settings_say(tmp_path, normalised, level):
    HubertModel(tiny_encoder_config()).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(do_normalize=normalised).save_pretrained(tmp_path)
    model, extractor = build_model(ModelArguments(str(tmp_path), target_rms_dbfs="checkpoint", encoder_layer=1))
    assert extractor.target_rms_dbfs == level and len(model.encoder.model.encoder.layers) == 1
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(RunError, match="target_rms_dbfs checkpoint: .*; give unit variance, or off"):
        build_model(ModelArguments(str(tmp_path), target_rms_dbfs="checkpoint"))


def test_a_saved_model_and_its_encoder_keep_what_is_cut_of_a_clip(tmp_path):
    described = {"encoder": {"model_type": "hubert", **TINY}, "tasks": "avb", "trim_below_db": 35.0}
    for part in build_model(ModelArguments(**described)):
        part.save_pretrained(tmp_path)
    for again in ({"model_path": str(tmp_path)}, {"encoder": str(tmp_path)}):
        assert build_model(ModelArguments(**again, tasks="avb"))[1].trim_below_db == 35.0
        assert build_model(ModelArguments(**again, tasks="avb", trim_below_db=30.0))[1].trim_below_db == 30.0


def test_a_saved_model_keeps_its_level_and_its_recurrent_part(tmp_path):
    arguments = {
        "encoder": {"model_type": "hubert", **TINY},
        "tasks": "avb",
        "recurrent": {"kind": "lstm", "hidden_size": 8},
    }
    model, extractor = build_model(ModelArguments(**arguments, target_rms_dbfs="unit variance"))
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    again = {"model_path": str(tmp_path), "tasks": "avb", "target_rms_dbfs": "checkpoint"}
    assert build_model(ModelArguments(**again, recurrent="lstm"))[1].target_rms_dbfs == "unit variance"
    with pytest.raises(RunError, match=r"was saved with recurrent.hidden_size 8, not 512"):
        build_model(ModelArguments(**again, recurrent={"kind": "lstm", "hidden_size": 512}))
