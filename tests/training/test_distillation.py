"""Distillation: labels move towards the teachers' answers, in training alone, and other tasks' are refused."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from burst2vec import Burst2VecFeatureExtractor
from burst2vec.errors import RunError
from burst2vec.tasks import resolve_tasks
from burst2vec.training.distillation import Teachers
from tests.training.tiny_run import tiny_corpus, tiny_model, tiny_trainer

TASKS = resolve_tasks([{"preset": "exvo", "name": "age"}, {"preset": "exvo", "name": "country"}])
NAN = float("nan")


class Answering(torch.nn.Module):
    """A teacher that always says the same."""

    def __init__(self, ages, countries):
        super().__init__()
        self.said = {"age": torch.tensor(ages), "country": torch.tensor(countries)}

    def forward(self, input_values, attention_mask=None):
        return SimpleNamespace(predictions=self.said)


def taught_by(*models):
    teachers = Teachers([], TASKS, Burst2VecFeatureExtractor())
    teachers.models = list(models)
    return teachers


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    tiny_model(seed=7).save_pretrained(folder)
    Burst2VecFeatureExtractor().save_pretrained(folder)
    return str(folder)


def test_labels_are_mixed_with_the_mean_of_what_the_teachers_say():
    """Ages 20 and unknown, countries 3 and unknown; two teachers, a share of a quarter."""
    first = Answering([[24.0], [30.0]], [[1.0, 0.0, 0.0, 0.0]] * 2)
    second = Answering([[32.0], [30.0]], [[0.0, 0.0, 0.5, 0.5]] * 2)
    labels = {"age": torch.tensor([[20.0], [NAN]]), "country": torch.tensor([3, -1])}
    batch = {"input_values": torch.zeros(2, 400), "labels": labels, "task": "age"}
    softened = taught_by(first, second).soften(batch, 0.25)
    assert softened["labels"]["age"][0].tolist() == [0.75 * 20 + 0.25 * 28] and softened["task"] == "age"
    assert softened["labels"]["country"][0].tolist() == pytest.approx([0.125, 0.0, 0.0625, 0.8125])
    assert softened["labels"]["age"][1].isnan().all() and softened["labels"]["country"][1].isnan().all()
    assert labels["country"].tolist() == [3, -1]  # the batch itself is as it was


def test_the_cross_entropy_with_softened_labels_is_hintons_sum_of_two():
    torch.manual_seed(0)
    logits, said, classes = torch.randn(5, 4), torch.rand(5, 4).softmax(dim=1), torch.tensor([0, 1, 2, 3, 0])
    teachers = taught_by(Answering([[30.0]] * 5, said.tolist()))
    batch = {"input_values": torch.zeros(5, 400), "labels": {"age": torch.full((5, 1), 25.0), "country": classes}}
    softened = teachers.soften(batch, 0.3)["labels"]["country"]
    of_labels, of_teacher = F.cross_entropy(logits, classes), -(said * logits.log_softmax(dim=1)).sum(dim=1).mean()
    assert F.cross_entropy(logits, softened).item() == pytest.approx((0.7 * of_labels + 0.3 * of_teacher).item())


def test_teachers_are_asked_in_training_and_not_in_evaluation_and_learn_nothing(tmp_path, teacher):
    trainer = tiny_trainer(tmp_path, max_steps=3, teachers=[teacher], eval_strategy="no", mixup_alpha=0.3)
    (model,) = trainer.teachers.models
    before = {name: values.clone() for name, values in model.state_dict().items()}
    asked = []
    model.register_forward_hook(lambda *_: asked.append(model.training))
    trainer.train()
    trainer.evaluate()
    assert asked == [False] * 3 and trainer.args.teacher_share == 0.5
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())


def test_who_learns_from_a_teacher_alone_comes_to_answer_like_it(tmp_path, teacher):
    """Noise has no age, so what is learnt of it is what the teacher says."""
    corpus = tiny_corpus(tasks=["age"])
    settings = {"corpus": corpus, "task_schedule": "joint", "eval_strategy": "no", "max_steps": 40}
    answers = {}
    for name, taught in (("taught", {"teachers": [teacher], "teacher_share": 1.0}), ("alone", {})):
        trainer = tiny_trainer(tmp_path / name, learning_rate=5e-3, lr_scheduler_type="constant", **settings, **taught)
        trainer.train()
        answers[name] = torch.as_tensor(trainer.predict(corpus).predictions["age"])
    said = tiny_trainer(tmp_path / "said", model=tiny_model(seed=7), corpus=corpus).predict(corpus).predictions["age"]
    distance = {name: (answer - torch.as_tensor(said)).abs().mean() for name, answer in answers.items()}
    assert distance["taught"] < 0.5 * distance["alone"]


def test_a_teacher_of_other_tasks_or_of_clips_at_another_level_is_refused(tmp_path, teacher):
    with pytest.raises(RunError, match=r"teachers: .* has target_rms_dbfs -3.0, the model that learns -20.0"):
        tiny_trainer(tmp_path, teachers=[teacher], extractor=Burst2VecFeatureExtractor(target_rms_dbfs=-20.0))
    with pytest.raises(RunError, match=r"does not answer the task high with the labels"):
        Teachers([teacher], resolve_tasks("avb"), Burst2VecFeatureExtractor())
    with pytest.raises(RunError, match="teachers: .*nothing cannot be loaded"):
        tiny_trainer(tmp_path, teachers=[str(tmp_path / "nothing")])
    with pytest.raises(RunError, match="teachers with episode_support is not honoured"):
        tiny_trainer(tmp_path, teachers=[teacher], episode_support=2)
    with pytest.raises(RunError, match="teacher_share must be a number above 0, up to 1, or null, got 0"):
        tiny_trainer(tmp_path, teachers=[teacher], teacher_share=0)
