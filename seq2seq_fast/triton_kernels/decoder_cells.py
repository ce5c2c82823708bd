"""Gate arithmetic of a decoder step: the sums of the step's products and the cell, in one kernel.

A gate's pre-activation is the input's product (made for all positions at once), the context's and the state's. The
context's may still lie in the tiles of the attention kernel: then they are combined here.
"""

from __future__ import annotations

from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from seq2seq_fast.triton_kernels.arithmetic import inverse_or_zero, sigmoid, tanh
from seq2seq_fast.triton_kernels.combine import Tiles, combined_context, combined_softmax
from seq2seq_fast.triton_kernels.gru_cell import blocks_of, gru_output, load, row_and_units, save
from seq2seq_fast.triton_kernels.kernel import Laid, Launch, at_row, in_eights, kernel


@triton.jit
def _softmax_of_row(maxima, sums, logsumexp, row, tiles, blocks, BLOCK_S: tl.constexpr):
    """What scales the contexts of a row's tiles: the maximum to subtract and the inverse sum."""
    shift, inverse = 0.0, 1.0
    if maxima is not None:
        shift, total = combined_softmax(maxima, sums, row, tiles, BLOCK_S)
        inverse = inverse_or_zero(total)
        if logsumexp is not None:
            tl.store(logsumexp + row, shift + tl.log(total), mask=tl.program_id(0) % blocks == 0)
    return shift, inverse


@triton.jit
def _from_input(
    gates_input, context, maxima, bias, row, unit, H, tiles, shift, inverse, GATE: tl.constexpr, GATES: tl.constexpr
):
    """A gate's sum over input and context, with its bias."""
    summed = load(gates_input + GATE * H, unit, H)
    if maxima is not None:
        column = GATE * H + unit
        summed += combined_context(context, maxima, row, column, unit < H, tiles, shift, inverse, GATES * H)
    else:
        summed += load(context + (row * GATES + GATE) * H, unit, H)
    if bias is not None:
        summed += load(bias + GATE * H, unit, H)
    return summed


@triton.jit
def _from_state(recurrent, bias, unit, H, GATE: tl.constexpr):
    """A gate's sum over the state, with its bias."""
    summed = load(recurrent + GATE * H, unit, H)
    if bias is not None:
        summed += load(bias + GATE * H, unit, H)
    return summed


@triton.jit
def _save_state(states, carried, operand, state_mask, row, unit, H, state):
    """The new state as it is given out, and masked as the next step reads it."""
    save(states + row * H, unit, H, state)
    if carried is not None:
        if state_mask is not None:
            state *= load(state_mask + row * H, unit, H)
        save(carried + row * H, unit, H, state)
        if operand is not None:
            save(operand + row * H, unit, H, state)


