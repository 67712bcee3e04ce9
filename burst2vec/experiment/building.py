"""What a run needs before its first step: an output folder of its own, and a model."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from ..audio import Transform, read_transforms
from ..configuration_burst2vec import Burst2VecConfig
from ..errors import CorpusError, RunError
from ..feature_extraction_burst2vec import Burst2VecFeatureExtractor
from ..features import FEATURE_FAMILIES, FEATURE_SETS, find_feature_set, public_name
from ..features.embeddings import pretrained_level
from ..files import remove_drafts
from ..locks import LOCK
from ..modeling_burst2vec import Burst2VecForMultiTask
from ..shipped_models import place_of
from ..tasks import Task, resolve_tasks
from ..training.agreement import ask_main, locked_by_main
from ..training.checkpoints import find_checkpoint
from .sections import PARTS, ModelArguments


def resume_from(asked: str | None) -> str | bool | None:
    """``--resume_from_checkpoint true`` is the newest checkpoint of the output folder; else a checkpoint's folder."""
    return {"true": True, "false": None, "": None}.get((asked or "").lower(), asked)


@contextmanager
def claim_folder(
    folder: Path,
    resume: str | bool | None,
    option: str = "--output_dir",
    resumed_by: str | None = "--resume_from_checkpoint true",
) -> Iterator[None]:
    """The folder is this run's alone while the ``with`` block lasts, and holds no other run's files.

    The main process locks and checks it; the other processes receive the result. A run that was killed holds no lock.

    Args:
        folder: of the run.
        resume: whether it resumes, see ``resume_from``.
        option: what names the folder on the command line.
        resumed_by: what resumes on the command line; None where nothing does.

    Raises:
        RunError: a file; or the folder holds files and the run does not resume.
        FolderInUseError: another living run writes into it.
        WriteError: a folder that cannot be written into.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; give a folder with {option}")
    with locked_by_main(folder):
        ask_main(lambda: _clear_or_refuse(folder, resume, option, resumed_by))
        yield


def _clear_or_refuse(folder: Path, resume: str | bool | None, option: str, resumed_by: str | None) -> None:
    if resume:
        for place in (folder, folder / "plots"):
            remove_drafts(place)  # which the run left when it was killed
    elif any(path.name != LOCK for path in folder.iterdir()):
        resuming = f"resume its run with {resumed_by}, or " if resumed_by else ""
        raise RunError(f"output folder {folder} is not empty; {resuming}give another folder with {option}")


def checkpoint_to_resume(folder: Path, resume: str | bool | None, with_best: bool) -> Path | None:
    """The whole checkpoint that a run resumes, the same in every process; None where it starts at the beginning.

    Args:
        folder: of the run.
        resume: as ``resume_from`` gives it.
        with_best: whether the run is to end with its best checkpoint's weights.

    Raises:
        CheckpointError: the checkpoint asked for is not whole, or none is.
    """
    return ask_main(lambda: find_checkpoint(folder, resume, with_best)[0]) if resume else None


def build_model(
    arguments: ModelArguments,
    steps: Sequence[Transform] | None = None,
    normalise_per_speaker: bool | None = None,
    vector_size: int | None = None,
) -> tuple[Burst2VecForMultiTask, Burst2VecFeatureExtractor]:
    """The model that the recipe describes, or the saved one at ``model_path``, and its feature extractor.

    Args:
        steps: of preprocessing, as in the recipe; None for those that a saved model was trained with.
        normalise_per_speaker: whether vectors are normalised per speaker; None for what a saved model was trained with.
        vector_size: numbers in a vector, of a model that takes ``features``; None while it is unknown: the model is
            then built for vectors of one number, to check that it can be built.

    Raises:
        RunError: no encoder, features without an encoder of vectors or the reverse, or a saved model with other tasks,
            parts, preprocessing or features than the recipe's.
        CorpusError: an unknown feature set.
    """
    settings = _extractor_settings(arguments)
    features = feature_names(arguments.features)
    if arguments.model_path is not None:
        extractor = read_saved(arguments, steps, normalise_per_speaker, vector_size, **settings)
        return load_model(arguments.model_path), extractor
    settings["preprocess"] = [step.to_dict() for step in steps or ()]
    if arguments.encoder is None:
        raise RunError(
            'no encoder is named; give --encoder facebook/hubert-base-ls960, or --encoder \'{"model_type": "hubert"}\' '
            "to start from scratch, or --model_path with a saved model"
        )
    encoder = arguments.encoder
    if features or normalise_per_speaker or (isinstance(encoder, dict) and encoder.get("kind") == "vector"):
        encoder = _vector_encoder(encoder, features, settings, vector_size)
        settings |= {
            "target_rms_dbfs": None,
            "features": list(map(public_name, features)),
            "feature_size": encoder["features"],
            "normalise_per_speaker": bool(normalise_per_speaker),
        }
    try:
        if isinstance(encoder, dict):
            model = Burst2VecForMultiTask(Burst2VecConfig(encoder_config=encoder, **arguments.for_config()))
        else:
            model = Burst2VecForMultiTask.from_encoder_pretrained(encoder, **arguments.for_config())
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:  # no such checkpoint, or none that fits
        raise RunError(f"the recipe's model: {error}") from error
    return model, Burst2VecFeatureExtractor(**settings)


def _extractor_settings(arguments: ModelArguments) -> dict:
    """What the feature extractor does to a clip, where the recipe says it; a saved model, or encoder, keeps its own."""
    level, cut, encoder = arguments.target_rms_dbfs, arguments.trim_below_db, arguments.encoder
    if arguments.model_path is None and isinstance(encoder, str) and _is_saved_model(encoder):
        level = "checkpoint" if level is None else level  # its encoder knows no other
        cut = load_extractor(encoder).trim_below_db if cut is None else cut
    return _level_settings(arguments, level) | ({} if cut is None else {"trim_below_db": cut})


def _level_settings(arguments: ModelArguments, level: float | str | None) -> dict:
    encoder = arguments.encoder
    if level is None or (level == "checkpoint" and arguments.model_path is not None):
        return {}
    if level == "checkpoint" and isinstance(encoder, str):
        try:
            return {"target_rms_dbfs": pretrained_level(encoder)}
        except (OSError, ValueError, CorpusError) as error:
            raise RunError(f"target_rms_dbfs checkpoint: {encoder}: {error}; give unit variance, or off") from error
    return {"target_rms_dbfs": None if level in ("off", "checkpoint") else level}  # a fresh encoder wants none


def _is_saved_model(encoder: str) -> bool:
    """Whether an encoder is that of a saved Burst2Vec model."""
    try:
        return Burst2VecConfig.get_config_dict(encoder)[0].get("model_type") == Burst2VecConfig.model_type
    except (OSError, ValueError) as error:
        raise RunError(f"the recipe's model: {error}") from error


def read_saved(
    arguments: ModelArguments,
    steps: Sequence[Transform] | None = None,
    normalise_per_speaker: bool | None = None,
    vector_size: int | None = None,
    **settings,
) -> Burst2VecFeatureExtractor:
    """The feature extractor of the saved model at ``model_path``, after a comparison of both with the recipe.

    Args:
        arguments, steps, normalise_per_speaker, vector_size: as ``build_model`` has them.
        settings: of the extractor, which replace the saved ones.

    Raises:
        RunError: no saved model, or one with other tasks, parts, preprocessing or features than the recipe's.
    """
    where = arguments.model_path
    refuse_other_tasks(where, arguments.task_records)
    extractor = load_extractor(where, **settings)
    _refuse_other_parts(arguments)
    saved = read_transforms(extractor.preprocess)
    if steps is not None and tuple(steps) != saved:
        raise RunError(
            f"{where} was trained on clips after the steps {_listed(saved)}, but the recipe asks for {_listed(steps)}; "
            "leave preprocess out to take the model's own"
        )
    _refuse_other_vectors(extractor, where, feature_names(arguments.features), normalise_per_speaker, vector_size)
    return extractor


def load_model(folder: str | Path) -> Burst2VecForMultiTask:
    """Load a saved model from a folder: safetensors only, and with all of its weights.

    Raises:
        RunError: no saved Burst2Vec model, or one whose weights are damaged, not all there or not finite.
    """
    saved_tasks(folder)
    told = logging.getLogger("transformers.modeling_utils")
    told.addFilter(_is_error)
    try:
        return Burst2VecForMultiTask.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise RunError(f"the model {folder} cannot be used: {error}") from error
    finally:
        told.removeFilter(_is_error)


def _is_error(record: logging.LogRecord) -> bool:
    """Leaves out transformers' table of missing weights, which our error sums up."""
    return record.levelno >= logging.ERROR


