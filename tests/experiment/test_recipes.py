"""A recipe says what runs; whatever it says wrongly is refused by file, key and what is allowed."""

import dataclasses
import re

import pytest
import yaml

from burst2vec.configuration_burst2vec import Burst2VecConfig
from burst2vec.data.corpora import CORPORA
from burst2vec.errors import RecipeError
from burst2vec.experiment.recipe_files import fit
from burst2vec.experiment.recipes import SECTIONS, load_recipe, parse_run
from burst2vec.experiment.sections import NOT_OF_THE_CONFIG, ModelArguments


@pytest.fixture
def write(tmp_path):
    """Writes a recipe and gives its path."""

    def write_recipe(text, name="recipe.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write_recipe


def test_a_recipe_inherits_key_by_key_and_the_nearer_file_wins(write):
    write("model: {initializer_range: 0.1, tasks: exvo}\ntraining: {seed: 1}", "grandparent.yaml")
    write("extends: grandparent.yaml\nmodel: {initializer_range: 0.2}", "parent.yaml")
    recipe = load_recipe(write("extends: parent.yaml\nmodel: {pooling: max}"))
    assert recipe.model == {"initializer_range": 0.2, "tasks": "exvo", "pooling": "max"}
    assert recipe.training == {"seed": 1}


@pytest.mark.parametrize(
    ("given", "trunk"),
    [
        ("{dropout: 0.5}", {"kind": "shared", "hidden_sizes": [8, 4], "dropout": 0.5}),
        ("{kind: shared, hidden_sizes: [2]}", {"kind": "shared", "hidden_sizes": [2], "dropout": 0.1}),
        ("{kind: per_task, dropout: 0.5}", {"kind": "per_task", "dropout": 0.5}),
        ("identity", "identity"),
    ],
)
def test_the_arguments_of_a_part_are_inherited_by_the_same_kind_only(write, given, trunk):
    parent = "model: {trunk: {kind: shared, hidden_sizes: [8, 4], dropout: 0.1}}"
    write(parent, "parent.yaml")
    assert load_recipe(write(f"extends: parent.yaml\nmodel: {{trunk: {given}}}")).model == {"trunk": trunk}
    assert parse_run([write(parent), "--trunk", given]).model.trunk == trunk


def test_an_encoder_with_a_model_type_replaces_what_is_inherited(write):
    write("model: {encoder: {model_type: hubert, hidden_size: 8}}", "parent.yaml")
    recipe = load_recipe(write("extends: parent.yaml\nmodel: {encoder: {model_type: hubert, hidden_act: relu}}"))
    assert recipe.model["encoder"] == {"model_type": "hubert", "hidden_act": "relu"}


def test_what_a_paper_printed_is_not_inherited(write):
    write("paper: row 1\ndescription: first\nreported_scores: {test: {emotion_ccc: 0.6}}", "parent.yaml")
    recipe = load_recipe(write("extends: parent.yaml\npaper: row 2"))
    assert (recipe.paper, recipe.description, recipe.reported_scores) == ("row 2", None, {})


def test_extends_is_relative_to_the_recipe(write, tmp_path, monkeypatch):
    (tmp_path / "child").mkdir()
    write("training: {seed: 3}", "parent.yaml")
    monkeypatch.chdir("/")
    assert load_recipe(write("extends: ../parent.yaml", "child/recipe.yaml")).training == {"seed": 3}


def test_a_circle_of_extends_is_refused_and_shown(write):
    write("extends: recipe.yaml", "other.yaml")
    with pytest.raises(RecipeError, match=r"circle: recipe\.yaml → other\.yaml → recipe\.yaml"):
        load_recipe(write("extends: other.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: {}", r"unknown key 'modle'; did you mean 'model'\? known: \['data', 'description'"),
        (
            "model: {initialiser_range: 0}",
            r"model: unknown key 'initialiser_range'; did you mean 'initializer_range'",
        ),
        ("model: {learning_rate: 1.0}", r"model: unknown key 'learning_rate'; it belongs to the section 'training'"),
        (
            "training: {evaluation_strategy: steps}",
            r"training: unknown key 'evaluation_strategy'; did you mean 'eval_strategy'",
        ),
        ("model: {head: linear}\nmodel: {head: linear}", r"line 2: key 'model' is given twice, first on line 1"),
        ("model:\n  head: linear\n  head: linear", r"line 3: key 'head' is given twice, first on line 2"),
        ("training: {learning_rate: '0.1'}", r"training\.learning_rate: expected float, got '0\.1' \(str\)"),
        ("training: {max_steps: 2.5}", r"training\.max_steps: expected int, got 2\.5 \(float\)"),
        ("training: {bf16: 1}", r"training\.bf16: expected bool or null, got 1 \(int\)"),
        ("training: {seed: true}", r"training\.seed: expected int, got True"),
        (
            "training: {eval_strategy: no}",
            r'training\.eval_strategy: expected one of .*got False \(bool\).*put it in "quotes"',
        ),
        (
            "data: {corpus: hume}",
            rf"data\.corpus: expected one of {re.escape(str(list(CORPORA)))}, got 'hume'",
        ),
        (
            "reported_scores: {test: {s_mtl: high}}",
            r"recipe\.yaml: reported_scores\.test\.s_mtl: expected float, got 'high'",
        ),
        ("reported_scores: {validation: 0.4}", r"reported_scores: validation must be a mapping .* got 0\.4"),
        ("reported_scores: {s_mtl: 0.4}", r"'s_mtl' is none of the splits .* reported_scores: \{validation: \{s_mtl:"),
        ("model: 3", r"model must be a mapping"),
        ("extends: [a, b]", r"extends must be text"),
        ("- model", r"a recipe is a mapping"),
        ("model: {", r"not YAML"),
        ("model: !!python/object/apply:os.system [ls]", r"not YAML"),
    ],
)
def test_a_wrong_recipe_is_refused_by_file_and_key(write, text, message):
    with pytest.raises(RecipeError, match=message) as error:
        load_recipe(write(text))
    assert "recipe.yaml" in str(error.value)


