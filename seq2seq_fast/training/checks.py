"""What a training refuses before its work: an output that holds something else, a model that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seq2seq_fast.data import InputError, Vocabulary
from seq2seq_fast.decoding.model_folder import WEIGHTS, check_model_output
from seq2seq_fast.nn import Seq2SeqConfig
from seq2seq_fast.training.config import OptimizationConfig, TrainingConfig, VocabularyConfig

CURVES = "curves.png"


def check_output(output: Path, last: Path, training: TrainingConfig) -> None:
    """Check that a training may write into a folder, and that there is what it is to go on from.

    Args:
        output: the folder.
        last: the checkpoint that a training which goes on needs.

    Raises:
        InputError: it may not, or there is no such checkpoint.
    """
    if training.resume:
        if not last.is_file():
            raise InputError(f"{last}: no checkpoint to resume from")
    elif last.exists() and not (output / WEIGHTS).exists() and not training.overwrite:
        raise InputError(
            f"{output} already holds an unfinished training: go on with --training.resume=true, "
            "or give --training.overwrite=true"
        )
    may_replace = training.resume or training.overwrite
    check_model_output(output, CURVES, flags="--training.", overwrite=may_replace)


def check_model(model: dict[str, Any], vocabulary: VocabularyConfig, optimization: OptimizationConfig) -> None:
    """Check the settings of a model before its vocabularies, whose sizes it needs, are there.

    Raises:
        InputError: there is no such model, or it does not go with the other settings.
    """
    if model.get("share_embeddings") and not vocabulary.joint:
        raise InputError("model.share_embeddings needs one vocabulary for both languages: set vocabulary.joint to true")
    if _config(model, 1, 1).attention is None and optimization.guided_alignment > 0:
        raise InputError("optimization.guided_alignment needs attention: model.attention is null")


def model_config(model: dict[str, Any], vocabularies: tuple[Vocabulary, Vocabulary]) -> Seq2SeqConfig:
    """Return the configuration of a model with its vocabularies.

    Raises:
        InputError: there is no such model.
    """
    source, target = vocabularies
    return _config(model, len(source), len(target))


def _config(model: dict[str, Any], source: int, target: int) -> Seq2SeqConfig:
    try:
        return Seq2SeqConfig(source_vocabulary_size=source, target_vocabulary_size=target, **model)
    except (TypeError, ValueError) as error:
        raise InputError(f"model: {error}") from None
