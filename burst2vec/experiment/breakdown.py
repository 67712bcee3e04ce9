"""What stands behind a split's scores: their spread over speakers, the worst of these and of the classes.

It is kept in the run's record as plain data, and put into words for its model card.
"""

from collections.abc import Sequence

import numpy as np

from ..markdown import markdown_table, markdown_text
from ..scoring.by_speaker import bootstrap_interval, score_of, speaker_sums
from ..tasks import Task

FEWEST_SPEAKERS = 5  # of fewer, an interval and a worst one say nothing
WORST = 5


def by_speaker(
    tasks: Sequence[Task], predictions: dict, labels: dict, speakers: Sequence[str], named: bool
) -> dict[str, dict]:
    """By task, a score's interval over speakers, its worst, median and best speaker, and the classes of lowest recall.

    Args:
        tasks: the task records.
        predictions: by task (clips, labels), a regression in its unit, or probabilities.
        labels: by task, as ``corpus_labels`` gives them.
        speakers: whose clip it is, (clips,).
        named: whether the speakers' ids may be told.

    Returns:
        Plain data; nothing of a task that fewer than five speakers have labels of.
    """
    found = {}
    for task in tasks:
        sums = speaker_sums(task, predictions[task.name], labels[task.name], speakers)
        if len(sums.speakers) < FEWEST_SPEAKERS:
            continue
        scores = score_of(sums.sums, sums.metric)
        order = np.argsort(scores if task.metric != "mae" else -scores, kind="stable")
        found[task.name] = {
            "score": task.score_name,
            "all": float(score_of(sums.sums.sum(axis=0), sums.metric)),
            "interval": list(bootstrap_interval(sums)),
            "speakers": len(sums.speakers),
            "worst": [
                [sums.speakers[place] if named else None, float(scores[place]), int(sums.clips[place])]
                for place in order[:WORST]
            ],
            "median": float(np.median(scores)),
            "best": float(scores[order[-1]]),
        }
        if task.kind == "classification":
            found[task.name]["worst_classes"] = _worst_classes(task, predictions[task.name], labels[task.name])
    return found


def _worst_classes(task: Task, probabilities, classes) -> list[list]:
    """[class, recall, clips, the class that it is most often taken for], of the lowest recalls."""
    predicted, classes = np.asarray(probabilities).argmax(axis=1), np.asarray(classes)
    rows = []
    for place, label in enumerate(task.labels):
        if (of_class := classes == place).any():
            counts = np.bincount(predicted[of_class], minlength=len(task.labels))
            recall, counts[place] = counts[place] / counts.sum(), 0
            taken_for = task.labels[int(counts.argmax())] if counts.any() else None
            rows.append([label, float(recall), int(of_class.sum()), taken_for])
    return sorted(rows, key=lambda row: row[1])[:WORST]


def spread_text(found: dict[str, dict]) -> str:
    """Markdown of what ``by_speaker`` gives."""
    if not found:
        return ""
    rows = [("score", "all clips", "95 % interval", "worst speaker", "median speaker", "best speaker")]
    for told in found.values():
        low, high = told["interval"]
        each = (told["worst"][0][1], told["median"], told["best"])
        rows.append(
            (told["score"], f"{told['all']:.3f}", f"{low:.3f} to {high:.3f}", *(f"{score:.3f}" for score in each))
        )
    speakers = max(told["speakers"] for told in found.values())
    parts = [
        f"Intervals are of the {speakers:,} speakers, drawn 2,000 times with replacement and with all of their clips "
        "(percentile bootstrap); another speaker may fare like the worst of these.",
        markdown_table(rows, "<>>>>>"),
    ]
    for name, told in found.items():
        if told["worst"][0][0] is not None:
            worst = [(speaker, f"{score:.3f}", f"{clips:,}") for speaker, score, clips in told["worst"]]
            parts += [f"Speakers of the worst {markdown_text(told['score'])}:"]
            parts += [markdown_table([("speaker", told["score"], "clips"), *worst], "<>>")]
        if classes := told.get("worst_classes"):
            worst = [(label, f"{recall:.3f}", f"{clips:,}", taken or "-") for label, recall, clips, taken in classes]
            parts += [f"Classes of {markdown_text(name)} with the lowest recall:"]
            parts += [markdown_table([("class", "recall", "clips", "most often taken for"), *worst], "<>><")]
    return "\n\n".join(parts)