def test_a_missing_recipe_is_named_with_its_neighbours(write, tmp_path):
    write("model: {}", "neighbour.yaml")
    with pytest.raises(RecipeError, match=r"absent\.yaml: no such recipe; the folder holds .*neighbour\.yaml"):
        load_recipe(tmp_path / "absent.yaml")


@pytest.mark.parametrize("missing", ["../elsewhere/absent.yaml", "absent.yaml"])
def test_what_a_recipe_extends_and_is_not_there_is_named_with_file_and_key(write, tmp_path, missing):
    mine = write(f"extends: {missing}\nmodel: {{}}", "mine.yaml")
    with pytest.raises(RecipeError) as error:
        load_recipe(mine)
    assert str(error.value).startswith(f"{mine}: extends '{missing}': there is no {tmp_path / missing}; give ")
    assert ("the folder holds" in str(error.value)) == (missing == "absent.yaml")


@pytest.mark.parametrize("text", ["1e-5", "1E-5", "1.0e-5", "0.00001", "+1e-5", ".1e-4"])
def test_a_learning_rate_is_a_number_however_it_is_written(write, text):
    assert load_recipe(write(f"training: {{learning_rate: {text}}}")).training["learning_rate"] == 1e-5


def test_a_name_is_in_one_section_only():
    names = [field.name for arguments in SECTIONS.values() for field in dataclasses.fields(arguments)]
    assert len(names) == len(set(names))


def test_every_argument_of_the_config_is_a_key_of_the_same_name():
    measured = {"bias_and_scale", "conformal", "temperatures"}
    arguments = set(Burst2VecConfig.own_arguments()) - {"encoder_config", *measured}
    assert {field.name for field in dataclasses.fields(ModelArguments)} == arguments | set(NOT_OF_THE_CONFIG)


def test_only_what_is_given_reaches_the_config():
    given = {"freeze_feature_encoder": False, "tasks": "exvo"}
    assert ModelArguments(encoder="x", **given).for_config() == given


def test_the_command_line_wins_over_the_recipe(write, tmp_path):
    path = write("model: {initializer_range: 0.1, pooling: max}\ntraining: {learning_rate: 1e-5, seed: 1}")
    run = parse_run(
        [
            path,
            "--learning_rate",
            "1e-4",
            "--initializer_range=0.3",
            "--output_dir",
            str(tmp_path / "out"),
            "--data_dir",
            "here",
        ]
        + ["--do_train", "false", "--max_train_samples", "7", "--encoder", '{"model_type": "hubert", "hidden_size": 8}']
    )
    assert (run.training.learning_rate, run.training.seed, run.training.do_train) == (1e-4, 1, False)
    assert (run.model.initializer_range, run.model.pooling) == (0.3, "max")
    assert run.model.encoder == {"model_type": "hubert", "hidden_size": 8}
    assert (run.data.data_dir, run.data.max_train_samples) == ("here", 7)


def test_a_run_trains_evaluates_and_predicts_unless_told_otherwise(write):
    run = parse_run([write("model: {}"), "--do_eval", "false"])
    assert (run.training.do_train, run.training.do_eval, run.training.do_predict) == (True, False, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learning_rte", "1"], "unknown key 'learning_rte'; did you mean 'learning_rate'"),
        (["--learning_rate", "fast"], "learning_rate"),
        (["--corpus", "hume"], "corpus"),
        (["stray"], "'stray' is not an option"),
        (["--max_train", "3"], "unknown key 'max_train'"),
    ],
)
def test_a_wrong_option_is_refused(write, arguments, message):
    with pytest.raises(RecipeError, match=message):
        parse_run([write("model: {}"), *arguments])


