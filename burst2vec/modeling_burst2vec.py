"""Burst2VecForMultiTask: assembles encoder, pooling, trunk, heads and losses; computes nothing of its own."""

import copy
import os
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .answers import temper
from .bias_and_scale import adapt, query_labels
from .configuration_burst2vec import Burst2VecConfig
from .encoders import build_encoder
from .heads import HEADS, is_squashed, labels_of_frames, read_out, rescale, task_loss
from .losses import UncertaintyWeights
from .parts import build_part, refuse_unknown
from .pooling import POOLINGS, StatisticsPooling
from .recurrent import RECURRENT
from .shipped_models import place_of
from .speech_encoder import HUB_ARGUMENTS, SpeechEncoder, load_speech_model
from .trunks import TRUNKS, TaskModules, reverse_gradient
from .waveform_pipeline import CUSTOM_PIPELINES  # and so its file travels with this one
from .weights import refuse_mismatched, refuse_missing, refuse_not_finite

HALF = (torch.float16, torch.bfloat16)


@dataclass
class Burst2VecOutput(ModelOutput):
    """What the model says of a batch.

    Attributes:
        loss: scalar, the sum of the parts below with the weights of Eq. 8; None without labels.
        loss_parts: each part by name, unweighted and detached: ``<task>_shared``, ``<task>_private`` and
            ``<task>_combined`` (Eq. 5), ``discriminator`` (Eq. 6) and ``adversary`` (Eq. 7), these two summed over the
            tasks that the batch trains. A trunk with one view has ``<task>_combined`` only.
        predictions: for each task a float32 tensor (batch, labels): a regression in the task's unit (years for age),
            a classification as probabilities.
        embeddings: float32 (batch, size), the trunk's vector of each clip: the shared view of shared_private, the last
            layer of shared, the pooled clip of identity. Where each task has its own pooling or the trunk is per_task,
            those of the tasks predicted, one after the other: (batch, tasks · size). Where the heads read frames, mean
            and standard deviation of the frames: the recurrent part's, or else the encoder's, before their activation
            if they have one.
    """

    loss: torch.Tensor | None = None
    loss_parts: dict[str, torch.Tensor] | None = None
    predictions: dict[str, torch.Tensor] | None = None
    embeddings: torch.Tensor | None = None


