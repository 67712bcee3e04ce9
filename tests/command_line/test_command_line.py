"""The command burst2vec: quick to ask, its sub-commands are the files of examples/, and recipes go by name."""

import os
import re
import runpy
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import evaluate
import pytest

from burst2vec.command_line import SUB_COMMANDS, main
from burst2vec.command_line.shipped import near_recipes, recipe_names, shipped, shipped_recipe
from burst2vec.command_line.train_help import own_keys
from burst2vec.data.checking.check_report import FORMATS
from burst2vec.data.corpora import CORPORA
from burst2vec.experiment.recipe_files import hints_of
from burst2vec.experiment.recipes import SECTIONS, argument_parser, load_recipe
from burst2vec.experiment.sections import DataArguments, ModelArguments
from burst2vec.features import FEATURE_FAMILIES, FEATURE_SETS
from burst2vec.personalising import LEARNING_RATE, RECURRENT_RATE, STEPS
from burst2vec.prediction import ON_BAD
from burst2vec.training import Burst2VecTrainingArguments

ROOT = Path(__file__).parents[2]


ASK_EVERYTHING = """
import sys
sys.path[:0] = sys.argv[1:3]
import burst2vec_command_line as it
it.main(["--help"])
it.main(["recipes"])
for command in it.SUB_COMMANDS:
    print("asking", command)
    try:
        assert it.main([command, "--help"]) == 0
    except SystemExit as end:  # argparse's way
        assert end.code == 0
print(*sys.modules, file=sys.stderr)
"""
SLOW = {"torch", "torchaudio", "transformers", "datasets", "pandas", "pyarrow", "matplotlib", "sklearn", "librosa"}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """The help of every command, and the modules loaded for all, as the entry point starts it: under its own name."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "burst2vec_command_line").symlink_to(ROOT / "burst2vec" / "command_line")
    words = [sys.executable, "-c", ASK_EVERYTHING, str(ROOT), str(folder)]
    wide = {**os.environ, "COLUMNS": "120"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=folder, env=wide)
    assert done.returncode == 0, done.stderr
    first, *helps = re.split(r"^asking (.*)\n", done.stdout, flags=re.MULTILINE)
    return first, dict(zip(helps[::2], helps[1::2], strict=True)), {name.split(".")[0] for name in done.stderr.split()}


def test_no_help_and_no_list_of_recipes_imports_what_takes_seconds(asked):
    first, helps, loaded = asked
    assert "burst2vec/quickstart" in first and "check-corpus" in first and "--held_out" in helps["train"]
    assert not loaded & {*SLOW, "burst2vec"}  # nor is half of the package left behind


def test_the_help_without_imports_says_what_the_package_itself_says(asked):
    """Names and numbers that parsers read from the source are those of the modules."""
    words = {command: " ".join(text.replace("-\n", "-").split()) for command, text in asked[1].items()}
    assert list(words) == list(SUB_COMMANDS)
    families = [f"{name}:{family.argument}" for name, family in FEATURE_FAMILIES.items()]
    assert ", ".join([*FEATURE_SETS, *families]) in words["extract-features"]
    for command in ("check-corpus", "extract-features"):
        assert f"[{{{','.join(sorted(CORPORA))}}}]" in words[command]
        for setting in fields(CORPORA["hume_vb"].settings)[:2]:
            assert f"--{setting.name} {{" in words[command] and setting.metadata["help"] in words[command]
    assert f"{{{','.join(ON_BAD)}}}" in words["predict"] and f"{{{','.join(FORMATS)},both}}" in words["check-corpus"]
    assert f"default {LEARNING_RATE:g}, of the recurrent part {RECURRENT_RATE:g}" in words["fewshot"]
    assert f"steps of tuning; default {STEPS}" in words["fewshot"]


def commands_written_about():
    """(page, command, its options) of each command line in README and the pages of docs, in a block or a sentence."""
    files = {file: name for name, file in SUB_COMMANDS.items()}
    for page in (ROOT / "README.md", *sorted((ROOT / "docs" / "pages").glob("*.md"))):
        text = re.sub(r"\\\n *", "", page.read_text(encoding="utf-8"))
        blocks = re.findall(r"^ *```bash\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
        spans = re.findall(r"`([^`]+)`", re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL))
        for line in [*"".join(blocks).splitlines(), *spans]:
            words = line.split("  #")[0].split()
            for place, word in enumerate(words[:-1]):
                name = words[place + 1] if word == "burst2vec" else files.get(Path(word).name)
                if name is not None and re.fullmatch(r"[a-z][a-z-]*", name):
                    yield page.name, name, [each.split("=")[0] for each in words[place:] if each.startswith("--")]
                    break


def test_every_command_that_is_written_about_is_there_and_takes_its_options(asked):
    keys = {
        f"--{key}" for section in SECTIONS.values() for key in hints_of(section)
    }  # of recipes, behind many commands
    written = list(commands_written_about())
    for page, name, options in written:
        assert name in {*SUB_COMMANDS, "recipes"}, f"{page}: burst2vec {name}"
        known = keys | set(re.findall(r"--[\w-]+", asked[1].get(name, "")))
        assert not set(options) - known, f"{page}: burst2vec {name} does not take {set(options) - known}"
    assert len(written) > 30 and {"train", "predict", "find", "fuse", "export"} <= {name for _, name, _ in written}


def test_who_reads_the_list_of_recipes_may_leave_early(tmp_path):
    (tmp_path / "burst2vec_command_line").symlink_to(ROOT / "burst2vec" / "command_line")
    program = "import burst2vec_command_line as it; raise SystemExit(it.main(['recipes']))"
    listing = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    listing.stdout.close()  # as head does, when it has its lines
    assert (listing.stderr.read(), listing.wait(timeout=60)) == ("", 0)


def test_every_file_of_examples_is_a_command_and_no_other():
    assert sorted(SUB_COMMANDS.values()) == sorted(path.name for path in (ROOT / "examples").glob("*.py"))


def test_a_command_is_its_file_under_its_own_name(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [])
    with pytest.raises(SystemExit) as end:
        main(["report", "--help"])
    assert end.value.code == 0 and "usage: burst2vec report [-h]" in capsys.readouterr().out


def test_python_starts_the_package_as_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["burst2vec", "recipes"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("burst2vec", run_name="__main__")
    assert end.value.code == 0 and "burst2vec/quickstart\n" in capsys.readouterr().out


def test_the_help_of_train_says_of_every_own_key_what_its_dataclass_does():
    of_training = Burst2VecTrainingArguments.__annotations__
    own = [*fields(DataArguments), *fields(ModelArguments)]
    own += [each for each in fields(Burst2VecTrainingArguments) if each.name in of_training]
    declared = {each.name: (str(each.default), each.metadata["help"]) for each in own}
    keys = own_keys()
    read = {key.name: (key.default, key.about) for section in keys.values() for key in section}
    assert read == declared
    (on_bad_clip,) = (key for key in keys["data"] if key.name == "on_bad_clip")
    assert on_bad_clip.choices == "skip|raise" and keys["data"][0].choices == "hume_vb|emogator|synthetic|folder"


def test_the_help_of_train_is_short_and_names_every_recipe(capsys):
    assert main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) < 300 and max(map(len, shown.splitlines())) <= 120
    words = shown[shown.index("recipes, which") :].split()
    assert [name.rpartition("/")[2] for name in recipe_names()] == [word for word in words[5:] if word[-1] != "/"]
    assert "--run_name" not in shown and "--help-all" in shown


def test_burst2vecs_own_keys_come_first_in_the_whole_help_of_train():
    shown = argument_parser().format_help()
    assert (
        shown.index("--corpus") < shown.index("--pooling") < shown.index("--task_schedule") < shown.index("--run_name")
    )


def test_an_unknown_command_is_refused_in_one_line(capsys):
    assert main(["trian"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: no command 'trian'; did you mean train?") and said.count("\n") == 1


def test_a_shipped_recipe_is_meant_by_its_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = ROOT / "examples" / "recipes" / "emogator" / "compare.yaml"
    assert load_recipe("emogator/compare") == load_recipe("emogator/compare.yaml") == load_recipe(file)
    Path("mine.yaml").write_text("extends: emogator/compare\ntraining: {seed: 3}")
    assert load_recipe("mine.yaml").training == {**load_recipe(file).training, "seed": 3}


def test_a_file_that_lies_there_comes_before_a_shipped_recipe_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("emogator").mkdir()
    Path("emogator", "compare.yaml").write_text("training: {seed: 3}")
    assert load_recipe("emogator/compare.yaml").training == {"seed": 3}


@pytest.mark.parametrize("unknown, meant", [("emogator/compar", "emogator/compare"), ("quickstart", "burst2vec/")])
def test_near_names_are_given_for_an_unknown_one(tmp_path, monkeypatch, capsys, unknown, meant):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    assert main(["train", unknown]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {unknown}: no such recipe; with burst2vec come ['{meant}")


def test_names_that_leave_the_folder_of_recipes_are_no_recipes():
    assert shipped_recipe("../../setup") is None and near_recipes("../../nothing") == []
    assert "burst2vec/quickstart" in recipe_names()


def test_what_does_not_come_with_the_package_is_refused():
    for absent in ("tests", "metrics/none"):
        with pytest.raises(FileNotFoundError, match="nothing that comes with burst2vec"):
            shipped(absent)


@pytest.mark.parametrize("name", ["ccc", "s_mtl"])
def test_a_shipped_metric_loads_from_anywhere(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert evaluate.load(str(shipped("metrics") / name)).name == name
