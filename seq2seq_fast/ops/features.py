"""What a score may have inside its units beside query and key: a history's features; and ReLU in tanh's place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq_fast import reference
from seq2seq_fast.ops.attention_memory import AttentionMemory
from seq2seq_fast.ops.autograd import cast_like, no_autocast
from seq2seq_fast.ops.backends import choose_backend, raw
from seq2seq_fast.ops.checks import check_alike, check_choice, check_tensor
from seq2seq_fast.ops.derivatives import declare_derivative

ACTIVATIONS = ("tanh", "relu")
BACKENDS = ("reference", "cpu")


@dataclass(frozen=True)
class Features:
    """The parts of one call; see :func:`seq2seq_fast.attend` for each.

    Attributes:
        history: [B, Tq, C, Tx], with ``filters`` or without both.
        filters: [A, C, W].
        activation: "tanh" or "relu".
    """

    history: Tensor | None = None
    filters: Tensor | None = None
    activation: str = "tanh"

    @property
    def plain(self) -> bool:
        """Whether the unit is tanh of query and key alone, which every engine has kernels for."""
        return self.history is None and self.activation == "tanh"

    def to(self, dtype: torch.dtype) -> Features:
        history, filters = (None if t is None else t.to(dtype) for t in (self.history, self.filters))
        return Features(history, filters, self.activation)

    def scores(self, query: Tensor, keys: Tensor, v: Tensor, backend: str) -> Tensor:
        """[B, Tq, Tx] of query [B, Tq, A] and keys [B, Tx, A]."""
        parts = (self.history, self.filters, self.activation)
        if backend == "reference":
            with no_autocast(query.device.type):
                return reference.feature_score(query, keys, v, *parts)
        return raw(backend).feature_score_forward(query, keys, v, *parts)


def check_features(
    history: Tensor | None, filters: Tensor | None, activation: str, memory: AttentionMemory, query: Tensor
) -> Features:
    """The parts of a call with query [B, A] or [B, Tq, A], checked.

    Raises:
        TypeError, ValueError: the activation is unknown, one of history and filters is missing, or one is wrong.
    """
    check_choice("activation", activation, ACTIVATIONS)
    if (history is None) != (filters is None):
        given, missing = ("history", "filters") if filters is None else ("filters", "history")
        raise ValueError(f"{given} needs {missing}: history [B, C, Tx] is read through filters [A, C, W]")
    if history is None or filters is None:
        return Features(activation=activation)
    batch, source, units = memory.keys.shape
    check_tensor("filters", filters, "[A, C, W]", units, None, None)
    if filters.shape[2] % 2 == 0:
        raise ValueError(f"filters must have an odd width W, so that they have a centre; got {filters.shape[2]}")
    channels = filters.shape[1]
    if query.dim() == 2:
        check_tensor("history", history, "[B, C, Tx]", batch, channels, source)
        history = history.unsqueeze(1)
    else:
        check_tensor("history", history, "[B, Tq, C, Tx]", batch, query.shape[1], channels, source)
    # Weights come in the accumulation dtype, and may be fed back as they are.
    (filters,) = cast_like(memory.keys, filters)
    check_alike("keys", memory.keys, filters=filters)
    return Features(history.to(memory.keys.dtype), filters, activation)


def choose_feature_backend(backend: str | None, memory: AttentionMemory) -> str:
    """The backend for a score with features or ReLU: the reference where the device's engine has no kernel for it.

    Raises:
        ValueError: an engine without one was named.
    """
    chosen = choose_backend(backend, memory.keys)
    if chosen in BACKENDS:
        return chosen
    if backend is None:
        return "reference"
    raise ValueError(
        f"backend={backend!r} has no kernel for history= or activation=; name none, or one of "
        f"{', '.join(map(repr, BACKENDS))}"
    )


def _formula(query, keys, v, history, filters, activation, **_):
    return (reference.feature_score(query, keys, v, history, filters, activation),)


declare_derivative("feature_score_forward", _formula, ("scores",), "query", "keys", "v", "history", "filters")
