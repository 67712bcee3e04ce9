"""fuse.py from two runs' files to a fused system: what it prints, writes and refuses."""

import importlib.util
import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from burst2vec.comparison.report import find_runs, rows_of
from burst2vec.data import load_bursts
from burst2vec.data.collating import corpus_labels
from burst2vec.scoring import validate_official_file
from burst2vec.tasks import TASK_PRESETS
from tests.comparison.finished_runs import write_run

pytestmark = pytest.mark.slow  # whole commands and runs

SCRIPT = Path(__file__).parents[2] / "examples" / "fuse.py"
DATA = {"corpus": "synthetic", "synthetic_clips": 48, "synthetic_speakers": 12, "synthetic_seed": 0}


SMALL = {"clips": 48, "speakers": 12, "seed": 0}
COUNTRY = TASK_PRESETS["exvo_classes"][1]


@pytest.fixture(scope="module")
def fuse():
    spec = importlib.util.spec_from_file_location("fuse", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A synthetic corpus and two finished runs on it, and one that predicted validation only."""
    place = tmp_path_factory.mktemp("fuse")
    corpus = load_bursts(
        "synthetic", data_dir=str(place / "corpus"), cache_dir=str(place / "cache"), clips=48, speakers=12, seed=0
    )
    splits = {
        split: (list(corpus[split]["file_id"]), corpus_labels(corpus[split], TASK_PRESETS["exvo"]))
        for split in ("validation", "test")
    }
    for seed, (name, noise) in enumerate((("first", 0.2), ("second", 0.25))):
        write_run(place / name, splits, noise, seed, {"data": DATA}, shuffle=bool(seed))
    write_run(place / "no_test", {"validation": splits["validation"]}, 0.3, 2, {"data": DATA})
    return place


@pytest.fixture
def command(workplace):
    def options(*words, runs=("first", "second")):
        places = ["--data_dir", workplace / "corpus", "--cache_dir", workplace / "cache"]
        return [str(word) for word in (*(workplace / run for run in runs), *places, *words)]

    return options


def record_of(folder):
    return json.loads((folder / "fusion.json").read_text())


def test_two_runs_become_one_with_its_files_and_an_honest_note(fuse, command, workplace, tmp_path, capsys):
    assert fuse.main(command("--out", tmp_path / "out", "--team", "us", "--submission", "2")) == 0
    shown = capsys.readouterr().out
    assert "| weights | first | second |" in shown and "| fused " in shown
    assert "the fused score on them is optimistic; quote its score on test." in shown
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "ExVo-Multi_us_2.csv",
        "fusion.json",
        "fusion.md",
        "fusion.png",
        "metrics.json",
        "predictions_test.csv",
        "predictions_validation.csv",
    }
    assert (
        validate_official_file(tmp_path / "out" / "ExVo-Multi_us_2.csv") == record_of(tmp_path / "out")["clips"]["test"]
    )
    best = min(system["scores"]["validation"]["age_mae"] for system in record_of(tmp_path / "out")["systems"])
    assert record_of(tmp_path / "out")["scores"]["validation"]["age_mae"] <= best


@pytest.mark.parametrize(("way", "weights"), [("--mean", [[0.5, 0.5]]), ("--hybrid", [[0.0, 1.0], [1.0, 0.0]])])
def test_the_mean_and_the_hybrid_have_their_weights(fuse, command, tmp_path, way, weights):
    assert fuse.main(command("--out", tmp_path / "out", way, "--folds", "2")) == 0
    record = record_of(tmp_path / "out")
    assert all(list(of_task.values()) in weights for of_task in record["weights"].values())
    assert (record["held_out"] is None) == (way == "--mean")


def test_a_split_that_one_run_lacks_is_left_out_and_validation_is_held_out(fuse, command, tmp_path, capsys):
    assert fuse.main(command("--out", tmp_path / "out", runs=("first", "no_test"))) == 0
    shown = capsys.readouterr().out
    assert "test is left out: no predictions_test.csv of no_test" in shown and "quote the held-out one" in shown
    record = record_of(tmp_path / "out")
    assert set(record["scores"]) == {"validation"} and 2 <= record["held_out"]["folds"] <= 5


def test_weights_and_tasks_by_hand_are_applied(fuse, command, workplace, tmp_path):
    assert fuse.main(command("--out", tmp_path / "all", "--weights", "0.3", "0.7")) == 0
    assert record_of(tmp_path / "all")["weights"]["age"] == {"first": 0.3, "second": 0.7}
    first, second = (str(workplace / name) for name in ("first", "second"))
    tasks = {"emotion": [first], "age": [second], "country": {first: 0.5, second: 0.5}}
    assert fuse.main(command("--out", tmp_path / "each", "--tasks", json.dumps(tasks), runs=())) == 0
    assert record_of(tmp_path / "each")["weights"]["emotion"] == {"first": 1.0, "second": 0.0}
    assert (tmp_path / "each" / "ExVo-Multi_burst2vec_1.csv").is_file()


def test_a_recipe_fuses_its_runs_seed_by_seed_and_the_report_shows_it(fuse, command, workplace, tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"description: system {name}")
        for seed in (0, 1):
            shutil.copytree(workplace / "first", tmp_path / "runs" / name / str(seed))
            record = json.loads((tmp_path / "runs" / name / str(seed) / "metrics.json").read_text())
            record["seed"], record["recipe"]["description"] = seed, f"system {name}"
            (tmp_path / "runs" / name / str(seed) / "metrics.json").write_text(json.dumps(record))
    recipe = tmp_path / "both.yaml"
    recipe.write_text("paper: P, Table 1, row 2\ndescription: both\nfuse: {runs: [one.yaml, two.yaml]}")
    words = command("--runs_dir", tmp_path / "runs", runs=())
    assert fuse.main([str(recipe), *words]) == 0, capsys.readouterr().err
    runs, skipped = find_runs([tmp_path / "runs" / "both"])
    assert [run.record.seed for run in runs.values()] == [0, 1] and not skipped
    (row,) = rows_of(runs)["validation"]
    assert (row.paper, row.name, row.seeds) == ("P", "Table 1, row 2", [0, 1])
    own = json.loads((workplace / "first" / "metrics.json").read_text())["scores"]["validation"]["age_mae"]
    assert row.scores["age_mae"] == pytest.approx([own, own], abs=1e-4)
    assert fuse.main([str(recipe), *words, "--mean"]) == 2
    assert "the recipe says how to fuse; leave out --mean" in capsys.readouterr().err


def test_a_hybrid_of_a_paper_has_emotion_and_age_of_one_run_and_the_country_of_a_run_that_learnt_nothing_else(
    fuse, command, workplace, tmp_path, capsys
):
    shutil.copytree(workplace / "first", tmp_path / "runs" / "sys1_raw_emotion_class")
    splits = {}
    corpus = load_bursts("synthetic", data_dir=str(workplace / "corpus"), cache_dir=str(workplace / "cache"), **SMALL)
    for split in ("validation", "test"):
        labels = corpus_labels(corpus[split], [COUNTRY])
        splits[split] = (list(corpus[split]["file_id"]), labels)
    own = {"data": {**DATA, "held_out": 0.1, "preprocess": ["zero_frequency_filter"]}}
    write_run(tmp_path / "runs" / "zff_country", splits, 0.1, 0, own, tasks=[COUNTRY])
    hybrid = "frozen_embeddings/sys1_hybrid_zff_country"
    assert fuse.main([hybrid, *command("--runs_dir", tmp_path / "runs", runs=())]) == 0, capsys.readouterr().err
    (fused,) = find_runs([tmp_path / "runs" / "sys1_hybrid_zff_country"])[0].values()
    of = {
        name: json.loads((tmp_path / "runs" / name / "metrics.json").read_text())["scores"]
        for name in ("sys1_raw_emotion_class", "zff_country")
    }
    for split in ("validation", "test"):
        learner, network = of["sys1_raw_emotion_class"][split], of["zff_country"][split]
        expected = {name: learner[name] for name in ("emotion_ccc", "age_mae")}
        expected["country_uar"] = network["country_uar"]
        found = fused.record.scores[split]
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-4)
        assert learner["country_uar"] != pytest.approx(found["country_uar"], abs=1e-3)
    assert (fused.folder / "ExVo-Multi_burst2vec_1.csv").is_file()


def test_what_cannot_be_fused_is_refused_by_name(fuse, command, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    for words, runs, message in (
        (["--out", tmp_path / "full"], ("first", "second"), "is not empty; give another folder with --out"),
        (["--out", tmp_path / "a"], ("first", "corpus"), "holds no metrics.json"),
        (["--out", tmp_path / "b"], ("first",), "fusion takes two runs or more, got 1"),
        (["--out", tmp_path / "c", "--team", "the team"], ("first", "second"), "team 'the team'"),
        (["--out", tmp_path / "d", "--folds", "1"], ("first", "second"), "--folds 0 goes without"),
        (["--out", tmp_path / "e", "--weights", "1"], ("first", "second"), "2 runs need 2 weights, got 1"),
        (["--out", tmp_path / "f", "--tasks", "{}"], ("first", "second"), "--tasks names the runs of each task"),
        (["--out", tmp_path / "g"], ("fist",), "fist: no such recipe"),
    ):
        assert fuse.main(command(*words, runs=runs)) == 2
        assert message in capsys.readouterr().err


def test_it_is_a_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fuse.py", "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "RUN_A RUN_B" in shown and "--hybrid" in shown and "burst2vec/ensemble_a" in shown


def test_two_finished_runs_are_compared_by_a_command(workplace, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("compare_runs", SCRIPT.with_name("compare_runs.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    places = ["--data_dir", workplace / "corpus", "--cache_dir", workplace / "cache", "--out", tmp_path / "out"]
    words = [str(word) for word in (workplace / "first", workplace / "second", workplace / "no_test", *places)]
    assert module.main(words) == 0
    shown = capsys.readouterr().out
    assert "# first and others, validation, 16 clips" in shown and "country: Cochran's Q of all" in shown
    assert len(json.loads((tmp_path / "out" / "comparison.json").read_text())["pairs"]) == 6
    assert module.main([*words, "--split", "test"]) == 2
    assert (
        capsys.readouterr().err == "error: no_test: no predictions_test.csv; compare runs that predicted that split\n"
    )
