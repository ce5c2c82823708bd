"""A recurrence without attention over the sequences of a batch: the encoder's, and a stacked decoder's upper layers'.

On a GPU this is cuDNN's (:mod:`seq2seq_fast.nn.recurrence` calls it there); here are the reference and the CPU engine.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq_fast import reference
from seq2seq_fast.ops.attention_decoder import GATES, State, split_state
from seq2seq_fast.ops.autograd import asked, autocast_to, cast, differentiate_again, needs_grad, no_autocast
from seq2seq_fast.ops.backends import choose_backend, raw
from seq2seq_fast.ops.checks import check_alike, check_constant, check_lengths, check_tensor
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
    differentiable = (inputs, hidden, cell_state, weight_ih, weight_hh, bias_ih, bias_hh)
    constants = (lengths, state_mask, reverse, cell, reset_after)
    with no_autocast(inputs.device.type):
        if chosen == "reference":
            found = _formula(constants)(*differentiable)
        elif needs_grad(*differentiable):
            found = _RecurrentSequence.apply(chosen, constants, *differentiable)
        else:
            found = raw(chosen).recurrent_sequence_forward(*differentiable, *constants)
    outputs, final, final_cell = found[:3]
    return outputs, (final, final_cell) if cell == "lstm" else final


def _formula(constants):
    names = ("lengths", "state_mask", "reverse", "cell", "reset_after")
    options = dict(zip(names, constants, strict=True))
    return lambda *differentiable: reference.recurrent_sequence(*differentiable, **options)


class _RecurrentSequence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, backend, constants, *differentiable):
        *outputs, packed, cells, activations = raw(backend).recurrent_sequence_forward(*differentiable, *constants)
        lengths, state_mask, *ctx.options = constants
        ctx.backend = backend
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(lengths, state_mask, packed, cells, activations, *differentiable)
        return tuple(outputs)

    @staticmethod
    def backward(ctx, *grads):
        lengths, state_mask, packed, cells, activations, *inputs = ctx.saved_tensors
        constants = (lengths, state_mask, *ctx.options)
        if ctx.options[1] != "lstm":
            grads = (*grads[:2], None)
        if all(grad is None for grad in grads):
            return (None,) * 9
        needs = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled():
            return None, None, *differentiate_again(_formula(constants), inputs, needs, grads)
        needs = tuple(need and t is not None for need, t in zip(needs, inputs, strict=True))
        with no_autocast(inputs[0].device.type):
            found = raw(ctx.backend).recurrent_sequence_backward(
                *grads, *inputs, *constants, packed, cells, activations, needs
            )
        return None, None, *asked(found, needs)
