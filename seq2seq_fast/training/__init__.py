"""Training with PyTorch Lightning. The settings need no Lightning; `run.train` does."""

from seq2seq_fast.training.config import DataConfig, OptimizationConfig, TrainingConfig, VocabularyConfig

__all__ = ["DataConfig", "OptimizationConfig", "TrainingConfig", "VocabularyConfig"]
