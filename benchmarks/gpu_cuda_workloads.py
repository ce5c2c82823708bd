"""The passes of `gpu_workloads` by the CUDA engine, and its decoder in one launch, on a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from benchmarks.gpu_calls import meta, source
from benchmarks.gpu_cuda import RecordingEngine
from benchmarks.gpu_decoder_calls import SIZES as DECODER_SIZES
from benchmarks.gpu_decoder_calls import on_cuda
from benchmarks.gpu_decoder_steps import described, one_launch_seconds, plans
from benchmarks.gpu_devices import Rates
from benchmarks.gpu_eager import EagerTrace
from benchmarks.gpu_workloads import CELL, SIZES, Traced, eager_passes, gru_formula, lstm_formula
from benchmarks.gpu_workloads import attention as triton_attention
from seq2seq_fast.cuda_kernels import additive_attention, additive_score, gru_cell, lstm_cell


def operators(rates: Rates, dtypes: Sequence[torch.dtype]) -> list[Traced]:
    """All passes as this device gets them: how a source is split depends on its multiprocessors."""
    found = []
    for dtype in dtypes:
        for name in SIZES:
            found += attention(name, dtype, rates)
        found += [*key_exponentials(dtype, rates), *cells(dtype, rates), *decoders(dtype, rates)]
    return found


def _ours(rates: Rates, function: Callable, *arguments: object) -> dict:
    engine = RecordingEngine(described(rates))
    with EagerTrace() as trace:
        results = function(engine, *arguments)
    tensors = [t for t in tree_leaves((arguments, results)) if isinstance(t, Tensor)]
    return dict(launches=engine.launches, library=trace.kernels, tensors=tensors, engine="cuda")


def attention(name: str, dtype: torch.dtype, rates: Rates) -> list[Traced]:
    """Forward with weights; backward of all gradients, of many queries without weights, which it makes again."""
    batch, queries, positions, units, size = SIZES[name]
    query, v = meta(batch, queries, units, dtype=dtype), meta(units, dtype=dtype)
    of_source = (*source(batch, positions, units, size, dtype), v, meta(batch, dtype=torch.int64), None)
    context, weights = meta(batch, queries, size, dtype=dtype), meta(batch, queries, positions)
    kept = weights if queries == 1 else meta(0)
    forward, backward = triton_attention(name, dtype)
    gradient = torch.empty_like(context)
    return [
        replace(forward, **_ours(rates, additive_attention.attend_forward, query, *of_source, queries == 1)),
        replace(backward, **_ours(
            rates, additive_attention.attend_backward, gradient, None, query, *of_source, context, kept,
            meta(batch, queries), (True,) * 4,
        )),
    ]  # fmt: skip


def key_exponentials(dtype: torch.dtype, rates: Rates) -> list[Traced]:
    batch, _, positions, units, _ = SIZES["one query"]
    keys = meta(batch, positions, units, dtype=dtype)
    ours = _ours(rates, additive_score.key_exponentials, keys)
    return [Traced("key exponentials", dtype, 0, eager=[], **ours)]


def cells(dtype: torch.dtype, rates: Rates) -> list[Traced]:
    """Gate arithmetic of the products' outputs, and backward from their gradients."""
    batch, hidden = CELL
    h, acc = meta(batch, hidden, dtype=dtype), meta(batch, 4 * hidden)
    gates = {n: meta(batch, n * hidden, dtype=dtype) for n in (1, 2, 3, 4)}
    other = {n: torch.empty_like(tensor) for n, tensor in gates.items()}
    saved = {n: meta(batch, n * hidden) for n in (1, 2, 3, 4)}
    grad, z, cell = (torch.empty_like(h) for _ in range(3))
    gru = eager_passes(gru_formula, [gates[3], other[3], h])
    lstm = eager_passes(lstm_formula, [gates[4], other[4], h])
    calls: list[tuple[str, list, Callable, tuple]] = [
        ("GRU gates, forward", gru[0], gru_cell.gru_gates_forward, (gates[3], other[3], h)),
        ("GRU gates, backward", gru[1], gru_cell.gru_gates_backward, (grad, gates[3], h, saved[3])),
        ("LSTM gates, forward", lstm[0], lstm_cell.lstm_gates_forward, (gates[4], other[4], h)),
        ("LSTM gates, backward", lstm[1], lstm_cell.lstm_gates_backward, (grad, z, cell, h, acc)),
        ("GRU, reset first: its gates, forward", [], gru_cell.gru_reset_forward, (gates[2], other[2], h)),
        ("GRU, reset first: its gates, backward", [], gru_cell.gru_reset_backward, (gates[2], h, saved[2])),
        ("GRU, reset first: new state, forward", [], gru_cell.gru_update_forward, (gates[1], other[1], z, h)),
        ("GRU, reset first: new state, backward", [], gru_cell.gru_update_backward, (grad, z, h, saved[1])),
    ]
    return [
        Traced(name, dtype, 0, eager=eager, **_ours(rates, function, *arguments))
        for name, eager, function, arguments in calls
    ]


def decoders(dtype: torch.dtype, rates: Rates) -> list[Traced]:
    """The recurrence in one launch and the products around it, of a GRU where both passes fit."""
    found = []
    for name, sizes in DECODER_SIZES.items():
        chosen = plans(sizes, "gru", dtype, rates)
        if not all(plan.fits for plan in chosen):
            continue
        for passed, plan, ours in zip(
            ("forward", "backward"), chosen, on_cuda(sizes, "gru", dtype, described(rates)), strict=True
        ):
            launches = [launch for launch in ours.launches if launch.stem.startswith("attention_decoder")]  # type: ignore[union-attr]
            found.append(Traced(
                f"GRU decoder, {name}, {passed}", dtype, 0, launches, ours.library, ours.tensors, [], "cuda",
                one_launch_seconds(plan, sizes.target, rates),
            ))  # fmt: skip
    return found
