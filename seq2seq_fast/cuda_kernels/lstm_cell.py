"""Gate arithmetic of the LSTM; see ``csrc/cuda/lstm_cell.cu``."""

from __future__ import annotations

from torch import Tensor

from seq2seq_fast.cuda_kernels.engine import Engine, as_rows, dtype_of
from seq2seq_fast.raw.tensors import acc_empty


def lstm_gates_forward(
    engine: Engine, gates_input: Tensor, gates_hidden: Tensor, cell: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    new_hidden, new_cell = gates_input.new_empty(cell.shape), cell.new_empty(cell.shape)
    activations = acc_empty(cell, *gates_input.shape)
    engine.launch(
        "lstm_gates_forward", cell, dtype_of(gates_input), dtype_of(cell), *as_rows(gates_input),
        *as_rows(gates_hidden), *as_rows(cell), new_hidden, new_cell, activations, *cell.shape,
    )  # fmt: skip
    return new_hidden, new_cell, activations


def lstm_gates_backward(
    engine: Engine,
    grad_new_hidden: Tensor | None,
    grad_new_cell: Tensor | None,
    cell: Tensor,
    new_cell: Tensor,
    activations: Tensor,
) -> tuple[Tensor, Tensor]:
    grad_gates, grad_previous = cell.new_empty(activations.shape), cell.new_empty(cell.shape)
    grads = [(None, 0) if g is None else as_rows(g.to(cell.dtype)) for g in (grad_new_hidden, grad_new_cell)]
    engine.launch(
        "lstm_gates_backward", cell, dtype_of(cell), *grads[0], *grads[1], *as_rows(cell), *as_rows(new_cell),
        activations.contiguous(), grad_gates, grad_previous, *cell.shape,
    )  # fmt: skip
    return grad_gates, grad_previous
