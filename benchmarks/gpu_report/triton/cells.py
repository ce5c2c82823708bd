"""The arithmetic of recurrent cells alone, of the products' outputs: cells, and the steps of decoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.gpu_report import formulas
from benchmarks.gpu_report.eager import EagerKernel, eager_kernels
from benchmarks.gpu_report.passes import Traced
from benchmarks.gpu_report.sizes import BATCH, EMBEDDING, HIDDEN, POSITIONS, SIZE, UNITS
from benchmarks.gpu_report.tensors import meta
from benchmarks.gpu_report.triton.calls import decoder_calls
from benchmarks.gpu_report.triton.launches import Launch, our_kernels, recorded
from seq2seq_fast.triton_kernels import gru_cell, lstm_cell

FORMS = [("rnn", True), ("gru", True), ("gru", False), ("lstm", True)]


def cells(dtype: torch.dtype) -> list[Traced]:
    """Forward and backward of every cell's kernels, beside the formula in eager PyTorch."""

    def of(gates: int) -> Tensor:
        return meta(BATCH, gates * HIDDEN, dtype=dtype)

    def saved(gates: int) -> Tensor:
        return meta(BATCH, gates * HIDDEN)

    h = of(1)
    made: list[tuple[str, Callable, list[Tensor], Callable, Callable, list[Tensor]]] = [
        ("GRU gates", formulas.gru, [of(3), of(3), h],
         gru_cell.gru_gates_forward, gru_cell.gru_gates_backward, [h, of(3), of(1), saved(3)]),
        ("GRU reset", formulas.reset, [of(2), of(2), h],
         gru_cell.gru_reset_forward, gru_cell.gru_reset_backward, [of(2), of(1), saved(2)]),
        ("GRU update", formulas.update, [of(1), of(1), of(1), h],
         gru_cell.gru_update_forward, gru_cell.gru_update_backward, [h, of(1), of(1), saved(1)]),
        ("LSTM gates", formulas.lstm, [of(4), of(4), h],
         lstm_cell.lstm_gates_forward, lstm_cell.lstm_gates_backward, [h, of(1), of(1), of(1), saved(4)]),
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
