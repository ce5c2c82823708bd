"""The raw operators of long short-term memory: gate arithmetic after the matrix products."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from seq2seq_fast.triton_kernels.arithmetic import sigmoid, tanh
from seq2seq_fast.triton_kernels.gru_cell import blocks_of, load, row_and_units, rows, save
from seq2seq_fast.triton_kernels.kernel import at_row, in_eights, kernel


@triton.jit
def lstm_backward(grad_hidden, grad_cell, i, f, g, o, cell, new_cell):
    """Gradients of the four gates before their functions, and of the cell."""
    squashed = tanh(new_cell)
    grad_new_cell = grad_cell + grad_hidden * o * (1.0 - squashed * squashed)
    return (
        grad_new_cell * g * i * (1.0 - i),
        grad_new_cell * cell * f * (1.0 - f),
        grad_new_cell * i * (1.0 - g * g),
        grad_hidden * squashed * o * (1.0 - o),
        grad_new_cell * f,
    )


@kernel(rows="input_stride gates_stride cell_stride H", counts="blocks")
def _gates_kernel(
    gates_input, input_stride, gates_hidden, gates_stride, cell, cell_stride, new_hidden, new_cell, activations,
    H, blocks, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    gates_input += at_row(row, input_stride, WIDE)
    gates_hidden += at_row(row, gates_stride, WIDE)
    i = sigmoid(load(gates_input, unit, H) + load(gates_hidden, unit, H))
    f = sigmoid(load(gates_input + H, unit, H) + load(gates_hidden + H, unit, H))
    g = tanh(load(gates_input + 2 * H, unit, H) + load(gates_hidden + 2 * H, unit, H))
    o = sigmoid(load(gates_input + 3 * H, unit, H) + load(gates_hidden + 3 * H, unit, H))
    kept = f * load(cell + at_row(row, cell_stride, WIDE), unit, H) + i * g
    save(new_cell + row * H, unit, H, kept)
    save(new_hidden + row * H, unit, H, o * tanh(kept))
    activations += row * 4 * H
    save(activations, unit, H, i)
    save(activations + H, unit, H, f)
    save(activations + 2 * H, unit, H, g)
    save(activations + 3 * H, unit, H, o)


@kernel(rows="grad_hidden_stride grad_cell_stride cell_stride new_cell_stride H", counts="blocks")
def _gates_backward_kernel(
    grad_hidden, grad_hidden_stride, grad_new_cell, grad_cell_stride, cell, cell_stride, new_cell, new_cell_stride,
    activations, grad_gates, grad_cell, H, blocks, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    from_hidden = tl.zeros((BLOCK,), tl.float32)
    from_cell = tl.zeros((BLOCK,), tl.float32)
    if grad_hidden is not None:
        from_hidden = load(grad_hidden + at_row(row, grad_hidden_stride, WIDE), unit, H)
    if grad_new_cell is not None:
        from_cell = load(grad_new_cell + at_row(row, grad_cell_stride, WIDE), unit, H)
    activations += row * 4 * H
    grad_i, grad_f, grad_g, grad_o, grad_c = lstm_backward(
        from_hidden, from_cell,
        load(activations, unit, H), load(activations + H, unit, H),
        load(activations + 2 * H, unit, H), load(activations + 3 * H, unit, H),
        load(cell + at_row(row, cell_stride, WIDE), unit, H),
        load(new_cell + at_row(row, new_cell_stride, WIDE), unit, H),
    )  # fmt: skip
    grad_gates += row * 4 * H
    save(grad_gates, unit, H, grad_i)
    save(grad_gates + H, unit, H, grad_f)
    save(grad_gates + 2 * H, unit, H, grad_g)
    save(grad_gates + 3 * H, unit, H, grad_o)
    save(grad_cell + row * H, unit, H, grad_c)


def lstm_gates_forward(gates_input: Tensor, gates_hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    batch, size = cell.shape
    new_hidden, new_cell = gates_input.new_empty(batch, size), cell.new_empty(batch, size)
    activations = cell.new_empty(batch, 4 * size, dtype=torch.float32)
    programs, blocks, parameters = blocks_of(batch, size)
    _gates_kernel.start(
        programs, *rows(gates_input, gates_hidden, cell), new_hidden, new_cell, activations, size, blocks,
        **parameters,
    )  # fmt: skip
    return new_hidden, new_cell, activations


def lstm_gates_backward(
    grad_new_hidden: Tensor | None, grad_new_cell: Tensor | None, cell: Tensor, new_cell: Tensor, activations: Tensor
) -> tuple[Tensor, Tensor]:
    batch, size = cell.shape
    grad_gates, result = cell.new_empty(batch, 4 * size), cell.new_empty(batch, size)
    grads = [
        entry for grad in (grad_new_hidden, grad_new_cell) for entry in ((None, 0) if grad is None else rows(grad))
    ]
    programs, blocks, parameters = blocks_of(batch, size)
    _gates_backward_kernel.start(
        programs, *grads, *rows(cell, new_cell), activations, grad_gates, result, size, blocks, **parameters
    )
    return grad_gates, result
