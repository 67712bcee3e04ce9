"""The model card for the Hub, written from the run's record alone.

``transformers``' ``create_model_card`` leaves the ``model-index`` empty for metrics it does not know; this one
fills it.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..data.corpora import corpus_named
from ..markdown import code_block, markdown_table, markdown_text
from ..scoring import format_report
from ..scoring.score_report import BESIDE, beside_name
from ..shipped_models import OWNER
from ..tasks import Task
from ..training.arguments import Burst2VecTrainingArguments
from .breakdown import spread_text
from .calibration import calibration_lines
from .inputs import HELD_OUT
from .model_inputs import inputs_recorded
from .recipe_by_size import said_of
from .run_record import RunRecord

# What lets the clips that are evaluated in training decide over it.
_DECIDING = ("eval_strategy", "load_best_model_at_end", "early_stopping_patience", "lr_scheduler_type")

LANGUAGE = "zxx"  # ISO 639: no linguistic content; a burst is no speech

METRIC_NAMES = {
    "ccc": "concordance correlation coefficient",
    "mae": "mean absolute error",
    "pearson": "Pearson's correlation coefficient",
    "uar": "unweighted average recall",
    "war": "weighted average recall, the accuracy",
}

TEMPLATE = """---
{metadata}
---

# {title}

A model of vocal bursts, made with burst2vec: from one burst (a laugh, a gasp, a cry) it predicts {tasks}. {about}

## How to use

{load}

With the package, also from files, bytes and lists of them:

{analyse}

## Scores

Measured on {corpus}. Beside each score stands that of the constant baseline, which predicts for every clip the training
clips' mean of each label, their median, or their most frequent class.

{reports}

{pictures}

## How it was trained

{clips}

{chosen}{decided}Seed {seed}; {steps} optimiser steps; {versions}. The recipe, defaults left out; saved as `recipe.yaml`
it trains the model again: `burst2vec train recipe.yaml --data_dir CORPUS`.

{recipe}

## Limits

The model predicts {tasks_by_name} as the corpus above labels them. A label is what somebody rated, stated or was
asked to express in a recording, not what a person feels or is. The answers are estimates from a sound. Scores hold for
the corpus above and for nothing else: other speakers, cultures, microphones and bursts that nobody asked for may fare
worse.

It must not decide anything about a person: not who is hired, insured, taught, treated, policed or believed, not whether
somebody lies, is ill or is dangerous; and it must not watch people who have not agreed to it.

## Citation

Atijit Anuchitanukul and Lucia Specia (2022). Burst2Vec: An Adversarial Multi-Task Approach for Predicting Emotion, Age,
and Origin from Vocal Bursts. arXiv:2206.12469.
"""

_LOAD = """from transformers import AutoFeatureExtractor, AutoModel
import burst2vec{without}

model = AutoModel.from_pretrained({place}).eval()
extractor = AutoFeatureExtractor.from_pretrained({place})
{apply}inputs = extractor({argument}, return_tensors="pt"){limits}
predictions = model(**inputs).predictions  # {shapes}
"""

_ANALYSE = """{imports}from transformers import pipeline

analyse = pipeline("vocal-burst-analysis", model={place})
analyse({clips})
"""
_WITHOUT = "  # or trust_remote_code=True below, without the package"
_BARE = "pipeline(model={place}, trust_remote_code=True)(waveform)  # without the package; (samples,) at 16 kHz\n"
_SPEAKERS_CLIPS = "[{'path': 'a.wav', 'speaker': 'S1'}, {'path': 'b.wav', 'speaker': 'S1'}]  # all clips of a speaker"

# The steps that the clips went through in training need the package; the pipeline does them by itself.
_APPLY = "waveform, _ = burst2vec.audio.apply_transforms(waveform, 16000, extractor.preprocess)\n"


_PER_SPEAKER = (
    "Each speaker's vectors were centred and scaled by that speaker's own mean and deviation, over all clips of the "
    "speaker at once: scores are for such clips, and the pipeline below takes lists of clips with their speakers."
)


def eval_results(record: RunRecord, tasks: tuple[Task, ...]) -> list[EvalResult]:
    """The entries of the ``model-index``: each task's score and S_MTL on each split, as ``metrics.json`` has them.

    Args:
        record: of the run.
    """
    titles = {task.score_name: (task.metric, f"{task.name} {METRIC_NAMES[task.metric]}") for task in tasks}
    for task in tasks:
        if (name := beside_name(task)) is not None:
            titles[name] = (BESIDE[task.metric], f"{task.name} {METRIC_NAMES[BESIDE[task.metric]]}")
    titles["s_mtl"] = ("s_mtl", "S_MTL, the harmonic mean of CCC, UAR and 1/MAE")
    return [
        EvalResult(
            task_type="audio-classification",
            task_name="Vocal burst analysis",
            dataset_type="+".join(record.corpora),
            dataset_name=" + ".join(record.corpora),
            dataset_split=split,
            metric_type=titles[name][0],
            metric_name=titles[name][1] + (" (years)" if name == "age_mae" else ""),
            metric_value=scores[name],
        )
        for split, scores in record.scores.items()
        for name in titles
        if name in scores
    ]


def pictures_of(folder: str | Path) -> list[str]:
    """The pictures of a run, as its card shows them: their paths from its folder, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).glob("plots/*.png"))


