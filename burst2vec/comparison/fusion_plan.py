"""The plan of a fusion: its runs, and their weights in each task, given by hand or to be chosen.

    runs: [v1, v2, v3]                                     # every task by all that predict it
    way: mean                                              # or weights, hybrid: chosen on validation

    runs: {v1: 0.25, v2: 0.75}                             # weights by hand, the same for every task

    tasks: {emotion: [v1], country: {v1: 0.5, v2: 0.5}}    # task by task, a list evenly, from runs of any task sets

One of the three.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

from ..errors import RecipeError, RunError
from ..experiment.finished import FinishedRun
from ..experiment.recipe_files import refuse_unknown
from ..scoring.fusion import even_weights
from ..tasks import Task
from .aligning import answering, tasks_of_all
from .fusing import WAYS

KEYS = ("runs", "way", "tasks")


@dataclass(frozen=True)
class FusionPlan:
    """
    Attributes:
        runs: the names of the fused runs, each once.
        way: one of ``WAYS``; ignored where there are weights.
        weights: of every task, by run; None where they are not given.
        tasks: by task, the weight of each run that answers it; None where all tasks are treated alike.
    """

    runs: tuple[str, ...]
    way: str = "mean"
    weights: dict[str, float] | None = None
    tasks: dict[str, dict[str, float]] | None = None

    def resolve(
        self, systems: dict[str, FinishedRun], where: str
    ) -> tuple[tuple[Task, ...], dict[str, tuple[str, ...]], dict[str, list[float]] | None]:
        """Apply the plan to these runs.

        Args:
            systems: by the names in ``runs``.
            where: for messages.

        Returns:
            the tasks of the fusion; by task who answers it; and by task a weight for each system, None where they are
            to be found.

        Raises:
            RunError: a run that does not predict the task that it is to answer, or runs that mean different things by
                one.
        """
        tasks, predicted = tasks_of_all(systems), answering(systems)
        if self.tasks is None and self.weights is None:
            return tasks, predicted, None
        by_task = dict.fromkeys(predicted, self.weights) if self.tasks is None else self.tasks
        for task, weights in by_task.items():
            for name in weights:
                if name not in predicted.get(task, ()):
                    own = [known.name for known in systems[name].tasks]
                    raise RunError(
                        f"{where}: {name} does not predict the task {task!r}, only {own}; give weights task by task: "
                        "tasks: {TASK: {RUN: WEIGHT}}"
                    )
        given = {task: [weights.get(name, 0.0) for name in systems] for task, weights in by_task.items()}
        answer = {task: tuple(name for name in systems if name in weights) for task, weights in by_task.items()}
        return tuple(task for task in tasks if task.name in by_task), answer, given


def read_plan(given, where: str) -> FusionPlan:
    """A plan from plain data, as YAML or JSON gives it.

    >>> read_plan({"tasks": {"age": ["a", "b"], "country": {"b": 1}}}, "recipe").tasks
    {'age': {'a': 0.5, 'b': 0.5}, 'country': {'b': 1.0}}

    Raises:
        RecipeError: another key, fewer than two runs, a run twice, an unknown way, or weights that are not 0 or more
            and of sum 1; the message names the key.
    """
    if not isinstance(given, dict):
        raise RecipeError(f"{where}: must be a mapping of {list(KEYS)}, got {given!r}")
    refuse_unknown(given, KEYS, where)
    if ("runs" in given) == ("tasks" in given):
        raise RecipeError(f"{where}: give either runs, for every task, or tasks, with the runs of each")
    way = given.get("way", "mean")
    if way not in WAYS:
        raise RecipeError(f"{where}.way: {way!r} is not one of {list(WAYS)}")
    if "way" in given and ("tasks" in given or isinstance(given["runs"], dict)):
        raise RecipeError(f"{where}.way: the weights are given, so there is no way to find them; leave one of them out")
    if "runs" in given:
        weights = _weights(given["runs"], f"{where}.runs")
        plan = FusionPlan(tuple(weights), way, weights if isinstance(given["runs"], dict) else None)
    else:
        if not isinstance(given["tasks"], dict) or not given["tasks"]:
            raise RecipeError(f"{where}.tasks: must be a mapping of tasks to their runs, got {given['tasks']!r}")
        tasks = {str(task): _weights(runs, f"{where}.tasks.{task}") for task, runs in given["tasks"].items()}
        plan = FusionPlan(tuple(dict.fromkeys(name for runs in tasks.values() for name in runs)), tasks=tasks)
    if len(plan.runs) < 2:
        raise RecipeError(f"{where}: fusion takes two runs or more, got {list(plan.runs)}")
    return plan


def _weights(given: Sequence[str] | dict[str, float], where: str) -> dict[str, float]:
    """By run its weight: a list's are even.

    >>> _weights(["a"], "runs")
    {'a': 1.0}
    """
    if not isinstance(given, (list, dict)) or not given or not all(isinstance(name, str) and name for name in given):
        raise RecipeError(f"{where}: must be a list of runs, or a mapping of runs to weights, got {given!r}")
    if isinstance(given, list):
        if len(set(given)) < len(given):
            raise RecipeError(f"{where}: {next(name for name in given if given.count(name) > 1)} is given twice")
        return dict(zip(given, even_weights(len(given)), strict=True))
    for name, weight in given.items():
        if not isinstance(weight, Real) or isinstance(weight, bool) or not math.isfinite(weight) or weight < 0:
            raise RecipeError(f"{where}.{name}: a weight must be a number of 0 or more, got {weight!r}")
    if abs(sum(given.values()) - 1) > 1e-6:
        raise RecipeError(f"{where}: weights must sum to 1, got {sum(given.values()):g}")
    return {name: float(weight) for name, weight in given.items()}
