"""``encoder: auto``: the shipped recipe that a run's model and training follow, by how many clips it trains on.

What the run's own recipe or command line gives wins over the chosen recipe, key by key, as with ``extends``. The choice
is kept in the run's folder, so that a resumed run has the same, and stands in its record and card.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from datasets import Dataset

from ..errors import RecipeError, RunError
from ..files import write_json
from .building import resume_from
from .inputs import draw_clips, hold_out, read_corpora, tasks_of
from .recipes import Recipe, Run, inherited, load_recipe, run_of
from .sections import AUTO, ModelArguments

CHOICE = "choice.json"
# Training clips. The number is our choice, between what was measured on EmoGator: unweighted average recall after the
# last epoch. 132 clips of four categories (0.25 by chance), 68 scored: folder/spectra 0.54 and 0.50, of two seeds, the
# tiny HuBERT of emogator/hubert_tiny 0.46, of one. 300 clips of thirty categories (0.03), 600 scored, one seed:
# folder/spectra 0.111, emogator/log_mel_cnn 0.089. 3,600 clips of thirty, 1,800 scored: emogator/log_mel_cnn 0.214,
# vectors and the same small network 0.197 (emogator/compare), with each speaker's normalised 0.230.
FEW_FOR_SCRATCH = 1_000
SPECTRA, NETWORK = "folder/spectra", "emogator/log_mel_cnn"
MANY_OF_A_SPEAKER = 10  # clips, from which a speaker's own mean and deviation are worth taking
_OF_ITS_CORPUS = ("tasks", "metric_for_best_model", "output_dir")


def choose_by_size(run: Run) -> Run:
    """The run with model and training of the recipe chosen for it; as it is where its recipe does not say ``auto``.

    The tables of the corpus are read for it, no sound. A saved model to start from, ``model_path``, is a choice made.

    Raises:
        RunError, CorpusError: a corpus that cannot be read; a kept choice that cannot.
        RecipeError: feature sets beside ``auto``.
    """
    recipe = run.recipe
    if run.model.encoder != AUTO:
        return run
    if run.model.model_path is not None or not run.training.do_train:
        model = {key: value for key, value in recipe.model.items() if key != "encoder"}
        return run_of(replace(recipe, model=model))
    if run.model.features:
        raise RecipeError(
            f"features {run.model.features}: encoder auto chooses them; leave them out, or give --encoder "
            '\'{"kind": "vector"}\''
        )
    choice = _kept(run) or _choose(run)
    chosen = load_recipe(choice["recipe"])
    base = {
        "data": {key: value for key, value in chosen.data.items() if key == "preprocess"},
        "model": {key: value for key, value in chosen.model.items() if key not in _OF_ITS_CORPUS},
        "training": {key: value for key, value in chosen.training.items() if key not in _OF_ITS_CORPUS},
    }
    own = {section: dict(getattr(recipe, section)) for section in base}
    del own["model"]["encoder"]
    sections = {section: inherited(base[section], own[section]) for section in base}
    merged = Recipe(recipe.name, recipe.paper, recipe.description, **sections, reported_scores=recipe.reported_scores)
    return replace(run_of(merged), choice=choice)


def keep_choice(choice: dict | None, folder: Path) -> None:
    """Write a run's choice into its folder, for when it resumes; nothing where none was made."""
    if choice is not None:
        write_json(folder / CHOICE, choice)


def said_of(choice: dict) -> str:
    """A choice as a sentence, for the console and the card."""
    return f"Model and training are those of {choice['recipe']}, chosen by size (encoder: auto): {choice['why']}."


def _kept(run: Run) -> dict | None:
    """The choice of the run that is resumed."""
    resume = resume_from(run.training.resume_from_checkpoint)
    if not resume:
        return None
    path = (Path(resume).parent if isinstance(resume, str) else Path(run.training.output_dir)) / CHOICE
    if not path.is_file():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {"recipe": str(kept["recipe"]), "why": str(kept["why"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path}: the choice of the run to resume cannot be read ({error!r}); give the model with --encoder"
        ) from error


def _choose(run: Run) -> dict:
    training = run.training
    with training.main_process_first(desc="reading the corpus"):
        corpus = hold_out(read_corpora(run.data, tasks_of(run)), run.data.held_out, training.seed)
    if "train" not in corpus:
        return {"recipe": SPECTRA, "why": "no training clips"}  # which is refused by those who need them
    clips = draw_clips(corpus["train"], run.data.max_train_samples, training.seed)
    return choice_for(clips, bool(run.data.normalise_per_speaker or run.data.features_dir))


def choice_for(clips: Dataset, as_vectors: bool = False) -> dict[str, str]:
    """The recipe for these training clips, and why.

    Args:
        clips: with the column ``speaker`` where speakers are known.
        as_vectors: the run asks for what vectors alone have, such as ``normalise_per_speaker``.
    """
    counts: dict[str, int] = {}
    for speaker in clips["speaker"][:] if "speaker" in clips.column_names else []:
        if speaker:
            counts[speaker] = counts.get(speaker, 0) + 1
    speakers = "unknown speakers" if not counts else "one speaker" if len(counts) == 1 else f"{len(counts):,} speakers"
    why = f"{len(clips):,} training clips of {speakers}; "
    if len(clips) >= FEW_FOR_SCRATCH and not as_vectors:
        return {
            "recipe": NETWORK,
            "why": f"{why}from {FEW_FOR_SCRATCH:,} on, a network over the log-mel spectrum, from scratch, learns more "
            "than one over statistics of it",
        }
    if as_vectors:
        why += "normalise_per_speaker and features_dir are for vectors"
    else:
        why += f"under {FEW_FOR_SCRATCH:,}, statistics of spectra and a small network learn more than one from scratch"
    if counts and min(counts.values()) >= MANY_OF_A_SPEAKER and not as_vectors:
        why += (
            f"; every speaker has {MANY_OF_A_SPEAKER} clips or more: with --normalise_per_speaker true it learns more "
            "still, for who has all clips of a speaker at once later too"
        )
    return {"recipe": SPECTRA, "why": why}


def few_for_scratch(model: ModelArguments, train_clips: int) -> Iterator[str]:
    """A line where few clips train an encoder from scratch, with what else learns from them."""
    encoder = model.encoder
    if isinstance(encoder, dict) and encoder.get("kind") != "vector" and not model.model_path:
        if train_clips < FEW_FOR_SCRATCH:
            yield (
                f"  train: {train_clips:,} clips are few for an encoder from scratch; from under {FEW_FOR_SCRATCH:,}, "
                "statistics of spectra and a small network learn as much or more, and in less time, as --encoder auto "
                "chooses; or begin from a published encoder, for example --encoder facebook/hubert-base-ls960"
            )
