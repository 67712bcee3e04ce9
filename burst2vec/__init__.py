"""burst2vec predicts, from a raw vocal burst, the intensity of emotions, the speaker's age and country, and more.

This file is the door: public names, and their registration with transformers. Nothing inside the package imports it.
"""

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForAudioClassification
from transformers.pipelines import PIPELINE_REGISTRY

from .command_line.shipped import shipped
from .configuration_burst2vec import Burst2VecConfig
from .data import load_bursts
from .feature_extraction_burst2vec import Burst2VecFeatureExtractor
from .modeling_burst2vec import Burst2VecForMultiTask
from .msg_gan import BurstGenerator, BurstGeneratorConfig
from .personalising import personalise
from .pipeline_burst2vec import Burst2VecPipeline, NoAudioClassifier
from .prediction import find_bursts, predict
from .tasks import Task
from .training import Burst2VecTrainer, Burst2VecTrainingArguments
from .version import __version__

AutoConfig.register("burst2vec", Burst2VecConfig)
AutoModel.register(Burst2VecConfig, Burst2VecForMultiTask)
AutoModelForAudioClassification.register(Burst2VecConfig, NoAudioClassifier)
AutoFeatureExtractor.register(Burst2VecConfig, Burst2VecFeatureExtractor)
AutoConfig.register("burst2vec_generator", BurstGeneratorConfig)
AutoModel.register(BurstGeneratorConfig, BurstGenerator)
PIPELINE_REGISTRY.register_pipeline(
    "vocal-burst-analysis", pipeline_class=Burst2VecPipeline, pt_model=AutoModel, type="audio"
)

# A model saved anywhere also loads where burst2vec is not installed, with trust_remote_code=True.
Burst2VecConfig.register_for_auto_class()
Burst2VecForMultiTask.register_for_auto_class("AutoModel")
Burst2VecFeatureExtractor.register_for_auto_class("AutoFeatureExtractor")
BurstGeneratorConfig.register_for_auto_class()
BurstGenerator.register_for_auto_class("AutoModel")

__all__ = [
    "Burst2VecConfig",
    "Burst2VecFeatureExtractor",
    "Burst2VecForMultiTask",
    "Burst2VecPipeline",
    "Burst2VecTrainer",
    "Burst2VecTrainingArguments",
    "BurstGenerator",
    "BurstGeneratorConfig",
    "Task",
    "__version__",
    "find_bursts",
    "load_bursts",
    "personalise",
    "predict",
    "shipped",
]
