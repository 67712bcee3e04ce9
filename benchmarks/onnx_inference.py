"""An exported model beside torch on one core: difference, speed, and the time from process start to the first answer.

    python benchmarks/onnx_inference.py EMOGATOR/data/mp3 --clips 500
    python benchmarks/onnx_inference.py FOLDER --model RUN          # of a finished run, instead of an untrained model

Speed is of clips that are decoded already, one at a time, by turns. Wanted: a difference of at most 1e-4 of a span, at
least torch's speed, and at most a third of its time to the first answer.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from rounds import describe, ratio, time_by_turns

from burst2vec import Burst2VecFeatureExtractor, Burst2VecPipeline
from burst2vec.audio import load_audio
from burst2vec.experiment.building import build_model
from burst2vec.experiment.recipes import parse_run
from burst2vec.exporting import export
from burst2vec.onnx_inference import OnnxModel
from burst2vec.prediction import load_pipeline

WITHOUT_TORCH = "import sys, burst2vec_onnx; burst2vec_onnx.OnnxModel(sys.argv[1])(sys.argv[2])"
WITH_TORCH = (
    "import sys, burst2vec, transformers\ntransformers.pipeline('vocal-burst-analysis', model=sys.argv[1])(sys.argv[2])"
)


def first_answer(code: str, model: Path, clip: Path, path: str) -> None:
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, model, clip], env=environment, check=True, capture_output=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="MP3 files")
    parser.add_argument("--model", help="a finished run; default: --recipe's untrained model")
    parser.add_argument("--recipe", default="emogator/hubert_tiny")
    parser.add_argument("--clips", type=int, default=500, help="of the difference")
    parser.add_argument("--timed", type=int, default=60, help="of the speed")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    every = sorted(arguments.folder.rglob("*.mp3"))
    paths = every[:: max(1, len(every) // arguments.clips)][: arguments.clips]
    with tempfile.TemporaryDirectory() as own:
        if arguments.model:
            analyse = load_pipeline(arguments.model)
        else:
            model, _ = build_model(parse_run([arguments.recipe]).model)
            analyse = Burst2VecPipeline(model=model.eval(), feature_extractor=Burst2VecFeatureExtractor())
        saved, graph = Path(own, "saved"), Path(own, "graph")
        analyse.save_pretrained(saved)
        start = time.monotonic()
        found = export(analyse, graph, clips=[str(path) for path in paths])
        print(f"exported and checked in {time.monotonic() - start:.0f} s; ", end="")
        print(f"greatest difference on {found.clips} clips: {found.greatest:.1e} of a span (wanted at most 1e-4)")
        waveforms = [load_audio(path) for path in paths[: arguments.timed]]
        runtime = OnnxModel(graph, threads=1)

        def torch_alone():
            with torch.inference_mode():
                for waveform in waveforms:
                    analyse.model(**analyse.feature_extractor(waveform, sampling_rate=16_000, return_tensors="pt"))

        def onnx_alone():
            for waveform in waveforms:
                runtime.predict([waveform])

        seconds = time_by_turns({"torch": torch_alone, "onnx": onnx_alone}, arguments.rounds)
        print(describe("torch's time / onnxruntime's", ratio(seconds, "torch", "onnx"), "at least 1"))
        here = str(Path(__file__).parents[1])
        contestants = {
            "onnx": lambda: first_answer(WITHOUT_TORCH, graph, paths[0], str(graph)),
            "torch": lambda: first_answer(WITH_TORCH, saved, paths[0], here),
        }
        seconds = time_by_turns(contestants, min(3, arguments.rounds))
        print(describe("start to first answer / torch's", ratio(seconds, "onnx", "torch"), "at most 0.333"))
        print({name: round(statistics.median(taken), 2) for name, taken in seconds.items()}, "s")


if __name__ == "__main__":
    main()
