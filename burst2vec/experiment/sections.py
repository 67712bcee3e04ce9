"""The sections ``data`` and ``model`` of a recipe; ``training`` is ``Burst2VecTrainingArguments``."""

from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, Literal

from ..configuration_burst2vec import refuse_unknown_of_encoder
from ..data.corpora import CORPORA
from ..errors import RecipeError
from ..scoring import submission_name
from ..tasks import resolve_tasks
from ..training.ranges import LEVEL_WORDS, NOT_EMPTY, RANGES, refuse_out_of_range
from . import corpus_keys
from .recipe_files import fit, hints_of, refuse_unknown


def _key(default: Any, about: str):
    return field(default=default, metadata={"help": about})


@dataclass
class _Corpus:
    corpus: Literal[tuple(CORPORA)] = _key("synthetic", "The corpus to load; folder: your own bursts.")
    data_dir: str | None = _key(
        None,
        "The corpus's folder; the synthetic corpus is written there if it is not yet, by default in datasets' cache.",
    )


@dataclass
class CorpusArguments(make_dataclass("_CorpusKeys", corpus_keys.recipe_fields(), bases=(_Corpus,))):
    """One corpus, and the keys of all corpora's settings, see ``corpus_keys``.

    Raises:
        RecipeError: a number out of its range, an empty name, or no mapping where one is due; names the key.
    """

    def __post_init__(self):
        refuse_out_of_range(self, RANGES | corpus_keys.RANGES, NOT_EMPTY + corpus_keys.NOT_EMPTY)
        for name, example in corpus_keys.EXAMPLES.items():
            if (value := getattr(self, name)) is not None and not isinstance(value, dict):
                raise RecipeError(f"{name} must be a mapping such as {example}, got {value!r}")


@dataclass
class DataArguments(CorpusArguments):
    """What is read: one corpus or several, and what is done to their clips.

    Attributes:
        corpora: those that are read, by name: the entries of ``mix``, else the one that the section itself describes.

    Raises:
        RecipeError: as of one corpus; an entry of ``mix`` that is no mapping of a corpus's keys, or another corpus
            described beside it; a ``team`` or ``submission`` that a submission file's name may not contain.

    >>> list(DataArguments(mix=[{"corpus": "emogator"}, {"corpus": "folder"}, {"corpus": "folder"}]).corpora)
    ['emogator', 'folder', 'folder_2']
    """

    mix: list | str | None = _key(
        None, "Several corpora instead of one: a list of mappings with the keys above, corpus, data_dir and so on."
    )
    preprocess: list | str | None = _key(
        None,
        "Transforms applied first to every clip, such as [highpass, mmse_stsa]; examples/preprocess.py lists them.",
    )
    decode_once: bool = _key(
        False,
        "Keep the clips decoded, at 16 kHz, in datasets' cache: 64 kB a second, and no epoch decodes any. Preprocessed "
        "clips always are.",
    )
    features_dir: str | None = _key(
        None,
        "Tables with the vectors of model.features: written by examples/extract_features.py after the same "
        "preprocessing, or the challenge's folder feats; no audio is needed then. By default the run computes the "
        "vectors.",
    )
    normalise_per_speaker: bool | None = _key(
        None,
        "Centre and scale vectors by their speaker's own mean and deviation over the clips of the split; transductive: "
        "it takes all of a speaker's clips at once, so a single recording cannot be analysed.",
    )
    held_out: float | None = _key(
        None,
        "Fraction of the training speakers, drawn by seed, whose clips are held out of training: early stopping, the "
        "best checkpoint and reduce_lr_on_plateau go by them, and the validation clips are scored at the end only. By "
        "default these choices go by the validation clips.",
    )
    train_speakers: int | None = _key(
        None,
        "Train on so many of the training speakers, drawn by seed; those of a smaller number are among those of a "
        "larger one, as a learning curve takes them.",
    )
    cache_dir: str | None = _key(None, "Where datasets keeps its cache; datasets' own place by default.")
    max_train_samples: int | None = _key(None, "Train on so many clips, drawn by seed; for a trial.")
    max_eval_samples: int | None = _key(None, "Validate on so many clips.")
    max_predict_samples: int | None = _key(None, "Predict so many test clips.")
    on_bad_clip: Literal["skip", "raise"] = _key("skip", "An unreadable clip is skipped and counted, or ends the run.")
    preprocessing_num_workers: int | None = _key(None, "Processes that read and check the clips.")
    team: str = _key("burst2vec", "Team in the submission files' names.")
    submission: int = _key(1, "Number in the submission files' names, 1 to 5.")

    def __post_init__(self):
        super().__post_init__()
        self.corpora = self._corpora()
        submission_name(self.team, self.submission)

    def _corpora(self) -> dict[str, CorpusArguments]:
        keys = [entry.name for entry in fields(CorpusArguments)]
        if self.mix is None:
            return {self.corpus: CorpusArguments(**{key: getattr(self, key) for key in keys})}
        if not isinstance(self.mix, list) or not self.mix:
            raise RecipeError(f"data.mix must be a list of corpora, such as [{{corpus: emogator}}], got {self.mix!r}")
        beside = [key for key in keys if getattr(self, key) != getattr(CorpusArguments(), key)]
        if beside:
            raise RecipeError(
                f"data.mix describes all corpora; move {', '.join(beside)} into the one that it belongs to"
            )
        corpora, hints = {}, hints_of(CorpusArguments)
        for place, given in enumerate(self.mix):
            where = f"data.mix[{place}]"
            if not isinstance(given, dict) or "corpus" not in given:
                raise RecipeError(f"{where}: must be a mapping with the key corpus, got {given!r}")
            refuse_unknown(given, keys, where)
            corpus = CorpusArguments(**{key: fit(value, hints[key], f"{where}.{key}") for key, value in given.items()})
            again = sum(other.corpus == corpus.corpus for other in corpora.values())
            corpora[corpus.corpus + (f"_{again + 1}" if again else "")] = corpus
        return corpora


