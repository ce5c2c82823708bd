"""``additive_score``: v tanh(q + k) of every pair, on a memory."""

from __future__ import annotations

import torch

import seq2seq_fast
from seq2seq_fast.cases.attention import Attention, eager_score, padding_of, score_error
from seq2seq_fast.cases.comparison import Bound
from seq2seq_fast.cases.operator import Inputs, Outputs
from seq2seq_fast.ops import AttentionMemory


class AdditiveScore(Attention):
    name = "additive_score"
    size_names = ("batch", "queries", "source", "units")

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        assert memory is not None
        query, v = inputs.tensors["query"], inputs.tensors["v"]
        return {"scores": seq2seq_fast.additive_score(query, memory, v, backend=backend)}

    def eager(self, inputs: Inputs) -> Outputs:
        scores, padding = eager_score(**inputs.tensors), padding_of(inputs)
        if padding is not None:
            scores = scores.masked_fill(padding if scores.dim() == 2 else padding.unsqueeze(1), -torch.inf)
        return {"scores": scores}

    def bounds(self, inputs: Inputs, large: bool = False) -> tuple[Bound, Bound]:
        """The contract: 4 eps sum|v|, whatever the score. A gradient is a sum of (1 - tanh^2) v, as exact as that."""
        error = score_error(inputs.tensors["v"])
        return Bound(absolute=error, roundings=1), Bound(relative=8 * error, roundings=4)
