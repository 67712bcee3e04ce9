"""What the trainer adds to transformers': batches of one task, losses by name, guards, scores of the whole set."""

import math

import numpy as np
import pytest
import torch
from datasets import ClassLabel
from transformers import TrainingArguments

from burst2vec import Burst2VecFeatureExtractor, Burst2VecForMultiTask
from burst2vec.errors import CheckpointError, DivergenceError
from burst2vec.experiment.building import build_model
from burst2vec.experiment.sections import ModelArguments
from burst2vec.scoring import score_tasks
from burst2vec.tasks import TASK_PRESETS
from burst2vec.training import Burst2VecTrainer
from burst2vec.training.arguments import CHECKPOINTING
from tests.training.tiny_run import tiny_arguments, tiny_corpus, tiny_model, tiny_trainer, wav_bytes

EMOTION, AGE, COUNTRY = TASK_PRESETS["exvo"]
PARTS = {f"{task}_{view}" for task in ("emotion", "age", "country") for view in ("shared", "private", "combined")}

TRUNK = {"kind": "shared_private", "projection_size": 8, "hidden_size": 8}


def weights(model):
    return {name: values.clone() for name, values in model.state_dict().items()}


def still_model(**changes):
    """A model without any chance in training, so that runs can be compared."""
    still = {name: 0.0 for name in ("hidden_dropout", "attention_dropout", "feat_proj_dropout", "activation_dropout")}
    still |= {"layerdrop": 0.0, "mask_time_prob": 0.0, "final_dropout": 0.0}
    return tiny_model(
        encoder=still, trunk={**TRUNK, "dropout": 0.0}, head={"kind": "linear", "dropout": 0.0}, **changes
    )


def logged(trainer, name):
    return [entry[name] for entry in trainer.state.log_history if name in entry]


def test_each_part_of_the_loss_is_logged_by_its_name_as_a_mean(tmp_path):
    seen = []

    class Spy(Burst2VecTrainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
            if model.training:
                seen.append({name: float(part) for name, part in outputs["loss_parts"].items()})
            return (loss, outputs) if return_outputs else loss

    trainer = Spy(
        tiny_model(),
        tiny_arguments(tmp_path, max_steps=6, logging_steps=3, eval_strategy="no", save_strategy="no"),
        train_dataset=tiny_corpus(),
        processing_class=Burst2VecFeatureExtractor(),
    )
    trainer.train()
    for window, entry in zip((seen[:3], seen[3:]), trainer.state.log_history, strict=False):
        assert PARTS | {"discriminator", "adversary"} < set(entry)
        for name in PARTS | {"discriminator", "adversary"}:
            values = [parts[name] for parts in window if name in parts]
            assert entry[name] == pytest.approx(np.mean(values), rel=1e-6)


def test_a_trained_model_is_loaded_as_it_was_saved(tmp_path):
    """The trainer leaves its own marks in the configuration."""
    trainer = tiny_trainer(tmp_path / "run", max_steps=2, eval_strategy="no", save_strategy="no")
    trainer.train()
    trainer.save_model(tmp_path / "final")
    loaded = Burst2VecForMultiTask.from_pretrained(tmp_path / "final")
    for name, values in trainer.model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], values), name


def test_a_step_trains_one_task_and_tasks_alternate(tmp_path):
    trainer = tiny_trainer(tmp_path, eval_strategy="no", save_strategy="no")
    tasks = [batch["task"] for batch in trainer.get_train_dataloader()]
    assert tasks == ["emotion", "age", "country"] * 4


def test_the_joint_schedule_trains_all_tasks_in_each_step(tmp_path):
    trainer = tiny_trainer(
        tmp_path, task_schedule="joint", max_steps=1, logging_steps=1, eval_strategy="no", save_strategy="no"
    )
    assert all("task" not in batch for batch in trainer.get_train_dataloader())
    trainer.train()
    assert PARTS < set(trainer.state.log_history[0])


def test_clips_without_a_label_are_never_drawn_for_its_task(tmp_path):
    corpus = tiny_corpus(missing=[("age", row) for row in range(20)])
    trainer = tiny_trainer(tmp_path, corpus=corpus, eval_strategy="no", save_strategy="no")
    batches = [batch for batch in trainer.get_train_dataloader() if batch["task"] == "age"]
    assert sum(len(batch["input_values"]) for batch in batches) == 4
    assert not any(batch["labels"]["age"].isnan().any() for batch in batches)


