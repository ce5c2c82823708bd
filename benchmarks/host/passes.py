"""A decoder's passes by every path, at sizes where arithmetic takes no time: what is left is the host's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from benchmarks.gpu_report.cuda.decoder import described
from benchmarks.gpu_report.decoder import arguments, both_ways, eager_outputs
from benchmarks.gpu_report.eager import EagerTrace
from benchmarks.gpu_report.machine_code.devices import RATES
from benchmarks.gpu_report.sizes import DecoderSizes
from benchmarks.host.no_device import Count, CudaEngine, no_triton_device
from seq2seq_fast.cuda_kernels import attention_decoder as cuda_decoder

SIZES = DecoderSizes(batch=8, target=50, positions=16, embedding=16, units=16, hidden=16, size=32)
PATHS = ("eager", "triton", "cuda by position", "cuda in one launch")
RATE = RATES["H100"]


@dataclass(frozen=True)
class HostPass:
    """One pass of one path: kernels of ours and of libraries, and seconds of the host's, all of a whole sequence."""

    path: str
    cell: str
    passed: str
    launches: int
    library: int
    seconds: float


def measure(path: str, cell: str, rounds: int, sizes: DecoderSizes = SIZES) -> list[HostPass]:
    """Forward and backward of a path. What disturbs a round only adds to it, so the fastest one counts."""
    return [HostPass(path, cell, passed, *found) for passed, found in
            zip(("forward", "backward"), _passes(path, cell, rounds, sizes), strict=True)]  # fmt: skip


def _passes(path: str, cell: str, rounds: int, sizes: DecoderSizes) -> tuple[Any, Any]:
    given = tree_map(lambda value: _filled(value, sizes), arguments(sizes, cell, torch.float32))
    if path == "eager":
        return tuple(_timed(call, Count(), rounds)[0] for call in _eager(given))  # type: ignore[return-value]
    if path == "triton":
        from seq2seq_fast.triton_kernels.attention_decoder import attention_decoder_forward
        from seq2seq_fast.triton_kernels.attention_decoder_backward import attention_decoder_backward

        with no_triton_device(RATE) as count, torch.no_grad():
            return both_ways(
                lambda function, *values: _timed(lambda: function(*values), count, rounds),
                attention_decoder_forward, attention_decoder_backward, given,
            )  # fmt: skip
    engine = CudaEngine(replace(described(RATE), cooperative=path == "cuda in one launch"))
    with torch.no_grad():
        return both_ways(
            lambda function, *values: _timed(lambda: function(engine, *values), engine.count, rounds),
            cuda_decoder.attention_decoder_forward, cuda_decoder.attention_decoder_backward, given,
        )  # fmt: skip


def _filled(value: Any, sizes: DecoderSizes) -> Any:
    """A tensor of the shape on the CPU: lengths are whole, keys in range, numbers zero."""
    if not isinstance(value, Tensor):
        return value
    fill = {torch.int64: sizes.positions, torch.bool: True}.get(value.dtype, 0.0)
    return torch.full(value.shape, fill, dtype=value.dtype)


def _eager(given: tuple) -> Iterator[Callable[[], object]]:
    outputs, leaves = eager_outputs(given)
    gradients = [torch.ones_like(output) for output in outputs]
    yield lambda: eager_outputs(given)
    yield lambda: torch.autograd.grad(outputs, leaves, gradients, retain_graph=True)


def _timed(call: Callable[[], Any], count: Count, rounds: int) -> tuple[tuple[int, int, float], Any]:
    """Our launches, the libraries', seconds, and what the call gives; its first time, which compiles, is left out."""
    call()
    before = count.launches
    with EagerTrace() as trace:
        results = call()
    launches = count.launches - before
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return (launches, len(trace.kernels), min(seconds)), results
