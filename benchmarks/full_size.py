"""Whether recipes train at the size that their papers publish: losses, seconds and memory of a few steps each.

    python benchmarks/full_size.py strf_conformer/strf_joint strf_conformer/hubert_base_joint
    python benchmarks/full_size.py                                     # every recipe that trains
    python benchmarks/full_size.py burst2vec/v4_hubert_large --batch 32 --seconds 2.24       # where a GPU is at hand
    python benchmarks/full_size.py strf_conformer/strf_joint --encoder '{channel_hop: 4}'

Each recipe has a process of its own and trains as a run does, with its model, losses, schedule of tasks and optimizer,
on clips of noise with random labels. Where it names a checkpoint, the encoder has that checkpoint's shape and random
weights: neither speed nor memory depend on their values. Vectors of feature sets are random numbers, as many as the set
has; what computing them takes is not counted. Every other option is a key of the recipes.

The table has, of each recipe, its parameters in millions, the loss at the first and the last step (tasks in turns: of
different tasks), the median of the steps' seconds but for the first, and the most memory beyond the imports'.
"""

import argparse
import io
import json
import math
import multiprocessing
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import torch
from datasets import Dataset, Features, Value
from train_step import SHAPES
from transformers import PrinterCallback, TrainerCallback

from burst2vec.command_line.shipped import recipe_names, shipped_recipe
from burst2vec.comparison.fusion_recipes import is_fusion
from burst2vec.data.corpora.columns import burst_features
from burst2vec.data.vectors import with_vectors
from burst2vec.experiment.building import build_model
from burst2vec.experiment.inputs import tasks_of
from burst2vec.experiment.model_inputs import asked_of_clips
from burst2vec.experiment.normalisation_statistics import estimate_statistics
from burst2vec.experiment.recipes import parse_run
from burst2vec.features import FEATURE_SETS
from burst2vec.generation.generation_recipes import is_generation
from burst2vec.markdown import markdown_table
from burst2vec.tasks import Task
from burst2vec.training import Burst2VecTrainer
from burst2vec.waveforms import SAMPLING_RATE

NO_FILES = ["--eval_strategy", "no", "--save_strategy", "no", "--load_best_model_at_end", "false"]
NO_PLATEAU = ["--lr_scheduler_type", "constant", "--lr_scheduler_kwargs", "null"]  # it takes validations to find one
QUIET = ["--logging_steps", "1", "--logging_nan_inf_filter", "false", "--disable_tqdm", "true", "--log_level", "error"]
FAMILIES = ("wavlm", "hubert", "wav2vec2")  # of published checkpoints, as their names and transformers have them
SPEAKERS = 4
HEADER = ["recipe", "batch", "parameters (M)", "first loss", "last loss", "seconds per step", "memory (GB)"]


class Steps(TrainerCallback):
    """The seconds of each step."""

    def __init__(self):
        self.seconds = []

    def on_step_begin(self, args, state, control, **kwargs):
        self.start = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self.start)


def published_shape(encoder) -> dict:
    """The configuration of a checkpoint by its name; a configuration stays as it is."""
    if not isinstance(encoder, str):
        return encoder
    name = encoder.rpartition("/")[2].lower()
    family = next((family for family in FAMILIES if family in name), None)
    if family is None:
        raise SystemExit(f"error: the shape of {encoder!r} is not known here; known are {', '.join(FAMILIES)}")
    return {"model_type": family, **SHAPES["base" if "base" in name else "large"]}


def vector_size(features: list[str], recipe: str) -> int:
    """Numbers in a vector of feature sets, without computing any; ``embedding:./runs/NAME`` is of the recipe NAME."""
    size = 0
    for name in features:
        family, _, argument = name.partition(":")
        if name in FEATURE_SETS:
            size += FEATURE_SETS[name].size
        elif family == "bag_of_audio_words":
            size += int(argument)
        elif family == "deep_spectrum":
            size += 4_096
        elif argument.startswith("./runs/"):  # mean and deviation of the frames of a model that another recipe trains
            beside = f"{Path(recipe).parent}/{Path(argument).name}"
            size += 2 * build(parse_run([beside]), beside)[0].encoder.size
        else:
            size += 2 * published_shape(argument).get("hidden_size", 768)
    return size


def build(run, recipe: str):
    """Model, feature extractor, and numbers in a vector, None where it takes waveforms."""
    features = run.model.features or []
    size = vector_size([features] if isinstance(features, str) else features, recipe) if features else None
    run.model.encoder = published_shape(run.model.encoder)
    return *build_model(run.model, *asked_of_clips(run.data), size), size


