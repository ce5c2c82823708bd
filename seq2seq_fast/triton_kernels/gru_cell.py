"""The raw operators of the gated recurrent unit: gate arithmetic between and after the matrix products.

Every kernel takes a block of one row's hidden units, and reads and writes each number once.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.arithmetic import sigmoid, tanh
from seq2seq_fast.triton_kernels.kernel import at_row, in_eights, kernel


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


@kernel(rows="input_stride hidden_gates_stride hidden_stride H", counts="blocks")
def _gates_kernel(
    gates_input, input_stride, gates_hidden, hidden_gates_stride, hidden, hidden_stride, new_hidden, activations,
    H, blocks, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    gates_input += at_row(row, input_stride, WIDE)
    gates_hidden += at_row(row, hidden_gates_stride, WIDE)
    r = sigmoid(load(gates_input, unit, H) + load(gates_hidden, unit, H))
    z = sigmoid(load(gates_input + H, unit, H) + load(gates_hidden + H, unit, H))
    n = tanh(load(gates_input + 2 * H, unit, H) + r * load(gates_hidden + 2 * H, unit, H))
    state = load(hidden + at_row(row, hidden_stride, WIDE), unit, H)
    save(new_hidden + row * H, unit, H, gru_output(n, z, state))
    activations += row * 3 * H
    save(activations, unit, H, r)
    save(activations + H, unit, H, z)
    save(activations + 2 * H, unit, H, n)


@kernel(rows="grad_stride gates_stride hidden_stride H", counts="blocks")
def _gates_backward_kernel(
    grad_new_hidden, grad_stride, gates_hidden, gates_stride, hidden, hidden_stride, activations,
    grad_gates_input, grad_gates_hidden, grad_hidden, H, blocks, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    activations += row * 3 * H
    r, z, n = load(activations, unit, H), load(activations + H, unit, H), load(activations + 2 * H, unit, H)
    grad = load(grad_new_hidden + at_row(row, grad_stride, WIDE), unit, H)
    state = load(hidden + at_row(row, hidden_stride, WIDE), unit, H)
    grad_n, grad_z, grad_h = gru_output_backward(grad, n, z, state)
    grad_r = grad_n * load(gates_hidden + at_row(row, gates_stride, WIDE) + 2 * H, unit, H) * r * (1.0 - r)
    grad_gates_input += row * 3 * H
    grad_gates_hidden += row * 3 * H
    save(grad_gates_input, unit, H, grad_r)
    save(grad_gates_hidden, unit, H, grad_r)
    save(grad_gates_input + H, unit, H, grad_z)
    save(grad_gates_hidden + H, unit, H, grad_z)
    save(grad_gates_input + 2 * H, unit, H, grad_n)
    save(grad_gates_hidden + 2 * H, unit, H, grad_n * r)
    save(grad_hidden + row * H, unit, H, grad_h)


@kernel(rows="input_stride gates_stride hidden_stride H", counts="blocks")
def _reset_kernel(
    gates_input, input_stride, gates_hidden, gates_stride, hidden, hidden_stride, reset_and_z, activations, H, blocks,
    WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    gates_input += at_row(row, input_stride, WIDE)
    gates_hidden += at_row(row, gates_stride, WIDE)
    r = sigmoid(load(gates_input, unit, H) + load(gates_hidden, unit, H))
    z = sigmoid(load(gates_input + H, unit, H) + load(gates_hidden + H, unit, H))
    state = load(hidden + at_row(row, hidden_stride, WIDE), unit, H)
    save(reset_and_z + row * 2 * H, unit, H, r * state)
    save(reset_and_z + row * 2 * H + H, unit, H, z)
    save(activations + row * 2 * H, unit, H, r)
    save(activations + row * 2 * H + H, unit, H, z)


@kernel(rows="grad_stride hidden_stride H", counts="blocks")
def _reset_backward_kernel(
    grad, grad_stride, hidden, hidden_stride, activations, grad_gates, grad_hidden, H, blocks,
    WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    r = load(activations + row * 2 * H, unit, H)
    z = load(activations + row * 2 * H + H, unit, H)
    grad += at_row(row, grad_stride, WIDE)
    grad_reset = load(grad, unit, H)
    grad_r = grad_reset * load(hidden + at_row(row, hidden_stride, WIDE), unit, H) * r * (1.0 - r)
    save(grad_gates + row * 2 * H, unit, H, grad_r)
    save(grad_gates + row * 2 * H + H, unit, H, load(grad + H, unit, H) * z * (1.0 - z))
    save(grad_hidden + row * H, unit, H, grad_reset * r)


@kernel(rows="input_stride candidate_stride z_stride hidden_stride H", counts="blocks")
def _update_kernel(
    candidate_input, input_stride, candidate_hidden, candidate_stride, z, z_stride, hidden, hidden_stride,
    new_hidden, activations, H, blocks, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    summed = load(candidate_input + at_row(row, input_stride, WIDE), unit, H) + load(
        candidate_hidden + at_row(row, candidate_stride, WIDE), unit, H
    )
    n = tanh(summed)
    update = load(z + at_row(row, z_stride, WIDE), unit, H)
    state = load(hidden + at_row(row, hidden_stride, WIDE), unit, H)
    save(new_hidden + row * H, unit, H, gru_output(n, update, state))
    save(activations + row * H, unit, H, n)


@kernel(rows="grad_stride z_stride hidden_stride H", counts="blocks")
def _update_backward_kernel(
    grad_new_hidden, grad_stride, z, z_stride, hidden, hidden_stride, activations, grad_candidate, grad_z, grad_hidden,
    H, blocks, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, unit = row_and_units(blocks, BLOCK)
    H = in_eights(H, WIDE)
    grad = load(grad_new_hidden + at_row(row, grad_stride, WIDE), unit, H)
    update, n = load(z + at_row(row, z_stride, WIDE), unit, H), load(activations + row * H, unit, H)
    save(grad_candidate + row * H, unit, H, grad * (1.0 - update) * (1.0 - n * n))
    state = load(hidden + at_row(row, hidden_stride, WIDE), unit, H)
    save(grad_z + row * H, unit, H, grad * (state - n))
    save(grad_hidden + row * H, unit, H, grad * update)


def rows(*tensors: Tensor) -> list[Tensor | int]:
    """Each [B, N] tensor and its row stride, copied only where a row's entries are not neighbours."""
    laid = [t if t.stride(1) == 1 else t.contiguous() for t in tensors]
    return [entry for t in laid for entry in (t, t.stride(0))]


