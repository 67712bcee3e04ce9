"""What a run puts together: each part gets the clips, the labels and the numbers that are meant for it."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
import soundfile
import yaml
from safetensors.numpy import load_file

from burst2vec.comparison.report import find_runs
from burst2vec.comparison.study import Stage, run_or_read
from burst2vec.errors import CorpusError, RunError
from burst2vec.experiment import execute
from burst2vec.experiment.execute import main
from burst2vec.experiment.finished import read_run
from burst2vec.experiment.prechecks import check_run
from burst2vec.experiment.publishing import publish
from burst2vec.experiment.recipes import parse_run
from burst2vec.experiment.run_inputs import read_inputs
from burst2vec.features import FEATURE_SETS, FeatureSet

# Splits differ in loudness, in the most frequent kind and in the median strength, so that none can stand for another.
CLIPS = [  # split, kind, strength, root mean square of the noise
    ("train", "gasp", 0.1, 0.1),
    ("train", "gasp", 0.2, 0.2),
    ("train", "laugh", 0.9, 0.3),
    ("validation", "laugh", 0.5, 0.01),
    ("validation", "laugh", 0.7, 0.02),
    ("validation", "laugh", 0.6, 0.04),
    ("validation", "gasp", 0.3, 0.03),
    ("test", "laugh", 0.8, 0.05),
]
KIND = {"name": "kind", "kind": "classification", "labels": ["gasp", "laugh"], "loss": "cross_entropy", "metric": "uar"}
STRENGTH = {"name": "strength", "kind": "regression", "labels": ["strength"], "loss": "mae", "metric": "mae"}
RECIPE = {
    "data": {"corpus": "folder", "preprocess": []},
    "model": {
        "encoder": {"kind": "vector"},
        "features": ["loudness"],
        "tasks": [KIND, STRENGTH],
        "trunk": "identity",
    },
    "training": {
        "metric_for_best_model": "strength_mae",
        "max_steps": 2,
        "eval_steps": 1,
        "save_steps": 1,
        "per_device_train_batch_size": 2,
        "bf16": False,
    },
}


@pytest.fixture(autouse=True, scope="module")
def loudness():
    """A set of one feature, the deviation of the samples, which is computed by hand below."""

    def vector(waveform):
        return np.array([np.std(waveform)], np.float32), ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FEATURE_SETS, "loudness", FeatureSet(1, vector, lambda: ("deviation",), lambda: {"test": 1}))
        yield


def write_table(corpus, clips=CLIPS):
    lines = [
        f"{number}.wav,S{number},{split},{kind},{strength}" for number, (split, kind, strength, _) in enumerate(clips)
    ]
    (corpus / "metadata.csv").write_text("\n".join(["file,speaker,split,kind,strength", *lines]) + "\n")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A corpus, a recipe, and the finished run of it."""
    place = tmp_path_factory.mktemp("assembly")
    (place / "corpus").mkdir()
    chance = np.random.default_rng(0)
    for number, (*_, rms) in enumerate(CLIPS):
        noise = chance.normal(size=4000)
        soundfile.write(place / "corpus" / f"{number}.wav", noise / noise.std() * rms, 16_000, subtype="FLOAT")
    write_table(place / "corpus")
    (place / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    assert main(words(place, place / "run")) == 0
    return place


def words(place, output_dir, *more):
    places = ["--data_dir", place / "corpus", "--cache_dir", place / "cache", "--output_dir", output_dir]
    return [str(word) for word in (place / "recipe.yaml", *places, *more)]


def record_of(place):
    return json.loads((place / "run" / "metrics.json").read_text(encoding="utf-8"))


def test_the_encoders_statistics_are_those_of_the_training_clips(workplace):
    weights = load_file(workplace / "run" / "model.safetensors")
    of_train = np.array([rms for split, *_, rms in CLIPS if split == "train"])
    assert weights["encoder.mean"] == pytest.approx(of_train.mean(), rel=1e-5)
    assert weights["encoder.variance"] == pytest.approx(of_train.var(), rel=1e-4)


def test_the_constant_baseline_is_fitted_to_the_training_labels(workplace):
    record = record_of(workplace)
    assert record["constant"]["strength"] == pytest.approx([0.2])  # the median of 0.1, 0.2 and 0.9
    assert record["constant"]["kind"] == [1.0, 0.0]  # two of three gasp
    baseline = record["baseline"]["validation"]
    assert baseline["strength_mae"] == pytest.approx((0.3 + 0.5 + 0.4 + 0.1) / 4)
    assert baseline["kind_war"] == 0.25 and baseline["kind_uar"] == 0.5


@pytest.fixture(scope="module")
def held_out_run(workplace):
    """A run that holds a third of its training speakers out, and whose clips its trainer evaluated in training."""
    seen = {"evaluated": []}

    class Watched(execute.Burst2VecTrainer):
        def evaluate(self, *arguments, **keywords):
            seen["evaluated"].append(self.eval_dataset["file_id"][:])
            return super().evaluate(*arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "Burst2VecTrainer", Watched)
        assert main(words(workplace, workplace / "held_out", "--held_out", "0.3")) == 0
    seen["clips"] = json.loads((workplace / "held_out" / "metrics.json").read_text(encoding="utf-8"))["clips"]
    seen["weights"] = load_file(workplace / "held_out" / "model.safetensors")
    return seen


def test_a_run_stops_and_chooses_by_the_speakers_it_holds_out_and_never_by_validation(held_out_run):
    of_train = [str(number) for number, (split, *_) in enumerate(CLIPS) if split == "train"]
    first, second = held_out_run["evaluated"]  # after each of the two steps
    assert first == second and len(first) == 1 and set(first) < set(of_train)
    assert held_out_run["clips"]["held_out"]["used"] == 1


def test_a_run_learns_nothing_of_the_speakers_it_holds_out(held_out_run):
    (held_out,) = held_out_run["evaluated"][0]
    kept = [rms for number, (split, *_, rms) in enumerate(CLIPS) if split == "train" and str(number) != held_out]
    assert held_out_run["clips"]["train"]["used"] == len(kept) == 2
    assert held_out_run["weights"]["encoder.mean"] == pytest.approx(np.mean(kept), rel=1e-5)


def test_a_run_trains_on_as_many_speakers_as_are_asked_for(workplace):
    run = parse_run(words(workplace, workplace / "unused", "--train_speakers", "2"))
    inputs = read_inputs(run, *check_run(run), workplace / "unused")
    assert {split: len(clips.dataset) for split, clips in inputs.clips.items()} == {
        "train": 2,
        "validation": 4,
        "test": 1,
    }
    with pytest.raises(CorpusError, match="train_speakers 4: there are 3 speakers to train on"):
        read_inputs(
            parse_run(words(workplace, workplace / "unused", "--train_speakers", "4")), *check_run(run), workplace
        )


def test_a_run_that_holds_speakers_out_scores_all_validation_clips_at_the_end(held_out_run, workplace):
    with (workplace / "held_out" / "predictions_validation.csv").open() as table:
        found = sorted(row["file_id"] for row in csv.DictReader(table))
    assert found == [str(number) for number, (split, *_) in enumerate(CLIPS) if split == "validation"]
    assert held_out_run["clips"]["validation"] == {"used": 4, "skipped": 0, "scored": 4}


@pytest.mark.parametrize("split", ["Validation", "Test"])
def test_the_card_shows_scores_and_baseline_each_in_its_column(workplace, split):
    record = record_of(workplace)
    scores, baseline = record["scores"][split.lower()], record["baseline"][split.lower()]
    card = (workplace / "run" / "README.md").read_text(encoding="utf-8")
    section = card.split(f"### {split}\n")[1].split("\n#")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    of_model, of_baseline = rows[0].index("model"), rows[0].index("baseline")
    shown = {row[0].split()[0]: (row[of_model], row[of_baseline]) for row in rows[2:]}
    assert shown == {name: (f"{scores[name]:.3f}", f"{baseline[name]:.3f}") for name in scores}
    assert shown["strength_mae"][0] != shown["strength_mae"][1]


def test_predictions_are_of_the_clips_of_their_split(workplace):
    for wanted in ("validation", "test"):
        with (workplace / "run" / f"predictions_{wanted}.csv").open() as table:
            found = sorted(row["file_id"] for row in csv.DictReader(table))
        assert found == [str(number) for number, (split, *_) in enumerate(CLIPS) if split == wanted]


@pytest.mark.parametrize(
    ("number", "labels", "data"),
    [
        (1, ("gasp", 0.3), "train_data"),
        (1, ("laugh", 0.2), "train_data"),
        (4, ("laugh", 0.8), "eval_data"),
    ],
)
def test_a_run_whose_labels_were_changed_does_not_resume(workplace, tmp_path, capsys, number, labels, data):
    for name in ("corpus", "run"):
        shutil.copytree(workplace / name, tmp_path / name)
    shutil.copy(workplace / "recipe.yaml", tmp_path)
    split, _, _, rms = CLIPS[number]
    write_table(tmp_path / "corpus", [*CLIPS[:number], (split, *labels, rms), *CLIPS[number + 1 :]])
    assert main(words(tmp_path, tmp_path / "run", "--resume_from_checkpoint", "true")) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert re.search(rf"error: .*written by a run with other settings: {data} was \w+ and is \w+\. ", message), message


def read_by_a_study(folder, recipe):
    run_or_read(Stage(recipe, {}), 0, folder, run=lambda run: pytest.fail("trained again"))


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
@pytest.mark.parametrize(
    "read",
    [
        lambda folder, recipe: read_run(folder),
        read_by_a_study,
        lambda folder, recipe: publish(folder, "someone/model", api=object()),
    ],
    ids=["finished", "study", "publishing"],
)
def test_a_record_that_is_cut_off_is_never_taken_for_a_finished_run(workplace, tmp_path, kept, read):
    shutil.copytree(workplace / "run", tmp_path / "run")
    whole = (workplace / "run" / "metrics.json").read_bytes()
    (tmp_path / "run" / "metrics.json").write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(RunError, match=r"run/metrics\.json is not JSON"):
        read(tmp_path / "run", workplace / "recipe.yaml")
    found, skipped = find_runs([tmp_path / "run"])
    assert not found and "metrics.json is not JSON" in skipped["run"]
