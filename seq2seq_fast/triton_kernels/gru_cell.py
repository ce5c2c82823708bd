"""The raw operators of the gated recurrent unit: gate arithmetic between and after the matrix products.

Every kernel takes a block of one row's hidden units, and reads and writes each number once.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.library import wrap_triton

from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.arithmetic import sigmoid, tanh


@triton.jit
def load(row, unit, H):
    return tl.load(row + unit, mask=unit < H, other=0.0).to(tl.float32)


@triton.jit
def save(row, unit, H, x):
    tl.store(row + unit, x.to(row.dtype.element_ty), mask=unit < H)


@triton.jit
def row_and_units(blocks, BLOCK: tl.constexpr):
    """The row and the hidden units of this program."""
    program = tl.program_id(0).to(tl.int64)
    return program // blocks, (program % blocks) * BLOCK + tl.arange(0, BLOCK)


@triton.jit
def gru_output(n, z, hidden):
    return n + z * (hidden - n)


@triton.jit
def gru_output_backward(grad, n, z, hidden):
    """Gradients of the candidate before its tanh, of the update gate before its sigmoid, and of hidden."""
    return grad * (1.0 - z) * (1.0 - n * n), grad * (hidden - n) * z * (1.0 - z), grad * z


@triton.jit
def _gates_kernel(
    gates_input, input_stride, gates_hidden, hidden_gates_stride, hidden, hidden_stride, new_hidden, activations,
    H, blocks, BLOCK: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    gates_input += row * input_stride
    gates_hidden += row * hidden_gates_stride
    r = sigmoid(load(gates_input, unit, H) + load(gates_hidden, unit, H))
    z = sigmoid(load(gates_input + H, unit, H) + load(gates_hidden + H, unit, H))
    n = tanh(load(gates_input + 2 * H, unit, H) + r * load(gates_hidden + 2 * H, unit, H))
    save(new_hidden + row * H, unit, H, gru_output(n, z, load(hidden + row * hidden_stride, unit, H)))
    activations += row * 3 * H
    save(activations, unit, H, r)
    save(activations + H, unit, H, z)
    save(activations + 2 * H, unit, H, n)


@triton.jit
def _gates_backward_kernel(
    grad_new_hidden, grad_stride, gates_hidden, gates_stride, hidden, hidden_stride, activations,
    grad_gates_input, grad_gates_hidden, grad_hidden, H, blocks, BLOCK: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    activations += row * 3 * H
    r, z, n = load(activations, unit, H), load(activations + H, unit, H), load(activations + 2 * H, unit, H)
    grad_n, grad_z, grad_h = gru_output_backward(
        load(grad_new_hidden + row * grad_stride, unit, H), n, z, load(hidden + row * hidden_stride, unit, H)
    )
    grad_r = grad_n * load(gates_hidden + row * gates_stride + 2 * H, unit, H) * r * (1.0 - r)
    grad_gates_input += row * 3 * H
    grad_gates_hidden += row * 3 * H
    save(grad_gates_input, unit, H, grad_r)
    save(grad_gates_hidden, unit, H, grad_r)
    save(grad_gates_input + H, unit, H, grad_z)
    save(grad_gates_hidden + H, unit, H, grad_z)
    save(grad_gates_input + 2 * H, unit, H, grad_n)
    save(grad_gates_hidden + 2 * H, unit, H, grad_n * r)
    save(grad_hidden + row * H, unit, H, grad_h)


@triton.jit
def _reset_kernel(
    gates_input, input_stride, gates_hidden, gates_stride, hidden, hidden_stride, reset_and_z, activations, H, blocks,
    BLOCK: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    gates_input += row * input_stride
    gates_hidden += row * gates_stride
    r = sigmoid(load(gates_input, unit, H) + load(gates_hidden, unit, H))
    z = sigmoid(load(gates_input + H, unit, H) + load(gates_hidden + H, unit, H))
    save(reset_and_z + row * 2 * H, unit, H, r * load(hidden + row * hidden_stride, unit, H))
    save(reset_and_z + row * 2 * H + H, unit, H, z)
    save(activations + row * 2 * H, unit, H, r)
    save(activations + row * 2 * H + H, unit, H, z)


@triton.jit
def _reset_backward_kernel(
    grad, grad_stride, hidden, hidden_stride, activations, grad_gates, grad_hidden, H, blocks, BLOCK: tl.constexpr
):
    row, unit = row_and_units(blocks, BLOCK)
    r = load(activations + row * 2 * H, unit, H)
    z = load(activations + row * 2 * H + H, unit, H)
    grad_reset = load(grad + row * grad_stride, unit, H)
    grad_r = grad_reset * load(hidden + row * hidden_stride, unit, H) * r * (1.0 - r)
    save(grad_gates + row * 2 * H, unit, H, grad_r)
    save(grad_gates + row * 2 * H + H, unit, H, load(grad + row * grad_stride + H, unit, H) * z * (1.0 - z))
    save(grad_hidden + row * H, unit, H, grad_reset * r)


@triton.jit
def _update_kernel(
    candidate_input, input_stride, candidate_hidden, candidate_stride, z, z_stride, hidden, hidden_stride,
    new_hidden, activations, H, blocks, BLOCK: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    summed = load(candidate_input + row * input_stride, unit, H) + load(
        candidate_hidden + row * candidate_stride, unit, H
    )
    n = tanh(summed)
    output = gru_output(n, load(z + row * z_stride, unit, H), load(hidden + row * hidden_stride, unit, H))
    save(new_hidden + row * H, unit, H, output)
    save(activations + row * H, unit, H, n)


@triton.jit
def _update_backward_kernel(
    grad_new_hidden, grad_stride, z, z_stride, hidden, hidden_stride, activations, grad_candidate, grad_z, grad_hidden,
    H, blocks, BLOCK: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    grad = load(grad_new_hidden + row * grad_stride, unit, H)
    update, n = load(z + row * z_stride, unit, H), load(activations + row * H, unit, H)
    save(grad_candidate + row * H, unit, H, grad * (1.0 - update) * (1.0 - n * n))
    save(grad_z + row * H, unit, H, grad * (load(hidden + row * hidden_stride, unit, H) - n))
    save(grad_hidden + row * H, unit, H, grad * update)


def rows(*tensors: Tensor) -> list[Tensor | int]:
    """Each [B, N] tensor and its row stride, copied only where a row's entries are not neighbours."""
    laid = [t if t.stride(1) == 1 else t.contiguous() for t in tensors]
    return [entry for t in laid for entry in (t, t.stride(0))]


