"""encoder: auto: which shipped recipe is chosen, what wins over it, and where the choice is kept."""

import json

import pytest
import yaml
from datasets import Dataset

from burst2vec.command_line.shipped import shipped_recipe
from burst2vec.comparison.study import Stage, run_or_read
from burst2vec.errors import RecipeError, RunError
from burst2vec.experiment import recipe_by_size
from burst2vec.experiment.execute import execute
from burst2vec.experiment.recipe_by_size import CHOICE, NETWORK, SPECTRA, choice_for, choose_by_size
from burst2vec.experiment.recipes import load_recipe, parse_run
from tests.data.corpora_on_disk import write_wav

LABELS = ["giggle", "chuckle", "guffaw", "snort"]
QUICK = ["--max_steps", "1", "--eval_strategy", "no", "--save_strategy", "no", "--preprocessing_num_workers", "1"]


def clips_of(speakers):
    return Dataset.from_dict({"speaker": speakers})


@pytest.mark.parametrize(
    ("clips", "as_vectors", "chosen", "because"),
    [
        (clips_of(["a"] * 9 + ["b"]), False, SPECTRA, "10 training clips of 2 speakers; under 1,000"),
        (clips_of(["a"] * 999), False, SPECTRA, "999 training clips of one speaker"),
        (clips_of(["a"] * 999), False, SPECTRA, "--normalise_per_speaker true"),
        (clips_of(["", None] * 500), False, NETWORK, "1,000 training clips of unknown speakers; from 1,000 on"),
        (clips_of(["a"] * 1_000), True, SPECTRA, "are for vectors"),
        (Dataset.from_dict({"kind": [0] * 5}), False, SPECTRA, "5 training clips of unknown speakers"),
    ],
)
def test_the_choice_goes_by_the_training_clips_and_says_so(clips, as_vectors, chosen, because):
    choice = choice_for(clips, as_vectors)
    assert choice["recipe"] == chosen and because in choice["why"]
    assert ("--normalise" in choice["why"]) == (because == "--normalise_per_speaker true" or "999" in choice["why"])


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Six clips of three speakers, one of whom validates, as the template of one's own bursts names them."""
    place = tmp_path_factory.mktemp("clips")
    rows = ["filename,who,set,kind,strength"]
    for clip in range(6):
        write_wav(place / f"{clip}.wav", seed=clip)
        rows.append(f"{clip},S{clip // 2},{'validation' if clip > 3 else 'train'},{LABELS[clip % 4]},0.{clip}")
    (place / "metadata.csv").write_text("\n".join(rows))
    return place


@pytest.fixture
def given(clips, tmp_path):
    """Parses the template, with a folder, a cache and whatever else."""

    def run(*more):
        places = ["--data_dir", clips, "--cache_dir", tmp_path / "cache", "--output_dir", tmp_path / "run"]
        return parse_run(list(map(str, ["folder/my_bursts", *places, *more])))

    return run


def test_a_recipe_that_names_its_encoder_is_left_as_it_is(given):
    run = given("--encoder", '{"kind": "conformer"}')
    assert choose_by_size(run) is run


def test_model_preprocessing_and_training_are_those_of_the_chosen_recipe(given):
    run = choose_by_size(given())
    chosen, template = load_recipe(shipped_recipe(SPECTRA)), load_recipe("folder/my_bursts")
    assert run.choice["recipe"] == SPECTRA and "4 training clips of 2 speakers" in run.choice["why"]
    assert run.recipe.model == {**chosen.model, "tasks": template.model["tasks"]}
    assert (run.data.corpus, run.data.preprocess) == ("folder", chosen.data["preprocess"])
    assert run.training.num_train_epochs == chosen.training["num_train_epochs"]
    assert run.training.metric_for_best_model == "kind_uar" and run.recipe.name == "my_bursts"


def test_what_is_given_wins_over_the_chosen_recipe(given):
    own = ["--trunk", '{"dropout": 0.25}', "--num_train_epochs", "7", "--preprocess", '["highpass"]']
    run = choose_by_size(given(*own))
    assert run.model.trunk == {"kind": "shared", "hidden_sizes": [256, 128], "dropout": 0.25}
    assert (run.training.num_train_epochs, run.data.preprocess) == (7, ["highpass"])


def test_feature_sets_beside_auto_are_refused(given):
    with pytest.raises(RecipeError, match="encoder auto chooses them"):
        choose_by_size(given("--features", '["log_mel"]'))


def test_a_saved_model_is_a_choice_made(given):
    run = choose_by_size(given("--model_path", "runs/first"))
    assert run.choice is None and run.model.encoder is None and run.model.trunk is None


def test_a_resumed_run_keeps_its_choice(given, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    kept = {"recipe": NETWORK, "why": "there were more clips then"}
    (tmp_path / "run" / CHOICE).write_text(json.dumps(kept))
    resumed = choose_by_size(given("--resume_from_checkpoint", "true"))
    assert resumed.choice == kept and resumed.model.encoder["kind"] == "spectrogram_cnn"
    assert choose_by_size(given()).choice["recipe"] == SPECTRA
    monkeypatch.setattr(recipe_by_size, "FEW_FOR_SCRATCH", 4)
    assert choose_by_size(given()).choice["recipe"] == NETWORK
    (tmp_path / "run" / CHOICE).write_text("{")
    with pytest.raises(RunError, match="give the model with --encoder"):
        choose_by_size(given("--resume_from_checkpoint", "true"))


def test_the_choice_stands_on_the_console_in_the_record_and_in_the_card(given, clips, tmp_path, capsys):
    record = execute(given(*QUICK))
    said = "Model and training are those of folder/spectra, chosen by size (encoder: auto): 4 training clips of 2 "
    assert capsys.readouterr().out.count(said) == 1
    folder = tmp_path / "run"
    assert record.choice == json.loads((folder / "metrics.json").read_text())["choice"]
    assert record.choice == json.loads((folder / CHOICE).read_text())
    card = " ".join((folder / "README.md").read_text().replace("\\", "").split())
    assert said in card
    resolved = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert resolved["model"]["encoder"]["kind"] == "vector" and resolved["training"]["num_train_epochs"] == 40
    places = ["--data_dir", str(clips), "--cache_dir", str(tmp_path / "cache")]
    assert run_or_read(Stage("folder/my_bursts", {}), 1, folder, [*places, *QUICK], run=None) == record.scores
