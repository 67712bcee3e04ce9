"""One model trained on several preparations of the same clips: the effect of each step of a preprocessing chain.

The procedure of Sharma et al. 2022 (arXiv:2206.12568), Table 1: only the preparation differs, each stage adds
a step to the one before it, and every stage is trained with the same seeds, for paired comparisons.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import yaml
from tqdm.auto import tqdm

from ..errors import RunError
from ..experiment.execute import execute
from ..experiment.recipe_files import RecipeLoader
from ..experiment.recipes import parse_run
from ..experiment.run_record import RECORD, RunRecord
from ..files import write_json, write_whole
from ..markdown import markdown_table, markdown_text
from ..scoring.significance import PairedComparison, compare_paired, holm

# Each stage is the last one and a step more, in the order of Sharma et al., section 2. In the first two the model sets
# no level either, so that the gain can be seen on its own.
STAGES = {
    "as recorded": {"preprocess": [], "target_rms_dbfs": "off"},
    "+ high-pass": {"preprocess": ["highpass"], "target_rms_dbfs": "off"},
    "+ gain": {"preprocess": ["highpass"], "target_rms_dbfs": -3.0},
    "+ denoised": {"preprocess": ["highpass", "mmse_stsa"], "target_rms_dbfs": -3.0},
    "+ trimmed": {"preprocess": ["highpass", "mmse_stsa", "trim_silence"], "target_rms_dbfs": -3.0},
}


@dataclass(frozen=True)
class Study:
    """The scores of every stage and seed.

    Attributes:
        seeds: in the order of the scores' columns.
        scores: by score name, such as ``emotion_ccc``, and stage: one number per seed.
    """

    seeds: tuple[int, ...]
    scores: dict[str, dict[str, list[float]]]

    def comparisons(self, name: str) -> dict[str, PairedComparison]:
        """For each stage but the first: against the stage before it, p corrected for all of them (Holm).

        >>> study = Study((0, 1), {"age_mae": {"a": [3.0, 4.0], "b": [2.0, 3.0], "c": [2.0, 3.0]}})
        >>> {stage: (change.difference, change.p) for stage, change in study.comparisons("age_mae").items()}
        {'b': (-1.0, 0.0), 'c': (0.0, 1.0)}
        """
        by_stage = self.scores[name]
        stages = list(by_stage)
        compared = [
            compare_paired(by_stage[before], by_stage[after]) for before, after in zip(stages, stages[1:], strict=False)
        ]
        corrected = holm([comparison.p for comparison in compared])
        return {
            stage: comparison._replace(p=float(p))
            for stage, comparison, p in zip(stages[1:], compared, corrected, strict=True)
        }


def read_stages(path: str | Path | None) -> dict[str, dict]:
    """Stages from a YAML file, ``name: {key: value, …}`` with keys of a recipe; ``STAGES`` without one.

    Raises:
        RunError: not a mapping of two or more names to mappings.
    """
    if path is None:
        return STAGES
    try:
        stages = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=RecipeLoader)  # a SafeLoader
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(stages, dict) or len(stages) < 2 or not all(isinstance(keys, dict) for keys in stages.values()):
        raise RunError(f"{path}: must name two stages or more, such as 'denoised: {{preprocess: [mmse_stsa]}}'")
    return {str(name): keys for name, keys in stages.items()}


def run_study(
    recipe: str | Path,
    stages: dict[str, dict],
    seeds: Sequence[int],
    folder: str | Path,
    options: Sequence[str] = (),
    split: str = "validation",
    run: Callable = execute,
) -> Study:
    """Train the recipe once for each stage and seed, and gather the scores; finished runs are read, not repeated.

    Args:
        recipe: of the model; a stage's keys override it, and ``options`` override both.
        stages: by name, keys of a recipe.
        seeds: of the training.
        folder: each run has its own in it, ``<stage>/seed_<seed>``.
        options: of the command line, ``--key value``.
        split: whose scores are compared.
        run: the function that executes a run (``experiment.execute.execute``).

    Raises:
        RunError: a stage or seed twice, ``folder`` holds the runs of another study, or a run without scores.
    """
    folder, seeds = Path(folder), tuple(seeds)
    if not seeds or len(set(seeds)) < len(seeds):
        raise RunError(f"seeds must be one or more different numbers, got {list(seeds)}")
    if len({_folder_name(stage) for stage in stages}) < len(stages):
        raise RunError(f"stages must differ in letters or digits, got {list(stages)}")
    found: dict[str, dict[str, list[float]]] = {}
    with tqdm(total=len(stages) * len(seeds), desc="Study", unit=" runs") as progress:
        for (stage, keys), seed in product(stages.items(), seeds):
            progress.set_postfix_str(f"{stage}, seed {seed}")
            scores = run_or_read(recipe, keys, seed, folder / _folder_name(stage) / f"seed_{seed}", options, run)
            if split not in scores:
                raise RunError(f"{stage}, seed {seed}: the run has no scores of the split {split!r}")
            for name, value in scores[split].items():
                if "/" not in name:
                    found.setdefault(name, {}).setdefault(stage, []).append(value)
            progress.update()
    return Study(seeds, found)


def run_or_read(
    recipe: str | Path, keys: dict, seed: int, folder: Path, options: Sequence[str] = (), run: Callable = execute
) -> dict:
    """The scores of one run by split: read where it is finished, else trained or resumed.

    Args:
        recipe, keys, options, run: as ``run_study`` has them; ``keys`` are of one stage.
        seed: of the training.
        folder: of the run.

    Raises:
        RunError: the folder holds a finished run of something else, or a truncated record.
    """
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in keys.items()}
    arguments = [text for key, value in texts.items() for text in (f"--{key}", value)]
    arguments += [*options, "--seed", str(seed), "--output_dir", str(folder)]
    wanted = parse_run([str(recipe), *arguments]).recipe.to_dict()
    if (folder / RECORD).is_file():
        record = RunRecord.read(folder)
        if record.recipe != json.loads(json.dumps(wanted)):
            raise RunError(f"{folder}: holds a run of another recipe or stage; give another folder")
        return record.scores
    if folder.exists() and any(folder.iterdir()):
        arguments += ["--resume_from_checkpoint", "true"]
    return run(parse_run([str(recipe), *arguments])).scores


def _folder_name(stage: str) -> str:
    """
    >>> _folder_name("+ high-pass")
    'high-pass'
    """
    return re.sub(r"[^a-z0-9-]+", "_", stage.lower()).strip("_")


def write_study(study: Study, folder: str | Path, title: str) -> str:
    """``study.json`` with every number, ``study.csv`` with a line for each run, ``study.md`` with the table.

    Returns:
        The table.
    """
    folder = Path(folder)
    stages = list(next(iter(study.scores.values())))
    write_json(folder / "study.json", {"title": title, "seeds": list(study.seeds), "scores": study.scores})
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["stage", "seed", *study.scores])
    for stage in stages:
        for place, seed in enumerate(study.seeds):
            writer.writerow([stage, seed, *(f"{by_stage[stage][place]:.6f}" for by_stage in study.scores.values())])
    write_whole(folder / "study.csv", lines.getvalue())
    table = format_study(study, title)
    write_whole(folder / "study.md", table + "\n")
    return table


def format_study(study: Study, title: str) -> str:
    """A Markdown table: mean ± standard deviation over the seeds, and the change since the stage before with its p."""
    names = list(study.scores)
    changes = {name: study.comparisons(name) for name in names}
    rows = [["stage", *names]]
    for stage in study.scores[names[0]]:
        rows.append([stage, *(_cell(study.scores[name][stage], changes[name].get(stage)) for name in names)])
    seeds = ", ".join(map(str, study.seeds))
    about = (
        f"Mean ± standard deviation over {len(study.seeds)} seeds ({seeds}); in brackets the change since the stage "
        "before, with the p of a paired t-test over the seeds, corrected for the number of stages (Holm)."
    )
    return "\n".join([f"# {markdown_text(title)}", "", markdown_table(rows, aligned=False), "", about])


def _cell(values: list[float], change: PairedComparison | None) -> str:
    """
    >>> _cell([0.1, 0.3], PairedComparison(0.05, 0.0, 0.1, 0.04))
    '0.200 ± 0.141 (+0.050, p 0.040)'
    """
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    text = f"{np.mean(values):.3f}{spread}"
    if change is None:
        return text
    p = "" if np.isnan(change.p) else ", p < 0.001" if change.p < 0.001 else f", p {change.p:.3f}"
    return f"{text} ({change.difference:+.3f}{p})"