@dataclass
class ModelArguments:
    """What is trained: an encoder, its input, and, under the same names, Burst2VecConfig's arguments.

    An argument that is not given keeps the default of Burst2VecConfig.

    Attributes:
        task_records: the tasks; None where none are given.

    Raises:
        RecipeError: a level that is no number in range, or an argument of a speech encoder that it does not have.
            Burst2VecConfig checks its arguments itself.
        ValueError: as ``resolve_tasks``.
    """

    encoder: dict | str | None = _key(
        None,
        "A pretrained encoder's name or folder, or that of a saved Burst2Vec model that takes waveforms, such as "
        "burst2vec/small, whose encoder it starts from; a config {model_type: hubert, …} to build from scratch, or "
        "{kind: vector, …}, an encoder of burst2vec's own; or auto: model and training are those of folder/spectra "
        "or, from 1,000 training clips on, of emogator/log_mel_cnn, but for what is given.",
    )
    features: list | str | None = _key(
        None,
        "Feature sets that an encoder {kind: vector} takes, one after the other in a vector: compare, egemaps, "
        "embedding:CHECKPOINT, …; examples/extract_features.py knows them.",
    )
    model_path: str | None = _key(None, "A saved Burst2Vec model to start from, or to evaluate with --do_train false.")
    target_rms_dbfs: float | str | None = _key(
        None,
        "Root-mean-square level that every clip is brought to; unit variance: mean 0 and variance 1; peak: divided by "
        "the greatest absolute sample; off: levels stay as they are; checkpoint: unit variance or off, as the "
        "pretrained encoder's preprocessor_config.json says.",
    )
    trim_below_db: float | None = _key(
        None,
        "Before the level, cut each clip to what lies between its first and last 20 ms that are at most so many dB "
        "below its loudest, and 0.1 s around; null: nothing is cut.",
    )
    tasks: list | str | None = _key(None, "What is predicted: exvo, emogator, or a list of task records.")
    recurrent: dict | str | None = _key(
        None,
        "What lies between encoder and pooling: {kind: lstm, hidden_size: 512, num_hidden_layers: 2}; null: nothing.",
    )
    pooling: dict | str | None = _key(
        None,
        "How frames become one vector: first, last, max, mean, statistics, or attentive, one per task; or a mapping of "
        "kind and arguments, as for the next two.",
    )
    trunk: dict | str | None = _key(
        None,
        "What lies between pooling and heads: shared_private, shared (a small network), per_task (one each), or "
        "identity (nothing); such as {kind: shared, hidden_sizes: [128, 64]}.",
    )
    head: dict | str | None = _key(
        None,
        "What predicts a task of its vector: {kind: linear, dropout: 0.1}; mlp, with a hidden layer; or chain, each "
        "label from the vector and the labels before it: {kind: chain, teacher_forcing: 1.0}.",
    )
    heads_read: str | None = _key(
        None,
        "clip: heads read the pooled clip; frames: every frame, which learns by itself, and their mean is taken; "
        "frames_then_pooled: every frame, and what they say is pooled before it learns.",
    )
    freeze_feature_encoder: bool | None = _key(None, "Keep the encoder's convolutions as they are.")
    encoder_layer: int | None = _key(
        None, "The layer of a speech encoder whose outputs are the frames; those above are removed. null: the last."
    )
    freeze_encoder: int | str | None = _key(
        None, "So many layers of a speech encoder, from the first on, keep their weights, and all below; or all."
    )
    initializer_range: float | str | None = _key(
        None,
        "Standard deviation of the linear layers' initial weights; or glorot_uniform, as Keras has them; or "
        "kaiming_uniform, those of He et al. (2015).",
    )
    log_variance: float | None = _key(
        None, "Weigh the tasks' losses by learnt variances (Kendall et al. 2018), whose logarithms start at it."
    )

    def __post_init__(self):
        if isinstance(self.target_rms_dbfs, str) and self.target_rms_dbfs not in LEVEL_WORDS:
            try:
                self.target_rms_dbfs = float(self.target_rms_dbfs)  # as a command line gives it
            except ValueError:
                allowed = f"{RANGES['target_rms_dbfs']} dB, or one of {', '.join(LEVEL_WORDS)}"
                raise RecipeError(f"target_rms_dbfs must be {allowed}, got {self.target_rms_dbfs!r}") from None
        refuse_out_of_range(self)
        self.task_records = None if self.tasks is None else resolve_tasks(self.tasks)
        if isinstance(self.encoder, dict) and self.model_path is None:
            _check_encoder(self.encoder)

    @property
    def measures_clips(self) -> bool:
        """Whether the encoder begins from scratch, and so from the statistics of the training clips."""
        return self.model_path is None and not isinstance(self.encoder, str)

    def for_config(self) -> dict:
        """The keyword arguments for Burst2VecConfig: what was given, under the same names."""
        given = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: value for name, value in given.items() if value is not None and name not in NOT_OF_THE_CONFIG}


