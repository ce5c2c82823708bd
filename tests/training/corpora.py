"""A tiny corpus as files, settings for it, and what a training has kept."""

import torch

from seq2seq_fast.data.grammar import embedded_corpus
from seq2seq_fast.training import DataConfig, OptimizationConfig, TrainingConfig, VocabularyConfig

MODEL = {"source_size": 16, "target_size": 16, "encoder_hidden_size": 16, "decoder_hidden_size": 24}


def write_corpus(folder, train=60, validation=12, max_words=8):
    """Write train.de, train.en, validation.de and validation.en."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, size in (("train", train), ("validation", validation)):
        pairs = embedded_corpus(size=size, split=split, max_words=max_words)
        for language, side in (("de", "source"), ("en", "target")):
            text = "".join(f"{getattr(pair, side)}\n" for pair in pairs)
            (folder / f"{split}.{language}").write_text(text, encoding="utf-8")
    return folder


def settings(folder, output, *, data=None, vocabulary=None, model=None, optimization=None, **training):
    """Return the arguments of `train` for the corpus in ``folder``."""
    limits = {"logger": "csv", "progress": False, "device": "cpu"}
    if not {"max_steps", "max_minutes", "max_epochs"} & set(training):
        limits["max_steps"] = 4
    files = {
        "train_source": "train.de",
        "train_target": "train.en",
        "validation_source": "validation.de",
        "validation_target": "validation.en",
    }
    return (
        DataConfig(folder=str(folder), **(files | {"batch_tokens": 150} | (data or {}))),
        VocabularyConfig(**({"kind": "words", "size": 400, "joint": False} | (vocabulary or {}))),
        MODEL | (model or {}),
        OptimizationConfig(**({"learning_rate": 0.01, "warmup_steps": 3} | (optimization or {}))),
        TrainingConfig(output=str(output), **(limits | training)),
    )


def weights(output):
    """Return the weights and the optimizer's state of the last checkpoint."""
    state = torch.load(output / "training/checkpoints/last.ckpt", weights_only=True)
    return state["state_dict"], state["optimizer_states"][0]["state"]
