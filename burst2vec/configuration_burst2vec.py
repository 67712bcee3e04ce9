"""One point of the space encoder → pooling → trunk → heads → losses, as numbers and names."""

import copy
import inspect

from transformers import AutoConfig, PreTrainedConfig

from .parts import is_number, refuse_unknown
from .tasks import Task, resolve_tasks

WIDTH = f"a whole number in 1..{2**16}"
WEIGHT = "0 or more, up to a million; the reversal already makes Eq. 8's minus"

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
        pooling: how the frames that hold sound become one vector: ``"first"``, ``"last"``, ``"max"``, ``"mean"``,
            ``"statistics"`` (mean and standard deviation), or ``"attentive"`` (learnt weights, one pooling a task).
        trunk: what lies between pooling and heads: ``"shared_private"``, Burst2Vec's extractors with their
            adversaries; ``"shared"``, one small network for all tasks; ``"per_task"``, one for each task;
            ``"identity"``, nothing.
        heads_read: ``"clip"``, the trunk's vector of the pooled clip; or ``"frames"``: trunk and heads read each frame,
            which learns the clip's labels by itself, and a clip's prediction is the mean over its frames' (of a
            classification, over their probabilities). This takes the pooling ``"mean"``.
        projection_size: of the trunk shared_private, width of the projection between pooling and extractors.
        extractor_size: of the trunk shared_private, width of the shared extractor, of each task's own, and of their
            combination.
        hidden_sizes: of the trunks shared and separate, width of each layer.
        dropout: probability before each extractor and head, and between the layers of the trunks shared and separate.
        discriminator_weight: α1 of Burst2Vec's Eq. 8, of the task discriminator on the shared representation; 0 removes
            the discriminator. Default: 0.5 with the trunk shared_private; the others have none, and refuse a weight.
        adversary_weight: α2 of Eq. 8, of a task's head on the other tasks' own representations; 0 removes them.
            Default: 0.25 with the trunk shared_private; the others have none, and refuse a weight.
        freeze_feature_encoder: keep the encoder's convolutions as they are: right for pretrained ones, wrong for an
            encoder that starts from scratch.
        initializer_range: standard deviation of the linear layers' initial weights, which are normal; or
            ``"glorot_uniform"``, those of Glorot and Bengio (2010) and of Keras.
        kwargs: what every configuration of transformers has, such as ``dtype``.

    Raises:
        ValueError: a value out of its range, or an argument that is not known; the message names what is allowed.

    >>> config = Burst2VecConfig(tasks="emogator", discriminator_weight=0.0, adversary_weight=0.0)
    >>> [task.name for task in config.task_records]
    ['emotion', 'category']
    >>> Burst2VecConfig(trunk="identity").discriminator_weight
    0.0
    """

    model_type = "burst2vec"
    sub_configs = {"encoder_config": AutoConfig}

    def __init__(
        self,
        encoder_config=None,
        tasks="exvo",
        pooling="mean",
        trunk="shared_private",
        heads_read="clip",
        projection_size=256,
        extractor_size=256,
        hidden_sizes=(128, 64),
        dropout=0.1,
        discriminator_weight=None,
        adversary_weight=None,
        freeze_feature_encoder=False,
        initializer_range=0.02,
        **kwargs,
    ):
        if encoder_config is None:
            encoder_config = AutoConfig.for_model("hubert")
        elif isinstance(encoder_config, dict):
            encoder_config = _encoder_config(encoder_config)
        plays = trunk == "shared_private"
        if discriminator_weight is None:
            discriminator_weight = 0.5 if plays else 0.0
        if adversary_weight is None:
            adversary_weight = 0.25 if plays else 0.0
        for name, value, allowed, fits in (
            ("projection_size", projection_size, WIDTH, _is_width(projection_size)),
            ("extractor_size", extractor_size, WIDTH, _is_width(extractor_size)),
            (
                "hidden_sizes",
                hidden_sizes,
                "a list of one or more positive whole numbers, such as [128, 64]; a model without hidden layers has "
                "trunk='identity'",
                isinstance(hidden_sizes, (list, tuple)) and len(hidden_sizes) and all(map(_is_width, hidden_sizes)),
            ),
            ("dropout", dropout, "in 0..1", is_number(dropout) and 0 <= dropout < 1),
            ("discriminator_weight", discriminator_weight, WEIGHT, _is_weight(discriminator_weight)),
            ("adversary_weight", adversary_weight, WEIGHT, _is_weight(adversary_weight)),
            (
                "freeze_feature_encoder",
                freeze_feature_encoder,
                "true or false",
                freeze_feature_encoder in (True, False),
            ),
            (
                "initializer_range",
                initializer_range,
                "a number above 0, up to 100, or 'glorot_uniform'",
                initializer_range == "glorot_uniform"
                or (is_number(initializer_range) and 0 < initializer_range <= 100),
            ),
            ("heads_read", heads_read, "'clip' or 'frames'", heads_read in ("clip", "frames")),
            (
                "pooling",
                pooling,
                "'mean' where heads_read is 'frames': what the heads say of the frames is averaged",
                heads_read == "clip" or pooling == "mean",
            ),
        ):
            if not fits:
                raise ValueError(f"{name} must be {allowed}, got {value!r}")
        self.encoder_config = encoder_config
        self.tasks = [task.to_dict() for task in resolve_tasks(tasks)]
        self.pooling = pooling
        self.trunk = trunk
        self.heads_read = heads_read
        self.projection_size = projection_size
        self.extractor_size = extractor_size
        self.hidden_sizes = list(hidden_sizes)
        self.dropout = dropout
        self.discriminator_weight = discriminator_weight
        self.adversary_weight = adversary_weight
        self.freeze_feature_encoder = freeze_feature_encoder
        self.initializer_range = initializer_range
        super().__init__(**kwargs)
        self.refuse_idle_adversaries()

    def refuse_idle_adversaries(self) -> None:
        """Refuse a weight for players that the trunk has not; also asked by the model, of a changed configuration.

        Raises:
            ValueError: a discriminator or adversary weight above 0 with another trunk than shared_private.
        """
        weights = {"discriminator_weight": self.discriminator_weight, "adversary_weight": self.adversary_weight}
        idle = [f"{name}={weight}" for name, weight in weights.items() if weight > 0]
        if idle and self.trunk != "shared_private":
            raise ValueError(
                f"{' and '.join(idle)} with trunk={self.trunk!r}: only the trunk 'shared_private' has views to play "
                "for; leave the weights out, or give 0"
            )

    @property
    def task_records(self) -> tuple[Task, ...]:
        """The tasks as records, in the order of the model's heads."""
        return resolve_tasks(self.tasks)

    @classmethod
    def for_encoder(cls, encoder, **kwargs) -> "Burst2VecConfig":
        """The configuration around an encoder that is already built, sharing none of its state."""
        return cls(encoder_config=copy.deepcopy(encoder.config), **kwargs)


def _is_width(value) -> bool:
    return type(value) is int and 1 <= value <= 2**16


def _is_weight(value) -> bool:
    return is_number(value) and 0 <= value <= 1e6


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
