"""A run in episodes: its batches, what it refuses, and that it resumes."""

import shutil

import numpy as np
import pytest
import torch

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.data.vectors import with_vectors
from burst2vec.errors import RunError
from burst2vec.training.run_fingerprint import run_fingerprint
from tests.training.tiny_run import tiny_arguments, tiny_corpus, tiny_model, tiny_trainer

EPISODES = {"episode_support": 2, "episode_query": 3, "per_device_train_batch_size": 10, "task_schedule": "joint"}
SPEAKERS = ["A"] * 7 + ["B"] * 9 + ["C"] * 6 + ["D"] * 2  # who has too few


def corpus_of_speakers(vectors=False):
    corpus = tiny_corpus().add_column("speaker", SPEAKERS)
    noise = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
    return with_vectors(corpus, noise) if vectors else corpus


def vector_model(seed=0):
    torch.manual_seed(seed)
    return Burst2VecForMultiTask(Burst2VecConfig({"kind": "vector", "features": 4}, trunk="identity"))


@pytest.mark.parametrize("vectors", [False, True])
def test_batches_say_whose_each_clip_is_and_which_are_the_support(tmp_path, vectors, caplog):
    corpus = corpus_of_speakers(vectors)
    trainer = tiny_trainer(tmp_path, corpus=corpus, **EPISODES)
    batches = list(trainer.get_train_dataloader())
    assert "leave out 1 of 4 speakers, who have 2 clips or fewer, and 0 clips" in caplog.text
    whose = {tuple(np.float32(label)): SPEAKERS[row] for row, label in enumerate(corpus["emotion"])}
    seen = 0
    for batch in batches:
        speaker, support = batch["episode"]["speaker"], batch["episode"]["support"]
        assert support.dtype == torch.bool and len(speaker) == len(support) == len(batch["input_values"])
        names = [whose[tuple(label.numpy())] for label in batch["labels"]["emotion"]]
        for number in speaker.unique():
            assert len({names[row] for row in torch.where(speaker == number)[0]}) == 1
            assert int(support[speaker == number].sum()) == 2
        seen += int((~support).sum())
    assert seen == 22


def test_a_run_learns_resumes_in_the_middle_and_ends_in_the_same_weights(tmp_path):
    settings = {**EPISODES, "eval_strategy": "no", "load_best_model_at_end": False, "save_steps": 3, "max_steps": 6}
    corpus = corpus_of_speakers(vectors=True)
    whole = tiny_trainer(tmp_path / "whole", vector_model(), corpus, **settings)
    assert np.isfinite(whole.train().training_loss)
    shutil.copytree(tmp_path / "whole" / "checkpoint-3", tmp_path / "resumed" / "checkpoint-3")
    resumed = tiny_trainer(tmp_path / "resumed", vector_model(seed=1), corpus, **settings)
    resumed.train(resume_from_checkpoint=True)
    for name, values in whole.model.state_dict().items():
        assert torch.equal(values, resumed.model.state_dict()[name]), name


def test_what_an_episode_is_made_of_is_part_of_the_run(tmp_path):
    two, one = (
        run_fingerprint(tiny_arguments(tmp_path, **{**EPISODES, **changes}), tiny_model().config, None, "", "")
        for changes in ({}, {"episode_support": 1})
    )
    assert [name for name in two if two[name] != one[name]] == ["episode_support"]


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ({}, {"mixup_alpha": 0.2}, "mixup_alpha with episode_support is not honoured here: a mixture of two speakers"),
        ({}, {"episode_support": 0}, "episode_support must be in 1..1000, or null, got 0"),
        ({"heads_read": "frames"}, {}, "episode_support 2 with heads_read frames: each frame learns by itself"),
        (
            {"tasks": [{"preset": "exvo", "name": "country"}]},
            {"metric_for_best_model": "country_uar"},
            r"the tasks \['country'\] are classifications; give null",
        ),
    ],
)
def test_what_learns_nothing_by_episodes_is_refused(tmp_path, model, settings, message):
    with pytest.raises(RunError, match=message):
        tiny_trainer(tmp_path, tiny_model(**model), **{**EPISODES, **settings})


def test_a_corpus_without_speakers_is_refused(tmp_path):
    with pytest.raises(RunError, match="the most is 0, and 24 have no speaker"):
        tiny_trainer(tmp_path, **EPISODES).get_train_dataloader()
