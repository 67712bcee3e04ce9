"""What a user would run instead: a support vector machine of scikit-learn on the same clips, scored as a run.

    python benchmarks/svm.py emogator/compare --kernel linear --data_dir EmoGator --output_dir runs/compare_svm_linear
    python benchmarks/svm.py emogator/compare --kernel rbf --data_dir EmoGator --output_dir runs/compare_svm_rbf

The recipe says what is read: the corpus, its preprocessing, the feature sets, normalisation per speaker, the number
of training speakers; its network is not used. Then, all by the training clips, in folds that have no speaker in common:

1. StandardScaler; principal components, because a machine of thousands of features takes hours (--components 0: none).
2. C by the unweighted average recall, on the clips of --search_speakers of the training speakers, drawn by the seed.
3. Class probabilities: a logistic regression on the decision values of clips that the machine was not fitted on,
   Platt's scaling of several classes. The most probable class is the prediction.
4. A regression, such as EmoGator's nine emotions, which its thirty categories decide: each class's mean label, weighted
   by the probabilities; brought to the labels' mean and deviation by the same clips, as the CCC rewards it.

It writes predictions, scores and the record of a run into --output_dir, for burst2vec leaderboard, compare and fuse.
"""

import argparse
import pickle
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from burst2vec.audio import apply_transforms
from burst2vec.data.collating import corpus_labels
from burst2vec.data.corpora.splits import clips_of_speakers, speaker_key
from burst2vec.data.vectors import vectors_of
from burst2vec.errors import Burst2VecError, RunError, refused
from burst2vec.experiment.answer_time import milliseconds_per_clip
from burst2vec.experiment.baseline import to_record
from burst2vec.experiment.calibration import Calibration
from burst2vec.experiment.model_inputs import FeatureVectors
from burst2vec.experiment.prechecks import check_run
from burst2vec.experiment.recipes import Run, parse_run
from burst2vec.experiment.results import Outcome, versions
from burst2vec.experiment.run_inputs import RunInputs, read_inputs
from burst2vec.experiment.run_record import RunRecord
from burst2vec.features import find_feature_set
from burst2vec.tasks import Task
from burst2vec.waveforms import SAMPLING_RATE

CHOICES_OF_C = {"linear": (1e-6, 1e-5, 1e-4, 1e-3, 1e-2), "rbf": (0.3, 1.0, 3.0, 10.0)}


@dataclass(frozen=True)
class Settings:
    """
    Attributes:
        kernel: ``"linear"`` or ``"rbf"``, whose width is scikit-learn's default.
        components: principal components that are kept; 0 for the features as they are.
        folds: of speakers.
        search_speakers: on whose clips C is chosen; 0 for all.
        seed: of the draw of these.
    """

    kernel: str
    components: int = 500
    folds: int = 3
    search_speakers: int = 60
    seed: int = 1

    def machine(self, c: float, features: int) -> Pipeline:
        """A fresh one."""
        reduced = [PCA(self.components, random_state=self.seed)] if 0 < self.components < features else []
        kind = LinearSVC if self.kernel == "linear" else SVC
        arguments = {} if self.kernel == "linear" else {"kernel": "rbf", "cache_size": 1_000}
        return make_pipeline(StandardScaler(), *reduced, kind(C=c, class_weight="balanced", **arguments))


@dataclass
class Machine:
    """A fitted machine, and what makes probabilities and intensities of its decision values.

    Attributes:
        pipeline: of scikit-learn, from features to decision values.
        calibration: from decision values to probabilities.
        classes: how many the task has; those without a training clip have probability 0.
        means: by regression task each class's mean label, (classes, labels).
        scales: by regression task factor and offset of each label, (2, labels).
        c: chosen.
    """

    pipeline: Pipeline
    calibration: LogisticRegression
    classes: int
    means: dict[str, np.ndarray]
    scales: dict[str, np.ndarray]
    c: float

    def probabilities(self, decisions: np.ndarray) -> np.ndarray:
        found = np.zeros((len(decisions), self.classes))
        found[:, self.calibration.classes_] = self.calibration.predict_proba(columns(decisions))
        return found

    def predict(self, vectors: np.ndarray, task: Task) -> dict[str, np.ndarray]:
        """By task (clips, labels)."""
        probabilities = self.probabilities(self.pipeline.decision_function(vectors))
        scaled = {name: (probabilities @ self.means[name]) * a + b for name, (a, b) in self.scales.items()}
        return {task.name: probabilities, **scaled}


def columns(decisions: np.ndarray) -> np.ndarray:
    """Decision values as (clips, values); of two classes there is one value."""
    return decisions.reshape(len(decisions), -1)


