"""What the cells share: weights, products, the error of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from seq2seq_fast.cases.comparison import Bound
from seq2seq_fast.cases.operator import Case, Draw, Inputs, Operator, Outputs, Work, linear, linear_backward
from seq2seq_fast.reference.precision import accumulation_dtype

PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def arguments(inputs: Inputs, *names: str) -> list[Any]:
    """The named tensors, weights and biases, None for those that are left out."""
    return [inputs.tensors.get(name) for name in (*names, *PARAMETERS)]


class Cell(Operator):
    size_names = ("batch", "embedding", "hidden")
    attends = False
    optional = ("bias_ih", "bias_hh")
    limited_by = "products"
    gates: int
    states: tuple[str, ...] = ("hidden",)

    def cases(self, quick: bool) -> Sequence[Case]:
        shapes = [(1, 1, 1), (5, 7, 13)] if quick else [(1, 1, 1), (5, 7, 13), (33, 65, 67), (17, 128, 64)]
        return [self.case(shape, form) for shape in shapes for form in self.forms]

    def degenerate(self) -> Case:
        return self.case((5, 3, 9))

    def inputs(self, case: Case, draw: Draw) -> Inputs:
        batch, embedding, hidden = (case.sizes[name] for name in self.size_names)
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
        """A few roundings; that of a product grows with the root of its terms, and a sum of 1,000s knows little.

        Two terms of a gradient may nearly cancel, and 16 bits then hold little of what is left.
        """
        wide = accumulation_dtype(inputs.tensors["input"].dtype)
        error = 1e-14 if wide == torch.float64 else 1e-6
        error *= max(1.0, (max(inputs.tensors[name].shape[1] for name in PARAMETERS[:2]) / 65) ** 0.5)
        error *= 100 if large else 1
        floor = 0.1 if inputs.tensors["input"].dtype.itemsize == 2 else 0.0
        return Bound(relative=error, roundings=4), Bound(relative=5 * error, roundings=8, floor=floor)

    def enlarge(self, inputs: Inputs) -> bool:
        """Saturated gates; ones whose sum float16 can hold."""
        inputs.tensors["input"][0] = 1e3
        inputs.tensors["input"][1] = -1e3
        return True

    def spoil(self, inputs: Inputs) -> None:
        inputs.tensors["input"][2] = torch.nan
        inputs.tensors["hidden"][3] = torch.nan

    def forward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs, training: bool) -> Work:
        products = tuple(linear(sizes["batch"], size, rows) for size, rows in self._weights(sizes))
        return replace(super().forward_work(sizes, inputs, outputs, training), products=products)

    def backward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs) -> Work:
        sides = (linear_backward(sizes["batch"], size, rows) for size, rows in self._weights(sizes))
        products = tuple(product for side in sides for product in side)
        return replace(super().backward_work(sizes, inputs, outputs), products=products)

    def _weights(self, sizes: Mapping[str, int]) -> list[tuple[int, int]]:
        return [(sizes[name], self.gates * sizes["hidden"]) for name in ("embedding", "hidden")]


class Gates(Operator):
    """The arithmetic of a cell alone, behind its products."""

    size_names = ("batch", "hidden")
    attends = False
    gates: int
    state: str

    def cases(self, quick: bool) -> Sequence[Case]:
        return [self.case(shape) for shape in ((1, 1), (5, 13), *(() if quick else ((33, 67), (17, 128))))]

    def degenerate(self) -> Case:
        return self.case((5, 9))

    def inputs(self, case: Case, draw: Draw) -> Inputs:
        batch, hidden = (case.sizes[name] for name in self.size_names)
        sums = {name: draw.normal(batch, self.gates * hidden) for name in ("gates_input", "gates_hidden")}
        return Inputs({**sums, self.state: draw.normal(batch, hidden)})

    def bounds(self, inputs: Inputs, large: bool = False) -> tuple[Bound, Bound]:
        """An exponential and a division a gate, and the few products of a state."""
        eps = torch.finfo(accumulation_dtype(inputs.tensors[self.state].dtype)).eps
        return Bound(relative=32 * eps, roundings=4), Bound(relative=128 * eps, roundings=16)

    def forward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs, training: bool) -> Work:
        """Both sums and one old state are read, the new states and, for backward, an activation a gate written."""
        work = super().forward_work(sizes, inputs, outputs, training)
        return replace(work, written=work.written + training * inputs.tensors["gates_input"].numel())
