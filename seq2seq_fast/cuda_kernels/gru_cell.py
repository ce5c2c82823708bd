"""Gate arithmetic of the GRU; see ``csrc/cuda/gru_cell.cu``."""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq_fast.cuda_kernels.engine import Engine, as_rows, dtype_of
from seq2seq_fast.raw.tensors import acc_empty


def gru_gates_forward(
    engine: Engine, gates_input: Tensor, gates_hidden: Tensor, hidden: Tensor
) -> tuple[Tensor, Tensor]:
    new_hidden, activations = hidden.new_empty(hidden.shape), acc_empty(hidden, *gates_input.shape)
    gru_gates_into(engine, gates_input, gates_hidden, hidden, new_hidden, activations)
    return new_hidden, activations


def gru_gates_into(
    engine: Engine, gates_input: Tensor, gates_hidden: Tensor, hidden: Tensor, new_hidden: Tensor, activations: Tensor
) -> None:
    """:func:`gru_gates_forward` into a contiguous state and the first 3 H columns of ``activations``."""
    launch_forward(
        engine, "gru_gates_forward", (gates_input, gates_hidden), (hidden,), (new_hidden, activations), hidden.shape
    )


def launch_forward(engine: Engine, name: str, gates: tuple, states: tuple, outputs: tuple, shape: torch.Size) -> None:
    """A forward launcher: gates and states with their distances between rows, new state, activations with theirs."""
    rows = [piece for tensor in (*gates, *states) for piece in as_rows(tensor)]
    new_state, activations = outputs
    engine.launch(
        name, states[0], dtype_of(gates[0]), dtype_of(states[0]), *rows, new_state, activations,
        activations.stride(0), *shape,
    )  # fmt: skip


def gru_gates_backward(
    engine: Engine, grad_new_hidden: Tensor, gates_hidden: Tensor, hidden: Tensor, activations: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    grad_input, grad_recurrent = gates_hidden.new_empty(gates_hidden.shape), gates_hidden.new_empty(gates_hidden.shape)
    grad_previous = hidden.new_empty(hidden.shape)
    engine.launch(
        "gru_gates_backward", hidden, dtype_of(gates_hidden), dtype_of(hidden),
        *as_rows(grad_new_hidden.to(hidden.dtype)), *as_rows(gates_hidden), *as_rows(hidden), *as_rows(activations),
        grad_input, grad_recurrent, grad_previous, *hidden.shape,
    )  # fmt: skip
    return grad_input, grad_recurrent, grad_previous


def gru_reset_forward(
    engine: Engine, gates_input: Tensor, gates_hidden: Tensor, hidden: Tensor
) -> tuple[Tensor, Tensor]:
    reset_and_z, activations = hidden.new_empty(gates_input.shape), acc_empty(hidden, *gates_input.shape)
    gates = (gates_input, gates_hidden)
    launch_forward(engine, "gru_reset_forward", gates, (hidden,), (reset_and_z, activations), hidden.shape)
    return reset_and_z, activations


def gru_reset_backward(
    engine: Engine, grad_reset_and_z: Tensor, hidden: Tensor, activations: Tensor
) -> tuple[Tensor, Tensor]:
    grad_gates, grad_hidden = grad_reset_and_z.new_empty(grad_reset_and_z.shape), hidden.new_empty(hidden.shape)
    engine.launch(
        "gru_reset_backward", hidden, dtype_of(hidden), *as_rows(grad_reset_and_z), *as_rows(hidden),
        *as_rows(activations), grad_gates, grad_hidden, *hidden.shape,
    )  # fmt: skip
    return grad_gates, grad_hidden


def gru_update_forward(
    engine: Engine, candidate_input: Tensor, candidate_hidden: Tensor, z: Tensor, hidden: Tensor
) -> tuple[Tensor, Tensor]:
    new_hidden, activations = hidden.new_empty(hidden.shape), acc_empty(hidden, *hidden.shape)
    gates, outputs = (candidate_input, candidate_hidden), (new_hidden, activations)
    launch_forward(engine, "gru_update_forward", gates, (z, hidden), outputs, hidden.shape)
    return new_hidden, activations


def gru_update_backward(
    engine: Engine, grad_new_hidden: Tensor, z: Tensor, hidden: Tensor, activations: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    grads = tuple(hidden.new_empty(hidden.shape) for _ in range(3))
    engine.launch(
        "gru_update_backward", hidden, dtype_of(hidden), *as_rows(grad_new_hidden), *as_rows(z), *as_rows(hidden),
        *as_rows(activations), *grads, *hidden.shape,
    )  # fmt: skip
    return grads
