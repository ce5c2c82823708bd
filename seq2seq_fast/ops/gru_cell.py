"""The gated recurrent unit: two matrix products, then one fused pass of gate arithmetic."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast import reference
from seq2seq_fast.ops.autograd import autocast_to, cast, no_autocast
from seq2seq_fast.ops.backends import choose_backend, raw
from seq2seq_fast.ops.checks import check_alike, check_tensor
from seq2seq_fast.ops.derivatives import declare_derivative
from seq2seq_fast.reference.gru_cell import gru_gates as reference_gates
from seq2seq_fast.reference.gru_cell import gru_reset as reference_reset
from seq2seq_fast.reference.gru_cell import gru_update as reference_update
from seq2seq_fast.reference.precision import accumulation_dtype


def gru_cell(
    input: Tensor,
    hidden: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    *,
    reset_after: bool = True,
    backend: str | None = None,
) -> Tensor:
    """One step of a GRU, with the gates stacked r, z, n as in ``torch.nn.GRUCell``.

    ``r = s(W_r x + b_r + U_r h + b'_r)``, ``z`` likewise, ``h' = (1 - z) n + z h``, with
    ``n = tanh(W_n x + b_n + r (U_n h + b'_n))`` (``reset_after``: PyTorch, cuDNN) or
    ``n = tanh(W_n x + b_n + U_n (r h) + b'_n)`` (Cho et al. 2014, arXiv 1406.1078, and the paper, arXiv 1409.0473,
    A.1.1, whose z is this 1 - z).

    Args:
        input: [B, E]. hidden: [B, H]. weight_ih: [3H, E]. weight_hh: [3H, H]. bias_ih, bias_hh: [3H] or None.
        reset_after: which published form.
        backend: "reference", "cpu", "triton" or "cuda"; by default chosen from the device.

    Returns:
        The new hidden state [B, H] in hidden's dtype (float32 may be carried under torch.autocast).

    Raises:
        TypeError, ValueError: an argument's type, dtype, device or shape is wrong, or the backend cannot serve it.
    """
    input, weight_ih, weight_hh, bias_ih, bias_hh = check_cell(
        3, input, {"hidden": hidden}, weight_ih, weight_hh, bias_ih, bias_hh
    )
    chosen = choose_backend(backend, input)
    with no_autocast(input.device.type):
        if chosen == "reference":
            return reference.gru_cell(input, hidden, weight_ih, weight_hh, bias_ih, bias_hh, reset_after)
        return _gru_cell(chosen, input, hidden, weight_ih, weight_hh, bias_ih, bias_hh, reset_after)


def check_cell(
    gates: int,
    input: Tensor,
    states: dict[str, Tensor],
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """The checks of a recurrent cell with this many gates; input and weights in autocast's dtype where it is on.

    A state may be in the accumulation dtype of a narrower input, so that a recurrence can carry float32.
    """
    check_tensor("input", input, "[B, E]", None, None)
    batch = input.shape[0]
    size = None
    for name, state in states.items():
        check_tensor(name, state, "[B, H]", batch, size)
        size = state.shape[1]
    assert size is not None
    rows = f"{gates}H" if gates > 1 else "H"
    check_tensor("weight_ih", weight_ih, f"[{rows}, E]", gates * size, None)
    check_tensor("input", input, "[B, E]", batch, weight_ih.shape[1])
    check_tensor("weight_hh", weight_hh, f"[{rows}, H]", gates * size, size)
    for name, bias in (("bias_ih", bias_ih), ("bias_hh", bias_hh)):
        if bias is not None:
            check_tensor(name, bias, f"[{rows}]", gates * size)
    input, weight_ih, weight_hh, bias_ih, bias_hh = cast(
        autocast_to(input.device.type), input, weight_ih, weight_hh, bias_ih, bias_hh
    )
    check_alike("input", input, weight_ih=weight_ih, weight_hh=weight_hh, bias_ih=bias_ih, bias_hh=bias_hh)
    check_states("input", input, states)
    return input, weight_ih, weight_hh, bias_ih, bias_hh


def check_states(first: str, reference: Tensor, states: dict[str, Tensor]) -> None:
    """Each state must be on the device of ``reference``, in its dtype or the one it accumulates in."""
    for name, state in states.items():
        if state.dtype != accumulation_dtype(reference.dtype):
            check_alike(first, reference, **{name: state})
        elif state.device != reference.device:
            raise ValueError(f"{name} must be on the device of {first}, {reference.device}; got {state.device}")


def _gru_cell(backend, input, hidden, weight_ih, weight_hh, bias_ih, bias_hh, reset_after):
    gates_input = F.linear(input, weight_ih, bias_ih)
    state = hidden.to(input.dtype)
    if reset_after:
        return gru_gates(gates_input, F.linear(state, weight_hh, bias_hh), hidden, backend)
    size = hidden.shape[1]
    bias_rz, bias_n = (None, None) if bias_hh is None else (bias_hh[: 2 * size], bias_hh[2 * size :])
    gates_hidden = F.linear(state, weight_hh[: 2 * size], bias_rz)
    reset_hidden, z = gru_reset(gates_input[:, : 2 * size], gates_hidden, hidden, backend).chunk(2, dim=1)
    candidate = F.linear(reset_hidden.to(input.dtype), weight_hh[2 * size :], bias_n)
    return gru_update(gates_input[:, 2 * size :], candidate, z, hidden, backend)


def gru_gates(gates_input: Tensor, gates_hidden: Tensor, hidden: Tensor, backend: str) -> Tensor:
    """Gate arithmetic with reset after the product, fused: [B, 3H], [B, 3H], [B, H] -> [B, H]."""
    return raw(backend).gru_gates_forward(gates_input, gates_hidden, hidden)[0]


def gru_reset(gates_input: Tensor, gates_hidden: Tensor, hidden: Tensor, backend: str) -> Tensor:
    """``[r h, z]`` of the form with reset before the product: [B, 2H], [B, 2H], [B, H] -> [B, 2H]."""
    return raw(backend).gru_reset_forward(gates_input, gates_hidden, hidden)[0]


def gru_update(candidate_input: Tensor, candidate_hidden: Tensor, z: Tensor, hidden: Tensor, backend: str) -> Tensor:
    """The new state of the form with reset before the product; all [B, H]."""
    return raw(backend).gru_update_forward(candidate_input, candidate_hidden, z, hidden)[0]


def _one(formula):
    return lambda **named: (formula(**named),)


declare_derivative("gru_gates_forward", _one(reference_gates), ("new_hidden",), "gates_input", "gates_hidden", "hidden")
declare_derivative("gru_reset_forward", _one(reference_reset), ("reset_and_z",), "gates_input gates_hidden", "hidden")
declare_derivative(
    "gru_update_forward", _one(reference_update), ("new_hidden",), "candidate_input candidate_hidden", "z", "hidden"
)
