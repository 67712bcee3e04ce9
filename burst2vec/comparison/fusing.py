"""Fusion of several finished runs: predictions aligned clip by clip, weighted on validation, scored and written.

Weights are chosen on the validation clips, so the fused score on the same clips is optimistic. The score to quote is
that on test, or on validation with the weights for each speaker chosen on the other speakers.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from ..data.collating import corpus_labels
from ..data.sampling import labels_present
from ..errors import RunError
from ..experiment.baseline import from_record, learn_constant
from ..experiment.finished import FinishedRun, names_of, read_predictions, read_run
from ..experiment.inputs import read_corpora
from ..experiment.recipes import corpora_of
from ..experiment.results import versions, write_predictions
from ..experiment.sections import DataArguments
from ..experiment.submitting import entered_clips, write_submission
from ..files import write_json, write_whole
from ..markdown import markdown_table
from ..scoring import score_tasks
from ..scoring.fusion import choose_best, choose_weights, even_weights, weighted
from ..tasks import Task

WAYS = ("weights", "hybrid", "mean")
FOLDS = 5  # where no test split is scored; our choice
AGREES = 1e-3  # between a run's own score and that of its file, which keeps six digits
OPTIMISTIC = (
    "The weights were chosen on these validation clips, so the fused score on them is optimistic; quote {instead}."
)


@dataclass(frozen=True)
class Split:
    """The clips that every system predicted, and beside them those that only some did.

    Attributes:
        file_ids: of the common clips, in the order of the first system's file.
        predictions: of these, one dictionary per system, by task.
        references: by task, see ``corpus_labels``; None where the split has no labels.
        speakers: of each common clip; "" where unknown.
        partial: ids of the other clips.
        partial_mean: of these, by task, the mean over the systems that predicted each, (clips, labels).
        table: the ids of all clips that the corpus has in this split.
        constant: the constant baseline's prediction, by task (1, labels); None where it is unknown.
    """

    file_ids: list[str]
    predictions: list[dict]
    references: dict | None = None
    speakers: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    partial_mean: dict[str, np.ndarray] = field(default_factory=dict)
    table: list[str] = field(default_factory=list)
    constant: dict[str, np.ndarray] | None = None


@dataclass(frozen=True)
class Fusion:
    """The result of a fusion.

    Attributes:
        way: ``"weights"``, ``"hybrid"`` (the best single system of each task) or ``"mean"``.
        systems: their names.
        tasks: the task records.
        weights: by task, one per system.
        fused: by split and task, the fused predictions.
        scores: by split, then by system, and ``"fused"``; splits without labels are not in it.
        held_out: of the fused system on validation clips, each by weights chosen on other speakers' clips; or None.
        folds: how many groups of speakers that was done with; 0 for none.
    """

    way: str
    systems: tuple[str, ...]
    tasks: tuple[Task, ...]
    weights: dict[str, list[float]]
    fused: dict[str, dict]
    scores: dict[str, dict[str, dict[str, float]]]
    held_out: dict[str, float] | None
    folds: int


def read_systems(folders: Sequence[str | Path]) -> dict[str, FinishedRun]:
    """Finished runs by name.

    Raises:
        RunError: fewer than two, a folder twice or without a finished run, or runs of other tasks than the first's.
    """
    if len(folders) < 2:
        raise RunError(f"fusion takes two runs or more, got {len(folders)}")
    systems = dict(zip(names_of(folders), map(read_run, folders), strict=True))
    (first, run), *others = systems.items()
    meant = {task.name: _meaning(task) for task in run.tasks}
    for name, other in others:
        found = {task.name: _meaning(task) for task in other.tasks}
        for task in sorted(set(meant) | set(found)):
            if meant.get(task) != found.get(task):
                raise RunError(
                    f"{name} and {first} differ in the task {task!r}: {found.get(task)} and {meant.get(task)}; "
                    "fuse runs of the same tasks"
                )
    return systems


def _meaning(task: Task) -> tuple:
    """What two systems must agree on; loss and span may differ, and labels are matched by name."""
    return task.kind, task.metric, task.unit, tuple(sorted(task.labels))


def align(systems: dict[str, FinishedRun], split: str) -> Split:
    """The systems' predictions of a split, row by row for the same clips.

    Runs may have skipped different clips as unreadable: weights and scores are of the common ones.

    Raises:
        RunError: a system without the file, or fewer than half of all clips in common.
    """
    tasks = next(iter(systems.values())).tasks
    read = {name: read_predictions(run.predictions_file(split), tasks) for name, run in systems.items()}
    rows_of = {name: {file_id: row for row, file_id in enumerate(own_ids)} for name, (own_ids, _) in read.items()}
    clips = list(dict.fromkeys(file_id for own_ids, _ in read.values() for file_id in own_ids))
    lacking = {file_id: [name for name in systems if file_id not in rows_of[name]] for file_id in clips}
    common = [file_id for file_id in clips if not lacking[file_id]]
    partial = [file_id for file_id in clips if lacking[file_id]]
    if 2 * len(common) < len(clips):
        raise RunError(
            f"{split}: only {len(common):,} of {len(clips):,} clips were predicted by all runs; "
            f"{lacking[partial[0]][0]} has no prediction of {partial[0]!r}, for example; fuse runs that predict the "
            "same clips"
        )
    aligned = [
        {task: values[[rows_of[name][file_id] for file_id in common]] for task, values in predictions.items()}
        for name, (_, predictions) in read.items()
    ]
    means = {task.name: np.empty((len(partial), len(task.labels))) for task in tasks}
    for row, file_id in enumerate(partial):
        having = [name for name in systems if name not in lacking[file_id]]
        for task, values in means.items():
            values[row] = np.mean([read[name][1][task][rows_of[name][file_id]] for name in having], axis=0)
    return Split(common, aligned, partial=partial, partial_mean=means)


def data_of(run: FinishedRun, data_dirs: Sequence[str] = (), **changes) -> DataArguments:
    """The data section of a run's recipe, with the folders that a published recipe leaves out.

    Args:
        data_dirs: one folder; or for a mixture ``NAME=FOLDER`` for each corpus, named as in the clips' ids.
        changes: other keys of the section; None leaves the recipe's.

    Raises:
        RunError: a recipe of other keys, or a folder for no corpus of the run.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    try:
        data = DataArguments(**{**run.record.recipe.get("data", {}), **given})
        names = list(corpora_of(data))
    except (TypeError, ValueError) as error:
        raise RunError(f"{run.folder}: its recipe's data cannot be read: {error}") from error
    folders = {}
    for text in data_dirs:
        name, equals, folder = text.partition("=")
        name, folder = (name, folder) if equals and name in names else (names[0], text)
        if name in folders or (data.mix is not None and folder is text):
            raise RunError(f"--data_dir {text}: the run reads {names}; give each as NAME=FOLDER, or one folder for one")
        folders[name] = folder
    if data.mix is None:
        data.data_dir = folders.get(names[0])
    else:
        data.mix = [{**corpus, "data_dir": folders.get(name)} for name, corpus in zip(names, data.mix, strict=True)]
    return data


