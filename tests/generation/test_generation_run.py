"""From a recipe to a finished folder: keys, what is refused, and a run that is killed and resumed."""

import json
from dataclasses import fields

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoModel, pipeline

from burst2vec.audio.encode import encode_wav
from burst2vec.command_line.generate_help import generate_help, generator_recipes
from burst2vec.command_line.shipped import recipe_names, shipped
from burst2vec.errors import RecipeError, RunError
from burst2vec.experiment.recipes import load_recipe
from burst2vec.generation import generation_run
from burst2vec.generation.generation_recipes import SECTIONS, GenerationData, is_generation, parse_generation
from burst2vec.generation.generation_run import main
from burst2vec.generation.learnt_images import LabelledClips, profiles_of, read_clips_of

RECIPES = sorted(path for path in shipped("recipes").rglob("*.yaml") if is_generation(path))
SMALL = "--channels [4,4,4,4,4,4,4] --latent_size 4 --batch_size 2 --samples 2 --augmentation false".split()
SMALL += "--sample_steps 2 --save_steps 1 --final_samples 1 --preprocessing_num_workers 1".split()


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Five clips of Awe and one of Fear."""
    place, random = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    for name in ("Awe/1", "Awe/2", "Awe/3", "Awe/4", "Awe/5", "Fear/1"):
        (place / name).parent.mkdir(exist_ok=True)
        noise = random.normal(scale=0.1, size=random.integers(2_000, 9_000)).astype(np.float32)
        (place / f"{name}.wav").write_bytes(encode_wav(noise, 16_000))
    return place


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Of Griffin-Lim: what is tested here is not how good it is."""
    monkeypatch.setattr("burst2vec.generation.mel_images.ROUNDS", 1)
    monkeypatch.setattr("burst2vec.generation.mel_images.UPDATES", 1)
    monkeypatch.setattr("burst2vec.generation.generation_run._WAVS", 1)


