"""Every block of README.md runs as it is printed, in a folder that holds what it names.

Python runs to the letter. Commands run too, training cut short by ``SMALLER``; of make's targets those that install or
test everything are only asked what they would do, and the run that ``make exvo`` would start is made. A block that is
added runs with the others: it fails in another language, or where it names what ``workplace`` does not have.
"""

import ast
import itertools
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np
import pytest
import soundfile
import yaml
from accelerate.commands.launch import launch_command_parser
from transformers import HubertModel, Wav2Vec2FeatureExtractor

from burst2vec import command_line
from burst2vec.comparison.fusion_recipes import load_fusion
from burst2vec.data.corpora.synthetic import write_synthetic_corpus
from burst2vec.experiment.building import build_model
from burst2vec.experiment.recipes import parse_run
from burst2vec.generation.generation_recipes import is_generation
from tests.conftest import TINY, tiny_encoder_config
from tests.data.corpora_on_disk import write_avb, write_hume_vb, write_vector, write_wav, write_webm

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECIPES = ROOT / "examples" / "recipes"
FENCED = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)

# What README's words for "whatever you want" become, and what makes a long command short.
STAND_INS = {" [--key value …]": " --seed 3", "--seeds 0 1 2": "--seeds 0"}
SHORT_RUN = "--max_steps 1 --max_train_samples 24 --max_eval_samples 8 --max_predict_samples 4".split()
SMALLER = {
    "run_exvo.py": SHORT_RUN,
    "run_preprocessing_study.py": [*SHORT_RUN, "--do_predict", "false"],
}
SMALL_CORPUS = ["--synthetic_clips", "36", "--synthetic_speakers", "12"]  # quickstart's takes minutes

# One group: one worker makes the folder and the run that they share.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("readme")]


class Block(NamedTuple):
    line: int
    language: str
    text: str


BLOCKS = [
    Block(
        README.count("\n", 0, found.start()) + 1,
        found["language"],
        re.sub(f"(?m)^{found['indent']}", "", found["text"]),
    )
    for found in FENCED.finditer(README)
]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A checkout's examples beside everything that README's blocks name, made small."""
    place = tmp_path_factory.mktemp("readme")
    for name in ("examples", "metrics", "Makefile", "setup.py", "constraints.txt"):
        (place / name).symlink_to(ROOT / name)
    (place / ".venv").mkdir()
    for name in (".installed", ".developing"):  # newer than what they are made from
        (place / ".venv" / name).touch()
    voices = write_synthetic_corpus(place / "voices", clips=36, speakers=12)
    for folder in ("IN_DIR", "EmoGator"):
        (place / folder).mkdir()
    noise = np.random.default_rng(0)
    for speaker, category in itertools.product((1, 2), range(1, 31)):  # a category that nobody made is a fault
        clip = place / "EmoGator" / f"{speaker:06d}-{category:02d}-1.mp3"
        soundfile.write(clip, 0.1 * noise.normal(size=4_000), 16_000, format="MP3")
    for seed, (split, kind) in enumerate(itertools.product(("train", "validation"), ("laugh", "cry") * 2)):
        write_wav(place / "MY_CLIPS" / split / kind / f"{seed}.wav", seed=seed)
    for name in ("00001.wav", "00002.wav"):
        shutil.copy(voices / "wav" / name, place / "IN_DIR")
    waveform, rate = soundfile.read(voices / "wav" / "00003.wav")
    soundfile.write(place / "laugh.mp3", waveform, rate, format="MP3")
    soundfile.write(place / "sigh.wav", waveform, rate)
    write_avb(write_hume_vb(place / "HUME-VB"))
    (place / "HUME-VB" / "feats" / "ComParE").mkdir(parents=True)
    for clip in range(1, 6):
        write_webm(place / "HUME-VB" / "raw" / f"{clip:05d}.webm", seed=clip)
        write_vector(place / "HUME-VB" / "feats" / "ComParE" / f"{clip:05d}.csv", [clip, clip % 2], 6_373)
    encoder = place / "facebook" / "hubert-large-ls960-ft"  # a folder comes before a name on the Hub
    HubertModel(tiny_encoder_config(style="large")).save_pretrained(encoder)
    Wav2Vec2FeatureExtractor().save_pretrained(encoder)
    recipe = {
        "extends": str(RECIPES / "burst2vec" / "quickstart.yaml"),
        "data": {"data_dir": str(voices), "synthetic_clips": 36, "synthetic_speakers": 12},
        "model": {"encoder": {"model_type": "hubert", "feat_extract_norm": "layer", **TINY}},
    }
    (place / "RECIPE.yaml").write_text(yaml.safe_dump(recipe))
    raw = parse_run([str(RECIPES / "frozen_embeddings" / "raw_emotion_class.yaml")])
    for part in build_model(raw.model):
        part.save_pretrained(place / "runs" / "raw_emotion_class")
    return place


@pytest.fixture
def inside(workplace, tmp_path_factory, monkeypatch):
    """The working directory is the workplace, and so is the place of datasets' cache."""
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", workplace / "cache")
    return workplace


def run_python(text):
    """Run a block; the values of its statements that are expressions, each by its source."""
    names, values = {"__name__": "readme"}, {}
    for statement in ast.parse(text).body:
        source = ast.get_source_segment(text, statement)
        if isinstance(statement, ast.Expr):
            values[source] = eval(source, names)
        else:
            exec(source, names)
    return values


def words_of(line):
    for words, instead in STAND_INS.items():
        line = line.replace(words, instead)
    return shlex.split(line, comments=True)


