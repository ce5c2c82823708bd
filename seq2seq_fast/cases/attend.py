"""``attend``: one query a source on a prepared memory, as in a decoder's step."""

from __future__ import annotations

import seq2seq_fast
from seq2seq_fast.cases.attention import Attention, eager_attend, padding_of
from seq2seq_fast.cases.operator import Inputs, Outputs
from seq2seq_fast.ops import AttentionMemory


class Attend(Attention):
    name = "attend"
    size_names = ("batch", "source", "units", "values")

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        assert memory is not None
        query, v = inputs.tensors["query"], inputs.tensors["v"]
        context, weights = seq2seq_fast.attend(query, memory, v, backend=backend)
        assert weights is not None
        return {"context": context, "weights": weights}

    def eager(self, inputs: Inputs) -> Outputs:
        context, weights = eager_attend(**inputs.tensors, padding=padding_of(inputs))
        return {"context": context, "weights": weights}
