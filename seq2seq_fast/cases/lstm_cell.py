"""``lstm_cell``, and its gates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

import seq2seq_fast
from seq2seq_fast.cases.cell import Cell, Gates, arguments
from seq2seq_fast.cases.operator import Inputs, Outputs, Work
from seq2seq_fast.ops import AttentionMemory
from seq2seq_fast.ops.lstm_cell import lstm_gates
from seq2seq_fast.reference.lstm_cell import lstm_gates as reference_lstm_gates


class LSTMCell(Cell):
    name = "lstm_cell"
    gates = 4
    states = ("hidden", "cell")

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        input, hidden, cell, *parameters = arguments(inputs, "input", "hidden", "cell")
        hidden, cell = seq2seq_fast.lstm_cell(input, (hidden, cell), *parameters, backend=backend)
        return {"hidden": hidden, "cell": cell}

    def eager(self, inputs: Inputs) -> Outputs:
        input, hidden, cell, *parameters = arguments(inputs, "input", "hidden", "cell")
        hidden, cell = torch.lstm_cell(input, (hidden, cell), *parameters)
        return {"hidden": hidden, "cell": cell}


class LSTMGates(Gates):
    name = "lstm_gates"
    gates = 4
    state = "cell"

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        gates = reference_lstm_gates if backend == "reference" else partial(lstm_gates, backend=backend)
        hidden, cell = gates(**inputs.tensors)
        return {"hidden": hidden, "cell": cell}

    def eager(self, inputs: Inputs) -> Outputs:
        hidden, cell = eager_lstm_gates(**inputs.tensors)
        return {"hidden": hidden, "cell": cell}

    def backward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs) -> Work:
        """i, f, g, o, both cells and both gradients are read; one gradient for both sums and the cell's written."""
        rows = sizes["batch"] * sizes["hidden"]
        return Work(8 * rows, 5 * rows)


def eager_lstm_gates(gates_input: Tensor, gates_hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = (gates_input + gates_hidden).chunk(4, dim=-1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell
