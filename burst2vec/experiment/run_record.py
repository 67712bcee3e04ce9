"""The record of a run, ``metrics.json``. It is written last, so that a folder that has it is of a finished run."""

import json
import types
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

from ..errors import RunError
from ..files import write_json

RECORD = "metrics.json"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The record of one run; this class alone writes and reads it.

    Attributes:
        corpora: the names of those that it read.
        recipe: as ``Recipe.to_dict`` gives it, without paths.
        preprocess: the transforms of every clip, as the feature extractor has them.
        features: the feature sets whose vectors the model takes; none where it takes waveforms.
        normalise_per_speaker: whether each speaker's vectors were centred and scaled.
        seed: of the training.
        steps: optimizer steps done; 0 of an evaluation.
        step_of_weights: the step of the saved weights, the best or the last one; None of an evaluation.
        clips: by split how many were ``used`` and how many ``skipped``, and where some have labels how many
            were ``scored``.
        speakers: by split how many speakers the used clips have; none of clips without.
        cost: what the run took and what it made, as far as it is known: ``train_seconds``, all sittings of a resumed
            run together; ``megabytes`` of the saved weights, 10⁶ bytes each; ``milliseconds_per_clip``, of one clip at
            a time.
        scores: by split and name; none of a split without labels.
        baseline: the scores of the constant baseline, in the same shape.
        by_speaker: by split and task, as ``breakdown.by_speaker`` gives it; none where too few speakers are known.
        coverage: by split, of conformal intervals and sets: the coverage ``asked``, of how many ``speakers``, and by
            ``tasks`` what is ``covered`` (0 to 1) and their mean ``size``; none of a model without them.
        calibration: by split, of classifications: of how many ``speakers``, whether each half of them took the
            temperature of the other half (``crossed``), and by ``tasks`` of how many ``clips``, the ``temperature``,
            and the expected calibration error ``before`` and ``after``; none of a model without temperatures.
        constant: the constant baseline's prediction, by task one number per label; None where it is unknown.
        submissions: name and content of each official file, or its form and the problem why it is not written; empty
            where none is due.
        versions: of the packages, by name.
        choice: the ``recipe`` that model and training follow where the run's own said ``encoder: auto``, and ``why``.
    """

    corpora: list[str]
    recipe: dict
    preprocess: list = field(default_factory=list)
    features: list = field(default_factory=list)
    normalise_per_speaker: bool = False
    seed: int
    steps: int | None = None
    step_of_weights: int | None = None
    clips: dict[str, dict[str, int]]
    speakers: dict[str, int] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    scores: dict[str, dict[str, float]]
    baseline: dict[str, dict[str, float]]
    by_speaker: dict[str, dict] = field(default_factory=dict)
    coverage: dict[str, dict] = field(default_factory=dict)
    calibration: dict[str, dict] = field(default_factory=dict)
    constant: dict[str, list[float]] | None = None
    submissions: list[dict] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    choice: dict[str, str] | None = None

    def to_dict(self) -> dict:
        """As plain data for JSON; without what there is none of, where older records have no such key."""
        said = asdict(self)
        absent = {"constant": None, "submissions": [], "speakers": {}, "cost": {}, "coverage": {}, "calibration": {}}
        absent |= {"by_speaker": {}, "choice": None}
        return {name: value for name, value in said.items() if name not in absent or value != absent[name]}

    def write(self, folder: str | Path) -> None:
        """Write ``metrics.json``, whole or not at all. Call it when everything else of the run is in its place.

        Raises:
            ValueError: a number that is not finite, because JSON has none.
            WriteError: a full disk, for example.
        """
        write_json(Path(folder, RECORD), self.to_dict())

    @classmethod
    def read(cls, folder: str | Path) -> "RunRecord":
        """The record of a finished run. Unknown keys are ignored.

        Raises:
            RunError: no ``metrics.json``, or one that is truncated or lacks a key.
        """
        path = Path(folder, RECORD)
        if not path.is_file():
            raise RunError(f"{folder} holds no {RECORD}: give the folder of a finished run of examples/run_exvo.py")
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(
                f"{path} is not JSON, so its run does not count as finished: {error}; run it again"
            ) from error
        said = said if isinstance(said, dict) else {}
        for name, (kinds, needed) in KINDS.items():
            if (needed or name in said) and not isinstance(said.get(name), kinds):
                kind = kinds[0].__name__
                raise RunError(f"{path} is not a run's record: {name!r} is missing or not of type {kind}; run it again")
        return cls(**{name: said[name] for name in KINDS if name in said})

    @staticmethod
    def discard(folder: str | Path) -> None:
        """Delete the record, because the folder's weights are about to change."""
        Path(folder, RECORD).unlink(missing_ok=True)


def _kinds(hint) -> tuple[type, ...]:
    """
    >>> _kinds(dict[str, int] | None), _kinds(int)
    ((<class 'dict'>, <class 'NoneType'>), (<class 'int'>,))
    """
    either = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return tuple(get_origin(one) or one for one in either)


# By name the types that a value may have, and whether every record has one; the first records had fewer.
KINDS = {
    entry.name: (
        _kinds(get_type_hints(RunRecord)[entry.name]),
        entry.default is MISSING and entry.default_factory is MISSING,
    )
    for entry in fields(RunRecord)
}
