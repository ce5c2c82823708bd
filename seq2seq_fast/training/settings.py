"""The settings that a training leaves beside its checkpoints, as the YAML file that the train command reads."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_only

from seq2seq_fast.data import InputError, Vocabulary
from seq2seq_fast.data.files import whole_file
from seq2seq_fast.decoding.model_folder import save_vocabularies
from seq2seq_fast.training.config import OptimizationConfig, VocabularyConfig

SETTINGS = "settings.yaml"


@rank_zero_only
def write_settings(work: Path, vocabularies: tuple[Vocabulary, Vocabulary] | None, **settings: Any) -> None:
    """Write all settings, and the vocabularies of a new training; one that goes on has them already."""
    work.mkdir(parents=True, exist_ok=True)
    if vocabularies is not None:
        save_vocabularies(work, *vocabularies)
    values = {name: value if isinstance(value, dict) else asdict(value) for name, value in settings.items()}
    with whole_file(work / SETTINGS) as partial:
        partial.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")


def check_same_settings(work: Path, vocabulary: VocabularyConfig, optimization: OptimizationConfig) -> None:
    """Check that a training goes on with the vocabulary and the optimizer that it began with.

    Raises:
        InputError: one of these settings is another one, or the file does not hold them.
    """
    path = work / SETTINGS
    if not path.is_file():
        return
    wanted = {"vocabulary": asdict(vocabulary), "optimization": {"optimizer": optimization.optimizer}}
    began = read_settings(path)
    for group, values in wanted.items():
        for name, value in values.items():
            if began[group].get(name, value) != value:
                raise InputError(
                    f"{path}: this training began with {group}.{name} {began[group][name]}, not {value}: "
                    "resume with that, or train anew into another output"
                )


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
