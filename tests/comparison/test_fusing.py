"""Runs are aligned clip by clip, weighted on validation, and say which of their scores may be quoted."""

import json
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from burst2vec.comparison import aligning
from burst2vec.comparison.aligning import Split, align, data_of, label_splits, read_systems
from burst2vec.comparison.fusing import fuse, speaker_folds
from burst2vec.comparison.fusion_files import format_fusion, write_fusion
from burst2vec.comparison.fusion_plan import read_plan
from burst2vec.comparison.pictures import plot_fusion
from burst2vec.errors import RunError
from burst2vec.experiment.finished import read_predictions, read_run
from burst2vec.experiment.sections import DataArguments
from burst2vec.scoring import score_tasks, validate_official_file
from burst2vec.scoring.fusion import choose_weights, weighted
from burst2vec.tasks import TASK_PRESETS
from tests.comparison.finished_runs import exvo_labels, noisy_predictions, write_run

EXVO = TASK_PRESETS["exvo"]
IDS = [f"{number:05}" for number in range(1, 41)]
LABELS = exvo_labels(40)
SPLITS = {"validation": (IDS, LABELS), "test": ([f"9{number}" for number in IDS], None)}


@pytest.fixture
def folders(tmp_path):
    """Two runs of the same clips, the second with its lines in another order."""
    first = write_run(tmp_path / "first", SPLITS, noise=0.2, seed=0)
    return [first, write_run(tmp_path / "second", SPLITS, noise=0.3, seed=1, shuffle=True)]


def corpus_of(labels, file_ids, speakers):
    columns = {"emotion": labels["emotion"].tolist(), "age": labels["age"][:, 0].tolist(), "country": labels["country"]}
    return Dataset.from_dict({"file_id": file_ids, "speaker": speakers, **columns})


@pytest.fixture
def corpus(monkeypatch):
    """A corpus whose rows stand in another order and hold one clip more; its test split has no labels."""
    order = [*range(39, -1, -1)]
    shuffled = {task: values[order] for task, values in LABELS.items()}
    validation = corpus_of(shuffled, [IDS[row] for row in order], [f"speaker{row % 8}" for row in order])
    holes = {"emotion": np.full((40, 10), np.nan), "age": np.full((40, 1), np.nan), "country": np.full(40, -1)}
    splits = {"train": validation.select([0]), "validation": validation}
    splits["test"] = corpus_of(holes, SPLITS["test"][0], [None] * 40)
    monkeypatch.setattr(aligning, "read_corpora", lambda data, tasks, for_prediction: DatasetDict(splits))
    return splits


def labelled(folders):
    systems = read_systems(folders)
    return systems, label_splits({split: align(systems, split) for split in SPLITS}, systems, DataArguments(), EXVO)


def test_rows_are_the_same_clip_for_every_system(folders):
    split = align(read_systems(folders), "validation")
    assert split.file_ids == IDS
    for seed, noise, predictions in ((0, 0.2, split.predictions[0]), (1, 0.3, split.predictions[1])):
        for task, values in noisy_predictions(EXVO, LABELS, noise, seed).items():
            np.testing.assert_allclose(predictions[task], values, atol=5.1e-7)


def test_runs_that_skipped_different_clips_are_fused_over_the_common_ones(folders, tmp_path):
    less = {"validation": (IDS[:38], exvo_labels(38)), "test": (SPLITS["test"][0][2:], None)}
    systems = read_systems([*folders, write_run(tmp_path / "less", less, seed=2)])
    split = align(systems, "test")
    assert split.file_ids == SPLITS["test"][0][2:] and split.partial == SPLITS["test"][0][:2]
    assert all(len(of_system["age"]) == 38 for of_system in split.predictions)
    having = [read_predictions(folder / "predictions_test.csv", EXVO) for folder in folders]
    for row, clip in enumerate(split.partial):
        ages = [predictions["age"][file_ids.index(clip), 0] for file_ids, predictions in having]
        assert split.partial_mean["age"][row].tolist() == pytest.approx([sum(ages) / 2])


