"""What a page says of its model before anybody has asked it: what it learnt from, how good it is, what it is not."""

import yaml
from huggingface_hub import ModelCard
from transformers.utils.hub import cached_file

from ..data.corpora import corpus_named
from ..errors import CorpusError
from ..markdown import markdown_text
from ..pipeline_burst2vec import Burst2VecPipeline
from .recording_analysis import COVERAGE

_ESTIMATES = (
    "The answers are estimates from a sound. A label is what somebody rated, stated or was asked to express in a "
    "recording, not what a person feels or is; they must not decide anything about a person."
)


def model_note(analyse: Burst2VecPipeline) -> str:
    """Markdown: the tasks, the corpora and scores of the model's card, whether it is calibrated, and the limits."""
    tasks = [task.name for task in analyse.model.config.task_records]
    calibrated = [name for name in tasks if name in (analyse.model.config.conformal or {})]
    if not calibrated:
        sure = "It is not calibrated (burst2vec calibrate does it): how far an answer may be off is not known."
    else:
        sure = f"Intervals and sets for {100 * COVERAGE:g} % of new speakers' clips are known of {_listed(calibrated)}."
    said = [f"This model predicts {_listed(tasks)}.", *_from_card(analyse.model.name_or_path), sure]
    return f"{' '.join(said)}\n\n{_ESTIMATES}"


def _from_card(name: str) -> list[str]:
    """Sentences on corpora and scores; a model without a card, or with one of another hand, has fewer."""
    try:
        path = cached_file(name, "README.md", _raise_exceptions_for_missing_entries=False)
        if path is None:
            return ["It has no card that would say what it was trained on."]
        card = ModelCard.load(path).data
    except (OSError, ValueError, TypeError, yaml.YAMLError):
        return ["Its card, README.md, cannot be read, so what it was trained on is not known here."]
    names = card.datasets if isinstance(card.datasets, list) else [card.datasets] if card.datasets else []
    if not names:
        return ["Its card does not say what it was trained on."]
    sentences = [f"It was trained on {'; and '.join(map(_corpus, names))}."]
    results = card.eval_results or []
    if results:
        split = results[-1].dataset_split  # the test, where there is one
        scores = [
            f"{markdown_text(each.metric_name)} {each.metric_value:.3g}"
            for each in results
            if each.dataset_split == split and isinstance(each.metric_value, (int, float))
        ]
        sentences.append(f"Its scores on {markdown_text(split)}: {'; '.join(scores)}.")
    return sentences


def _corpus(name: object) -> str:
    try:
        return corpus_named(name).card
    except CorpusError:
        return markdown_text(name)


def _listed(names: list[str]) -> str:
    names = list(map(markdown_text, names))
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
