"""One model trained on several preparations of the same clips: the effect of each step of a preprocessing chain.

The procedure of Sharma et al. 2022 (arXiv:2206.12568), Table 1: only the preparation differs, each stage adds
a step to the one before it, and every stage is trained with the same seeds, for paired comparisons.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from tqdm.auto import tqdm

from ..errors import RunError
from ..experiment.execute import execute
from ..experiment.recipe_by_size import choose_by_size
from ..experiment.recipe_files import RecipeLoader
from ..experiment.recipes import load_recipe, parse_run
from ..experiment.run_record import RECORD, RunRecord
from ..files import write_json, write_whole
from ..markdown import markdown_table, markdown_text
from ..scoring.significance import PairedComparison, compare_paired, holm
from .report import PRINTED

# Sharma et al.'s Table 1, row by row: its stages, and the shipped recipes that say what each does to the clips.
TABLE_1 = {
    "provided audio": "strf_conformer/compare_provided",
    "raw": "strf_conformer/compare_raw",
    "DC and gain": "strf_conformer/compare_dc_and_gain",
    "denoised": "strf_conformer/compare_denoised",
    "VAD": "strf_conformer/compare_trimmed",
}


class Stage(NamedTuple):
    """A stage: a recipe, and the keys that change it for this stage, if any."""

    recipe: str | Path
    keys: dict

    def words(self) -> list[str]:
        """Recipe and keys as a command line has them."""
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in self.keys.items()}
        return [str(self.recipe), *(text for key, value in texts.items() for text in (f"--{key}", value))]


@dataclass(frozen=True)
class Study:
    """The scores of every stage and seed.

    Attributes:
        seeds: in the order of the scores' columns.
        scores: by score name, such as ``emotion_ccc``, and stage: one number per seed.
        printed: by score name and stage, what a paper printed for this split; empty for other models.
    """

    seeds: tuple[int, ...]
    scores: dict[str, dict[str, list[float]]]
    printed: dict[str, dict[str, float]] = field(default_factory=dict)

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


def table_1() -> dict[str, Stage]:
    """The stages of Sharma et al.'s Table 1 with its own model: ComParE's features and the organisers' network."""
    return {name: Stage(recipe, {}) for name, recipe in TABLE_1.items()}


def stages_for(recipe: str | Path, options: Sequence[str] = ()) -> dict[str, Stage]:
    """The stages of Table 1 for another model, that takes waveforms or vectors, of any corpus.

    The model sets no level at any stage, so that the gain is seen on its own. Where clips are not HUME-VB's alone, no
    provided audio is there beside the raw, and the first stage is left out.

    Args:
        recipe: of the model.
        options: of the command line, ``--key value``.
    """
    corpora = parse_run([str(recipe), *options]).data.corpora
    both = [corpus.corpus for corpus in corpora.values()] == ["hume_vb"]
    stages = {}
    for name, shipped in TABLE_1.items():
        data = load_recipe(shipped).data
        keys = {"preprocess": data["preprocess"], "target_rms_dbfs": "off"}
        if both:
            keys["audio"] = data["audio"]
        if both or data["audio"] == "raw":
            stages[name] = Stage(recipe, keys)
    return stages


def read_stages(path: str | Path, recipe: str | Path) -> dict[str, Stage]:
    """Stages of a recipe from a YAML file, ``name: {key: value, …}`` with keys of a recipe.

    Raises:
        RunError: not a mapping of two or more names to mappings.
    """
    try:
        stages = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=RecipeLoader)  # a SafeLoader
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(stages, dict) or len(stages) < 2 or not all(isinstance(keys, dict) for keys in stages.values()):
        raise RunError(f"{path}: must name two stages or more, such as 'denoised: {{preprocess: [mmse_stsa]}}'")
    return {str(name): Stage(recipe, keys) for name, keys in stages.items()}


