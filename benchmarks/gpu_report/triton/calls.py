"""Calls of the raw operators at real sizes, on meta tensors: what ships is compiled for these, nothing is computed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.gpu_report.tensors import meta, source
from benchmarks.gpu_report.triton.launches import Launch, recorded
from seq2seq_fast.ops.attention_decoder import GATES
from seq2seq_fast.triton_kernels import additive_attention, additive_score, gru_cell, key_exponentials, lstm_cell
from seq2seq_fast.triton_kernels.attention_decoder import attention_decoder_forward
from seq2seq_fast.triton_kernels.attention_decoder_backward import attention_decoder_backward
from seq2seq_fast.triton_kernels.attention_decoder_step import attention_decoder_step


def attention_calls(
    batch: int, queries: int, positions: int, units: int, size: int, dtype: torch.dtype, masked: bool
) -> list[Callable[[], object]]:
    query, v = meta(batch, queries, units, dtype=dtype), meta(units, dtype=dtype)
    keys, values, exponentials, in_range = source(batch, positions, units, size, dtype)
    lengths = meta(batch, dtype=torch.int64)
    mask = meta(batch, positions, dtype=torch.bool) if masked else None
    context, weights = meta(batch, queries, size, dtype=dtype), meta(batch, queries, positions)
    kept = meta(0) if queries > 1 else weights
    grad_weights = meta(batch, queries, positions, dtype=dtype) if masked else None
    of_source = (keys, values, exponentials, in_range, v, lengths, mask)
    return [
        lambda: key_exponentials.key_exponentials(keys),
        lambda: additive_score.additive_score_forward(query, keys, exponentials, in_range, v),
        lambda: additive_score.additive_score_backward(
            meta(batch, queries, positions, dtype=dtype), query, keys, exponentials, in_range, v, (True,) * 3
        ),
        lambda: additive_attention.attend_forward(query, *of_source, masked),
        lambda: additive_attention.attend_backward(
            context, grad_weights, query, *of_source, context, kept, meta(batch, queries), (True,) * 4
        ),
        lambda: additive_attention.attend_backward(
            context, grad_weights, query, *of_source, context, weights, meta(batch, queries), (True,) * 4
        ),
    ]


def cell_calls(batch: int, hidden: int, dtype: torch.dtype) -> list[Callable[[], object]]:
    h, acc = meta(batch, hidden, dtype=dtype), meta(batch, 4 * hidden)
    gates = {n: meta(batch, n * hidden, dtype=dtype) for n in (1, 2, 3, 4)}
    return [
        lambda: gru_cell.gru_gates_forward(gates[3], gates[3], h),
        lambda: gru_cell.gru_gates_backward(h, gates[3], h, acc),
        lambda: gru_cell.gru_reset_forward(gates[2], gates[2], h),
        lambda: gru_cell.gru_reset_backward(gates[2], h, acc),
        lambda: gru_cell.gru_update_forward(h, h, h, h),
        lambda: gru_cell.gru_update_backward(h, h, h, acc),
        lambda: lstm_cell.lstm_gates_forward(gates[4], gates[4], h),
        lambda: lstm_cell.lstm_gates_backward(h, h, h, h, acc),
    ]


def decoder_calls(
    cell: str, reset_after: bool, batch: int, positions: int, embedding: int, hidden: int, units: int, size: int,
    dtype: torch.dtype, *, target: int = 2, beams: int = 5, options: bool = True,
) -> list[Callable[[], object]]:  # fmt: skip
    rows = GATES[cell] * hidden
    of_source = source(batch, positions, units, size, dtype)
    bias = meta(rows, dtype=dtype) if options else None

    def weights(state_mask: Tensor | None) -> tuple:
        return (
            meta(units, hidden, dtype=dtype), meta(units, dtype=dtype) if options else None, meta(units, dtype=dtype),
            meta(rows, embedding + size, dtype=dtype), meta(rows, hidden, dtype=dtype), bias, bias,
            meta(batch, dtype=torch.int64), None, state_mask, cell, reset_after,
        )  # fmt: skip

    inputs, state = meta(batch, target, embedding, dtype=dtype), meta(batch, hidden)
    mask = meta(batch, hidden) if options else None
    cells = state if cell == "lstm" else None
    beam = meta(batch, beams, hidden)

    def forward():
        return attention_decoder_forward(inputs, state, cells, *of_source, *weights(mask))

    def backward():
        states, contexts, attended, final_cell, *saved = forward()
        attention_decoder_backward(
            states, contexts, attended, final_cell if cell == "lstm" else None, inputs, state, cells, *of_source,
            *weights(mask), states, contexts, attended, *saved, (True,) * 12,
        )  # fmt: skip

    def step():
        projected = meta(batch, positions, rows, dtype=dtype) if options else None
        attention_decoder_step(
            meta(batch, beams, embedding, dtype=dtype), beam, beam if cell == "lstm" else None, *of_source, projected,
            *weights(None),
        )  # fmt: skip

    return [forward, backward, step]


def launches_of(calls: list[Callable[[], object]]) -> list[Launch]:
    """What the calls launch, each compiled code once."""
    with recorded() as launches:
        for call in calls:
            call()
    return list({_code_of(launch): launch for launch in launches}.values())


def _code_of(launch: Launch) -> tuple:
    """What Triton compiles apart: dtypes, alignment, ones and constants."""
    counters = {p.name for p in launch.kernel.params if p.do_not_specialize}

    def kind(name, value):
        if isinstance(value, Tensor):
            return value.dtype
        if isinstance(value, str | bool) or value is None:
            return value
        return None if name in counters else (value == 1, value % 16 == 0)

    constants = tuple(launch.constexprs.items())
    plain = tuple(kind(name, value) for name, value in launch.plain.items())
    return launch.name, constants, tuple(launch.options.items()), plain
