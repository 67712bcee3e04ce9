"""How near the generated clips of each emotion are to the real ones, by vectors of any model."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from ..errors import CorpusError
from ..scoring import frechet_distance, heep, s_gen, s_gen_overall
from ..scoring.generated import Estimate, Gaussian, frechet_interval, gaussian_of
from ..scoring.neighbours import ManifoldScores, manifold_scores, nearest
from ..scoring.statistics_files import ENDINGS, read_statistics, write_statistics
from .recognising import Recognition, recognise

FEWEST = 20  # clips per emotion and set: two for each group of the jackknife, halves of real clips included
COPY_BELOW = 0.1  # of the median distance between a real clip and its nearest other; our choice


class Clips(NamedTuple):
    """Clips as vectors (clips, features), with the emotion and the name of each."""

    vectors: np.ndarray
    emotions: np.ndarray
    names: list[str]

    def of(self, emotion: str) -> np.ndarray:
        return self.vectors[self.emotions == emotion]


@dataclass
class EmotionScores:
    """The scores of one emotion's generated clips.

    Attributes:
        generated, real: how many clips.
        fid: Fréchet distance to the emotion's real clips, with its interval.
        floor: the same distance of ``floor_clips`` real clips to others of the emotion.
        manifold: precision, recall, density and coverage.
        nearer: fraction of generated clips that are nearer to a real clip than the median of real clips that were not
            learnt from, or, without these, of the real clips among each other. 0.5 or less is no memorisation.
        copies: generated clips so near to a real one that they must be taken for copies: below ``COPY_BELOW``.
        fid_of_statistics: to the mean and covariance of a statistics file; None where there is none.
        heep, s_gen: None where nobody rated a clip of it.
    """

    generated: int
    real: int
    fid: Estimate
    floor: Estimate
    floor_clips: int
    manifold: ManifoldScores
    nearer: float
    copies: int
    fid_of_statistics: float | None = None
    heep: float | None = None
    s_gen: float | None = None


@dataclass
class Neighbour:
    """The nearest real clip of a generated one; ``distance`` is over the median distance between real clips."""

    clip: str
    emotion: str
    real: str
    distance: float

    @property
    def is_copy(self) -> bool:
        return self.distance < COPY_BELOW


@dataclass
class Comparison:
    """Generated clips beside real ones.

    Attributes:
        of_emotion: the scores by emotion.
        distances: Fréchet distance of each emotion's generated clips (rows) to each one's real clips (columns), both in
            the order of ``of_emotion``.
        neighbours: of each generated clip.
        apart: of each emotion, the distances to the nearest clip that generated clips and the reference have, over the
            median of the latter.
        held_out: whether the reference and the floor are of clips that were held out.
        k: of the neighbourhoods.
        overall: of two emotions or more, Fréchet distance of all generated clips to all real ones of these emotions,
            and its floor.
        recognition: of two emotions or more, what a classifier takes the generated clips for.
        s_gen: over all emotions that were rated, those without clips included; None without ratings.
    """

    of_emotion: dict[str, EmotionScores]
    distances: np.ndarray
    neighbours: list[Neighbour]
    apart: dict[str, tuple[np.ndarray, np.ndarray]]
    held_out: bool
    k: int
    overall: tuple[Estimate, Estimate] | None = None
    recognition: Recognition | None = None
    s_gen: float | None = None


def compare_clips(
    generated: Clips,
    real: Clips,
    held_out: Clips | None = None,
    statistics: dict[str, Gaussian] | None = None,
    ratings: tuple[dict[str, np.ndarray], list[str]] | None = None,
    k: int = 5,
    seed: int = 0,
) -> Comparison:
    """Score the generated clips of each emotion against the real ones of the same emotion.

    The floor is what the distance would be for clips as good as real ones. Without clips that were held out, real clips
    are drawn at random, as many as were generated but at most half, and compared with the others; a speaker is then on
    both sides, which makes it somewhat too low.

    Args:
        generated, real: ``FEWEST`` clips of each generated emotion, or more.
        held_out: real clips that nothing learnt from.
        statistics: of real clips from elsewhere, by emotion.
        ratings: as ``read_ratings`` gives them.
        k: which neighbour bounds a neighbourhood.
        seed: of what is drawn.

    Raises:
        CorpusError: statistics of vectors of another size.
    """
    emotions = sorted(set(generated.emotions.tolist()))
    of_emotion, apart = {}, {}
    random = np.random.default_rng(seed)
    place, distance = nearest(generated.vectors, real.vectors)
    known = real if held_out is None else held_out
    to_real = nearest(real.vectors)[1] if held_out is None else nearest(held_out.vectors, real.vectors)[1]
    neighbours = []
    for emotion in tqdm(emotions, desc="Scoring emotions", unit="emotion"):
        ours, theirs = generated.of(emotion), real.of(emotion)
        others = None if held_out is None else held_out.of(emotion)
        reference = to_real[known.emotions == emotion]
        scale = np.median(reference) or 1.0
        rows = np.flatnonzero(generated.emotions == emotion)
        found = [
            Neighbour(generated.names[row], emotion, real.names[place[row]], float(distance[row] / scale))
            for row in rows
        ]
        floor = _floor(theirs, len(ours), random) if others is None else (others, theirs)
        of_emotion[emotion] = EmotionScores(
            generated=len(ours),
            real=len(theirs),
            fid=frechet_interval(ours, theirs, seed=seed),
            floor=frechet_interval(*floor, seed=seed),
            floor_clips=len(floor[0]),
            manifold=manifold_scores(ours, theirs, k),
            nearer=float((distance[rows] < np.median(reference)).mean()),
            copies=sum(neighbour.is_copy for neighbour in found),
            fid_of_statistics=_distance_to(statistics, emotion, ours),
        )
        neighbours += found
        apart[emotion] = distance[rows] / scale, reference / scale
    ours, theirs = ({emotion: gaussian_of(clips.of(emotion)) for emotion in emotions} for clips in (generated, real))
    distances = np.array([[frechet_distance(*ours[row], *theirs[column]) for column in emotions] for row in emotions])
    comparison = Comparison(of_emotion, distances, neighbours, apart, held_out is not None, k)
    if len(emotions) > 1:
        among, others = _those_of(real, emotions), held_out and _those_of(held_out, emotions)
        floor = _floor(among[0], len(generated.vectors), random) if others is None else (others[0], among[0])
        comparison.overall = (
            frechet_interval(generated.vectors, among[0], seed=seed),
            frechet_interval(*floor, seed=seed),
        )
        comparison.recognition = recognise((generated.vectors, generated.emotions), among, others, seed)
    if ratings is not None:
        _add_ratings(comparison, *ratings)
    return comparison


def read_statistics_folder(folder: str | Path, emotions: list[str], converted: str | Path) -> dict[str, Gaussian]:
    """The statistics of real clips, from files that begin with the emotion, such as ``Awe_Val_wav.pkl``.

    Args:
        folder: of ``.pkl`` or ``.npz`` files, see ``read_statistics``.
        emotions: wanted; one without a file has none.
        converted: where each pickle's numbers are written as ``.npz``, once.

    Raises:
        CorpusError: no such folder, no file for any emotion, several for one, or a file that is refused.
    """
    folder, converted = Path(folder).expanduser(), Path(converted)
    files = sorted(path for path in folder.glob("*") if path.suffix in ENDINGS)
    found = {}
    for emotion in emotions:
        of_emotion = [path for path in files if path.stem == emotion or path.stem.startswith(f"{emotion}_")]
        if len(of_emotion) > 1:
            raise CorpusError(f"{folder}: {' and '.join(path.name for path in of_emotion)} are of {emotion}; keep one")
        if of_emotion:
            found[emotion] = read_statistics(of_emotion[0])
            if of_emotion[0].suffix == ".pkl":
                converted.mkdir(parents=True, exist_ok=True)
                write_statistics(found[emotion], converted / f"{of_emotion[0].stem}.npz")
    if not found:
        raise CorpusError(
            f"{folder}: holds no statistics of {', '.join(emotions)}; files are called EMOTION_….pkl or EMOTION_….npz, "
            f"and there are {', '.join(path.name for path in files[:5]) or 'none'}"
        )
    return found


def _those_of(clips: Clips, emotions: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Vectors and emotions."""
    kept = np.isin(clips.emotions, emotions)
    return clips.vectors[kept], clips.emotions[kept]


