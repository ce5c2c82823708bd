"""The decoder's recurrence: all positions in one call, and one position of several beams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

import seq2seq_fast
from seq2seq_fast.doctor.comparison import Bound
from seq2seq_fast.doctor.operators.attention import empty_one_source, source_constants
from seq2seq_fast.doctor.operators.base import Case, Draw, Inputs, Operator, Outputs
from seq2seq_fast.ops import AttentionDecoderStep, AttentionMemory
from seq2seq_fast.ops.attention_decoder import GATES, State

PARAMETERS = ("query_weight", "v", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
STATES = ("state", "cell_state")
CELLS: tuple[dict[str, Any], ...] = (
    {"cell": "gru", "reset_after": True},
    {"cell": "lstm"},
    {"cell": "gru", "reset_after": False},
    {"cell": "rnn"},
)


class Decoder(Operator):
    # The name of the input, and the axes between the batch and the features of the input and of the state.
    input: str
    input_axes: tuple[str, ...]
    state_axes: tuple[str, ...]

    def cases(self, quick: bool) -> Sequence[Case]:
        ones, primes = (1,) * len(self.timed_sizes), (3, 4, 5, 11, 7, 13, 9)
        cells = CELLS[:2] if quick else CELLS
        few = [self._case(shape, cell, masked=shape is not ones) for shape in (ones, primes) for cell in cells]
        large = () if quick else [self._case((19, 6, 13, 33, 67, 65, 129), cell, masked=True) for cell in cells]
        return [*few, *self._eights(), *large]

    def _eights(self) -> list[Case]:
        """Units in multiples of eight: the CUDA engine runs all positions in one launch, 16 bits on tensor cores."""
        return [self._case((3, 4, 9, 6, 24, 16, 10), cell, masked=True) for cell in CELLS if cell.get("reset_after", 1)]

    def _case(self, shape: Sequence[int], cell: dict[str, Any], masked: bool) -> Case:
        return Case(dict(zip(self.timed_sizes, shape, strict=True)), cell, masked)

    def degenerate(self) -> Case:
        return self._case((5, 3, 6, 5, 7, 11, 9), CELLS[0], masked=True)

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
            "v": draw.normal(units, scale=2 * units**-0.5),
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
        error = 1e-12 if inputs.tensors["state"].dtype == torch.float64 else 3e-5
        # A query of 50 units carries the rounding of its product into tanh 50 times as large.
        error *= 60 if large else 1
        return Bound(relative=error, roundings=12), Bound(relative=4 * error, roundings=24)

    def fill_padding(self, inputs: Inputs) -> None:
        hidden = empty_one_source(inputs.constants)
        inputs.tensors["keys"][hidden] = torch.nan
        inputs.tensors["values"][hidden] = torch.inf

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


class AttentionDecoder(Decoder):
    name = "attention_decoder"
    is_loop = True
    timed_sizes = ("batch", "target", "source", "embedding", "hidden", "units", "values")
    input, input_axes, state_axes = "inputs", ("target",), ()

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        tensors = {name: tensor for name, tensor in inputs.tensors.items() if name not in STATES}
        states, contexts, weights, final = seq2seq_fast.attention_decoder(
            state=state_of(inputs), backend=backend, **tensors, **inputs.constants, **inputs.options
        )
        assert weights is not None
        return {"states": states, "contexts": contexts, "weights": weights, **named(final, "final state", "final cell")}

    def call_in_steps(self, inputs: Inputs, step: Callable[..., AttentionDecoderStep]) -> Outputs:
        masks = {name: mask for name, mask in inputs.constants.items() if name != "state_mask"}
        memory = seq2seq_fast.attention_memory(inputs.tensors["keys"], inputs.tensors["values"], **masks)
        state, steps = state_of(inputs), []
        for input in inputs.tensors["inputs"].unbind(1):
            steps.append(one_step(inputs, input, state, memory, step, "reference"))
            state = steps[-1].state
        return {
            "states": torch.stack([next(iter(named(one.state, "state", "").values())) for one in steps], 1),
            "contexts": torch.stack([one.context for one in steps], 1),
            "weights": torch.stack([one.weights for one in steps], 1),
            **named(state, "final state", "final cell"),
        }


class DecoderStep(Decoder):
    name = "attention_decoder_step"
    timed_sizes = ("batch", "beams", "source", "embedding", "hidden", "units", "values")
    input, input_axes, state_axes = "input", ("beams",), ("beams",)

    def prepare(self, inputs: Inputs) -> AttentionMemory | None:
        masks = {name: mask for name, mask in inputs.constants.items() if name != "state_mask"}
        tensors = inputs.tensors
        of_context = tensors["weight_ih"][:, tensors["input"].shape[-1] :]
        return seq2seq_fast.attention_memory(tensors["keys"], tensors["values"], context_weight=of_context, **masks)

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        assert memory is not None
        step = one_step(
            inputs, inputs.tensors["input"], state_of(inputs), memory, seq2seq_fast.attention_decoder_step, backend
        )
        assert step.weights is not None
        return {**named(step.state, "state", "cell"), "context": step.context, "weights": step.weights}


def one_step(
    inputs: Inputs,
    input: Tensor,
    state: State,
    memory: AttentionMemory,
    step: Callable[..., AttentionDecoderStep],
    backend: str,
) -> AttentionDecoderStep:
    tensors = inputs.tensors
    return step(
        input, state, memory, *(tensors[name] for name in PARAMETERS), query_bias=tensors["query_bias"],
        state_mask=inputs.constants.get("state_mask"), backend=backend, **inputs.options,
    )  # fmt: skip


def state_of(inputs: Inputs) -> State:
    state, cell_state = inputs.tensors["state"], inputs.tensors.get("cell_state")
    return state if cell_state is None else (state, cell_state)


def named(state: State, hidden: str, cell: str) -> Outputs:
    return {hidden: state[0], cell: state[1]} if isinstance(state, tuple) else {hidden: state}
