"""One prediction by the installed package: makes a tiny model, saves it, loads it by name of the pipeline's task.

    cd EMPTY_FOLDER && ENVIRONMENT/bin/python -I predict_once.py

It writes a model and a clip into the folder it runs in. ``-I`` keeps every checkout off the path.
"""

import math
import sys
import warnings
import wave
from array import array
from pathlib import Path

with warnings.catch_warnings(record=True) as raised:
    warnings.simplefilter("always")
    import transformers.audio_utils  # imports torchaudio, which fails beside a torch of another release

    import burst2vec

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
TINY |= {"conv_dim": [8] * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
RATE = 16_000

assert Path(burst2vec.__file__).is_relative_to(sys.prefix), f"{burst2vec.__file__} is not of {sys.prefix}"
assert "torchaudio" in sys.modules, "transformers did not import torchaudio"
texts = [f"{warning.filename}: {warning.message}" for warning in raised]
assert not [text for text in texts if "torchaudio" in text.lower() or "cuda" in text.lower()], texts

encoder = transformers.HubertConfig(**TINY)
burst2vec.Burst2VecForMultiTask(burst2vec.Burst2VecConfig(encoder_config=encoder)).save_pretrained("model")
burst2vec.Burst2VecFeatureExtractor().save_pretrained("model")
with wave.open("clip.wav", "wb") as clip:
    clip.setnchannels(1)
    clip.setsampwidth(2)
    clip.setframerate(RATE)
    clip.writeframes(array("h", (int(8000 * math.sin(0.1 * sample)) for sample in range(RATE // 2))).tobytes())

answer = transformers.pipeline("vocal-burst-analysis", model="model")("clip.wav")
assert list(answer) == ["emotion", "age", "country"], answer
assert len(answer["emotion"]) == 10 and all(0 <= intensity <= 1 for intensity in answer["emotion"].values()), answer
assert 0 < answer["age"] < 120, answer
assert math.isclose(sum(answer["country"]["probabilities"].values()), 1, abs_tol=1e-5), answer
if burst2vec.shipped_models.shipped_models():  # with nothing but the wheel
    answer = transformers.pipeline("vocal-burst-analysis")("clip.wav")
    assert len(answer["category"]["probabilities"]) == 30, answer
versions = {name: sys.modules[name].__version__ for name in ("torch", "torchaudio", "transformers")}
print(f"burst2vec {burst2vec.__version__} of {sys.prefix} predicts, with {versions}: {answer}")
