"""What a hidden unit costs in each kernel of a cell, derived from the cells' formulas.

Instructions are those of the arithmetic as it is written, every product whose one use is an addition fused into it.
Memory is in numbers a unit: of the operands' dtype, and of float32 (which activations and what accumulates always are).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq_fast.triton_kernels import gru_cell, lstm_cell
from seq2seq_fast.triton_kernels.combine import Tiles
from seq2seq_fast.triton_kernels.decoder_cells import Gates, Recurrence, cell_step, reset_step, update_step
from seq2seq_fast.triton_kernels.decoder_cells_backward import (
    StateGradient,
    cell_step_backward,
    reset_step_backward,
    update_step_backward,
)
from tests.triton_kernels.counting import Mix, mix

ADD, MULTIPLY, FUSED = mix(sums=1), mix(products=1), mix(fused=1)
# 1 / (1 + 2^(-log2(e) x)).
SIGMOID = mix(special=1, divisions=1, products=1, sums=1)
# x + x x^2 P(x^2) with five steps of Horner's rule, and 1 - 2 / (1 + 2^(2 log2(e) x)).
TANH = mix(fused=6, products=2) + mix(special=1, divisions=1, products=1, sums=2)
# From g = s(x) or tanh(x): slope g (1 - g), slope 1 - g^2.
SIGMOID_SLOPE, TANH_SLOPE = mix(products=2, sums=1), mix(fused=1, products=1)
# n + z (h - n).
GRU_OUTPUT = mix(fused=1, sums=1)
# dn = d (1 - z) (1 - n^2), dz = d (h - n) z (1 - z) with the same 1 - z, dh = d z.
GRU_OUTPUT_BACKWARD = mix(products=1, sums=1) + TANH_SLOPE + mix(products=3, sums=1) + MULTIPLY
# The same where h is a product, the state times its mask, fused into h - n.
MASKED_OUTPUT_BACKWARD = mix(products=1, sums=1) + TANH_SLOPE + mix(products=3, fused=1) + MULTIPLY
# dr = dn u r (1 - r), where u is the candidate's share that r multiplies.
RESET_BACKWARD = MULTIPLY + SIGMOID_SLOPE
# f c + i g, o tanh.
LSTM_OUTPUT = mix(products=1, fused=1) + TANH + MULTIPLY
# dc' = dc + dh o (1 - tanh(c')^2); di = dc' g i (1 - i), df = dc' c f (1 - f), do = dh tanh(c') o (1 - o);
# dg = dc' i (1 - g^2); dc = dc' f.
LSTM_BACKWARD = TANH + mix(products=1, fused=2) + (MULTIPLY + SIGMOID_SLOPE).times(3) + MULTIPLY + TANH_SLOPE + MULTIPLY
# (from products + direct) mask + from the loss.
STATE_GRADIENT = ADD + FUSED


class Tensors:
    """Random tensors [rows, columns x H]: of the operands' dtype, or float32."""

    def __init__(self, rows: int, hidden: int, dtype: torch.dtype, tiles: int = 0) -> None:
        self.rows, self.hidden, self.dtype, self.tiles = rows, hidden, dtype, tiles

    def given(self, columns: int) -> Tensor:
        return torch.randn(self.rows, columns * self.hidden).to(self.dtype)

    def wide(self, columns: int) -> Tensor:
        return torch.randn(self.rows, columns * self.hidden)

    def gates(self, count: int) -> Gates:
        """A step's products, with the context's in as many tiles as there are."""
        parts = None
        if self.tiles:
            shape = (self.rows, self.tiles)
            parts = Tiles(torch.randn(*shape, count * self.hidden), None, torch.randn(shape), 1 + torch.rand(shape))
        biases = torch.randn(2, count * self.hidden).to(self.dtype)
        return Gates(self.wide(count), self.wide(count), self.wide(count), parts, *biases)

    def logsumexp(self) -> Tensor | None:
        return torch.empty(self.rows) if self.tiles else None

    def recurrence(self) -> Recurrence:
        state = self.wide(1)
        return Recurrence(state, state, self.given(1), self.given(1))

    def gradient(self) -> StateGradient:
        return StateGradient(self.given(1), self.wide(1), self.wide(1), self.given(1))


@dataclass(frozen=True)
class Cost:
    """A kernel by its host function, what a unit executes, and the numbers that it reads and writes.

    Attributes:
        gates: gates whose context's sum the kernel reads.
        narrow: products of two operands that 16-bit dtypes make in their own dtype, being rounded to it at once.
    """

    run: Callable[[Tensors], object]
    executes: Mix
    read: tuple[int, int]
    written: tuple[int, int]
    gates: int = 0
    narrow: int = 0