def noise_clips(tasks: tuple[Task, ...], count: int, seconds: float, size: int | None) -> Dataset:
    """A corpus of noise, as waveforms of unequal lengths up to ``seconds`` or as vectors, with random labels."""
    chance = np.random.default_rng(0)
    columns = {
        "file_id": [f"{number:05d}" for number in range(count)],
        "speaker": [f"speaker {number % SPEAKERS}" for number in range(count)],
        "audio": [{"bytes": b"", "path": None}] * count,
    }
    samples = chance.integers(int(0.8 * seconds * SAMPLING_RATE), int(seconds * SAMPLING_RATE), count, endpoint=True)
    if size is None:
        columns["audio"] = [{"bytes": wav(0.1 * chance.normal(size=length)), "path": None} for length in samples]
    for task in tasks:
        if task.kind == "classification":
            columns[task.name] = [number % len(task.labels) for number in range(count)]
        else:
            values = task.span[0] + chance.random((count, len(task.labels))) * (task.span[1] - task.span[0])
            columns[task.name] = values.tolist() if len(task.labels) > 1 else values[:, 0].tolist()
    plain = {"bytes": Value("binary"), "path": Value("string")}  # an Audio feature asks for torchcodec to be written
    corpus = Dataset.from_dict(columns, features=Features({**burst_features(tasks), "audio": plain}))
    if size is None:
        return corpus.add_column("samples", samples.astype(np.int32))
    return with_vectors(corpus, chance.normal(size=(count, size)).astype(np.float32))


def wav(waveform: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, waveform.astype(np.float32), SAMPLING_RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


def resident_bytes(which: str) -> int:
    """Of this process, ``VmRSS`` now or ``VmHWM`` at the most; 0 where there is no /proc."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(which)), 0)


def train(recipe: str, batch: int | None, seconds: float, steps: int, options: list[str]) -> dict:
    """A few steps of one recipe, in this process."""
    before = resident_bytes("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        sizes = [] if batch is None else ["--per_device_train_batch_size", str(batch)]
        fixed = ["--max_steps", str(steps), "--output_dir", folder, *NO_FILES, *NO_PLATEAU, *QUIET, *sizes]
        run = parse_run([recipe, *options, *fixed])
        torch.manual_seed(run.training.seed)
        model, extractor, size = build(run, recipe)
        corpus = noise_clips(tasks_of(run), max(8, run.training.per_device_train_batch_size * steps), seconds, size)
        estimate_statistics(model, extractor, corpus, seed=0)
        timed = Steps()
        trainer = Burst2VecTrainer(
            model=model, args=run.training, train_dataset=corpus, processing_class=extractor, callbacks=[timed]
        )
        trainer.remove_callback(PrinterCallback)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == steps, f"{recipe}: {len(losses)} losses of {steps} steps"
    finite = all(math.isfinite(loss) for loss in losses)
    finite = finite and all(bool(torch.isfinite(values).all()) for values in model.parameters())
    on_device = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return {
        "recipe": recipe,
        "batch": run.training.per_device_train_batch_size,
        "parameters": sum(values.numel() for values in model.parameters()),
        "losses": losses,
        "finite": finite,
        "seconds": statistics.median(timed.seconds[1:] or timed.seconds),
        "memory": on_device or resident_bytes("VmHWM") - before,
    }


def line_of(found: dict) -> list[str]:
    first, last = (f"{found['losses'][place]:.3f}" for place in (0, -1))
    return [
        found["recipe"],
        str(found["batch"]),
        f"{found['parameters'] / 1e6:.2f}",
        first,
        last if found["finite"] else f"{last}, not finite",
        f"{found['seconds']:.2f}",
        f"{found['memory'] / 1e9:.2f}",
    ]


def main():
    parser = argparse.ArgumentParser(
        usage="%(prog)s [RECIPE …] [--batch N] [--seconds S] [--steps N] [--out FILE] [--key value …]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--batch", type=int, help="clips per step; by default the recipe's own")
    parser.add_argument("--seconds", type=float, default=2.24, help="of the longest clip; HUME-VB's mean by default")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--out", help="also write what was found as JSON")
    given = sys.argv[1:]
    names = []
    while given and not given[0].startswith("-"):  # argparse would take the values of recipes' keys for names too
        names.append(given.pop(0))
    args, options = parser.parse_known_args(given)
    files = {name: shipped_recipe(name) for name in recipe_names()}
    names = names or [name for name, file in files.items() if not is_fusion(file) and not is_generation(file)]
    found = []
    for name in names:
        # A process for each: what one recipe leaves in memory is not the next one's.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            found.append(process.submit(train, name, args.batch, args.seconds, args.steps, options).result())
        print(" | ".join(line_of(found[-1])), flush=True)
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(f"\n{args.steps} steps, clips of at most {args.seconds} s, {where}\n")
    print(markdown_table([HEADER, *map(line_of, found)], "<>>>>>>", aligned=True))
    if args.out:
        Path(args.out).write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0 if all(each["finite"] for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
