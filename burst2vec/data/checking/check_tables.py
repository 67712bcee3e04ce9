"""What a check of a corpus counted, as tables to be read: cells are text, columns the splits and all of them."""

import pandas as pd

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
