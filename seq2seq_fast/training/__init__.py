"""Training with PyTorch Lightning. The settings need no Lightning; `run.train` does."""

from seq2seq_fast.training.config import (
    DataConfig,
    OptimizationConfig,
    TeacherForcingConfig,
    TrainingConfig,
    VocabularyConfig,
)

__all__ = ["DataConfig", "OptimizationConfig", "TeacherForcingConfig", "TrainingConfig", "VocabularyConfig"]