def test_oversampling_draws_rare_cells_more_often(tmp_path):
    one_hot = np.eye(10)[0].tolist()
    corpus = tiny_corpus(tasks=[]).add_column("emotion", [one_hot] * 24).add_column("age", [30.0] * 24)
    corpus = corpus.add_column("country", [0] * 23 + [1])  # two cells
    for strength, often in ((1.0, 23), (0.5, 5)):  # √23 is 4.8
        settings = {"oversample": True, "oversample_strength": strength, "eval_strategy": "no", "save_strategy": "no"}
        batches = tiny_trainer(tmp_path, corpus=corpus, **settings).get_train_dataloader()
        drawn = torch.cat([batch["labels"]["country"] for batch in batches if batch["task"] == "age"]).tolist()
        assert (drawn.count(0), drawn.count(1)) == (23, often)


def test_crops_cover_each_clip_once_and_validation_takes_whole_clips(tmp_path):
    corpus = tiny_corpus(tasks=["age"])
    trainer = tiny_trainer(tmp_path, corpus=corpus, crop_seconds=0.05, task_schedule="joint")
    batches = list(trainer.get_train_dataloader())
    lengths = np.asarray(trainer.train_dataset["samples"][:])
    assert sum(len(batch["input_values"]) for batch in batches) == np.ceil(lengths / 800).sum() > 2 * len(lengths)
    assert {batch["input_values"].shape[1] for batch in batches} == {800}
    assert max(batch["input_values"].shape[1] for batch in trainer.get_eval_dataloader()) > 800


def test_clips_are_batched_by_what_is_left_of_them(tmp_path):
    """All are 1 s long; of every other one a tenth is loud, and 0.3 s are left: they have batches of their own."""
    corpus = tiny_corpus(tasks=["age"])
    noise = np.random.default_rng(0).normal(0, 0.1, (len(corpus), 16_000))
    noise[::2, :8_000] = noise[::2, 9_600:] = 0
    clips = [{"bytes": wav_bytes(clip), "path": None} for clip in noise]
    corpus = corpus.remove_columns(["audio", "samples"]).add_column("audio", clips)
    extract = Burst2VecFeatureExtractor(trim_below_db=30.0)
    trainer = tiny_trainer(tmp_path, corpus=corpus, task_schedule="joint", extractor=extract)
    sizes = [batch["attention_mask"].sum(dim=1).tolist() for batch in trainer.get_train_dataloader()]
    assert sorted(map(set, sizes), key=min) == 2 * [{4_800}] + 2 * [{16_000}]
    order = trainer.evaluation_order(trainer.loadable(trainer.train_dataset))
    assert {row % 2 for row in order[:12]} == {1}  # the longest first


