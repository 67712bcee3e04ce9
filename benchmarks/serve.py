"""How many clips a second ``burst2vec serve`` answers, predicted together or one by one.

    python benchmarks/serve.py EmoGator/data/mp3
    python benchmarks/serve.py EmoGator/data/mp3 --recipe emogator/log_mel_cnn

Two servers, each a process of its own with an untrained model of a recipe (speed does not depend on the weights), one
with --batch_size and one with 1, are asked by turns by 1, 8 and 64 clients at once, over loopback, with MP3 files. An
answer counts if it is that of its own clip: nearest to what the pipeline says of it, and as near as rounding is.
Clients, decoding and model have the same cores, so the processor time of each server is printed too. Wanted: no error,
and from 64 clients at least twice as many clips a second together as one by one.
"""

import argparse
import asyncio
import multiprocessing
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import numpy as np
import psutil
import torch
from rounds import describe, ratio, time_by_turns

from burst2vec import Burst2VecFeatureExtractor, Burst2VecPipeline, command_line
from burst2vec.experiment.building import build_model
from burst2vec.experiment.recipes import parse_run

NEAR = 1e-4  # of a task's span


def numbers_of(answer, tasks) -> np.ndarray:
    """The numbers of an answer, each in its task's span."""
    found = []
    for task in tasks:
        said = answer[task.name]
        said = said["probabilities"] if task.kind == "classification" else said
        values = np.array(list(said.values()) if isinstance(said, dict) else [said])
        low, high = task.span
        found.append((values - low) / (high - low))
    return np.concatenate(found)


class Server:
    """``burst2vec serve`` in a process, forked so that nothing is imported twice, until it is stopped."""

    def __init__(self, model: Path, batch_size: int, log: Path):
        self.log = log
        words = ["serve", "--model", str(model), "--port", "0", "--batch_size", str(batch_size)]
        self.process = multiprocessing.get_context("fork").Process(target=self._serve, args=(words,), daemon=True)
        self.process.start()

    def _serve(self, words: list[str]) -> None:
        with open(self.log, "w") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        sys.exit(command_line.main(words))

    def address(self) -> str:
        while not self.log.exists() or not (found := re.search(r"http://\S+/predict", self.log.read_text())):
            if not self.process.is_alive():
                sys.exit(self.log.read_text())
            time.sleep(0.2)
        return found[0]

    def processor_seconds(self) -> float:
        used = psutil.Process(self.process.pid).cpu_times()
        return used.user + used.system

    def stop(self) -> int:
        self.process.terminate()
        self.process.join(60)
        return self.process.exitcode


async def ask(address: str, clips: list[bytes], clients: int) -> list[tuple[int, dict]]:
    """Status and answer for each clip, asked by so many clients, each of whom waits for its answer."""
    answers, todo = [None] * len(clips), iter(range(len(clips)))

    async def client(session):
        for place in todo:
            kind = {"Content-Type": "audio/mpeg"}
            async with session.post(address, data=clips[place], headers=kind) as response:
                answers[place] = response.status, await response.json()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=clients)) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    return answers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="MP3 files")
    parser.add_argument("--recipe", default="burst2vec/quickstart")
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1, help="of a model")
    arguments = parser.parse_args()
    every = sorted(arguments.folder.rglob("*.mp3"))
    some = max(arguments.clips, *arguments.clients)  # each client has one at least
    paths = every[:: max(1, len(every) // some)][:some]
    clips = [path.read_bytes() for path in paths]
    torch.set_num_threads(arguments.threads)
    model, _ = build_model(parse_run([arguments.recipe]).model)
    analyse = Burst2VecPipeline(model=model.eval(), feature_extractor=Burst2VecFeatureExtractor())
    tasks = model.config.task_records
    wrong, errors, spent = 0, 0, {}

    with tempfile.TemporaryDirectory() as own:
        analyse.save_pretrained(Path(own, "model"))
        sizes = {"together": arguments.batch_size, "one by one": 1}
        servers = {name: Server(Path(own, "model"), size, Path(own, name)) for name, size in sizes.items()}
        expected = np.stack([numbers_of(answer, tasks) for answer in analyse(clips, batch_size=8)])

        def load(name, clients):
            nonlocal wrong, errors
            before = servers[name].processor_seconds()
            answers = asyncio.run(ask(servers[name].address(), clips, clients))
            spent.setdefault((name, clients), []).append(servers[name].processor_seconds() - before)
            for place, (status, answer) in enumerate(answers):
                if status != 200:
                    errors += 1
                    continue
                far = np.abs(expected - numbers_of(answer, tasks)).max(axis=1)
                wrong += far.argmin() != place or far[place] > NEAR

        contestants = {
            (name, clients): lambda name=name, clients=clients: load(name, clients)
            for clients in arguments.clients
            for name in servers
        }
        try:
            for server in servers.values():
                asyncio.run(ask(server.address(), clips[:8], 8))  # the first answers take longer
            seconds = time_by_turns(contestants, arguments.rounds, warm_up=0)
        finally:
            ended = [server.stop() for server in servers.values()]
    calls = len(contestants) * arguments.rounds * len(clips)
    print(
        f"{arguments.recipe}: {calls} requests of {len(clips)} clips, {errors} errors, {wrong} answers of another clip"
    )
    print(f"both servers ended by SIGTERM with {ended}")
    for clients in arguments.clients:
        for name in servers:
            rate = len(clips) / statistics.median(seconds[name, clients])
            cost = 1_000 * statistics.median(spent[name, clients]) / len(clips)
            print(f"{clients:>3} clients, {name}: {rate:.1f} clips a second, {cost:.1f} ms of a processor per clip")
        found = ratio(seconds, ("one by one", clients), ("together", clients))
        print(describe(f"{clients:>3} clients: together / one by one", found, "at least 2 with 64"))


if __name__ == "__main__":
    main()
