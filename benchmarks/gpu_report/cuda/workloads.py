"""Every pass of every operator by the CUDA engine on a device, and its decoder in one launch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from benchmarks.gpu_report import formulas
from benchmarks.gpu_report.cuda.decoder import described, on_cuda, one_launch_seconds, plans
from benchmarks.gpu_report.cuda.launches import RecordingEngine
from benchmarks.gpu_report.eager import EagerTrace, eager_kernels
from benchmarks.gpu_report.machine_code.devices import Rates
from benchmarks.gpu_report.passes import Traced
from benchmarks.gpu_report.sizes import ATTENTION, BATCH, DECODER, HIDDEN
from benchmarks.gpu_report.tensors import meta, source
from seq2seq_fast.cuda_kernels import additive_attention, additive_score, gru_cell, lstm_cell


def operators(rates: Rates, dtypes: Sequence[torch.dtype]) -> list[Traced]:
    """All passes as this device gets them: how a source is split depends on its multiprocessors."""
    found = []
    for dtype in dtypes:
        for name in ATTENTION:
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
    batch, queries, positions, units, size = ATTENTION[name]
    query, v = meta(batch, queries, units, dtype=dtype), meta(units, dtype=dtype)
    keys, values, *prepared = source(batch, positions, units, size, dtype)
    of_source = (query, keys, values, *prepared, v, meta(batch, dtype=torch.int64), None)
    context, weights = meta(batch, queries, size, dtype=dtype), meta(batch, queries, positions)
    kept = weights if queries == 1 else meta(0)
    gradient = torch.empty_like(context)
    forward = _ours(rates, additive_attention.attend_forward, *of_source, queries == 1)
    backward = _ours(
        rates, additive_attention.attend_backward, gradient, None, *of_source, context, kept, meta(batch, queries),
        (True,) * 4,
    )  # fmt: skip
    eager = eager_kernels(formulas.attention, [query, keys, values, v])
    triples = batch * queries * positions * units
    return [
        Traced(f"{name}, {passed}", dtype, triples, eager=theirs, **ours)
        for passed, ours, theirs in zip(("forward", "backward"), (forward, backward), eager, strict=True)
    ]


def key_exponentials(dtype: torch.dtype, rates: Rates) -> list[Traced]:
    batch, _, positions, units, _ = ATTENTION["one query"]
    keys = meta(batch, positions, units, dtype=dtype)
    ours = _ours(rates, additive_score.key_exponentials, keys)
    return [Traced("key exponentials", dtype, 0, eager=[], **ours)]


def cells(dtype: torch.dtype, rates: Rates) -> list[Traced]:
    """Gate arithmetic of the products' outputs, and backward from their gradients."""
    batch, hidden = BATCH, HIDDEN
    h, acc = meta(batch, hidden, dtype=dtype), meta(batch, 4 * hidden)
    gates = {n: meta(batch, n * hidden, dtype=dtype) for n in (1, 2, 3, 4)}
    other = {n: torch.empty_like(tensor) for n, tensor in gates.items()}
    saved = {n: meta(batch, n * hidden) for n in (1, 2, 3, 4)}
    grad, z, cell = (torch.empty_like(h) for _ in range(3))
    gru = eager_kernels(formulas.gru, [gates[3], other[3], h])
    reset = eager_kernels(formulas.reset, [gates[2], other[2], h])
    update = eager_kernels(formulas.update, [gates[1], other[1], z, h])
    lstm = eager_kernels(formulas.lstm, [gates[4], other[4], h])
    calls: list[tuple[str, list, Callable, tuple]] = [
        ("GRU gates, forward", gru[0], gru_cell.gru_gates_forward, (gates[3], other[3], h)),
        ("GRU gates, backward", gru[1], gru_cell.gru_gates_backward, (grad, gates[3], h, saved[3])),
        ("LSTM gates, forward", lstm[0], lstm_cell.lstm_gates_forward, (gates[4], other[4], h)),
        ("LSTM gates, backward", lstm[1], lstm_cell.lstm_gates_backward, (grad, z, cell, h, acc)),
        ("GRU reset, forward", reset[0], gru_cell.gru_reset_forward, (gates[2], other[2], h)),
        ("GRU reset, backward", reset[1], gru_cell.gru_reset_backward, (gates[2], h, saved[2])),
        ("GRU update, forward", update[0], gru_cell.gru_update_forward, (gates[1], other[1], z, h)),
        ("GRU update, backward", update[1], gru_cell.gru_update_backward, (grad, z, h, saved[1])),
    ]
    return [
        Traced(name, dtype, 0, eager=eager, **_ours(rates, function, *arguments))
        for name, eager, function, arguments in calls
    ]


def decoders(dtype: torch.dtype, rates: Rates) -> list[Traced]:
    """The recurrence in one launch and the products around it, of a GRU where both passes fit."""
    found = []
    for name, sizes in DECODER.items():
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
