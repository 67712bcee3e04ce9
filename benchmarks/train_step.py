"""How long one training step takes, beside the bare encoder's and beside transformers' own classifier.

    python benchmarks/train_step.py                                            # HuBERT base, 8 clips of 2 s
    python benchmarks/train_step.py --shapes large --batch 32 --seconds 2.24   # where a GPU is at hand

Random weights in the published shapes: speed does not depend on their values. A step is forward, backward and the
optimizer. Contestants, by turns in one run:

- ours: Burst2Vec with its adversaries, one task a batch, convolutions frozen, bfloat16 autocast where the machine has
  it in hardware: this package's default;
- bare: the encoder alone in the same precision, with the mean of its frames as loss;
- theirs: ``HubertForSequenceClassification`` as transformers' audio-classification example trains it by default:
  float32, convolutions frozen, attention mask, AdamW.
"""

import argparse
import itertools

import torch
from rounds import describe, ratio, time_by_turns
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, HubertConfig, HubertForSequenceClassification

from burst2vec import Burst2VecConfig, Burst2VecForMultiTask
from burst2vec.training.arguments import bf16_is_native

SHAPES = {
    "base": {},
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "conv_bias": True,
    },
}
PAPER_CLIPS, PAPER_EPOCHS, PAPER_HOURS = 19_990, 100, (24, 36)  # Burst2Vec's schedule; hours on an RTX A6000


def exvo_labels(batch: int, device) -> dict:
    return {
        "emotion": torch.rand(batch, 10, device=device),
        "age": 20 + 19 * torch.rand(batch, 1, device=device),
        "country": torch.randint(0, 4, (batch,), device=device),
    }


def build_steps(shapes: str, batch: int, seconds: float, device) -> tuple[dict, object]:
    """The three contestants' steps, and ours without its optimizer for counting operations."""
    config = HubertConfig(**SHAPES[shapes], num_labels=4, layerdrop=0.0)
    waveforms = torch.randn(batch, int(16_000 * seconds), device=device)
    mask, labels = torch.ones_like(waveforms, dtype=torch.long), exvo_labels(batch, device)
    turns = itertools.cycle(["emotion", "age", "country"])

    ours = Burst2VecForMultiTask(Burst2VecConfig(encoder_config=config, freeze_feature_encoder=True)).to(device).train()
    bare = AutoModel.from_config(config).to(device).train()
    bare.feature_extractor._freeze_parameters()
    theirs = HubertForSequenceClassification(config).to(device).train()
    theirs.freeze_feature_encoder()

    def autocast():
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16_is_native())

    def our_loss():
        with autocast():
            return ours(waveforms, mask, labels=labels, task=next(turns)).loss

    def bare_loss():
        with autocast():
            return bare(waveforms).last_hidden_state.float().mean()

    def their_loss():
        return theirs(waveforms, attention_mask=mask, labels=labels["country"]).loss

    def step_of(model, loss):
        parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=1e-5, weight_decay=0.0, fused=True)

        def step():
            loss().backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()

        return step

    steps = {"ours": step_of(ours, our_loss), "bare": step_of(bare, bare_loss), "theirs": step_of(theirs, their_loss)}
    return steps, our_loss


def matrix_rate(device, size: int = 8192) -> float:
    """Measured bfloat16 multiply-adds of square matrices, in operations a second."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = time_by_turns({"matrix": lambda: left @ right}, rounds=20, warm_up=5)["matrix"]
    return 2 * size**3 / sorted(seconds)[len(seconds) // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", choices=SHAPES, default="base")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    steps, our_loss = build_steps(arguments.shapes, arguments.batch, arguments.seconds, device)
    seconds = time_by_turns(steps, arguments.rounds)
    precision = "bfloat16 autocast" if bf16_is_native() else "float32: this machine has no bfloat16 in hardware"
    print(f"HuBERT {arguments.shapes}, {arguments.batch} clips of {arguments.seconds} s, {device}, {precision}")
    print(describe("ours / bare encoder, same precision", ratio(seconds, "ours", "bare"), "at most 1.05"))
    print(describe("transformers' example / ours", ratio(seconds, "theirs", "ours"), "at least 2.3"))
    if device.type == "cuda":
        step = sorted(seconds["ours"])[len(seconds["ours"]) // 2]
        with FlopCounterMode(display=False) as counted:
            our_loss().backward()
        share = counted.get_total_flops() / step / matrix_rate(device)
        hours = PAPER_EPOCHS * PAPER_CLIPS / arguments.batch * step / 3600
        print(f"{1 / step:.2f} steps a second; {share:.0%} of the measured bf16 matrix rate")
        print(f"the paper's {PAPER_EPOCHS} epochs of {PAPER_CLIPS} clips: {hours:.1f} h (the paper: {PAPER_HOURS} h)")


if __name__ == "__main__":
    main()
