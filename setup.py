"""Packaging. Each bound says why it is there; the exact versions that are tested stand in constraints.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "burst2vec/version.py").read_text())[1]

REQUIRES = [
    # 5.20 is the oldest that the tests run with, and the last for Python 3.10. Private methods that the trainer
    # overrides are the same in the releases tried (tests/training/test_private_methods.py); 6 may change them.
    "transformers>=5.20,<6",
    # One release of both, torchaudio's last: it names no torch of its own, so pip would set a newer one beside it, and
    # then its import fails ("compiled with different CUDA versions"), and with it that of transformers. 2.10 and later
    # have known holes in checkpoint loading closed.
    "torch>=2.11,<2.12",
    "torchaudio>=2.11,<2.12",
    "datasets>=5.2",  # Parquet, builders without loading scripts; known holes closed
    "evaluate>=0.4.6",  # works with datasets 5
    "accelerate>=1.10",  # Trainer of transformers 5 needs it
    "huggingface-hub>=1.0",  # transformers 5 needs it
    "librosa>=0.11",  # numpy 2
    "numpy>=1.26",
    "scipy>=1.11",
    "scikit-learn>=1.4",  # t-SNE of the emotions, in a corpus's report
    "silero-vad>=6.0,<7",  # voice activity; carries its weights; its modules are called one by one
    "soundfile>=0.13",  # carries a libsndfile that reads MP3
    "soxr>=0.5",
    "pyyaml>=6",
    "matplotlib>=3.8",
    "pandas>=2",
    "pyarrow",  # this and the next two come with datasets and scikit-learn, and are used here too
    "xxhash",
    "threadpoolctl",
    "tqdm",
]

EXTRAS = {
    "webm": ["av>=14,<19"],  # raw recordings in webm, and m4a; carries its own FFmpeg; 19 changed how a file is opened
    "features": [
        "opensmile>=2.5,<3",  # hand-made feature vectors; its licence allows research, not commerce
        "torchvision>=0.26,<0.27",  # the shape of VGG-19, for deep spectrum features; the release beside torch 2.11
    ],
    "onnx": [  # burst2vec export, and what runs its graphs
        "onnx>=1.19",
        "onnxscript>=0.5.4",  # torch 2.11's exporter writes its operators with it
        "onnxruntime>=1.22",
    ],
    "serve": [  # burst2vec serve
        "fastapi>=0.115",
        "fastapi-offline>=1.7",  # its documentation page without scripts from the internet
        "python-multipart>=0.0.18",  # reads forms; below it boundaries took quadratic time
        "uvicorn>=0.30",
    ],
    "demo": [  # burst2vec demo
        "gradio>=6.31,<7",  # 6.31 is what its page was looked at with; 7 may change what its constructors take
        "av>=14,<19",  # what telephones record: m4a
    ],
    "docs": [  # the documentation site
        "mkdocs-material>=9.6,<10",
        "mkdocstrings[python]>=1.0,<2",
        "pymdown-extensions>=10,<12",  # 12 breaks mkdocstrings 1.0.6, the last for Python 3.10
    ],
    "dev": [
        "pytest>=8,<9.2",  # 9.2 loses the groups of pytest-xdist 3.8: tests that share what is costly
        "pytest-cov>=5",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "ruff>=0.9",
        "av>=14,<19",
        "fastapi>=0.115",
        "fastapi-offline>=1.7",
        "gradio>=6.31,<7",
        "markdown-it-py>=3",  # an independent reader of the Markdown that is written
        "noisereduce>=3.0",  # what the benchmark compares our denoising with
        "onnx>=1.19",
        "onnxruntime>=1.22",
        "onnxscript>=0.5.4",
        "opensmile>=2.5,<3",
        "python-multipart>=0.0.18",
        "peft>=0.18",  # a user's own, whose adapters are tested with the trainer; 0.18 knows transformers 5
        "playwright>=1.60",  # drives the Chromium that is installed, where there is one, through the demo's page
        "torchvision>=0.26,<0.27",
        "uvicorn>=0.30",
    ],
}

# What lies beside the package in the repository and inside it in the wheel; burst2vec.command_line finds either.
SHIPPED = {
    "burst2vec.recipes": "examples/recipes",
    "burst2vec.tables": "examples/tables",
    "burst2vec.commands": "examples",
    "burst2vec.metrics": "metrics",
}
# The command's own room a second time, under a name whose import does not import burst2vec, and so torch, before it.
COMMAND = {"burst2vec_command_line": "burst2vec/command_line"}

setup(
    name="burst2vec",
    version=VERSION,
    description="Emotion, age and origin from vocal bursts: train, score, publish and run models on Hugging Face",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=[*find_packages(include=["burst2vec", "burst2vec.*"]), *SHIPPED, *COMMAND],
    package_dir={**SHIPPED, **COMMAND},
    package_data={
        "burst2vec": ["pretrained/*/*", "pretrained/*/plots/*"],
        "burst2vec.recipes": ["*/*.yaml"],
        "burst2vec.tables": ["*.yaml"],
        "burst2vec.metrics": ["*/*.py", "*/*.md"],
    },
    entry_points={"console_scripts": ["burst2vec = burst2vec_command_line:main"]},
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Multimedia :: Sound/Audio :: Analysis",
    ],
)