def test_scores_of_a_run_are_checked_on_its_own_clips_and_weights_chosen_on_the_common_ones(folders, corpus, tmp_path):
    fewer = {"validation": (IDS[:36], {task: values[:36] for task, values in LABELS.items()}), "test": SPLITS["test"]}
    systems, splits = labelled([folders[0], write_run(tmp_path / "fewer", fewer, seed=2)])
    split = splits["validation"]
    assert split.file_ids == IDS[:36] and split.partial == IDS[36:] and len(split.speakers) == 36
    fusion = fuse(list(systems), EXVO, splits)
    assert fusion.weights == choose_weights(EXVO, split.predictions, split.references)


def test_a_fused_submission_answers_for_every_test_clip(folders, corpus, tmp_path):
    """The first run could not read the first clip, the second not the second, and neither the third."""
    test = SPLITS["test"][0]
    runs = []
    for place, name in enumerate(("one", "two")):
        read = [clip for clip in test if clip not in (test[place], test[2])]
        runs.append(write_run(tmp_path / name, {**SPLITS, "test": (read, None)}, seed=place))
        record = json.loads((runs[-1] / "metrics.json").read_text())
        record["submissions"] = [{"constant_baseline": [test[place], test[2]]}]
        (runs[-1] / "metrics.json").write_text(json.dumps(record))
    systems, splits = labelled(runs)
    fusion = fuse(list(systems), EXVO, splits)
    text = write_fusion(fusion, systems, splits, tmp_path / "out", DataArguments(corpus="hume_vb", team="us"))
    assert validate_official_file(tmp_path / "out/ExVo-Multi_us_1.csv", test) == 40
    assert "test: 2 of 39 clips were not predicted by all runs" in text
    assert f"unreadable, so answered by the constant baseline: 1 ({test[2]})" in text
    record = json.loads((tmp_path / "out/fusion.json").read_text())
    (written,) = record["submissions"]
    assert written["constant_baseline"] == [test[2]] and written["without_row"] == 0
    assert record["clips_of_some_runs"] == {"validation": 0, "test": 2}


def test_a_fusion_of_runs_that_did_not_predict_a_clip_is_called_incomplete(folders, corpus, tmp_path):
    runs = [write_run(tmp_path / name, {**SPLITS, "test": (SPLITS["test"][0][1:], None)}) for name in "ab"]
    systems, splits = labelled(runs)
    fusion = fuse(list(systems), EXVO, splits, "mean")
    text = write_fusion(fusion, systems, splits, tmp_path / "out", DataArguments(corpus="hume_vb"))
    assert "is written but incomplete: 1 of 40 test clips were not predicted" in text


def test_runs_of_mostly_other_clips_are_refused_by_name(folders, tmp_path):
    other = {"validation": ([*IDS[:19], *(f"x{clip}" for clip in IDS[19:])], LABELS)}
    systems = read_systems([folders[0], write_run(tmp_path / "other", other)])
    with pytest.raises(RunError, match="only 19 of 61 clips were predicted by all runs; other has no prediction of"):
        align(systems, "validation")


def test_runs_that_mean_different_things_or_too_few_runs_are_refused(folders, tmp_path):
    decades = replace(EXVO[1], unit="decades")
    age_only = write_run(tmp_path / "age", {"validation": (IDS, LABELS)}, tasks=[decades])
    with pytest.raises(RunError, match=r"age and first differ in the task 'age': .*'decades'.* and .*'years'"):
        read_systems([folders[0], age_only])
    with pytest.raises(RunError, match="fusion takes two runs or more, got 1"):
        read_systems(folders[:1])


@pytest.fixture
def single_task_runs(tmp_path):
    """A run of each task alone, none of which could read the same clips."""
    runs = {}
    for place, task in enumerate(EXVO):
        splits = {
            "validation": (IDS, LABELS),
            "test": ([clip for clip in SPLITS["test"][0] if clip != SPLITS["test"][0][place]], None),
        }
        runs[task.name] = write_run(tmp_path / task.name, splits, noise=0.2, seed=place, tasks=[task])
    return runs


