"""One generator, from a recipe to a finished folder: read the clips, learn, write samples, model and card."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from accelerate import Accelerator
from safetensors import SafetensorError
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..command_line.generate_help import generate_usage
from ..drawing import save_figure
from ..errors import Burst2VecError, CheckpointError, DivergenceError, RunError, WriteError, refused
from ..experiment.building import claim_folder, resume_from
from ..experiment.results import versions
from ..files import drafts_of, write_json, write_whole
from ..training.checkpoints import choose_checkpoint, remove_leftovers
from ..training.run_fingerprint import corpus_digest
from .burst_samples import draw_grid, draw_losses, generate_images, image_distance, write_waveforms
from .emotion_folders import EmotionClips, read_emotion_clips
from .flow_training import FlowLearner
from .gan_training import Game
from .generation_recipes import GenerationRun, fingerprint_of, parse_generation
from .generator_card import generator_card
from .learner import Learner, last_good_checkpoint
from .learnt_images import BurstImages, LabelledClips, batches_from, profiles_of, read_clips_of
from .scoring_bursts import Scoring, score_bursts

logger = logging.getLogger(__name__)

RECORD = "generation.json"  # written last: a folder that has it is of a finished run
_WAVS = 4  # beside each grid
_REAL = 256  # images that samples are compared with


def main(arguments: list[str]) -> int:
    """The command line ``burst2vec generate``, which is examples/run_generate.py.

    Returns:
        0; 2 where the recipe, the corpus or the folder is refused, or training diverged: the reason is on stderr.
    """
    if not arguments:
        print("\n".join(generate_usage()))
        return 2
    try:
        run_generation(parse_generation(arguments))
    except Burst2VecError as error:
        return refused(error)
    return 0


def run_generation(run: GenerationRun) -> Path:
    """Do what a recipe says, and write everything into its ``output_dir``.

    Returns:
        the folder.

    Raises:
        Burst2VecError: clips, folder or checkpoint are refused, or a loss is not finite.
    """
    accelerator = Accelerator()
    if accelerator.num_processes > 1:
        raise RunError(
            f"{accelerator.num_processes} processes: a generator learns in one, where a step is of one whole batch; "
            "start with --num_processes 1"
        )
    training = run.training
    run.generate.config()  # what is wrong with it is said before clips are read
    folder, resume = Path(training.output_dir), resume_from(training.resume_from_checkpoint)
    with claim_folder(folder, resume):
        for name in remove_leftovers(folder):
            logger.warning("%s: removed %s, which a killed run left unfinished", folder, name)
        clips = read_clips_of(run.data, run.generate.emotion, training.seed, training.batch_size)
        scoring = _scoring_of(run, clips)
        images = BurstImages(clips, training.augmentation, training.seed, _frames(run))
        print(f"{len(images):,} clips of {', '.join(clips.emotions)} to learn from")
        compared = np.linspace(0, len(images) - 1, min(_REAL, len(images))).astype(int)
        real = images.unchanged(compared)
        learner = _learner_of(run, clips, real, accelerator.device)
        digest = corpus_digest(clips.clips["file_id"][:])
        fingerprint = {
            **fingerprint_of(run, learner.generator.config, digest),
            "checkpoint_files": learner.checkpoint_files,
        }
        if resume:
            checkpoint, skipped = choose_checkpoint(folder, resume, fingerprint)
            for reason in skipped:
                logger.warning("%s: skipped %s", folder, reason)
            if checkpoint is not None:
                print(f"resuming from {checkpoint}")
                learner.resume(checkpoint)
        try:
            _learn(learner, images, Shown(real, clips.select(compared), folder), fingerprint)
        except DivergenceError as error:
            raise DivergenceError(f"{error}; {last_good_checkpoint(folder)}") from error
        _finish(run, learner, clips, scoring)
    return folder


class Shown(NamedTuple):
    """What samples are drawn beside: images of real clips, these clips with their labels, and the run's folder."""

    real: np.ndarray
    clips: LabelledClips
    folder: Path


def _frames(run: GenerationRun) -> int:
    return run.generate.config().image_size[1]


def _learner_of(run: GenerationRun, clips: LabelledClips, real: np.ndarray, device) -> Learner:
    if run.generate.kind == "msg_gan":
        return Game(run.generate.config(), run.training, device)
    config = run.generate.config(
        clips.emotions,
        profiles=profiles_of(clips).round(4).tolist(),
        image_mean=round(float(real.mean()), 4),
        image_deviation=round(float(real.std()), 4),
    )
    return FlowLearner(config, run.training, device)


def _learn(learner: Learner, images: BurstImages, shown: Shown, fingerprint: dict) -> None:
    training, folder = learner.training, shown.folder
    folder.mkdir(parents=True, exist_ok=True)
    distances = [each for each in _read_distances(folder) if each["step"] <= learner.step]
    if not distances:
        distances.append(_sample(learner, shown, distances))
    if learner.step >= training.max_steps:
        return
    per_step = learner.batches_per_step
    batches = batches_from(
        learner.step * per_step, training.max_steps * per_step, len(images), training.batch_size, training.seed
    )
    loader = iter(DataLoader(images, batch_sampler=batches, num_workers=training.num_workers))
    with tqdm(total=training.max_steps, initial=learner.step, desc="Training", unit="step") as bar:
        while learner.step < training.max_steps:
            losses = learner.learn([next(loader) for _ in range(per_step)])
            bar.set_postfix({name[:1].upper(): f"{value:.3f}" for name, value in losses.items()}, refresh=False)
            bar.update()
            is_last = learner.step == training.max_steps
            if is_last or learner.step % training.sample_steps == 0:
                distances.append(_sample(learner, shown, distances))
                bar.write(f"step {learner.step}: distance of the images' statistics {distances[-1]['distance']:.4g}")
            if is_last or learner.step % training.save_steps == 0:
                _save(learner, folder, fingerprint)


