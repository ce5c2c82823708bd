"""The limits that workloads declare, as work that is timed in the same rounds as the contenders.

- bytes: one pass over the bytes that must be read and written, at the bandwidth this machine streams them with;
- arithmetic: the operations that must be done, at the rate of a matrix product;
- products: the matrix products alone, into preallocated outputs, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.workload import Draw, LimitRun, Sizes

Thunk = Callable[[], object]


class Traffic(NamedTuple):
    """Elements read and written."""

    read: int
    written: int


def cache_bytes(device: torch.device) -> int:
    """The size of the last level of cache; 32 MiB where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).L2_cache_size
    units = {"K": 2**10, "M": 2**20}
    sizes = [0]
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = file.read_text().strip()
        sizes.append(int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text))
    return max(sizes) or 32 * 2**20


class _Pass:
    """One pass over ``traffic``: the elements both read and written are copied, the surplus is summed or filled.

    What is read comes from an arena larger than the cache, so it is cold as the contenders' inputs are. What is written
    goes to one buffer, as an allocator hands out again what was just freed.
    """

    def __init__(self, traffic: Traffic, draw: Draw):
        itemsize = torch.empty((), dtype=draw.dtype).element_size()
        arena = max(2 * cache_bytes(draw.device) // itemsize, traffic.read)
        # Ones, not zeros: pages that were never written all share one page of zeros, which stays in cache.
        self.source = torch.ones(arena, dtype=draw.dtype, device=draw.device)
        self.target = torch.ones(max(traffic.written, 1), dtype=draw.dtype, device=draw.device)
        self.traffic, self.offset = traffic, 0

    def __call__(self) -> None:
        read, written = self.traffic
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


def one_pass(
    forward: Callable[[Sizes], Traffic],
    backward: Callable[[Sizes], Traffic] | None = None,
    training_forward: Callable[[Sizes], Traffic] | None = None,
) -> Callable[[Sizes, Draw], LimitRun]:
    """One pass over the bytes; ``training_forward`` where training must write more than inference does."""

    def build(sizes: Sizes, draw: Draw) -> LimitRun:
        first = _Pass(forward(sizes), draw)
        trained = _Pass(training_forward(sizes), draw) if training_forward else first
        return LimitRun("bytes", first, trained, _Pass(backward(sizes), draw) if backward else _nothing)

    return build


def arithmetic(forward: Callable[[Sizes], int], backward: Callable[[Sizes], int]) -> Callable[[Sizes, Draw], LimitRun]:
    """So many floating point operations (a multiply-add is two), done as the product of [n, 512] with [512, 512]."""

    def build(sizes: Sizes, draw: Draw) -> LimitRun:
        def rows(operations: int) -> int:
            return max(1, round(operations / (2 * 512 * 512)))

        there = product(draw, rows(forward(sizes)), 512, 512)
        return LimitRun("arithmetic", there, there, product(draw, rows(backward(sizes)), 512, 512))

    return build


def products(
    forward: Callable[[Sizes, Draw], Sequence[Thunk]], backward: Callable[[Sizes, Draw], Sequence[Thunk]] | None = None
) -> Callable[[Sizes, Draw], LimitRun]:
    """The matrix products alone, in order."""

    def build(sizes: Sizes, draw: Draw) -> LimitRun:
        there = in_order(forward(sizes, draw))
        return LimitRun("products", there, there, in_order(backward(sizes, draw)) if backward else _nothing)

    return build


def product(draw: Draw, m: int, k: int, n: int, layout: str = "nn") -> Thunk:
    """[m, k] times [k, n] into a preallocated output; ``layout`` says which of the two is stored transposed."""
    left = draw.normal(k, m).T if layout[0] == "t" else draw.normal(m, k)
    right = draw.normal(n, k).T if layout[1] == "t" else draw.normal(k, n)
    out = torch.empty(m, n, dtype=draw.dtype, device=draw.device)
    return lambda: torch.mm(left, right, out=out)


def linear(draw: Draw, rows: int, inputs: int, outputs: int) -> Thunk:
    """A linear layer's product, with the weight [outputs, inputs] as a layer stores it."""
    return product(draw, rows, inputs, outputs, "nt")


def linear_backward(draw: Draw, rows: int, inputs: int, outputs: int) -> list[Thunk]:
    """The two products of a linear layer's backward: gradients of its input and of its weight."""
    return [product(draw, rows, outputs, inputs), product(draw, outputs, rows, inputs, "tn")]


def in_order(thunks: Sequence[Thunk]) -> Thunk:
    def run() -> None:
        for thunk in thunks:
            thunk()

    return run


def _nothing() -> None:
    return None
