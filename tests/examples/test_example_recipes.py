"""Every recipe in examples/ can be read, is true to what it cites, and runs."""

import csv
import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import HubertModel, Wav2Vec2FeatureExtractor

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask
from burst2vec.comparison.fusion_recipes import is_fusion, load_fusion, said_by
from burst2vec.data.corpora.synthetic import write_synthetic_corpus
from burst2vec.encoders import build_encoder
from burst2vec.experiment import execute as runs
from burst2vec.experiment import recipes
from burst2vec.experiment.building import build_model
from burst2vec.experiment.execute import execute
from burst2vec.experiment.recipes import parse_run
from burst2vec.features import FEATURE_SETS
from burst2vec.generation.generation_recipes import is_generation
from burst2vec.scoring import s_mtl
from burst2vec.scoring.score_report import beside_name
from burst2vec.tasks import AVB_TYPES, resolve_tasks
from tests.conftest import TINY, tiny_encoder_config
from tests.data.corpora_on_disk import AVB_COLUMNS, write_vector, write_webm

pytestmark = pytest.mark.slow  # whole commands and runs

load_recipe = functools.cache(recipes.load_recipe)  # each is read by several tests, and none changes it
RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
ALL = sorted(path for path in RECIPES.rglob("*.yaml") if not is_generation(path))
PATHS = [path for path in ALL if not is_fusion(path)]  # those that train
# What makes an encoder of the package small, by its kind; a vector's size is that of the features.
SMALL = {
    "conformer": {
        "channels": 16,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "conv_depthwise_kernel_size": 3,
    },
    "frame_cnn": {"conv_dim": [4, 4, 6]},
    "spectrogram_cnn": {"channels": 16, "width": 2},
    "vector": {},
    "waveform_cnn": {
        "conv_dim": [4, 4],
        "conv_kernel": [30, 4],
        "conv_stride": [10, 2],
        "pools": [2, 1],
        "hidden_size": 10,
    },
}
each_recipe = pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
# What the small runs give themselves, whatever the recipe says.
OVERRIDDEN = ("num_train_epochs", "early_stopping_patience", "per_device_train_batch_size")


def said_of(path):
    """A recipe of either kind."""
    return load_recipe(path) if path in PATHS else load_fusion(path)


@pytest.fixture(scope="session")
def hume_vb_folder(tmp_path_factory):
    """A corpus in HUME-VB's layout: 36 synthetic clips of 12 speakers, and noise for raw recordings of them."""
    folder = write_synthetic_corpus(tmp_path_factory.mktemp("corpora") / "hume_vb", clips=36, speakers=12)
    for number in range(1, 37):
        write_webm(folder / "raw" / f"{number:05d}.webm", seed=number)
    write_avb_labels(folder)
    return folder


def write_avb_labels(folder):
    """The tables of A-VB's four tasks for the clips of a folder in HUME-VB's layout, with random labels."""
    (folder / "labels").mkdir()
    rng = np.random.default_rng(0)
    with open(folder / "data_info.csv", newline="", encoding="utf-8") as table:
        clips = [(row["File_ID"], row["Split"]) for row in csv.DictReader(table)]
    for task, columns in AVB_COLUMNS.items():
        with open(folder / "labels" / f"{task}_info.csv", "w", newline="", encoding="utf-8") as table:
            writer = csv.writer(table)
            writer.writerow(["File_ID", "Split", *columns])
            for clip in clips:
                labels = rng.random(len(columns)).round(3)
                writer.writerow([*clip, *([AVB_TYPES[rng.integers(8)]] if task == "type" else labels)])


@pytest.fixture(scope="session")
def emogator_folder(tmp_path_factory):
    """A corpus in EmoGator's layout: five speakers, six categories each, a burst of noise and tone for a clip."""
    folder = tmp_path_factory.mktemp("corpora") / "emogator"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for speaker in range(1, 6):
        for category in range(1, 31, 5):
            tone = np.sin(2 * np.pi * (100 + 20 * category) * np.arange(8000) / 16000)
            clip = 0.3 * tone + 0.05 * rng.normal(size=8000)
            soundfile.write(folder / f"{speaker:06d}-{category:02d}-1.mp3", clip, 16000)
    return folder


