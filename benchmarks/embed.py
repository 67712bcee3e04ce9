"""How fast frozen embeddings are computed, beside the bare encoder at whatever batch size and precision suits it best.

    python benchmarks/embed.py                                         # HuBERT base, 16 clips of 2 s
    python benchmarks/embed.py --clips 512 --batches 16 32 64 128      # where a GPU is at hand

Random weights in the published shapes: speed does not depend on their values. Contestants, by turns in one run, each
with the same clips:

- ours: ``embedding:CHECKPOINT`` of waveforms in memory: level, batches, encoder, mean and standard deviation;
- bare: transformers' encoder alone at each batch size, in float32 and, where the machine has it in hardware, in
  bfloat16 autocast; of clips that were levelled and stacked before, and its frames are thrown away;
- decoding: ``extract_features`` of the same clips as MP3 files, nothing cached.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import datasets
import torch
from datasets import Dataset
from read_audio import write_bursts
from rounds import describe, ratio, time_by_turns
from transformers import AutoModel, HubertConfig, Wav2Vec2FeatureExtractor

from burst2vec.data.clips import read_clip
from burst2vec.data.processes import bf16_is_native
from burst2vec.features import extract_features, find_feature_set, vectors_in_batches


def bare_passes(bare, stacked: torch.Tensor, batches: list[int]) -> dict:
    """The encoder alone, by what it is called in the figures."""

    def embed(batch: int, in_bf16: bool):
        with torch.inference_mode(), torch.autocast(stacked.device.type, dtype=torch.bfloat16, enabled=in_bf16):
            for clips in stacked.split(batch):
                bare(clips)

    precisions = {"float32": False, "bfloat16": True} if bf16_is_native() else {"float32": False}
    return {
        f"bare, batches of {batch}, {name}": lambda batch=batch, in_bf16=in_bf16: embed(batch, in_bf16)
        for name, in_bf16 in precisions.items()
        for batch in batches
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16], help="of the bare encoder")
    parser.add_argument("--batch", type=int, help="of ours (default: what embeddings.py chooses)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as own:
        checkpoint, sounds = Path(own, "hubert-base"), Path(own, "mp3")
        bare = AutoModel.from_config(HubertConfig()).eval()
        bare.save_pretrained(checkpoint)
        level = Wav2Vec2FeatureExtractor(do_normalize=True)
        level.save_pretrained(checkpoint)
        sounds.mkdir()
        write_bursts(sounds, arguments.clips)
        paths = sorted(sounds.iterdir())
        audio = [{"bytes": None, "path": str(path)} for path in paths]
        names = [path.stem for path in paths]
        clips = Dataset.from_dict({"file_id": names, "audio": audio})
        waveforms = [read_clip(each, name)[:32_000] for each, name in zip(audio, names, strict=True)]
        stacked = level(waveforms, sampling_rate=16_000, return_tensors="pt")["input_values"]

        name = f"embedding:{checkpoint}"
        made = find_feature_set(name)
        made = made._replace(batch_size=arguments.batch or made.batch_size)
        device = made.vectors.device
        contestants = {
            "ours": lambda: vectors_in_batches(made, waveforms, names),
            **bare_passes(bare.to(device), stacked.to(device), arguments.batches),
            "decoding": lambda: extract_features(clips, name, keep_in_memory=True),
        }
        seconds = time_by_turns(contestants, arguments.rounds)
    print(f"HuBERT base, {len(names)} clips of 2 s, {device}, {arguments.threads} threads, ours in batches of ", end="")
    print(f"{made.batch_size}, {made.made_by()['precision']}")
    for contestant, taken in seconds.items():
        print(f"  {contestant}: {len(names) / statistics.median(taken):.2f} clips a second")
    best = min(
        (other for other in seconds if other.startswith("bare")), key=lambda other: statistics.median(seconds[other])
    )
    print(describe(f"ours / {best}, clips a second", ratio(seconds, best, "ours"), "at least 0.9"))
    print(describe(f"ours with decoding / {best}", ratio(seconds, best, "decoding"), "no figure of its own"))


if __name__ == "__main__":
    main()
