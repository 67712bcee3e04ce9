"""A fusion's file names recipes, and their finished runs are found, seed by seed; what is missing is named."""

import json

import pytest

from burst2vec.comparison.fusion_plan import read_plan
from burst2vec.comparison.fusion_recipes import load_fusion, runs_by_seed
from burst2vec.errors import RecipeError, RunError
from burst2vec.experiment.recipes import load_recipe

V1, V2 = "burst2vec/v1_wav2vec_large", "burst2vec/v2_no_adversary"


@pytest.fixture
def recipe(tmp_path):
    """A fusion of a shipped recipe and of one in a folder of one's own."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "own.yaml").write_text("description: my own\nmodel: {tasks: exvo}")
    (mine / "both.yaml").write_text(
        f"paper: A paper, Table 1, row 3\ndescription: two as one\nfuse: {{runs: [{V1}, own.yaml], way: hybrid}}\n"
        "reported_scores: {test: {s_mtl: 0.4}}"
    )
    return mine / "both.yaml"


def write_record(folder, recipe, seed=0):
    folder.mkdir(parents=True)
    record = {"corpora": ["synthetic"], "recipe": recipe, "seed": seed, "clips": {}, "scores": {}, "baseline": {}}
    (folder / "metrics.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def v1_record():
    said = load_recipe(V1)
    return {"paper": said.paper, "description": said.description, "model": {"encoder": "tiny"}}


def test_a_fusion_says_what_it_fuses_and_how(recipe):
    fusion = load_fusion(recipe)
    assert (fusion.name, fusion.paper, fusion.plan.way) == ("both", "A paper, Table 1, row 3", "hybrid")
    assert list(fusion.files) == [V1, "own.yaml"] and fusion.files["own.yaml"] == recipe.parent / "own.yaml"
    assert fusion.to_dict() == {
        "paper": "A paper, Table 1, row 3",
        "description": "two as one",
        "fuse": {"runs": [V1, "own.yaml"], "way": "hybrid"},
        "reported_scores": {"test": {"s_mtl": 0.4}},
    }


def test_runs_are_found_by_what_their_records_say_and_else_by_their_folders_name(recipe, tmp_path):
    runs = tmp_path / "runs"
    write_record(runs / "whatever" / "deep", v1_record())
    own = write_record(runs / "own" / "again", {"description": "my own, before I wrote it anew"})
    write_record(runs / "else", {"description": "another"})
    by_seed, notes = runs_by_seed(load_fusion(recipe), runs)
    assert {name: run.folder for name, run in by_seed[0].items()} == {V1: runs / "whatever" / "deep", "own.yaml": own}
    assert notes == [f"own.yaml: {own} is taken by its folder's name; its record says another recipe"]


def test_a_namesakes_run_is_not_taken_by_its_folder(tmp_path):
    runs, other = tmp_path / "runs", load_recipe("emogator/compare")
    write_record(
        runs / "compare", {"description": other.description, **({"paper": other.paper} if other.paper else {})}
    )
    (tmp_path / "two.yaml").write_text("fuse: {runs: [exvo_baselines/compare, emogator/compare]}")
    with pytest.raises(RunError, match="two: .*runs holds no finished run of exvo_baselines/compare; to make"):
        runs_by_seed(load_fusion(tmp_path / "two.yaml"), runs)


def test_a_run_that_says_another_recipe_is_not_taken_by_its_folder(recipe, tmp_path):
    write_record(tmp_path / "runs" / "own", v1_record())
    with pytest.raises(RunError, match="runs holds no finished run of own.yaml; to make it"):
        runs_by_seed(load_fusion(recipe), tmp_path / "runs")


def test_seeds_that_all_have_are_fused_one_by_one(recipe, tmp_path):
    for seed in (1, 2, 3):
        write_record(tmp_path / "runs" / "v1" / str(seed), v1_record(), seed)
    for seed in (2, 3):
        write_record(tmp_path / "runs" / "own" / str(seed), {"description": "my own"}, seed)
    by_seed, notes = runs_by_seed(load_fusion(recipe), tmp_path / "runs")
    assert {seed: [run.record.seed for run in systems.values()] for seed, systems in by_seed.items()} == {
        2: [2, 2],
        3: [3, 3],
    }
    assert notes == [f"{V1}: left out are its runs of the seeds [1]"]
    assert list(runs_by_seed(load_fusion(recipe), tmp_path / "runs", seed=3)[0]) == [3]
    with pytest.raises(RunError, match=r"not every recipe has a run of seed 1: .*v1_wav2vec_large has \[1, 2, 3\]"):
        runs_by_seed(load_fusion(recipe), tmp_path / "runs", seed=1)


def test_single_runs_of_other_seeds_belong_together_and_several_do_not(recipe, tmp_path):
    write_record(tmp_path / "runs" / "v1", v1_record(), 1)
    write_record(tmp_path / "runs" / "own", {"description": "my own"}, 5)
    by_seed, notes = runs_by_seed(load_fusion(recipe), tmp_path / "runs")
    assert list(by_seed) == [1] and "the runs have different seeds" in notes[0]
    write_record(tmp_path / "runs" / "own_again", {"description": "my own"}, 6)
    with pytest.raises(RunError, match=r"both: not every recipe has a run of one seed: .* own.yaml has \[5, 6\]"):
        runs_by_seed(load_fusion(recipe), tmp_path / "runs")


def test_a_missing_run_is_refused_by_its_recipe_and_the_command_that_makes_it(recipe, tmp_path):
    (tmp_path / "runs" / "cut").mkdir(parents=True)
    (tmp_path / "runs" / "cut" / "metrics.json").write_text("{")
    with pytest.raises(RunError) as refused:
        runs_by_seed(load_fusion(recipe), tmp_path / "runs")
    assert f"runs holds no finished run of {V1}, own.yaml; to make it: burst2vec train {V1} --data_dir FOLDER" in str(
        refused.value
    )
    assert f"burst2vec train {recipe.parent / 'own.yaml'} --data_dir FOLDER --output_dir" in str(refused.value)
    with pytest.raises(RunError, match="nowhere: no such folder; give the one that holds the finished runs"):
        runs_by_seed(load_fusion(recipe), tmp_path / "nowhere")


def test_two_runs_of_one_recipe_and_seed_are_refused(recipe, tmp_path):
    for place in ("a", "b"):
        write_record(tmp_path / "runs" / place, v1_record())
    with pytest.raises(RunError, match=f"{V1}: .*/a and .*/b are both its runs with seed 0; move one away"):
        runs_by_seed(load_fusion(recipe), tmp_path / "runs")


@pytest.mark.parametrize(
    "text, message",
    [
        ("description: d", "is no fusion: it has no key 'fuse'; train it: burst2vec train"),
        ("fuse: {runs: [a, b]}\ndescripton: d", "unknown key 'descripton'; did you mean 'description'"),
        (
            f"fuse: {{runs: [{V1}, burst2vec/v2_no_advers]}}",
            "fuse names 'burst2vec/v2_no_advers': there is no ",
        ),
        ("fuse: {runs: [a, b]}\nreported_scores: {s_mtl: 0.4}", "there is no"),
    ],
)
def test_a_file_that_is_no_fusions_is_refused(tmp_path, text, message):
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_fusion(tmp_path / "wrong.yaml")


def test_a_fusion_is_not_trained(recipe):
    with pytest.raises(RecipeError, match="both.yaml: is a fusion of finished runs, nothing to train: burst2vec fuse "):
        load_recipe(recipe)


@pytest.mark.parametrize(
    "given, message",
    [
        ("mean", "plan: must be a mapping"),
        ({"run": ["a", "b"]}, "plan: unknown key 'run'; did you mean 'runs'"),
        ({}, "plan: give either runs, for every task, or tasks"),
        ({"runs": ["a", "b"], "tasks": {"age": ["a"]}}, "plan: give either runs"),
        ({"runs": ["a", "b"], "way": "median"}, r"plan.way: 'median' is not one of \['mean', 'weights', 'hybrid'\]"),
        ({"runs": {"a": 1, "b": 0}, "way": "mean"}, "plan.way: the weights are given"),
        ({"runs": ["a"]}, "plan: fusion takes two runs or more"),
        ({"runs": ["a", "a"]}, "plan.runs: a is given twice"),
        ({"runs": "a"}, "plan.runs: must be a list of runs"),
        ({"runs": {"a": 0.5, "b": 0.6}}, "plan.runs: weights must sum to 1, got 1.1"),
        ({"runs": {"a": -0.5, "b": 1.5}}, "plan.runs.a: a weight must be a number of 0 or more, got -0.5"),
        ({"tasks": {"age": {"a": "all"}}}, "plan.tasks.age.a: a weight must be a number"),
        ({"tasks": ["a"]}, "plan.tasks: must be a mapping of tasks"),
    ],
)
def test_a_plan_that_says_something_else_is_refused_by_its_key(given, message):
    with pytest.raises(RecipeError, match=message):
        read_plan(given, "plan")