def fused_by(systems, plan, corpus):
    tasks, answer, given = read_plan(plan, "plan").resolve(systems, "plan")
    aligned = {split: align(systems, split, answer) for split in SPLITS}
    splits = label_splits(aligned, systems, DataArguments(corpus="hume_vb", team="us"), tasks)
    return splits, fuse(list(systems), tasks, splits, given=given)


def test_three_runs_of_one_task_each_make_one_submission(single_task_runs, corpus, tmp_path):
    systems = read_systems(list(single_task_runs.values()))
    splits, fusion = fused_by(systems, {"tasks": {task: [task] for task in systems}}, corpus)
    for task in systems:
        own_ids, own = read_predictions(single_task_runs[task] / "predictions_validation.csv", systems[task].tasks)
        assert own_ids == splits["validation"].file_ids
        np.testing.assert_array_equal(fusion.fused["validation"][task], own[task])
    assert "s_mtl" in fusion.scores["validation"]["fused"]
    assert set(fusion.scores["validation"]["age"]) == {"age_mae"}
    text = write_fusion(fusion, systems, splits, tmp_path / "out", DataArguments(corpus="hume_vb", team="us"))
    assert "incomplete: 3 of 40 test clips" in text, "of three clips one task each was not predicted"
    assert validate_official_file(tmp_path / "out/ExVo-Multi_us_1.csv") == 37
    for run in systems.values():
        run.record.clips["test"]["skipped"] = 1  # the clip that it lacks was unreadable
    text = write_fusion(fusion, systems, splits, tmp_path / "all", DataArguments(corpus="hume_vb", team="us"))
    assert "with all 40 test clips; unreadable, so answered by the constant baseline: 3" in text


def test_emotion_and_age_of_one_run_and_country_of_a_country_network(folders, single_task_runs, corpus):
    systems = read_systems([folders[0], single_task_runs["country"]])
    plan = {"tasks": {"emotion": ["first"], "age": ["first"], "country": {"first": 0.25, "country": 0.75}}}
    splits, fusion = fused_by(systems, plan, corpus)
    first, second = splits["validation"].predictions
    assert set(second) == {"country"}
    np.testing.assert_array_equal(fusion.fused["validation"]["emotion"], first["emotion"])
    np.testing.assert_allclose(
        fusion.fused["validation"]["country"], 0.25 * first["country"] + 0.75 * second["country"]
    )
    assert fusion.weights == {"emotion": [1.0, 0.0], "age": [1.0, 0.0], "country": [0.25, 0.75]}
    assert fusion.way == "given" and fusion.held_out is None


def test_a_task_is_weighted_over_the_runs_that_predict_it(folders, single_task_runs, corpus):
    systems = read_systems([*folders, single_task_runs["age"]])
    splits = label_splits({"validation": align(systems, "validation")}, systems, DataArguments(), EXVO)
    assert fuse(list(systems), EXVO, splits, "mean").weights == {
        "emotion": [0.5, 0.5, 0.0],
        "age": [1 / 3, 1 / 3, 1 / 3],
        "country": [0.5, 0.5, 0.0],
    }
    chosen = fuse(list(systems), EXVO, splits, "weights").weights
    both = [{"emotion": system["emotion"]} for system in splits["validation"].predictions[:2]]
    assert chosen["emotion"] == [*choose_weights(EXVO[:1], both, splits["validation"].references)["emotion"], 0.0]


