"""The files of a fusion: predictions, tables, the challenges' official files, and a record like a finished run's."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..experiment.baseline import to_record
from ..experiment.finished import FinishedRun, read_predictions
from ..experiment.recipes import FUSE
from ..experiment.results import versions, write_predictions
from ..experiment.run_record import RunRecord
from ..experiment.sections import DataArguments
from ..experiment.submitting import entered_clips, write_submission
from ..files import write_json, write_whole
from ..markdown import markdown_table
from ..scoring import answered_forms, score_tasks
from .aligning import Split
from .fusing import CHOOSING, Fusion

OPTIMISTIC = (
    "The weights were chosen on these validation clips, so the fused score on them is optimistic; quote {instead}."
)


def write_fusion(
    fusion: Fusion,
    systems: dict[str, FinishedRun],
    splits: dict[str, Split],
    folder: str | Path,
    data: DataArguments,
    recipe: dict | None = None,
) -> str:
    """``predictions_<split>.csv``, ``fusion.json``, ``fusion.md``, and of test the challenges' official files.

    Last ``metrics.json``, so that the folder is a finished run's, which a report shows and another fusion may take.

    Args:
        fusion, systems, splits: of ``fuse``, ``read_systems`` and ``label_splits``.
        folder: where to.
        data: what was read.
        recipe: of the fusion, as plain data, see ``FusionRecipe.to_dict``; None where runs were given by hand.

    Returns:
        The tables and notes of ``fusion.md``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = format_fusion(fusion, {name: len(split.file_ids) for name, split in splits.items()})
    submissions = []
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
            asked = (fusion.tasks, data, (file_ids, fused), split.table, unreadable, split.constant)
            written = [write_submission(folder, *asked, form) for form in answered_forms(fusion.tasks)]
            submissions = [submission for submission in written if submission is not None]
    text += "".join(f"\n\n{submission.summary()}." for submission in submissions)
    first = next(iter(systems.values())).record
    record = {
        "way": fusion.way,
        "corpora": first.corpora,
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
        **({"submissions": [asdict(submission) for submission in submissions]} if submissions else {}),
        "scores": {split: by_system["fused"] for split, by_system in fusion.scores.items()},
        "held_out": {"folds": fusion.folds, "scores": fusion.held_out} if fusion.held_out else None,
        "note": _note(fusion),
        "versions": versions(),
    }
    write_json(folder / "fusion.json", record)
    write_whole(folder / "fusion.md", text + "\n")
    constant = next(iter(splits.values())).constant
    RunRecord(
        corpora=first.corpora,
        recipe={
            **(recipe or {"description": _described(fusion), FUSE: {"runs": list(systems), "way": fusion.way}}),
            "data": first.recipe.get("data", {}),
            "model": {"tasks": [task.to_dict() for task in fusion.tasks]},
            "training": {"seed": first.seed},
        },
        seed=first.seed,
        clips={name: _counts(split) for name, split in splits.items()},
        scores=record["scores"],
        baseline={} if constant is None else {name: _guessed(splits[name], fusion.tasks) for name in fusion.scores},
        constant=to_record(constant),
        submissions=record.get("submissions", []),
        versions=record["versions"],
    ).write(folder)
    return text


def _described(fusion: Fusion) -> str:
    """One sentence for a fusion without a recipe."""
    how = {"weights": "weighted as validation says", "hybrid": "each task by its best on validation"}
    return f"fusion ({how.get(fusion.way, fusion.way)}) of {', '.join(fusion.systems)}"


def _counts(split: Split) -> dict[str, int]:
    scored = {} if split.references is None else {"scored": len(split.file_ids)}
    return {"used": len(split.file_ids) + len(split.partial), "skipped": 0, **scored}


def _guessed(split: Split, tasks) -> dict[str, float]:
    """The scores of the constant baseline."""
    answers = {name: np.tile(answer, (len(split.file_ids), 1)) for name, answer in split.constant.items()}
    return score_tasks(tasks, answers, split.references)


def _unreadable(systems: dict[str, FinishedRun], table: Sequence[str], data: DataArguments) -> list[str]:
    """The test clips that were unreadable to a run, as the table calls them: those that its record names, or, where it
    wrote no official file, as a run of one of ExVo's tasks does not, those that it skipped: its predictions lack
    exactly so many.
    """
    found: set[str] = set()
    challenge = {clip: table[place] for clip, place in entered_clips(table, data).items()}
    for run in systems.values():
        if run.record.submissions:
            named = {clip for written in run.record.submissions for clip in written.get("constant_baseline", [])}
            found |= {challenge[clip] for clip in named & challenge.keys()}
            continue
        lacking = set(table) - set(read_predictions(run.predictions_file("test"), run.tasks)[0])
        if len(lacking) == run.record.clips.get("test", {}).get("skipped"):
            found |= lacking
    return [clip for clip in table if clip in found]


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
        for row, scores in by_system.items():
            rows.append([row, *(f"{scores[name]:.3f}" if name in scores else "-" for name in names)])
        blocks.append(markdown_table(rows))
    return "\n\n".join([*blocks, *([note] if (note := _note(fusion)) else [])])


def _note(fusion: Fusion) -> str:
    if fusion.way not in CHOOSING:
        return ""
    quotable = (["its score on test"] if "test" in fusion.scores else []) + (
        ["the held-out one"] if fusion.held_out else []
    )
    return OPTIMISTIC.format(instead=" or ".join(quotable) or "neither it nor a difference to it: use --folds 5")
