"""What cannot be done is refused in one line, before a clip is decoded, a weight loaded or a file written."""

import json
import re

import pytest
import yaml

from burst2vec.errors import DivergenceError
from burst2vec.experiment import execute as runs
from burst2vec.experiment import model_inputs, run_inputs
from burst2vec.experiment.recipe_by_size import few_for_scratch
from burst2vec.experiment.sections import ModelArguments
from tests.data.corpora_on_disk import write_wav

KIND = {"name": "kind", "kind": "classification", "labels": ["gasp", "laugh"], "loss": "cross_entropy", "metric": "uar"}
STRENGTH = {"name": "strength", "kind": "regression", "labels": ["strength"], "loss": "mae", "metric": "mae"}
PRIVATE = "{kind: shared_private, %s}"
ENCODER = {"kind": "spectrogram_cnn", "width": 16, "channels": 16}
RECIPE = {
    "data": {"corpus": "folder"},
    "model": {"encoder": ENCODER, "trunk": "identity", "tasks": [KIND, STRENGTH]},
    "training": {"metric_for_best_model": "strength_mae", "bf16": False},
}
HEADER = "file,speaker,split,kind,strength"
LINES = ["1.wav,A,train,gasp,0.1", "2.wav,B,train,laugh,0.9", "3.wav,C,validation,gasp,0.5", "4.wav,D,test,,"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Where the four clips lie that every table names."""
    folder = tmp_path_factory.mktemp("clips")
    for clip in range(1, 5):
        write_wav(folder / f"{clip}.wav", seed=clip)
    return folder


@pytest.fixture
def refusal(clips, tmp_path, capsys, monkeypatch):
    """Runs a recipe with changes, and gives the one line by which it is refused: no sound, no weight, no file."""

    def too_late(*_, **__):
        raise AssertionError("clips or weights were loaded")

    for module, name in (
        (runs, "build_model"),
        (run_inputs, "check_corpus"),
        (model_inputs, "prepare_clips"),
        (runs, "Burst2VecTrainer"),
    ):
        monkeypatch.setattr(module, name, too_late)

    def run(*options, table=(HEADER, *LINES), **sections):
        for clip in clips.iterdir():
            (tmp_path / "corpus" / clip.name).parent.mkdir(exist_ok=True)
            (tmp_path / "corpus" / clip.name).write_bytes(clip.read_bytes())
        (tmp_path / "corpus" / "metadata.csv").write_text("\n".join(table) + "\n")
        recipe = {section: {**keys, **sections.get(section, {})} for section, keys in RECIPE.items()}
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        places = [tmp_path / "recipe.yaml", "--output_dir", tmp_path / "out", "--data_dir", tmp_path / "corpus"]
        places += ["--cache_dir", tmp_path / "cache"]
        capsys.readouterr()
        assert runs.main([str(text) for text in (*places, *options)]) == 2
        shown = capsys.readouterr()
        (line,) = [line for line in shown.err.splitlines() if line and " examples/s]" not in line]
        assert line.startswith("error: ") and not shown.out
        written = [path for path in tmp_path.rglob("*") if "out" in path.relative_to(tmp_path).parts and path.is_file()]
        assert not [path for path in written if not path.name.startswith(".")]  # a lock may stay
        return line

    return run


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--episode_support", "2", "--heads_read", "frames"], "with heads_read frames: each frame learns by itself"),
        (["--head", "{kind: chain, teacher_forcing: 2}"], "head 'chain': teacher_forcing must be in 0..1, got 2"),
        # the command line itself
        (["--columns", '{"file": "fi'], """command line: --columns: '{"file": "fi' is not JSON: """),
        (["--columns", '{"file": "file"'], "is not JSON: .*it may be cut off"),
        (["--columns", "file=file"], "columns must be a mapping such as .* got 'file=file'"),
        (["--splits", "0.8"], "splits must be a mapping such as .* got '0.8'"),
        (["--encoder", '{"kind": "vec'], "command line: --encoder: .* is not JSON"),
        (["--mix", "[{corpus: folder"], "command line: --mix: .* is not JSON"),
        (["--seed"], "argument --seed: expected one argument"),
        (["--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["--max_steps", "1e3"], "argument --max_steps.*: invalid int value: '1e3'"),
        (["--learning_rate", "nan"], "command line: --learning_rate: must be a finite number, got nan"),
        (["--data_dir", ""], "data_dir is empty; fill it in, or null it"),
        (
            ["--corpus", "synthetic", "--data_dir", "null", "--mix", '[{"corpus": "folder", "data_dir": ""}]'],
            "data_dir is empty",
        ),
        # numbers out of their range
        (["--learning_rate", "1e30"], "learning_rate must be a number above 0, up to 100, got 1e\\+30"),
        (["--weight_decay", "-1"], "weight_decay must be in 0..100, got -1.0"),
        (["--num_train_epochs", "-1"], "num_train_epochs must be a number above 0, up to 1000000, got -1.0"),
        (["--num_train_epochs", "0"], "num_train_epochs must be a number above 0, up to 1000000, got 0.0"),
        (["--max_steps", "0"], "max_steps must be in 1..1000000000, or -1, got 0"),
        (["--dataloader_num_workers", "1000000"], "dataloader_num_workers must be in 0..256, or null, got 1000000"),
        (
            ["--preprocessing_num_workers", "1000000"],
            "preprocessing_num_workers must be in 1..256, or null, got 1000000",
        ),
        (["--preprocessing_num_workers", "0"], "preprocessing_num_workers must be in 1..256, or null, got 0"),
        (["--adam_beta1", "1"], "adam_beta1 must be from 0, and below 1, got 1.0"),
        (["--adam_epsilon", "-1"], "adam_epsilon must be a number above 0, up to 1, got -1.0"),
        (["--max_grad_norm", "-1"], "max_grad_norm must be in 0..1000000000, got -1.0"),
        (["--warmup_steps", "-1"], "warmup_steps must be in 0..1000000000, got -1.0"),
        (["--save_steps", "0"], "save_steps must be a number above 0, up to 1000000000, got 0.0"),
        (["--save_total_limit", "0"], "save_total_limit must be in 1..1000000000, or null, got 0"),
        (["--seed", "4294967296"], "seed must be in 0..4294967295, got 4294967296"),
        (["--max_train_samples", "-1"], "max_train_samples must be in 1..1000000000, or null, got -1"),
        (["--max_predict_samples", "0"], "max_predict_samples must be in 1..1000000000, or null, got 0"),
        (["--mixup_alpha", "-0.5"], "mixup_alpha must be a number above 0, up to 1000000, or null, got -0.5"),
        (["--speed_perturbation", "0.9", "9"], r"speed_perturbation must be factors in 0.5..2, .* got \[0.9, 9.0\]"),
        (["--target_rms_dbfs", "300"], "target_rms_dbfs must be in -120..20, or null, got 300.0"),
        (
            ["--target_rms_dbfs", "loud"],
            "target_rms_dbfs must be in -120..20 dB, or one of off, unit variance, peak, checkpoint, got 'loud'",
        ),
        (["--submission", "6"], "submission must be in 1..5, got 6"),
        (["--team", "my_team"], "team 'my_team', number 1: a team is A-Z, a-z, 0-9 and '-'"),
        (["--held_out", "1"], "held_out must be a number above 0, below 1, or null, got 1.0"),
        # what is trained, and how
        (
            ["--head", "{kind: linear, dropout: -0.1}"],
            "recipe's model: head 'linear': dropout must be in 0..1.* got -0.1",
        ),
        (
            ["--head", "{dropout: 0.1}"],
            "the recipe's model: head must be the name of a kind, or a mapping such as {kind: NAME, …}",
        ),
        (["--trunk", PRIVATE % "projection_size: -8"], r"projection_size must be a whole number in 1..65536, got -8"),
        (
            ["--trunk", PRIVATE % "hidden_size: 1000000000000"],
            "hidden_size must be a whole number in 1..65536, got 10000",
        ),
        (
            ["--trunk", PRIVATE % "hidden_sizes: [8]"],
            "trunk 'shared_private' does not know 'hidden_sizes'; did you mean",
        ),
        (
            ["--trunk", "{kind: shared, hidden_sizes: [0]}"],
            r"trunk 'shared': hidden_sizes must be a list of one or more positive whole .* got \[0\]; .*identity",
        ),
        (["--trunk", "{kind: identity, dropout: 0.1}"], "trunk 'identity' does not know 'dropout'; it takes"),
        (
            ["--pooling", "{kind: attentive, attention_size: 0}"],
            "attention_size must be a whole number in 1..65536, got 0",
        ),
        (
            ["--initializer_range", "0"],
            "initializer_range must be a number above 0, up to 100, 'glorot_uniform' or 'kaiming_uniform', got 0.0",
        ),
        (["--trunk", PRIVATE % "adversary_weight: -1"], "adversary_weight must be 0 or more, .* got -1"),
        (["--pooling", "median"], "pooling 'median' is not one of"),
        (["--trunk", "oak"], "trunk 'oak' is not one of"),
        (["--encoder", "null"], "no encoder is named; give --encoder"),
        (
            ["--encoder", '{"kind": "spectrogram_cnn", "width": 0}'],
            "the recipe's model: encoder 'spectrogram_cnn': width is 0; it must be 1 or more",
        ),
        (
            ["--encoder", '{"kind": "spectrogram_cnn", "width": "x"}'],
            "encoder 'spectrogram_cnn': width must be int, got 'x'",
        ),
        (
            ["--encoder", '{"kind": "spectrogram_cnn", "width": 1000000}'],
            "would have [0-9,]+ weights; up to 10,000,000,000",
        ),
        (
            ["--encoder", '{"kind": "conformer", "num_hidden_layers": 1000000}'],
            "encoder: num_hidden_layers is 1000000; up to 1000 work",
        ),
        (
            ["--encoder", '{"model_type": "hubert", "hiden_size": 8}'],
            "a hubert encoder does not know 'hiden_size'; did you mean 'hidden_size'",
        ),
        (["--encoder", '{"model_type": "hubert", "hidden_size": -1}'], "the recipe's model: "),
        (["--encoder", '{"model_type": "bert"}'], "model_type 'bert' is not a speech encoder"),
        (["--encoder", '{"model_type": "nothing"}'], "the recipe's model: .*nothing"),
        (["--tasks", "exvoo"], "unknown task preset 'exvoo'"),
        (["--tasks", "[3]"], "a task is a record, or a mapping with its fields, got 3"),
        (["--tasks", json.dumps([{**STRENGTH, "span": [1]}])], "task 'strength': span .* must rise"),
        (["--tasks", json.dumps([{**KIND, "labels": [True, False]}])], "labels must be a list of names in quotes"),
        (
            ["--metric_for_best_model", "emotion_ccc"],
            "metric_for_best_model 'emotion_ccc' is not a score of this task set; it has",
        ),
        (["--optim", "sgdd"], "argument --optim: invalid choice: 'sgdd'"),
        (["--lr_scheduler_type", "stairs"], "argument --lr_scheduler_type.*: invalid choice: 'stairs'"),
        (["--lr_scheduler_type", "cosine_with_min_lr"], "lr_scheduler_type .*cosine_with_min_lr.*min_lr"),
        (
            ["--lr_scheduler_kwargs", "factor"],
            "lr_scheduler_kwargs must be a mapping of names to values, .*got 'factor'",
        ),
        (["--report_to", "weights_and_biases"], "weights_and_biases is not supported"),
        (
            ["--dataloader_persistent_workers", "true"],
            "dataloader_persistent_workers True, .*: persistent_workers option",
        ),
        (["--log_level", "loud"], "argument --log_level.*: invalid choice: 'loud'"),
        (["--prediction_loss_only", "true"], "prediction_loss_only is not honoured here"),
        (["--eval_strategy", "epoch"], "save and eval strategy to match"),
        # where from, and where to
        (["--output_dir", "/dev/null/run"], "output_dir /dev/null/run: nothing can be written there"),
        (["--output_dir", "/proc/run"], "output_dir /proc/run: nothing can be written there"),
        (["--cache_dir", "/proc/cache"], "cache_dir /proc/cache: nothing can be written there"),
        (["--features_dir", "/nowhere"], "features_dir /nowhere: the model takes waveforms"),
        (["--model_path", "/nowhere"], "/nowhere holds no config.json"),
        (["--data_dir", "/nowhere"], "/nowhere: no such folder"),
        (["--do_train", "false"], "--model_path FOLDER, or train"),
        (["--preprocess", '["highpas"]'], "unknown step 'highpas': did you mean 'highpass'"),
        (["--preprocess", '["normalise_peak:dbfs=3"]'], "normalise_peak:dbfs=3.0: dbfs=3.0; allowed: numbers up to 0"),
        (["--preprocess", '["highpass:cutoff=1"]'], "step highpass: unknown option 'cutoff'"),
        (["--columns", '{"kind": "sort"}'], "no column 'sort' for kind"),
        (["--table", "labels.csv"], "labels.csv: no such table; the folder has metadata.csv"),
    ],
    ids=lambda value: " ".join(value)[:70] if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_refused_in_one_line(refusal, options, message):
    line = refusal(*options)
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        ([LINES[2], LINES[3]], [], "no split train; give some by --splits"),
        ([LINES[0], LINES[3]], [], "the corpus has no split validation; .*--eval_strategy no"),
        (["1.wav,A,train,,", "2.wav,B,train,,", LINES[2]], [], "split train: no clip has a label of the task 'kind'"),
        (["1.wav,A,train,gasp,", LINES[2]], [], "split train: no clip has a label of the task 'strength'"),
        ([*LINES[:2], "3.wav,C,validation,,"], [], "split validation: .*'strength_mae'; they give no score at all"),
        (
            [*LINES[:2], "3.wav,C,validation,gasp,"],
            [],
            r"labels for metric_for_best_model 'strength_mae'; they give \['loss', 'kind_uar'",
        ),
        (
            [*LINES[:2], "3.wav,C,validation,,0.5"],
            ["--metric_for_best_model", "kind_uar"],
            "metric_for_best_model 'kind_uar'",
        ),
        ([LINES[0].replace("gasp", "sigh"), *LINES[1:]], [], "metadata.csv, line 2, column kind: 'sigh'"),
        ([LINES[0].replace("0.1", "nan"), *LINES[1:]], [], "metadata.csv, line 2, column strength: 'nan'"),
        (LINES, ["--episode_support", "1"], "no speaker has more than 1 labelled clips of task 'kind', the most is 1"),
        (LINES, ["--splits", '{"train": 0.5, "validation": 0.5}'], "splits are given, and column 'split' has them too"),
        (
            [line.replace("2.wav,B", "2.wav,C") for line in LINES],
            [],
            "of one split: it stands in train and in validation",
        ),
        ([line.replace(".wav", ".flac") for line in LINES], [], "none of its 4 files is there"),
    ],
    ids=str,
)
def test_a_corpus_that_a_run_cannot_use_is_refused_in_one_line(refusal, lines, options, message):
    line = refusal(*options, table=(HEADER, *lines))
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("section", "keys", "message"),
    [
        ("training", {"warmup_steps": float("nan")}, r"training.warmup_steps: must be a finite number, got nan"),
        ("training", {"learning_rate": float("inf")}, r"training.learning_rate: must be a finite number, got inf"),
        ("training", {"speed_perturbation": ["fast"]}, r"training.speed_perturbation\[0\]: expected float, got 'fast'"),
        (
            "training",
            {"lr_scheduler_kwargs": {"factor": float("nan")}},
            r"lr_scheduler_kwargs\['factor'\]: must be a finite",
        ),
        (
            "training",
            {"accelerator_config": {"speed": 1}},
            "recipe.yaml, with the command line: .*unexpected keyword .*'speed'",
        ),
        ("training", {"deepspeed": "ds.json"}, "recipe.yaml, with the command line: .*deepspeed"),
        ("model", {"initializer_range": float("nan")}, "model.initializer_range: must be a finite number, got nan"),
        (
            "model",
            {"encoder": {**ENCODER, "mask_ratio": float("nan")}},
            r"encoder\['mask_ratio'\]: must be a finite",
        ),
        (
            "model",
            {"tasks": [{**STRENGTH, "loss_weight": float("inf")}]},
            r"model.tasks\[0\]\['loss_weight'\]: must be a finite",
        ),
        (
            "model",
            {"tasks": [{**KIND, "labels": ["gasp", yaml.safe_load("2020-01-01")]}]},
            r"\(date\) is no text or number",
        ),
        ("data", {"columns": {True: "file"}}, r"data.columns: the key True \(bool\) must be text"),
        ("data", {"columns": {"mood": "file"}}, "columns: unknown key 'mood'; known keys: file, speaker, split, kind"),
        ("data", {"splits": {"train": float("nan")}}, r"data.splits\['train'\]: must be a finite number"),
        ("training", {"optim": "sgdd"}, "training.optim: expected one of .* got 'sgdd'"),
        ("training", {"log_level": "loud"}, "log_level must be one of .* got 'loud'"),
        ("data", {"synthetic_clips": 10**12, "corpus": "synthetic"}, "synthetic_clips must be in 1..1000000"),
        (
            "data",
            {"synthetic_clips": 20},
            "synthetic_clips: a key of synthetic, not of folder, which takes table",
        ),
    ],
    ids=str,
)
def test_a_recipe_that_says_what_cannot_be_is_refused_in_one_line(refusal, section, keys, message):
    line = refusal(**{section: keys})
    assert re.search(message, line), line


def test_a_training_that_diverges_ends_in_one_line(monkeypatch, tmp_path, capsys):
    def diverge(run):
        raise DivergenceError("step 3: the loss is nan\n  try a lower learning_rate")

    monkeypatch.setattr(runs, "execute", diverge)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    assert runs.main([str(tmp_path / "recipe.yaml"), "--output_dir", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "error: step 3: the loss is nan try a lower learning_rate\n"


@pytest.mark.parametrize(
    ("model", "clips", "said"),
    [
        ({"encoder": {"model_type": "hubert"}}, 132, True),
        ({"encoder": {"kind": "conformer"}}, 999, True),
        ({"encoder": {"kind": "conformer"}}, 1000, False),
        ({"encoder": {"kind": "vector"}, "features": ["log_mel"]}, 132, False),
        ({"encoder": "facebook/hubert-base-ls960"}, 132, False),
        ({"encoder": {"kind": "conformer"}, "model_path": "runs/first"}, 132, False),
    ],
)
def test_a_run_that_trains_an_encoder_from_scratch_on_few_clips_says_what_learns_from_them(model, clips, said):
    lines = list(few_for_scratch(ModelArguments(**model), clips))
    assert len(lines) == said and all(f"{clips} clips are few" in line and "--encoder auto" in line for line in lines)
