"""One step of a GRU and of an LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

import seq2seq_fast
from seq2seq_fast.doctor.comparison import Bound
from seq2seq_fast.doctor.operators.base import Case, Draw, Inputs, Operator, Outputs
from seq2seq_fast.ops import AttentionMemory


class Cell(Operator):
    attends = False
    timed_sizes = ("batch", "embedding", "hidden")
    gates: int
    states: tuple[str, ...] = ("hidden",)
    forms: tuple[dict[str, Any], ...] = ({},)

    def cases(self, quick: bool) -> Sequence[Case]:
        shapes = [(1, 1, 1), (5, 7, 13)] if quick else [(1, 1, 1), (5, 7, 13), (33, 65, 67), (17, 128, 64)]
        return [Case(dict(zip(self.timed_sizes, shape, strict=True)), form) for shape in shapes for form in self.forms]

    def degenerate(self) -> Case:
        return Case({"batch": 5, "embedding": 3, "hidden": 9}, self.forms[0])

    def inputs(self, case: Case, draw: Draw) -> Inputs:
        batch, embedding, hidden = (case.sizes[name] for name in self.timed_sizes)
        rows = self.gates * hidden
        tensors = {
            "input": draw.normal(batch, embedding),
            **{name: draw.normal(batch, hidden) for name in self.states},
            "weight_ih": draw.weight(rows, embedding),
            "weight_hh": draw.weight(rows, hidden),
            "bias_ih": draw.normal(rows),
            "bias_hh": draw.normal(rows),
        }
        return Inputs(tensors, {}, case.options)

    def bounds(self, inputs: Inputs, large: bool = False) -> tuple[Bound, Bound]:
        error = 1e-14 if inputs.tensors["input"].dtype == torch.float64 else 1e-6
        # The rounding of a product grows with the root of its terms.
        terms = max(inputs.tensors[name].shape[1] for name in ("weight_ih", "weight_hh"))
        error *= max(1.0, (terms / 64) ** 0.5)
        # A sum of terms of 1,000 that cancel is known to 1,000 times as little.
        error *= 100 if large else 1
        return Bound(relative=error, roundings=4), Bound(relative=10 * error, roundings=8)

    def enlarge(self, inputs: Inputs) -> bool:
        """Saturated gates; ones whose sum float16 can hold."""
        inputs.tensors["input"][0] = 1e3
        inputs.tensors["input"][1] = -1e3
        return True

    def spoil(self, inputs: Inputs) -> None:
        inputs.tensors["input"][2] = torch.nan
        inputs.tensors["hidden"][3] = torch.nan


class GRUCell(Cell):
    name = "gru_cell"
    gates = 3
    forms = ({"reset_after": True}, {"reset_after": False})

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        hidden = seq2seq_fast.gru_cell(*inputs.tensors.values(), **inputs.options, backend=backend)
        return {"hidden": hidden}


class LSTMCell(Cell):
    name = "lstm_cell"
    gates = 4
    states = ("hidden", "cell")

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        input, hidden, cell, *rest = inputs.tensors.values()
        hidden, cell = seq2seq_fast.lstm_cell(input, (hidden, cell), *rest, backend=backend)
        return {"hidden": hidden, "cell": cell}
