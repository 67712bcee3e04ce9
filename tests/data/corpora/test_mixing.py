"""Several corpora as one: labels by name, missing where there are none, and nothing else changed."""

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features

from burst2vec import Burst2VecFeatureExtractor, Task, load_bursts
from burst2vec.data.clips import check_clips
from burst2vec.data.collating import BurstCollator, corpus_labels
from burst2vec.data.corpora.columns import burst_features
from burst2vec.data.corpora.mixing import mix_corpora
from burst2vec.errors import CorpusError
from burst2vec.tasks import AGE, EXVO_EMOTIONS, TASK_PRESETS, resolve_tasks
from burst2vec.training import Burst2VecTrainer
from tests.training.tiny_run import tiny_arguments, tiny_model

from ..corpora_on_disk import write_emogator, write_hume_vb
from .folders_of_clips import write_folder

MOOD = Task("mood", "regression", ("Awe", "Fear", "Joy"), loss="mse")
CALL = Task("call", "classification", ("laugh", "cry", "sigh"), loss="cross_entropy", metric="uar")


def corpus(tasks, speakers=("A", "B"), split="train", **columns):
    """A corpus in memory, of as many clips as speakers."""
    rows = len(speakers)
    clips = {
        "file_id": [f"{row}" for row in range(rows)],
        "audio": [{"bytes": None, "path": f"{row}.wav"} for row in range(rows)],
        "speaker": list(speakers),
    }
    table = {**clips, **columns}
    features = burst_features(tasks)
    return DatasetDict({split: Dataset.from_dict(table).cast(Features({name: features[name] for name in table}))})


def test_labels_go_by_name_and_the_rest_are_holes(tmp_path):
    corpora = {
        "hume_vb": load_bursts("hume_vb", write_hume_vb(tmp_path / "hume"), cache_dir=tmp_path / "cache"),
        "emogator": load_bursts("emogator", write_emogator(tmp_path / "mp3"), cache_dir=tmp_path / "cache"),
    }
    mixed = mix_corpora(corpora, {name: TASK_PRESETS[preset] for name, preset in PRESETS.items()}, "exvo")
    assert {split: len(rows) for split, rows in mixed.items()} == {"train": 3 + 6, "validation": 1 + 3, "test": 1}
    assert mixed["train"].features == burst_features(TASK_PRESETS["exvo"])
    assert mixed["train"].column_names == list(burst_features(TASK_PRESETS["exvo"]))
    for split, rows in corpora["hume_vb"].items():
        for before, after in zip(rows, mixed[split].select(range(len(rows))), strict=True):
            speaker = before["speaker"] and f"hume_vb/{before['speaker']}"
            assert str(after) == str({**before, "file_id": f"hume_vb/{before['file_id']}", "speaker": speaker})
    amused = mixed["train"][4]
    assert (amused["file_id"], amused["speaker"]) == ("emogator/000001-02-1", "emogator/000001")
    emotions = dict(zip(EXVO_EMOTIONS, amused["emotion"], strict=True))
    assert emotions.pop("Amusement") == 1.0 and np.isnan(emotions.pop("Horror")) and set(emotions.values()) == {0.0}
    assert np.isnan(amused["age"]) and amused["country"] == -1
    assert amused["audio"] == corpora["emogator"]["train"][1]["audio"]
    assert mixed["test"][0]["speaker"] == ""


PRESETS = {"hume_vb": "exvo", "emogator": "emogator"}


def test_labels_are_carried_over_bit_for_bit_in_whatever_order(tmp_path):
    values = np.random.default_rng(0).random((50, 3), dtype=np.float32)
    values[3, 1] = np.nan
    there = corpus([MOOD], speakers="A" * 50, mood=list(values))
    turned = Task("mood", "regression", ("Joy", "Rage", "Awe"), span=(-1, 1), loss="mse")
    mixed = mix_corpora({"mine": there}, {"mine": (MOOD,)}, [turned])["train"]
    after = corpus_labels(mixed, [turned])["mood"]
    assert after[:, 0].tobytes() == values[:, 2].tobytes() and after[:, 2].tobytes() == values[:, 0].tobytes()
    assert np.isnan(after[:, 1]).all()


def test_classes_go_by_name():
    turned = Task("call", "classification", ("gasp", "cry", "laugh"), loss="cross_entropy", metric="uar")
    corpora = {"mine": corpus([CALL], "ABC", call=[0, 1, -1]), "yours": corpus([turned], "AB", call=[0, 2])}
    mixed = mix_corpora(corpora, {"mine": (CALL,), "yours": (turned,)}, [turned])["train"]
    assert mixed["call"][:] == [2, 1, -1, 0, 2]
    with pytest.raises(CorpusError, match="mine/1: class 'sigh' is none of task 'call': gasp, cry, laugh; add it"):
        mix_corpora({"mine": corpus([CALL], "AB", call=[0, 2])}, {"mine": (CALL,)}, [turned])