@kernel(rows="input_stride recurrent_stride H", counts="tiles blocks", single="maxima sums logsumexp")
def _cell_kernel(
    gates_input, input_stride, recurrent, recurrent_stride, context, maxima, sums, bias_ih, bias_hh,
    previous, cell, states, carried, operand, state_mask, new_cell, activations, logsumexp,
    H, tiles, blocks, WIDE: tl.constexpr, BLOCK: tl.constexpr, BLOCK_S: tl.constexpr, CELL: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    gates_input += at_row(row, input_stride, WIDE)
    recurrent += at_row(row, recurrent_stride, WIDE)
    shift, inverse = _softmax_of_row(maxima, sums, logsumexp, row, tiles, blocks, BLOCK_S)
    if CELL == "lstm":
        i = sigmoid(
            _from_input(gates_input, context, maxima, bias_ih, row, unit, H, tiles, shift, inverse, 0, 4)
            + _from_state(recurrent, bias_hh, unit, H, 0)
        )
        f = sigmoid(
            _from_input(gates_input, context, maxima, bias_ih, row, unit, H, tiles, shift, inverse, 1, 4)
            + _from_state(recurrent, bias_hh, unit, H, 1)
        )
        g = tanh(
            _from_input(gates_input, context, maxima, bias_ih, row, unit, H, tiles, shift, inverse, 2, 4)
            + _from_state(recurrent, bias_hh, unit, H, 2)
        )
        o = sigmoid(
            _from_input(gates_input, context, maxima, bias_ih, row, unit, H, tiles, shift, inverse, 3, 4)
            + _from_state(recurrent, bias_hh, unit, H, 3)
        )
        kept = f * load(cell + row * H, unit, H) + i * g
        save(new_cell + row * H, unit, H, kept)
        state = o * tanh(kept)
        if activations is not None:
            activations += row * 4 * H
            save(activations, unit, H, i)
            save(activations + H, unit, H, f)
            save(activations + 2 * H, unit, H, g)
            save(activations + 3 * H, unit, H, o)
    elif CELL == "gru":
        r = sigmoid(
            _from_input(gates_input, context, maxima, bias_ih, row, unit, H, tiles, shift, inverse, 0, 3)
            + _from_state(recurrent, bias_hh, unit, H, 0)
        )
        z = sigmoid(
            _from_input(gates_input, context, maxima, bias_ih, row, unit, H, tiles, shift, inverse, 1, 3)
            + _from_state(recurrent, bias_hh, unit, H, 1)
        )
        hidden_n = _from_state(recurrent, bias_hh, unit, H, 2)
        input_n = _from_input(gates_input, context, maxima, bias_ih, row, unit, H, tiles, shift, inverse, 2, 3)
        n = tanh(input_n + r * hidden_n)
        state = gru_output(n, z, load(previous + row * H, unit, H))
        if activations is not None:
            activations += row * 4 * H
            save(activations, unit, H, r)
            save(activations + H, unit, H, z)
            save(activations + 2 * H, unit, H, n)
            save(activations + 3 * H, unit, H, hidden_n)
    else:
        state = tanh(
            _from_input(gates_input, context, maxima, bias_ih, row, unit, H, tiles, shift, inverse, 0, 1)
            + _from_state(recurrent, bias_hh, unit, H, 0)
        )
        if activations is not None:
            save(activations + row * H, unit, H, state)
    _save_state(states, carried, operand, state_mask, row, unit, H, state)


@kernel(rows="input_stride recurrent_stride H", counts="tiles blocks", single="maxima sums logsumexp")
def _reset_kernel(
    gates_input, input_stride, recurrent, recurrent_stride, context, maxima, sums, bias_ih, bias_hh,
    previous, reset_state, activations, logsumexp,
    H, tiles, blocks, WIDE: tl.constexpr, BLOCK: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    """Reset before the product, first half: r and z, r times the state, and the candidate's sum over input and context
    (left where its activation will be).
    """
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    gates_input += at_row(row, input_stride, WIDE)
    recurrent += at_row(row, recurrent_stride, WIDE)
    shift, inverse = _softmax_of_row(maxima, sums, logsumexp, row, tiles, blocks, BLOCK_S)
    r = sigmoid(
        _from_input(gates_input, context, maxima, bias_ih, row, unit, H, tiles, shift, inverse, 0, 3)
        + _from_state(recurrent, bias_hh, unit, H, 0)
    )
    z = sigmoid(
        _from_input(gates_input, context, maxima, bias_ih, row, unit, H, tiles, shift, inverse, 1, 3)
        + _from_state(recurrent, bias_hh, unit, H, 1)
    )
    candidate = _from_input(gates_input, context, maxima, bias_ih, row, unit, H, tiles, shift, inverse, 2, 3)
    save(reset_state + row * H, unit, H, r * load(previous + row * H, unit, H))
    activations += row * 3 * H
    save(activations, unit, H, r)
    save(activations + H, unit, H, z)
    save(activations + 2 * H, unit, H, candidate)


@kernel(rows="H", counts="blocks")
def _update_kernel(
    candidate_state, bias_hh, previous, states, carried, operand, state_mask, activations, H, blocks,
    WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Reset before the product, second half; ``activations`` hold z and the candidate's sum, and get n."""
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    activations += row * 3 * H
    summed = load(activations + 2 * H, unit, H) + load(candidate_state + row * H, unit, H)
    if bias_hh is not None:
        summed += load(bias_hh + 2 * H, unit, H)
    n = tanh(summed)
    save(activations + 2 * H, unit, H, n)
    state = gru_output(n, load(activations + H, unit, H), load(previous + row * H, unit, H))
    _save_state(states, carried, operand, state_mask, row, unit, H, state)


class Recurrence(NamedTuple):
    """What a step reads and leaves of the recurrence.

    Attributes:
        previous: [rows, H] the masked state that the step starts from, float32.
        carried: the same for the next step, None if there is none; may be ``previous`` itself.
        operand: ``carried`` in the dtype of the matrix products, None where that is float32.
        state_mask: [rows, H] or None.
    """

    previous: Tensor
    carried: Tensor | None
    operand: Tensor | None
    state_mask: Tensor | None


class Gates(NamedTuple):
    """A step's products: [rows, G H] of the input (rows may be far apart) and of the context, or the tiles that hold
    it; [rows, G H + A] of the state.
    """

    gates_input: Laid
    recurrent: Laid
    context: Tensor | None
    tiles: Tiles | None
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def arguments(self) -> tuple:
        context, maxima, sums = self.context, None, None
        if self.tiles is not None:
            _, context, maxima, sums = self.tiles
            context = self.tiles.context if context is None else context
        products = (self.gates_input, self.gates_input.stride(0), self.recurrent, self.recurrent.stride(0))
        return *products, context, maxima, sums, self.bias_ih, self.bias_hh

    @property
    def tile_count(self) -> int:
        return 1 if self.tiles is None else self.tiles.maxima.shape[1]


def cell_step(
    gates: Gates,
    recurrence: Recurrence,
    states: Laid,
    *,
    cell: str,
    cell_state: Laid | None = None,
    new_cell: Laid | None = None,
    activations: Laid | None = None,
    logsumexp: Laid | None = None,
) -> Launch:
    """Steps of "rnn", "gru" (reset after the product) or "lstm": new states [rows, H] and what backward needs."""
    rows, size = states.shape
    previous, carried, operand, state_mask = recurrence
    programs, blocks, parameters = blocks_of(rows, size)
    return _cell_kernel.launch(
        programs, *gates.arguments(), previous, cell_state, states, carried, operand, state_mask, new_cell,
        activations, logsumexp, size, gates.tile_count, blocks, BLOCK_S=32, CELL=cell, **parameters,
    )  # fmt: skip


def reset_step(
    gates: Gates, recurrence: Recurrence, reset_state: Tensor, activations: Laid, logsumexp: Laid | None = None
) -> Launch:
    """First halves of steps with reset before the product: ``reset_state`` [rows, H], ``activations`` [rows, 3H]."""
    rows, size = reset_state.shape
    programs, blocks, parameters = blocks_of(rows, size)
    return _reset_kernel.launch(
        programs, *gates.arguments(), recurrence.previous, reset_state, activations, logsumexp, size,
        gates.tile_count, blocks, BLOCK_S=32, **parameters,
    )  # fmt: skip


def update_step(
    candidate_state: Tensor, bias_hh: Tensor | None, recurrence: Recurrence, states: Laid, activations: Laid
) -> Launch:
    """Second halves; ``candidate_state`` [rows, H] is U (r h)."""
    rows, size = states.shape
    previous, carried, operand, state_mask = recurrence
    programs, blocks, parameters = blocks_of(rows, size)
    return _update_kernel.launch(
        programs, candidate_state, bias_hh, previous, states, carried, operand, state_mask, activations, size, blocks,
        **parameters,
    )  # fmt: skip