def choose_c(settings: Settings, vectors: np.ndarray, classes: np.ndarray, groups: np.ndarray) -> float:
    """The C of the highest unweighted average recall over folds of speakers; the smallest of several."""
    kept = np.ones(len(classes), dtype=bool)
    if 0 < settings.search_speakers < len(set(groups)):
        kept = clips_of_speakers(groups.tolist(), settings.search_speakers, settings.seed)
    found = {}
    for c in CHOICES_OF_C[settings.kernel]:
        predicted = cross_val_predict(
            settings.machine(c, vectors.shape[1]), vectors[kept], classes[kept], **folds_of(settings, groups[kept])
        )
        found[c] = recall_score(classes[kept], predicted, average="macro")
        print(
            f"C {c:g}: recall {found[c]:.4f} over {len(set(groups[kept]))} speakers in {settings.folds} folds",
            flush=True,
        )
    return max(found, key=found.get)


def folds_of(settings: Settings, groups: np.ndarray) -> dict:
    return {"groups": groups, "cv": GroupKFold(settings.folds)}


def fit(settings: Settings, vectors: np.ndarray, labels: dict, task: Task, groups: np.ndarray) -> Machine:
    """Fit all of it on training clips.

    Args:
        settings: see there.
        vectors: float32 (clips, features).
        labels: by task as ``corpus_labels`` gives them; classes that are known, and regressions that may be NaN.
        task: the classification.
        groups: each clip's speaker.

    Raises:
        RunError: fewer speakers than folds.
    """
    if len(set(groups)) < settings.folds:
        raise RunError(f"--folds {settings.folds}: there are {len(set(groups))} training speakers; lower it")
    classes = labels[task.name]
    c = choose_c(settings, vectors, classes, groups)
    machine = settings.machine(c, vectors.shape[1])
    decisions = cross_val_predict(machine, vectors, classes, method="decision_function", **folds_of(settings, groups))
    calibration = LogisticRegression(max_iter=1_000).fit(columns(decisions), classes)
    fitted = Machine(machine.fit(vectors, classes), calibration, len(task.labels), {}, {}, c)
    # Probabilities of clips that neither the machine nor the calibration was fitted on.
    probabilities = np.zeros((len(classes), len(task.labels)))
    probabilities[:, calibration.classes_] = cross_val_predict(
        LogisticRegression(max_iter=1_000),
        columns(decisions),
        classes,
        method="predict_proba",
        **folds_of(settings, groups),
    )
    for name, values in labels.items():
        if name != task.name:
            values = values.reshape(len(classes), -1)
            means = [np.nanmean(values[classes == each], axis=0) for each in range(len(task.labels)) if each in classes]
            fitted.means[name] = np.zeros((len(task.labels), values.shape[1]))
            fitted.means[name][np.unique(classes)] = np.nan_to_num(means)
            fitted.scales[name] = matched(probabilities @ fitted.means[name], values)
    return fitted


