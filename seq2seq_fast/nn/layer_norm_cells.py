"""Recurrent cells with layer normalisation (Ba, Kiros, Hinton 2016, arXiv 1607.06450).

No kernel serves them: they run in the reference operators on every device, and sequences of them step by step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seq2seq_fast.nn.cells import GRUCell, LSTMCell, RecurrentCell, RNNCell
from seq2seq_fast.ops.autograd import no_autocast
from seq2seq_fast.ops.gru_cell import check_cell
from seq2seq_fast.reference.layer_norm_cells import layer_norm_gru_cell, layer_norm_lstm_cell, layer_norm_rnn_cell


class LayerNormCell(RecurrentCell):
    """The gains ``gain_ih`` and ``gain_hh`` [G H], 1 at first; the cell's biases are the shifts."""

    layer_norm = True

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        if self.backend not in (None, "reference"):
            raise ValueError(f"no kernel serves layer normalisation: backend must be reference; got {self.backend!r}")
        self.gain_ih = nn.Parameter(self.weight_ih.new_empty(self.weight_ih.shape[0]))
        self.gain_hh = nn.Parameter(self.weight_hh.new_empty(self.weight_hh.shape[0]))
        self.reset_norms()

    def reset_parameters(self) -> None:
        """As without layer normalisation; gains 1, and the shift of an LSTM's new cell 0."""
        super().reset_parameters()
        self.reset_norms()

    def reset_norms(self) -> None:
        """Normalisation that changes nothing but mean and variance."""
        for name, parameter in self.named_parameters():
            if name.startswith("gain"):
                nn.init.ones_(parameter)
            elif name == "bias_cell":
                nn.init.zeros_(parameter)

    def _checked(
        self, input: Tensor, states: dict[str, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor], tuple[Tensor | None, Tensor | None]]:
        """Input, weights with gains, and biases, as the reference takes them."""
        input, weight_ih, weight_hh, bias_ih, bias_hh = check_cell(
            self.gates, input, states, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        )
        return input, (weight_ih, weight_hh, self.gain_ih, self.gain_hh), (bias_ih, bias_hh)


class LayerNormRNNCell(LayerNormCell, RNNCell):
    """``h' = tanh(LN(W x) + b + LN(U h) + b')``."""

    def step(self, input: Tensor, state: Tensor) -> Tensor:
        input, weights, biases = self._checked(input, {"hidden": state})
        with no_autocast(state.device.type):
            return layer_norm_rnn_cell(input, state, *weights, *biases)


class LayerNormGRUCell(LayerNormCell, GRUCell):
    """A `GRUCell` whose products with input and state are normalised."""

    def step(self, input: Tensor, state: Tensor) -> Tensor:
        input, weights, biases = self._checked(input, {"hidden": state})
        with no_autocast(state.device.type):
            return layer_norm_gru_cell(input, state, *weights, *biases, self.reset_after)


class LayerNormLSTMCell(LayerNormCell, LSTMCell):
    """An `LSTMCell` whose products with input and state and whose new cell are normalised.

    Besides the gains of all cells it has ``gain_cell`` and ``bias_cell`` [H].
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.gain_cell = nn.Parameter(self.weight_hh.new_empty(self.hidden_size))
        self.bias_cell = nn.Parameter(torch.empty_like(self.gain_cell)) if self.bias else None
        self.reset_norms()

    def step(self, input: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        input, weights, biases = self._checked(input, {"hidden": state[0], "cell": state[1]})
        with no_autocast(state[0].device.type):
            return layer_norm_lstm_cell(input, state, *weights, self.gain_cell, *biases, self.bias_cell)