@pytest.mark.parametrize("arguments", [[], ["--learning_rate", "1e-4"]])
def test_a_run_needs_a_recipe(arguments):
    with pytest.raises(RecipeError, match="first argument is the recipe"):
        parse_run(arguments)


def test_a_saved_recipe_reads_back_and_holds_no_place(write, tmp_path):
    (tmp_path / "encoder").mkdir()
    path = write("description: d\nmodel: {pooling: max}\nreported_scores: {validation: {s_mtl: 0.4}}")
    places = [
        "--data_dir",
        str(tmp_path),
        "--cache_dir",
        "/c",
        "--output_dir",
        "/o",
        "--encoder",
        str(tmp_path / "encoder"),
        "--teachers",
        str(tmp_path / "encoder"),
        "me/a-teacher",
    ]
    recipe = parse_run([path, *places, "--hub_token", "hf_secret", "--seed", "3"]).recipe
    text = yaml.safe_dump(recipe.to_dict())
    assert str(tmp_path) not in text and "/o" not in text and "secret" not in text
    again = load_recipe(write(text, "again.yaml"))
    assert again.model == {"pooling": "max", "encoder": "encoder"}
    assert again.training == {"seed": 3, "teachers": ["encoder", "me/a-teacher"]}
    assert again.reported_scores == {"validation": {"s_mtl": 0.4}}


@pytest.mark.parametrize(
    ("value", "hint"), [(1, float), (None, int | None), ([1], list | str), ({}, dict | str | None), ("steps", str)]
)
def test_a_fitting_value_stays_what_it_is(value, hint):
    assert fit(value, hint, "x") is value


def test_a_mix_is_several_corpora_each_with_its_own_keys(write):
    run = parse_run(
        [write("data: {mix: [{corpus: hume_vb, data_dir: H, labels: all}, {corpus: folder, data_dir: F}]}")]
    )
    corpora = run.data.corpora
    assert list(corpora) == ["hume_vb", "folder"]
    assert (corpora["hume_vb"].labels, corpora["folder"].data_dir) == ("all", "F")
    assert run.recipe.to_dict()["data"] == {"mix": [{"corpus": "hume_vb", "labels": "all"}, {"corpus": "folder"}]}


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ("emogator", r"data.mix must be a list of corpora, such as .* got 'emogator'"),
        ("[]", r"data.mix must be a list of corpora"),
        ("[emogator]", r"data.mix\[0\]: must be a mapping with the key corpus, got 'emogator'"),
        ("[{corpus: emogator, date_dir: E}]", r"data.mix\[0\]: unknown key 'date_dir'; did you mean 'data_dir'"),
        ("[{corpus: emogator}, {corpus: hume}]", r"data.mix\[1\].corpus: expected one of \['hume_vb'"),
        ("[{corpus: emogator}], data_dir: E", r"data.mix describes all corpora; move data_dir into the one"),
    ],
)
def test_a_mix_that_says_something_else_is_refused(write, mix, message):
    with pytest.raises(RecipeError, match=message):
        parse_run([write("data: {mix: " + mix + "}")])


def test_the_command_line_can_take_a_key_back(write):
    path = write("data: {corpus: folder, table: labels.csv, synthetic_clips: 20}\ntraining: {seed: 3}")
    run = parse_run(
        [path, "--table", "null", "--synthetic_clips=null", "--seed", "4", "--speed_perturbation", "0.9", "1.1"]
    )
    assert (run.data.table, run.data.synthetic_clips) == (None, None)
    assert (run.training.seed, run.training.speed_perturbation) == (4, [0.9, 1.1])
    with pytest.raises(RecipeError, match="--seed"):
        parse_run([path, "--seed", "null"])


def test_a_list_of_names_is_given_word_by_word_or_as_json(write):
    path, names = write("data: {corpus: synthetic}"), ["runs/a", "runs/b"]
    for words in (names, ['["runs/a", "runs/b"]'], ['["runs/a",', '"runs/b"]']):
        run = parse_run([path, "--teachers", *words, "--seed", "4"])
        assert (run.training.teachers, run.training.teacher_share, run.training.seed) == (names, 0.5, 4)
    assert parse_run([path]).training.teacher_share is None
    for words, message in ((['["runs/a",'], "--teachers: .* is not JSON"), (["[1]"], r"--teachers\[0\]: expected str")):
        with pytest.raises(RecipeError, match=message):
            parse_run([path, "--teachers", *words])