def blocks_of(batch: int, hidden_size: int) -> tuple[tuple[int], int, dict[str, int]]:
    """Grid, blocks a row, launch parameters of the kernels of a cell."""
    parameters = launch.cell(hidden_size)
    blocks = launch.ceil_div(hidden_size, parameters["BLOCK"])
    return (batch * blocks,), blocks, parameters


def gru_gates_forward(gates_input: Tensor, gates_hidden: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    batch, size = hidden.shape
    new_hidden = hidden.new_empty(batch, size)
    activations = hidden.new_empty(batch, 3 * size, dtype=torch.float32)
    grid, blocks, parameters = blocks_of(batch, size)
    wrap_triton(_gates_kernel)[grid](
        *rows(gates_input, gates_hidden, hidden), new_hidden, activations, size, blocks,
        **parameters, **launch.fusion(),
    )  # fmt: skip
    return new_hidden, activations


def gru_gates_backward(
    grad_new_hidden: Tensor, gates_hidden: Tensor, hidden: Tensor, activations: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    batch, size = hidden.shape
    grad_input, grad_gates = (gates_hidden.new_empty(batch, 3 * size) for _ in range(2))
    result = hidden.new_empty(batch, size)
    grid, blocks, parameters = blocks_of(batch, size)
    wrap_triton(_gates_backward_kernel)[grid](
        *rows(grad_new_hidden, gates_hidden, hidden), activations, grad_input, grad_gates, result, size, blocks,
        **parameters, **launch.fusion(),
    )  # fmt: skip
    return grad_input, grad_gates, result


def gru_reset_forward(gates_input: Tensor, gates_hidden: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    batch, size = hidden.shape
    reset_and_z = hidden.new_empty(batch, 2 * size)
    activations = hidden.new_empty(batch, 2 * size, dtype=torch.float32)
    grid, blocks, parameters = blocks_of(batch, size)
    wrap_triton(_reset_kernel)[grid](
        *rows(gates_input, gates_hidden, hidden), reset_and_z, activations, size, blocks,
        **parameters, **launch.fusion(),
    )  # fmt: skip
    return reset_and_z, activations


def gru_reset_backward(grad_reset_and_z: Tensor, hidden: Tensor, activations: Tensor) -> tuple[Tensor, Tensor]:
    batch, size = hidden.shape
    grad_gates, grad_hidden = grad_reset_and_z.new_empty(batch, 2 * size), hidden.new_empty(batch, size)
    grid, blocks, parameters = blocks_of(batch, size)
    wrap_triton(_reset_backward_kernel)[grid](
        *rows(grad_reset_and_z, hidden), activations, grad_gates, grad_hidden, size, blocks,
        **parameters, **launch.fusion(),
    )  # fmt: skip
    return grad_gates, grad_hidden


def gru_update_forward(
    candidate_input: Tensor, candidate_hidden: Tensor, z: Tensor, hidden: Tensor
) -> tuple[Tensor, Tensor]:
    batch, size = hidden.shape
    new_hidden = hidden.new_empty(batch, size)
    activations = hidden.new_empty(batch, size, dtype=torch.float32)
    grid, blocks, parameters = blocks_of(batch, size)
    wrap_triton(_update_kernel)[grid](
        *rows(candidate_input, candidate_hidden, z, hidden), new_hidden, activations, size, blocks,
        **parameters, **launch.fusion(),
    )  # fmt: skip
    return new_hidden, activations


def gru_update_backward(
    grad_new_hidden: Tensor, z: Tensor, hidden: Tensor, activations: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    batch, size = hidden.shape
    grad_candidate, grad_z, result = (t.new_empty(batch, size) for t in (hidden, z, hidden))
    grid, blocks, parameters = blocks_of(batch, size)
    wrap_triton(_update_backward_kernel)[grid](
        *rows(grad_new_hidden, z, hidden), activations, grad_candidate, grad_z, result, size, blocks,
        **parameters, **launch.fusion(),
    )  # fmt: skip
    return grad_candidate, grad_z, result