def _floor(real: np.ndarray, generated: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    rows = random.permutation(len(real))
    count = min(generated, len(real) // 2)
    return real[rows[:count]], real[rows[count:]]


def _distance_to(statistics: dict[str, Gaussian] | None, emotion: str, vectors: np.ndarray) -> float | None:
    if statistics is None or emotion not in statistics:
        return None
    there = statistics[emotion]
    if len(there.mean) != vectors.shape[1]:
        raise CorpusError(
            f"the statistics of {emotion} are of {len(there.mean)} features, and the model's vectors have "
            f"{vectors.shape[1]}; give the model that the statistics were made with"
        )
    return frechet_distance(*gaussian_of(vectors), *there)


def _add_ratings(comparison: Comparison, of_emotion: dict[str, np.ndarray], columns: list[str]) -> None:
    for emotion, rated in of_emotion.items():
        scores = comparison.of_emotion[emotion]
        targets = np.zeros_like(rated)
        targets[:, columns.index(emotion)] = 1.0
        scores.heep = heep(rated, targets)
        if scores.fid.value > 0:
            scores.s_gen = s_gen(scores.fid.value, scores.heep)
    found = [scores.s_gen for scores in comparison.of_emotion.values() if scores.s_gen is not None]
    if found:
        comparison.s_gen = s_gen_overall(found, len(columns))
