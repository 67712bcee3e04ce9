"""What users of transformers, datasets and PEFT do with a trainer works here too, or is refused with a remedy."""

import sys
import types
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec

import pytest
import torch
from datasets import Audio

from burst2vec import Burst2VecFeatureExtractor
from burst2vec.data.clip_batches import clips_of, readable_clips
from burst2vec.errors import RunError
from burst2vec.tasks import TASK_PRESETS
from burst2vec.training import Burst2VecTrainer
from tests.training.tiny_run import tiny_arguments, tiny_corpus, tiny_model, tiny_trainer

SHORT = {"max_steps": 2, "eval_steps": 1, "save_steps": 1}


def trainer_of(output_dir, **kwargs):
    return Burst2VecTrainer(
        args=tiny_arguments(output_dir, **SHORT),
        train_dataset=tiny_corpus(12),
        eval_dataset=tiny_corpus(6, seed=1),
        processing_class=Burst2VecFeatureExtractor(),
        **kwargs,
    )


@dataclass
class Trial:
    number: int
    params: dict = field(default_factory=dict)


class SearchOfTwo:
    """What optuna does with a trainer: two trials, after each of which the model is let go."""

    def ensure_available(self):
        pass

    def run(self, trainer, n_trials, direction):
        found = []
        for number in range(n_trials):
            trainer.train(trial=Trial(number))
            found.append((trainer.args.learning_rate, trainer.compute_objective(trainer.evaluate())))
            trainer.model = trainer.model_wrapped = None
        return found


def test_a_search_trains_a_model_of_its_own_in_each_trial(tmp_path, monkeypatch):
    optuna = types.ModuleType("optuna")  # which transformers asks what a trial is
    optuna.__spec__, optuna.trial = ModuleSpec("optuna", None), types.SimpleNamespace(BaseTrial=Trial)
    monkeypatch.setitem(sys.modules, "optuna", optuna)
    monkeypatch.setitem(sys.modules["transformers.trainer"].ALL_HYPERPARAMETER_SEARCH_BACKENDS, "optuna", SearchOfTwo)
    made = []

    def model_init(trial):
        made.append(trial)
        return tiny_model()

    trainer = trainer_of(tmp_path, model_init=model_init)
    found = trainer.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": (1e-3, 1e-2)[trial.number]},
        compute_objective=lambda metrics: metrics["eval_emotion_ccc"],
        n_trials=2,
        backend="optuna",
    )
    assert [rate for rate, _ in found] == [1e-3, 1e-2] and found[0][1] != found[1][1]
    assert [getattr(trial, "number", None) for trial in made] == [None, 0, 1]
    rates = [(tmp_path / f"run-{trial}/checkpoint-2/manifest.json").read_text() for trial in (0, 1)]
    assert '"learning_rate": 0.001' in rates[0] and '"learning_rate": 0.01' in rates[1]


def test_a_trainer_takes_a_model_or_what_makes_one(tmp_path):
    for given in ({}, {"model": tiny_model(), "model_init": tiny_model}):
        with pytest.raises(RunError, match="give either the model, or model_init"):
            trainer_of(tmp_path, **given)
    with pytest.raises(RunError, match="optimizers are of one model"):
        trainer_of(tmp_path, model_init=tiny_model, optimizers=(torch.optim.SGD(tiny_model().parameters()), None))


@pytest.mark.parametrize(
    ("unfit", "message"),
    [
        (lambda corpus: corpus.to_iterable_dataset(), r"is streamed.*from_list\(list\(stream.take\(1000\)\)"),
        (lambda corpus: corpus.cast_column("audio", Audio()), r"needs torchcodec.*Audio\(decode=False\)"),
        (lambda corpus: corpus.remove_columns(["file_id", "samples"]), r"lacks the columns \['file_id'\]"),
        (lambda corpus: corpus.remove_columns(["audio", "samples"]), r"lacks the columns \['audio'\]"),
    ],
    ids=["streamed", "decoded", "without names", "without recordings"],
)
def test_a_data_set_that_cannot_be_trained_on_is_refused_with_the_call_that_mends_it(unfit, message):
    corpus = unfit(tiny_corpus(2))
    with pytest.raises(RunError, match=message):
        readable_clips(corpus)
    with pytest.raises(RunError, match=message):
        clips_of(corpus, TASK_PRESETS["exvo"])


def test_what_the_refusal_of_a_stream_says_gives_a_data_set():
    stream = tiny_corpus(6).to_iterable_dataset()
    kept = type(tiny_corpus(1)).from_list(list(stream.take(4)), features=stream.features)
    assert len(clips_of(kept, TASK_PRESETS["exvo"])) == 4


@pytest.mark.parametrize("pooling", [{"kind": "mean"}, {"kind": "attentive"}], ids=lambda pooling: pooling["kind"])
def test_adapters_of_peft_train_save_whole_modules_and_resume(tmp_path, pooling):
    peft = pytest.importorskip("peft")

    def wrapped():
        modules = ["heads", "trunk"] if pooling["kind"] == "mean" else ["heads", "pooling"]
        config = peft.LoraConfig(target_modules=["q_proj", "v_proj"], modules_to_save=modules)
        return peft.get_peft_model(tiny_model(pooling=pooling), config)

    trainer = tiny_trainer(tmp_path / "run", wrapped(), task_schedule="joint", **SHORT)
    trainer.train()
    trainer.model.save_pretrained(tmp_path / "adapters")
    model = trainer.model.eval()
    heads = model.get_base_model().heads
    learnt, original = (part["age"].output.weight for part in (heads.modules_to_save["default"], heads.original_module))
    assert not torch.equal(learnt, original)
    again = peft.PeftModel.from_pretrained(tiny_model(pooling=pooling), tmp_path / "adapters").eval()
    clips = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, values in model(input_values=clips).predictions.items():
            assert torch.equal(again(input_values=clips).predictions[name], values)
    resumed = tiny_trainer(tmp_path / "run", wrapped(), task_schedule="joint", **SHORT)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 2
