"""What a check of a corpus counted, as tables to be read: cells are text, columns the splits and all of them."""

import pandas as pd

from ..corpora.record import PrintedCounts
from .check import CorpusCheck

NOTHING = "–"  # there is nothing to count or measure


def contents_table(check: CorpusCheck) -> pd.DataFrame:
    """Duration, clips, speakers and each class, in the manner of Table 1 of the challenge's white paper (Baird et al.
    2022): a class's cell is its clips, and behind them in brackets its speakers.
    """
    rows = {
        "Duration (HH:MM:SS)": lambda facts: facts["duration"],
        "Clips": lambda facts: _count(facts["clips"]),
        "Speakers": lambda facts: _count(facts["speakers"]) if facts["speakers"] else NOTHING,
    }
    for task in check.tasks:
        if task.kind == "classification":
            for label in task.labels:
                rows[f"{task.name.capitalize()}: {label}"] = lambda facts, task=task, label=label: _class_cell(
                    facts["labels"][task.name], label, facts["clips"]
                )
    return _by_split(check, rows)


def printed_table(check: CorpusCheck, printed: PrintedCounts) -> pd.DataFrame:
    """What a paper printed of the whole corpus, and beside it what is here; a class's cell is its speakers. Classes are
    those of the tasks that were looked at.
    """
    looked_at = {task.name for task in check.tasks}
    classes = {
        (task, label): None
        for split in printed.splits.values()
        for task, labels in split.get("classes", {}).items()
        for label in labels
        if task in looked_at
    }
    names = ["Duration (HH:MM:SS)", "Clips", "Speakers", "F:M", *(f"{task.capitalize()}: {it}" for task, it in classes)]
    columns = {}
    for split, said in printed.splits.items():
        speakers = [said.get("classes", {}).get(task, {}).get(label) for task, label in classes]
        columns[f"{split}, printed"] = [
            said["duration"],
            _count(said["clips"]),
            _count(said["speakers"]),
            said.get("female_male", NOTHING),
            *(NOTHING if number is None else _count(number) for number in speakers),
        ]
        if (facts := check.facts.get(split)) is None:
            columns[f"{split}, here"] = [NOTHING] * len(names)
            continue
        columns[f"{split}, here"] = [
            facts["duration"] if facts["seconds"] else NOTHING,
            _count(facts["clips"]),
            _count(facts["speakers"]) if facts["speakers"] else NOTHING,
            NOTHING,  # no table of labels says it
            *(_speakers_of(facts, task, label) for task, label in classes),
        ]
    return pd.DataFrame(columns, index=names, dtype=object)


def lacking_clips(check: CorpusCheck, printed: PrintedCounts) -> str:
    """One sentence: how many clips of the whole corpus are not here; or that all are."""
    lacking = []
    for split, said in printed.splits.items():
        here = check.facts[split]["clips"] if split in check.splits else 0
        if here < said["clips"]:
            lacking.append(f"{split} lacks {said['clips'] - here:,} of {said['clips']:,} clips")
        elif here > said["clips"]:
            lacking.append(f"{split} has {here - said['clips']:,} clips more than the {said['clips']:,} printed")
    return "; ".join(lacking) if lacking else "every split has as many clips as printed"


def _speakers_of(facts: dict, task: str, label: str) -> str:
    classes = facts["labels"].get(task, {}).get("classes", {})
    return _count(classes[label]["speakers"]) if classes.get(label, {}).get("speakers") else NOTHING


def sound_table(check: CorpusCheck) -> pd.DataFrame:
    """Length and level of the clips that can be read, and how many are not as they should be."""
    rows = {
        "Length (s): shortest": lambda facts: _measured(facts["seconds"], "min", 2),
        "Length (s): median": lambda facts: _measured(facts["seconds"], "median", 2),
        "Length (s): mean": lambda facts: _measured(facts["seconds"], "mean", 2),
        "Length (s): longest": lambda facts: _measured(facts["seconds"], "max", 2),
        "Level (dBFS): 5 % lie below": lambda facts: _measured(facts["level_dbfs"], "5 %", 1),
        "Level (dBFS): 50 % lie below": lambda facts: _measured(facts["level_dbfs"], "median", 1),
        "Level (dBFS): 95 % lie below": lambda facts: _measured(facts["level_dbfs"], "95 %", 1),
        "Clips that reach full scale": lambda facts: _count(facts["clipped"]),
        "Clips louder than full scale": lambda facts: _count(facts["too_loud"]),
        "Silent clips": lambda facts: _count(facts["silent"]),
        "Duplicate clips": lambda facts: _count(facts["duplicates"]),
        "Unreadable clips": lambda facts: _count(facts["unreadable"]),
        "Clips whose header contradicts itself": lambda facts: _count(facts["doubtful"]),
        "Clips without a speaker's name": lambda facts: _count(facts["unnamed"]),
    }
    return _by_split(check, rows)


def label_table(check: CorpusCheck) -> pd.DataFrame:
    """Lowest, mean and highest value of each regressed label, and how many clips lack it; no rows without one."""
    rows = {}
    for task in check.tasks:
        for label in task.labels if task.kind == "regression" else ():
            unit = f" ({task.unit})" if task.unit else ""
            name = task.name.capitalize() + (f": {label}" if label != task.name else "")
            digits = 2 if task.span[1] - task.span[0] < 10 else 1
            rows[name + unit] = lambda facts, task=task, label=label, digits=digits: _range_cell(
                facts["labels"][task.name][label], digits
            )
    return _by_split(check, rows)


def _by_split(check: CorpusCheck, rows: dict) -> pd.DataFrame:
    cells = {split: [cell(facts) for cell in rows.values()] for split, facts in check.facts.items()}
    return pd.DataFrame(cells, index=list(rows), dtype=object)


def _class_cell(found: dict, label: str, clips: int) -> str:
    if found["missing"] == clips:
        return NOTHING
    count = found["classes"][label]
    return _count(count["clips"]) + (f" ({_count(count['speakers'])})" if count["speakers"] else "")


def _range_cell(found: dict, digits: int) -> str:
    if found["min"] is None:
        return NOTHING
    missing = f" ({_count(found['missing'])} missing)" if found["missing"] else ""
    return " / ".join(_measured(found, name, digits) for name in ("min", "mean", "max")) + missing


def _measured(found: dict | None, name: str, digits: int) -> str:
    return NOTHING if found is None else f"{found[name]:.{digits}f}".replace("-", "−")


def _count(number: int) -> str:
    return f"{number:,}"