def test_a_fusion_is_a_finished_run_that_another_fusion_takes(folders, corpus, tmp_path):
    systems, splits = labelled(folders)
    mean = fuse(list(systems), EXVO, splits, "mean")
    write_fusion(mean, systems, splits, tmp_path / "mean", DataArguments(), {"description": "both", "fuse": {}})
    record = read_run(tmp_path / "mean").record
    assert record.scores["validation"] == mean.scores["validation"]["fused"] and record.recipe["description"] == "both"
    assert record.clips == {"validation": {"used": 40, "skipped": 0, "scored": 40}, "test": {"used": 40, "skipped": 0}}
    again, splits = labelled([tmp_path / "mean", folders[0]])
    twice = fuse(list(again), EXVO, splits, "mean")
    ages = [system["age"] for system in labelled(folders)[1]["validation"].predictions]
    np.testing.assert_allclose(twice.fused["validation"]["age"], 0.75 * ages[0] + 0.25 * ages[1], atol=1e-6)


def test_labels_and_speakers_are_those_of_the_clip_whatever_the_corpus_order(folders, corpus):
    _, splits = labelled(folders)
    np.testing.assert_allclose(splits["validation"].references["age"], LABELS["age"], rtol=1e-6)
    assert splits["validation"].references["country"].tolist() == LABELS["country"].tolist()
    assert splits["validation"].speakers[:9] == [f"speaker{row % 8}" for row in range(9)]
    assert splits["test"].references is None and splits["test"].speakers[0] == ""


def test_a_corpus_of_other_clips_or_other_labels_is_refused(folders, corpus):
    corpus["validation"] = corpus["validation"].select(range(1, 40))
    with pytest.raises(RunError, match="validation: the corpus has no clip '00040' there, and lacks 1 of 40"):
        labelled(folders)
    shuffled = corpus_of(exvo_labels(40, seed=9), IDS, ["a"] * 40)
    corpus["validation"] = shuffled
    with pytest.raises(RunError, match="validation: first reached emotion_ccc .* in its run and .*another corpus"):
        labelled(folders)
    del corpus["validation"]
    with pytest.raises(RunError, match="the corpus has no clip '00001' there, and lacks 40 of 40"):
        labelled(folders)


def test_weights_of_validation_are_applied_to_test(folders, corpus):
    systems, splits = labelled(folders)
    fusion = fuse(list(systems), EXVO, splits)
    assert fusion.weights == choose_weights(EXVO, splits["validation"].predictions, splits["validation"].references)
    np.testing.assert_array_equal(
        fusion.fused["test"]["age"], weighted(splits["test"].predictions, fusion.weights)["age"]
    )
    assert list(fusion.scores) == ["validation"] and list(fusion.scores["validation"]) == ["first", "second", "fused"]
    assert fusion.scores["validation"]["fused"]["age_mae"] <= fusion.scores["validation"]["first"]["age_mae"]


def test_without_test_labels_validation_is_scored_held_out_in_five_folds(folders, corpus):
    systems, splits = labelled(folders)
    fusion = fuse(list(systems), EXVO, splits)
    assert fusion.folds == 5 and set(fusion.held_out) == set(fusion.scores["validation"]["fused"])
    assert fuse(list(systems), EXVO, splits, folds=0).held_out is None
    tested = {**splits, "test": splits["validation"]}
    assert fuse(list(systems), EXVO, tested).held_out is None
    assert fuse(list(systems), EXVO, tested, folds=3).folds == 3


def test_the_held_out_score_is_that_of_a_naive_loop_over_speakers(folders, corpus):
    systems, splits = labelled(folders)
    split, speakers = splits["validation"], np.array(splits["validation"].speakers)
    fused = {task.name: np.zeros_like(split.predictions[0][task.name]) for task in EXVO}
    for speaker in np.unique(speakers):  # eight speakers in eight folds
        others = speakers != speaker
        seen = [{task: values[others] for task, values in system.items()} for system in split.predictions]
        weights = choose_weights(EXVO, seen, {task: values[others] for task, values in split.references.items()})
        for task, (a, b) in weights.items():
            mixed = a * split.predictions[0][task] + b * split.predictions[1][task]
            fused[task][~others] = mixed[~others]
    found = fuse(list(systems), EXVO, splits, folds=8)
    assert found.held_out == pytest.approx(score_tasks(EXVO, fused, split.references)) and found.folds == 8


