"""Gradients of gate arithmetic in a decoder step: what the next product and the step before need."""

from __future__ import annotations

from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from seq2seq_fast.triton_kernels.gru_cell import blocks_of, gru_output_backward, load, row_and_units, save
from seq2seq_fast.triton_kernels.kernel import Laid, Launch, at_row, in_eights, kernel
from seq2seq_fast.triton_kernels.lstm_cell import lstm_backward


@triton.jit
def _state_gradient(grad_states, from_products, direct, state_mask, row, unit, H):
    """Gradient of a step's new state: from the loss, and through the next step's products and interpolation."""
    grad = load(from_products + row * H, unit, H) + load(direct + row * H, unit, H)
    if state_mask is not None:
        grad *= load(state_mask + row * H, unit, H)
    if grad_states is not None:
        grad += load(grad_states + row * H, unit, H)
    return grad


@triton.jit
def _previous_state(previous, state_mask, row, unit, H):
    state = load(previous + row * H, unit, H)
    if state_mask is not None:
        state *= load(state_mask + row * H, unit, H)
    return state


@triton.jit
def _save_gate(grad_input, grad_state, unit, H, input_slope, state_slope, GATE: tl.constexpr):
    save(grad_input + GATE * H, unit, H, input_slope)
    save(grad_state + GATE * H, unit, H, state_slope)


@kernel(rows="grad_state_stride H", counts="blocks")
def _cell_backward_kernel(
    grad_states, from_products, direct, state_mask, grad_cell, activations, previous, cell, new_cell,
    grad_input, grad_state, grad_state_stride, H, blocks, WIDE: tl.constexpr, BLOCK: tl.constexpr, CELL: tl.constexpr,
):  # fmt: skip
    """``grad_input`` [B, G H] and ``grad_state`` [B, G H] (rows may be far apart) are the gradients of a step's
    products; ``direct`` is replaced by what reaches the previous state past them.
    """
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    grad = _state_gradient(grad_states, from_products, direct, state_mask, row, unit, H)
    grad_state += at_row(row, grad_state_stride, WIDE)
    if CELL == "gru":
        activations += row * 4 * H
        grad_input += row * 3 * H
        r, z = load(activations, unit, H), load(activations + H, unit, H)
        n, hidden_n = load(activations + 2 * H, unit, H), load(activations + 3 * H, unit, H)
        grad_n, grad_z, past = gru_output_backward(grad, n, z, _previous_state(previous, state_mask, row, unit, H))
        grad_r = grad_n * hidden_n * r * (1.0 - r)
        _save_gate(grad_input, grad_state, unit, H, grad_r, grad_r, 0)
        _save_gate(grad_input, grad_state, unit, H, grad_z, grad_z, 1)
        _save_gate(grad_input, grad_state, unit, H, grad_n, grad_n * r, 2)
        save(direct + row * H, unit, H, past)
    elif CELL == "lstm":
        activations += row * 4 * H
        grad_input += row * 4 * H
        grad_i, grad_f, grad_g, grad_o, grad_c = lstm_backward(
            grad, load(grad_cell + row * H, unit, H),
            load(activations, unit, H), load(activations + H, unit, H),
            load(activations + 2 * H, unit, H), load(activations + 3 * H, unit, H),
            load(cell + row * H, unit, H), load(new_cell + row * H, unit, H),
        )  # fmt: skip
        _save_gate(grad_input, grad_state, unit, H, grad_i, grad_i, 0)
        _save_gate(grad_input, grad_state, unit, H, grad_f, grad_f, 1)
        _save_gate(grad_input, grad_state, unit, H, grad_g, grad_g, 2)
        _save_gate(grad_input, grad_state, unit, H, grad_o, grad_o, 3)
        save(grad_cell + row * H, unit, H, grad_c)
    else:
        state = load(activations + row * H, unit, H)
        slope = grad * (1.0 - state * state)
        _save_gate(grad_input + row * H, grad_state, unit, H, slope, slope, 0)