@pytest.fixture(scope="session")
def own_folder(tmp_path_factory):
    """A folder of one's own: twelve clips of four speakers with a phone and an emotion, not every other label given."""
    folder = tmp_path_factory.mktemp("corpora") / "own"
    (folder / "laughs").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = [["filename", "who", "set", "kind", "strength", "phone", "emotion"]]
    for number in range(12):
        soundfile.write(folder / "laughs" / f"{number}.wav", 0.1 * rng.normal(size=4000), 16000)
        kind = ["giggle", "chuckle", "guffaw", "snort", ""][number % 5]
        strength = number / 12 if number % 3 else ""
        split = "train" if number % 4 < 3 else "dev"
        phone, emotion = ["AA", "S", "Y", "NG"][number % 4], ["anger", "happy", "sad", "neutral"][number % 4]
        rows.append([f"laughs/{number}", f"S{number % 4}", split, kind, strength, phone, emotion])
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows(rows)
    return folder


@pytest.fixture(scope="session")
def features_folder(tmp_path_factory):
    """Feature sets made small: checkpoints to embed with; tables of few clips where the number of features is fixed."""
    folder = tmp_path_factory.mktemp("features")
    HubertModel(tiny_encoder_config(style="large")).save_pretrained(folder / "other")
    Wav2Vec2FeatureExtractor().save_pretrained(folder / "other")
    for name in ("raw_emotion_class", "zff_emotion_class", "raw_speech_emotion", "zff_speech_emotion", "phone_network"):
        described = {"kind": "waveform_cnn", **SMALL["waveform_cnn"]}
        Burst2VecForMultiTask(Burst2VecConfig(described, trunk="identity", heads_read="frames")).save_pretrained(
            folder / name
        )
        filtered = ["zero_frequency_filter"] if name.startswith("zff") else []
        Burst2VecFeatureExtractor(preprocess=filtered).save_pretrained(folder / name)
    sizes = {"DeepSpectrum": 4_096, **{f"openXBOW/{size}": size for size in (125, 250, 500, 1_000, 2_000)}}
    for name, size in sizes.items():
        (folder / name).mkdir(parents=True)
        for number in range(1, 37):
            write_vector(folder / name / f"{number:05d}.csv", [number, number % 3, number % 5], size)
    return folder


def small_features(features, folder):
    """The command line's words for a recipe's feature sets, each by the means that it has in ``features_folder``."""
    if features is None:
        return {}
    if set(features) <= set(FEATURE_SETS):  # computed here, of few clips, because openSMILE takes 0.1 s for each
        return {"max_train_samples": 16}
    checkpoints = [name.rpartition("/")[2] for name in features if name.startswith("embedding:")]
    if checkpoints:
        there = [folder / (name if (folder / name).is_dir() else "other") for name in checkpoints]
        return {"features": json.dumps([f"embedding:{place}" for place in there])}
    return {"features_dir": folder}


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """One for all recipes: what one has read or embedded of a corpus, the others find."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def tiny_arguments(hume_vb_folder, emogator_folder, own_folder, features_folder, cache, tmp_path):
    """What makes any recipe tiny: its own tasks, data and losses, with a small encoder and few clips."""

    def arguments_for(recipe):
        folder = {"hume_vb": hume_vb_folder, "emogator": emogator_folder, "folder": own_folder}
        folder["synthetic"] = tmp_path / "synthetic"
        options = {
            "data_dir": folder[recipe.data["corpus"]],
            "cache_dir": cache,
            "output_dir": tmp_path / "run",
            "encoder": json.dumps(small_encoder(recipe.model["encoder"])),
            "per_device_train_batch_size": 8,
            "max_steps": 2,
        }
        options |= small_features(recipe.model.get("features"), features_folder)
        if "encoder_layer" in recipe.model:
            options["encoder_layer"] = 1
        if recipe.model.get("recurrent"):
            options["recurrent"] = json.dumps({"hidden_size": 8})
        trunk = recipe.model.get("trunk", "shared_private")
        if trunk == "shared_private" or "hidden_size" in trunk:
            options["trunk"] = json.dumps({"projection_size": 8, "hidden_size": 8, "kind": "shared_private"})
        if recipe.data["corpus"] == "synthetic":
            options |= {"synthetic_clips": 36, "synthetic_speakers": 12}
        return [text for key, value in options.items() for text in (f"--{key}", str(value))]

    return arguments_for


def small_encoder(encoder):
    """The encoder of a recipe with small numbers: one of the package's own stays of its kind, all others are HuBERT."""
    if isinstance(encoder, dict) and "kind" in encoder:
        return {**encoder, **SMALL[encoder["kind"]]}
    return {"model_type": "hubert", "feat_extract_norm": "layer", **TINY}


