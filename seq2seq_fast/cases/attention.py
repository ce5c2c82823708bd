"""What the operators that attend share: sources, padding, eager attention and its error."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

import seq2seq_fast
from seq2seq_fast.cases.comparison import Bound
from seq2seq_fast.cases.operator import Case, Draw, Inputs, Operator
from seq2seq_fast.ops import AttentionMemory
from seq2seq_fast.reference.precision import accumulation_dtype


def source_constants(case: Case, draw: Draw) -> dict[str, Tensor]:
    """Where the case is masked, lengths from 1 on and a mask that keeps the first position.

    The first source is whole but for what its mask hides in the middle of it.
    """
    if not case.masked:
        return {}
    batch, source = case.sizes["batch"], case.sizes["source"]
    mask = draw.kept(batch, source, probability=0.8)
    lengths = draw.integers(1, source, batch)
    lengths[:1], mask[:1, source // 2], mask[:, 0] = source, False, True
    return {"lengths": lengths, "mask": mask}


def empty_one_source(inputs: Inputs) -> None:
    """Make the lengths full, half, none, ..., and put NaN and infinities wherever nothing is attended."""
    lengths, mask = inputs.constants["lengths"], inputs.constants["mask"]
    source = mask.shape[1]
    lengths.copy_(torch.tensor([(source, source // 2, 0)[row % 3] for row in range(len(lengths))]))
    hidden = ~mask | (torch.arange(source, device=mask.device) >= lengths.unsqueeze(1))
    inputs.tensors["keys"][hidden] = torch.nan
    if "values" in inputs.tensors:
        inputs.tensors["values"][hidden] = torch.inf


def padding_of(inputs: Inputs) -> Tensor | None:
    """[B, Tx], True where nothing is attended; None without lengths and mask."""
    lengths, mask = inputs.constants.get("lengths"), inputs.constants.get("mask")
    padding = None if mask is None else ~mask
    if lengths is not None:
        positions = torch.arange(inputs.tensors["keys"].shape[1], device=lengths.device)
        behind = positions >= lengths.unsqueeze(1)
        padding = behind if padding is None else padding | behind
    return padding


def eager_score(query: Tensor, keys: Tensor, v: Tensor) -> Tensor:
    """query [B, A] or [B, Tq, A], keys [B, Tx, A] -> [B, Tx] or [B, Tq, Tx]."""
    return torch.tanh(query.unsqueeze(-2) + (keys if query.dim() == 2 else keys.unsqueeze(1))) @ v


def eager_attend(
    query: Tensor, keys: Tensor, values: Tensor, v: Tensor, padding: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Context [B, D] or [B, Tq, D] and weights as the scores are."""
    scores, one = eager_score(query, keys, v), query.dim() == 2
    if padding is not None:
        scores = scores.masked_fill(padding if one else padding.unsqueeze(1), -torch.inf)
    weights = torch.softmax(scores, dim=-1)
    return (torch.bmm(weights.unsqueeze(1), values).squeeze(1) if one else torch.bmm(weights, values)), weights


def score_error(v: Tensor) -> float:
    """The most that a score may be off: 4 eps sum|v|, eps of the accumulation's dtype."""
    return 4 * torch.finfo(accumulation_dtype(v.dtype)).eps * float(v.detach().double().abs().sum())


class Attention(Operator):
    size_names: tuple[str, ...] = ("batch", "queries", "source", "units", "values")
    optional = ("lengths", "mask")

    def cases(self, quick: bool) -> Sequence[Case]:
        few = [self._case(1, 1, 1, 1, 1), self._case(3, 5, 7, 13, 9), self._case(3, 0, 7, 13, 9)]
        many = [
            self._case(2, 37, 129, 67, 131), self._case(3, 2, 130, 257, 96),
            self._case(1, 64, 65, 64, 64, masked=False), self._case(5, 17, 31, 64, 128, masked=False),
        ]  # fmt: skip
        return few if quick else few + many

    def degenerate(self) -> Case:
        return self._case(5, 4, 7, 19, 9)

    def _case(self, *shape: int, masked: bool = True) -> Case:
        sizes = dict(zip(Attention.size_names, shape, strict=True))
        return self.case([sizes[name] for name in self.size_names], masked=masked)

    def inputs(self, case: Case, draw: Draw) -> Inputs:
        sizes = case.sizes
        batch, source, units = sizes["batch"], sizes["source"], sizes["units"]
        # Without "queries", or with 0 of them, there is one query a source: [B, A].
        query = (batch, sizes["queries"], units) if sizes.get("queries") else (batch, units)
        tensors = {
            "query": draw.normal(*query),
            "keys": draw.normal(batch, source, units),
            "values": draw.normal(batch, source, sizes.get("values", 1)),
            "v": draw.normal(units, scale=2 * max(units, 1) ** -0.5),
        }
        if "values" not in sizes:
            del tensors["values"]
        return Inputs(tensors, source_constants(case, draw), case.options)

    def prepare(self, inputs: Inputs) -> AttentionMemory | None:
        # Scores read no values, but a memory has some.
        values = inputs.tensors.get("values", inputs.tensors["keys"][..., :1].detach())
        return seq2seq_fast.attention_memory(inputs.tensors["keys"], values, **inputs.constants)

    def bounds(self, inputs: Inputs, large: bool = False) -> tuple[Bound, Bound]:
        """A weight e^s / sum e^s errs by twice what a score does; sums may take as much again, or 16 eps.

        A gradient adds up four such terms, its own sums may take six times as much, or 64 eps. Where few terms nearly
        cancel, what is left is measured against a tenth of the largest gradient.
        """
        error = score_error(inputs.tensors["v"])
        eps = torch.finfo(accumulation_dtype(inputs.tensors["v"].dtype)).eps
        outputs = Bound(relative=2 * error + min(2 * error, 16 * eps), roundings=2)
        return outputs, Bound(relative=8 * error + min(24 * error, 64 * eps), roundings=4, floor=0.1)

    def fill_padding(self, inputs: Inputs) -> None:
        empty_one_source(inputs)

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
