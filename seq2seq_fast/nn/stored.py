"""What a file of weights holds, before a configuration that came with it decides how much memory is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from seq2seq_fast.nn.config import Seq2SeqConfig


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
