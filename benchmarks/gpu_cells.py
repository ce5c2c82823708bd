"""The arithmetic of recurrent cells alone, of the products' outputs: cells, and the steps of decoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.gpu_calls import decoder_calls, meta
from benchmarks.gpu_eager import EagerKernel
from benchmarks.gpu_launches import Launch, recorded
from benchmarks.gpu_workloads import Traced, eager_kernels, our_kernels
from seq2seq_fast.triton_kernels import gru_cell, lstm_cell

BATCH, HIDDEN = 64, 512
# As the decoders of SIZES["one query"]: positions, units, size of the values; and of the inputs.
POSITIONS, UNITS, SIZE, EMBEDDING = 50, 512, 1024, 512
FORMS = [("rnn", True), ("gru", True), ("gru", False), ("lstm", True)]


def gru(from_input: Tensor, from_state: Tensor, state: Tensor) -> list[Tensor]:
    r_x, z_x, n_x = from_input.chunk(3, 1)
    r_h, z_h, n_h = from_state.chunk(3, 1)
    z = torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + torch.sigmoid(r_x + r_h) * n_h)
    return [n + z * (state - n)]


def reset(from_input: Tensor, from_state: Tensor, state: Tensor) -> list[Tensor]:
    """A GRU with the reset before its product, up to that product."""
    r, z = torch.sigmoid(from_input + from_state).chunk(2, 1)
    return [r * state, z]


def update(from_input: Tensor, from_reset_state: Tensor, z: Tensor, state: Tensor) -> list[Tensor]:
    """And from there."""
    n = torch.tanh(from_input + from_reset_state)
    return [n + z * (state - n)]


def lstm(from_input: Tensor, from_state: Tensor, cell: Tensor) -> list[Tensor]:
    i, f, g, o = (from_input + from_state).chunk(4, 1)
    kept = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return [torch.sigmoid(o) * torch.tanh(kept), kept]


def cells(dtype: torch.dtype) -> list[Traced]:
    """Forward and backward of every cell's kernels, beside the formula in eager PyTorch."""

    def of(gates: int) -> Tensor:
        return meta(BATCH, gates * HIDDEN, dtype=dtype)

    def saved(gates: int) -> Tensor:
        return meta(BATCH, gates * HIDDEN)

    h = of(1)
    made: list[tuple[str, Callable, list[Tensor], Callable, Callable, list[Tensor]]] = [
        ("GRU gates", gru, [of(3), of(3), h], gru_cell.gru_gates_forward, gru_cell.gru_gates_backward,
         [h, of(3), of(1), saved(3)]),
        ("GRU reset", reset, [of(2), of(2), h], gru_cell.gru_reset_forward, gru_cell.gru_reset_backward,
         [of(2), of(1), saved(2)]),
        ("GRU update", update, [of(1), of(1), of(1), h], gru_cell.gru_update_forward, gru_cell.gru_update_backward,
         [h, of(1), of(1), saved(1)]),
        ("LSTM gates", lstm, [of(4), of(4), h], lstm_cell.lstm_gates_forward, lstm_cell.lstm_gates_backward,
         [h, of(1), of(1), of(1), saved(4)]),
    ]  # fmt: skip
    traced = []
    for name, formula, inputs, forward, backward, cotangents in made:
        eager_forward, eager_backward = eager_kernels(formula, inputs)
        traced += [
            Traced(f"{name}, forward", dtype, 0, *our_kernels(forward, *inputs), eager_forward),
            Traced(f"{name}, backward", dtype, 0, *our_kernels(backward, *cotangents), eager_backward),
        ]
    return traced


def decoder_cells(dtype: torch.dtype) -> list[Traced]:
    """The cells' kernels of one step of each decoder, which sum the products too; eager's are counted by the step."""
    traced = []
    for cell, reset_after in FORMS:
        forward, both, _ = decoder_calls(
            cell, reset_after, BATCH, POSITIONS, EMBEDDING, HIDDEN, UNITS, SIZE, dtype, target=2
        )
        form = f"{cell.upper()} decoder's cell" + ("" if reset_after else ", reset before")
        for passed, call in (("forward", forward), ("backward", both)):
            launches = _of_one_step(call, "decoder_cells" if passed == "forward" else "decoder_cells_backward")
            tensors = [t for launch in launches for t in launch.arguments.values() if isinstance(t, Tensor)]
            traced.append(Traced(f"{form}, {passed}", dtype, 0, launches, NO_KERNELS, tensors, NO_KERNELS))
    return traced


NO_KERNELS: list[EagerKernel] = []


def _of_one_step(call: Callable[[], object], module: str) -> list[Launch]:
    with recorded() as launches:
        call()
    of_module: Sequence[Launch] = [launch for launch in launches if launch.name.startswith(f"{module}.")]
    return list({launch.name: launch for launch in of_module}.values())