def label_splits(splits: dict[str, Split], systems: dict[str, FinishedRun], data: DataArguments) -> dict[str, Split]:
    """The splits with the corpus's labels and speakers, where it has labels.

    Raises:
        RunError: a clip that the corpus does not have, or labels that give a system another score than its run
            recorded: they are not the labels of that run.
    """
    first = next(iter(systems.values()))
    tasks = first.tasks
    trained = first.record.recipe.get("training", {}).get("do_train", True)
    corpus = read_corpora(data, tasks, for_prediction=not trained)
    constant = (
        learn_constant(tasks, corpus["train"]) if "train" in corpus else from_record(first.record.constant, tasks)
    )
    labelled = {}
    for name, split in splits.items():
        dataset = corpus[name] if name in corpus else next(iter(corpus.values())).select([])
        table = dataset["file_id"][:]
        row_of = {file_id: row for row, file_id in enumerate(table)}
        file_ids = [*split.file_ids, *split.partial]
        if lacking := [file_id for file_id in file_ids if file_id not in row_of]:
            raise RunError(
                f"{name}: the corpus has no clip {lacking[0]!r} there, and lacks {len(lacking):,} of "
                f"{len(file_ids):,}; give the corpus of the runs with --data_dir"
            )
        for system, run in systems.items():
            own_ids, predictions = read_predictions(run.predictions_file(name), tasks)
            own = _references(dataset.select([row_of[file_id] for file_id in own_ids]), tasks)
            if own is not None:
                _refuse_other_labels(name, system, run, score_tasks(tasks, predictions, own))
        clips = dataset.select([row_of[file_id] for file_id in split.file_ids])
        speakers = [speaker or "" for speaker in clips["speaker"]]
        references = _references(clips, tasks)
        labelled[name] = replace(split, references=references, speakers=speakers, table=table, constant=constant)
    return labelled


