"""The model card of a generator, written from the run's record alone."""

import yaml
from huggingface_hub import ModelCardData

from ..markdown import code_block, markdown_table, markdown_text

LANGUAGE = "zxx"  # ISO 639: no linguistic content; a burst is no speech
_OF_KIND = {
    "msg_gan": (
        "It is the MSG-GAN of ExVo-Generate's baseline (Baird et al. 2022).",
        "gan",
        "Animesh Karnewar and Oliver Wang (2020). MSG-GAN: Multi-Scale Gradients for Generative Adversarial Networks. "
        "CVPR.",
    ),
    "flow": (
        "One model makes all of these by flow matching; `intensity`, `guidance` and blends such as "
        '`{"EMOTION": 0.5, …}` steer it.',
        "flow-matching",
        "Yaron Lipman et al. (2023). Flow Matching for Generative Modeling. ICLR.",
    ),
}
_GENERATE = """from transformers import pipeline
import burst2vec

generate = pipeline("vocal-burst-generation", model={name!r})
bursts = generate({emotion!r}, num_return_sequences=4)  # [{{"audio": (samples,), "sampling_rate": 16000}}, …]
"""
_TEMPLATE = """---
{metadata}---

# {title}

A generator of vocal bursts of {emotion}, made with burst2vec: noise in, a log-mel spectrogram out,
and by Griffin-Lim a waveform. {what}

## How to use

{generate}

## How it was trained

{clips} clips; {steps} steps; seed {seed}; {versions}. The recipe, defaults left out:

{recipe}

## Scores

The Fréchet distance of the spectrograms' means and deviations to those of the clips that it learnt from tells that it
learnt, and is no score of a paper; `burst2vec score-generated` scores its bursts.

{distances}

{scores}## Limits

What it makes is like the recordings that it learnt from, and may copy them. An emotion is what those were labelled
with, not what anybody felt. Generated bursts must not be passed off as recordings of a person.

## Citation

Alice Baird et al. (2022). The ICML 2022 Expressive Vocalizations Workshop and Competition: Recognizing, Generating, and
Personalizing Vocal Bursts. arXiv:2205.01780.

{cited}
"""


def generator_card(name: str, record: dict) -> str:
    """The card as Markdown with its metadata.

    Args:
        name: of the model, such as the run's folder.
        record: as ``generation_run`` writes it.
    """
    what, tag, cited = _OF_KIND[record["kind"]]
    metadata = ModelCardData(
        language=LANGUAGE,
        library_name="transformers",
        pipeline_tag="text-to-audio",
        tags=["vocal-bursts", tag, "burst2vec"],
    )
    rows = [["step", "distance"], *([each["step"], f"{each['distance']:.4g}"] for each in record["distances"])]
    return _TEMPLATE.format(
        metadata=metadata.to_yaml() + "\n",
        title=markdown_text(name),
        emotion=markdown_text(", ".join(record["emotions"])),
        what=what,
        cited=cited,
        generate=code_block(_GENERATE.format(name=name, emotion=record["emotions"][0]), "python"),
        clips=f"{record['clips']:,}",
        steps=f"{record['steps']:,}",
        seed=record["seed"],
        versions=", ".join(f"{package} {version}" for package, version in record["versions"].items()),
        recipe=code_block(yaml.safe_dump(record["recipe"], sort_keys=False, allow_unicode=True), "yaml"),
        distances=markdown_table(rows),
        scores=f"{record['scores']}\n\n" if "scores" in record else "",
    )
