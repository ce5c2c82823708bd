"""``attention_decoder``: the whole recurrence in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch

import seq2seq_fast
from seq2seq_fast.cases.attention import padding_of
from seq2seq_fast.cases.decoder import Decoder, States, eager_step, named, shared_by_steps, state_of, states_of
from seq2seq_fast.cases.operator import Inputs, Outputs, Product, Work, linear
from seq2seq_fast.ops import AttentionMemory
from seq2seq_fast.ops.attention_decoder import GATES


class AttentionDecoder(Decoder):
    name = "attention_decoder"
    size_names = ("batch", "target", "source", "embedding", "hidden", "units", "values")
    input, input_axes = "inputs", ("target",)

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        tensors = {name: t for name, t in inputs.tensors.items() if name not in ("state", "cell_state")}
        states, contexts, weights, final = seq2seq_fast.attention_decoder(
            state=state_of(inputs), backend=backend, **tensors, **inputs.constants, **inputs.options
        )
        outputs = {"states": states, "contexts": contexts}
        return outputs | ({} if weights is None else {"weights": weights}) | named(final, "final state", "final cell")

    def eager(self, inputs: Inputs, step: Callable[..., Any] | None = None) -> Outputs:
        options, states = inputs.options, states_of(inputs)
        given: dict[str, Any] = {"padding": padding_of(inputs), "state_mask": inputs.constants.get("state_mask")}
        step = partial(step or eager_step, options=options, **given)
        whole, final = decode(step, inputs.tensors["inputs"], states, *shared_by_steps(inputs))
        if not options.get("need_weights", True):
            del whole["weights"]
        return whole | named(final, "final state", "final cell")

    def compiled(self) -> Callable[[Inputs], Outputs]:
        """Unrolling the loop takes the compiler minutes: its step is compiled, as one would do by hand."""
        return partial(self.eager, step=torch.compile(eager_step, dynamic=False))

    def forward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs, training: bool) -> Work:
        products = forward_products(sizes, inputs.options["cell"])
        return replace(super().forward_work(sizes, inputs, outputs, training), products=products)

    def backward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs) -> Work:
        products = backward_products(sizes, inputs.options["cell"])
        return replace(super().backward_work(sizes, inputs, outputs), products=products)


def decode(step: Callable[..., Any], inputs: torch.Tensor, states: States, *shared: Any) -> tuple[Outputs, States]:
    """The loop over positions: what each gave, stacked, and the last states."""
    steps = []
    for input in inputs.unbind(1):
        states, context, weights = step(input, states, *shared)
        steps.append((states[0], context, weights))
    stacked = (torch.stack(tensors, 1) for tensors in zip(*steps, strict=True))
    return dict(zip(("states", "contexts", "weights"), stacked, strict=True)), states


def forward_products(sizes: Mapping[str, int], cell: str) -> tuple[Product, ...]:
    """All inputs before the loop; in it the state times stacked gate and query weights, and the context's product."""
    batch, target, hidden = sizes["batch"], sizes["target"], sizes["hidden"]
    width = GATES[cell] * hidden
    stacked, context = Product(batch, hidden, width + sizes["units"]), Product(batch, sizes["values"], width)
    return linear(target * batch, sizes["embedding"], width), *(stacked, context) * target


def backward_products(sizes: Mapping[str, int], cell: str) -> tuple[Product, ...]:
    """In the reversed loop the gradients of context and state; after it those of every weight and of the inputs."""
    batch, target, hidden, units = (sizes[name] for name in ("batch", "target", "hidden", "units"))
    rows, width, embedding, values = target * batch, GATES[cell] * hidden, sizes["embedding"], sizes["values"]
    return (
        *(Product(batch, width, values), Product(batch, width + units, hidden)) * target,
        Product(width + units, rows, hidden, "tn"),
        Product(width, rows, embedding, "tn"),
        Product(width, rows, values, "tn"),
        Product(rows, width, embedding),
    )