def _save(learner: Learner, folder: Path, fingerprint: dict) -> None:
    try:
        learner.write_checkpoint(folder, fingerprint)
    except (OSError, RuntimeError, SafetensorError) as error:  # a full disk comes as any of these
        raise CheckpointError(f"checkpoint-{learner.step} could not be written to {folder}: {error}") from error


def _sample(learner: Learner, shown: Shown, distances: list[dict]) -> dict:
    """Write a grid and WAVs of the averaged generator; always of the same noise, so that one sees it change."""
    training, clips = learner.training, shown.clips
    number = max(training.samples, min(64, len(clips.labels)))
    rows = np.random.default_rng(training.seed).permutation(len(clips.labels))
    rows = np.resize(rows, number)  # again from the first where there are fewer
    generated = generate_images(learner.average, clips.labels[rows], training.seed, "Sampling")
    found = {"step": learner.step, "distance": image_distance(generated, shown.real)}
    place = shown.folder / "samples" / f"step-{learner.step:06d}"
    shown_rows = rows[: training.samples]
    names = [clips.emotions[emotion] for emotion in clips.strongest[shown_rows]]
    title = f"{clips.emotions[0] if len(clips.emotions) == 1 else 'all emotions'}, step {learner.step}"
    grid = draw_grid(generated[: training.samples], title, shown.real[shown_rows], names)
    save_figure(grid, place / "grid.png")
    write_waveforms(generated[:_WAVS], place, f"Samples of step {learner.step}")
    write_json(shown.folder / "samples" / "distances.json", {"distances": [*distances, found]})
    return found


class FinalScoring(NamedTuple):
    """What the bursts at the end are scored with, and the held-out clips that they are compared with, if any."""

    how: Scoring
    held_out: EmotionClips | None


def _scoring_of(run: GenerationRun, clips: LabelledClips) -> FinalScoring | None:
    """Refuses before training what could not be scored after it."""
    training, data = run.training, run.data
    if training.score_with is None:
        return None
    how = Scoring(
        training.score_with,
        Path(training.output_dir, "scores"),
        cache_dir=data.cache_dir,
        num_proc=data.preprocessing_num_workers,
    )
    how.refuse_without_model()
    if training.final_samples < how.fewest:
        raise RunError(f"--final_samples {training.final_samples}: {how.fewest} or more of each emotion can be scored")
    held_out = None
    if data.score_against:
        other = replace(data, train_on=data.score_against, max_train_samples=None)
        held_out = read_clips_of(other, run.generate.emotion, training.seed, 1).of_emotions
    real = clips.of_emotions
    how.refuse_too_few(real.names, real, held_out)
    return FinalScoring(how, held_out)


def _finish(run: GenerationRun, learner: Learner, clips: LabelledClips, scoring: FinalScoring | None) -> None:
    training, folder = run.training, Path(run.training.output_dir)
    distances = _read_distances(folder)
    with drafts_of(folder, last="config.json") as drafts:
        try:
            learner.average.save_pretrained(drafts)
        except SafetensorError as error:  # of a full disk, without a number
            raise WriteError(folder, error) from error
    save_figure(draw_losses(learner.history, distances), folder / "plots" / "losses.png")
    if training.final_samples:
        _write_final_samples(learner, clips, folder / "generated")
    recipe = yaml.safe_dump(run.to_dict(), sort_keys=False, allow_unicode=True)
    write_whole(folder / "recipe.yaml", recipe)
    record = {
        "recipe": run.to_dict(),
        "kind": run.generate.kind,
        "emotions": clips.emotions,
        "steps": learner.step,
        "clips": len(clips.labels),
        "seed": training.seed,
        "distances": distances,
        "versions": versions(),
    }
    if scoring is not None:
        generated = read_emotion_clips(folder / "generated", run.data.cache_dir, run.data.preprocessing_num_workers)
        record["scores"] = score_bursts(generated, clips.of_emotions, scoring.held_out, scoring.how)
        print(record["scores"])
    write_whole(folder / "README.md", generator_card(folder.resolve().name, record))
    write_json(folder / RECORD, record)
    to_score = f"; to score: burst2vec score-generated REAL_DIR {folder / 'generated'} --model M"
    print(f"\neverything is in {folder}{to_score if scoring is None else ''}")


def _write_final_samples(learner: Learner, clips: LabelledClips, folder: Path) -> None:
    """Bursts of each emotion, with the labels of clips in which it is the strongest, drawn at random."""
    training = learner.training
    for place in sorted(set(clips.strongest.tolist())):
        emotion, seed = clips.emotions[place], training.seed + 1 + place
        rows = np.flatnonzero(clips.strongest == place)
        labels = clips.labels[np.random.default_rng(seed).choice(rows, training.final_samples)]
        generated = generate_images(learner.average, labels, seed, f"Generating {emotion}")
        write_waveforms(generated, folder / emotion, f"Writing bursts of {emotion}")


def _read_distances(folder: Path) -> list[dict]:
    path = folder / "samples" / "distances.json"
    return json.loads(path.read_text(encoding="utf-8"))["distances"] if path.is_file() else []
