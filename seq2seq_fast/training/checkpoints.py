"""The checkpoints that a training keeps beside its last, and their average."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from seq2seq_fast.data import InputError
from seq2seq_fast.data.files import whole_file

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


def keep_best(folder: Path, count: int) -> ModelCheckpoint:
    """Return what keeps, at each validation, the checkpoints with the best BLEU."""
    return _keep(folder, "step{step}-bleu{validation_bleu:.2f}", "validation_bleu", count)


def keep_recent(folder: Path, count: int) -> ModelCheckpoint:
    """Return what keeps the checkpoints of the last validations."""
    return _keep(folder, "recent-step{step}", "step", count)


class KeptCheckpoints(ModelCheckpoint):
    """Forgets, where a training goes on, the checkpoints whose files are gone; their folder may have another name."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        assert self.dirpath is not None
        folder = Path(self.dirpath)
        all_kept: dict[str, Tensor] = {
            str(folder / Path(path).name): bleu for path, bleu in state_dict["best_k_models"].items()
        }
        super().load_state_dict({**state_dict, "dirpath": self.dirpath, "best_k_models": all_kept})
        kept = {path: bleu for path, bleu in all_kept.items() if Path(path).is_file()}
        self.best_k_models = kept
        if kept:
            self.kth_best_model_path = min(kept, key=lambda path: float(kept[path]))
            self.best_model_path = max(kept, key=lambda path: float(kept[path]))
            self.best_model_score, self.kth_value = kept[self.best_model_path], kept[self.kth_best_model_path]
        else:
            self.best_model_path = self.kth_best_model_path = ""
            self.best_model_score = None
            self.kth_value = torch.tensor(-torch.inf)


def _keep(folder: Path, filename: str, monitor: str, count: int) -> ModelCheckpoint:
    return KeptCheckpoints(
        folder,
        filename=filename,
        auto_insert_metric_name=False,
        monitor=monitor,
        mode="max",
        save_top_k=count,
        save_weights_only=True,
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )


def kept_checkpoints(folder: Path, which: Literal["best", "last"], count: int) -> list[Path]:
    """Return the files of the ``count`` best or last checkpoints of a training, the best or the last first.

    Args:
        folder: where the training kept them.

    Raises:
        InputError: fewer were kept.
    """
    files = sorted(folder.glob("*.ckpt")) if folder.is_dir() else []
    steps_of_best = [(match, file) for file in files if (match := _BEST.fullmatch(file.name))]
    if which == "best":
        order = [(float(match[2]), int(match[1]), file) for match, file in steps_of_best]
    else:
        recent = [(match, file) for file in files if (match := _RECENT.fullmatch(file.name))]
        order = [(float(match[1]), 0, file) for match, file in recent]
    if len(order) < count:
        setting = "training.keep_best" if which == "best" else "training.keep_last"
        raise InputError(f"{folder}: has {len(order)} of the {count} {which} checkpoints wanted; {setting} keeps more")
    return [file for *_, file in sorted(order, reverse=True)[:count]]


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
        state = torch.load(path, map_location="cpu", weights_only=True)
        state["state_dict"].items()
        return state
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # whatever a broken file makes the loader raise
        raise InputError(f"{path}: not a complete checkpoint ({type(error).__name__}): take another") from error


def check_resumable(path: Path, model: nn.Module, max_epochs: int | None = None) -> None:
    """Check that a training of a model can go on from a checkpoint.

    Raises:
        InputError: the file is no complete checkpoint, or one of another model or of a later epoch.
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
