"""One point of the space encoder → pooling → trunk → heads → losses, as numbers and names."""

import copy

from transformers import AutoConfig, PreTrainedConfig

from .tasks import Task, resolve_tasks


class Burst2VecConfig(PreTrainedConfig):
    """Configuration of [`Burst2VecForMultiTask`].

    Args:
        encoder_config: configuration of the speech encoder, or its dictionary with ``model_type``: any audio model of
            ``AutoModel`` with strided convolutions in front (wav2vec 2.0, HuBERT, WavLM, …). Default: HuBERT base.
        tasks: what to predict: a preset (``"exvo"``, ``"emogator"``), or a list of ``Task`` records or dictionaries.
        pooling: how frames become one vector: ``"mean"``, over the frames that hold sound.
        projection_size: width of the projection between pooling and extractors.
        extractor_size: width of the shared extractor, of each task's own, and of their combination.
        dropout: probability before each extractor and head.
        discriminator_weight: α1 of Burst2Vec's Eq. 8, of the task discriminator on the shared representation; 0 removes
            the discriminator.
        adversary_weight: α2 of Eq. 8, of the other tasks' heads on a task's own representation; 0 removes them.
        freeze_feature_encoder: keep the encoder's convolutions as they are: right for pretrained ones, wrong for an
            encoder that starts from scratch.
        initializer_range: standard deviation of the linear layers' initial weights.

    >>> config = Burst2VecConfig(tasks="emogator", discriminator_weight=0.0, adversary_weight=0.0)
    >>> [task.name for task in config.task_records]
    ['emotion', 'category']
    """

    model_type = "burst2vec"
    sub_configs = {"encoder_config": AutoConfig}

    def __init__(
        self,
        encoder_config=None,
        tasks="exvo",
        pooling="mean",
        projection_size=256,
        extractor_size=256,
        dropout=0.1,
        discriminator_weight=0.5,
        adversary_weight=0.25,
        freeze_feature_encoder=False,
        initializer_range=0.02,
        **kwargs,
    ):
        if encoder_config is None:
            encoder_config = AutoConfig.for_model("hubert")
        elif isinstance(encoder_config, dict):
            encoder_config = dict(encoder_config)
            if "model_type" not in encoder_config:
                raise ValueError("encoder_config needs a 'model_type', such as 'hubert', 'wav2vec2' or 'wavlm'")
            encoder_config = AutoConfig.for_model(**encoder_config)
        for name, weight in (("discriminator_weight", discriminator_weight), ("adversary_weight", adversary_weight)):
            if not weight >= 0:
                raise ValueError(f"{name} must be 0 or more, got {weight}; the reversal already makes Eq. 8's minus")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in 0..1, got {dropout}")
        self.encoder_config = encoder_config
        self.tasks = [task.to_dict() for task in resolve_tasks(tasks)]
        self.pooling = pooling
        self.projection_size = projection_size
        self.extractor_size = extractor_size
        self.dropout = dropout
        self.discriminator_weight = discriminator_weight
        self.adversary_weight = adversary_weight
        self.freeze_feature_encoder = freeze_feature_encoder
        self.initializer_range = initializer_range
        super().__init__(**kwargs)

    @property
    def task_records(self) -> tuple[Task, ...]:
        """The tasks as records, in the order of the model's heads."""
        return resolve_tasks(self.tasks)

    @classmethod
    def for_encoder(cls, encoder, **kwargs) -> "Burst2VecConfig":
        """The configuration around an encoder that is already built, sharing none of its state."""
        return cls(encoder_config=copy.deepcopy(encoder.config), **kwargs)
