"""One point of the space encoder → pooling → trunk → heads → losses, as numbers and names."""

import copy
import inspect

from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from .answers import TEMPERATURES
from .heads import HEADS
from .parts import complete_part, is_number, refuse_unknown
from .pooling import POOLINGS
from .recurrent import RECURRENT
from .shipped_models import place_of
from .tasks import Task, resolve_tasks
from .trunks import TRUNKS

HEADS_READ = ("clip", "frames", "frames_then_pooled")
POOLING_OF_ANSWERS = ("first", "last", "max", "mean")  # those that leave as many numbers as there are

# What stood in a configuration itself, and is an argument of its trunk or head now.
MOVED = {
    "projection_size",
    "extractor_size",
    "hidden_sizes",
    "dropout",
    "discriminator_weight",
    "adversary_weight",
}

# What transformers writes into a config.json, or gives a configuration that it reads, beside PreTrainedConfig's fields;
# its Trainer sets use_cache.
_OF_TRANSFORMERS = {"model_type", "auto_map", "custom_pipelines", "quantization_config", "_commit_hash", "use_cache"}


class _StrictConfig(PreTrainedConfig):
    """A configuration that holds what it knows and nothing else: its own arguments, and what transformers gives it."""

    def __init__(self, **kwargs):
        foreign = {name: value for name, value in kwargs.items() if not _is_of_transformers(name)}
        refuse_unknown(type(self).__name__, foreign, self.own_arguments())
        super().__init__(**kwargs)

    @classmethod
    def own_arguments(cls) -> list[str]:
        """The names of the arguments that this class takes itself."""
        return [name for name in inspect.signature(cls.__init__).parameters if name not in ("self", "kwargs")]


def _is_of_transformers(name: str) -> bool:
    if name in _OF_TRANSFORMERS or name in inspect.signature(PreTrainedConfig.__init__).parameters:
        return True
    plain = name.removeprefix("_")  # such as attn_implementation, a property with an underscore
    return any(isinstance(getattr(PreTrainedConfig, key, None), property) for key in (plain, f"_{plain}"))


class OwnEncoderConfig(_StrictConfig):
    """An encoder of this package, by its name and its arguments: one of ``burst2vec.encoders.ENCODERS``.

    Args:
        kind: such as ``"vector"``.
        arguments: by name, as that encoder takes them; what is left out keeps its default.
    """

    model_type = "burst2vec_encoder"

    def __init__(self, kind=None, arguments=None, **kwargs):
        self.kind = kind
        self.arguments = dict(arguments or {})
        super().__init__(**kwargs)


