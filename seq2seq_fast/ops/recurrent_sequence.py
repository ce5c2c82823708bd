"""A recurrence without attention over the sequences of a batch: the encoder's, and a stacked decoder's upper layers'.

On a GPU this is cuDNN's (:mod:`seq2seq_fast.nn.recurrence` calls it there); here are the reference and the CPU engine.
"""

from __future__ import annotations

from torch import Tensor

from seq2seq_fast import reference
from seq2seq_fast.ops.attention_decoder import GATES, State, split_state
from seq2seq_fast.ops.autograd import autocast_to, cast, no_autocast
from seq2seq_fast.ops.backends import choose_backend, raw
from seq2seq_fast.ops.checks import check_alike, check_constant, check_lengths, check_tensor
from seq2seq_fast.ops.derivatives import declare_derivative
from seq2seq_fast.ops.gru_cell import check_states

BACKENDS = ("reference", "cpu")


def recurrent_sequence(
    inputs: Tensor,
    state: State,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    *,
    lengths: Tensor | None = None,
    state_mask: Tensor | None = None,
    reverse: bool = False,
    cell: str = "gru",
    reset_after: bool = True,
    backend: str | None = None,
) -> tuple[Tensor, State]:
    """``s_t = cell(x_t, state_mask * s_{t-1})`` for every position of every sequence.

    Args:
        inputs: [B, T, E]. What lies behind a sequence's length changes nothing, NaN included.
        state: [B, H], s_0; for an LSTM the pair (hidden, cell).
        weight_ih: [G H, E]. weight_hh: [G H, H]. bias_ih, bias_hh: [G H] or None; G and the order of gates as in
            :func:`seq2seq_fast.attention_decoder`.
        lengths: [B] integers from 0 to T. state_mask: [B, H], a constant that multiplies the recurrent state (an LSTM's
            cell is not masked).
        reverse: from each sequence's last position to its first.
        cell: "rnn", "gru" or "lstm". reset_after: the form of the GRU, see :func:`seq2seq_fast.gru_cell`.
        backend: "reference" or "cpu"; by default chosen from the device.

    Returns:
        States [B, T, H], zero in padding, and the state after each sequence's last step, as ``state`` is.

    Raises:
        TypeError, ValueError: an argument's type, dtype, device or shape is wrong, or the backend (Triton's and CUDA's
            among them) cannot serve it.
    """
    check_tensor("inputs", inputs, "[B, T, E]", None, None, None)
    batch, positions, features = inputs.shape
    hidden, cell_state = split_state(state, cell)
    check_tensor("state", hidden, "[B, H]", batch, None)
    size, rows = hidden.shape[1], GATES[cell] * hidden.shape[1]
    states = {"state": hidden}
    for name, extra in (("state's cell", cell_state), ("state_mask", state_mask)):
        if extra is not None:
            check_tensor(name, extra, "[B, H]", batch, size)
            states[name] = extra
    if state_mask is not None:
        check_constant("state_mask", state_mask)
    check_tensor("weight_ih", weight_ih, "[G H, E]", rows, features)
    check_tensor("weight_hh", weight_hh, "[G H, H]", rows, size)
    for name, bias in (("bias_ih", bias_ih), ("bias_hh", bias_hh)):
        if bias is not None:
            check_tensor(name, bias, "[G H]", rows)
    if lengths is not None:
        lengths = check_lengths(lengths, batch, positions, inputs.device)
    inputs, weight_ih, weight_hh, bias_ih, bias_hh = cast(
        autocast_to(inputs.device.type), inputs, weight_ih, weight_hh, bias_ih, bias_hh
    )
    check_alike("inputs", inputs, weight_ih=weight_ih, weight_hh=weight_hh, bias_ih=bias_ih, bias_hh=bias_hh)
    check_states("inputs", inputs, states)
    chosen = choose_backend(backend, inputs)
    if chosen not in BACKENDS:
        raise ValueError(f"backend={chosen!r} has no recurrent_sequence: on a GPU torch.gru and torch.lstm serve it")
    arguments = (inputs, hidden, cell_state, weight_ih, weight_hh, bias_ih, bias_hh)
    with no_autocast(inputs.device.type):
        if chosen == "reference":
            outputs, final, final_cell = reference.recurrent_sequence(
                *arguments, lengths=lengths, state_mask=state_mask, reverse=reverse, cell=cell, reset_after=reset_after
            )
        else:
            outputs, final, final_cell, *_ = raw(chosen).recurrent_sequence_forward(
                *arguments, lengths, state_mask, reverse, cell, reset_after
            )
    return outputs, (final, final_cell) if cell == "lstm" else final


declare_derivative(
    "recurrent_sequence_forward",
    reference.recurrent_sequence,
    ("states", "final_state", "final_cell"),
    *("inputs", "state", "cell_state", "weight_ih", "weight_hh", "bias_ih", "bias_hh"),
)