def test_three_accumulated_batches_of_two_are_one_batch_of_six(tmp_path):
    """With losses that are means over clips, and labels on all of them, the gradients are the same."""
    corpus = tiny_corpus(6, tasks=["age"])
    finals = []
    for batch, accumulation in ((6, 1), (2, 3)):
        trainer = Burst2VecTrainer(
            still_model(tasks=[AGE], initializer_range=0.3),
            tiny_arguments(
                tmp_path,
                per_device_train_batch_size=batch,
                gradient_accumulation_steps=accumulation,
                max_steps=3,
                optim="sgd",
                max_grad_norm=0.0,
                learning_rate=0.5,
                eval_strategy="no",
                save_strategy="no",
                metric_for_best_model="age_mae",
            ),
            train_dataset=corpus,
            processing_class=Burst2VecFeatureExtractor(),
        )
        start = weights(trainer.model)
        trainer.train()
        finals.append(weights(trainer.model))
    moved = max(float((finals[0][name] - start[name]).abs().max()) for name in start)
    apart = max(float((finals[0][name] - finals[1][name]).abs().max()) for name in start)
    assert moved > 1e-3 and apart < 1e-5 * moved + 1e-7


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_run_by_step_and_task_and_saves_nothing(tmp_path, value):
    class Poisoned(Burst2VecTrainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            return loss * value if self.state.global_step == 4 else loss

    trainer = Poisoned(
        tiny_model(),
        tiny_arguments(tmp_path, eval_strategy="no", save_steps=5),
        train_dataset=tiny_corpus(),
        processing_class=Burst2VecFeatureExtractor(),
    )
    with pytest.raises(DivergenceError, match=f"step 5, task 'age': the loss is {value}"):
        trainer.train()
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    trainer = tiny_trainer(tmp_path)
    with torch.no_grad():
        trainer.model.heads["age"].output.bias.fill_(torch.nan)
    with pytest.raises(DivergenceError, match="the first 'heads.age.output.bias'"):
        trainer.save_model(str(tmp_path / "final"))
    assert not (tmp_path / "final").exists()


def test_the_best_model_is_kept_and_the_run_ends_when_patience_does(tmp_path):
    scores = iter([0.1, 0.5, 0.3, 0.2, 0.4, 0.6])
    kept = {}

    class Scripted(Burst2VecTrainer):
        def score(self, evaluated):
            kept[self.state.global_step] = weights(self.model)
            return {"emotion_ccc": next(scores)}

    trainer = Scripted(
        tiny_model(),
        tiny_arguments(tmp_path, eval_steps=2, save_steps=2, early_stopping_patience=3),
        train_dataset=tiny_corpus(),
        eval_dataset=tiny_corpus(8, seed=1),
        processing_class=Burst2VecFeatureExtractor(),
    )
    trainer.train()
    assert trainer.state.global_step == 10 and trainer.state.best_global_step == 4
    assert trainer.state.best_model_checkpoint == str(tmp_path / "checkpoint-4")
    final = weights(trainer.model)
    assert all(torch.equal(final[name], kept[4][name]) for name in final)
    assert not all(torch.equal(final[name], kept[10][name]) for name in final)
    assert {folder.name for folder in tmp_path.iterdir()} == {"checkpoint-4", "checkpoint-10"}


def test_a_best_checkpoint_that_was_damaged_is_not_loaded_in_silence(tmp_path):
    trainer = tiny_trainer(tmp_path, max_steps=4)
    trainer.train()
    (tmp_path / "checkpoint-4" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(CheckpointError, match="the best checkpoint .*checkpoint-4: model.safetensors is not as"):
        trainer._load_best_model()


def test_gradient_checkpointing_changes_no_weight(tmp_path):
    finals = []
    for checkpointing in (False, True):
        trainer = tiny_trainer(
            tmp_path, max_steps=4, eval_strategy="no", save_strategy="no", **{CHECKPOINTING: checkpointing}
        )
        trainer.train()
        finals.append(weights(trainer.model))
    assert all(torch.allclose(finals[0][name], finals[1][name], atol=1e-6) for name in finals[0])


def test_predictions_come_in_the_order_of_the_data_set_in_float32_and_in_units(tmp_path):
    corpus = tiny_corpus(7, seed=3)
    trainer = tiny_trainer(tmp_path, bf16=True, per_device_eval_batch_size=3)
    predicted = trainer.predict(corpus)
    assert {name: values.dtype for name, values in predicted.predictions.items()} == dict.fromkeys(
        ("emotion", "age", "country"), np.dtype("float32")
    )
    for row in range(7):
        alone = trainer.predict(corpus.select([row]))
        for task in ("emotion", "age", "country"):
            assert predicted.predictions[task][row] == pytest.approx(alone.predictions[task][0], rel=0.02)
            assert predicted.label_ids[task][row] == pytest.approx(alone.label_ids[task][0])
    assert (predicted.predictions["age"] >= 15).all() and (predicted.predictions["age"] <= 45).all()
    assert predicted.predictions["country"].sum(axis=1) == pytest.approx(np.ones(7), rel=1e-5)


def test_scores_are_those_of_the_whole_set_not_means_over_batches(tmp_path):
    corpus = tiny_corpus(9, seed=3)
    trainer = tiny_trainer(tmp_path, per_device_eval_batch_size=2)
    metrics = trainer.evaluate(corpus)
    predicted = trainer.predict(corpus)
    for name, score in score_tasks((EMOTION, AGE, COUNTRY), predicted.predictions, predicted.label_ids).items():
        assert metrics[f"eval_{name}"] == pytest.approx(score, abs=1e-9)


def test_clips_without_any_label_are_predicted_and_not_scored(tmp_path):
    predicted = tiny_trainer(tmp_path).predict(tiny_corpus(5, tasks=[]))
    assert predicted.predictions["emotion"].shape == (5, 10)
    assert not [name for name in predicted.metrics if "ccc" in name or "uar" in name or "mae" in name]


def test_a_model_is_saved_without_the_pickle_of_the_arguments(tmp_path):
    trainer = tiny_trainer(tmp_path, max_steps=4, hub_token="hf_secret")
    trainer.train()
    trainer.save_model(str(tmp_path / "final"))
    names = {path.name for path in tmp_path.rglob("*")}
    assert {"model.safetensors", "config.json", "preprocessor_config.json"} <= names
    assert "training_args.bin" not in names
    assert not any(b"hf_secret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"learning_rate": 1e-4}, "learning_rate was 0.001 and is 0.0001"),
        ({"seed": 7}, "seed was 42 and is 7"),
        ({"per_device_train_batch_size": 3}, "per_device_train_batch_size was 6 and is 3"),
        ({"task_schedule": "joint"}, "task_schedule was alternate and is joint"),
        ({"mixup_alpha": 0.4}, "mixup_alpha was None and is 0.4"),
        ({"oversample_strength": 0.5}, "oversample_strength was 1.0 and is 0.5"),
        ({"extractor": Burst2VecFeatureExtractor(target_rms_dbfs=-20.0)}, "target_rms_dbfs was -3.0 and is -20.0"),
        ({"corpus": tiny_corpus(seed=5)}, "train_data was [0-9a-f]{16} and is [0-9a-f]{16}"),
        ({"corpus": tiny_corpus(missing=[("country", 3)])}, "train_data was [0-9a-f]{16} and is [0-9a-f]{16}"),
        ({"model": tiny_model(trunk={**TRUNK, "adversary_weight": 0.0})}, "adversary_weight was 0.25 and is 0.0"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_run_with_other_settings_does_not_resume(tmp_path, trained_folder, changes, difference):
    trainer = tiny_trainer(trained_folder, **changes)
    with pytest.raises(CheckpointError, match=f"written by a run with other settings: .*{difference}.*new output_dir"):
        trainer.train(resume_from_checkpoint=True)


@pytest.fixture(scope="module")
def trained_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    tiny_trainer(folder, max_steps=4).train()
    return folder


def test_the_same_run_may_go_on_for_longer(trained_folder):
    trainer = tiny_trainer(trained_folder, max_steps=6, save_strategy="no", load_best_model_at_end=False)
    trainer.train(resume_from_checkpoint=str(trained_folder / "checkpoint-4"))
    assert trainer.state.global_step == 6


def test_a_checkpoints_weights_can_be_trained_further_as_a_new_run(tmp_path, trained_folder):
    model, _ = build_model(ModelArguments(model_path=str(trained_folder / "checkpoint-4")))
    trainer = tiny_trainer(tmp_path, model, max_steps=1, lr_scheduler_type="linear")
    trainer.train()
    assert trainer.state.global_step == 1


def test_a_run_whose_folder_was_moved_still_ends_with_its_best_model(tmp_path):
    first = tiny_trainer(tmp_path / "here", max_steps=8)
    first.train()
    (tmp_path / "here").rename(tmp_path / "there")
    second = tiny_trainer(tmp_path / "there", model=tiny_model(seed=9), max_steps=8)
    second.train(resume_from_checkpoint=True)
    best = tmp_path / "there" / f"checkpoint-{first.state.best_global_step}"
    assert second.state.best_model_checkpoint == str(best)
    assert all(torch.equal(second.model.state_dict()[name], values) for name, values in weights(first.model).items())


def test_a_new_run_does_not_mix_with_an_old_ones_checkpoints(trained_folder):
    with pytest.raises(CheckpointError, match="holds checkpoints of an earlier run; resume it with"):
        tiny_trainer(trained_folder).train()


def test_a_full_disk_is_named_and_older_checkpoints_stay_whole(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path)
    save = torch.save

    def full(state, path, *args, **kwargs):
        if "checkpoint-8" in str(path):
            raise RuntimeError("basic_ios::clear: iostream error")
        save(state, path, *args, **kwargs)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match=r"checkpoint-8 could not be written to .* GiB free\): basic_ios"):
        trainer.train()
    monkeypatch.undo()
    resumed = tiny_trainer(tmp_path)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"args": TrainingArguments(output_dir="unused", use_cpu=True)}, "args must be Burst2VecTrainingArguments"),
        ({"processing_class": None}, "give processing_class=Burst2VecFeatureExtractor"),
        ({"args": {"metric_for_best_model": "pain_mae"}}, "'pain_mae' is not a score of this task set; it has"),
        (
            {"train_dataset": tiny_corpus().cast_column("country", ClassLabel(names=["a", "b", "c", "d"]))},
            "column 'country' numbers the classes",
        ),
    ],
    ids=["args", "extractor", "metric", "classes"],
)
def test_what_cannot_work_is_refused_before_the_first_step(tmp_path, arguments, message):
    valid = {
        "model": tiny_model(),
        "args": {},
        "train_dataset": tiny_corpus(),
        "eval_dataset": tiny_corpus(8, seed=1),
        "processing_class": Burst2VecFeatureExtractor(),
    }
    built = {**valid, **arguments}
    if isinstance(built["args"], dict):
        built["args"] = tiny_arguments(tmp_path, **built["args"])
    with pytest.raises(ValueError, match=message):
        Burst2VecTrainer(**built)


def test_several_gpus_in_one_process_are_refused_with_the_call_that_helps(tmp_path, monkeypatch):
    arguments = tiny_arguments(tmp_path)
    monkeypatch.setattr(type(arguments), "n_gpu", 4)
    with pytest.raises(ValueError, match="accelerate launch --num_processes 4"):
        Burst2VecTrainer(tiny_model(), arguments, processing_class=Burst2VecFeatureExtractor())


def test_bad_clips_are_skipped_and_lengths_found_where_they_are_not_known(tmp_path):
    corpus = tiny_corpus().remove_columns("samples")
    rows = corpus.to_list()
    rows[3]["audio"]["bytes"] = b"no sound"
    trainer = tiny_trainer(tmp_path, corpus=type(corpus).from_list(rows))
    assert len(trainer.train_dataset) == 23 and "samples" in trainer.train_dataset.column_names
