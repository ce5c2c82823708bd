"""Recurrent cells with the parameters and the interface of ``torch.nn``'s, on the operators of this package."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from seq2seq_fast.nn.modules import options, parameter_dtype
from seq2seq_fast.ops.autograd import no_autocast
from seq2seq_fast.ops.backends import check_backend, choose_backend
from seq2seq_fast.ops.gru_cell import check_cell, gru_cell
from seq2seq_fast.ops.lstm_cell import lstm_cell
from seq2seq_fast.reference.rnn_cell import rnn_cell


class RecurrentCell(nn.Module):
    """What the cells share: ``weight_ih`` [G H, E], ``weight_hh`` [G H, H], ``bias_ih`` and ``bias_hh`` [G H]."""

    kind: ClassVar[str]
    gates: ClassVar[int]
    layer_norm: ClassVar[bool] = False
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        check_backend(backend)
        self.input_size, self.hidden_size, self.bias, self.backend = input_size, hidden_size, bias, backend
        rows = self.gates * hidden_size
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size, **like))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size, **like))
        self.bias_ih = nn.Parameter(torch.empty(rows, **like)) if bias else None
        self.bias_hh = nn.Parameter(torch.empty(rows, **like)) if bias else None
        self.reset_parameters()

    @property
    def reset_after(self) -> bool:
        """Whether a GRU's reset gate works after the product with U; True for every other cell."""
        return True

    def reset_parameters(self) -> None:
        """Uniform within ``1 / sqrt(hidden_size)`` in ``torch.nn``'s order: the same seed gives the same cell."""
        bound = self.hidden_size**-0.5 if self.hidden_size > 0 else 0.0
        for parameter in _parameters(self):
            if parameter is not None:
                nn.init.uniform_(parameter, -bound, bound)

    def zero_state(self, input: Tensor) -> Any:
        """The state of zeros for input [B, ...], in the weights' dtype."""
        return zero_state(self, self.kind, self.hidden_size, input)

    def step(self, input: Tensor, state: Any) -> Any:
        """One step of a batch: input [B, E], state [B, H] (LSTM: a pair) -> the new state."""
        raise NotImplementedError

    def forward(self, input: Tensor, state: Any = None) -> Any:
        """input [B, E] or [E], state [B, H] or [H] (LSTM: a pair; zeros by default) -> the new state, shaped alike.

        Raises:
            TypeError, ValueError: an argument's type, dtype, device or shape is wrong.
        """
        if input.dim() not in (1, 2):
            raise ValueError(f"input must be [E] or [B, E]; got shape {tuple(input.shape)}")
        if input.dim() == 2:
            return self.step(input, self.zero_state(input) if state is None else state)
        input = input.unsqueeze(0)
        state = self.zero_state(input) if state is None else map_state(lambda part: part.unsqueeze(0), state)
        return map_state(lambda part: part.squeeze(0), self.step(input, state))

    def extra_repr(self) -> str:
        sizes = f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")
        return sizes if self.backend is None else f"{sizes}, {options(backend=self.backend)}"


def _parameters(cell: RecurrentCell) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    return cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh


class RNNCell(RecurrentCell):
    """``h' = tanh(W x + b + U h + b')``: loads the state_dict of ``torch.nn.RNNCell`` (with its tanh).

    A single step is two products and a tanh, eager PyTorch on every backend.
    """

    kind = "rnn"
    gates = 1

    def step(self, input: Tensor, state: Tensor) -> Tensor:
        choose_backend(self.backend, input)
        parameters = check_cell(1, input, {"hidden": state}, *_parameters(self))
        with no_autocast(state.device.type):
            return rnn_cell(parameters[0], state, *parameters[1:])


class GRUCell(RecurrentCell):
    """A gated recurrent unit in place of ``torch.nn.GRUCell``: its arguments, state_dict and numbers.

    Args:
        reset_after: False for the form of Bahdanau et al. (arXiv 1409.0473, A.1.1) and Cho et al. (arXiv 1406.1078),
            whose reset gate works before the product; see :func:`seq2seq_fast.gru_cell`.
        backend: as in :func:`seq2seq_fast.gru_cell`.
    """

    kind = "gru"
    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        reset_after: bool = True,
        backend: str | None = None,
    ) -> None:
        self._reset_after = reset_after
        super().__init__(input_size, hidden_size, bias, device, dtype, backend=backend)

    @property
    def reset_after(self) -> bool:
        return self._reset_after

    def step(self, input: Tensor, state: Tensor) -> Tensor:
        return gru_cell(input, state, *_parameters(self), reset_after=self.reset_after, backend=self.backend)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")


class LSTMCell(RecurrentCell):
    """Long short-term memory in place of ``torch.nn.LSTMCell``: its arguments, state_dict and numbers.

    The state is a pair (hidden, cell). ``backend`` as in :func:`seq2seq_fast.lstm_cell`.
    """

    kind = "lstm"
    gates = 4

    def step(self, input: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return lstm_cell(input, state, *_parameters(self), backend=self.backend)


def zero_state(cell: nn.Module, kind: str, size: int, input: Tensor) -> Any:
    """The state of zeros [B, size] of a cell of this kind (LSTM: a pair), whatever module serves as the cell."""
    dtype = parameter_dtype(cell, input.dtype)

    def zeros() -> Tensor:
        return input.new_zeros(input.shape[0], size, dtype=dtype)

    # Two tensors: torch.compile traces no autograd function that takes one tensor twice.
    return (zeros(), zeros()) if kind == "lstm" else zeros()


def map_state(function: Any, state: Any) -> Any:
    """The function applied to a state, or to both halves of an LSTM's."""
    return tuple(function(part) for part in state) if isinstance(state, tuple) else function(state)


def hidden_of(state: Any) -> Tensor:
    """The hidden state, without an LSTM's cell."""
    return state[0] if isinstance(state, tuple) else state


def step_beams(cell: nn.Module, inputs: Tensor, state: Any) -> Any:
    """A cell called on [B, E] or [B, K, E]."""
    if inputs.dim() == 2:
        return cell(inputs, state)
    flat = cell(inputs.flatten(0, 1), map_state(lambda part: part.flatten(0, 1), state))
    return map_state(lambda part: part.unflatten(0, inputs.shape[:2]), flat)