class Burst2VecConfig(_StrictConfig):
    """Configuration of [`Burst2VecForMultiTask`].

    Args:
        encoder_config: configuration of the speech encoder, or its dictionary with ``model_type``, one of
            ``burst2vec.speech_encoder.SPEECH_FAMILIES`` (wav2vec 2.0, HuBERT, WavLM, …). Or a dictionary with
            ``kind``, an encoder of this package, and its arguments, see ``burst2vec.encoders``. Default: HuBERT base.
        tasks: what to predict: a preset (``"exvo"``, ``"emogator"``), or a list of ``Task`` records or dictionaries.
        recurrent: what lies between encoder and pooling: null, nothing; or ``"lstm"``.
        pooling: how the frames that hold sound become one vector: ``"first"``, ``"last"``, ``"max"``, ``"mean"``,
            ``"statistics"`` (mean and standard deviation), or ``"attentive"`` (learnt weights, one pooling per task).
        trunk: what lies between pooling and heads: ``"shared_private"``, Burst2Vec's extractors with their
            adversaries; ``"shared"``, one small network for all tasks; ``"per_task"``, one for each task;
            ``"identity"``, nothing.
        head: how a task is predicted from its view: ``"linear"``; ``"mlp"``, with a hidden layer; or ``"chain"``, a
            classifier chain, where each label of a regression is predicted from the view and the labels before it.
        heads_read: ``"clip"``, the trunk's vector of the pooled clip; or ``"frames"``: trunk and heads read each frame,
            which learns the clip's labels by itself, and a clip's prediction is the mean over its frames' (of a
            classification, over their probabilities). This takes the pooling ``"mean"``. Or ``"frames_then_pooled"``:
            they read each frame, and the pooling, ``"first"``, ``"last"``, ``"max"`` or ``"mean"``, takes the heads'
            outputs (of a classification, its logits), so that a clip has one answer, which learns its labels. This
            takes a trunk of one view: ``"shared"``, ``"per_task"`` or ``"identity"``.
        freeze_feature_encoder: keep the encoder's convolutions as they are: right for pretrained ones, wrong for an
            encoder that starts from scratch.
        encoder_layer: the layer of a speech encoder, from 1 on, whose outputs are the frames; the layers above are
            removed, also from what is saved. null: the encoder's last output.
        freeze_encoder: ``"all"``, or the number of a speech encoder's layers, from the first on, that keep their
            weights, and so does all below them. null: all layers learn.
        initializer_range: standard deviation of the linear layers' initial weights, which are normal; or
            ``"glorot_uniform"``, those of Glorot and Bengio (2010) and of Keras; or ``"kaiming_uniform"``, those of He
            et al. (2015), uniform in ±√(6 / inputs).
        log_variance: null, the tasks' losses are added; or a number: they are weighed by variances that are learnt,
            whose logarithms start there, see ``burst2vec.losses.UncertaintyWeights``.
        bias_and_scale: of a model for one speaker, as ``burst2vec.personalise`` makes it: by task, of regressions,
            ``{"bias": [...], "scale": [...]}``, one number for each label, by which a prediction p becomes
            scale · p + bias, in the task's unit. null: as the heads say.
        conformal: what the pipeline's ``coverage`` needs, as ``burst2vec.scoring.calibrate`` gives it from validation
            clips: by task one list per label of a regression, or one in all of a classification, of the n quantiles of
            the predictions' errors at 1/(n + 1), …, n/(n + 1), null where infinite. null: there are none.
        temperatures: by classification the number T, 0.1 to 10, by which its probabilities p become p^(1/T) to a sum of
            1, as ``burst2vec.scoring.fit_temperatures`` gives it from validation clips. null: as the heads say.
        kwargs: what every configuration of transformers has, such as ``dtype``.

    ``recurrent``, ``pooling``, ``trunk`` and ``head`` are a kind's name, or a mapping of ``kind`` and its arguments,
    which its class in ``burst2vec.recurrent``, ``.pooling``, ``.trunks`` or ``.heads`` names. They are kept as mappings
    with every argument.

    Raises:
        ValueError: a kind or an argument that is not known, or a value of another type or out of its range; the message
            names what is allowed. Ranges of a part's arguments are checked when the model is built.

    >>> config = Burst2VecConfig(tasks="emogator", trunk={"kind": "shared", "hidden_sizes": [32]})
    >>> [task.name for task in config.task_records]
    ['emotion', 'category']
    >>> config.pooling, config.trunk
    ({'kind': 'mean'}, {'kind': 'shared', 'hidden_sizes': [32], 'dropout': 0.1, 'layer_norm': 'all'})
    """

    model_type = "burst2vec"
    sub_configs = {"encoder_config": AutoConfig}

    def __init__(
        self,
        encoder_config=None,
        tasks="exvo",
        pooling="mean",
        trunk="shared_private",
        head="linear",
        heads_read="clip",
        freeze_feature_encoder=False,
        initializer_range=0.02,
        log_variance=None,
        encoder_layer=None,
        freeze_encoder=None,
        recurrent=None,
        bias_and_scale=None,
        conformal=None,
        temperatures=None,
        **kwargs,
    ):
        _refuse_moved(kwargs)
        if encoder_config is None:
            encoder_config = AutoConfig.for_model("hubert")
        elif isinstance(encoder_config, dict):
            refuse_unknown_of_encoder(encoder_config)
            encoder_config = _encoder_config(encoder_config)
        pooling = complete_part("pooling", POOLINGS, pooling)
        trunk = complete_part("trunk", TRUNKS, trunk)
        for name, value, allowed, fits in (
            (
                "freeze_feature_encoder",
                freeze_feature_encoder,
                "true or false",
                freeze_feature_encoder in (True, False),
            ),
            (
                "initializer_range",
                initializer_range,
                "a number above 0, up to 100, 'glorot_uniform' or 'kaiming_uniform'",
                initializer_range in ("glorot_uniform", "kaiming_uniform")
                or (is_number(initializer_range) and 0 < initializer_range <= 100),
            ),
            ("heads_read", heads_read, "'clip', 'frames' or 'frames_then_pooled'", heads_read in HEADS_READ),
            (
                "log_variance",
                log_variance,
                "a number in -10..10, or null",
                log_variance is None or (is_number(log_variance) and -10 <= log_variance <= 10),
            ),
            (
                "encoder_layer",
                encoder_layer,
                "a layer, 1 or more, or null",
                encoder_layer is None or _is_layer(encoder_layer),
            ),
            (
                "freeze_encoder",
                freeze_encoder,
                "a number of layers, 1 or more, 'all', or null",
                freeze_encoder in (None, "all") or _is_layer(freeze_encoder),
            ),
            (
                "pooling",
                pooling,
                "'mean' where heads_read is 'frames': what the heads say of the frames is averaged",
                heads_read != "frames" or pooling["kind"] == "mean",
            ),
            (
                "pooling",
                pooling,
                f"one of {list(POOLING_OF_ANSWERS)} where heads_read is 'frames_then_pooled'",
                heads_read != "frames_then_pooled" or pooling["kind"] in POOLING_OF_ANSWERS,
            ),
            (
                "trunk",
                trunk,
                "of one view, not 'shared_private', where heads_read is 'frames_then_pooled'",
                heads_read != "frames_then_pooled" or trunk["kind"] != "shared_private",
            ),
        ):
            if not fits:
                raise ValueError(f"{name} must be {allowed}, got {value!r}")
        self.encoder_config = encoder_config
        self.tasks = [task.to_dict() for task in resolve_tasks(tasks)]
        self.pooling = pooling
        self.recurrent = None if recurrent is None else complete_part("recurrent", RECURRENT, recurrent)
        self.trunk = trunk
        self.head = complete_part("head", HEADS, head)
        self.heads_read = heads_read
        self.freeze_feature_encoder = freeze_feature_encoder
        self.initializer_range = initializer_range
        self.log_variance = log_variance
        self.encoder_layer = encoder_layer
        self.freeze_encoder = freeze_encoder
        self.bias_and_scale = bias_and_scale
        _check_bias_and_scale(bias_and_scale, self.task_records)
        self.conformal = conformal
        _check_conformal(conformal, self.task_records)
        self.temperatures = temperatures
        _check_temperatures(temperatures, self.task_records)
        super().__init__(**kwargs)

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path, **kwargs):
        """As transformers reads a ``config.json``; also of a model that comes with the package, by its name."""
        return super().get_config_dict(place_of(pretrained_model_name_or_path), **kwargs)

    @classmethod
    def from_dict(cls, config_dict, **kwargs):
        """A configuration as it was saved; of the encoder's it keeps what its checkpoint's ``config.json`` holds."""
        saved = config_dict.get("encoder_config")
        if isinstance(saved, dict):
            config_dict = {**config_dict, "encoder_config": _encoder_config(saved)}
        return super().from_dict(config_dict, **kwargs)

    @property
    def task_records(self) -> tuple[Task, ...]:
        """The tasks as records, in the order of the model's heads."""
        return resolve_tasks(self.tasks)

    @classmethod
    def for_encoder(cls, encoder, **kwargs) -> "Burst2VecConfig":
        """The configuration around an encoder that is already built, sharing none of its state."""
        return cls(encoder_config=copy.deepcopy(encoder.config), **kwargs)


