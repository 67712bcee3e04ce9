"""A corpus looked over before a model learns from it: what is in it, what is wrong with it, and what forbids a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from datasets import Dataset

from ...errors import CorpusError
from ...tasks import Task, resolve_tasks
from ..clips import CLIPPED_FROM, examine_clips, unexamined
from ..corpora.label_tables import Lost
from ..corpora.splits import speaker_key
from ..processes import usable_cores
from .duplicates import find_duplicates
from .facts import LOUDEST_DBFS, clip_table, column_of, labels_of, split_facts
from .remarks import ALL, Remark, find_remarks

_CLIPS_PER_PROCESS = 100  # fewer are decoded sooner than another process starts
_NAMES_IN_AN_ERROR = 20


@dataclass(frozen=True)
class CorpusCheck:
    """What ``check_corpus`` found.

    Attributes:
        tasks: whose labels were looked at.
        clips: one row per clip, all splits, as ``clip_table`` has them; no clip's name.
        labels: by task, as ``labels_of`` has them; rows as in ``clips``.
        facts: by split, and ``"all"`` of them together, as ``split_facts`` counts them, and ``duplicates``.
        remarks: the refusals first, then problems, then notes.
        flagged: ``split``, ``name``, ``finding``, ``detail``: which clips and speakers the remarks are about, and the
            files that could not be read. For whoever mends the corpus; under an agreement such as HUME-VB's it stays
            with those who signed.
    """

    tasks: tuple[Task, ...]
    clips: pd.DataFrame
    labels: dict[str, np.ndarray]
    facts: dict[str, dict]
    remarks: tuple[Remark, ...]
    flagged: pd.DataFrame

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in self.facts if split != ALL)

    @property
    def status(self) -> int:
        """0: nothing wrong; 1: problems that a run survives; 2: refused. The exit status of check_corpus.py."""
        return {"refused": 2, "problem": 1}.get(self.remarks[0].severity if self.remarks else "", 0)

    def raise_if_refused(self) -> None:
        """Raise CorpusError with all that forbids a run, by name."""
        refusals = [remark for remark in self.remarks if remark.severity == "refused"]
        if refusals:
            raise CorpusError(". ".join(remark.with_names(_NAMES_IN_AN_ERROR) for remark in refusals))

    def summary(self) -> str:
        """A line for each split and each remark, for a console: it names the first clips and speakers concerned."""
        lines = []
        for split in self.splits:
            facts = self.facts[split]
            parts = [
                f"{facts['clips']:,} clips",
                *([facts["duration"]] if facts["seconds"] or facts["unreadable"] else []),
            ]
            if facts["speakers"]:
                parts.append(f"{facts['speakers']:,} speakers")
            if facts["seconds"]:
                parts.append("{min:.2f} to {max:.2f} s".format(**facts["seconds"]))
            if facts["level_dbfs"]:
                parts.append("median level {median:.1f} dBFS".format(**facts["level_dbfs"]))
            lines.append(f"{split}: {', '.join(parts)}")
        return "\n".join([*lines, *(f"  {remark.severity}: {remark.with_names()}" for remark in self.remarks)])

    def to_dict(self) -> dict:
        """Remarks and facts as plain data without a name in them, to be written as JSON; None where undefined."""
        remarks = [{"severity": remark.severity, "text": remark.text} for remark in self.remarks]
        return {"status": self.status, "remarks": remarks, "splits": self.facts}


def check_corpus(
    corpus: dict[str, Dataset],
    tasks: str | Sequence[Task],
    num_proc: int | None = None,
    allow_shared_speakers: bool = False,
    lost: Sequence[Lost] = (),
    sound: bool = True,
) -> CorpusCheck:
    """Look over every clip, speaker and label of a corpus.

    Sound is decoded once: what ``check_clips`` or an earlier check has cached of the same splits is found again.

    Args:
        corpus: from ``load_bursts``: by split, with columns ``file_id``, ``audio``, ``speaker`` and one for each task;
            without ``speaker`` nobody is named, and without a task's column nothing has its label.
        tasks: whose labels to look at: a preset's name, or records; an empty list looks at none, and says so.
        num_proc: processes to decode with; by default as many as there are cores.
        allow_shared_speakers: make speakers in two splits a problem instead of a refusal.
        lost: of ``lost_in_reading``: what stands in the corpus's folder and is not in ``corpus``.
        sound: False where nobody needs it: no file is looked for, and nothing is measured of the clips.

    Raises:
        CorpusError: no split, a split without clips, or one that is streamed. What the check itself refuses raises
            nothing here: see ``CorpusCheck.raise_if_refused``.
    """
    tasks = resolve_tasks(tasks) if len(tasks) else ()
    if not corpus:
        raise CorpusError("there is nothing to check: the corpus has no split")
    for split, dataset in corpus.items():
        if not isinstance(dataset, Dataset):
            raise CorpusError(f"split {split}: a {type(dataset).__name__} is not checked; load it with streaming=False")
        if not len(dataset):
            raise CorpusError(f"split {split}: has no clips; leave it out, or fill it")
    findings = pa.concat_tables(
        (examine_clips(dataset, _processes(len(dataset), num_proc)) if sound else unexamined(dataset)).with_format(
            "arrow"
        )[:]
        for dataset in corpus.values()
    )
    clips = clip_table(corpus, findings)
    labels = {task.name: np.concatenate([labels_of(dataset, task) for dataset in corpus.values()]) for task in tasks}
    sounding = clips["readable"].to_numpy() & (clips["peak"].to_numpy() > 0)  # silence of one length is no duplicate
    split_of = clips["split"].cat.codes.to_numpy()
    duplicates = find_duplicates(findings["digest"].to_numpy(), sounding, split_of, labels)

    facts = {}
    for number, split in enumerate((*corpus, ALL)):
        rows = np.flatnonzero((split_of == number) | (split == ALL))
        facts[split] = split_facts(clips.iloc[rows], {name: values[rows] for name, values in labels.items()}, tasks)
        facts[split]["duplicates"] = int(np.isin(rows, duplicates["row"]).sum())
    flagged = pd.DataFrame(
        [*_flagged(corpus, clips, findings, duplicates), *lost], columns=["split", "name", "finding", "detail"]
    )
    remarks = find_remarks(facts, tasks, clips, flagged, duplicates, allow_shared_speakers)
    return CorpusCheck(tasks, clips, labels, facts, remarks, flagged)


def _processes(clips: int, num_proc: int | None) -> int | None:
    if num_proc is None:
        num_proc = min(usable_cores(), clips // _CLIPS_PER_PROCESS)
    return num_proc if num_proc > 1 else None


def _flagged(corpus, clips: pd.DataFrame, findings: pa.Table, duplicates: pd.DataFrame) -> Iterator[tuple]:
    """Rows of (split, name, finding, detail)."""
    seen = clips[["speaker", "split"]].dropna().drop_duplicates().sort_values(["speaker", "split"])
    for _, rows in seen.groupby(seen["speaker"].map(speaker_key).astype(str), sort=False):
        splits, spellings = list(dict.fromkeys(rows["split"])), list(dict.fromkeys(rows["speaker"]))
        if len(splits) > 1:
            name = spellings[0] if len(spellings) == 1 else " = ".join(map(repr, spellings))
            yield ", ".join(splits), name, "shared speaker", ""

    file_ids = pa.chunked_array(
        [chunk for dataset in corpus.values() for chunk in column_of(dataset, "file_id").cast(pa.string()).chunks]
    )

    def flag(finding, rows, details):
        names = file_ids.take(pa.array(rows)).to_pylist()
        yield from zip(clips["split"].iloc[rows], names, [finding] * len(rows), details, strict=True)

    unreadable = np.flatnonzero(~clips["readable"])
    silent = np.flatnonzero(clips["silent"])
    clipped = np.flatnonzero(clips["clipped"] > 0)
    loud = np.flatnonzero(clips["level_dbfs"] > LOUDEST_DBFS)
    doubtful = np.flatnonzero(clips["doubtful"])
    yield from flag("unreadable", unreadable, findings["problem"].take(pa.array(unreadable)).to_pylist())
    yield from flag("doubtful header", doubtful, findings["doubt"].take(pa.array(doubtful)).to_pylist())
    yield from flag("silent", silent, [f"peak {peak:.6f}" for peak in clips["peak"].iloc[silent]])
    yield from flag("too loud", loud, [f"{level:.1f} dBFS" for level in clips["level_dbfs"].iloc[loud]])
    yield from flag(
        "clipped", clipped, [f"{count:.0f} samples from {CLIPPED_FROM} up" for count in clips["clipped"].iloc[clipped]]
    )
    yield from flag("duplicate", duplicates["row"].to_numpy(), duplicates["detail"])
