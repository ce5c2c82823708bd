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
from seq2seq_fast.training.config import VocabularyConfig

_FILE = "settings.yaml"


@rank_zero_only
def write_settings(work: Path, vocabularies: tuple[Vocabulary, Vocabulary] | None, **settings: Any) -> None:
    """Write all settings, and the vocabularies of a new training; one that goes on has them already."""
    work.mkdir(parents=True, exist_ok=True)
    if vocabularies is not None:
        save_vocabularies(work, *vocabularies)
    values = {name: value if isinstance(value, dict) else asdict(value) for name, value in settings.items()}
    with whole_file(work / _FILE) as partial:
        partial.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")


def check_same_vocabulary(work: Path, vocabulary: VocabularyConfig) -> None:
    """Check that a training goes on with the vocabulary that it began with.

    Raises:
        InputError: a setting of the vocabulary is another one.
    """
    path = work / _FILE
    if not path.is_file():
        return
    began = yaml.safe_load(path.read_text(encoding="utf-8"))["vocabulary"]
    for name, value in asdict(vocabulary).items():
        if began.get(name, value) != value:
            raise InputError(
                f"{path}: this training began with vocabulary.{name} {began[name]}, not {value}: "
                "resume with that, or train anew into another output"
            )
