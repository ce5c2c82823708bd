"""Recurrent cells, with their matrix products and as gate arithmetic alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

import seq2seq_fast
from benchmarks import baselines
from benchmarks.limits import Thunk, Traffic, linear, linear_backward, one_pass, products
from benchmarks.workload import Bound, Draw, Inputs, Outputs, Sizes, Workload
from seq2seq_fast import reference
from seq2seq_fast.ops.gru_cell import gru_gates
from seq2seq_fast.ops.lstm_cell import lstm_gates
from seq2seq_fast.reference.gru_cell import gru_gates as reference_gru_gates
from seq2seq_fast.reference.lstm_cell import lstm_gates as reference_lstm_gates


def make_gates(gates: int, state: str) -> Callable[[Sizes, Draw], Inputs]:
    def make(sizes: Sizes, draw: Draw) -> Inputs:
        batch, hidden = sizes["batch"], sizes["hidden"]
        return {
            "gates_input": draw.normal(batch, gates * hidden),
            "gates_hidden": draw.normal(batch, gates * hidden),
            state: draw.normal(batch, hidden),
        }

    return make


def gru_gates_ours(inputs: Inputs, backend: str) -> Outputs:
    tensors = inputs["gates_input"], inputs["gates_hidden"], inputs["hidden"]
    return (reference_gru_gates(*tensors) if backend == "reference" else gru_gates(*tensors, backend),)


def gru_gates_eager(inputs: Inputs) -> Outputs:
    return (baselines.gru_gates(inputs["gates_input"], inputs["gates_hidden"], inputs["hidden"]),)


def lstm_gates_ours(inputs: Inputs, backend: str) -> Outputs:
    tensors = inputs["gates_input"], inputs["gates_hidden"], inputs["cell"]
    return reference_lstm_gates(*tensors) if backend == "reference" else lstm_gates(*tensors, backend)


def lstm_gates_eager(inputs: Inputs) -> Outputs:
    return baselines.lstm_gates(inputs["gates_input"], inputs["gates_hidden"], inputs["cell"])


def gates_pass(gates: int, states: int) -> Callable[[Sizes], Traffic]:
    """Both products' outputs and one old state are read, the new states written."""

    def traffic(sizes: Sizes) -> Traffic:
        rows = sizes["batch"] * sizes["hidden"]
        return Traffic((2 * gates + 1) * rows, states * rows)

    return traffic


def gates_pass_training(gates: int, states: int) -> Callable[[Sizes], Traffic]:
    """The same, and one activation a gate written for backward."""

    def traffic(sizes: Sizes) -> Traffic:
        read, written = gates_pass(gates, states)(sizes)
        return Traffic(read, written + gates * sizes["batch"] * sizes["hidden"])

    return traffic


def gru_gates_back(sizes: Sizes) -> Traffic:
    """r, z, n, the hidden summand of n, h and the gradient are read; gradients of both products and h written."""
    rows = sizes["batch"] * sizes["hidden"]
    return Traffic(6 * rows, 7 * rows)


def lstm_gates_back(sizes: Sizes) -> Traffic:
    """i, f, g, o, both cells and both gradients are read; one gradient for both products and the cell's written."""
    rows = sizes["batch"] * sizes["hidden"]
    return Traffic(8 * rows, 5 * rows)


def make_cell(gates: int, states: Sequence[str]) -> Callable[[Sizes, Draw], Inputs]:
    def make(sizes: Sizes, draw: Draw) -> Inputs:
        batch, size, hidden = sizes["batch"], sizes["input"], sizes["hidden"]
        return {
            "input": draw.normal(batch, size),
            **{name: draw.normal(batch, hidden) for name in states},
            "weight_ih": draw.weight(gates * hidden, size),
            "weight_hh": draw.weight(gates * hidden, hidden),
            "bias_ih": draw.normal(gates * hidden, scale=0.1),
            "bias_hh": draw.normal(gates * hidden, scale=0.1),
        }

    return make


_PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def gru_ours(reset_after: bool) -> Callable[[Inputs, str], Outputs]:
    def run(inputs: Inputs, backend: str) -> Outputs:
        input, state = inputs["input"], inputs["hidden"]
        parameters = [inputs[name] for name in _PARAMETERS]
        return (seq2seq_fast.gru_cell(input, state, *parameters, reset_after=reset_after, backend=backend),)

    return run


