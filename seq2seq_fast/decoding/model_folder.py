"""A trained translator as a folder: ``config.json``, ``model.safetensors`` (what ``Seq2Seq.from_pretrained`` reads too)
and the vocabularies' files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_model, save_model

from seq2seq_fast.data import InputError, Vocabulary, load_vocabulary
from seq2seq_fast.data.files import cannot_write, whole_file
from seq2seq_fast.files import give_mode, replace, sync, usual_mode
from seq2seq_fast.nn import Seq2Seq, Seq2SeqConfig
from seq2seq_fast.nn.stored import (
    COMPLETE,
    CONFIG,
    WEIGHTS,
    check_checksums,
    check_stored,
    checksums_of,
    recorded_checksums,
    whole_model,
)

_JOINT, _SOURCE, _TARGET = "vocabulary", "source_vocabulary", "target_vocabulary"
_SUFFIXES = (".model", ".json")
_VOCABULARY_FILES = tuple(f"{stem}{suffix}" for stem in (_JOINT, _SOURCE, _TARGET) for suffix in _SUFFIXES)
_LONGEST_CONFIG = 2**20
_PARTIAL = ".partial-model"


def check_model_output(folder: str | Path, *others: str, flags: str = "--", overwrite: bool = False) -> None:
    """Refuse, before any work, a folder that a model cannot be written to or where it would cost somebody's files.

    Args:
        folder: where a model is to be written; it need not be there yet.
        others: names of more files that are to be written there.
        flags: what stands before the name of the flag for ``overwrite``.
        overwrite: whether the model that it holds, and what has the name of one of its files, may be replaced.

    Raises:
        InputError: it is a file, it holds a model or a file of that name, or nobody may write there.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, a folder is wanted")
    if not overwrite:
        wanted = f"choose another output, or give {flags}overwrite=true"
        if (folder / WEIGHTS).exists():
            raise InputError(f"{folder} already holds a model: {wanted}")
        for name in (CONFIG, *_VOCABULARY_FILES, *others):
            if (folder / name).exists():
                raise InputError(f"{folder} holds a {name} but no model, and would lose it: {wanted}")
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: no permission to write in {existing}")