def run_study(
    stages: dict[str, Stage],
    seeds: Sequence[int],
    folder: str | Path,
    options: Sequence[str] = (),
    split: str = "validation",
    run: Callable = execute,
) -> Study:
    """Train each stage's recipe once for each seed, and gather the scores; finished runs are read, not repeated.

    Args:
        stages: by name, a recipe, and its keys that make the stage.
        seeds: of the training.
        folder: each run has its own in it, ``<stage>/seed_<seed>``.
        options: of the command line, ``--key value``, for every stage; they override a stage's keys.
        split: whose scores are compared.
        run: the function that executes a run (``experiment.execute.execute``).

    Raises:
        RunError: a stage or seed twice, vectors from tables, which are the same at every stage, ``folder`` holds the
            runs of another study, or a run without scores.
    """
    folder, seeds = Path(folder), tuple(seeds)
    if not seeds or len(set(seeds)) < len(seeds):
        raise RunError(f"seeds must be one or more different numbers, got {list(seeds)}")
    if len({_folder_name(stage) for stage in stages}) < len(stages):
        raise RunError(f"stages must differ in letters or digits, got {list(stages)}")
    for stage in stages.values():
        if (tables := parse_run([*stage.words(), *options]).data.features_dir) is not None:
            raise RunError(
                f"features_dir {tables}: its vectors are the same whatever is done to the clips; leave it out, and "
                "each stage computes its own"
            )
    found: dict[str, dict[str, list[float]]] = {}
    printed: dict[str, dict[str, float]] = {}
    with tqdm(total=len(stages) * len(seeds), desc="Study", unit=" runs") as progress:
        for (name, stage), seed in product(stages.items(), seeds):
            progress.set_postfix_str(f"{name}, seed {seed}")
            scores = run_or_read(stage, seed, folder / _folder_name(name) / f"seed_{seed}", options, run)
            if split not in scores:
                raise RunError(f"{name}, seed {seed}: the run has no scores of the split {split!r}")
            for score, value in scores[split].items():
                if "/" not in score:
                    found.setdefault(score, {}).setdefault(name, []).append(value)
            progress.update()
    for name, stage in stages.items():
        if not stage.keys:  # else the paper's figures are of other clips
            for score, value in load_recipe(stage.recipe).reported_scores.get(split, {}).items():
                printed.setdefault(score, {})[name] = value
    return Study(seeds, found, printed)


def run_or_read(stage: Stage, seed: int, folder: Path, options: Sequence[str] = (), run: Callable = execute) -> dict:
    """The scores of one run by split: read where it is finished, else trained or resumed.

    Args:
        stage, options, run: as ``run_study`` has them.
        seed: of the training.
        folder: of the run.

    Raises:
        RunError: the folder holds a finished run of something else, or a truncated record.
    """
    arguments = [*stage.words(), *options, "--seed", str(seed), "--output_dir", str(folder)]
    wanted = parse_run(arguments)
    if (folder / RECORD).is_file():
        record = RunRecord.read(folder)
        wanted = choose_by_size(parse_run([*arguments, "--resume_from_checkpoint", "true"]))  # by the choice it keeps
        if record.recipe != json.loads(json.dumps(wanted.recipe.to_dict())):
            raise RunError(f"{folder}: holds a run of another recipe or stage; give another folder")
        return record.scores
    if folder.exists() and any(folder.iterdir()):
        wanted = parse_run([*arguments, "--resume_from_checkpoint", "true"])
    return run(wanted).scores


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
    write_json(folder / "study.json", {"title": title, **asdict(study)})
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
    """A Markdown table: mean ± standard deviation over the seeds, and the change since the stage before with its p.

    Scores that a paper printed have its value beside them.
    """
    names = list(study.scores)
    changes = {name: study.comparisons(name) for name in names}
    header, rows = ["stage"], []
    for name in names:
        header += [name, f"{name}, {PRINTED}"] if name in study.printed else [name]
    for stage in study.scores[names[0]]:
        row = [stage]
        for name in names:
            row.append(_cell(study.scores[name][stage], changes[name].get(stage)))
            if name in study.printed:
                row.append(f"{study.printed[name][stage]:.3f}" if stage in study.printed[name] else "-")
        rows.append(row)
    seeds = ", ".join(map(str, study.seeds))
    about = (
        f"Mean ± standard deviation over {len(study.seeds)} seeds ({seeds}); in brackets the change since the stage "
        "before, with the p of a paired t-test over the seeds, corrected for the number of stages (Holm)."
    )
    return "\n".join([f"# {markdown_text(title)}", "", markdown_table([header, *rows], aligned=False), "", about])


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
