"""The checkpoints that a training keeps beside its last, and their average."""

from __future__ import annotations

import math
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from seq2seq_fast.data import InputError
from seq2seq_fast.data.files import whole_file

Which = Literal["best", "last"]
_BEST = re.compile(r"step(\d+)-bleu([\d.]+)\.ckpt")
_RECENT = re.compile(r"recent-step(\d+)\.ckpt")


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints, each under its name only when it is complete."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Through an open file: given a name, torch would hide the system's reason behind one of its own.
        with whole_file(path) as partial, partial.open("wb") as stream:
            try:
                torch.save(checkpoint, stream)
            except RuntimeError as error:
                # torch fails once more when it closes the archive.
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        checkpoint = super().load_checkpoint(path, map_location, weights_only)
        # One that was kept as the best has weights alone: the optimizer begins anew.
        return {"optimizer_states": [], "lr_schedulers": [], **checkpoint}


class Validation(NamedTuple):
    """What a validation found.

    Attributes:
        bleu, loss: its figures; the loss is infinite where it is not known.
        scored: what they are figures of, a fingerprint of references and tokenizer; others cannot be compared.
    """

    bleu: float
    loss: float = math.inf
    scored: str | None = None

    def rank(self) -> tuple[float, float]:
        """Return what is larger for a better one: equal scores, such as zeros, go to the lower loss."""
        return self.bleu, -self.loss if math.isfinite(self.loss) else -math.inf


class KeptFile(NamedTuple):
    """A checkpoint that a training has kept, the step that it is of, and its validation."""

    path: Path
    step: int
    validation: Validation


def kept_files(folder: Path, which: Which, scored: str | None = None) -> list[KeptFile]:
    """Return the best or the last checkpoints of a training, the best or the last first.

    Args:
        folder: where the training kept them.
        which: whether those that were kept as the best, or those of the last validations.
        scored: what the best are the best for; by default what the last of them was scored on.
    """
    found = []
    for path in sorted(folder.glob("*.ckpt")) if folder.is_dir() else []:
        match = (_BEST if which == "best" else _RECENT).fullmatch(path.name)
        if match is None:
            continue
        try:
            recorded = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("validation")
        except Exception as error:  # whatever a broken file makes the loader raise
            warnings.warn(f"{path}: not a complete checkpoint ({type(error).__name__}), left out", stacklevel=2)
            continue
        # Version 0.1.0 has the score in the name alone.
        named = Validation(float(match[2]) if which == "best" else 0.0)
        found.append(KeptFile(path, int(match[1]), Validation(**recorded) if recorded else named))
    if scored is None and found:
        scored = max(found, key=lambda file: file.step).validation.scored
    return sorted(found, key=order_of(which, scored), reverse=True)


def order_of(which: Which, scored: str | None) -> Callable[[KeptFile], Any]:
    """Return the key that is largest for the checkpoint to keep longest."""

    def key(file: KeptFile) -> Any:
        comparable = file.validation.scored in (None, scored)
        return file.step if which == "last" else (comparable, *file.validation.rank(), -file.step)

    return key


def kept_checkpoints(folder: Path, which: Which, count: int) -> list[Path]:
    """Return the files of the ``count`` best or last checkpoints of a training, the best or the last first.

    Args:
        folder: where the training kept them.

    Raises:
        InputError: fewer were kept.
    """
    files = kept_files(folder, which)
    if len(files) < count:
        setting = "training.keep_best" if which == "best" else "training.keep_last"
        raise InputError(f"{folder}: has {len(files)} of the {count} {which} checkpoints wanted; {setting} keeps more")
    return [file.path for file in files[:count]]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the model's weights in a checkpoint, by their names in the model.

    Raises:
        InputError: the file is no checkpoint of a training.
    """
    return _weights_of(_read(path))


def _weights_of(state: dict[str, Any]) -> dict[str, Tensor]:
    return {name.removeprefix("model."): value for name, value in state["state_dict"].items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        # The archive has a checksum of each of its files, which torch does not look at.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(damaged)
        state = torch.load(path, map_location="cpu", weights_only=True)
        state["state_dict"].items()
        return state
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # whatever a broken file makes the loader raise
        raise InputError(f"{path}: not a complete checkpoint ({type(error).__name__}): take another") from error


def check_resumable(path: Path, model: nn.Module, max_epochs: int | None = None, pieces: str | None = None) -> None:
    """Check that a training of a model can go on from a checkpoint.

    Args:
        path: the checkpoint.
        model: its model.
        max_epochs: the limit of the training.
        pieces: the fingerprint of its vocabularies; version 0.1.0 has none.

    Raises:
        InputError: the file is no complete checkpoint, or one of another model, of other vocabularies or of a later
            epoch.
    """
    try:
        state = _read(path)
        weights = _weights_of(state)
    except InputError as error:
        raise InputError(f"{error}, or begin anew with --training.overwrite=true") from error
    if {n: v.shape for n, v in weights.items()} != {n: v.shape for n, v in model.state_dict().items()}:
        raise InputError(
            f"{path}: is of a model with other settings: resume with those in {path.parents[1] / 'settings.yaml'}"
        )
    if state.get("vocabularies", pieces) != pieces:
        raise InputError(f"{path.parents[1]}: a vocabulary is not the one of this training: bring that back")
    if max_epochs is not None and state.get("epoch", 0) > max_epochs:
        raise InputError(f"{path}: is of epoch {state['epoch'] + 1:,}: training.max_epochs {max_epochs:,} is too few")


def average_weights(states: Sequence[tuple[str, dict[str, Tensor]]]) -> dict[str, Tensor]:
    """Return the mean of models' weights, summed in float64 and in the dtype of the first.

    Args:
        states: the models, each as its name (for errors) and its weights.

    Raises:
        InputError: two differ in the names or the shapes of their weights.
    """
    first_name, first = states[0]
    sums = {name: value.double() for name, value in first.items()}
    for other_name, other in states[1:]:
        if {name: value.shape for name, value in other.items()} != {name: v.shape for name, v in first.items()}:
            raise InputError(f"{other_name}: is another model than {first_name}: they cannot be averaged")
        for name, value in other.items():
            sums[name] += value.double()
    return {name: (value / len(states)).to(first[name].dtype) for name, value in sums.items()}