def _is_layer(value) -> bool:
    return type(value) is int and value >= 1


def _check_bias_and_scale(described, tasks) -> None:
    """Refuse what is no bias and scale of each label of regressions among the tasks."""
    sizes = {task.name: len(task.labels) for task in tasks if task.kind == "regression"}
    for name, of_task in (described or {}).items():
        if name not in sizes:
            raise ValueError(f"bias_and_scale: {name!r} is not one of the regressions {list(sizes)}")
        if not isinstance(of_task, dict) or sorted(of_task) != ["bias", "scale"]:
            raise ValueError(f"bias_and_scale of {name!r} must be a mapping with bias and scale, got {of_task!r}")
        for key, values in of_task.items():
            if not isinstance(values, list) or len(values) != sizes[name] or not all(map(is_number, values)):
                raise ValueError(
                    f"bias_and_scale of {name!r}: {key} must be a list of {sizes[name]} finite numbers, one for each "
                    f"label, got {values!r}"
                )


def _check_conformal(described, tasks) -> None:
    """Refuse what is no list of rising quantiles for each label of regressions, or for a classification."""
    sizes = {task.name: len(task.labels) if task.kind == "regression" else 1 for task in tasks}
    for name, of_task in (described or {}).items():
        if name not in sizes:
            raise ValueError(f"conformal: {name!r} is not one of the tasks {list(sizes)}")
        if not isinstance(of_task, list) or len(of_task) != sizes[name] or not all(map(_are_quantiles, of_task)):
            raise ValueError(
                f"conformal of {name!r} must be {sizes[name]} list(s) of quantiles, which are numbers of 0 or more "
                "that never fall, and null after the last; burst2vec.scoring.calibrate gives them"
            )


