"""A fusion as a file: the recipes whose finished runs it takes, found among runs, and how it fuses them.

    paper: Burst2Vec, Table 2, row Ensemble A
    description: the mean of V1, V2, V3 and V6
    fuse: {runs: [burst2vec/v1_wav2vec_large, burst2vec/v2_no_adversary]}
    reported_scores: {validation: {s_mtl: 0.465}, test: {s_mtl: 0.435}}

Runs are named by their recipes: shipped ones by name, others by a path from the fusion's file. ``fuse`` is a
``FusionPlan``.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..command_line.shipped import recipe_names, shipped_recipe
from ..errors import RecipeError, RunError
from ..experiment.finished import FinishedRun, read_run
from ..experiment.recipe_files import (
    names_near,
    printed_scores,
    read_yaml,
    recipe_file,
    recipes_beside,
    refuse_unknown,
    text_of,
)
from ..experiment.recipes import FUSE, TEXTS
from ..experiment.recipes import KEYS as RECIPE_KEYS
from ..experiment.run_record import RECORD
from .fusion_plan import FusionPlan, read_plan

KEYS = (*TEXTS, FUSE, "reported_scores")


@dataclass(frozen=True)
class FusionRecipe:
    """The content of a fusion's file.

    Attributes:
        name: the file's name without its ending.
        paper: which row of which table this is, if any.
        description: one sentence for the reader.
        plan: what to fuse, by the names that the file gives.
        files: by these names, the recipe's file.
        reported_scores: the scores that the paper printed, by split and score name.
        said: the file's section ``fuse``.
    """

    name: str
    paper: str | None
    description: str | None
    plan: FusionPlan
    files: dict[str, Path]
    reported_scores: dict = field(default_factory=dict)
    said: dict = field(default_factory=dict)

    def to_dict(self) -> dict:
        """As the record of a fusion holds it, under the keys of the file."""
        texts = {key: getattr(self, key) for key in TEXTS if getattr(self, key)}
        scores = {"reported_scores": copy.deepcopy(self.reported_scores)} if self.reported_scores else {}
        return {**texts, FUSE: copy.deepcopy(self.said), **scores}


def is_fusion(path: str | Path) -> bool:
    """Whether a recipe, by file or shipped name, is a fusion."""
    return FUSE in read_yaml(recipe_file(path), RECIPE_KEYS)


def load_fusion(path: str | Path) -> FusionRecipe:
    """Read a fusion's file; a shipped one is also meant by its name, such as ``burst2vec/ensemble_a``.

    Raises:
        RecipeError: a missing file, one that is no fusion's, an unknown key, or a recipe that is not there.
    """
    file = recipe_file(path)
    record = read_yaml(file, KEYS)
    if FUSE not in record:
        raise RecipeError(f"{file}: is no fusion: it has no key {FUSE!r}; train it: burst2vec train {path}")
    refuse_unknown(record, KEYS, str(file))
    plan = read_plan(record[FUSE], f"{file}: {FUSE}")
    files = {name: recipe_file(name, beside=file.parent) for name in plan.runs}
    for name, of_run in files.items():
        if not of_run.is_file():
            raise RecipeError(
                f"{file}: {FUSE} names {name!r}: there is no {of_run}; give the recipe's path, whole or from this "
                f"file's folder, or the name of one that comes with burst2vec{recipes_beside(of_run)}{names_near(name)}"
            )
    texts = [text_of(record, key, file) for key in TEXTS]
    return FusionRecipe(file.stem, *texts, plan, files, printed_scores(record, file), record[FUSE])


def runs_by_seed(
    recipe: FusionRecipe, folder: str | Path, seed: int | None = None
) -> tuple[dict[int, dict[str, FinishedRun]], list[str]]:
    """The finished runs of a fusion's recipes, found in a folder however deep, seed by seed.

    A run is one of a recipe where its record says the same paper and description, and else where a folder above its
    record is called as the recipe's file.

    Args:
        recipe: of the fusion.
        folder: where the runs are.
        seed: only this one; by default all that every recipe has a run of. Where they have none in common and each has
            one run, these belong together, under the first one's seed.

    Returns:
        by seed, by the names in the recipe's plan, a run; and notes on what was taken or left, for the reader.

    Raises:
        RunError: a recipe without a run, named with the command that makes it; two runs of one recipe and seed; or
            no seed that all have.
    """
    notes: list[str] = []
    found = _finished(Path(folder), notes)
    of_recipe = {name: _of_recipe(file, found) for name, file in recipe.files.items()}
    known = {} if all(of_recipe.values()) else _known(recipe)
    by_name: dict[str, dict[int, FinishedRun]] = {}
    for name, runs in of_recipe.items():
        if not runs and (runs := _of_folder(recipe.files[name], found, Path(folder), known)):
            notes.append(f"{name}: {runs[0].folder} is taken by its folder's name; its record says another recipe")
        by_name[name] = _one_per_seed(name, runs)
    if missing := [name for name, runs in by_name.items() if not runs]:
        commands = "; ".join(_command(name, recipe.files[name], folder) for name in missing)
        raise RunError(f"{recipe.name}: {folder} holds no finished run of {', '.join(missing)}; to make it: {commands}")
    common = set.intersection(*(set(runs) for runs in by_name.values()))
    if seed is not None:
        common &= {seed}
    if common:
        for name, runs in by_name.items():
            if others := sorted(set(runs) - common):
                notes.append(f"{name}: left out are its runs of the seeds {others}")
        return {one: {name: runs[one] for name, runs in by_name.items()} for one in sorted(common)}, notes
    seeds = ", ".join(f"{name} has {sorted(runs)}" for name, runs in by_name.items())
    if seed is not None or any(len(runs) > 1 for runs in by_name.values()):
        which = "one seed" if seed is None else f"seed {seed}"
        raise RunError(f"{recipe.name}: not every recipe has a run of {which}: {seeds}")
    alone = {name: next(iter(runs.values())) for name, runs in by_name.items()}
    return {next(iter(alone.values())).record.seed: alone}, [*notes, f"the runs have different seeds: {seeds}"]


def said_by(file: Path) -> tuple[str | None, ...]:
    """Paper and description of a recipe, which its runs' records repeat."""
    record = read_yaml(file, RECIPE_KEYS)
    return tuple(text_of(record, key, file) for key in TEXTS)


