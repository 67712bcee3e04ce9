"""What is wrong with a corpus, in sentences: what forbids a run, what it would survive, and what is worth knowing."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...tasks import Task
from ...waveforms import SAMPLING_RATE
from .facts import LOUDEST_DBFS

SEVERITIES = ("refused", "problem", "note")
ALL = "all"  # the name of the splits together
OFTEN_CLIPPED = 1e-3  # of a clip's samples: a decoder's overshoot touches full scale in a few, a recorder in many
_TASKS_ARE_NAMED = "name them in a recipe, check_corpus.py --recipe RECIPE.yaml, or in check_corpus(corpus, tasks)"
LEARNT_FROM = ("train", "validation")  # the splits that need labels and speakers


@dataclass(frozen=True)
class Remark:
    """Something to know before a run.

    Attributes:
        severity: ``"refused"``: a run must not start; ``"problem"``: it would, and its results may suffer; ``"note"``.
        text: one sentence with counts, and no name of a clip or speaker: it may be shared.
        names: whom it is about, with the reasons; for the console only.
    """

    severity: str
    text: str
    names: tuple[str, ...] = ()

    def with_names(self, most: int = 5) -> str:
        """The sentence and at most so many names.

        >>> Remark("problem", "2 of 9 clips are silent", ("00001", "00007")).with_names(most=1)
        '2 of 9 clips are silent: 00001; …'
        """
        if not self.names:
            return self.text
        return f"{self.text}: {'; '.join(self.names[:most])}" + ("; …" if len(self.names) > most else "")


def find_remarks(
    facts: dict, tasks: tuple[Task, ...], clips: pd.DataFrame, flagged: pd.DataFrame, duplicates: pd.DataFrame, allow
) -> tuple[Remark, ...]:
    """All remarks on a corpus, the refusals first.

    Args:
        facts: by split, and ``"all"``, of ``split_facts``.
        tasks: whose labels were looked at.
        clips: of ``clip_table``.
        flagged: which clips and speakers the remarks name: ``split``, ``name``, ``finding``, ``detail``.
        duplicates: of ``find_duplicates``.
        allow: whether speakers in two splits are a problem only.
    """
    named = {finding: list(rows.itertuples()) for finding, rows in flagged.groupby("finding", sort=False)}
    remarks = [
        *_on_speakers(facts, named, allow),
        *_on_sound(facts, clips, named),
        *_on_duplicates(duplicates),
        *_on_labels(facts, tasks),
        *_on_losses(facts, named),
    ]
    return tuple(sorted(remarks, key=lambda remark: SEVERITIES.index(remark.severity)))


def _on_speakers(facts: dict, named: dict, allow: bool) -> Iterator[Remark]:
    if shared := named.get("shared speaker"):
        them = "1 speaker is" if len(shared) == 1 else f"{len(shared):,} speakers are"
        mend = "" if allow else "; give each speaker one split, or continue with allow_shared_speakers"
        text = f"{them} in more than one split, where scores tell of voices that were trained on{mend}"
        names = tuple(f"{row.name} ({row.split})" for row in shared)
        yield Remark("problem" if allow else "refused", text, names)
    for split in LEARNT_FROM:
        if split in facts and facts[split]["unnamed"]:
            counts = _of(facts[split]["unnamed"], facts[split]["clips"])
            yield Remark("note", f"{split}: {counts} name no speaker; one in two splits could not be seen")


def _on_sound(facts: dict, clips: pd.DataFrame, named: dict) -> Iterator[Remark]:
    for split in facts:
        unreadable, total = facts[split]["unreadable"], facts[split]["clips"]
        if unreadable and split != ALL:
            many = 2 * unreadable > total  # as check_clips has it
            reasons = tuple(row.detail for row in named["unreadable"] if row.split == split)
            text = f"{split}: {_of(unreadable, total)} cannot be read" + (", too many to skip" if many else "")
            yield Remark("refused" if many else "problem", text, reasons)
    total = facts[ALL]["clips"]
    if silent := named.get("silent"):
        text = f"{_of(len(silent), total)} are silent: below -60 dBFS in every 20 ms"
        yield Remark("problem", text, tuple(row.name for row in silent))
    if loud := named.get("too loud"):
        scaled = "their samples are not scaled to -1..1, or their header is wrong"
        text = f"{_of(len(loud), total)} are louder than full scale allows, over {LOUDEST_DBFS:+g} dBFS: {scaled}"
        yield Remark("problem", text, tuple(f"{row.name} ({row.detail})" for row in loud))
    if doubtful := named.get("doubtful header"):
        text = f"{_of(len(doubtful), total)} have a header that contradicts itself, and may be read to another sound"
        yield Remark("problem", text, tuple(f"{row.name} ({row.detail})" for row in doubtful))
    if clipped := named.get("clipped"):
        often = int((clips["clipped"] > OFTEN_CLIPPED * SAMPLING_RATE * clips["seconds"]).sum())
        text = f"{_of(len(clipped), total)} reach full scale, {often:,} of them in more than 0.1 % of their samples"
        yield Remark("problem" if often else "note", text, tuple(row.name for row in clipped))


def _on_duplicates(duplicates: pd.DataFrame) -> Iterator[Remark]:
    across, other = duplicates["across_splits"].to_numpy(), duplicates["other_labels"].to_numpy()
    for rows, text in (
        (across, "sound exactly like one of another split: what was trained on is scored"),
        (other, "sound exactly like one that has other labels"),
        (~across & ~other, "sound exactly like another of their split"),
    ):
        if rows.any():
            yield Remark("problem", f"{np.count_nonzero(rows):,} clips {text}")


def _on_labels(facts: dict, tasks: tuple[Task, ...]) -> Iterator[Remark]:
    if not tasks:
        yield Remark("note", f"labels were not looked at, for lack of tasks; {_TASKS_ARE_NAMED}")
    for split in LEARNT_FROM:
        if split not in facts:
            continue
        total = facts[split]["clips"]
        if total == 1:
            yield Remark("problem", f"{split}: has 1 clip, too few to learn or score anything by")
        for task in tasks:
            found = facts[split]["labels"][task.name]
            classes = found["classes"] if task.kind == "classification" else {}
            missing = (
                {task.name: found["missing"]}
                if classes
                else {label: value["missing"] for label, value in found.items()}
            )
            fewest, most = min(missing.values()), max(missing.values())
            if fewest == total:
                yield Remark("problem", f"{split}: no clip has the label of the task {task.name}")
                continue
            if fewest:
                yield Remark("note", f"{split}: {_of(fewest, total)} lack the label of the task {task.name}")
            if most > fewest:
                rarest = [label for label, count in missing.items() if count == most]
                yield Remark("note", f"{split}: {_of(most, total)} lack {', '.join(rarest)} ({task.name})")
            absent = [label for label, count in classes.items() if not count["clips"]]
            constant = [] if classes else [label for label, value in found.items() if value["min"] == value["max"]]
            if absent and total > 1:
                yield Remark("problem", f"{split}: no clip of {', '.join(absent)} ({task.name})")
            if constant and total - fewest > 1:
                yield Remark("problem", f"{split}: all clips have one value of {', '.join(constant)} ({task.name})")


def _on_losses(facts: dict, named: dict) -> Iterator[Remark]:
    dropped = [row for row in named.get("labels dropped", ()) if row.split in facts]
    for split in dict.fromkeys(row.split for row in dropped):
        reasons = {row.name: row.detail for row in dropped if row.split == split}  # a clip may be in several tables
        total = facts[split]["clips"]
        text = f"{split}: {_of(len(reasons), total)} have labels that cannot all be read, and lose those of their table"
        yield Remark("note" if len(reasons) == total else "problem", text, tuple(reasons.values()))  # all: placeholders
    if unread := named.get("not read"):
        them = "1 file in the corpus's folder is" if len(unread) == 1 else f"{len(unread):,} files in its folder are"
        yield Remark("note", f"{them} no clip of it", tuple(row.name for row in unread))


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} clips"