def _references(clips, tasks) -> dict | None:
    references = corpus_labels(clips, tasks)
    return references if any(labels_present(of_task).any() for of_task in references.values()) else None


def _refuse_other_labels(split: str, system: str, run: FinishedRun, scores: dict[str, float]) -> None:
    own = run.record.scores.get(split, {})
    for name, value in scores.items():
        if name in own and abs(own[name] - value) > AGREES * max(1.0, abs(value)):
            raise RunError(
                f"{split}: {system} reached {name} {own[name]:.4f} in its run and {value:.4f} on these labels; it was "
                "another corpus, or the run's files were changed: give the corpus of the runs with --data_dir"
            )


def fuse(systems: Sequence[str], tasks, splits: dict[str, Split], way: str = "weights", folds: int | None = None):
    """Choose weights on validation and apply them to every split.

    Args:
        systems: their names, in the order of each split's predictions.
        tasks: the task records.
        splits: ``"validation"``, with references unless ``way`` is ``"mean"``, and ``"test"`` where there is one.
        way: one of ``WAYS``.
        folds: groups of speakers for the held-out score; 0 for none; by default 5 where test has no labels. The mean
            chooses nothing and needs none.

    Returns:
        The :class:`Fusion`.

    Raises:
        RunError: no labels to choose on, or folds that cannot be made.
    """
    if not splits:
        raise RunError("there is no split that all runs predicted; fuse runs with predictions of the same splits")
    scored = {name: split for name, split in splits.items() if split.references is not None}
    choose = {"weights": choose_weights, "hybrid": choose_best, "mean": None}[way]
    held_out = None
    if choose is None:
        folds = 0
        weights = {task.name: even_weights(len(systems)) for task in tasks}
    else:
        if "validation" not in scored:
            raise RunError(
                "weights are chosen on labelled validation clips, and there are none; --mean needs no labels"
            )
        folds = (0 if "test" in scored else FOLDS) if folds is None else folds
        weights = _chosen(choose, tasks, scored["validation"], slice(None), "validation")
        if folds:
            held_out, folds = _held_out(choose, tasks, scored["validation"], folds)
    fused = {name: weighted(split.predictions, weights) for name, split in splits.items()}
    scores = {
        name: {
            row: score_tasks(tasks, predictions, split.references)
            for row, predictions in zip((*systems, "fused"), (*split.predictions, fused[name]), strict=True)
        }
        for name, split in scored.items()
    }
    return Fusion(way, tuple(systems), tuple(tasks), weights, fused, scores, held_out, folds)


def _chosen(choose: Callable, tasks, split: Split, clips, where: str) -> dict[str, list[float]]:
    predictions = [{task: values[clips] for task, values in system.items()} for system in split.predictions]
    try:
        return choose(tasks, predictions, {task: values[clips] for task, values in split.references.items()})
    except ValueError as error:
        raise RunError(f"{where}: no weights can be chosen: {error}") from error


def _held_out(choose: Callable, tasks, split: Split, folds: int) -> tuple[dict[str, float], int]:
    """The score of all clips together, each fused by weights chosen without its speaker's fold; and how many folds."""
    fold_of = speaker_folds(split.speakers, split.file_ids, folds)
    fused = {task.name: np.empty_like(split.predictions[0][task.name]) for task in tasks}
    for fold in np.unique(fold_of):
        weights = _chosen(choose, tasks, split, fold_of != fold, f"without fold {fold} of the speakers (--folds 0)")
        for task, values in weighted(split.predictions, weights).items():
            fused[task][fold_of == fold] = values[fold_of == fold]
    return score_tasks(tasks, fused, split.references), int(fold_of.max()) + 1


def speaker_folds(speakers: Sequence[str], file_ids: Sequence[str], folds: int) -> np.ndarray:
    """The fold of each clip: all of a speaker in one, each fold about as many clips; the same every time.

    A clip without a speaker counts as a speaker of its own, as in the corpora. Speakers fewer than folds make fewer.

    Raises:
        RunError: fewer than two folds or speakers.

    Anna has three clips and fills a fold; Ben's two and Cem's one fill the other:

    >>> speaker_folds(["Ben", "Anna", "Anna", "Anna", "Ben", "Cem"], list("123456"), 2).tolist()
    [1, 0, 0, 0, 1, 1]
    """
    units = [speaker or f"\0{file_id}" for speaker, file_id in zip(speakers, file_ids, strict=True)]
    clips = Counter(units)
    folds = min(folds, len(clips))
    if folds < 2:
        raise RunError(f"held-out scores need 2 folds and speakers or more, got {folds}; --folds 0 goes without")
    sizes, fold_of = [0] * folds, {}
    for unit in sorted(clips, key=lambda unit: (-clips[unit], unit)):
        fold_of[unit] = sizes.index(min(sizes))
        sizes[fold_of[unit]] += clips[unit]
    return np.array([fold_of[unit] for unit in units])


