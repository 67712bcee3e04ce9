"""A finished run's model on speakers it does not know, before and after it was personalised on a few clips of each.

ExVo-FewShot (Baird et al. 2022, section 3.3): two labelled clips of a speaker, the support, personalise the model, and
the speaker's other clips, the query, are predicted. As section 6.3 has it, each speaker starts from the trained
weights. The script that was published beside the paper does otherwise: it does not reset the weights between speakers,
leaves batch norm in training mode, and stores what the model said of the support clips before it was tuned. Here the
paper's sentence is implemented, and no support clip is ever scored.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence
from tqdm.auto import tqdm

from ..data.collating import BurstCollator, corpus_labels
from ..data.corpora.splits import speaker_key
from ..data.vectors import has_vectors, vectors_of
from ..errors import RunError
from ..experiment.inputs import read_corpora
from ..experiment.prechecks import check_run
from ..experiment.recipes import Run
from ..feature_extraction_burst2vec import Burst2VecFeatureExtractor
from ..files import write_json, write_whole
from ..modeling_burst2vec import Burst2VecForMultiTask
from ..personalising import Tuning
from ..tasks import Task
from .comparing import is_labelled

TAKEN = ("input_values", "attention_mask")
BATCH = 32  # clips that are encoded or answered at once; it changes speed only
SETTINGS, SPEAKERS = "settings.json", "speakers"  # of what is kept, so that a run that was broken off resumes


@dataclass(frozen=True)
class Trial:
    """What is tried on every speaker.

    Attributes:
        tunings: ways to personalise, by the name that reports call them.
        support: labelled clips of a speaker that the model is personalised on.
        draws: so many times the support is drawn anew.
        seed: of the draws.
        tasks: whose labels the support has; None: the model's regressions, or all where it has none. Of many classes
            two clips tell two, and tuning on these forgets the others.
    """

    tunings: dict[str, Tuning]
    support: int = 2
    draws: int = 5
    seed: int = 0
    tasks: tuple[str, ...] | None = None

    def __post_init__(self):
        for name, least in (("support", 1), ("draws", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise RunError(f"{name} is {getattr(self, name)}; give {least} or more")
        if not self.tunings:
            raise RunError("no way to personalise is named; give one or more with --tune")

    def chosen(self, tasks: Sequence[Task]) -> tuple[Task, ...]:
        """
        Raises:
            RunError: a task that the model does not have.
        """
        known = {task.name: task for task in tasks}
        if self.tasks is None:
            return tuple(task for task in tasks if task.kind == "regression") or tuple(tasks)
        if unknown := [name for name in self.tasks if name not in known]:
            raise RunError(f"the model does not have the task {unknown[0]!r}; it has {list(known)}")
        return tuple(known[name] for name in self.tasks)


@dataclass(frozen=True)
class SpeakerAnswers:
    """What a model says of one speaker's clips.

    Attributes:
        speaker: the name.
        file_ids: of all clips of the speaker, (clips,).
        support: of each draw the places of the support clips among them, (draws, support).
        before: by task, of the given model, (clips, labels).
        after: by way and task, of the personalised models, (draws, clips, labels), support clips too.
        labels: by task, as ``corpus_labels`` has them.
    """

    speaker: str
    file_ids: list[str]
    support: np.ndarray
    before: dict[str, np.ndarray]
    after: dict[str, dict[str, np.ndarray]]
    labels: dict[str, np.ndarray]

    def query(self, draw: int) -> np.ndarray:
        """The places of the clips that are not in a draw's support."""
        return np.setdiff1d(np.arange(len(self.file_ids)), self.support[draw])


