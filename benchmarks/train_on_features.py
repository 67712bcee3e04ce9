"""How fast the multi-task learner trains on feature vectors, beside the way in which the challenge's baseline does.

    python benchmarks/train_on_features.py [--rounds 5] [--steps 400] [--profile]

Both train the recipe exvo_baselines/compare: 6,373 features, layers of 128 and 64, heads of 32, squared errors and
cross-entropy, Adam at 1e-3, batches of 8, float32, on one synthetic table of 19,990 clips, as many as HUME-VB has
to train on; its values are drawn from a normal distribution, of no clip at all. Ours is the whole of the trainer, logs,
callbacks and progress included, from the 20th step on. The other is our own writing of what the challenge's published
loop does in every batch: it puts the batch through the network twice, makes tensors of all clips' ages and of each of
the ten columns of emotions, and encodes the countries of all clips anew with scikit-learn.

At batches of 8 either spends most of its time on the 816,000 weights of the first layer, which Adam goes through at
every step whatever the labels cost. So ours is also shown with batches of 256, which share that work.

Counted is the time of the processor, on one core, by turns, so that other work on the machine counts little.
"""

import argparse
import cProfile
import pstats
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from datasets import ClassLabel, Dataset, Features, List, Value
from rounds import describe, ratio
from sklearn.preprocessing import LabelEncoder
from torch import nn
from tqdm.auto import tqdm
from transformers import ProgressCallback, TrainerCallback

from burst2vec.data.vectors import with_vectors
from burst2vec.experiment.building import build_model
from burst2vec.experiment.normalisation_statistics import estimate_statistics
from burst2vec.experiment.recipes import parse_run
from burst2vec.tasks import EXVO_COUNTRIES, EXVO_EMOTIONS
from burst2vec.training import Burst2VecTrainer
from burst2vec.training.progress import OneLineProgress

CLIPS, FEATURES, BATCH, MANY = 19_990, 6_373, 8, 256
WARM_UP = 20  # steps
RECIPE = Path(__file__).parents[1] / "examples/recipes/exvo_baselines/compare.yaml"


