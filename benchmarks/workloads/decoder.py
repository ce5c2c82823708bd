"""The decoder's recurrence: whole sequences, one step of beam search, and time against source length."""

from __future__ import annotations

from collections.abc import Callable

import torch

import seq2seq_fast
from benchmarks import baselines
from benchmarks.limits import Thunk, linear, product, products
from benchmarks.workload import Bound, Draw, Inputs, Outputs, Sizes, Workload

GATES = {"gru": 3, "lstm": 4}
_SHARED = ("keys", "values", "query_weight", "v", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
SOURCE_LENGTHS = (10, 20, 50, 100, 200, 500, 1000)


def make_parameters(sizes: Sizes, draw: Draw, gates: int) -> Inputs:
    hidden, units, embedding, values = (sizes[name] for name in ("hidden", "units", "embedding", "values"))
    return {
        "query_weight": draw.weight(units, hidden),
        "v": draw.normal(units, scale=units**-0.5),
        "weight_ih": draw.weight(gates * hidden, embedding + values),
        "weight_hh": draw.weight(gates * hidden, hidden),
        "bias_ih": draw.normal(gates * hidden, scale=0.1),
        "bias_hh": draw.normal(gates * hidden, scale=0.1),
    }


def make_source(sizes: Sizes, draw: Draw) -> Inputs:
    batch, source = sizes["batch"], sizes["source"]
    return {
        "keys": draw.normal(batch, source, sizes["units"]),
        "values": draw.normal(batch, source, sizes["values"]),
    }


def make_sequence(cell: str) -> Callable[[Sizes, Draw], Inputs]:
    def make(sizes: Sizes, draw: Draw) -> Inputs:
        batch, hidden = sizes["batch"], sizes["hidden"]
        states = ("hidden", "cell") if cell == "lstm" else ("hidden",)
        return {
            "inputs": draw.normal(batch, sizes["target"], sizes["embedding"]),
            **{name: draw.normal(batch, hidden) for name in states},
            **make_source(sizes, draw),
            **make_parameters(sizes, draw, GATES[cell]),
        }

    return make


def make_step(sizes: Sizes, draw: Draw) -> Inputs:
    batch, beams = sizes["batch"], sizes["beams"]
    return {
        "input": draw.normal(batch, beams, sizes["embedding"]),
        "hidden": draw.normal(batch, beams, sizes["hidden"]),
        **make_source(sizes, draw),
        **make_parameters(sizes, draw, 3),
    }


def with_projected_memory(inputs: Inputs) -> Inputs:
    columns = inputs["values"].shape[2]
    with torch.no_grad():
        memory = seq2seq_fast.attention_memory(
            inputs["keys"], inputs["values"], context_weight=inputs["weight_ih"][:, -columns:].contiguous()
        )
    return {**inputs, "memory": memory}


def decoder_ours(cell: str) -> Callable[[Inputs, str], Outputs]:
    def run(inputs: Inputs, backend: str) -> Outputs:
        state = (inputs["hidden"], inputs["cell"]) if cell == "lstm" else inputs["hidden"]
        shared = (inputs[name] for name in _SHARED)
        output = seq2seq_fast.attention_decoder(
            inputs["inputs"], state, *shared, cell=cell, need_weights=False, backend=backend
        )
        return output.states, output.contexts

    return run


def decoder_with(cell: str, wrap: Callable[[baselines.Step], baselines.Step]) -> Callable[[Inputs], Outputs]:
    """The loop of :mod:`benchmarks.baselines` over its step, wrapped."""
    step = wrap(baselines.lstm_decoder_step if cell == "lstm" else baselines.gru_decoder_step)

    def run(inputs: Inputs) -> Outputs:
        state = (inputs["hidden"], inputs["cell"]) if cell == "lstm" else (inputs["hidden"],)
        return baselines.attention_decoder(step, inputs["inputs"], state, *(inputs[name] for name in _SHARED))

    return run


def compiled_decoder(cell: str) -> Callable[[], Callable[[Inputs], Outputs]]:
    # A loop of 50 positions compiled whole unrolls into minutes of compiling: the step is compiled, as a user would.
    return lambda: decoder_with(cell, lambda step: torch.compile(step, dynamic=False))


def step_ours(inputs: Inputs, backend: str) -> Outputs:
    parameters = (inputs[name] for name in _SHARED[2:])
    step = seq2seq_fast.attention_decoder_step(
        inputs["input"], inputs["hidden"], inputs["memory"], *parameters, need_weights=False, backend=backend
    )
    return step.state, step.context


def step_eager(inputs: Inputs) -> Outputs:
    return baselines.beam_decoder_step(inputs["input"], inputs["hidden"], *(inputs[name] for name in _SHARED))


def decoder_forward_products(gates: int) -> Callable[[Sizes, Draw], list[Thunk]]:
    """All inputs before the loop; in it the state times stacked gate and query weights, and the context's product."""

    def build(sizes: Sizes, draw: Draw) -> list[Thunk]:
        batch, target, hidden, units = (sizes[name] for name in ("batch", "target", "hidden", "units"))
        stacked = product(draw, batch, hidden, gates * hidden + units)
        context = product(draw, batch, sizes["values"], gates * hidden)
        return [linear(draw, target * batch, sizes["embedding"], gates * hidden), *(stacked, context) * target]

    return build


def decoder_backward_products(gates: int) -> Callable[[Sizes, Draw], list[Thunk]]:
    """In the reversed loop the gradients of context and state; after it those of every weight and of the inputs."""

    def build(sizes: Sizes, draw: Draw) -> list[Thunk]:
        batch, hidden, units = sizes["batch"], sizes["hidden"], sizes["units"]
        target, embedding, values = sizes["target"], sizes["embedding"], sizes["values"]
        rows, width = target * batch, gates * hidden
        context = product(draw, batch, width, values)
        state = product(draw, batch, width + units, hidden)
        return [
            *(context, state) * target,
            product(draw, width + units, rows, hidden, "tn"),
            product(draw, width, rows, embedding, "tn"),
            product(draw, width, rows, values, "tn"),
            product(draw, rows, width, embedding),
        ]

    return build


def step_products(sizes: Sizes, draw: Draw) -> list[Thunk]:
    rows, hidden, width = sizes["batch"] * sizes["beams"], sizes["hidden"], 3 * sizes["hidden"]
    return [
        product(draw, rows, hidden, width + sizes["units"]),
        product(draw, rows, sizes["embedding"], width),
        product(draw, rows, sizes["values"], width),
    ]


def decoder_bound(inputs: Inputs) -> Bound:
    """Scores err as in attention; a step hands its error to the next, which forgets part of it."""
    return Bound(relative=8 * inputs["v"].detach().abs().sum().item() + 128, roundings=16)


def decoder(name: str, cell: str, sizes: Sizes, quick: bool = False) -> Workload:
    states = ("hidden", "cell") if cell == "lstm" else ("hidden",)
    return Workload(
        name=name,
        operator="attention_decoder",
        sizes=sizes,
        make_inputs=make_sequence(cell),
        run=decoder_ours(cell),
        eager=decoder_with(cell, lambda step: step),
        compiled=compiled_decoder(cell),
        limit=products(decoder_forward_products(GATES[cell]), decoder_backward_products(GATES[cell])),
        wanted=("inputs", *states, *_SHARED),
        bound=decoder_bound,
        quick=quick,
    )


_HIDDEN_512 = {"hidden": 512, "units": 512, "embedding": 256, "values": 1024}
_LONG = {"batch": 64, "source": 50, "target": 50, **_HIDDEN_512}
_SHORT = {"batch": 80, "source": 15, "target": 15, **_HIDDEN_512}
_SWEEP = {"batch": 16, "target": 20, "hidden": 256, "units": 256, "embedding": 128, "values": 512}

WORKLOADS = (
    decoder("attention_decoder/64x50x50", "gru", _LONG),
    decoder("attention_decoder/80x15x15", "gru", _SHORT, quick=True),
    decoder("attention_decoder/80x15x15/lstm", "lstm", _SHORT),
    Workload(
        name="attention_decoder_step/64x5x15",
        operator="attention_decoder_step",
        sizes={"batch": 64, "beams": 5, "source": 15, **_HIDDEN_512},
        make_inputs=make_step,
        prepare=with_projected_memory,
        run=step_ours,
        eager=step_eager,
        limit=products(step_products),
        bound=decoder_bound,
        quick=True,
    ),
    *(decoder(f"source_length/{length}", "gru", {**_SWEEP, "source": length}) for length in SOURCE_LENGTHS),
)