@pytest.fixture
def words(clips, tmp_path):
    """The command line of a small run, without its folder."""
    recipe = {"generate": {"emotion": "Awe"}, "data": {"corpus": "folder", "data_dir": str(clips)}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    return [str(tmp_path / "mine.yaml"), *SMALL, "--cache_dir", str(tmp_path / "cache")]


def test_a_killed_run_resumes_and_ends_as_the_uninterrupted_one(words, tmp_path, capsys):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main([*words, "--output_dir", str(whole), "--max_steps", "3"]) == 0
    assert main([*words, "--output_dir", str(killed), "--max_steps", "2"]) == 0
    assert main([*words, "--output_dir", str(killed), "--max_steps", "3"]) == 2
    assert "resume" in capsys.readouterr().err
    resume = ["--output_dir", str(killed), "--max_steps", "3", "--resume_from_checkpoint", "true"]
    assert main([*words, *resume]) == 0
    assert (whole / "model.safetensors").read_bytes() == (killed / "model.safetensors").read_bytes()
    assert (whole / "generated/Awe/0001.wav").read_bytes() == (killed / "generated/Awe/0001.wav").read_bytes()
    assert AutoModel.from_pretrained(whole).config.emotions == ["Awe"]
    record = json.loads((whole / "generation.json").read_text())
    assert record["steps"] == 3 and record["clips"] == 5 and [each["step"] for each in record["distances"]] == [0, 2, 3]
    assert {path.name for path in (whole / "samples" / "step-000002").iterdir()} >= {"grid.png", "0001.wav"}
    card = (whole / "README.md").read_text()
    assert "vocal-burst-generation" in card and str(tmp_path) not in card + (whole / "recipe.yaml").read_text()
    assert parse_generation([str(whole / "recipe.yaml")]).generate.emotion == "Awe"


def test_a_flow_learns_and_generates_every_emotion(clips, tmp_path, capsys):
    recipe = {"generate": {"kind": "flow", "frames": 64, "hidden_size": 16, "num_hidden_layers": 1, "steps": 2}}
    recipe |= {"data": {"corpus": "folder", "data_dir": str(clips), "preprocessing_num_workers": 1}}
    fast = {
        "max_steps": 4,
        "learning_rate": 1e-2,
        "warmup_steps": 1,
        "average_decay": 0.0,
    }
    recipe |= {"training": {**fast, "batch_size": 2, "samples": 4, "final_samples": 1, "augmentation": False}}
    (tmp_path / "flow.yaml").write_text(yaml.safe_dump(recipe))
    words = [str(tmp_path / "flow.yaml"), "--cache_dir", str(tmp_path / "cache")]
    assert main([*words, "--channels", "[4, 4]"]) == 2
    assert "generate.channels: of a generator of kind msg_gan, and this one is of flow" in capsys.readouterr().err
    run = tmp_path / "run"
    assert main([*words, "--output_dir", str(run)]) == 0
    assert {path.relative_to(run).as_posix() for path in run.rglob("generated/*/*")} == {
        "generated/Awe/0001.wav",
        "generated/Fear/0001.wav",
    }
    generate = pipeline("vocal-burst-generation", model=str(run))
    asked = {"intensity": 0.5, "guidance": 2.0, "seed": 1}
    bursts = generate({"Awe": 0.5, "Fear": 0.5}, num_return_sequences=2, **asked)
    assert len(bursts) == 2 and not np.array_equal(bursts[0]["audio"], generate("Awe", **asked)[0]["audio"])
    with pytest.raises(ValueError, match="the model generates Awe, Fear, not 'Joy'"):
        generate("Joy")
    assert "flow-matching" in (run / "README.md").read_text()
    assert json.loads((run / "generation.json").read_text())["emotions"] == ["Awe", "Fear"]


def test_what_could_not_be_scored_is_refused_before_training(words, tmp_path, capsys):
    scored = [*words, "--output_dir", str(tmp_path / "run"), "--score_with"]
    assert main([*scored, "/nowhere"]) == 2
    assert "/nowhere" in capsys.readouterr().err and not (tmp_path / "run" / "samples").exists()


def test_the_recipe_that_a_run_keeps_names_no_place_of_the_machine(tmp_path):
    def kept(scored_by):
        words = ["exvo_generate/flow_quick", "--output_dir", str(tmp_path), "--score_with", scored_by]
        return parse_generation(words).to_dict()

    assert kept("you/model")["training"]["score_with"] == "you/model"
    assert str(tmp_path) not in json.dumps(kept(str(tmp_path / "run"))) and "data_dir" not in kept("you/model")["data"]


def test_a_profile_is_the_mean_of_the_labels_of_the_clips_that_an_emotion_leads():
    labels = np.array([[0.8, 0.2, 0.0], [0.4, 0.0, 0.4], [0.0, 0.5, 0.1]], dtype=np.float32)
    found = profiles_of(LabelledClips("somewhere", None, ["Awe", "Fear", "Joy"], labels))
    assert found == pytest.approx(np.array([[1.0, 0.1 / 0.6, 0.2 / 0.6], [0.0, 1.0, 0.2], [0.0, 0.0, 1.0]]))


def test_a_loss_that_is_not_finite_ends_the_run_in_one_line(words, tmp_path, capsys, monkeypatch):
    unbroken = generation_run.BurstImages.__getitem__
    monkeypatch.setattr(
        generation_run.BurstImages,
        "__getitem__",
        lambda images, drawn: (  # from the second epoch on
            unbroken(images, drawn)[0] * (torch.nan if drawn[1] else 1),
            unbroken(images, drawn)[1],
        ),
    )
    assert main([*words, "--output_dir", str(tmp_path / "run"), "--max_steps", "9"]) == 2
    last = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(last) == 1 and "step 3: the discriminator's loss is nan" in last[0]
    assert last[0].endswith(f"the last good checkpoint is {tmp_path / 'run' / 'checkpoint-2'}")
    assert not (tmp_path / "run" / "generation.json").exists()


@pytest.mark.parametrize(
    "changed, said",
    [
        (["--emotion", "Joy"], "has no clips of Joy; it has Awe, Fear"),
        (["--emotion", "Fear"], "there are 1 clips of Fear, and it needs 2, one batch"),
        (["--data_dir", "null"], "give it with --data_dir FOLDER"),
        (["--data_dir", "/nowhere"], "/nowhere: no such folder"),
        (["--batch_size", "1"], "batch_size must be in 2..65536"),
        (["--channels", "[4, 4]"], "seven scales make 128 mel channels, got 2"),
        (["--emotoin", "Awe"], "unknown key 'emotoin'; did you mean 'emotion'?"),
        (["--max_steps", "many"], "--max_steps: expected int"),
        (["--max_steps"], "--max_steps has no value"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(changed, said, words, tmp_path, capsys):
    assert main([*words, "--output_dir", str(tmp_path / "run"), *changed]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and said in errors[0]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_are_read_and_are_no_recipes_of_the_trainer(path):
    run = parse_generation([str(path)])
    assert run.description and run.generate.config().image_size[0] == 128
    with pytest.raises(RecipeError, match="burst2vec generate"):
        load_recipe(path)


def test_the_published_settings_are_those_of_the_paper():
    run = parse_generation(["exvo_generate/amusement"])
    training = run.training
    assert (training.generator_learning_rate, training.discriminator_learning_rate) == (3e-3, 3e-4)
    assert (run.data.lowest_intensity, run.data.country, run.data.train_on) == (
        1,
        "United States",
        ["train", "validation"],
    )
    assert run.generate.config().channels == [512, 512, 512, 512, 256, 128, 64]


def test_a_recipe_of_the_trainer_is_refused_with_its_command():
    with pytest.raises(RecipeError, match="trains no generator: burst2vec train"):
        parse_generation(["burst2vec/quickstart"])


def test_a_circle_of_recipes_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: a.yaml\ngenerate: {}\n")
    with pytest.raises(RecipeError, match="extends goes in a circle"):
        parse_generation([str(tmp_path / "a.yaml")])


def test_clips_of_a_corpus_are_chosen_by_intensity_and_country(tmp_path):
    data = GenerationData(
        corpus="synthetic",
        data_dir=str(tmp_path / "voices"),
        cache_dir=str(tmp_path / "cache"),
        synthetic_clips=36,
        synthetic_speakers=12,
        lowest_intensity=0.0,
        preprocessing_num_workers=1,
    )
    everybody = read_clips_of(data, "Awe", 0, 2).clips
    data.country = "China"
    of_china = read_clips_of(data, "Awe", 0, 2).clips
    assert 0 < len(of_china) < len(everybody) and set(of_china["file_id"]) < set(everybody["file_id"])
    data.lowest_intensity = 1.0
    with pytest.raises(RunError, match="no clips with Awe at 1.0 or above"):
        read_clips_of(data, "Awe", 0, 2)
    data.country = "Mars"
    with pytest.raises(RunError, match="no country 'Mars'; it has China"):
        read_clips_of(data, "Awe", 0, 2)
    with pytest.raises(RunError, match="no emotion 'Joy'; it has Awe"):
        read_clips_of(data, "Joy", 0, 2)


def test_the_help_describes_every_key_and_the_recipes_that_train_a_generator():
    text = generate_help()
    described = [
        line.split()[0].removeprefix("--") for line in text[text.index("\ndata:") :].splitlines() if "--" in line
    ]
    assert described == [entry.name for of in SECTIONS.values() for entry in fields(of) if entry.init]
    assert generator_recipes() == [name for name in recipe_names() if is_generation(shipped(f"recipes/{name}.yaml"))]
