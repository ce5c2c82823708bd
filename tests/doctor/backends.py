"""A fused backend for tests, whose LSTM does what a test wants of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch

from seq2seq_fast.ops.backends import BackendStatus, backends, register_backend
from seq2seq_fast.ops.schemas import declare
from seq2seq_fast.reference.lstm_cell import lstm_gates
from seq2seq_fast.reference.precision import accumulation_dtype

NAME = "for_tests"
Change = Callable[[torch.Tensor], torch.Tensor]


def _as_it_is(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


class _LSTM:
    """The raw operators of an LSTM, right until ``forward`` or ``backward`` change what they give."""

    forward: Change = staticmethod(_as_it_is)
    backward: Change = staticmethod(_as_it_is)

    def gates_forward(self, gates_input, gates_hidden, cell):
        wide = [t.to(accumulation_dtype(t.dtype)) for t in (gates_input, gates_hidden, cell)]
        hidden, new_cell = lstm_gates(*wide)
        i, f, g, o = (wide[0] + wide[1]).chunk(4, dim=-1)
        activations = torch.cat([i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()], dim=-1)
        return self.forward(hidden).to(gates_input.dtype), new_cell.to(cell.dtype), activations

    def gates_backward(self, grad_hidden, grad_cell, cell, new_cell, activations):
        i, f, g, o = activations.chunk(4, dim=-1)
        c = (f * cell + i * g).tanh()
        grad_hidden = torch.zeros_like(c) if grad_hidden is None else grad_hidden.to(c.dtype)
        grad_cell = torch.zeros_like(c) if grad_cell is None else grad_cell.to(c.dtype)
        grad_cell = grad_cell + grad_hidden * o * (1 - c * c)
        gates = [
            grad_cell * g * i * (1 - i),
            grad_cell * cell * f * (1 - f),
            grad_cell * i * (1 - g * g),
            grad_hidden * c * o * (1 - o),
        ]
        return self.backward(torch.cat(gates, dim=-1)).to(cell.dtype), (grad_cell * f).to(cell.dtype)


_lstm = _LSTM()


def _implement() -> None:
    library = declare(NAME)
    library.impl("lstm_gates_forward", lambda *x: _lstm.gates_forward(*x), "CPU")
    library.impl("lstm_gates_backward", lambda *x: _lstm.gates_backward(*x), "CPU")


_implement()


@contextmanager
def backend_for_tests(
    forward: Change = _as_it_is, backward: Change = _as_it_is, usable: bool = True, reason: str = ""
) -> Iterator[str]:
    """Its name, while it is registered beside the reference alone. Of its operators only the LSTM exists."""
    # The package has a function of the module's name: the module is found by import alone.
    module = importlib.import_module("seq2seq_fast.ops.backends")
    with mock.patch.object(module, "_BACKENDS", {"reference": backends()["reference"]}):
        register_backend(NAME, BackendStatus(True, usable, ("cpu",), (torch.float32, torch.float64), reason))
        _lstm.forward, _lstm.backward = forward, backward
        yield NAME