def distinct_when_small():
    """One recipe of those that made small are one run: that differ in the checkpoint, or in how long they train."""
    distinct = {}
    for path in PATHS:
        recipe = load_recipe(path)
        training = {key: value for key, value in recipe.training.items() if key not in OVERRIDDEN}
        model = {**recipe.model, "encoder": small_encoder(recipe.model["encoder"])}
        distinct.setdefault(json.dumps([recipe.data, model, training], sort_keys=True), path)
    return list(distinct.values())


DISTINCT = distinct_when_small()


# Burst2Vec's Table 2 and footnotes 2 to 4: checkpoint, audio, weights of Eq. 8, validation scores, S_MTL on test.
WL, HB, HL = "facebook/wav2vec2-large-960h", "facebook/hubert-base-ls960", "facebook/hubert-large-ls960-ft"
TABLE_2 = {
    "V1": (WL, "raw", (0.5, 0.25), (0.653, 0.672, 3.672, 0.448), 0.421),
    "V2": (WL, "raw", (0.0, 0.0), (0.645, 0.676, 3.709, 0.445), None),
    "V3": (HB, "processed", (0.0, 0.0), (0.652, 0.606, 3.594, 0.443), None),
    "V4": (HL, "processed", (0.5, 0.25), (0.675, 0.638, 3.638, 0.449), None),
    "V5": (HL, "processed", (0.0, 0.0), (0.675, 0.631, 3.694, 0.444), None),
    "V6": (HL, "raw", (0.5, 0.25), (0.676, 0.644, 3.640, 0.450), 0.417),
    "V7": (HL, "raw", (0.5, 0.25), (0.669, 0.630, 4.233, 0.410), None),
}
SCORES = ("emotion_ccc", "country_uar", "age_mae", "s_mtl")


def test_the_seven_rows_of_table_2_are_here_as_printed():
    found = {}
    for path in PATHS:
        recipe = load_recipe(path)
        if path.parent.name == "burst2vec" and "Table 2" in (recipe.paper or ""):
            trunk, reported = recipe.model["trunk"], recipe.reported_scores
            found[recipe.paper.split(" row ")[1][:2]] = (
                recipe.model["encoder"],
                recipe.data["audio"],
                (trunk["discriminator_weight"], trunk["adversary_weight"]),
                tuple(reported["validation"][name] for name in SCORES),
                reported.get("test", {}).get("s_mtl"),
            )
    assert found == TABLE_2


def test_every_row_of_table_2_has_the_settings_of_table_3_and_ages_from_0_to_1():
    for path in (RECIPES / "burst2vec").glob("v*.yaml"):
        recipe = load_recipe(path)
        age = next(task for task in resolve_tasks(recipe.model["tasks"]) if task.name == "age")
        assert (age.loss, age.from_unit(20.0), age.from_unit(39.5)) == ("mae", 0.0, 1.0)
        training = parse_run([str(path)]).training
        assert (training.per_device_train_batch_size, training.num_train_epochs, training.eval_steps) == (32, 100, 800)
        assert (training.early_stopping_patience, training.metric_for_best_model) == (20, "emotion_ccc")
        assert (training.learning_rate, training.weight_decay, training.task_schedule) == (1e-5, 0.0, "alternate")