def test_one_number_may_become_one_of_several_and_back():
    awe = Task("mood", "regression", ("Awe",), loss="mse")
    one, three = corpus([awe], "A", mood=[0.25]), corpus([MOOD], "A", mood=[[0.5, 0.25, 1.0]])
    tasks_of = {"one": (awe,), "three": (MOOD,)}
    both = {"one": one, "three": three}
    assert mix_corpora(both, tasks_of, [awe])["train"]["mood"][:] == [0.25, 0.5]
    assert str(mix_corpora(both, tasks_of, [MOOD])["train"]["mood"][:]) == "[[0.25, nan, nan], [0.5, 0.25, 1.0]]"


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            Task("mood", "classification", ("Awe", "Fear"), loss="cross_entropy", metric="uar"),
            "its kind is 'regression'",
        ),
        (Task("mood", "regression", ("Awe",), unit="points"), "its unit is None, and 'points' in the corpus mine"),
        (
            Task("mood", "regression", ("awe", "joy")),
            "the corpus mine has none of them, but awe, joy; labels go by name",
        ),
    ],
)
def test_tasks_of_one_name_and_another_meaning_are_refused(own, message):
    with pytest.raises(CorpusError, match=message):
        mix_corpora({"mine": corpus([], "A")}, {"mine": (own,)}, [MOOD])


def test_a_narrower_span_takes_the_labels_within_it_and_refuses_others_by_clip():
    (narrow,) = resolve_tasks([{"preset": "exvo", "name": "age", "span": [20, 39.5]}])
    mixed = mix_corpora({"mine": corpus([AGE], "ABC", age=[20.0, 39.5, np.nan])}, {"mine": (AGE,)}, [narrow])
    assert str(mixed["train"]["age"][:]) == "[20.0, 39.5, nan]"
    with pytest.raises(CorpusError, match=r"mine/1: age is 19; the span of task 'age' is 20\.\.39\.5, give one that"):
        mix_corpora({"mine": corpus([AGE], "AB", age=[20.0, 19.0])}, {"mine": (AGE,)}, [narrow])


def test_a_task_that_no_clip_has_a_label_for_is_refused():
    nothing = corpus([MOOD], "A", mood=[[np.nan] * 3])
    for tasks_of in ({"mine": (MOOD,)}, {"mine": (AGE,)}):
        with pytest.raises(CorpusError, match=f"task 'mood': no clip .*mine: {tasks_of['mine'][0].name}"):
            mix_corpora({"mine": nothing}, tasks_of, [MOOD])
        assert len(mix_corpora({"mine": nothing}, tasks_of, [MOOD], for_prediction=True)["train"]) == 1
    missing_age = {"mine": corpus([AGE], "AB", age=[20.0, 30.0]), "yours": corpus([], "A")}
    mixed = mix_corpora(missing_age, {"mine": (AGE,), "yours": (AGE,)}, [AGE])
    assert str(mixed["train"]["age"][:]) == "[20.0, 30.0, nan]"


def test_names_that_would_mix_up_clips_are_refused():
    clips = corpus([AGE], "A", age=[20.0])
    for name in ("", "a/b"):
        with pytest.raises(CorpusError, match="goes before each file_id"):
            mix_corpora({name: clips}, {name: (AGE,)}, [AGE])
    for corpora, tasks_of in (({}, {}), ({"mine": clips}, {"yours": (AGE,)})):
        with pytest.raises(CorpusError, match="must name the same"):
            mix_corpora(corpora, tasks_of, [AGE])


def test_a_column_that_numbers_other_classes_is_refused():
    clips = corpus([CALL], "A", call=[0])
    clips = clips.cast_column("call", ClassLabel(names=["cry", "laugh", "sigh"]))
    with pytest.raises(CorpusError, match="numbers the classes cry, laugh, sigh, its task laugh, cry, sigh"):
        mix_corpora({"mine": clips}, {"mine": (CALL,)}, [CALL])


def test_splits_are_joined_by_name_and_empty_ones_left_out():
    one = corpus([AGE], "A", "validation", age=[20.0]) | corpus([AGE], "A", "test", age=[20.0])
    two = corpus([AGE], "B", "train", age=[30.0]) | corpus([AGE], "B", "pilot", age=[30.0])
    two["empty"] = two["train"].select([])
    mixed = mix_corpora({"one": DatasetDict(one), "two": DatasetDict(two)}, {"one": (AGE,), "two": (AGE,)}, [AGE])
    assert {split: rows["file_id"][:] for split, rows in mixed.items()} == {
        "train": ["two/0"],
        "validation": ["one/0"],
        "test": ["one/0"],
        "pilot": ["two/0"],
    }
    assert list(mixed) == ["train", "validation", "test", "pilot"]


