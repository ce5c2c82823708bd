"""A new training that begins with the weights of a model."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from seq2seq_fast.data import InputError, Vocabulary
from seq2seq_fast.decoding import load_model_folder
from seq2seq_fast.nn import Seq2SeqConfig
from seq2seq_fast.training.callbacks import tell_once
from seq2seq_fast.training.config import VocabularyConfig
from seq2seq_fast.training.settings import NOT_OF_THE_ARCHITECTURE, SETTINGS, read_settings


class Beginning(NamedTuple):
    """What a training begins with.

    Attributes:
        weights: of the model, by their names.
        vocabularies: source and target, the same object for a joint one.
        settings: fields of `Seq2SeqConfig`, without the vocabularies' sizes.
    """

    weights: dict[str, Tensor]
    vocabularies: tuple[Vocabulary, Vocabulary]
    settings: dict[str, Any]


def begin_from(folder: str, model: dict[str, Any], vocabulary: VocabularyConfig) -> Beginning:
    """Read the model that a training begins with.

    Args:
        folder: the model's.
        model: settings; what they leave at its default is the model's own.
        vocabulary: settings; the vocabularies are the model's own.

    Raises:
        InputError: there is no such model, or a setting asks for another one.
    """
    found, source, target = load_model_folder(folder)
    settings, taken = {}, []
    for field in fields(Seq2SeqConfig):
        name, own = field.name, getattr(found.config, field.name)
        given = model.get(name, field.default)
        if name.endswith("vocabulary_size"):
            continue
        if given not in (field.default, own) and name not in NOT_OF_THE_ARCHITECTURE:
            raise InputError(f"--from {folder}: that model has model.{name} {own}, not {given}: leave the setting out")
        if given == field.default != own:
            taken.append(f"model.{name} {own}")
        settings[name] = own if given == field.default else given
    if taken:  # a default that was asked for looks like one that was not
        tell_once(f"--from {folder}: what the settings leave at its default is that model's: {', '.join(taken)}")
    record = Path(folder, "training", SETTINGS)
    began = read_settings(record)["vocabulary"] if record.is_file() else {}
    usual = asdict(VocabularyConfig())
    for name, value in asdict(vocabulary).items():
        named = name in ("source", "target") and value is not None
        if named or value not in (usual[name], began.get(name, value)):
            raise InputError(f"--from {folder}: the vocabularies are that model's: leave vocabulary.{name} {value} out")
    return Beginning(found.state_dict(), (source, target), settings)
