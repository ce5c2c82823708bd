"""What the decoder and its step share: inputs, eager's step, error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.cases.attention import eager_attend, empty_one_source, source_constants
from seq2seq_fast.cases.cell import PARAMETERS
from seq2seq_fast.cases.comparison import Bound
from seq2seq_fast.cases.gru_cell import eager_gru
from seq2seq_fast.cases.operator import Case, Draw, Inputs, Operator, Options, Outputs
from seq2seq_fast.ops.attention_decoder import GATES, State
from seq2seq_fast.reference.precision import accumulation_dtype

States = tuple[Tensor, ...]


class Decoder(Operator):
    """What a subclass adds: ``input``, the name of the input, and the axes between the batch and the features."""

    forms = (
        {"cell": "gru", "reset_after": True},
        {"cell": "lstm"},
        {"cell": "gru", "reset_after": False},
        {"cell": "rnn"},
    )
    optional = ("query_bias", "bias_ih", "bias_hh", "lengths", "mask", "state_mask")
    limited_by = "products"
    input: str
    input_axes: tuple[str, ...]
    state_axes: tuple[str, ...] = ()

    def cases(self, quick: bool) -> Sequence[Case]:
        ones, primes = (1,) * len(self.size_names), (3, 4, 5, 11, 7, 13, 9)
        forms = self.forms[:2] if quick else self.forms
        few = [self.case(shape, form, masked=shape is not ones) for shape in (ones, primes) for form in forms]
        large = () if quick else [self.case((19, 6, 13, 33, 67, 65, 129), form, masked=True) for form in forms]
        return [*few, *self._eights(), *large]

    def _eights(self) -> list[Case]:
        """Units in multiples of eight: the CUDA engine runs all positions in one launch, 16 bits on tensor cores."""
        forms = (form for form in self.forms if form.get("reset_after", True))
        return [self.case((3, 4, 9, 6, 24, 16, 10), form, masked=True) for form in forms]

    def degenerate(self) -> Case:
        return self.case((5, 3, 6, 5, 7, 11, 9), masked=True)

    def graphed(self) -> Sequence[Case]:
        return [self.degenerate(), *self._eights()]

    def inputs(self, case: Case, draw: Draw) -> Inputs:
        sizes = case.sizes
        batch, source, embedding, hidden = (sizes[name] for name in ("batch", "source", "embedding", "hidden"))
        units, values = sizes["units"], sizes["values"]
        rows = GATES[case.options["cell"]] * hidden
        state = (batch, *(sizes[name] for name in self.state_axes), hidden)
        tensors = {
            self.input: draw.normal(batch, *(sizes[name] for name in self.input_axes), embedding),
            "state": draw.normal(*state),
            "keys": draw.normal(batch, source, units),
            "values": draw.normal(batch, source, values),
            "query_weight": draw.weight(units, hidden),
            "v": draw.normal(units, scale=2 * max(units, 1) ** -0.5),
            "weight_ih": draw.weight(rows, embedding + values),
            "weight_hh": draw.weight(rows, hidden),
            "bias_ih": draw.normal(rows, scale=0.3),
            "bias_hh": draw.normal(rows, scale=0.3),
            "query_bias": draw.normal(units, scale=0.3),
        }
        if case.options["cell"] == "lstm":
            tensors["cell_state"] = draw.normal(*state)
        constants = source_constants(case, draw)
        if case.masked:
            constants["state_mask"] = draw.kept(*state, probability=0.7).to(draw.dtype) / 0.7
        return Inputs(tensors, constants, case.options)

    def bounds(self, inputs: Inputs, large: bool = False) -> tuple[Bound, Bound]:
        """Scores err as in attention, and a step hands its error to the next, which forgets part of it.

        A query of 50 units carries the rounding of its product into tanh 50 times as large.
        """
        eps = torch.finfo(accumulation_dtype(inputs.tensors["state"].dtype)).eps
        error = eps * min(8 * float(inputs.tensors["v"].detach().double().abs().sum()) + 128, 250)
        error *= 60 if large else 1
        return Bound(relative=error, roundings=12), Bound(relative=4 * error, roundings=24)

    def fill_padding(self, inputs: Inputs) -> None:
        empty_one_source(inputs)

    def enlarge(self, inputs: Inputs) -> bool:
        """In 16 bits a large query is known to a few tenths only: there is no truth to compare with."""
        if inputs.tensors["state"].dtype.itemsize == 2:
            return False
        inputs.tensors["keys"] *= 50
        inputs.tensors["query_weight"] *= 50
        return True

    def spoil(self, inputs: Inputs) -> None:
        inputs.tensors["keys"][1, 0, 3] = torch.nan
        inputs.tensors["keys"][2, 0, 5] = -torch.inf
        inputs.tensors["state"][3, ..., 1] = torch.nan


def eager_step(
    input: Tensor,
    states: States,
    keys: Tensor,
    values: Tensor,
    query_weight: Tensor,
    query_bias: Tensor | None,
    v: Tensor,
    *parameters: Any,
    padding: Tensor | None = None,
    state_mask: Tensor | None = None,
    options: Options,
) -> tuple[States, Tensor, Tensor]:
    """One position, of several beams where there is an axis of them: new states, context, weights."""
    hidden, *cell = states
    if state_mask is not None:
        hidden = hidden * state_mask
    context, weights = eager_attend(F.linear(hidden, query_weight, query_bias), keys, values, v, padding)
    # PyTorch's cells know a batch and no beams.
    joined = torch.cat([input, context], -1).flatten(0, -2)
    rows = [state.flatten(0, -2) for state in (hidden, *cell)]
    if options["cell"] == "lstm":
        new: States = torch.lstm_cell(joined, rows, *parameters)
    elif options["cell"] == "gru":
        new = (eager_gru(joined, *rows, *parameters, reset_after=options["reset_after"]),)
    else:
        new = (torch.rnn_tanh_cell(joined, *rows, *parameters),)
    return tuple(state.view_as(hidden) for state in new), context, weights


def shared_by_steps(inputs: Inputs) -> list[Any]:
    """What every position reads, in the order of :func:`eager_step`."""
    return [inputs.tensors.get(n) for n in ("keys", "values", "query_weight", "query_bias", "v", *PARAMETERS)]


def states_of(inputs: Inputs) -> States:
    return tuple(inputs.tensors[name] for name in ("state", "cell_state") if name in inputs.tensors)


def state_of(inputs: Inputs) -> State:
    states = states_of(inputs)
    return states[0] if len(states) == 1 else (states[0], states[1])


def named(state: State | States, hidden: str, cell: str) -> Outputs:
    return dict(zip((hidden, cell), state if isinstance(state, tuple) else (state,), strict=False))