def matched(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Factor and offset of each label that give the predictions the labels' mean and deviation, (2, labels).

    Of all lines with a positive slope this one has the highest CCC: with equal means and deviations it is Pearson's
    correlation (Lin 1989).

    >>> matched(np.array([[0.4], [0.6]]), np.array([[0.0], [1.0]])).round(6).tolist()
    [[5.0], [-2.0]]
    """
    known = ~np.isnan(labels)
    found = np.zeros((2, labels.shape[1]))
    for place in range(labels.shape[1]):
        p, r = predictions[known[:, place], place], labels[known[:, place], place]
        factor = r.std() / p.std() if p.size and p.std() > 0 else 0.0
        found[:, place] = factor, (r.mean() if r.size else 0.0) - factor * (p.mean() if p.size else 0.0)
    return found


def time_of(machine: Machine, task: Task, takes: FeatureVectors, clips, count: int) -> float | None:
    """Milliseconds from a waveform in memory to the answer, on one thread; None where no clips are timed."""

    def answer(waveform):
        cleaned, _ = apply_transforms(waveform, SAMPLING_RATE, takes.preprocess)
        vector = np.concatenate([find_feature_set(name).vector(cleaned)[0] for name in takes.names])
        return machine.predict(vector[None], task)

    return milliseconds_per_clip(answer, clips, count)


def run_svm(run: Run, settings: Settings, time_clips: int = 0) -> RunRecord:
    """Read what the recipe says, fit, predict and score, and write it all into the recipe's ``output_dir``.

    Raises:
        RunError: a recipe of a model that takes no vectors, or without exactly one classification.
    """
    tasks, takes = check_run(run)
    if not isinstance(takes, FeatureVectors):
        raise RunError(
            f"{run.recipe.name}: its model takes waveforms; give a recipe with features, as emogator/compare"
        )
    classifications = [task for task in tasks if task.kind == "classification"]
    if len(classifications) != 1:
        raise RunError(f"{run.recipe.name}: it has {len(classifications)} classifications; one is needed")
    (task,) = classifications
    folder = Path(run.training.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    inputs = read_inputs(run, tasks, takes, folder)
    print(inputs.summary)
    train = inputs.clips["train"].dataset
    labels = corpus_labels(train, tasks)
    known = labels[task.name] >= 0
    labels = {name: values[known] for name, values in labels.items()}
    groups = np.array([speaker_key(speaker) for speaker in train["speaker"][:]])[known]
    began = time.monotonic()
    machine = fit(settings, vectors_of(train)[known], labels, task, groups)
    seconds = time.monotonic() - began
    as_it_is = SimpleNamespace(conformal=None, temperatures=None)  # the probabilities need no temperature
    outcome = Outcome(folder, tasks, inputs.constant, Calibration(tasks, as_it_is, None))
    for split in [split for split in ("validation", "test") if split in inputs.clips]:
        clips = inputs.clips[split]
        predictions = machine.predict(vectors_of(clips.dataset), task)
        print(outcome.add(split, clips, predictions, run.data, inputs.corpus[split]["file_id"][:]))
    timed = time_of(machine, task, takes, inputs.corpus["validation"], time_clips)
    cost = {
        "train_seconds": seconds,
        "megabytes": len(pickle.dumps((machine.pipeline, machine.calibration))) / 1e6,
        "milliseconds_per_clip": timed,
    }
    record = _record(run, settings, machine, inputs, outcome, takes)
    record.cost.update({name: round(value, 3) for name, value in cost.items() if value is not None})
    record.write(folder)
    print(f"\neverything is in {folder}")
    return record


def _record(run: Run, settings: Settings, machine: Machine, inputs: RunInputs, outcome: Outcome, takes) -> RunRecord:
    said = run.recipe.to_dict()
    kernel = {"linear": "linear", "rbf": "RBF"}[settings.kernel]
    reduced = f", {settings.components} principal components" if "pca" in machine.pipeline.named_steps else ""
    recipe = {
        "description": f"{' + '.join(takes.names)}: {kernel} SVM of scikit-learn{reduced}",
        "data": said["data"],
        "model": {key: said["model"][key] for key in ("tasks", "features") if key in said["model"]},
        "training": {"seed": run.training.seed},
        "svm": {"kernel": settings.kernel, "components": settings.components, "c": machine.c, "folds": settings.folds},
    }
    clips = {split: {**chosen.counts, **outcome.labelled.get(split, {})} for split, chosen in inputs.clips.items()}
    speakers = {split: len({*map(speaker_key, chosen.dataset["speaker"][:])}) for split, chosen in inputs.clips.items()}
    return RunRecord(
        corpora=[corpus.corpus for corpus in run.data.corpora.values()],
        recipe=recipe,
        preprocess=takes.preprocess,
        features=takes.names,
        normalise_per_speaker=bool(run.data.normalise_per_speaker),
        seed=run.training.seed,
        clips=clips,
        speakers=speakers,
        cost={},
        scores=outcome.scores,
        baseline=outcome.baseline,
        by_speaker=outcome.by_speaker,
        constant=to_record(outcome.constant),
        submissions=outcome.submissions,
        versions=versions(),
    )


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("recipe", help="of vectors, such as emogator/compare; --key value pairs of it follow")
    parser.add_argument("--kernel", choices=sorted(CHOICES_OF_C), default="linear", help="default linear")
    parser.add_argument("--components", type=int, default=500, help="principal components; 0: none; default 500")
    parser.add_argument("--folds", type=int, default=3, help="of speakers; default 3")
    parser.add_argument("--search_speakers", type=int, default=60, help="C is chosen on; 0: all; default 60")
    parser.add_argument("--time_clips", type=int, default=20, help="measure milliseconds per clip on; default 20")
    args, options = parser.parse_known_args(arguments)
    try:
        if args.folds < 2 or min(args.components, args.search_speakers, args.time_clips) < 0:
            raise RunError("--folds must be 2 or more; --components, --search_speakers and --time_clips 0 or more")
        run = parse_run([args.recipe, *options])
        seed = run.training.seed
        run_svm(run, Settings(args.kernel, args.components, args.folds, args.search_speakers, seed), args.time_clips)
    except (Burst2VecError, OSError) as error:
        return refused(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