def blocks_of(batch: int, hidden_size: int) -> tuple[int, int, dict[str, int]]:
    """Programs, blocks a row, launch parameters of the kernels of a cell."""
    parameters = launch.cell(hidden_size)
    blocks = launch.ceil_div(hidden_size, parameters["BLOCK"])
    return batch * blocks, blocks, parameters


def gru_gates_forward(gates_input: Tensor, gates_hidden: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    batch, size = hidden.shape
    new_hidden = hidden.new_empty(batch, size)
    activations = hidden.new_empty(batch, 3 * size, dtype=torch.float32)
    programs, blocks, parameters = blocks_of(batch, size)
    _gates_kernel.start(
        programs, *rows(gates_input, gates_hidden, hidden), new_hidden, activations, size, blocks,
        **parameters,
    )  # fmt: skip
    return new_hidden, activations


def gru_gates_backward(
    grad_new_hidden: Tensor, gates_hidden: Tensor, hidden: Tensor, activations: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    batch, size = hidden.shape
    grad_input, grad_gates = (gates_hidden.new_empty(batch, 3 * size) for _ in range(2))
    result = hidden.new_empty(batch, size)
    programs, blocks, parameters = blocks_of(batch, size)
    _gates_backward_kernel.start(
        programs, *rows(grad_new_hidden, gates_hidden, hidden), activations, grad_input, grad_gates, result, size,
        blocks, **parameters,
    )  # fmt: skip
    return grad_input, grad_gates, result


def gru_reset_forward(gates_input: Tensor, gates_hidden: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    batch, size = hidden.shape
    reset_and_z = hidden.new_empty(batch, 2 * size)
    activations = hidden.new_empty(batch, 2 * size, dtype=torch.float32)
    programs, blocks, parameters = blocks_of(batch, size)
    _reset_kernel.start(
        programs, *rows(gates_input, gates_hidden, hidden), reset_and_z, activations, size, blocks,
        **parameters,
    )  # fmt: skip
    return reset_and_z, activations


def gru_reset_backward(grad_reset_and_z: Tensor, hidden: Tensor, activations: Tensor) -> tuple[Tensor, Tensor]:
    batch, size = hidden.shape
    grad_gates, grad_hidden = grad_reset_and_z.new_empty(batch, 2 * size), hidden.new_empty(batch, size)
    programs, blocks, parameters = blocks_of(batch, size)
    _reset_backward_kernel.start(
        programs, *rows(grad_reset_and_z, hidden), activations, grad_gates, grad_hidden, size, blocks, **parameters
    )
    return grad_gates, grad_hidden


def gru_update_forward(
    candidate_input: Tensor, candidate_hidden: Tensor, z: Tensor, hidden: Tensor
) -> tuple[Tensor, Tensor]:
    batch, size = hidden.shape
    new_hidden = hidden.new_empty(batch, size)
    activations = hidden.new_empty(batch, size, dtype=torch.float32)
    programs, blocks, parameters = blocks_of(batch, size)
    _update_kernel.start(
        programs, *rows(candidate_input, candidate_hidden, z, hidden), new_hidden, activations, size, blocks,
        **parameters,
    )  # fmt: skip
    return new_hidden, activations


def gru_update_backward(
    grad_new_hidden: Tensor, z: Tensor, hidden: Tensor, activations: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    batch, size = hidden.shape
    grad_candidate, grad_z, result = (t.new_empty(batch, size) for t in (hidden, z, hidden))
    programs, blocks, parameters = blocks_of(batch, size)
    _update_backward_kernel.start(
        programs, *rows(grad_new_hidden, z, hidden), activations, grad_candidate, grad_z, result, size, blocks,
        **parameters,
    )  # fmt: skip
    return grad_candidate, grad_z, result