@kernel(rows="grad_state_stride H", counts="blocks")
def _update_backward_kernel(
    grad_states, from_products, direct, state_mask, activations, previous, grad_input, grad_state, grad_state_stride,
    H, blocks, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Reset before the product, second half: the gradients of n and z; ``direct`` as above."""
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    grad = _state_gradient(grad_states, from_products, direct, state_mask, row, unit, H)
    activations += row * 3 * H
    z, n = load(activations + H, unit, H), load(activations + 2 * H, unit, H)
    grad_n, grad_z, past = gru_output_backward(grad, n, z, _previous_state(previous, state_mask, row, unit, H))
    save(grad_input + row * 3 * H + 2 * H, unit, H, grad_n)
    grad_state += at_row(row, grad_state_stride, WIDE)
    _save_gate(grad_input + row * 3 * H, grad_state, unit, H, grad_z, grad_z, 1)
    save(direct + row * H, unit, H, past)


@kernel(rows="grad_state_stride H", counts="blocks")
def _reset_backward_kernel(
    grad_reset, direct, state_mask, activations, previous, grad_input, grad_state, grad_state_stride, reset_state,
    H, blocks, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """First half: the gradient of r and what reaches the state through r h, which is left in ``reset_state``."""
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    grad = load(grad_reset + row * H, unit, H)
    r = load(activations + row * 3 * H, unit, H)
    state = _previous_state(previous, state_mask, row, unit, H)
    grad_r = grad * state * r * (1.0 - r)
    grad_state += at_row(row, grad_state_stride, WIDE)
    _save_gate(grad_input + row * 3 * H, grad_state, unit, H, grad_r, grad_r, 0)
    save(direct + row * H, unit, H, load(direct + row * H, unit, H) + grad * r)
    save(reset_state + row * H, unit, H, r * state)


class StateGradient(NamedTuple):
    """Gradient of a step's new state: of the loss [B, H] or None, and what the next step left, float32 [B, H] each."""

    grad_states: Laid | None
    from_products: Tensor
    direct: Tensor
    state_mask: Tensor | None


def cell_step_backward(
    gradient: StateGradient,
    activations: Laid,
    previous: Laid,
    cells: tuple[Tensor, Laid, Laid] | None,
    grad_input: Laid,
    grad_state: Laid,
    cell: str,
) -> Launch:
    """``cells``: gradient of the new cell (replaced by the old one's), old cell, new cell; for an LSTM alone."""
    rows, size = previous.shape
    programs, blocks, parameters = blocks_of(rows, size)
    grad_cell, old, new = (None, None, None) if cells is None else cells
    return _cell_backward_kernel.launch(
        programs, *gradient, grad_cell, activations, previous, old, new, grad_input, grad_state,
        grad_state.stride(0), size, blocks, CELL=cell, **parameters,
    )  # fmt: skip


def update_step_backward(
    gradient: StateGradient, activations: Laid, previous: Laid, grad_input: Laid, grad_state: Laid
) -> Launch:
    rows, size = previous.shape
    programs, blocks, parameters = blocks_of(rows, size)
    return _update_backward_kernel.launch(
        programs, *gradient, activations, previous, grad_input, grad_state, grad_state.stride(0), size, blocks,
        **parameters,
    )  # fmt: skip


def reset_step_backward(
    grad_reset: Tensor,
    gradient: StateGradient,
    activations: Laid,
    previous: Laid,
    grad_input: Laid,
    grad_state: Laid,
    reset_state: Laid,
) -> Launch:
    rows, size = previous.shape
    programs, blocks, parameters = blocks_of(rows, size)
    return _reset_backward_kernel.launch(
        programs, grad_reset, gradient.direct, gradient.state_mask, activations, previous, grad_input, grad_state,
        grad_state.stride(0), reset_state, size, blocks, **parameters,
    )  # fmt: skip
