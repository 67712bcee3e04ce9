"""The sections ``data`` and ``model`` of a recipe; ``training`` is ``Burst2VecTrainingArguments``."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal


def _key(default: Any, about: str):
    return field(default=default, metadata={"help": about})


@dataclass
class DataArguments:
    """What is read."""

    corpus: Literal["hume_vb", "emogator", "synthetic"] = _key("synthetic", "The corpus to load.")
    data_dir: str | None = _key(
        None,
        "The corpus's folder; the synthetic corpus is written there if it is not yet, by default in datasets' cache.",
    )
    cache_dir: str | None = _key(None, "Where datasets keeps its cache; datasets' own place by default.")
    splits: dict | str | None = _key(
        None, "For EmoGator: JSON of each split's speakers, a list, a number or a fraction; nobody is in two splits."
    )
    max_train_samples: int | None = _key(None, "Train on so many clips, drawn by seed; for a trial.")
    max_eval_samples: int | None = _key(None, "Validate on so many clips.")
    max_predict_samples: int | None = _key(None, "Predict so many test clips.")
    on_bad_clip: Literal["skip", "raise"] = _key("skip", "An unreadable clip is skipped and counted, or ends the run.")
    preprocessing_num_workers: int | None = _key(None, "Processes that read and check the clips.")
    synthetic_clips: int | None = _key(None, "Clips of the synthetic corpus.")
    synthetic_speakers: int | None = _key(None, "Speakers of the synthetic corpus.")
    synthetic_seed: int | None = _key(None, "Seed of the synthetic corpus; the training has its own.")
    team: str = _key("burst2vec", "Team in the submission file's name.")
    submission: int = _key(1, "Number in the submission file's name, 1 to 5.")


@dataclass
class ModelArguments:
    """What is trained: an encoder and, by their own names, the knobs of Burst2VecConfig and Burst2VecFeatureExtractor.

    A knob left out keeps the default that those classes state.
    """

    encoder: dict | str | None = _key(
        None, "A pretrained encoder's name or folder, or a config {model_type: hubert, …} to build from scratch."
    )
    model_path: str | None = _key(None, "A saved Burst2Vec model to go on from, or to evaluate with --do_train false.")
    level_dbfs: float | None = _key(None, "Root-mean-square level that every clip is brought to.")
    tasks: list | str | None = _key(None, "What is predicted: exvo, emogator, or a list of task records.")
    pooling: str | None = _key(None, "How frames become one vector.")
    projection_size: int | None = _key(None, "Width of the projection between pooling and extractors.")
    extractor_size: int | None = _key(None, "Width of the shared and the tasks' own extractors.")
    dropout: float | None = _key(None, "Probability before each extractor and head.")
    discriminator_weight: float | None = _key(None, "Weight of the task discriminator; 0 removes it.")
    adversary_weight: float | None = _key(None, "Weight of the cross-task adversaries; 0 removes them.")
    freeze_feature_encoder: bool | None = _key(None, "Keep the encoder's convolutions as they are.")
    initializer_range: float | None = _key(None, "Standard deviation of the linear layers' initial weights.")

    def knobs(self) -> dict:
        """The keyword arguments for Burst2VecConfig: what was given, under the same names."""
        given = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: value for name, value in given.items() if value is not None and name not in NOT_KNOBS}


NOT_KNOBS = ("encoder", "model_path", "level_dbfs")