def said_in(run: FinishedRun) -> tuple[str | None, ...]:
    """Paper and description in a run's record."""
    return tuple(run.record.recipe.get(key) for key in TEXTS)


def _finished(folder: Path, notes: list[str]) -> list[FinishedRun]:
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; give the one that holds the finished runs with --runs_dir")
    runs = []
    for path in sorted(folder.rglob(RECORD)):
        try:
            runs.append(read_run(path.parent))
        except RunError as error:
            notes.append(f"skipped: {error}")
    return runs


def _of_recipe(file: Path, found: Sequence[FinishedRun]) -> list[FinishedRun]:
    said = said_by(file)
    return [run for run in found if any(said) and said_in(run) == said]


def _known(recipe: FusionRecipe) -> dict[Path, tuple[str | None, ...]]:
    """What every shipped recipe, and each of the fusion's, says of itself, by its resolved file."""
    files = [*map(shipped_recipe, recipe_names()), *recipe.files.values()]
    return {file: said_by(file) for file in {file.resolve() for file in files}}


def _of_folder(file: Path, found: Sequence[FinishedRun], folder: Path, known: dict) -> list[FinishedRun]:
    """Runs below a folder of the recipe's name, but for those that say another recipe that is known."""
    theirs = {said for other, said in known.items() if other != file.resolve()}
    return [run for run in found if file.stem in run.folder.relative_to(folder).parts and said_in(run) not in theirs]


def _one_per_seed(name: str, runs: Sequence[FinishedRun]) -> dict[int, FinishedRun]:
    by_seed: dict[int, FinishedRun] = {}
    for run in runs:
        first = by_seed.setdefault(run.record.seed, run)
        if first is not run:
            raise RunError(
                f"{name}: {first.folder} and {run.folder} are both its runs with seed {run.record.seed}; move one "
                "away, or give a --runs_dir that holds one of them"
            )
    return by_seed


def _command(name: str, file: Path, folder: str | Path) -> str:
    """The command that trains a recipe."""
    given = name if shipped_recipe(name) == file else file
    if is_fusion(file):
        return f"burst2vec fuse {given} --runs_dir {folder} --data_dir FOLDER"
    return f"burst2vec train {given} --data_dir FOLDER --output_dir {Path(folder, file.stem)}"