@dataclass(frozen=True)
class SpeakersClips:
    """The clips of a split, ready for the model, and the speakers that can be personalised for.

    Attributes:
        dataset: with ``file_id``, ``speaker``, labels, and ``audio`` or ``vector``.
        labels: by task, see ``corpus_labels``.
        labelled: boolean (clips,), those that can be in a support.
        speakers: by name the rows of the speaker.
        table: the ids of all clips of the split.
        unreadable: the ids of those that could not be read.
        left_out: how many speakers have fewer labelled clips than the support takes, or no other clip to predict.
        without_speaker: how many clips name none.
    """

    dataset: Dataset
    labels: dict[str, np.ndarray]
    labelled: np.ndarray
    speakers: dict[str, np.ndarray]
    left_out: int
    without_speaker: int
    table: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """For the console."""
        lines = [f"{len(self.speakers):,} speakers, {sum(map(len, self.speakers.values())):,} clips"]
        if self.left_out:
            lines.append(f"  {self.left_out:,} speakers are left out: they have too few labelled clips")
        if self.without_speaker:
            lines.append(f"  {self.without_speaker:,} clips without a speaker are left out")
        return "\n".join(lines)


def read_clips(run: Run, split: str, trial: Trial) -> SpeakersClips:
    """The clips of a split by speaker, prepared as those that the run's model was trained on.

    Args:
        run: of a finished run's recipe and model, which does not train.
        split: of the corpus.
        trial: what is tried.

    Raises:
        RunError: no such split, or no speaker with enough labelled clips.
    """
    tasks, takes = check_run(run)
    corpus = read_corpora(run.data, tasks)
    if split not in corpus:
        raise RunError(f"the corpus has no split {split!r}; it has {list(corpus)}; choose one with --split")
    prepared = takes.prepare({split: corpus[split]}, Path(run.training.output_dir))[split]
    unreadable = [clip.file_id for clip in prepared.skipped]
    return replace(by_speaker(prepared.dataset, tasks, trial), table=corpus[split]["file_id"][:], unreadable=unreadable)


def by_speaker(dataset: Dataset, tasks: Sequence[Task], trial: Trial) -> SpeakersClips:
    """Clips by speaker, without the speakers that are no use; spellings of one name are one speaker.

    A clip can be in the support where it has every label of the trial's tasks.

    Raises:
        RunError: no clip names its speaker, or no speaker is left.
    """
    labels, chosen = corpus_labels(dataset, tasks), trial.chosen(tasks)
    labelled = np.all([is_labelled(task, labels[task.name]) for task in chosen], axis=0)
    speakers: dict[str, list[int]] = {}
    first: dict[str, str] = {}
    names = dataset["speaker"][:] if "speaker" in dataset.column_names else [None] * len(dataset)
    for row, name in enumerate(names):
        if name:
            speakers.setdefault(first.setdefault(speaker_key(name), name), []).append(row)
    kept = {
        name: np.array(rows)
        for name, rows in speakers.items()
        if labelled[rows].sum() >= trial.support and len(rows) > trial.support
    }
    if not speakers:
        raise RunError(
            f"none of the {len(dataset):,} clips names its speaker, and a model is personalised for one; name the "
            "speakers in the corpus's table (of a folder's, its column with --columns '{speaker: COLUMN}')"
        )
    if not kept:
        most = max((int(labelled[rows].sum()) for rows in speakers.values()), default=0)
        raise RunError(
            f"no speaker has {trial.support} clips with labels of {[task.name for task in chosen]} and another to "
            f"predict: of {len(speakers):,} speakers, whose clips are {len(dataset):,}, none has more than {most} "
            "labelled clips; lower --support, name fewer --tasks, or choose another --split"
        )
    without = sum(not name for name in names)
    return SpeakersClips(dataset, labels, labelled, kept, len(speakers) - len(kept), without)


def draw_support(labelled: np.ndarray, trial: Trial, speaker: str) -> np.ndarray:
    """The places of the support among a speaker's clips in each draw, (draws, support), in rising order.

    A draw depends on the seed and the speaker's name alone. Where a speaker has no more labelled clips than the support
    takes, as in the challenge's test split, these are the support of every draw.

    >>> draw_support(np.array([False, True, True]), Trial({"head": Tuning("head")}, draws=2), "S1").tolist()
    [[1, 2], [1, 2]]
    """
    places = np.flatnonzero(labelled)
    rng = np.random.default_rng([trial.seed, *speaker_key(speaker).encode()])
    return np.stack([np.sort(rng.permutation(places)[: trial.support]) for _ in range(trial.draws)])