def load_extractor(folder: str | Path, **settings) -> Burst2VecFeatureExtractor:
    """The feature extractor of a saved model, with ``settings`` instead of the saved ones.

    Raises:
        RunError: there is none, or it is damaged.
    """
    try:
        return Burst2VecFeatureExtractor.from_pretrained(folder, **settings)
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"the feature extractor of {folder} cannot be used: {error}") from error


def saved_tasks(folder: str | Path) -> tuple[Task, ...]:
    """The tasks of a saved model or checkpoint, from its configuration alone.

    Raises:
        RunError: the folder holds no Burst2Vec model, or its configuration is damaged.
    """
    try:
        file = Path(place_of(folder)) / "config.json"
    except FileNotFoundError as error:
        raise RunError(str(error)) from error
    if not file.is_file():
        raise RunError(f"{folder} holds no config.json: give the folder of a saved Burst2Vec model")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        if config["model_type"] != Burst2VecConfig.model_type:
            raise RunError(f"it describes a {config['model_type']} model, not a {Burst2VecConfig.model_type} model")
        return resolve_tasks(config.get("tasks") or "exvo")  # the configuration's default
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunError(f"{file} cannot be used: {type(error).__name__}: {error}") from error


def feature_names(asked: list | str | None) -> list[str]:
    """A recipe's ``features`` as a list of names.

    >>> feature_names("compare"), feature_names(["egemaps", "compare"]), feature_names(None)
    (['compare'], ['egemaps', 'compare'], [])

    Raises:
        RunError: a name that is no text, or twice there.
        CorpusError: an unknown feature set; lists the known.
    """
    names = [asked] if isinstance(asked, str) else list(asked or ())
    for place, name in enumerate(names):
        if not isinstance(name, str) or name in names[:place]:
            raise RunError(f"features {names}: must be names, each once, such as [compare, egemaps]")
        if name not in FEATURE_SETS and name.partition(":")[0] not in FEATURE_FAMILIES:
            find_feature_set(name)  # raises, and lists the known
    return names


