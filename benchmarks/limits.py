"""The least work of an operator, as work that is timed in the same rounds as the contenders.

- bytes: one pass over the bytes that must be read and written, at the bandwidth this machine streams them with;
- operations: the operations that must be done, at the rate of a matrix product;
- products: the matrix products alone, into preallocated outputs, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from seq2seq_fast.cases import Draw, Inputs, Operator, Outputs, Work
from seq2seq_fast.cases.clock import Phase, cache_bytes
from seq2seq_fast.cases.operator import Product
from seq2seq_fast.cases.race import INFERENCE


@dataclass(frozen=True)
class LimitRun:
    """What to time for inference, for the forward pass of training, and for its backward pass."""

    inference: Phase
    forward: Phase
    backward: Phase

    def phases(self, mode: str, turn: int) -> list[Phase]:
        return [self.inference] if mode == INFERENCE else [self.forward, self.backward]


def limit_of(operator: Operator, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs, draw: Draw) -> LimitRun:
    build = partial({"bytes": _Pass, "operations": arithmetic, "products": products}[operator.limited_by], draw=draw)
    inference, training = (operator.forward_work(sizes, inputs, outputs, mode) for mode in (False, True))
    backward = operator.backward_work(sizes, inputs, outputs) if operator.differentiable else Work()
    first = build(inference)
    return LimitRun(first, first if training == inference else build(training), build(backward))


class _Pass:
    """One pass over the bytes: the elements both read and written are copied, the surplus is summed or filled.

    What is read comes from an arena larger than the cache, so it is cold as the contenders' inputs are. What is written
    goes to one buffer, as an allocator hands out again what was just freed.
    """

    def __init__(self, work: Work, draw: Draw):
        itemsize = torch.empty((), dtype=draw.dtype).element_size()
        arena = max(2 * cache_bytes(draw.device) // itemsize, work.read)
        # Ones, not zeros: pages that were never written all share one page of zeros, which stays in cache.
        self.source = torch.ones(arena, dtype=draw.dtype, device=draw.device)
        self.target = torch.ones(max(work.written, 1), dtype=draw.dtype, device=draw.device)
        self.work, self.offset = work, 0

    def __call__(self) -> None:
        read, written = self.work.read, self.work.written
        if self.offset + read > self.source.numel():
            self.offset = 0
        source = self.source[self.offset : self.offset + read]
        self.offset += read
        both = min(read, written)
        if both:
            torch.add(source[:both], 1.0, out=self.target[:both])
        if read > both:
            source[both:].sum()
        if written > both:
            self.target[both:].fill_(1.0)


def arithmetic(work: Work, draw: Draw) -> Phase:
    """So many floating point operations, done as the product of [n, 512] with [512, 512]."""
    return product(Product(max(1, round(work.operations / (2 * 512 * 512))), 512, 512), draw)


def products(work: Work, draw: Draw) -> Phase:
    """The matrix products alone, in order; those of one shape share their matrices, as a loop's do."""
    made: dict[Product, Phase] = {shape: product(shape, draw) for shape in dict.fromkeys(work.products)}
    phases: list[Callable[[], object]] = [made[shape] for shape in work.products]

    def run() -> None:
        for phase in phases:
            phase()

    return run


def product(shape: Product, draw: Draw) -> Phase:
    """A product into a preallocated output."""
    rows, terms, columns, layout = shape
    left = draw.normal(terms, rows).T if layout[0] == "t" else draw.normal(rows, terms)
    right = draw.normal(columns, terms).T if layout[1] == "t" else draw.normal(terms, columns)
    out = torch.empty(rows, columns, dtype=draw.dtype, device=draw.device)
    return lambda: torch.mm(left, right, out=out)