def answer_speakers(
    model: Burst2VecForMultiTask, extractor: Burst2VecFeatureExtractor, clips: SpeakersClips, trial: Trial, folder: Path
) -> Iterator[SpeakerAnswers]:
    """Speaker by speaker what the model says of their clips, before and after; each is kept in ``folder``.

    The encoder sees each clip once; of each draw and way the trained weights are the start.

    Args:
        model: in evaluation mode; it stays as it is.
        extractor: the model's.
        clips: see [`by_speaker`].
        trial: what is tried.
        folder: what is there already of the same trial is read, not computed again.
    """
    for place, (speaker, rows) in enumerate(tqdm(clips.speakers.items(), desc="Personalising", unit=" speakers")):
        file = folder / SPEAKERS / f"{place:05d}.npz"
        of_speaker = clips.dataset.select(rows)
        file_ids = [str(file_id) for file_id in of_speaker["file_id"]]
        labels = {name: values[rows] for name, values in clips.labels.items()}
        support = draw_support(clips.labelled[rows], trial, speaker)
        if file.is_file():
            before, after = _read_kept(file)
        else:
            before, after = answer_speaker(model, encode(model, extractor, of_speaker), labels, support, trial)
            _keep(file, before, after)
        yield SpeakerAnswers(speaker, file_ids, support, before, after, labels)


def answer_speaker(
    model: Burst2VecForMultiTask, frames: list, labels: dict[str, np.ndarray], support: np.ndarray, trial: Trial
) -> tuple[dict, dict]:
    """``before`` and ``after`` of [`SpeakerAnswers`].

    Args:
        model: in evaluation mode; it stays as it is.
        frames: of each clip (frames, features), see [`encode`].
        labels: by task, of the same clips.
        support: see [`draw_support`].
        trial: what is tried.
    """
    names = [task.name for task in trial.chosen(tuple(model.tasks.values()))]
    of_draw: dict[tuple, dict[str, dict]] = {}  # draws may coincide
    for places in map(tuple, support):
        if places in of_draw:
            continue
        of_support = {name: labels[name][list(places)] for name in names}
        batch = stacked([frames[place] for place in places])
        of_draw[places] = {
            way: answer(tuning.personal_copy(model, *batch, of_support), frames)
            for way, tuning in trial.tunings.items()
        }
    after = {
        way: {task: np.stack([of_draw[tuple(places)][way][task] for places in support]) for task in model.tasks}
        for way in trial.tunings
    }
    return answer(model, frames), after


@torch.no_grad()
def encode(model: Burst2VecForMultiTask, extractor: Burst2VecFeatureExtractor, clips: Dataset) -> list[torch.Tensor]:
    """The encoder's frames of each clip, (frames, features), those with sound."""
    found = []
    collate = BurstCollator(extractor, tuple(model.tasks.values()))
    for start in range(0, len(clips), BATCH):
        part = clips.select(range(start, min(start + BATCH, len(clips))))
        if has_vectors(clips):
            inputs = extractor(list(vectors_of(part)), return_tensors="pt")
        else:
            inputs = collate(list(part))
        values, mask = (inputs[key].to(model.device) if key in inputs else None for key in TAKEN)
        frames, frame_mask = model.encoder(values, mask)
        lengths = [frames.shape[1]] * len(frames) if frame_mask is None else frame_mask.sum(dim=1).tolist()
        found += [of_clip[:length].clone() for of_clip, length in zip(frames, lengths, strict=True)]
    return found


