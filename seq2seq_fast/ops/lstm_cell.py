"""Long short-term memory: two matrix products, then one fused pass of gate arithmetic."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast import reference
from seq2seq_fast.ops.autograd import no_autocast
from seq2seq_fast.ops.backends import choose_backend, raw
from seq2seq_fast.ops.derivatives import declare_derivative
from seq2seq_fast.ops.gru_cell import check_cell
from seq2seq_fast.reference.lstm_cell import lstm_gates as reference_gates


def lstm_cell(
    input: Tensor,
    state: tuple[Tensor, Tensor],
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    *,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM, with the gates stacked i, f, g, o as in ``torch.nn.LSTMCell``.

    ``c' = f c + i g``, ``h' = o tanh(c')`` (Hochreiter and Schmidhuber 1997; forget gate of Gers et al. 2000).

    Args:
        input: [B, E]. state: (hidden, cell), [B, H] each. weight_ih: [4H, E]. weight_hh: [4H, H].
        bias_ih, bias_hh: [4H] or None.
        backend: "reference", "cpu", "triton" or "cuda"; by default chosen from the device.

    Returns:
        The new (hidden, cell), [B, H] each.

    Raises:
        TypeError, ValueError: an argument's type, dtype, device or shape is wrong, or the backend cannot serve it.
    """
    if not isinstance(state, (tuple, list)) or len(state) != 2:
        raise TypeError(f"state must be the pair (hidden, cell) of an LSTM; got {type(state).__name__}")
    hidden, cell = state
    input, weight_ih, weight_hh, bias_ih, bias_hh = check_cell(
        4, input, {"hidden": hidden, "cell": cell}, weight_ih, weight_hh, bias_ih, bias_hh
    )
    chosen = choose_backend(backend, input)
    with no_autocast(input.device.type):
        if chosen == "reference":
            return reference.lstm_cell(input, (hidden, cell), weight_ih, weight_hh, bias_ih, bias_hh)
        gates_input = F.linear(input, weight_ih, bias_ih)
        gates_hidden = F.linear(hidden.to(input.dtype), weight_hh, bias_hh)
        new_hidden, new_cell = lstm_gates(gates_input, gates_hidden, cell, chosen)
        return new_hidden.to(hidden.dtype), new_cell


def lstm_gates(gates_input: Tensor, gates_hidden: Tensor, cell: Tensor, backend: str) -> tuple[Tensor, Tensor]:
    """Gate arithmetic, fused: [B, 4H], [B, 4H], [B, H] -> hidden (gates' dtype) and cell (cell's dtype), [B, H]."""
    return raw(backend).lstm_gates_forward(gates_input, gates_hidden, cell)[:2]


declare_derivative(
    "lstm_gates_forward",
    lambda **named: reference_gates(**named),
    ("new_hidden", "new_cell"),
    "gates_input gates_hidden",
    "cell",
)
