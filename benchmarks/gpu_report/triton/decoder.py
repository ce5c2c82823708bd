"""The decoder by the Triton engine: its passes, and the launches that a position adds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import seq2seq_fast
from benchmarks.gpu_report.decoder import DecoderPass, arguments, both_ways, decoder_pass
from benchmarks.gpu_report.eager import EagerTrace
from benchmarks.gpu_report.sizes import BATCH, EMBEDDING, HIDDEN, POSITIONS, SIZE, UNITS, DecoderSizes
from benchmarks.gpu_report.tensors import meta
from benchmarks.gpu_report.triton.calls import decoder_calls
from benchmarks.gpu_report.triton.launches import recorded
from seq2seq_fast.ops.attention_decoder import GATES
from seq2seq_fast.triton_kernels.attention_decoder import attention_decoder_forward
from seq2seq_fast.triton_kernels.attention_decoder_backward import attention_decoder_backward


def on_triton(sizes: DecoderSizes, cell: str, dtype: torch.dtype) -> tuple[DecoderPass, DecoderPass]:
    """Forward and backward by the Triton engine."""

    def call(function: Callable, *arguments: object) -> tuple[DecoderPass, Any]:
        with recorded() as launches, EagerTrace() as trace:
            results = function(*arguments)
        return decoder_pass(launches, trace, (arguments, results)), results

    return both_ways(call, attention_decoder_forward, attention_decoder_backward, arguments(sizes, cell, dtype))


def decoder_step_launches(cell: str, dtype: torch.dtype) -> tuple[int, int]:
    """Kernels that one more target position adds to a decoder's forward: ours and eager's."""
    batch, positions, embedding, hidden, units, size = BATCH, POSITIONS, EMBEDDING, HIDDEN, UNITS, SIZE
    rows = GATES[cell] * hidden
    counts = []
    for target in (2, 3):
        forward, *_ = decoder_calls(
            cell, True, batch, positions, embedding, hidden, units, size, dtype, target=target, options=False
        )
        with recorded() as launches, EagerTrace() as library, torch.no_grad():
            forward()
        with EagerTrace() as eager, torch.no_grad():
            state = meta(batch, hidden, dtype=dtype)
            seq2seq_fast.attention_decoder(
                meta(batch, target, embedding, dtype=dtype), (state, state) if cell == "lstm" else state,
                meta(batch, positions, units, dtype=dtype), meta(batch, positions, size, dtype=dtype),
                meta(units, hidden, dtype=dtype), meta(units, dtype=dtype),
                meta(rows, embedding + size, dtype=dtype), meta(rows, hidden, dtype=dtype), cell=cell,
                backend="reference",
            )  # fmt: skip
        counts.append((len(launches) + len(library.kernels), len(eager.kernels)))
    return counts[1][0] - counts[0][0], counts[1][1] - counts[0][1]
