"""Scores, one query a source on a prepared memory, and many queries at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

import seq2seq_fast
from seq2seq_fast.doctor.comparison import Bound
from seq2seq_fast.doctor.operators.base import Case, Draw, Inputs, Operator, Outputs
from seq2seq_fast.ops import AttentionMemory
from seq2seq_fast.reference.precision import accumulation_dtype


def source_constants(case: Case, draw: Draw) -> dict[str, Tensor]:
    """Lengths from 1 on and a mask that keeps the first position, where the case is masked."""
    if not case.masked:
        return {}
    batch, source = case.sizes["batch"], case.sizes["source"]
    mask = draw.kept(batch, source, probability=0.8)
    mask[:, 0] = True
    return {"lengths": draw.integers(1, source, batch), "mask": mask}


def empty_one_source(constants: dict[str, Tensor]) -> Tensor:
    """Make the lengths full, half, none, ...; gives [B, Tx], True where nothing is attended."""
    lengths, mask = constants["lengths"], constants["mask"]
    source = mask.shape[1]
    lengths.copy_(torch.tensor([(source, source // 2, 0)[row % 3] for row in range(len(lengths))]))
    return ~mask | (torch.arange(source, device=mask.device) >= lengths.unsqueeze(1))


def score_error(v: Tensor) -> float:
    """The most that a score may be off: 4 eps sum|v|, eps of the accumulation's dtype."""
    return 4 * torch.finfo(accumulation_dtype(v.dtype)).eps * float(v.detach().double().abs().sum())


class Attention(Operator):
    # The sizes that a checked case names; without "queries" there is one query a source, [B, A].
    checked_sizes: tuple[str, ...] = ("batch", "queries", "source", "units", "values")
    timed_sizes = checked_sizes

    def cases(self, quick: bool) -> Sequence[Case]:
        def case(batch: int, queries: int, source: int, units: int, values: int, masked: bool = True) -> Case:
            sizes = {"batch": batch, "queries": queries, "source": source, "units": units, "values": values}
            return Case({name: sizes[name] for name in self.checked_sizes}, masked=masked)

        few = [case(1, 1, 1, 1, 1), case(3, 5, 7, 13, 9)]
        many = [case(2, 37, 65, 33, 67), case(3, 2, 130, 257, 96), case(5, 17, 31, 64, 128, masked=False)]
        return few if quick else few + many

    def degenerate(self) -> Case:
        sizes = {"batch": 5, "queries": 4, "source": 7, "units": 19, "values": 9}
        return Case({name: sizes[name] for name in self.checked_sizes}, masked=True)

    def inputs(self, case: Case, draw: Draw) -> Inputs:
        sizes = case.sizes
        batch, source, units = sizes["batch"], sizes["source"], sizes["units"]
        query = (batch, sizes["queries"], units) if "queries" in sizes else (batch, units)
        tensors = {
            "query": draw.normal(*query),
            "keys": draw.normal(batch, source, units),
            "v": draw.normal(units, scale=2 * units**-0.5),
        }
        if "values" in sizes:
            tensors["values"] = draw.normal(batch, source, sizes["values"])
        return Inputs(tensors, source_constants(case, draw), case.options)

    def prepare(self, inputs: Inputs) -> AttentionMemory | None:
        # Scores read no values, but a memory has some.
        values = inputs.tensors.get("values", inputs.tensors["keys"][..., :1].detach())
        return seq2seq_fast.attention_memory(inputs.tensors["keys"], values, **inputs.constants)

    def bounds(self, inputs: Inputs, large: bool = False) -> tuple[Bound, Bound]:
        # A weight e^s / sum e^s errs by twice what a score does, its context likewise.
        error = 4 * score_error(inputs.tensors["v"])
        return Bound(relative=error, roundings=2), Bound(relative=8 * error, roundings=4)

    def fill_padding(self, inputs: Inputs) -> None:
        hidden = empty_one_source(inputs.constants)
        inputs.tensors["keys"][hidden] = torch.nan
        if "values" in inputs.tensors:
            inputs.tensors["values"][hidden] = torch.inf

    def enlarge(self, inputs: Inputs) -> bool:
        query, keys = inputs.tensors["query"], inputs.tensors["keys"]
        for row in range(keys.shape[0]):
            query[row] *= (5, 20, 60)[row % 3]
            keys[row] *= (5, 20, 60)[row % 3]
        keys[:, 0] = -query[:, 0] if query.dim() == 3 else -query  # cancelling pairs: tanh(0)
        return True

    def spoil(self, inputs: Inputs) -> None:
        query, keys = inputs.tensors["query"], inputs.tensors["keys"]
        keys[1, 0, 3] = torch.nan
        keys[2, 0, 5] = -torch.inf
        keys[3, 0, 4] = torch.finfo(keys.dtype).max
        query[4, ..., 2] = torch.inf


class AdditiveScore(Attention):
    name = "additive_score"
    checked_sizes = ("batch", "queries", "source", "units")
    timed_sizes = ("batch", "source", "units")

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        assert memory is not None
        query, v = inputs.tensors["query"], inputs.tensors["v"]
        return {"scores": seq2seq_fast.additive_score(query, memory, v, backend=backend)}

    def bounds(self, inputs: Inputs, large: bool = False) -> tuple[Bound, Bound]:
        error = score_error(inputs.tensors["v"])
        return Bound(absolute=error, roundings=1), Bound(relative=8 * error, roundings=4)


class Attend(Attention):
    name = "attend"
    checked_sizes = timed_sizes = ("batch", "source", "units", "values")

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        assert memory is not None
        query, v = inputs.tensors["query"], inputs.tensors["v"]
        context, weights = seq2seq_fast.attend(query, memory, v, backend=backend)
        assert weights is not None
        return {"context": context, "weights": weights}


class AdditiveAttention(Attention):
    name = "additive_attention"

    def cases(self, quick: bool) -> Sequence[Case]:
        """With the weights and, where memory stays linear in the queries, without."""
        cases = super().cases(quick)
        return [*cases, *(Case(case.sizes, {"need_weights": False}, case.masked) for case in cases)]

    def prepare(self, inputs: Inputs) -> None:
        return None

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        context, weights = seq2seq_fast.additive_attention(
            **inputs.tensors, **inputs.constants, **inputs.options, backend=backend
        )
        return {"context": context} if weights is None else {"context": context, "weights": weights}