def _check_temperatures(described, tasks) -> None:
    """Refuse what is no temperature of classifications among the tasks."""
    names = [task.name for task in tasks if task.kind == "classification"]
    low, high = TEMPERATURES
    for name, value in (described or {}).items():
        if name not in names:
            raise ValueError(f"temperatures: {name!r} is not one of the classifications {names}")
        if not is_number(value) or not low <= value <= high:
            raise ValueError(f"temperatures of {name!r} must be a number in {low:g}..{high:g}, got {value!r}")


def _are_quantiles(values) -> bool:
    if not isinstance(values, list) or not values:
        return False
    finite = [value for value in values if value is not None]
    numbers = all(map(is_number, finite)) and finite == sorted(finite) and min(finite, default=0) >= 0
    return numbers and values[len(finite) :] == [None] * (len(values) - len(finite))


def _refuse_moved(given) -> None:
    """Refuse what a configuration of burst2vec 0.1.0 holds beside its parts, and name where it is said now."""
    if moved := sorted(set(given) & MOVED):
        raise ValueError(
            f"{', '.join(moved)}: arguments of the trunk and the head now, as in trunk={{'kind': 'shared_private', "
            "'hidden_size': 256, 'adversary_weight': 0.25} and head={'kind': 'linear', 'dropout': 0.1}; extractor_size "
            "is called hidden_size. A model saved with them cannot be loaded: train its recipe again, changed like this"
        )


def refuse_unknown_of_encoder(described: dict) -> None:
    """Refuse a key of a speech encoder's configuration that transformers would keep in silence, and nothing reads.

    Raises:
        ValueError: as [`refuse_unknown`].
    """
    family = described.get("model_type")
    if not isinstance(family, str) or family not in CONFIG_MAPPING:
        return
    known = CONFIG_MAPPING[family]()
    given = [name for name in described if not _is_of_transformers(name)]
    refuse_unknown(f"a {family} encoder", given, {*known.to_dict(), *known.attribute_map})


def _encoder_config(described: dict):
    """The configuration that a dictionary describes: a saved one, or one as a recipe writes it."""
    if described.get("model_type") == OwnEncoderConfig.model_type:
        return OwnEncoderConfig(**described)
    if "kind" in described:
        return OwnEncoderConfig(described["kind"], {name: value for name, value in described.items() if name != "kind"})
    if "model_type" not in described:
        raise ValueError(
            "encoder_config needs a 'model_type', such as 'hubert', 'wav2vec2' or 'wavlm', or a 'kind' of this "
            "package's own encoders, such as 'vector'"
        )
    return AutoConfig.for_model(**described)
