"""The form of an answer as JSON Schema, for the server's own documentation."""

from ..tasks import Task


def answer_schema(tasks: list[Task]) -> dict:
    """JSON Schema of what the pipeline answers to a clip.

    Args:
        tasks: of the model.

    >>> answer_schema([Task("age", "regression", ("age",), unit="years", span=(15, 45))])["properties"]["age"]
    {'type': 'number', 'description': 'years'}
    """
    properties = {task.name: _of_task(task) for task in tasks}
    optional = {
        "conformal": {"type": "object", "description": "with coverage: an interval or a set by task"},
        "embedding": {"type": "array", "items": {"type": "number"}, "description": "with return_embedding"},
    }
    return {"type": "object", "properties": {**properties, **optional}, "required": list(properties)}


def _of_task(task: Task) -> dict:
    number = {"type": "number"} if task.unit is None else {"type": "number", "description": task.unit}
    if task.kind == "regression":
        return number if len(task.labels) == 1 else _numbers(task, number)
    label = {"type": "string", "enum": list(task.labels)}
    probabilities = _numbers(task, {"type": "number", "minimum": 0, "maximum": 1})
    return {"type": "object", "properties": {"label": label, "probabilities": probabilities}}


def _numbers(task: Task, number: dict) -> dict:
    return {"type": "object", "properties": {label: number for label in task.labels}}
