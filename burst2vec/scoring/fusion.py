"""Late fusion: several systems' predictions for the same clips, averaged into one.

Regressions are averaged in the task's unit, classifications on their probabilities. A weight belongs to a task and a
system; weights of 0 and 1 pick one system per task. Predictions are a list of dictionaries, one per system, each by
task name: (clips, labels) in the task's unit, or (clips, classes) probabilities, labels in the task's order.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .score_report import score_tasks
from .scores import as_numbers

STEP = 0.05  # of the weights that are tried; our choice, finer than validation can tell apart
GRID_SYSTEMS = 3  # up to so many systems every weighting of the grid is tried: 231 for three, 1,771 for four
SWEEPS = 20  # at most, over the systems, where there are more; a sweep that gains nothing ends the search
GAIN = 1e-9  # in the metric; less is rounding


def mean_of(predictions: Sequence[dict]) -> dict[str, np.ndarray]:
    """The plain mean of the systems, task by task.

    Returns:
        By task name: float64, the shape of each system's.

    Raises:
        ValueError: no system, systems of different tasks or shapes, or a number that is not finite.

    >>> mean_of([{"age": [[20.0], [30.0]]}, {"age": [[24.0], [31.0]]}])["age"].tolist()
    [[22.0], [30.5]]
    """
    systems = _aligned(predictions)
    return weighted(systems, {task: even_weights(len(systems)) for task in systems[0]})


def weighted(predictions: Sequence[dict], weights: dict) -> dict[str, np.ndarray]:
    r"""The weighted mean of the systems, task by task.

    .. math:: \hat y_t = \sum_k w_{t,k} \, \hat y_{t,k}, \quad w_{t,k} \ge 0, \; \sum_k w_{t,k} = 1

    Args:
        predictions: one dictionary a system, by task.
        weights: by task: one number per system, in the same order, see :func:`choose_weights`.

    Returns:
        By task name: float64, the shape of each system's.

    Raises:
        ValueError: as :func:`mean_of`, or weights of other tasks, of another number of systems, below 0, or of another
            sum than 1.

    A quarter of 20 years and three quarters of 24:

    >>> weighted([{"age": [[20.0]]}, {"age": [[24.0]]}], {"age": [0.25, 0.75]})["age"].tolist()
    [[23.0]]
    """
    systems = _aligned(predictions)
    if set(weights) != set(systems[0]):
        raise ValueError(f"weights are for the tasks {sorted(weights)}, predictions for {sorted(systems[0])}")
    fused = {}
    for task in systems[0]:
        of_task = as_numbers(weights[task], f"task {task!r}: weights")
        if of_task.shape != (len(systems),):
            raise ValueError(f"task {task!r}: weights have shape {of_task.shape}; expected ({len(systems)},), one each")
        if not (of_task >= 0).all() or abs(of_task.sum() - 1) > 1e-6:
            raise ValueError(f"task {task!r}: weights must be 0 or more and sum to 1, got {of_task.tolist()}")
        fused[task] = _mix([system[task] for system in systems], of_task)
    return fused


def choose_best(tasks, predictions: Sequence[dict], references: dict) -> dict[str, list[float]]:
    """For each task the one system that scores best on these clips, the first among equals: weights of 0 and 1.

    Arguments, returns and errors are those of :func:`choose_weights`.
    """
    return _choose(tasks, predictions, references, lambda quality, systems: max(_singles(systems), key=quality))


def choose_weights(tasks, predictions: Sequence[dict], references: dict) -> dict[str, list[float]]:
    """For each task the weights whose mean scores best on these clips by the task's own metric: CCC, UAR, or −MAE.

    Two or three systems: every weighting in steps of 0.05. More: one system's weight after the other is moved over that
    grid, the others keeping their proportions, from the best single system and from the plain mean, until nothing
    gains. Among equals, the weighting with fewest systems wins, then the most even one, then the first. On these clips
    the result is never worse than the best single system; on others it may be, so score it there.

    Args:
        tasks: the :class:`~burst2vec.tasks.Task` records.
        predictions: one dictionary a system, by task, for the same clips; probabilities for a classification.
        references: by task name, as :func:`~burst2vec.scoring.score_tasks` takes them.

    Returns:
        By task name: one weight a system, 0 or more, of sum 1.

    Raises:
        ValueError: as :func:`mean_of`; predictions of other tasks, or of a shape that is not the task's; a
            classification without probabilities; a task without one valid reference.

    One system is always 2 years too young, the other 2 years too old, so half of each is right:

    >>> from burst2vec.tasks import AGE
    >>> systems = [{"age": [[20.0], [28.0]]}, {"age": [[24.0], [32.0]]}]
    >>> choose_weights([AGE], systems, {"age": [22.0, 30.0]})
    {'age': [0.5, 0.5]}
    """
    return _choose(tasks, predictions, references, _search)


def even_weights(systems: int) -> list[float]:
    """
    >>> even_weights(4)
    [0.25, 0.25, 0.25, 0.25]
    """
    return [1.0 / systems] * systems


def _choose(tasks, predictions, references: dict, search: Callable) -> dict[str, list[float]]:
    systems = _aligned(predictions)
    names = [task.name for task in tasks]
    if set(names) != set(systems[0]):
        raise ValueError(f"the tasks are {sorted(names)}, predictions are for {sorted(systems[0])}")
    chosen = {}
    for task in tasks:
        of_task = [system[task.name] for system in systems]
        if task.kind == "classification":
            _refuse_other_than_probabilities(task.name, of_task)

        def quality(weights, task=task, of_task=of_task) -> float:
            fused = {task.name: _mix(of_task, weights)}
            score = score_tasks([task], fused, references)[task.score_name]
            return -score if task.metric == "mae" else score

        chosen[task.name] = [float(weight) for weight in search(quality, len(systems))]
    return chosen


def _search(quality: Callable, systems: int) -> Sequence[float]:
    if systems <= GRID_SYSTEMS:
        return _first_best(quality, _grid(systems))
    best_single = _first_best(quality, _singles(systems))
    climbed = [_climb(quality, start) for start in (best_single, even_weights(systems))]
    return _first_best(quality, climbed)


def _first_best(quality: Callable, candidates: Sequence) -> Sequence[float]:
    """The best candidate; a later one must be better by more than rounding."""
    best, best_quality = None, -np.inf
    for weights in candidates:
        found = quality(weights)
        if found > best_quality + (GAIN if best is not None else 0):
            best, best_quality = weights, found
    return best


def _singles(systems: int) -> list[list[float]]:
    """
    >>> _singles(2)
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return np.eye(systems).tolist()