def asked_of_make(*words):
    """The commands that ``make WORDS`` would run here."""
    plain = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    done = subprocess.run(["make", "-n", *words], capture_output=True, text=True, env=plain, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\\\n", " ").splitlines()


def run_command(words, monkeypatch):
    """Run a command of README in this process, which has the imports already; it must end well."""
    if words[0] == "burst2vec":
        of_train = [*SHORT_RUN, *SMALL_CORPUS] if words[1] == "train" else []
        monkeypatch.setattr(sys, "argv", [])
        assert command_line.main([*words[1:], *of_train]) == 0
        return
    if words[:2] == ["accelerate", "launch"]:
        launched = launch_command_parser().parse_args(words[2:])
        words = [launched.training_script, *launched.training_script_args]
    elif words[0] == "python":
        words = words[1:]
    else:
        pytest.fail(f"README has a command that this test cannot run: {' '.join(words)}")
    monkeypatch.setattr(sys, "argv", [*words, *SMALLER.get(Path(words[0]).name, ())])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(words[0], run_name="__main__")
    assert not end.value.code, f"{' '.join(sys.argv)} ends with {end.value.code}"


@pytest.fixture
def quickstart(inside, monkeypatch):
    """The run that ``make exvo`` starts in a fresh checkout, made once, of fewer clips and a step."""
    if not (inside / "runs" / "quickstart").exists():
        words = shlex.split(asked_of_make("exvo")[-1])
        assert words[0] == ".venv/bin/accelerate"
        run_command(["accelerate", *words[1:], *SMALL_CORPUS], monkeypatch)
    return inside / "runs" / "quickstart"


def test_no_block_is_overlooked():
    assert len(BLOCKS) == README.count("```") / 2 > 5
    assert {block.language for block in BLOCKS} <= {"python", "bash"}, "say in run_block how another language runs"


@pytest.mark.parametrize("block", BLOCKS, ids=[f"line-{block.line}-{block.language}" for block in BLOCKS])
def test_a_block_runs_as_it_is_printed(block, quickstart, monkeypatch):
    if block.language == "python":
        run_python(block.text)
        return
    for line in block.text.splitlines():
        words = words_of(line)
        if words[:1] == ["make"]:
            assert asked_of_make(*words[1:])
        elif words:
            run_command(words, monkeypatch)


def test_make_exvo_writes_the_run_that_the_first_block_loads(quickstart):
    assert 'model="runs/quickstart"' in BLOCKS[0].text
    assert json.loads((quickstart / "metrics.json").read_text())["corpora"] == ["synthetic"]
    again = shlex.split(asked_of_make("exvo")[-1])
    assert re.fullmatch(r"runs/quickstart-\d{8}-\d{6}", again[again.index("--output_dir") + 1])


def test_a_run_that_was_interrupted_is_resumed_by_the_command_that_the_readme_names(inside, tmp_path, monkeypatch):
    assert 'make exvo ARGS="--resume_from_checkpoint true"' in README
    for name in ("Makefile", "setup.py", "constraints.txt", ".venv"):
        (tmp_path / name).symlink_to(inside / name)
    (tmp_path / "runs" / "quickstart" / "checkpoint-1").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(asked_of_make("exvo", "ARGS=--resume_from_checkpoint true")[-1])
    assert words[-4:] == ["--output_dir", "runs/quickstart", "--resume_from_checkpoint", "true"]


def test_the_pipeline_answers_in_the_shape_that_is_printed(quickstart):
    values = run_python(BLOCKS[0].text)
    one, two = (
        values['analyse("laugh.mp3")'],
        values['analyse(["laugh.mp3", "sigh.wav"], batch_size=8, return_embedding=True)'],
    )
    assert list(one) == ["emotion", "age", "country"] and 0 <= one["emotion"]["Amusement"] <= 1
    assert 15 < one["age"] < 45 and one["country"]["label"] in one["country"]["probabilities"]
    assert [len(answer["embedding"]) for answer in two] == [96, 96]


def test_a_number_beside_a_call_is_what_the_call_gives():
    printed = {}
    for block in BLOCKS:
        if block.language == "python":
            for call, number in re.findall(r"^(\S.*?)  # .* = (\d+\.\d+)$", block.text, re.MULTILINE):
                printed[call] = float(number)
    assert printed
    names = {}
    exec("import burst2vec.scoring", names)
    for call, number in printed.items():
        assert eval(call, names) == pytest.approx(number, abs=0.0005), call


def test_every_file_that_is_named_is_there():
    named = re.findall(r"(?:examples|benchmarks|docs|metrics|dataset_scripts|tests)/[\w./]*\w", README)
    assert len(named) > 10 and not [name for name in named if not (ROOT / name).exists()]


def test_every_measured_row_has_a_command_that_can_be_run():
    rows = re.findall(r"^\| `(run_\w+\.py) (\w+\.yaml)([^`]*)` \|.*\| (.*) \| (.*) \|$", README, re.MULTILINE)
    recipes = {path.name for path in (RECIPES / "emogator").glob("*.yaml") if not is_generation(path)}
    of_all_speakers = re.findall(r"^\| `burst2vec (train|fuse) (emogator/\w+)` \|", README, re.MULTILINE)
    assert {recipe for _, recipe, *_ in rows} | {f"{Path(name).name}.yaml" for _, name in of_all_speakers} == recipes
    for command, name in of_all_speakers:
        assert load_fusion(name) if command == "fuse" else parse_run([name])
    for script, recipe, options, *scores in rows:
        assert parse_run([str(RECIPES / "emogator" / recipe)])
        assert (script, options) in (("run_seeds.py", " --seeds 3"), ("run_exvo.py", ""))
        assert all((" ± " in score) == (script == "run_seeds.py") for score in scores), "several seeds have a spread"
