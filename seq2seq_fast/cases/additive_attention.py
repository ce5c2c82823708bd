"""``additive_attention``: many queries a source at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import seq2seq_fast
from seq2seq_fast.cases.attention import Attention, eager_attend, padding_of
from seq2seq_fast.cases.operator import Case, Inputs, Outputs, Work
from seq2seq_fast.ops import AttentionMemory


class AdditiveAttention(Attention):
    name = "additive_attention"
    # With the weights and, where memory stays linear in the queries, without.
    forms = ({"need_weights": True}, {"need_weights": False})
    limited_by = "operations"

    def cases(self, quick: bool) -> Sequence[Case]:
        cases = super().cases(quick)
        return [*cases, *(replace(case, options=self.forms[1]) for case in cases)]

    def prepare(self, inputs: Inputs) -> None:
        return None

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        context, weights = seq2seq_fast.additive_attention(
            **inputs.tensors, **inputs.constants, **inputs.options, backend=backend
        )
        return {"context": context} if weights is None else {"context": context, "weights": weights}

    def eager(self, inputs: Inputs) -> Outputs:
        context, weights = eager_attend(**inputs.tensors, padding=padding_of(inputs))
        return {"context": context, "weights": weights} if inputs.options["need_weights"] else {"context": context}

    def forward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs, training: bool) -> Work:
        """A unit of a pair costs two multiply-adds (1 + e^q e^k; v r); then the product that makes the contexts."""
        work = super().forward_work(sizes, inputs, outputs, training)
        return replace(work, operations=_pairs(sizes) * (4 * sizes["units"] + 2 * sizes["values"]))

    def backward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs) -> Work:
        """A unit costs r again, r (1 - r), and a multiply-add for each gradient: query, keys and v; two products."""
        work = super().backward_work(sizes, inputs, outputs)
        return replace(work, operations=_pairs(sizes) * (10 * sizes["units"] + 4 * sizes["values"]))


def _pairs(sizes: Mapping[str, int]) -> int:
    return sizes["batch"] * sizes["queries"] * sizes["source"]
