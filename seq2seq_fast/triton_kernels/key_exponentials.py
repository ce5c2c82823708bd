"""Exponentials of keys and of queries, for the exponential form of tanh, and where that form may be used.

float32 keys keep theirs, made once a source. 16-bit keys are read as they are wherever reading bounds the time, and
their exponentials, twice their size, are made only for the call in which many queries share them.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.library import wrap_triton

from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.arithmetic import (
    doubled_exponential,
    query_exponential,
    within_key_limit,
    within_query_limit,
)


@triton.jit
def _exponentials_kernel(x, exponentials, inside, size, blocks, BLOCK: tl.constexpr, QUERY: tl.constexpr):
    """One block of a source's entries: their exponentials, and whether all are within the limit."""
    program = tl.program_id(0).to(tl.int64)
    place = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    offset = program // blocks * size + place
    entries = tl.load(x + offset, mask=place < size, other=0.0).to(tl.float32)
    within = within_query_limit(entries) if QUERY else within_key_limit(entries)
    tl.store(inside + program, tl.min(within, axis=0).to(tl.int1))
    if exponentials is not None:
        result = query_exponential(entries) if QUERY else doubled_exponential(entries)
        tl.store(exponentials + offset, result, mask=place < size)


def _exponentials(x: Tensor, exponentials: Tensor | None, query: bool) -> Tensor:
    batch, size = x.shape[0], x.shape[1] * x.shape[2]
    parameters = launch.exponentials(size)
    blocks = launch.ceil_div(size, parameters["BLOCK"])
    inside = x.new_empty(batch, blocks, dtype=torch.bool)
    wrap_triton(_exponentials_kernel)[(batch * blocks,)](
        x, exponentials, inside, size, blocks, QUERY=query, **parameters, **launch.fusion()
    )
    return inside.all(dim=1)


def key_exponentials(keys: Tensor) -> tuple[Tensor, Tensor]:
    """keys [B, Tx, A] -> exponentials [B, Tx, A] in float32 ([B, 0, A] for 16-bit keys), in_range [B]."""
    keys = keys.contiguous()
    batch, source, units = keys.shape
    stored = keys.dtype == torch.float32
    exponentials = keys.new_empty(batch, source if stored else 0, units, dtype=torch.float32)
    return exponentials, _exponentials(keys, exponentials if stored else None, False)


def query_exponentials(query: Tensor) -> tuple[Tensor, Tensor]:
    """query [B, Tq, A] -> 2^-60 e^(2 query) in float32, and which sources' queries are all in range [B]."""
    exponentials = torch.empty_like(query, dtype=torch.float32)
    return exponentials, _exponentials(query, exponentials, True)


def float32_exponentials(keys: Tensor, exponentials: Tensor) -> Tensor:
    """A memory's exponentials, made for this call where 16-bit keys have none."""
    if keys.dtype == torch.float32:
        return exponentials
    made = torch.empty_like(keys, dtype=torch.float32)
    _exponentials(keys, made, False)
    return made
