"""Training with PyTorch Lightning. The settings need no Lightning; `train` does, and only then imports it."""

from typing import TYPE_CHECKING

from seq2seq_fast.training.config import (
    DataConfig,
    EvaluationConfig,
    OptimizationConfig,
    TeacherForcingConfig,
    TrainingConfig,
    VocabularyConfig,
)

if TYPE_CHECKING:
    from seq2seq_fast.training.run import TrainingResult, train

__all__ = [
    "DataConfig",
    "EvaluationConfig",
    "OptimizationConfig",
    "TeacherForcingConfig",
    "TrainingConfig",
    "TrainingResult",
    "VocabularyConfig",
    "train",
]


def __getattr__(name: str) -> object:
    if name in ("TrainingResult", "train"):
        from seq2seq_fast.training import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