@pytest.fixture
def two_folders(tmp_path):
    """Six clips with moods, and six with calls; those of the first corpus are shorter."""
    return write_two_folders(tmp_path), {"moods": (MOOD,), "calls": (CALL,)}


def write_two_folders(place):
    files = [f"{number}.wav" for number in range(6)]
    rows = [[file, f"{number / 8}", f"{number / 7}", f"{number / 6}"] for number, file in enumerate(files)]
    moods = write_folder(place / "moods", rows, ["file", *MOOD.labels], files)
    calls = write_folder(
        place / "calls", [[f, CALL.labels[i % 3]] for i, f in enumerate(files)], ["file", "call"], files
    )
    settings = {"cache_dir": place / "cache", "splits": {"train": 4, "validation": 2}}
    return {
        "moods": load_bursts("folder", moods, tasks=[MOOD], **settings),
        "calls": load_bursts("folder", calls, tasks=[CALL], **settings),
    }


def test_a_mixture_is_read_from_disk_and_found_again(two_folders, tmp_path, monkeypatch):
    corpora, tasks_of = two_folders
    before = mix_corpora(corpora, tasks_of, [MOOD, CALL])
    read = {file["filename"] for clips in corpora.values() for file in clips["train"].cache_files}
    assert read < {file["filename"] for file in before["train"].cache_files}  # the audio where it was, labels beside it
    files = sorted(tmp_path.rglob("*.arrow"))
    monkeypatch.setattr("burst2vec.data.corpora.mixing._relabelled", lambda *args, **kwargs: pytest.fail("made again"))
    again = mix_corpora(write_two_folders(tmp_path), tasks_of, [MOOD, CALL])
    assert sorted(tmp_path.rglob("*.arrow")) == files
    assert str(again["train"][:]) == str(before["train"][:])
    assert again["train"]._fingerprint == before["train"]._fingerprint


def test_chosen_rows_and_decoding_audio_can_be_mixed(two_folders):
    corpora, tasks_of = two_folders
    whole = mix_corpora(corpora, tasks_of, [MOOD, CALL])["train"]
    chosen = {name: DatasetDict({"train": clips["train"].select([2, 0])}) for name, clips in corpora.items()}
    mixed = mix_corpora(chosen, tasks_of, [MOOD, CALL])["train"]
    assert str(mixed[:]) == str(whole.select([2, 0, 6, 4])[:])


def test_a_mixture_trains_and_a_clip_trains_only_what_it_has_labels_for(two_folders, tmp_path):
    corpora, tasks_of = two_folders
    tasks = [MOOD, CALL]
    mixed = {split: check_clips(clips)[0] for split, clips in mix_corpora(corpora, tasks_of, tasks).items()}
    model = tiny_model(tasks=[task.to_dict() for task in tasks], trunk="shared")
    extractor = Burst2VecFeatureExtractor()
    trainer = Burst2VecTrainer(
        model=model,
        args=tiny_arguments(tmp_path / "run", max_steps=2, metric_for_best_model="loss", task_schedule="joint"),
        train_dataset=mixed["train"],
        eval_dataset=mixed["validation"],
        processing_class=extractor,
    )
    assert trainer.train().global_step == 2

    heads = dict(model.heads.named_parameters())
    collate = BurstCollator(extractor, tasks)
    for name, trained, untrained in (("moods", "mood", "call"), ("calls", "call", "mood")):
        rows = [row for row in mixed["train"] if row["file_id"].startswith(f"{name}/")]
        model.zero_grad()
        model(**collate(rows)).loss.backward()
        size = {
            task: sum(
                float(torch.abs(weight.grad).sum())
                for key, weight in heads.items()
                if task in key and weight.grad is not None
            )
            for task in (trained, untrained)
        }
        assert size[trained] > 0 and size[untrained] == 0


def test_clips_with_labels_of_one_corpus_train_the_other_tasks_extractor_against_them(two_folders):
    corpora, tasks_of = two_folders
    tasks = [MOOD, CALL]
    mixed = mix_corpora(corpora, tasks_of, tasks)["train"]
    model = tiny_model(tasks=[task.to_dict() for task in tasks])
    collate = BurstCollator(Burst2VecFeatureExtractor(), tasks)
    for corpus_name, other in (("moods", "call"), ("calls", "mood")):
        model.zero_grad()
        output = model(**collate([row for row in mixed if row["file_id"].startswith(f"{corpus_name}/")]))
        output.loss.backward()
        assert output.loss_parts["adversary"] > 0
        assert model.trunk.private[other][1].weight.grad.any()