CELLS = {
    "gru_cell._gates_kernel": Cost(
        lambda t: gru_cell.gru_gates_forward(t.given(3), t.given(3), t.given(1)),
        (ADD + SIGMOID).times(2) + FUSED + TANH + GRU_OUTPUT, (7, 0), (1, 3),
    ),
    "gru_cell._gates_backward_kernel": Cost(
        lambda t: gru_cell.gru_gates_backward(t.given(1), t.given(3), t.given(1), t.wide(3)),
        GRU_OUTPUT_BACKWARD + RESET_BACKWARD + MULTIPLY, (3, 3), (7, 0),
    ),
    "gru_cell._reset_kernel": Cost(
        lambda t: gru_cell.gru_reset_forward(t.given(2), t.given(2), t.given(1)),
        (ADD + SIGMOID).times(2) + MULTIPLY, (5, 0), (2, 2),
    ),
    "gru_cell._reset_backward_kernel": Cost(
        lambda t: gru_cell.gru_reset_backward(t.given(2), t.given(1), t.wide(2)),
        RESET_BACKWARD + SIGMOID_SLOPE + MULTIPLY, (3, 2), (3, 0),
    ),
    "gru_cell._update_kernel": Cost(
        lambda t: gru_cell.gru_update_forward(t.given(1), t.given(1), t.given(1), t.given(1)),
        ADD + TANH + GRU_OUTPUT, (4, 0), (1, 1),
    ),
    "gru_cell._update_backward_kernel": Cost(
        lambda t: gru_cell.gru_update_backward(t.given(1), t.given(1), t.given(1), t.wide(1)),
        mix(products=1, sums=1) + TANH_SLOPE + mix(products=1, sums=1) + MULTIPLY, (3, 1), (3, 0), narrow=1,
    ),
    "lstm_cell._gates_kernel": Cost(
        lambda t: lstm_cell.lstm_gates_forward(t.given(4), t.given(4), t.given(1)),
        (ADD + SIGMOID).times(3) + ADD + TANH + LSTM_OUTPUT, (9, 0), (2, 4),
    ),
    "lstm_cell._gates_backward_kernel": Cost(
        lambda t: lstm_cell.lstm_gates_backward(t.given(1), t.given(1), t.given(1), t.given(1), t.wide(4)),
        LSTM_BACKWARD, (4, 4), (5, 0),
    ),
}  # fmt: skip

# A gate's sum over input and context with its bias, over the state with its own, and both.
FROM_INPUT, FROM_STATE = ADD.times(2), ADD
GATE = FROM_INPUT + FROM_STATE + ADD


def _cell(name: str, gates: int) -> Callable[[Tensors], object]:
    def run(t: Tensors) -> None:
        of_cell = (t.wide(1), t.wide(1)) if name == "lstm" else (None, None)
        cell_step(
            t.gates(gates), t.recurrence(), t.given(1), cell=name, cell_state=of_cell[0], new_cell=of_cell[1],
            activations=t.wide(1 if name == "rnn" else 4), logsumexp=t.logsumexp(),
        )()  # fmt: skip

    return run


def _cell_backward(name: str, gates: int) -> Callable[[Tensors], object]:
    def run(t: Tensors) -> None:
        cells = (t.wide(1), t.wide(1), t.wide(1)) if name == "lstm" else None
        cell_step_backward(
            t.gradient(), t.wide(4), t.given(1), cells, t.given(gates), t.given(gates), name
        )()  # fmt: skip

    return run


# The first word is the kernel's name, the others say which form of it; all options that cost something are given.
DECODERS = {
    "decoder_cells._cell_kernel rnn": Cost(_cell("rnn", 1), GATE + TANH + MULTIPLY, (3, 3), (2, 2), gates=1),
    "decoder_cells._cell_kernel gru": Cost(
        _cell("gru", 3),
        (GATE + SIGMOID).times(2) + FROM_INPUT + FROM_STATE + FUSED + TANH + GRU_OUTPUT + MULTIPLY,
        (7, 10), (2, 5), gates=3,
    ),
    "decoder_cells._cell_kernel lstm": Cost(
        _cell("lstm", 4), (GATE + SIGMOID).times(3) + GATE + TANH + LSTM_OUTPUT + MULTIPLY, (9, 13), (2, 6), gates=4
    ),
    "decoder_cells._reset_kernel": Cost(
        lambda t: reset_step(t.gates(3), t.recurrence(), t.given(1), t.wide(3), t.logsumexp())(),
        (GATE + SIGMOID).times(2) + FROM_INPUT + MULTIPLY, (5, 9), (1, 3), gates=3,
    ),
    "decoder_cells._update_kernel": Cost(
        lambda t: update_step(t.wide(1), t.gates(3).bias_hh, t.recurrence(), t.given(1), t.wide(3))(),
        ADD.times(2) + TANH + GRU_OUTPUT + MULTIPLY, (2, 4), (2, 2),
    ),
    "decoder_cells_backward._cell_backward_kernel rnn": Cost(
        _cell_backward("rnn", 1), STATE_GRADIENT + TANH_SLOPE, (2, 3), (2, 0)
    ),
    "decoder_cells_backward._cell_backward_kernel gru": Cost(
        _cell_backward("gru", 3),
        STATE_GRADIENT + MASKED_OUTPUT_BACKWARD + RESET_BACKWARD + MULTIPLY, (3, 6), (6, 1),
    ),
    "decoder_cells_backward._cell_backward_kernel lstm": Cost(
        _cell_backward("lstm", 4), STATE_GRADIENT + LSTM_BACKWARD, (2, 9), (8, 1)
    ),
    "decoder_cells_backward._update_backward_kernel": Cost(
        lambda t: update_step_backward(t.gradient(), t.wide(3), t.given(1), t.given(3), t.given(3))(),
        STATE_GRADIENT + MASKED_OUTPUT_BACKWARD, (3, 4), (3, 1),
    ),
    "decoder_cells_backward._reset_backward_kernel": Cost(
        lambda t: reset_step_backward(
            t.wide(1), t.gradient(), t.wide(3), t.given(1), t.given(3), t.given(3), t.given(1)
        )(),
        MULTIPLY + RESET_BACKWARD + FUSED + MULTIPLY, (2, 3), (3, 1),
    ),
}  # fmt: skip