def _grid(systems: int) -> list[list[float]]:
    """Every weighting in steps of ``STEP``: those of fewest systems first, of these the most even ones.

    >>> len(_grid(1)), len(_grid(2)), len(_grid(3))
    (1, 21, 231)
    >>> _grid(2)[:4]
    [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.55, 0.45]]
    """
    steps = round(1 / STEP)
    parts = [part for part in np.ndindex(*[steps + 1] * systems) if sum(part) == steps]
    parts.sort(key=lambda part: (np.count_nonzero(part), sum(count**2 for count in part), [-count for count in part]))
    return [[count / steps for count in part] for part in parts]


def _climb(quality: Callable, start: Sequence[float]) -> list[float]:
    """From ``start`` upwards, one system's weight at a time; a system that adds nothing is let go."""
    best, best_quality = np.asarray(start, dtype=np.float64), quality(start)
    for _ in range(SWEEPS):
        before = best
        for system in range(len(best)):
            if best[system] == 1:  # no others whose proportions could be kept
                continue
            others = np.where(np.arange(len(best)) == system, 0.0, best)
            others /= others.sum()
            for share in np.arange(round(1 / STEP) + 1) * STEP:
                weights = (1 - share) * others
                weights[system] = share
                found = quality(weights)
                lets_go = share == 0 and best[system] > 0 and found >= best_quality
                if found > best_quality + GAIN or lets_go:
                    best, best_quality = weights, found
        if best is before:
            break
    return (best / best.sum()).tolist()


def _mix(of_task: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    return sum(weight * values for weight, values in zip(weights, of_task, strict=True))


def _aligned(predictions: Sequence[dict]) -> list[dict[str, np.ndarray]]:
    """The systems' predictions as float64, of the same tasks and shapes, finite."""
    if not predictions:
        raise ValueError("no predictions to fuse; give those of one system or more, each a dictionary by task")
    systems = []
    for place, of_system in enumerate(predictions):
        if set(of_system) != set(predictions[0]) or not of_system:
            raise ValueError(
                f"system {place} predicts the tasks {sorted(of_system)}, system 0 {sorted(predictions[0])}; "
                "fuse systems of the same tasks"
            )
        numbers = {}
        for task in predictions[0]:
            numbers[task] = as_numbers(of_system[task], f"system {place}, task {task!r}: predictions")
            wanted = systems[0][task].shape if systems else numbers[task].shape
            if numbers[task].shape != wanted or len(wanted) != 2:
                raise ValueError(
                    f"system {place}, task {task!r}: predictions have shape {numbers[task].shape}; expected "
                    "(clips, labels), the same clips and labels for every system" + (f": {wanted}" if systems else "")
                )
            if not np.isfinite(numbers[task]).all():
                row, column = np.argwhere(~np.isfinite(numbers[task]))[0]
                raise ValueError(
                    f"system {place}, task {task!r}: row {row}, column {column} is {numbers[task][row, column]}; "
                    "a prediction must be a finite number"
                )
        systems.append(numbers)
    return systems


def _refuse_other_than_probabilities(task: str, of_task: Sequence[np.ndarray]) -> None:
    for place, values in enumerate(of_task):
        wrong = (values < 0).any(axis=1) | (np.abs(values.sum(axis=1) - 1) > 1e-3)  # files keep six digits
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"system {place}, task {task!r}: row {row} is {values[row].tolist()}; a classification is fused on "
                "probabilities, 0 or more and of sum 1"
            )