def test_a_hybrid_takes_each_task_from_one_system_and_the_mean_from_all(folders, corpus):
    systems, splits = labelled(folders)
    hybrid = fuse(list(systems), EXVO, splits, "hybrid")
    assert all(sorted(weights) == [0.0, 1.0] for weights in hybrid.weights.values())
    mean = fuse(list(systems), EXVO, {"test": splits["test"]}, "mean")
    assert mean.weights["age"] == [0.5, 0.5] and mean.scores == {} and mean.held_out is None
    assert "optimistic" not in format_fusion(mean, {"test": 40})


def test_without_anything_to_choose_on_it_is_refused(folders, corpus):
    systems, splits = labelled(folders)
    with pytest.raises(RunError, match="chosen on labelled validation clips, and there are none; --mean"):
        fuse(list(systems), EXVO, {"test": splits["test"]})
    with pytest.raises(RunError, match="no split that all runs predicted"):
        fuse(list(systems), EXVO, {}, "mean")
    split = splits["validation"]
    unknown = {**split.references, "age": np.where(np.arange(40)[:, None] < 39, np.nan, 30.0)}
    one_age = Split(split.file_ids, split.predictions, unknown, split.speakers)
    with pytest.raises(RunError, match=r"without fold . of the speakers \(--folds 0\): no weights can be chosen"):
        fuse(list(systems), EXVO, {"validation": one_age})


def test_a_speaker_is_in_one_fold_and_folds_are_about_as_large():
    speakers = [f"s{number % 23}" for number in range(300)]
    fold_of = speaker_folds(speakers, [str(n) for n in range(300)], 5)
    assert all(len({fold for fold, s in zip(fold_of, speakers, strict=True) if s == who}) == 1 for who in speakers)
    assert np.ptp(np.bincount(fold_of, minlength=5)) <= 14  # no more than a speaker has clips


def test_a_clip_of_an_unknown_speaker_stands_for_itself_and_one_speaker_is_too_few():
    assert sorted(speaker_folds(["", "", ""], ["1", "2", "3"], 5).tolist()) == [0, 1, 2]
    for speakers, folds in ((["a", "a"], 5), (["a", "b"], 1), (["a", "b"], -1)):
        with pytest.raises(RunError, match="held-out scores need 2 folds and speakers or more, got"):
            speaker_folds(speakers, ["1", "2"], folds)


def test_everything_is_written_and_the_note_says_what_may_be_quoted(folders, corpus, tmp_path):
    systems, splits = labelled(folders)
    fusion = fuse(list(systems), EXVO, splits)
    text = write_fusion(fusion, systems, splits, tmp_path / "out", DataArguments(corpus="hume_vb", team="us"))
    assert "the fused score on them is optimistic; quote the held-out one" in text
    assert "fused, held out in 5 folds of speakers" in text and "ExVo-Multi_us_1.csv is written and valid" in text
    record = json.loads((tmp_path / "out" / "fusion.json").read_text())
    assert record["weights"]["age"] == dict(zip(["first", "second"], fusion.weights["age"], strict=True))
    assert record["scores"]["validation"] == fusion.scores["validation"]["fused"]
    assert record["systems"][1]["scores"]["validation"] == fusion.scores["validation"]["second"]
    assert record["held_out"]["folds"] == 5 and str(tmp_path) not in json.dumps(record)
    file_ids, written = read_predictions(tmp_path / "out" / "predictions_test.csv", EXVO)
    assert file_ids == splits["test"].file_ids
    np.testing.assert_allclose(written["emotion"], fusion.fused["test"]["emotion"], atol=5.1e-7)
    assert plot_fusion(fusion, tmp_path / "fusion.png").stat().st_size > 10_000