def model_card(
    name: str, record: RunRecord, tasks: tuple[Task, ...], pictures: Sequence[str] = (), place: str | None = None
) -> ModelCard:
    """The card of a trained model.

    Args:
        name: of the model: its folder's, or that of its repository on the Hub.
        record: of the run.
        tasks: the model's task records.
        pictures: paths of pictures beside the card, from [`pictures_of`].
        place: of a model that comes with the package, the expression of its folder; None: it is loaded by its name, and
            its code is with it.
    """
    metadata = ModelCardData(
        library_name="transformers",
        pipeline_tag="audio-classification",
        tags=["burst2vec", "vocal-bursts", *record.corpora],
        license=_licence(record),
        language=LANGUAGE,
        datasets=list(dict.fromkeys(record.corpora)),
        base_model=_base_models(record) or None,
        metrics=sorted({task.metric for task in tasks}),
        model_name=name,
        eval_results=eval_results(record, tasks) or None,
    )
    recipe, takes = record.recipe, inputs_recorded(record)
    said = [recipe.get("description"), recipe.get("paper")]
    about = " ".join(markdown_text(text).rstrip(".") + "." for text in said if text)
    about += takes.about(record.features)
    if record.normalise_per_speaker:
        about += f" {_PER_SPEAKER}"
    bare = place is None and not record.preprocess and not record.features  # it knows neither of the two
    analyse = _ANALYSE + _BARE if bare else _ANALYSE
    imports = "" if place is None else "import burst2vec\n"
    code = {"place": repr(name) if place is None else place, "without": _WITHOUT if place is None else ""}
    clips = _SPEAKERS_CLIPS if record.normalise_per_speaker else '"burst.wav"'
    load = _LOAD.format(
        **code,
        shapes=", ".join(f"{task.name}: (clips, {len(task.labels)})" for task in tasks),
        apply=(_APPLY if record.preprocess else "") + takes.code.compute,
        argument=takes.code.argument,
        limits=takes.code.limits,
    )
    return ModelCard(
        TEMPLATE.format(
            metadata=metadata.to_yaml(),
            title=markdown_text(name),
            tasks=_listed([_described(task) for task in tasks]),
            tasks_by_name=_listed([markdown_text(task.name) for task in tasks]),
            pictures="\n".join(f"![{Path(path).stem.replace('_', ' ')}]({path})" for path in pictures),
            about=about,
            load=code_block(load, "python"),
            analyse=code_block(analyse.format(**code, imports=imports, clips=clips), "python"),
            corpus="; and ".join(corpus_named(corpus).card for corpus in record.corpora),
            reports="\n\n".join(_report(split, record, tasks) for split in record.scores) or "Not measured yet.",
            clips=_clips(record.clips),
            chosen=f"{markdown_text(said_of(record.choice))} " if record.choice else "",
            decided=_decided(record),
            seed=markdown_text(record.seed),
            steps=markdown_text(record.steps),
            versions=markdown_text(", ".join(map(" ".join, record.versions.items()))),
            recipe=code_block(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True), "yaml"),
        )
    )


def _licence(record: RunRecord) -> str | None:
    """The model's licence, by the Hub's name, where it follows from the corpora; else None.

    A corpus under a licence that the Hub does not list (``other``) determines it. Where several licences meet, of
    corpora or of a pretrained checkpoint, the author must decide.
    """
    licences = {corpus_named(corpus).licence for corpus in record.corpora}
    if "other" in licences:
        return "other"
    return licences.pop() if len(licences) == 1 and not _base_models(record) else None


def _base_models(record: RunRecord) -> list[str]:
    """The Hub's names of the checkpoints that the model began from, or that compute its vectors."""
    embedded = [name.removeprefix("embedding:") for name in record.features if name.startswith("embedding:")]
    given = [record.recipe["model"].get("encoder"), *embedded]
    names = [name for name in given if isinstance(name, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", name)]
    return [name for name in names if not name.startswith(f"{OWNER}/")]  # which is not on the Hub, and free as the code


def _described(task: Task) -> str:
    name = markdown_text(task.name)
    if task.kind == "classification":
        return f"{name} (one of {len(task.labels)} classes)"
    low, high = task.span
    unit = f" {markdown_text(task.unit)}" if task.unit else ""
    values = "one value" if len(task.labels) == 1 else f"{len(task.labels)} values"
    beyond = ", or beyond" if task.output == "linear" else ""
    return f"{name} ({values} from {low:g} to {high:g}{unit}{beyond})"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _report(split: str, record: RunRecord, tasks: tuple[Task, ...]) -> str:
    clips = record.clips[split].get("scored", record.clips[split]["used"])  # the first records did not tell them apart
    report = format_report(tasks, record.scores[split], record.baseline[split], clips=clips)
    measured = map(markdown_text, calibration_lines(split, record.coverage, record.calibration, tasks))
    spread = spread_text(record.by_speaker.get(split, {}))
    heading = f"### {markdown_text(split.capitalize())}"
    return "\n\n".join(filter(None, (heading, report, spread, *measured)))


def _decided(record: RunRecord) -> str:
    """Which clips decided when to stop, how the rate fell and which weights were kept; nothing where none did."""
    training = record.recipe.get("training", {})
    asked = {key: training.get(key, getattr(Burst2VecTrainingArguments, key)) for key in _DECIDING}
    follows = asked["load_best_model_at_end"] or asked["early_stopping_patience"] is not None
    follows = follows or asked["lr_scheduler_type"] == "reduce_lr_on_plateau"
    if asked["eval_strategy"] == "no" or not follows:
        return ""
    if HELD_OUT in record.clips:
        return (
            f"When to stop and which weights to keep was decided by the {record.clips[HELD_OUT]['used']:,} clips of "
            "training speakers that were held out; the validation clips were only scored. "
        )
    return "When to stop or which weights to keep was decided by the validation clips: scores on them are optimistic. "


def _clips(clips: dict) -> str:
    rows = [(split, f"{count['used']:,}", f"{count['skipped']:,}") for split, count in clips.items()]
    return markdown_table([("split", "clips used", "unreadable, left out"), *rows])