def _check_encoder(encoder: dict) -> None:
    """Refuse unknown arguments, and mistyped sizes."""
    try:
        refuse_unknown_of_encoder(encoder)
    except ValueError as error:
        raise RecipeError(f"the recipe's model: encoder: {error}") from error
    for name, value in encoder.items():
        most = MOST_LAYERS if "layers" in str(name) else 2**20
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > most:
            raise RecipeError(f"the recipe's model: encoder: {name} is {value}; up to {most} work")


AUTO = "auto"  # the encoder's word for a recipe chosen by size: recipe_by_size.py
PARTS = ("encoder", "recurrent", "pooling", "trunk", "head")
MOST_LAYERS = 1000
NOT_OF_THE_CONFIG = ("encoder", "features", "model_path", "target_rms_dbfs", "trim_below_db")


def merged_part(inherited, given):
    """A part of the model as a recipe gives it, merged into what the recipe inherits.

    A mapping of the same ``kind``, or without one, changes the arguments that it names; everything else replaces what
    is inherited: a name, another kind, or a ``model_type``, which describes a speech encoder from scratch.

    >>> merged_part({"kind": "shared", "hidden_sizes": [128, 64], "dropout": 0.0}, {"hidden_sizes": [256]})
    {'kind': 'shared', 'hidden_sizes': [256], 'dropout': 0.0}
    >>> merged_part("shared", {"dropout": 0.5}), merged_part({"kind": "shared", "dropout": 0.5}, {"kind": "identity"})
    ({'kind': 'shared', 'dropout': 0.5}, {'kind': 'identity'})
    """
    inherited = {"kind": inherited} if isinstance(inherited, str) else inherited
    if not isinstance(given, dict) or not inherited or "model_type" in given:
        return given
    return {**inherited, **given} if given.get("kind") in (None, inherited.get("kind")) else given
