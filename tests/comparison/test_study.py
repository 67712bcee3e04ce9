"""A study trains one learner on every stage and seed, and says what each stage changed."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from burst2vec.comparison.study import (
    Stage,
    Study,
    format_study,
    read_stages,
    run_study,
    stages_for,
    table_1,
    write_study,
)
from burst2vec.errors import RunError
from burst2vec.experiment.plots import plot_study
from burst2vec.experiment.recipes import load_recipe
from burst2vec.experiment.run_record import RunRecord

CHAIN = ["mono", "resample", {"highpass": {"stopband": True}}, "normalise_peak", "mmse_stsa", "trim_silence"]
TWO = {"as recorded": {"preprocess": [], "target_rms_dbfs": "off"}, "+ high-pass": {"preprocess": ["highpass"]}}


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "learner.yaml"
    path.write_text("training: {learning_rate: 1e-3, bf16: false}\nmodel: {tasks: exvo}", encoding="utf-8")
    return path


def of(recipe, stages=TWO):
    return {name: Stage(recipe, keys) for name, keys in stages.items()}


class Learner:
    """Stands for training: better with each step, a little different with each seed, and it keeps its runs."""

    def __init__(self):
        self.runs = []

    def __call__(self, run):
        self.runs.append(run)
        steps = len(run.data.preprocess or [])
        scores = {"validation": {"emotion_ccc": 0.5 + 0.1 * steps + 0.01 * run.training.seed, "emotion_ccc/Awe": 0.1}}
        folder = Path(run.training.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        known = {"corpora": ["synthetic"], "seed": run.training.seed, "clips": {}, "baseline": {}}
        record = RunRecord(recipe=run.recipe.to_dict(), scores=scores, **known)
        record.write(folder)
        return record


@pytest.fixture
def learner():
    return Learner()


def test_every_stage_is_trained_with_every_seed_and_its_own_keys(recipe, learner, tmp_path):
    study = run_study(of(recipe), [0, 1], tmp_path / "out", ["--max_steps", "5"], run=learner)
    assert [(run.data.preprocess, run.model.target_rms_dbfs, run.training.seed) for run in learner.runs] == [
        ([], "off", 0),
        ([], "off", 1),
        (["highpass"], None, 0),
        (["highpass"], None, 1),
    ]
    assert {run.training.max_steps for run in learner.runs} == {5}
    assert study.scores == {"emotion_ccc": {"as recorded": [0.5, 0.51], "+ high-pass": [0.6, 0.61]}}
    assert (tmp_path / "out" / "high-pass" / "seed_1").is_dir()


def test_what_is_finished_is_not_trained_again_and_what_is_not_goes_on(recipe, learner, tmp_path):
    first = run_study(of(recipe), [0, 1], tmp_path / "out", run=learner)
    (tmp_path / "out" / "high-pass" / "seed_1" / "metrics.json").rename(tmp_path / "out" / "high-pass" / "seed_1" / "x")
    learner.runs.clear()
    again = run_study(of(recipe), [0, 1], tmp_path / "out", run=learner)
    assert again == first
    (run,) = learner.runs
    assert run.training.resume_from_checkpoint == "true"


def test_a_record_that_is_cut_off_is_no_finished_run(recipe, learner, tmp_path):
    run_study(of(recipe), [0], tmp_path / "out", run=learner)
    path = tmp_path / "out" / "high-pass" / "seed_0" / "metrics.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(RunError, match=f"{path} is not JSON, so its run does not count as finished"):
        run_study(of(recipe), [0], tmp_path / "out", run=learner)


def test_a_folder_of_another_study_is_refused(recipe, learner, tmp_path):
    run_study(of(recipe), [0], tmp_path / "out", run=learner)
    with pytest.raises(RunError, match="holds a run of another recipe or stage; give another folder"):
        run_study(of(recipe), [0], tmp_path / "out", ["--learning_rate", "1e-2"], run=learner)


@pytest.mark.parametrize(
    ("stages", "seeds", "message"),
    [
        (TWO, [], r"seeds must be one or more different numbers, got \[\]"),
        (TWO, [1, 1], r"seeds must be one or more different numbers, got \[1, 1\]"),
        ({"a b": {}, "+ a_b": {}}, [1], "stages must differ in letters or digits"),
    ],
)
def test_a_study_that_compares_nothing_is_refused(recipe, learner, tmp_path, stages, seeds, message):
    with pytest.raises(RunError, match=message):
        run_study(of(recipe, stages), seeds, tmp_path / "out", run=learner)


def test_a_run_without_scores_ends_the_study_by_name(recipe, learner, tmp_path):
    with pytest.raises(RunError, match="as recorded, seed 0: the run has no scores of the split 'test'"):
        run_study(of(recipe), [0], tmp_path / "out", split="test", run=learner)


def test_a_stage_whose_vectors_come_from_tables_is_refused(recipe, learner, tmp_path):
    with pytest.raises(RunError, match="features_dir feats: its vectors are the same whatever is done to the clips"):
        run_study(of(recipe), [0], tmp_path / "out", ["--features_dir", "feats"], run=learner)
    assert not learner.runs


def test_table_1_is_the_papers_chain_with_the_organisers_network_and_their_printed_scores(learner, tmp_path):
    study = run_study(table_1(), [0], tmp_path, ["--data_dir", "HUME-VB"], run=learner)
    assert [(run.data.audio, run.data.preprocess) for run in learner.runs] == [
        ("processed", []),
        ("raw", CHAIN[:2]),
        ("raw", CHAIN[:4]),
        ("raw", CHAIN[:5]),
        ("raw", CHAIN),
    ]
    organisers = load_recipe("exvo_baselines/compare_as_published_code")
    seeded = {"seed": 0, "output_dir": None}
    assert all(run.recipe.model == organisers.model for run in learner.runs)
    assert all({**run.recipe.training, **seeded} == {**organisers.training, **seeded} for run in learner.runs)
    stages = ["provided audio", "raw", "DC and gain", "denoised", "VAD"]
    assert study.printed == {"s_mtl": dict(zip(stages, (0.348, 0.352, 0.344, 0.355, 0.324), strict=True))}


def test_another_learner_gets_the_same_clips_at_no_other_level_and_nothing_is_printed_of_it(recipe, learner, tmp_path):
    hume_vb = ["--corpus", "hume_vb", "--data_dir", "HUME-VB"]
    stages = stages_for(recipe, hume_vb)
    study = run_study(stages, [0], tmp_path, hume_vb, run=learner)
    assert [(run.data.audio, len(run.data.preprocess)) for run in learner.runs] == [
        ("processed", 0),
        *(("raw", steps) for steps in (2, 4, 5, 6)),
    ]
    assert {run.model.target_rms_dbfs for run in learner.runs} == {"off"}
    assert {run.training.learning_rate for run in learner.runs} == {1e-3} and not study.printed


def test_a_corpus_without_provided_audio_has_one_stage_less(recipe):
    stages = stages_for(recipe, ["--corpus", "emogator"])
    assert list(stages) == ["raw", "DC and gain", "denoised", "VAD"]
    assert all(set(stage.keys) == {"preprocess", "target_rms_dbfs"} for stage in stages.values())


def test_stages_can_be_a_file(tmp_path):
    path = tmp_path / "stages.yaml"
    path.write_text("raw: {preprocess: []}\nclean: {preprocess: [mmse_stsa]}", encoding="utf-8")
    assert read_stages(path, "learner") == {
        "raw": Stage("learner", {"preprocess": []}),
        "clean": Stage("learner", {"preprocess": ["mmse_stsa"]}),
    }
    for text in ("raw: {}", "[a, b]", "a: 1\nb: 2", "{"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(RunError, match="stages.yaml: "):
            read_stages(path, "learner")
    with pytest.raises(RunError, match="nowhere.yaml: cannot be read"):
        read_stages(tmp_path / "nowhere.yaml", "learner")


STUDY = Study(
    (0, 1, 2),
    {
        "emotion_ccc": {"as recorded": [0.1, 0.2, 0.3], "+ gain": [0.2, 0.3, 0.4], "+ denoised": [0.25, 0.3, 0.41]},
        "age_mae": {"as recorded": [4.0, 4.1, 4.2], "+ gain": [4.0, 4.1, 4.2], "+ denoised": [3.9, 4.1, 4.0]},
    },
)


def test_the_table_has_means_spreads_and_changes_worked_by_hand():
    table = format_study(STUDY, "a study")
    assert "| as recorded | 0.200 ± 0.100 | 4.100 ± 0.100 |" in table
    # + gain: every seed 0.1 better, no spread in the change, so p is 0; nothing changes in age, so its p is 1
    assert "| + gain | 0.300 ± 0.100 (+0.100, p < 0.001) | 4.100 ± 0.100 (+0.000, p 1.000) |" in table
    # + denoised: 0.05, 0 and 0.01: mean 0.02, sd 0.02646, t = 1.3093, p = 1 - t / sqrt(2 + t²) = 0.3206
    assert "(+0.020, p 0.321)" in table


def test_what_a_paper_printed_stands_beside_what_was_measured():
    table = format_study(Study(STUDY.seeds, STUDY.scores, {"age_mae": {"+ gain": 4.3}}), "a study")
    assert "| stage | emotion_ccc | age_mae | age_mae, printed, on HUME-VB |" in table
    assert "| as recorded | 0.200 ± 0.100 | 4.100 ± 0.100 | - |" in table
    assert "4.100 ± 0.100 (+0.000, p 1.000) | 4.300 |" in table


def test_a_stage_of_any_name_fills_one_cell(tmp_path):
    names = ['a "quoted", one', "<script>|"]
    write_study(Study((0,), {"age_mae": dict.fromkeys(names, [4.0])}), tmp_path, "# <b>")
    with (tmp_path / "study.csv").open(newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["stage", *names]
    text = (tmp_path / "study.md").read_text()
    assert text.startswith("# # &lt;b>\n") and "\n| &lt;script>\\| | 4.000 (+0.000) |\n" in text


def test_one_seed_has_no_spread_and_no_p():
    table = format_study(Study((0,), {"age_mae": {"a": [4.0], "b": [3.0]}}), "one seed")
    assert "| a | 4.000 |\n| b | 3.000 (-1.000) |" in table


def test_everything_is_written_and_drawn(tmp_path):
    write_study(STUDY, tmp_path, "a study")
    with open(tmp_path / "study.csv", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["stage", "seed", "emotion_ccc", "age_mae"] and len(lines) == 1 + 3 * 3
    assert lines[4] == ["+ gain", "0", "0.200000", "4.000000"]
    assert json.loads((tmp_path / "study.json").read_text())["scores"] == STUDY.scores
    assert (tmp_path / "study.md").read_text().startswith("# a study")
    assert plot_study(STUDY, tmp_path / "study.png").stat().st_size > 10_000
    plot_study(Study((7,), {"age_mae": {"a": [4.0], "b": [np.pi]}}), tmp_path / "one.png")