def test_a_recipe_says_in_a_sentence_what_it_is_and_no_other_says_the_same():
    said = {path: said_by(path) for path in ALL}
    assert all(description for _, description in said.values())
    alike = {path.stem for path in ALL if list(said.values()).count(said[path]) > 1}
    assert not alike, f"their runs could not be told apart: {alike}"


def test_printed_parts_give_the_printed_s_mtl_to_rounding_but_of_egemaps():
    """The white paper's eGeMAPS prints .324; of its parts follows .3258."""
    compared, slips = 0, []
    for path in ALL:
        for split, scores in said_of(path).reported_scores.items():
            if {"emotion_ccc", "country_uar", "age_mae", "s_mtl"} <= set(scores):
                ccc, uar, mae = scores["emotion_ccc"], scores["country_uar"], scores["age_mae"]
                half = 0.0005  # of the last digit that is printed; Sharma et al. print ages to two
                of_age = 0.005 if path.parent.name == "strf_conformer" else half
                lowest = s_mtl(ccc - half, uar - half, mae + of_age) - half
                highest = s_mtl(ccc + half, uar + half, mae - of_age) + half
                compared += 1
                if not lowest <= scores["s_mtl"] <= highest:
                    slips.append((path.stem, split))
    assert compared >= 26 and slips == [("egemaps", "validation")]


@each_recipe
def test_what_a_recipe_reports_are_scores_of_its_tasks(path):
    recipe = load_recipe(path)
    tasks = resolve_tasks(recipe.model["tasks"])
    known = {"s_mtl", *(task.score_name for task in tasks)}
    known |= {beside_name(task) for task in tasks}
    known |= {f"{task.score_name}/{label}" for task in tasks if task.kind == "regression" for label in task.labels}
    assert {name for scores in recipe.reported_scores.values() for name in scores} <= known


@pytest.mark.parametrize(
    "name, rows",
    [
        ("a", ["V1", "V2", "V3", "V6"]),
        ("b", ["V1", "V2", "V3", "V5", "V6"]),
        ("c", ["V1", "V2", "V3", "V4", "V5", "V6"]),
    ],
)
def test_an_ensemble_is_the_mean_of_the_rows_that_table_2_names(name, rows):
    ensemble = load_fusion(RECIPES / "burst2vec" / f"ensemble_{name}.yaml")
    assert [said_by(file)[0].split(" row ")[1][:2] for file in ensemble.files.values()] == rows
    assert (ensemble.plan.way, ensemble.plan.weights, ensemble.plan.tasks) == ("mean", None, None)


@pytest.fixture
def built(monkeypatch):
    """The model of a run, and its parameters as they were before the first step."""
    seen = {}

    def keep(*arguments):
        assert not seen, "built once, when its clips are known"
        model, extractor = build_model(*arguments)
        seen["model"] = model
        seen["before"] = {name: values.detach().clone() for name, values in model.named_parameters()}
        return model, extractor

    monkeypatch.setattr(runs, "build_model", keep)
    return seen


@pytest.mark.parametrize("path", DISTINCT, ids=[path.stem for path in DISTINCT])
def test_a_recipe_made_small_trains_what_it_should_and_nothing_else(path, tiny_arguments, built):
    recipe = load_recipe(path)
    in_turns = recipe.training.get("task_schedule", "alternate") == "alternate"
    steps = max(2, len(resolve_tasks(recipe.model["tasks"])) if in_turns else 0)  # a step trains one task, or all
    arguments = [str(path), *tiny_arguments(recipe), "--do_eval", "false", "--do_predict", "false"]
    no_files = ["--eval_strategy", "no", "--save_strategy", "no", "--max_steps", str(steps)]
    no_plateau = ["--lr_scheduler_type", "constant"]  # which takes validations to find
    record = execute(parse_run([*arguments, *no_files, *no_plateau]))
    assert record.steps == steps and record.clips["train"]["used"] > 0
    after = dict(built["model"].named_parameters())
    moved = {name for name, before in built["before"].items() if not torch.equal(before, after[name])}
    # SpecAugment's filling is learnt only where it masks, which it seldom does in clips as short as these.
    trained = {name for name in after if after[name].requires_grad and not name.endswith("masked_spec_embed")}
    assert trained <= moved, f"trainable, and did not move: {sorted(trained - moved)}"
    assert all(after[name].requires_grad for name in moved), "frozen, and moved"


