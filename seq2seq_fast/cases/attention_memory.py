"""``attention_memory``: what a decoder reads of its sources, made once. It takes no backend's name."""

from __future__ import annotations

from collections.abc import Mapping

from seq2seq_fast import attention_memory
from seq2seq_fast.cases.attention import Attention, padding_of
from seq2seq_fast.cases.comparison import EXACT, Bound
from seq2seq_fast.cases.operator import Case, Draw, Inputs, Outputs, Work
from seq2seq_fast.ops import AttentionMemory


class Memory(Attention):
    name = "attention_memory"
    size_names = ("batch", "source", "units", "values")

    def inputs(self, case: Case, draw: Draw) -> Inputs:
        inputs = super().inputs(case, draw)
        source = case.sizes["source"]
        lengths = inputs.constants.get("lengths", draw.integers((source + 1) // 2, source, case.sizes["batch"]))
        tensors = {name: inputs.tensors[name] for name in ("keys", "values")}
        return Inputs(tensors, {**inputs.constants, "lengths": lengths}, case.options)

    def prepare(self, inputs: Inputs) -> None:
        return None

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        made = attention_memory(**inputs.tensors, **inputs.constants)
        return {"keys": made.keys, "values": made.values}

    def eager(self, inputs: Inputs) -> Outputs:
        padding = padding_of(inputs)
        assert padding is not None
        return {name: tensor.masked_fill(padding.unsqueeze(2), 0.0) for name, tensor in inputs.tensors.items()}

    def bounds(self, inputs: Inputs, large: bool = False) -> tuple[Bound, Bound]:
        """Nothing is computed."""
        return EXACT, EXACT

    def forward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs, training: bool) -> Work:
        """Keys and values are read; both are written with zeros in padding, and the keys' exponentials."""
        work = super().forward_work(sizes, inputs, outputs, training)
        return Work(work.read, work.written + outputs["keys"].numel())
