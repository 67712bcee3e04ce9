"""How long it takes to personalise a model for one speaker, in training steps on as many clips.

    python benchmarks/personalise.py                                 # HuBERT base, two clips of 2 s
    python benchmarks/personalise.py --shapes large --support 2 --seconds 2.24

Random weights in the published shapes: speed does not depend on their values. Contestants, by turns in one run:

- step: forward, backward and AdamW on the support clips, all tasks, convolutions frozen, float32;
- bias_and_scale, head, trunk: ``burst2vec.personalise`` with its default steps, the copy of the model included.
"""

import argparse

import torch
from rounds import describe, ratio, time_by_turns
from train_step import SHAPES
from transformers import HubertConfig

from burst2vec import Burst2VecConfig, Burst2VecFeatureExtractor, Burst2VecForMultiTask, personalise
from burst2vec.personalising import STEPS

WAYS = {"bias_and_scale": "bias_and_scale", "head": "head", "head and trunk": ["head", "trunk"]}


def build_contestants(shapes: str, support: int, seconds: float, device) -> dict:
    config = HubertConfig(**SHAPES[shapes], layerdrop=0.0)
    model = Burst2VecForMultiTask(Burst2VecConfig(encoder_config=config, freeze_feature_encoder=True)).to(device)
    extractor = Burst2VecFeatureExtractor()
    clips = [clip.numpy() for clip in torch.randn(support, int(16_000 * seconds))]
    labels = {
        "emotion": torch.rand(support, 10),
        "age": torch.full((support, 1), 30.0),
        "country": torch.zeros(support, dtype=torch.long),
    }
    inputs = extractor(clips, sampling_rate=16_000, return_tensors="pt").to(device)
    on_device = {name: values.to(device) for name, values in labels.items()}
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-5, fused=True)

    def step():
        model.train()
        model(**inputs, labels=on_device).loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    def personalised(tune):
        return lambda: personalise(model, extractor, clips, labels, tune=tune)

    return {"step": step, **{name: personalised(tune) for name, tune in WAYS.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", choices=SHAPES, default="base")
    parser.add_argument("--support", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    contestants = build_contestants(arguments.shapes, arguments.support, arguments.seconds, device)
    seconds = time_by_turns(contestants, arguments.rounds)
    print(f"HuBERT {arguments.shapes}, {arguments.support} clips of {arguments.seconds} s, {device}, float32")
    for name in WAYS:
        steps = "" if name == "bias_and_scale" else f", {STEPS} steps"
        print(describe(f"{name}{steps} / training step", ratio(seconds, name, "step"), "at most 3"))


if __name__ == "__main__":
    main()
