"""A cell run over whole sequences: every plain recurrence of the encoder and the decoder comes through here."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seq2seq_fast.nn.cells import GRUCell, LSTMCell, RecurrentCell, RNNCell, hidden_of, map_state
from seq2seq_fast.nn.masks import zero_where_masked
from seq2seq_fast.nn.modules import is_plain
from seq2seq_fast.ops.autograd import autocast_to, cast, no_autocast
from seq2seq_fast.ops.backends import choose_backend
from seq2seq_fast.ops.positions import inside_lengths
from seq2seq_fast.ops.recurrent_sequence import recurrent_sequence

# Its sigmoid is exactly 1 and its negative's exactly 0 in every dtype, whatever sane number is added to it.
SATURATING = 1e4


def run_recurrence(
    cell: nn.Module,
    inputs: Tensor,
    state: Any = None,
    *,
    lengths: Tensor | None = None,
    reverse: bool = False,
    state_mask: Tensor | None = None,
) -> tuple[Tensor, Any]:
    """Run a cell over sequences.

    A cell of this package runs over whole sequences in one call. Any other module with a cell's interface, and a cell
    with hooks, is called position by position.

    Args:
        inputs: [B, T, E], finite in padding too.
        state: [B, H] (LSTM: a pair), zeros by default.
        lengths: [B] int64 on the device of inputs: what lies behind them changes nothing. On a GPU
            the host never reads them.
        reverse: from each sequence's last position to its first.
        state_mask: [B, H], multiplies the hidden state that enters each step (variational dropout).

    Returns:
        Hidden states [B, T, H], zero in padding, and the state after each sequence's last step.
    """
    if state is None:
        state = cell.zero_state(inputs)
    plain = is_plain(cell, RNNCell, GRUCell, LSTMCell)
    if plain and choose_backend(cell.backend, inputs) == "cpu":
        return recurrent_sequence(
            inputs, state, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh, lengths=lengths,
            state_mask=state_mask, reverse=reverse, cell=cell.kind, reset_after=cell.reset_after, backend="cpu",
        )  # fmt: skip
    if inputs.shape[1] == 0:
        return hidden_of(state).unsqueeze(1)[:, :0], state
    if reverse:
        inputs = reverse_sequences(inputs, lengths)
    if plain and state_mask is None and cell.reset_after:
        outputs, final = _run_library(cell, inputs, state, lengths)
    else:
        outputs, final = _run_steps(cell, inputs, state, lengths, state_mask)
    if lengths is not None:
        outputs = zero_where_masked(outputs, inside_lengths(outputs, lengths))
    return (reverse_sequences(outputs, lengths) if reverse else outputs), final


def reverse_sequences(sequences: Tensor, lengths: Tensor | None) -> Tensor:
    """[B, T, E] with each sequence's first ``lengths`` positions in reverse order; padding stays where it is."""
    if lengths is None:
        return sequences.flip(1)
    position = torch.arange(sequences.shape[1], device=sequences.device)
    mirrored = lengths.unsqueeze(1) - 1 - position
    index = torch.where(mirrored >= 0, mirrored, position)
    return sequences.gather(1, index.unsqueeze(2).expand_as(sequences))


def _last(states: Tensor, initial: Tensor, lengths: Tensor | None) -> Tensor:
    """states [B, T, H] at each sequence's last position; the initial state [B, H] of an empty one."""
    if lengths is None:
        return states[:, -1]
    index = (lengths - 1).clamp(min=0).reshape(-1, 1, 1).expand(-1, 1, states.shape[2])
    return torch.where((lengths > 0).unsqueeze(1), states.gather(1, index).squeeze(1), initial)


def _run_library(cell: RecurrentCell, inputs: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
    """PyTorch's own sequence operators over the padded batch: cuDNN on a GPU, and the reference on a CPU.

    Autocast is off around them, and its dtype given by hand: on a GPU it would cast to float16, whatever its dtype, and
    a CPU has no kernels for its mixed dtypes, so that there they run in the weights' dtype.
    """
    weight_ih, weight_hh = cell.weight_ih, cell.weight_hh
    bias_ih, bias_hh = cell.bias_ih, cell.bias_hh
    if bias_ih is None or bias_hh is None:
        bias_ih, bias_hh = torch.zeros_like(weight_ih[:, 0]), torch.zeros_like(weight_ih[:, 0])
    if cell.kind == "lstm" and lengths is not None:
        # The library gives an LSTM's cell state after the last position only. So padding holds it there: one more input
        # column, 1 in padding, drives the input gate to exactly 0 and the forget gate to exactly 1.
        padding = (~inside_lengths(inputs, lengths)).unsqueeze(2)
        inputs = torch.cat([inputs, padding.to(inputs.dtype)], dim=2)
        weight_ih = torch.cat([weight_ih, _holding_column(cell)], dim=1)
    weights: tuple[Tensor, ...] = (weight_ih, weight_hh, bias_ih, bias_hh)
    operator = {"rnn": torch.rnn_tanh, "gru": torch.gru, "lstm": torch.lstm}[cell.kind]
    device = inputs.device.type
    if runs_on_cudnn(device):
        inputs, *weights = cast(autocast_to(device), inputs, *weights)  # type: ignore[assignment]
        weights = in_one_piece(*weights)
    else:
        inputs = inputs.to(weight_hh.dtype)
    with no_autocast(device):
        hx = map_state(lambda part: part.to(inputs.dtype).unsqueeze(0), state)
        outputs, *final = operator(inputs, hx, weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
    hidden = _last(outputs, hidden_of(state).to(outputs.dtype), lengths)
    return outputs, (hidden, final[1].squeeze(0)) if cell.kind == "lstm" else hidden


def runs_on_cudnn(device_type: str) -> bool:
    """Whether the library's operators are cuDNN's on this kind of device."""
    return device_type != "cpu"


def in_one_piece(*weights: Tensor) -> tuple[Tensor, ...]:
    """The same weights as parts of one buffer, one behind another, which is how cuDNN reads a layer of one direction.

    Given apart it would put them together itself in one copy each, and warn at every call. The parameters themselves
    stay apart, so that they can be replaced, shared and cast one by one.
    """
    flat = torch.cat([weight.reshape(-1) for weight in weights])
    parts = flat.split([weight.numel() for weight in weights])
    return tuple(part.view(weight.shape) for part, weight in zip(parts, weights, strict=True))


def _holding_column(cell: RecurrentCell) -> Tensor:
    column = cell.weight_ih.new_zeros(4 * cell.hidden_size, 1)
    column[: cell.hidden_size] = -SATURATING
    column[cell.hidden_size : 2 * cell.hidden_size] = SATURATING
    return column


def _run_steps(
    cell: nn.Module, inputs: Tensor, state: Any, lengths: Tensor | None, state_mask: Tensor | None
) -> tuple[Tensor, Any]:
    """Step by step, for what the library's operators do not do and for cells that have to be called."""
    states = []
    initial = state
    for input in inputs.unbind(1):
        state = cell(input, mask_hidden(state, state_mask))
        states.append(state)
    hidden = torch.stack([hidden_of(step) for step in states], dim=1)
    last = _last(hidden, hidden_of(initial), lengths)
    if not isinstance(initial, tuple):
        return hidden, last
    cells = torch.stack([step[1] for step in states], dim=1)
    return hidden, (last, _last(cells, initial[1], lengths))


def mask_hidden(state: Any, state_mask: Tensor | None) -> Any:
    """The state with its hidden part (not an LSTM's cell) times the mask."""
    if state_mask is None:
        return state
    return (state[0] * state_mask, state[1]) if isinstance(state, tuple) else state * state_mask
