"""Exponentials of keys and of queries, for the exponential form of tanh, and where that form may be used.

Kernels that share keys among many queries read their exponentials. Where one query reads a source, bytes bound the
time: there 16-bit keys are read as they are, and their exponentials, twice their size, are taken on load.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton.language as tl
from torch import Tensor

from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.arithmetic import (
    doubled_exponential,
    query_exponential,
    within_key_limit,
    within_query_limit,
)
from seq2seq_fast.triton_kernels.kernel import in_eights, kernel


@kernel(rows="units", counts="positions blocks", single="inside")
def _exponentials_kernel(
    x, exponentials, inside, positions, units, blocks, WIDE: tl.constexpr, BLOCK: tl.constexpr, QUERY: tl.constexpr
):
    """One block of a source's entries: their exponentials, and whether all are within the limit."""
    size = positions.to(tl.int64) * in_eights(units, WIDE)
    program = tl.program_id(0).to(tl.int64)
    place = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    offset = program // blocks * size + place
    entries = tl.load(x + offset, mask=place < size, other=0.0).to(tl.float32)
    within = within_query_limit(entries) if QUERY else within_key_limit(entries)
    tl.store(inside + program, tl.min(within, axis=0).to(tl.int1))
    result = query_exponential(entries) if QUERY else doubled_exponential(entries)
    tl.store(exponentials + offset, result, mask=place < size)


def _exponentials(x: Tensor, exponentials: Tensor, query: bool) -> Tensor:
    batch, positions, units = x.shape
    blocks = launch.tile_count(positions * units, launch.EXPONENTIALS["BLOCK"])
    inside = x.new_empty(batch, blocks, dtype=torch.bool)
    _exponentials_kernel.start(
        batch * blocks, x, exponentials, inside, positions, units, blocks, QUERY=query, **launch.EXPONENTIALS
    )
    return inside.all(dim=1)


def key_exponentials(keys: Tensor) -> tuple[Tensor, Tensor]:
    """keys [B, Tx, A] -> exponentials [B, Tx, A] in float32, in_range [B]."""
    keys = keys.contiguous()
    exponentials = torch.empty_like(keys, dtype=torch.float32)
    return exponentials, _exponentials(keys, exponentials, False)


class Queries(NamedTuple):
    """Queries [B, Tq, A] as given and as ``2^-60 e^(2 query)`` in float32, and which sources' are all in range [B]."""

    raw: Tensor
    exponentials: Tensor
    inside: Tensor

    def part(self, rows: slice) -> Queries:
        return Queries(self.raw[:, rows], self.exponentials[:, rows], self.inside)


def prepare_queries(query: Tensor) -> Queries:
    exponentials = torch.empty_like(query, dtype=torch.float32)
    return Queries(query, exponentials, _exponentials(query, exponentials, True))


def prepare_steps(queries: Tensor) -> Queries:
    """The queries of a recurrence's positions, time-major [Ty, B, A], as queries of B sources."""
    steps, batch, units = queries.shape
    flat = prepare_queries(queries.view(steps * batch, 1, units))
    exponentials = flat.exponentials.view(steps, batch, units)
    return Queries(queries.transpose(0, 1), exponentials.transpose(0, 1), flat.inside.view(steps, batch).all(dim=0))
