"""What a model's files hold, before a configuration that came with them decides how much memory is taken."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from seq2seq_fast.nn.config import Seq2SeqConfig

CONFIG, WEIGHTS = "config.json", "model.safetensors"
# A folder's model lies in this folder of it, where a process was killed that put it in the place of another.
COMPLETE = ".complete-model"
_CHECKSUMS = "vocabularies"  # the entry in the metadata of the weights


def whole_model(folder: Path) -> Path:
    """Return the folder in which a folder's model is whole."""
    complete = folder / COMPLETE
    return complete if complete.is_dir() else folder


class Checksums(NamedTuple):
    """SHA-256 sums of a model's files; empty where they are not known, as in what version 0.1.0 has written.

    Attributes:
        source, target: of the vocabularies.
        weights: of the tensors, with their names, types and shapes.
        config: of the settings.
    """

    source: str = ""
    target: str = ""
    weights: str = ""
    config: str = ""

    def metadata(self) -> dict[str, str]:
        """Return what a safetensors file keeps of them."""
        # One entry for all: safetensors writes several in no fixed order.
        return {_CHECKSUMS: " ".join(self)}


def recorded_checksums(weights: Path) -> Checksums:
    """Read the checksums that a safetensors file keeps; one that another program has written keeps none."""
    from safetensors import safe_open

    with safe_open(str(weights), framework="pt") as stored:
        return Checksums(*(stored.metadata() or {}).get(_CHECKSUMS, "").split()[:4])


def checksums_of(config: Path, weights: Path) -> Checksums:
    """Return the checksums of the files of a model without its vocabularies."""
    with weights.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        header.pop("__metadata__", None)
        digest = _sha256(header)
        while block := stream.read(2**20):
            digest.update(block)
    settings = _sha256(json.loads(config.read_text(encoding="utf-8")))
    return Checksums(weights=digest.hexdigest(), config=settings.hexdigest())


def check_checksums(config: Path, weights: Path) -> None:
    """Check a model's files against the checksums that they came with.

    Raises:
        ValueError: one has changed.
    """
    recorded, found = recorded_checksums(weights), checksums_of(config, weights)
    for name, was, path in (("weights", recorded.weights, weights), ("config", recorded.config, config)):
        if was and was != getattr(found, name):
            raise ValueError(f"{path.name} is damaged: its checksum is another: bring it back")


def _sha256(value: Any) -> Any:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode())


def check_stored(model: type[nn.Module], config: Seq2SeqConfig | dict[str, Any], path: str | Path) -> None:
    """Check that a safetensors file holds the weights of a configuration; its header alone is read.

    Args:
        model: is made of the configuration, on the meta device, where tensors have shapes alone.
        config: the configuration.
        path: the file.

    Raises:
        TypeError, ValueError: there is no such configuration, or the file holds other weights.
    """
    from safetensors import safe_open

    if isinstance(config, dict):
        config = Seq2SeqConfig.from_dict(config)
    with safe_open(str(path), framework="pt") as weights:
        stored = {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    check_weights(model, config, stored)


def check_weights(model: type[nn.Module], config: Seq2SeqConfig, stored: dict[str, tuple[int, ...]]) -> None:
    """As `check_stored`, for the shapes of weights by their names."""
    layers = config.encoder_layers + config.decoder_layers
    if layers > len(stored):  # each has weights of its own; even without memory so many modules would take their time
        raise ValueError(f"the configuration has {layers:,} layers, the weights are {len(stored):,} tensors")
    with torch.device("meta"):
        wanted = model(config)
    tensors = {name: (id(tensor), tuple(tensor.shape)) for name, tensor in _tensors(wanted)}
    for name, shape in stored.items():
        if name not in tensors:
            raise ValueError(f"the weights have a {name}, the configuration none")
        if tensors[name][1] != shape:
            raise ValueError(f"{name} has the shape {list(shape)}, the configuration wants {list(tensors[name][1])}")
    # Of those that are one tensor under several names one is stored.
    there = {tensors[name][0] for name in stored}
    missing = next((name for name, (tensor, _) in tensors.items() if tensor not in there), None)
    if missing is not None:
        raise ValueError(f"the weights have no {missing}, the configuration wants one")


def _tensors(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    kept = model.state_dict().keys()
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return [(name, tensor) for name, tensor in named if name in kept]
