"""The settings that a training leaves beside its checkpoints, as the YAML file that the train command reads."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_only

from seq2seq_fast.data import InputError, Vocabulary
from seq2seq_fast.data.files import whole_file
from seq2seq_fast.decoding.model_folder import save_vocabularies
from seq2seq_fast.nn import Seq2SeqConfig
from seq2seq_fast.training.config import OptimizationConfig, VocabularyConfig

SETTINGS = "settings.yaml"
NOT_OF_THE_ARCHITECTURE = (
    "dropout", "embedding_dropout", "recurrent_dropout", "variational", "source_vocabulary_size",
    "target_vocabulary_size",
)  # fmt: skip


@rank_zero_only
def write_settings(work: Path, vocabularies: tuple[Vocabulary, Vocabulary] | None, **settings: Any) -> None:
    """Write all settings, and the vocabularies of a new training; one that goes on has them already."""
    work.mkdir(parents=True, exist_ok=True)
    if vocabularies is not None:
        save_vocabularies(work, *vocabularies)
    values = {name: value if isinstance(value, dict) else asdict(value) for name, value in settings.items()}
    with whole_file(work / SETTINGS) as partial:
        partial.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")


def check_same_settings(
    work: Path, vocabulary: VocabularyConfig, model: dict[str, Any], optimization: OptimizationConfig
) -> None:
    """Check that a training goes on with the vocabulary, the model and the optimizer that it began with.

    Another dropout is another training of the same model.

    Raises:
        InputError: one of these settings is another one, or the file does not hold them.
    """
    path = work / SETTINGS
    if not path.is_file():
        return
    began = read_settings(path)
    began["model"] = _architecture(began["model"])
    wanted = {
        "vocabulary": asdict(vocabulary),
        "model": _architecture(model),
        "optimization": {"optimizer": optimization.optimizer},
    }
    for group, values in wanted.items():
        for name, value in values.items():
            if began[group].get(name, value) != value:
                raise InputError(
                    f"{path}: this training began with {group}.{name} {began[group][name]}, not {value}: "
                    "resume with that, or train anew into another output"
                )


def _architecture(model: dict[str, Any]) -> dict[str, Any]:
    """Return what a model computes, of settings that may leave out their defaults."""
    settings = {field.name: field.default for field in fields(Seq2SeqConfig)} | model
    return {name: value for name, value in settings.items() if name not in NOT_OF_THE_ARCHITECTURE}


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """Return the settings of a training, by group and name.

    Raises:
        InputError: the file cannot be read, or is not what `write_settings` wrote.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {group: dict(settings[group]) for group in ("vocabulary", "model", "optimization")}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not the settings that a training wrote ({type(error).__name__}): bring them back, "
            "or begin anew with --training.overwrite=true"
        ) from None