def test_the_recipe_for_ones_own_bursts_can_be_copied_anywhere(tmp_path):
    template = RECIPES / "folder" / "my_bursts.yaml"
    assert load_recipe(shutil.copy(template, tmp_path)) == load_recipe(template)


def test_an_ablation_differs_from_its_system_in_the_two_weights_only():
    v1, v2 = (load_recipe(RECIPES / "burst2vec" / f"{name}.yaml") for name in ("v1_wav2vec_large", "v2_no_adversary"))
    assert (v1.data, v1.training) == (v2.data, v2.training)
    differing = {key for key in v1.model | v2.model if v1.model[key] != v2.model[key]}
    assert differing == {"trunk"}
    assert v2.model["trunk"] == {**v1.model["trunk"], "discriminator_weight": 0.0, "adversary_weight": 0.0}


@pytest.mark.parametrize(
    "name, convolutions, hidden",
    [("raw_emotion_class", 4, 10), ("zff_country", 4, 10), ("zff_speech_emotion", 4, 10), ("phone_network", 10, 1024)],
)
def test_networks_over_waveforms_have_the_papers_shape(name, convolutions, hidden):
    described = load_recipe(RECIPES / "frozen_embeddings" / f"{name}.yaml").model["encoder"]
    encoder = build_encoder(Burst2VecConfig(encoder_config=described).encoder_config)
    assert (len(encoder.convolutions), encoder.size, encoder.window_samples) == (convolutions, hidden, 4000)


def test_the_denoised_audio_of_sharma_et_als_hubert_is_that_of_their_table_1():
    denoised = load_recipe(RECIPES / "strf_conformer" / "hubert_base_denoised.yaml")
    of_table_1 = load_recipe(RECIPES / "strf_conformer" / "compare_denoised.yaml")
    assert denoised.data == of_table_1.data
    assert load_recipe(RECIPES / "strf_conformer" / "hubert_base_denoised_speed.yaml").data == denoised.data


def test_sharma_et_als_rows_are_all_here_and_no_others():
    rows = [said_by(path)[0] for path in ALL if path.parent.name == "strf_conformer"]
    assert all(row.startswith("Sharma et al. (2022), Table ") for row in rows)
    assert sorted(row.partition(", Table ")[2] for row in rows) == [
        "1, row Baseline",
        "1, row DC Normalized",
        "1, row Denoised",
        "1, row Raw",
        "1, row VAD",
        "2, row Age-only",
        "2, row Country-only",
        "2, row Emotion-only",
        "2, row Joint Multitask",
        "3, row Conformer (STRF)",
        "3, row Conformer (log-mel)",
        "3, row HuBERT",
        "3, row HuBERT + Denoise",
        "3, row HuBERT + Denoise + sp. perturb",
        "4, row HuBERT + STRF",
    ]


def test_sharma_et_als_fusion_takes_emotion_from_hubert_and_halves_the_rest():
    fusion = load_fusion(RECIPES / "strf_conformer" / "hubert_strf_fusion.yaml")
    hubert, strf = fusion.plan.runs
    halves = {hubert: 0.5, strf: 0.5}
    assert fusion.plan.tasks == {"emotion": {hubert: 1.0}, "age": halves, "country": halves}
    assert [said_by(fusion.files[name])[0].partition("row ")[2] for name in (hubert, strf)] == [
        "HuBERT + Denoise",
        "Conformer (STRF)",
    ]


def test_the_last_system_is_the_fourth_with_other_audio_and_oversampling():
    v4 = load_recipe(RECIPES / "burst2vec" / "v4_hubert_large.yaml")
    v7 = load_recipe(RECIPES / "burst2vec" / "v7_oversampling.yaml")
    assert v7.model == v4.model
    assert v7.training == {**v4.training, "oversample": True, "oversample_strength": 1.0}
