"""Finished runs on disk without training: predictions are the labels and a noise of their own."""

import json

import numpy as np

from burst2vec.experiment.results import write_predictions
from burst2vec.scoring import baseline_predictions, score_tasks
from burst2vec.tasks import resolve_tasks


def noisy_predictions(tasks, labels, noise, seed):
    """What a system predicts that is wrong by so much: values within the tasks' spans, and probabilities."""
    chance = np.random.default_rng(seed)
    predictions = {}
    for task in tasks:
        known = labels[task.name]
        if task.kind == "classification":
            logits = 2 * np.eye(len(task.labels))[np.maximum(known, 0)]
            logits = logits + 5 * noise * chance.normal(size=logits.shape)
            predictions[task.name] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        else:
            wrong = np.nan_to_num(known, nan=task.to_unit(0.5)) + task.to_unit(noise) - task.to_unit(0.0)
            wrong = wrong + (task.span[1] - task.span[0]) * noise * chance.normal(size=known.shape)
            predictions[task.name] = np.clip(wrong, *task.span)
    return predictions


def write_run(folder, splits, noise=0.1, seed=0, recipe=(), tasks="exvo", shuffle=False, corpora=("synthetic",)):
    """A run's folder with ``metrics.json`` and predictions.

    Args:
        splits: for each split the clips' ids and labels; labels of None are not scored.
    """
    records = resolve_tasks(tasks)
    folder.mkdir(parents=True)
    scores, baseline = {}, {}
    for split, (file_ids, labels) in splits.items():
        guessed = labels or {task.name: _unknown(task, len(file_ids)) for task in records}
        predictions = noisy_predictions(records, guessed, noise, seed)
        order = np.random.default_rng(seed).permutation(len(file_ids)) if shuffle else np.arange(len(file_ids))
        in_order = {task: values[order] for task, values in predictions.items()}
        write_predictions(folder / f"predictions_{split}.csv", records, [file_ids[row] for row in order], in_order)
        if labels:
            scores[split] = score_tasks(records, predictions, labels)
            baseline[split] = score_tasks(records, baseline_predictions(records, labels, len(file_ids)), labels)
    plain = [task.to_dict() for task in records]
    recipe = {"data": {}, "model": {"tasks": plain}, "training": {"seed": seed}, **dict(recipe)}
    clips = {split: {"used": len(file_ids), "skipped": 0} for split, (file_ids, _) in splits.items()}
    record = {
        "corpora": list(corpora),
        "recipe": recipe,
        "preprocess": [],
        "seed": seed,
        "steps": 1,
        "clips": {"train": {"used": 7, "skipped": 0}, **clips},
        "scores": scores,
        "baseline": baseline,
        "versions": {},
    }
    (folder / "metrics.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def _unknown(task, clips):
    return np.full(clips, -1) if task.kind == "classification" else np.full((clips, len(task.labels)), np.nan)


def exvo_labels(clips, seed=0):
    chance = np.random.default_rng(seed)
    return {
        "emotion": chance.random((clips, 10)),
        "age": chance.uniform(20, 39, (clips, 1)),
        "country": np.arange(clips) % 4,
    }