class Burst2VecForMultiTask(PreTrainedModel):
    """Predicts several things of a burst at once (Burst2Vec, section 3).

        waveform ─▶ encoder ─▶ pooling ─▶ trunk ─▶ heads
        waveform ─▶ encoder ─▶ trunk ─▶ heads ─▶ pooling     where the heads read frames

    Behind the encoder there may be a recurrent part, from frames to frames.

    In half precision, by ``dtype=torch.bfloat16`` of ``from_pretrained`` or ``.to(torch.bfloat16)``, is the speech
    encoder, which has nearly all weights. Everything behind it, and an encoder of this package, stays in float32.

    >>> from transformers import HubertConfig
    >>> small = HubertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
    ...                      conv_dim=[8] * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)
    >>> model = Burst2VecForMultiTask(Burst2VecConfig(encoder_config=small)).eval()
    >>> output = model(torch.randn(2, 16000))
    >>> {task: tuple(values.shape) for task, values in output.predictions.items()}
    {'emotion': (2, 10), 'age': (2, 1), 'country': (2, 4)}
    """

    config_class = Burst2VecConfig
    main_input_name = "input_values"
    input_modalities = "audio"
    base_model_prefix = "burst2vec"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True

    def __init__(self, config: Burst2VecConfig, encoder: nn.Module | None = None):
        super().__init__(config)
        tasks = config.task_records
        names = [task.name for task in tasks]
        of_encoder = (config.freeze_feature_encoder, config.encoder_layer, config.freeze_encoder)
        if encoder is None:
            self.encoder = build_encoder(config.encoder_config, *of_encoder)
        else:
            self.encoder = SpeechEncoder(encoder, *of_encoder)
        size = self.encoder.size
        self.recurrent = None
        if config.recurrent is not None:
            self.recurrent = build_part("recurrent", RECURRENT, config.recurrent, size)
            size = self.recurrent.output_size
        pooling = build_part("pooling", POOLINGS, config.pooling, size)
        pooled_size, self.pools_per_task = pooling.output_size, pooling.per_task
        if self.pools_per_task:
            others = {name: build_part("pooling", POOLINGS, config.pooling, size) for name in names[1:]}
            pooling = TaskModules({names[0]: pooling, **others})
        self.pooling = pooling
        self.functionals = StatisticsPooling(size)
        self.trunk = build_part("trunk", TRUNKS, config.trunk, pooled_size, names)
        size = self.trunk.output_size
        self.heads = TaskModules({task.name: build_part("head", HEADS, config.head, task, size) for task in tasks})
        if self.trunk.discriminator_weight > 0:
            self.discriminator = nn.Linear(size, len(tasks))
        if config.log_variance is not None:
            self.task_weights = UncertaintyWeights(names, config.log_variance)
        self.tasks = {task.name: task for task in tasks}
        self._whole = [name for name, part in self.named_children() if not isinstance(part, SpeechEncoder)]
        for name in self._whole:
            getattr(self, name).float()  # transformers may build the model in half precision
        self._keep_in_fp32_modules_strict = {rf"^{name}\." for name in self._whole}  # expressions, of weights to load
        self.post_init()

    def save_pretrained(self, save_directory, **kwargs):
        """Saves the model as transformers does, with its code and a pipeline for who does not have the package."""
        self.config.custom_pipelines = CUSTOM_PIPELINES
        super().save_pretrained(save_directory, **kwargs)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path,
        *args,
        ignore_mismatched_sizes=False,
        output_loading_info=False,
        **kwargs,
    ):
        """A saved model; as transformers loads it, but only whole.

        Args:
            pretrained_model_name_or_path, args, kwargs: as ``PreTrainedModel.from_pretrained`` has them; or the name of
                a model that comes with the package, ``"burst2vec/small"``.
            ignore_mismatched_sizes: draw weights at random whose shape is not the checkpoint's.
            output_loading_info: give (model, info) instead of the model. ``info["missing_keys"]`` then names the
                weights that the checkpoint lacks, which are drawn at random, instead of an error.

        Raises:
            ValueError: the checkpoint lacks weights, or holds some that are not finite or of another shape than the
                configuration says; the first is named.
        """
        told = {"ignore_mismatched_sizes": True, "output_loading_info": True}  # what to refuse, which it calls a report
        model, found = super().from_pretrained(place_of(pretrained_model_name_or_path), *args, **told, **kwargs)
        if not ignore_mismatched_sizes:
            refuse_mismatched(found["mismatched_keys"])
        if not output_loading_info:
            refuse_missing(found["missing_keys"])
        refuse_not_finite(model)
        return (model, found) if output_loading_info else model

    @classmethod
    def from_encoder_pretrained(cls, encoder_name_or_path, config: Burst2VecConfig | None = None, **kwargs):
        """A model around a trained encoder's weights, with fresh trunk and heads.

        Args:
            encoder_name_or_path: such as ``"facebook/hubert-large-ls960-ft"``, or a folder; or a saved model of this
                class that takes waveforms, such as ``"burst2vec/small"``: its encoder, of any kind.
            config: used as it is but for its ``encoder_config``, which is the checkpoint's.
            kwargs: of ``HUB_ARGUMENTS`` (``revision``, ``token``, ``cache_dir``, ``dtype``, …), how the checkpoint is
                found and read; and arguments of [`Burst2VecConfig`] when no ``config`` is given; here the pretrained
                convolutions are frozen unless ``freeze_feature_encoder=False``.

        Raises:
            ValueError: an argument that is neither; an encoder that is not accepted, or not whole.
            OSError: no such checkpoint.
        """
        own = [name for name in Burst2VecConfig.own_arguments() if name != "encoder_config"]  # the checkpoint's
        refuse_unknown("from_encoder_pretrained", kwargs, [*own, *HUB_ARGUMENTS])
        arguments = {name: value for name, value in kwargs.items() if name in own}
        if config is not None and arguments:
            raise ValueError(f"give a config or its arguments, not both: {sorted(arguments)}")
        hub_arguments = {"dtype": torch.float32} | {name: kwargs[name] for name in kwargs if name in HUB_ARGUMENTS}
        said, _ = Burst2VecConfig.get_config_dict(encoder_name_or_path, **hub_arguments)
        if said.get("model_type") == Burst2VecConfig.model_type:
            return cls.from_pretrained(encoder_name_or_path, **hub_arguments)._around_its_encoder(config, arguments)
        encoder = load_speech_model(encoder_name_or_path, **hub_arguments)
        if os.path.isdir(encoder.config._name_or_path):
            encoder.config._name_or_path = ""  # a place on this machine, which the saved configuration would publish
        if config is None:
            config = Burst2VecConfig.for_encoder(encoder, **{"freeze_feature_encoder": True, **arguments})
        else:
            config = copy.deepcopy(config)
            config.encoder_config = copy.deepcopy(encoder.config)
        model = cls(config, encoder=encoder).to(encoder.dtype)
        # Building around a config resets its attention to None, silently eager; the encoder's own keeps sdpa.
        model.config.encoder_config = encoder.config
        return model

    def _around_its_encoder(self, config: Burst2VecConfig | None, arguments: dict):
        """A model with this one's encoder, for what [`Burst2VecForMultiTask.from_encoder_pretrained`] was given."""
        arguments = {"encoder_layer": self.config.encoder_layer, **arguments}
        config = Burst2VecConfig(**arguments) if config is None else copy.deepcopy(config)
        config.encoder_config = copy.deepcopy(self.config.encoder_config)
        model = type(self)(config)
        kept = model.encoder.state_dict()  # without the layers above another encoder_layer
        model.encoder.load_state_dict({name: each for name, each in self.encoder.state_dict().items() if name in kept})
        return model.to(self.dtype)

    def _apply(self, fn, recurse=True):
        """What ``.to()``, ``.half()`` and their like call: half precision is for the speech encoder alone."""
        if recurse:
            for name, part in self.named_children():
                part._apply(_never_to_half(fn) if name in self._whole else fn)
        return super()._apply(fn, recurse=False)

    @torch.no_grad()
    def _init_weights(self, module):
        """Initial values of what is ours, or of any key a checkpoint lacks; the encoder initialises its own."""
        if hasattr(module, "initialise"):
            module.initialise()
        elif isinstance(module, nn.Linear):
            if self.config.initializer_range == "glorot_uniform":
                init.xavier_uniform_(module.weight)
            elif self.config.initializer_range == "kaiming_uniform":
                init.kaiming_uniform_(module.weight)
            else:
                init.normal_(module.weight, mean=0.0, std=self.config.initializer_range)
            if module.bias is not None:
                init.constant_(module.bias, getattr(module, "initial_bias", 0.0))
        elif isinstance(module, (nn.Conv1d, nn.Conv2d)):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d)):
            init.ones_(module.weight)
            init.zeros_(module.bias)
            if getattr(module, "running_mean", None) is not None:
                init.zeros_(module.running_mean)
                init.ones_(module.running_var)
                init.zeros_(module.num_batches_tracked)

    def forward(
        self, input_values, attention_mask=None, labels=None, task=None, return_dict=None, episode=None, **kwargs
    ):
        """Predict a batch of bursts; with labels, also its loss.

        Args:
            input_values: float (batch, samples), levelled waveforms at 16 kHz, zero-padded on the right; float
                (batch, features) where the encoder takes vectors.
            attention_mask: integer (batch, samples), 1 where there is sound.
            labels: for each task, as the corpus has them: a regression in its unit, float (batch, labels), NaN where
                missing; a classification as indices (batch,), −1 where missing.
            task: the one task that this batch trains (the paper's schedule); None: all of them (joint).
            episode: of a batch of several speakers with support and query clips: ``speaker``, whose clip each is,
                integers from 0 on, (batch,), and ``support``, boolean (batch,). The loss is then of the query alone,
                and of regressions with the bias and the scale that their speaker's support clips give, see
                ``burst2vec.bias_and_scale``; predictions are as without. Not where ``heads_read`` is ``"frames"``.

        Raises:
            ValueError: a clip of under 400 samples or over 60 s; a task that the model does not have; an episode where
                the heads answer frames.
        """
        if task is not None and task not in self.tasks:
            raise ValueError(f"the model has no task {task!r}; it has {list(self.tasks)}")
        if episode is not None and self.config.heads_read == "frames":
            raise ValueError("heads_read 'frames': each frame learns by itself, and an episode is of clips' answers")
        frames, frame_mask = self.encoder(input_values.float(), attention_mask)
        names = list(self.tasks) if task is None else [task]
        result = self.answer_frames(frames, frame_mask, labels, names, episode)
        return result if return_dict is not False else result.to_tuple()

    def answer_frames(self, frames, frame_mask=None, labels=None, names=None, episode=None) -> Burst2VecOutput:
        """What [`Burst2VecForMultiTask.forward`] gives, from an encoder's frames on.

        Args:
            frames, frame_mask: as the model's encoder gives them.
            labels, episode: as forward has them.
            names: the tasks to answer; None: all.
        """
        names = list(self.tasks) if names is None else names
        plays = labels is not None and self.trunk.adversary_weight > 0
        seen = list(self.tasks) if plays else names  # Eq. 7 needs the other tasks' own views of the same clips
        frames = frames.float()  # of an encoder in half precision
        active = self.encoder.activation(frames) if hasattr(self.encoder, "activation") else frames
        if self.recurrent is not None:
            frames = active = self.recurrent(active, frame_mask)
        of_frames = self.config.heads_read != "clip"
        each_learns = self.config.heads_read == "frames"
        if of_frames:  # a batch of frames in the place of one of clips
            if frame_mask is None:
                frame_mask = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
            read = active.masked_fill(~frame_mask[..., None], 0.0).flatten(0, 1)
            told = {name: labels_of_frames(values, frame_mask) for name, values in (labels or {}).items()}
            labels = told if labels and each_learns else labels
        else:
            told = labels or {}
            read = self._pool(active, frame_mask, seen)
        all_views = self.trunk(read, seen)
        views = {name: all_views[name] for name in names}
        outputs = {name: self._answer(name, views[name].combined, told.get(name)) for name in names}
        if of_frames and not each_learns:
            outputs = self._pool_answers(outputs, frame_mask)
        loss = parts = None
        if labels is not None:
            loss, parts = self._losses(views, outputs, labels, all_views, episode)
        predictions = {name: read_out(self.tasks[name], outputs[name]) for name in names}
        if each_learns:
            predictions = self._pool_answers(predictions, frame_mask)
        for name, temperature in (self.config.temperatures or {}).items():
            if name in predictions:
                predictions[name] = temper(predictions[name], temperature)
        return Burst2VecOutput(
            loss=loss,
            loss_parts=parts,
            predictions=predictions,
            embeddings=self.functionals(frames, frame_mask) if of_frames else self._embed(views),
        )

    def _answer(self, name, view, labels=None):
        """A task's answer to a view, (batch, labels): of its head, with the configured bias and scale of each label."""
        outputs = self.heads(name, view, labels)
        changed = (self.config.bias_and_scale or {}).get(name)
        return outputs if changed is None else rescale(self.tasks[name], outputs, **changed)

    def _pool(self, frames, frame_mask, names):
        """One vector per clip, or one for each named task."""
        if self.pools_per_task:
            return {name: self.pooling(name, frames, frame_mask) for name in names}
        return self.pooling(frames, frame_mask)

    def _pool_answers(self, answers, frame_mask):
        """By task, what was said of each frame (batch · frames, labels), pooled to (batch, labels)."""
        clips = frame_mask.shape
        return {name: self.pooling(values.unflatten(0, clips), frame_mask) for name, values in answers.items()}

    def _embed(self, views):
        distinct = {id(view.embedding): view.embedding.float() for view in views.values()}  # tasks may share one
        return torch.cat(list(distinct.values()), dim=-1)

    def _losses(self, views, outputs, labels, all_views, episode=None):
        """Eq. 8 and its parts, summed over the tasks in ``views``: a joint batch is one of each task, added.

        Where task weights are learnt, they weigh each task's sum of Eq. 5. Of an episode all of them are losses of the
        query; those of Eq. 5 after the support.

        The adversarial parts are added: the gradient reversal makes the equation's minus.
        """
        parts, of_task, told = {}, {}, labels
        if episode is not None:
            labels = {name: query_labels(values, episode["support"]) for name, values in labels.items()}
        for name, task in self.tasks.items():
            if name in views:
                for view_name, view in views[name]._asdict().items():
                    output = outputs[name] if view_name == "combined" else self._answer(name, view, told[name])
                    if episode is not None and task.kind == "regression":
                        known = task.from_unit(told[name]) if is_squashed(task) else told[name]
                        output = adapt(output, known, **episode)
                    parts[f"{name}_{view_name}"] = task_loss(task, output, labels[name])
                    of_task[name] = of_task.get(name, 0.0) + parts[f"{name}_{view_name}"]
        if self.config.log_variance is None:
            loss = sum(of_task.values())
        else:
            loss = self.task_weights(of_task, {name: labels_present(labels[name]) for name in of_task})
        if self.trunk.discriminator_weight > 0:
            parts["discriminator"] = self._discriminator_loss(views, labels)
            loss = loss + self.trunk.discriminator_weight * parts["discriminator"]
        if self.trunk.adversary_weight > 0 and len(self.tasks) > 1:
            parts["adversary"] = self._adversary_loss(views, labels, all_views)
            loss = loss + self.trunk.adversary_weight * parts["adversary"]
        return loss, {name: part.detach() for name, part in parts.items()}

    def _discriminator_loss(self, views, labels):
        """Eq. 6: how well the shared view betrays which task is trained, for each task the mean over its clips."""
        order = list(self.tasks)
        losses = []
        for name, view in views.items():
            present = labels_present(labels[name])
            logits = self.discriminator(reverse_gradient(view.shared)).float()
            target = torch.full_like(present, order.index(name), dtype=torch.long).masked_fill(~present, -1)
            total = F.cross_entropy(logits, target, ignore_index=-1, reduction="sum")
            losses.append(total / present.sum().clamp(min=1))
        return sum(losses)

    def _adversary_loss(self, views, labels, all_views):
        """Eq. 7: how well a task's head reads its labels from the other tasks' own views, summed over the others."""
        return sum(
            task_loss(self.tasks[name], self._answer(name, reverse_gradient(other.private), labels[name]), labels[name])
            for name in views
            for other_name, other in all_views.items()
            if other_name != name
        )


def labels_present(labels: torch.Tensor) -> torch.Tensor:
    """Boolean (batch,): the clips with any label of a task."""
    return ~torch.isnan(labels).all(dim=-1) if labels.is_floating_point() else labels != -1


def _never_to_half(fn):
    """A change of a tensor's place or type, as ``nn.Module._apply`` takes it, that lowers no precision to a half."""

    def change(tensor):
        changed = fn(tensor)
        return tensor.to(changed.device) if changed.dtype in HALF and tensor.dtype not in HALF else changed

    return change