def synthetic_table(clips: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Vectors and labels of no clip at all."""
    chance = np.random.default_rng(0)
    labels = {
        "emotion": chance.random((clips, 10), dtype=np.float32),
        "age": chance.integers(20, 40, clips).astype(np.float32),
        "country": chance.integers(0, 4, clips),
    }
    return chance.standard_normal((clips, FEATURES), dtype=np.float32), labels


class Stopwatch(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == WARM_UP:
            self.start = time.process_time()

    def on_train_end(self, args, state, control, **kwargs):
        self.seconds = time.process_time() - self.start


def ours(vectors, labels, steps: int, folder: str, batch: int = BATCH):
    """A function that trains anew and returns its seconds a clip."""
    columns = Features({"file_id": Value("string"), "emotion": List(Value("float32"), length=10)})
    columns |= {"age": Value("float32"), "country": ClassLabel(names=list(EXVO_COUNTRIES))}
    names = [f"{number:05}" for number in range(len(vectors))]
    corpus = Dataset.from_dict({"file_id": names, **labels}, features=Features(columns))
    corpus = with_vectors(corpus, vectors)
    more = ["--max_steps", WARM_UP + steps, "--eval_strategy", "no", "--save_strategy", "no", "--output_dir", folder]
    more += ["--per_device_train_batch_size", batch, "--use_cpu", "true"]
    run = parse_run(list(map(str, [RECIPE, *more])))

    def train() -> float:
        model, extractor = build_model(run.model, vector_size=FEATURES)
        estimate_statistics(model, extractor, corpus.select(range(2_000)), seed=0)
        trainer = Burst2VecTrainer(model, run.training, corpus, processing_class=extractor)
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(OneLineProgress(trainer.tasks))
        stopwatch = Stopwatch()
        trainer.add_callback(stopwatch)
        trainer.train()
        return stopwatch.seconds / (steps * batch)

    return train


class PlainNetwork(nn.Module):
    """The recipe's network in torch alone."""

    def __init__(self):
        super().__init__()
        layers = [nn.Linear(FEATURES, 128), nn.LayerNorm(128), nn.LeakyReLU()]
        self.shared = nn.Sequential(*layers, nn.Linear(128, 64), nn.LeakyReLU())
        heads = (nn.Sequential(nn.Linear(64, 32), nn.LeakyReLU(), nn.Linear(32, size)) for size in (10, 1, 4))
        self.heads = nn.ModuleList(heads)

    def forward(self, vectors):
        shared = self.shared(vectors)
        emotion, age, country = (head(shared) for head in self.heads)
        return torch.sigmoid(emotion), age, country


def encoding_every_batch(vectors, labels, steps: int):
    """A function that trains anew, all labels made into tensors in every batch, and returns its seconds a clip."""
    inputs = torch.from_numpy(vectors)
    emotions = pd.DataFrame(labels["emotion"].astype(np.float64), columns=list(EXVO_EMOTIONS))  # as read from CSV
    ages, countries = labels["age"], labels["country"].astype(float)

    def train() -> float:
        network, squared, crossed = PlainNetwork(), nn.MSELoss(), nn.CrossEntropyLoss()
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
        order, of_all = torch.randperm(len(inputs)), countries
        for step in range(WARM_UP + steps):
            if step == WARM_UP:
                start = time.process_time()
            rows = order[step * BATCH : (step + 1) * BATCH]
            batch = inputs[rows]
            network(batch)
            emotion, age, country = network(batch)
            loss = 0
            for place in range(emotions.shape[1]):
                of_column = torch.from_numpy(emotions.iloc[:, place].to_numpy().astype(np.float32))
                loss = loss + squared(emotion[:, place], of_column[rows])
            of_all = torch.from_numpy(LabelEncoder().fit_transform(of_all))
            loss = loss + crossed(country, of_all[rows]) + squared(age[:, 0], torch.from_numpy(ages)[rows])
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        return (time.process_time() - start) / (steps * BATCH)

    return train


def tensors_alone(vectors, labels, steps: int):
    """The least that torch itself takes: the same network and optimiser, every label a tensor once, and no trainer."""
    inputs, emotions = torch.from_numpy(vectors), torch.from_numpy(labels["emotion"])
    ages, countries = torch.from_numpy(labels["age"])[:, None], torch.from_numpy(labels["country"])

    def train() -> float:
        network, squared, crossed = PlainNetwork(), nn.MSELoss(), nn.CrossEntropyLoss()
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        order = torch.randperm(len(inputs))
        for step in range(WARM_UP + steps):
            if step == WARM_UP:
                start = time.process_time()
            rows = order[step * BATCH : (step + 1) * BATCH]
            emotion, age, country = network(inputs[rows])
            loss = 10 * squared(emotion, emotions[rows]) + squared(age, ages[rows]) + crossed(country, countries[rows])
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        return (time.process_time() - start) / (steps * BATCH)

    return train


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400, help="of each contestant in a round")
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--profile", action="store_true", help="say where our steps spend their time, and end")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # such small layers gain nothing from more, and the processor's time is then the step's
    steps = min(arguments.steps, arguments.clips // BATCH - WARM_UP)
    vectors, labels = synthetic_table(arguments.clips)
    with tempfile.TemporaryDirectory() as folder:
        contestants = {
            "ours": ours(vectors, labels, steps, folder),
            f"ours, batches of {MANY}": ours(vectors, labels, steps // 4, folder, MANY),
            "encoding every batch": encoding_every_batch(vectors, labels, steps),
            "tensors alone": tensors_alone(vectors, labels, steps),
        }
        if arguments.profile:
            with cProfile.Profile(time.process_time) as profile:
                contestants["ours"]()
            pstats.Stats(profile).sort_stats("tottime").print_stats(40)
            return
        seconds = {name: [] for name in contestants}
        for turn in tqdm(range(1 + arguments.rounds), desc="rounds", unit="round"):
            for name, train in contestants.items():
                found = train()
                if turn:
                    seconds[name].append(found)
    for name, found in seconds.items():
        clip = sorted(found)[len(found) // 2]
        print(f"{name}: {1 / clip:,.0f} clips a second")
    print(describe("encoding every batch / ours", ratio(seconds, "encoding every batch", "ours"), "at least 20"))
    many = f"ours, batches of {MANY}"
    print(describe(f"encoding every batch / {many}", ratio(seconds, "encoding every batch", many), "at least 20"))
    print(describe("ours / tensors alone", ratio(seconds, "ours", "tensors alone"), "the trainer's share"))


if __name__ == "__main__":
    main()