def test_the_note_names_test_where_it_was_scored_and_the_way_to_a_figure_where_nothing_may_be_quoted(folders, corpus):
    systems, splits = labelled(folders)
    tested = fuse(list(systems), EXVO, {**splits, "test": splits["validation"]}, folds=2)
    text = format_fusion(tested, {"validation": 40, "test": 40})
    assert "quote its score on test or the held-out one." in text and "| test, 40 clips" in text
    bare = fuse(list(systems), EXVO, splits, folds=0)
    assert "use --folds 5" in format_fusion(bare, {"validation": 40, "test": 40})


def test_other_tasks_than_the_challenges_make_no_submission(tmp_path, corpus):
    ages = [write_run(tmp_path / name, {"test": SPLITS["test"]}, tasks=EXVO[1:2]) for name in ("a", "b")]
    systems = read_systems(ages)
    splits = {"test": align(systems, "test")}
    fusion = fuse(list(systems), EXVO[1:2], splits, "mean")
    write_fusion(fusion, systems, splits, tmp_path / "out", DataArguments())
    assert not list((tmp_path / "out").glob("ExVo*"))
    assert plot_fusion(fusion, tmp_path / "fusion.png").is_file()


def test_the_places_that_a_recipe_does_not_keep_are_given_back(tmp_path):
    alone = write_run(tmp_path / "a", {"test": SPLITS["test"]}, recipe={"data": {"corpus": "hume_vb"}})
    (run, _) = read_systems([alone, write_run(tmp_path / "b", {"test": SPLITS["test"]})]).values()
    data = data_of(run, ["corpora/HUME"], team="us", submission=None)
    assert (data.corpus, data.data_dir, data.team, data.submission) == ("hume_vb", "corpora/HUME", "us", 1)
    assert data_of(run, ["hume_vb=H=V"]).data_dir == "H=V" and data_of(run, ["a=b"]).data_dir == "a=b"
    with pytest.raises(RunError, match=r"--data_dir two: the run reads \['hume_vb'\]; give each as NAME=FOLDER"):
        data_of(run, ["one", "two"])
    alone = write_run(tmp_path / "c", {"test": SPLITS["test"]}, recipe={"data": {"corpus": "emogator"}})
    (run, _) = read_systems([alone, tmp_path / "b"]).values()
    parts = data_of(run, ["one", "two"])
    assert (parts.data_dir, parts.more_dirs) == ("one", ["two"])


def test_a_mixture_has_a_folder_for_each_corpus(tmp_path):
    mix = {"data": {"mix": [{"corpus": "emogator"}, {"corpus": "hume_vb"}]}}
    folders = [write_run(tmp_path / name, {"test": SPLITS["test"]}, recipe=mix) for name in "ab"]
    run = read_systems(folders)["a"]
    assert [corpus["data_dir"] for corpus in data_of(run, ["hume_vb=H", "emogator=E"]).mix] == ["E", "H"]
    assert [corpus["data_dir"] for corpus in data_of(run, ["hume_vb=H"]).mix] == [None, "H"]
    for wrong in (["H"], ["hume_vb=H", "hume_vb=I"], ["singing=S"]):
        with pytest.raises(RunError, match=r"the run reads \['emogator', 'hume_vb'\]"):
            data_of(run, wrong)
    run.record.recipe["data"] = {"singers": 3}
    with pytest.raises(RunError, match="its recipe's data cannot be read"):
        data_of(run)


def test_predictions_of_new_clips_are_fused_where_nothing_was_trained(tmp_path, monkeypatch):
    new = {"test": (IDS, LABELS)}
    recipe = {"training": {"do_train": False}}
    folders = [write_run(tmp_path / str(seed), new, noise=0.2, seed=seed, recipe=recipe) for seed in range(2)]
    read = DatasetDict(test=corpus_of(LABELS, IDS, ["speaker"] * 40))
    asked = []
    monkeypatch.setattr(aligning, "read_corpora", lambda *_, for_prediction: asked.append(for_prediction) or read)
    systems = read_systems(folders)
    split = label_splits({"test": align(systems, "test")}, systems, DataArguments(), EXVO)["test"]
    assert asked == [True] and split.constant is None and split.references["age"].shape == (40, 1)