def gru_eager(inputs: Inputs) -> Outputs:
    return (torch.gru_cell(*(inputs[name] for name in ("input", "hidden", *_PARAMETERS))),)


def gru_reset_before_eager(inputs: Inputs) -> Outputs:
    # PyTorch has no operator for this form: it is written out, as the reference does.
    parameters = [inputs[name] for name in _PARAMETERS]
    return (reference.gru_cell(inputs["input"], inputs["hidden"], *parameters, reset_after=False),)


def lstm_ours(inputs: Inputs, backend: str) -> Outputs:
    state, parameters = (inputs["hidden"], inputs["cell"]), (inputs[name] for name in _PARAMETERS)
    return seq2seq_fast.lstm_cell(inputs["input"], state, *parameters, backend=backend)


def lstm_eager(inputs: Inputs) -> Outputs:
    state, parameters = (inputs["hidden"], inputs["cell"]), (inputs[name] for name in _PARAMETERS)
    return torch.lstm_cell(inputs["input"], state, *parameters)


def cell_forward(gates: int) -> Callable[[Sizes, Draw], list[Thunk]]:
    def build(sizes: Sizes, draw: Draw) -> list[Thunk]:
        batch, hidden = sizes["batch"], sizes["hidden"]
        return [linear(draw, batch, size, gates * hidden) for size in (sizes["input"], hidden)]

    return build


def cell_backward(gates: int) -> Callable[[Sizes, Draw], list[Thunk]]:
    def build(sizes: Sizes, draw: Draw) -> list[Thunk]:
        batch, hidden = sizes["batch"], sizes["hidden"]
        sides = (linear_backward(draw, batch, size, gates * hidden) for size in (sizes["input"], hidden))
        return [thunk for side in sides for thunk in side]

    return build


def gates_bound(inputs: Inputs) -> Bound:
    return Bound(relative=32, roundings=4)


def cell_bound(inputs: Inputs) -> Bound:
    """Products of some hundred terms are added in another order by each library."""
    return Bound(relative=64, roundings=8)


_GATES = {"batch": 80, "hidden": 1024}
_CELL = {"batch": 80, "input": 512, "hidden": 1024}

WORKLOADS = (
    Workload(
        name="gru_gates/80x1024",
        operator="gru_cell",
        sizes=_GATES,
        make_inputs=make_gates(3, "hidden"),
        run=gru_gates_ours,
        eager=gru_gates_eager,
        limit=one_pass(gates_pass(3, 1), gru_gates_back, gates_pass_training(3, 1)),
        wanted=("gates_input", "gates_hidden", "hidden"),
        bound=gates_bound,
        quick=True,
    ),
    Workload(
        name="lstm_gates/80x1024",
        operator="lstm_cell",
        sizes=_GATES,
        make_inputs=make_gates(4, "cell"),
        run=lstm_gates_ours,
        eager=lstm_gates_eager,
        limit=one_pass(gates_pass(4, 2), lstm_gates_back, gates_pass_training(4, 2)),
        wanted=("gates_input", "gates_hidden", "cell"),
        bound=gates_bound,
        quick=True,
    ),
    *(
        Workload(
            name=f"gru_cell/80x512x1024{suffix}",
            operator="gru_cell",
            sizes=_CELL,
            make_inputs=make_cell(3, ("hidden",)),
            run=gru_ours(reset_after),
            eager=eager,
            limit=products(cell_forward(3), cell_backward(3)),
            wanted=("input", "hidden", *_PARAMETERS),
            bound=cell_bound,
        )
        for suffix, reset_after, eager in (("", True, gru_eager), ("/reset_before", False, gru_reset_before_eager))
    ),
    Workload(
        name="lstm_cell/80x512x1024",
        operator="lstm_cell",
        sizes=_CELL,
        make_inputs=make_cell(4, ("hidden", "cell")),
        run=lstm_ours,
        eager=lstm_eager,
        limit=products(cell_forward(4), cell_backward(4)),
        wanted=("input", "hidden", "cell", *_PARAMETERS),
        bound=cell_bound,
    ),
)