def stacked(frames: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Frames of clips as a batch (clips, frames, features), and where they are; None where all are as long."""
    lengths = torch.tensor([len(of_clip) for of_clip in frames])
    batch = pad_sequence(list(frames), batch_first=True)
    whole = int(lengths.min()) == batch.shape[1]
    mask = None if whole else (torch.arange(batch.shape[1]) < lengths[:, None]).to(batch.device)
    return batch, mask


@torch.no_grad()
def answer(model: Burst2VecForMultiTask, frames: Sequence[torch.Tensor]) -> dict[str, np.ndarray]:
    """By task what the model says of clips by their frames, float32 (clips, labels)."""
    parts = [
        model.answer_frames(*stacked(frames[start : start + BATCH])).predictions
        for start in range(0, len(frames), BATCH)
    ]
    return {name: torch.cat([part[name] for part in parts]).float().cpu().numpy() for name in parts[0]}


def official_predictions(
    model: Burst2VecForMultiTask,
    extractor: Burst2VecFeatureExtractor,
    clips: SpeakersClips,
    answers: Sequence[SpeakerAnswers],
    way: str,
) -> tuple[list[str], dict[str, np.ndarray]]:
    """One answer to each clip of the split: of the first draw's personalised models, by one way.

    The challenge asks for every test clip, so support clips have the answer of the model that was personalised on them;
    clips of speakers who were left out have the given model's.

    Returns:
        The clips' ids, and by task (clips, labels).
    """
    personal = {file_id for of_speaker in answers for file_id in of_speaker.file_ids}
    others = [row for row, file_id in enumerate(clips.dataset["file_id"]) if str(file_id) not in personal]
    file_ids = [file_id for of_speaker in answers for file_id in of_speaker.file_ids]
    parts = {task: [of_speaker.after[way][task][0] for of_speaker in answers] for task in model.tasks}
    if others:
        remaining = clips.dataset.select(others)
        file_ids += map(str, remaining["file_id"])
        for task, values in answer(model, encode(model, extractor, remaining)).items():
            parts[task].append(values)
    return file_ids, {task: np.concatenate(of_task) for task, of_task in parts.items()}


def keep_trial(folder: Path, said: dict) -> None:
    """Write what a trial is of, or compare it with what the folder was begun with.

    Raises:
        RunError: the folder holds another trial.
    """
    file = folder / SETTINGS
    if file.is_file():
        begun = json.loads(file.read_text(encoding="utf-8"))
        if other := [key for key in {**said, **begun} if begun.get(key) != said.get(key)]:
            raise RunError(
                f"{folder} was begun with {other[0]} {str(begun.get(other[0]))[:100]}, not "
                f"{str(said.get(other[0]))[:100]}; give another folder with --out, or the same settings"
            )
    (folder / SPEAKERS).mkdir(parents=True, exist_ok=True)
    write_json(file, said)


def described(run_folder: Path, data: Mapping, split: str, clips: SpeakersClips, trial: Trial) -> dict:
    """What a trial is of, as JSON: two of the same description have the same answers.

    Args:
        run_folder: with the model.
        data: that section of the recipe as plain data, with what the command line says, without places.
        split, clips, trial: see [`read_clips`].
    """
    weights = hashlib.sha256()
    for file in sorted(run_folder.glob("*.safetensors")):
        weights.update(file.read_bytes())
    said = json.dumps([list(clips.dataset["file_id"]), *(of_task.tolist() for of_task in clips.labels.values())])
    return {
        "weights": weights.hexdigest(),
        "split": split,
        "clips": hashlib.sha256(said.encode()).hexdigest(),
        **{f"data.{key}": value for key, value in data.items() if key not in ("team", "submission")},
        **json.loads(json.dumps(asdict(trial))),
    }


def _keep(file: Path, before: dict, after: dict) -> None:
    arrays = {f"before/{task}": values for task, values in before.items()}
    arrays |= {f"after/{name}/{task}": values for name, by in after.items() for task, values in by.items()}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_whole(file, content.getvalue())


def _read_kept(file: Path) -> tuple[dict, dict]:
    before, after = {}, {}
    with np.load(file, allow_pickle=False) as arrays:
        for key in arrays.files:
            kind, *name, task = key.split("/")
            (before if kind == "before" else after.setdefault("/".join(name), {}))[task] = arrays[key]
    return before, after