def write_fusion(fusion: Fusion, systems: dict[str, FinishedRun], splits: dict[str, Split], folder, data) -> str:
    """``predictions_<split>.csv``, ``fusion.json``, ``fusion.md``, and for ExVo's tasks the submission of test.

    Returns:
        The tables and notes of ``fusion.md``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = format_fusion(fusion, {name: len(split.file_ids) for name, split in splits.items()})
    submission = None
    for name, split in splits.items():
        file_ids, fused = [*split.file_ids, *split.partial], fusion.fused[name]
        if split.partial:
            fused = {task: np.concatenate([values, split.partial_mean[task]]) for task, values in fused.items()}
            text += (
                f"\n\n{name}: {len(split.partial):,} of {len(file_ids):,} clips were not predicted by all runs; each "
                "has the mean of the runs that did, and is not scored."
            )
        write_predictions(folder / f"predictions_{name}.csv", fusion.tasks, file_ids, fused)
        if name == "test":
            unreadable = _unreadable(systems, split.table, data)
            submission = write_submission(
                folder, fusion.tasks, data, (file_ids, fused), split.table, unreadable, split.constant
            )
    if submission is not None:
        text += f"\n\n{submission.summary()}."
    record = {
        "way": fusion.way,
        "corpora": next(iter(systems.values())).record.corpora,
        "systems": [
            {
                "name": name,
                "seed": run.record.seed,
                "recipe": run.record.recipe,
                "scores": {split: by_system[name] for split, by_system in fusion.scores.items()},
            }
            for name, run in systems.items()
        ],
        "weights": {task: dict(zip(fusion.systems, of_task, strict=True)) for task, of_task in fusion.weights.items()},
        "clips": {name: len(split.file_ids) for name, split in splits.items()},
        "clips_of_some_runs": {name: len(split.partial) for name, split in splits.items()},
        **({"submission": asdict(submission)} if submission is not None else {}),
        "scores": {split: by_system["fused"] for split, by_system in fusion.scores.items()},
        "held_out": {"folds": fusion.folds, "scores": fusion.held_out} if fusion.held_out else None,
        "note": _note(fusion),
        "versions": versions(),
    }
    write_json(folder / "fusion.json", record)
    write_whole(folder / "fusion.md", text + "\n")
    return text


def _unreadable(systems: dict[str, FinishedRun], table: Sequence[str], data: DataArguments) -> list[str]:
    """The test clips that a run's record names as unreadable, as the table calls them."""
    named = {clip for run in systems.values() for clip in (run.record.submission or {}).get("constant_baseline", [])}
    return [table[place] for clip, place in entered_clips(table, data).items() if clip in named]


def format_fusion(fusion: Fusion, clips: dict[str, int]) -> str:
    """Markdown: the weights, the scores of each split, and which of them may be quoted."""
    rows = [["weights", *fusion.systems]]
    rows += [[task, *(f"{weight:.2f}" for weight in weights)] for task, weights in fusion.weights.items()]
    blocks = [markdown_table(rows)]
    for split, by_system in fusion.scores.items():
        names = [name for name in by_system["fused"] if "/" not in name]
        rows = [[f"{split}, {clips[split]:,} clips", *names]]
        if split == "validation" and fusion.held_out:
            label = f"fused, held out in {fusion.folds} folds of speakers"
            by_system = {**by_system, label: fusion.held_out}
        rows += [[row, *(f"{scores[name]:.3f}" for name in names)] for row, scores in by_system.items()]
        blocks.append(markdown_table(rows))
    return "\n\n".join([*blocks, *([note] if (note := _note(fusion)) else [])])


def _note(fusion: Fusion) -> str:
    if fusion.way == "mean":
        return ""
    quotable = (["its score on test"] if "test" in fusion.scores else []) + (
        ["the held-out one"] if fusion.held_out else []
    )
    return OPTIMISTIC.format(instead=" or ".join(quotable) or "neither it nor a difference to it: use --folds 5")
