"""Operators at sizes of training, traced on meta tensors: our launches and library calls, and eager's kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

import seq2seq_fast
from benchmarks.gpu_calls import decoder_calls, meta, source
from benchmarks.gpu_cuda import CudaLaunch
from benchmarks.gpu_eager import EagerKernel, EagerTrace
from benchmarks.gpu_launches import Launch, recorded
from benchmarks.gpu_traffic import moved, size_of, storage_of
from seq2seq_fast.triton_kernels import additive_attention, gru_cell, lstm_cell

SIZES = {"one query": (64, 1, 50, 512, 1024), "many queries": (8, 50, 50, 512, 1024)}
CELL = (64, 512)


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@dataclass(frozen=True)
class Traced:
    """One pass of an operator: what we launch, the operator's own tensors, and what eager launches.

    `seconds` is the bound of a launch that says its own.
    """

    name: str
    dtype: torch.dtype
    units: int
    launches: Sequence[Launch | CudaLaunch]
    library: list[EagerKernel]
    tensors: list[Tensor]
    eager: list[EagerKernel]
    engine: str = "triton"
    seconds: float | None = None

    @property
    def least_bytes(self) -> int:
        """The operator's tensors, each once: read or written by somebody."""
        touched = {
            storage_of(v) for launch in self.launches for k, v in launch.arguments.items()
            if isinstance(v, Tensor) and moved(launch)[k]
        }  # fmt: skip
        return sum({storage_of(t): size_of(t) for t in self.tensors if storage_of(t) in touched}.values())


def _ours(function: Callable, *arguments: object) -> tuple[list[Launch], list[EagerKernel], list[Tensor]]:
    with recorded() as launches, EagerTrace() as trace:
        results = function(*arguments)
    return launches, trace.kernels, [t for t in tree_leaves((arguments, results)) if isinstance(t, Tensor)]


def eager_passes(function: Callable[..., Sequence[Tensor | None]], inputs: Sequence[Tensor]) -> tuple[list, list]:
    """Kernels of forward and of backward."""
    leaves = [t.detach().requires_grad_() for t in inputs]
    with EagerTrace() as forward:
        outputs = [o for o in function(*leaves) if o is not None and o.requires_grad]
    cotangents = [torch.empty_like(o) for o in outputs]
    with EagerTrace() as backward:
        torch.autograd.grad(outputs, leaves, cotangents)
    return forward.kernels, backward.kernels


def _formula(query: Tensor, keys: Tensor, values: Tensor, v: Tensor) -> list[Tensor]:
    """Attention as it is written in eager PyTorch: add, tanh, product with v, softmax, weighted sum."""
    scores = torch.tanh(query.unsqueeze(2) + keys.unsqueeze(1)) @ v
    weights = torch.softmax(scores, -1)
    return [torch.bmm(weights, values), weights]


def attention(name: str, dtype: torch.dtype) -> list[Traced]:
    """Forward, with weights, and backward of all gradients."""
    batch, queries, positions, units, size = SIZES[name]
    query, v = meta(batch, queries, units, dtype=dtype), meta(units, dtype=dtype)
    keys, values, exponentials, in_range = source(batch, positions, units, size, dtype)
    of_source = (keys, values, exponentials, in_range, v, meta(batch, dtype=torch.int64), None)
    context, weights = meta(batch, queries, size, dtype=dtype), meta(batch, queries, positions)
    forward = _ours(additive_attention.attend_forward, query, *of_source, True)
    backward = _ours(
        additive_attention.attend_backward,
        *(meta(batch, queries, size, dtype=dtype), None, query, *of_source, context, weights, meta(batch, queries)),
        (True,) * 4,
    )
    eager = eager_passes(_formula, [query, keys, values, v])
    triples = batch * queries * positions * units
    return [
        Traced(f"{name}, {passed}", dtype, triples, *ours, theirs)
        for passed, ours, theirs in zip(("forward", "backward"), (forward, backward), eager, strict=True)
    ]


def gru_formula(from_input: Tensor, from_state: Tensor, state: Tensor) -> list[Tensor]:
    """After its products, with the reset gate behind them."""
    r_x, z_x, n_x = from_input.chunk(3, 1)
    r_h, z_h, n_h = from_state.chunk(3, 1)
    z = torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + torch.sigmoid(r_x + r_h) * n_h)
    return [n + z * (state - n)]


def lstm_formula(from_input: Tensor, from_state: Tensor, cell: Tensor) -> list[Tensor]:
    """After its products."""
    i, f, g, o = (from_input + from_state).chunk(4, 1)
    kept = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return [torch.sigmoid(o) * torch.tanh(kept), kept]


def cells(dtype: torch.dtype) -> list[Traced]:
    """Gate arithmetic alone, of the products' outputs."""
    batch, hidden = CELL
    h = meta(batch, hidden, dtype=dtype)
    three, four = meta(batch, 3 * hidden, dtype=dtype), meta(batch, 4 * hidden, dtype=dtype)

    eager_gru, _ = eager_passes(gru_formula, [three, torch.empty_like(three), h])
    eager_lstm, _ = eager_passes(lstm_formula, [four, torch.empty_like(four), h])
    ours_gru = _ours(gru_cell.gru_gates_forward, three, torch.empty_like(three), h)
    ours_lstm = _ours(lstm_cell.lstm_gates_forward, four, torch.empty_like(four), h)
    return [
        Traced("GRU gates, forward", dtype, 0, *ours_gru, eager_gru),
        Traced("LSTM gates, forward", dtype, 0, *ours_lstm, eager_lstm),
    ]


def decoder_step_launches(cell: str, dtype: torch.dtype) -> tuple[int, int]:
    """Kernels that one more target position adds to a decoder's forward: ours and eager's."""
    batch, positions, embedding, hidden, units, size = 64, 50, 512, 512, 512, 1024
    rows = {"rnn": 1, "gru": 3, "lstm": 4}[cell] * hidden
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


def operators(dtypes: Sequence[torch.dtype]) -> list[Traced]:
    """All passes; the launches are the same for every device."""
    return [t for dtype in dtypes for t in (*(x for name in SIZES for x in attention(name, dtype)), *cells(dtype))]
