"""One generator, from a recipe to a finished folder: read the clips, learn, write samples, model and card."""

import json
import logging
from pathlib import Path

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
from .gan_training import CHECKPOINT_FILES, Game, last_good_checkpoint
from .generation_recipes import GenerationRun, fingerprint_of, parse_generation
from .generator_card import generator_card
from .learnt_images import BurstImages, batches_from, read_emotion
from .mel_images import mel_image

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
            f"{accelerator.num_processes} processes: a generator learns in one, because the losses compare the clips "
            "of a whole batch; start with --num_processes 1"
        )
    training, config = run.training, run.generate.config()
    folder, resume = Path(training.output_dir), resume_from(training.resume_from_checkpoint)
    with claim_folder(folder, resume):
        for name in remove_leftovers(folder):
            logger.warning("%s: removed %s, which a killed run left unfinished", folder, name)
        clips = read_emotion(run.data, run.generate.emotion, training.seed, training.batch_size)
        fingerprint = {
            **fingerprint_of(run, corpus_digest(clips["file_id"][:])),
            "checkpoint_files": CHECKPOINT_FILES,
        }
        game = Game(config, training, accelerator.device)
        if resume:
            checkpoint, skipped = choose_checkpoint(folder, resume, fingerprint)
            for reason in skipped:
                logger.warning("%s: skipped %s", folder, reason)
            if checkpoint is not None:
                print(f"resuming from {checkpoint}")
                game.resume(checkpoint)
        images = BurstImages(clips, training.augmentation, training.seed)
        print(f"{len(images):,} clips of {run.generate.emotion} to learn from")
        try:
            _learn(game, images, folder, fingerprint)
        except DivergenceError as error:
            raise DivergenceError(f"{error}; {last_good_checkpoint(folder)}") from error
        _finish(run, game, len(images), folder)
    return folder


def _learn(game: Game, images: BurstImages, folder: Path, fingerprint: dict) -> None:
    training = game.training
    real = _unchanged(images)
    folder.mkdir(parents=True, exist_ok=True)
    distances = [each for each in _read_distances(folder) if each["step"] <= game.step]
    if not distances:
        distances.append(_sample(game, real, folder, distances))
    if game.step >= training.max_steps:
        return
    per_step = game.batches_per_step
    batches = batches_from(
        game.step * per_step, training.max_steps * per_step, len(images), training.batch_size, training.seed
    )
    loader = iter(DataLoader(images, batch_sampler=batches, num_workers=training.num_workers))
    with tqdm(total=training.max_steps, initial=game.step, desc="Training", unit="step") as bar:
        while game.step < training.max_steps:
            losses = game.learn([next(loader) for _ in range(per_step)])
            bar.set_postfix({name[:1].upper(): f"{value:.3f}" for name, value in losses.items()}, refresh=False)
            bar.update()
            is_last = game.step == training.max_steps
            if is_last or game.step % training.sample_steps == 0:
                distances.append(_sample(game, real, folder, distances))
                bar.write(f"step {game.step}: distance of the images' statistics {distances[-1]['distance']:.4g}")
            if is_last or game.step % training.save_steps == 0:
                _save(game, folder, fingerprint)


def _save(game: Game, folder: Path, fingerprint: dict) -> None:
    try:
        game.write_checkpoint(folder, fingerprint)
    except (OSError, RuntimeError, SafetensorError) as error:  # a full disk comes as any of these
        raise CheckpointError(f"checkpoint-{game.step} could not be written to {folder}: {error}") from error


def _sample(game: Game, real: np.ndarray, folder: Path, distances: list[dict]) -> dict:
    """Write a grid and WAVs of the averaged generator; always of the same noise, so that one sees it change."""
    generated = generate_images(game.average, max(game.training.samples, min(64, len(real))), game.training.seed)
    found = {"step": game.step, "distance": image_distance(generated, real)}
    place = folder / "samples" / f"step-{game.step:06d}"
    grid = draw_grid(generated[: game.training.samples], f"{_emotion(game)}, step {game.step}", real)
    save_figure(grid, place / "grid.png")
    write_waveforms(generated[:_WAVS], place, f"Samples of step {game.step}")
    write_json(folder / "samples" / "distances.json", {"distances": [*distances, found]})
    return found


def _finish(run: GenerationRun, game: Game, clips: int, folder: Path) -> None:
    training, emotion = run.training, _emotion(game)
    distances = _read_distances(folder)
    with drafts_of(folder, last="config.json") as drafts:
        try:
            game.average.save_pretrained(drafts)
        except SafetensorError as error:  # of a full disk, without a number
            raise WriteError(folder, error) from error
    save_figure(draw_losses(game.history, distances), folder / "plots" / "losses.png")
    if training.final_samples:
        generated = generate_images(game.average, training.final_samples, training.seed + 1)
        write_waveforms(generated, folder / "generated" / emotion, f"Writing bursts of {emotion}")
    recipe = yaml.safe_dump(run.to_dict(), sort_keys=False, allow_unicode=True)
    write_whole(folder / "recipe.yaml", recipe)
    record = {
        "recipe": run.to_dict(),
        "emotion": emotion,
        "steps": game.step,
        "clips": clips,
        "seed": training.seed,
        "distances": distances,
        "versions": versions(),
    }
    write_whole(folder / "README.md", generator_card(folder.resolve().name, record))
    write_json(folder / RECORD, record)
    print(f"\neverything is in {folder}; to score: burst2vec score-generated REAL_DIR {folder / 'generated'} --model M")


def _unchanged(images: BurstImages) -> np.ndarray:
    """Images of real clips as they are, (clips, 128, 512)."""
    return np.stack([mel_image(waveform) for waveform in images.waveforms[:_REAL]])


def _read_distances(folder: Path) -> list[dict]:
    path = folder / "samples" / "distances.json"
    return json.loads(path.read_text(encoding="utf-8"))["distances"] if path.is_file() else []


def _emotion(game: Game) -> str:
    return game.average.config.emotions[0]
