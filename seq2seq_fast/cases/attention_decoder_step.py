"""``attention_decoder_step``: one position of several beams on a memory with projected values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import seq2seq_fast
from seq2seq_fast.cases.attention import padding_of
from seq2seq_fast.cases.cell import PARAMETERS
from seq2seq_fast.cases.decoder import Decoder, eager_step, named, shared_by_steps, state_of, states_of
from seq2seq_fast.cases.operator import Inputs, Outputs, Product, Work
from seq2seq_fast.ops import AttentionMemory
from seq2seq_fast.ops.attention_decoder import GATES


class DecoderStep(Decoder):
    name = "attention_decoder_step"
    size_names = ("batch", "beams", "source", "embedding", "hidden", "units", "values")
    input, input_axes, state_axes = "input", ("beams",), ("beams",)

    def prepare(self, inputs: Inputs) -> AttentionMemory | None:
        masks = {name: mask for name, mask in inputs.constants.items() if name != "state_mask"}
        tensors = inputs.tensors
        of_context = tensors["weight_ih"][:, tensors["input"].shape[-1] :]
        return seq2seq_fast.attention_memory(tensors["keys"], tensors["values"], context_weight=of_context, **masks)

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        assert memory is not None
        tensors = inputs.tensors
        step = seq2seq_fast.attention_decoder_step(
            tensors["input"], state_of(inputs), memory, tensors["query_weight"], tensors["v"],
            *(tensors.get(name) for name in PARAMETERS), query_bias=tensors.get("query_bias"),
            state_mask=inputs.constants.get("state_mask"), backend=backend, **inputs.options,
        )  # fmt: skip
        outputs = {**named(step.state, "state", "cell"), "context": step.context}
        return outputs if step.weights is None else outputs | {"weights": step.weights}

    def eager(self, inputs: Inputs) -> Outputs:
        states, context, weights = eager_step(
            inputs.tensors["input"], states_of(inputs), *shared_by_steps(inputs), padding=padding_of(inputs),
            state_mask=inputs.constants.get("state_mask"), options=inputs.options,
        )  # fmt: skip
        outputs = {**named(states, "state", "cell"), "context": context}
        return outputs | ({"weights": weights} if inputs.options.get("need_weights", True) else {})

    def forward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs, training: bool) -> Work:
        products = (Product(*shape) for shape in _products(sizes, inputs.options["cell"]))
        return replace(super().forward_work(sizes, inputs, outputs, training), products=tuple(products))

    def backward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs) -> Work:
        both = [
            (Product(rows, columns, terms), Product(columns, rows, terms, "tn"))
            for rows, terms, columns in _products(sizes, inputs.options["cell"])
        ]
        products = tuple(product for pair in both for product in pair)
        return replace(super().backward_work(sizes, inputs, outputs), products=products)


def _products(sizes: Mapping[str, int], cell: str) -> list[tuple[int, int, int]]:
    """Of all beams: state times stacked gate and query weights, input and context times theirs."""
    rows, width = sizes["batch"] * sizes["beams"], GATES[cell] * sizes["hidden"]
    stacked = rows, sizes["hidden"], width + sizes["units"]
    return [stacked, (rows, sizes["embedding"], width), (rows, sizes["values"], width)]