def _vector_encoder(encoder, features: list[str], settings: dict, vector_size: int | None) -> dict:
    """The recipe's encoder of vectors with its size filled in."""
    if not features:
        raise RunError(
            "the encoder {kind: vector} takes vectors of feature sets; name them, for example --features compare"
        )
    if not isinstance(encoder, dict) or encoder.get("kind") != "vector":
        raise RunError(f"the features {features} need the encoder {{kind: vector}}, but the recipe has {encoder!r}")
    for key in ("target_rms_dbfs", "trim_below_db"):
        if (value := settings.get(key)) is not None:
            value = value if isinstance(value, str) else f"{value:g}"
            raise RunError(
                f"{key} {value}: features are computed of clips as they are; leave it out, and put a transform such as "
                "normalise_peak or trim_silence into preprocess"
            )
    if vector_size is not None and encoder.get("features", vector_size) != vector_size:
        raise RunError(
            f"the recipe's encoder has features {encoder['features']}, but the vectors of {features} have "
            f"{vector_size} numbers; leave it out, and the run fills it in"
        )
    return {"features": vector_size or 1, **encoder}


def _refuse_other_vectors(
    saved: Burst2VecFeatureExtractor, where: str, features: list[str], per_speaker: bool | None, size: int | None
) -> None:
    asked = list(map(public_name, features))
    if features and asked != saved.features:
        taken = f"vectors of {saved.features}" if saved.features else "waveforms"
        raise RunError(
            f"{where} takes {taken}, but the recipe has the features {asked}; leave features out to take the model's"
        )
    if per_speaker is not None and per_speaker != saved.normalise_per_speaker:
        raise RunError(
            f"{where} was trained with normalise_per_speaker {saved.normalise_per_speaker}, but the recipe has "
            f"{per_speaker}; leave it out to take the model's own"
        )
    if size is not None and size != saved.feature_size:
        raise RunError(
            f"{where} takes vectors of {saved.feature_size} numbers, but those of {saved.features} have {size} here: "
            "the feature sets, or the tables, are not those that it was trained on"
        )


def _listed(steps: Sequence[Transform]) -> str:
    return "[" + ", ".join(map(str, steps)) + "]"


def refuse_other_tasks(saved: str | Path, tasks: Sequence[Task] | None) -> None:
    """Compare the recipe's tasks with those of a saved model or checkpoint, before its weights are read.

    Raises:
        RunError: there is no model, or it has another task set; both are named.
    """
    found = saved_tasks(saved)
    if tasks is not None and found != tuple(tasks):
        raise RunError(
            f"{saved} was trained on the tasks {_named(found)}, but the recipe asks for "
            f"{_named(tasks)}; take the recipe that it was trained with (its folder has it as "
            "recipe.yaml), or train a new model"
        )


def _named(tasks: Sequence[Task]) -> str:
    return "[" + ", ".join(f"{task.name} ({task.kind}, {len(task.labels)})" for task in tasks) + "]"


def _refuse_other_parts(arguments: ModelArguments) -> None:
    """Compare the model's settings that the recipe gives with the saved configuration."""
    where = arguments.model_path
    given = {name: value for name, value in arguments.for_config().items() if name != "tasks"}
    try:
        saved = Burst2VecConfig.from_pretrained(where)
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"the model {where} cannot be used: {error}") from error
    try:
        asked = Burst2VecConfig(saved.encoder_config, saved.tasks, **given)
    except ValueError as error:
        raise RunError(f"the recipe's model: {error}") from error
    other = []
    for name, value in given.items():
        if name not in PARTS:
            pairs = [(name, getattr(saved, name), getattr(asked, name))]
        else:
            said = list(value) if isinstance(value, dict) else ["kind"]
            kept = getattr(saved, name) or {}  # a saved model may have no recurrent part
            pairs = [(f"{name}.{key}", kept.get(key), getattr(asked, name)[key]) for key in said]
        other += [f"{key} {kept}, not {wanted}" for key, kept, wanted in pairs if kept != wanted]
    if other:
        raise RunError(
            f"{where} was saved with {', '.join(other)} as the recipe asks; take the recipe that it was trained with "
            "(its folder has it as recipe.yaml)"
        )
