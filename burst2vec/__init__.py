"""burst2vec predicts, from a raw vocal burst, the intensity of emotions, the speaker's age and country, and more.

This file is the door: public names, and their registration with transformers. Nothing inside the package imports it.
What loads a model and answers comes with it. What needs the datasets library or the Trainer, whose import takes another
second, is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForAudioClassification
from transformers.pipelines import PIPELINE_REGISTRY

from .command_line.shipped import shipped
from .configuration_burst2vec import Burst2VecConfig
from .feature_extraction_burst2vec import Burst2VecFeatureExtractor
from .flow_matching import BurstFlow, BurstFlowConfig
from .generation.generation_pipeline import BurstGenerationPipeline
from .modeling_burst2vec import Burst2VecForMultiTask
from .msg_gan import BurstGenerator, BurstGeneratorConfig
from .pipeline_burst2vec import Burst2VecPipeline, NoAudioClassifier
from .shipped_models import DEFAULT_MODEL, PRETRAINED, shipped_model
from .tasks import Task
from .version import __version__

if TYPE_CHECKING:
    from .data import load_bursts
    from .personalising import personalise
    from .prediction import find_bursts, predict
    from .training import Burst2VecTrainer, Burst2VecTrainingArguments

LATE = {
    "Burst2VecTrainer": ".training",
    "Burst2VecTrainingArguments": ".training",
    "find_bursts": ".prediction",
    "load_bursts": ".data",
    "personalise": ".personalising",
    "predict": ".prediction",
}

AutoConfig.register("burst2vec", Burst2VecConfig)
AutoModel.register(Burst2VecConfig, Burst2VecForMultiTask)
AutoModelForAudioClassification.register(Burst2VecConfig, NoAudioClassifier)
AutoFeatureExtractor.register(Burst2VecConfig, Burst2VecFeatureExtractor)
AutoConfig.register("burst2vec_generator", BurstGeneratorConfig)
AutoModel.register(BurstGeneratorConfig, BurstGenerator)
AutoConfig.register("burst2vec_flow", BurstFlowConfig)
AutoModel.register(BurstFlowConfig, BurstFlow)
PIPELINE_REGISTRY.register_pipeline(
    "vocal-burst-analysis",
    pipeline_class=Burst2VecPipeline,
    pt_model=AutoModel,
    default={"model": (str(PRETRAINED / DEFAULT_MODEL.partition("/")[2]), "main")},  # a folder; the revision is unused
    type="audio",
)
PIPELINE_REGISTRY.register_pipeline(
    "vocal-burst-generation", pipeline_class=BurstGenerationPipeline, pt_model=AutoModel, type="audio"
)

# A model saved anywhere also loads where burst2vec is not installed, with trust_remote_code=True.
Burst2VecConfig.register_for_auto_class()
Burst2VecForMultiTask.register_for_auto_class("AutoModel")
Burst2VecFeatureExtractor.register_for_auto_class("AutoFeatureExtractor")
BurstGeneratorConfig.register_for_auto_class()
BurstGenerator.register_for_auto_class("AutoModel")
BurstFlowConfig.register_for_auto_class()
BurstFlow.register_for_auto_class("AutoModel")

__all__ = [
    "Burst2VecConfig",
    "Burst2VecFeatureExtractor",
    "Burst2VecForMultiTask",
    "Burst2VecPipeline",
    "Burst2VecTrainer",
    "Burst2VecTrainingArguments",
    "BurstFlow",
    "BurstFlowConfig",
    "BurstGenerationPipeline",
    "BurstGenerator",
    "BurstGeneratorConfig",
    "Task",
    "__version__",
    "find_bursts",
    "load_bursts",
    "personalise",
    "predict",
    "shipped",
    "shipped_model",
]


def __getattr__(name: str):
    if name not in LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(LATE[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *LATE})
