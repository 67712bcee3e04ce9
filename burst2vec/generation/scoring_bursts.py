"""Generated bursts of a folder scored against real ones by a saved model's vectors, into a folder with the report."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import CorpusError
from ..features import extract_features, find_feature_set, public_name
from .comparing_clips import FEWEST, Clips, compare_clips, read_statistics_folder
from .comparison_report import format_comparison, write_comparison
from .emotion_folders import EmotionClips, read_ratings


@dataclass
class Scoring:
    """How bursts are scored, and where the report goes.

    Attributes:
        model: whose vectors are compared: a folder, or a name on the Hub.
        out: folder of the report.
        statistics: folder of real clips' statistics by the model, see ``read_statistics_folder``.
        ratings: table of people's mean ratings.
        k: which neighbour bounds a neighbourhood.
        seed: of what is drawn.
        cache_dir: of the datasets library.
        num_proc: processes to decode with.
    """

    model: str
    out: str | Path
    statistics: str | None = None
    ratings: str | None = None
    k: int = 5
    seed: int = 0
    cache_dir: str | None = None
    num_proc: int | None = None

    @property
    def feature_set(self) -> str:
        return f"embedding:{self.model}"

    @property
    def fewest(self) -> int:
        """Clips of each emotion that every set needs."""
        return max(FEWEST, 2 * self.k + 2)

    def refuse_without_model(self) -> None:
        """
        Raises:
            CorpusError: there is no such model.
        """
        find_feature_set(self.feature_set).size  # noqa: B018 reads its configuration

    def refuse_too_few(self, emotions: list[str], real: EmotionClips, held_out: EmotionClips | None) -> None:
        """
        Raises:
            CorpusError: an emotion with too few real or held-out clips, or none; names it.
        """
        for clips in (real, held_out):
            if clips is None:
                continue
            if unknown := [emotion for emotion in emotions if emotion not in clips.names]:
                raise CorpusError(
                    f"{clips.folder}: has no clips of {', '.join(unknown)}, which was generated; it has "
                    f"{', '.join(clips.names)}"
                )
            clips.refuse_too_few(self.fewest, "to compare with", emotions)


def score_bursts(generated: EmotionClips, real: EmotionClips, held_out: EmotionClips | None, how: Scoring) -> str:
    """Score, and write the report; returns its text.

    Raises:
        Burst2VecError: too few clips of an emotion, statistics or ratings that are refused.
    """
    generated.refuse_too_few(how.fewest, "to be scored")
    how.refuse_too_few(generated.names, real, held_out)
    ratings = None if how.ratings is None else read_ratings(how.ratings, generated)
    statistics = None
    if how.statistics is not None:
        statistics = read_statistics_folder(how.statistics, generated.names, Path(how.out) / "statistics")
    ours, theirs = _vectors_of(generated, how), _vectors_of(real, how)
    others = None if held_out is None else _vectors_of(held_out, how)
    scored = compare_clips(ours, theirs, others, statistics, ratings, how.k, how.seed)
    text = format_comparison(scored, ours.vectors.shape[1], public_name(how.feature_set))
    write_comparison(scored, text, ours, theirs, how.out)
    return text


def _vectors_of(clips: EmotionClips, how: Scoring) -> Clips:
    desc = f"Computing vectors of {Path(clips.folder).name}"
    made = extract_features(clips.clips, how.feature_set, how.num_proc, desc=desc, cache_dir=how.cache_dir)
    vectors = np.stack(made.with_format("numpy")["features"][:])
    return Clips(vectors.astype(np.float64), clips.emotions, list(made["file_id"]))