def save_model_folder(folder: str | Path, model: Seq2Seq, source: Vocabulary, target: Vocabulary) -> Path:
    """Write a translator. Files appear under their names only when they are complete, the weights last.

    Args:
        folder: made where it is missing; its other files stay.
        model: the model, on any device.
        source, target: the vocabularies, the same object for a joint one.

    Raises:
        InputError: it cannot be written; what the folder held before is still there.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A fixed name: what a killed process has left there goes with the next save.
        partial = folder / _PARTIAL
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        model.save_pretrained(partial)
        # The model card is for the Hub; here it would replace a README that someone has written.
        (partial / "README.md").unlink(missing_ok=True)
        save_vocabularies(partial, source, target)
        save_model(model, str(partial / WEIGHTS))
        of_source, of_target = fingerprint(source, target).split()
        checksums = checksums_of(partial / CONFIG, partial / WEIGHTS)._replace(source=of_source, target=of_target)
        save_model(model, str(partial / WEIGHTS), metadata=checksums.metadata())
        give_mode(partial / WEIGHTS, usual_mode(partial))
        for path in partial.iterdir():
            sync(path)
        # The one step from the old model to the new: from here on it is read where it is whole.
        shutil.rmtree(folder / COMPLETE, ignore_errors=True)
        replace(partial, folder / COMPLETE)
        written = {path.name for path in (folder / COMPLETE).iterdir()}
        for name in sorted(written, key=lambda name: (name == WEIGHTS, name)):
            with whole_file(folder / name) as copy:
                shutil.copyfile(folder / COMPLETE / name, copy)
        _remove_other_vocabularies(folder, written)
        replace(folder / COMPLETE, partial)
    except (OSError, SafetensorError) as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def load_model_folder(folder: str | Path, device: str = "cpu") -> tuple[Seq2Seq, Vocabulary, Vocabulary]:
    """Read what `save_model_folder` wrote; the model is in evaluation mode.

    Raises:
        InputError: the folder is missing, is no model folder, its parts do not belong together, or its weights are not
            finite.
    """
    folder = Path(folder)
    if folder.suffix == ".ckpt" and folder.is_file():
        raise InputError(
            f"{folder}: is a checkpoint: make a model folder of it with seq2seq-fast average {folder} --output FOLDER"
        )
    if not folder.is_dir():
        raise InputError(f"{folder}: no such model folder")
    folder = whole_model(folder)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: not a model folder ({name} is not there)")
    try:
        config = read_config(folder / CONFIG)
        check_stored(Seq2Seq, config, folder / WEIGHTS)
        check_checksums(folder / CONFIG, folder / WEIGHTS)
        model = Seq2Seq(config)
        load_model(model, folder / WEIGHTS, strict=True)
    except Exception as error:  # whatever a broken file makes the loaders raise
        raise InputError(f"{folder}: the model cannot be loaded ({' '.join(str(error).split())[:200]})") from error
    if not all(bool(value.isfinite().all()) for value in model.state_dict().values()):
        raise InputError(
            f"{folder}: the model has weights that are no numbers: its training has failed; "
            "train anew with a lower optimization.learning_rate"
        )
    model = model.to(device).eval()
    source, target = load_vocabularies(folder)
    sizes = (model.config.source_vocabulary_size, model.config.target_vocabulary_size)
    if (len(source), len(target)) != sizes:
        raise InputError(
            f"{folder}: the vocabularies have {len(source):,} and {len(target):,} pieces, the model was trained with "
            f"{sizes[0]:,} and {sizes[1]:,}: they come from another model"
        )
    recorded = recorded_checksums(folder / WEIGHTS)
    # What has been saved without it, by save_pretrained say, is taken as it is.
    if recorded.source and f"{recorded.source} {recorded.target}" != fingerprint(source, target):
        raise InputError(f"{folder}: a vocabulary is not the one of this training: bring that back")
    return model, source, target


def read_config(path: Path) -> Seq2SeqConfig:
    """Read the configuration of a model.

    Raises:
        OSError, ValueError, TypeError: there is none.
    """
    if path.stat().st_size > _LONGEST_CONFIG:
        raise ValueError(f"{path.name} has more than {_LONGEST_CONFIG:,} bytes")
    settings = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(settings, dict):
        raise ValueError(f"{path.name} holds no settings")
    return Seq2SeqConfig.from_dict(settings)


def save_vocabularies(folder: Path, source: Vocabulary, target: Vocabulary) -> None:
    """Write the vocabularies into a folder, one file where they are the same object, in place of those it has."""
    stems = {_JOINT: source} if source is target else {_SOURCE: source, _TARGET: target}
    written = {vocabulary.save(folder / stem).name for stem, vocabulary in stems.items()}
    _remove_other_vocabularies(folder, written)


def fingerprint(source: Vocabulary, target: Vocabulary) -> str:
    """The SHA-256 of both vocabularies, which tells those of one size apart."""
    return " ".join(hashlib.sha256(vocabulary.serialized()).hexdigest() for vocabulary in (source, target))


def _remove_other_vocabularies(folder: Path, written: Collection[str]) -> None:
    for name in _VOCABULARY_FILES:
        if name not in written:
            (folder / name).unlink(missing_ok=True)


def load_vocabularies(folder: Path) -> tuple[Vocabulary, Vocabulary]:
    """Read what `save_vocabularies` wrote; a joint one is the same object twice."""
    if any((folder / f"{_JOINT}{suffix}").is_file() for suffix in _SUFFIXES):
        joint = load_vocabulary(folder / _JOINT)
        return joint, joint
    return load_vocabulary(folder / _SOURCE), load_vocabulary(folder / _TARGET)
