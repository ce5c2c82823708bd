"""``seq2seq-fast train``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace


def make_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    from seq2seq_fast.nn import Seq2SeqConfig
    from seq2seq_fast.training import (
        DataConfig,
        EvaluationConfig,
        OptimizationConfig,
        TeacherForcingConfig,
        TrainingConfig,
        VocabularyConfig,
    )

    parser = ArgumentParser(
        description="Train a translator on sentence pairs and write it as a folder. "
        "Every setting is a flag and a key of the YAML file; flags after --config override it.",
        usage="seq2seq-fast train [--config FILE.yaml] [--SETTING VALUE ...]",
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="YAML file of settings, such as configs/multi30k_de_en.yaml.")
    parser.add_argument(
        "--from",
        type=str | None,
        default=None,
        metavar="MODEL",
        help="Begin a new training with the weights and the vocabularies of this model folder, whose sizes need no "
        "settings; to go on with a training is --training.resume.",
    )
    parser.add_class_arguments(DataConfig, "data")
    parser.add_class_arguments(VocabularyConfig, "vocabulary")
    sizes = {"source_vocabulary_size", "target_vocabulary_size"}
    parser.add_class_arguments(Seq2SeqConfig, "model", skip=sizes, instantiate=False)
    parser.add_class_arguments(OptimizationConfig, "optimization")
    parser.add_class_arguments(TeacherForcingConfig, "teacher_forcing")
    parser.add_class_arguments(EvaluationConfig, "evaluation")
    parser.add_class_arguments(TrainingConfig, "training")
    return parser


def run(namespace: Namespace) -> None:
    from seq2seq_fast.training import (
        DataConfig,
        EvaluationConfig,
        OptimizationConfig,
        TeacherForcingConfig,
        TrainingConfig,
        VocabularyConfig,
    )
    from seq2seq_fast.training.run import train

    result = train(
        DataConfig(**namespace.data.as_dict()),
        VocabularyConfig(**namespace.vocabulary.as_dict()),
        namespace.model.as_dict(),
        OptimizationConfig(**namespace.optimization.as_dict()),
        TrainingConfig(**namespace.training.as_dict()),
        TeacherForcingConfig(**namespace.teacher_forcing.as_dict()),
        EvaluationConfig(**namespace.evaluation.as_dict()),
        namespace["from"],
    )
    if result.is_first_process:
        print(
            f"{result.folder}: validation BLEU {result.bleu:.2f} (greedy) after {result.steps:,} steps "
            f"and {result.minutes:.1f} minutes"
        )
