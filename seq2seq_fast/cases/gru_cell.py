"""``gru_cell`` in both forms, and its gates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

import seq2seq_fast
from seq2seq_fast import reference
from seq2seq_fast.cases.cell import Cell, Gates, arguments
from seq2seq_fast.cases.operator import Inputs, Outputs, Work
from seq2seq_fast.ops import AttentionMemory
from seq2seq_fast.ops.gru_cell import gru_gates
from seq2seq_fast.reference.gru_cell import gru_gates as reference_gru_gates


class GRUCell(Cell):
    name = "gru_cell"
    gates = 3
    forms = ({"reset_after": True}, {"reset_after": False})

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        return {"hidden": seq2seq_fast.gru_cell(**inputs.tensors, **inputs.options, backend=backend)}

    def eager(self, inputs: Inputs) -> Outputs:
        return {"hidden": eager_gru(*arguments(inputs, "input", "hidden"), **inputs.options)}


def eager_gru(input: Tensor, hidden: Tensor, *parameters: Any, reset_after: bool) -> Tensor:
    """PyTorch has no operator for the paper's form: it is written out, as the reference does."""
    kind = torch.gru_cell if reset_after else partial(reference.gru_cell, reset_after=False)
    return kind(input, hidden, *parameters)


class GRUGates(Gates):
    name = "gru_gates"
    gates = 3
    state = "hidden"

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        gates = reference_gru_gates if backend == "reference" else partial(gru_gates, backend=backend)
        return {"hidden": gates(**inputs.tensors)}

    def eager(self, inputs: Inputs) -> Outputs:
        return {"hidden": eager_gru_gates(**inputs.tensors)}

    def backward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs) -> Work:
        """r, z, n, the hidden summand of n, h and the gradient are read; gradients of both sums and h written."""
        rows = sizes["batch"] * sizes["hidden"]
        return Work(6 * rows, 7 * rows)


def eager_gru_gates(gates_input: Tensor, gates_hidden: Tensor, hidden: Tensor) -> Tensor:
    input_r, input_z, input_n = gates_input.chunk(3, dim=-1)
    hidden_r, hidden_z, hidden_n = gates_hidden.chunk(3, dim=-1)
    z = torch.sigmoid(input_z + hidden_z)
    n = torch.tanh(input_n + torch.sigmoid(input_r + hidden_r) * hidden_n)
    return n + z * (hidden - n)
