"""Which weights a memory was made with: those of another layer, or of before a step of training, would go unnoticed.

What is noted stands beside the memories, which stay values made of tensors alone. A memory that was moved, indexed,
detached or loaded is a new one, of which nothing is known: it is served.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor, nn

from seq2seq_fast.ops.attention_memory import AttentionMemory
from seq2seq_fast.ops.checks import watched

_Origin = tuple[str, tuple[tuple[weakref.ref[Tensor], int], ...]]
_origins: weakref.WeakKeyDictionary[AttentionMemory, _Origin] = weakref.WeakKeyDictionary()


def remember_origin(memory: AttentionMemory, layer: Any) -> AttentionMemory:
    """Note the layer's ``key_parameters()`` and how often they have changed; returns the memory."""
    if not watched():
        parameters = layer.key_parameters()
        if not any(parameter.is_inference() for parameter in parameters):
            _origins[memory] = (type(layer).__name__, tuple((weakref.ref(p), p._version) for p in parameters))
    return memory


def check_memory(memory: AttentionMemory, layer: nn.Module) -> None:
    """Check that this is a memory, and one that the layer's present weights have made.

    Raises:
        TypeError: it is no memory.
        ValueError: it is another layer's, or the weights have changed since.
    """
    if not isinstance(memory, AttentionMemory):
        raise TypeError(f"memory must be an AttentionMemory, made by layer.memory(values); got {type(memory).__name__}")
    if watched() or memory not in _origins:
        return
    maker, made_with = _origins[memory]
    parameters = layer.key_parameters()  # type: ignore[operator]
    found = [(then(), version) for then, version in made_with]
    if any(type(part).__name__ == "DTensor" for part in (*parameters, *(then for then, _ in found))):
        return  # FSDP shows a module's parameters whole or in shards, which are not to be compared
    if len(parameters) != len(found) or not all(
        _same(then, now) for (then, _), now in zip(found, parameters, strict=True)
    ):
        raise ValueError(
            f"memory was made by another layer (of class {maker}), or with other weights: write "
            "memory = layer.memory(values) with this layer"
        )
    if any(then is not None and then._version != version for then, version in found):
        raise ValueError(
            "memory was made before this layer's weights changed: write memory = layer.memory(values) again after "
            "every step of the optimizer"
        )


def _same(then: Tensor | None, now: Tensor) -> bool:
    """Whether two parameters are one, or copies of each other."""
    if then is None or then is now:
        return then is now
    return then.shape == now.shape and then.dtype == now.dtype and then.device == now.device and torch.equal(then, now)
