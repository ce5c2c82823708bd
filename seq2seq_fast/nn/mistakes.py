"""What is easily written by mistake in a call of an attention layer, and what to write instead."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

from seq2seq_fast.ops.attention_memory import AttentionMemory
from seq2seq_fast.ops.checks import watched

_INSTEAD = {
    "key_padding_mask": "mask=~key_padding_mask: here True attends",
    "attn_mask": "mask=~attn_mask, [B, Tq, Tx]: here True attends",
    "attention_mask": "mask=attention_mask.bool()",
    "key": "keys=",
    "value": "values=",
    "average_attn_weights": "nothing: there is one head",
}


def refuse_unknown(unknown: dict[str, Any]) -> None:
    """Raise TypeError for keyword arguments that attention layers do not have, with those that they do have instead."""
    for name in unknown:
        instead = _INSTEAD.get(name, "one of values, keys, memory, lengths, mask and need_weights")
        raise TypeError(f"{name}= is no argument of an attention layer; write {instead}")


def check_query(query: Tensor) -> None:
    """Raise TypeError where the query is no tensor."""
    if isinstance(query, Tensor):
        return
    instead = "write torch.as_tensor(query)"
    if isinstance(query, tuple) and query and isinstance(query[0], Tensor):
        instead = "of an LSTM's state (hidden, cell) the hidden state is the query: write query[0]"
    raise TypeError(f"query must be a tensor [B, Q] or [B, Tq, Q]; got {type(query).__name__}: {instead}")


def check_values(values: Tensor) -> None:
    """Raise TypeError where the values are no tensor."""
    if isinstance(values, AttentionMemory):
        raise TypeError("values must be a tensor [B, Tx, D]; got an AttentionMemory: write memory=memory")
    if not isinstance(values, Tensor) and hasattr(values, "__array__"):
        raise TypeError(f"values must be a tensor; got {type(values).__name__}: write torch.as_tensor(values)")


def warn_of_empty(mask: Tensor) -> None:
    """Warn where a mask attends to nothing in a whole batch. Only a CPU's mask is read, and not while one traces."""
    if mask.device.type == "cpu" and not watched() and mask.numel() > 0 and not bool(mask.any()):
        warnings.warn(
            "mask attends to nothing in the whole batch, so every context is zero: True attends; "
            "of a mask that is True at padding write mask=~mask",
            stacklevel=6,
        )
