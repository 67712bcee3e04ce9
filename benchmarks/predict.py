"""How fast ``burst2vec.prediction.predict`` is over MP3 files, beside the bare model and the bare decoder.

    python benchmarks/predict.py EmoGator/data/mp3 --clips 300

The model is the quickstart's tiny HuBERT with random weights: speed does not depend on their values. Contestants, by
turns in one run, each with the same clips:

- predict: the whole, from the files to a table on disk;
- bare model: ``model(...)`` alone on clips that were decoded, levelled and padded before, in the files' order, in
  batches of 8;
- bare decoder: ``load_audio`` of every file, in as many processes as predict has.

Where model and decoder share the cores, both at full speed give 1 / (1 / model + 1 / decoder) clips a second, which is
printed too; and so is the processor time of each, which a busy machine changes little.
"""

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from read_audio import write_bursts
from rounds import describe, time_by_turns

from burst2vec import Burst2VecFeatureExtractor, Burst2VecPipeline
from burst2vec.audio import load_audio
from burst2vec.experiment.building import build_model
from burst2vec.experiment.recipes import parse_run
from burst2vec.prediction import predict

BATCH = 8


def decode(path) -> int:
    return load_audio(path).size


def spread(values: list[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)


def processor_seconds(call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="MP3 files; default: two-second bursts that it writes")
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2, help="that decode")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as own, ProcessPoolExecutor(arguments.processes) as pool:
        if arguments.folder is None:
            write_bursts(Path(own), arguments.clips)
        every = sorted((arguments.folder or Path(own)).rglob("*.mp3"))
        paths = every[:: max(1, len(every) // arguments.clips)][: arguments.clips]
        list(pool.map(decode, paths[:8]))  # its processes begin before torch's threads do
        model, _ = build_model(parse_run(["burst2vec/quickstart"]).model)
        extract = Burst2VecFeatureExtractor()
        analyse = Burst2VecPipeline(model=model.eval(), feature_extractor=extract)
        waveforms = [load_audio(path) for path in paths]
        batches = [
            extract(waveforms[start : start + BATCH], sampling_rate=16_000, return_tensors="pt")
            for start in range(0, len(paths), BATCH)
        ]

        def bare_model():
            with torch.inference_mode():
                for batch in batches:
                    analyse.model(**batch)

        def whole(num_proc=arguments.processes):
            predict(paths, analyse, Path(own, "table.csv"), num_proc=num_proc, overwrite=True)

        contestants = {
            "predict": whole,
            "bare model": bare_model,
            "bare decoder": lambda: list(pool.map(decode, paths, chunksize=8)),
        }
        seconds = time_by_turns(contestants, arguments.rounds)
        torch.set_num_threads(1)
        alone = [lambda: whole(0), bare_model, lambda: [decode(path) for path in paths]]
        spent = [1_000 * processor_seconds(call) / len(paths) for call in alone]
    rates = {name: [len(paths) / each for each in taken] for name, taken in seconds.items()}
    length = statistics.median(waveform.size for waveform in waveforms) / 16_000
    print(f"{len(paths)} clips, median {length:.1f} s, {arguments.threads} threads, {arguments.processes} processes")
    for name, of_rounds in rates.items():
        print(f"  {name}: {statistics.median(of_rounds):.1f} clips a second")
    slower = [a / min(b, c) for a, b, c in zip(*rates.values(), strict=True)]
    both = [a * (1 / b + 1 / c) for a, b, c in zip(*rates.values(), strict=True)]
    print(describe("predict / the slower of the two", spread(slower), "at least 0.9 where they do not share cores"))
    print(f"processor time of one process, ms per clip: predict {spent[0]:.1f}, model {spent[1]:.1f}, ", end="")
    print(f"decoder {spent[2]:.1f}; model and decoder / predict: {(spent[1] + spent[2]) / spent[0]:.3f}")
    print(describe("predict / one after the other on the same cores", spread(both), "at least 0.9"))


if __name__ == "__main__":
    main()
